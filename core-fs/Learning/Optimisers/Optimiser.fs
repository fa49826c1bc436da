namespace ValueFlow.Core.Learning

#nowarn "9" // native pointers into pinned arrays

open System
open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop
open ValueFlow.Core.Foundations

/// The rule of a step of gradient descent: what a run's options and its checkpoints say of the optimiser.
[<RequireQualifiedAccess>]
type Optimiser =
    /// u = momentum u + g (u = g at first); p = p - rate u. Polyak 1964, "Some methods of speeding up the convergence of iteration methods".
    | Sgd of momentum: float
    /// m and v are exponential means of g and g^2, freed of their start at zero; p = p - rate m / (sqrt v + epsilon).
    /// Kingma and Ba 2015, "Adam: a method for stochastic optimization".
    | Adam of beta1: float * beta2: float * epsilon: float
    /// Adam after p = (1 - rate decay) p. Loshchilov and Hutter 2019, "Decoupled weight decay regularization".
    | AdamW of beta1: float * beta2: float * epsilon: float * decay: float

/// What an optimiser remembers between steps.
type OptimiserState =
    {
        /// The steps that it took.
        Steps: int
        /// Its vectors (u, or m and v), each as long as the parameters.
        Vectors: float32[][]
    }

/// Optimisers as pure pairs of a start and a step.
[<RequireQualifiedAccess>]
module Optimiser =

    /// Adam with the usual constants: 0.9, 0.999, 1e-8.
    let adam: Optimiser = Optimiser.Adam(0.9, 0.999, 1e-8)

    /// AdamW with Adam's usual constants.
    let adamW (decay: float) : Optimiser = Optimiser.AdamW(0.9, 0.999, 1e-8, decay)

    /// Throws an ArgumentException unless every constant lies where the rule makes sense.
    let require (optimiser: Optimiser) : unit =
        let share (name: string) value =
            if not (value >= 0.0 && value < 1.0) then
                invalidArg (nameof optimiser) $"{name} must lie in [0, 1) but is {value}"

        let atLeastZero (name: string) value =
            if not (value >= 0.0 && Double.IsFinite value) then
                invalidArg (nameof optimiser) $"{name} must not be negative, and finite, but is {value}"

        match optimiser with
        | Optimiser.Sgd momentum -> share "momentum" momentum
        | Optimiser.Adam(beta1, beta2, epsilon) ->
            share "beta1" beta1
            share "beta2" beta2
            atLeastZero "epsilon" epsilon
        | Optimiser.AdamW(beta1, beta2, epsilon, decay) ->
            share "beta1" beta1
            share "beta2" beta2
            atLeastZero "epsilon" epsilon
            atLeastZero "decay" decay

    /// The state before the first step, for a number of parameters.
    let init (optimiser: Optimiser) (parameters: int) : OptimiserState =
        require optimiser

        let vectors =
            match optimiser with
            | Optimiser.Sgd momentum -> if momentum = 0.0 then 0 else 1
            | Optimiser.Adam _
            | Optimiser.AdamW _ -> 2

        { Steps = 0; Vectors = Array.init vectors (fun _ -> Array.zeroCreate parameters) }

    let private adamStep
        (steps: int)
        (rate: float)
        (beta1: float)
        (beta2: float)
        (epsilon: float)
        (keep: float)
        (g: float32[])
        (p: float32[])
        (state: float32[][])
        =
        let mutable power1 = Math.Pow(beta1, float steps)
        let mutable power2 = Math.Pow(beta2, float steps)
        let size = float32 (rate / (1.0 - power1))
        let root = float32 (sqrt (1.0 - power2))
        let m, v = state[0], state[1]
        let b1, c1 = float32 beta1, float32 (1.0 - beta1)
        let b2, c2 = float32 beta2, float32 (1.0 - beta2)
        let epsilon, keep = float32 epsilon, float32 keep
        use pg = fixed g
        use pp = fixed p
        use pm = fixed m
        use pv = fixed v
        let whole = p.Length &&& ~~~7
        let mutable i = 0

        while i < whole do
            let gradient = Simd.load pg i
            let mean = Simd.fma (Simd.all b1) (Simd.load pm i) (Simd.all c1 * gradient)
            let square = Simd.fma (Simd.all b2) (Simd.load pv i) (Simd.all c2 * (gradient * gradient))
            Simd.store pm i mean
            Simd.store pv i square
            let below = Vector256.Sqrt square / Simd.all root + Simd.all epsilon
            Simd.store pp i (Simd.all keep * Simd.load pp i - Simd.all size * (mean / below))
            i <- i + 8

        while i < p.Length do
            m[i] <- MathF.FusedMultiplyAdd(b1, m[i], c1 * g[i])
            v[i] <- MathF.FusedMultiplyAdd(b2, v[i], c2 * (g[i] * g[i]))
            p[i] <- keep * p[i] - size * (m[i] / (MathF.Sqrt v[i] / root + epsilon))
            i <- i + 1

    /// The step in place, for runners that own their vectors.
    let internal stepInto
        (optimiser: Optimiser)
        (rate: float)
        (gradient: float32[])
        (parameters: float32[])
        (state: OptimiserState)
        : OptimiserState =
        let steps = state.Steps + 1

        match optimiser with
        | Optimiser.Sgd momentum when momentum = 0.0 ->
            for i in 0 .. parameters.Length - 1 do
                parameters[i] <- parameters[i] - float32 rate * gradient[i]
        | Optimiser.Sgd momentum ->
            let u = state.Vectors[0]

            for i in 0 .. parameters.Length - 1 do
                u[i] <- float32 momentum * u[i] + gradient[i]
                parameters[i] <- parameters[i] - float32 rate * u[i]
        | Optimiser.Adam(beta1, beta2, epsilon) -> adamStep steps rate beta1 beta2 epsilon 1.0 gradient parameters state.Vectors
        | Optimiser.AdamW(beta1, beta2, epsilon, decay) ->
            adamStep steps rate beta1 beta2 epsilon (1.0 - rate * decay) gradient parameters state.Vectors

        { state with Steps = steps }

    /// One step at a learning rate: the new parameters and the new state. No argument is changed.
    let step
        (optimiser: Optimiser)
        (rate: float)
        (gradient: float32[])
        (struct (parameters: float32[], state: OptimiserState))
        : struct (float32[] * OptimiserState) =
        require optimiser
        Shape.requireLength (nameof gradient) parameters.Length gradient.Length

        for vector in state.Vectors do
            Shape.requireLength (nameof state) parameters.Length vector.Length

        if not (Double.IsFinite rate) then
            invalidArg (nameof rate) $"the learning rate must be finite but is {rate}"

        let next = Array.copy parameters
        let own = { state with Vectors = Array.map Array.copy state.Vectors }
        struct (next, stepInto optimiser rate gradient next own)

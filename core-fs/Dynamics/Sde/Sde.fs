namespace ValueFlow.Core.Dynamics

open System
open System.Threading
open TorchSharp
open ValueFlow.Core.Foundations

/// How far a stochastic solve is.
[<Struct>]
type SdeProgress =
    {
        /// The time reached.
        Time: float
        /// Steps made.
        Steps: int
    }

/// What a stochastic solve is told.
type SdeOptions =
    {
        /// The scheme.
        Scheme: SdeScheme
        /// The number of equal steps.
        Steps: int
        /// The state is kept after every so many steps, and at the start; zero: never.
        SaveEvery: int
        /// Called after every step.
        Progress: SdeProgress -> unit
        /// Checked before every step.
        Cancellation: CancellationToken
    }

/// Options of stochastic solves.
[<RequireQualifiedAccess>]
module SdeOptions =

    /// A scheme with a number of equal steps.
    let create (scheme: SdeScheme) (steps: int) : SdeOptions =
        {
            Scheme = scheme
            Steps = steps
            SaveEvery = 0
            Progress = ignore
            Cancellation = CancellationToken.None
        }

/// The outcome of a stochastic solve. It owns its tensors; disposing it frees them, and so does the scope in which the solve was called.
type SdeSolution =
    {
        /// The state at the time reached.
        Final: torch.Tensor
        /// The time reached.
        Time: float
        /// The states that were kept.
        Saved: torch.Tensor[]
        /// Their times.
        SavedTimes: float[]
        /// Steps made.
        Steps: int
        /// Evaluations of the drift.
        DriftEvaluations: int
        /// Evaluations of the diffusion.
        DiffusionEvaluations: int
        /// Why the solve ended.
        Reason: Reason
    }

    interface IDisposable with
        /// Frees the tensors.
        member solution.Dispose() =
            solution.Final.Dispose()
            solution.Saved |> Array.iter _.Dispose()

/// The runner of stochastic equations.
[<RequireQualifiedAccess>]
module Sde =

    let private require
        (options: SdeOptions)
        (equation: StochasticEquation)
        (path: BrownianPath)
        (x0: torch.Tensor)
        (t0: float)
        (t1: float)
        : unit =
        if options.Steps < 1 then
            invalidArg (nameof options) $"there must be at least 1 step but there are {options.Steps}"

        if options.SaveEvery < 0 then
            invalidArg (nameof options) $"the number of steps between saved states must not be negative but is {options.SaveEvery}"

        if x0.dtype <> torch.float32 && x0.dtype <> torch.float64 then
            invalidArg (nameof x0) $"type must be Float32 or Float64 but is {x0.dtype}"

        if x0.dim () < 2L || x0.NumberOfElements = 0L then
            let shape = String.Join(", ", x0.shape)
            invalidArg (nameof x0) $"shape must be (batch, d) with at least one entry but is [{shape}]"

        let expected = StochasticEquation.noiseShape x0.shape equation

        if List.ofArray path.Shape <> expected then
            invalidArg (nameof path) $"shape must be %A{expected} for this noise and state but is %A{List.ofArray path.Shape}"

        for time in [ t0; t1 ] do
            if not (time >= path.From && time <= path.Until) then
                invalidArg (nameof path) $"the path must cover [{t0}, {t1}] but runs from {path.From} to {path.Until}"

        match options.Scheme.StrongOrder equation.Noise with
        | ValueNone -> invalidArg (nameof options) $"{options.Scheme.Name} does not take noise of the kind {equation.Noise}"
        | ValueSome _ -> ()

        if options.Scheme.Calculus <> equation.Calculus && equation.Noise <> Noise.Additive then
            invalidArg
                (nameof options)
                $"{options.Scheme.Name} solves equations of {options.Scheme.Calculus}, but this one is of {equation.Calculus}"

        if t1 < t0 && options.Scheme.Calculus = Calculus.Ito then
            invalidArg (nameof t1) $"{options.Scheme.Name} runs forwards, but t1 = {t1} lies before t0 = {t0}: reverse the equation"

    /// x(t1) from x(t0) = x0 along a Brownian path, in equal steps; backwards in time for equations of Stratonovich. x0 has the shape (batch, d). Gradients are recorded if something
    /// wants them: the steps can be differentiated through. A state that is no finite number ends the solve with a reason and the last finite state.
    /// Throws an ArgumentException if scheme, equation, path and state do not fit one another.
    let solve
        (options: SdeOptions)
        (equation: StochasticEquation)
        (path: BrownianPath)
        (x0: torch.Tensor)
        (t0: float)
        (t1: float)
        : SdeSolution =
        require options equation path x0 t0 t1
        let struct (drifts, diffusions) = options.Scheme.Evaluations
        let time (n: int) = if n = options.Steps then t1 else t0 + float n * ((t1 - t0) / float options.Steps)
        let saved, savedTimes = ResizeArray<torch.Tensor>(), ResizeArray<float>()

        let finite (x: torch.Tensor) = Lifetime.within (fun () -> (x.detach().isfinite().all()).item<bool>())

        let keep (n: int) (x: torch.Tensor) =
            if options.SaveEvery > 0 && n % options.SaveEvery = 0 then
                saved.Add(x.clone ())
                savedTimes.Add(time n)

        // The state at the start belongs to the caller.
        let mutable state = options.Scheme.Start x0
        let mutable owned = false
        let mutable n = 0
        let mutable reason = ValueNone

        let release (tensors: torch.Tensor[]) = tensors |> Array.iter _.Dispose()

        if not (finite x0) then
            invalidArg (nameof x0) "the state at the start must be finite but is not"

        keep 0 x0

        while reason.IsNone do
            if n = options.Steps then
                reason <- ValueSome Reason.ReachedEnd
            elif options.Cancellation.IsCancellationRequested then
                reason <- ValueSome Reason.Cancelled
            else
                // The difference of the times, so that no stage lies past the end.
                let t, h = time n, time (n + 1) - time n
                let noise = path.Step(t, time (n + 1))
                let next = options.Scheme.Step.Invoke(equation, t, h, state, noise)
                noise.Increment.Dispose()
                noise.Area.Dispose()

                if finite next[0] then
                    if owned then
                        release state

                    state <- next
                    owned <- true
                    n <- n + 1
                    keep n next[0]
                    options.Progress { Time = time n; Steps = n }
                else
                    release next
                    reason <- ValueSome Reason.NotFinite

        let final = if owned then state[0] else x0.clone ()

        if owned then
            release (Array.tail state)

        {
            Final = final
            Time = time n
            Saved = saved.ToArray()
            SavedTimes = savedTimes.ToArray()
            Steps = n
            DriftEvaluations = drifts * n
            DiffusionEvaluations = diffusions * n
            Reason = reason.Value
        }

namespace ValueFlow.Core.Learning

open ValueFlow.Core.Foundations

/// Exponential moving averages of parameters. Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging", with a fading memory.
[<RequireQualifiedAccess>]
module Ema =

    /// Throws an ArgumentException unless the decay lies in [0, 1).
    let require (decay: float) : unit =
        if not (decay >= 0.0 && decay < 1.0) then
            invalidArg (nameof decay) $"the decay must lie in [0, 1) but is {decay}"

    let internal stepInto (decay: float) (parameters: float32[]) (average: float32[]) : unit =
        let keep, take = float32 decay, float32 (1.0 - decay)

        for i in 0 .. average.Length - 1 do
            average[i] <- keep * average[i] + take * parameters[i]

    /// decay average + (1 - decay) parameters; after n steps from p(0): decay^n p(0) + (1 - decay) sum over k of decay^(n - k) p(k).
    let step (decay: float) (parameters: float32[]) (average: float32[]) : float32[] =
        require decay
        Shape.requireLength (nameof parameters) average.Length parameters.Length
        let next = Array.copy average
        stepInto decay parameters next
        next

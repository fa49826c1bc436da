namespace ValueFlow.Core.Learning

open System

/// How the learning rate depends on the step, counted from 0. A plain value: it prints, compares, and is held against a checkpoint.
[<RequireQualifiedAccess>]
type LearningRate =
    /// The same at every step.
    | Constant of rate: float
    /// From peak at step 0 along half a cosine to floor at step <c>steps</c>, and floor from there on.
    /// Loshchilov and Hutter 2017, "SGDR: stochastic gradient descent with warm restarts".
    | Cosine of peak: float * floor: float * steps: int
    /// rate factor^step.
    | Exponential of rate: float * factor: float
    /// after(0) (step + 1) / steps in the first steps, then after(step - steps). Goyal et al. 2017, "Accurate, large minibatch SGD".
    | WarmUp of steps: int * after: LearningRate

/// Evaluates learning rates.
[<RequireQualifiedAccess>]
module LearningRate =

    /// Throws an ArgumentException unless every number lies where the schedule makes sense.
    let rec require (schedule: LearningRate) : unit =
        let rate (name: string) value =
            if not (value >= 0.0 && Double.IsFinite value) then
                invalidArg (nameof schedule) $"{name} must not be negative, and finite, but is {value}"

        let steps value =
            if value <= 0 then
                invalidArg (nameof schedule) $"steps must be positive but are {value}"

        match schedule with
        | LearningRate.Constant value -> rate "rate" value
        | LearningRate.Cosine(peak, floor, length) ->
            rate "peak" peak
            rate "floor" floor
            steps length
        | LearningRate.Exponential(value, factor) ->
            rate "rate" value

            if not (factor > 0.0 && factor <= 1.0) then
                invalidArg (nameof schedule) $"factor must lie in (0, 1] but is {factor}"
        | LearningRate.WarmUp(length, after) ->
            steps length
            require after

    /// The learning rate of a step.
    let rec at (step: int) (schedule: LearningRate) : float =
        match schedule with
        | LearningRate.Constant rate -> rate
        | LearningRate.Cosine(peak, floor, steps) ->
            let share = Math.Clamp(float step / float steps, 0.0, 1.0)
            floor + (peak - floor) * 0.5 * (1.0 + cos (Math.PI * share))
        | LearningRate.Exponential(rate, factor) -> rate * Math.Pow(factor, float step)
        | LearningRate.WarmUp(steps, after) -> if step < steps then at 0 after * float (step + 1) / float steps else at (step - steps) after

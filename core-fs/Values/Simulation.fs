namespace ValueFlow.Core.Values

open System
open System.Threading
open ValueFlow.Core.Foundations

/// What came of playing a policy.
type Playout =
    {
        /// For each episode its return: the discounted sum of rewards.
        Returns: float[]
        /// For each episode its number of steps.
        Steps: int[]
        /// For each episode the state in which it ended, or was cut off.
        Last: int[]
        /// Episodes that were cut off by the limit of steps: their return lacks what would have followed.
        Truncated: int
    }

    /// The mean return.
    member this.Mean = Array.average this.Returns

    /// The standard error of the mean return.
    member this.StandardError =
        let n = float this.Returns.Length
        let mean = this.Mean
        let variance = this.Returns |> Array.sumBy (fun r -> (r - mean) * (r - mean))
        if n < 2.0 then nan else sqrt (variance / (n - 1.0) / n)

/// Plays policies on models.
[<RequireQualifiedAccess>]
module Simulation =

    /// Plays episodes under a policy, from an initial state drawn uniformly (from <c>start</c> if it is not negative). What follows a transition counts with its
    /// continuation, as in the operators. An episode ends in a terminal state, with a transition whose continuation is zero, or after the most steps. The seed decides all; the discount lies in [0, 1]. An OperationCanceledException ends it early.
    let play
        (generator: Generator)
        (episodes: int)
        (mostSteps: int)
        (discount: float)
        (start: int)
        (cancellation: CancellationToken)
        (policy: Policy)
        (model: Model)
        : Playout =
        if episodes < 1 then
            invalidArg (nameof episodes) $"episodes must be at least 1 but are {episodes}"

        if mostSteps < 1 then
            invalidArg (nameof mostSteps) $"mostSteps must be at least 1 but are {mostSteps}"

        if not (discount >= 0.0 && discount <= 1.0) then
            invalidArg (nameof discount) $"discount must lie in [0, 1] but is {discount}"

        if start >= model.StateCount then
            invalidArg (nameof start) $"start must be a state in [0, {model.StateCount}) but is {start}"

        Shape.requireLength (nameof policy) model.RowCount policy.Rows.Length

        if start < 0 && model.initial.Length = 0 then
            invalidArg (nameof model) "the model must have an initial state, or a start must be given, but there is none"

        let returns, steps, last = Array.zeroCreate<float> episodes, Array.zeroCreate<int> episodes, Array.zeroCreate<int> episodes
        let mutable truncated = 0

        for episode in 0 .. episodes - 1 do
            cancellation.ThrowIfCancellationRequested()
            let mutable state = if start >= 0 then start else model.initial[generator.Below model.initial.Length]
            let mutable weight = 1.0
            let mutable step = 0
            let mutable going = not (model.IsTerminal state)

            while going do
                if step = mostSteps then
                    truncated <- truncated + 1
                    going <- false
                else
                    let first = model.rowOffsets[state]
                    let actions = model.rowOffsets[state + 1] - first
                    let row = first + (if actions = 1 then 0 else Sampling.index generator (ReadOnlySpan(policy.Rows, first, actions)))
                    let offset = model.offsets[row]
                    let k = offset + Sampling.index generator (ReadOnlySpan(model.probabilities, offset, model.offsets[row + 1] - offset))
                    returns[episode] <- returns[episode] + weight * model.rewards[k]
                    weight <- weight * discount * model.Continuation k
                    step <- step + 1
                    state <- model.successors[k]
                    going <- not (model.IsTerminal state) && model.Continuation k > 0.0

            steps[episode] <- step
            last[episode] <- state

        { Returns = returns; Steps = steps; Last = last; Truncated = truncated }

namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// A stationary policy: for each row of a model the probability of its action in its state.
[<Sealed>]
type Policy private (weights: float[]) =

    /// For each row the probability of its action.
    member _.Weights: ReadOnlySpan<float> = ReadOnlySpan weights
    member internal _.Rows = weights

    /// The policy with the probabilities, one for each row of the model: not negative, and summing to one in each
    /// state within 1e-9; they are normalised.
    static member Stochastic(model: Model, weights: float[]) : Policy =
        Shape.requireLength (nameof weights) model.RowCount weights.Length
        let normalised = Array.copy weights

        for state in 0 .. model.StateCount - 1 do
            let first, last = model.RowOffsets[state], model.RowOffsets[state + 1] - 1
            let mutable sum = 0.0

            for row in first..last do
                if not (weights[row] >= 0.0) then
                    invalidArg
                        (nameof weights)
                        $"the weight of state {state}, action {model.RowActions[row]} must not be negative but is {weights[row]}"

                sum <- sum + weights[row]

            if first <= last && not (abs (sum - 1.0) <= 1e-9) then
                invalidArg (nameof weights) $"the weights of state {state} must sum to 1 but sum to {sum}"

            for row in first..last do
                normalised[row] <- weights[row] / sum

        Policy normalised

    /// The policy that takes in each state the given action; entries of terminal states are not read.
    static member Deterministic(model: Model, actions: ReadOnlySpan<int>) : Policy =
        Shape.requireLength (nameof actions) model.StateCount actions.Length
        let weights = Array.zeroCreate model.RowCount

        for state in 0 .. model.StateCount - 1 do
            if not (model.IsTerminal state) then
                let first = model.RowOffsets[state]
                let rows = model.RowActions.Slice(first, model.RowOffsets[state + 1] - first)
                let place = rows.IndexOf actions[state]

                if place < 0 then
                    invalidArg
                        (nameof actions)
                        $"state {state} must take one of its {rows.Length} actions but takes action {actions[state]}"

                weights[first + place] <- 1.0

        Policy weights

    /// For each state the most likely action, the lowest number among equals; -1 in a terminal state.
    member _.MostLikely(model: Model) : int[] =
        Shape.requireLength (nameof model) weights.Length model.RowCount

        Array.init model.StateCount (fun state ->
            let mutable best = -1

            for row in model.RowOffsets[state] .. model.RowOffsets[state + 1] - 1 do
                if best < 0 || weights[row] > weights[best] then
                    best <- row

            if best < 0 then -1 else model.RowActions[best])

    /// The policy that takes every action of a state with the same probability.
    static member Uniform(model: Model) : Policy =
        let weights = Array.zeroCreate model.RowCount

        for state in 0 .. model.StateCount - 1 do
            let first, next = model.RowOffsets[state], model.RowOffsets[state + 1]

            for row in first .. next - 1 do
                weights[row] <- 1.0 / float (next - first)

        Policy weights

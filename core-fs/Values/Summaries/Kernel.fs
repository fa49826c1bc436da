namespace ValueFlow.Core.Values

open System
open System.Numerics.Tensors
open ValueFlow.Core.Foundations

/// A model with a discount folded in: the arrays that sweeps read. The discount of a transition is gamma(s, a, s') =
/// discount * continuation(s, a, s').
[<Sealed>]
type Kernel private (model: Model, discount: float, ends: bool) =

    do
        if ends && not (discount >= 0.0 && discount <= 1.0) then
            invalidArg (nameof discount) $"discount must lie in [0, 1] but is {discount}"

        if not ends && not (discount >= 0.0 && discount < 1.0) then
            invalidArg (nameof discount) $"discount must lie in [0, 1) but is {discount}"

    let rowCount = model.rowActions.Length

    let discounts = lazy (model.continuations |> Array.map (fun c -> discount * c))

    let gamma transition = if model.continuations.Length = 0 then discount else discounts.Value[transition]

    let perRow (fold: float -> int -> float) start =
        Array.init rowCount (fun row ->
            let mutable result = start

            for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                result <- fold result k

            result)

    let rowRewards =
        lazy
            (if model.rewardTable.Rows.Length > 0 then
                 model.rewardTable.Rows
             else
                 let probabilities, rewards = model.probabilities, model.rewards
                 perRow (fun sum k -> sum + probabilities[k] * rewards[k]) 0.0)

    let weights = lazy (model.probabilities |> Array.mapi (fun k p -> p * gamma k))

    // In single precision a row's shares are divided by their sum, so that nothing of it is lost.
    let masses =
        lazy
            (if model.probabilityTable.Singles.Length > 0 && model.continuations.Length = 0 then
                 [| discount |]
             elif model.continuations.Length = 0 then
                 let probabilities = model.probabilities
                 let mutable least, largest = Double.PositiveInfinity, Double.NegativeInfinity

                 for row in 0 .. rowCount - 1 do
                     let mutable mass = 0.0

                     for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                         mass <- mass + probabilities[k]

                     least <- Math.Min(least, mass)
                     largest <- Math.Max(largest, mass)

                 if rowCount = 0 then [||] else [| discount * least; discount * largest |]
             else
                 perRow (fun sum k -> sum + weights.Value[k]) 0.0)

    let longestRow =
        let mutable longest = 0

        for row in 0 .. rowCount - 1 do
            longest <- Math.Max(longest, model.offsets[row + 1] - model.offsets[row])

        longest

    let mostActions =
        let mutable most = 0

        for state in 0 .. model.stateCount - 1 do
            most <- Math.Max(most, model.rowOffsets[state + 1] - model.rowOffsets[state])

        most

    let largestReward =
        let mutable largest = 0.0

        for reward in (if model.rewardTable.Rows.Length > 0 then model.rewardTable.Rows else model.rewards) do
            largest <- Math.Max(largest, abs reward)

        largest

    let hasTerminals =
        let mutable state = 0

        while state < model.stateCount && not (model.IsTerminal state) do
            state <- state + 1

        state < model.stateCount

    // Every row leads to every state, in their order: sums need no successors.
    let isDense =
        let even = int64 model.successors.Length = int64 rowCount * int64 model.stateCount
        let mutable k = 0

        if even then
            while k < model.successors.Length && model.successors[k] = k % model.stateCount do
                k <- k + 1

        even && k = model.successors.Length && longestRow = model.stateCount

    let slack = float (longestRow + 4) * Bound.unitRoundoff

    let extremes (values: float[]) =
        if values.Length = 0 then
            struct (0.0, 0.0)
        else
            struct (TensorPrimitives.Min(ReadOnlySpan values) * (1.0 - slack), TensorPrimitives.Max(ReadOnlySpan values) * (1.0 + slack))

    /// The kernel of a model and a discount in [0, 1).
    new(model: Model, discount: float) = Kernel(model, discount, false)

    /// The kernel of a stage of a problem that ends: the discount may be 1.
    static member internal OfStage(model: Model, discount: float) : Kernel = Kernel(model, discount, true)

    /// The model.
    member _.Model = model
    /// The discount.
    member _.Discount = discount
    /// The most transitions of a row.
    member _.LongestRow = longestRow
    /// The most actions of a state.
    member _.MostActions = mostActions
    /// The largest |r(s, a, s')|.
    member _.LargestReward = largestReward
    /// True if a state is terminal.
    member _.HasTerminals = hasTerminals
    /// True if every row leads to every state, in their order.
    member internal _.IsDense = isDense
    /// For each row sum over s' of P r: the mean reward.
    member internal _.RowRewards: float[] = rowRewards.Value
    /// For each transition P gamma.
    member internal _.Weights: float[] = weights.Value
    /// For each transition gamma; empty if it is the discount everywhere.
    member internal _.Discounts: float[] = discounts.Value

    /// The least and the largest sum over s' of P gamma of a row, rounding included: how much of a constant an expectation passes on.
    member val MassFactors: struct (float * float) = extremes masses.Value

    /// The least and the largest gamma of a transition, rounding included: how much of a constant any summary of outcomes passes on.
    member val DiscountFactors: struct (float * float) =
        if rowCount = 0 then struct (0.0, 0.0)
        elif model.continuations.Length = 0 then struct (discount * (1.0 - slack), discount * (1.0 + slack))
        else extremes discounts.Value

    /// max |r| + gamma max |V|: no outcome is larger. Not below 2^-1000, so that what a summary loses below the least normal number is
    /// a part of its rounding too.
    member _.Magnitude(values: float[]) : float =
        let largest = if values.Length = 0 then 0.0 else abs (TensorPrimitives.MaxMagnitude(ReadOnlySpan values))
        Math.Max(largestReward + discount * largest, Math.ScaleB(1.0, -1000))

    /// Writes r + gamma V(s') for the transitions of a row.
    member internal _.WriteOutcomes(values: float[], row: int, outcomes: Span<float>) : unit =
        let first = model.offsets[row]
        let rows = model.rewardTable.Rows
        let next = ReadOnlySpan(model.successors, first, outcomes.Length)

        if model.continuations.Length = 0 && rows.Length > 0 then
            let reward = rows[row]

            for k in 0 .. outcomes.Length - 1 do
                outcomes[k] <- reward + discount * values[next[k]]
        elif model.continuations.Length = 0 then
            let rewards = ReadOnlySpan(model.rewards, first, outcomes.Length)

            for k in 0 .. outcomes.Length - 1 do
                outcomes[k] <- rewards[k] + discount * values[next[k]]
        else
            let rewards = ReadOnlySpan(model.rewards, first, outcomes.Length)
            let discounts = ReadOnlySpan(discounts.Value, first, outcomes.Length)

            for k in 0 .. outcomes.Length - 1 do
                outcomes[k] <- rewards[k] + discounts[k] * values[next[k]]

    /// Writes sign * (r + gamma V(s')) for the transitions of a row.
    member internal this.WriteOutcomes(values: float[], row: int, sign: float, outcomes: Span<float>) : unit =
        this.WriteOutcomes(values, row, outcomes)

        if sign <> 1.0 then
            for k in 0 .. outcomes.Length - 1 do
                outcomes[k] <- sign * outcomes[k]

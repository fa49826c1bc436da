namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// Which features a state and an action have: their numbers, and the value that all of them have.
type RowFeatures =
    {
        /// For each row its features.
        Rows: int[][]
        /// The value of each of them; 1 / sqrt(n) for n features a row makes a step of 1 go all the way.
        Value: float
        /// The number of features in all.
        Count: int
    }

/// Features of rows.
[<RequireQualifiedAccess>]
module RowFeatures =

    /// One feature for each row: a table.
    let table (model: Model) : RowFeatures = { Rows = Array.init model.RowCount Array.singleton; Value = 1.0; Count = model.RowCount }

    /// For states on a line: <c>width</c> tilings of tiles of that width, each shifted by one state, for each action apart.
    /// Sutton 1996, "Generalization in reinforcement learning: successful examples using sparse coarse coding".
    let tilings (width: int) (model: Model) : RowFeatures =
        if width < 1 then
            invalidArg (nameof width) $"width must be at least 1 but is {width}"

        let tiles = (model.StateCount + width - 1) / width + 1
        let rows = Array.zeroCreate<int[]> model.RowCount

        for s in 0 .. model.StateCount - 1 do
            for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 do
                rows[row] <- Array.init width (fun t -> (model.RowActions[row] * width + t) * tiles + (s + t) / width)

        { Rows = rows; Value = 1.0 / sqrt (float width); Count = model.ActionCount * width * tiles }

/// Step sizes of learning in other coordinates.
[<Struct>]
type MappedSteps =
    {
        /// The step in values: X = Q + Regular (U - Q). In (0, 1].
        Regular: float
        /// The step in mapped values: Q~ moves by Mapped (f(X) - Q~). In (0, 1].
        Mapped: float
    }

/// Q-learning in mapped values, with a head for what is earned and one for what is lost, both not negative: Q = f^-1(Q+) - f^-1(Q-), and both follow the action that is greedy in Q. With the
/// identity as map and a mapped step of 1 it is Q-learning with the regular step.
/// van Seijen, Fatemi and Tavakoli 2019, "Using a logarithmic mapping to enable lower discount factors in reinforcement learning". It changes as it learns: one owner at a time.
[<Sealed>]
type MappedLearner(map: ValueMap, features: RowFeatures, model: Model, discount: float, largest: float) =

    do
        if not (discount >= 0.0 && discount < 1.0) then
            invalidArg (nameof discount) $"discount must lie in [0, 1) but is {discount}"

        if not (largest > 0.0) then
            invalidArg (nameof largest) $"the largest target must be positive but is {largest}"

        Shape.requireLength (nameof features) model.RowCount features.Rows.Length

    let gained, lost = Array.zeroCreate<float> features.Count, Array.zeroCreate<float> features.Count

    let mapped (weights: float[]) row =
        let mutable sum = 0.0

        for feature in features.Rows[row] do
            sum <- sum + weights[feature]

        features.Value * sum

    let value (weights: float[]) row = map.Backward(mapped weights row)

    let best state =
        let mutable chosen = -1
        let mutable largest = Double.NegativeInfinity

        for row in model.rowOffsets[state] .. model.rowOffsets[state + 1] - 1 do
            let found = value gained row - value lost row

            if found > largest then
                chosen <- row
                largest <- found

        chosen

    let move (steps: MappedSteps) (weights: float[]) row (reward: float) continuation next =
        let after = if next < 0 then 0.0 else value weights next
        // The target is no larger than what can be earned at all.
        let target = Math.Min(largest, reward + discount * continuation * after)
        let now = mapped weights row
        let current = map.Backward now
        let reached = current + steps.Regular * (target - current)
        let change = steps.Mapped * (map.Forward reached - now) * features.Value

        for feature in features.Rows[row] do
            weights[feature] <- weights[feature] + change

    /// Q(s, a) of a row.
    member _.Value(row: int) : float = value gained row - value lost row

    /// The row whose value is largest, the first of several; -1 in a terminal state.
    member _.Best(state: int) : int = best state

    /// Learns from a transition: a row, the transition of it that happened, and the steps.
    member _.Learn(steps: MappedSteps, row: int, transition: int) : unit =
        let reward, state = model.rewards[transition], model.successors[transition]
        let continuation = model.Continuation transition
        let next = if continuation > 0.0 then best state else -1
        move steps gained row (Math.Max(reward, 0.0)) continuation next
        move steps lost row (Math.Max(-reward, 0.0)) continuation next

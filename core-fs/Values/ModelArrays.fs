namespace ValueFlow.Core.Values

open System
open System.Threading

/// Probabilities in one of two precisions.
[<RequireQualifiedAccess>]
type ProbabilityArray =
    /// For each transition its probability.
    | Double of float[]
    /// For each transition its share in single precision: its probability is the share over the sum of the row's shares. Half the memory.
    | Single of float32[]

    /// The number of transitions.
    member this.Length =
        match this with
        | Double p -> p.Length
        | Single p -> p.Length

    member internal this.Item(transition: int) : float =
        match this with
        | Double p -> p[transition]
        | Single p -> float p[transition]

/// Rewards by transition or by row.
[<RequireQualifiedAccess>]
type RewardArray =
    /// For each transition its reward r(s, a, s').
    | OfTransitions of float[]
    /// For each row its reward r(s, a), whatever the successor.
    | OfRows of float[]

    member internal this.At(row: int, transition: int) : float =
        match this with
        | OfTransitions r -> r[transition]
        | OfRows r -> r[row]

/// A model as arrays, for those who have it so: nothing is copied, so that it takes no more room than the model. Whoever makes a model of it gives the arrays away.
/// State s owns the rows RowOffsets[s] .. RowOffsets[s+1]-1 (none: it is terminal), row k the transitions Offsets[k] .. Offsets[k+1]-1.
type ModelArrays =
    {
        /// For each state its first row, and the number of rows.
        RowOffsets: int[]
        /// For each row its action; they increase within a state.
        RowActions: int[]
        /// For each row its first transition, and the number of transitions.
        Offsets: int[]
        /// For each transition the state that it leads to; in a row they do not decrease.
        Successors: int[]
        /// For each transition its probability. Rows that sum to one within 1e-6 are normalised, in place if they are in double precision.
        Probabilities: ProbabilityArray
        /// The rewards, by transition or by row.
        Rewards: RewardArray
        /// For each transition the share of the discount that applies to what follows, in [0, 1]; empty if all are 1.
        Continuations: float[]
        /// For each transition the least probability of an interval model; empty if it is none.
        Lower: float[]
        /// For each transition the largest probability of an interval model; empty if it is none.
        Upper: float[]
        /// Names of the states; empty for none.
        StateNames: string[]
        /// Names of the actions; empty for none.
        ActionNames: string[]
        /// The states to start from, in increasing order.
        Initial: int[]
        /// For each label its states, in increasing order.
        Labels: Map<string, int[]>
        /// Where the states lie on a map.
        Grid: GridLayout voption
    }

/// Makes models of arrays.
[<RequireQualifiedAccess>]
module ModelArrays =

    // What is wrong, in words up to a limit; the rest is counted.
    type private Faults(limit: int) =
        let errors = ResizeArray<ModelError>()
        let mutable count = 0
        member _.Count = count

        member _.Add(fault, state, action, place, until) =
            count <- count + 1

            if errors.Count < limit then
                errors.Add { Fault = fault; State = state; Action = action; Place = place; Until = until }

        member this.Other(expected: string, found: string) = this.Add(ModelFault.Other(expected, found), -1, -1, -1, -1)

        member _.All: ModelError list =
            [
                yield! errors

                if count > errors.Count then
                    {
                        Fault = ModelFault.Other("a model without errors", $"{count - errors.Count} more errors")
                        State = -1
                        Action = -1
                        Place = -1
                        Until = -1
                    }
            ]

    // Offsets that begin with 0, never fall, and end with the count.
    let private checkOffsets (faults: Faults) (name: string) (count: int) (offsets: int[]) (least: int) =
        if offsets.Length = 0 || offsets[0] <> 0 then
            faults.Other($"{name}[0] to be 0", (if offsets.Length = 0 then "nothing" else string offsets[0]))
        else
            for i in 1 .. offsets.Length - 1 do
                if offsets[i] < offsets[i - 1] + least || offsets[i] > count then
                    faults.Other($"{name}[{i}] in [{int64 offsets[i - 1] + int64 least}, {count}]", string offsets[i])

            if faults.Count = 0 && offsets[offsets.Length - 1] <> count then
                faults.Other($"{name}[{offsets.Length - 1}] to be {count}", string offsets[offsets.Length - 1])

    let private checkLength (faults: Faults) (name: string) (expected: int) (found: int) =
        if found <> expected then
            faults.Other($"{name} of {expected} elements", string found)

    let private checkStates (faults: Faults) (name: string) (count: int) (states: int[]) =
        states
        |> Array.iteri (fun i state ->
            let least = if i = 0 then 0 else states[i - 1] + 1

            if state < least || state >= count then
                faults.Other($"{name}[{i}] in [{least}, {count})", string state))

    let private checkShape (faults: Faults) (arrays: ModelArrays) =
        let states = arrays.RowOffsets.Length - 1
        let transitions = arrays.Successors.Length

        if states < 1 then
            faults.Add(ModelFault.NoStates, -1, -1, -1, -1)

        checkLength faults "offsets" (arrays.RowActions.Length + 1) arrays.Offsets.Length
        checkLength faults "probabilities" transitions arrays.Probabilities.Length

        match arrays.Rewards with
        | RewardArray.OfTransitions rewards -> checkLength faults "rewards" transitions rewards.Length
        | RewardArray.OfRows rewards -> checkLength faults "rewards" arrays.RowActions.Length rewards.Length

        for name, values in [ "continuations", arrays.Continuations; "lower", arrays.Lower; "upper", arrays.Upper ] do
            if values.Length > 0 then
                checkLength faults name transitions values.Length

        if (arrays.Lower.Length > 0) <> (arrays.Upper.Length > 0) then
            faults.Other("lower and upper both, or neither", "one of them")

        if arrays.StateNames.Length > 0 then
            checkLength faults "state names" states arrays.StateNames.Length

        if faults.Count = 0 then
            checkOffsets faults "row offsets" arrays.RowActions.Length arrays.RowOffsets 0
            checkOffsets faults "offsets" transitions arrays.Offsets 1
            checkStates faults "initial" states arrays.Initial

            for entry in arrays.Labels do
                checkStates faults $"label '{entry.Key}'" states entry.Value

    // Within this a sum is one but for rounding, and its numbers stay. A law within intervals has been summed up from them.
    let private exact (interval: bool) (count: int) =
        Math.Max((if interval then 1e-12 else 0.0), 8.0 * float (count + 1) * Math.ScaleB(1.0, -53))

    // One row; returns by how much its sum was off.
    let private checkRow (faults: Faults) (arrays: ModelArrays) (state: int) (row: int) : float =
        let states = arrays.RowOffsets.Length - 1
        let first, last = arrays.Offsets[row], arrays.Offsets[row + 1] - 1
        let action = arrays.RowActions[row]
        let interval = arrays.Lower.Length > 0
        let before = faults.Count
        let mutable sum = 0.0
        let mutable lower = 0.0
        let mutable upper = 0.0

        for k in first..last do
            let inline fault found = faults.Add(found, state, action, k, k)
            let successor, p, reward = arrays.Successors[k], arrays.Probabilities.Item k, arrays.Rewards.At(row, k)

            if successor < 0 || successor >= states then
                fault (ModelFault.UnknownState(int64 successor, states))
            elif k > first && successor < arrays.Successors[k - 1] then
                fault (ModelFault.Other("successors in increasing order", $"state {successor} after state {arrays.Successors[k - 1]}"))
            elif k > first && successor = arrays.Successors[k - 1] then
                let same = reward = arrays.Rewards.At(row, k - 1)

                if same && (arrays.Continuations.Length = 0 || arrays.Continuations[k] = arrays.Continuations[k - 1]) then
                    fault (ModelFault.DuplicateSuccessor successor)

            if not (p >= 0.0 && p <= 1.0 + 1e-6) then
                fault (ModelFault.BadProbability p)

            if not (Double.IsFinite reward) then
                fault (ModelFault.BadReward reward)

            if arrays.Continuations.Length > 0 && not (arrays.Continuations[k] >= 0.0 && arrays.Continuations[k] <= 1.0) then
                fault (ModelFault.BadContinuation arrays.Continuations[k])

            if interval then
                let l, u = arrays.Lower[k], arrays.Upper[k]

                if not (l >= 0.0 && l <= u && u <= 1.0) then
                    fault (ModelFault.BadInterval(l, u))
                elif p < l - 1e-6 || p > u + 1e-6 then
                    fault (ModelFault.Other($"a probability in [{ModelError.number l}, {ModelError.number u}]", ModelError.number p))

                lower <- lower + l
                upper <- upper + u

            sum <- sum + p

        if faults.Count > before then
            0.0
        elif abs (sum - 1.0) > 1e-6 then
            faults.Add(ModelFault.BadSum sum, state, action, first, last)
            0.0
        else
            if interval && (lower > 1.0 + 1e-6 || upper < 1.0 - 1e-6) then
                faults.Add(ModelFault.NoLawInIntervals(lower, upper), state, action, first, last)

            match arrays.Probabilities with
            | ProbabilityArray.Double probabilities when abs (sum - 1.0) > exact interval (last - first + 1) ->
                for k in first..last do
                    probabilities[k] <- probabilities[k] / sum
            | _ -> ()

            abs (sum - 1.0)

    // Transitions without a chance are left out, in place; the arrays afterwards.
    let private withoutZeros (arrays: ModelArrays) : ModelArrays =
        match arrays.Probabilities with
        | ProbabilityArray.Double probabilities when arrays.Lower.Length = 0 && Array.contains 0.0 probabilities ->
            let mutable kept = 0
            let mutable k = 0

            for row in 0 .. arrays.RowActions.Length - 1 do
                let last = arrays.Offsets[row + 1]

                while k < last do
                    if probabilities[k] > 0.0 then
                        arrays.Successors[kept] <- arrays.Successors[k]
                        probabilities[kept] <- probabilities[k]

                        match arrays.Rewards with
                        | RewardArray.OfTransitions rewards -> rewards[kept] <- rewards[k]
                        | RewardArray.OfRows _ -> ()

                        if arrays.Continuations.Length > 0 then
                            arrays.Continuations[kept] <- arrays.Continuations[k]

                        kept <- kept + 1

                    k <- k + 1

                arrays.Offsets[row + 1] <- kept

            { arrays with
                Successors = Array.truncate kept arrays.Successors
                Probabilities = ProbabilityArray.Double(Array.truncate kept probabilities)
                Rewards =
                    (match arrays.Rewards with
                     | RewardArray.OfTransitions rewards -> RewardArray.OfTransitions(Array.truncate kept rewards)
                     | byRow -> byRow)
                Continuations = Array.truncate kept arrays.Continuations
            }
        | _ -> arrays

    /// Checks everything and freezes the arrays to a model, or says what is wrong, in words up to a limit; a place is the number of a transition. Rows that sum to one within 1e-6 are
    /// normalised in place (those that do but for rounding stay as they are), and the largest change is kept; transitions of probability zero are left out, unless they have intervals.
    /// Throws an OperationCanceledException if it was cancelled.
    let toModel (limit: int) (cancellation: CancellationToken) (arrays: ModelArrays) : Result<Model, ModelError list> =
        let faults = Faults limit
        checkShape faults arrays
        let mutable normalisation = 0.0
        let mutable most = -1

        if faults.Count = 0 then
            for state in 0 .. arrays.RowOffsets.Length - 2 do
                if state &&& 0xFFF = 0 then
                    cancellation.ThrowIfCancellationRequested()

                let first = arrays.RowOffsets[state]

                for row in first .. arrays.RowOffsets[state + 1] - 1 do
                    let action = arrays.RowActions[row]
                    most <- Math.Max(most, action)

                    if action < 0 then
                        faults.Add(ModelFault.UnknownAction(int64 action), state, -1, arrays.Offsets[row], arrays.Offsets[row])
                    elif row > first && action <= arrays.RowActions[row - 1] then
                        faults.Other(
                            $"row actions[{row}] above {arrays.RowActions[row - 1]}, the action before it in state {state}",
                            string action
                        )

                    normalisation <- Math.Max(normalisation, checkRow faults arrays state row)

        if faults.Count > 0 then
            Error faults.All
        else
            let arrays = withoutZeros arrays

            Ok
                {
                    stateCount = arrays.RowOffsets.Length - 1
                    actionCount = Math.Max(arrays.ActionNames.Length, most + 1)
                    rowOffsets = arrays.RowOffsets
                    rowActions = arrays.RowActions
                    offsets = arrays.Offsets
                    successors = arrays.Successors
                    probabilityTable =
                        (match arrays.Probabilities with
                         | ProbabilityArray.Double p -> ProbabilityTable.OfDoubles p
                         | ProbabilityArray.Single p -> ProbabilityTable.OfSingles(p, arrays.Offsets))
                    rewardTable =
                        (match arrays.Rewards with
                         | RewardArray.OfTransitions r -> RewardTable.Gather(r, arrays.Offsets)
                         | RewardArray.OfRows r -> RewardTable.OfRows(r, arrays.Offsets))
                    continuations = arrays.Continuations
                    lower = arrays.Lower
                    upper = arrays.Upper
                    stateNames = arrays.StateNames
                    actionNames = arrays.ActionNames
                    initial = arrays.Initial
                    labels = arrays.Labels
                    grid = arrays.Grid
                    normalisation = normalisation
                    warnings = []
                }

namespace ValueFlow.Core.Values

open System
open System.Threading
open ValueFlow.Core.Foundations

/// Probabilities in one of two precisions.
[<RequireQualifiedAccess>]
type ProbabilityArray =
    /// For each transition its probability.
    | Double of float[]
    /// For each transition its share in single precision: its probability is the share over the sum of the row's shares. Half the memory.
    | Single of float32[]

/// Rewards by transition or by row.
[<RequireQualifiedAccess>]
type RewardArray =
    /// For each transition its reward r(s, a, s').
    | OfTransitions of float[]
    /// For each row its reward r(s, a), whatever the successor.
    | OfRows of float[]

/// The arrays of a model, for sizes at which a builder's lists would take too much memory: state s owns the rows RowOffsets[s] .. RowOffsets[s+1]-1 (a state without
/// rows is terminal), row k the transitions Offsets[k] .. Offsets[k+1]-1. The model takes them over: nobody may change them afterwards.
type ModelArrays =
    {
        /// For each state its first row, and at last the number of rows; entries from 0 on that never fall.
        RowOffsets: int[]
        /// For each row its action, increasing within a state.
        RowActions: int[]
        /// For each row its first transition, and at last the number of transitions; increasing from 0 on.
        Offsets: int[]
        /// For each transition the state that it leads to.
        Successors: int[]
        /// For each transition its probability: positive, in each row with a sum within 1e-6 of one. Rows are normalised, doubles in place.
        Probabilities: ProbabilityArray
        /// The rewards: finite.
        Rewards: RewardArray
        /// The states to start from.
        Initial: int[]
    }

/// Makes models of arrays.
[<RequireQualifiedAccess>]
module ModelArrays =

    let private limit = 1000

    /// Checks everything and freezes: the model, or what is wrong with it, the first 1000 findings in words. An ArgumentException says which array has a length that does not go with the others, or offsets
    /// that fall; an OperationCanceledException that it was cancelled.
    let build (cancellation: CancellationToken) (arrays: ModelArrays) : Result<Model, ModelError list> =
        let states, rows = arrays.RowOffsets.Length - 1, arrays.RowActions.Length
        let transitions = arrays.Successors.Length

        let requireOffsets (name: string) (offsets: int[]) (count: int) (least: int) =
            if offsets.Length = 0 || offsets[0] <> 0 || offsets[offsets.Length - 1] <> count then
                invalidArg (nameof arrays) $"{name} must run from 0 to {count}"

            for i in 1 .. offsets.Length - 1 do
                if offsets[i] - offsets[i - 1] < least then
                    invalidArg (nameof arrays) $"{name} must grow by at least {least} but entry {i} is {offsets[i]} after {offsets[i - 1]}"

        if states < 1 then
            invalidArg (nameof arrays) "RowOffsets must have an entry more than the model has states, at least 2"

        requireOffsets "RowOffsets" arrays.RowOffsets rows 0
        Shape.requireLength "Offsets" (rows + 1) arrays.Offsets.Length
        requireOffsets "Offsets" arrays.Offsets transitions 1

        match arrays.Probabilities with
        | ProbabilityArray.Double p -> Shape.requireLength "Probabilities" transitions p.Length
        | ProbabilityArray.Single p -> Shape.requireLength "Probabilities" transitions p.Length

        match arrays.Rewards with
        | RewardArray.OfTransitions r -> Shape.requireLength "Rewards" transitions r.Length
        | RewardArray.OfRows r -> Shape.requireLength "Rewards" rows r.Length

        let errors = ResizeArray<ModelError>()

        let report fault state action =
            if errors.Count < limit then
                errors.Add { Fault = fault; State = state; Action = action; Place = -1; Until = -1 }

        let mutable normalisation = 0.0
        let mutable actions = 0

        let rewardAt row k =
            match arrays.Rewards with
            | RewardArray.OfTransitions r -> r[k]
            | RewardArray.OfRows r -> r[row]

        let chance k =
            match arrays.Probabilities with
            | ProbabilityArray.Double p -> p[k]
            | ProbabilityArray.Single p -> float p[k]

        for state in 0 .. states - 1 do
            if state &&& 0xFFFF = 0 then
                cancellation.ThrowIfCancellationRequested()

            for row in arrays.RowOffsets[state] .. arrays.RowOffsets[state + 1] - 1 do
                let action = arrays.RowActions[row]

                if action < 0 || (row > arrays.RowOffsets[state] && action <= arrays.RowActions[row - 1]) then
                    report (ModelFault.UnknownAction(int64 action)) state -1

                actions <- Math.Max(actions, action + 1)
                let first, last = arrays.Offsets[row], arrays.Offsets[row + 1] - 1
                let mutable sum = 0.0

                for k in first..last do
                    let next, p = arrays.Successors[k], chance k

                    if next < 0 || next >= states then
                        report (ModelFault.UnknownState(int64 next, states)) state action

                    if not (p > 0.0 && p <= 1.0 + 1e-6) then
                        report (ModelFault.BadProbability p) state action

                    if not (Double.IsFinite(rewardAt row k)) then
                        report (ModelFault.BadReward(rewardAt row k)) state action

                    sum <- sum + p

                if not (abs (sum - 1.0) <= 1e-6) then
                    report (ModelFault.BadSum sum) state action
                else
                    normalisation <- Math.Max(normalisation, abs (sum - 1.0))

                    match arrays.Probabilities with
                    | ProbabilityArray.Double p when sum <> 1.0 ->
                        for k in first..last do
                            p[k] <- p[k] / sum
                    | _ -> ()

        for state in arrays.Initial do
            if state < 0 || state >= states then
                report (ModelFault.UnknownState(int64 state, states)) -1 -1

        if errors.Count > 0 then
            Error(List.ofSeq errors)
        else
            Ok
                {
                    stateCount = states
                    actionCount = actions
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
                    continuations = [||]
                    lower = [||]
                    upper = [||]
                    stateNames = [||]
                    actionNames = [||]
                    initial = Array.distinct arrays.Initial |> Array.sort
                    labels = Map.empty
                    grid = ValueNone
                    normalisation = normalisation
                    warnings = []
                }

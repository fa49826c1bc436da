namespace ValueFlow.Studies

open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// What the studies of grids share: solving, evaluating elsewhere, drawing.
module internal Worlds =

    /// The solution of a discounted problem, or an exception if it is not certified within the tolerance.
    let solve (model: Model) (discount: float) (state: StateSummary) : Solution =
        let solution = ValueIteration.solve RunOptions.standard (Bellman.Create(model, discount, state, Extreme Direction.Maximise))

        if solution.Outcome <> Outcome.Converged then
            invalidOp $"{state.Name}: {solution.Outcome}"

        solution

    /// An undiscounted solution, or an exception if it was refused or is not enclosed (within the tolerance, or as near as rounding allows).
    let enclosed (result: Result<Solution, UndiscountedError>) : Solution =
        match result with
        | Ok solution when
            solution.Certificate = Certificate.Enclosure
            && (solution.Outcome = Outcome.Converged || solution.Outcome = Outcome.PrecisionFloor)
            ->
            solution
        | Ok solution -> invalidOp $"{solution.Method}: {solution.Certificate}, {solution.Outcome}"
        | Error error -> invalidOp (UndiscountedError.describe error)

    /// The model in which only the policy's actions are left, with the rewards that are given for its transitions.
    let private underWith (reward: int -> float) (model: Model) (policy: int[]) : Model =
        let builder = ModelBuilder model.StateCount
        builder.ParallelOutcomes <- true

        for s in 0 .. model.StateCount - 1 do
            if model.IsTerminal s then
                builder.Terminal s

            for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 do
                if model.RowActions[row] = policy[s] then
                    // Outcomes that the new rewards no longer tell apart are one.
                    [
                        for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 -> (model.Successors[k], reward k), model.Probabilities[k]
                    ]
                    |> List.groupBy fst
                    |> List.iter (fun ((successor, reward), chances) ->
                        builder.Add(s, policy[s], successor, List.sumBy snd chances, reward))

        for entry in model.Labels do
            for s in entry.Value do
                builder.Label(entry.Key, s, -1)

        for s in model.Initial do
            builder.Initial s

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    /// The probability with which a policy reaches a label from the first initial state.
    let reaches (label: string) (model: Model) (policy: int[]) : float =
        let chain = underWith (fun k -> model.Rewards[k]) model policy

        (enclosed (Reachability.solve RunOptions.standard Direction.Maximise label chain)).Values[model.Initial[0]]

    /// The expected total that a policy gathers from the first initial state, of an amount for each transition: exact, not sampled.
    let gathers (amount: int -> float) (model: Model) (policy: int[]) : float =
        (enclosed (TotalReward.solve RunOptions.standard Direction.Maximise (underWith amount model policy))).Values[model.Initial[0]]

    /// Values and decisions of a solution on its map.
    let map (title: string) (unit': string) (model: Model) (solution: Solution) : Figure =
        let grid = model.Grid.Value
        let count = grid.Rows * grid.Columns
        let values, arrows = Array.create count nan, Array.create count (struct (0, 0))

        for s in 0 .. model.StateCount - 1 do
            values[grid.Cells[s]] <- solution.Values[s]

            if solution.Policy[s] >= 0 then
                arrows[grid.Cells[s]] <- grid.Directions[solution.Policy[s]]

        MapFigure(title, unit', grid.Rows, grid.Columns, values, arrows, grid.Marks)

    /// A curve without a band.
    let curve name x y : Series = { Name = name; X = x; Y = y; Low = [||]; High = [||] }

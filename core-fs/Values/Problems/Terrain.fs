namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// A map on which a move lasts as long as the cell that it enters takes to cross; who would leave the map crosses their own cell anew. Reaching the goal earns 1 with the last step, and ends the
/// episode: the best way is the fastest, not that of the fewest moves.
type Terrain =
    {
        /// Rows.
        Rows: int
        /// Columns.
        Columns: int
        /// For each cell, row by row, how many steps it takes to cross; at least 1.
        Times: int[]
        /// The cell to reach.
        Goal: int
    }

/// Makes terrains, and the processes on them.
[<RequireQualifiedAccess>]
module Terrain =

    /// The actions, in the order of their numbers: up, right, down, left.
    let moves: Move list = Grid.upRightDownLeft

    /// The terrain of times, row by row, with the goal.
    let create (rows: int) (columns: int) (goal: int) (times: int[]) : Terrain =
        if rows < 1 || columns < 1 then
            invalidArg (nameof rows) $"rows and columns must be at least 1 but are {rows} and {columns}"

        Shape.requireLength (nameof times) (rows * columns) times.Length

        if goal < 0 || goal >= times.Length then
            invalidArg (nameof goal) $"goal must be a cell in [0, {times.Length}) but is {goal}"

        times
        |> Array.iteri (fun cell time ->
            if time < 1 then
                invalidArg (nameof times) $"times must be at least 1 but that of cell {cell} is {time}")

        { Rows = rows; Columns = columns; Times = Array.copy times; Goal = goal }

    /// Cells that take 1 to so many steps, at random; the goal in the lower right corner.
    let random (generator: Generator) (rows: int) (columns: int) (longest: int) : Terrain =
        if longest < 1 then
            invalidArg (nameof longest) $"longest must be at least 1 but is {longest}"

        create rows columns (rows * columns - 1) (Array.init (rows * columns) (fun _ -> 1 + generator.Below longest))

    /// Where a move from a cell ends.
    let target (terrain: Terrain) (cell: int) (action: int) : int =
        let move = moves[action]
        let row, column = cell / terrain.Columns + move.Dy, cell % terrain.Columns + move.Dx

        if row >= 0 && row < terrain.Rows && column >= 0 && column < terrain.Columns then
            row * terrain.Columns + column
        else
            cell

    /// Every move with its rewards, step by step: one certain outcome for each cell and action.
    let outcomes (terrain: Terrain) : HeldOutcome list =
        [
            for cell in 0 .. terrain.Times.Length - 1 do
                if cell <> terrain.Goal then
                    for action in 0 .. moves.Length - 1 do
                        let next = target terrain cell action
                        let time = terrain.Times[next]

                        {
                            State = cell
                            Action = action
                            Successor = next
                            Probability = 1.0
                            Rewards = Array.init time (fun k -> if next = terrain.Goal && k = time - 1 then 1.0 else 0.0)
                        }
        ]

    /// The model for a discount in [0, 1), with which it is then to be used: one state for each cell, named "(row,column)". Episodes start anywhere but at the goal.
    let model (discount: float) (terrain: Terrain) : Model =
        let cells = terrain.Times.Length
        let builder = ModelBuilder cells
        builder.StateNames(Array.init cells (fun cell -> $"({cell / terrain.Columns},{cell % terrain.Columns})"))
        builder.ActionNames(moves |> List.map _.Name |> Array.ofList)
        builder.Terminal terrain.Goal
        outcomes terrain |> List.iter (SemiMarkov.add discount builder)

        for cell in 0 .. cells - 1 do
            if cell <> terrain.Goal then
                builder.Initial cell

        builder.Grid
            {
                Rows = terrain.Rows
                Columns = terrain.Columns
                Cells = [| 0 .. cells - 1 |]
                Marks =
                    Array.init cells (fun cell ->
                        if cell = terrain.Goal then 'G' else Char.ConvertFromUtf32(48 + min 9 terrain.Times[cell])[0])
                Directions = moves |> List.map (fun move -> struct (move.Dx, move.Dy)) |> Array.ofList
            }

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidArg (nameof terrain) (errors |> List.map ModelError.describe |> String.concat "; ")

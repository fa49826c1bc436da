namespace ValueFlow.Core.Values

open System

/// A move on a grid, and what the action is called.
type Move =
    {
        /// The action's name.
        Name: string
        /// Columns to the right.
        Dx: int
        /// Rows downwards.
        Dy: int
    }

/// What stands at a place of a grid.
type Cell =
    {
        /// What the map shows: 'S' start, 'G' goal, 'H' hole, 'C' cliff, '#' wall, ' ' floor, or a letter of one's own.
        Mark: char
        /// Nobody enters a wall: who tries stays where they are.
        Wall: bool
        /// The episode ends here.
        Terminal: bool
        /// Earned on every move into the cell, also by one that bumps and stays.
        Reward: float
        /// Where a move into the cell ends instead, as (row, column).
        SendsTo: struct (int * int) voption
        /// Episodes may start here.
        Start: bool
    }

/// A grid whose cells can be edited. An action moves as intended with probability 1 - Slip, and to either side at a right angle with
/// probability Slip / 2; who would leave the map or enter a wall stays.
type Grid =
    {
        /// Rows.
        Rows: int
        /// Columns.
        Columns: int
        /// The cells, row by row.
        Cells: Cell[]
        /// The actions, in the order of their numbers.
        Moves: Move list
        /// The probability of a move at a right angle, in [0, 1].
        Slip: float
        /// Labels, by the mark of the cells that carry them.
        Labels: (char * string) list
    }

/// Grids, edited by functions and turned into models.
[<RequireQualifiedAccess>]
module Grid =

    let private left = { Name = "left"; Dx = -1; Dy = 0 }
    let private down = { Name = "down"; Dx = 0; Dy = 1 }
    let private right = { Name = "right"; Dx = 1; Dy = 0 }
    let private up = { Name = "up"; Dx = 0; Dy = -1 }

    /// Left, down, right, up: the order of FrozenLake.
    let leftDownRightUp = [ left; down; right; up ]
    /// Up, right, down, left: the order of CliffWalking.
    let upRightDownLeft = [ up; right; down; left ]

    /// Floor, on which a move earns the reward.
    let floor (reward: float) : Cell = { Mark = ' '; Wall = false; Terminal = false; Reward = reward; SendsTo = ValueNone; Start = false }

    /// A wall.
    let wall: Cell = { floor 0.0 with Mark = '#'; Wall = true }

    /// A cell that ends the episode, with the reward for entering it.
    let terminal (mark: char) (reward: float) : Cell = { floor reward with Mark = mark; Terminal = true }

    /// A grid of floor on which every move earns the reward, without slip.
    let create (rows: int) (columns: int) (reward: float) : Grid =
        if rows < 1 then
            invalidArg (nameof rows) $"rows must be at least 1 but are {rows}"

        if columns < 1 then
            invalidArg (nameof columns) $"columns must be at least 1 but are {columns}"

        {
            Rows = rows
            Columns = columns
            Cells = Array.create (rows * columns) (floor reward)
            Moves = leftDownRightUp
            Slip = 0.0
            Labels = [ 'G', "goal"; 'H', "hole"; 'C', "cliff" ]
        }

    let private index (row: int) (column: int) (grid: Grid) =
        if row < 0 || row >= grid.Rows then
            invalidArg (nameof row) $"row must lie in [0, {grid.Rows}) but is {row}"

        if column < 0 || column >= grid.Columns then
            invalidArg (nameof column) $"column must lie in [0, {grid.Columns}) but is {column}"

        row * grid.Columns + column

    /// The cell at a row and a column, both from zero.
    let get (row: int) (column: int) (grid: Grid) : Cell = grid.Cells[index row column grid]

    /// The grid with another cell at a row and a column.
    let edit (row: int) (column: int) (change: Cell -> Cell) (grid: Grid) : Grid =
        let place = index row column grid

        { grid with
            Cells = grid.Cells |> Array.mapi (fun i cell -> if i = place then change cell else cell)
        }

    /// The grid with the cell at a row and a column.
    let set (row: int) (column: int) (cell: Cell) (grid: Grid) : Grid = edit row column (fun _ -> cell) grid

    /// The grid on which moves slip with the probability.
    let slipping (slip: float) (grid: Grid) : Grid =
        if not (slip >= 0.0 && slip <= 1.0) then
            invalidArg (nameof slip) $"slip must lie in [0, 1] but is {slip}"

        { grid with Slip = slip }

    // The cell in which a move ends, and what it earns.
    let private target (grid: Grid) row column (move: Move) =
        let nextRow, nextColumn = row + move.Dy, column + move.Dx
        let inside = nextRow >= 0 && nextRow < grid.Rows && nextColumn >= 0 && nextColumn < grid.Columns
        let entered = if inside && not (get nextRow nextColumn grid).Wall then nextRow, nextColumn else row, column
        let cell = get (fst entered) (snd entered) grid

        match cell.SendsTo with
        | ValueSome(struct (r, c)) -> struct (index r c grid, cell.Reward)
        | ValueNone -> struct (index (fst entered) (snd entered) grid, cell.Reward)

    /// The model: one state for each cell that is neither a wall nor sends elsewhere, in reading order, named "(row,column)".
    let toModel (grid: Grid) : Model =
        let isState (cell: Cell) = not cell.Wall && cell.SendsTo.IsNone
        let places = [| 0 .. grid.Cells.Length - 1 |] |> Array.filter (fun i -> isState grid.Cells[i])

        if places.Length = 0 then
            invalidArg (nameof grid) "a grid must have a cell to stand on but has none"

        let stateAt = Array.create grid.Cells.Length -1
        places |> Array.iteri (fun state place -> stateAt[place] <- state)
        let builder = ModelBuilder places.Length
        builder.ParallelOutcomes <- true
        builder.StateNames(places |> Array.map (fun place -> $"({place / grid.Columns},{place % grid.Columns})"))
        builder.ActionNames(grid.Moves |> List.map _.Name |> Array.ofList)

        for state in 0 .. places.Length - 1 do
            let row, column = places[state] / grid.Columns, places[state] % grid.Columns
            let cell = get row column grid

            if cell.Start then
                builder.Initial state

            for mark, label in grid.Labels do
                if cell.Mark = mark then
                    builder.Label(label, state, -1)

            if cell.Terminal then
                builder.Terminal state
            else
                for action, move in List.indexed grid.Moves do
                    let sideways = [ { move with Dx = move.Dy; Dy = move.Dx }; { move with Dx = -move.Dy; Dy = -move.Dx } ]

                    // Outcomes that cannot be told apart are one.
                    (1.0 - grid.Slip, move) :: [ for side in sideways -> grid.Slip / 2.0, side ]
                    |> List.map (fun (chance, move) -> target grid row column move, chance)
                    |> List.groupBy fst
                    |> List.iter (fun (struct (place, reward), chances) ->
                        builder.Add(state, action, stateAt[place], List.sumBy snd chances, reward))

        for mark, label in grid.Labels do
            if grid.Cells |> Array.exists (fun cell -> cell.Mark = mark && isState cell) then
                builder.DeclareLabel label

        builder.Grid
            {
                Rows = grid.Rows
                Columns = grid.Columns
                Cells = places
                Marks = grid.Cells |> Array.map (fun cell -> if cell.Start && cell.Mark = ' ' then 'S' else cell.Mark)
                Directions = grid.Moves |> List.map (fun move -> struct (move.Dx, move.Dy)) |> Array.ofList
            }

        match builder.Build() with
        | Ok model -> model
        | Error errors ->
            let words = errors |> List.map ModelError.describe |> String.concat "; "
            invalidArg (nameof grid) $"the grid must make a model, but {words}"

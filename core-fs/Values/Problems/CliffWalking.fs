namespace ValueFlow.Core.Values

/// CliffWalking: from the lower left to the lower right corner along a cliff. Every move earns -1; one that falls off the cliff earns -100 and ends
/// at the start; the goal ends the episode. Actions are up, right, down, left. Sutton and Barto 2018, "Reinforcement learning", example 6.6.
[<RequireQualifiedAccess>]
module CliffWalking =

    /// The walk as a grid of a size, with each move going astray with the probability (half to either side).
    let grid (rows: int) (columns: int) (slip: float) : Grid =
        if rows < 2 then
            invalidArg (nameof rows) $"rows must be at least 2 but are {rows}"

        if columns < 3 then
            invalidArg (nameof columns) $"columns must be at least 3 but are {columns}"

        let cliff = { Grid.floor -100.0 with Mark = 'C'; SendsTo = ValueSome(struct (rows - 1, 0)) }

        let walk =
            { Grid.create rows columns -1.0 with Moves = Grid.upRightDownLeft }
            |> Grid.edit (rows - 1) 0 (fun cell -> { cell with Mark = 'S'; Start = true })
            |> Grid.set (rows - 1) (columns - 1) (Grid.terminal 'G' -1.0)
            |> Grid.slipping slip

        Seq.fold (fun grid column -> Grid.set (rows - 1) column cliff grid) walk [ 1 .. columns - 2 ]

    /// The standard walk of 4 x 12, slipping with the probability.
    let create (slip: float) : Model = Grid.toModel (grid 4 12 slip)

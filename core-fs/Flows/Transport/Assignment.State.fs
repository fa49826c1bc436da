namespace ValueFlow.Core.Flows

/// Where a solver of an assignment stands: who is matched with whom (-1: nobody), and the price of each column. A row's price is implied: its least cost less
/// price. Every matched pair attains its row's least.
[<Sealed>]
type internal AssignmentState(size: int) =

    /// Column prices, padded to whole vectors by zeros.
    member val Prices: float[] = Costs.Fixed(Costs.Padded size, 0.0)

    /// The column of each row.
    member val ColumnOf: int[] = Array.create size -1

    /// The row of each column.
    member val RowOf: int[] = Array.create size -1

    /// The rows that have no column.
    member this.Free() : int[] =
        [|
            for i in 0 .. size - 1 do
                if this.ColumnOf[i] < 0 then
                    i
        |]

    /// Matches a free row with a column, and returns the row that had it, which is free now (-1: none).
    member this.Take(row: int, column: int) : int =
        let displaced = this.RowOf[column]

        if displaced >= 0 then
            this.ColumnOf[displaced] <- -1

        this.RowOf[column] <- row
        this.ColumnOf[row] <- column
        displaced

    /// Turns a path of alternating pairs round, from its free column back to the free row that it began at.
    member this.Turn(start: int, column: int, before: int[]) : unit =
        let mutable j = column
        let mutable i = -1

        while i <> start do
            i <- before[j]
            this.RowOf[j] <- i
            let next = this.ColumnOf[i]
            this.ColumnOf[i] <- j
            j <- next

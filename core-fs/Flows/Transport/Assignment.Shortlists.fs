namespace ValueFlow.Core.Flows

#nowarn "9" // Rows are walked by address.

open System
open System.Numerics
open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop

/// For each row the columns that are cheapest at the prices of some moment, and a bound that every other column's cost less price had then. While prices only fall,
/// the bound stays true: a search need not look at the other columns before it has come as far.
/// After Volgenant 1996, "Linear and semi-assignment problems: a core oriented approach".
[<Sealed>]
type internal AssignmentShortlists(costs: Costs, prices: float[]) =
    let size = costs.Size
    let steps = Costs.Padded size / Costs.Width
    let columns: int[][] = Array.create size [||]
    let values: float[][] = Array.create size [||]
    let bounds = Array.create size -infinity
    // Columns fall into so many groups; half of the groups' minima are at or below the bound.
    let groups = Array.create size 32
    let minima = Costs.Fixed(Costs.Padded size + Costs.Width, infinity)
    let chosen: int[] = Array.zeroCreate (Costs.Padded size)

    let reduced (row: nativeptr<float>) (step: int) =
        let j = step * Costs.Width
        Vector512.Load(NativePtr.add row j) - Vector512.Load(NativePtr.add (Costs.At prices) j)

    // A number that at least half as many columns as there are groups do not exceed.
    let threshold (row: nativeptr<float>) (count: int) : float =
        Array.Fill(minima, infinity, 0, count)
        let least = Costs.At minima
        let mutable slot = 0

        for step in 0 .. steps - 1 do
            let at = NativePtr.add least slot
            Vector512.Store(Vector512.Min(Vector512.Load at, reduced row step), at)
            slot <- if slot + Costs.Width = count then 0 else slot + Costs.Width

        Array.Sort(minima, 0, count)
        minima[count / 2 - 1]

    let build (index: int) : unit =
        let row = costs.Row index
        let bound = if 4 * groups[index] >= size then infinity else threshold row groups[index]
        let limit = Vector512.Create bound
        let mutable count = 0

        for step in 0 .. steps - 1 do
            let mutable mask = Vector512.ExtractMostSignificantBits(Vector512.LessThanOrEqual(reduced row step, limit))

            while mask <> 0UL do
                chosen[count] <- step * Costs.Width + BitOperations.TrailingZeroCount mask
                count <- count + (if chosen[count] < size then 1 else 0)
                mask <- mask &&& (mask - 1UL)

        columns[index] <- Array.sub chosen 0 count
        values[index] <- Array.init count (fun k -> NativePtr.get row chosen[k])
        bounds[index] <- bound

    /// The columns of a row's list.
    member _.Columns(row: int) : int[] = columns[row]

    /// Their costs.
    member _.Values(row: int) : float[] = values[row]

    /// No column outside the list has a lower cost less price; -infinity before the list is made.
    member _.Bound(row: int) : float = bounds[row]

    /// Makes the list again at today's prices, longer where that does not raise the bound.
    member _.Extend(row: int) : unit =
        let before = bounds[row]
        build row

        while not (bounds[row] > before) do
            groups[row] <- 4 * groups[row]
            build row

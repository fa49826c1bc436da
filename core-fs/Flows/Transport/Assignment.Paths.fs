namespace ValueFlow.Core.Flows

#nowarn "9" // Rows are walked by address.

open System
open System.Numerics
open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop

/// Shortest augmenting paths: Dijkstra's algorithm by whole rows, for the rows that are still free.
/// Jonker and Volgenant 1987, "A shortest augmenting path algorithm for dense and sparse linear assignment problems".
[<Sealed>]
type internal AssignmentPaths(costs: Costs, state: AssignmentState) =
    let size = costs.Size
    let steps = Costs.Padded size / Costs.Width
    // In a search, a column that was reached for good is priced -infinity, so that nothing reaches it again.
    let prices = state.Prices
    let distances = Costs.Fixed(Costs.Padded size, infinity)
    let previous = Costs.Fixed(Costs.Padded size, 0.0)
    let before = Array.zeroCreate<int> size
    let reached = ResizeArray<struct (int * float * float)>()

    let price, distance, origin = Costs.At prices, Costs.At distances, Costs.At previous

    let load (address: nativeptr<float>) (j: int) = Vector512.Load(NativePtr.add address j)

    // Lowers distances through a row, and returns the least.
    let relax (row: nativeptr<float>) (offset: float) (through: int) =
        let mutable least = Vector512.Create infinity
        let offsets = Vector512.Create offset
        let origins = Vector512.Create(float through)

        for step in 0 .. steps - 1 do
            let j = step * Costs.Width
            let way = load row j - load price j - offsets
            let known = load distance j
            let lower = Vector512.LessThan(way, known)
            let kept = Vector512.Min(way, known)

            if Vector512.ExtractMostSignificantBits lower <> 0UL then
                Vector512.Store(kept, NativePtr.add distance j)
                Vector512.Store(Vector512.ConditionalSelect(lower, origins, load origin j), NativePtr.add origin j)

            least <- Vector512.Min(least, kept)

        Costs.Least least

    // A column at the distance, a free one if there is one.
    let columnAt (value: float) =
        let wanted = Vector512.Create value
        let mutable found = -1
        let mutable step = 0

        while step < steps do
            let equal = Vector512.Equals(load distance (step * Costs.Width), wanted)
            let mutable mask = Vector512.ExtractMostSignificantBits equal
            let here = step
            step <- step + 1

            while mask <> 0UL do
                let j = here * Costs.Width + BitOperations.TrailingZeroCount mask
                mask <- mask &&& (mask - 1UL)

                if j < size then
                    if state.RowOf[j] < 0 then
                        found <- j
                        mask <- 0UL
                        step <- steps
                    elif found < 0 then
                        found <- j

        found

    /// Finds a column for a free row.
    member _.Augment(start: int) : unit =
        Array.Fill(distances, infinity)
        reached.Clear()
        let mutable least = relax (costs.Row start) 0.0 start
        let mutable column = columnAt least

        while state.RowOf[column] >= 0 do
            let price = prices[column]
            reached.Add(struct (column, price, least))
            before[column] <- int previous[column]
            let i = state.RowOf[column]
            let row = costs.Row i
            let offset = NativePtr.get row column - price - least
            prices[column] <- -infinity
            distances[column] <- infinity
            let nearest = relax row offset i
            column <- columnAt nearest
            // Rounding may find a way that is shorter than one that was final already.
            least <- Math.Max(least, nearest)

        before[column] <- int previous[column]

        for struct (j, price, distance) in reached do
            prices[j] <- price + (distance - least)

        state.Turn(start, column, before)
        GC.KeepAlive distances
        GC.KeepAlive previous

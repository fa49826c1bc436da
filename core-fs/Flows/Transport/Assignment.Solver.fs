namespace ValueFlow.Core.Flows

#nowarn "9" // Rows are walked by address.

open System
open System.Numerics
open System.Runtime.Intrinsics
open System.Threading
open Microsoft.FSharp.NativeInterop
open ValueFlow.Core.Foundations

/// The linear assignment problem. Column prices come from a random half of rows and columns, solved first in the same way: for costs of points they are
/// near the final ones. Then augmenting row reduction and shortest augmenting paths. Jonker and Volgenant 1987.
[<Sealed>]
type internal AssignmentSolver(costs: Costs, smallestListed: int, cancellation: CancellationToken) =
    let size = costs.Size
    let stride = Costs.Padded size
    let steps = stride / Costs.Width
    let state = AssignmentState size
    let prices = state.Prices

    let price = Costs.At prices

    let load (address: nativeptr<float>) (j: int) = Vector512.Load(NativePtr.add address j)

    // Lowers prices to what the row pays less its own price.
    let lower (row: nativeptr<float>) (own: float) =
        let own = Vector512.Create own

        for step in 0 .. steps - 1 do
            let j = step * Costs.Width
            Vector512.Store(Vector512.Min(load price j, load row j - own), NativePtr.add price j)

    let startPrices () =
        Array.Fill(prices, infinity)

        if size < 32 then
            for i in 0 .. size - 1 do
                lower (costs.Row i) 0.0
        else
            let generator = Generator 1
            let half = size / 2
            let rows = Sampling.distinct generator half size
            let columns = Sampling.distinct generator half size
            Array.Sort rows
            Array.Sort columns
            let part: AssignmentSolver = new AssignmentSolver(costs.Part(rows, columns), smallestListed, cancellation)
            part.Solve()
            let known: float[] = (part.State: AssignmentState).Prices

            for i in 0 .. size - 1 do
                let row = costs.Row i
                let mutable least = infinity

                for k in 0 .. half - 1 do
                    least <- Math.Min(least, NativePtr.get row columns[k] - known[k])

                lower row least

        Array.Fill(prices, 0.0, size, stride - size)

    // The least of a row's costs less prices, the second least, and the column of the least.
    let twoLeast (row: nativeptr<float>) =
        let mutable least = Vector512.Create infinity
        let mutable second = Vector512.Create infinity
        let mutable place = Vector512<float>.Zero
        let lanes = Vector512.Create(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)
        let mutable at = lanes
        let stepped = Vector512.Create(float Costs.Width)

        for step in 0 .. steps - 1 do
            let j = step * Costs.Width
            let reduced = load row j - load price j
            place <- Vector512.ConditionalSelect(Vector512.LessThan(reduced, least), at, place)
            second <- Vector512.Min(second, Vector512.Max(least, reduced))
            least <- Vector512.Min(least, reduced)
            at <- at + stepped

        // The lanes that hold the least; the second least is another lane's least, or a second of a lane.
        let first = Costs.Least least
        let mask = Vector512.ExtractMostSignificantBits(Vector512.Equals(least, Vector512.Create first))
        let lane = BitOperations.TrailingZeroCount mask &&& (Costs.Width - 1)
        let others = Vector512.ConditionalSelect(Vector512.Equals(lanes, Vector512.Create(float lane)), second, least)
        let next = Math.Min(Costs.Least others, Costs.Least second)
        let column = int (place.GetElement lane)
        struct (first, next, column)

    // A free column where the row's cost less price is the number; -1 if there is none.
    let freeAt (row: nativeptr<float>) (value: float) =
        let mutable found = -1
        let mutable j = 0

        while found < 0 && j < size do
            if state.RowOf[j] < 0 && NativePtr.get row j - prices[j] = value then
                found <- j

            j <- j + 1

        found

    // A row in the order of first coming takes its cheapest column, if that is free.
    let startMatching () =
        for i in 0 .. size - 1 do
            let row = costs.Row i
            let struct (first, second, cheapest) = twoLeast row
            let column = if state.RowOf[cheapest] >= 0 && second = first then freeAt row first else cheapest

            if column >= 0 && state.RowOf[column] < 0 then
                state.Take(i, column) |> ignore

    // Augmenting row reduction: a free row takes its cheapest column and lowers that column's price by what its second cheapest costs more. The row that it
    // displaces does the same, and so on, until a column was free or two are equally cheap.
    let reduceRows () =
        let mutable budget = 4 * size

        for start in state.Free() do
            let mutable i = start

            while i >= 0 && budget > 0 do
                budget <- budget - 1
                let row = costs.Row i
                let struct (first, second, cheapest) = twoLeast row
                let lowered = prices[cheapest] - (second - first)

                if lowered < prices[cheapest] && Double.IsFinite lowered then
                    prices[cheapest] <- lowered
                    i <- state.Take(i, cheapest)
                else
                    let column = if state.RowOf[cheapest] < 0 then cheapest else freeAt row first

                    if column >= 0 then
                        state.Take(i, column) |> ignore

                    i <- -1

    /// Matching and prices.
    member _.State: AssignmentState = state

    /// The least of a row's costs less prices.
    member _.LeastReduced(row: nativeptr<float>) : float =
        let struct (first, _, _) = twoLeast row
        GC.KeepAlive state
        first

    /// Solves.
    member _.Solve() : unit =
        startPrices ()
        startMatching ()
        reduceRows ()
        // Short rows are walked whole, by vectors; where they are long, short lists are quicker.
        let augment: int -> unit =
            if size < smallestListed then
                (AssignmentPaths(costs, state)).Augment
            else
                (AssignmentSearch(costs, state)).Augment

        for i in state.Free() do
            cancellation.ThrowIfCancellationRequested()
            augment i

        GC.KeepAlive costs
        GC.KeepAlive state

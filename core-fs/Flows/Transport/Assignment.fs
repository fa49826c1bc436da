namespace ValueFlow.Core.Flows

#nowarn "9" // Rows are walked by address.

open ValueFlow.Core.Foundations
open System
open System.Threading
open Microsoft.FSharp.NativeInterop

/// A one-to-one pairing of rows and columns of a square cost matrix, with the prices that certify it.
[<Sealed>]
type Assignment internal (columns: int[], rowPrices: float[], columnPrices: float[], cost: float, dual: float) =

    /// The column of each row: a permutation.
    member _.Columns: int[] = columns

    /// u: what each row pays. u_i + v_j &lt;= c_ij for every pair.
    member _.RowPrices: float[] = rowPrices

    /// v: what each column pays.
    member _.ColumnPrices: float[] = columnPrices

    /// The sum of the costs of the pairs.
    member _.Cost: float = cost

    /// The sum of all prices: no pairing costs less.
    member _.DualValue: float = dual

    /// Cost less dual value: the pairing is no further than this from the cheapest, up to rounding of the two sums.
    member _.Gap: float = cost - dual

/// The linear assignment problem min over permutations p of sum_i c(i, p(i)), solved exactly in float64 by shortest augmenting paths.
/// Jonker and Volgenant 1987, "A shortest augmenting path algorithm for dense and sparse linear assignment problems".
[<RequireQualifiedAccess>]
module Assignment =

    // Rows are computed anew each time where that is cheaper than to read them from memory, or where the matrix would be large.
    [<Literal>]
    let private LargestStored = 2048

    // From so many columns on, paths are sought on short lists of each row's cheapest columns.
    [<Literal>]
    let private SmallestListed = 2000

    let private solveFrom (smallestListed: int) (cancellation: CancellationToken) (costs: Costs) : Assignment =
        let size = costs.Size
        let solver = AssignmentSolver(costs, smallestListed, cancellation)
        solver.Solve()
        let columns = solver.State.ColumnOf
        let prices = Array.sub solver.State.Prices 0 size
        let own = Array.zeroCreate<float> size
        let mutable cost = 0.0
        let mutable dual = 0.0

        for i in 0 .. size - 1 do
            let row = costs.Row i
            own[i] <- solver.LeastReduced row
            let paid = NativePtr.get row columns[i]
            cost <- cost + paid
            // Summed pair by pair: what cancels within a pair does not round in the sum.
            dual <- dual + (own[i] + prices[columns[i]])

        GC.KeepAlive costs
        Assignment(columns, own, prices, cost, dual)

    let internal solveCosts (cancellation: CancellationToken) (costs: Costs) : Assignment = solveFrom SmallestListed cancellation costs

    /// As <c>solve</c>, with short lists from the first column on.
    let internal solveListed (costs: Costs) : Assignment = solveFrom 0 CancellationToken.None costs

    let internal costsOf (cost: GroundCost) (source: float[][]) (target: float[][]) : Costs =
        let size = source[0].Length
        let computed = PointCosts(source, target, (cost = Euclidean))

        if source.Length <= 4 || size > LargestStored then
            computed
        else
            let stored = StoredCosts size

            for i in 0 .. size - 1 do
                computed.Fill(i, stored.Row i)

            stored

    /// The cheapest pairing for a square matrix of finite costs. Throws an ArgumentException where the matrix is empty, not square, or has an entry that is not
    /// finite; costs whose differences overflow are refused as well. O(n^3) time at worst, O(n^2) memory.
    let solve (costs: float[,]) : Assignment =
        let size = costs.GetLength 0

        if size = 0 || costs.GetLength 1 <> size then
            invalidArg (nameof costs) $"costs must be a square matrix with at least one row but are {size} x {costs.GetLength 1}"

        let stored = StoredCosts size

        for i in 0 .. size - 1 do
            let entries: Span<float> = stored.Entries i

            for j in 0 .. size - 1 do
                if not (abs costs[i, j] <= 1e150) then
                    invalidArg (nameof costs) $"entry ({i}, {j}) must be finite and at most 1E150 in size but is {costs[i, j]}"

                entries[j] <- costs[i, j]

        solveCosts CancellationToken.None stored

    /// The cheapest pairing of two samples of equal size and equal weights. Costs of up to four coordinates, and of more than 2048 points, are computed where they
    /// are needed, in O(n) memory. Throws an ArgumentException for unequal sizes, dimensions or weights.
    let ofSamples (cost: GroundCost) (cancellation: CancellationToken) (source: Sample) (target: Sample) : Assignment =
        Sample.RequireSame(nameof target, source, target)

        if source.Count <> target.Count then
            invalidArg (nameof target) $"samples must have the same number of points but have {source.Count} and {target.Count}"

        for name, sample in [ nameof source, source; nameof target, target ] do
            if not sample.IsUniform then
                invalidArg name "points must have equal weights; for weighted samples see Transport.exact"

            sample.Axes
            |> Array.iteri (fun k axis ->
                axis
                |> Array.iteri (fun i x ->
                    if abs x > 1e70 then
                        invalidArg name $"coordinate {k} of point {i} must be at most 1E70 in size but is {x}"))

        costsOf cost source.Axes target.Axes |> solveCosts cancellation

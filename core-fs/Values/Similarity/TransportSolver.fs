namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// Solves transports of at most n x m places again and again in the same arrays: shortest augmenting paths with prices, all distances of a step by one search among
/// the columns. Jonker and Volgenant 1987, "A shortest augmenting path algorithm for dense and sparse linear assignment problems"; Edmonds and Karp 1972, "Theoretical
/// improvements in algorithmic efficiency for network flow problems". One thread at a time.
[<Sealed>]
type internal TransportSolver() =

    let mutable n = 0
    let mutable m = 0
    let mutable costs: float[] = [||]
    let mutable flows: float[] = [||]
    let mutable supply: float[] = [||]
    let mutable demand: float[] = [||]
    let mutable supplyLeft: float[] = [||]
    let mutable demandLeft: float[] = [||]
    let mutable u: float[] = [||]
    let mutable v: float[] = [||]
    let mutable sourceDistance: float[] = [||]
    let mutable targetDistance: float[] = [||]
    let mutable sourceParent: int[] = [||]
    let mutable targetParent: int[] = [||]
    let mutable sourceSeen: bool[] = [||]
    let mutable targetSeen: bool[] = [||]

    // Less than this is what rounding leaves of masses that sum to one.
    let dust = 1e-18

    /// Makes room for n places against m; then <c>Costs</c> (row by row), <c>Supply</c> and <c>Demand</c> are to be written.
    member _.Prepare(sources: int, targets: int) : unit =
        n <- sources
        m <- targets

        if costs.Length < n * m then
            costs <- Array.zeroCreate (n * m)
            flows <- Array.zeroCreate (n * m)

        if supply.Length < n then
            supply <- Array.zeroCreate n
            supplyLeft <- Array.zeroCreate n
            u <- Array.zeroCreate n
            sourceDistance <- Array.zeroCreate n
            sourceParent <- Array.zeroCreate n
            sourceSeen <- Array.zeroCreate n

        if demand.Length < m then
            demand <- Array.zeroCreate m
            demandLeft <- Array.zeroCreate m
            v <- Array.zeroCreate m
            targetDistance <- Array.zeroCreate m
            targetParent <- Array.zeroCreate m
            targetSeen <- Array.zeroCreate m

    member _.Costs: float[] = costs
    member _.Flows: float[] = flows
    member _.Supply: float[] = supply
    member _.Demand: float[] = demand
    member _.U: float[] = u
    member _.V: float[] = v

    // u(i) = least reduced cost of a row, v(j) of a column: prices that are feasible.
    member private _.ReducePrices() =
        for i in 0 .. n - 1 do
            let mutable least = Double.PositiveInfinity

            for j in 0 .. m - 1 do
                least <- Math.Min(least, costs[i * m + j] - v[j])

            u[i] <- least

        for j in 0 .. m - 1 do
            let mutable least = Double.PositiveInfinity

            for i in 0 .. n - 1 do
                least <- Math.Min(least, costs[i * m + j] - u[i])

            v[j] <- least

    member private _.Relax(i: int) =
        sourceSeen[i] <- true

        for j in 0 .. m - 1 do
            let distance = sourceDistance[i] + Math.Max(0.0, costs[i * m + j] - u[i] - v[j])

            if not targetSeen[j] && distance < targetDistance[j] then
                targetDistance[j] <- distance
                targetParent[j] <- i

    // Distances of the targets from all that is left to send; the nearest target with room, or -1.
    member private this.Search() =
        for j in 0 .. m - 1 do
            targetDistance[j] <- Double.PositiveInfinity
            targetSeen[j] <- false

        for i in 0 .. n - 1 do
            sourceSeen[i] <- false
            sourceParent[i] <- -1

        for i in 0 .. n - 1 do
            if supplyLeft[i] > 0.0 then
                sourceDistance[i] <- 0.0
                this.Relax i

        let mutable found = -1
        let mutable going = true

        while going do
            let mutable nearest = -1

            for j in 0 .. m - 1 do
                if
                    not targetSeen[j]
                    && targetDistance[j] < Double.PositiveInfinity
                    && (nearest < 0 || targetDistance[j] < targetDistance[nearest])
                then
                    nearest <- j

            if nearest < 0 then
                going <- false
            else
                targetSeen[nearest] <- true

                if demandLeft[nearest] > 0.0 then
                    found <- nearest
                    going <- false
                else
                    for i in 0 .. n - 1 do
                        if not sourceSeen[i] && flows[i * m + nearest] > 0.0 then
                            sourceDistance[i] <- targetDistance[nearest]
                            sourceParent[i] <- nearest
                            this.Relax i

        found

    member private _.Augment(target: int) =
        let distance = targetDistance[target]

        for i in 0 .. n - 1 do
            if sourceSeen[i] then
                u[i] <- u[i] + (distance - sourceDistance[i])

        for j in 0 .. m - 1 do
            if targetSeen[j] then
                v[j] <- v[j] - (distance - targetDistance[j])

        // What fits along the path.
        let mutable amount = demandLeft[target]
        let mutable source = targetParent[target]

        while sourceParent[source] >= 0 do
            amount <- Math.Min(amount, flows[source * m + sourceParent[source]])
            source <- targetParent[sourceParent[source]]

        amount <- Math.Min(amount, supplyLeft[source])
        let settle x = if x < dust then 0.0 else x
        supplyLeft[source] <- settle (supplyLeft[source] - amount)
        demandLeft[target] <- settle (demandLeft[target] - amount)
        let mutable column = target
        let mutable going = true

        while going do
            let row = targetParent[column]
            flows[row * m + column] <- flows[row * m + column] + amount
            let back = sourceParent[row]

            if back < 0 then
                going <- false
            else
                flows[row * m + back] <- settle (flows[row * m + back] - amount)
                column <- back

    /// The rounding that a solve is allowed, relative to the largest |cost|.
    static member Tolerance(sources: int, targets: int) : float = 64.0 * float (sources + targets + 4) * Bound.unitRoundoff

    /// The cost of the cheapest plan and the gap between it and the prices. Supply and demand sum to one, up to rounding. Throws an InvalidOperationException
    /// where the gap is more than rounding explains.
    member this.Solve() : struct (float * float) =
        let mutable largest = 0.0

        for k in 0 .. n * m - 1 do
            largest <- Math.Max(largest, abs costs[k])
            flows[k] <- 0.0

        Array.blit supply 0 supplyLeft 0 n
        Array.blit demand 0 demandLeft 0 m
        Array.fill v 0 m 0.0
        this.ReducePrices()
        let mutable left = 100 * (n + m + 10)
        let mutable target = this.Search()

        while target >= 0 && left > 0 do
            left <- left - 1
            this.Augment target
            target <- this.Search()

        this.ReducePrices()
        // Constants move between u and v; near zero they round least.
        let mutable least = Double.PositiveInfinity

        for i in 0 .. n - 1 do
            least <- Math.Min(least, u[i])

        let mutable dual = 0.0

        for i in 0 .. n - 1 do
            u[i] <- u[i] - least
            dual <- dual + supply[i] * u[i]

        for j in 0 .. m - 1 do
            v[j] <- v[j] + least
            dual <- dual + demand[j] * v[j]

        let mutable primal = 0.0

        for k in 0 .. n * m - 1 do
            primal <- primal + flows[k] * costs[k]

        let gap = abs (primal - dual)

        if not (gap <= TransportSolver.Tolerance(n, m) * largest) then
            invalidOp $"the transport of {n} to {m} places must cost what its prices say, {dual}, but costs {primal}"

        struct (primal, gap)

namespace ValueFlow.Core.Flows

open System
open Google.OrTools.Graph
open ValueFlow.Core.Foundations

/// Mass that goes from a point of the first sample to a point of the second.
[<Struct>]
type Shipment =
    {
        /// Index in the first sample.
        Source: int
        /// Index in the second sample.
        Target: int
        /// A share of the whole mass, which is one.
        Mass: float
    }

/// A plan of transport between two weighted samples, with a bound on what a better plan could save.
[<Sealed>]
type TransportPlan internal (shipments: Shipment[], cost: float, lower: float) =

    /// What goes where; the masses that leave and reach each point are the samples' weights, up to rounding.
    member _.Shipments: Shipment[] = shipments

    /// The sum of mass times cost.
    member _.Cost: float = cost

    /// No plan costs less than this.
    member _.LowerBound: float = lower

    /// Cost less lower bound.
    member _.Gap: float = cost - lower

/// Exact optimal transport between weighted samples.
[<RequireQualifiedAccess>]
module Transport =

    // The most pairs of points that a program is made of.
    [<Literal>]
    let private MostPairs = 16_000_000

    // Weights as whole numbers with the given sum, by largest remainders: each is off by less than one.
    let private units (total: int64) (weights: float[]) =
        let exact = weights |> Array.map (fun weight -> weight * float total)
        let whole = exact |> Array.map (fun x -> int64 (floor x))
        let missing = total - Array.sum whole
        let order = Array.init weights.Length id |> Array.sortBy (fun i -> float whole[i] - exact[i])
        let step = if missing >= 0L then 1L else -1L

        for k in 0 .. int (abs missing) - 1 do
            let i = order[k % order.Length]
            whole[i] <- whole[i] + step

        whole

    let private variation (total: int64) (weights: float[]) (whole: int64[]) =
        0.5 * (Array.map2 (fun weight units -> abs (weight - float units / float total)) weights whole |> Array.sum)

    // A plan with the marginals asked for: what is too much is scaled away, what is missing is filled in from corner to corner.
    // After Altschuler, Weed and Rigollet 2017, "Near-linear time approximation algorithms for optimal transport via Sinkhorn iteration", algorithm 2.
    let private repair (a: float[]) (b: float[]) (plan: Shipment[]) =
        let scale (key: Shipment -> int) (wanted: float[]) (plan: Shipment[]) =
            let sums = Array.zeroCreate<float> wanted.Length

            for s in plan do
                sums[key s] <- sums[key s] + s.Mass

            plan
            |> Array.map (fun s ->
                let at = key s
                if sums[at] > wanted[at] then { s with Mass = s.Mass * (wanted[at] / sums[at]) } else s)

        let scaled = plan |> scale _.Source a |> scale _.Target b
        let leftA, leftB = Array.copy a, Array.copy b

        for s in scaled do
            leftA[s.Source] <- leftA[s.Source] - s.Mass
            leftB[s.Target] <- leftB[s.Target] - s.Mass

        let more = ResizeArray<Shipment>()
        let mutable i = 0
        let mutable j = 0

        while i < a.Length && j < b.Length do
            let mass = Math.Min(leftA[i], leftB[j])

            if mass > 0.0 then
                more.Add { Source = i; Target = j; Mass = mass }
                leftA[i] <- leftA[i] - mass
                leftB[j] <- leftB[j] - mass

            if leftA[i] <= leftB[j] then i <- i + 1 else j <- j + 1

        Array.append scaled (more.ToArray())

    let private solver (arcs: int) =
        try
            new MinCostFlow(0, arcs)
        with
        | :? TypeInitializationException
        | :? DllNotFoundException as error ->
            let advice = "reference the package Google.OrTools.runtime.linux-x64 (or -win-x64, -osx-arm64) in the program that runs"

            raise (
                InvalidOperationException($"transport between weighted samples needs OR-Tools, which could not be loaded: {advice}", error)
            )

    /// The cheapest plan between two weighted samples: a minimum-cost flow in whole numbers (Goldberg 1997, "An efficient implementation of a scaling minimum-cost
    /// flow algorithm", as in OR-Tools). Costs are rounded to 2^-40 of the largest or finer for up to a thousand points a side, coarser for more; equal weights are exact, others rounded to 2^-40
    /// of the mass. The bound counts both. Throws an ArgumentException for different dimensions and more than 16 million pairs.
    let exact (cost: GroundCost) (source: Sample) (target: Sample) : TransportPlan =
        Sample.RequireSame(nameof target, source, target)
        let n, m = source.Count, target.Count

        if int64 n * int64 m > int64 MostPairs then
            invalidArg (nameof target) $"samples must have at most {MostPairs} pairs of points but have {int64 n * int64 m}"

        let a, b = source.Masses, target.Masses
        let costs = Array2D.init n m (fun i j -> Ground.between cost source.Axes i target.Axes j)
        let mutable largest = 0.0

        for i in 0 .. n - 1 do
            for j in 0 .. m - 1 do
                largest <- Math.Max(largest, costs[i, j])

        if not (largest <= 1e150) then
            invalidArg (nameof target) $"costs must be at most 1E150 but reach {largest}"

        let total = if source.IsUniform && target.IsUniform then int64 n * int64 m else 1L <<< 40

        let wholeA, wholeB = units total a, units total b
        // The solver multiplies costs by the number of nodes; a bit is left for sums.
        let room = Math.Min(40, 60 - 2 * (int (Math.Log2(float (n + m + 1))) + 1))
        let scale = if largest > 0.0 then Math.ScaleB(1.0, room) / largest else 1.0
        use flow = solver (n * m)

        for i in 0 .. n - 1 do
            for j in 0 .. m - 1 do
                let unit = int64 (Math.Round(costs[i, j] * scale))
                flow.AddArcWithCapacityAndUnitCost(i, n + j, Math.Min(wholeA[i], wholeB[j]), unit) |> ignore

        for i in 0 .. n - 1 do
            flow.SetNodeSupply(i, wholeA[i])

        for j in 0 .. m - 1 do
            flow.SetNodeSupply(n + j, -wholeB[j])

        let status = flow.Solve()

        if status <> MinCostFlowBase.Status.OPTIMAL then
            raise (InvalidOperationException $"the minimum-cost flow ended with {status}")

        let found =
            [|
                for arc in 0 .. n * m - 1 do
                    let units = flow.Flow arc

                    if units > 0L then
                        { Source = arc / m; Target = arc % m; Mass = float units / float total }
            |]

        let sum (plan: Shipment[]) = plan |> Array.sumBy (fun s -> s.Mass * costs[s.Source, s.Target])
        let plan = repair a b found
        let rounding = 1.0 / scale + largest * (variation total a wholeA + variation total b wholeB + 1e-15 * float (n + m))
        TransportPlan(plan, sum plan, Math.Max(0.0, sum found - (if largest > 0.0 then rounding else 0.0)))

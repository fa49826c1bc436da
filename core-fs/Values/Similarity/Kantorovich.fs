namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// A cheapest way to turn one finite law into another, and the prices that prove it.
type TransportSolution =
    {
        /// W = sum over i, j of Plan(i, j) cost(i, j).
        Cost: float
        /// How much moves from each place of the first law (rows) to each of the second (columns).
        Plan: float[,]
        /// u: a price for each place of the first law.
        SourcePrices: float[]
        /// v: a price for each place of the second law; u(i) + v(j) &lt;= cost(i, j) for all i and j.
        TargetPrices: float[]
        /// |Cost - (sum of p u + sum of q v)|: what rounding left between the plan and the prices. No plan costs less than the prices say.
        Gap: float
    }

/// The distance of Kantorovich (Wasserstein's of order one) between finite laws: W(p, q) = the least sum of plan(i, j) cost(i, j) over plans with the marginals p and q, which is the largest
/// sum of p u + q v over prices with u(i) + v(j) &lt;= cost(i, j). In the cost it is monotone, concave and moves by no more than the cost does:
/// |W - W'| &lt;= max |cost - cost'|. Kantorovich 1942, "On the translocation of masses"; Villani 2009, "Optimal transport: old and new".
[<RequireQualifiedAccess>]
module Kantorovich =

    let private requireLaw (name: string) (law: float[]) =
        let mutable sum = 0.0

        for i in 0 .. law.Length - 1 do
            if not (law[i] >= 0.0) then
                invalidArg name $"probability {i} must not be negative but is {law[i]}"

            sum <- sum + law[i]

        if not (abs (sum - 1.0) <= 1e-6) then
            invalidArg name $"probabilities must sum to 1 but sum to {sum}"

        sum

    /// The cheapest plan between the laws p (n) and q (m) for costs (n x m) that are finite, of any sign. Laws that sum to one within 1e-6 are normalised. Throws an ArgumentException for laws that
    /// are none, sizes that do not fit and costs that are not finite.
    let solve (cost: float[,]) (p: float[]) (q: float[]) : TransportSolution =
        let n, m = Array2D.length1 cost, Array2D.length2 cost
        Shape.requireLength (nameof p) n p.Length
        Shape.requireLength (nameof q) m q.Length

        cost
        |> Array2D.iteri (fun i j c ->
            if not (Double.IsFinite c) then
                invalidArg (nameof cost) $"the cost from {i} to {j} must be finite but is {c}")

        let total, other = requireLaw (nameof p) p, requireLaw (nameof q) q
        let solver = TransportSolver()
        solver.Prepare(n, m)

        for i in 0 .. n - 1 do
            solver.Supply[i] <- p[i] / total

        for j in 0 .. m - 1 do
            solver.Demand[j] <- q[j] / other

        for i in 0 .. n - 1 do
            for j in 0 .. m - 1 do
                solver.Costs[i * m + j] <- cost[i, j]

        let struct (value, gap) = solver.Solve()

        {
            Cost = value
            Plan = Array2D.init n m (fun i j -> solver.Flows[i * m + j])
            SourcePrices = Array.sub solver.U 0 n
            TargetPrices = Array.sub solver.V 0 m
            Gap = gap
        }

    /// W(p, q) alone.
    let distance (cost: float[,]) (p: float[]) (q: float[]) : float = (solve cost p q).Cost

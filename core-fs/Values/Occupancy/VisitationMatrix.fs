namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// Dynamic programming without values: for each row (s, a) of a model the law H(s, a, .) of the rows that are visited from there on, H = (1 - gamma) sum over t of gamma^t (P Pi)^t. It is a matrix of
/// RowCount x RowCount numbers, row by row; where nothing ends each of its rows is a law. Values are read off: (1 - gamma) Q = H r. What H holds stays bounded, whatever the rewards
/// are, and one H serves all rewards. For models of at most 2,000 rows. Wang, Lizotte, Bowling and Schuurmans 2008, "Dual representations for dynamic programming".
[<RequireQualifiedAccess>]
module VisitationMatrix =

    let private source = "Wang, Lizotte, Bowling and Schuurmans 2008, Dual representations for dynamic programming"

    let private requireModel (model: Model) =
        if model.IsInterval then
            invalidArg (nameof model) "the model must have probabilities but has intervals"

        if model.RowCount > 2000 then
            invalidArg (nameof model) $"a visitation matrix is for at most 2000 rows but the model has {model.RowCount}"

    let private requireMatrix (model: Model) (h: float[]) =
        Shape.requireLength "h" (model.RowCount * model.RowCount) h.Length
        Shape.requireFinite "h" h

    // (1 - gamma) I + sum over s' of gamma P(s' | s, a) times the rows of H that are followed there, weighted.
    let private follow (kernel: Kernel) (weights: float[]) (h: float[]) =
        let model = kernel.Model
        let count = model.RowCount
        let result = Array.zeroCreate<float>(count * count)

        for row in 0 .. count - 1 do
            result[row * count + row] <- 1.0 - kernel.Discount

            for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                let next = model.successors[k]

                for other in model.rowOffsets[next] .. model.rowOffsets[next + 1] - 1 do
                    let share = kernel.Weights[k] * weights[other]

                    if share <> 0.0 then
                        for j in 0 .. count - 1 do
                            result[row * count + j] <- result[row * count + j] + share * h[other * count + j]

        result

    /// (H r)(s, a) for every row: the inner products with the rewards. Divided by 1 - gamma they are action values.
    let inner (model: Model) (rewards: float[]) (h: float[]) : float[] =
        requireMatrix model h
        let count = model.RowCount
        Shape.requireLength (nameof rewards) count rewards.Length

        Array.init count (fun row ->
            let mutable sum = 0.0

            for j in 0 .. count - 1 do
                sum <- sum + h[row * count + j] * rewards[j]

            sum)

    /// For each state the action whose row of H r is largest, the lowest number among equals; -1 in terminal states.
    let greedy (model: Model) (rewards: float[]) (h: float[]) : int[] =
        let worth = inner model rewards h

        Array.init model.stateCount (fun s ->
            let mutable best = -1

            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                if best < 0 || worth[row] > worth[best] then
                    best <- row

            if best < 0 then -1 else model.rowActions[best])

    /// H -> (1 - gamma) I + gamma P Pi H for a policy: a contraction by the discount in the sup norm of entries, which keeps the order, signs and the sums of rows.
    let evaluation (model: Model) (discount: float) (policy: Policy) : Operator<float[]> =
        requireModel model
        Shape.requireLength (nameof policy) model.RowCount policy.Rows.Length
        let kernel = Kernel(model, discount)
        let struct (least, most) = kernel.MassFactors
        // A row sums over successors and their actions.
        let slack = float (kernel.LongestRow * (kernel.MostActions + 1) + 8) * Bound.unitRoundoff

        let apply h =
            requireMatrix model h
            follow kernel policy.Rows h

        let rounding (h: float[]) =
            let largest = h |> Array.fold (fun (top: float) x -> Math.Max(top, abs x)) 0.0
            Bound.above (slack * (1.0 + largest))

        Operator.create $"visits[{discount}]" Space.vectors apply
        |> Operator.claim
            {
                Metric = Metric.sup
                Modulus = most * (1.0 + slack)
                Rounding = ValueSome rounding
                Source = source
            }
        |> Operator.monotone
        |> Operator.translating (if kernel.HasTerminals then 0.0 else least * (1.0 - slack)) (most * (1.0 + slack))

    /// sup over (s, a) of |H r - H' r|: what of H the rewards see. A seminorm.
    let seenBy (model: Model) (rewards: float[]) : Metric<float[]> =
        let rewards = Array.copy rewards

        {
            Key = MetricKey.Conjugated("H r", MetricKey.Sup)
            Convex = true
            Separates = false
            Distance = fun x y -> Metric.sup.Distance (inner model rewards x) (inner model rewards y)
        }

    /// H(s, a, .) -> (1 - gamma) 1(s, a) + gamma sum over s' of P(s' | s, a) H(s', a*, .), a* the best action of s' by H r: optimal decisions without values. It contracts by the discount in what the rewards see of H, and in
    /// nothing else: where actions tie, H jumps from the one's visits to the other's. <c>rewards</c> has a number for each row.
    let optimality (model: Model) (discount: float) (rewards: float[]) : Operator<float[]> =
        requireModel model
        Shape.requireLength (nameof rewards) model.RowCount rewards.Length
        Shape.requireFinite (nameof rewards) rewards
        let rewards = Array.copy rewards
        let kernel = Kernel(model, discount)
        let struct (_, most) = kernel.MassFactors
        let slack = float (kernel.LongestRow + 8) * Bound.unitRoundoff
        let total = rewards |> Array.sumBy abs

        let apply h =
            let best = greedy model rewards h
            follow kernel (Policy.Deterministic(model, ReadOnlySpan best)).Rows h

        // Entries round, and so do their inner products with the rewards, before and after.
        let rounding (h: float[]) =
            let largest = h |> Array.fold (fun (top: float) x -> Math.Max(top, abs x)) 0.0
            Bound.above (total * (1.0 + largest) * (slack + 4.0 * float (model.RowCount + 4) * Bound.unitRoundoff))

        Operator.create $"optimal visits[{discount}]" Space.vectors apply
        |> Operator.claim
            {
                Metric = seenBy model rewards
                Modulus = most * (1.0 + slack)
                Rounding = ValueSome rounding
                Source = source
            }

    /// d(s', a') = sum over s, a of rho(s) pi(a | s) H(s, a, s', a') / (1 - gamma): the occupancy measure of a policy, from the matrix of that policy.
    let occupancy (polytope: OccupancyPolytope) (policy: Policy) (h: float[]) : float[] =
        let model = polytope.Model
        requireMatrix model h
        Shape.requireLength (nameof policy) model.RowCount policy.Rows.Length
        let count = model.RowCount
        let result = Array.zeroCreate<float> count

        for s in 0 .. model.stateCount - 1 do
            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                let share = polytope.Starts[s] * policy.Rows[row] / (1.0 - polytope.Discount)

                if share > 0.0 then
                    for j in 0 .. count - 1 do
                        result[j] <- result[j] + share * h[row * count + j]

        result

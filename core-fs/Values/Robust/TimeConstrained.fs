namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// The game against a nature that may change the model only by little from step to step: (s, i) is a state and the model of the last step, and nature moves to a model j
/// in the ball of i. Zouitine, Bertoin, Clavier, Geist and Rachelson 2024, "Time-constrained robust MDPs". Values are vectors with entry i * states + s.
[<Sealed>]
type TimeConstrained private (family: ModelFamily, balls: int[][]) =

    let states, rowCount = family.StateCount, family.RowCount

    let slice (values: float[]) i = Array.sub values (i * states) states

    // For each model the action values of its rows, with what follows valued in it.
    let backedUp (values: float[]) =
        Array.init family.Count (fun j ->
            let rows = Array.zeroCreate rowCount
            family.ActionValues(j, slice values j, rows)
            rows)

    // min over the models j in the ball of i, row by row.
    let least (backed: float[][]) i =
        let result = Array.create rowCount Double.PositiveInfinity

        for j in balls[i] do
            for row in 0 .. rowCount - 1 do
                result[row] <- Math.Min(result[row], backed[j].[row])

        result

    let operator name (weigh: int -> float[] -> float[]) (rounding: float -> float) =
        Operator.create name Space.vectors (fun values ->
            Shape.requireLength (nameof values) (family.Count * states) values.Length
            let backed = backedUp values
            Array.init family.Count (fun i -> weigh i (least backed i)) |> Array.concat)
        |> Operator.claim
            {
                Metric = Metric.sup
                Modulus = family.Modulus
                Rounding =
                    ValueSome(fun values ->
                        let each j =
                            let own = slice values j
                            family.Backup(j).Rounding own + rounding (family.Backup(j).Kernel.Magnitude own)

                        Bound.above (Seq.max (Seq.init family.Count each)))
                Source = "Zouitine et al. 2024"
            }
        |> Operator.monotone

    /// The family, the distances between its models (symmetric, zero on the diagonal), and the radius within which nature moves in a step: a model j is in reach of i if
    /// d(i, j) &lt;= radius (1 + 1e-9), so that distances on a grid of floats lose no neighbour.
    static member Create(family: ModelFamily, distances: float[,], radius: float) : TimeConstrained =
        let n = family.Count

        if distances.GetLength 0 <> n || distances.GetLength 1 <> n then
            invalidArg
                (nameof distances)
                $"there must be {n} x {n} distances, one for each pair of models, but there are {distances.GetLength 0} x {distances.GetLength 1}"

        for i in 0 .. n - 1 do
            for j in 0 .. n - 1 do
                if not (distances[i, j] >= 0.0) || distances[i, j] <> distances[j, i] || (i = j && distances[i, j] <> 0.0) then
                    invalidArg
                        (nameof distances)
                        $"distances must be symmetric, not negative, and zero from a model to itself, but that of {i} and {j} is {distances[i, j]}, and back {distances[j, i]}"

        if not (radius >= 0.0) then
            invalidArg (nameof radius) $"the radius must not be negative but is {radius}"

        let balls = Array.init n (fun i -> [| 0 .. n - 1 |] |> Array.filter (fun j -> distances[i, j] <= radius * (1.0 + 1e-9)))
        TimeConstrained(family, balls)

    /// The family.
    member _.Family = family
    /// The models that nature can move to from a model.
    member _.Reach(index: int) : int[] = Array.copy balls[index]

    /// (T V)(s, i) = max over a of min over j in the ball of i of sum over s' of P_j (r_j + gamma V(s', j)): monotone, and a contraction by the discount in the sup norm.
    member _.Optimality: Operator<float[]> = operator "time-constrained robust" (fun _ rows -> family.Best rows) (fun _ -> 0.0)

    /// The worst case of a policy that sees the state and the model of the last step: for each model a policy. Nature sees the action.
    member _.Evaluation(policies: Policy[]) : Operator<float[]> =
        Shape.requireLength (nameof policies) family.Count policies.Length

        for policy in policies do
            Shape.requireLength (nameof policies) rowCount policy.Rows.Length

        let model = family[0]

        let mean (weights: float[]) (rows: float[]) =
            Array.init states (fun s ->
                let mutable sum = 0.0

                for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 do
                    sum <- sum + weights[row] * rows[row]

                sum)

        let most = family.Backup(0).Kernel.MostActions

        operator "worst case of a policy" (fun i rows -> mean policies[i].Rows rows) (fun magnitude ->
            PolicyMean(policies[0]).Rounding(most, magnitude))

    /// For each model the actions that are greedy against the moves that nature has from it, by values: in each state the first action within the tolerance of the best; -1 in
    /// terminal states. Values that were iterated tie only up to their own error.
    member _.Greedy(values: float[], tolerance: float) : int[][] =
        Shape.requireLength (nameof values) (family.Count * states) values.Length

        if not (tolerance >= 0.0) then
            invalidArg (nameof tolerance) $"tolerance must not be negative but is {tolerance}"

        let backed = backedUp values
        Array.init family.Count (fun i -> family.Greedy(least backed i, tolerance))

namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open System.Threading
open MathNet.Numerics.LinearAlgebra
open MathNet.Numerics.LinearAlgebra.Double
open ValueFlow.Core.Foundations

/// What a policy makes of a model: a chain with rewards. W(s, s') = sum over a of pi(a|s) P(s'|s,a) gamma(s,a,s'), r(s) = sum over a of pi(a|s) r(s,a). Terminal states have no columns: their
/// value is zero.
[<Sealed>]
type internal PolicyTransitions(model: Model, discount: float, policy: Policy) =

    let kernel = Kernel(model, discount)
    let count = model.StateCount

    let rewards = Array.zeroCreate<float> count
    let sums = Array.init count (fun _ -> Dictionary<int, float>())

    do
        Shape.requireLength (nameof policy) model.RowCount policy.Rows.Length

        for s in 0 .. count - 1 do
            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                let share = policy.Rows[row]

                if share > 0.0 then
                    rewards[s] <- rewards[s] + share * kernel.RowRewards[row]

                    for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                        let next, weight = model.successors[k], share * kernel.Weights[k]

                        if weight > 0.0 && not (model.IsTerminal next) then
                            let _, sum = sums[s].TryGetValue next
                            sums[s].[next] <- sum + weight

    let rows = sums |> Array.map (fun row -> row |> Seq.map (fun entry -> struct (entry.Key, entry.Value)) |> Array.ofSeq)

    let columns =
        lazy
            (let columns = Array.init count (fun _ -> ResizeArray<struct (int * float)>())

             rows
             |> Array.iteri (fun s row -> row |> Array.iter (fun (struct (next, weight)) -> columns[next].Add(struct (s, weight))))

             columns |> Array.map _.ToArray())

    let times (entries: struct (int * float)[][]) (x: float[]) =
        entries
        |> Array.map (fun row ->
            let mutable sum = 0.0

            for struct (j, weight) in row do
                sum <- sum + weight * x[j]

            sum)

    // (I - lambda W)^-1 b, or with W transposed, for several b with one factorisation where that is affordable.
    let solve (entries: struct (int * float)[][]) lambda (right: float[][]) (cancellation: CancellationToken) =
        if lambda = 0.0 then
            right |> Array.map Array.copy
        elif count <= LinearEvaluation.DenseLimit then
            let matrix = DenseMatrix.CreateIdentity count

            entries
            |> Array.iteri (fun i row ->
                for struct (j, weight) in row do
                    matrix[i, j] <- matrix[i, j] - lambda * weight)

            cancellation.ThrowIfCancellationRequested()
            let factors = matrix.LU()
            right |> Array.map (fun b -> factors.Solve(DenseVector.OfArray b).ToArray())
        else
            right
            |> Array.map (fun b ->
                cancellation.ThrowIfCancellationRequested()

                let write i (add: int -> float -> unit) =
                    for struct (j, weight) in entries[i] do
                        add j (lambda * weight)

                let found = LinearEvaluation.solveRows count write b (Array.copy b) cancellation
                cancellation.ThrowIfCancellationRequested()
                found)

    /// r: for each state the mean reward.
    member _.Rewards = rewards
    /// W x.
    member _.Times(x: float[]) = times rows x
    /// W' x.
    member _.TransposedTimes(x: float[]) = times columns.Value x
    /// (I - lambda W)^-1 b for each b.
    member _.Solve(lambda: float, right: float[][], cancellation: CancellationToken) : float[][] = solve rows lambda right cancellation

    /// (I - lambda W')^-1 b for each b.
    member _.TransposedSolve(lambda: float, right: float[][], cancellation: CancellationToken) : float[][] =
        solve columns.Value lambda right cancellation

    /// A number that W does not exceed in the norm of the weights: ||W x||^2 &lt;= (largest sum of a row) (largest (mu W)(s) / mu(s)) ||x||^2, by Jensen's inequality. Infinite
    /// where W leads out of the states that have weight.
    member this.NormBound(weights: float[]) : float =
        let moved = this.TransposedTimes weights
        let mutable mass, ratio = 0.0, 0.0

        for s in 0 .. count - 1 do
            if weights[s] > 0.0 then
                mass <- Math.Max(mass, rows[s] |> Array.sumBy (fun (struct (_, weight)) -> weight))
                ratio <- Math.Max(ratio, moved[s] / weights[s])
            elif moved[s] > 0.0 then
                ratio <- infinity

        if ratio = infinity then infinity else sqrt (mass * ratio)

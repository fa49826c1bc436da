namespace ValueFlow.Core.Returns

open System
open System.Collections.Generic
open ValueFlow.Core.Foundations

/// Laws of vectors with finitely many outcomes: a <c>Sample</c> is read as the law that gives each of its points the point's weight.
[<RequireQualifiedAccess>]
module JointLaw =

    /// The law of the vector itself.
    let point (x: float[]) : Sample = Sample.OfPoints [| x |]

    /// The law of shift + scale X: what rewards and a discount make of a joint return.
    let affine (shift: float[]) (scale: float) (law: Sample) : Sample =
        Shape.requireLength (nameof shift) law.Dimension shift.Length
        let moved = Array.init law.Count (fun i -> Array.init shift.Length (fun k -> shift[k] + scale * law.Axes[k].[i]))
        let result = Sample.OfPoints moved
        if law.IsUniform then result else result.Weighted law.Masses

    /// The law that is one of the parts with its probability; probabilities are not negative and sum to one within 1e-9. Equal points are joined; points are in lexicographic order.
    let mixture (parts: seq<struct (float * Sample)>) : Sample =
        let parts = parts |> Seq.filter (fun (struct (weight, _)) -> weight <> 0.0) |> Array.ofSeq
        let total = parts |> Array.sumBy (fun (struct (weight, _)) -> weight)

        for struct (weight, law) in parts do
            if not (weight >= 0.0) then
                invalidArg (nameof parts) $"probabilities must not be negative but one is {weight}"

            let struct (_, first) = parts[0]
            Sample.RequireSame(nameof parts, first, law)

        if not (abs (total - 1.0) <= 1e-9) then
            invalidArg (nameof parts) $"probabilities must sum to 1 within 1e-9 but sum to {total}"

        // Structural order: coordinate by coordinate; -0.0 is 0.0.
        let sums = SortedDictionary<float[], float>(Comparer<float[]>.Create(fun x y -> compare x y))

        for struct (weight, law) in parts do
            for i in 0 .. law.Count - 1 do
                let mass = weight / total * law.Masses[i]

                if mass > 0.0 then
                    let point = law.Point i |> Array.map (fun x -> x + 0.0)
                    let known, sum = sums.TryGetValue point
                    sums[point] <- (if known then sum else 0.0) + mass

        (Sample.OfPoints(Seq.toArray sums.Keys)).Weighted(Seq.toArray sums.Values)

    /// E X.
    let mean (law: Sample) : float[] = law.Axes |> Array.map (fun axis -> Array.fold2 (fun sum w x -> sum + w * x) 0.0 law.Masses axis)

    /// E (X - E X)(X - E X)', as a symmetric matrix.
    let covariance (law: Sample) : float[,] =
        let centre = mean law

        Array2D.init law.Dimension law.Dimension (fun i j ->
            let mutable sum = 0.0

            for k in 0 .. law.Count - 1 do
                sum <- sum + law.Masses[k] * (law.Axes[i].[k] - centre[i]) * (law.Axes[j].[k] - centre[j])

            sum)

    /// cov(i, j) / sqrt(cov(i, i) cov(j, j)), of a covariance; not a number where a coordinate does not vary.
    let correlation (covariance: float[,]) (i: int) (j: int) : float = covariance[i, j] / Math.Sqrt(covariance[i, i] * covariance[j, j])

    /// The law of one coordinate.
    let marginal (coordinate: int) (law: Sample) : Distribution =
        if coordinate < 0 || coordinate >= law.Dimension then
            invalidArg (nameof coordinate) $"the coordinate must lie in [0, {law.Dimension}) but is {coordinate}"

        Distribution.along (Array.init law.Dimension (fun k -> if k = coordinate then 1.0 else 0.0)) law

    /// The law with the same coordinates, independent of one another: what is left of a joint law if each source of reward is learned on its own. Its points
    /// are as many as the product of the coordinates' atoms.
    let independent (law: Sample) : Sample =
        let points =
            [ 0 .. law.Dimension - 1 ]
            |> List.map (fun k -> marginal k law)
            |> List.fold
                (fun known axis ->
                    [|
                        for point, mass in known do
                            for i in 0 .. axis.Count - 1 -> Array.append point [| axis.Places[i] |], mass * axis.Weights[i]
                    |])
                [| [||], 1.0 |]

        (Sample.OfPoints(Array.map fst points)).Weighted(Array.map snd points)

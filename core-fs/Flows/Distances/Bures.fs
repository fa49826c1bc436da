namespace ValueFlow.Core.Flows

open ValueFlow.Core.Foundations
open System
open MathNet.Numerics.LinearAlgebra

/// The Wasserstein distance of order 2 between Gaussian laws.
/// Dowson and Landau 1982, "The Frechet distance between multivariate normal distributions"; Bures 1969.
[<RequireQualifiedAccess>]
module Bures =

    // The square root of a symmetric positive semi-definite matrix, by eigenvalues.
    let private root (name: string) (matrix: Matrix<float>) =
        let found = matrix.Evd(Symmetricity.Symmetric)
        let values = found.EigenValues |> Seq.map _.Real |> Array.ofSeq
        let largest = values |> Array.fold (fun most x -> Math.Max(most, abs x)) 0.0

        for value in values do
            if value < -1e-10 * largest then
                invalidArg name $"a covariance must be positive semi-definite but has the eigenvalue {value}"

        let roots = values |> Array.map (fun x -> sqrt (Math.Max(0.0, x)))
        found.EigenVectors * Matrix<float>.Build.DiagonalOfDiagonalArray roots * found.EigenVectors.Transpose()

    let private covariance (name: string) (dimension: int) (entries: float[,]) =
        if entries.GetLength 0 <> dimension || entries.GetLength 1 <> dimension then
            invalidArg name $"a covariance must be {dimension} x {dimension} but is {entries.GetLength 0} x {entries.GetLength 1}"

        entries
        |> Array2D.iteri (fun i j x ->
            if not (Double.IsFinite x) then
                invalidArg name $"entry ({i}, {j}) must be finite but is {x}"

            if abs (x - entries[j, i]) > 1e-10 * (abs x + abs entries[j, i]) then
                invalidArg name $"a covariance must be symmetric but has {x} at ({i}, {j}) and {entries[j, i]} at ({j}, {i})")

        Matrix<float>.Build.DenseOfArray entries

    /// W2^2 = |m0 - m1|^2 + tr(C0 + C1 - 2 (C0^1/2 C1 C0^1/2)^1/2); returns W2. Throws an ArgumentException for shapes that do not fit, entries that are not
    /// finite, and matrices that are not symmetric and positive semi-definite.
    let distance (mean0: float[], covariance0: float[,]) (mean1: float[], covariance1: float[,]) : float =
        let dimension = mean0.Length
        ValueFlow.Core.Foundations.Shape.requireLength (nameof mean1) dimension mean1.Length
        ValueFlow.Core.Foundations.Shape.requireFinite (nameof mean0) mean0
        ValueFlow.Core.Foundations.Shape.requireFinite (nameof mean1) mean1

        if dimension = 0 then
            invalidArg (nameof mean0) "a mean must have at least one coordinate but has none"

        let c0, c1 = covariance (nameof covariance0) dimension covariance0, covariance (nameof covariance1) dimension covariance1
        let root0, root1 = root (nameof covariance0) c0, root (nameof covariance1) c1
        let shift = Array.fold2 (fun sum x y -> sum + (x - y) * (x - y)) 0.0 mean0 mean1
        // tr (C0^1/2 C1 C0^1/2)^1/2 is the sum of the singular values of C1^1/2 C0^1/2.
        let cross = (root1 * root0).Svd(false).S.Sum()
        sqrt (Math.Max(0.0, shift + c0.Trace() + c1.Trace() - 2.0 * cross))

    /// The mean of a sample, and its covariance (by weights, not corrected for the sample's size).
    let moments (sample: Sample) : struct (float[] * float[,]) =
        let mean = sample.Axes |> Array.map (fun axis -> Array.fold2 (fun sum x w -> sum + w * x) 0.0 axis sample.Masses)

        let entry j k =
            let mutable sum = 0.0

            for i in 0 .. sample.Count - 1 do
                sum <- sum + sample.Masses[i] * (sample.Axes[j].[i] - mean[j]) * (sample.Axes[k].[i] - mean[k])

            sum

        struct (mean, Array2D.init mean.Length mean.Length (fun j k -> entry (Math.Min(j, k)) (Math.Max(j, k))))

    /// The distance between the Gaussian laws that have the samples' means and covariances: at most W2 of the samples.
    /// Gelbrich 1990, "On a formula for the L2 Wasserstein metric between measures on Euclidean and Hilbert spaces".
    let betweenSamples (first: Sample) (second: Sample) : float =
        Sample.RequireSame(nameof second, first, second)
        let struct (m0, c0) = moments first
        let struct (m1, c1) = moments second
        distance (m0, c0) (m1, c1)

namespace ValueFlow.Core.Flows

open System
open MathNet.Numerics.LinearAlgebra
open ValueFlow.Core.Foundations

/// Square matrices as plain arrays, checked where they enter.
[<RequireQualifiedAccess>]
module internal Covariance =

    /// Throws an ArgumentException unless the matrix is size by size, finite, symmetric and positive semi-definite (to rounding).
    let require (name: string) (size: int) (matrix: float[,]) : unit =
        if Array2D.length1 matrix <> size || Array2D.length2 matrix <> size then
            invalidArg name $"shape must be [{size}, {size}] but is [{Array2D.length1 matrix}, {Array2D.length2 matrix}]"

        matrix
        |> Array2D.iteri (fun i j value ->
            if not (Double.IsFinite value) then
                invalidArg name $"entry ({i}, {j}) must be finite but is {value}"

            if abs (value - matrix[j, i]) > 1e-12 * (abs value + abs matrix[j, i]) then
                invalidArg name $"must be symmetric but entry ({i}, {j}) is {value} and ({j}, {i}) is {matrix[j, i]}")

        let eigenvalues =
            (Matrix.Build.DenseOfArray matrix).Evd(Symmetricity.Symmetric).EigenValues |> Seq.map _.Real |> Array.ofSeq

        let scale = eigenvalues |> Array.fold (fun most value -> Math.Max(most, abs value)) 0.0
        let least = Array.min eigenvalues

        if least < -1e-10 * scale then
            invalidArg name $"must be positive semi-definite but has the eigenvalue {least}"

    /// A root R with R R' = matrix, for semi-definite matrices too.
    let root (matrix: float[,]) : float[,] =
        let parts = (Matrix.Build.DenseOfArray matrix).Evd(Symmetricity.Symmetric)

        parts.EigenVectors.MapIndexed(fun _ j value -> value * sqrt (Math.Max(0.0, parts.EigenValues[j].Real))).ToArray()

    /// x = mean + R e for standard normal e.
    let draw (generator: Generator) (mean: float[]) (root: float[,]) : float[] =
        let noise = Array.init mean.Length (fun _ -> Sampling.normal generator)
        Array.init mean.Length (fun i -> mean[i] + Seq.sum (Seq.init mean.Length (fun j -> root[i, j] * noise[j])))

/// A normal law on R^d; its covariance may be singular.
[<NoComparison; NoEquality>]
type GaussianLaw =
    internal
        {
            mean: float[]
            covariance: float[,]
        }

    /// The number of coordinates.
    member this.Dimension = this.mean.Length
    /// The mean, (d).
    member this.Mean = Array.copy this.mean
    /// The covariance, (d, d).
    member this.Covariance = Array2D.copy this.covariance

/// Makes normal laws.
[<RequireQualifiedAccess>]
module GaussianLaw =

    /// The normal law with a mean (d) and a covariance (d, d), symmetric and positive semi-definite; throws an ArgumentException otherwise.
    let create (mean: float[]) (covariance: float[,]) : GaussianLaw =
        if mean.Length = 0 then
            invalidArg (nameof mean) "must have at least one coordinate but has none"

        Shape.requireFinite (nameof mean) mean
        Covariance.require (nameof covariance) mean.Length covariance
        { mean = Array.copy mean; covariance = Array2D.copy covariance }

    /// N(mean, deviation^2 I).
    let isotropic (mean: float[]) (deviation: float) : GaussianLaw =
        if not (deviation >= 0.0 && Double.IsFinite deviation) then
            invalidArg (nameof deviation) $"must be finite and not negative but is {deviation}"

        create mean (Array2D.init mean.Length mean.Length (fun i j -> if i = j then deviation * deviation else 0.0))

    /// N(0, I) on R^d.
    let standard (dimension: int) : GaussianLaw =
        if dimension < 1 then
            invalidArg (nameof dimension) $"must be positive but is {dimension}"

        isotropic (Array.zeroCreate dimension) 1.0

    let private factor (name: string) (law: GaussianLaw) =
        try
            (Matrix.Build.DenseOfArray law.covariance).Cholesky()
        with :? ArgumentException ->
            invalidArg name "covariance must be positive definite but is singular"

    /// KL(p || q) = 1/2 [ tr(C_q^-1 C_p) - d + (m_q - m_p)' C_q^-1 (m_q - m_p) + log det C_q - log det C_p ]; both covariances must be positive definite.
    let divergence (p: GaussianLaw) (q: GaussianLaw) : float =
        Shape.requireLength (nameof q) p.Dimension q.Dimension
        let factorP, factorQ = factor (nameof p) p, factor (nameof q) q
        let gap = Vector.Build.DenseOfArray(Array.map2 (-) q.mean p.mean)
        let trace = factorQ.Solve(Matrix.Build.DenseOfArray p.covariance).Trace()

        0.5
        * (trace - float p.Dimension + gap.DotProduct(factorQ.Solve gap) + factorQ.DeterminantLn - factorP.DeterminantLn)

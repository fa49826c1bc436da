namespace ValueFlow.Core.Values

open System
open MathNet.Numerics.LinearAlgebra
open MathNet.Numerics.LinearAlgebra.Double
open ValueFlow.Core.Foundations

/// Least squares with weights: for features Phi and weights w &gt;= 0 of the places, the theta that minimises sum over i of w(i) (y(i) - &lt;phi(i), theta&gt;)^2. One factorisation
/// sqrt(w) Phi = Q R serves any number of targets. Gauss 1809; Aitken 1936, "On least squares and linear combinations of observations".
[<Sealed>]
type LeastSquares private (features: Features, weights: float[], roots: float[], q: Matrix<float>, r: Matrix<float>) =

    let metric = Metric.weightedEuclidean weights

    /// The features.
    member _.Features = features
    /// For each place its weight.
    member _.Weights: ReadOnlySpan<float> = ReadOnlySpan weights
    /// The norm in which Phi theta is nearest.
    member _.Metric = metric
    member internal _.Roots = roots
    member internal _.Q = q
    member internal _.R = r

    /// The least squares of features and weights, one for each place. Throws an ArgumentException where a weight is negative or not finite, and where the features are not independent on the
    /// places that have weight.
    static member Create(features: Features, weights: float[]) : LeastSquares =
        Shape.requireLength (nameof weights) features.Places weights.Length

        match weights |> Array.tryFindIndex (fun w -> not (w >= 0.0 && Double.IsFinite w)) with
        | Some i -> invalidArg (nameof weights) $"the weight of place {i} must be finite and not negative but is {weights[i]}"
        | None -> ()

        let roots = weights |> Array.map sqrt

        match Features.Dependent(features.Rows, roots) with
        | -1 -> ()
        | j ->
            invalidArg
                (nameof weights)
                $"features must be independent on the places that have weight, but feature {j} is a combination of those before it there"

        let scaled = DenseMatrix.Create(features.Places, features.Count, fun i j -> roots[i] * features.Rows[i].[j])

        let factors = scaled.QR Factorization.QRMethod.Thin
        LeastSquares(features, Array.copy weights, roots, factors.Q, factors.R)

    /// theta: the weights of the features that fit the target best. The target is finite where there is weight; elsewhere it is not read.
    member _.Fit(target: float[]) : float[] =
        Shape.requireLength (nameof target) features.Places target.Length

        for i in 0 .. target.Length - 1 do
            if roots[i] > 0.0 && not (Double.IsFinite target[i]) then
                invalidArg (nameof target) $"the target of place {i} must be finite but is {target[i]}"

        let scaled = DenseVector.Create(target.Length, fun i -> if roots[i] > 0.0 then roots[i] * target[i] else 0.0)
        r.Solve(q.TransposeThisAndMultiply scaled).ToArray()

    /// Pi y = Phi theta: the nearest function that the features can take.
    member this.Project(target: float[]) : float[] = features.Values(this.Fit target)

    /// Pi, with its claim: a projection does not expand in its own norm.
    member this.Operator: Operator<float[]> =
        Operator.create $"projection on {features.Count} features" Space.vectors this.Project
        |> Operator.claim { Metric = metric; Modulus = 1.0; Rounding = ValueNone; Source = "the theorem of Pythagoras" }

    /// The covariance of theta, by rows, when the targets are independent with the variances: (Phi' W Phi)^-1 Phi' W diag(variances) W Phi (Phi' W Phi)^-1. With weights 1 / variance it is the
    /// least of all unbiased linear estimates. Aitken 1936.
    member _.Covariance(variances: float[]) : float[,] =
        Shape.requireLength (nameof variances) features.Places variances.Length

        match variances |> Array.tryFindIndex (fun v -> not (v >= 0.0 && Double.IsFinite v)) with
        | Some i -> invalidArg (nameof variances) $"the variance of place {i} must be finite and not negative but is {variances[i]}"
        | None -> ()

        // theta = R^-1 Q' sqrt(W) y.
        let spread = DenseMatrix.Create(features.Places, features.Count, fun i j -> roots[i] * sqrt variances[i] * q[i, j])
        let half = r.Solve(spread.Transpose())
        half.TransposeAndMultiply(half).ToArray()

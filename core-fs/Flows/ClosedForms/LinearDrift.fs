namespace ValueFlow.Core.Flows

open System
open MathNet.Numerics.LinearAlgebra
open ValueFlow.Core.Foundations

/// A drift x -> A(t) x + c(t): normal laws stay normal under dX = (A X + c) dt + sqrt(2 e) dW.
[<NoComparison; NoEquality>]
type LinearDrift =
    {
        /// A(t), (d, d).
        Slope: float -> float[,]
        /// c(t), (d).
        Offset: float -> float[]
    }

/// Linear drifts: the exact ones of a normal pair, the laws they lead to, and how far apart two of them can take the same start.
[<RequireQualifiedAccess>]
module LinearDrift =

    let private matrix (values: float[,]) = Matrix<float>.Build.DenseOfArray values
    let private vector (values: float[]) = Vector<float>.Build.DenseOfArray values

    /// b + c s for a pair law of one component: b the velocity, s the score of x_t, c = share(t) (e forwards, -e backwards, 0 for the velocity alone).
    /// Throws an ArgumentException for a mixture.
    let ofNormal (interpolant: Interpolant) (law: PairLaw) (share: float -> float) : LinearDrift =
        Shape.requireLength "components of the pair law" 1 law.pairs.Length
        let pair = law.pairs[0]

        let parts (t: float) =
            let n = Interpolant.at interpolant t
            let first, last, cross = matrix pair.FirstCovariance, matrix pair.LastCovariance, matrix pair.Cross
            let identity = Matrix<float>.Build.DenseIdentity law.Dimension
            let withStart = n.Alpha * first + n.Beta * cross
            let withLast = n.Alpha * cross.Transpose() + n.Beta * last
            let covariance = n.Alpha * withStart + n.Beta * withLast + n.Gamma * n.Gamma * identity
            let gain = n.AlphaRate * withStart + n.BetaRate * withLast + (n.GammaProduct - share t) * identity

            if not (Seq.forall Double.IsFinite (gain.Enumerate())) then
                invalidArg (nameof t) $"must be a time with a finite drift but is {t}"

            // gain C^-1 = (C^-1 gain')' for a symmetric C.
            let slope = (covariance.Cholesky().Solve(gain.Transpose())).Transpose()
            let mean = n.Alpha * vector pair.First + n.Beta * vector pair.Last
            let rate = n.AlphaRate * vector pair.First + n.BetaRate * vector pair.Last
            struct (slope, rate - slope * mean)

        {
            Slope =
                fun t ->
                    let struct (slope, _) = parts t
                    slope.ToArray()
            Offset =
                fun t ->
                    let struct (_, offset) = parts t
                    offset.ToArray()
        }

    /// The law at <c>last</c> of dX = (A X + c) dt + sqrt(2 e) dW that starts from a normal law at <c>first</c> &lt; last: m' = A m + c,
    /// C' = A C + C A' + 2 e I, by the classical Runge-Kutta method in equal steps.
    let transport
        (drift: LinearDrift)
        (level: float -> float)
        (first: float)
        (last: float)
        (steps: int)
        (start: GaussianLaw)
        : GaussianLaw =
        if steps < 1 then
            invalidArg (nameof steps) $"must be positive but is {steps}"

        let identity = Matrix<float>.Build.DenseIdentity start.Dimension

        let rate t (struct (mean: Vector<float>, covariance: Matrix<float>)) =
            let slope = matrix (drift.Slope t)
            struct (slope * mean + vector (drift.Offset t), slope * covariance + covariance * slope.Transpose() + 2.0 * level t * identity)

        let moved
            (struct (mean: Vector<float>, covariance: Matrix<float>))
            (h: float)
            (struct (dMean: Vector<float>, dCovariance: Matrix<float>))
            =
            struct (mean + h * dMean, covariance + h * dCovariance)

        let h = (last - first) / float steps

        let step state n =
            let t = first + h * float n
            let a = rate t state
            let b = rate (t + h / 2.0) (moved state (h / 2.0) a)
            let c = rate (t + h / 2.0) (moved state (h / 2.0) b)
            let d = rate (if n = steps - 1 then last else t + h) (moved state h c)
            moved (moved (moved (moved state (h / 6.0) a) (h / 3.0) b) (h / 3.0) c) (h / 6.0) d

        let struct (mean, covariance) = Seq.fold step struct (vector start.mean, matrix start.covariance) (seq { 0 .. steps - 1 })
        GaussianLaw.create (mean.ToArray()) ((0.5 * (covariance + covariance.Transpose())).ToArray())

    /// int (1/(4 e(t))) E |b(x_t) - b'(x_t)|^2 dt over [first, last], x_t under the exact process (its normal law at t is given): an upper bound of
    /// KL(exact || other) at <c>last</c> for two drifts with the same noise sqrt(2 e), e > 0, from the same start (Girsanov). Simpson's rule with 2 steps points.
    let divergenceBound
        (level: float -> float)
        (marginal: float -> GaussianLaw)
        (exact: LinearDrift)
        (other: LinearDrift)
        (first: float)
        (last: float)
        (steps: int)
        : float =
        if steps < 1 then
            invalidArg (nameof steps) $"must be positive but is {steps}"

        let integrand t =
            let e = level t

            if not (e > 0.0) then
                invalidArg (nameof level) $"must be positive but is {e} at t = {t}"

            let law = marginal t
            let slope = matrix (other.Slope t) - matrix (exact.Slope t)
            let gap = slope * vector law.mean + vector (other.Offset t) - vector (exact.Offset t)
            (gap.DotProduct gap + (slope * matrix law.covariance * slope.Transpose()).Trace()) / (4.0 * e)

        let h = (last - first) / float (2 * steps)

        let weight n =
            if n = 0 || n = 2 * steps then 1.0
            elif n % 2 = 1 then 4.0
            else 2.0

        h / 3.0
        * Seq.sum (seq { for n in 0 .. 2 * steps -> weight n * integrand (if n = 2 * steps then last else first + h * float n) })

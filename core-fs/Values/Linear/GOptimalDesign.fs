namespace ValueFlow.Core.Values

open System
open System.Threading
open MathNet.Numerics.LinearAlgebra
open MathNet.Numerics.LinearAlgebra.Double
open ValueFlow.Core.Foundations

/// Shares of the places of features, at which to measure.
type OptimalDesign =
    {
        /// rho: for each place its share.
        Shares: float[]
        /// g(rho) = max over i of phi(i)' G^-1 phi(i), G = sum over i of rho(i) phi(i) phi(i)': the largest variance of a fitted value, for one measurement's worth of noise.
        Largest: float
        /// Changes of the shares.
        Steps: int
    }

    /// The places that have a share: the core set.
    member this.Core: int[] =
        [|
            for i in 0 .. this.Shares.Length - 1 do
                if this.Shares[i] > 0.0 then
                    i
        |]

/// Designs that keep the worst variance of a fitted value small. Kiefer and Wolfowitz 1960, "The equivalence of two extremum problems": the least g(rho) is d, the number of (independent) features,
/// and the designs that reach it are those that maximise log det G.
[<RequireQualifiedAccess>]
module GOptimalDesign =

    let private informationOf (features: Features) (shares: float[]) : Matrix<float> =
        let d = features.Count
        let g = DenseMatrix.Create(d, d, 0.0)

        for i in 0 .. features.Places - 1 do
            if shares[i] > 0.0 then
                let row = features.Rows[i]

                for a in 0 .. d - 1 do
                    for b in 0 .. d - 1 do
                        g[a, b] <- g[a, b] + shares[i] * row[a] * row[b]

        g

    let private variance (inverse: Matrix<float>) (row: float[]) =
        let mutable sum = 0.0

        for a in 0 .. row.Length - 1 do
            let mutable inner = 0.0

            for b in 0 .. row.Length - 1 do
                inner <- inner + inverse[a, b] * row[b]

            sum <- sum + row[a] * inner

        sum

    /// phi(i)' G^-1 phi(i) for each place: the variances of fitted values under shares that are not negative. Throws an ArgumentException where the places with a share do not determine the weights.
    let variances (features: Features) (shares: float[]) : float[] =
        // Fails as least squares do.
        let least = LeastSquares.Create(features, shares)
        let inverse = (least.R.TransposeThisAndMultiply least.R).Inverse()
        features.Rows |> Array.map (variance inverse)

    /// A design with g(rho) &lt;= d (1 + tolerance), by the method of Frank and Wolfe with steps towards the place of the largest variance, and away from that of the least: Fedorov 1972, "Theory of optimal
    /// experiments"; Atwood 1973, "Sequences converging to D-optimal designs of experiments". It starts from a share for every place that adds a direction, and ends with few. The tolerance is
    /// positive; an InvalidOperationException after <c>most</c> steps, an OperationCanceledException if it is cancelled.
    let design (tolerance: float) (most: int) (cancellation: CancellationToken) (features: Features) : OptimalDesign =
        if not (tolerance > 0.0 && Double.IsFinite tolerance) then
            invalidArg (nameof tolerance) $"tolerance must be positive and finite but is {tolerance}"

        if most < 1 then
            invalidArg (nameof most) $"most must be at least 1 but is {most}"

        let n, d = features.Places, features.Count
        let size = float d
        let shares = Array.create n (1.0 / float n)
        let mutable inverse = (informationOf features shares).Inverse()
        let mutable steps = 0
        let mutable variances = features.Rows |> Array.map (variance inverse)
        let mutable largest = Array.max variances

        while largest > size * (1.0 + tolerance) do
            cancellation.ThrowIfCancellationRequested()

            if steps = most then
                invalidOp $"a design within {tolerance} of {d} must be found in {most} steps but the largest variance is still {largest}"

            let up = Array.IndexOf(variances, largest)
            let mutable down = -1

            for i in 0 .. n - 1 do
                if shares[i] > 0.0 && (down < 0 || variances[i] < variances[down]) then
                    down <- i

            // The step that maximises log det along the line; away from a place no further than its share allows.
            let rising = largest - size >= size - variances[down]
            let place = if rising then up else down
            let g = variances[place]

            let step =
                if rising then
                    (g / size - 1.0) / (g - 1.0)
                else
                    let furthest = -shares[place] / (1.0 - shares[place])
                    if g > 1.0 then Math.Max((g / size - 1.0) / (g - 1.0), furthest) else furthest

            for i in 0 .. n - 1 do
                shares[i] <- (1.0 - step) * shares[i]

            shares[place] <- if step < 0.0 && shares[place] + step < 1e-15 then 0.0 else shares[place] + step
            steps <- steps + 1

            // Sherman and Morrison; from scratch now and then, for what rounding adds up to.
            if steps % 50 = 0 || step > 0.99 then
                let total = Array.sum shares

                for i in 0 .. n - 1 do
                    shares[i] <- shares[i] / total

                inverse <- (informationOf features shares).Inverse()
            else
                let scaled: Matrix<float> = inverse / (1.0 - step)
                let direction: Vector<float> = scaled * DenseVector.OfArray features.Rows[place]
                inverse <- scaled - (direction.OuterProduct direction) * (step / (1.0 + step * (g / (1.0 - step))))

            for i in 0 .. n - 1 do
                variances[i] <- variance inverse features.Rows[i]

            largest <- Array.max variances

        { Shares = shares; Largest = largest; Steps = steps }

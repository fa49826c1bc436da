namespace ValueFlow.Core.Returns

open System
open MathNet.Numerics.LinearAlgebra
open ValueFlow.Core.Foundations

/// A comparison of two segments of behaviour: the difference of their feature sums, and whether the first was preferred.
[<Struct>]
type Comparison =
    {
        /// Features of the first segment less those of the second, each summed over its steps (d).
        Difference: float[]
        /// True if the first was preferred.
        FirstPreferred: bool
    }

/// A reward that is linear in features, learned from comparisons.
type BradleyTerryFit =
    {
        /// theta (d): the reward of features phi is phi . theta.
        Weights: float[]
        /// The inverse of the information -Hessian (d, d): how uncertain theta is.
        Covariance: float[][]
        /// sum of log P(label) - l |theta|^2 / 2 at theta.
        LogLikelihood: float
        /// Newton's steps.
        Steps: int
    }

    /// sqrt(phi^T Covariance phi): how little comparisons say of the reward of features phi; times a factor it is an optimist's bonus.
    member this.Width(feature: float[]) : float =
        Shape.requireLength (nameof feature) this.Weights.Length feature.Length
        let image = this.Covariance |> Array.map (fun row -> Array.fold2 (fun sum a b -> sum + a * b) 0.0 row feature)
        Math.Sqrt(Math.Max(0.0, Array.fold2 (fun sum a b -> sum + a * b) 0.0 image feature))

/// Rewards from preferences, P(first preferred) = 1 / (1 + exp(-(Phi_1 - Phi_2) . theta)). Bradley and Terry 1952, "Rank analysis of incomplete block designs";
/// Christiano et al. 2017, "Deep reinforcement learning from human preferences".
[<RequireQualifiedAccess>]
module BradleyTerry =

    // log(1 + e^x), for any x.
    let private softplus (x: float) = Math.Max(x, 0.0) + Math.Log(1.0 + Math.Exp(-abs x))

    /// P(first preferred) for the difference of features and weights.
    let probability (weights: float[]) (difference: float[]) : float =
        Shape.requireLength (nameof difference) weights.Length difference.Length
        1.0 / (1.0 + Math.Exp(-Array.fold2 (fun sum a b -> sum + a * b) 0.0 weights difference))

    /// sum of log P(label) - l |theta|^2 / 2.
    let logLikelihood (ridge: float) (comparisons: Comparison[]) (weights: float[]) : float =
        let mutable sum = 0.0

        for comparison in comparisons do
            let margin = Array.fold2 (fun sum a b -> sum + a * b) 0.0 weights comparison.Difference
            sum <- sum - softplus (if comparison.FirstPreferred then -margin else margin)

        sum - 0.5 * ridge * Array.sumBy (fun w -> w * w) weights

    /// The weights of largest likelihood, less l |theta|^2 / 2 for a ridge l &gt; 0, by Newton's method with halved steps: a ridge keeps directions that no comparison tells apart at zero, and
    /// separable labels finite. Throws an ArgumentException for no comparison, and for differences of unequal length or with entries that are not finite.
    let fit (ridge: float) (comparisons: Comparison[]) : BradleyTerryFit =
        Argument.positive (nameof ridge) ridge

        if comparisons.Length = 0 then
            invalidArg (nameof comparisons) "there must be at least one comparison but there is none"

        let d = comparisons[0].Difference.Length

        for comparison in comparisons do
            Shape.requireLength (nameof comparisons) d comparison.Difference.Length
            Shape.requireFinite (nameof comparisons) comparison.Difference

        let derivatives (weights: float[]) =
            let gradient = weights |> Array.map (fun w -> -ridge * w)
            let information = Array2D.init d d (fun i j -> if i = j then ridge else 0.0)

            for comparison in comparisons do
                let delta = comparison.Difference
                let p = probability weights delta
                let surprise = (if comparison.FirstPreferred then 1.0 else 0.0) - p

                for i in 0 .. d - 1 do
                    gradient[i] <- gradient[i] + surprise * delta[i]

                    for j in 0 .. d - 1 do
                        information[i, j] <- information[i, j] + p * (1.0 - p) * delta[i] * delta[j]

            struct (gradient, Matrix<float>.Build.DenseOfArray information)

        let rec climb (weights: float[]) (value: float) (steps: int) =
            let struct (gradient, information) = derivatives weights
            let direction = (information.Cholesky().Solve(Vector<float>.Build.DenseOfArray gradient)).ToArray()
            let decrement = Array.fold2 (fun sum a b -> sum + a * b) 0.0 gradient direction

            let rec search share =
                let candidate = Array.map2 (fun w step -> w + share * step) weights direction
                let found = logLikelihood ridge comparisons candidate

                // Armijo 1966.
                if found >= value + 1e-4 * share * decrement then ValueSome(struct (candidate, found))
                elif share < 1e-10 then ValueNone
                else search (0.5 * share)

            // The decrement is twice what a quadratic would still gain.
            if decrement <= 1e-14 * (1.0 + abs value) || steps >= 100 then
                struct (weights, value, steps, information)
            else
                match search 1.0 with
                | ValueSome(struct (candidate, found)) -> climb candidate found (steps + 1)
                | ValueNone -> struct (weights, value, steps, information)

        let start = Array.zeroCreate d
        let struct (weights, value, steps, information) = climb start (logLikelihood ridge comparisons start) 0

        {
            Weights = weights
            Covariance = (information.Inverse()).ToRowArrays()
            LogLikelihood = value
            Steps = steps
        }

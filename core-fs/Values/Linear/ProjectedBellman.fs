namespace ValueFlow.Core.Values

open System
open System.Threading
open MathNet.Numerics.LinearAlgebra
open MathNet.Numerics.LinearAlgebra.Double
open ValueFlow.Core.Foundations

/// What is known of a fixed point of a projected operator, in the norm of its weights.
type ProjectedSolution =
    {
        /// theta: the weights of the features.
        Weights: float[]
        /// Phi theta: for each state its approximate value.
        Values: float[]
        /// The number by which the projected operator contracts; infinite or at least one if it does not.
        Modulus: float
        /// ||V - Pi V||: no function of the features is nearer to the policy's values.
        LeastError: float
        /// ||V - Phi theta||.
        Error: float
        /// (1 / sqrt(1 - k^2)) ||V - Pi V||, which the error does not exceed; infinite where the operator does not contract.
        ErrorBound: float
    }

/// Pi T_l for a policy: the operator of TD(l), brought back to the functions that features span by the projection that is nearest in the norm
/// ||V||^2 = sum over s of mu(s) V(s)^2. Its linear part is Pi A with A = (1 - l) W (I - l W)^-1, W = gamma P.
///
/// Its modulus in that norm is the norm of Pi A, computed: the largest singular value of d x S numbers. Where the policy keeps mu (mu P = mu) it is at most
/// gamma (1 - l) / (1 - gamma l); elsewhere it may exceed one, the iteration may diverge, and nothing is claimed. Tsitsiklis and Van Roy 1997, "An analysis of temporal-difference learning with
/// function approximation".
[<Sealed>]
type ProjectedBellman
    private
    (
        least: LeastSquares,
        discount: float,
        lambda: float,
        // The weights of Pi T_l x are start + step x.
        start: float[],
        step: Matrix<float>,
        norm: float,
        bound: float,
        exact: Lazy<float[]>,
        name: string
    ) =

    static let source = "Tsitsiklis and Van Roy 1997, An analysis of temporal-difference learning with function approximation"

    let features = least.Features
    let modulus = Math.Min(norm, bound)
    let weightsOf (values: float[]) = (DenseVector.OfArray start + step * DenseVector.OfArray values).ToArray()

    let apply (values: float[]) =
        Shape.requireLength (nameof values) features.Places values.Length
        features.Values(weightsOf values)

    let operator =
        let plain = Operator.create name Space.vectors apply

        if modulus < 1.0 then
            plain |> Operator.claim { Metric = least.Metric; Modulus = modulus; Rounding = ValueNone; Source = source }
        else
            plain

    // x -> M x on weights, M = step Phi: what an iteration does from one fit to the next.
    let inner = lazy (step * features.Matrix)

    /// The features.
    member _.Features = features
    /// mu and the projection in its norm.
    member _.Projection = least
    /// The discount.
    member _.Discount = discount
    /// l: how far traces reach; 0 for single backups, 1 for whole returns.
    member _.Lambda = lambda
    /// Pi T_l on values (S), with its claim if it contracts. The value of a terminal state is not read: it is zero.
    member _.Operator = operator
    /// The modulus in the norm of mu, rounded up: the operator contracts by it if it is below one, and a pair of points exists for which it is met (but for rounding).
    member _.Modulus = modulus
    /// g (1 - l) / (1 - g l) with a g that W does not exceed in the norm: gamma where the policy keeps mu, sqrt(gamma) where mu is its law of discounted visits. Infinite if g l >= 1.
    member _.ModulusBound = bound

    /// The growth of an iteration from step to step in the long run: the largest |eigenvalue| of the map of weights. Below one exactly where it converges from everywhere.
    member _.Growth: float = inner.Value.Evd().EigenValues |> Seq.map _.Magnitude |> Seq.max

    /// From weights to weights: theta -> the fit of T_l Phi theta.
    member _.Step(weights: float[]) : float[] =
        Shape.requireLength (nameof weights) features.Count weights.Length
        weightsOf (features.Values weights)

    /// V: the values of the policy, by a linear solve.
    member _.Exact: float[] = Array.copy exact.Value

    /// The theta with Phi theta = Pi T_l Phi theta: LSTD(l) of the model, by a linear solve. An InvalidOperationException says that there is not one such point.
    /// Bradtke and Barto 1996, "Linear least-squares algorithms for temporal difference learning"; Boyan 2002, "Technical update: least-squares temporal difference learning".
    member _.Solve() : ProjectedSolution =
        let matrix = DenseMatrix.CreateIdentity features.Count - inner.Value
        let singular = matrix.Svd(false).S

        if not (singular[features.Count - 1] > 1e-12 * Math.Max(1.0, singular[0])) then
            invalidOp
                $"the projected equation must have one solution but is singular: its least singular value is {singular[features.Count - 1]}"

        let weights = matrix.Solve(DenseVector.OfArray start).ToArray()
        let values = features.Values weights
        let distance = least.Metric.Distance
        let nearest = distance exact.Value (least.Project exact.Value)

        {
            Weights = weights
            Values = values
            Modulus = modulus
            LeastError = nearest
            Error = distance exact.Value values
            ErrorBound = if modulus < 1.0 then nearest / sqrt (1.0 - modulus * modulus) else infinity
        }

    /// The projected operator of a model, a discount in [0, 1), a policy, l in [0, 1], features of the states (those of terminal states zero: <c>Features.OfStates</c>) and weights mu >= 0 of
    /// the states (<c>StateWeights</c>). Throws an ArgumentException for an interval model, for features of a terminal state, and where features are not independent on the states that have weight.
    static member Create
        (model: Model, discount: float, policy: Policy, lambda: float, features: Features, weights: float[], cancellation: CancellationToken) : ProjectedBellman =
        if not (lambda >= 0.0 && lambda <= 1.0) then
            invalidArg (nameof lambda) $"lambda must lie in [0, 1] but is {lambda}"

        if model.IsInterval then
            invalidArg (nameof model) "the model must have probabilities but has intervals"

        if features.Places <> model.StateCount then
            invalidArg (nameof features) $"features must be those of {model.StateCount} states but are of {features.Places}"

        for s in 0 .. model.StateCount - 1 do
            if model.IsTerminal s then
                match features.Rows[s] |> Array.tryFindIndex (fun x -> x <> 0.0) with
                | Some j -> invalidArg (nameof features) $"feature {j} of the terminal state {s} must be 0 but is {features.Rows[s].[j]}"
                | None -> ()

        let least = LeastSquares.Create(features, weights)
        let chain = PolicyTransitions(model, discount, policy)
        let count, width = model.StateCount, features.Count
        let roots = least.Roots

        // The rows of Q' sqrt(D) A: A' sqrt(D) q for each direction q.
        let directions = Array.init width (fun j -> Array.init count (fun s -> roots[s] * least.Q[s, j]))

        let carried =
            chain.TransposedSolve(lambda, directions, cancellation)
            |> Array.map (fun y -> chain.TransposedTimes y |> Array.map (fun x -> (1.0 - lambda) * x))

        let g = chain.NormBound weights * (1.0 + 1e-13)
        // What the states that have weight are told by states that have none has no bound; where they are told nothing, what is left is rounding.
        let closed = g < infinity || lambda = 1.0

        let backup = DenseMatrix.Create(width, count, fun j s -> if closed && roots[s] = 0.0 then 0.0 else carried[j].[s])

        // The norm of Q' sqrt(D) A sqrt(D)^-1: the root of the largest eigenvalue of d x d numbers, rounded up for what the factorisations round.
        let norm =
            if not closed then
                infinity
            else
                let scaled = DenseMatrix.Create(width, count, fun j s -> if roots[s] > 0.0 then backup[j, s] / roots[s] else 0.0)
                let largest = (scaled.TransposeAndMultiply scaled).Svd(false).S[0]
                sqrt largest * (1.0 + 1e-12 * float (width + count)) + 1e-14

        let bound = if g * lambda < 1.0 then g * (1.0 - lambda) / (1.0 - g * lambda) + 1e-14 else infinity

        let right = (chain.Solve(lambda, [| chain.Rewards |], cancellation))[0]
        let fit (rows: Matrix<float>) = least.R.Solve rows
        let start = least.Fit right

        let exact = lazy (if lambda = 1.0 then right else (chain.Solve(1.0, [| chain.Rewards |], CancellationToken.None))[0])

        let name = $"projected TD({lambda})[{features.Count} features, {discount}]"
        ProjectedBellman(least, discount, lambda, start, fit backup, norm, bound, exact, name)

    /// The weights of the least Bellman residual, ||T Phi theta - Phi theta||, in the norm of mu, and that residual: always to be had, though seldom the better choice. Its values are within
    /// residual / (1 - g) of the policy's, where W does not exceed g in the norm. Baird 1995, "Residual algorithms: reinforcement learning with function approximation"; Scherrer 2010, "Should one
    /// compute the temporal difference fix point or minimize the Bellman residual?".
    static member LeastResidual
        (model: Model, discount: float, policy: Policy, features: Features, weights: float[])
        : struct (float[] * float) =
        if model.IsInterval then
            invalidArg (nameof model) "the model must have probabilities but has intervals"

        Shape.requireLength (nameof features) model.StateCount features.Places
        let chain = PolicyTransitions(model, discount, policy)
        // (I - W) Phi, column by column.
        let columns =
            Array.init features.Count (fun j ->
                let column = features.Rows |> Array.map (fun row -> row[j])
                Array.map2 (-) column (chain.Times column))

        let differences = Features.OfFunction(model.StateCount, fun s -> columns |> Array.map (fun column -> column[s]))
        let least = LeastSquares.Create(differences, weights)
        let theta = least.Fit chain.Rewards
        struct (theta, least.Metric.Distance chain.Rewards (differences.Values theta))

namespace ValueFlow.Core.Values

open System
open System.Threading
open ValueFlow.Core.Foundations

/// What the conservative operator of a policy says of it.
type ConservativeSolution =
    {
        /// For each row Q(s, a): the worth of an action, if the policy's likeliest actions follow.
        ActionValues: float[]
        /// sup |ActionValues - exact| is at most this; infinite without a certificate.
        Bound: float
        /// For each state the policy's likeliest action, the lowest number among equals; -1 in a terminal state.
        Followed: int[]
        /// For each state the worth of following those: Q(s, Followed(s)), zero in a terminal state.
        Values: float[]
        /// For each state the action that is best by the action values, the lowest number among equals; -1 in a terminal state. Nowhere worse than Followed, rounding aside.
        Improved: int[]
        /// What stands behind the bound.
        Certificate: Certificate
        /// Why the run ended.
        Outcome: Outcome
        /// Applications of the operator.
        Sweeps: int
    }

/// Bellman operators on action values that look ahead along a policy q which is known already, a pre-trained model, say, in place of the maximum:
///
/// (B^q Q)(s, a) = sum over s' of P (r + gamma Q(s', argmax over b of q(b | s'))).
///
/// Ties of q go to the lowest action, once and for all. Its inverse T^q turns action values into the rewards for which they are right.
/// Yu, Tao, Chen, Sun and Yang 2024, "B-Coder: value-based deep reinforcement learning for program synthesis".
[<RequireQualifiedAccess>]
module ConservativeBellman =

    let private source = "Yu, Tao, Chen, Sun and Yang 2024, B-Coder"

    /// For each state the row of the action that q is likeliest to take, the first among equals; -1 in a terminal state.
    let followed (model: Model) (policy: Policy) : int[] =
        Shape.requireLength (nameof policy) model.RowCount policy.Rows.Length
        ActionValues.greedyRows Direction.Maximise model policy.Rows

    let private backed (kernel: Kernel) (rows: int[]) (rewards: float[]) (largest: float) : Operator<float[]> =
        let model = kernel.Model
        let struct (least, most) = kernel.MassFactors

        Operator.create $"conservative({kernel.Discount})" Space.vectors (fun actionValues ->
            Shape.requireLength (nameof actionValues) model.RowCount actionValues.Length
            Array.init model.RowCount (ActionValues.backup kernel rewards (ActionValues.at rows actionValues)))
        |> Operator.claim
            {
                Metric = Metric.sup
                Modulus = most
                // One row is summed as an expectation is.
                Rounding = ValueSome(fun q -> Expectation().Rounding(kernel, Math.Max(largest, kernel.Magnitude q)))
                Source = source
            }
        |> Operator.monotone
        |> Operator.translating (if kernel.HasTerminals then 0.0 else least) most

    /// B^q on action values, one for each row. It is monotone and contracts by the discount in the sup norm; its fixed point is the action values of the policy that takes q's
    /// likeliest actions, which no optimum is below. The model has probabilities, not intervals; the discount lies in [0, 1) (ArgumentException).
    let operator (model: Model) (discount: float) (policy: Policy) : Operator<float[]> =
        let kernel = ActionValues.kernel "the conservative operator" model discount
        backed kernel (followed model policy) kernel.RowRewards 0.0

    /// (T^q Q)(s, a) = Q(s, a) - gamma sum over s' of P Q(s', argmax q): the mean reward of each row for which Q is the fixed point of B^q. A bijection, undone by
    /// <c>actionValues</c>. A trajectory is ranked by the sum of these.
    let inverse (model: Model) (discount: float) (policy: Policy) (actionValues: float[]) : float[] =
        Shape.requireLength (nameof actionValues) model.RowCount actionValues.Length
        Shape.requireFinite (nameof actionValues) actionValues
        let kernel = ActionValues.kernel "the inverse of the conservative operator" model discount
        let values = ActionValues.at (followed model policy) actionValues
        let none = Array.zeroCreate model.RowCount
        Array.init model.RowCount (fun row -> actionValues[row] - ActionValues.backup kernel none values row)

    // The fixed point for mean rewards: by a linear solve for the followed rows, then by sweeps, which certify it.
    let private settle (options: RunOptions) (kernel: Kernel) (rows: int[]) (rewards: float[]) (largest: float) =
        RunOptions.require options
        let model = kernel.Model

        let write s (add: int -> float -> unit) =
            if rows[s] >= 0 then
                for k in model.offsets[rows[s]] .. model.offsets[rows[s] + 1] - 1 do
                    add model.successors[k] kernel.Weights[k]

        let right = ActionValues.at rows rewards
        let values = LinearEvaluation.solveRows model.StateCount write right (Array.copy right) options.Cancellation
        let start = Array.init model.RowCount (ActionValues.backup kernel rewards values)
        FixedPoint.picard options (backed kernel rows rewards largest) start

    /// The action values for which T^q gives the mean rewards of the rows: the fixed point of Q = rewards + gamma P Q(., argmax q), with its bound.
    /// Rewards that are no finite number are refused (ArgumentException).
    let actionValues
        (options: RunOptions)
        (model: Model)
        (discount: float)
        (policy: Policy)
        (rewards: float[])
        : FixedPointResult<float[]> =
        Shape.requireLength (nameof rewards) model.RowCount rewards.Length
        Shape.requireFinite (nameof rewards) rewards
        let kernel = ActionValues.kernel "the conservative operator" model discount
        settle options kernel (followed model policy) rewards (rewards |> Array.fold (fun most r -> Math.Max(most, abs r)) 0.0)

    /// The fixed point of B^q, and the decisions that are greedy by it: a step of policy improvement from q's likeliest actions.
    let solve (options: RunOptions) (direction: Direction) (model: Model) (discount: float) (policy: Policy) : ConservativeSolution =
        let kernel = ActionValues.kernel "the conservative operator" model discount
        let rows = followed model policy
        let point = settle options kernel rows kernel.RowRewards 0.0

        {
            ActionValues = point.Value
            Bound = point.Bound
            Followed = ActionValues.actionsOf model rows
            Values = ActionValues.at rows point.Value
            Improved = ActionValues.actionsOf model (ActionValues.greedyRows direction model point.Value)
            Certificate = point.Certificate
            Outcome = point.Outcome
            Sweeps = point.Applications
        }

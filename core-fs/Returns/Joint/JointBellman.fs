namespace ValueFlow.Core.Returns

open System
open System.Threading
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// Joint laws of returns after a number of steps.
type JointReturns =
    {
        /// For each state the joint law of what is earned within the horizon.
        Laws: JointTable
        /// For each state the probability that the episode goes on after the horizon: the laws are those of whole episodes where it is zero.
        Unfinished: float[]
    }

/// The distributional Bellman operator of several rewards on joint laws mu(s) on R^N:
///
///   (T mu)(s) = law of R + gamma Z(S'),  Z(s') ~ mu(s'),  the same transition earning all rewards.
///
/// Zhang, Chen, Zhao, Xiong, Qin and Liu 2021, "Distributional reinforcement learning for multi-dimensional reward functions".
[<RequireQualifiedAccess>]
module JointBellman =

    let private source = "Zhang et al. 2021, Distributional reinforcement learning for multi-dimensional reward functions"

    let internal requireDiscount (discount: float) =
        if not (discount >= 0.0 && discount <= 1.0) then
            invalidArg (nameof discount) $"discount must lie in [0, 1] but is {discount}"

    let internal requirePolicy (policy: Policy) (rewards: VectorRewards) =
        Shape.requireLength (nameof policy) rewards.Model.RowCount policy.Rows.Length

    let private requireTable (rewards: VectorRewards) (table: JointTable) =
        Shape.requireLength (nameof table) rewards.Model.StateCount table.Places

        if table.Dimension <> rewards.Count then
            invalidArg (nameof table) $"laws must be of {rewards.Count} returns but are of {table.Dimension}"

    // discount * continuation, and zero before a terminal state, after which nothing follows.
    let internal follows (discount: float) (model: Model) (transition: int) : float =
        if model.IsTerminal model.successors[transition] then
            0.0
        else
            discount * model.Continuation transition

    // The outcomes of a row as parts of a mixture, each with a share of the weight.
    let private parts (discount: float) (rewards: VectorRewards) (table: JointTable) (weight: float) (row: int) =
        let model = rewards.Model

        [|
            for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                let gamma = follows discount model k

                let law =
                    if gamma = 0.0 then
                        JointLaw.point (rewards.At k)
                    else
                        JointLaw.affine (rewards.At k) gamma (table.Law model.successors[k])

                struct (weight * model.probabilities[k], law)
        |]

    /// The joint law of R + gamma Z(S') after a row (a state with an action), by enumeration of its outcomes.
    let afterRow (discount: float) (rewards: VectorRewards) (table: JointTable) (row: int) : Sample =
        requireDiscount discount
        requireTable rewards table

        if row < 0 || row >= rewards.Model.RowCount then
            invalidArg (nameof row) $"row must lie in [0, {rewards.Model.RowCount}) but is {row}"

        JointLaw.mixture (parts discount rewards table 1.0 row)

    let private evaluate discount (policy: Policy) (rewards: VectorRewards) (table: JointTable) =
        requireTable rewards table
        let model = rewards.Model

        JointTable(
            Array.init model.StateCount (fun state ->
                if model.IsTerminal state then
                    JointLaw.point (Array.zeroCreate rewards.Count)
                else
                    [|
                        for row in model.rowOffsets[state] .. model.rowOffsets[state + 1] - 1 do
                            if policy.Rows[row] > 0.0 then
                                yield! parts discount rewards table policy.Rows[row] row
                    |]
                    |> JointLaw.mixture)
        )

    // The largest discount of a transition: what every metric of the claims is multiplied by, or by a power of.
    let private largest (discount: float) (model: Model) =
        let mutable found = 0.0

        for k in 0 .. model.TransitionCount - 1 do
            found <- Math.Max(found, follows discount model k)

        found

    /// The operator of a policy, exact: no projection, so that points may multiply. Claimed: gamma^(b/2) in the largest energy MMD over states for the exponent b in (0, 2) of the
    /// kernel -|x - y|^b, because that kernel is homogeneous and blind to shifts. It contracts by gamma in the largest W_p on R^N, too (tests measure it); no such
    /// modulus holds for a Gaussian kernel.
    let evaluation (exponent: float) (discount: float) (policy: Policy) (rewards: VectorRewards) : Operator<JointTable> =
        requireDiscount discount
        requirePolicy policy rewards

        Operator.create "joint Bellman" JointTable.space (evaluate discount policy rewards)
        |> Operator.claim
            {
                Metric = JointTable.energyMmd exponent
                Modulus = Math.Pow(largest discount rewards.Model, 0.5 * exponent) * (1.0 + 1e-15)
                Rounding = ValueNone
                Source = source
            }

    /// For each state the row whose law of R + gamma Z(S') has the largest sum of means, the first among equals; -1 in a terminal state.
    let greedyRows (discount: float) (rewards: VectorRewards) (table: JointTable) : int[] =
        requireDiscount discount
        requireTable rewards table
        let model = rewards.Model
        let values = Array.init model.StateCount (fun state -> Array.sum (JointLaw.mean (table.Law state)))

        Array.init model.StateCount (fun state ->
            let mutable best, most = -1, Double.NegativeInfinity

            for row in model.rowOffsets[state] .. model.rowOffsets[state + 1] - 1 do
                let mutable sum = 0.0

                for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                    sum <-
                        sum
                        + model.probabilities[k] * (Array.sum (rewards.At k) + follows discount model k * values[model.successors[k]])

                if sum > most then
                    best <- row
                    most <- sum

            best)

    /// The operator of control: in each state the law after the action with the largest sum of means. The sums of means follow the Bellman optimality operator of
    /// the summed rewards; the laws need not converge where greedy actions tie, so nothing is claimed.
    let optimality (discount: float) (rewards: VectorRewards) : Operator<JointTable> =
        requireDiscount discount

        Operator.create "joint Bellman optimality" JointTable.space (fun table ->
            JointTable(
                greedyRows discount rewards table
                |> Array.map (fun row ->
                    if row < 0 then
                        JointLaw.point (Array.zeroCreate rewards.Count)
                    else
                        afterRow discount rewards table row)
            ))

    /// The joint laws of what a policy earns within a horizon, by enumeration: T applied that many times to the law of zero. Throws an ArgumentException where a law has more than
    /// <c>mostPoints</c> points, and an OperationCanceledException.
    let withinHorizon
        (mostPoints: int)
        (cancellation: CancellationToken)
        (horizon: int)
        (discount: float)
        (policy: Policy)
        (rewards: VectorRewards)
        : JointReturns =
        requireDiscount discount
        requirePolicy policy rewards

        if horizon < 0 then
            invalidArg (nameof horizon) $"the horizon must not be negative but is {horizon}"

        let model = rewards.Model
        let mutable laws = JointTable.zero model.StateCount rewards.Count
        let mutable unfinished = Array.init model.StateCount (fun state -> if model.IsTerminal state then 0.0 else 1.0)

        for step in 1..horizon do
            cancellation.ThrowIfCancellationRequested()
            laws <- evaluate discount policy rewards laws

            unfinished <-
                Array.init model.StateCount (fun state ->
                    let mutable sum = 0.0

                    for row in model.rowOffsets[state] .. model.rowOffsets[state + 1] - 1 do
                        for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                            if follows 1.0 model k > 0.0 then
                                sum <- sum + policy.Rows[row] * model.probabilities[k] * unfinished[model.successors[k]]

                    sum)

            for state in 0 .. model.StateCount - 1 do
                if (laws.Law state).Count > mostPoints then
                    invalidArg
                        (nameof mostPoints)
                        $"laws must have at most {mostPoints} points but that of state {state} has {(laws.Law state).Count} after {step} steps"

        { Laws = laws; Unfinished = unfinished }

namespace ValueFlow.Core.Returns

open System
open System.Threading
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// Laws of returns, and how near they are to the true ones.
type ReturnSolution<'table when 'table :> ReturnTable> =
    {
        /// For each place the law of its return.
        Table: 'table
        /// The branches that were followed.
        Branches: Branches
        /// The metric of <c>Bound</c> and <c>Residual</c>.
        Metric: MetricKey
        /// The distance to the fixed point of the projected operator is at most this, rounding included; infinite for an estimate.
        Bound: float
        /// The smallest bound that rounding allows.
        Floor: float
        /// The distance between the last two tables.
        Residual: float
        /// The largest W_1 over places between the fixed point of the projected operator and the true laws is at most this; infinite where
        /// none is stated.
        Distortion: float
        /// What one more application moves to the ends of a support; nothing for other representations.
        Clipping: Clipping
        /// What stands behind <c>Bound</c>.
        Certificate: Certificate
        /// Applications of the operator.
        Applications: int
        /// Why the run stopped.
        Outcome: Outcome
        /// Residual and bound, application by application; thinned after the first thousand.
        History: Progress[]
    }

    /// The largest W_1 over places between the table and the true laws is at most this: infinite unless a bound in W_1 was certified and
    /// the support covers the branches.
    member this.TrueBound: float =
        if this.Metric = MetricKey.Statewise "W_1" then
            this.Bound + this.Distortion
        else
            Double.PositiveInfinity

/// Laws of returns of a decision process.
[<RequireQualifiedAccess>]
module Returns =

    // The metric in which the runner measures: that of the best claim, else of the first one.
    let private metricOf (operator: Operator<'table>) =
        match Operator.certifyingClaim operator with
        | ValueSome claim -> claim.Metric.Key
        | ValueNone ->
            match operator.Claims with
            | claim :: _ -> claim.Metric.Key
            | [] -> MetricKey.Euclidean

    let private solve
        (options: RunOptions)
        (representation: Representation<'table>)
        (branches: Branches)
        (operator: Operator<'table>)
        : ReturnSolution<'table> =
        let result = FixedPoint.picard options operator (representation.Zero branches.Places)

        {
            Table = result.Value
            Branches = branches
            Metric = metricOf operator
            Bound = result.Bound
            Floor = result.Floor
            Residual = result.Residual
            Distortion = representation.Distortion branches
            Clipping =
                match box representation with
                | :? CategoricalRepresentation as categorical -> categorical.Clipping(branches, unbox<CategoricalTable>(box result.Value))
                | _ -> Clipping.None
            Certificate = result.Certificate
            Applications = result.Applications
            Outcome = result.Outcome
            History = result.History
        }

    /// The fixed point of the projected operator along branches that lead back to where they start, from the law of 0 everywhere.
    let fixedPoint (options: RunOptions) (representation: Representation<'table>) (branches: Branches) : ReturnSolution<'table> =
        if branches.Places <> branches.Sources then
            invalidArg (nameof branches) $"branches must lead back to their {branches.Places} places but lead to {branches.Sources}"

        solve options representation branches (ReturnOperator.create representation branches)

    /// For each state the law of the return under a policy.
    let evaluate
        (options: RunOptions)
        (representation: Representation<'table>)
        (discount: float)
        (policy: Policy)
        (model: Model)
        : ReturnSolution<'table> =
        fixedPoint options representation (Branches.evaluation discount policy model)

    /// For each row the law of the return that starts with its action in its state: one lookahead from laws of states, projected.
    let ofRows (representation: Representation<'table>) (discount: float) (model: Model) (table: 'table) : 'table =
        representation.Apply(Branches.lookahead discount model, table)

    /// Greedy control: the optimal policy in the mean, the lowest action among equals, and the laws of its returns. The policy comes from
    /// certified means, and its laws from its evaluation, so that they converge where the greedy operator need not.
    let control
        (options: RunOptions)
        (representation: Representation<'table>)
        (direction: Direction)
        (discount: float)
        (model: Model)
        : struct (Policy * ReturnSolution<'table>) =
        let bellman = Bellman.Create(model, discount, Expectation(), Extreme direction)
        let solution = ValueIteration.solve options bellman
        let policy = Policy.Deterministic(model, ReadOnlySpan(bellman.Greedy(solution.Values, direction, options.Cancellation)))
        struct (policy, evaluate options representation discount policy model)

    /// The exact laws of the returns of the first steps from each place, atoms within <c>joining</c> joined, and a bound on W_infinity
    /// between them and the laws of the whole returns: g^n R / (1 - g) + joining (1 - g^n) / (1 - g) for the largest discount g and the
    /// largest reward R. An OperationCanceledException ends it early.
    let exact
        (steps: int)
        (joining: float)
        (mostAtoms: int)
        (cancellation: CancellationToken)
        (branches: Branches)
        : struct (LawTable * float) =
        if steps < 0 then
            invalidArg (nameof steps) $"steps must not be negative but are {steps}"

        let representation = ExactRepresentation(joining, mostAtoms)
        let mutable table = representation.Zero branches.Places

        for _ in 1..steps do
            cancellation.ThrowIfCancellationRequested()
            table <- representation.Apply(branches, table)

        let g = branches.LargestDiscount
        let passed = if steps = 0 then 1.0 else Math.Pow(g, float steps)
        let whole = if g < 1.0 then 1.0 / (1.0 - g) else Double.PositiveInfinity
        let tail = if passed * branches.LargestReward = 0.0 then 0.0 else passed * branches.LargestReward * whole

        let joined =
            if joining = 0.0 then 0.0
            elif g < 1.0 then joining * (1.0 - passed) * whole
            else joining * float steps

        struct (table, tail + joined)

namespace ValueFlow.Core.Returns

open System
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// Which of two equally good actions is taken.
[<RequireQualifiedAccess>]
type TieBreak =
    /// The one whose worst outcomes are best: the largest Q1.
    | Safe
    /// The one whose best outcomes are best: the largest Q2.
    | Risky

/// A policy that is optimal in the mean and chooses among optimal actions by their tails.
type TieBroken =
    {
        /// The policy: in each state one of its optimal actions.
        Policy: Policy
        /// For each state the row that it takes, -1 in a terminal state.
        Rows: int[]
        /// For each row its optimal value Q*.
        Optimal: float[]
        /// For each row both atoms of the return that starts with it and goes on with the policy, certified.
        Returns: ReturnSolution<TwoAtomTable>
        /// Applications of the tie-broken operator until its rows' atoms moved by no more than the tolerance.
        Applications: int
        /// Why that iteration stopped.
        Outcome: Outcome
    }

/// Control with two atoms: first the optimal means, then, among the actions that reach them, the safe or the risky one. Achab and Neu 2021,
/// "Robustness and risk management via distributional dynamic programming".
[<RequireQualifiedAccess>]
module TieBreaking =

    // In each state the best row among the optimal ones by the atom that the tie break looks at; the first one among equals.
    let private choose (tieBreak: TieBreak) (model: Model) (optimal: bool[]) (table: TwoAtomTable) : int[] =
        let atom row = if tieBreak = TieBreak.Safe then table.Worst row else table.Best row

        Array.init model.StateCount (fun state ->
            let mutable best = -1

            for row in model.rowOffsets[state] .. model.rowOffsets[state + 1] - 1 do
                if optimal[row] && (best < 0 || atom row > atom best) then
                    best <- row

            best)

    /// The rows whose value is within the margin of the best of their state: A*(s) = { a : Q*(s, a) &gt;= max Q*(s, .) - margin }.
    let optimalRows (margin: float) (model: Model) (actionValues: float[]) : bool[] =
        Shape.requireLength (nameof actionValues) model.RowCount actionValues.Length

        if not (margin >= 0.0) then
            invalidArg (nameof margin) $"margin must not be negative but is {margin}"

        let optimal = Array.create model.RowCount false

        for state in 0 .. model.StateCount - 1 do
            let first, next = model.rowOffsets[state], model.rowOffsets[state + 1]
            let mutable best = Double.NegativeInfinity

            for row in first .. next - 1 do
                best <- Math.Max(best, actionValues[row])

            for row in first .. next - 1 do
                optimal[row] <- actionValues[row] >= best - margin

        optimal

    /// eta(s, a) -> two atoms of r + gamma X(s', a'), a' the action among the optimal rows of s' with the largest Q1 (safe) or Q2 (risky).
    /// On tables with alpha Q1 + (1 - alpha) Q2 = Q* the safe operator contracts by gamma, and is monotone, in Q1 alone: Q2 moves alpha /
    /// (1 - alpha) times as far. It is so in no norm for both atoms at once, and claims nothing.
    let operator (share: float) (tieBreak: TieBreak) (discount: float) (optimal: bool[]) (model: Model) : Operator<TwoAtomTable> =
        Shape.requireLength (nameof optimal) model.RowCount optimal.Length
        let representation = TwoAtomRepresentation share
        let lookahead = Branches.lookahead discount model

        Operator.create $"{tieBreak} T[{representation.Name}]" representation.Space (fun table ->
            let rows = choose tieBreak model optimal table |> Array.map (max 0)
            representation.Apply(lookahead.LeadingTo(model.RowCount, rows), table))

    /// Q* first, then the tie-broken operator from Q1 = Q2 = Q* until no atom moves by more than the tolerance, and last the certified
    /// evaluation of the policy that it came to. The safe policy has the largest Q1 and the smallest Q2 of all policies that take optimal
    /// actions, the risky one the reverse; both keep the optimal means.
    let solve (options: RunOptions) (margin: float) (share: float) (tieBreak: TieBreak) (discount: float) (model: Model) : TieBroken =
        TwoAtom.requireShare share
        let bellman = Bellman.Optimality(model, discount)
        // The values must be known better than ties are told apart.
        let means =
            ValueIteration.solve { options with Tolerance = Math.Min(options.Tolerance, Math.Max(0.1 * margin, 1e-13)) } bellman

        let optimalValues = Array.zeroCreate model.RowCount
        bellman.Sweep.ActionValues(means.Values, optimalValues, options.Cancellation) |> ignore
        let optimal = optimalRows margin model optimalValues
        let start = TwoAtom.ofLaws share (optimalValues |> Array.map Distribution.point)
        let run = FixedPoint.picard options (operator share tieBreak discount optimal model) start
        let rows = choose tieBreak model optimal run.Value
        let weights = Array.zeroCreate model.RowCount

        for row in rows do
            if row >= 0 then
                weights[row] <- 1.0

        let policy = Policy.Stochastic(model, weights)

        {
            Policy = policy
            Rows = rows
            Optimal = optimalValues
            Returns = Returns.fixedPoint options (TwoAtomRepresentation share) (Branches.rowEvaluation discount policy model)
            Applications = run.Applications
            Outcome = run.Outcome
        }

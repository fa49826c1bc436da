namespace ValueFlow.Core.Values

open System
open System.Threading
open System.Threading.Tasks
open ValueFlow.Core.Foundations

/// How alike the states of a model are: rewards and what follows, not names. For a point d, a number for each pair of places,
///
/// F(d)(s, t) = max over a of c_R |r(s, a) - r(t, a)| + c_T W_d(P(. | s, a), P(. | t, a)),
///
/// W_d the distance of Kantorovich with the cost d. F contracts by c_T in the sup norm and keeps the order; its fixed point d* is a pseudometric, zero exactly between states that are bisimilar, and
/// c_R |V*(s) - V*(t)| &lt;= d*(s, t) for every discount of at most c_T (for V*, not for the values of any policy). Ferns, Panangaden and Precup 2004, "Metrics for finite Markov decision processes"; 2011,
/// "Bisimulation metrics for continuous Markov decision processes".
///
/// A terminal state counts as one that allows every action, each of which stays there for nothing; and where episodes end within a transition (continuations below one) the last place is such a state, too.
[<Sealed>]
type Bisimulation
    private (model: Model, rewardWeight: float, transitionWeight: float, matching: ActionMatching, rows: PlaceRows, farthest: float) =

    let count = rows.Count
    let placeRows, rewards = rows.PlaceRows, rows.Rewards
    let longest = rows.Longest
    let largestReward = model.rewards |> Array.fold (fun (most: float) r -> Math.Max(most, abs r)) 0.0

    let unlike = matching = ActionMatching.SameAction && rows.ActionSets |> Array.exists (fun set -> set <> rows.ActionSets[0])

    let alike s t = matching = ActionMatching.Nearest || rows.ActionSets[s] = rows.ActionSets[t]

    let between solver d row other =
        rewardWeight * abs (rewards[row] - rewards[other])
        + transitionWeight * rows.Transport(solver, d, row, rows, other)

    // max over rows of the least entry of each, and over columns.
    let hausdorff solver d first last other final =
        let nearest = Array.create (final - other + 1) Double.PositiveInfinity
        let mutable most = Double.NegativeInfinity

        for row in first..last do
            let mutable least = Double.PositiveInfinity

            for column in other..final do
                let distance = between solver d row column
                least <- Math.Min(least, distance)
                nearest[column - other] <- Math.Min(nearest[column - other], distance)

            most <- Math.Max(most, least)

        Math.Max(most, Array.max nearest)

    let pair (solver: TransportSolver) (d: float[]) s t =
        let first, last, other, final = placeRows[s], placeRows[s + 1] - 1, placeRows[t], placeRows[t + 1] - 1

        if not (alike s t) then
            farthest
        elif first > last then
            0.0
        elif matching = ActionMatching.Nearest then
            hausdorff solver d first last other final
        else
            let mutable most = Double.NegativeInfinity

            for k in 0 .. last - first do
                most <- Math.Max(most, between solver d (first + k) (other + k))

            most

    let apply (cancellation: CancellationToken) (d: float[]) =
        Shape.requireLength "d" (count * count) d.Length
        Shape.requireFinite "d" d
        let result = Array.zeroCreate<float>(count * count)

        let place s (solver: TransportSolver) =
            for t in s + 1 .. count - 1 do
                let distance = pair solver d s t
                result[s * count + t] <- distance
                result[t * count + s] <- distance

        if count * count * (longest + 1) < 2000 then
            let solver = TransportSolver()

            for s in 0 .. count - 1 do
                cancellation.ThrowIfCancellationRequested()
                place s solver
        else
            let body (s: int) (_: ParallelLoopState) (solver: TransportSolver) =
                place s solver
                solver

            try
                Parallel.For(
                    0,
                    count,
                    ParallelOptions(CancellationToken = cancellation),
                    Func<TransportSolver>(fun () -> TransportSolver()),
                    Func<int, ParallelLoopState, TransportSolver, TransportSolver>(body),
                    Action<TransportSolver> ignore
                )
                |> ignore
            with :? AggregateException as errors ->
                // The first of them says what all say.
                raise (errors.Flatten().InnerExceptions[0])

        result

    // Masses of a row sum to one up to this.
    let massSlack = float (longest + 4) * Bound.unitRoundoff

    // Rewards are sums over a row, and so is their range; a transport is off by what its solver allows, and by masses that do not sum to one.
    let rounding (d: float[]) =
        let largest = d |> Array.fold (fun (most: float) x -> Math.Max(most, abs x)) 0.0
        let ofRewards = 4.0 * massSlack * rewardWeight * largestReward

        let ofRange =
            if unlike then
                (ofRewards + 16.0 * Bound.unitRoundoff * rewardWeight * largestReward) / (1.0 - transitionWeight)
            else
                0.0

        let ofTransport = transitionWeight * largest * (2.0 * TransportSolver.Tolerance(longest, longest) + 4.0 * massSlack)
        Bound.above (ofRewards + ofRange + ofTransport)

    let operator cancellation : Operator<float[]> =
        let modulus = transitionWeight * (1.0 + 2.0 * massSlack)

        Operator.create $"bisimulation[{rewardWeight}, {transitionWeight}]" Space.vectors (apply cancellation)
        |> Operator.claim
            {
                Metric = Metric.sup
                Modulus = modulus
                Rounding = ValueSome rounding
                Source = "Ferns, Panangaden and Precup 2004, Metrics for finite Markov decision processes"
            }
        |> Operator.monotone
        |> Operator.translating 0.0 modulus

    // The largest entry of F(0).
    let first =
        lazy
            (let mutable most = 0.0

             for x in apply CancellationToken.None (Array.zeroCreate (count * count)) do
                 most <- Math.Max(most, x)

             most)

    /// The model.
    member _.Model = model
    /// c_R, what a difference of rewards counts.
    member _.RewardWeight = rewardWeight
    /// c_T, what a difference of what follows counts.
    member _.TransitionWeight = transitionWeight
    /// Which actions are compared.
    member _.Matching = matching
    /// The number of places: the states, and one more, the last, where episodes end within a transition. A point has Places * Places entries, row by row.
    member _.Places = count
    /// c_R (largest reward - least reward) / (1 - c_T), zero among the rewards where episodes end: no two values of a discount of at most c_T are farther apart, times c_R.
    member _.Farthest = farthest
    /// True if two places allow the same actions, or nothing depends on that.
    member _.Comparable(s: int, t: int) : bool = alike s t

    /// F on points of Places * Places entries, row by row: what comes out is symmetric and zero from a place to itself, whatever went in.
    member val Operator: Operator<float[]> = operator CancellationToken.None

    /// sup |d* - F^n(0)| is at most this: c_T^n / (1 - c_T) max F(0), and max F(0) is c_R max |r(s, a) - r(t, a)| where all states allow the same actions.
    member _.BoundAfter(steps: int) : float = Math.Pow(transitionWeight, float steps) / (1.0 - transitionWeight) * first.Value

    /// d* from below: F^n(0), which rises to it. The bound is that of the contraction, rounding included. Once cancelled, what was reached so far.
    member _.Solve(options: RunOptions) : FixedPointResult<float[]> =
        let reached = ref (Array.zeroCreate<float>(count * count))
        let last = ref { Applications = 0; Residual = Double.PositiveInfinity; Bound = Double.PositiveInfinity }
        let history = History()
        let inner = operator options.Cancellation

        let keeping =
            { inner with
                Apply =
                    fun d ->
                        let image = inner.Apply d
                        reached.Value <- image
                        image
            }

        let watching =
            { options with
                Progress =
                    fun progress ->
                        last.Value <- progress
                        history.Add progress
                        options.Progress progress
            }

        try
            FixedPoint.picard watching keeping (Array.zeroCreate (count * count))
        with :? OperationCanceledException when options.Cancellation.IsCancellationRequested ->
            // In the middle of an application: the one before stands.
            {
                Value = reached.Value
                Certificate = if Double.IsFinite last.Value.Bound then Certificate.Contraction else Certificate.Estimate
                Bound = last.Value.Bound
                Floor = 0.0
                Residual = last.Value.Residual
                Applications = last.Value.Applications
                Outcome = Outcome.Cancelled
                History = history.Close last.Value
            }

    /// max over rows of c_R |r - r'| + c_T W_d(P, P'), row by row of another model with the same states and actions, whose fixed point is then at most 2 / (1 - c_T) times as far from d* as that,
    /// for d = d*: what an estimated model costs. An ArgumentException says where the other one differs.
    member _.Perturbation(other: Bisimulation, d: float[]) : float =
        Shape.requireLength (nameof d) (count * count) d.Length
        Shape.requireFinite (nameof d) d
        let theirs: PlaceRows = other.Rows

        if
            theirs.PlaceRows <> placeRows
            || theirs.ActionSets <> rows.ActionSets
            || other.RewardWeight <> rewardWeight
            || other.TransitionWeight <> transitionWeight
        then
            invalidArg (nameof other) "the other model must have the same places, actions and weights but has not"

        let solver = TransportSolver()
        let mutable most = 0.0

        for row in 0 .. rewards.Length - 1 do
            let gap = rewardWeight * abs (rewards[row] - theirs.Rewards[row])
            most <- Math.Max(most, gap + transitionWeight * rows.Transport(solver, d, row, theirs, row))

        // Between states that allow different actions the distance is that of the range of rewards.
        let ranges = if unlike then abs (farthest - other.Farthest) else 0.0
        Math.Max(2.0 * most, ranges) / (1.0 - transitionWeight)

    member internal _.Rows: PlaceRows = rows

    /// The operator of a model for weights c_R > 0 and c_T in (0, 1). An ArgumentException for weights elsewhere and for an interval model.
    static member Create(model: Model, rewardWeight: float, transitionWeight: float, matching: ActionMatching) : Bisimulation =
        if not (rewardWeight > 0.0 && Double.IsFinite rewardWeight) then
            invalidArg (nameof rewardWeight) $"the weight of rewards must be positive and finite but is {rewardWeight}"

        if not (transitionWeight > 0.0 && transitionWeight < 1.0) then
            invalidArg (nameof transitionWeight) $"the weight of transitions must lie in (0, 1) but is {transitionWeight}"

        if model.IsInterval then
            invalidArg (nameof model) "the model must have probabilities but has intervals"

        let rows = PlaceRows.Of(model, (matching = ActionMatching.SameAction))
        let span = if rows.Rewards.Length = 0 then 0.0 else Array.max rows.Rewards - Array.min rows.Rewards
        Bisimulation(model, rewardWeight, transitionWeight, matching, rows, rewardWeight * span / (1.0 - transitionWeight))

namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open System.Threading
open System.Threading.Tasks
open ValueFlow.Core.Foundations

/// Which action of another state an action is compared with.
[<RequireQualifiedAccess>]
type ActionMatching =
    /// The one of the same number. States that allow different sets of actions are never alike: they lie as far apart as values can, whatever follows. Actions that they share are not compared instead:
    /// what a state gains by an action of its own alone would go unseen.
    | SameAction
    /// The nearest one, in both directions (a Hausdorff distance): actions may have other numbers, and other sets. Taylor, Precup and Panangaden 2008, "Bounding performance loss in approximate MDP homomorphisms".
    | Nearest

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
    private
    (
        model: Model,
        rewardWeight: float,
        transitionWeight: float,
        matching: ActionMatching,
        placeRows: int[],
        actionsOf: int[],
        rowRewards: float[],
        rowStarts: int[],
        places: int[],
        masses: float[],
        farthest: float
    ) =

    let count = placeRows.Length - 1
    let largestReward = rowRewards |> Array.fold (fun most r -> Math.Max(most, abs r)) 0.0

    let longest =
        Seq.fold (fun most row -> Math.Max(most, rowStarts[row + 1] - rowStarts[row])) 0 (seq { 0 .. rowRewards.Length - 1 })

    let alike s t = matching = ActionMatching.Nearest || actionsOf[s] = actionsOf[t]

    // W between two rows with the cost d.
    let transport (solver: TransportSolver) (d: float[]) row other =
        let first, next = rowStarts[row], rowStarts[other]
        let n, m = rowStarts[row + 1] - first, rowStarts[other + 1] - next

        if n = 1 || m = 1 then
            let mutable sum = 0.0

            for i in 0 .. n - 1 do
                for j in 0 .. m - 1 do
                    sum <- sum + masses[first + i] * masses[next + j] * d[places[first + i] * count + places[next + j]]

            sum
        else
            solver.Prepare(n, m)
            Array.blit masses first solver.Supply 0 n
            Array.blit masses next solver.Demand 0 m

            for i in 0 .. n - 1 do
                for j in 0 .. m - 1 do
                    solver.Costs[i * m + j] <- d[places[first + i] * count + places[next + j]]

            let struct (cost, _) = solver.Solve()
            cost

    let between solver d row other =
        rewardWeight * abs (rowRewards[row] - rowRewards[other]) + transitionWeight * transport solver d row other

    let pair (solver: TransportSolver) (d: float[]) s t =
        let first, last, other, final = placeRows[s], placeRows[s + 1] - 1, placeRows[t], placeRows[t + 1] - 1

        if not (alike s t) then
            farthest
        elif first > last then
            0.0
        elif matching = ActionMatching.SameAction then
            let mutable most = Double.NegativeInfinity

            for k in 0 .. last - first do
                most <- Math.Max(most, between solver d (first + k) (other + k))

            most
        else
            // max of the rows' and the columns' least entries.
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

    // Rewards are sums over a row; a transport is off by what its solver allows, and by masses that do not sum to one.
    let rounding (d: float[]) =
        let largest = d |> Array.fold (fun most x -> Math.Max(most, abs x)) 0.0

        Bound.above (
            rewardWeight * largestReward * 4.0 * massSlack
            + 16.0 * Bound.unitRoundoff * farthest
            + transitionWeight * largest * (2.0 * TransportSolver.Tolerance(longest, longest) + 4.0 * massSlack)
        )

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
        other.CompareRows(placeRows, actionsOf, rewardWeight, transitionWeight)
        let solver = TransportSolver()
        let mutable most = 0.0

        for row in 0 .. rowRewards.Length - 1 do
            most <- Math.Max(most, other.RowGap(solver, d, row, rowRewards[row], places, masses, rowStarts[row], rowStarts[row + 1]))

        2.0 * most / (1.0 - transitionWeight)

    member private _.CompareRows(rows: int[], actions: int[], reward: float, transition: float) =
        if rows <> placeRows || actions <> actionsOf || reward <> rewardWeight || transition <> transitionWeight then
            invalidArg "other" "the other model must have the same places, actions and weights but has not"

    member private _.RowGap
        (solver: TransportSolver, d: float[], row: int, reward: float, atPlaces: int[], withMasses: float[], from: int, until: int)
        =
        let first = rowStarts[row]
        let n, m = until - from, rowStarts[row + 1] - first
        solver.Prepare(n, m)
        Array.blit withMasses from solver.Supply 0 n
        Array.blit masses first solver.Demand 0 m

        for i in 0 .. n - 1 do
            for j in 0 .. m - 1 do
                solver.Costs[i * m + j] <- d[atPlaces[from + i] * count + places[first + j]]

        let struct (cost, _) = solver.Solve()
        rewardWeight * abs (reward - rowRewards[row]) + transitionWeight * cost

    /// The rows as they are compared: for each place (action, mean reward, places that follow with their masses). Of a terminal place every action stays.
    member internal _.RowsOf(place: int) : struct (float * struct (int * float)[])[] =
        [|
            for row in placeRows[place] .. placeRows[place + 1] - 1 ->
                struct (rowRewards[row], [| for k in rowStarts[row] .. rowStarts[row + 1] - 1 -> struct (places[k], masses[k]) |])
        |]

    /// The operator of a model for weights c_R > 0 and c_T in (0, 1). An ArgumentException for weights elsewhere and for an interval model.
    static member Create(model: Model, rewardWeight: float, transitionWeight: float, matching: ActionMatching) : Bisimulation =
        if not (rewardWeight > 0.0 && Double.IsFinite rewardWeight) then
            invalidArg (nameof rewardWeight) $"the weight of rewards must be positive and finite but is {rewardWeight}"

        if not (transitionWeight > 0.0 && transitionWeight < 1.0) then
            invalidArg (nameof transitionWeight) $"the weight of transitions must lie in (0, 1) but is {transitionWeight}"

        if model.IsInterval then
            invalidArg (nameof model) "the model must have probabilities but has intervals"

        let ends = model.continuations |> Array.exists (fun share -> share < 1.0)
        let count = model.stateCount + (if ends then 1 else 0)
        let acts s = s < model.stateCount && not (model.IsTerminal s)
        let everything = model.rowActions |> Array.distinct |> Array.sort
        let placeRows, actionsOf = Array.zeroCreate (count + 1), Array.zeroCreate count

        let rewards, starts, places, masses =
            ResizeArray<float>(), ResizeArray<int>([ 0 ]), ResizeArray<int>(), ResizeArray<float>()

        let sets = Dictionary<string, int>()
        let sums = SortedDictionary<int, float>()

        let put place mass =
            if mass > 0.0 then
                let known, sum = sums.TryGetValue place
                sums[place] <- (if known then sum else 0.0) + mass

        let close (reward: float) =
            let total = Seq.sum sums.Values

            for entry in sums do
                places.Add entry.Key
                masses.Add(entry.Value / total)

            sums.Clear()
            rewards.Add reward
            starts.Add places.Count

        for s in 0 .. count - 1 do
            let actions =
                if acts s then
                    Array.sub model.rowActions model.rowOffsets[s] (model.rowOffsets[s + 1] - model.rowOffsets[s])
                else
                    everything

            let key = String.Join(',', actions)
            let known, number = sets.TryGetValue key
            actionsOf[s] <- if known then number else sets.Count

            if not known then
                sets[key] <- sets.Count

            if acts s then
                for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                    let mutable reward = 0.0

                    for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                        let share = model.Continuation k
                        reward <- reward + model.probabilities[k] * model.rewards[k]
                        put model.successors[k] (model.probabilities[k] * share)
                        put (count - 1) (if ends then model.probabilities[k] * (1.0 - share) else 0.0)

                    close reward
            else
                // Of several actions that do the same, one is as good as all where numbers do not matter.
                for _ in 1 .. (if matching = ActionMatching.Nearest then min 1 actions.Length else actions.Length) do
                    put s 1.0
                    close 0.0

            placeRows[s + 1] <- rewards.Count

        let rewards = rewards.ToArray()
        let span = if rewards.Length = 0 then 0.0 else Array.max rewards - Array.min rewards

        Bisimulation(
            model,
            rewardWeight,
            transitionWeight,
            matching,
            placeRows,
            actionsOf,
            rewards,
            starts.ToArray(),
            places.ToArray(),
            masses.ToArray(),
            rewardWeight * span / (1.0 - transitionWeight)
        )

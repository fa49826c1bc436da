namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// One of several objectives, each with a patience of its own.
type DiscountedObjective =
    {
        /// The name in reports.
        Name: string
        /// r(s, a) for each row of the model.
        Rewards: float[]
        /// For each row the discount of what follows, in [0, 1).
        Discounts: float[]
        /// How much it counts; not negative.
        Weight: float
    }

/// A plan that depends on the time: for each of the first steps a policy, and one for ever after.
type TimedPlan =
    {
        /// For each step t below the horizon, for each state, the action to take; -1 in a terminal state.
        Actions: int[][]
        /// For each state the action to take from the horizon on.
        Tail: int[]
        /// For each state U of the plan that starts there, rounding aside.
        Values: float[]
        /// For each state a number that no plan's U exceeds, rounding aside.
        Upper: float[]
    }

/// The weighted sum of several discounted sums,
///
/// U = sum over i of w_i sum over t of (g_i(s_0, a_0) ... g_i(s_t-1, a_t-1)) r_i(s_t, a_t).
///
/// No reward on states and actions alone, whatever its discount, has the same optimal plans: U is Markov only with one more number for each objective, the
/// weight y_i that is left of it, y_i(0) = w_i and y_i &lt;- y_i g_i / g for any common discount g. With the reward R(s, a, y) = sum over i of y_i r_i(s, a),
/// sum over t of g^t R = U on every trajectory.
/// Pitis 2023, "Consistent aggregation of objectives with diverse time preferences requires non-Markovian rewards".
[<RequireQualifiedAccess>]
module MultiDiscount =

    /// An objective with one discount everywhere.
    let objective (name: string) (rewards: float[]) (discount: float) (weight: float) : DiscountedObjective =
        {
            Name = name
            Rewards = Array.copy rewards
            Discounts = Array.create rewards.Length discount
            Weight = weight
        }

    let private require (model: Model) (objectives: DiscountedObjective[]) =
        if objectives.Length = 0 then
            invalidArg (nameof objectives) "there must be at least one objective but there is none"

        if model.IsInterval then
            invalidArg (nameof model) "the model must have probabilities but has intervals"

        for o in objectives do
            Shape.requireLength $"{nameof objectives}: rewards of '{o.Name}'" model.RowCount o.Rewards.Length
            Shape.requireLength $"{nameof objectives}: discounts of '{o.Name}'" model.RowCount o.Discounts.Length
            Shape.requireFinite $"{nameof objectives}: rewards of '{o.Name}'" o.Rewards

            match o.Discounts |> Array.tryFind (fun g -> not (g >= 0.0 && g < 1.0)) with
            | Some g -> invalidArg (nameof objectives) $"discounts of '{o.Name}' must lie in [0, 1) but one is {g}"
            | None -> ()

            if not (o.Weight >= 0.0 && Double.IsFinite o.Weight) then
                invalidArg (nameof objectives) $"the weight of '{o.Name}' must not be negative but is {o.Weight}"

    /// y(0) = w.
    let weights (objectives: DiscountedObjective[]) : float[] = objectives |> Array.map _.Weight

    /// y_i g_i(s, a) / g: the weights after a row was taken, for the common discount g &gt; 0.
    let next (common: float) (objectives: DiscountedObjective[]) (row: int) (y: float[]) : float[] =
        if not (common > 0.0 && Double.IsFinite common) then
            invalidArg (nameof common) $"common must be positive and finite but is {common}"

        Shape.requireLength (nameof y) objectives.Length y.Length
        Array.map2 (fun (o: DiscountedObjective) yi -> yi * o.Discounts[row] / common) objectives y

    /// R(s, a, y) = sum over i of y_i r_i(s, a).
    let reward (objectives: DiscountedObjective[]) (y: float[]) (row: int) : float =
        Shape.requireLength (nameof y) objectives.Length y.Length
        Array.fold2 (fun sum (o: DiscountedObjective) yi -> sum + yi * o.Rewards[row]) 0.0 objectives y

    /// U of the rows that were taken, one after the other.
    let total (objectives: DiscountedObjective[]) (rows: int[]) : float =
        objectives
        |> Array.sumBy (fun o ->
            let mutable factor = o.Weight
            let mutable sum = 0.0

            for row in rows do
                sum <- sum + factor * o.Rewards[row]
                factor <- factor * o.Discounts[row]

            sum)

    /// sum over t of g^t R(s_t, a_t, y_t) on the same rows: the same number, for every common discount g &gt; 0.
    let augmentedTotal (common: float) (objectives: DiscountedObjective[]) (rows: int[]) : float =
        let mutable y = weights objectives
        let mutable factor = 1.0
        let mutable sum = 0.0

        for row in rows do
            sum <- sum + factor * reward objectives y row
            y <- next common objectives row y
            factor <- factor * common

        sum

    // The model with an objective's rewards, and its discount as the share of a common one that bounds all of them.
    let private own (model: Model) (common: float) (o: DiscountedObjective) : Model =
        let rewards, continuations = Array.zeroCreate<float> model.TransitionCount, Array.zeroCreate<float> model.TransitionCount

        for row in 0 .. model.RowCount - 1 do
            for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                rewards[k] <- o.Rewards[row]
                continuations[k] <- if common = 0.0 then 0.0 else model.Continuation k * Math.Min(1.0, o.Discounts[row] / common)

        { model with rewardTable = RewardTable.OfTransitions rewards; continuations = continuations }

    let private largest (o: DiscountedObjective) = Array.fold max 0.0 o.Discounts

    let private solved (options: RunOptions) (solution: Solution) =
        options.Cancellation.ThrowIfCancellationRequested()

        if solution.Certificate = Certificate.Estimate then
            invalidOp $"an objective could not be solved: {solution.Outcome}"

        solution

    /// For each state the U of a stationary policy: one linear solve for each objective.
    let stationary (options: RunOptions) (model: Model) (objectives: DiscountedObjective[]) (policy: Policy) : float[] =
        require model objectives

        objectives
        |> Array.map (fun o ->
            let values =
                PolicyEvaluation.linear options policy (Bellman.Optimality(own model (largest o) o, largest o))
                |> solved options

            values.Values |> Array.map (fun v -> o.Weight * v))
        |> Array.reduce (Array.map2 (+))

    /// The best plan within a horizon T, for constant discounts:
    ///
    /// V_t(s) = max over a of sum over i of w_i g_i^t r_i(s, a) + sum over s' of P V_t+1(s').
    ///
    /// In the long run only the most patient objective is left: from the horizon on its stationary policy acts. What that may lose shrinks with T, and is the
    /// gap between Values and Upper, where each objective has its own best policy after T. Throws an ArgumentException for discounts that are not constant.
    let solve (options: RunOptions) (horizon: int) (model: Model) (objectives: DiscountedObjective[]) : TimedPlan =
        require model objectives

        if horizon < 0 then
            invalidArg (nameof horizon) $"horizon must not be negative but is {horizon}"

        for o in objectives do
            if o.Discounts |> Array.exists (fun g -> g <> o.Discounts[0]) then
                invalidArg (nameof objectives) $"discounts of '{o.Name}' must be the same everywhere but are not"

        let discount (o: DiscountedObjective) = if o.Discounts.Length = 0 then 0.0 else o.Discounts[0]
        let bellman o = Bellman.Optimality(own model (discount o) o, discount o)
        let bests = objectives |> Array.map (bellman >> PolicyIteration.solve options >> solved options)

        let patient =
            objectives
            |> Array.indexed
            |> Array.maxBy (fun (_, o) -> struct ((if o.Weight > 0.0 then 1 else 0), discount o))
            |> fst

        let tail = bests[patient].Policy
        let policy = Policy.Deterministic(model, ReadOnlySpan tail)
        let shares t = objectives |> Array.map (fun o -> o.Weight * Math.Pow(discount o, float t))

        let weighted (factors: float[]) (values: float[][]) =
            Array.init model.stateCount (fun s -> Array.fold2 (fun sum f (v: float[]) -> sum + f * v[s]) 0.0 factors values)

        let last = shares horizon

        let mutable values =
            objectives
            |> Array.map (fun o -> (PolicyEvaluation.linear options policy (bellman o) |> solved options).Values)
            |> weighted last

        let mutable upper = bests |> Array.map _.Values |> weighted last
        let actions = Array.zeroCreate<int[]> horizon

        for t in horizon - 1 .. -1 .. 0 do
            options.Cancellation.ThrowIfCancellationRequested()
            let factors = shares t
            let chosen = Array.create model.stateCount -1
            let here, above = Array.zeroCreate<float> model.stateCount, Array.zeroCreate<float> model.stateCount

            for s in 0 .. model.stateCount - 1 do
                for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                    let mutable low = reward objectives factors row
                    let mutable high = low

                    for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                        let weight = model.probabilities[k] * model.Continuation k
                        low <- low + weight * values[model.successors[k]]
                        high <- high + weight * upper[model.successors[k]]

                    if chosen[s] < 0 || low > here[s] then
                        here[s] <- low
                        chosen[s] <- model.rowActions[row]

                    above[s] <- if row = model.rowOffsets[s] then high else Math.Max(above[s], high)

            values <- here
            upper <- above
            actions[t] <- chosen

        { Actions = actions; Tail = tail; Values = values; Upper = upper }

namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// The row form: the dual is the least of straight lines in the price of a unit of distance; the two that cross at its maximum are found by their crossings.
[<Struct; IsReadOnly>]
type internal WassersteinRow(kernel: Kernel, metric: StateMetric, radius: float, sign: float, rowRewards: float[]) =

    // The plan at a price: every outcome moves to where signed outcome + price * distance is least; of several the nearest, or the farthest.
    // Its mean outcome, and what it takes of the distance less the radius.
    member _.Plan(first: int, outcomes: Span<float>, outside: Span<float>, price: float) : struct (float * float) =
        let model = kernel.Model
        let mutable sum = 0.0
        let mutable spent = -radius

        for i in 0 .. outcomes.Length - 1 do
            let from = model.successors[first + i]
            let mutable best = outcomes[i]
            let mutable cost = outcomes[i]
            let mutable far = 0.0

            for k in 0 .. outcomes.Length - 1 do
                let distance = metric.Between(from, model.successors[first + k])

                if Double.IsFinite distance then
                    let candidate = outcomes[k] + price * distance

                    if candidate < cost || (candidate = cost && distance < far) then
                        best <- outcomes[k]
                        cost <- candidate
                        far <- distance

            for state in 0 .. outside.Length - 1 do
                if outside[state] < Double.PositiveInfinity then
                    let distance = metric.Between(from, state)

                    if Double.IsFinite distance then
                        let candidate = outside[state] + price * distance

                        if candidate < cost || (candidate = cost && distance < far) then
                            best <- outside[state]
                            cost <- candidate
                            far <- distance

            sum <- sum + model.probabilities[first + i] * best
            spent <- spent + model.probabilities[first + i] * far

        struct (sum, spent)

    // The plan that moves nothing but what moves for nothing.
    member _.Still(first: int, outcomes: Span<float>, outside: Span<float>) : float =
        let model = kernel.Model
        let mutable sum = 0.0

        for i in 0 .. outcomes.Length - 1 do
            let from = model.successors[first + i]
            let mutable best = outcomes[i]

            for k in 0 .. outcomes.Length - 1 do
                if outcomes[k] < best && metric.Between(from, model.successors[first + k]) = 0.0 then
                    best <- outcomes[k]

            for state in 0 .. outside.Length - 1 do
                if outside[state] < best && metric.Between(from, state) = 0.0 then
                    best <- outside[state]

            sum <- sum + model.probabilities[first + i] * best

        sum

    interface IRowSummary with
        member _.Scratch = kernel.LongestRow + (if rowRewards.Length = 0 then 0 else kernel.Model.stateCount)
        member _.Prepare _ = [||]
        member _.Done _ = ()

        member this.Value(values, _, row, scratch) =
            let model = kernel.Model
            let first = model.offsets[row]
            let count = model.offsets[row + 1] - first
            let outcomes = scratch.Slice(0, count)
            kernel.WriteOutcomes(values, row, sign, outcomes)
            let outside = if rowRewards.Length = 0 then Span.Empty else scratch.Slice(count, model.stateCount)

            if rowRewards.Length > 0 then
                for state in 0 .. outside.Length - 1 do
                    outside[state] <- sign * (rowRewards[row] + kernel.Discount * values[state])

                for k in 0 .. count - 1 do
                    outside[model.successors[first + k]] <- Double.PositiveInfinity

            // Lines mean + price * spent: the left one rises, the right one falls by the radius.
            let struct (leftMean, leftSpent) = this.Plan(first, outcomes, outside, 0.0)

            if leftSpent <= 0.0 then
                sign * leftMean
            else
                let mutable leftMean = leftMean
                let mutable leftSpent = leftSpent
                let mutable rightMean = this.Still(first, outcomes, outside)
                let mutable rightSpent = -radius
                let mutable searching = radius > 0.0

                while searching do
                    let price = (rightMean - leftMean) / (leftSpent - rightSpent)
                    let struct (mean, spent) = this.Plan(first, outcomes, outside, price)

                    // A crossing that lies on no line below it is the maximum.
                    if not (spent < leftSpent && spent > rightSpent) then
                        searching <- false
                    elif spent > 0.0 then
                        leftMean <- mean
                        leftSpent <- spent
                    else
                        rightMean <- mean
                        rightSpent <- spent

                // The mixture of the two plans that spends the radius.
                let share = -rightSpent / (leftSpent - rightSpent)
                sign * (share * leftMean + (1.0 - share) * rightMean)

/// rho(x) = min over laws q with W(q, P) &lt;= E of sum q x: the worst law within a transport distance E &gt;= 0 of Wasserstein, for distances between states that are given.
/// By duality rho(x) = max over l &gt;= 0 of sum over s' of P(s') min over z of (x(z) + l d(s', z)) - l E, whose straight pieces give it exactly. Over all states (one outside the nominal
/// successors earns the row's mean reward), or over the nominal successors. E = 0 is the expectation where different states lie apart; with the discrete distance it is the ball
/// of total variation. A row costs its transitions times the states that mass may move to. The favourable twin is the best law.
/// Mohajerin Esfahani and Kuhn 2018, "Data-driven distributionally robust optimization using the Wasserstein metric"; Yang 2017, "A convex optimization approach
/// to distributionally robust Markov decision processes with Wasserstein distance".
[<Sealed>]
type Wasserstein(radius: float, metric: StateMetric, support: Support, attitude: Attitude) =
    inherit
        StateSummary(
            "wasserstein"
            + (if support = Support.Nominal then "-support" else "")
            + (if attitude = Attitude.Adverse then "" else "-favourable")
            + $"({radius})",
            SummaryClaim.all "Mohajerin Esfahani and Kuhn 2018; Yang 2017"
        )

    do
        if not (radius >= 0.0 && Double.IsFinite radius) then
            invalidArg (nameof radius) $"radius must be finite and not negative but is {radius}"

    /// The worst law over all states.
    new(radius, metric) = Wasserstein(radius, metric, Support.AllStates, Attitude.Adverse)
    /// The radius E, in units of the distances.
    member _.Radius = radius
    /// The distances between states.
    member _.Metric = metric

    override _.Local = support = Support.Nominal
    override _.Factors kernel = OutsideStates.factors support kernel
    override _.Rounding(kernel, magnitude) = float (16 * kernel.LongestRow + 64) * Bound.unitRoundoff * magnitude

    override _.Misses model =
        if metric.Count < model.StateCount then
            ValueSome $"at most {metric.Count} states, like the distances, but it has {model.StateCount}"
        else
            Expectation().Misses model

    override _.Bind(kernel, user) = user.Use(WassersteinRow(kernel, metric, radius, attitude.Sign, OutsideStates.rowRewards support kernel))

    override _.OnTensor(rows, values) =
        Lifetime.keep (fun () ->
            let model = rows.Kernel.Model
            let p = rows.Probabilities
            let outcomes = Elementwise.times attitude.Sign (rows.Outcomes values)
            let wide = support = Support.AllStates
            let states = int64 model.StateCount

            // (S, S), and from it the distances (R, K, C) from each outcome to the places it may move to.
            let table =
                let data =
                    [|
                        for i in 0 .. int states - 1 do
                            for j in 0 .. int states - 1 -> metric.Between(i, j)
                    |]

                torch.tensor(data, dtype = torch.float64).reshape [| states; states |]

            let from = (table.index_select (0L, rows.Successors.flatten ())).reshape [| p.shape[0]; p.shape[1]; states |]
            let among = from.gather (2L, rows.Successors.unsqueeze(1L).expand(p.shape[0], p.shape[1], p.shape[1]))

            let distances, places =
                if wide then
                    let mean = Elementwise.times attitude.Sign ((p.mul rows.Rewards).sum(1L, keepdim = true))
                    let earned = Elementwise.sum mean (Elementwise.times (attitude.Sign * rows.Kernel.Discount) (values.unsqueeze 0L))

                    let named =
                        torch
                            .zeros_like(earned, dtype = torch.bool)
                            .scatter(1L, rows.Successors, torch.ones_like (rows.Successors, dtype = torch.bool))

                    torch.cat ([| among; from |], 2L),
                    torch.cat ([| outcomes; Elementwise.fill named Double.PositiveInfinity earned |], 1L)
                else
                    among, outcomes

            let places = places.unsqueeze(1L).expand(p.shape[0], p.shape[1], places.shape[1])

            // The plan at a price: mean outcome, and distance less the radius.
            let plan (price: torch.Tensor) =
                let chosen = (Elementwise.sum places (price.reshape([| -1L; 1L; 1L |]).mul distances)).argmin(2L, keepdim = true)

                let mean = (p.mul ((places.gather (2L, chosen)).squeeze 2L)).sum 1L
                let spent = (p.mul ((distances.gather (2L, chosen)).squeeze 2L)).sum 1L
                struct (mean, Elementwise.plus -radius spent)

            let struct (lower, upper) =
                use _noGrad = torch.no_grad ()
                // Dear enough that nothing moves, and next to nothing; nothing at all would make no number of an infinite distance.
                let least = (places.amin [| 1L; 2L |])
                let spread = (outcomes.amax [| 1L |]).sub least
                let positive = Elementwise.fill (Elementwise.isAtMost 0.0 distances) Double.PositiveInfinity distances
                let nearest = positive.amin [| 1L; 2L |]
                let dear = Elementwise.times 2.0 (spread.div nearest) |> Elementwise.atLeast 1e-290
                let free = Elementwise.plus 1e-300 (torch.zeros_like spread)

                Envelope.halve 100 free dear (fun price ->
                    let struct (_, spent) = plan price
                    spent.gt (torch.zeros_like spent))

            let struct (leftMean, leftSpent) = plan lower
            let struct (rightMean, rightSpent) = plan upper
            // Where even the free plan stays within the radius, it is the answer.
            let within = Elementwise.isAtMost 0.0 leftSpent
            let gap = leftSpent.sub rightSpent
            let share = (rightSpent.neg ()).div(Elementwise.fill (Elementwise.isAtMost 0.0 gap) 1.0 gap)
            let share = Elementwise.fill within 1.0 share
            let mixed = Elementwise.sum (share.mul leftMean) ((Elementwise.plus 1.0 (share.neg ())).mul rightMean)
            Elementwise.times attitude.Sign mixed)

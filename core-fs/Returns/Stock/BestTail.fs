namespace ValueFlow.Core.Returns

open System
open System.Threading
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// The best CVaR of a discounted return over all decisions that may depend on the history, between bounds.
type TailSolution =
    {
        /// The share tau of worst outcomes.
        Share: float
        /// Whether outcomes are rewards, whose least are the worst, or costs, whose largest are.
        Direction: Direction
        /// The state to start from.
        Start: int
        /// A number that the best CVaR is not below.
        Lower: float
        /// A number that the best CVaR is not above.
        Upper: float
        /// The best CVaR by linear interpolation, between the bounds; nothing is certified of it.
        Estimate: float
        /// The target b: with the stock -b at the start (+b for costs) the decisions of <c>ActionOf</c> attain the bound that is nearer to the worse.
        Target: float
        /// Values of states with stocks, in rewards: costs have the other sign.
        Values: StockValues
    }

    member private this.Sign = if this.Direction = Direction.Maximise then 1.0 else -1.0
    /// The stock to start with: minus the target for rewards, the target (what may be spent) for costs.
    member this.Stock = -this.Sign * this.Target
    /// The action to take in a state with a stock; -1 in a terminal state.
    member this.ActionOf(state: int, stock: float) : int = this.Values.ActionOf(state, stock)

    /// The stock after a reward (or a cost, which is taken away), with the share of the discount that applies to what follows.
    member this.Next(stock: float, reward: float, continuation: float) : float = this.Values.Next(stock, this.Sign * reward, continuation)

    /// Plays the decisions from the start; returns are rewards or costs, as the model has them.
    member this.Play(generator: Generator, episodes: int, mostSteps: int, cancellation: CancellationToken) : Playout =
        let playout = this.Values.Play(generator, episodes, mostSteps, this.Start, this.Stock, cancellation)
        let sign = this.Sign
        { playout with Returns = playout.Returns |> Array.map (fun x -> sign * x) }

/// Decisions that make the mean of the worst share of outcomes as large as it can be: CVaR_tau(X) = max over b of b + E min(X - b, 0) / tau.
/// Rockafellar and Uryasev 2000, "Optimization of conditional value-at-risk"; Bauerle and Ott 2011, "Markov decision processes with average-value-at-risk criteria".
[<RequireQualifiedAccess>]
module BestTail =

    /// Throws an ArgumentException unless the share lies in (0, 1].
    let internal requireShare (share: float) : unit =
        if not (share > 0.0 && share <= 1.0) then
            invalidArg (nameof share) $"share must lie in (0, 1] but is {share}"

    /// The best CVaR over all decisions, exactly, in a finite number of steps: for each target b among the outcomes that can be reached, the stock starts
    /// at -b and E min(X - b, 0) is maximised; the best target's plan is the answer. Returned with its target.
    let solve
        (share: float)
        (mostNodes: int)
        (horizon: int)
        (start: int)
        (discount: float)
        (model: Model)
        (cancellation: CancellationToken)
        : struct (StockPlan<float> * float) =
        requireShare share
        let graph = StockGraph.Reach(mostNodes, horizon, 0.0, start, discount, model, cancellation)
        let outcomes = graph.Nodes(horizon).ToArray() |> Array.map _.Earned |> Array.distinct |> Array.sort
        // The nodes do not depend on the target: instead of the stock, f is moved.
        let worth target = StockProgram.solveMean (fun x -> target + Math.Min(x - target, 0.0) / share) cancellation graph

        outcomes
        |> Array.map (fun target -> struct (worth target, target))
        |> Array.maxBy (fun (struct (plan, _)) -> plan.Value)

    // The best of b + V(s, -b) / tau over the targets, between bounds: struct (lower, its target, upper, estimate), in rewards.
    let private search (share: float) (state: int) (values: StockValues) : struct (float * float * float * float) =
        let windows = values.Windows
        let count = windows.Count state

        if count = 0 then
            struct (0.0, 0.0, 0.0, 0.0)
        else
            let offset = windows.Offsets[state]
            let stock i = windows.Stock(state, i)
            let mutable lower = Double.NegativeInfinity
            let mutable target = 0.0
            let mutable estimate = Double.NegativeInfinity
            let mean = values.Problem.Left[state]

            // U rises with the stock by at most one, and no further than to its next value: the best target of a cell is where it gets there.
            let top from reached = reached / share - from

            let mutable upper =
                let first, last = values.UpperNodes[offset], values.UpperNodes[offset + count - 1]
                Math.Max(top (first - mean) first, top (stock (count - 1) - last) 0.0)

            for i in 0 .. count - 1 do
                let found = values.LowerNodes[offset + i] / share - stock i

                if found > lower then
                    lower <- found
                    target <- -(stock i)

                estimate <- Math.Max(estimate, values.EstimateNodes[offset + i] / share - stock i)

                if i > 0 then
                    let before, here = values.UpperNodes[offset + i - 1], values.UpperNodes[offset + i]
                    let rise = Math.Clamp(here - before, 0.0, stock i - stock (i - 1))
                    upper <- Math.Max(upper, top (stock (i - 1) + rise) here)

            let slack = values.Slack / share
            // No tail is better than the whole.
            let upper = Math.Min(upper, mean) + slack
            let lower = Math.Min(lower - slack - values.Unsupported / share, upper)
            struct (lower, target, upper, Math.Clamp(estimate, lower, upper))

    let private read share direction start (values: StockValues) : TailSolution =
        let struct (lower, target, upper, estimate) = search share start values
        let forRewards = direction = Direction.Maximise

        {
            Share = share
            Direction = direction
            Start = start
            Lower = if forRewards then lower else -upper
            Upper = if forRewards then upper else -lower
            Estimate = if forRewards then estimate else -estimate
            Target = if forRewards then target else -target
            Values = values
        }

    /// The best CVaR of the discounted return from a state: that of the least returns, as large as can be, if rewards are maximised; that of the largest, as small as can be, if costs are minimised.
    /// One stock-augmented program, f(x) = min(x, 0), answers for every target b at once. Bauerle and Ott 2011, "Markov decision processes with average-value-at-risk criteria".
    /// Throws an ArgumentException for a share outside (0, 1], and what <c>StockPlanning.solve</c> refuses.
    let optimise
        (options: StockOptions)
        (share: float)
        (direction: Direction)
        (start: int)
        (discount: float)
        (model: Model)
        : TailSolution =
        requireShare share

        if start < 0 || start >= model.StateCount then
            invalidArg (nameof start) $"start must be a state in [0, {model.StateCount}) but is {start}"

        let rewards =
            if direction = Direction.Maximise then
                model
            else
                { model with
                    rewardTable = RewardTable.OfTransitions(model.rewards |> Array.map (fun cost -> 0.0 - cost))
                }

        let width values =
            let struct (lower, _, upper, _) = search share start values
            upper - lower

        StockPlanning.run options (0.03 * share * options.Tolerance) GainLoss.shortfall discount rewards width
        |> read share direction start

    /// The answer for another share or another start, from the same values: bounds may lie further apart there.
    let at (share: float) (start: int) (solution: TailSolution) : TailSolution =
        requireShare share

        if start < 0 || start >= solution.Values.Model.StateCount then
            invalidArg (nameof start) $"start must be a state in [0, {solution.Values.Model.StateCount}) but is {start}"

        read share solution.Direction start solution.Values

namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// Nature that chooses one vector of laws for each state, one law for each action, under a budget that the actions of the state share:
/// sum over a of (1/2) sum |q_a - P_a| &lt;= B, within the nominal successors. A policy that draws its actions may then do better than any that does not.
///
/// For one action f_a(e) = min of sum q_a x within total variation e is convex, falls, and has straight pieces: mass moves from the best outcomes to the worst. So
/// evaluation is a greedy choice among the pieces of all actions, and improvement finds the least level u with sum over a of f_a^-1(u) &lt;= B.
/// Wiesemann, Kuhn and Rustem 2013, "Robust Markov decision processes"; Ho, Petrik and Wiesemann 2018, "Fast Bellman updates for robust MDPs".
[<RequireQualifiedAccess>]
module Rectangular =

    /// What mass may move from, best outcomes first: a piece of f_a is as long as the outcome's mass and falls as steeply as the outcome lies above the worst.
    type private Pieces = { Start: float; Worst: float; Lengths: float[]; Slopes: float[] }

    let private require (model: Model) (discount: float) (budget: float) =
        if not (budget >= 0.0 && Double.IsFinite budget) then
            invalidArg (nameof budget) $"budget must be finite and not negative but is {budget}"

        match Expectation().Misses model with
        | ValueSome words -> invalidArg (nameof model) $"shared budgets need a model with {words}"
        | ValueNone -> Kernel(model, discount)

    let private pieces (kernel: Kernel) (values: float[]) row =
        let model = kernel.Model
        let first = model.offsets[row]
        let outcomes = Array.zeroCreate (model.offsets[row + 1] - first)
        kernel.WriteOutcomes(values, row, 1.0, outcomes.AsSpan())
        let masses = Array.sub model.probabilities first outcomes.Length
        let start = Array.fold2 (fun sum p x -> sum + p * x) 0.0 masses outcomes
        Array.Sort(outcomes, masses)
        let worst = outcomes[0]

        {
            Start = start
            Worst = worst
            Lengths = Array.rev masses
            Slopes = outcomes |> Array.rev |> Array.map (fun x -> x - worst)
        }

    let private rowsOf (model: Model) state = [| model.rowOffsets[state] .. model.rowOffsets[state + 1] - 1 |]

    // sum of p_a f_a(e_a) less what the best use of the budget takes away.
    let private evaluate budget (weights: float[]) (actions: Pieces[]) =
        let start = Array.fold2 (fun sum w action -> sum + w * action.Start) 0.0 weights actions

        let gains =
            Array.map2
                (fun w action -> Array.map2 (fun slope length -> struct (w * slope, length)) action.Slopes action.Lengths)
                weights
                actions
            |> Array.concat
            |> Array.sortByDescending (fun (struct (gain, _)) -> gain)

        let mutable left = budget
        let mutable taken = 0.0

        for struct (gain, length) in gains do
            let moved = Math.Min(left, length)
            left <- left - moved
            taken <- taken + gain * moved

        start - taken

    // f_a^-1(u) and its slope: how much must move for the action to fall to the level.
    let private needed level (action: Pieces) =
        let mutable fall = action.Start - level
        let mutable moved = 0.0
        let mutable slope = 0.0
        let mutable k = 0

        while fall > 0.0 && k < action.Lengths.Length && action.Slopes[k] > 0.0 do
            let whole = action.Slopes[k] * action.Lengths[k]
            slope <- action.Slopes[k]
            moved <- moved + (if fall < whole then fall / slope else action.Lengths[k])
            fall <- fall - whole
            k <- k + 1

        struct (moved, slope)

    // The least level that the budget reaches for all actions at once. The sum is convex and falls: Newton's steps from below stop at the root, after at most as many as there
    // are pieces.
    let private level budget (actions: Pieces[]) =
        let total level =
            actions
            |> Array.fold
                (fun (struct (moved, rate)) action ->
                    let struct (more, slope) = needed level action
                    struct (moved + more, (if slope > 0.0 then rate + 1.0 / slope else rate)))
                (struct (0.0, 0.0))

        let mutable level = actions |> Array.map _.Worst |> Array.max
        let mutable searching = true

        while searching do
            let struct (moved, rate) = total level
            let next = if moved > budget && rate > 0.0 then level + (moved - budget) / rate else level
            searching <- next > level
            level <- next

        Math.Min(level, actions |> Array.map _.Start |> Array.max)

    let private operator name (kernel: Kernel) (backup: float[] -> int -> float) : Operator<float[]> =
        let model = kernel.Model
        let struct (least, largest) = kernel.DiscountFactors
        let slack = float (kernel.MostActions * kernel.LongestRow + 8) * Bound.unitRoundoff

        let apply (values: float[]) =
            Shape.requireLength (nameof values) model.StateCount values.Length
            Array.init model.StateCount (fun state -> if model.IsTerminal state then 0.0 else backup values state)

        { Operator.onVectors name (largest * (1.0 + slack)) apply with
            Monotone = true
            Translation = ValueSome(struct ((if kernel.HasTerminals then 0.0 else least * (1.0 - slack)), largest * (1.0 + slack)))
        }

    /// (T V)(s) = min over laws within the budget of sum over a of p(a | s) sum q_a (r + gamma V): a policy under its worst laws. Monotone, passes constants on, contracts by gamma
    /// in the sup norm. Nothing is said of its rounding: fixed points are estimates.
    let evaluation (model: Model) (discount: float) (budget: float) (policy: Policy) : Operator<float[]> =
        let kernel = require model discount budget
        Shape.requireLength (nameof policy) model.RowCount policy.Rows.Length

        operator $"shared budget {budget}, policy" kernel (fun values state ->
            let rows = rowsOf model state
            evaluate budget (rows |> Array.map (fun row -> policy.Rows[row])) (rows |> Array.map (pieces kernel values)))

    /// (T V)(s) = max over policies of min over laws within the budget of sum over a of p(a) sum q_a (r + gamma V). Monotone, passes constants on, contracts by gamma in the sup norm.
    let optimality (model: Model) (discount: float) (budget: float) : Operator<float[]> =
        let kernel = require model discount budget

        operator $"shared budget {budget}" kernel (fun values state ->
            rowsOf model state |> Array.map (pieces kernel values) |> level budget)

    /// The policy that attains the optimality operator at the values. Where nature holds several actions at one level it draws them so that no unit of the budget buys more against one than
    /// against another: p(a) in proportion to one over the slope of f_a.
    let greedy (model: Model) (discount: float) (budget: float) (values: float[]) : Policy =
        let kernel = require model discount budget
        Shape.requireLength (nameof values) model.StateCount values.Length
        let weights = Array.zeroCreate model.RowCount

        for state in 0 .. model.StateCount - 1 do
            if not (model.IsTerminal state) then
                let rows = rowsOf model state
                let actions = rows |> Array.map (pieces kernel values)
                let reached = level budget actions
                let highest = actions |> Array.map _.Worst |> Array.max

                let shares =
                    if reached <= highest then
                        // An action that nothing can harm below the level.
                        actions |> Array.map (fun action -> if action.Worst = highest then 1.0 else 0.0)
                    else
                        let rates =
                            actions
                            |> Array.map (fun action ->
                                let struct (_, slope) = needed reached action in if slope > 0.0 then 1.0 / slope else 0.0)

                        if Array.sum rates > 0.0 then
                            rates
                        else
                            // Without a budget: the best nominal action.
                            let best = actions |> Array.map _.Start |> Array.max
                            actions |> Array.map (fun action -> if action.Start = best then 1.0 else 0.0)

                let total = Array.sum shares
                rows |> Array.iteri (fun i row -> weights[row] <- shares[i] / total)

        Policy.Stochastic(model, weights)

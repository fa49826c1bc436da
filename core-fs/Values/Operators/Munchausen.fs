namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// What Munchausen value iteration is told.
type MunchausenSettings =
    {
        /// The index q of the entropy: 1 (Shannon), or in [1.0001, 1000].
        Index: float
        /// The temperature t of the entropy, in units of reward; positive.
        Temperature: float
        /// The weight alpha of the log-policy in the reward, in [0, 1]; 0 is plain entropy.
        Weight: float
        /// Whether larger values are better.
        Direction: Direction
    }

/// What Munchausen value iteration came to.
type MunchausenSolution =
    {
        /// For each row its action value; regularised, so not what the policy is worth.
        ActionValues: float[]
        /// The policy that is greedy by them, but for the entropy.
        Policy: Policy
        /// For each state the action that is best by them, the lowest number among equals; -1 in a terminal state.
        Decisions: int[]
        /// The Euclidean length of the last change of the action values.
        Change: float
        /// Sweeps.
        Sweeps: int
        /// Why the run ended.
        Outcome: Outcome
    }

/// Value iteration whose reward is given a share of the policy's own logarithm. With p_k = argmax over p of sum p Q_k + t (1 - sum p^q) / (q - 1) and l_q(p) = (p^(q-1) - 1) / (q - 1),
///
/// Q_{k+1}(s, a) = sum over s' of P (r + alpha t l_q(p_k(a | s)) + gamma sum over a' of p_k(a' | s') (Q_k(s', a') - t l_q(p_k(a' | s')))).
///
/// For q = 1 the log-policy keeps what was learnt before, as a divergence from the last policy would, so that noise of the rewards averages out. Its fixed point keeps an
/// entropy of temperature (1 - alpha) t. Vieillard, Pietquin and Geist 2020, "Munchausen reinforcement learning"; Zhu, Chen, Wang and White 2023, "Generalized Munchausen reinforcement
/// learning using Tsallis KL divergence".
[<RequireQualifiedAccess>]
module Munchausen =

    /// Index 1, temperature 0.3, weight 0.9, rewards.
    let standard: MunchausenSettings = { Index = 1.0; Temperature = 0.3; Weight = 0.9; Direction = Direction.Maximise }

    let private require (settings: MunchausenSettings) =
        TsallisPolicy.requireIndex settings.Index
        TsallisPolicy.requireTemperature settings.Temperature

        if not (settings.Weight >= 0.0 && settings.Weight <= 1.0) then
            invalidArg (nameof settings) $"weight must lie in [0, 1] but is {settings.Weight}"

    let private sign (settings: MunchausenSettings) = if settings.Direction = Direction.Maximise then 1.0 else -1.0

    // For each row the probability of its action.
    let private laws (settings: MunchausenSettings) (model: Model) (actionValues: float[]) =
        let law = Array.copy actionValues

        for s in 0 .. model.StateCount - 1 do
            let first, count = model.rowOffsets[s], model.rowOffsets[s + 1] - model.rowOffsets[s]

            if count > 0 then
                TsallisPolicy.write settings.Index settings.Temperature (sign settings) [||] 0 (law.AsSpan(first, count))

        law

    // t l_q(p) for each row. For q = 1 it is Q - t log sum exp(Q / t), which is finite where p underflows.
    let private logarithms (settings: MunchausenSettings) (model: Model) (actionValues: float[]) (law: float[]) =
        let temperature = settings.Temperature

        if settings.Index <> 1.0 then
            law |> Array.map (fun p -> temperature * TsallisPolicy.boundedLogarithm settings.Index p)
        else
            let result = Array.zeroCreate law.Length
            let best = ActionValues.greedyRows settings.Direction model actionValues

            for s in 0 .. model.StateCount - 1 do
                if best[s] >= 0 then
                    // The likeliest action is never rare: its logarithm is exact, and the others lie below it by their gaps.
                    let likeliest = temperature * Math.Log law[best[s]]

                    for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                        result[row] <- likeliest + sign settings * (actionValues[row] - actionValues[best[s]])

            result

    /// The policy of action values: argmax over p of sum p Q + t (1 - sum p^q) / (q - 1) in each state, argmin of sum p Q less that for costs.
    let policy (settings: MunchausenSettings) (model: Model) (actionValues: float[]) : Policy =
        require settings
        Shape.requireLength (nameof actionValues) model.RowCount actionValues.Length
        Shape.requireFinite (nameof actionValues) actionValues
        Policy.Stochastic(model, laws settings model actionValues)

    /// One sweep, from noise of the mean reward of each row (an empty array for none) and action values to the next action values. The model has probabilities, not intervals;
    /// the discount lies in [0, 1) (ArgumentException).
    let sweep (settings: MunchausenSettings) (model: Model) (discount: float) : float[] -> float[] -> float[] =
        require settings
        let kernel = ActionValues.kernel "Munchausen value iteration" model discount
        let sign = sign settings

        fun noise actionValues ->
            Shape.requireLength (nameof actionValues) model.RowCount actionValues.Length
            Shape.requireFinite (nameof actionValues) actionValues

            if noise.Length > 0 then
                Shape.requireLength (nameof noise) model.RowCount noise.Length
                Shape.requireFinite (nameof noise) noise

            let law = laws settings model actionValues
            let logarithms = logarithms settings model actionValues law

            let values =
                Array.init model.StateCount (fun s ->
                    let mutable sum = 0.0

                    for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                        if law[row] > 0.0 then
                            sum <- sum + law[row] * (actionValues[row] - sign * logarithms[row])

                    sum)

            Array.init model.RowCount (fun row ->
                let disturbance = if noise.Length = 0 then 0.0 else noise[row]

                ActionValues.backup kernel kernel.RowRewards values row
                + disturbance
                + settings.Weight * sign * logarithms[row])

    /// The sweep without noise, as an operator that claims nothing: it is no contraction, nor monotone, and a counterexample is pinned in the tests. (Its part with a fixed prior is
    /// both: the Bellman operator with the summary <c>Tsallis</c>, or <c>LogSumExp</c> for index 1.)
    let operator (settings: MunchausenSettings) (model: Model) (discount: float) : Operator<float[]> =
        let sweep = sweep settings model discount
        Operator.create $"munchausen({settings.Index}, {settings.Temperature}, {settings.Weight}, {discount})" Space.vectors (sweep [||])

    /// max over p of sum p (r + gamma P V) - t D_q(p || m) for a fixed prior m, the least of sum p (r + gamma P V) + t D_q(p || m) for costs: monotone, and a contraction by the discount in the sup norm. The weight is not read.
    let regularised (settings: MunchausenSettings) (model: Model) (discount: float) (prior: Policy) : Bellman =
        require settings

        let summary: ActionSummary =
            if settings.Index = 1.0 then
                LogSumExp(sign settings * settings.Temperature, prior)
            else
                Tsallis(settings.Index, settings.Temperature, ValueSome prior, settings.Direction)

        Bellman.Create(model, discount, Expectation(), summary)

    /// Sweeps from zero until the action values change by at most the tolerance. No bound stands behind it: evaluate the decisions to know what they are worth.
    let solve (options: RunOptions) (settings: MunchausenSettings) (model: Model) (discount: float) : MunchausenSolution =
        let point = FixedPoint.picard options (operator settings model discount) (Array.zeroCreate model.RowCount)

        {
            ActionValues = point.Value
            Policy = policy settings model point.Value
            Decisions = ActionValues.actionsOf model (ActionValues.greedyRows settings.Direction model point.Value)
            Change = point.Residual
            Sweeps = point.Applications
            Outcome = point.Outcome
        }

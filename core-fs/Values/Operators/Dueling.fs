namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// Action values split into advantages and values of states, so that a pre-trained policy can start a value function: from logits l with q = softmax(l)
///
/// A(s, a) = alpha (l(s, a) - max over b of l(s, b)) &lt;= 0, Q(s, a) = A(s, a) + V(s).
///
/// Then softmax(Q / alpha) = q whatever V is, and V(s) = max over a of Q(s, a). Wang, Schaul, Hessel, van Hasselt, Lanctot and de Freitas 2016, "Dueling network architectures for deep
/// reinforcement learning"; Yu, Tao, Chen, Sun and Yang 2024, "B-Coder: value-based deep reinforcement learning for program synthesis".
[<RequireQualifiedAccess>]
module Dueling =

    let private requireScale (scale: float) =
        if not (scale > 0.0 && Double.IsFinite scale) then
            invalidArg (nameof scale) $"scale must be positive and finite but is {scale}"

    /// A(s, a) = scale (l(s, a) - max over b of l(s, b)) for the logits of each row: at most zero, and zero for the likeliest action of each state. The scale alpha is positive; entries are finite (ArgumentException).
    let advantages (scale: float) (model: Model) (logits: float[]) : float[] =
        requireScale scale
        Shape.requireLength (nameof logits) model.RowCount logits.Length
        Shape.requireFinite (nameof logits) logits
        let best = ActionValues.greedyRows Direction.Maximise model logits
        let result = Array.zeroCreate model.RowCount

        for s in 0 .. model.StateCount - 1 do
            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                result[row] <- scale * (logits[row] - logits[best[s]])

        result

    /// Q(s, a) = A(s, a) + V(s), for each row.
    let actionValues (model: Model) (advantages: float[]) (values: float[]) : float[] =
        Shape.requireLength (nameof advantages) model.RowCount advantages.Length
        Shape.requireLength (nameof values) model.StateCount values.Length
        let result = Array.copy advantages

        for s in 0 .. model.StateCount - 1 do
            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                result[row] <- result[row] + values[s]

        result

    /// softmax(Q(s, .) / scale) in each state.
    let policy (scale: float) (model: Model) (actionValues: float[]) : Policy =
        requireScale scale
        Shape.requireLength (nameof actionValues) model.RowCount actionValues.Length
        Shape.requireFinite (nameof actionValues) actionValues
        let best = ActionValues.greedyRows Direction.Maximise model actionValues
        let weights = Array.zeroCreate model.RowCount

        for s in 0 .. model.StateCount - 1 do
            let first, next = model.rowOffsets[s], model.rowOffsets[s + 1]
            let mutable sum = 0.0

            for row in first .. next - 1 do
                weights[row] <- Math.Exp((actionValues[row] - actionValues[best[s]]) / scale)
                sum <- sum + weights[row]

            for row in first .. next - 1 do
                weights[row] <- weights[row] / sum

        Policy.Stochastic(model, weights)

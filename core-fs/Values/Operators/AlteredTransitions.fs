namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// Other probabilities on the same transitions: the slot of the generalised Bellman operator that corrects or alters the model. A model with other probabilities takes every pair of
/// summaries, and its operator claims what theirs does, as long as the probabilities do not depend on the values that it is applied to.
[<RequireQualifiedAccess>]
module AlteredTransitions =

    /// The model with other probabilities, one for each of its transitions: finite, not negative, not zero together; each row is normalised. Intervals are left behind.
    let reweighted (weights: float[]) (model: Model) : Model =
        Shape.requireLength (nameof weights) model.TransitionCount weights.Length
        let probabilities = Array.copy weights

        for row in 0 .. model.RowCount - 1 do
            let first, last = model.offsets[row], model.offsets[row + 1] - 1
            let mutable sum = 0.0

            for k in first..last do
                if not (weights[k] >= 0.0 && Double.IsFinite weights[k]) then
                    invalidArg (nameof weights) $"weights must be finite and not negative but that of transition {k} is {weights[k]}"

                sum <- sum + weights[k]

            if not (sum > 0.0 && Double.IsFinite sum) then
                invalidArg (nameof weights) $"the weights of row {row} must have a positive, finite sum but sum to {sum}"

            for k in first..last do
                probabilities[k] <- weights[k] / sum

        { model with
            probabilityTable = ProbabilityTable.OfDoubles probabilities
            lower = [||]
            upper = [||]
        }

    /// Transition normalisation: P~(s' | s, a) = P l / Z with l = 1 / P, the uniform law on the successors of P. What made some of them likelier, the behaviour of other agents, say, is gone.
    /// Jiang and Lu 2021, "Offline decentralized multi-agent reinforcement learning".
    let normalise (model: Model) : Model = reweighted (Array.create model.TransitionCount 1.0) model

    /// Value deviation: P~(s' | s, a) = P l / Z with l = max(0, 1 + (v - E v) / |E v|), clipped to [1 - e, 1 + e] if e is given, for what a transition is worth, v: optimistic, so that
    /// partners are expected to do what is good. For v &gt;= 0 with a positive mean the mean under P~ is E v + Var v / E v, where l is not clipped. Rows whose mean is zero, or all of whose weights are, stay as they are.
    /// The worth is frozen: with weights that follow the values of each sweep the operator need not contract. The combination of both is to normalise first. Jiang and Lu 2021.
    let deviate (clip: float voption) (worth: float[]) (model: Model) : Model =
        Shape.requireLength (nameof worth) model.TransitionCount worth.Length

        match clip with
        | ValueSome e when not (e >= 0.0 && e <= 1.0) -> invalidArg (nameof clip) $"clip must lie in [0, 1] but is {e}"
        | _ -> ()

        worth
        |> Array.iteri (fun k v ->
            if not (Double.IsFinite v) then
                invalidArg (nameof worth) $"worth must be finite but that of transition {k} is {v}")

        let weights = Array.copy model.probabilities

        for row in 0 .. model.RowCount - 1 do
            let first, last = model.offsets[row], model.offsets[row + 1] - 1
            let mutable mean = 0.0

            for k in first..last do
                mean <- mean + model.probabilities[k] * worth[k]

            let factor k =
                let plain = Math.Max(0.0, 1.0 + (worth[k] - mean) / abs mean)

                match clip with
                | ValueSome e -> Math.Clamp(plain, 1.0 - e, 1.0 + e)
                | ValueNone -> plain

            let mutable kept = 0.0

            if mean <> 0.0 then
                for k in first..last do
                    kept <- kept + model.probabilities[k] * factor k

            if kept > 0.0 && Double.IsFinite kept then
                for k in first..last do
                    weights[k] <- model.probabilities[k] * factor k

        reweighted weights model

    /// What each transition is worth at values of states: r + gamma V(s').
    let worth (model: Model) (discount: float) (values: float[]) : float[] =
        Shape.requireLength (nameof values) model.StateCount values.Length

        Array.init model.TransitionCount (fun k -> model.rewards[k] + discount * model.Continuation k * values[model.successors[k]])

namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// Planning with a model that is known to be off, corrected by what the true process says about the expectations of a few functions.
/// Rakhsha, Kemertas, Ghavamzadeh and Farahmand 2024, "Maximum entropy model correction in reinforcement learning".
[<RequireQualifiedAccess>]
module ModelCorrection =

    let private requireSameRows (truth: Model) (approximate: Model) =
        if
            truth.StateCount <> approximate.StateCount
            || not (truth.RowOffsets.SequenceEqual approximate.RowOffsets)
            || not (truth.RowActions.SequenceEqual approximate.RowActions)
        then
            invalidArg
                (nameof approximate)
                $"the approximate model must have the states and actions of the true one ({truth.StateCount} states, {truth.RowCount} rows) but has {approximate.StateCount} states, {approximate.RowCount} rows"

        for model, name in [ truth, nameof truth; approximate, nameof approximate ] do
            if model.Continuations.Length > 0 then
                invalidArg name "every transition must pass the whole discount on but some have a continuation below 1"

    let private meanReward (model: Model) row =
        let mutable sum = 0.0

        for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
            sum <- sum + model.Probabilities[k] * model.Rewards[k]

        sum

    let private row (model: Model) index =
        let law = Array.zeroCreate model.StateCount

        for k in model.Offsets[index] .. model.Offsets[index + 1] - 1 do
            law[model.Successors[k]] <- law[model.Successors[k]] + model.Probabilities[k]

        law

    /// (P f)(s, a) = E f(s') for every row of a model: what is asked of the true process.
    let expectations (model: Model) (f: float[]) : float[] =
        Shape.requireLength (nameof f) model.StateCount f.Length

        Array.init model.RowCount (fun row ->
            let mutable sum = 0.0

            for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                sum <- sum + model.Probabilities[k] * f[model.Successors[k]]

            sum)

    /// The approximate model with each row replaced by the law nearest to it, in relative entropy, under which feature i has the mean <c>moments[i][row]</c>; the mean rewards are those of the true
    /// model, which are known. No feature: the approximate model with the true rewards.
    let correct (truth: Model) (approximate: Model) (features: float[][]) (moments: float[][]) : Model =
        requireSameRows truth approximate
        Shape.requireLength (nameof moments) features.Length moments.Length

        for feature in features do
            Shape.requireLength (nameof features) truth.StateCount feature.Length

        for moment in moments do
            Shape.requireLength (nameof moments) truth.RowCount moment.Length

        let basis = FeatureBasis features
        let builder = ModelBuilder truth.StateCount

        for s in 0 .. truth.StateCount - 1 do
            if truth.IsTerminal s then
                builder.Terminal s

            for index in truth.RowOffsets[s] .. truth.RowOffsets[s + 1] - 1 do
                let law = (MaximumEntropy.tilt basis (row approximate index) (moments |> Array.map (fun moment -> moment[index]))).Law
                let reward = meanReward truth index

                for next in 0 .. law.Length - 1 do
                    if law[next] > 0.0 then
                        builder.Add(s, truth.RowActions[index], next, law[next], reward)

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    /// V_0, V_1, ...: V_k is the optimal value of the approximate model, corrected by the expectations of the last <c>count</c> of its predecessors; each needs one true backup more. count = 0 is planning
    /// with the approximate model alone. Where the span of the features comes near to V*, so does V_k: |V* - V_k| &lt;= gamma / (1 - gamma) max |P - P_k|_1 min over w of |V* - Phi w|.
    let valueIteration (options: RunOptions) (count: int) (discount: float) (truth: Model) (approximate: Model) : seq<float[]> =
        if count < 0 then
            invalidArg (nameof count) $"count must not be negative but is {count}"

        requireSameRows truth approximate

        let plan (features: float[] list) (moments: float[] list) =
            let corrected = correct truth approximate (Array.ofList features) (Array.ofList moments)
            (PolicyIteration.solve options (Bellman.Optimality(corrected, discount))).Values

        let first = plan [] []

        Seq.unfold
            (fun (values: float[], features, moments) ->
                options.Cancellation.ThrowIfCancellationRequested()
                let features = values :: features |> List.truncate count
                let moments = (if count > 0 then [ expectations truth values ] else []) @ moments |> List.truncate count
                Some(values, (plan features moments, features, moments)))
            (first, [], [])

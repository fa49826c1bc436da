namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// A process whose law is an unknown mixture of known ones: P = theta_1 P_1 + ... + theta_d P_d, with known mean rewards.
/// Ayoub, Jia, Szepesvari, Wang and Yang 2020, "Model-based reinforcement learning with value-targeted regression".
[<Sealed>]
type LinearMixture private (bases: Model[], rewards: float[]) =

    /// The mixture of basis models, which allow the same actions in the same states (an ArgumentException names the first that differs); the mean reward of each row is given.
    static member Create(bases: Model[], rewards: float[]) : LinearMixture =
        // The family checks that rows agree.
        ModelFamily.Create(bases, 0.0) |> ignore
        Shape.requireLength (nameof rewards) bases[0].RowCount rewards.Length

        rewards
        |> Array.iteri (fun row reward ->
            if not (Double.IsFinite reward) then
                invalidArg (nameof rewards) $"rewards must be finite but that of row {row} is {reward}")

        LinearMixture(Array.copy bases, Array.copy rewards)

    /// d, the number of basis models.
    member _.Count = bases.Length
    /// The number of rows of each.
    member _.RowCount = rewards.Length
    /// The basis models.
    member _.Bases: ReadOnlySpan<Model> = ReadOnlySpan bases
    /// The mean reward of each row.
    member _.Rewards: ReadOnlySpan<float> = ReadOnlySpan rewards

    /// phi_V(s, a)_i = sum over s' of P_i(s' | s, a) V(s'), continuations included: what each basis expects of the values.
    member _.Features(values: float[], row: int) : float[] =
        Shape.requireLength (nameof values) bases[0].StateCount values.Length

        bases
        |> Array.map (fun basis ->
            let mutable sum = 0.0

            for k in basis.offsets[row] .. basis.offsets[row + 1] - 1 do
                sum <- sum + basis.probabilities[k] * basis.Continuation k * values[basis.successors[k]]

            sum)

    /// The process with the weights, which are not negative and sum to 1 within 1e-9.
    member _.Model(weights: float[]) : Model =
        Shape.requireLength (nameof weights) bases.Length weights.Length

        weights
        |> Array.iteri (fun i weight ->
            if not (weight >= 0.0) then
                invalidArg (nameof weights) $"weights must not be negative but weight {i} is {weight}")

        if not (abs (Array.sum weights - 1.0) <= 1e-9) then
            invalidArg (nameof weights) $"weights must sum to 1 but sum to {Array.sum weights}"

        let first = bases[0]
        let builder = ModelBuilder first.StateCount
        builder.ParallelOutcomes <- true

        for s in 0 .. first.StateCount - 1 do
            if first.IsTerminal s then
                builder.Terminal s

            for row in first.rowOffsets[s] .. first.rowOffsets[s + 1] - 1 do
                [
                    for i in 0 .. bases.Length - 1 do
                        for k in bases[i].offsets[row] .. bases[i].offsets[row + 1] - 1 do
                            (bases[i].successors[k], bases[i].Continuation k), weights[i] * bases[i].probabilities[k]
                ]
                |> List.groupBy fst
                |> List.iter (fun ((successor, continuation), chances) ->
                    builder.AddContinuing(s, first.rowActions[row], successor, List.sumBy snd chances, rewards[row], continuation, -1))

        for s in first.initial do
            builder.Initial s

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidArg (nameof weights) (errors |> List.map ModelError.describe |> String.concat "; ")

/// Ridge regression, one observation after the other: Lambda = ridge I + sum of phi phi^T. Nobody changes an array of it.
type RidgeDesign =
    {
        /// Lambda^-1, row by row.
        Inverse: float[]
        /// Lambda^-1 times the sum of targets and features: the estimate.
        Estimate: float[]
        /// log det Lambda.
        LogDeterminant: float
    }

/// Makes designs.
[<RequireQualifiedAccess>]
module RidgeDesign =

    /// No observation of so many features; the ridge is positive.
    let start (ridge: float) (features: int) : RidgeDesign =
        if not (ridge > 0.0 && Double.IsFinite ridge) then
            invalidArg (nameof ridge) $"ridge must be positive and finite but is {ridge}"

        {
            Inverse = Array.init (features * features) (fun i -> if i / features = i % features then 1.0 / ridge else 0.0)
            Estimate = Array.zeroCreate features
            LogDeterminant = float features * log ridge
        }

    // Lambda^-1 phi.
    let private solve (design: RidgeDesign) (features: float[]) =
        let d = features.Length

        Array.init d (fun i ->
            let mutable sum = 0.0

            for j in 0 .. d - 1 do
                sum <- sum + design.Inverse[i * d + j] * features[j]

            sum)

    let private dot (a: float[]) (b: float[]) = Array.fold2 (fun sum x y -> sum + x * y) 0.0 a b

    /// sqrt(phi^T Lambda^-1 phi): how far the estimate of a prediction may be off, for parameters within one of the estimate in the norm of Lambda.
    let width (design: RidgeDesign) (features: float[]) : float =
        Shape.requireLength (nameof features) design.Estimate.Length features.Length
        sqrt (Math.Max(0.0, dot features (solve design features)))

    /// phi^T of the estimate.
    let predict (design: RidgeDesign) (features: float[]) : float = dot design.Estimate features

    /// The design with one more observation. Sherman and Morrison 1950, "Adjustment of an inverse matrix corresponding to a change in one element of a given matrix".
    let add (features: float[]) (target: float) (design: RidgeDesign) : RidgeDesign =
        Shape.requireLength (nameof features) design.Estimate.Length features.Length

        if not (Double.IsFinite target && Array.forall Double.IsFinite features) then
            invalidArg (nameof features) $"an observation must be finite but is %A{features} -> {target}"

        let d = features.Length
        let along = solve design features
        let growth = 1.0 + dot features along
        let miss = target - predict design features

        {
            Inverse = Array.init (d * d) (fun i -> design.Inverse[i] - along[i / d] * along[i % d] / growth)
            Estimate = Array.init d (fun i -> design.Estimate[i] + along[i] * miss / growth)
            LogDeterminant = design.LogDeterminant + log growth
        }

/// What an explorer of a linear mixture knows.
type MixtureKnowledge =
    {
        /// The regression of V_k(s') on phi_{V_k}(s, a).
        Design: RidgeDesign
        /// V_k.
        Values: float[]
        /// log pi_k of each row.
        LogPolicy: float[]
        /// log det Lambda when the epoch began.
        EpochLogDeterminant: float
        /// Epochs so far, the first included.
        Epochs: int
    }

/// Explorers of linear mixtures.
[<RequireQualifiedAccess>]
module MixtureExplorer =

    /// Backups r + discount * (phi_V^T estimate) + width * ||phi_V||_{Lambda^-1}, cut to what values can be.
    let optimisticBackup
        (bonus: float)
        (ground: ExplorationGround)
        (mixture: LinearMixture)
        (design: RidgeDesign)
        (values: float[])
        : float[] =
        Array.init mixture.RowCount (fun row ->
            let features = mixture.Features(values, row)

            let value =
                mixture.Rewards[row]
                + ground.Discount * RidgeDesign.predict design features
                + bonus * RidgeDesign.width design features

            Math.Clamp(value, ground.Floor, ground.Ceiling))

    /// Optimistic planning by regularised dynamic programming (RAVI-UCB) for a linear mixture: theta by ridge regression of the values that followed on what each basis expected of them, the bonus
    /// bonus * ||phi_V||_{Lambda^-1}, one backup and one mirror step with every step of the process. An epoch ends when det Lambda has doubled since it began; then the policy is uniform again.
    /// Moulin and Neu 2023. eta and ridge are positive, the bonus is not negative.
    let regularised
        (eta: float)
        (bonus: float)
        (ridge: float)
        (mixture: LinearMixture)
        (ground: ExplorationGround)
        : Explorer<MixtureKnowledge> =
        RegularisedIteration.requireEta eta
        Explorer.requireBonus bonus
        let model = ground.Model
        Shape.requireLength (nameof mixture) model.RowCount mixture.RowCount
        let uniform = RegularisedIteration.uniform model
        let first = RidgeDesign.start ridge mixture.Count

        let learn (step: ObservedStep) (known: MixtureKnowledge) =
            let design =
                known.Design
                |> RidgeDesign.add (mixture.Features(known.Values, step.Row)) (step.Continuation * known.Values[step.Next])

            let doubled = design.LogDeterminant >= known.EpochLogDeterminant + log 2.0
            let actionValues = optimisticBackup bonus ground mixture design known.Values

            let struct (values, logPolicy) =
                RegularisedIteration.mirror eta model (if doubled then uniform else known.LogPolicy) actionValues

            {
                Design = design
                Values = values
                LogPolicy = logPolicy
                EpochLogDeterminant = if doubled then design.LogDeterminant else known.EpochLogDeterminant
                Epochs = if doubled then known.Epochs + 1 else known.Epochs
            }

        {
            Name = $"regularised mixture(eta {eta}, bonus {bonus}, ridge {ridge})"
            Start =
                {
                    Design = first
                    Values = Array.zeroCreate model.StateCount
                    LogPolicy = uniform
                    EpochLogDeterminant = first.LogDeterminant
                    Epochs = 1
                }
            Policy = fun known -> known.LogPolicy |> Array.map exp
            Learn = learn
            Epochs = _.Epochs
        }

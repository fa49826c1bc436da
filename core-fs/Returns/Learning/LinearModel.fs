namespace ValueFlow.Core.Returns

open System
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// A decision process whose transitions are linear in features: P(s' | s, a) = sum over i of phi_i(s, a) theta_i(s'), with features phi(s, a) on the simplex and laws theta_i over states.
/// Yang and Wang 2019, "Sample-optimal parametric Q-learning using linearly additive features"; Jin, Yang, Wang and Jordan 2020, "Provably efficient reinforcement learning with linear function
/// approximation".
type LinearModel =
    internal
        {
            states: int
            features: float[][]
            laws: float[][]
            rewards: float[]
            model: Model
        }

    /// The number of states S.
    member this.StateCount = this.states
    /// The number of actions A, the same in every state.
    member this.ActionCount = this.features.Length / this.states
    /// The number of features d.
    member this.Dimension = this.laws.Length
    /// The features of a state and an action (d).
    member this.Feature(state: int, action: int) : ReadOnlySpan<float> = ReadOnlySpan(this.features[state * this.ActionCount + action])
    /// The law theta_i over successors (S).
    member this.Law(feature: int) : ReadOnlySpan<float> = ReadOnlySpan(this.laws[feature])
    /// r(s, a).
    member this.Reward(state: int, action: int) : float = this.rewards[state * this.ActionCount + action]
    /// The same process, transition by transition.
    member this.Model = this.model

/// Makes linear models.
[<RequireQualifiedAccess>]
module LinearModel =

    let private requireLaw (name: string) (place: string) (length: int) (masses: float[]) =
        if masses.Length <> length then
            invalidArg name $"{place} must have {length} entries but has {masses.Length}"

        match masses |> Array.tryFindIndex (fun mass -> not (mass >= 0.0)) with
        | Some i -> invalidArg name $"entry {i} of {place} must not be negative but is {masses[i]}"
        | None -> ()

        let total = Array.sum masses

        if not (abs (total - 1.0) <= 1e-9) then
            invalidArg name $"{place} must sum to 1 within 1e-9 but sums to {total}"

    /// The model of features (for each state and, within it, each action, a point of the simplex of d entries), of d laws over the states, and of rewards (for each state and
    /// action), finite. Episodes start in state 0.
    let create (states: int) (features: float[][]) (laws: float[][]) (rewards: float[]) : LinearModel =
        if states < 1 then
            invalidArg (nameof states) $"states must be at least 1 but are {states}"

        if features.Length = 0 || features.Length % states <> 0 then
            invalidArg
                (nameof features)
                $"there must be a multiple of {states} features, one for each state and action, but there are {features.Length}"

        Shape.requireLength (nameof rewards) features.Length rewards.Length
        Shape.requireFinite (nameof rewards) rewards
        features |> Array.iteri (fun k row -> requireLaw (nameof features) $"row {k}" laws.Length row)
        laws |> Array.iteri (fun i law -> requireLaw (nameof laws) $"law {i}" states law)
        let actions = features.Length / states
        let builder = ModelBuilder states

        for s in 0 .. states - 1 do
            for a in 0 .. actions - 1 do
                let k = s * actions + a

                for next in 0 .. states - 1 do
                    let mutable chance = 0.0

                    for i in 0 .. laws.Length - 1 do
                        chance <- chance + features[k].[i] * laws[i].[next]

                    if chance > 0.0 then
                        builder.Add(s, a, next, chance, rewards[k])

        builder.Initial 0

        match builder.Build() with
        | Ok model ->
            {
                states = states
                features = features |> Array.map Array.copy
                laws = laws |> Array.map Array.copy
                rewards = Array.copy rewards
                model = model
            }
        | Error errors -> invalidArg (nameof features) (errors |> List.map ModelError.describe |> String.concat "; ")

    /// A random model: features and laws from the Dirichlet law of a concentration, rewards the squares of uniform numbers.
    let random (generator: Generator) (states: int) (actions: int) (dimension: int) (concentration: float) : LinearModel =
        if actions < 1 then
            invalidArg (nameof actions) $"actions must be at least 1 but are {actions}"

        if dimension < 1 then
            invalidArg (nameof dimension) $"dimension must be at least 1 but is {dimension}"

        let points count size = Array.init count (fun _ -> Sampling.dirichlet generator concentration size)
        let features, laws = points (states * actions) dimension, points dimension states
        let rewards = Array.init (states * actions) (fun _ -> let u = generator.Uniform() in u * u)
        create states features laws rewards

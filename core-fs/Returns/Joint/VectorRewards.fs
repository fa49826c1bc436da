namespace ValueFlow.Core.Returns

open System
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// Several rewards for each transition of a model: what comes from one source, and what from another. The model's own rewards are not read. Never changed.
[<Sealed>]
type VectorRewards private (model: Model, names: string[], channels: float[][]) =

    /// The model whose transitions carry the rewards.
    member _.Model = model
    /// The number of sources of reward.
    member _.Count = channels.Length
    /// The names of the sources.
    member _.Names: string[] = Array.copy names
    // Source by source the reward of every transition. Not to be changed.
    member internal _.Channels = channels
    /// For each source its reward at a transition.
    member _.At(transition: int) : float[] = channels |> Array.map (fun channel -> channel[transition])

    /// The model with the rewards w . R of a direction w: one number for each source.
    member _.Along(direction: float[]) : Model =
        Shape.requireLength (nameof direction) channels.Length direction.Length

        match direction |> Array.tryFindIndex (Double.IsFinite >> not) with
        | Some i -> invalidArg (nameof direction) $"entry {i} must be finite but is {direction[i]}"
        | None -> ()

        { model with
            rewardTable =
                RewardTable.OfTransitions(
                    Array.init model.TransitionCount (fun k ->
                        Array.fold2 (fun sum w (channel: float[]) -> sum + w * channel[k]) 0.0 direction channels)
                )
        }

    /// The model with the sum of all rewards: what a greedy choice looks at.
    member this.Total: Model = this.Along(Array.create channels.Length 1.0)

    /// The rewards r(transition), one number for each name. Throws an ArgumentException for no name or a name that comes twice, for a reward of another length or that is
    /// not finite, and for a model whose probabilities are known only to lie in intervals.
    static member Create(model: Model, names: string[], reward: int -> float[]) : VectorRewards =
        if names.Length = 0 then
            invalidArg (nameof names) "there must be at least one source of reward but there is none"

        match names |> Array.countBy id |> Array.tryFind (fun (_, count) -> count > 1) with
        | Some(name, count) -> invalidArg (nameof names) $"names must differ but '{name}' comes {count} times"
        | None -> ()

        if model.IsInterval then
            invalidArg (nameof model) "the model must have known probabilities but knows them only to lie in intervals"

        let channels = names |> Array.map (fun _ -> Array.zeroCreate<float> model.TransitionCount)

        for k in 0 .. model.TransitionCount - 1 do
            let found = reward k

            if found.Length <> names.Length then
                invalidArg (nameof reward) $"transition {k} must have {names.Length} rewards but has {found.Length}"

            for i in 0 .. names.Length - 1 do
                if not (Double.IsFinite found[i]) then
                    invalidArg (nameof reward) $"reward '{names[i]}' of transition {k} must be finite but is {found[i]}"

                channels[i].[k] <- found[i]

        VectorRewards(model, Array.copy names, channels)

namespace ValueFlow.Core.Learning

open System
open System.Numerics.Tensors
open ValueFlow.Core.Foundations
open ValueFlow.Core.Returns

/// What a network says of each action.
[<RequireQualifiedAccess>]
type ValueHead =
    /// Its value, learnt by a Huber loss with slope 1 beyond 1. Mnih et al. 2015, "Human-level control through deep reinforcement learning" (DQN).
    | Scalar
    /// The law of its return as logits on a support, learnt by cross-entropy to the projected bootstrap; the value is the law's mean.
    /// Bellemare, Dabney and Munos 2017, "A distributional perspective on reinforcement learning" (C51 for 51 atoms).
    | Categorical of Support

/// Reads the output row of a network, actions one after the other.
[<RequireQualifiedAccess>]
module ValueHead =

    /// Numbers that a network puts out for so many actions.
    let outputs (actions: int) (head: ValueHead) : int =
        match head with
        | ValueHead.Scalar -> actions
        | ValueHead.Categorical support -> actions * support.Count

    /// The value of an action.
    let value (output: ReadOnlySpan<float32>) (action: int) (head: ValueHead) : float =
        match head with
        | ValueHead.Scalar -> float output[action]
        | ValueHead.Categorical support ->
            let logits = output.Slice(action * support.Count, support.Count)
            let masses: float32[] = Array.zeroCreate support.Count
            TensorPrimitives.SoftMax(logits, Span masses)
            let mutable place = 0.0

            for i in 0 .. masses.Length - 1 do
                place <- place + float i * float masses[i]

            support.Least + support.Gap * place

    /// The action of the largest value, the lowest number among equals.
    let greedy (output: ReadOnlySpan<float32>) (actions: int) (head: ValueHead) : int =
        let mutable best = 0
        let mutable most = value output 0 head

        for action in 1 .. actions - 1 do
            let found = value output action head

            if found > most then
                best <- action
                most <- found

        best

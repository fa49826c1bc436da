namespace ValueFlow.Core.Dynamics

open System
open TorchSharp

/// States at the starts of some of the steps, evenly spaced, O(sqrt n) of n: when there are too many, every other one is dropped. The first is always kept.
[<Sealed>]
type internal Checkpoints() =
    let kept = ResizeArray<struct (int * torch.Tensor)>()
    let mutable stride = 1

    /// The kept step indices and states.
    member _.Kept = kept

    /// Keeps a copy of the state at the start of a step, if it is due.
    member _.Offer(step: int, state: torch.Tensor) : unit =
        if step % stride = 0 then
            kept.Add(struct (step, state.clone().DetachFromDisposeScope()))

            if kept.Count > 2 * stride + 1 then
                stride <- 2 * stride

                for struct (index, state) in kept do
                    if index % stride <> 0 then
                        state.Dispose()

                kept.RemoveAll(fun (struct (index, _)) -> index % stride <> 0) |> ignore

    interface IDisposable with
        /// Frees the states.
        member _.Dispose() =
            for struct (_, state) in kept do
                state.Dispose()

namespace ValueFlow.Core.Flows

open TorchSharp
open ValueFlow.Core.Foundations

/// Couplings of more than two batches: each further batch is paired with the first.
/// Albergo, Boffi, Lindsey and Vanden-Eijnden 2024, "Multimarginal generative modeling with stochastic interpolants".
[<RequireQualifiedAccess>]
module TupleCoupling =

    /// The row of each batch that stands in tuple k: <c>answer[b][k]</c>; the first batch stays in order. The coupling must leave the first batch as it is.
    /// Throws an ArgumentException for no batch, and as <c>Coupling.apply</c> does.
    let rows (coupling: Coupling<unit>) (generator: Generator) (batches: torch.Tensor list) : int[][] =
        match batches with
        | [] -> invalidArg (nameof batches) "there must be at least one batch but there is none"
        | first :: rest ->
            if coupling.Prepare.IsSome then
                invalidArg (nameof coupling) $"the coupling must pair given batches, but '{coupling.Name}' makes the first from the second"

            if first.dim () = 0L || first.shape[0] = 0L then
                invalidArg (nameof batches) "a batch must have at least one row but the first has none"

            [|
                Coupling.identity first.shape[0]

                for batch in rest do
                    Lifetime.within (fun () ->
                        let pairs = Coupling.apply coupling generator first batch [||]
                        // In the order of the first batch.
                        let order = Array.zeroCreate<int> pairs.Pairing.Source.Length
                        Array.iter2 (fun i j -> order[i] <- j) pairs.Pairing.Source pairs.Pairing.Target
                        order)
            |]

    /// The batches with their rows in the order of their tuples. The tensors are new, hold no gradient, and belong to the caller.
    let apply (coupling: Coupling<unit>) (generator: Generator) (batches: torch.Tensor list) : torch.Tensor list =
        let orders = rows coupling generator batches

        batches
        |> List.mapi (fun b batch ->
            Lifetime.keepDetached (fun () ->
                let index: torch.Tensor = torch.tensor (Array.map int64 orders[b])
                batch.index_select (0L, index)))

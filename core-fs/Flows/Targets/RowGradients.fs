namespace ValueFlow.Core.Flows

open System
open System.Collections.Generic
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic

/// Derivatives of a scalar for each row, differentiable again. Rows must not see one another.
[<RequireQualifiedAccess>]
module internal RowGradients =

    /// A leaf that records derivatives, or a view that keeps the graph which leads to x.
    let private tracked (x: torch.Tensor) : torch.Tensor = if x.requires_grad then x.view_as x else x.detach().requires_grad_ true

    // An output that depends on no input, and an input that an output does not depend on, have derivative zero; both would end the process.
    let private pull (value: torch.Tensor) (inputs: torch.Tensor list) : torch.Tensor list =
        if not value.requires_grad then
            inputs |> List.map torch.zeros_like
        else
            let found =
                torch.autograd.grad (
                    List<torch.Tensor>([ value.sum () ]),
                    List<torch.Tensor>(inputs),
                    retain_graph = true,
                    create_graph = true,
                    allow_unused = true
                )

            List.map2
                (fun input (gradient: torch.Tensor) -> if gradient.IsInvalid then torch.zeros_like input else gradient)
                inputs
                (List.ofSeq found)

    /// ds/dt (B), grad_x s (B, d) and, if asked for, the Laplacian (B) of an action s(t, x) -> (B). Call within a scope.
    let ofAction
        (needsLaplacian: bool)
        (action: torch.Tensor -> torch.Tensor -> torch.Tensor)
        (t: torch.Tensor)
        (x: torch.Tensor)
        : struct (torch.Tensor * torch.Tensor * torch.Tensor * torch.Tensor voption) =
        use _recording = torch.enable_grad ()
        let t, x = tracked t, tracked x
        let value = action t x
        TimeRows.requireLike "action" t value

        match pull value [ t; x ] with
        | [ rate; gradient ] ->
            let laplacian =
                if needsLaplacian then
                    seq { 0L .. x.shape[1] - 1L }
                    |> Seq.map (fun k -> (pull (gradient.select (1L, k)) [ x ]).Head.select(1L, k))
                    |> Seq.reduce (fun sum next -> sum.Plus next)
                    |> ValueSome
                else
                    ValueNone

            struct (value, rate, gradient, laplacian)
        | _ -> raise (InvalidOperationException "two gradients were asked for")

namespace ValueFlow.Core.Foundations

open TorchSharp

/// The reverse pass of a function of several tensors that holds parameters, for whoever runs backwards through many steps.
[<RequireQualifiedAccess>]
module internal Pullback =

    let requireLeaves (parameters: torch.Tensor[]) : unit =
        parameters
        |> Array.iteri (fun i parameter ->
            if not (parameter.requires_grad && parameter.is_leaf) then
                invalidArg (nameof parameters) $"parameter {i} must be a leaf that requires gradients")

    /// ys = f xs, sum_i (dy_i/dx)^T v_i for each x, and for each parameter.
    let along
        (f: torch.Tensor[] -> torch.Tensor[])
        (parameters: torch.Tensor[])
        (xs: torch.Tensor[])
        (vs: torch.Tensor[])
        : struct (torch.Tensor[] * torch.Tensor[] * torch.Tensor[]) =
        requireLeaves parameters
        xs |> Array.iter (Tape.requireReal (nameof xs))
        use scope = torch.NewDisposeScope()
        use _recording = torch.enable_grad ()
        let points = xs |> Array.map (fun x -> (x.detach ()).requires_grad_ true)
        let values = f points
        Shape.requireLength (nameof vs) values.Length vs.Length
        Array.iter2 (Tape.requireLike (nameof vs)) values vs
        let found = Tape.pulls values vs (Array.append points parameters)
        let free (tensor: torch.Tensor) : torch.Tensor = scope.MoveToOuter(tensor.detach ())
        let onPoints, onParameters = found |> Array.map free |> Array.splitAt xs.Length
        struct (Array.map free values, onPoints, onParameters)

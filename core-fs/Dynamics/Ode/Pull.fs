namespace ValueFlow.Core.Dynamics

open TorchSharp

/// Products of a vector with a Jacobian. libtorch ends the process on a gradient that does not exist: everything is checked before.
[<RequireQualifiedAccess>]
module internal Pull =

    /// Throws unless every parameter is a leaf that wants gradients.
    let requireLeaves (parameters: torch.Tensor[]) : unit =
        parameters
        |> Array.iteri (fun i parameter ->
            if not (parameter.requires_grad && parameter.is_leaf) then
                invalidArg (nameof parameters) $"parameter {i} must be a leaf that requires gradients")

    /// Throws unless the cotangent has the shape and the type of its value.
    let requireLike (name: string) (value: torch.Tensor) (cotangent: torch.Tensor) : unit =
        if cotangent.dtype <> value.dtype || cotangent.shape <> value.shape then
            let text (tensor: torch.Tensor) = $"{tensor.dtype} [{System.String.Join(',', tensor.shape)}]"
            invalidArg name $"must be {text value} but is {text cotangent}"

    /// y = f(inputs) and, for cotangents c of y, sum c dy / d(input) for every input and then every parameter. Values and gradients carry no graph; the caller's scope owns them.
    let back
        (f: torch.Tensor[] -> torch.Tensor[])
        (inputs: torch.Tensor[])
        (parameters: torch.Tensor[])
        (cotangents: torch.Tensor[])
        : torch.Tensor[] * torch.Tensor[] =
        use _recording = torch.enable_grad ()
        use scope = torch.NewDisposeScope()
        let leaves = inputs |> Array.map (fun input -> input.detach().requires_grad_ true)
        let values = f leaves
        Array.iter2 (requireLike "cotangent") values cotangents
        let reached = Array.zip values cotangents |> Array.filter (fun (value, _) -> value.requires_grad)
        let sources = Array.append leaves parameters

        let found =
            if reached.Length = 0 then
                sources |> Array.map torch.zeros_like
            else
                let outputs, weights = Array.unzip reached
                let gradients = torch.autograd.grad (outputs, sources, weights, false, false, true)

                sources
                |> Array.mapi (fun i source ->
                    let gradient = gradients[i]
                    if isNull (box gradient) || gradient.IsInvalid then torch.zeros_like source else gradient)

        let free (tensor: torch.Tensor) = scope.MoveToOuter(tensor.detach ())
        Array.map free values, Array.map free found

namespace ValueFlow.Core.Dynamics

open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic

/// Steps of explicit Runge-Kutta schemes in plain tensor arithmetic: differentiable by autograd, and for every kind of term.
/// This is the meaning of a scheme; the driver's arithmetic on raw memory is held equal to it by a law.
[<RequireQualifiedAccess>]
module RungeKutta =

    let private combine (x: torch.Tensor) (row: float[]) (slopes: ResizeArray<torch.Tensor>) : torch.Tensor =
        let mutable sum = x

        row
        |> Array.iteri (fun j a ->
            if a <> 0.0 then
                sum <- sum.Plus(Elementwise.times a slopes[j]))

        sum

    /// One step: X_i = x + sum_j a_ij K_j with K_j = sum over the terms of f(time c_j, X_j) du; the end is x + sum_j b_j K_j.
    /// <c>time</c> gives the time of a share of the step, one number or one for each row; <c>increments</c> are those of the terms over the whole step.
    let advance
        (scheme: Scheme)
        (terms: Term list)
        (time: float -> torch.Tensor)
        (increments: torch.Tensor list)
        (x: torch.Tensor)
        : torch.Tensor =
        Lifetime.keep (fun () ->
            let slopes = ResizeArray<torch.Tensor>()

            // A stage after the last weight is for the error or the next step.
            let needed = 1 + Array.findIndexBack (fun b -> b <> 0.0) scheme.Weights

            for stage in Array.truncate needed scheme.Stages do
                let t, point = time stage.At, combine x stage.From slopes

                List.map2 (fun term du -> Term.slope term t point du) terms increments
                |> List.reduce (fun (sum: torch.Tensor) slope -> sum.Plus slope)
                |> slopes.Add

            combine x scheme.Weights slopes)

    /// One step from time s to time t, forwards or backwards.
    let step (scheme: Scheme) (terms: Term list) (s: float) (t: float) (x: torch.Tensor) : torch.Tensor =
        if terms.IsEmpty then
            invalidArg (nameof terms) "there must be at least one term but there is none"

        Lifetime.keep (fun () ->
            let time (share: float) : torch.Tensor = torch.tensor (s + share * (t - s), dtype = x.dtype)
            advance scheme terms time (terms |> List.map (fun term -> term.Control s t)) x)

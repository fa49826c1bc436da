namespace ValueFlow.Core.Flows

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics

/// A change of the field that a sampler follows. Guidances compose with >>, and <c>id</c> is none.
type Guidance = Field -> Field

/// Guidances. A weight is a function of time: where it is zero, the field is as it was, and nothing else is evaluated.
[<RequireQualifiedAccess>]
module Guidance =

    let private weights (weight: Schedule) (x: torch.Tensor) (t: torch.Tensor) : float[] =
        TimeRows.read x t
        |> Array.map (fun time ->
            let w = weight.Value time

            if not (Double.IsFinite w) then
                invalidArg (nameof weight) $"must be finite but is {w} at t = {time}"

            w)

    // The field, or what work makes of its value where a weight is not zero.
    let private guided
        (name: string)
        (weight: Schedule)
        (work: torch.Tensor -> torch.Tensor -> float[] -> torch.Tensor -> torch.Tensor)
        : Guidance =
        fun field ->
            Field.create $"{field.Name}, {name}" (fun t x ->
                let weights = weights weight x t

                Lifetime.keep (fun () ->
                    let value = field.Apply t x
                    if Array.forall (fun w -> w = 0.0) weights then value else work t x weights value))

    /// (1 + w) v_c - w v_u, of the conditional field that is guided and an unconditional one: velocities, scores, or any other target. Of scores it is the score of p_c^(1 + w) p_u^-w.
    /// Ho and Salimans 2022, "Classifier-free diffusion guidance"; a weight that is zero in a part of time: Kynkaanniemi and others 2024, "Applying guidance in a limited interval".
    let classifierFree (weight: Schedule) (unconditional: Field) : Guidance =
        guided "classifier-free" weight (fun t x weights value ->
            TimeRows.combine x [ weights |> Array.map (fun w -> 1.0 + w), value; Array.map (~-) weights, unconditional.Apply t x ])

    let private slope (logLikelihood: torch.Tensor -> torch.Tensor -> torch.Tensor) (t: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        Diff.Batch.gradient (logLikelihood t) x

    /// s + w grad_x log p(y | x_t = x), of a score: for w = 1 the score of the law given y. <c>logLikelihood</c> takes t and x (B, d) to (B), and is differentiated.
    /// Dhariwal and Nichol 2021, "Diffusion models beat GANs on image synthesis"; Song and others 2021, "Score-based generative modeling through stochastic differential equations".
    let score (weight: Schedule) (logLikelihood: torch.Tensor -> torch.Tensor -> torch.Tensor) : Guidance =
        guided "by a likelihood" weight (fun t x weights value ->
            TimeRows.combine x [ Array.map (fun _ -> 1.0) weights, value; weights, slope logLikelihood t x ])

    /// The same for any target of an interpolant that follows from the score (velocity, denoiser, endpoint, ...): value + w c(t) grad_x log p(y | x_t = x), with c(t) the coefficient of the score in
    /// the target. Throws an ArgumentException where the target does not follow from the score, and at the times 0 and 1 unless the weight is zero there.
    let target
        (interpolant: Interpolant)
        (target: Target)
        (weight: Schedule)
        (logLikelihood: torch.Tensor -> torch.Tensor -> torch.Tensor)
        : Guidance =
        guided "by a likelihood" weight (fun t x weights value ->
            let conversion = Conversion.between interpolant [ Target.Score ] target (InteriorTime.OfTensor t)
            // A conversion is linear in (x, score): from (0, g) it makes c g.
            let change = Conversion.apply conversion (torch.zeros_like x) [ slope logLikelihood t x ]
            TimeRows.combine x [ Array.map (fun _ -> 1.0) weights, value; weights, change ])

    /// <c>target</c> for velocities.
    let velocity (interpolant: Interpolant) (weight: Schedule) (logLikelihood: torch.Tensor -> torch.Tensor -> torch.Tensor) : Guidance =
        target interpolant Target.Velocity weight logLikelihood

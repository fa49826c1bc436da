namespace ValueFlow.Core.Flows

open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic

/// How far a model is from a target. Both forms have the same minimiser, the conditional mean, and the same gap E|model - mean|^2 above it.
[<RequireQualifiedAccess>]
type LossForm =
    /// E |model - target|^2.
    | SquaredError
    /// E [ |model|^2 - 2 model . target ]: lower than the squared error by E |target|^2; its variance stays finite near singular ends with antithetic noise.
    | InnerProduct

/// What a regression loss reads: times (B), pairs, and weights (B) if rows do not count alike.
[<NoComparison; NoEquality>]
type LossBatch =
    {
        /// t, (B), in [0, 1].
        Times: torch.Tensor
        /// x0, x1 and z.
        Pairs: Pairs
        /// Non-negative weights of rows, (B); nothing: 1/B each. The loss is their weighted sum, not divided by their total.
        Weights: torch.Tensor voption
    }

/// Options of a regression loss.
type LossOptions =
    {
        /// The form.
        Form: LossForm
        /// Whether every row counts with z and with -z, half each: cancels the noise of order gamma' near the ends.
        IsAntithetic: bool
    }

/// Regression losses as pure functions of a model t (B) -> x (B, d) -> (B, d) and a batch.
[<RequireQualifiedAccess>]
module Losses =

    /// Squared error, no antithetic noise.
    let options: LossOptions = { Form = LossForm.SquaredError; IsAntithetic = false }

    /// The sum of values (B) by weights, or their mean.
    let internal average (weights: torch.Tensor voption) (values: torch.Tensor) : torch.Tensor =
        match weights with
        | ValueSome weights ->
            Shape.require "weights" [ values.shape[0] ] weights
            Shape.requireType "weights" values.dtype weights
            values.mul(weights).sum()
        | ValueNone -> values.mean ()

    let private perRow (x: torch.Tensor) : torch.Tensor = if x.dim () = 1L then x else x.flatten(1L).sum 1L

    let private rowLoss (form: LossForm) (answer: torch.Tensor) (target: torch.Tensor) : torch.Tensor =
        match form with
        | LossForm.SquaredError -> perRow ((answer.sub target).Squared())
        | LossForm.InnerProduct -> perRow (answer.mul (answer.sub (Elementwise.times 2.0 target)))

    let private doubled (batch: LossBatch) : LossBatch =
        let twice (x: torch.Tensor) = torch.cat ([| x; x |], 0L)

        {
            Times = twice batch.Times
            Pairs = Pairs.antithetic batch.Pairs
            Weights = batch.Weights |> ValueOption.map (twice >> Elementwise.times 0.5)
        }

    /// The loss of a model of a target: E of the form over the batch, one number. Differentiable in whatever the model depends on.
    /// Throws an ArgumentException where the interpolant refuses the target, a time is singular, a shape is wrong, or the answer is not shaped like x.
    let regression
        (options: LossOptions)
        (interpolant: Interpolant)
        (target: Target)
        (model: torch.Tensor -> torch.Tensor -> torch.Tensor)
        (batch: LossBatch)
        : torch.Tensor =
        Shape.require "times" [ batch.Pairs.Start.shape[0] ] batch.Times

        // Checked before rows are doubled, so that errors name the caller's rows.
        let struct (times, numbers) = Path.evaluate interpolant batch.Times batch.Pairs
        let forms = Target.forms interpolant times numbers target |> Target.orThrow

        Lifetime.keep (fun () ->
            let isAntithetic = options.IsAntithetic && batch.Pairs.Noise.IsSome
            let batch = if isAntithetic then doubled batch else batch
            let twice (values: 'a[]) = if isAntithetic then Array.append values values else values
            let numbers, forms = twice numbers, twice forms
            let number (pick: Coefficients -> float) = numbers |> Array.map pick
            let x = Path.combine batch.Pairs (number _.Alpha) (number _.Beta) (number _.Gamma)
            let wanted = Target.ofForms forms batch.Pairs
            let answer = model batch.Times x
            TimeRows.requireLike "model" x answer
            rowLoss options.Form answer wanted |> average batch.Weights)

    /// The loss of a velocity: min over b is reached at E[dx_t/dt | x_t].
    let velocity (options: LossOptions) (interpolant: Interpolant) model batch = regression options interpolant Target.Velocity model batch

    /// The loss of a score: denoising score matching (Vincent 2011, "A Connection Between Score Matching and Denoising Autoencoders").
    let score (options: LossOptions) (interpolant: Interpolant) model batch = regression options interpolant Target.Score model batch

    /// The loss of a denoiser: min over eta is reached at E[noise | x_t].
    let denoiser (options: LossOptions) (interpolant: Interpolant) model batch = regression options interpolant Target.Denoiser model batch

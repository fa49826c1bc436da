namespace ValueFlow.Core.Flows

open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Foundations.Arithmetic

/// Interpolants between any number of laws: x(alpha) = sum_k alpha_k x_k for weights in the simplex, and the conditional means
/// g_k(alpha, x) = E[x_k | x(alpha) = x], from which a transport along any curve follows.
/// Albergo, Boffi, Lindsey and Vanden-Eijnden 2024, "Multimarginal Generative Modeling with Stochastic Interpolants".
///
/// A model is a function of alpha (B, K) and x (B, d) that returns K tensors (B, d).
[<RequireQualifiedAccess>]
module Multimarginal =

    let private requireModel (count: int) (x: torch.Tensor) (answers: torch.Tensor[]) : unit =
        Shape.requireLength "model" count answers.Length
        answers |> Array.iteri (fun k answer -> TimeRows.requireLike $"model[{k}]" x answer)

    let private requireWeights (count: int) (x: torch.Tensor) (alpha: torch.Tensor) : unit =
        Shape.require "alpha" [ x.shape[0]; int64 count ] alpha
        Shape.requireType "alpha" x.dtype alpha

    let private requireSamples (samples: torch.Tensor[]) : unit =
        if samples.Length < 2 then
            invalidArg (nameof samples) $"must be at least two laws but are {samples.Length}"

        Shape.require "samples[0]" [ -1L; -1L ] samples[0]
        TimeRows.requireBatch "samples[0]" samples[0]
        samples |> Array.iteri (fun k x -> TimeRows.requireLike $"samples[{k}]" samples[0] x)

    /// x(alpha) = sum_k alpha_k x_k, (B, d), for alpha (B, K) and K samples (B, d).
    let point (alpha: torch.Tensor) (samples: torch.Tensor[]) : torch.Tensor =
        requireSamples samples
        requireWeights samples.Length samples[0] alpha
        Lifetime.keep (fun () -> (torch.stack (samples, 2L)).mul(alpha.unsqueeze 1L).sum 2L)

    /// sum_k E |g_k(alpha, x(alpha)) - x_k|^2 over rows, weighted or alike: its minimiser are the conditional means. Differentiable in what the model depends on.
    let loss
        (model: torch.Tensor -> torch.Tensor -> torch.Tensor[])
        (weights: torch.Tensor voption)
        (alpha: torch.Tensor)
        (samples: torch.Tensor[])
        : torch.Tensor =
        Lifetime.keep (fun () ->
            let x = point alpha samples
            let answers = model alpha x
            requireModel samples.Length x answers

            Array.map2 (fun (answer: torch.Tensor) (sample: torch.Tensor) -> (answer.sub sample).Squared().sum 1L) answers samples
            |> Array.reduce (fun sum next -> sum.Plus next)
            |> Losses.average weights)

    /// Rows of weights uniform on the simplex of the given size, (count, size) in float64.
    let draw (generator: Generator) (size: int) (count: int) : torch.Tensor =
        if size < 2 || count < 1 then
            invalidArg (nameof size) $"size must be at least 2 and count at least 1 but are {size} and {count}"

        let rows = Array.init count (fun _ -> Sampling.simplex generator size) |> Array.concat
        Lifetime.keep (fun () -> torch.tensor(rows, dtype = torch.float64).reshape [| int64 count; int64 size |])

    let private spread (x: torch.Tensor) (rows: float[][]) : torch.Tensor =
        Lifetime.keep (fun () ->
            let table =
                torch.tensor(Array.concat rows, dtype = x.dtype, device = x.device).reshape [| int64 rows.Length; int64 rows[0].Length |]

            table.expand([| x.shape[0]; int64 rows[0].Length |]).clone())

    /// dX/dt = sum_k alpha_k'(t) g_k(alpha(t), X): carries the law at alpha(0) to the law at alpha(1).
    let transportAlong (curve: SimplexCurve) (model: torch.Tensor -> torch.Tensor -> torch.Tensor[]) : Field =
        Field.create "transport along a curve of weights" (fun t x ->
            Shape.require "x" [ -1L; -1L ] x
            let times = TimeRows.read x t

            match times |> Array.tryFind (fun time -> not (time >= 0.0 && time <= 1.0)) with
            | Some time -> invalidArg (nameof t) $"must lie in [0, 1] but is {time}"
            | None -> ()

            Lifetime.keep (fun () ->
                let answers = model (spread x (times |> Array.map curve.Value)) x
                requireModel curve.Size x answers
                let rates = times |> Array.map curve.Derivative
                TimeRows.combine x [ for k in 0 .. curve.Size - 1 -> rates |> Array.map (fun rate -> rate[k]), answers[k] ]))

    /// The score of x(alpha) where the law of number <c>gaussian</c> is N(0, I), independent of the others: -g / alpha, (B, d).
    /// Throws an ArgumentException that names the row where its weight is not positive.
    let score
        (gaussian: int)
        (model: torch.Tensor -> torch.Tensor -> torch.Tensor[])
        (alpha: torch.Tensor)
        (x: torch.Tensor)
        : torch.Tensor =
        Shape.require "x" [ -1L; -1L ] x
        Shape.require "alpha" [ x.shape[0]; -1L ] alpha
        Shape.requireType "alpha" x.dtype alpha

        if gaussian < 0 || int64 gaussian >= alpha.shape[1] then
            invalidArg (nameof gaussian) $"must lie in [0, {alpha.shape[1] - 1L}] but is {gaussian}"

        Lifetime.keep (fun () ->
            let weight = alpha.narrow (1L, int64 gaussian, 1L)

            match TimeRows.values weight |> Array.tryFindIndex (fun a -> not (a > 0.0)) with
            | Some row -> invalidArg (nameof alpha) $"row {row} must have a positive weight of law {gaussian}"
            | None -> ()

            let answers = model alpha x
            requireModel (int alpha.shape[1]) x answers
            answers[gaussian].div(weight).neg())

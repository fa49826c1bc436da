namespace ValueFlow.Core.Learning

open TorchSharp
open ValueFlow.Core.Foundations

/// The function between two layers of a network, entry by entry.
[<RequireQualifiedAccess>]
type Activation =
    /// l x for x > 0, else l a (e^x - 1), with l = 1.0507 and a = 1.6733. Klambauer, Unterthiner, Mayr and Hochreiter 2017, "Self-normalizing neural networks".
    | Selu
    /// x for x > 0, else e^x - 1. Clevert, Unterthiner and Hochreiter 2016, "Fast and accurate deep network learning by exponential linear units".
    | Elu
    /// x / (1 + e^-x): smooth. Elfwing, Uchibe and Doya 2018, "Sigmoid-weighted linear units for neural network function approximation".
    | Silu
    /// x P(Z at most x) for a standard normal Z: smooth. Hendrycks and Gimpel 2016, "Gaussian error linear units".
    | Gelu
    /// The hyperbolic tangent: smooth.
    | Tanh
    /// max(x, 0).
    | Relu

/// Names and tensor forms of activations.
[<RequireQualifiedAccess>]
module Activation =

    /// Every activation.
    let all: Activation list =
        [ Activation.Selu; Activation.Elu; Activation.Silu; Activation.Gelu; Activation.Tanh; Activation.Relu ]

    /// The name in files and reports: selu, elu, silu, gelu, tanh or relu.
    let name (activation: Activation) : string = (string activation).ToLowerInvariant()

    /// The activation of a name; nothing for an unknown one.
    let tryParse (text: string) : Activation option = all |> List.tryFind (fun activation -> name activation = text)

    /// The activation of every entry of a tensor, as often differentiable as the function is.
    let apply (activation: Activation) (x: torch.Tensor) : torch.Tensor =
        match activation with
        | Activation.Selu -> torch.nn.functional.selu (x, false)
        | Activation.Elu ->
            // The branch that is not taken sees 0, so that its derivative is no infinity.
            let isNegative: torch.Tensor = Elementwise.isAtMost 0.0 x
            let negative: torch.Tensor = torch.where (isNegative, x, torch.zeros_like x)
            torch.where (isNegative, negative.expm1 (), x)
        | Activation.Silu -> torch.nn.functional.silu (x, false)
        | Activation.Gelu ->
            let error: torch.Tensor = torch.special.erf (Elementwise.times (sqrt 0.5) x)
            (Elementwise.times 0.5 x).mul(Elementwise.plus 1.0 error)
        | Activation.Tanh -> x.tanh ()
        | Activation.Relu -> x.relu ()

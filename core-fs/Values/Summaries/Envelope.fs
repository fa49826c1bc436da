namespace ValueFlow.Core.Values

open TorchSharp
open ValueFlow.Core.Foundations

/// Extreme values of one parameter or law, on tensors: found without a gradient, which the envelope theorem then gives.
[<RequireQualifiedAccess>]
module internal Envelope =

    /// The value of min over laws q of sum q x, with its gradient: the law that attains it (Danskin 1967, "The theory of max-min"). First derivatives only.
    let attach (law: torch.Tensor) (outcomes: torch.Tensor) (value: torch.Tensor) : torch.Tensor =
        let mean = (law.detach().mul outcomes).sum 1L
        Elementwise.sum (value.detach ()) (mean.sub (mean.detach ()))

    /// The two ends around the point up to which <c>before</c> holds, halved so many times.
    let halve (steps: int) (below: torch.Tensor) (above: torch.Tensor) (before: torch.Tensor -> torch.Tensor) =
        let mutable lower, upper = below, above

        for _ in 1..steps do
            let middle = Elementwise.times 0.5 (Elementwise.sum lower upper)
            let goesOn = before middle
            lower <- torch.where (goesOn, middle, lower)
            upper <- torch.where (goesOn, upper, middle)

        struct (lower, upper)

namespace ValueFlow.Core.Foundations

open TorchSharp

/// Estimates of traces from random directions: unbiased, one reverse pass a direction. Hutchinson 1990, "A stochastic estimator of the trace of the influence matrix"; for
/// divergences of flows Grathwohl and others 2019, "FFJORD".
[<RequireQualifiedAccess>]
module Hutchinson =

    let private drawn generator law count x (work: torch.Tensor -> 'result) : 'result =
        use probes = Probe.draw generator law count x
        work probes

    /// The mean of v . J v over probes of the shape (count, n).
    let divergenceAlong (probes: torch.Tensor) f (x: torch.Tensor) : torch.Tensor =
        Answer.only [ probes ] 1 (Derivatives.probedDivergence probes) f x

    /// f x, the estimate of trace J.
    let fdivergenceAlong (probes: torch.Tensor) f (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        Answer.valueAnd [ probes ] 1 (Derivatives.probedDivergence probes) f x

    /// The mean of v . H v over probes of the shape (count, n).
    let laplacianAlong (probes: torch.Tensor) f (x: torch.Tensor) : torch.Tensor =
        Answer.only [ probes ] 1 (Derivatives.probedLaplacian probes) f x

    /// f x, the estimate of trace H.
    let flaplacianAlong (probes: torch.Tensor) f (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        Answer.valueAnd [ probes ] 1 (Derivatives.probedLaplacian probes) f x

    /// An estimate of trace J from <c>count</c> random directions of the law.
    let divergence (generator: Generator) (law: Probe) (count: int) f (x: torch.Tensor) : torch.Tensor =
        drawn generator law count x (fun probes -> divergenceAlong probes f x)

    /// f x, an estimate of trace J.
    let fdivergence (generator: Generator) (law: Probe) (count: int) f (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        drawn generator law count x (fun probes -> fdivergenceAlong probes f x)

    /// An estimate of trace H from <c>count</c> random directions of the law.
    let laplacian (generator: Generator) (law: Probe) (count: int) f (x: torch.Tensor) : torch.Tensor =
        drawn generator law count x (fun probes -> laplacianAlong probes f x)

    /// f x, an estimate of trace H.
    let flaplacian (generator: Generator) (law: Probe) (count: int) f (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        drawn generator law count x (fun probes -> flaplacianAlong probes f x)

namespace ValueFlow.Core.Foundations

open TorchSharp

/// The law of random directions v with E v v^T = I, so that E v . A v = trace A.
[<RequireQualifiedAccess>]
type Probe =
    /// Each entry +1 or -1, with equal probability: the least variance of all such laws (Hutchinson 1990, "A stochastic estimator of the trace of the influence matrix").
    | Rademacher
    /// Each entry standard normal.
    | Normal

/// Random directions for estimates of traces.
[<RequireQualifiedAccess>]
module Probe =

    /// <c>count</c> independent directions, of the shape (count, shape of x) and the type of x. Throws an ArgumentException if count is not positive.
    let draw (generator: Generator) (law: Probe) (count: int) (x: torch.Tensor) : torch.Tensor =
        if count < 1 then
            invalidArg (nameof count) $"count must be at least 1 but is {count}"

        Tape.requireReal (nameof x) x
        use source = Sampling.torchGenerator generator
        let shape = Array.append [| int64 count |] x.shape

        Lifetime.keepDetached (fun () ->
            let drawn: torch.Tensor =
                match law with
                | Probe.Normal -> torch.randn (shape, dtype = x.dtype, generator = source)
                | Probe.Rademacher ->
                    let coin = (Elementwise.times 2.0 (torch.rand (shape, dtype = x.dtype, generator = source))).floor()
                    Elementwise.plus -1.0 (Elementwise.times 2.0 coin)

            drawn.``to`` x.device)

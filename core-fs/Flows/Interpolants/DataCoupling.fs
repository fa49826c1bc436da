namespace ValueFlow.Core.Flows

open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Foundations.Arithmetic

/// A batch whose start was made from its end: pairs to learn from, and what a model may see of the data besides x_t.
[<NoComparison; NoEquality>]
type CoupledBatch =
    {
        /// x0, made from x1, (B, ...).
        Start: torch.Tensor
        /// x1, (B, ...); the tensor that was given.
        Finish: torch.Tensor
        /// What is known of x1 when sampling, (B, ...): a coarse image, the known pixels.
        Condition: torch.Tensor voption
        /// 1 where x0 = x1 by construction, 0 elsewhere, in the type of x1.
        Known: torch.Tensor voption
    }

/// Couplings x0 ~ rho_0(. | x1): what a transport starts from is made from the data that it shall reach. Independent of anything else, so that any
/// interpolant may follow. Albergo, Goldstein, Boffi, Ranganath and Vanden-Eijnden 2024, "Stochastic Interpolants with Data-Dependent Couplings".
[<RequireQualifiedAccess>]
module DataCoupling =

    let private noiseLike (generator: Generator) (x: torch.Tensor) : torch.Tensor = Sampling.normals generator x.dtype x.device x.shape

    /// x0 = noise N(0, I), whatever x1 is.
    let independent (generator: Generator) (x1: torch.Tensor) : CoupledBatch =
        TimeRows.requireBatch (nameof x1) x1
        { Start = noiseLike generator x1; Finish = x1; Condition = ValueNone; Known = ValueNone }

    /// x0 = x1 + deviation noise.
    let perturbed (deviation: float) (generator: Generator) (x1: torch.Tensor) : CoupledBatch =
        TimeRows.requireBatch (nameof x1) x1

        if not (deviation >= 0.0 && System.Double.IsFinite deviation) then
            invalidArg (nameof deviation) $"must be finite and not negative but is {deviation}"

        {
            Start = Lifetime.keep (fun () -> x1.Plus(Elementwise.times deviation (noiseLike generator x1)))
            Finish = x1
            Condition = ValueNone
            Known = ValueNone
        }

    /// The image of block means, blown up again to the size of x (B, ..., H, W): U D x, a projection. Throws an ArgumentException unless the factor divides H and W.
    let coarsen (factor: int) (x: torch.Tensor) : torch.Tensor =
        TimeRows.requireBatch (nameof x) x

        if x.dim () < 3L then
            invalidArg (nameof x) $"shape must end in height and width but has {x.dim ()} dimensions"

        let f, height, width = int64 factor, x.shape[x.shape.Length - 2], x.shape[x.shape.Length - 1]

        if factor < 1 || height % f <> 0L || width % f <> 0L then
            invalidArg (nameof factor) $"must divide height {height} and width {width} but is {factor}"

        Lifetime.keep (fun () ->
            let blocks = x.reshape [| -1L; height / f; f; width / f; f |]
            let means = blocks.mean ([| 2L; 4L |], true)
            means.expand(blocks.shape).reshape x.shape)

    /// Super-resolution: x0 = U D x1 + deviation noise, and the model sees U D x1. x1 is (B, ..., H, W).
    let superResolution (factor: int) (deviation: float) (generator: Generator) (x1: torch.Tensor) : CoupledBatch =
        let coarse = coarsen factor x1
        let noisy = perturbed deviation generator coarse
        { Start = noisy.Start; Finish = x1; Condition = ValueSome coarse; Known = ValueNone }

    /// Throws unless the mask holds zeros and ones and can be spread over x.
    let private requireMask (x: torch.Tensor) (mask: torch.Tensor) : unit =
        Shape.requireType "mask" x.dtype mask
        Shape.require "mask" (List.ofArray x.shape) mask

        if TimeRows.values mask |> Array.exists (fun m -> m <> 0.0 && m <> 1.0) then
            invalidArg "mask" "must hold zeros and ones only"

    /// In-painting: x0 = M x1 + (1 - M) noise, M = 1 where x1 is known (the shape of x1); the model sees M x1.
    let inPainting (mask: torch.Tensor) (generator: Generator) (x1: torch.Tensor) : CoupledBatch =
        TimeRows.requireBatch (nameof x1) x1
        requireMask x1 mask
        let known = Lifetime.keep (fun () -> x1.mul mask)

        {
            Start = Lifetime.keep (fun () -> torch.where (mask.``to`` torch.bool, x1, noiseLike generator x1))
            Finish = x1
            Condition = ValueSome known
            Known = ValueSome(mask.clone ())
        }

    /// (1 - M) b: a velocity that cannot move the known coordinates, which therefore stay exact along the flow.
    let keepKnown (mask: torch.Tensor) (velocity: Field) : Field =
        Field.create $"{velocity.Name}, known part kept" (fun t x ->
            requireMask x mask

            Lifetime.keep (fun () ->
                let b = velocity.Apply t x
                TimeRows.requireLike velocity.Name x b
                Elementwise.fill (mask.``to`` torch.bool) 0.0 b))

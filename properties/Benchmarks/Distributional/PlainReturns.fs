namespace ValueFlow.Benchmarks

open System
open TorchSharp

/// The yardsticks: the same as one would write it with TorchSharp alone, the way published programs do.
[<RequireQualifiedAccess>]
module PlainReturns =

    /// The categorical projection by two flat scatters, of the shares below and above. 51 atoms in [-10, 10].
    let project (rewards: torch.Tensor) (discounts: torch.Tensor) (masses: torch.Tensor) (atoms: torch.Tensor) : torch.Tensor =
        let count = atoms.shape[0]
        let moved: torch.Tensor = (rewards.unsqueeze 1L).addcmul(discounts.unsqueeze 1L, atoms, Scalar.op_Implicit 1.0)
        let clipped: torch.Tensor = moved.clamp (Scalar.op_Implicit -10.0, Scalar.op_Implicit 10.0)
        let place: torch.Tensor = (clipped.add (Scalar.op_Implicit 10.0)).mul(Scalar.op_Implicit (float (count - 1L) / 20.0))
        let below: torch.Tensor = (place.floor ()).clamp_max(Scalar.op_Implicit (float (count - 2L)))
        let share: torch.Tensor = place.sub below
        let upper: torch.Tensor = masses.mul share
        let index: torch.Tensor = below.``to`` (torch.int64: torch.ScalarType)
        let into: torch.Tensor = torch.zeros_like masses
        into.scatter_add_ (1L, index, masses.sub upper) |> ignore
        into.scatter_add_ (1L, index.add (Scalar.op_Implicit 1), upper)

    /// The quantile Huber loss with kappa 1 over all pairs, by smooth L1.
    let quantileHuber (predictions: torch.Tensor) (targets: torch.Tensor) (levels: torch.Tensor) : torch.Tensor =
        let shape = [| predictions.shape[0]; predictions.shape[1]; targets.shape[1] |]
        let q: torch.Tensor = (predictions.unsqueeze 2L).expand shape
        let y: torch.Tensor = (targets.unsqueeze 1L).expand shape
        let huber: torch.Tensor = torch.nn.functional.smooth_l1_loss (q, y, torch.nn.Reduction.None)
        let isBelow: torch.Tensor = (y.lt q).``to``(torch.float32: torch.ScalarType)
        let weight: torch.Tensor = ((levels.unsqueeze 1L).sub isBelow).abs()
        (((weight.mul huber).mean [| 2L |]).sum 1L).mean()

    /// The cross-entropy of logits to masses.
    let categorical (logits: torch.Tensor) (targets: torch.Tensor) : torch.Tensor =
        (((logits.log_softmax 1L).mul targets).sum(1L).mean()).neg()

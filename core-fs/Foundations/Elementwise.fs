namespace ValueFlow.Core.Foundations

open TorchSharp

/// Tensors and plain numbers. A number crosses into libtorch as a native object that no scope tracks and that the collector may free while the call still reads
/// it: here it is kept until the call has returned, and freed at once.
[<RequireQualifiedAccess>]
module Elementwise =

    let private withNumber (number: float) (work: Scalar -> torch.Tensor) : torch.Tensor =
        use scalar = Scalar.op_Implicit number
        work scalar

    /// a x.
    let times (a: float) (x: torch.Tensor) : torch.Tensor = withNumber a (fun scalar -> x.mul scalar)
    /// x + y. TorchSharp's own sum of two tensors passes the factor one on as such a number.
    let sum (x: torch.Tensor) (y: torch.Tensor) : torch.Tensor = withNumber 1.0 (fun one -> x.add (y, one))
    /// x + c. TorchSharp's own such sum makes a factor one likewise.
    let plus (c: float) (x: torch.Tensor) : torch.Tensor = withNumber c (fun scalar -> withNumber 1.0 (fun one -> x.add (scalar, one)))
    /// x / a.
    let over (a: float) (x: torch.Tensor) : torch.Tensor = withNumber a (fun scalar -> x.div scalar)
    /// x + a y, in one call.
    let addTimes (a: float) (y: torch.Tensor) (x: torch.Tensor) : torch.Tensor = withNumber a (fun scalar -> x.add (y, scalar))
    /// max(x, least).
    let atLeast (least: float) (x: torch.Tensor) : torch.Tensor = withNumber least (fun scalar -> x.clamp_min scalar)

    /// x, but the number where the mask is true.
    let fill (mask: torch.Tensor) (number: float) (x: torch.Tensor) : torch.Tensor =
        withNumber number (fun scalar -> x.masked_fill (mask, scalar))

    /// Where x is at most the number.
    let isAtMost (number: float) (x: torch.Tensor) : torch.Tensor = withNumber number (fun scalar -> x.le scalar)

namespace ValueFlow.Core.Foundations

open TorchSharp

/// Sums and squares of tensors that are safe under the garbage collector, as words on tensors for whoever opens this module. TorchSharp's own <c>add(Tensor)</c> and
/// <c>square()</c> make a native number that may be freed while the call still reads it; here the number lives as long as the program.
module Arithmetic =

    let private one: Lazy<Scalar> = lazy (Scalar.op_Implicit 1.0)

    type torch.Tensor with

        /// x + y.
        member x.Plus(y: torch.Tensor) : torch.Tensor = x.add (y, one.Value)

        /// x * x.
        member x.Squared() : torch.Tensor = x.mul x

        /// x := x + a * b.
        member x.AddProduct(a: torch.Tensor, b: torch.Tensor) : unit = x.addcmul_ (a, b, one.Value) |> ignore

        /// x := x + y.
        member x.Accumulate(y: torch.Tensor) : unit = x.add_ (y, one.Value) |> ignore

namespace ValueFlow.Core.Dynamics

open TorchSharp
open ValueFlow.Core.Foundations

/// A vector field: the right-hand side of dx/dt = f(t, x).
///
/// x has the shape (batch, ...): rows do not see one another. t has the type of x, and is one number (0-dimensional: one time for the whole batch) or
/// has the shape (batch): a time for each row. The value has the shape of x; it is fresh, and no argument is changed.
type Field =
    {
        /// The name in reports.
        Name: string
        /// f(t, x).
        Apply: torch.Tensor -> torch.Tensor -> torch.Tensor
    }

/// Makes vector fields.
[<RequireQualifiedAccess>]
module Field =

    /// A field from a function of the time (a 0-dimensional tensor, or one time for each row) and the points.
    let create (name: string) (apply: torch.Tensor -> torch.Tensor -> torch.Tensor) : Field = { Name = name; Apply = apply }

    /// A field that does not depend on time.
    let autonomous (name: string) (apply: torch.Tensor -> torch.Tensor) : Field = { Name = name; Apply = fun _ x -> apply x }

    /// A field from a function of a plain number and the points. Where every row has a time of its own, rows are taken one by one.
    let atTime (name: string) (apply: float -> torch.Tensor -> torch.Tensor) : Field =
        let number (t: torch.Tensor) : float = Lifetime.within (fun () -> (t.``to`` (torch.float64)).item<float>())

        let rowByRow (t: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
            Shape.require "t" [ x.shape[0] ] t

            Lifetime.keep (fun () ->
                let rows = Array.init (int x.shape[0]) (fun i -> apply (number t[int64 i]) (x.narrow (0L, int64 i, 1L)))
                torch.cat (rows, 0L))

        { Name = name; Apply = fun t x -> if t.dim () = 0L then apply (number t) x else rowByRow t x }

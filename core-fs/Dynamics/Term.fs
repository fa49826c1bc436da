namespace ValueFlow.Core.Dynamics

open TorchSharp
open ValueFlow.Core.Foundations

/// One term of dx = f(t, x) du(t): a vector field, the control that drives it, and their product.
///
/// The control gives increments, u(t) - u(s), which add up: [s, u] = [s, t] + [t, u]. The product of a value of the field and an increment is linear in both and has
/// the shape of x. With u(t) = t this is an ordinary equation, with a path a controlled one, with a Brownian path a stochastic one, and one stepper serves all three.
/// The decomposition is that of Kidger 2021, "On Neural Differential Equations".
type Term =
    {
        /// The vector field. Its value may be larger than x, when the product makes it the shape of x.
        Field: Field
        /// u(t) - u(s), for s and t in this order.
        Control: float -> float -> torch.Tensor
        /// What an increment (second) makes of a value of the field (first).
        Product: torch.Tensor -> torch.Tensor -> torch.Tensor
    }

/// Makes terms.
[<RequireQualifiedAccess>]
module Term =

    /// f(t, x) dt: the increment is the time that passes, a number without dimensions in float64.
    let time (field: Field) : Term =
        {
            Field = field
            Control = (fun s t -> torch.tensor (t - s, dtype = torch.float64))
            Product = fun value dt -> value.mul dt
        }

    /// f(t, x) du(t) entry by entry: the increments of the path have the shape of x, or one that is stretched to it.
    let diagonal (field: Field) (increment: float -> float -> torch.Tensor) : Term =
        { Field = field; Control = increment; Product = fun value du -> value.mul du }

    /// F(t, x) du(t), with F of shape (batch, d, channels) and increments of shape (channels) or (batch, channels).
    let matrix (field: Field) (increment: float -> float -> torch.Tensor) : Term =
        {
            Field = field
            Control = increment
            Product =
                fun value du ->
                    let channels = value.shape[value.shape.Length - 1]

                    if du.shape.Length = 0 || du.shape[du.shape.Length - 1] <> channels then
                        invalidArg
                            (nameof increment)
                            $"an increment must end in {channels} channels, as the field does, but has the shape [{System.String.Join(',', du.shape)}]"

                    Lifetime.keep (fun () -> value.mul(du.unsqueeze -2L).sum -1L)
        }

    /// What the term adds to x over an increment, with the field taken at t and x.
    let slope (term: Term) (t: torch.Tensor) (x: torch.Tensor) (increment: torch.Tensor) : torch.Tensor =
        Lifetime.keep (fun () -> term.Product (term.Field.Apply t x) increment)

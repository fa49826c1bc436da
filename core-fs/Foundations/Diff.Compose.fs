namespace ValueFlow.Core.Foundations

open TorchSharp
open ValueFlow.Core.Foundations.Arithmetic

/// Operations as functions with the tensor last, so that a function to be differentiated reads as a pipe: <c>sin >> times 2.0 >> sum</c>. Opt-in:
/// <c>open ValueFlow.Core.Foundations.Compose</c>. Every result is a new tensor, owned by the scope around it; shapes are checked before libtorch sees them.
module Compose =

    /// -x.
    let neg (x: torch.Tensor) : torch.Tensor = x.neg ()

    /// e^x, entry by entry.
    let exp (x: torch.Tensor) : torch.Tensor = x.exp ()

    /// The natural logarithm, entry by entry.
    let log (x: torch.Tensor) : torch.Tensor = x.log ()

    /// The square root, entry by entry.
    let sqrt (x: torch.Tensor) : torch.Tensor = x.sqrt ()

    /// x^2, entry by entry.
    let square (x: torch.Tensor) : torch.Tensor = x.Squared()

    /// |x|, entry by entry.
    let abs (x: torch.Tensor) : torch.Tensor = x.abs ()

    /// The sine, entry by entry.
    let sin (x: torch.Tensor) : torch.Tensor = x.sin ()

    /// The cosine, entry by entry.
    let cos (x: torch.Tensor) : torch.Tensor = x.cos ()

    /// The hyperbolic tangent, entry by entry.
    let tanh (x: torch.Tensor) : torch.Tensor = x.tanh ()

    /// 1 / (1 + e^-x), entry by entry.
    let sigmoid (x: torch.Tensor) : torch.Tensor = x.sigmoid ()

    /// log(1 + e^x), entry by entry.
    let softplus (x: torch.Tensor) : torch.Tensor = ((x.neg ()).log_sigmoid()).neg()

    /// a x.
    let times (a: float) (x: torch.Tensor) : torch.Tensor = Elementwise.times a x

    /// x + c.
    let plus (c: float) (x: torch.Tensor) : torch.Tensor = Elementwise.plus c x

    let private requireSame (y: torch.Tensor) (x: torch.Tensor) : unit = Tape.requireLike "x" y x

    /// x + y, for tensors of one shape.
    let add (y: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        requireSame y x
        x.Plus y

    /// x - y, for tensors of one shape.
    let sub (y: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        requireSame y x
        x.sub y

    /// x y, entry by entry, for tensors of one shape.
    let mul (y: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        requireSame y x
        x.mul y

    /// x / y, entry by entry, for tensors of one shape.
    let div (y: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        requireSame y x
        x.div y

    /// The sum of x y over all entries: one number.
    let dot (y: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        requireSame y x
        (x.mul y).sum()

    /// M x for a matrix M (m, n) and a vector x (n).
    let apply (matrix: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        Shape.require "matrix" [ -1L; -1L ] matrix
        Shape.require "x" [ matrix.shape[1] ] x
        Shape.requireType "x" matrix.dtype x
        torch.mv (matrix, x)

    /// The sum of all entries: one number.
    let sum (x: torch.Tensor) : torch.Tensor = x.sum ()

    /// The mean of all entries: one number.
    let mean (x: torch.Tensor) : torch.Tensor = x.mean ()

    let private requireAxis (axis: int) (x: torch.Tensor) : unit =
        if axis < 0 || int64 axis >= x.dim () then
            invalidArg (nameof axis) $"the axis must lie in [0, {x.dim ()}) but is {axis}"

    /// The sum along an axis.
    let sumAlong (axis: int) (x: torch.Tensor) : torch.Tensor =
        requireAxis axis x
        x.sum (int64 axis)

    /// The entry, or the slice, at a place of the first axis.
    let at (place: int) (x: torch.Tensor) : torch.Tensor =
        requireAxis 0 x

        if place < 0 || int64 place >= x.shape[0] then
            invalidArg (nameof place) $"the place must lie in [0, {x.shape[0]}) but is {place}"

        x.select (0L, int64 place)

    /// The same numbers in another shape. Throws an ArgumentException if the number of entries differs.
    let reshape (shape: int64 list) (x: torch.Tensor) : torch.Tensor =
        if List.exists (fun size -> size < 0L) shape || List.fold (*) 1L shape <> x.numel () then
            invalidArg (nameof shape) $"the shape must hold {x.numel ()} entries but is %A{shape}"

        x.reshape (Array.ofList shape)

    /// Functions of one x, side by side: their values, which have one shape, along a new first axis.
    let side (parts: (torch.Tensor -> torch.Tensor) list) (x: torch.Tensor) : torch.Tensor =
        let values = parts |> List.map (fun part -> part x)

        match values with
        | [] -> invalidArg (nameof parts) "at least one function is expected but there is none"
        | first :: rest -> rest |> List.iter (Shape.require (nameof parts) (List.ofArray first.shape))

        torch.stack (Array.ofList values, 0L)

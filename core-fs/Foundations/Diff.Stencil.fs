namespace ValueFlow.Core.Foundations

open System
open TorchSharp
open ValueFlow.Core.Foundations.Arithmetic

/// Central differences: derivatives from values alone, the reference that exact ones are held against. Truncation falls with the square of epsilon, rounding grows
/// with 1 / epsilon (1 / epsilon^2 for second derivatives). Results carry no graph.
[<RequireQualifiedAccess>]
module internal Stencil =

    let private requireEpsilon (epsilon: float) =
        if not (epsilon > 0.0 && Double.IsFinite epsilon) then
            invalidArg (nameof epsilon) $"epsilon must be positive and finite but is {epsilon}"

    /// Works without recording gradients, and hands out fresh results.
    let run (epsilon: float) (x: torch.Tensor) (work: unit -> torch.Tensor list) : torch.Tensor list =
        requireEpsilon epsilon
        Tape.requireReal "x" x
        use _still = torch.no_grad ()
        use scope = torch.NewDisposeScope()
        work () |> List.map (fun result -> scope.MoveToOuter(Tape.fresh false result))

    let private shifted (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (step: float) (v: torch.Tensor) : torch.Tensor =
        f (x.Plus(Elementwise.times step v))

    /// (f(x + e v) - f(x - e v)) / 2e.
    let along (epsilon: float) f (v: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        Elementwise.times (0.5 / epsilon) ((shifted f x epsilon v).sub(shifted f x -epsilon v))

    /// (f(x + e v) - 2 f(x) + f(x - e v)) / e^2.
    let second (epsilon: float) f (v: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        let sum = (shifted f x epsilon v).Plus(shifted f x -epsilon v)
        Elementwise.times (1.0 / (epsilon * epsilon)) (sum.sub (Elementwise.times 2.0 (f x)))

    /// The directions of the coordinates of x.
    let basis (x: torch.Tensor) : torch.Tensor list =
        let all = torch.eye (x.numel (), dtype = x.dtype, device = x.device)
        List.init (int (x.numel ())) (fun i -> (all.select (0L, int64 i)).reshape x.shape)

    /// The value of f, one number.
    let scalar (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        let value = f x
        Tape.requireScalar { Point = x; Value = value; Attached = false }
        value

    /// The gradient, coordinate by coordinate.
    let gradient (epsilon: float) f (x: torch.Tensor) : torch.Tensor =
        (torch.stack (basis x |> List.map (fun e -> along epsilon (scalar f) e x) |> Array.ofList, 0L)).reshape x.shape

    /// The Jacobian, column by column.
    let jacobian (epsilon: float) f (x: torch.Tensor) : torch.Tensor =
        Shape.require "x" [ -1L ] x

        let value (point: torch.Tensor) : torch.Tensor =
            let found = f point
            Tape.requireVector { Point = point; Value = found; Attached = false }
            found

        torch.stack (basis x |> List.map (fun e -> along epsilon value e x) |> Array.ofList, 1L)

    /// The Jacobian of a map of R^n into itself.
    let square (epsilon: float) f (x: torch.Tensor) : torch.Tensor =
        let matrix = jacobian epsilon f x

        if matrix.shape[0] <> matrix.shape[1] then
            invalidArg "f" $"the value of f must have the shape [{matrix.shape[1]}] but its shape is [{matrix.shape[0]}]"

        matrix

    /// J^T v.
    let transposed (epsilon: float) f (v: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        let matrix = jacobian epsilon f x
        Tape.requireReal "v" v
        Shape.require "v" [ matrix.shape[0] ] v
        Shape.requireType "v" matrix.dtype v
        torch.mv (matrix.t (), v)

    /// H v, from two gradients.
    let hessianAlong (epsilon: float) f (v: torch.Tensor) (x: torch.Tensor) : torch.Tensor = along epsilon (gradient epsilon f) v x

    /// H, from the gradients around x, made symmetric.
    let hessian (epsilon: float) f (x: torch.Tensor) : torch.Tensor =
        Shape.require "x" [ -1L ] x
        let matrix = jacobian epsilon (gradient epsilon f) x
        Elementwise.times 0.5 (matrix.Plus(matrix.t ()))

    /// The sum of second differences along the coordinates.
    let laplacian (epsilon: float) f (x: torch.Tensor) : torch.Tensor =
        Shape.require "x" [ -1L ] x
        (torch.stack (basis x |> List.map (fun e -> second epsilon (scalar f) e x) |> Array.ofList, 0L)).sum()

    /// The curl of a 3 x 3 Jacobian.
    let curl (epsilon: float) f (x: torch.Tensor) : torch.Tensor list =
        Shape.require "x" [ 3L ] x
        let matrix = square epsilon f x
        let d (i: int64) (j: int64) : torch.Tensor = (matrix.select (0L, i)).select(0L, j)

        [
            torch.stack ([| (d 2L 1L).sub(d 1L 2L); (d 0L 2L).sub(d 2L 0L); (d 1L 0L).sub(d 0L 1L) |], 0L)
            matrix.trace ()
        ]

namespace ValueFlow.Core.Foundations

open System
open System.Runtime.InteropServices
open TorchSharp

/// A function, recorded at a point: what reverse passes run on.
type internal Tape =
    {
        /// The point that derivatives are taken with respect to: a view of x, or a leaf of its own.
        Point: torch.Tensor
        /// f at the point.
        Value: torch.Tensor
        /// Whether results stay part of an outer graph.
        Attached: bool
    }

/// Records, runs reverse passes, and hands out fresh results.
///
/// Results are attached to an outer graph if gradients are being recorded and x or a direction requires a gradient, or f holds something that does (parameters, a point of an
/// outer derivative). The latter is found by one more evaluation of f, which takes place only where the answer matters.
[<RequireQualifiedAccess>]
module internal Tape =

    // autograd.grad ends the process on every error, and called through TorchScript it throws. Compiled once: compiled code is never freed.
    let private source =
        """
def pull(value: Tensor, point: Tensor, weights: Tensor, again: bool):
    seeds: List[Optional[Tensor]] = [weights]
    found = torch.autograd.grad([value], [point], seeds, True, again, True)[0]
    if found is None:
        return torch.zeros_like(point)
    else:
        return found

def pulls(values: List[Tensor], points: List[Tensor], weights: List[Tensor]):
    seeds: List[Optional[Tensor]] = []
    for weight in weights:
        seeds.append(weight)
    answers: List[Tensor] = []
    found = torch.autograd.grad(values, points, seeds, False, False, True)
    for i in range(len(points)):
        answer = found[i]
        if answer is None:
            answers.append(torch.zeros_like(points[i]))
        else:
            answers.append(answer)
    return answers
"""

    let private script =
        lazy
            (Lifetime.requireTorch ()
             torch.jit.compile source)

    let private text (shape: int64[]) = shape |> Array.map string |> String.concat ", " |> sprintf "[%s]"

    // What went wrong is the last line of the interpreter's report.
    let private reason (error: exn) =
        error.Message.Split('\n', StringSplitOptions.RemoveEmptyEntries ||| StringSplitOptions.TrimEntries)
        |> Array.tryFind _.StartsWith("RuntimeError:")
        |> Option.map (fun line -> line.Substring("RuntimeError:".Length).Trim())
        |> Option.defaultValue error.Message

    let private guarded (work: unit -> 'result) : 'result =
        try
            work ()
        with :? ExternalException as error ->
            raise (InvalidOperationException($"f cannot be differentiated here: {reason error}", error))

    /// (dy/dx)^T v by one reverse pass; zeros if y does not depend on the point. With <c>again</c> the result can be differentiated again.
    let pull (again: bool) (value: torch.Tensor) (weights: torch.Tensor) (point: torch.Tensor) : torch.Tensor =
        if not value.requires_grad then
            torch.zeros_like point
        else
            guarded (fun () -> script.Value.invoke<torch.Tensor>("pull", value, point, weights, again))

    /// sum_i (dy_i/dx)^T v_i for each point x, by one reverse pass, which uses the graph up; zeros for a point on which no value depends.
    let pulls (values: torch.Tensor[]) (weights: torch.Tensor[]) (points: torch.Tensor[]) : torch.Tensor[] =
        let values, weights = Array.zip values weights |> Array.filter (fun (value, _) -> value.requires_grad) |> Array.unzip

        if values.Length = 0 || points.Length = 0 then
            points |> Array.map torch.zeros_like
        else
            guarded (fun () -> script.Value.invoke<torch.Tensor[]>("pulls", box values, box points, box weights))

    /// The transposed map w -> (dy/dx)^T w, recorded: its own reverse pass is J v.
    let transpose (value: torch.Tensor) (point: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        let weights = (torch.zeros_like value).requires_grad_ true
        struct (weights, pull true value weights point)

    /// J v = d((dy/dx)^T w)/dw v, by two reverse passes. Exact, and nests.
    let push (again: bool) (value: torch.Tensor) (direction: torch.Tensor) (point: torch.Tensor) : torch.Tensor =
        let struct (weights, transposed) = transpose value point
        pull again transposed direction weights

    /// Throws an ArgumentException unless the tensor holds real floating-point numbers: others have no derivatives.
    let requireReal (name: string) (tensor: torch.Tensor) : unit =
        if obj.ReferenceEquals(tensor, null) then
            nullArg name

        if tensor.IsInvalid then
            invalidArg name "a tensor is expected but it was disposed of"

        if not (tensor.is_floating_point ()) then
            invalidArg name $"type must be a floating-point type but is {tensor.dtype}"

    /// Throws an ArgumentException unless the tensor has the shape and type of another one.
    let requireLike (name: string) (model: torch.Tensor) (tensor: torch.Tensor) : unit =
        requireReal name tensor
        Shape.requireLike name model tensor

    /// Throws an ArgumentException that names f unless its value is one number (0-dimensional).
    let requireScalar (tape: Tape) : unit =
        if tape.Value.dim () <> 0L then
            invalidArg "f" $"the value of f must be one number, of shape [], but its shape is {text tape.Value.shape}"

    /// Throws an ArgumentException that names f unless its value has the shape.
    let requireValue (expected: int64 list) (tape: Tape) : unit =
        if tape.Value.shape <> Array.ofList expected then
            invalidArg "f" $"the value of f must have the shape {text (Array.ofList expected)} but its shape is {text tape.Value.shape}"

    /// Throws an ArgumentException that names f unless its value is a vector.
    let requireVector (tape: Tape) : unit =
        if tape.Value.dim () <> 1L then
            invalidArg "f" $"the value of f must be a vector but its shape is {text tape.Value.shape}"

    /// A copy that shares memory with nothing, and carries a graph only if it is attached.
    let fresh (attached: bool) (tensor: torch.Tensor) : torch.Tensor = if attached then tensor.clone () else (tensor.detach ()).clone()

    let private requireReady (x: torch.Tensor) : unit =
        requireReal "x" x

        if torch.is_inference_mode_enabled () then
            raise (InvalidOperationException "derivatives cannot be taken in inference mode: use no_grad")

    let private holdsGradient (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : bool =
        Lifetime.within (fun () -> (f (x.detach ())).requires_grad)

    let private record (directions: torch.Tensor list) (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (outer: bool) : Tape =
        let attached = outer && (x.requires_grad || directions |> List.exists _.requires_grad || holdsGradient f x)
        // A leaf would cut the outer derivative, and a view of something that needs no gradient records nothing. The leaf is a copy, which
        // may come from inference mode.
        let point = if attached && x.requires_grad then x.view_as x else ((x.detach ()).clone()).requires_grad_ true
        let value = f point
        requireReal "f" value
        { Point = point; Value = value; Attached = attached }

    /// Records f at x for a function that uses the tape later: the tape's two tensors and what the work yields live in the scope around the call.
    let keep (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : Tape =
        requireReady x
        let outer = torch.is_grad_enabled ()
        use scope = torch.NewDisposeScope()
        use _recording = torch.enable_grad ()
        let tape = record [] f x outer
        // The value may be a tensor of the caller's: a view is ours.
        { tape with
            Point = scope.MoveToOuter tape.Point
            Value = scope.MoveToOuter(tape.Value.view_as tape.Value)
        }

    /// Records f at x, works on the tape, and hands out what the work yields: fresh tensors, everything else freed. Right inside no_grad as well.
    let run
        (directions: torch.Tensor list)
        (f: torch.Tensor -> torch.Tensor)
        (x: torch.Tensor)
        (work: Tape -> torch.Tensor list)
        : torch.Tensor list =
        requireReady x
        let outer = torch.is_grad_enabled ()
        use scope = torch.NewDisposeScope()
        use _recording = torch.enable_grad ()
        let tape = record directions f x outer
        work tape |> List.map (fun result -> scope.MoveToOuter(fresh tape.Attached result))

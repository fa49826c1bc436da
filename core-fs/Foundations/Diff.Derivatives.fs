namespace ValueFlow.Core.Foundations

open TorchSharp

/// Derivatives on a tape. Each is one work of <c>Tape.run</c>; the value of f comes first in its answer, so that no form evaluates f again.
[<RequireQualifiedAccess>]
module internal Derivatives =

    let private one (value: torch.Tensor) : torch.Tensor = torch.ones_like value

    let private entry (i: int64) (vector: torch.Tensor) : torch.Tensor = vector.select (0L, i)

    let private basis (model: torch.Tensor) : torch.Tensor = torch.eye (model.numel (), dtype = model.dtype, device = model.device)

    let private total (terms: seq<torch.Tensor>) : torch.Tensor = (torch.stack (Array.ofSeq terms, 0L)).sum(0L)

    let private inner (u: torch.Tensor) (v: torch.Tensor) : torch.Tensor = (u.mul v).sum()

    // The derivative along a 0-dimensional point.
    let private slope (again: bool) (value: torch.Tensor) (point: torch.Tensor) : torch.Tensor =
        if value.dim () = 0L then
            Tape.pull again value (one value) point
        else
            Tape.push again value (one point) point

    let private requireVectorPoint (tape: Tape) : unit = Shape.require "x" [ -1L ] tape.Point

    /// f, f', ..., the derivative of the order.
    let orders (order: int) (tape: Tape) : torch.Tensor list =
        Shape.require "x" [] tape.Point

        ([ tape.Value ], [ 1..order ])
        ||> List.fold (fun found n -> slope (tape.Attached || n < order) found.Head tape.Point :: found)
        |> List.rev

    /// f, grad f.
    let gradient (again: bool) (tape: Tape) : torch.Tensor list =
        Tape.requireScalar tape
        [ tape.Value; Tape.pull (again || tape.Attached) tape.Value (one tape.Value) tape.Point ]

    let private gradientAgain (tape: Tape) : torch.Tensor = List.last (gradient true tape)

    /// f, grad f . v.
    let slopeAlong (v: torch.Tensor) (tape: Tape) : torch.Tensor list =
        Tape.requireLike "v" tape.Point v
        let found = gradient false tape
        [ tape.Value; inner found[1] v ]

    /// f, J v.
    let push (v: torch.Tensor) (tape: Tape) : torch.Tensor list =
        Tape.requireLike "v" tape.Point v
        [ tape.Value; Tape.push tape.Attached tape.Value v tape.Point ]

    /// f, J^T v.
    let pull (v: torch.Tensor) (tape: Tape) : torch.Tensor list =
        Tape.requireLike "v" tape.Value v
        [ tape.Value; Tape.pull tape.Attached tape.Value v tape.Point ]

    /// f, then the derivatives along each direction in turn: v1 . grad f, v2 . grad (v1 . grad f), ...
    let pushes (vs: torch.Tensor list) (tape: Tape) : torch.Tensor list =
        vs |> List.iter (Tape.requireLike "vs" tape.Point)
        let last = vs.Length - 1

        ([ tape.Value ], List.indexed vs)
        ||> List.fold (fun found (n, v) -> Tape.push (tape.Attached || n < last) found.Head v tape.Point :: found)
        |> List.rev

    /// f, the (m, n) matrix of df_i/dx_j for f: R^n -> R^m. Row by row, or column by column where that is cheaper (a column costs a pass over a graph twice as long).
    let jacobian (tape: Tape) : torch.Tensor list =
        requireVectorPoint tape
        Tape.requireVector tape
        let rows, columns = tape.Value.shape[0], tape.Point.shape[0]

        let matrix =
            if rows = 0L || columns = 0L || not tape.Value.requires_grad then
                torch.zeros (rows, columns, dtype = tape.Value.dtype, device = tape.Value.device)
            elif 2L * columns < rows then
                let struct (weights, transposed) = Tape.transpose tape.Value tape.Point
                let along = basis tape.Point
                let column j = Tape.pull tape.Attached transposed (entry j along) weights
                torch.stack (Array.init (int columns) (int64 >> column), 1L)
            else
                let along = basis tape.Value
                let row i = Tape.pull tape.Attached tape.Value (entry i along) tape.Point
                torch.stack (Array.init (int rows) (int64 >> row), 0L)

        [ tape.Value; matrix ]

    /// f, grad f, H: H row by row from the gradient.
    let hessian (tape: Tape) : torch.Tensor list =
        requireVectorPoint tape
        let gradient = gradientAgain tape
        let along = basis tape.Point
        let row i = Tape.pull tape.Attached gradient (entry i along) tape.Point
        [ tape.Value; gradient; torch.stack (Array.init (int tape.Point.shape[0]) (int64 >> row), 0L) ]

    /// f, grad f, H v: the reverse pass of grad f . v (Pearlmutter 1994, "Fast exact multiplication by the Hessian").
    let hessianAlong (v: torch.Tensor) (tape: Tape) : torch.Tensor list =
        Tape.requireLike "v" tape.Point v
        let gradient = gradientAgain tape
        [ tape.Value; gradient; Tape.pull tape.Attached gradient v tape.Point ]

    let private trace (tape: Tape) (map: torch.Tensor) : torch.Tensor =
        let along = basis tape.Point
        let term i = entry i (Tape.pull tape.Attached map (entry i along) tape.Point)
        total (Seq.init (int tape.Point.shape[0]) (int64 >> term))

    /// f, trace H.
    let laplacian (tape: Tape) : torch.Tensor list =
        requireVectorPoint tape
        [ tape.Value; trace tape (gradientAgain tape) ]

    /// f, trace J.
    let divergence (tape: Tape) : torch.Tensor list =
        requireVectorPoint tape
        Tape.requireValue (List.ofArray tape.Point.shape) tape
        [ tape.Value; trace tape tape.Value ]

    /// f, curl f, div f in three dimensions.
    let curlDivergence (tape: Tape) : torch.Tensor list =
        Shape.require "x" [ 3L ] tape.Point
        Tape.requireValue [ 3L ] tape
        let matrix = (jacobian tape)[1]
        let d i j : torch.Tensor = entry j (entry i matrix)
        let curl = torch.stack ([| (d 2L 1L).sub(d 1L 2L); (d 0L 2L).sub(d 2L 0L); (d 1L 0L).sub(d 0L 1L) |], 0L)
        [ tape.Value; curl; total [ d 0L 0L; d 1L 1L; d 2L 2L ] ]

    // The mean over probes v of v . A v, A the derivative of the map.
    let private probed (probes: torch.Tensor) (tape: Tape) (map: torch.Tensor) (reduce: torch.Tensor -> torch.Tensor) : torch.Tensor =
        let quadratic (k: int64) : torch.Tensor =
            let v = entry k probes
            reduce (v.mul (Tape.pull tape.Attached map v tape.Point))

        (torch.stack (Array.init (int probes.shape[0]) (int64 >> quadratic), 0L)).mean([| 0L |])

    let private requireProbes (tape: Tape) (probes: torch.Tensor) : unit =
        Tape.requireReal "probes" probes
        Shape.require "probes" (-1L :: List.ofArray tape.Point.shape) probes
        Shape.requireType "probes" tape.Point.dtype probes

        if probes.shape[0] = 0L then
            invalidArg "probes" "at least one probe is expected but there is none"

    /// f, the mean over probes of v . J v.
    let probedDivergence (probes: torch.Tensor) (tape: Tape) : torch.Tensor list =
        requireProbes tape probes
        Tape.requireValue (List.ofArray tape.Point.shape) tape
        [ tape.Value; probed probes tape tape.Value _.sum() ]

    /// f, the mean over probes of v . H v.
    let probedLaplacian (probes: torch.Tensor) (tape: Tape) : torch.Tensor list =
        requireProbes tape probes
        [ tape.Value; probed probes tape (gradientAgain tape) _.sum() ]

    let private requireBatch (tape: Tape) : unit = Shape.require "x" [ -1L; -1L ] tape.Point

    /// f, row gradients of a batch function (B, d) -> (B).
    let batchGradient (tape: Tape) : torch.Tensor list =
        requireBatch tape
        Tape.requireValue [ tape.Point.shape[0] ] tape
        [ tape.Value; Tape.pull tape.Attached tape.Value (one tape.Value) tape.Point ]

    // The traces (B) of the row Jacobians of a batch map that was recorded.
    let private batchTrace (tape: Tape) (map: torch.Tensor) : torch.Tensor =
        let along = torch.eye (tape.Point.shape[1], dtype = tape.Point.dtype, device = tape.Point.device)

        let term (j: int64) : torch.Tensor = (Tape.pull tape.Attached map ((entry j along).expand_as map) tape.Point).select(1L, j)

        total (Seq.init (int tape.Point.shape[1]) (int64 >> term))

    /// f, row divergences of a batch map (B, d) -> (B, d): d reverse passes, each for one coordinate of all rows.
    let batchDivergence (tape: Tape) : torch.Tensor list =
        requireBatch tape
        Tape.requireValue (List.ofArray tape.Point.shape) tape
        [ tape.Value; batchTrace tape tape.Value ]

    /// f, row Laplacians of a batch function (B, d) -> (B): d reverse passes over the gradients, each for one coordinate of all rows.
    let batchLaplacian (tape: Tape) : torch.Tensor list =
        requireBatch tape
        Tape.requireValue [ tape.Point.shape[0] ] tape
        [ tape.Value; batchTrace tape (Tape.pull true tape.Value (one tape.Value) tape.Point) ]

    /// f, row divergences, estimated.
    let batchProbed (probes: torch.Tensor) (tape: Tape) : torch.Tensor list =
        requireBatch tape
        requireProbes tape probes
        Tape.requireValue (List.ofArray tape.Point.shape) tape
        [ tape.Value; probed probes tape tape.Value (fun product -> product.sum 1L) ]

    /// f, J v row by row.
    let batchPush (v: torch.Tensor) (tape: Tape) : torch.Tensor list =
        requireBatch tape

        if tape.Value.dim () = 0L || tape.Value.shape[0] <> tape.Point.shape[0] then
            invalidArg "f" $"the value of f must have {tape.Point.shape[0]} rows, one for each row of x"

        push v tape

/// Runs a work of derivatives, which may depend on directions, and hands out the answers that were asked for; the others are freed.
[<RequireQualifiedAccess>]
module internal Answer =

    let all
        (directions: torch.Tensor list)
        (work: Tape -> torch.Tensor list)
        (f: torch.Tensor -> torch.Tensor)
        (x: torch.Tensor)
        : torch.Tensor list =
        Tape.run directions f x work

    // The entry of the answer that was asked for; the others are freed.
    let only (directions: torch.Tensor list) (place: int) (work: Tape -> torch.Tensor list) f x : torch.Tensor =
        List.head (Tape.run directions f x (fun tape -> [ List.item place (work tape) ]))

    let valueAnd (directions: torch.Tensor list) (place: int) (work: Tape -> torch.Tensor list) f x : struct (torch.Tensor * torch.Tensor) =
        match Tape.run directions f x (fun tape -> let found = work tape in [ found[0]; found[place] ]) with
        | [ value; answer ] -> struct (value, answer)
        | _ -> invalidOp "two answers are expected"

    let three (results: torch.Tensor list) : struct (torch.Tensor * torch.Tensor * torch.Tensor) =
        struct (results[0], results[1], results[2])

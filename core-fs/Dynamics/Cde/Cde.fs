namespace ValueFlow.Core.Dynamics

open System
open TorchSharp
open ValueFlow.Core.Foundations

/// The outcome of a controlled solve. It owns its tensors; disposing it frees them, and so does the scope in which the solve was called.
type CdeSolution =
    {
        /// z at the last time that was reached.
        Final: torch.Tensor
        /// z at every knot that was reached, the first included.
        States: torch.Tensor[]
        /// Steps accepted.
        Steps: int
        /// Steps rejected.
        Rejections: int
        /// Evaluations of the field.
        Evaluations: int
        /// Why the solve ended.
        Reason: Reason
    }

    interface IDisposable with
        /// Frees the tensors.
        member solution.Dispose() =
            solution.Final.Dispose()
            solution.States |> Array.iter _.Dispose()

/// Controlled differential equations dz = f(z) dX(t): z (batch, d), f(z) of shape (batch, d, channels), X a path of shape (batch, channels).
///
/// The end does not depend on how fast the path is run through; X(t) = t gives the ordinary equation z' = f(z).
/// Lyons 1998, "Differential equations driven by rough signals"; Kidger, Morrill, Foster and Lyons 2020, "Neural controlled differential equations for irregular time series".
[<RequireQualifiedAccess>]
module Cde =

    let private product (path: ControlPath) (z: torch.Tensor) (value: torch.Tensor) (dx: torch.Tensor) : torch.Tensor =
        let struct (_, channels) = path.Shape
        Shape.require "f(z)" [ z.shape[0]; z.shape[1]; channels ] value
        Shape.requireType "f(z)" dx.dtype value
        value.bmm(dx.unsqueeze -1L).squeeze -1L

    let private requireRows (path: ControlPath) (z: torch.Tensor) : unit =
        let struct (rows, _) = path.Shape
        Shape.require "z" [ rows; -1L ] z

    /// f(z) X'(t) on one piece of the path, as a field for the solvers of ordinary equations. Times of the rows, if each has its own, must lie in the piece, too.
    let field (path: ControlPath) (piece: int) (f: torch.Tensor -> torch.Tensor) : Field =
        if piece < 0 || piece > path.Knots.Length - 2 then
            invalidArg (nameof piece) $"piece must lie in [0, {path.Knots.Length - 2}] but is {piece}"

        // A step's last stage may overshoot by rounding.
        let inside (t: float) = Math.Clamp(t, path.Knots[piece], path.Knots[piece + 1])

        Field.create "f(z) dX" (fun t z ->
            requireRows path z

            Lifetime.keep (fun () ->
                let times = t.detach().``to``(torch.float64).reshape(-1L).data<float>().ToArray()

                let dx =
                    if t.dim () = 0L then
                        path.Derivative piece (inside times[0])
                    else
                        let rows = times |> Array.mapi (fun row time -> (path.Derivative piece (inside time)).narrow(0L, int64 row, 1L))

                        torch.cat (rows, 0L)

                product path z (f z) dx))

    /// f(z) dX as a term: for the steppers that take increments of a control, such as <see cref="T:ValueFlow.Core.Dynamics.ReversibleHeun" />.
    let term (path: ControlPath) (f: torch.Tensor -> torch.Tensor) : Term =
        Term.matrix (Field.autonomous "f(z)" f) (fun s t -> Lifetime.keep (fun () -> (ControlPath.at path t).sub(ControlPath.at path s)))

    /// z at the path's last knot from z0 (batch, d) at the first, piece by piece: no step crosses a knot, where the derivative may jump. Steps of constant length
    /// are shortened at the end of a piece. Gradients are recorded as in <c>Ode.solve</c>. Options must not ask for saved times, events or dense output: the states at
    /// the knots are kept. Throws an ArgumentException if f, path and state do not fit one another; what else happens is in the reason.
    let solve (options: OdeOptions) (path: ControlPath) (f: torch.Tensor -> torch.Tensor) (z0: torch.Tensor) : CdeSolution =
        requireRows path z0

        if options.Save.Length > 0 || not options.Events.IsEmpty || options.Dense then
            invalidArg
                (nameof options)
                "saved times, events and dense output are not for controlled solves: the states at the knots are kept"

        let states = ResizeArray [ z0.alias () ]
        let mutable reason = Reason.ReachedEnd
        let mutable steps, rejections, evaluations, piece = 0, 0, 0, 0
        let mutable final = states[0].alias()

        while piece < path.Knots.Length - 1 && reason = Reason.ReachedEnd do
            let solution = Ode.solve options (field path piece f) states[states.Count - 1] path.Knots[piece] path.Knots[piece + 1]
            steps <- steps + solution.Steps
            rejections <- rejections + solution.Rejections
            evaluations <- evaluations + solution.Evaluations
            reason <- solution.Reason
            final.Dispose()
            final <- solution.Final

            if reason = Reason.ReachedEnd then
                states.Add(final.alias ())

            piece <- piece + 1

        {
            Final = final
            States = states.ToArray()
            Steps = steps
            Rejections = rejections
            Evaluations = evaluations
            Reason = reason
        }

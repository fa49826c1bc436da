namespace ValueFlow.Core.Dynamics

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic

/// The state of reversible Heun: the point, and a second one that runs along.
type ReversibleState =
    {
        /// x, of order 2.
        X: torch.Tensor
        /// The companion, at which the field is taken.
        Companion: torch.Tensor
    }

    interface IDisposable with
        /// Frees both.
        member state.Dispose() =
            state.X.Dispose()
            state.Companion.Dispose()

/// The reversible Heun scheme: y' = 2x - y + f(s, y) du, x' = x + (f(s, y) + f(t, y')) du / 2, of order 2 for ordinary equations, and undone exactly but for rounding,
/// so that gradients need no memory of the way. Kidger, Foster, Li and Lyons 2021, "Efficient and accurate gradients for neural SDEs".
/// It is stable on the imaginary axis only: on dissipative fields such as -5 x it diverges where Heun's own scheme does not.
[<RequireQualifiedAccess>]
module ReversibleHeun =

    let private slope (terms: Term list) (at: float) (y: torch.Tensor) (increments: torch.Tensor list) : torch.Tensor =
        let t = torch.tensor (at, dtype = y.dtype)

        List.map2 (fun term du -> Term.slope term t y du) terms increments
        |> List.reduce (fun (sum: torch.Tensor) value -> sum.Plus value)

    let private keepBoth (work: unit -> struct (torch.Tensor * torch.Tensor)) : ReversibleState =
        use scope = torch.NewDisposeScope()
        let struct (x, companion) = work ()
        { X = scope.MoveToOuter x; Companion = scope.MoveToOuter companion }

    let private increments (terms: Term list) (s: float) (t: float) = terms |> List.map (fun term -> term.Control s t)

    /// The state at the start: both points are x.
    let start (x: torch.Tensor) : ReversibleState = { X = x.clone (); Companion = x.clone () }

    /// One step from time s to time t.
    let step (terms: Term list) (s: float) (t: float) (state: ReversibleState) : ReversibleState =
        keepBoth (fun () ->
            let du = increments terms s t
            let before = slope terms s state.Companion du
            let companion = state.X.Plus(state.X).sub(state.Companion).Plus before
            let after = slope terms t companion du
            struct (state.X.Plus(Elementwise.times 0.5 (before.Plus after)), companion))

    /// The state at time s from that at time t: the inverse of the step.
    let undo (terms: Term list) (s: float) (t: float) (state: ReversibleState) : ReversibleState =
        keepBoth (fun () ->
            let du = increments terms s t
            let after = slope terms t state.Companion du
            let companion = state.X.Plus(state.X).sub(state.Companion).sub after
            let before = slope terms s companion du
            struct (state.X.sub (Elementwise.times 0.5 (before.Plus after)), companion))

    let private requireGrid (terms: Term list) (times: float[]) : unit =
        if terms.IsEmpty then
            invalidArg (nameof terms) "there must be at least one term but there is none"

        if times.Length < 1 then
            invalidArg (nameof times) "there must be at least one time but there is none"

        Shape.requireFinite (nameof times) times

    let private run
        (move: float -> float -> ReversibleState -> ReversibleState)
        (times: float[])
        (state: ReversibleState)
        : ReversibleState =
        times
        |> Array.pairwise
        |> Array.fold
            (fun current (s, t) ->
                let next = move s t current
                (current :> IDisposable).Dispose()
                next)
            { X = state.X.clone (); Companion = state.Companion.clone () }

    /// Steps along the times from the first to the last. The caller owns the state.
    let solve (terms: Term list) (times: float[]) (x0: torch.Tensor) : ReversibleState =
        requireGrid terms times
        use first = start x0
        run (step terms) times first

    /// From the state at the last of the times back to the first.
    let reverse (terms: Term list) (times: float[]) (state: ReversibleState) : ReversibleState =
        requireGrid terms times
        run (fun t s -> undo terms s t) (Array.rev times) state

    /// The end of the way along the times, and for the cotangent that <c>lossGradient</c> makes of its point, the gradients with respect to x0 and to every parameter (in this order).
    /// Nothing of the way is stored: the backward sweep undoes the steps.
    let gradient
        (terms: Term list)
        (parameters: torch.Tensor[])
        (times: float[])
        (x0: torch.Tensor)
        (lossGradient: torch.Tensor -> torch.Tensor)
        : ReversibleState * torch.Tensor[] =
        requireGrid terms times
        Pull.requireLeaves parameters
        use _quiet = torch.no_grad ()
        use scope = torch.NewDisposeScope()
        let final = solve terms times (x0.detach ())
        let mutable state = { X = final.X.clone (); Companion = final.Companion.clone () }
        let mutable onX = lossGradient final.X
        Pull.requireLike (nameof lossGradient) final.X onX
        let mutable onCompanion = torch.zeros_like onX
        let sums = parameters |> Array.map torch.zeros_like

        for t, s in times |> Array.rev |> Array.pairwise do
            use inner = torch.NewDisposeScope()
            let earlier = undo terms s t state

            let _, gradients =
                Pull.back
                    (fun inputs ->
                        let next = step terms s t { X = inputs[0]; Companion = inputs[1] }
                        [| next.X; next.Companion |])
                    [| earlier.X; earlier.Companion |]
                    parameters
                    [| onX; onCompanion |]

            sums |> Array.iteri (fun i sum -> sum.Accumulate gradients[i + 2])
            let outdated = [ state.X; state.Companion ]
            state <- { X = inner.MoveToOuter earlier.X; Companion = inner.MoveToOuter earlier.Companion }
            onX <- inner.MoveToOuter gradients[0]
            onCompanion <- inner.MoveToOuter gradients[1]
            outdated |> List.iter _.Dispose()

        let all = Array.append [| onX.Plus onCompanion |] sums
        let final = { X = scope.MoveToOuter final.X; Companion = scope.MoveToOuter final.Companion }
        final, all |> Array.map (fun tensor -> scope.MoveToOuter tensor)

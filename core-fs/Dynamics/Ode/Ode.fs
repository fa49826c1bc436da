namespace ValueFlow.Core.Dynamics

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic

/// Cotangents of a solution: the derivative of a scalar loss with respect to its states.
type OdeCotangent =
    {
        /// dL/d(final state), of its shape.
        Final: torch.Tensor
        /// dL/d(saved state) for each saved time that was reached, or nothing where the loss does not use them.
        Saved: torch.Tensor[]
    }

/// The outcome of <c>Ode.gradient</c>. It owns its tensors.
type OdeGradient =
    {
        /// The solve forwards.
        Solution: OdeSolution
        /// dL/dx0.
        Start: torch.Tensor
        /// dL/d(parameter), in the order given.
        Parameters: torch.Tensor[]
        /// Evaluations of the field in the backward sweep.
        Evaluations: int
        /// Whether the backward sweep came to its start, and if not, why. The sweep through the steps always does.
        Reason: Reason
    }

    interface IDisposable with
        /// Frees the tensors.
        member gradient.Dispose() =
            (gradient.Solution :> IDisposable).Dispose()
            gradient.Start.Dispose()
            gradient.Parameters |> Array.iter _.Dispose()

/// Ordinary differential equations dx/dt = f(t, x).
[<RequireQualifiedAccess>]
module Ode =

    /// Solves without gradients, from t0 to t1 in either direction. Throws an ArgumentException on invalid options, states or field values; everything else that can happen is in the reason.
    let private drive (options: OdeOptions) (field: Field) (x0: torch.Tensor) (t0: float) (t1: float) : OdeSolution =
        OdeOptions.require options x0 t0 t1
        Driver(options, field, x0, t0, t1, ValueNone).Run()

    /// The solution x(t1) of dx/dt = f(t, x) with x(t0) = x0, in either direction of time.
    ///
    /// Steps land on the saved times and on t1. If autograd is recording and x0 or the field's value requires gradients, the final and saved states carry the graph of the steps
    /// (memory grows with their number: for long solves see <c>gradient</c>), which are then made once more; the step lengths and the times of events are held fixed in it.
    /// Throws an ArgumentException on invalid options or states, and if the field's value is not like x; whatever else happens is in the reason. x0 is not changed.
    let solve (options: OdeOptions) (field: Field) (x0: torch.Tensor) (t0: float) (t1: float) : OdeSolution =
        OdeOptions.require options x0 t0 t1

        // Only the field's value tells whether it holds parameters that want gradients.
        let asks = torch.is_grad_enabled () && not x0.requires_grad

        let records =
            torch.is_grad_enabled ()
            && (not asks || Lifetime.within (fun () -> (field.Apply (torch.tensor (t0, dtype = x0.dtype)) x0).requires_grad))

        let solution = Driver(options, field, x0, t0, t1, ValueNone).Run()
        let evaluations = solution.Evaluations + (if asks then 1 else 0)

        if records then
            let struct (saved, final) = Replay.run options field x0 solution
            solution.Final.Dispose()
            solution.Saved |> Array.iter _.Dispose()
            let again = solution.Grid.Length * options.Scheme.EvaluationsPerStep
            { solution with Final = final; Saved = saved; Evaluations = evaluations + again }
        else
            { solution with Evaluations = evaluations }

    let private requireCotangent (solution: OdeSolution) (cotangent: OdeCotangent) : unit =
        Pull.requireLike "lossGradient" solution.Final cotangent.Final

        if cotangent.Saved.Length > 0 then
            Shape.requireLength "lossGradient" solution.Saved.Length cotangent.Saved.Length
            Array.iter2 (Pull.requireLike "lossGradient") solution.Saved cotangent.Saved

    // What the states saved at the end of a step (or at the start of all) add to the cotangent.
    let private add (cotangent: OdeCotangent) (saved: int[]) (a: torch.Tensor) : torch.Tensor =
        if cotangent.Saved.Length = 0 || Array.forall (fun target -> target < 0) saved then
            a
        elif saved.Length = 1 then
            a.Plus cotangent.Saved[saved[0]]
        else
            let rows =
                saved
                |> Array.mapi (fun lane target ->
                    let row = a.narrow (0L, int64 lane, 1L)
                    if target < 0 then row else row.Plus(cotangent.Saved[target].narrow(0L, int64 lane, 1L)))

            torch.cat (rows, 0L)

    // Through the steps: from the last segment between checkpoints to the first; a segment's states are computed again, and one step's graph is alive at a time.
    let private backward
        (options: OdeOptions)
        (field: Field)
        (parameters: torch.Tensor[])
        (solution: OdeSolution)
        (checkpoints: Checkpoints)
        (cotangent: OdeCotangent)
        (t0: float)
        : torch.Tensor * torch.Tensor[] =
        use scope = torch.NewDisposeScope()
        let sums = parameters |> Array.map torch.zeros_like
        let mutable a = cotangent.Final.clone ()
        let mutable final = solution.Grid.Length

        for struct (first, state) in Seq.rev checkpoints.Kept do
            use segment = torch.NewDisposeScope()
            let states = ResizeArray [ state ]

            for n in first .. final - 2 do
                states.Add(Replay.step options.Scheme field solution.Grid[n] states[states.Count - 1])

            for n in final - 1 .. -1 .. first do
                use inner = torch.NewDisposeScope()
                let grid = solution.Grid[n]
                let old = a

                let _, gradients =
                    Pull.back
                        (fun x -> [| Replay.step options.Scheme field grid x[0] |])
                        [| states[n - first] |]
                        parameters
                        [| add cotangent grid.Saved a |]

                sums |> Array.iteri (fun i sum -> sum.Accumulate gradients[i + 1])
                a <- segment.MoveToOuter(inner.MoveToOuter gradients[0])
                old.Dispose()

            final <- min final first

        let start = if cotangent.Saved.Length > 0 && options.Save[0] = t0 then a.Plus cotangent.Saved[0] else a
        scope.MoveToOuter start, sums |> Array.map (fun sum -> scope.MoveToOuter sum)

    let private adjoint
        (options: OdeOptions)
        (field: Field)
        (parameters: torch.Tensor[])
        (solution: OdeSolution)
        (cotangent: OdeCotangent)
        (t0: float)
        : torch.Tensor * torch.Tensor[] * int * Reason =
        use scope = torch.NewDisposeScope()

        if solution.Lanes |> Array.exists (fun lane -> lane.Time <> solution.Time) then
            invalidArg (nameof options) "the adjoint needs samples that end at one time; take gradients through the steps"

        let stops =
            (if cotangent.Saved.Length > 0 then solution.SavedTimes else [||])
            |> Array.mapi (fun i time -> struct (time, ValueSome i))

        let mutable state =
            Array.append
                [| solution.Final; cotangent.Final |]
                (parameters |> Array.map (fun p -> torch.zeros_like (p, dtype = solution.Final.dtype)))

        let mutable time = solution.Time
        let mutable evaluations = 0
        let mutable reason = Reason.ReachedEnd

        for struct (target, index) in Array.append [| struct (t0, ValueNone) |] stops |> Array.rev do
            if target <> time && reason = Reason.ReachedEnd then
                let moved, count, ended = Adjoint.sweep drive options field parameters state time target
                state <- moved
                evaluations <- evaluations + count
                reason <- ended
                time <- target

            index
            |> ValueOption.iter (fun i ->
                state <- state |> Array.mapi (fun part value -> if part = 1 then value.Plus cotangent.Saved[i] else value))

        let parts = state[1..] |> Array.map (fun part -> scope.MoveToOuter(part.clone ()))
        parts[0], parts[1..], evaluations, reason

    /// The solution, and the gradients of a loss with respect to x0 and to the parameters of the field (leaves that require gradients).
    ///
    /// <c>lossGradient</c> makes of the solution the cotangents of its states. The default method goes back through the steps that were made, from O(sqrt n) checkpoints of n steps, one step's graph at a time;
    /// the other is the adjoint equation. Throws as <c>solve</c> does. The gradients carry no graph.
    let gradient
        (options: OdeOptions)
        (field: Field)
        (parameters: torch.Tensor[])
        (x0: torch.Tensor)
        (t0: float)
        (t1: float)
        (lossGradient: OdeSolution -> OdeCotangent)
        : OdeGradient =
        OdeOptions.require options x0 t0 t1
        Pull.requireLeaves parameters
        use _quiet = torch.no_grad ()
        use scope = torch.NewDisposeScope()
        use checkpoints = new Checkpoints()

        let kept =
            match options.Gradient with
            | GradientMethod.Steps -> ValueSome checkpoints
            | GradientMethod.Adjoint -> ValueNone

        let solution = Driver(options, field, x0, t0, t1, kept).Run()
        let cotangent = lossGradient solution
        requireCotangent solution cotangent

        let start, sums, evaluations, reason =
            match options.Gradient with
            | GradientMethod.Steps ->
                let start, sums = backward options field parameters solution checkpoints cotangent t0
                let segments = solution.Grid.Length - checkpoints.Kept.Count
                start, sums, (solution.Grid.Length + segments) * options.Scheme.EvaluationsPerStep, Reason.ReachedEnd
            | GradientMethod.Adjoint -> adjoint options field parameters solution cotangent t0

        let keep (tensor: torch.Tensor) = scope.MoveToOuter tensor
        keep solution.Final |> ignore
        solution.Saved |> Array.iter (keep >> ignore)
        solution.Events |> Array.iter (fun hit -> keep hit.State |> ignore)
        solution.Dense |> ValueOption.iter (fun dense -> dense.Tensors |> Seq.iter (keep >> ignore))

        {
            Solution = solution
            Start = keep start
            Parameters = sums |> Array.map keep
            Evaluations = evaluations
            Reason = reason
        }

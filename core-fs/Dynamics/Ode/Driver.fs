namespace ValueFlow.Core.Dynamics

open System
open TorchSharp
open ValueFlow.Core.Foundations

/// The loop of a solve, without gradients. A tensor that the field has seen is never written again.
[<Sealed>]
type internal Driver(options: OdeOptions, field: Field, x0: torch.Tensor, t0: float, t1: float, checkpoints: Checkpoints voption) =

    let scheme = options.Scheme
    let arithmetic = StageArithmetic.create x0.dtype
    let lanes = Lanes(options, arithmetic, x0, t0, t1)
    let events = EventWatch(options, arithmetic, x0, lanes)
    let count = lanes.Count
    let time, used, accepted = lanes.Time, lanes.Used, lanes.Accepted
    let targets = lanes.Targets

    let mutable x = Unchecked.defaultof<torch.Tensor>
    let mutable slope: torch.Tensor voption = ValueNone
    let mutable evaluations = 0
    let grid = ResizeArray<GridStep>()
    let dense = ResizeArray<DenseStep>()
    let saved: torch.Tensor voption[] = Array.create options.Save.Length ValueNone

    // The field's value as contiguous memory of its own, freed with the scope.
    let evaluate (scope: DisposeScope) (times: float[]) (point: torch.Tensor) : torch.Tensor =
        evaluations <- evaluations + 1
        let value = field.Apply (lanes.Clock times) point

        if value.dtype <> x0.dtype || value.shape <> x0.shape then
            let text (tensor: torch.Tensor) = $"""{tensor.dtype} [{String.Join(", ", tensor.shape)}]"""
            invalidArg (nameof field) $"the value of {field.Name} must be {text x0}, as x is, but is {text value}"

        if value.requires_grad || not (value.is_contiguous ()) then value.detach().contiguous()
        elif obj.ReferenceEquals(value, point) || not (scope.Contains value) then value.clone ()
        else value

    let addStage (scope: DisposeScope) (stages: ResizeArray<torch.Tensor>) (stage: Stage) : torch.Tensor =
        let point = torch.empty_like x
        arithmetic.Combine(point, x, stages, stage.From, used)
        stages.Add(evaluate scope (lanes.StageTimes stage.At) point)
        point

    let keepState (hold: torch.Tensor -> torch.Tensor) (lane: int) (target: int) (state: torch.Tensor) : unit =
        if target < options.Save.Length then
            if lanes.IsEach then
                if saved[target].IsNone then
                    saved[target] <- ValueSome(hold (Lifetime.keep (fun () -> Elementwise.fill (x.eq x) nan x)))

                arithmetic.CopyLanes(state, saved[target].Value, Array.init count ((=) lane))
            else
                saved[target] <- ValueSome(hold (state.clone ()))

    let land (hold: torch.Tensor -> torch.Tensor) (lane: int) (state: torch.Tensor) : int =
        let target = lanes.Next[lane]
        keepState hold lane target state
        lanes.Next[lane] <- target + 1

        if lanes.Next[lane] = targets.Length && lanes.IsActive lane then
            lanes.Finish(lane, Reason.ReachedEnd)

        if target < options.Save.Length then target else -1

    // The lanes that were accepted from one tensor, the others from another; nothing is copied when all agree.
    let mix (fresh: torch.Tensor) (old: torch.Tensor) : torch.Tensor =
        if Array.forall id accepted then
            fresh
        else
            let mixed = old.clone ()
            arithmetic.CopyLanes(fresh, mixed, accepted)
            mixed

    member private _.Attempt() : unit =
        use inner = torch.NewDisposeScope()
        let hold (tensor: torch.Tensor) : torch.Tensor = inner.MoveToOuter tensor

        if slope.IsNone then
            slope <- ValueSome(hold (evaluate inner time x))

        lanes.Plan()
        let stages = ResizeArray<torch.Tensor>()
        stages.Add slope.Value
        let mutable point = x

        for i in 1 .. scheme.Stages.Length - 1 do
            point <- addStage inner stages scheme.Stages[i]

        if not scheme.FirstSameAsLast then
            point <- torch.empty_like x
            arithmetic.Combine(point, x, stages, scheme.Weights, used)

        let final = point
        lanes.Judge(x, stages, final)

        if Array.contains true accepted then
            checkpoints |> ValueOption.iter (fun kept -> kept.Offer(grid.Count, x))
            let own = stages.Count

            // The extra stages of the interpolant are evaluated when they are needed, and once.
            let complete () : unit =
                if stages.Count = own then
                    for stage in scheme.StepInterpolant.Stages do
                        addStage inner stages stage |> ignore

            let entry () : GridStep =
                {
                    Times = Array.copy time
                    Lengths = Array.map2 (fun ok h -> if ok then h else 0.0) accepted used
                    Saved = Array.create count -1
                }

            let stepAs () : DenseStep =
                complete ()
                { Grid = entry (); Start = x; Stages = stages.ToArray() }

            if options.Dense then
                complete ()

            let fresh = mix final x
            let ends = if events.IsNeeded then events.Detect(hold, stepAs, fresh) else Array.create count 1.0

            // Where an event ends a lane, its state is the interpolant's.
            let cut =
                Array.init count (fun lane ->
                    match lanes.Reasons[lane] with
                    | ValueSome(Reason.Event _) when accepted[lane] -> true
                    | _ -> false)

            let fresh =
                if Array.contains true cut then
                    let within = DenseStep.at scheme.StepInterpolant (stepAs ()) ends

                    let whole = fresh.clone ()
                    arithmetic.CopyLanes(within, whole, cut)
                    whole
                else
                    fresh

            let whole = entry ()
            let grown = { whole with Lengths = Array.copy whole.Lengths }

            for lane in 0 .. count - 1 do
                if accepted[lane] then
                    lanes.Steps[lane] <- lanes.Steps[lane] + 1

                    if cut[lane] && ends[lane] < 1.0 then
                        grown.Lengths[lane] <- ends[lane] * used[lane]
                        time[lane] <- time[lane] + grown.Lengths[lane]
                    else
                        time[lane] <- lanes.After[lane]

                        if lanes.Lands[lane] then
                            grown.Saved[lane] <- land hold lane fresh

            grid.Add grown

            if options.Dense then
                dense.Add { Grid = whole; Start = x; Stages = stages.ToArray() |> Array.map hold }

            let old, oldSlope = x, slope.Value
            x <- hold fresh

            if scheme.FirstSameAsLast then
                slope <- ValueSome(hold (mix stages[own - 1] oldSlope))
            elif scheme.StepInterpolant.EndSlope && stages.Count > own && count = 1 then
                slope <- ValueSome(hold stages[own])
            else
                slope <- ValueNone

            if not options.Dense then
                old.Dispose()
                oldSlope.Dispose()

    /// Solves. The caller's scope owns the tensors of the result.
    member this.Run() : OdeSolution =
        use _quiet = torch.no_grad ()
        use scope = torch.NewDisposeScope()
        x <- x0.detach().contiguous().clone()
        let first = if options.Dense then ValueSome(x.clone ()) else ValueNone

        for lane in 0 .. count - 1 do
            if targets[0] = t0 then
                land id lane x |> ignore

        if lanes.AnyActive && not options.Cancellation.IsCancellationRequested then
            use inner = torch.NewDisposeScope()
            let value = inner.MoveToOuter(evaluate inner time x)
            slope <- ValueSome value
            events.Begin x
            lanes.Begin(evaluate inner, x, value)

        let mutable attempts = 0

        while lanes.AnyActive do
            if options.Cancellation.IsCancellationRequested then
                lanes.FinishAll Reason.Cancelled
            elif attempts >= options.MaxSteps then
                lanes.FinishAll Reason.StepLimit
            else
                attempts <- attempts + 1
                this.Attempt()

                options.Progress
                    {
                        Time = lanes.Behind
                        Step = used |> Array.maxBy abs
                        Steps = Array.max lanes.Steps
                        Rejections = Array.max lanes.Rejections
                        Evaluations = evaluations
                    }

        let keep (tensor: torch.Tensor) = scope.MoveToOuter tensor
        let reached = saved |> Array.takeWhile _.IsSome |> Array.map (fun state -> keep state.Value)

        {
            Final = keep x
            Time = lanes.Behind
            Saved = reached
            SavedTimes = Array.truncate reached.Length options.Save
            Lanes =
                Array.init count (fun lane ->
                    {
                        Time = time[lane]
                        Steps = lanes.Steps[lane]
                        Rejections = lanes.Rejections[lane]
                        Reason = lanes.Reasons[lane].Value
                    })
            Steps = Array.max lanes.Steps
            Rejections = Array.max lanes.Rejections
            Evaluations = evaluations
            Reason =
                lanes.Reasons
                |> Array.tryPick (fun reason -> if reason = ValueSome Reason.ReachedEnd then None else Some reason.Value)
                |> Option.defaultValue Reason.ReachedEnd
            Events =
                events.Hits
                |> Seq.map (fun hit ->
                    keep hit.State |> ignore
                    hit)
                |> Array.ofSeq
            Grid = grid.ToArray()
            Dense =
                first
                |> ValueOption.map (fun first ->
                    let output = new DenseOutput(scheme.StepInterpolant, dense.ToArray(), t0, Array.copy time, first)
                    output.Tensors |> Seq.iter (keep >> ignore)
                    output)
        }

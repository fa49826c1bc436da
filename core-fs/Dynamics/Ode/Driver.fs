namespace ValueFlow.Core.Dynamics

open System
open TorchSharp
open ValueFlow.Core.Foundations

/// The loop of a solve, without gradients. A tensor that the field has seen is never written again.
[<Sealed>]
type internal Driver(options: OdeOptions, field: Field, x0: torch.Tensor, t0: float, t1: float, checkpoints: Checkpoints voption) =

    let scheme = options.Scheme
    let forward = t1 >= t0
    let direction = if forward then 1.0 else -1.0
    let rows = int x0.shape[0]
    let arithmetic = StageArithmetic.create x0.dtype

    let adaptive =
        match options.Control with
        | StepControl.Adaptive control -> ValueSome control
        | StepControl.Constant _ -> ValueNone

    // A step is stretched by up to 1 % to land; a constant one, and the longest that is allowed, are not.
    let longest = adaptive |> ValueOption.map _.Largest |> ValueOption.defaultValue 0.0
    let norm = adaptive |> ValueOption.map _.Norm |> ValueOption.defaultValue ErrorNorm.RootMeanSquare
    let own = norm = ErrorNorm.EachSample
    let lanes = if own then rows else 1
    let sums: float[] = Array.zeroCreate (if norm = ErrorNorm.RootMeanSquare then 1 else rows)
    let groupSize = float (x0.NumberOfElements / int64 sums.Length)

    let targets =
        if options.Save.Length > 0 && options.Save[options.Save.Length - 1] = t1 then
            options.Save
        else
            Array.append options.Save [| t1 |]

    // What each lane knows.
    let time = Array.create lanes t0
    let length: float[] = Array.zeroCreate lanes // proposed, not signed
    let next: int[] = Array.zeroCreate lanes // the target ahead
    let errors = Array.create lanes 1.0
    let errorsBefore = Array.create lanes 1.0
    let rejectedLast: bool[] = Array.zeroCreate lanes
    let steps: int[] = Array.zeroCreate lanes
    let rejections: int[] = Array.zeroCreate lanes
    let reasons: Reason voption[] = Array.create lanes ValueNone

    // Of one attempt.
    let used: float[] = Array.zeroCreate lanes // signed, zero for a lane at rest
    let lands: bool[] = Array.zeroCreate lanes
    let after: float[] = Array.zeroCreate lanes
    let laneErrors: float[] = Array.zeroCreate lanes
    let accepted: bool[] = Array.zeroCreate lanes
    let finite: bool[] = Array.zeroCreate lanes

    let mutable x = Unchecked.defaultof<torch.Tensor>
    let mutable slope: torch.Tensor voption = ValueNone
    let mutable evaluations = 0
    let grid = ResizeArray<GridStep>()
    let dense = ResizeArray<DenseStep>()
    let saved: torch.Tensor voption[] = Array.create options.Save.Length ValueNone
    let hits = ResizeArray<EventHit>()
    let events = Array.ofList options.Events
    let mutable eventValues: float[][] = [||]

    let clockShape: int64[] = if own then [| int64 rows |] else [||]

    let timeTensor (times: float[]) : torch.Tensor =
        let tensor = torch.empty (clockShape, dtype = x0.dtype)
        arithmetic.Write(tensor, times)
        tensor

    // The field's value as contiguous memory of its own, freed with the scope.
    let evaluate (scope: DisposeScope) (times: float[]) (point: torch.Tensor) : torch.Tensor =
        evaluations <- evaluations + 1
        let value = field.Apply (timeTensor times) point

        if value.dtype <> x0.dtype || value.shape <> x0.shape then
            let text (tensor: torch.Tensor) = $"""{tensor.dtype} [{String.Join(", ", tensor.shape)}]"""
            invalidArg (nameof field) $"the value of {field.Name} must be {text x0}, as x is, but is {text value}"

        if value.requires_grad || not (value.is_contiguous ()) then value.detach().contiguous()
        elif obj.ReferenceEquals(value, point) || not (scope.Contains value) then value.clone ()
        else value

    let isActive (lane: int) = reasons[lane].IsNone

    // Errors of the lanes, for weights on the stages, where the length of the steps is one.
    let measure
        (a: torch.Tensor)
        (b: torch.Tensor)
        (stages: ResizeArray<torch.Tensor>)
        (control: AdaptiveControl)
        (estimate: ErrorEstimate)
        : unit =
        let square (row: float[]) : float[] =
            arithmetic.SquaredErrors(a, b, stages, row, control.Relative, control.Absolute, sums)
            sums

        let values =
            match estimate with
            | ErrorEstimate.Absent -> sums |> Array.map (fun _ -> 0.0)
            | ErrorEstimate.Embedded weights -> square weights |> Array.map (fun sum -> sqrt (sum / groupSize))
            | ErrorEstimate.Blended(fifth, third) ->
                let fives = Array.copy (square fifth)

                Array.map2
                    (fun five three -> if five = 0.0 then 0.0 else five / sqrt ((five + 0.01 * three) * groupSize))
                    fives
                    (square third)

        // Math.Max keeps what is no number.
        if own then
            Array.blit values 0 laneErrors 0 lanes
        else
            laneErrors[0] <- values |> Array.fold (fun (worst: float) value -> Math.Max(worst, value)) 0.0

    // Hairer, Norsett and Wanner 1993, II.4: the first step from the sizes of x, its first and its second derivative.
    let chooseFirstSteps (scope: DisposeScope) (control: AdaptiveControl) (first: torch.Tensor) : unit =
        let span = abs (t1 - t0)

        match control.First with
        | ValueSome step -> Array.fill length 0 lanes step
        | ValueNone ->
            let size (stages: torch.Tensor list) (weights: float[]) : float[] =
                measure x x (ResizeArray stages) control (ErrorEstimate.Embedded weights)
                Array.copy laneErrors

            let d0, d1 = size [ x ] [| 1.0 |], size [ first ] [| 1.0 |]

            let h0 = Array.map2 (fun d0 d1 -> Math.Min(span, (if d0 < 1e-5 || d1 < 1e-5 then 1e-6 else 0.01 * d0 / d1))) d0 d1

            let moved = torch.empty_like x
            let signed = h0 |> Array.map ((*) direction)
            arithmetic.Combine(moved, x, ResizeArray [ first ], [| 1.0 |], signed)
            let second = evaluate scope (Array.map (fun h -> t0 + h) signed) moved
            let d2 = Array.map2 (/) (size [ second; first ] [| 1.0; -1.0 |]) h0

            for lane in 0 .. lanes - 1 do
                let largest = Math.Max(d1[lane], d2[lane])

                let h1 =
                    if largest <= 1e-15 then
                        Math.Max(1e-6, h0[lane] * 1e-3)
                    else
                        Math.Pow(0.01 / largest, 1.0 / float (scheme.Order + 1))

                let wanted = Math.Min(100.0 * h0[lane], h1)
                length[lane] <- if Double.IsFinite wanted && wanted > 0.0 then wanted else Math.Min(span, 1e-6)

        for lane in 0 .. lanes - 1 do
            length[lane] <- Math.Clamp(length[lane], control.Smallest, control.Largest)

    // How far each lane goes in this attempt: never past the target, and not just short of it.
    let plan () : unit =
        for lane in 0 .. lanes - 1 do
            if isActive lane then
                let target = targets[next[lane]]
                let left = (target - time[lane]) * direction
                let h = length[lane]
                lands[lane] <- left <= h * (if 1.01 * h <= longest then 1.01 else 1.0 + 1e-9)

                let h =
                    if lands[lane] then left
                    elif adaptive.IsSome && left < 2.0 * h then 0.5 * left
                    else h

                used[lane] <- direction * h
                after[lane] <- if lands[lane] then target else time[lane] + used[lane]
            else
                used[lane] <- 0.0
                lands[lane] <- false
                after[lane] <- time[lane]

    let stageTimes (share: float) : float[] =
        if share = 1.0 then after
        elif share = 0.0 then time
        else Array.map2 (fun t h -> t + share * h) time used

    let addStage (scope: DisposeScope) (stages: ResizeArray<torch.Tensor>) (stage: Stage) : torch.Tensor =
        let point = torch.empty_like x
        arithmetic.Combine(point, x, stages, stage.From, used)
        stages.Add(evaluate scope (stageTimes stage.At) point)
        point

    let finish (lane: int) (reason: Reason) : unit = reasons[lane] <- ValueSome reason

    // Accepts or rejects, lane by lane, and proposes the next lengths.
    let judge (stages: ResizeArray<torch.Tensor>) (final: torch.Tensor) : unit =
        arithmetic.FiniteLanes(final, finite)

        match adaptive with
        | ValueNone ->
            for lane in 0 .. lanes - 1 do
                accepted[lane] <- isActive lane && finite[lane]

                if isActive lane && not accepted[lane] then
                    finish lane Reason.NotFinite
        | ValueSome control ->
            measure x final stages control scheme.Error
            let order = scheme.EmbeddedOrder + 1

            for lane in 0 .. lanes - 1 do
                accepted[lane] <- false

                if isActive lane then
                    let h = abs used[lane]
                    let error = h * laneErrors[lane]
                    let sound = Double.IsFinite error && finite[lane]

                    if sound && error <= 1.0 then
                        accepted[lane] <- true
                        let factor = StepControl.factor control order error errors[lane] errorsBefore[lane]
                        let factor = if rejectedLast[lane] then Math.Min(factor, 1.0) else factor
                        // A step that was cut to land says nothing against the length that was proposed.
                        let wanted = if h < length[lane] && factor >= 1.0 then Math.Max(h * factor, length[lane]) else h * factor
                        length[lane] <- Math.Clamp(wanted, control.Smallest, control.Largest)
                        errorsBefore[lane] <- errors[lane]
                        errors[lane] <- error
                        rejectedLast[lane] <- false
                    else
                        rejections[lane] <- rejections[lane] + 1
                        rejectedLast[lane] <- true
                        length[lane] <- h * StepControl.retreat control order (if sound then error else nan)
                        // Sixteen units in the last place of the clock.
                        let least = Math.Max(control.Smallest, 3.6e-15 * Math.Max(abs time[lane], 1e-6 * abs (t1 - t0)))

                        if length[lane] <= least || time[lane] + direction * length[lane] = time[lane] then
                            finish lane (if sound then Reason.StepUnderflow else Reason.NotFinite)

    let eventValue (event: OdeEvent) (times: torch.Tensor) (point: torch.Tensor) : float[] =
        Lifetime.within (fun () ->
            let value = event.Function times point

            if value.NumberOfElements <> int64 rows then
                invalidArg
                    (nameof options)
                    $"the event {event.Name} must give {rows} numbers, one for each sample, but gives {value.NumberOfElements}"

            arithmetic.Read(value.detach().``to``(x0.dtype).contiguous()))

    let laneOf (row: int) = if own then row else 0

    let keepState (hold: torch.Tensor -> torch.Tensor) (lane: int) (target: int) (state: torch.Tensor) : unit =
        if target < options.Save.Length then
            if own then
                if saved[target].IsNone then
                    saved[target] <- ValueSome(hold (Lifetime.keep (fun () -> Elementwise.fill (x.eq x) nan x)))

                arithmetic.CopyLanes(state, saved[target].Value, Array.init lanes ((=) lane))
            else
                saved[target] <- ValueSome(hold (state.clone ()))

    // Events of a step that was accepted: records them, and gives for each lane the share of the step at which it ends (1: it does not).
    let detect (hold: torch.Tensor -> torch.Tensor) (stepAs: unit -> DenseStep) (final: torch.Tensor) : float[] =
        let ends = Array.create lanes 1.0
        let endedBy = Array.create lanes -1
        let found = ResizeArray<struct (int * int * float)>()
        let times = Array.init lanes (fun lane -> if accepted[lane] then after[lane] else time[lane])
        let now = events |> Array.map (fun event -> eventValue event (timeTensor times) final)

        for e in 0 .. events.Length - 1 do
            let crossing =
                Array.init rows (fun row ->
                    accepted[laneOf row] && EventSearch.crosses events[e].Crossing eventValues[e].[row] now[e].[row])

            if Array.contains true crossing then
                let step = stepAs ()

                let values (shares: float[]) : float[] =
                    Lifetime.within (fun () ->
                        let times = Array.init rows (fun row -> time[laneOf row] + shares[row] * used[laneOf row])
                        let clock = torch.empty ([| int64 rows |], dtype = x0.dtype)
                        arithmetic.Write(clock, times)
                        eventValue events[e] clock (DenseStep.at scheme.StepInterpolant step shares))

                let shares = EventSearch.locate 1e-13 values eventValues[e] now[e] crossing

                for row in 0 .. rows - 1 do
                    if crossing[row] then
                        found.Add(struct (e, row, shares[row]))
                        let lane = laneOf row

                        if events[e].Terminal && (endedBy[lane] < 0 || shares[row] < ends[lane]) then
                            ends[lane] <- shares[row]
                            endedBy[lane] <- e

        if found.Count > 0 then
            let step = stepAs ()

            for struct (e, row, share) in found do
                let lane = laneOf row

                if endedBy[lane] < 0 || share <= ends[lane] then
                    let shares = Array.create rows share
                    let state = (DenseStep.at scheme.StepInterpolant step shares).narrow(0L, int64 row, 1L).clone()
                    hits.Add { Event = e; Sample = row; Time = time[lane] + share * used[lane]; State = hold state }

            for lane in 0 .. lanes - 1 do
                if endedBy[lane] >= 0 then
                    finish lane (Reason.Event endedBy[lane])

        eventValues <- now
        ends

    let land (hold: torch.Tensor -> torch.Tensor) (lane: int) (state: torch.Tensor) : int =
        let target = next[lane]
        keepState hold lane target state
        next[lane] <- target + 1

        if next[lane] = targets.Length && isActive lane then
            finish lane Reason.ReachedEnd

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

        plan ()
        let stages = ResizeArray<torch.Tensor>()
        stages.Add slope.Value
        let mutable point = x

        for i in 1 .. scheme.Stages.Length - 1 do
            point <- addStage inner stages scheme.Stages[i]

        if not scheme.FirstSameAsLast then
            point <- torch.empty_like x
            arithmetic.Combine(point, x, stages, scheme.Weights, used)

        let final = point
        judge stages final

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
                    Saved = Array.create lanes -1
                }

            let stepAs () : DenseStep =
                complete ()
                { Grid = entry (); Start = x; Stages = stages.ToArray() }

            if options.Dense then
                complete ()

            let fresh = mix final x
            let ends = if events.Length > 0 then detect hold stepAs fresh else Array.create lanes 1.0

            // Where an event ends a lane, its state is the interpolant's.
            let cut =
                Array.init lanes (fun lane ->
                    match reasons[lane] with
                    | ValueSome(Reason.Event _) when accepted[lane] -> true
                    | _ -> false)

            let fresh =
                if Array.contains true cut then
                    let within =
                        DenseStep.at scheme.StepInterpolant (stepAs ()) (if lanes = 1 then ends else Array.init rows (fun row -> ends[row]))

                    let whole = fresh.clone ()
                    arithmetic.CopyLanes(within, whole, cut)
                    whole
                else
                    fresh

            let whole = entry ()
            let grown = { whole with Lengths = Array.copy whole.Lengths }

            for lane in 0 .. lanes - 1 do
                if accepted[lane] then
                    steps[lane] <- steps[lane] + 1

                    if cut[lane] && ends[lane] < 1.0 then
                        grown.Lengths[lane] <- ends[lane] * used[lane]
                        time[lane] <- time[lane] + grown.Lengths[lane]
                    else
                        time[lane] <- after[lane]

                        if lands[lane] then
                            grown.Saved[lane] <- land hold lane fresh

            grid.Add grown

            if options.Dense then
                dense.Add { Grid = whole; Start = x; Stages = stages.ToArray() |> Array.map hold }

            let old, oldSlope = x, slope.Value
            x <- hold fresh

            if scheme.FirstSameAsLast then
                slope <- ValueSome(hold (mix stages[own - 1] oldSlope))
            elif scheme.StepInterpolant.EndSlope && stages.Count > own && lanes = 1 then
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

        for lane in 0 .. lanes - 1 do
            if targets[0] = t0 then
                land id lane x |> ignore

        if Array.exists isActive [| 0 .. lanes - 1 |] && not options.Cancellation.IsCancellationRequested then
            use inner = torch.NewDisposeScope()
            let value = inner.MoveToOuter(evaluate inner time x)
            slope <- ValueSome value
            eventValues <- events |> Array.map (fun event -> eventValue event (timeTensor time) x)

            arithmetic.FiniteLanes(value, finite)

            for lane in 0 .. lanes - 1 do
                if not finite[lane] then
                    finish lane Reason.NotFinite

            match options.Control with
            | StepControl.Constant step -> Array.fill length 0 lanes step
            | StepControl.Adaptive control -> chooseFirstSteps inner control value

        let lanesNow = [| 0 .. lanes - 1 |]

        let stopAll reason =
            lanesNow
            |> Array.iter (fun lane ->
                if isActive lane then
                    finish lane reason)

        let behind () = if forward then Array.min time else Array.max time
        let mutable attempts = 0

        while Array.exists isActive lanesNow do
            if options.Cancellation.IsCancellationRequested then
                stopAll Reason.Cancelled
            elif attempts >= options.MaxSteps then
                stopAll Reason.StepLimit
            else
                attempts <- attempts + 1
                this.Attempt()

                options.Progress
                    {
                        Time = behind ()
                        Step = used |> Array.maxBy abs
                        Steps = Array.max steps
                        Rejections = Array.max rejections
                        Evaluations = evaluations
                    }

        let keep (tensor: torch.Tensor) = scope.MoveToOuter tensor
        let reached = saved |> Array.takeWhile _.IsSome |> Array.map (fun state -> keep state.Value)

        {
            Final = keep x
            Time = behind ()
            Saved = reached
            SavedTimes = Array.truncate reached.Length options.Save
            Lanes =
                lanesNow
                |> Array.map (fun lane ->
                    {
                        Time = time[lane]
                        Steps = steps[lane]
                        Rejections = rejections[lane]
                        Reason = reasons[lane].Value
                    })
            Steps = Array.max steps
            Rejections = Array.max rejections
            Evaluations = evaluations
            Reason =
                reasons
                |> Array.tryPick (fun reason -> if reason = ValueSome Reason.ReachedEnd then None else Some reason.Value)
                |> Option.defaultValue Reason.ReachedEnd
            Events =
                hits
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

namespace ValueFlow.Core.Dynamics

open System
open TorchSharp

/// The lanes of a solve: where each is, how far it goes next, whether its step was accepted, and why it ended. A lane is all samples, or one of them where samples have steps of their own.
[<Sealed>]
type internal Lanes(options: OdeOptions, arithmetic: IStageArithmetic, x0: torch.Tensor, t0: float, t1: float) =

    let scheme = options.Scheme
    let direction = if t1 >= t0 then 1.0 else -1.0
    let rows = int x0.shape[0]

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

    let isActive (lane: int) = reasons[lane].IsNone
    let finish (lane: int) (reason: Reason) : unit = reasons[lane] <- ValueSome reason

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
    let chooseFirst
        (control: AdaptiveControl)
        (evaluate: float[] -> torch.Tensor -> torch.Tensor)
        (x: torch.Tensor)
        (first: torch.Tensor)
        : unit =
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
            let second = evaluate (Array.map (fun h -> t0 + h) signed) moved
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

    /// How many.
    member _.Count = lanes
    /// Whether each sample is a lane of its own.
    member _.IsEach = own
    /// Samples.
    member _.Rows = rows
    /// The lane of a sample.
    member _.OfRow(row: int) : int = if own then row else 0
    /// The times to land on: those to save, and t1.
    member _.Targets = targets
    /// The time of each.
    member _.Time = time
    /// The target ahead of each.
    member _.Next = next
    /// The signed length of the attempt, zero for a lane at rest.
    member _.Used = used
    /// Whether the attempt lands on the target ahead.
    member _.Lands = lands
    /// The time after the attempt.
    member _.After = after
    /// Whether the attempt was accepted.
    member _.Accepted = accepted
    /// Steps accepted.
    member _.Steps = steps
    /// Steps rejected.
    member _.Rejections = rejections
    /// Why each has ended; nothing for one that goes on.
    member _.Reasons = reasons
    /// Whether a lane goes on.
    member _.IsActive(lane: int) : bool = isActive lane
    /// Whether any lane goes on.
    member _.AnyActive = Array.exists (fun (reason: Reason voption) -> reason.IsNone) reasons
    /// Ends a lane.
    member _.Finish(lane: int, reason: Reason) : unit = finish lane reason

    /// Ends all that go on.
    member _.FinishAll(reason: Reason) : unit =
        for lane in 0 .. lanes - 1 do
            if isActive lane then
                finish lane reason

    /// The time of the lane that is furthest behind.
    member _.Behind = if direction > 0.0 then Array.min time else Array.max time

    /// A tensor of times, one number or one for each sample.
    member _.Clock(times: float[]) : torch.Tensor =
        let tensor = torch.empty ((if own then [| int64 rows |] else [||]), dtype = x0.dtype)
        arithmetic.Write(tensor, times)
        tensor

    /// The times of a stage at a share of the attempt.
    member _.StageTimes(share: float) : float[] =
        if share = 1.0 then after
        elif share = 0.0 then time
        else Array.map2 (fun t h -> t + share * h) time used

    /// Ends the lanes whose first slope is not finite, and proposes the first lengths.
    member _.Begin(evaluate: float[] -> torch.Tensor -> torch.Tensor, x: torch.Tensor, slope: torch.Tensor) : unit =
        arithmetic.FiniteLanes(slope, finite)

        for lane in 0 .. lanes - 1 do
            if not finite[lane] then
                finish lane Reason.NotFinite

        match options.Control with
        | StepControl.Constant step -> Array.fill length 0 lanes step
        | StepControl.Adaptive control -> chooseFirst control evaluate x slope

    /// How far each lane goes in this attempt: never past the target, and not just short of it.
    member _.Plan() : unit =
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

    /// Accepts or rejects, lane by lane, and proposes the next lengths.
    member _.Judge(x: torch.Tensor, stages: ResizeArray<torch.Tensor>, final: torch.Tensor) : unit =
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

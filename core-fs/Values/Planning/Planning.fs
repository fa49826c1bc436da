namespace ValueFlow.Core.Values

open System
open System.Diagnostics
open System.IO
open System.Numerics.Tensors
open System.Threading
open ValueFlow.Core.Foundations

/// What planning methods share: the loop that applies, brackets, reports and stops; and the solution that it hands out.
[<RequireQualifiedAccess>]
module Planning =

    /// The next values, written over <c>values</c>, from an application values -> image, which it leaves as it is. False if it was cancelled.
    type internal Advance = delegate of values: float[] * image: float[] * bracket: Bracket -> bool

    /// What the loop must know of a method.
    type internal Scheme =
        {
            /// The name, with the parameters that decide what the method does.
            Name: string
            /// How many sweeps it may need to narrow the bounds by the discount: one if it is plain iteration.
            Pace: float
            /// Whole numbers that it keeps from sweep to sweep besides the values: arrays that it changes in place, and whose lengths stay. A checkpoint holds them, in this order.
            Integers: int[][]
            /// Numbers that it keeps in the same way.
            Numbers: float[][]
        }

    /// A method that keeps nothing, and is no slower than plain iteration.
    let internal plain (name: string) : Scheme = { Name = name; Pace = 1.0; Integers = [||]; Numbers = [||] }

    /// Values that start a method: zero, or the caller's (copied), with zero in terminal states.
    let internal start (bellman: Bellman) (given: float[] voption) : float[] =
        let model = bellman.Kernel.Model

        match given with
        | ValueNone -> Array.zeroCreate model.StateCount
        | ValueSome values ->
            Shape.requireLength "start" model.StateCount values.Length
            Shape.requireFinite "start" values
            Array.mapi (fun s value -> if model.IsTerminal s then 0.0 else value) values

    // values of the midpoint, the bounds, and the error of the midpoint, for the image T V and its bracket.
    let private enclose (model: Model) (image: float[]) (bracket: Bracket) =
        if bracket.Certificate = Certificate.Estimate then
            let unbounded sign = Array.init image.Length (fun s -> if model.IsTerminal s then 0.0 else sign * Double.PositiveInfinity)
            struct (Array.copy image, unbounded -1.0, unbounded 1.0, Double.PositiveInfinity)
        else
            let middle = 0.5 * (bracket.Below + bracket.Above)
            let outward = Bound.unitRoundoff * 2.0
            let values, lower, upper = Array.zeroCreate image.Length, Array.zeroCreate image.Length, Array.zeroCreate image.Length
            let mutable bound = 0.0

            for s in 0 .. image.Length - 1 do
                if not (model.IsTerminal s) then
                    values[s] <- image[s] + middle
                    lower[s] <- image[s] + bracket.Below
                    lower[s] <- lower[s] - outward * abs lower[s]
                    upper[s] <- image[s] + bracket.Above
                    upper[s] <- upper[s] + outward * abs upper[s]
                    bound <- Math.Max(bound, Math.Max(values[s] - lower[s], upper[s] - values[s]))

            struct (values, lower, upper, Bound.above bound)

    // What it costs to store a value and its bounds, and to subtract them again.
    let private storing (bracket: Bracket) (image: float[]) =
        let largest = abs (TensorPrimitives.MaxMagnitude(ReadOnlySpan image))
        6.0 * Bound.unitRoundoff * (largest + Math.Max(abs bracket.Below, abs bracket.Above))

    let private firstNotFinite (model: Model) (image: float[]) =
        image
        |> Array.tryFindIndex (Double.IsFinite >> not)
        |> Option.map (fun s -> $"the value of state {model.StateName s} became {ModelError.number image[s]}")

    // Writes the state of a run when it is due.
    type private Keeper(checkpoint: PlanningCheckpointOptions, own: PlanningCheckpoint) =
        let mutable written = 0
        let mutable watch = Stopwatch.GetTimestamp()

        do
            if String.IsNullOrWhiteSpace checkpoint.Path then
                invalidArg (nameof checkpoint) "the path of the checkpoint must be given but is empty"

            if checkpoint.Interval < TimeSpan.Zero then
                invalidArg (nameof checkpoint) $"the interval of the checkpoint must not be negative but is {checkpoint.Interval}"

            if checkpoint.Sweeps < 1 then
                invalidArg (nameof checkpoint) $"the sweeps between two checkpoints must be at least 1 but are {checkpoint.Sweeps}"

        // What was kept, if anything was.
        member _.Kept: PlanningState voption =
            if File.Exists checkpoint.Path then
                let state = PlanningCheckpoint.require checkpoint.Path own
                written <- state.Sweeps
                ValueSome state
            else
                ValueNone

        member _.IsDue(sweeps: int) =
            sweeps > written
            && (sweeps - written >= checkpoint.Sweeps || Stopwatch.GetElapsedTime watch >= checkpoint.Interval)

        member _.Write(state: PlanningState) =
            if state.Sweeps > written then
                PlanningCheckpoint.write checkpoint.Path { own with State = state }
                written <- state.Sweeps
                watch <- Stopwatch.GetTimestamp()

    /// The one loop of planning: apply, bracket, stop or advance. With a checkpoint it goes on from the file if there is one, writes the state between two sweeps when it is due and
    /// when the run ends early there, and leaves the file as it is when the run is done.
    let internal run
        (scheme: Scheme)
        (checkpoint: PlanningCheckpointOptions voption)
        (options: RunOptions)
        (bellman: Bellman)
        (apply: float[] -> float[] -> bool)
        (bracketOf: float[] -> float[] -> Bracket)
        (given: float[] voption)
        (advance: Advance)
        : Solution =
        RunOptions.require options
        let model = bellman.Kernel.Model
        let values = start bellman given
        let mutable image = Array.zeroCreate model.StateCount
        let mutable history = History()
        let struct (_, factor) = bellman.Factors
        // One and a half times the sweeps within which the method halves its residual: if it has not, only rounding is left.
        let patience =
            if factor < 1.0 && factor > 0.0 then
                int (Math.Min(1e8, ceil (1.5 * scheme.Pace * log 0.5 / log factor))) + 4
            else
                4

        let mutable sweeps = 0
        let mutable floor = 0.0
        // Float64 cannot shorten a step any more once (1 - factor) of it is less than the last digit; steps to and fro, and steps ahead, then go on
        // for ever. The first attempt takes the mean of values and image, which ends the former; the second goes all the way along
        // the latter. What they lead to is kept only if it halves the bound.
        let mutable attempt = 0

        let venture (values: float[]) (image: float[]) =
            attempt <- attempt + 1
            let further = if attempt = 1 then -0.5 else factor / (1.0 - factor)

            for s in 0 .. values.Length - 1 do
                values[s] <- image[s] + further * (image[s] - values[s])

        let mutable best = Double.PositiveInfinity
        let mutable halved = 0
        // The last application that was completed, kept for a run that ends on the way.
        let basis = Array.copy values
        let reached = ref (Array.copy values)

        let mutable bracket =
            {
                Below = Double.NegativeInfinity
                Above = Double.PositiveInfinity
                Residual = Double.PositiveInfinity
                Floor = 0.0
                LossWidths = Double.PositiveInfinity
                Certificate = Certificate.Estimate
            }

        let mutable last = { Applications = 0; Residual = Double.PositiveInfinity; Bound = Double.PositiveInfinity }
        let mutable outcome = ValueNone

        let state () =
            {
                Values = values
                Basis = basis
                Reached = reached.Value
                Bracket = bracket
                Sweeps = sweeps
                Attempt = attempt
                Best = best
                Halved = halved
                Floor = floor
                Last = last
                History = history.Entries
                Integers = scheme.Integers
                Numbers = scheme.Numbers
            }

        let keeper =
            match checkpoint with
            | ValueSome checkpoint when not options.Cancellation.IsCancellationRequested ->
                Keeper(checkpoint, PlanningCheckpoint.make scheme.Name bellman CancellationToken.None (state ())) |> ValueSome
            | _ -> ValueNone

        match keeper |> ValueOption.bind _.Kept with
        | ValueSome kept ->
            let restore (source: 'a[]) (destination: 'a[]) = Array.blit source 0 destination 0 destination.Length
            restore kept.Values values
            restore kept.Basis basis
            restore kept.Reached reached.Value
            Array.iter2 restore kept.Integers scheme.Integers
            Array.iter2 restore kept.Numbers scheme.Numbers
            bracket <- kept.Bracket
            sweeps <- kept.Sweeps
            attempt <- kept.Attempt
            best <- kept.Best
            halved <- kept.Halved
            floor <- kept.Floor
            last <- kept.Last
            history <- History kept.History
        | ValueNone -> ()

        let keep () = keeper |> ValueOption.iter (fun keeper -> keeper.Write(state ()))

        while outcome.IsNone do
            if keeper.IsSome && keeper.Value.IsDue sweeps then
                keep ()

            if options.Cancellation.IsCancellationRequested then
                keep ()
                outcome <- ValueSome Outcome.Cancelled
            elif sweeps >= options.Budget then
                keep ()
                outcome <- ValueSome Outcome.BudgetExhausted
            elif not (apply values image) then
                // The values are still those of before.
                keep ()
                outcome <- ValueSome Outcome.Cancelled
            else
                sweeps <- sweeps + 1
                let found = bracketOf values image

                if not (Double.IsFinite found.Residual) then
                    let words = firstNotFinite model image |> Option.defaultValue $"the residual became {found.Residual}"
                    outcome <- ValueSome(Outcome.NotFinite words)
                else
                    let certified = found.Certificate <> Certificate.Estimate
                    // Values and bounds are stored in float64, which rounds as well.
                    let storing = storing found image
                    let half = if certified then Bound.above (found.HalfWidth + storing) else Double.PositiveInfinity

                    if attempt > 0 && not (half <= 0.5 * last.Bound) then
                        if attempt = 1 then venture values image else outcome <- ValueSome Outcome.PrecisionFloor
                    else
                        attempt <- 0
                        bracket <- found
                        floor <- if certified then Bound.above (found.Floor + storing) else 0.0
                        Array.blit values 0 basis 0 values.Length
                        // The image is kept, and the one that was kept is written over next.
                        let kept = reached.Value
                        reached.Value <- image
                        image <- kept
                        last <- { Applications = sweeps; Residual = found.Residual; Bound = half }
                        history.Add last
                        options.Progress last
                        let progress = if certified then found.Above - found.Below else found.Residual

                        if progress <= 0.5 * best then
                            best <- progress
                            halved <- sweeps

                        if (if certified then half else found.Residual) <= options.Tolerance then
                            outcome <- ValueSome Outcome.Converged
                        elif certified && half <= floor then
                            outcome <- ValueSome Outcome.PrecisionFloor
                        elif certified && sweeps - halved > patience then
                            halved <- sweeps
                            venture values reached.Value
                        elif not (advance.Invoke(values, reached.Value, found)) then
                            // In the middle of a step: the last checkpoint stands.
                            outcome <- ValueSome Outcome.Cancelled

        let struct (middle, lower, upper, bound) = enclose model reached.Value bracket
        let direction = bellman.Action.Direction

        let policy =
            match bellman.Action, direction with
            | _ when outcome = ValueSome Outcome.Cancelled -> [||]
            | :? PolicyMean as mean, _ -> mean.Policy.MostLikely model
            | _, ValueSome direction -> bellman.Greedy(basis, direction, CancellationToken.None)
            | _, ValueNone -> bellman.Greedy(basis, Direction.Maximise, CancellationToken.None)

        // The greedy policy of V satisfies the same lower bound as V* (for costs the same upper bound), so that it loses at most the width.
        let loss =
            match bellman.Action with
            | _ when policy.Length = 0 -> Double.PositiveInfinity
            | :? Extreme -> Bound.above (bracket.LossWidths * (bracket.Above - bracket.Below))
            | _ -> Double.PositiveInfinity

        {
            Values = middle
            Lower = lower
            Upper = upper
            Policy = policy
            Bound = bound
            Floor = floor
            PolicyLoss = loss
            Certificate = bracket.Certificate
            Outcome = outcome.Value
            Method = scheme.Name
            Sweeps = sweeps
            History = history.Close last
        }

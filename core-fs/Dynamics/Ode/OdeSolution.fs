namespace ValueFlow.Core.Dynamics

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic

/// Why a solve ended.
[<RequireQualifiedAccess>]
type Reason =
    /// The end of the interval was reached.
    | ReachedEnd
    /// A terminal event; its place in the list of the options.
    | Event of index: int
    /// The budget of steps was used up.
    | StepLimit
    /// The tolerance needs steps that are too short: the solution blows up, the field has a jump, or the tolerance is below rounding.
    | StepUnderflow
    /// The field, or the state, was no finite number; the last finite state is kept.
    | NotFinite
    /// The caller cancelled.
    | Cancelled

/// Samples that share their steps: all of them, or each by itself.
[<Struct>]
type Lane =
    {
        /// The time reached.
        Time: float
        /// Steps accepted.
        Steps: int
        /// Steps rejected.
        Rejections: int
        /// Why it ended.
        Reason: Reason
    }

/// One accepted step.
type GridStep =
    {
        /// Where it starts, for each lane.
        Times: float[]
        /// Its signed length for each lane; zero for a lane that did not move.
        Lengths: float[]
        /// For each lane the saved time on which it landed, or -1.
        Saved: int[]
    }

/// An event that happened.
type EventHit =
    {
        /// Its place in the list of the options.
        Event: int
        /// The row.
        Sample: int
        /// When.
        Time: float
        /// The sample's state then, of shape (1, ...).
        State: torch.Tensor
    }

/// A step as the interpolant needs it.
type internal DenseStep = { Grid: GridStep; Start: torch.Tensor; Stages: torch.Tensor[] }

[<RequireQualifiedAccess>]
module internal DenseStep =

    /// The state of every row at its share theta of the step (one theta for each row, or one for all).
    let at (interpolant: StepInterpolant) (step: DenseStep) (theta: float[]) : torch.Tensor =
        Lifetime.keep (fun () ->
            let rows = max theta.Length step.Grid.Lengths.Length
            let own (values: float[]) (row: int) = if values.Length = 1 then values[0] else values[row]

            let factors =
                Array.init rows (fun row -> StepInterpolant.at interpolant (own theta row) |> Array.map ((*) (own step.Grid.Lengths row)))

            let mutable sum = step.Start

            for j in 0 .. step.Stages.Length - 1 do
                if factors |> Array.exists (fun factor -> factor[j] <> 0.0) then
                    let part =
                        if rows = 1 then
                            Elementwise.times factors[0].[j] step.Stages[j]
                        else
                            let column = torch.tensor (factors |> Array.map (fun factor -> factor[j]), dtype = step.Start.dtype)
                            let shape = Array.init (int (step.Start.dim ())) (fun d -> if d = 0 then int64 rows else 1L)
                            step.Stages[j].mul(column.view shape)

                    sum <- sum.Plus part

            sum.alias ())

/// The state at every time between the start and the time reached. It owns tensors.
[<Sealed>]
type DenseOutput internal (interpolant: StepInterpolant, steps: DenseStep[], start: float, ends: float[], first: torch.Tensor) =

    let forward = steps.Length = 0 || steps[0].Grid.Lengths |> Array.exists (fun h -> h > 0.0)

    // The step of a lane that covers the time.
    let find (lane: int) (time: float) : int =
        let covers (n: int) =
            let grid = steps[n].Grid
            let h = grid.Lengths[lane]
            h <> 0.0 && (let final = grid.Times[lane] + h in if forward then time <= final else time >= final)

        if ends.Length = 1 then
            let mutable low, high = 0, steps.Length - 1

            while low < high do
                let middle = (low + high) / 2
                if covers middle then high <- middle else low <- middle + 1

            low
        else
            match seq { 0 .. steps.Length - 1 } |> Seq.tryFind covers with
            | Some n -> n
            | None ->
                seq { steps.Length - 1 .. -1 .. 0 }
                |> Seq.tryFind (fun n -> steps[n].Grid.Lengths[lane] <> 0.0)
                |> Option.defaultValue -1

    /// The order of the values between the steps.
    member _.Order = interpolant.Order

    /// x(t), of the shape of x0. The time lies between the start and the time that all samples have reached. The caller owns the tensor.
    member _.At(time: float) : torch.Tensor =
        let reached = if forward then Array.min ends else Array.max ends

        if not (if forward then time >= start && time <= reached else time <= start && time >= reached) then
            invalidArg (nameof time) $"must lie between {start} and {reached} but is {time}"

        let share (lane: int) (n: int) : float =
            let grid = steps[n].Grid
            Math.Clamp((time - grid.Times[lane]) / grid.Lengths[lane], 0.0, 1.0)

        if steps.Length = 0 || time = start then
            first.clone ()
        elif ends.Length = 1 then
            let n = find 0 time
            DenseStep.at interpolant steps[n] [| share 0 n |]
        else
            Lifetime.keep (fun () ->
                let places = Array.init ends.Length (fun lane -> find lane time)

                let rows =
                    Array.init ends.Length (fun lane ->
                        let n = places[lane]

                        if n < 0 then
                            first.narrow (0L, int64 lane, 1L)
                        else
                            let row (tensor: torch.Tensor) = tensor.narrow (0L, int64 lane, 1L)
                            let grid = steps[n].Grid

                            DenseStep.at
                                interpolant
                                {
                                    Grid = { grid with Times = [| grid.Times[lane] |]; Lengths = [| grid.Lengths[lane] |] }
                                    Start = row steps[n].Start
                                    Stages = Array.map row steps[n].Stages
                                }
                                [| share lane n |])

                torch.cat (rows, 0L))

    /// What it owns.
    member internal _.Tensors: seq<torch.Tensor> =
        seq {
            first

            for step in steps do
                step.Start
                yield! step.Stages
        }

    interface IDisposable with
        /// Frees what was kept.
        member output.Dispose() = output.Tensors |> Seq.iter _.Dispose()

/// The outcome of a solve. It owns its tensors; disposing it frees them, and so does the scope in which the solve was called.
type OdeSolution =
    {
        /// The state at the time reached.
        Final: torch.Tensor
        /// The time reached: of the sample that is behind, if each has its own.
        Time: float
        /// The states at the saved times that were reached. Samples with a time of their own that ended before are NaN.
        Saved: torch.Tensor[]
        /// These times.
        SavedTimes: float[]
        /// Time, steps and reason: one entry if all samples share their steps, else one for each.
        Lanes: Lane[]
        /// Steps accepted; the most of any sample.
        Steps: int
        /// Steps rejected; the most of any sample.
        Rejections: int
        /// Evaluations of the field on the whole batch.
        Evaluations: int
        /// Why the solve ended: the first sample's reason that is not the end of the interval, or that.
        Reason: Reason
        /// The events, in the order of their discovery.
        Events: EventHit[]
        /// The accepted steps.
        Grid: GridStep[]
        /// The state between the steps, if it was asked for.
        Dense: DenseOutput voption
    }

    interface IDisposable with
        /// Frees the tensors.
        member solution.Dispose() =
            solution.Final.Dispose()
            solution.Saved |> Array.iter _.Dispose()
            solution.Events |> Array.iter (fun hit -> hit.State.Dispose())
            solution.Dense |> ValueOption.iter (fun dense -> (dense :> IDisposable).Dispose())

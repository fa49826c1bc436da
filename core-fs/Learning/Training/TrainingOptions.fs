namespace ValueFlow.Core.Learning

open System
open System.Globalization
open System.Threading

/// Where a run keeps what it needs to go on after it was stopped.
type CheckpointOptions =
    {
        /// The file: written whole or not at all, beside a ".partial" one.
        Path: string
        /// Steps between two writings; the last step and a cancellation write it, too.
        Every: int
    }

/// What a run tells after every step.
[<Struct>]
type TrainingProgress =
    {
        /// Steps done.
        Step: int
        /// The loss before the step.
        Loss: float
        /// The norm of its gradient, before it was clipped.
        GradientNorm: float
        /// The learning rate of the step.
        LearningRate: float
    }

/// How a run goes.
type TrainingOptions =
    {
        /// Steps until the end, those of a run that is resumed included.
        Steps: int
        /// The rule of a step.
        Optimiser: Optimiser
        /// The learning rate of each step.
        LearningRate: LearningRate
        /// The largest norm of a gradient, to which longer ones are cut; nothing: they are taken as they are.
        ClipNorm: float voption
        /// The decay of the exponential moving average that becomes the result; nothing: the result is the last parameters.
        EmaDecay: float voption
        /// From it and a step's number come all random numbers.
        Seed: int
        /// Losses that the history keeps; even, at least 2.
        HistoryPlaces: int
        /// Called after every step.
        Progress: TrainingProgress -> unit
        /// Asked before every step.
        Cancellation: CancellationToken
        /// Where to keep what a resumed run needs; nothing: nowhere.
        Checkpoint: CheckpointOptions voption
    }

/// Makes and checks options.
[<RequireQualifiedAccess>]
module TrainingOptions =

    /// Adam at the rate 1e-3 for the steps; no clipping, average, checkpoint or progress; seed 0.
    let standard (steps: int) : TrainingOptions =
        {
            Steps = steps
            Optimiser = Optimiser.adam
            LearningRate = LearningRate.Constant 1e-3
            ClipNorm = ValueNone
            EmaDecay = ValueNone
            Seed = 0
            HistoryPlaces = 1024
            Progress = ignore
            Cancellation = CancellationToken.None
            Checkpoint = ValueNone
        }

    /// Throws an ArgumentException that names the first option that makes no sense.
    let require (options: TrainingOptions) : unit =
        if options.Steps < 0 then
            invalidArg (nameof options) $"Steps must not be negative but are {options.Steps}"

        Optimiser.require options.Optimiser
        LearningRate.require options.LearningRate
        ValueOption.iter Gradient.requireLimit options.ClipNorm
        ValueOption.iter Ema.require options.EmaDecay

        if options.HistoryPlaces < 2 || options.HistoryPlaces % 2 <> 0 then
            invalidArg (nameof options) $"HistoryPlaces must be even and at least 2 but are {options.HistoryPlaces}"

        match options.Checkpoint with
        | ValueSome checkpoint when checkpoint.Every <= 0 ->
            invalidArg (nameof options) $"Checkpoint.Every must be positive but is {checkpoint.Every}"
        | ValueSome checkpoint when String.IsNullOrWhiteSpace checkpoint.Path ->
            invalidArg (nameof options) "Checkpoint.Path must not be empty"
        | _ -> ()

    // What the parameters after a number of steps depend on, in words: two runs may follow one another exactly where these agree.
    let internal facts (options: TrainingOptions) (objective: string) : (string * string) list =
        let text (value: float) = value.ToString("R", CultureInfo.InvariantCulture)
        let optional value = value |> ValueOption.map text |> ValueOption.defaultValue "none"

        let rec rate schedule =
            match schedule with
            | LearningRate.Constant value -> $"constant({text value})"
            | LearningRate.Cosine(peak, floor, steps) -> $"cosine({text peak}, {text floor}, {steps})"
            | LearningRate.Exponential(value, factor) -> $"exponential({text value}, {text factor})"
            | LearningRate.WarmUp(steps, after) -> $"warm-up({steps}, {rate after})"

        let optimiser =
            match options.Optimiser with
            | Optimiser.Sgd momentum -> $"sgd({text momentum})"
            | Optimiser.Adam(b1, b2, epsilon) -> $"adam({text b1}, {text b2}, {text epsilon})"
            | Optimiser.AdamW(b1, b2, epsilon, decay) -> $"adamw({text b1}, {text b2}, {text epsilon}, {text decay})"

        [
            "objective", objective
            "optimiser", optimiser
            "learning rate", rate options.LearningRate
            "clip norm", optional options.ClipNorm
            "EMA decay", optional options.EmaDecay
            "seed", string options.Seed
            "history places", string options.HistoryPlaces
        ]

namespace ValueFlow.Core.Learning

open System
open System.Diagnostics

/// Why a run ended.
[<RequireQualifiedAccess>]
type TrainingOutcome =
    /// All steps were done.
    | Completed
    /// It was asked to stop.
    | Cancelled
    /// The loss, a gradient or the parameters were no finite numbers: which, and what was found. The result is that of the last good parameters.
    | NotFinite of found: string

/// What a run gives.
type TrainingResult =
    {
        /// The network: with the moving average of the parameters where the options ask for one, else with the last.
        Network: Network
        /// The network with the last parameters.
        Last: Network
        /// Why the run ended.
        Outcome: TrainingOutcome
        /// Steps done, those before a resumption included.
        Steps: int
        /// The losses, thinned.
        History: LossHistory
        /// Seconds that this call took.
        Seconds: float
        /// Steps that this call did in a second.
        StepsPerSecond: float
    }

/// The one training loop.
[<RequireQualifiedAccess>]
module Training =

    let private notFinite (loss: float) (norm: float) =
        if not (Double.IsFinite loss) then ValueSome $"the loss is {loss}"
        elif not (Double.IsFinite norm) then ValueSome $"the gradient's norm is {norm}"
        else ValueNone

    // The state is the loop's own: its vectors are changed in place.
    let private loop
        (options: TrainingOptions)
        (objective: Objective)
        (configuration: NetworkConfiguration)
        (start: TrainingState)
        : TrainingResult =
        let clock = Stopwatch.StartNew()
        let facts = TrainingOptions.facts options objective.Name
        let recorder = LossRecorder(options.HistoryPlaces, start.History)
        let parameters, average = start.Parameters, start.Average
        let gradient: float32[] = Array.zeroCreate parameters.Length
        // The parameters at which the loss was last a number, and the average up to them.
        let good, goodAverage = Array.copy parameters, Array.copy average
        let mutable optimiser = start.Optimiser
        let mutable step = start.Step
        let mutable outcome = ValueNone

        let save () =
            match options.Checkpoint with
            | ValueSome checkpoint ->
                Checkpoint.write
                    checkpoint.Path
                    configuration
                    facts
                    {
                        Step = step
                        Parameters = parameters
                        Optimiser = optimiser
                        Average = average
                        History = recorder.History
                    }
            | ValueNone -> ()

        // Back to the last good parameters: they were those before the step that spoiled them.
        let restore (found: string) =
            Array.blit good 0 parameters 0 parameters.Length
            Array.blit goodAverage 0 average 0 average.Length
            outcome <- ValueSome(TrainingOutcome.NotFinite $"step {step}: {found}")

        while outcome.IsNone do
            if step >= options.Steps || options.Cancellation.IsCancellationRequested then
                match Array.tryFindIndex (Single.IsFinite >> not) parameters with
                | Some index -> restore $"parameter {index} is {parameters[index]}"
                | None ->
                    save ()
                    outcome <- ValueSome(if step >= options.Steps then TrainingOutcome.Completed else TrainingOutcome.Cancelled)
            else
                let loss = objective.Evaluate { Seed = options.Seed; Step = step } parameters gradient
                let norm = Gradient.norm gradient

                match notFinite loss norm with
                | ValueSome found -> restore found
                | ValueNone ->
                    Array.blit parameters 0 good 0 parameters.Length
                    Array.blit average 0 goodAverage 0 average.Length

                    match options.ClipNorm with
                    | ValueSome limit when norm > limit -> Gradient.scaleInto (limit / norm) gradient
                    | _ -> ()

                    let rate = LearningRate.at step options.LearningRate
                    optimiser <- Optimiser.stepInto options.Optimiser rate gradient parameters optimiser
                    ValueOption.iter (fun decay -> Ema.stepInto decay parameters average) options.EmaDecay
                    recorder.Add loss
                    step <- step + 1
                    options.Progress { Step = step; Loss = loss; GradientNorm = norm; LearningRate = rate }

                    match options.Checkpoint with
                    | ValueSome checkpoint when
                        step % checkpoint.Every = 0 && step < options.Steps && Array.forall Single.IsFinite parameters
                        ->
                        save ()
                    | _ -> ()

        let last = { Configuration = configuration; Parameters = parameters }
        let seconds = clock.Elapsed.TotalSeconds

        {
            Network = if options.EmaDecay.IsSome then { last with Parameters = average } else last
            Last = last
            Outcome = outcome.Value
            Steps = step
            History = recorder.History
            Seconds = seconds
            StepsPerSecond = float (step - start.Step) / seconds
        }

    /// Trains a network from its parameters on. Throws an ArgumentException for options that make no sense, and what the objective throws.
    let run (options: TrainingOptions) (objective: Objective) (network: Network) : TrainingResult =
        TrainingOptions.require options
        let network = Network.create network.Configuration network.Parameters

        loop
            options
            objective
            network.Configuration
            {
                Step = 0
                Parameters = Array.copy network.Parameters
                Optimiser = Optimiser.init options.Optimiser network.Parameters.Length
                Average = if options.EmaDecay.IsSome then Array.copy network.Parameters else [||]
                History = LossRecorder.Empty
            }

    /// Goes on with the run whose checkpoint the file is, to the bit as if it had not been stopped; more steps may be asked for. Throws an InvalidDataException
    /// that names the file, what was expected and what was found, where the file is none, or of another network, objective, seed, optimiser, learning rate,
    /// clipping or average.
    let resume (options: TrainingOptions) (objective: Objective) (configuration: NetworkConfiguration) (path: string) : TrainingResult =
        TrainingOptions.require options
        let facts = TrainingOptions.facts options objective.Name
        loop options objective configuration (Checkpoint.read path configuration facts options.Optimiser options.EmaDecay.IsSome)

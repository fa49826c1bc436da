namespace ValueFlow.Core.Values

open System
open System.Threading
open ValueFlow.Core.Foundations

/// How a run of exploration goes.
type ExplorationOptions =
    {
        /// Steps of the process, at least 1.
        Steps: int
        /// How many steps go by between two measurements of the policy's value, 1 for every step: each measurement solves a linear system of as many unknowns as states, unless the policy is the
        /// same. Between them the last one stands.
        MeasureEvery: int
        /// Called after every measurement with the number of steps so far.
        Progress: int -> unit
        /// Ends the run early, with what was reached.
        Cancellation: CancellationToken
    }

/// What a run of exploration was worth, step by step.
type ExplorationRun<'knowledge> =
    {
        /// For each step the gap V*(start) - V^pi(start) of the policy that it was played with, both exact (rounding aside) and not learnt.
        Gaps: float[]
        /// For each step the sum of gaps up to it.
        Regret: float[]
        /// For each state how often it was acted from.
        Visits: int[]
        /// V* at the start: the mean over the initial states.
        Optimum: float
        /// For each row the probability with which its state takes it at the end.
        Policy: Policy
        /// Epochs of the learner, the first included.
        Epochs: int
        /// What is known at the end.
        Knowledge: 'knowledge
        /// True if the run was cancelled: then steps are fewer than were asked for.
        Cancelled: bool
    }

    /// The mean of the gaps.
    member this.MeanGap = if this.Gaps.Length = 0 then nan else Array.average this.Gaps

/// Lets explorers loose on a process.
[<RequireQualifiedAccess>]
module Exploration =

    /// Ten thousand steps, each of them measured; no progress, no cancellation.
    let standard: ExplorationOptions =
        { Steps = 10_000; MeasureEvery = 1; Progress = ignore; Cancellation = CancellationToken.None }

    /// Runs an explorer from the model's initial states: after every step the process starts again with probability 1 - discount, as it does where an episode ends, so that what is seen is what the
    /// discount weighs. The start itself is not seen as a transition. The generator decides all that is random. An ArgumentException for options that make no sense, and a model without an initial
    /// state that acts; an OperationCanceledException if V* was not found yet when the run was cancelled.
    let run
        (generator: Generator)
        (options: ExplorationOptions)
        (ground: ExplorationGround)
        (explorer: Explorer<'knowledge>)
        : ExplorationRun<'knowledge> =
        if options.Steps < 1 then
            invalidArg (nameof options) $"Steps must be at least 1 but are {options.Steps}"

        if options.MeasureEvery < 1 then
            invalidArg (nameof options) $"MeasureEvery must be at least 1 but is {options.MeasureEvery}"

        let model, discount = ground.Model, ground.Discount
        let starts = model.initial |> Array.filter (model.IsTerminal >> not)

        if starts.Length = 0 then
            invalidArg (nameof ground) "the model must have an initial state with actions but has none"

        let bellman = Bellman.Optimality(model, discount)
        let kernel = bellman.Kernel
        let best = PolicyIteration.solve { RunOptions.standard with Cancellation = options.Cancellation } bellman
        options.Cancellation.ThrowIfCancellationRequested()
        let atStart (values: float[]) = starts |> Array.averageBy (fun s -> values[s])
        let optimum = atStart best.Values
        let gaps, visits = Array.zeroCreate<float> options.Steps, Array.zeroCreate<int> model.StateCount
        let mutable values = Array.zeroCreate<float> model.StateCount
        let mutable measured: float[] = [||]
        let mutable gap = nan
        let mutable known = explorer.Start
        let mutable state = starts[generator.Below starts.Length]
        let mutable t = 0

        while t < options.Steps && not options.Cancellation.IsCancellationRequested do
            let policy = explorer.Policy known

            if t % options.MeasureEvery = 0 then
                if policy <> measured then
                    values <- LinearEvaluation.solve kernel policy values CancellationToken.None
                    gap <- optimum - atStart values
                    measured <- policy

                options.Progress t

            gaps[t] <- gap
            visits[state] <- visits[state] + 1
            let first = model.rowOffsets[state]
            let row = first + Sampling.index generator (ReadOnlySpan(policy, first, model.rowOffsets[state + 1] - first))
            let offset = model.offsets[row]
            let k = offset + Sampling.index generator (ReadOnlySpan(model.probabilities, offset, model.offsets[row + 1] - offset))
            let next, continuation = model.successors[k], model.Continuation k
            known <- explorer.Learn { Row = row; Reward = model.rewards[k]; Next = next; Continuation = continuation } known

            // A step of which a share goes on goes on with that probability.
            let goesOn = not (model.IsTerminal next) && generator.Uniform() < discount * continuation
            state <- if goesOn then next else starts[generator.Below starts.Length]
            t <- t + 1

        let gaps = if t = options.Steps then gaps else Array.sub gaps 0 t

        {
            Gaps = gaps
            Regret = if t = 0 then [||] else gaps |> Array.scan (+) 0.0 |> Array.tail
            Visits = visits
            Optimum = optimum
            Policy = Policy.Stochastic(model, explorer.Policy known)
            Epochs = explorer.Epochs known
            Knowledge = known
            Cancelled = t < options.Steps
        }

namespace ValueFlow.Core.Learning

open System
open System.Threading

/// What an agent tells after each of its checks.
type AgentProgress =
    {
        /// Steps made in the world.
        Step: int
        /// The mean loss since the last check; not a number where nothing was learnt yet.
        Loss: float
        /// Episodes that have ended.
        Episodes: int
    }

/// How a value-based agent learns.
type AgentOptions =
    {
        /// What the network says of each action.
        Head: ValueHead
        /// Widths of the hidden layers.
        Hidden: int list
        /// The discount, in [0, 1].
        Discount: float
        /// Rewards are multiplied by this before they are learnt.
        RewardScale: float
        /// Steps in the world.
        Steps: int
        /// Steps after which an episode is cut off (truncated).
        EpisodeSteps: int
        /// Steps before the first update.
        WarmUp: int
        /// Transitions in an update; one update a step.
        Batch: int
        /// Transitions that are remembered.
        Capacity: int
        /// Steps between two copies of the network into the target network.
        TargetEvery: int
        /// The share of random actions at first and at last.
        Exploration: struct (float * float)
        /// Steps over which the share falls, in a straight line.
        ExplorationSteps: int
        /// The rule of an update.
        Optimiser: Optimiser
        /// The learning rate.
        LearningRate: LearningRate
        /// Steps between two checks: a snapshot, and a call of Progress.
        CheckEvery: int
        /// All random numbers come from it.
        Seed: int
        /// Called at every check.
        Progress: AgentProgress -> unit
        /// Asked at every step.
        Cancellation: CancellationToken
    }

/// Makes and checks options.
[<RequireQualifiedAccess>]
module AgentOptions =

    /// Two hidden layers of 64, discount 0.99, batches of 32 from the last 10,000 steps, Adam at 1e-3, target network every 200 steps, exploration from 1 to 0.1 over the first half.
    let standard (head: ValueHead) (steps: int) : AgentOptions =
        {
            Head = head
            Hidden = [ 64; 64 ]
            Discount = 0.99
            RewardScale = 1.0
            Steps = steps
            EpisodeSteps = 200
            WarmUp = 200
            Batch = 32
            Capacity = 10_000
            TargetEvery = 200
            Exploration = struct (1.0, 0.1)
            ExplorationSteps = max 1 (steps / 2)
            Optimiser = Optimiser.adam
            LearningRate = LearningRate.Constant 1e-3
            CheckEvery = max 1 (steps / 20)
            Seed = 0
            Progress = ignore
            Cancellation = CancellationToken.None
        }

    /// Throws an ArgumentException that names the first option that makes no sense.
    let require (options: AgentOptions) : unit =
        let positive (name: string) (value: int) =
            if value < 1 then
                invalidArg (nameof options) $"{name} must be at least 1 but is {value}"

        let share (name: string) (value: float) =
            if not (value >= 0.0 && value <= 1.0) then
                invalidArg (nameof options) $"{name} must lie in [0, 1] but is {value}"

        for name, value in
            [
                nameof options.Steps, options.Steps
                nameof options.EpisodeSteps, options.EpisodeSteps
                nameof options.Batch, options.Batch
                nameof options.Capacity, options.Capacity
                nameof options.TargetEvery, options.TargetEvery
                nameof options.ExplorationSteps, options.ExplorationSteps
                nameof options.CheckEvery, options.CheckEvery
            ] do
            positive name value

        if options.WarmUp < 0 then
            invalidArg (nameof options) $"WarmUp must not be negative but is {options.WarmUp}"

        share "Discount" options.Discount
        let struct (first, last) = options.Exploration
        share "Exploration" first
        share "Exploration" last

        if not (options.RewardScale > 0.0 && Double.IsFinite options.RewardScale) then
            invalidArg (nameof options) $"RewardScale must be positive and finite but is {options.RewardScale}"

        Optimiser.require options.Optimiser
        LearningRate.require options.LearningRate

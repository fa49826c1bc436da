namespace ValueFlow.Core.Returns

open System
open System.Threading
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// How joint laws are learned from play.
type JointLearningOptions =
    {
        /// Particles of each state, at least 1.
        Particles: int
        /// Episodes to play, at least 1.
        Episodes: int
        /// The most steps of an episode, at least 1.
        MostSteps: int
        /// The kernel of the loss.
        Kernel: MmdKernel
        /// The rate of the first update of a state, positive.
        FirstRate: float
        /// The rate of the last update of a state, positive: rates fall geometrically over the episodes.
        LastRate: float
        /// Checked before every episode.
        Cancellation: CancellationToken
        /// Called after every hundredth episode, with the number of episodes so far.
        Progress: int -> unit
    }

/// Options of learning.
[<RequireQualifiedAccess>]
module JointLearningOptions =

    /// 64 particles, 20,000 episodes of at most 1,000 steps, the energy kernel of exponent 1, rates from 0.1 to 0.001.
    let standard: JointLearningOptions =
        {
            Particles = 64
            Episodes = 20_000
            MostSteps = 1_000
            Kernel = EnergyKernel 1.0
            FirstRate = 0.1
            LastRate = 0.001
            Cancellation = CancellationToken.None
            Progress = ignore
        }

/// Joint laws learned from single transitions: after (s, r, s') the particles of s take one gradient step of MMD^2 towards the targets r + gamma z_j, z_j the
/// particles of s', which stand still. MMD^2 is linear in the law of the target but for a part without s, so the steps follow the law of R + gamma Z(S') on average.
[<RequireQualifiedAccess>]
module JointLearning =

    let private require (options: JointLearningOptions) =
        for name, count in [ "Particles", options.Particles; "Episodes", options.Episodes; "MostSteps", options.MostSteps ] do
            if count < 1 then
                invalidArg (nameof options) $"{name} must be at least 1 but are {count}"

        for name, rate in [ "FirstRate", options.FirstRate; "LastRate", options.LastRate ] do
            if not (rate > 0.0 && Double.IsFinite rate) then
                invalidArg (nameof options) $"{name} must be positive and finite but is {rate}"

    /// r + gamma z_j for each particle z_j: what a transition says of the joint return.
    let target (gamma: float) (reward: float[]) (next: Sample) : Sample = JointLaw.affine reward gamma next

    /// The particles of every state after playing a policy from the initial states. Throws an ArgumentException for bad options, and for a model without initial states.
    let ofPolicy
        (generator: Generator)
        (options: JointLearningOptions)
        (discount: float)
        (policy: Policy)
        (rewards: VectorRewards)
        : JointTable =
        require options
        JointBellman.requireDiscount discount
        JointBellman.requirePolicy policy rewards
        let model = rewards.Model

        if model.initial.Length = 0 then
            invalidArg (nameof rewards) "the model must have an initial state but has none"

        let nothing = JointLaw.point (Array.zeroCreate rewards.Count)

        let laws =
            Array.init model.StateCount (fun state ->
                if model.IsTerminal state then
                    nothing
                else
                    // Apart from the first: particles on one place would move as one.
                    Sample.OfPoints(
                        Array.init options.Particles (fun _ -> Array.init rewards.Count (fun _ -> 0.01 * Sampling.normal generator))
                    ))

        let decay = Math.Pow(options.LastRate / options.FirstRate, 1.0 / float options.Episodes)
        let mutable rate = options.FirstRate

        for episode in 1 .. options.Episodes do
            options.Cancellation.ThrowIfCancellationRequested()
            let mutable state = model.initial[generator.Below model.initial.Length]
            let mutable step = 0
            let mutable going = not (model.IsTerminal state)

            while going && step < options.MostSteps do
                let first = model.rowOffsets[state]
                let actions = model.rowOffsets[state + 1] - first
                let row = first + Sampling.index generator (ReadOnlySpan(policy.Rows, first, actions))
                let offset = model.offsets[row]
                let k = offset + Sampling.index generator (ReadOnlySpan(model.probabilities, offset, model.offsets[row + 1] - offset))
                let next = model.successors[k]
                let gamma = JointBellman.follows discount model k
                let seen = if gamma = 0.0 then JointLaw.point (rewards.At k) else target gamma (rewards.At k) laws[next]
                laws[state] <- Particles.step options.Kernel rate laws[state] seen
                state <- next
                step <- step + 1
                going <- not (model.IsTerminal next) && JointBellman.follows 1.0 model k > 0.0

            rate <- rate * decay

            if episode % 100 = 0 then
                options.Progress episode

        JointTable laws

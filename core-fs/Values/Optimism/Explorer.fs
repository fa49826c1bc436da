namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// What a learner is told of a process before it starts: its states and their actions, the discount, and between which numbers rewards lie. The probabilities and rewards of the model
/// are not read by learners that count.
type ExplorationGround =
    {
        /// The process.
        Model: Model
        /// The discount, in [0, 1).
        Discount: float
        /// No reward is smaller.
        LeastReward: float
        /// No reward is larger.
        LargestReward: float
    }

    /// No value is smaller: min(0, least reward) / (1 - discount).
    member this.Floor = Math.Min(0.0, this.LeastReward) / (1.0 - this.Discount)
    /// No value is larger: max(0, largest reward) / (1 - discount).
    member this.Ceiling = Math.Max(0.0, this.LargestReward) / (1.0 - this.Discount)

/// A learner that decides where to look: what it knows is an argument and a result, so that a run can be stopped, kept and repeated.
type Explorer<'knowledge> =
    {
        /// Its name.
        Name: string
        /// What it knows before the first step.
        Start: 'knowledge
        /// For each row the probability with which its state takes it, given what is known.
        Policy: 'knowledge -> float[]
        /// What is known after a step.
        Learn: ObservedStep -> 'knowledge -> 'knowledge
        /// How many epochs there were, the first included; 1 for a learner without epochs.
        Epochs: 'knowledge -> int
    }

/// What a regularised explorer knows.
type RegularisedKnowledge =
    {
        /// What was seen.
        Counts: VisitCounts
        /// V_k.
        Values: float[]
        /// log pi_k of each row.
        LogPolicy: float[]
        /// N(s, a) when the epoch began.
        EpochCounts: float[]
        /// Epochs so far, the first included.
        Epochs: int
    }

/// What an optimistic explorer knows.
type OptimisticKnowledge =
    {
        /// What was seen.
        Counts: VisitCounts
        /// For each row a number that Q* does not exceed, if the bonus is large enough.
        ActionValues: float[]
    }

/// Explorers by counts, and the plain one that they are compared with. None of their steps is claimed to contract: where the bonus depends on the values themselves it does not
/// (a counterexample is pinned in the tests), and the statistics change from step to step.
[<RequireQualifiedAccess>]
module Explorer =

    /// The ground of a process whose rewards lie between the least and the largest that it has.
    let ground (model: Model) (discount: float) : ExplorationGround =
        if not (discount >= 0.0 && discount < 1.0) then
            invalidArg (nameof discount) $"discount must lie in [0, 1) but is {discount}"

        if model.IsInterval then
            invalidArg (nameof model) "a process to explore must have one law a row but has intervals"

        {
            Model = model
            Discount = discount
            LeastReward = model.rewards |> Array.fold min 0.0
            LargestReward = model.rewards |> Array.fold max 0.0
        }

    let internal requireBonus (bonus: float) =
        if not (bonus >= 0.0 && Double.IsFinite bonus) then
            invalidArg (nameof bonus) $"bonus must be finite and not negative but is {bonus}"

    // epsilon shared by all actions of a state, the rest by the best ones.
    let private greedy (epsilon: float) (model: Model) (actionValues: float[]) =
        let best = ActionValues.largest model actionValues
        let policy = Array.zeroCreate<float> model.RowCount

        for s in 0 .. model.StateCount - 1 do
            let first, last = model.rowOffsets[s], model.rowOffsets[s + 1] - 1
            let mutable equals = 0

            for row in first..last do
                if actionValues[row] = best[s] then
                    equals <- equals + 1

            for row in first..last do
                policy[row] <-
                    epsilon / float (last - first + 1)
                    + (if actionValues[row] = best[s] then (1.0 - epsilon) / float equals else 0.0)

        policy

    /// Backups by counts with a bonus for what was seen rarely, bonus * (ceiling - floor) / sqrt(N(s, a) + 1), cut to what values can be; the ceiling for what was never seen, of which nothing is
    /// known. For rewards in [0, 1] the bonus is bonus / ((1 - discount) sqrt(N + 1)).
    let optimisticBackup (bonus: float) (ground: ExplorationGround) (counts: VisitCounts) (values: float[]) : float[] =
        let span = ground.Ceiling - ground.Floor

        VisitCounts.backup ground.Discount counts values
        |> Array.mapi (fun row mean ->
            match VisitCounts.times counts row with
            | 0.0 -> ground.Ceiling
            | times -> Math.Clamp(mean + bonus * span / sqrt (times + 1.0), ground.Floor, ground.Ceiling))

    /// Optimistic planning by regularised dynamic programming (RAVI-UCB), by counts: with every step of the process one backup with a bonus and one mirror step, and the policy of the mirror is
    /// played. An epoch ends when some N(s, a) has doubled since it began (first: is seen); then the policy is uniform again, and the values stay.
    /// Moulin and Neu 2023. eta is positive, the bonus is not negative.
    let regularised (eta: float) (bonus: float) (ground: ExplorationGround) : Explorer<RegularisedKnowledge> =
        RegularisedIteration.requireEta eta
        requireBonus bonus
        let model = ground.Model
        let uniform = RegularisedIteration.uniform model

        let learn (step: ObservedStep) (known: RegularisedKnowledge) =
            let counts = VisitCounts.add step known.Counts
            let doubled = VisitCounts.times counts step.Row >= 2.0 * Math.Max(known.EpochCounts[step.Row], 0.5)
            let before = if doubled then uniform else known.LogPolicy
            let actionValues = optimisticBackup bonus ground counts known.Values
            let struct (values, logPolicy) = RegularisedIteration.mirror eta model before actionValues

            {
                Counts = counts
                Values = values
                LogPolicy = logPolicy
                EpochCounts = if doubled then Array.init model.RowCount (VisitCounts.times counts) else known.EpochCounts
                Epochs = if doubled then known.Epochs + 1 else known.Epochs
            }

        {
            Name = $"regularised(eta {eta}, bonus {bonus})"
            Start =
                {
                    Counts = VisitCounts.empty model.RowCount
                    Values = Array.zeroCreate model.StateCount
                    LogPolicy = uniform
                    EpochCounts = Array.zeroCreate model.RowCount
                    Epochs = 1
                }
            Policy = fun known -> known.LogPolicy |> Array.map exp
            Learn = learn
            Epochs = _.Epochs
        }

    /// Optimistic value iteration by counts (UCBVI for discounts): Q starts at the largest value there can be, with every step of the process it becomes the smaller of itself and its backup
    /// with the bonus, and the best action is played. He, Zhou and Gu 2021, "Nearly minimax optimal reinforcement learning for discounted MDPs".
    let optimistic (bonus: float) (ground: ExplorationGround) : Explorer<OptimisticKnowledge> =
        requireBonus bonus
        let model = ground.Model

        {
            Name = $"optimistic(bonus {bonus})"
            Start =
                {
                    Counts = VisitCounts.empty model.RowCount
                    ActionValues = Array.create model.RowCount ground.Ceiling
                }
            Policy = fun known -> greedy 0.0 model known.ActionValues
            Learn =
                fun step known ->
                    let counts = VisitCounts.add step known.Counts
                    let backup = optimisticBackup bonus ground counts (ActionValues.largest model known.ActionValues)
                    { Counts = counts; ActionValues = Array.map2 min known.ActionValues backup }
            Epochs = fun _ -> 1
        }

    /// Q-learning from zero with a constant step, that takes a random action with probability epsilon and else a best one: the plain learner. Watkins 1989, "Learning from delayed rewards".
    let epsilonGreedy (epsilon: float) (step: float) (ground: ExplorationGround) : Explorer<float[]> =
        if not (epsilon >= 0.0 && epsilon <= 1.0) then
            invalidArg (nameof epsilon) $"epsilon must lie in [0, 1] but is {epsilon}"

        if not (step > 0.0 && step <= 1.0) then
            invalidArg (nameof step) $"step must lie in (0, 1] but is {step}"

        let model = ground.Model

        {
            Name = $"epsilon-greedy({epsilon}, step {step})"
            Start = Array.zeroCreate model.RowCount
            Policy = greedy epsilon model
            Learn =
                fun seen actionValues ->
                    let mutable best = 0.0

                    if seen.Continuation > 0.0 && not (model.IsTerminal seen.Next) then
                        best <- Double.NegativeInfinity

                        for row in model.rowOffsets[seen.Next] .. model.rowOffsets[seen.Next + 1] - 1 do
                            best <- Math.Max(best, actionValues[row])

                    let target = seen.Reward + ground.Discount * seen.Continuation * best
                    let now = actionValues[seen.Row]
                    actionValues |> Array.updateAt seen.Row (now + step * (target - now))
            Epochs = fun _ -> 1
        }

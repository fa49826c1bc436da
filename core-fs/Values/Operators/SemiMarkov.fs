namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// An outcome of an action that is held for some time: where it leads, how likely, and what it earns at each of its steps. Several outcomes may lead to the same state after
/// different times.
type HeldOutcome =
    {
        /// The state that decides.
        State: int
        /// Its action.
        Action: int
        /// The next state that decides.
        Successor: int
        /// The probability of successor and time together.
        Probability: float
        /// The rewards of the steps, one at least: as many as the time lasts.
        Rewards: float[]
    }

/// Decisions that last: (T V)(s) = max over a of E( R + gamma^tau V(s') ) with R = sum over k &lt; tau of gamma^k r_k and the random time tau &gt;= 1 of the action. It is an ordinary Bellman operator
/// once a transition carries the share gamma^(tau-1) of the discount, and so takes every pair of summaries; under the expectation it contracts by the largest E gamma^tau, which
/// is at most gamma. Howard 1963, "Semi-Markovian decision processes"; Sutton, Precup and Singh 1999, "Between MDPs and semi-MDPs".
[<RequireQualifiedAccess>]
module SemiMarkov =

    let private requireDiscount (discount: float) =
        if not (discount >= 0.0 && discount < 1.0) then
            invalidArg (nameof discount) $"discount must lie in [0, 1) but is {discount}"

    let private requireSteps (outcome: HeldOutcome) =
        if outcome.Rewards.Length < 1 then
            invalidArg
                (nameof outcome)
                $"an outcome must last at least one step but that of state {outcome.State}, action {outcome.Action} lasts none"

    /// R = sum over k of gamma^k r_k: what a stretch of rewards is worth at its start.
    let worth (discount: float) (rewards: float[]) : float = Array.foldBack (fun reward rest -> reward + discount * rest) rewards 0.0

    /// Adds an outcome to a builder, whose model is then to be used with the same discount. Times differ between outcomes with one successor: the builder is told so.
    let add (discount: float) (builder: ModelBuilder) (outcome: HeldOutcome) : unit =
        requireDiscount discount
        requireSteps outcome
        builder.ParallelOutcomes <- true
        let continuation = Math.Pow(discount, float (outcome.Rewards.Length - 1))

        builder.AddContinuing(
            outcome.State,
            outcome.Action,
            outcome.Successor,
            outcome.Probability,
            worth discount outcome.Rewards,
            continuation,
            -1
        )

    /// The model of the outcomes for one discount, over so many states, of which some are terminal; or all that is wrong with it.
    let model (discount: float) (states: int) (terminals: int list) (outcomes: HeldOutcome list) : Result<Model, ModelError list> =
        let builder = ModelBuilder states
        terminals |> List.iter builder.Terminal
        outcomes |> List.iter (add discount builder)
        builder.Build()

    /// The same process step by step, for any discount: an outcome of t steps passes through t - 1 states of its own, in which the action is held, behind the states that decide.
    /// Its values of the deciding states are those of the model.
    let expanded (states: int) (terminals: int list) (outcomes: HeldOutcome list) : Result<Model, ModelError list> =
        outcomes |> List.iter requireSteps
        let held = outcomes |> List.sumBy (fun outcome -> outcome.Rewards.Length - 1)
        let builder = ModelBuilder(states + held)
        builder.ParallelOutcomes <- true
        terminals |> List.iter builder.Terminal
        let mutable next = states

        for outcome in outcomes do
            let last = outcome.Rewards.Length - 1

            builder.Add(
                outcome.State,
                outcome.Action,
                (if last = 0 then outcome.Successor else next),
                outcome.Probability,
                outcome.Rewards[0]
            )

            for step in 1..last do
                builder.Add(next, 0, (if step = last then outcome.Successor else next + 1), 1.0, outcome.Rewards[step])
                next <- next + 1

        builder.Build()

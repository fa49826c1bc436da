namespace ValueFlow.Core.Learning

open System
open System.Threading
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// A decision that was logged, and how long it lasted.
[<Struct>]
type LastingStep =
    {
        /// The state.
        State: int
        /// The action.
        Action: int
        /// What was earned meanwhile.
        Reward: float
        /// How long it lasted, at least 1.
        Duration: float
        /// The state that followed.
        Next: int
        /// The episode ended, so that nothing follows.
        Ended: bool
    }

/// Logged decisions of finitely many states and actions, checked, with the shares in which each state took its actions: the behaviour model. Nobody changes them.
[<Sealed>]
type OfflineBatch private (states: int, actions: int, steps: LastingStep[], shares: float[]) =

    /// The batch of steps. An ArgumentException names the first step that is no good: a state, an action or a duration out of range, a reward that is not finite, a next state that goes on but was
    /// never acted from.
    static member Create(states: int, actions: int, steps: LastingStep[]) : OfflineBatch =
        if states < 1 || actions < 1 then
            invalidArg (nameof states) $"states and actions must be at least 1 but are {states} and {actions}"

        if steps.Length = 0 then
            invalidArg (nameof steps) "a batch must have at least one step but has none"

        let counts = Array.zeroCreate<float>(states * actions)

        steps
        |> Array.iteri (fun i step ->
            let wrong words = invalidArg (nameof steps) $"step {i}: {words}"

            if step.State < 0 || step.State >= states || step.Next < 0 || step.Next >= states then
                wrong $"states must lie in [0, {states}) but are {step.State} and {step.Next}"

            if step.Action < 0 || step.Action >= actions then
                wrong $"the action must lie in [0, {actions}) but is {step.Action}"

            if not (Double.IsFinite step.Reward) then
                wrong $"the reward must be finite but is {step.Reward}"

            if not (step.Duration >= 1.0 && Double.IsFinite step.Duration) then
                wrong $"the duration must be finite and at least 1 but is {step.Duration}"

            let place = step.State * actions + step.Action
            counts[place] <- counts[place] + 1.0)

        let taken = Array.init states (fun s -> Array.sum counts[s * actions .. s * actions + actions - 1])

        steps
        |> Array.iteri (fun i step ->
            if not step.Ended && taken[step.Next] = 0.0 then
                invalidArg (nameof steps) $"step {i}: a next state that goes on must be acted from somewhere, but state {step.Next} is not")

        OfflineBatch(
            states,
            actions,
            Array.copy steps,
            counts |> Array.mapi (fun i count -> if count = 0.0 then 0.0 else count / taken[i / actions])
        )

    /// The steps of a log, each as often as its weight says (a whole number), with rewards as their worth at the start.
    static member OfLog(timing: RewardTiming, discount: float, log: TransitionLog) : OfflineBatch =
        if not log.CountsAreWhole then
            invalidArg (nameof log) "weights must be whole numbers but the log has others"

        let steps =
            log.Steps.ToArray()
            |> Array.collect (fun step ->
                Array.replicate
                    (int step.Weight)
                    {
                        State = step.State
                        Action = step.Action
                        Reward = LastingLog.worth timing discount step.Duration step.Reward
                        Duration = step.Duration
                        Next = step.Next
                        Ended = step.Terminated
                    })

        OfflineBatch.Create(log.StateNames.Length, log.ActionNames.Length, steps)

    /// The number of states.
    member _.StateCount = states
    /// The number of actions.
    member _.ActionCount = actions
    /// The steps.
    member _.Steps: ReadOnlySpan<LastingStep> = ReadOnlySpan steps
    /// For each state and action (state * actions + action) the share of the state's decisions that took it; zero for an action that was never taken there.
    member _.Shares: ReadOnlySpan<float> = ReadOnlySpan shares

/// Values of a table that was fitted: one for each state and action (state * actions + action), zero where nothing was taken.
type FittedTable =
    {
        /// The values.
        Online: float[]
        /// Those of the fit before, which targets bootstrap from.
        Target: float[]
    }

/// What a fit came to.
type FittedResult =
    {
        /// The values at the end.
        Table: FittedTable
        /// Fits that were made.
        Fits: int
        /// The largest change of a value in the last fit.
        Residual: float
        /// Why it stopped: Converged, BudgetExhausted or Cancelled.
        Outcome: Outcome
    }

/// Offline learning by fits: targets for every logged decision, and the table that is nearest to them in squares, which is their mean in each state and action.
/// Ernst, Geurts and Wehenkel 2005, "Tree-based batch mode reinforcement learning".
[<RequireQualifiedAccess>]
module FittedValues =

    // What the steps of a state and an action say: mean reward, and successors with the mean of their weights.
    type private Row = { Place: int; Reward: float; Next: struct (int * float)[] }

    let private rowsOf (weight: float -> float) (batch: OfflineBatch) : Row[] =
        batch.Steps.ToArray()
        |> Array.groupBy (fun step -> step.State * batch.ActionCount + step.Action)
        |> Array.map (fun (place, steps) ->
            let count = float steps.Length

            {
                Place = place
                Reward = (steps |> Array.sumBy _.Reward) / count
                Next =
                    steps
                    |> Array.filter (_.Ended >> not)
                    |> Array.groupBy _.Next
                    |> Array.map (fun (next, seen) -> struct (next, (seen |> Array.sumBy (fun step -> weight step.Duration)) / count))
            })

    let private fit (rule: NextValue) (batch: OfflineBatch) (rows: Row[]) (online: float[]) (target: float[]) : float[] =
        let count = batch.ActionCount

        let values =
            Array.init batch.StateCount (fun s ->
                SemiMarkovTargets.nextValue
                    rule
                    (ReadOnlySpan(online, s * count, count))
                    (ReadOnlySpan(target, s * count, count))
                    (batch.Shares.Slice(s * count, count)))

        let next = Array.zeroCreate<float>(batch.StateCount * count)

        for row in rows do
            let mutable sum = row.Reward

            for struct (successor, weight) in row.Next do
                sum <- sum + weight * values[successor]

            next[row.Place] <- sum

        next

    let private farthest (a: float[]) (b: float[]) : float = Array.fold2 (fun most (x: float) (y: float) -> max most (abs (x - y))) 0.0 a b

    /// Values of zero.
    let start (batch: OfflineBatch) : FittedTable =
        let zero () = Array.zeroCreate<float>(batch.StateCount * batch.ActionCount)
        { Online = zero (); Target = zero () }

    /// One fit: the mean, for each state and action, of R + weight(tau) times the next state's value by the rule; the values that were online become the target. The weight is
    /// <c>SemiMarkovTargets.lasting</c> of a discount, or its counterpart.
    let step (weight: float -> float) (rule: NextValue) (batch: OfflineBatch) (table: FittedTable) : FittedTable =
        SemiMarkovTargets.requireRule rule
        { Online = fit rule batch (rowsOf weight batch) table.Online table.Target; Target = table.Online }

    /// The fit with one table for both roles, as an operator on values: monotone for the largest next value, and then a contraction in the sup norm by the largest mean of weight(tau) of a state and an
    /// action, which is at most gamma for durations of at least 1. Howard 1963, "Semi-Markovian decision processes". For the other rules nothing more is claimed, though with one table they choose what is largest too.
    let operator (weight: float -> float) (batch: OfflineBatch) : Operator<float[]> =
        let rows = rowsOf weight batch

        let modulus = rows |> Array.map (fun row -> row.Next |> Array.sumBy (fun (struct (_, weight)) -> weight)) |> Array.max

        { Operator.onVectors "fitted values" (modulus * (1.0 + 1e-15 * float batch.Steps.Length)) (fun values ->
              Shape.requireLength (nameof values) (batch.StateCount * batch.ActionCount) values.Length
              fit NextValue.Largest batch rows values values) with
            Monotone = true
        }

    /// Fits until no value changes by more than the tolerance. The options' budget counts fits; a run that is cancelled returns what it reached.
    let run (options: RunOptions) (weight: float -> float) (rule: NextValue) (batch: OfflineBatch) : FittedResult =
        RunOptions.require options
        SemiMarkovTargets.requireRule rule
        let rows = rowsOf weight batch

        let rec improve fits residual (table: FittedTable) =
            let ended outcome = { Table = table; Fits = fits; Residual = residual; Outcome = outcome }

            if residual <= options.Tolerance then
                ended Outcome.Converged
            elif options.Cancellation.IsCancellationRequested then
                ended Outcome.Cancelled
            elif fits >= options.Budget then
                ended Outcome.BudgetExhausted
            else
                let next = fit rule batch rows table.Online table.Target
                let change = farthest next table.Online
                // The table stands still only when its target does, too.
                let residual = Math.Max(change, farthest table.Online table.Target)
                options.Progress { Applications = fits + 1; Residual = residual; Bound = Double.PositiveInfinity }
                improve (fits + 1) residual { Online = next; Target = table.Online }

        improve 0 Double.PositiveInfinity (start batch)

    /// For each state the best action that the rule admits, by the online values; -1 where none was ever taken.
    let greedy (rule: NextValue) (batch: OfflineBatch) (table: FittedTable) : int[] =
        let count = batch.ActionCount

        Array.init batch.StateCount (fun s ->
            SemiMarkovTargets.choose rule (ReadOnlySpan(table.Online, s * count, count)) (batch.Shares.Slice(s * count, count)))

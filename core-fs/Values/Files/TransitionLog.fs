namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open Microsoft.Data.Analysis
open MathNet.Numerics.Distributions

/// One logged step.
[<Struct>]
type LogStep =
    {
        /// The number of the state's name.
        State: int
        /// The number of the action's name.
        Action: int
        /// The reward.
        Reward: float
        /// The number of the next state's name.
        Next: int
        /// The episode ended here, by the process itself.
        Terminated: bool
        /// The episode was cut off here: what follows is still to be counted on.
        Truncated: bool
        /// How often the step counts; 1 as a rule.
        Weight: float
        /// How long the step lasted, at least 1; 1 as a rule.
        Duration: float
        /// The step starts an episode.
        Starts: bool
        /// Its line or row in the file, from 1.
        Place: int
    }

/// A count of outcomes: what a log says about one state, action and successor.
[<Struct>]
type LogCount =
    {
        /// The state.
        State: int
        /// The action.
        Action: int
        /// The successor.
        Next: int
        /// The episode ends with the transition, though the successor goes on elsewhere.
        Ends: bool
        /// How often it was seen, weights included.
        Count: float
        /// The mean reward.
        Reward: float
        /// Its share of the state's and action's outcomes.
        Probability: float
        /// The least probability at the confidence.
        Lower: float
        /// The largest probability at the confidence.
        Upper: float
        /// The first line or row.
        Place: int
    }

/// Logged transitions, with names of states and actions as numbers. Numbers sort as numbers, other names by their characters.
[<Sealed>]
type TransitionLog internal (steps: LogStep[], states: string[], actions: string[], warnings: string list, place: int -> string) =

    // Pairs of a state and an action that were seen, and successors.
    let acted = HashSet<int>(steps |> Seq.map _.State)

    /// How the file words the places of its steps.
    member internal _.Places: Places =
        {
            Words = fun first last -> if last > first then $"{place first} to {place last}" else place first
            OfState =
                fun state ->
                    match steps |> Array.tryFind (fun step -> step.State = state || step.Next = state) with
                    | Some step -> step.Place
                    | None -> 0
            Named = fun state -> $"state '{states[state]}'"
        }

    /// The steps, in the order of the file.
    member _.Steps: ReadOnlySpan<LogStep> = ReadOnlySpan steps
    /// The number of steps.
    member _.StepCount = steps.Length
    /// The names of the states.
    member _.StateNames: ReadOnlySpan<string> = ReadOnlySpan states
    /// The names of the actions.
    member _.ActionNames: ReadOnlySpan<string> = ReadOnlySpan actions
    /// What was worth saying about the file, though no error.
    member _.Warnings = warnings
    /// True if some step lasted longer than 1: then a model needs to know the discount, and is estimated by <c>LastingLog</c>.
    member _.HasDurations = steps |> Array.exists (fun step -> step.Duration <> 1.0)
    /// True if every weight is a whole number: then steps can be counted, and intervals stated.
    member _.CountsAreWhole = steps |> Array.forall (fun step -> step.Weight = Math.Floor step.Weight)

    /// Counts, mean rewards, shares, and bounds on the true probabilities that hold all at once with the confidence: Clopper and Pearson 1934, "The use of
    /// confidence or fiducial limits", for each outcome at the level (1 - confidence) / outcomes. Successors that were never seen are not among them.
    /// An ArgumentException if weights are not whole numbers and so cannot be counted.
    member this.Counts(confidence: float) : LogCount[] =
        if not (confidence > 0.0 && confidence < 1.0) then
            invalidArg (nameof confidence) $"confidence must lie in (0, 1) but is {confidence}"

        if not this.CountsAreWhole then
            invalidArg (nameof confidence) "intervals need weights that are whole numbers, but the log has others"

        let groups = this.Outcomes false
        let level = (1.0 - confidence) / float groups.Length

        groups
        |> Array.map (fun (entry, total) ->
            // Only one outcome was seen: it may still not be certain.
            let k, n = entry.Count, total
            let lower = if k <= 0.0 then 0.0 else Beta.InvCDF(k, n - k + 1.0, level / 2.0)
            let upper = if k >= n then 1.0 else Beta.InvCDF(k + 1.0, n - k, 1.0 - level / 2.0)

            { entry with
                Lower = Math.Clamp(lower, 0.0, entry.Probability)
                Upper = Math.Clamp(upper, entry.Probability, 1.0)
            })

    // Outcomes in order, without bounds, each with the weight of its row; one for each reward, if they are to be told apart.
    member private _.Outcomes(byReward: bool) : (LogCount * float)[] =
        steps
        |> Array.filter (fun step -> step.Weight > 0.0)
        |> Array.groupBy (fun step -> struct (step.State, step.Action))
        |> Array.sortBy fst
        |> Array.collect (fun (struct (state, action), row) ->
            let total = row |> Array.sumBy _.Weight

            row
            |> Array.groupBy (fun step ->
                struct (step.Next, step.Terminated && acted.Contains step.Next, (if byReward then step.Reward else 0.0)))
            |> Array.sortBy fst
            |> Array.map (fun (struct (next, ends, reward), seen) ->
                let count = seen |> Array.sumBy _.Weight
                let share = count / total

                let entry =
                    {
                        State = state
                        Action = action
                        Next = next
                        Ends = ends
                        Count = count
                        Reward = if byReward then reward else (seen |> Array.sumBy (fun step -> step.Weight * step.Reward)) / count
                        Probability = share
                        Lower = share
                        Upper = share
                        Place = seen |> Array.map _.Place |> Array.min
                    }

                entry, total))

    // A builder with names, terminal and initial states, and what is wrong with successors.
    member internal _.Builder() : ModelBuilder =
        let builder = ModelBuilder states.Length
        builder.ParallelOutcomes <- true
        builder.StateNames states
        builder.ActionNames actions
        warnings |> List.iter builder.Warn
        let terminated = HashSet<int>(steps |> Seq.filter _.Terminated |> Seq.map _.Next)

        for state in terminated do
            if not (acted.Contains state) then
                builder.Terminal state

        for step in steps do
            if step.Starts then
                builder.Initial step.State

            if not (acted.Contains step.Next || terminated.Contains step.Next) then
                let expected = "a next state that is acted from, or ended in, somewhere in the log"
                builder.Report(ModelFault.Other(expected, $"'{states[step.Next]}'"), step.Place)

        builder

    // The model of outcomes, as intervals or as shares.
    member private this.Model(entries: LogCount[], intervals: bool) : Result<Model, ModelError list> =
        let builder = this.Builder()

        match steps |> Array.tryFind (fun step -> step.Duration <> 1.0) with
        | Some step ->
            let expected =
                "steps that last 1 each: with durations a model depends on the discount, and is estimated by LastingLog (EstimateLasting)"

            builder.Report(ModelFault.Other(expected, $"a duration of {ModelError.number step.Duration}"), step.Place)
        | None -> ()

        for entry in entries do
            let continuation = if entry.Ends then 0.0 else 1.0

            if intervals then
                builder.AddInterval(
                    entry.State,
                    entry.Action,
                    entry.Next,
                    entry.Probability,
                    entry.Lower,
                    entry.Upper,
                    entry.Reward,
                    continuation,
                    entry.Place
                )
            else
                builder.AddContinuing(entry.State, entry.Action, entry.Next, entry.Probability, entry.Reward, continuation, entry.Place)

        builder.Build()

    /// The estimated model, where every step lasts 1: shares as probabilities, mean rewards, actions that were never taken masked, states that were only ever ended in terminal.
    /// With a confidence, probabilities are known within the bounds of <c>Counts</c>, and the shares are the best guess.
    member this.Estimate(confidence: float voption) : Result<Model, ModelError list> =
        match confidence with
        | ValueSome confidence -> this.Model(this.Counts confidence, true)
        | ValueNone -> this.Model(this.Outcomes false |> Array.map fst, false)

    /// The estimated model with the rewards as they were seen: each reward of a state, action and successor is an outcome of its own, with its share as probability. Values under
    /// expectations are those of <c>Estimate</c>; laws of returns, and risk, see the spread of rewards, which a mean hides. Transitions are as many as different rewards.
    member this.EstimateOutcomes() : Result<Model, ModelError list> = this.Model(this.Outcomes true |> Array.map fst, false)

    /// The steps as a table, with the columns of the file.
    member this.ToDataFrame() : DataFrame =
        let text name (pick: LogStep -> string) = StringDataFrameColumn(name, steps |> Seq.map pick) :> DataFrameColumn
        let number name (pick: LogStep -> float) = DoubleDataFrameColumn(name, steps |> Seq.map pick) :> DataFrameColumn
        let flag name (pick: LogStep -> bool) = BooleanDataFrameColumn(name, steps |> Seq.map pick) :> DataFrameColumn
        let mutable episode = -1

        let episodes =
            steps
            |> Array.map (fun step ->
                if step.Starts then
                    episode <- episode + 1

                int64 episode)

        let table =
            DataFrame(
                text "state" (fun step -> states[step.State]),
                text "action" (fun step -> actions[step.Action]),
                number "reward" _.Reward,
                text "next_state" (fun step -> states[step.Next]),
                flag "terminated" _.Terminated,
                flag "truncated" _.Truncated,
                number "weight" _.Weight,
                Int64DataFrameColumn("episode", episodes)
            )

        if this.HasDurations then
            table.Columns.Add(number "duration" _.Duration)

        table

    /// The counts at a confidence as a table: state, action, next_state, ends, count, reward, probability, lower, upper.
    member this.CountsToDataFrame(confidence: float) : DataFrame =
        let counts = this.Counts confidence
        let text name (pick: LogCount -> string) = StringDataFrameColumn(name, counts |> Seq.map pick) :> DataFrameColumn
        let number name (pick: LogCount -> float) = DoubleDataFrameColumn(name, counts |> Seq.map pick) :> DataFrameColumn

        DataFrame(
            text "state" (fun entry -> states[entry.State]),
            text "action" (fun entry -> actions[entry.Action]),
            text "next_state" (fun entry -> states[entry.Next]),
            BooleanDataFrameColumn("ends", counts |> Seq.map _.Ends),
            number "count" _.Count,
            number "reward" _.Reward,
            number "probability" _.Probability,
            number "lower" _.Lower,
            number "upper" _.Upper
        )

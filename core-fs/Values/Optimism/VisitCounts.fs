namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// A step that a learner saw.
[<Struct>]
type ObservedStep =
    {
        /// The row that was taken: a state and an action.
        Row: int
        /// The reward.
        Reward: float
        /// The state that followed.
        Next: int
        /// The share of the discount that applies to what follows, in [0, 1]: 0 where the episode ended.
        Continuation: float
    }

/// A successor of a row, and how often it was seen.
[<Struct>]
type SeenSuccessor =
    {
        /// The successor.
        State: int
        /// How often.
        Times: float
        /// The continuations of these steps, summed.
        Continuations: float
    }

/// What was seen of a row.
[<Struct>]
type SeenRow =
    {
        /// N(s, a): how often the row was taken.
        Times: float
        /// Its rewards, summed.
        Rewards: float
        /// Its successors, in the order of their first time. Nobody changes them.
        Successors: SeenSuccessor[]
    }

/// What was seen of a process of which nothing but states, actions and the range of rewards is known. Nobody changes an array of it.
type VisitCounts =
    {
        /// For each row what was seen of it.
        Rows: SeenRow[]
    }

/// Counts of visits, and the model that they suggest.
[<RequireQualifiedAccess>]
module VisitCounts =

    /// Nothing was seen yet, of so many rows.
    let empty (rows: int) : VisitCounts = { Rows = Array.create rows { Times = 0.0; Rewards = 0.0; Successors = [||] } }

    /// N(s, a) of a row.
    let times (counts: VisitCounts) (row: int) : float = counts.Rows[row].Times

    /// The counts with one more step. An ArgumentException if its numbers are not finite, or its row or continuation is no good.
    let add (step: ObservedStep) (counts: VisitCounts) : VisitCounts =
        if step.Row < 0 || step.Row >= counts.Rows.Length then
            invalidArg (nameof step) $"the row must lie in [0, {counts.Rows.Length}) but is {step.Row}"

        if not (Double.IsFinite step.Reward) then
            invalidArg (nameof step) $"the reward must be finite but is {step.Reward}"

        if not (step.Continuation >= 0.0 && step.Continuation <= 1.0) then
            invalidArg (nameof step) $"the continuation must lie in [0, 1] but is {step.Continuation}"

        let seen = counts.Rows[step.Row]
        let place = seen.Successors |> Array.tryFindIndex (fun successor -> successor.State = step.Next)

        let successors =
            match place with
            | Some i ->
                let known = seen.Successors[i]

                seen.Successors
                |> Array.updateAt i { known with Times = known.Times + 1.0; Continuations = known.Continuations + step.Continuation }
            | None -> Array.append seen.Successors [| { State = step.Next; Times = 1.0; Continuations = step.Continuation } |]

        let row = { Times = seen.Times + 1.0; Rewards = seen.Rewards + step.Reward; Successors = successors }
        { Rows = counts.Rows |> Array.updateAt step.Row row }

    /// For each row its backup under shares as probabilities, (rewards + discount * sum over successors of continuations * V) / N: the mean of what was seen; zero where nothing was.
    let backup (discount: float) (counts: VisitCounts) (values: float[]) : float[] =
        counts.Rows
        |> Array.map (fun row ->
            if row.Times = 0.0 then
                0.0
            else
                let mutable sum = row.Rewards

                for successor in row.Successors do
                    sum <- sum + discount * successor.Continuations * values[successor.State]

                sum / row.Times)

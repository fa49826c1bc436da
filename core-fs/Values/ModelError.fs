namespace ValueFlow.Core.Values

open System
open System.Globalization

/// The kinds of what can be wrong with a model's data.
[<RequireQualifiedAccess>]
type ModelFault =
    /// No state was given.
    | NoStates
    /// A state's number is outside [0, count).
    | UnknownState of state: int64 * count: int
    /// An action's number is negative or too large.
    | UnknownAction of action: int64
    /// A probability is not a finite number in [0, 1].
    | BadProbability of found: float
    /// The bounds of an interval are not 0 <= lower <= upper <= 1.
    | BadInterval of lower: float * upper: float
    /// No law fits between the bounds of the row's intervals.
    | NoLawInIntervals of lowerSum: float * upperSum: float
    /// A reward is not a finite number.
    | BadReward of found: float
    /// A continuation factor is not in [0, 1].
    | BadContinuation of found: float
    /// A row's probabilities do not sum to one.
    | BadSum of sum: float
    /// A successor stands twice in a row.
    | DuplicateSuccessor of successor: int
    /// A state that is not terminal has no action.
    | NoAction
    /// A terminal state has an action that leaves it, or earns something.
    | TerminalActs
    /// A label or initial set names a state that does not exist, or another slip, in words.
    | Other of expected: string * found: string

/// One thing that is wrong with a model, where it is, what was expected and what was found.
type ModelError =
    {
        /// What is wrong.
        Fault: ModelFault
        /// The state concerned, or -1.
        State: int
        /// The action concerned, or -1.
        Action: int
        /// The caller's mark of the place (a line number, say), or -1.
        Place: int
        /// The last place that the error is about, where it is about several (a row's lines, say); else the place itself.
        Until: int
    }

/// Words for errors, the same in both languages.
[<RequireQualifiedAccess>]
module ModelError =

    /// A number as it stands in messages and files: invariant, and round-trip.
    let number (x: float) : string = x.ToString("R", CultureInfo.InvariantCulture)

    /// What was expected, and what was found.
    let expectation (fault: ModelFault) : struct (string * string) =
        match fault with
        | ModelFault.NoStates -> "at least one state", "none"
        | ModelFault.UnknownState(state, count) -> $"a state in [0, {count})", string state
        | ModelFault.UnknownAction action -> "an action number that is not negative", string action
        | ModelFault.BadProbability p -> "a probability in [0, 1]", number p
        | ModelFault.BadInterval(l, u) -> "an interval with 0 <= lower <= upper <= 1", $"[{number l}, {number u}]"
        | ModelFault.NoLawInIntervals(l, u) ->
            "lower bounds that sum to at most 1 and upper bounds to at least 1", $"sums {number l} and {number u}"
        | ModelFault.BadReward r -> "a finite reward", number r
        | ModelFault.BadContinuation c -> "a continuation factor in [0, 1]", number c
        | ModelFault.BadSum sum -> "probabilities that sum to 1 within 1e-6", number sum
        | ModelFault.DuplicateSuccessor s -> "each successor once", $"state {s} again"
        | ModelFault.NoAction -> "at least one action, or a declaration as terminal", "no action"
        | ModelFault.TerminalActs -> "no action in a terminal state, or a self-loop with reward 0", "an action"
        | ModelFault.Other(expected, found) -> expected, found

    /// The error in one sentence that names the place, what was expected and what was found.
    let describe (error: ModelError) : string =
        let struct (expected, found) = expectation error.Fault

        let place =
            [
                if error.Until > error.Place then
                    $"lines {error.Place} to {error.Until}"
                elif error.Place >= 0 then
                    $"line {error.Place}"
                if error.State >= 0 then
                    $"state {error.State}"
                if error.Action >= 0 then
                    $"action {error.Action}"
            ]
            |> String.concat ", "

        let expectation = $"expected {expected}, found {found}"
        if place = "" then expectation else $"{place}: {expectation}"

namespace ValueFlow.Core.Values

/// Why an undiscounted objective has no answer on a model.
[<RequireQualifiedAccess>]
type UndiscountedError =
    /// The model knows probabilities only as intervals.
    | IntervalModel
    /// No state of the model carries the label.
    | UnknownLabel of label: string * known: string list
    /// The states can earn without end: the best total is infinite.
    | InfiniteReward of states: string
    /// The states can stay for ever at a mean reward whose sign is not decided: the total is not well defined.
    | UndecidedReward of states: string
    /// From the states no policy ends almost surely, and going on for ever costs without end.
    | NeverEnds of states: string

/// Words for these errors, the same in both languages.
[<RequireQualifiedAccess>]
module UndiscountedError =

    /// The error in a sentence that names the states and what would help.
    let describe (error: UndiscountedError) : string =
        match error with
        | UndiscountedError.IntervalModel ->
            "the model has intervals of probabilities, and undiscounted objectives need exact ones; use the discounted objective with intervals"
        | UndiscountedError.UnknownLabel(label, []) -> $"no state carries the label '{label}': the model has no labels"
        | UndiscountedError.UnknownLabel(label, known) ->
            let list = String.concat ", " known
            $"no state carries the label '{label}': the model's labels are {list}"
        | UndiscountedError.InfiniteReward states ->
            $"the total reward is infinite: the process can stay for ever, and keep earning, in the end component of states {states}; use a discount"
        | UndiscountedError.UndecidedReward states ->
            "the total reward is not well defined: the process can stay for ever, at a mean reward that is zero or not told from zero, in the end component "
            + $"of states {states}; use a discount"
        | UndiscountedError.NeverEnds states ->
            $"the total reward is unbounded below: no policy ends almost surely from states {states}; declare terminal states, or use a discount"

namespace ValueFlow.Core.Dynamics

/// Why a solve ended.
[<RequireQualifiedAccess>]
type Reason =
    /// The end of the interval was reached.
    | ReachedEnd
    /// A terminal event; its place in the list of the options.
    | Event of index: int
    /// The budget of steps was used up.
    | StepLimit
    /// The tolerance needs steps that are too short: the solution blows up, the field has a jump, or the tolerance is below rounding.
    | StepUnderflow
    /// The field, or the state, was no finite number; the last finite state is kept.
    | NotFinite
    /// The caller cancelled.
    | Cancelled

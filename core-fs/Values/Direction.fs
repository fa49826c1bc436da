namespace ValueFlow.Core.Values

/// Whether larger values are better or worse.
[<RequireQualifiedAccess>]
type Direction =
    /// Rewards: larger is better.
    | Maximise
    /// Costs: smaller is better.
    | Minimise

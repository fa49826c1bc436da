namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// The row form of a state summary, bound to a kernel: rho( r(s,a,s') + gamma(s,a,s') V(s') ) of one row. Implemented by
/// structs, so that sweeps inline it.
type IRowSummary =
    /// Numbers of scratch space that <c>Value</c> needs for a row.
    abstract Scratch: int
    /// Called once a sweep, before any row: states in an order that rows will ask for, or an empty array. The runner hands it back to <c>Done</c>.
    abstract Prepare: values: float[] -> int[]
    /// Takes back what <c>Prepare</c> gave.
    abstract Done: context: int[] -> unit
    /// rho of the row's outcomes. Changes nothing but the scratch space.
    abstract Value: values: float[] * context: int[] * row: int * scratch: Span<float> -> float

/// The row form of an action summary: from the action values of one state to the state's value.
type IActionRowSummary =
    /// The summary of the action values q of a state whose first row is given. May use q as scratch space.
    abstract Value: actionValues: Span<float> * firstRow: int -> float

/// The row form of an action summary that takes action values one by one, in the order of the rows. Implemented by structs. It may lose a number
/// that is none: the runner sees those, and asks the other form.
type IActionFold =
    inherit IActionRowSummary
    /// What the fold begins with.
    abstract Start: float
    /// The fold after the value of one more row; after the last it is the state's value.
    abstract Join: folded: float * actionValue: float * row: int -> float

/// A state summary that reads no more of a row than its shares, the values of its successors and one reward: a fold over the row's transitions, in
/// their order. Implemented by structs, so that the loop over all rows inlines it.
type IGatheredRow =
    /// What the fold begins with.
    abstract Start: float
    /// The fold after one more transition.
    abstract Step: folded: float * share: float * value: float * reward: float -> float
    /// The row's summary, from the fold after its last transition.
    abstract Finish: folded: float * reward: float -> float

/// Takes a bound state summary without losing its type: how a sweep is made for each pair of summaries.
type IRowSummaryUser<'result> =
    /// Uses the summary.
    abstract Use<'summary when 'summary: struct and 'summary :> IRowSummary> : summary: 'summary -> 'result
    /// Uses a summary that is a fold over the transitions of a row, with a share for each transition and a reward for each row.
    abstract UseGathered<'rule when 'rule: struct and 'rule :> IGatheredRow> : rule: 'rule * shares: float[] * rewards: float[] -> 'result

/// Takes a bound action summary without losing its type.
type IActionRowSummaryUser<'result> =
    /// Uses the summary.
    abstract Use<'summary when 'summary: struct and 'summary :> IActionRowSummary> : summary: 'summary -> 'result
    /// Uses a summary that takes action values one by one.
    abstract UseFold<'summary when 'summary: struct and 'summary :> IActionFold> : summary: 'summary -> 'result

/// What is claimed of a summary (Littman and Szepesvari 1996, "A generalized reinforcement-learning model"): with all three, the Bellman
/// operator that is built from it contracts by the discount in the sup norm.
type SummaryClaim =
    {
        /// x &lt;= y implies rho x &lt;= rho y.
        Monotone: bool
        /// rho(x + c) = rho x + c for every constant c.
        Translates: bool
        /// |rho x - rho y| &lt;= max |x - y|.
        NonExpansive: bool
        /// Who proved it: author, year, title.
        Source: string
    }

/// Claims of summaries.
[<RequireQualifiedAccess>]
module SummaryClaim =

    /// Monotone, translating and non-expansive.
    let all (source: string) : SummaryClaim = { Monotone = true; Translates = true; NonExpansive = true; Source = source }

    /// Nothing is claimed.
    let none (source: string) : SummaryClaim = { Monotone = false; Translates = false; NonExpansive = false; Source = source }

/// How risk or doubt sees outcomes.
[<RequireQualifiedAccess>]
type Attitude =
    /// The small outcomes are the bad ones, and count more: averse to risk, or the worst of several laws, for rewards.
    | Adverse
    /// The large outcomes count more: rho'(x) = -rho(-x). Optimistic for rewards, averse for costs.
    | Favourable

    /// 1 for adverse, -1 for favourable: the sign by which outcomes are seen.
    member internal this.Sign = if this = Adverse then 1.0 else -1.0

    /// The attitude that is averse for a direction: small rewards are bad, and large costs.
    static member Averse(direction: Direction) = if direction = Direction.Maximise then Adverse else Favourable

/// From the outcomes of a state and an action to one number: the first slot of the generalised Bellman operator.
[<AbstractClass>]
type StateSummary(name: string, claim: SummaryClaim) =

    /// The summary's name, with its parameters.
    member _.Name = name
    /// What is claimed of it.
    member _.Claim = claim

    /// What a model lacks for this summary, or nothing.
    abstract Misses: model: Model -> string voption
    default _.Misses _ = ValueNone

    /// True if a row's summary looks at the values of the row's successors alone.
    abstract Local: bool
    default _.Local = true

    /// How much of a constant c &gt;= 0 that is added to the values reaches a row's summary: between the two factors times c.
    abstract Factors: kernel: Kernel -> struct (float * float)
    default _.Factors kernel = kernel.DiscountFactors

    /// A bound on |computed rho - exact rho| for outcomes of at most the magnitude.
    abstract Rounding: kernel: Kernel * magnitude: float -> float

    /// Binds the row form to a kernel and hands it on.
    abstract Bind: kernel: Kernel * user: IRowSummaryUser<'result> -> 'result

    /// The tensor form, differentiable: from the values V (states) to rho (rows).
    abstract OnTensor: rows: TensorRows * values: TorchSharp.torch.Tensor -> TorchSharp.torch.Tensor

/// From the action values of a state to the state's value: the second slot of the generalised Bellman operator.
[<AbstractClass>]
type ActionSummary(name: string, claim: SummaryClaim) =

    /// The summary's name, with its parameters.
    member _.Name = name
    /// What is claimed of it.
    member _.Claim = claim

    /// The direction in which its greedy decision looks; nothing for a mean under a policy that is given.
    abstract Direction: Direction voption
    default _.Direction = ValueNone

    /// What a model lacks for this summary, or nothing.
    abstract Misses: model: Model -> string voption
    default _.Misses _ = ValueNone

    /// A bound on |computed - exact| for action values of at most the magnitude.
    abstract Rounding: mostActions: int * magnitude: float -> float
    default _.Rounding(_, _) = 0.0

    /// Binds the row form to a model and hands it on.
    abstract Bind: model: Model * user: IActionRowSummaryUser<'result> -> 'result

    /// The tensor form, differentiable: from action values (states, places) to values (states). <c>rows.ActionMask</c> says which places are actions.
    abstract OnTensor: rows: TensorRows * actionValues: TorchSharp.torch.Tensor -> TorchSharp.torch.Tensor

namespace ValueFlow.Core.Foundations

open System
open System.Threading

/// What stands behind an error bound.
[<RequireQualifiedAccess>]
type Certificate =
    /// The contraction bound of Banach, with the rounding of one application added.
    | Contraction
    /// The bounds of MacQueen and Porteus, from the extremes of one residual.
    | SpanBounds
    /// A lower and an upper iteration that enclose the answer.
    | Enclosure
    /// A linear solve, checked by the residual of the equation.
    | LinearSolve
    /// No bound: nothing is certified.
    | Estimate

/// Why a runner stopped.
[<RequireQualifiedAccess>]
type Outcome =
    /// The bound, or without a bound the residual, is at most the tolerance.
    | Converged
    /// Rounding keeps the bound above the tolerance; the bound that was reached is stated.
    | PrecisionFloor
    /// The budget of applications was used up.
    | BudgetExhausted
    /// The caller cancelled.
    | Cancelled
    /// An iterate was no finite number: what, and where.
    | NotFinite of found: string
    /// Two successive steps grew by more than the claimed modulus: the claim is false.
    | ClaimRefuted of measured: float * claimed: float

/// How far a runner is.
[<Struct>]
type Progress =
    {
        /// Applications of the operator so far.
        Applications: int
        /// The distance between the last iterate and its image.
        Residual: float
        /// The certified bound so far, infinite while there is none.
        Bound: float
    }

/// What every runner is told.
type RunOptions =
    {
        /// The bound (without a certificate: the residual) at which to stop. Positive.
        Tolerance: float
        /// The most applications of the operator; the result says so if it was reached.
        Budget: int
        /// Called after every application.
        Progress: Progress -> unit
        /// Checked before every application.
        Cancellation: CancellationToken
    }

/// Options of runners.
[<RequireQualifiedAccess>]
module RunOptions =

    /// Tolerance 1e-8, a budget of a million applications, no progress, no cancellation.
    let standard: RunOptions =
        { Tolerance = 1e-8; Budget = 1_000_000; Progress = ignore; Cancellation = CancellationToken.None }

    /// Throws an ArgumentException unless the tolerance is positive and the budget at least one.
    let require (options: RunOptions) : unit =
        if not (options.Tolerance > 0.0) then
            invalidArg (nameof options) $"tolerance must be positive but is {options.Tolerance}"

        if options.Budget < 1 then
            invalidArg (nameof options) $"budget must be at least 1 application but is {options.Budget}"

/// A point, and how near it is to a fixed point of the operator.
type FixedPointResult<'x> =
    {
        /// The point. The caller owns it.
        Value: 'x
        /// What stands behind the bound.
        Certificate: Certificate
        /// d(Value, exact fixed point) is at most this; infinite without a certificate.
        Bound: float
        /// The smallest bound that rounding allows at this value; zero without a certificate.
        Floor: float
        /// d(x, T x) at the last application.
        Residual: float
        /// Applications of the operator.
        Applications: int
        /// Why the runner stopped.
        Outcome: Outcome
        /// The record of residuals and bounds: every one of the first thousand, then ever fewer.
        History: Progress[]
    }

/// The record that runners keep: all of the first thousand steps, then one for every hundredth more. It may go on from an earlier record.
[<Sealed>]
type History(earlier: Progress[]) =
    let entries = ResizeArray<Progress> earlier

    let due (applications: int) = Math.Max(applications + 1, applications + applications / 100 - 9)

    let mutable next = if earlier.Length = 0 then 1 else due earlier[earlier.Length - 1].Applications

    /// An empty record.
    new() = History [||]

    /// What is kept so far.
    member _.Entries: Progress[] = entries.ToArray()

    /// Keeps the entry if it is due.
    member _.Add(entry: Progress) : unit =
        if entry.Applications >= next then
            entries.Add entry
            next <- due entry.Applications

    /// Keeps the entry whether due or not: the last one.
    member _.Close(entry: Progress) : Progress[] =
        if entries.Count = 0 || entries[entries.Count - 1].Applications < entry.Applications then
            entries.Add entry

        entries.ToArray()

/// Bounds that hold in floating point.
[<RequireQualifiedAccess>]
module Bound =

    /// The unit roundoff of float64: a rounded operation is off by at most this share of its result.
    let unitRoundoff = Math.ScaleB(1.0, -53)

    /// A number that is at least the exact value of a short expression of non-negative terms that was computed as x.
    let above (x: float) : float = x * (1.0 + 16.0 * unitRoundoff) + Double.Epsilon

    /// A number that is at most the exact value of a short expression of non-negative terms that was computed as x.
    let below (x: float) : float = Math.Max(0.0, x * (1.0 - 16.0 * unitRoundoff) - Double.Epsilon)

    /// How far the computed image y of x is from the fixed point x*, for a modulus L &lt; 1 and a rounding bound rho:
    /// d(y, x*) &lt;= (L d(x, y) + rho) / (1 - L). Banach 1922, with the rounding of one application.
    let banach (modulus: float) (rounding: float) (residual: float) : float =
        if modulus < 1.0 then
            above (above (modulus * residual + rounding) / below (1.0 - modulus))
        else
            Double.PositiveInfinity

    /// The smallest bound to be had at a point: there the residual itself is no larger than the rounding of two applications.
    let floor (modulus: float) (rounding: float) : float = banach modulus rounding (2.0 * rounding / (1.0 - modulus))

namespace ValueFlow.Core.Values

open System

/// The search for the root of a decreasing function between two ends, as a state that its user drives: evaluate at <c>Point</c>, tell <c>Observe</c>, until it is no longer
/// <c>Open</c>. Newton's step where it stays inside, else half way; after a dozen steps every third is half way, so that it always ends. The ends keep the change of sign between them: what is
/// left is certified, no matter how Newton fared. Evaluation stays with the user, whose loop may read spans.
[<Struct>]
type internal RootSearch =

    val mutable private below: float
    val mutable private above: float
    val mutable private point: float
    val mutable private turns: int
    val private tolerance: float

    /// Between two ends, from a point that is one of them or lies between, until they are no further apart than the tolerance.
    new(below: float, above: float, start: float, tolerance: float) =
        { below = below; above = above; point = start; turns = 0; tolerance = tolerance }

    /// Where to evaluate next; at the end, the middle of what is left.
    member this.Point = this.point
    /// True while the ends are further apart than the tolerance.
    member this.Open = this.above - this.below > this.tolerance && this.turns < 400

    /// The function's value and slope at the point.
    member this.Observe(value: float, slope: float) : unit =
        if value > 0.0 then this.below <- this.point else this.above <- this.point

        this.turns <- this.turns + 1
        let step = -value / slope
        let half = 0.5 * this.tolerance
        // A step shorter than the tolerance goes a little too far, so that the other end closes in as well.
        let target = this.point + (if abs step <= half then step + half * float (Math.Sign step) else step)

        this.point <-
            if (this.turns <= 12 || this.turns % 3 <> 0) && this.Open && target > this.below && target < this.above then
                target
            else
                0.5 * (this.below + this.above)

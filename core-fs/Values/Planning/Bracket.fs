namespace ValueFlow.Core.Values

open System
open System.Numerics
open System.Runtime.InteropServices
open ValueFlow.Core.Foundations

/// What one application V -> T V tells about the exact fixed point V*:
/// (T V)(s) + Below <= V*(s) <= (T V)(s) + Above in every state with actions, for the T V that was computed, rounding included.
[<Struct>]
type Bracket =
    {
        /// Not positive as a rule, -infinity if nothing is certified.
        Below: float
        /// Not negative as a rule, +infinity if nothing is certified.
        Above: float
        /// sup over s of |(T V)(s) - V(s)|.
        Residual: float
        /// The smallest half-width to be had at these values: that of a residual that rounding explains.
        Floor: float
        /// How many widths of the bracket the greedy policy of the values may lose.
        LossWidths: float
        /// What stands behind the bracket.
        Certificate: Certificate
    }

    /// Half the distance between the bounds: the error bound of the midpoint.
    member this.HalfWidth = Bound.above (0.5 * (this.Above - this.Below))

/// Bounds on the fixed point of a Bellman operator from one application.
///
/// Let b <= T V - V <= B everywhere. If T is monotone and a c <= T(V + c) - T V <= g c for c >= 0, then V* lies between
/// T V + b f and T V + B F, where f = g/(1-g) for b < 0 and a/(1-a) for b >= 0, and F the other way round (MacQueen 1966, "A modified dynamic
/// programming method for Markovian decision problems"; Porteus 1971, "Some bounds for discounted sequential decision processes").
/// A terminal state has T V - V = 0 and passes no constant on: where there is one, b and B are widened by zero.
/// In floating point b and B are widened by the rounding of T V, and the bounds by it once more.
[<RequireQualifiedAccess>]
module Bracket =

    /// The sum of the geometric series g + g^2 + ..., and the rounding of its use.
    let private series (factor: float) = factor / (1.0 - factor)

    let private widened (sign: float) (x: float) = x + sign * 8.0 * Bound.unitRoundoff * abs x

    /// The bracket from the extremes of T V - V over the states with actions.
    let ofExtremes
        (span: bool)
        (struct (leastFactor: float, largestFactor: float))
        (clamp: bool)
        (rounding: float)
        (smallest: float)
        (largest: float)
        : Bracket =
        let residual = Math.Max(abs smallest, abs largest)
        let floor = Bound.above (rounding * (1.0 + 2.0 * series largestFactor))

        // A discount so near one that rounding may hide the difference certifies nothing.
        if not (Double.IsFinite rounding && largestFactor < 1.0) then
            {
                Below = Double.NegativeInfinity
                Above = Double.PositiveInfinity
                Residual = residual
                Floor = 0.0
                LossWidths = Double.PositiveInfinity
                Certificate = Certificate.Estimate
            }
        elif span then
            let bottom = widened -1.0 smallest - rounding
            let top = widened 1.0 largest + rounding
            let bottom = if clamp then Math.Min(0.0, bottom) else bottom
            let top = if clamp then Math.Max(0.0, top) else top
            let below = bottom * series (if bottom < 0.0 then largestFactor else leastFactor)
            let above = top * series (if top > 0.0 then largestFactor else leastFactor)

            {
                Below = widened -1.0 below - rounding
                Above = widened 1.0 above + rounding
                Residual = residual
                Floor = floor
                LossWidths = 1.0
                Certificate = Certificate.SpanBounds
            }
        else
            let bound = Bound.banach largestFactor rounding residual

            {
                Below = -bound
                Above = bound
                Residual = residual
                Floor = floor
                LossWidths = 2.0
                Certificate = Certificate.Contraction
            }

    // By single states: those with actions only, and a number that is none stays one.
    let private slowExtremes (model: Model) (values: float[]) (image: float[]) : struct (float * float) =
        let mutable smallest = Double.PositiveInfinity
        let mutable largest = Double.NegativeInfinity

        for s in 0 .. image.Length - 1 do
            if model.rowOffsets[s] < model.rowOffsets[s + 1] then
                let gap = image[s] - values[s]
                smallest <- Math.Min(smallest, gap)
                largest <- Math.Max(largest, gap)

        if smallest > largest then struct (0.0, 0.0) else struct (smallest, largest)

    /// The extremes of image - values over the states with actions: (0, 0) if there is none, and not a number if an entry is.
    let extremes (kernel: Kernel) (values: float[]) (image: float[]) : struct (float * float) =
        let width = Vector<float>.Count

        if kernel.HasTerminals || image.Length < 2 * width then
            slowExtremes kernel.Model values image
        else
            let before = MemoryMarshal.Cast<float, Vector<float>>(ReadOnlySpan values)
            let after = MemoryMarshal.Cast<float, Vector<float>>(ReadOnlySpan image)
            let mutable smallest = Vector<float>(Double.PositiveInfinity)
            let mutable largest = Vector<float>(Double.NegativeInfinity)
            // The processor's minimum and maximum lose a number that is none; the sum does not.
            let mutable sum = Vector<float>.Zero

            for i in 0 .. after.Length - 1 do
                let gap = after[i] - before[i]
                smallest <- Vector.MinNative(smallest, gap)
                largest <- Vector.MaxNative(largest, gap)
                sum <- sum + gap

            // What is left over, with some of what was seen.
            let gap = Vector<float>(image, image.Length - width) - Vector<float>(values, image.Length - width)
            smallest <- Vector.MinNative(smallest, gap)
            largest <- Vector.MaxNative(largest, gap)

            if Double.IsFinite(Vector.Sum(sum + gap)) then
                let mutable least, most = smallest[0], largest[0]

                for i in 1 .. width - 1 do
                    least <- Math.Min(least, smallest[i])
                    most <- Math.Max(most, largest[i])

                struct (least, most)
            else
                slowExtremes kernel.Model values image

    /// The bracket of one application of a Bellman operator. Values of terminal states are zero.
    let ofApplication (bellman: Bellman) (values: float[]) (image: float[]) : Bracket =
        let struct (smallest, largest) = extremes bellman.Kernel values image
        let operator = bellman.Operator
        let rounding = if operator.Claims.IsEmpty then Double.PositiveInfinity else bellman.Rounding values
        let span = operator.Monotone && operator.Translation.IsSome
        ofExtremes span bellman.Factors bellman.Kernel.HasTerminals rounding smallest largest

    /// The bracket of one Gauss-Seidel sweep: it keeps the order too, and passes on between nothing and the largest factor of a constant.
    let ofGaussSeidel (bellman: Bellman) (values: float[]) (image: float[]) : Bracket =
        let struct (smallest, largest) = extremes bellman.Kernel values image
        let operator = bellman.Operator
        let struct (_, factor) = bellman.Factors

        // A later state sees the rounded values of earlier ones: their errors pass on once, by at most the factor.
        let rounding =
            if operator.Claims.IsEmpty then
                Double.PositiveInfinity
            else
                Math.Max(bellman.Rounding values, bellman.Rounding image) / (1.0 - factor)

        let span = operator.Monotone && operator.Translation.IsSome

        // The greedy policy of V is not the one that the sweep followed. From G V - V >= b and G V <= V + B follows T V >= V + b - g B, so that
        // it loses at most (2 B - b) g/(1-g), which is twice the width or less.
        { ofExtremes span (struct (0.0, factor)) true rounding smallest largest with LossWidths = 2.0 }

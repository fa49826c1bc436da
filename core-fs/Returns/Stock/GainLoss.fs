namespace ValueFlow.Core.Returns

open System

/// A utility that is linear for gains and linear for losses: f(x) = Gain x for x &gt;= 0, Loss x for x &lt; 0, Gain &lt;= Loss. It is concave, and positively homogeneous, f(a x) = a f(x)
/// for a &gt;= 0: the utilities with which a stock-augmented program may be discounted.
[<Struct>]
type GainLoss =
    private
        {
            gain: float
            loss: float
        }

    /// The slope for gains.
    member this.Gain = this.gain
    /// The slope for losses.
    member this.Loss = this.loss
    /// f(x).
    member this.Of(x: float) : float = if x >= 0.0 then this.gain * x else this.loss * x

/// Utilities for gains and losses.
[<RequireQualifiedAccess>]
module GainLoss =

    /// The utility with the slopes. Throws an ArgumentException unless they are finite and gain &lt;= loss.
    let create (gain: float) (loss: float) : GainLoss =
        if not (Double.IsFinite gain) then
            invalidArg (nameof gain) $"the slope for gains must be finite but is {gain}"

        if not (Double.IsFinite loss && loss >= gain) then
            invalidArg (nameof loss) $"the slope for losses must be finite and at least the slope for gains, {gain}, but is {loss}"

        { gain = gain; loss = loss }

    /// f(x) = min(x, 0): what is missing to a target. The utility behind CVaR.
    let shortfall: GainLoss = create 0.0 1.0

    /// f(x) = x: no preference about risk; the best decisions do not look at the stock.
    let neutral: GainLoss = create 1.0 1.0

    /// f(x) = -|x|: the wish to end where nothing is missing and nothing left over.
    let balance: GainLoss = create -1.0 1.0

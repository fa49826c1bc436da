namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// The row form: every transition gets its least probability, what is left goes to the worst outcomes first.
[<Struct; IsReadOnly>]
type internal IntervalRow(kernel: Kernel, sign: float) =
    interface IRowSummary with
        member _.Scratch = 2 * kernel.LongestRow
        member _.Prepare _ = [||]
        member _.Done _ = ()

        member _.Value(values, _, row, scratch) =
            let model = kernel.Model
            let first = model.offsets[row]
            let count = model.offsets[row + 1] - first
            let outcomes = scratch.Slice(0, count)
            let room = scratch.Slice(count, count)
            kernel.WriteOutcomes(values, row, sign, outcomes)
            let mutable left = 1.0
            let mutable sum = 0.0

            for k in 0 .. count - 1 do
                left <- left - model.lower[first + k]
                sum <- sum + model.lower[first + k] * outcomes[k]
                room[k] <- model.upper[first + k] - model.lower[first + k]

            left <- Math.Max(0.0, left)
            MemoryExtensions.Sort(outcomes, room)

            for k in 0 .. count - 1 do
                let mass = Math.Min(left, room[k])
                sum <- sum + mass * outcomes[k]
                left <- left - mass

            sign * sum

/// rho(x) = min over laws q with lower &lt;= q &lt;= upper of sum q x: the worst law of an interval model; the favourable twin is the best.
/// Givan, Leach and Dean 2000, "Bounded-parameter Markov decision processes".
[<Sealed>]
type Interval(attitude: Attitude) =
    inherit
        StateSummary(
            (if attitude = Attitude.Adverse then "interval" else "interval-favourable"),
            SummaryClaim.all "Givan, Leach and Dean 2000; Iyengar 2005"
        )

    /// The worst law.
    new() = Interval Attitude.Adverse

    override _.Misses model =
        if model.IsInterval then
            ValueNone
        else
            ValueSome "intervals of probabilities, but the model has exact probabilities"

    override _.Rounding(kernel, magnitude) = float (4 * kernel.LongestRow + 12) * Bound.unitRoundoff * magnitude
    override _.Bind(kernel, user) = user.Use(IntervalRow(kernel, attitude.Sign))

    override _.OnTensor(rows, values) =
        Lifetime.keep (fun () ->
            let signed = Elementwise.times attitude.Sign
            let outcomes = signed (rows.Outcomes values)
            let struct (sorted, order) = outcomes.sort 1L
            let least = rows.Lower.gather (1L, order)
            let room = (rows.Upper.sub rows.Lower).gather(1L, order)
            let before = (room.cumsum 1L).sub room
            let left = (Elementwise.plus 1.0 ((least.sum (1L, keepdim = true)).neg())).sub before
            let mass = Elementwise.sum least (torch.minimum (Elementwise.atLeast 0.0 left, room))
            signed ((mass.mul sorted).sum 1L))

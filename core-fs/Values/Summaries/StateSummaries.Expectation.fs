namespace ValueFlow.Core.Values

open System
open System.Numerics.Tensors
open System.Runtime.CompilerServices
open ValueFlow.Core.Foundations

/// The expectation as a fold: r + scale * sum over s' of share(s') V(s'), where the scale is the discount and the shares are probabilities, or
/// one and discounted probabilities.
[<Struct; IsReadOnly>]
type internal ExpectationRow(scale: float) =
    interface IGatheredRow with
        member _.Start = 0.0

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Step(folded, share, value, _) = folded + share * value

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Finish(folded, reward) = reward + scale * folded

/// The same for probabilities in single precision.
[<Struct; IsReadOnly>]
type internal SingleExpectationRow(offsets: int[], successors: int[], shares: float32[], rewards: float[], scale: float) =
    interface IRowSummary with
        member _.Scratch = 0
        member _.Prepare _ = [||]
        member _.Done _ = ()

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Value(values, _, row, _) = rewards[row] + scale * Gathered.Mean(shares, successors, values, offsets[row], offsets[row + 1])

/// The same where every row leads to every state: a product of two vectors.
[<Struct; IsReadOnly>]
type internal DenseExpectationRow(offsets: int[], shares: float[], rewards: float[], scale: float) =
    interface IRowSummary with
        member _.Scratch = 0
        member _.Prepare _ = [||]
        member _.Done _ = ()

        member _.Value(values, _, row, _) =
            rewards[row]
            + scale * TensorPrimitives.Dot(ReadOnlySpan(shares, offsets[row], values.Length), ReadOnlySpan values)

/// rho(x) = sum over s' of P(s') x(s'): the risk-neutral summary (Bellman 1957, "Dynamic programming").
[<Sealed>]
type Expectation() =
    inherit StateSummary("expectation", SummaryClaim.all "Bellman 1957, Dynamic programming")

    override _.Factors kernel = kernel.MassFactors

    // The mean reward is a sum of n products, what follows another; a weight rounds twice before, the scale and the last sum once after: (2 n + 8) units of roundoff.
    override _.Rounding(kernel, magnitude) = float (2 * kernel.LongestRow + 8) * Bound.unitRoundoff * magnitude

    override _.Misses model =
        if model.IsInterval then
            ValueSome "probabilities, but they are known only as intervals: use the interval summary"
        else
            ValueNone

    override _.Bind(kernel, user) =
        let model = kernel.Model
        let singles = model.probabilityTable.Singles

        if model.continuations.Length > 0 then
            user.UseGathered(ExpectationRow 1.0, kernel.Weights, kernel.RowRewards)
        elif kernel.IsDense && singles.Length = 0 then
            user.Use(DenseExpectationRow(model.offsets, model.probabilities, kernel.RowRewards, kernel.Discount))
        elif singles.Length > 0 then
            user.Use(SingleExpectationRow(model.offsets, model.successors, singles, kernel.RowRewards, kernel.Discount))
        else
            user.UseGathered(ExpectationRow kernel.Discount, model.probabilities, kernel.RowRewards)

    override _.OnTensor(rows, values) = Lifetime.keep (fun () -> (rows.Probabilities.mul (rows.Outcomes values)).sum 1L)

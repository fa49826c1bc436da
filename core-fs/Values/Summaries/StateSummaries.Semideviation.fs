namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// The row form: the mean, then what lies below it.
[<Struct; IsReadOnly>]
type internal SemideviationRow(kernel: Kernel, weight: float, sign: float) =
    interface IRowSummary with
        member _.Scratch = kernel.LongestRow
        member _.Prepare _ = [||]
        member _.Done _ = ()

        member _.Value(values, _, row, scratch) =
            let model = kernel.Model
            let first = model.offsets[row]
            let outcomes = scratch.Slice(0, model.offsets[row + 1] - first)
            kernel.WriteOutcomes(values, row, sign, outcomes)
            let mutable mean = 0.0

            for k in 0 .. outcomes.Length - 1 do
                mean <- mean + model.probabilities[first + k] * outcomes[k]

            let mutable below = 0.0

            for k in 0 .. outcomes.Length - 1 do
                below <- below + model.probabilities[first + k] * Math.Max(0.0, mean - outcomes[k])

            sign * (mean - weight * below)

/// rho(x) = E x - c E (E x - x)+, the mean less a part c of the lower semideviation of order one, c in [0, 1]: monotone exactly there. c = 0 is the expectation.
/// Its dual is the worst mean under the densities 1 + c (z - E z) with 0 &lt;= z &lt;= 1. The favourable twin is E x + c E (x - E x)+.
/// Ogryczak and Ruszczynski 1999, "From stochastic dominance to mean-risk models: semideviations as risk measures".
[<Sealed>]
type Semideviation(weight: float, attitude: Attitude) =
    inherit
        StateSummary(
            (if attitude = Attitude.Adverse then
                 $"semideviation({weight})"
             else
                 $"semideviation-favourable({weight})"),
            SummaryClaim.all "Ogryczak and Ruszczynski 1999; Ruszczynski 2010"
        )

    do
        if not (weight >= 0.0 && weight <= 1.0) then
            invalidArg (nameof weight) $"weight must lie in [0, 1], where the summary is monotone, but is {weight}"

    /// Averse to what lies below the mean of rewards.
    new(weight) = Semideviation(weight, Attitude.Adverse)
    /// The weight c.
    member _.Weight = weight

    override _.Rounding(kernel, magnitude) = float (6 * kernel.LongestRow + 24) * Bound.unitRoundoff * magnitude
    override _.Misses model = Expectation().Misses model
    override _.Bind(kernel, user) = user.Use(SemideviationRow(kernel, weight, attitude.Sign))

    override _.OnTensor(rows, values) =
        Lifetime.keep (fun () ->
            let outcomes = Elementwise.times attitude.Sign (rows.Outcomes values)
            let mean = (rows.Probabilities.mul outcomes).sum(1L, keepdim = true)
            let below = (rows.Probabilities.mul ((mean.sub outcomes).relu())).sum 1L
            Elementwise.times attitude.Sign (Elementwise.addTimes -weight below (mean.squeeze 1L)))

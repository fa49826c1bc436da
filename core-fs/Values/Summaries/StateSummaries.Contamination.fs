namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// The row form: the mean, mixed with the worst outcome.
[<Struct; IsReadOnly>]
type internal ContaminationRow(kernel: Kernel, share: float, sign: float, rowRewards: float[]) =
    interface IRowSummary with
        member _.Scratch = kernel.LongestRow
        member _.Prepare values = if rowRewards.Length = 0 then [||] else OutsideStates.least values sign (kernel.LongestRow + 1)
        member _.Done context = OutsideStates.release context

        member _.Value(values, context, row, scratch) =
            let model = kernel.Model
            let first = model.offsets[row]
            let outcomes = scratch.Slice(0, model.offsets[row + 1] - first)
            kernel.WriteOutcomes(values, row, sign, outcomes)
            let mutable worst = OutsideStates.worst kernel rowRewards sign values context row
            let mutable mean = 0.0

            for k in 0 .. outcomes.Length - 1 do
                worst <- Math.Min(worst, outcomes[k])
                mean <- mean + model.probabilities[first + k] * outcomes[k]

            sign * ((1.0 - share) * mean + share * worst)

/// rho(x) = (1 - e) sum over s' of P(s') x(s') + e min over s' of x(s'): the worst law of the contaminations (1 - e) P + e q by any law q, e in [0, 1]; the
/// favourable twin takes the best. Over all states, or over the nominal successors, as for total variation. e = 0 is the expectation, e = 1 the worst
/// outcome. Huber 1964, "Robust estimation of a location parameter"; Wang and Zou 2021, "Online robust reinforcement learning with model uncertainty".
[<Sealed>]
type Contamination(share: float, support: Support, attitude: Attitude) =
    inherit
        StateSummary(
            "contamination"
            + (if support = Support.Nominal then "-support" else "")
            + (if attitude = Attitude.Adverse then "" else "-favourable")
            + $"({share})",
            SummaryClaim.all "Huber 1964; Iyengar 2005; Wang and Zou 2021"
        )

    do
        if not (share >= 0.0 && share <= 1.0) then
            invalidArg (nameof share) $"share must lie in [0, 1] but is {share}"

    /// The worst contamination over all states.
    new(share) = Contamination(share, Support.AllStates, Attitude.Adverse)
    /// The share e.
    member _.Share = share

    override _.Local = support = Support.Nominal
    override _.Factors kernel = OutsideStates.factors support kernel
    override _.Rounding(kernel, magnitude) = float (4 * kernel.LongestRow + 12) * Bound.unitRoundoff * magnitude
    override _.Misses model = Expectation().Misses model
    override _.Bind(kernel, user) = user.Use(ContaminationRow(kernel, share, attitude.Sign, OutsideStates.rowRewards support kernel))

    override _.OnTensor(rows, values) =
        Lifetime.keep (fun () ->
            let signed = Elementwise.times attitude.Sign
            let outcomes = signed (rows.Outcomes values)
            let worst = OutsideStates.reachedOnTensor support rows attitude.Sign values outcomes
            let mean = (rows.Probabilities.mul outcomes).sum 1L
            signed (Elementwise.addTimes share worst (Elementwise.times (1.0 - share) mean)))

namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// The row form: the exponents are shifted by the extreme outcome, so that none overflows.
[<Struct; IsReadOnly>]
type internal EntropicRow(kernel: Kernel, aversion: float, sign: float) =
    interface IRowSummary with
        member _.Scratch = kernel.LongestRow
        member _.Prepare _ = [||]
        member _.Done _ = ()

        member _.Value(values, _, row, scratch) =
            let model = kernel.Model
            let first = model.offsets[row]
            let outcomes = scratch.Slice(0, model.offsets[row + 1] - first)
            kernel.WriteOutcomes(values, row, sign, outcomes)
            let mutable least = Double.PositiveInfinity

            for outcome in outcomes do
                least <- Math.Min(least, outcome)

            let mutable sum = 0.0

            for k in 0 .. outcomes.Length - 1 do
                sum <- sum + model.probabilities[first + k] * Math.Exp(-aversion * (outcomes[k] - least))

            sign * (least - Math.Log sum / aversion)

/// rho(x) = -(1/B) log sum over s' of P(s') exp(-B x(s')), B &gt; 0: averse to spread; B to 0 is the expectation, B to infinity the worst outcome.
/// The favourable twin is (1/B) log E exp(B x). Howard and Matheson 1972, "Risk-sensitive Markov decision processes"; as a nested
/// measure Ruszczynski 2010.
[<Sealed>]
type Entropic(aversion: float, attitude: Attitude) =
    inherit
        StateSummary(
            (if attitude = Attitude.Adverse then $"entropic({aversion})" else $"entropic-favourable({aversion})"),
            SummaryClaim.all "Howard and Matheson 1972; Ruszczynski 2010"
        )

    do
        if not (aversion > 0.0 && Double.IsFinite aversion) then
            invalidArg (nameof aversion) $"aversion must be positive and finite but is {aversion}"

    /// Averse to spread of rewards.
    new(aversion) = Entropic(aversion, Attitude.Adverse)
    /// The aversion B.
    member _.Aversion = aversion

    // Outcomes, exponents and logarithm act on numbers of the magnitude; the sum of n terms is divided by B. Exp and log are off by at most one ulp.
    override _.Rounding(kernel, magnitude) = Bound.unitRoundoff * (32.0 * magnitude + 2.0 * float (kernel.LongestRow + 8) / aversion)

    // Probabilities that sum to 1 but for rounding shift the logarithm: covered by the rounding bound.
    override _.Misses model = Expectation().Misses model
    override _.Bind(kernel, user) = user.Use(EntropicRow(kernel, aversion, attitude.Sign))

    override _.OnTensor(rows, values) =
        Lifetime.keep (fun () ->
            let exponents = Elementwise.times (-aversion * attitude.Sign) (rows.Outcomes values)
            let largest = exponents.amax ([| 1L |], keepdim = true)
            let sum = (rows.Probabilities.mul ((exponents.sub largest).exp())).sum 1L
            Elementwise.times (-attitude.Sign / aversion) (Elementwise.sum (sum.log ()) (largest.squeeze 1L)))

namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open ValueFlow.Core.Foundations

/// The row form of the expectation: fused, one multiplication a transition.
[<Struct; IsReadOnly>]
type internal ExpectationRow(offsets: int[], successors: int[], weights: float[], rewards: float[]) =
    interface IRowSummary with
        member _.Scratch = 0
        member _.Prepare _ = [||]
        member _.Done _ = ()

        member _.Value(values, _, row, _) =
            let mutable sum = rewards[row]

            for k in offsets[row] .. offsets[row + 1] - 1 do
                sum <- sum + weights[k] * values[successors[k]]

            sum

/// rho(x) = sum over s' of P(s') x(s'): the risk-neutral summary (Bellman 1957, "Dynamic programming").
[<Sealed>]
type Expectation() =
    inherit StateSummary("expectation", SummaryClaim.all "Bellman 1957, Dynamic programming")

    override _.Factors kernel = kernel.MassFactors

    // The mean reward is a sum of n products that goes through n sums more, a weight rounds twice before: (2 n + 8) units of roundoff.
    override _.Rounding(kernel, magnitude) = float (2 * kernel.LongestRow + 8) * Bound.unitRoundoff * magnitude

    override _.Misses model =
        if model.IsInterval then
            ValueSome "probabilities, but they are known only as intervals: use the interval summary"
        else
            ValueNone

    override _.Bind(kernel, user) =
        let model = kernel.Model
        user.Use(ExpectationRow(model.offsets, model.successors, kernel.Weights, kernel.RowRewards))

    override _.OnTensor(rows, values) = Lifetime.keep (fun () -> (rows.Probabilities.mul (rows.Outcomes values)).sum 1L)

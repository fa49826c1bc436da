namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// The row form: mass moves from the best outcomes to the worst.
[<Struct; IsReadOnly>]
type internal TotalVariationRow(kernel: Kernel, radius: float, sign: float, rowRewards: float[]) =

    interface IRowSummary with
        member _.Scratch = 2 * (kernel.LongestRow + 1)

        member _.Prepare values = if rowRewards.Length = 0 then [||] else OutsideStates.least values sign (kernel.LongestRow + 1)
        member _.Done context = OutsideStates.release context

        member _.Value(values, context, row, scratch) =
            let model = kernel.Model
            let first = model.offsets[row]
            let count = model.offsets[row + 1] - first
            let outcomes = scratch.Slice(0, count)
            let masses = scratch.Slice(kernel.LongestRow + 1, count)
            kernel.WriteOutcomes(values, row, sign, outcomes)
            model.probabilities.AsSpan(first, count).CopyTo masses
            let mutable worst = OutsideStates.worst kernel rowRewards sign values context row

            for outcome in outcomes do
                worst <- Math.Min(worst, outcome)

            MemoryExtensions.Sort(outcomes, masses)
            let mutable left = radius
            let mutable sum = 0.0

            for k in count - 1 .. -1 .. 0 do
                let moved = Math.Min(left, masses[k])
                left <- left - moved
                sum <- sum + (masses[k] - moved) * outcomes[k] + moved * worst

            sign * sum

/// rho(x) = min over laws q with (1/2) sum |q - P| &lt;= E of sum q x: the worst law within total variation E in [0, 1]; the favourable twin
/// is the best. Iyengar 2005, "Robust dynamic programming"; Nilim and El Ghaoui 2005.
[<Sealed>]
type TotalVariation(radius: float, support: Support, attitude: Attitude) =
    inherit
        StateSummary(
            "tv"
            + (if support = Support.Nominal then "-support" else "")
            + (if attitude = Attitude.Adverse then "" else "-favourable")
            + $"({radius})",
            SummaryClaim.all "Iyengar 2005; Nilim and El Ghaoui 2005"
        )

    do
        if not (radius >= 0.0 && radius <= 1.0) then
            invalidArg (nameof radius) $"radius must lie in [0, 1] but is {radius}"

    /// The worst law over all states.
    new(radius) = TotalVariation(radius, Support.AllStates, Attitude.Adverse)
    /// The radius E, half an L1 distance.
    member _.Radius = radius

    override _.Local = support = Support.Nominal

    override _.Factors kernel = OutsideStates.factors support kernel
    override _.Rounding(kernel, magnitude) = float (4 * kernel.LongestRow + 12) * Bound.unitRoundoff * magnitude
    override _.Misses model = Expectation().Misses model
    override _.Bind(kernel, user) = user.Use(TotalVariationRow(kernel, radius, attitude.Sign, OutsideStates.rowRewards support kernel))

    override _.OnTensor(rows, values) =
        Lifetime.keep (fun () ->
            let signed = Elementwise.times attitude.Sign
            let outcomes = signed (rows.Outcomes values)
            let worst = OutsideStates.reachedOnTensor support rows attitude.Sign values outcomes
            let struct (sorted, order) = outcomes.sort (1L, descending = true)
            let masses = rows.Probabilities.gather (1L, order)
            let before = (masses.cumsum 1L).sub masses
            let left = before.neg () |> Elementwise.plus radius |> Elementwise.atLeast 0.0
            let moved = torch.minimum (left, masses)
            let kept = ((masses.sub moved).mul sorted).sum 1L
            signed (Elementwise.sum kept ((moved.sum 1L).mul worst)))

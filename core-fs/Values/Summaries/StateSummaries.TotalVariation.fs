namespace ValueFlow.Core.Values

open System
open System.Buffers
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// Which laws lie within the distance.
[<RequireQualifiedAccess>]
type Support =
    /// Laws over all states: a state outside the nominal successors earns the row's mean reward.
    | AllStates
    /// Laws over the nominal successors only.
    | Nominal

/// The row form: mass moves from the best outcomes to the worst.
[<Struct; IsReadOnly>]
type internal TotalVariationRow(kernel: Kernel, radius: float, sign: float, rowRewards: float[]) =

    // The states of least sign * V, one more than a row can have: one of them is outside every row.
    static member Least(values: float[], sign: float, wanted: int) : int[] =
        let count = Math.Min(wanted, values.Length)
        let least = ArrayPool<int>.Shared.Rent(Math.Max(1, count + 1))
        let mutable size = 0

        for state in 0 .. values.Length - 1 do
            if size < count || sign * values[state] < sign * values[least[size]] then
                let mutable place = if size < count then size + 1 else size
                size <- place
                // least[0] holds the size, least[1..size] the states in increasing order.
                while place > 1 && sign * values[least[place - 1]] > sign * values[state] do
                    least[place] <- least[place - 1]
                    place <- place - 1

                least[place] <- state

        least[0] <- size
        least

    interface IRowSummary with
        member _.Scratch = 2 * (kernel.LongestRow + 1)

        member _.Prepare values = if rowRewards.Length = 0 then [||] else TotalVariationRow.Least(values, sign, kernel.LongestRow + 1)

        member _.Done context =
            if context.Length > 0 then
                ArrayPool<int>.Shared.Return context

        member _.Value(values, context, row, scratch) =
            let model = kernel.Model
            let first = model.offsets[row]
            let count = model.offsets[row + 1] - first
            let outcomes = scratch.Slice(0, count)
            let masses = scratch.Slice(kernel.LongestRow + 1, count)
            kernel.WriteOutcomes(values, row, sign, outcomes)
            model.probabilities.AsSpan(first, count).CopyTo masses
            let mutable worst = Double.PositiveInfinity

            for outcome in outcomes do
                worst <- Math.Min(worst, outcome)

            if context.Length > 0 then
                let mutable place = 1

                while place <= context[0] do
                    let state = context[place]

                    if model.successors.AsSpan(first, count).IndexOf state < 0 then
                        worst <- Math.Min(worst, sign * (rowRewards[row] + kernel.Discount * values[state]))
                        place <- Int32.MaxValue
                    else
                        place <- place + 1

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

    let rowRewards (kernel: Kernel) = if support = Support.AllStates then kernel.RowRewards else [||]

    /// The worst law over all states.
    new(radius) = TotalVariation(radius, Support.AllStates, Attitude.Adverse)
    /// The radius E, half an L1 distance.
    member _.Radius = radius

    override _.Local = support = Support.Nominal

    // An outside state may be terminal, where a constant does not reach; it is never discounted by less than the discount.
    override _.Factors kernel =
        let struct (least, largest) = kernel.DiscountFactors

        if support = Support.AllStates then
            struct (Math.Min(least, kernel.Discount), Math.Max(largest, kernel.Discount * (1.0 + 4.0 * Bound.unitRoundoff)))
        else
            struct (least, largest)

    override _.Rounding(kernel, magnitude) = float (4 * kernel.LongestRow + 12) * Bound.unitRoundoff * magnitude
    override _.Misses model = Expectation().Misses model
    override _.Bind(kernel, user) = user.Use(TotalVariationRow(kernel, radius, attitude.Sign, rowRewards kernel))

    override _.OnTensor(rows, values) =
        Lifetime.keep (fun () ->
            let signed = Elementwise.times attitude.Sign
            let outcomes = signed (rows.Outcomes values)
            let nominal = outcomes.amin [| 1L |]

            let worst =
                if support = Support.Nominal then
                    nominal
                else
                    let model = rows.Kernel.Model
                    let wanted = Math.Min(int64 rows.Kernel.LongestRow + 1L, int64 model.StateCount)
                    let struct (least, states) = (signed values).topk(int wanted, largest = false, sorted = true)
                    // (R, K, 1) successors against (1, 1, C) candidates: is the candidate a successor?
                    let inside = (rows.Successors.unsqueeze(2L).eq(states.reshape [| 1L; 1L; -1L |])).any 1L
                    let mean = signed ((rows.Probabilities.mul rows.Rewards).sum 1L)
                    let earned = Elementwise.sum (mean.unsqueeze 1L) (Elementwise.times rows.Kernel.Discount (least.unsqueeze 0L))
                    let outside = Elementwise.fill inside Double.PositiveInfinity earned
                    torch.minimum (nominal, outside.amin [| 1L |])

            let struct (sorted, order) = outcomes.sort (1L, descending = true)
            let masses = rows.Probabilities.gather (1L, order)
            let before = (masses.cumsum 1L).sub masses
            let left = before.neg () |> Elementwise.plus radius |> Elementwise.atLeast 0.0
            let moved = torch.minimum (left, masses)
            let kept = ((masses.sub moved).mul sorted).sum 1L
            signed (Elementwise.sum kept ((moved.sum 1L).mul worst)))

namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// The row form for a level of at most one half: the least of the means that weigh the outcomes up to one of them more than those above.
[<Struct; IsReadOnly>]
type internal ExpectileRow(kernel: Kernel, level: float, sign: float) =
    interface IRowSummary with
        member _.Scratch = 2 * kernel.LongestRow
        member _.Prepare _ = [||]
        member _.Done _ = ()

        member _.Value(values, _, row, scratch) =
            let model = kernel.Model
            let first = model.offsets[row]
            let count = model.offsets[row + 1] - first
            let outcomes = scratch.Slice(0, count)
            let masses = scratch.Slice(count, count)
            kernel.WriteOutcomes(values, row, sign, outcomes)
            model.probabilities.AsSpan(first, count).CopyTo masses
            MemoryExtensions.Sort(outcomes, masses)
            let least = outcomes[0]
            let mutable mass = 0.0
            let mutable moment = 0.0

            for k in 0 .. count - 1 do
                mass <- mass + masses[k]
                moment <- moment + masses[k] * (outcomes[k] - least)

            let mutable top = level * moment
            let mutable bottom = level * mass
            let mutable best = Double.PositiveInfinity

            for k in 0 .. count - 1 do
                // The outcomes so far weigh 1 - level, those above level.
                top <- top + (1.0 - 2.0 * level) * masses[k] * (outcomes[k] - least)
                bottom <- bottom + (1.0 - 2.0 * level) * masses[k]
                best <- Math.Min(best, top / bottom)

            sign * (least + best)

/// rho(x) = the number e with t E (x - e)+ = (1 - t) E (e - x)+, t in (0, 1): the expectile of level t, which is what the asymmetric squared loss
/// |t - 1{x &lt; e}| (x - e)^2 fits. For t &lt;= 1/2 it is the least of the means under weights between t and 1 - t,
/// min over w of E w x / E w, and so exact once the outcomes are sorted. t = 1/2 is the expectation, t to 0 the worst outcome; t &lt; 1/2 is averse, t &gt; 1/2 is not.
/// The favourable twin is the expectile of level 1 - t. Newey and Powell 1987, "Asymmetric least squares estimation and testing"; Bellini, Klar, Mueller and
/// Rosazza Gianin 2014, "Generalized quantiles as risk measures".
[<Sealed>]
type Expectile(level: float, attitude: Attitude) =
    inherit
        StateSummary(
            (if attitude = Attitude.Adverse then $"expectile({level})" else $"expectile-favourable({level})"),
            SummaryClaim.all "Newey and Powell 1987; Bellini, Klar, Mueller and Rosazza Gianin 2014"
        )

    do
        if not (level > 0.0 && level < 1.0) then
            invalidArg (nameof level) $"level must lie in (0, 1) but is {level}"

    // The expectile of level t of x is less that of level 1 - t of -x.
    let mirrored = level > 0.5
    let lower = if mirrored then 1.0 - level else level
    let sign = if mirrored then -attitude.Sign else attitude.Sign

    /// The expectile of rewards.
    new(level) = Expectile(level, Attitude.Adverse)
    /// The level t.
    member _.Level = level

    override _.Rounding(kernel, magnitude) = float (8 * kernel.LongestRow + 24) * Bound.unitRoundoff * magnitude
    override _.Misses model = Expectation().Misses model
    override _.Bind(kernel, user) = user.Use(ExpectileRow(kernel, lower, sign))

    override _.OnTensor(rows, values) =
        Lifetime.keep (fun () ->
            let struct (sorted, order) = (Elementwise.times sign (rows.Outcomes values)).sort 1L
            let masses = rows.Probabilities.gather (1L, order)
            let least = sorted.narrow (1L, 0L, 1L)
            let moments = masses.mul (sorted.sub least)
            // The outcomes up to each weigh 1 - level, those above level.
            let weigh (x: torch.Tensor) =
                Elementwise.addTimes (1.0 - 2.0 * lower) (x.cumsum 1L) (Elementwise.times lower (x.sum (1L, keepdim = true)))

            let means = (weigh moments).div(weigh masses)
            Elementwise.times sign (Elementwise.sum (least.squeeze 1L) (means.amin [| 1L |])))

namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// The row form: outcomes in increasing order, their mass up to the share.
[<Struct; IsReadOnly>]
type internal CvarRow(kernel: Kernel, share: float, sign: float) =
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
            let mutable left = share
            let mutable sum = 0.0

            for k in 0 .. count - 1 do
                // The last outcome takes what rounding has left over.
                let mass = if k = count - 1 then left else Math.Min(left, masses[k])
                sum <- sum + mass * outcomes[k]
                left <- left - mass

            sign * sum / share

/// rho(x) = the mean of the worst share A of outcomes, A in (0, 1]: (1/A) max over laws q with q &lt;= P and mass A of -sum q x, with
/// the signs of rewards. A = 1 is the expectation; A below the least probability is the worst outcome. The favourable twin is the
/// mean of the best share. Rockafellar and Uryasev 2000, "Optimization of conditional value-at-risk"; nested over time as in
/// Ruszczynski 2010, "Risk-averse dynamic programming for Markov decision processes".
[<Sealed>]
type Cvar(share: float, attitude: Attitude) =
    inherit
        StateSummary(
            (if attitude = Attitude.Adverse then $"cvar({share})" else $"cvar-favourable({share})"),
            SummaryClaim.all "Rockafellar and Uryasev 2000; Ruszczynski 2010"
        )

    do
        if not (share > 0.0 && share <= 1.0) then
            invalidArg (nameof share) $"share must lie in (0, 1] but is {share}"

    /// The mean of the worst share of rewards.
    new(share) = Cvar(share, Attitude.Adverse)
    /// The share A.
    member _.Share = share

    override _.Rounding(kernel, magnitude) = float (4 * kernel.LongestRow + 12) * Bound.unitRoundoff * magnitude / share
    override _.Misses model = Expectation().Misses model
    override _.Bind(kernel, user) = user.Use(CvarRow(kernel, share, attitude.Sign))

    override _.OnTensor(rows, values) =
        Lifetime.keep (fun () ->
            let struct (sorted, order) = (Elementwise.times attitude.Sign (rows.Outcomes values)).sort 1L

            let masses = rows.Probabilities.gather (1L, order)
            let before = (masses.cumsum 1L).sub masses
            let left = before.neg () |> Elementwise.plus share |> Elementwise.atLeast 0.0
            let taken = torch.minimum (left, masses)
            Elementwise.times (attitude.Sign / share) ((taken.mul sorted).sum 1L))

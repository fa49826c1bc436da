namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// The row form of a mixture of the best action and a policy.
[<Struct; IsReadOnly>]
type internal AnnealedRow(weight: float, sign: float, policy: float[]) =
    interface IActionRowSummary with
        member _.Value(q, firstRow) =
            let mutable best = Double.NegativeInfinity
            let mutable sum = 0.0

            for place in 0 .. q.Length - 1 do
                best <- Math.Max(best, sign * q[place])
                sum <- sum + policy[firstRow + place] * q[place]

            (1.0 - weight) * (sign * best) + weight * sum

/// (1 - w) max over a of q(a) + w sum over a of p(a | s) q(a), w in [0, 1]: optimality at w = 0, evaluation of the policy p at w = 1, and what is annealed from one to the
/// other between; the epsilon mix is the case of a uniform policy. Least instead of largest for costs.
/// Littman and Szepesvari 1996, "A generalized reinforcement-learning model".
[<Sealed>]
type AnnealedMix(weight: float, policy: Policy, direction: Direction) =
    inherit
        ActionSummary(
            (if direction = Direction.Maximise then $"annealed-max({weight})" else $"annealed-min({weight})"),
            SummaryClaim.all "Littman and Szepesvari 1996"
        )

    do
        if not (weight >= 0.0 && weight <= 1.0) then
            invalidArg (nameof weight) $"weight must lie in [0, 1] but is {weight}"

    /// The weight w of the policy.
    member _.Weight = weight
    override _.Direction = ValueSome direction
    override _.Misses model = PolicyMean(policy).Misses model
    override _.Rounding(actions, magnitude) = float (actions + 8) * Bound.unitRoundoff * magnitude

    override _.Bind(_, user) = user.Use(AnnealedRow(weight, (if direction = Direction.Maximise then 1.0 else -1.0), policy.Rows))

    override _.OnTensor(rows, q) =
        Lifetime.keep (fun () ->
            let best, mean = Extreme(direction).OnTensor(rows, q), PolicyMean(policy).OnTensor(rows, q)
            Elementwise.addTimes weight mean (Elementwise.times (1.0 - weight) best))

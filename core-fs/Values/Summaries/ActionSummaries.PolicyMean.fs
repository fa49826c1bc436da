namespace ValueFlow.Core.Values

open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// The row form of the mean under a policy.
[<Struct; IsReadOnly>]
type internal PolicyRow(weights: float[]) =
    interface IActionRowSummary with
        member _.Value(q, firstRow) =
            let mutable sum = 0.0

            for place in 0 .. q.Length - 1 do
                sum <- sum + weights[firstRow + place] * q[place]

            sum

    interface IActionFold with
        member _.Start = 0.0

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Join(folded, value, row) = folded + weights[row] * value

/// sum over a of pi(a | s) q(a): the summary of policy evaluation (Bellman 1957, "Dynamic programming").
[<Sealed>]
type PolicyMean(policy: Policy) =
    inherit ActionSummary("policy mean", SummaryClaim.all "Bellman 1957, Dynamic programming")

    /// The policy.
    member _.Policy = policy

    override _.Misses model =
        if policy.Rows.Length = model.RowCount then
            ValueNone
        else
            ValueSome $"{policy.Rows.Length} rows like the policy, but it has {model.RowCount}"

    // Weights sum to one within rounding, and are part of the exact operator.
    override _.Rounding(actions, magnitude) = float (actions + 4) * Bound.unitRoundoff * magnitude
    override _.Bind(_, user) = user.UseFold(PolicyRow policy.Rows)

    override _.OnTensor(rows, q) =
        Lifetime.keep (fun () ->
            let weights = rows.ByState(torch.tensor (policy.Rows, dtype = torch.float64))
            (weights.mul q).sum 1L)

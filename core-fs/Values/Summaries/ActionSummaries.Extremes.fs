namespace ValueFlow.Core.Values

open System
open System.Numerics.Tensors
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// The row form of max. The processor's own maximum loses a number that is none: the sum tells if there was one.
[<Struct; IsReadOnly>]
type internal MaxRow =
    interface IActionRowSummary with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Value(q, _) =
            let mutable best = Double.NegativeInfinity
            let mutable sum = 0.0

            for value in q do
                best <- Double.MaxNative(best, value)
                sum <- sum + value

            if Double.IsNaN sum then TensorPrimitives.Max(Span.op_Implicit q) else best

    interface IActionFold with
        member _.Start = Double.NegativeInfinity

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Join(folded, value, _) = Double.MaxNative(folded, value)

/// The row form of min.
[<Struct; IsReadOnly>]
type internal MinRow =
    interface IActionRowSummary with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Value(q, _) =
            let mutable best = Double.PositiveInfinity
            let mutable sum = 0.0

            for value in q do
                best <- Double.MinNative(best, value)
                sum <- sum + value

            if Double.IsNaN sum then TensorPrimitives.Min(Span.op_Implicit q) else best

    interface IActionFold with
        member _.Start = Double.PositiveInfinity

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Join(folded, value, _) = Double.MinNative(folded, value)

/// max over a of q(a), or min for costs: the greedy summary (Bellman 1957, "Dynamic programming").
[<Sealed>]
type Extreme(direction: Direction) =
    inherit ActionSummary((if direction = Direction.Maximise then "max" else "min"), SummaryClaim.all "Bellman 1957, Dynamic programming")

    override _.Direction = ValueSome direction
    override _.Bind(_, user) = if direction = Direction.Maximise then user.UseFold(MaxRow()) else user.UseFold(MinRow())

    override _.OnTensor(rows, q) =
        Lifetime.keep (fun () ->
            let other = rows.ActionMask.logical_not ()

            if direction = Direction.Maximise then
                (Elementwise.fill other Double.NegativeInfinity q).amax [| 1L |]
            else
                (Elementwise.fill other Double.PositiveInfinity q).amin [| 1L |])

/// The row form of the epsilon mix.
[<Struct; IsReadOnly>]
type internal EpsilonRow(epsilon: float, sign: float) =
    interface IActionRowSummary with
        member _.Value(q, _) =
            let mutable best = Double.NegativeInfinity
            let mutable sum = 0.0

            for value in q do
                best <- Math.Max(best, sign * value)
                sum <- sum + value

            (1.0 - epsilon) * (sign * best) + epsilon * (sum / float q.Length)

/// (1 - e) max over a of q(a) + e mean over a of q(a), e in [0, 1]: the value of acting at random one time in 1/e
/// (Littman and Szepesvari 1996, "A generalized reinforcement-learning model").
[<Sealed>]
type EpsilonMix(epsilon: float, direction: Direction) =
    inherit
        ActionSummary(
            (if direction = Direction.Maximise then $"epsilon-max({epsilon})" else $"epsilon-min({epsilon})"),
            SummaryClaim.all "Littman and Szepesvari 1996"
        )

    do
        if not (epsilon >= 0.0 && epsilon <= 1.0) then
            invalidArg (nameof epsilon) $"epsilon must lie in [0, 1] but is {epsilon}"

    override _.Direction = ValueSome direction
    override _.Rounding(actions, magnitude) = float (actions + 8) * Bound.unitRoundoff * magnitude
    override _.Bind(_, user) = user.Use(EpsilonRow(epsilon, (if direction = Direction.Maximise then 1.0 else -1.0)))

    override _.OnTensor(rows, q) =
        Lifetime.keep (fun () ->
            let best = Extreme(direction).OnTensor(rows, q)
            let count = (rows.ActionMask.``to`` torch.float64).sum 1L
            let mean = (q.mul (rows.ActionMask.``to`` torch.float64)).sum(1L).div count
            Elementwise.sum (Elementwise.times (1.0 - epsilon) best) (Elementwise.times epsilon mean))

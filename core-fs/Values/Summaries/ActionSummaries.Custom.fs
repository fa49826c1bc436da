namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// A user's summary of one state: from the values of its actions, in the order of its rows, to a number. It changes nothing.
type ChoiceFunction = delegate of actionValues: ReadOnlySpan<float> -> float

/// The row form of a delegate.
[<Struct; IsReadOnly>]
type internal CustomChoiceRow(choose: ChoiceFunction) =
    interface IActionRowSummary with
        member _.Value(q, _) = choose.Invoke(Span.op_Implicit q)

/// An action summary of the user's own. What is claimed of it is the user's word: check it with the laws. Its rounding bound is a multiple, in units of
/// roundoff, of the largest action value; without one nothing is certified. Greedy decisions look in the direction.
[<Sealed>]
type CustomChoice(name: string, claim: SummaryClaim, roundingUnits: float voption, direction: Direction, choose: ChoiceFunction) =
    inherit ActionSummary(name, claim)

    override _.Direction = ValueSome direction

    override _.Rounding(_, magnitude) =
        match roundingUnits with
        | ValueSome units -> units * Bound.unitRoundoff * magnitude
        | ValueNone -> Double.PositiveInfinity

    override _.Bind(_, user) = user.Use(CustomChoiceRow choose)

    override _.OnTensor(rows, q) =
        Lifetime.keep (fun () ->
            let model = rows.Kernel.Model
            let data = q.cpu().data<float>().ToArray()
            let places = int q.shape[1]

            let summaries =
                Array.init model.StateCount (fun state ->
                    let count = model.rowOffsets[state + 1] - model.rowOffsets[state]
                    if count = 0 then 0.0 else choose.Invoke(ReadOnlySpan(data, state * places, count)))

            torch.tensor (summaries, dtype = torch.float64))

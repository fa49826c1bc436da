namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// A user's summary of one row: from its probabilities and outcomes to a number. It changes neither.
type RowFunction = delegate of probabilities: ReadOnlySpan<float> * outcomes: ReadOnlySpan<float> -> float

/// The row form of a delegate: easy, and two to three times slower than a struct.
[<Struct; IsReadOnly>]
type internal CustomRow(kernel: Kernel, rho: RowFunction) =
    interface IRowSummary with
        member _.Scratch = kernel.LongestRow
        member _.Prepare _ = [||]
        member _.Done _ = ()

        member _.Value(values, _, row, scratch) =
            let model = kernel.Model
            let first = model.offsets[row]
            let count = model.offsets[row + 1] - first
            let outcomes = scratch.Slice(0, count)
            kernel.WriteOutcomes(values, row, 1.0, outcomes)
            rho.Invoke(ReadOnlySpan(model.probabilities, first, count), Span.op_Implicit outcomes)

/// A summary of the user's own, from a function of probabilities and outcomes. What is claimed of it is the user's word: check it with
/// the laws. Its rounding bound is a multiple, in units of roundoff, of the largest outcome; without one nothing is certified.
[<Sealed>]
type CustomSummary(name: string, claim: SummaryClaim, roundingUnits: float voption, rho: RowFunction) =
    inherit StateSummary(name, claim)

    do
        match roundingUnits with
        | ValueSome units when not (units >= 0.0 && Double.IsFinite units) ->
            invalidArg (nameof roundingUnits) $"rounding units must be finite and not negative but are {units}"
        | _ -> ()

    override _.Rounding(_, magnitude) =
        match roundingUnits with
        | ValueSome units -> units * Bound.unitRoundoff * magnitude
        | ValueNone -> Double.PositiveInfinity

    override _.Bind(kernel, user) = user.Use(CustomRow(kernel, rho))

    override _.OnTensor(rows, values) =
        Lifetime.keep (fun () ->
            let model = rows.Kernel.Model
            let outcomes = (rows.Outcomes values).cpu()
            let data = outcomes.data<float>().ToArray()
            let width = int outcomes.shape[1]

            let summaries =
                Array.init model.RowCount (fun row ->
                    let first = model.offsets[row]
                    let count = model.offsets[row + 1] - first
                    rho.Invoke(ReadOnlySpan(model.probabilities, first, count), ReadOnlySpan(data, row * width, count)))

            torch.tensor (summaries, dtype = torch.float64))

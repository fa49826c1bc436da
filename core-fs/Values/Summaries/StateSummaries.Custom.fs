namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open System.Runtime.InteropServices
open TorchSharp
open ValueFlow.Core.Foundations

/// A user's summary of one row: from its probabilities and outcomes to a number. It changes neither.
type RowFunction = delegate of probabilities: ReadOnlySpan<float> * outcomes: ReadOnlySpan<float> -> float

/// A user's summary of one row as a fold over its outcomes, in their order. Implemented by a struct, which sweeps inline: as fast as the library's own.
type IOutcomeFold =
    /// What the fold begins with.
    abstract Start: float
    /// The fold after one more outcome.
    abstract Step: folded: float * probability: float * outcome: float -> float
    /// The row's summary, from the fold after its last outcome.
    abstract Finish: folded: float -> float

/// The row form of a delegate: easy, and about two times slower than a struct.
[<Struct; IsReadOnly>]
type internal CustomRow(kernel: Kernel, probabilities: float[], rho: RowFunction) =
    interface IRowSummary with
        member _.Scratch = kernel.LongestRow
        member _.Prepare _ = [||]
        member _.Done _ = ()

        member _.Value(values, _, row, scratch) =
            let model = kernel.Model
            let first = model.offsets[row]
            let count = model.offsets[row + 1] - first
            let outcomes = scratch.Slice(0, count)
            kernel.WriteOutcomes(values, row, outcomes)
            rho.Invoke(ReadOnlySpan(probabilities, first, count), Span.op_Implicit outcomes)

/// The row form of a delegate where a row has one reward, and all have one discount.
[<Struct; IsReadOnly>]
type internal EvenCustomRow(model: Model, longest: int, probabilities: float[], rewards: float[], discount: float, rho: RowFunction) =
    interface IRowSummary with
        member _.Scratch = longest
        member _.Prepare _ = [||]
        member _.Done _ = ()

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Value(values, _, row, scratch) =
            let offsets = model.offsets
            let first = offsets[row]
            let count = offsets[row + 1] - first
            let shares = &MemoryMarshal.GetArrayDataReference probabilities
            let successors = &MemoryMarshal.GetArrayDataReference model.successors
            Gathered.Fetch(&shares, &successors, nativeint first)
            let outcomes = MemoryMarshal.CreateSpan(&MemoryMarshal.GetReference scratch, count)
            Gathered.Outcomes(&Unsafe.Add(&successors, first), values, rewards[row], discount, outcomes)
            rho.Invoke(MemoryMarshal.CreateReadOnlySpan(&Unsafe.Add(&shares, first), count), Span.op_Implicit outcomes)

/// The row form of a fold.
[<Struct; IsReadOnly>]
type internal FoldRow<'Fold when 'Fold: struct and 'Fold :> IOutcomeFold>
    (offsets: int[], successors: int[], probabilities: float[], rewards: float[], discounts: float[], fold: 'Fold) =
    interface IRowSummary with
        member _.Scratch = 0
        member _.Prepare _ = [||]
        member _.Done _ = ()

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Value(values, _, row, _) =
            let mutable fold = fold
            let mutable folded = fold.Start

            for k in offsets[row] .. offsets[row + 1] - 1 do
                folded <- fold.Step(folded, probabilities[k], rewards[k] + discounts[k] * values[successors[k]])

            fold.Finish folded

/// A fold where a row has one reward, and all have one discount.
[<Struct; IsReadOnly>]
type internal EvenFoldRow<'Fold when 'Fold: struct and 'Fold :> IOutcomeFold>(discount: float, fold: 'Fold) =
    interface IGatheredRow with
        member _.Start =
            let mutable fold = fold
            fold.Start

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Step(folded, share, value, reward) =
            let mutable fold = fold
            fold.Step(folded, share, reward + discount * value)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Finish(folded, _) =
            let mutable fold = fold
            fold.Finish folded

/// What summaries of the user's own share. What is claimed of them is the user's word: check it with the laws. Their rounding bound is a multiple, in
/// units of roundoff, of the largest outcome; without one nothing is certified.
[<AbstractClass>]
type OwnSummary(name: string, claim: SummaryClaim, roundingUnits: float voption) =
    inherit StateSummary(name, claim)

    do
        match roundingUnits with
        | ValueSome units when not (units >= 0.0 && Double.IsFinite units) ->
            invalidArg (nameof roundingUnits) $"rounding units must be finite and not negative but are {units}"
        | _ -> ()

    /// The summary of one row.
    abstract Rho: probabilities: ReadOnlySpan<float> * outcomes: ReadOnlySpan<float> -> float

    override _.Rounding(_, magnitude) =
        match roundingUnits with
        | ValueSome units -> units * Bound.unitRoundoff * magnitude
        | ValueNone -> Double.PositiveInfinity

    override this.OnTensor(rows, values) =
        Lifetime.keep (fun () ->
            let model = rows.Kernel.Model
            let outcomes = (rows.Outcomes values).cpu()
            let data = outcomes.data<float>().ToArray()
            let width = int outcomes.shape[1]
            let probabilities = model.probabilities

            let summaries =
                Array.init model.RowCount (fun row ->
                    let first = model.offsets[row]
                    let count = model.offsets[row + 1] - first
                    this.Rho(ReadOnlySpan(probabilities, first, count), ReadOnlySpan(data, row * width, count)))

            torch.tensor (summaries, dtype = torch.float64))

/// A summary of the user's own, from a function of probabilities and outcomes.
[<Sealed>]
type CustomSummary(name: string, claim: SummaryClaim, roundingUnits: float voption, rho: RowFunction) =
    inherit OwnSummary(name, claim, roundingUnits)
    override _.Rho(probabilities, outcomes) = rho.Invoke(probabilities, outcomes)

    override _.Bind(kernel, user) =
        let model = kernel.Model
        let rows = model.rewardTable.Rows

        if model.continuations.Length = 0 && rows.Length > 0 then
            user.Use(EvenCustomRow(model, kernel.LongestRow, model.probabilities, rows, kernel.Discount, rho))
        else
            user.Use(CustomRow(kernel, model.probabilities, rho))

/// A summary of the user's own, from a struct that folds a row's outcomes: at the speed of the library's own.
[<Sealed>]
type FoldSummary<'Fold when 'Fold: struct and 'Fold :> IOutcomeFold>
    (name: string, claim: SummaryClaim, roundingUnits: float voption, fold: 'Fold) =
    inherit OwnSummary(name, claim, roundingUnits)

    override _.Rho(probabilities, outcomes) =
        let mutable fold = fold
        let mutable folded = fold.Start

        for k in 0 .. outcomes.Length - 1 do
            folded <- fold.Step(folded, probabilities[k], outcomes[k])

        fold.Finish folded

    override _.Bind(kernel, user) =
        let model = kernel.Model
        let rows = model.rewardTable.Rows

        if model.continuations.Length = 0 && rows.Length > 0 then
            user.UseGathered(EvenFoldRow(kernel.Discount, fold), model.probabilities, rows)
        else
            let discounts =
                if model.continuations.Length > 0 then
                    kernel.Discounts
                else
                    Array.create model.TransitionCount kernel.Discount

            user.Use(FoldRow(model.offsets, model.successors, model.probabilities, model.rewards, discounts, fold))

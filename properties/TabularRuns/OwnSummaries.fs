namespace ValueFlow.TabularRuns

open System.Runtime.CompilerServices
open ValueFlow.Core.Values

/// The expectation once more, as a user would write it: a struct that folds.
[<Struct>]
type MeanFold =
    interface IOutcomeFold with
        member _.Start = 0.0

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Step(folded, probability, outcome) = folded + probability * outcome

        member _.Finish folded = folded

/// Summaries of one's own that are timed beside the library's.
[<RequireQualifiedAccess>]
module OwnSummaries =

    let private claim = SummaryClaim.all "Bellman 1957, Dynamic programming"

    /// The expectation as a struct.
    let asStruct: StateSummary = FoldSummary("own struct", claim, ValueSome 32.0, MeanFold())

    /// The expectation as a delegate.
    let asDelegate: StateSummary =
        CustomSummary(
            "own delegate",
            claim,
            ValueSome 32.0,
            RowFunction(fun probabilities outcomes ->
                let mutable sum = 0.0

                for i in 0 .. outcomes.Length - 1 do
                    sum <- sum + probabilities[i] * outcomes[i]

                sum)
        )

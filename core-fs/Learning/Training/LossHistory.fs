namespace ValueFlow.Core.Learning

open System

/// The losses of a run, thinned as it grows: means over equally many steps in a row, at least half and at most all of the places.
/// A plain value of the steps alone: a resumed run has the history of the uninterrupted one.
type LossHistory =
    {
        /// Steps that one mean is over.
        Stride: int
        /// The means, first to last.
        Means: float list
        /// Losses since the last mean: their sum ...
        PartialSum: float
        /// ... and how many.
        PartialCount: int
    }

/// Collects losses. Half of the means are merged whenever their number has reached the places.
[<Sealed>]
type internal LossRecorder(places: int, start: LossHistory) =
    let means = ResizeArray<float> start.Means
    let mutable stride = start.Stride
    let mutable sum = start.PartialSum
    let mutable count = start.PartialCount

    member _.Add(loss: float) =
        sum <- sum + loss
        count <- count + 1

        if count = stride then
            means.Add(sum / float count)
            sum <- 0.0
            count <- 0

            if means.Count >= places then
                for i in 0 .. means.Count / 2 - 1 do
                    means[i] <- 0.5 * (means[2 * i] + means[2 * i + 1])

                means.RemoveRange(means.Count / 2, means.Count - means.Count / 2)
                stride <- 2 * stride

    member _.History: LossHistory = { Stride = stride; Means = List.ofSeq means; PartialSum = sum; PartialCount = count }

    static member Empty: LossHistory = { Stride = 1; Means = []; PartialSum = 0.0; PartialCount = 0 }

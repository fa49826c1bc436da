namespace ValueFlow.Core.Flows

/// From when to when a flow is run, both in [0, 1]: forwards if it starts before it ends, else backwards.
[<Sealed>]
type TimeInterval private (from: float, until: float) =

    /// The time of the start batch.
    member _.From = from
    /// The time of the result.
    member _.Until = until
    /// Whether time grows.
    member _.IsForward = from < until
    /// The earlier of both times.
    member _.First = min from until
    /// The later of both times.
    member _.Last = max from until
    /// The way back.
    member _.Reversed = TimeInterval(until, from)

    /// The interval; throws an ArgumentException unless both times lie in [0, 1] and differ.
    static member Create(from: float, until: float) : TimeInterval =
        for name, time in [ nameof from, from; nameof until, until ] do
            if not (time >= 0.0 && time <= 1.0) then
                invalidArg name $"must lie in [0, 1] but is {time}"

        if from = until then
            invalidArg (nameof until) $"must differ from the start but both are {from}"

        TimeInterval(from, until)

/// Makes time intervals.
[<RequireQualifiedAccess>]
module TimeInterval =

    /// From 0 to 1: from the base law to the data.
    let whole: TimeInterval = TimeInterval.Create(0.0, 1.0)

    /// From 1 to 0: from the data to the base law.
    let back: TimeInterval = whole.Reversed

    let private shared (name: string) (time: InteriorTime) : float =
        if not time.IsShared then
            invalidArg name $"must be one time for the whole batch but is {time.Count} times of rows"

        time[0]

    /// Between two interior times: no field is asked at the ends 0 and 1, where scores and conversions may be singular.
    ///
    /// This cuts the flow off, and the cut is a bias: a batch of the law at time 0 that is taken for one of the law at time a, and a result that is of the law at time b and not at 1, are each off
    /// by O(a) and O(1 - b) in their moments, times the speed of the flow there. <c>NoiseLevel.inside</c> avoids this: it leaves out the score near the ends, and not the time.
    let between (from: InteriorTime) (until: InteriorTime) : TimeInterval =
        TimeInterval.Create(shared (nameof from) from, shared (nameof until) until)

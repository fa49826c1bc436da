namespace ValueFlow.Core.Flows

open System
open TorchSharp

/// Times in the open interval (0, 1): one for a whole batch, or one for each row. The ends, where conversions between targets are singular, have no such value.
[<Sealed>]
type InteriorTime private (times: float[], isShared: bool) =

    static let isInterior t = t > 0.0 && t < 1.0

    /// The time for a whole batch, or nothing unless 0 &lt; t &lt; 1.
    static member TryAt(t: float) : InteriorTime voption = if isInterior t then ValueSome(InteriorTime([| t |], true)) else ValueNone

    /// The times of rows, or nothing unless all lie in (0, 1).
    static member TryRows(times: float[]) : InteriorTime voption =
        if times.Length > 0 && Array.forall isInterior times then
            ValueSome(InteriorTime(Array.copy times, false))
        else
            ValueNone

    /// The time for a whole batch; throws an ArgumentException unless 0 &lt; t &lt; 1.
    static member At(t: float) : InteriorTime =
        match InteriorTime.TryAt t with
        | ValueSome time -> time
        | ValueNone -> invalidArg (nameof t) $"must lie in the open interval (0, 1) but is {t}"

    /// The times of rows; throws an ArgumentException that names the first row outside (0, 1).
    static member Rows(times: float[]) : InteriorTime =
        match InteriorTime.TryRows times with
        | ValueSome time -> time
        | ValueNone ->
            match times |> Array.tryFindIndex (isInterior >> not) with
            | Some row -> invalidArg (nameof times) $"row {row} must lie in the open interval (0, 1) but is {times[row]}"
            | None -> invalidArg (nameof times) "must have at least one row but has none"

    /// The times of a tensor: one number, or one for each row (B).
    static member OfTensor(t: torch.Tensor) : InteriorTime =
        if t.dim () > 1L then
            invalidArg (nameof t) $"must have no dimension or one but has {t.dim ()}"

        if t.dim () = 0L then
            InteriorTime.At((TimeRows.values t)[0])
        else
            InteriorTime.Rows(TimeRows.values t)

    /// Whether it is one time for the whole batch.
    member _.IsShared = isShared
    /// How many times there are.
    member _.Count = times.Length
    /// The time of a row (of the batch, if it is shared).
    member _.Item(row: int) : float = if isShared then times[0] else times[row]
    /// All times.
    member internal _.Values = ReadOnlyMemory(times).ToArray()

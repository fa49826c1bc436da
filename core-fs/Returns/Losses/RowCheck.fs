namespace ValueFlow.Core.Returns

#nowarn "9" // native pointers into pinned memory

open System
open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop

/// What the kernels ask of matrices that lie in memory row by row. A good matrix costs one fast pass; what is wrong is named with its row and column.
[<RequireQualifiedAccess>]
module internal RowCheck =

    let private fail (name: string) (width: int) (expectation: string) (wrong: float32 -> bool) (values: ReadOnlySpan<float32>) : unit =
        let mutable i = 0

        while i < values.Length && not (wrong values[i]) do
            i <- i + 1

        if i < values.Length then
            let place = if width = 1 then $"row {i}" else $"row {i / width}, column {i % width}"
            invalidArg name $"{place} must be {expectation} but is {values[i]}"

    // x - x is 0 for a finite x and not a number for any other; the sign of the least x, too.
    let private scan (values: ReadOnlySpan<float32>) : struct (bool * bool) =
        use p = fixed values
        let mutable rest = Vector256<float32>.Zero
        let mutable least = Vector256<float32>.Zero
        let mutable i = 0

        while i <= values.Length - 8 do
            let x = Vector256.Load(NativePtr.add p i)
            rest <- rest + (x - x)
            least <- Vector256.MinNative(least, x)
            i <- i + 8

        let mutable tail = 0.0f
        let mutable low = 0.0f

        while i < values.Length do
            tail <- tail + (values[i] - values[i])
            low <- MathF.Min(low, values[i])
            i <- i + 1

        let isFinite = Vector256.Sum rest + tail = 0.0f
        let isPositive = Vector256.EqualsAll(least, Vector256<float32>.Zero) && low = 0.0f
        struct (isFinite, isFinite && isPositive)

    /// Throws unless every number is finite.
    let finite (name: string) (width: int) (values: ReadOnlySpan<float32>) : unit =
        let struct (isFinite, _) = scan values

        if not isFinite then
            fail name width "finite" (Single.IsFinite >> not) values

    /// Throws unless every number is finite and not negative.
    let notNegative (name: string) (width: int) (values: ReadOnlySpan<float32>) : unit =
        let struct (_, isFine) = scan values

        if not isFine then
            fail name width "finite and not negative" (fun x -> not (Single.IsFinite x && x >= 0.0f)) values

    /// The number of rows of a matrix of the width; throws unless there is one, and every row is whole.
    let rows (name: string) (width: int) (values: ReadOnlySpan<float32>) : int =
        if values.Length = 0 || values.Length % width <> 0 then
            invalidArg name $"length must be a positive multiple of {width} but is {values.Length}"

        values.Length / width

    /// Throws unless the length is as it must be.
    let length (name: string) (expected: int) (found: int) : unit =
        if found <> expected then
            invalidArg name $"length must be {expected} but is {found}"

    /// Throws unless there is a thread to work on.
    let threads (count: int) : unit =
        if count < 1 then
            invalidArg "threads" $"threads must be at least 1 but are {count}"

/// Rows in equal shares on threads; one thread is the caller's, without any allocation.
[<RequireQualifiedAccess>]
module internal RowShares =

    /// Into how many shares rows are worth being cut: none smaller than <c>least</c>, in whatever unit <c>size</c> is all of them.
    let count (threads: int) (rows: int) (size: int64) (least: int64) : int = int (min (int64 (min threads rows)) (max 1L (size / least)))

    /// The sum of work(first, last) over shares of the rows [0, rows), last excluded.
    let sum (shares: int) (rows: int) (work: int -> int -> float) : float =
        let sums: float[] = Array.zeroCreate shares
        let border share = int (int64 rows * int64 share / int64 shares)

        Threading.Tasks.Parallel.For(0, shares, fun share -> sums[share] <- work (border share) (border (share + 1)))
        |> ignore

        Array.sum sums

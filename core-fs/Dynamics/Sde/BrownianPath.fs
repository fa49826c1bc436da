namespace ValueFlow.Core.Dynamics

open System
open System.Numerics
open TorchSharp
open ValueFlow.Core.Foundations

/// What a Brownian path does over an interval of length h: w = W(u) - W(s), of variance h, and the area between the path and its chord,
/// a = (1/h) int_s^u (W(r) - W(s)) dr - w / 2, independent of w and of variance h / 12.
[<Struct>]
type BrownianStep =
    {
        /// w, in the shape of the path.
        Increment: torch.Tensor
        /// a, in the shape of the path.
        Area: torch.Tensor
    }

/// A Brownian path as a pure function of a seed and an interval: the same question gets the same answer in any order, a finer grid refines the same path,
/// and backwards it is the same path. Nothing is stored but the last way down the tree.
///
/// The span is cut into cells, and every cell into halves for as long as it is asked. A half is drawn from the law of the path given the whole (for both the increment
/// and the area; Foster, Lyons and Oberhauser 2020, "An optimal polynomial approximation of Brownian motion"). Times are whole numbers of cells / 2^k, k at most 40:
/// there are no floating-point keys that could miss one another.
[<Sealed>]
type BrownianPath private (seed: int, from: float, until: float, cells: int, shape: int64[], dtype: torch.ScalarType) =

    let depth = 40
    let size = shape |> Array.fold (fun product n -> product * int n) 1
    let width = (until - from) / float cells
    let root = KeyedNoise.key seed
    // The way from a cell to the node that was asked for last: level, index within the cell, values.
    let spine = Array.zeroCreate<struct (int64 * float[] * float[])>(depth + 1)
    let mutable cell = -1
    let mutable known = 0

    let draw (key: uint64) (part: int64) : float[] =
        let numbers = Array.zeroCreate size
        KeyedNoise.normals (KeyedNoise.sub key part) numbers
        numbers

    let enter (wanted: int) =
        if cell <> wanted then
            let key = KeyedNoise.sub root (int64 wanted)
            let w, a = draw key 0L, draw key 1L
            let deviation, spread = sqrt width, sqrt (width / 12.0)
            spine[0] <- struct (0L, Array.map (fun z -> deviation * z) w, Array.map (fun z -> spread * z) a)
            cell <- wanted
            known <- 1

    // The halves of a node, given its values: w/2 +- (3a/2 + z), a/4 - z/2 +- n/2.
    let split (level: int) (index: int64) (right: bool) (w: float[]) (a: float[]) =
        let key = KeyedNoise.sub (KeyedNoise.sub (KeyedNoise.sub root (int64 cell)) (int64 (level + 2))) index
        let z, n = draw key 0L, draw key 1L
        let h = width * Math.ScaleB(1.0, -level)
        let deviation, spread = sqrt h / 4.0, sqrt (h / 12.0)
        let sign = if right then -1.0 else 1.0

        for i in 0 .. size - 1 do
            let z' = deviation * z[i]
            z[i] <- 0.5 * w[i] + sign * (1.5 * a[i] + z')
            n[i] <- 0.25 * a[i] - 0.5 * z' + sign * 0.5 * spread * n[i]

        struct (z, n)

    let node (inCell: int) (level: int) (index: int64) : struct (float[] * float[]) =
        enter inCell

        while known > 1
              && (known - 1 > level || (let struct (i, _, _) = spine[known - 1] in i <> (index >>> (level - known + 1)))) do
            known <- known - 1

        while known <= level do
            let struct (_, w, a) = spine[known - 1]
            let next = index >>> (level - known)
            let struct (w', a') = split (known - 1) (next >>> 1) (next &&& 1L = 1L) w a
            spine[known] <- struct (next, w', a')
            known <- known + 1

        let struct (_, w, a) = spine[level]
        struct (w, a)

    // How far rounding may have moved a time, in cells.
    let slack = 16.0 * Bound.unitRoundoff * (1.0 + Math.Max(abs from, abs until) / width)

    // A time in units of the finest grid, snapped to the coarsest grid that holds it but for rounding.
    let place (name: string) (time: float) : int64 =
        if not (time >= from - slack * width && time <= until + slack * width) then
            invalidArg name $"time must lie in [{from}, {until}] but is {time}"

        let mutable level = 0
        let scaled k = (time - from) / width * Math.ScaleB(1.0, k)

        while level < depth && abs (scaled level - Math.Round(scaled level)) > slack * Math.ScaleB(1.0, level) do
            level <- level + 1

        int64 (Math.Round(scaled level)) <<< (depth - level)

    // From the finest grid's s to u: the largest nodes, left to right.
    let between (s: int64) (u: int64) : struct (float[] * float[]) =
        let mutable w: float[] = Array.zeroCreate size
        let mutable a: float[] = Array.zeroCreate size
        let mutable at = s

        while at < u do
            let aligned = if at = 0L then depth else Math.Min(depth, BitOperations.TrailingZeroCount at)
            let fits = 63 - BitOperations.LeadingZeroCount(uint64 (u - at))
            let exponent = Math.Min(aligned, fits)
            let length = 1L <<< exponent
            let inside = at &&& ((1L <<< depth) - 1L)
            let struct (w', a') = node (int (at >>> depth)) (depth - exponent) (inside >>> exponent)
            let before, after = float (at - s), float length
            let whole = before + after

            if before = 0.0 then
                w <- Array.copy w'
                a <- Array.copy a'
            else
                // int over both parts of W - W(s), less the chord.
                for i in 0 .. size - 1 do
                    let sum = w[i] + w'[i]
                    let integral = before * (0.5 * w[i] + a[i]) + after * (w[i] + 0.5 * w'[i] + a'[i])
                    w[i] <- sum
                    a[i] <- integral / whole - 0.5 * sum

            at <- at + length

        struct (w, a)

    let tensor (values: float[]) (sign: float) : torch.Tensor =
        Lifetime.keep (fun () ->
            let values = if sign < 0.0 then Array.map (fun v -> -v) values else values
            (torch.tensor (values, dtype = torch.float64)).reshape(shape).``to``(dtype))

    /// The seed.
    member _.Seed = seed
    /// Where the path starts.
    member _.From = from
    /// Where it ends.
    member _.Until = until
    /// The number of cells that the span is cut into.
    member _.Cells = cells
    /// The shape of its values.
    member _.Shape = Array.copy shape

    /// The path over [s, u]; for u &lt; s the one that runs back, whose increment is the negative and whose area is the same.
    /// Throws an ArgumentException for a time outside the span.
    member _.Step(s: float, u: float) : BrownianStep =
        let first, last = place (nameof s) s, place (nameof u) u

        lock spine (fun () ->
            let struct (w, a) = between (Math.Min(first, last)) (Math.Max(first, last))
            { Increment = tensor w (if last < first then -1.0 else 1.0); Area = tensor a 1.0 })

    /// W(u) - W(s).
    member _.Increment(s: float, u: float) : torch.Tensor =
        let first, last = place (nameof s) s, place (nameof u) u

        lock spine (fun () ->
            let struct (w, _) = between (Math.Min(first, last)) (Math.Max(first, last))
            tensor w (if last < first then -1.0 else 1.0))

    /// A path from <c>from</c> to <c>until</c> with values of a shape and type. Its grid is the span in <c>cells</c> equal parts, halved as often as is asked:
    /// with 100 cells it serves 100, 200, 400, ... equal steps.
    static member Create(seed: int, from: float, until: float, cells: int, shape: int64 list, dtype: torch.ScalarType) : BrownianPath =
        if not (Double.IsFinite from && Double.IsFinite until && from < until) then
            invalidArg (nameof until) $"a path must end after it starts, at finite times, but goes from {from} to {until}"

        if cells < 1 || cells > (1 <<< 20) then
            invalidArg (nameof cells) $"cells must lie in [1, {1 <<< 20}] but are {cells}"

        if shape |> List.exists (fun n -> n < 1L) then
            invalidArg (nameof shape) $"sizes must be positive but are %A{shape}"

        if dtype <> torch.float32 && dtype <> torch.float64 then
            invalidArg (nameof dtype) $"type must be Float32 or Float64 but is {dtype}"

        BrownianPath(seed, from, until, cells, Array.ofList shape, dtype)

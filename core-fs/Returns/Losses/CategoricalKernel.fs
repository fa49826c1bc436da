namespace ValueFlow.Core.Returns

#nowarn "9" // native pointers into pinned memory

open System
open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop

/// The bootstrap of categorical laws, r + c Z, brought back to the support they share: a batch at once, in float32, no memory taken.
[<RequireQualifiedAccess>]
module CategoricalKernel =

    // Places beyond the ends by less than this share of a gap are rounding, not clipping.
    [<Literal>]
    let private Slack = 1e-4f

    // Where atom j lands, in gaps from the least atom: start + slope j, which grows with j.
    let inline private place (start: float32) (slope: float32) (j: int) = MathF.FusedMultiplyAdd(slope, float32 j, start)

    let private lanes: Vector256<float32> = Vector256.Create(0.0f, 1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f)

    // The lower neighbour of every place, and how the mass is shared between both.
    let private split
        (count: int)
        (start: float32)
        (slope: float32)
        (masses: nativeptr<float32>)
        (cells: nativeptr<int>)
        (lower: nativeptr<float32>)
        (upper: nativeptr<float32>)
        : unit =
        let last = float32 (count - 1)

        if count >= 8 then
            let starts, slopes = Vector256.Create(start: float32), Vector256.Create(slope: float32)
            let ends, edge = Vector256.Create(last: float32), Vector256.Create((last - 1.0f): float32)
            let mutable j = 0

            while j < count do
                // The last vector reaches back and says the same again.
                let from = min j (count - 8)
                let at = Vector256.FusedMultiplyAdd(slopes, lanes + Vector256.Create(float32 from: float32), starts)
                let at = Vector256.MinNative(ends, Vector256.MaxNative(Vector256<float32>.Zero, at))
                let cell = Vector256.MinNative(edge, Vector256.Floor at)
                let mass = Vector256.Load(NativePtr.add masses from)
                let above = mass * (at - cell)
                (Vector256.ConvertToInt32Native cell).Store(NativePtr.add cells from)
                (mass - above).Store(NativePtr.add lower from)
                above.Store(NativePtr.add upper from)
                j <- j + 8
        else
            for j in 0 .. count - 1 do
                let at = MathF.Min(last, MathF.Max(0.0f, place start slope j))
                let cell = MathF.Min(last - 1.0f, MathF.Floor at)
                let above = NativePtr.get masses j * (at - cell)
                NativePtr.set cells j (int cell)
                NativePtr.set lower j (NativePtr.get masses j - above)
                NativePtr.set upper j above

    let inline private addAt (into: nativeptr<float32>) (cells: nativeptr<int>) (amounts: nativeptr<float32>) (j: int) : unit =
        let place = NativePtr.add into (NativePtr.get cells j)
        NativePtr.write place (NativePtr.read place + NativePtr.get amounts j)

    // into(cell j) += amount j, four at a time: the compiler unrolls no loop by itself.
    let private scatter (count: int) (cells: nativeptr<int>) (amounts: nativeptr<float32>) (into: nativeptr<float32>) : unit =
        let mutable j = 0

        while j <= count - 4 do
            addAt into cells amounts j
            addAt into cells amounts (j + 1)
            addAt into cells amounts (j + 2)
            addAt into cells amounts (j + 3)
            j <- j + 4

        while j < count do
            addAt into cells amounts j
            j <- j + 1

    // The mass of the atoms that land outside: at either end of the row.
    let private clipped (count: int) (start: float32) (slope: float32) (masses: nativeptr<float32>) : float =
        let last = float32 (count - 1)
        let mutable mass = 0.0
        let mutable j = 0

        while j < count && place start slope j < -Slack do
            mass <- mass + float (NativePtr.get masses j)
            j <- j + 1

        let least = j
        j <- count - 1

        while j >= least && place start slope j > last + Slack do
            mass <- mass + float (NativePtr.get masses j)
            j <- j - 1

        mass

    let private projectRows
        (support: Support)
        (rewards: nativeptr<float32>)
        (discounts: nativeptr<float32>)
        (masses: nativeptr<float32>)
        (projected: nativeptr<float32>)
        (scratch: nativeptr<int>)
        (first: int)
        (last: int)
        : float =
        let count = support.Count
        let lower = NativePtr.ofNativeInt<float32>(NativePtr.toNativeInt (NativePtr.add scratch count))
        let upper = NativePtr.add lower count
        let mutable lost = 0.0

        for row in first .. last - 1 do
            let discount = float (NativePtr.get discounts row)

            let start = float32 ((float (NativePtr.get rewards row) + discount * support.Least - support.Least) / support.Gap)

            let from = NativePtr.add masses (row * count)
            split count start (float32 discount) from scratch lower upper
            let into = NativePtr.add projected (row * count)
            Span<float32>(NativePtr.toVoidPtr into, count).Clear()
            // Two passes, so that neighbours in one pass do not wait for each other's sums.
            scatter count scratch lower into
            scatter count scratch upper (NativePtr.add into 1)
            lost <- lost + clipped count start (float32 discount) from

        lost

    let private projectShare support rewards discounts masses projected first last =
        let rented = Buffers.ArrayPool<int>.Shared.Rent(3 * (support: Support).Count)
        use scratch = fixed rented
        let lost = projectRows support rewards discounts masses projected scratch first last
        Buffers.ArrayPool<int>.Shared.Return rented
        lost

    // Places are float32: they must tell neighbouring atoms well apart.
    [<Literal>]
    let private MostAtoms = 65536

    // Fewer atoms, some 30 microseconds of work, do not pay for a thread.
    [<Literal>]
    let private LeastShare = 16384L

    /// For each row b of a batch the law of r(b) + c(b) Z, Z with the row's masses on the support, projected onto the support:
    /// projected(b, i) = sum over j of masses(b, j) max(0, 1 - |y(j) - z(i)| / gap), y(j) = r(b) + c(b) z(j) clipped to [least, largest].
    ///
    /// A row keeps its mass, and its mean where nothing is clipped, both up to rounding; an atom that lands on an atom stays whole, at both ends, too. Returned is the
    /// mass that was clipped, summed over the batch (1e-4 of a gap beyond an end counts as rounding): a support that is wide enough has none.
    ///
    /// <c>rewards</c> and <c>discounts</c> hold one number a row, <c>masses</c> and <c>projected</c> count numbers a row. The discount is what multiplies the next law: 0 where
    /// the step terminated the episode; a step that was only cut off (truncated) keeps its discount, since the return would have gone on. There are at most so many threads; a small
    /// batch is not cut, and on one thread no memory is taken. Throws an ArgumentException for lengths that do not fit, overlapping results, and numbers that are not finite, or negative masses and discounts.
    /// Bellemare, Dabney and Munos 2017, "A distributional perspective on reinforcement learning"; the projection keeps means: Rowland et al. 2018, "An analysis of categorical distributional
    /// reinforcement learning".
    let project
        (support: Support)
        (threads: int)
        (rewards: ReadOnlySpan<float32>)
        (discounts: ReadOnlySpan<float32>)
        (masses: ReadOnlySpan<float32>)
        (projected: Span<float32>)
        : float =
        RowCheck.threads threads

        if support.Count > MostAtoms then
            invalidArg (nameof support) $"the support must have at most {MostAtoms} atoms but has {support.Count}"

        let rows = RowCheck.rows (nameof masses) support.Count masses
        RowCheck.length (nameof rewards) rows rewards.Length
        RowCheck.length (nameof discounts) rows discounts.Length
        RowCheck.length (nameof projected) masses.Length projected.Length
        RowCheck.finite (nameof rewards) 1 rewards
        RowCheck.notNegative (nameof discounts) 1 discounts
        RowCheck.notNegative (nameof masses) support.Count masses

        if MemoryExtensions.Overlaps(masses, Span.op_Implicit projected) then
            invalidArg (nameof projected) "projected must lie in memory of its own but overlaps masses"

        use pr = fixed rewards
        use pd = fixed discounts
        use pm = fixed masses
        use pp = fixed projected

        let shares = RowShares.count threads rows (int64 masses.Length) LeastShare

        if shares = 1 then
            projectShare support pr pd pm pp 0 rows
        else
            let r, d, m, p = NativePtr.toNativeInt pr, NativePtr.toNativeInt pd, NativePtr.toNativeInt pm, NativePtr.toNativeInt pp
            let at (address: nativeint) = NativePtr.ofNativeInt<float32> address
            RowShares.sum shares rows (fun first last -> projectShare support (at r) (at d) (at m) (at p) first last)

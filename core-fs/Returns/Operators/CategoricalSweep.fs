namespace ValueFlow.Core.Returns

#nowarn "9" // Laws that come next are asked for by address.

open System
open System.Buffers
open System.Numerics
open System.Runtime.Intrinsics.X86
open Microsoft.FSharp.NativeInterop

/// The categorical push-forward of all places in one pass. The projection is linear in the law: so the laws that share a reward and a
/// discount are mixed first, many at a time, and each mixture is projected once.
module internal CategoricalSweep =

    // Branches between the law that is read and the one that is asked for.
    let private ahead = 8

    // Laws lie all over the table: they are asked for before they are needed, a line of 64 bytes at a time. Reading is twice as fast for
    // it.
    let inline private ask (table: nativeptr<float>) (count: int) (targets: int[]) (branch: int) =
        if Sse.IsSupported && branch < targets.Length then
            let law = NativePtr.add table (count * Math.Max(0, targets[branch]))
            let mutable line = 0

            while line < count do
                Sse.Prefetch0(NativePtr.toVoidPtr (NativePtr.add law line))
                line <- line + 8

    // mixed = sum of weights(k) * law at targets(k), for the branches first .. last - 1; four laws at a time.
    let private mix
        (source: float[], table: nativeptr<float>, count: int, weights: float[], targets: int[], first: int, last: int, mixed: float[])
        : unit =
        let width = Vector<float>.Count
        let vectors = count - count % width
        let mutable k = first

        while k < last do
            let fresh = k = first

            for next in k + ahead .. Math.Min(k + 4, last) + ahead - 1 do
                ask table count targets next

            // Where fewer than four are left, the last one is read again with weight zero.
            let weight j = if k + j < last then weights[k + j] else 0.0
            let start j = count * targets[Math.Min(k + j, last - 1)]
            let a, b, c, d = start 0, start 1, start 2, start 3
            let wa, wb, wc, wd = weight 0, weight 1, weight 2, weight 3
            let va, vb, vc, vd = Vector<float> wa, Vector<float> wb, Vector<float> wc, Vector<float> wd
            let mutable i = 0

            while i < vectors do
                let sum =
                    (va * Vector<float>(source, a + i) + vb * Vector<float>(source, b + i))
                    + (vc * Vector<float>(source, c + i) + vd * Vector<float>(source, d + i))

                let sum = if fresh then sum else sum + Vector<float>(mixed, i)
                sum.CopyTo(mixed, i)
                i <- i + width

            while i < count do
                let sum = (wa * source[a + i] + wb * source[b + i]) + (wc * source[c + i] + wd * source[d + i])
                mixed[i] <- if fresh then sum else sum + mixed[i]
                i <- i + 1

            k <- k + 4

    // Splits weight times the mass of atom i (from start on), moved to position origin + discount i (in gaps), between the atoms beside it:
    // lower shares and upper shares apart, so that neighbouring atoms do not wait for one another.
    let private split
        (law: float[], start: int, count: int, weight: float, origin: float, discount: float, lowerShares: float[], upperShares: float[])
        : unit =
        let last = float (count - 1)

        for i in 0 .. count - 1 do
            let mass = weight * law[start + i]
            let inside = Double.MinNative(Double.MaxNative(origin + discount * float i, 0.0), last)
            let lower = Double.ConvertToIntegerNative<int> inside
            let upper = mass * (inside - float lower)
            lowerShares[lower] <- lowerShares[lower] + (mass - upper)
            upperShares[lower] <- upperShares[lower] + upper

    // Where r + gamma z(0) lies, in gaps from z(0).
    let origin (support: Support) (reward: float) (discount: float) = (reward + (discount - 1.0) * support.Least) / support.Gap

    let private block (branches: Branches, support: Support, zero: float[], source: float[], destination: float[], first: int, last: int) =
        let count = support.Count
        let mixed = ArrayPool<float>.Shared.Rent count
        let lowerShares = ArrayPool<float>.Shared.Rent(count + 1)
        let upperShares = ArrayPool<float>.Shared.Rent(count + 1)
        let groupOffsets, offsets = branches.GroupOffsets, branches.Offsets
        let weights, targets = branches.Weights, branches.Targets
        use table = fixed source

        for place in first .. last - 1 do
            let from, until = groupOffsets[place], groupOffsets[place + 1]
            let start = place * count

            if from = until then
                Array.Copy(zero, 0, destination, start, count)
            else
                Array.Clear(lowerShares, 0, count + 1)
                Array.Clear(upperShares, 0, count + 1)

                for group in from .. until - 1 do
                    let reward, discount = branches.Rewards[group], branches.Discounts[group]
                    let position = origin support reward discount

                    if targets[offsets[group]] < 0 then
                        // Nothing follows: the law of the reward.
                        let at = Math.Min(Math.Max((reward - support.Least) / support.Gap, 0.0), float (count - 1))
                        let lower = int at
                        let upper = weights[offsets[group]] * (at - float lower)
                        lowerShares[lower] <- lowerShares[lower] + (weights[offsets[group]] - upper)
                        upperShares[lower] <- upperShares[lower] + upper
                    elif offsets[group + 1] = offsets[group] + 1 then
                        let branch = offsets[group]
                        ask table count targets (branch + ahead)
                        split (source, count * targets[branch], count, weights[branch], position, discount, lowerShares, upperShares)
                    else
                        mix (source, table, count, weights, targets, offsets[group], offsets[group + 1], mixed)
                        split (mixed, 0, count, 1.0, position, discount, lowerShares, upperShares)

                let mutable total = 0.0
                let mutable carried = 0.0

                for i in 0 .. count - 1 do
                    let mass = lowerShares[i] + carried
                    carried <- upperShares[i]
                    destination[start + i] <- mass
                    total <- total + mass

                let scale = 1.0 / total

                for i in start .. start + count - 1 do
                    destination[i] <- scale * destination[i]

        ArrayPool<float>.Shared.Return mixed
        ArrayPool<float>.Shared.Return lowerShares
        ArrayPool<float>.Shared.Return upperShares

    /// Writes the projected laws of all places of the branches over the destination; <c>zero</c> is the projected law of 0.
    let run (branches: Branches) (support: Support) (zero: float[]) (source: float[]) (destination: float[]) : unit =
        let atoms = int64 branches.Count * int64 support.Count
        Blocks.run branches.Places atoms (fun first last -> block (branches, support, zero, source, destination, first, last))

namespace ValueFlow.Core.Returns

open System
open System.Buffers
open System.Runtime.CompilerServices
open ValueFlow.Core.Foundations

/// The quantiles of the push-forward of all places: the sorted values of each branch are merged, two lists at a time, and the midpoint levels are read off.
module internal QuantileSweep =

    // Merges the sorted lists a (first .. middle - 1) and b (middle .. last - 1) into values and weights from first on.
    [<MethodImpl(MethodImplOptions.AggressiveOptimization)>]
    let private merge (values: float[], weights: float[], first: int, middle: int, last: int, toValues: float[], toWeights: float[]) =
        let mutable i, j = first, middle

        for next in first .. last - 1 do
            let fromFirst = j >= last || (i < middle && values[i] <= values[j])
            let taken = if fromFirst then i else j
            toValues[next] <- values[taken]
            toWeights[next] <- weights[taken]

            if fromFirst then i <- i + 1 else j <- j + 1

    // Sorted lists of a length side by side become one; the arrays change places. Returns those that hold it.
    let private mergeAll (values: float[]) (weights: float[]) (otherValues: float[]) (otherWeights: float[]) (length: int) (count: int) =
        let mutable v, w, ov, ow = values, weights, otherValues, otherWeights
        let mutable length = length

        while length < count do
            let mutable first = 0

            while first < count do
                let middle = Math.Min(first + length, count)
                merge (v, w, first, middle, Math.Min(middle + length, count), ov, ow)
                first <- first + 2 * length

            let sv, sw = v, w
            v <- ov
            w <- ow
            ov <- sv
            ow <- sw
            length <- 2 * length

        struct (v, w)

    [<MethodImpl(MethodImplOptions.AggressiveOptimization)>]
    let private block (branches: Branches, count: int, source: float[], destination: float[], first: int, last: int) =
        let most = count * branches.MostBranches
        let rent () = ArrayPool<float>.Shared.Rent(Math.Max(1, most))
        let values, weights, otherValues, otherWeights = rent (), rent (), rent (), rent ()

        for place in first .. last - 1 do
            let start = place * count
            let mutable atoms = 0

            for group in branches.GroupOffsets[place] .. branches.GroupOffsets[place + 1] - 1 do
                let reward, discount = branches.Rewards[group], branches.Discounts[group]

                for k in branches.Offsets[group] .. branches.Offsets[group + 1] - 1 do
                    let share = branches.Weights[k] / float count
                    let target = branches.Targets[k]
                    let mutable sorted = true

                    for i in 0 .. count - 1 do
                        let value = if target < 0 then reward else reward + discount * source[target * count + i]
                        values[atoms + i] <- value
                        weights[atoms + i] <- share
                        sorted <- sorted && (i = 0 || values[atoms + i - 1] <= value)

                    // Only an extrapolation leaves values out of order.
                    if not sorted then
                        Array.Sort(values, atoms, count)

                    atoms <- atoms + count

            if atoms = 0 then
                Array.Clear(destination, start, count)
            else
                let struct (v, w) = mergeAll values weights otherValues otherWeights count atoms
                let mutable k = 0
                let mutable mass = w[0]

                for i in 0 .. count - 1 do
                    let level = (2.0 * float i + 1.0) / (2.0 * float count) - Quantile.slack

                    while mass < level && k < atoms - 1 do
                        k <- k + 1
                        mass <- mass + w[k]

                    destination[start + i] <- v[k]

        for array in [| values; weights; otherValues; otherWeights |] do
            ArrayPool<float>.Shared.Return array

    /// Writes the quantiles of all places of the branches over the destination.
    let run (branches: Branches) (count: int) (source: float[]) (destination: float[]) : unit =
        let atoms = int64 branches.Count * int64 count
        Blocks.run branches.Places atoms (fun first last -> block (branches, count, source, destination, first, last))

/// N quantiles of each law, at the midpoint levels. The projected operator contracts by the largest discount in the largest W_infinity, keeps the order, and is no contraction in W_1. A quantile
/// jumps where a level is reached exactly, so that no rounding bound is stated and no run is certified. Dabney, Rowland, Bellemare and Munos 2018, "Distributional reinforcement learning with quantile regression".
[<Sealed>]
type QuantileRepresentation(count: int) =
    inherit Representation<QuantileTable>($"{count} quantiles", Quantile.space)

    do
        if count < 1 then
            invalidArg (nameof count) $"count must be at least 1 but is {count}"

    /// The number of quantiles.
    member _.Count = count

    override _.OfLaws laws = Quantile.ofLaws count laws
    override _.Monotone = true

    override _.Claims branches =
        [
            {
                Metric = Quantile.wasserstein
                Modulus = Bound.above branches.LargestDiscount
                Rounding = ValueNone
                Source = "Dabney et al. 2018, Distributional reinforcement learning with quantile regression"
            }
        ]

    member private _.Require(branches: Branches, table: QuantileTable) =
        branches.Require table
        Shape.requireLength (nameof table) count table.Count

    override this.Apply(branches, table) =
        this.Require(branches, table)
        let values = Array.zeroCreate (branches.Places * count)
        QuantileSweep.run branches count table.Numbers values
        QuantileTable(count, branches.Places, values)

    override this.Into branches =
        ValueSome(
            Into(fun table destination ->
                this.Require(branches, table)
                Shape.requireLength (nameof destination) (branches.Places * count) destination.Numbers.Length
                QuantileSweep.run branches count table.Numbers destination.Numbers)
        )

namespace ValueFlow.Core.Returns

open System
open System.Buffers
open System.Numerics
open System.Numerics.Tensors
open ValueFlow.Core.Foundations

/// The quantiles of the push-forward of all places: the values of all branches are sorted with their masses, and the midpoint levels are
/// read off.
module internal QuantileSweep =

    // The bucket of a value among as many as there are values; the same order as that of the values.
    let inline private bucketOf (least: float) (scale: float) (last: int) (value: float) =
        Math.Min(last, Double.ConvertToIntegerNative<int>((value - least) * scale))

    // Sorts the first values with their weights into the other arrays: by even buckets, and then within each.
    let sort (values: float[], weights: float[], count: int, ends: int[], toValues: float[], toWeights: float[]) : unit =
        let all = ReadOnlySpan(values, 0, count)
        let least, largest = TensorPrimitives.Min all, TensorPrimitives.Max all
        let scale = float count / (largest - least)
        // Where all values are one, or nearly so, one bucket takes all of them.
        let scale = if Double.IsFinite scale then scale else 0.0
        Array.Clear(ends, 0, count)

        for i in 0 .. count - 1 do
            let bucket = bucketOf least scale (count - 1) values[i]
            ends[bucket] <- ends[bucket] + 1

        let mutable sum = 0

        for bucket in 0 .. count - 1 do
            let own = ends[bucket]
            ends[bucket] <- sum
            sum <- sum + own

        for i in 0 .. count - 1 do
            let bucket = bucketOf least scale (count - 1) values[i]
            let place = ends[bucket]
            toValues[place] <- values[i]
            toWeights[place] <- weights[i]
            ends[bucket] <- place + 1

        let mutable first = 0

        for bucket in 0 .. count - 1 do
            let next = ends[bucket]

            if next - first > 16 then
                Array.Sort(toValues, toWeights, first, next - first)
            else
                for i in first + 1 .. next - 1 do
                    let value, weight = toValues[i], toWeights[i]
                    let mutable j = i

                    while j > first && toValues[j - 1] > value do
                        toValues[j] <- toValues[j - 1]
                        toWeights[j] <- toWeights[j - 1]
                        j <- j - 1

                    toValues[j] <- value
                    toWeights[j] <- weight

            first <- next

    let private block (branches: Branches, count: int, source: float[], destination: float[], first: int, last: int) =
        let most = count * branches.MostBranches
        let vectors = count - count % Vector<float>.Count
        let rent () = ArrayPool<float>.Shared.Rent(Math.Max(1, most))
        let values, weights, sortedValues, sortedWeights = rent (), rent (), rent (), rent ()
        let ends = ArrayPool<int>.Shared.Rent(Math.Max(1, most))

        for place in first .. last - 1 do
            let start = place * count
            let mutable atoms = 0

            for group in branches.GroupOffsets[place] .. branches.GroupOffsets[place + 1] - 1 do
                let reward, discount = branches.Rewards[group], branches.Discounts[group]

                for k in branches.Offsets[group] .. branches.Offsets[group + 1] - 1 do
                    let target = branches.Targets[k]

                    if target < 0 then
                        values[atoms] <- reward
                        weights[atoms] <- branches.Weights[k]
                        atoms <- atoms + 1
                    else
                        let share = branches.Weights[k] / float count
                        let from = target * count

                        let mutable i = 0

                        while i < vectors do
                            let follows = Vector<float>(source, from + i)
                            (Vector<float> reward + Vector<float> discount * follows).CopyTo(values, atoms + i)
                            i <- i + Vector<float>.Count

                        while i < count do
                            values[atoms + i] <- reward + discount * source[from + i]
                            i <- i + 1

                        Array.Fill(weights, share, atoms, count)
                        atoms <- atoms + count

            if atoms = 0 then
                Array.Clear(destination, start, count)
            else
                sort (values, weights, atoms, ends, sortedValues, sortedWeights)
                let mutable k = 0
                let mutable mass = sortedWeights[0]

                for i in 0 .. count - 1 do
                    let level = (2.0 * float i + 1.0) / (2.0 * float count) - Quantile.slack

                    while mass < level && k < atoms - 1 do
                        k <- k + 1
                        mass <- mass + sortedWeights[k]

                    destination[start + i] <- sortedValues[k]

        for array in [| values; weights; sortedValues; sortedWeights |] do
            ArrayPool<float>.Shared.Return array

        ArrayPool<int>.Shared.Return ends

    /// Writes the quantiles of all places of the branches over the destination.
    let run (branches: Branches) (count: int) (source: float[]) (destination: float[]) : unit =
        let atoms = int64 branches.Count * int64 count
        Blocks.run branches.Places atoms (fun first last -> block (branches, count, source, destination, first, last))

/// N quantiles of each law, at the midpoint levels. The projected operator contracts by the largest discount in the largest W_infinity,
/// keeps the order, and is no contraction in W_1. A quantile jumps where a level is reached exactly, so that no rounding bound is stated
/// and no run is certified. Dabney, Rowland, Bellemare and Munos 2018, "Distributional reinforcement learning with quantile regression".
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

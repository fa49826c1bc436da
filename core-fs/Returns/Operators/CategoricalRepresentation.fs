namespace ValueFlow.Core.Returns

open System
open ValueFlow.Core.Foundations

/// What one application moved to the ends of the support, the largest over places.
type Clipping =
    {
        /// The mass that was moved up to the least atom.
        Below: float
        /// The mass that was moved down to the largest atom.
        Above: float
        /// |the mean after less the mean before|.
        MeanShift: float
    }

    /// Nothing was moved.
    static member None = { Below = 0.0; Above = 0.0; MeanShift = 0.0 }

/// Categorical laws on a support. The projected operator contracts by max E gamma in the largest W_1, and by the root of that in the
/// largest l_2: the projection takes means of distribution functions over gaps, so that it expands no l_p (l_1 is W_1); in W_2 the discount
/// is no modulus. Rowland, Bellemare, Dabney, Munos and Teh 2018, "An analysis of categorical distributional reinforcement learning".
[<Sealed>]
type CategoricalRepresentation(support: Support) =
    inherit Representation<CategoricalTable>($"categorical, {support}", Categorical.space)

    let source = "Rowland et al. 2018, An analysis of categorical distributional reinforcement learning"
    let zero = Categorical.twoHot support 0.0

    // A bound on |F computed - F exact| everywhere. Positions are off by their own rounding, in gaps, and every mass is a sum of products
    // that are not negative; the distance of two tables is rounded as well.
    let roundingOf (branches: Branches) =
        let count = float support.Count
        let end' = Math.Max(abs support.Least, abs support.Largest)
        let positions = 8.0 * ((branches.LargestReward + 2.0 * end') / support.Gap + count)
        let sums = 3.0 * float branches.MostBranches + 2.0 * count * float branches.MostGroups + 4.0 * count + 32.0
        let distances = 3.0 * count
        Bound.unitRoundoff * (positions + sums + distances)

    /// The support.
    member _.Support = support

    override _.OfLaws laws = Categorical.ofLaws support laws

    override _.Claims branches =
        let rounding = roundingOf branches
        let inWasserstein, inCramer = rounding * support.Range, rounding * sqrt support.Range

        [
            {
                Metric = Categorical.wasserstein
                Modulus = branches.MeanDiscount
                Rounding = ValueSome(fun _ -> inWasserstein)
                Source = source
            }
            {
                Metric = Categorical.cramer
                Modulus = Math.BitIncrement(sqrt branches.MeanDiscount)
                Rounding = ValueSome(fun _ -> inCramer)
                Source = source
            }
        ]

    member private _.Require(branches: Branches, table: CategoricalTable) =
        branches.Require table

        if not (table.Support.Equals support) then
            invalidArg (nameof table) $"the support must be {support} but is {table.Support}"

    override this.Apply(branches, table) =
        this.Require(branches, table)
        let masses = Array.zeroCreate (branches.Places * support.Count)
        CategoricalSweep.run branches support zero table.Numbers masses
        CategoricalTable(support, branches.Places, masses)

    override this.Into branches =
        ValueSome(
            Into(fun table destination ->
                this.Require(branches, table)
                Shape.requireLength (nameof destination) (branches.Places * support.Count) destination.Numbers.Length
                CategoricalSweep.run branches support zero table.Numbers destination.Numbers)
        )

    /// True if no application along the branches moves a mass to an end of the support.
    member _.Covers(branches: Branches) : bool =
        let slack = Categorical.outside * support.Gap
        let inside x = x >= support.Least - slack && x <= support.Largest + slack

        let group g =
            let reward, discount = branches.Rewards[g], branches.Discounts[g]

            if branches.Targets[branches.Offsets[g]] < 0 then
                inside reward
            else
                inside (reward + discount * support.Least) && inside (reward + discount * support.Largest)

        let place p = if branches.GroupOffsets[p] = branches.GroupOffsets[p + 1] then inside 0.0 else true

        Seq.forall group (seq { 0 .. branches.Rewards.Length - 1 })
        && Seq.forall place (seq { 0 .. branches.Places - 1 })

    /// W_1 &lt;= gap / (2 (1 - g)) for g = max E gamma, if the support covers the branches: one projection moves a law by gap / 2 at most,
    /// and the operator contracts by g.
    override this.Distortion branches =
        if branches.MeanDiscount < 1.0 && this.Covers branches then
            0.5 * support.Gap / (1.0 - branches.MeanDiscount)
        else
            Double.PositiveInfinity

    /// The same in l_2: l_2^2 &lt;= gap / (4 (1 - g)). The projection is orthogonal in l_2, so that squares add up: l_2^2 &lt;= gap / 4 + g
    /// l_2^2.
    member this.CramerDistortion(branches: Branches) : float =
        if branches.MeanDiscount < 1.0 && this.Covers branches then
            sqrt (0.25 * support.Gap / (1.0 - branches.MeanDiscount))
        else
            Double.PositiveInfinity

    /// What an application to the table moves to the ends of the support.
    member this.Clipping(branches: Branches, table: CategoricalTable) : Clipping =
        this.Require(branches, table)

        let last = float (support.Count - 1)
        let mutable worst = Clipping.None

        for place in 0 .. branches.Places - 1 do
            // Below, above, shift of the mean.
            let moved = [| 0.0; 0.0; 0.0 |]

            let count (mass: float) (position: float) =
                if position < -Categorical.outside then
                    moved[0] <- moved[0] + mass
                    moved[2] <- moved[2] - mass * position * support.Gap
                elif position > last + Categorical.outside then
                    moved[1] <- moved[1] + mass
                    moved[2] <- moved[2] - mass * (position - last) * support.Gap

            for group in branches.GroupOffsets[place] .. branches.GroupOffsets[place + 1] - 1 do
                let reward, discount = branches.Rewards[group], branches.Discounts[group]
                let origin = CategoricalSweep.origin support reward discount
                let clips = origin < 0.0 || origin + discount * last > last

                for k in branches.Offsets[group] .. branches.Offsets[group + 1] - 1 do
                    if branches.Targets[k] < 0 then
                        count branches.Weights[k] ((reward - support.Least) / support.Gap)
                    elif clips then
                        for i in 0 .. support.Count - 1 do
                            count
                                (branches.Weights[k] * table.Numbers[branches.Targets[k] * support.Count + i])
                                (origin + discount * float i)

            if branches.GroupOffsets[place] = branches.GroupOffsets[place + 1] then
                count 1.0 (-support.Least / support.Gap)

            worst <-
                {
                    Below = Math.Max(worst.Below, moved[0])
                    Above = Math.Max(worst.Above, moved[1])
                    MeanShift = Math.Max(worst.MeanShift, abs moved[2])
                }

        worst

    /// The smallest support that covers the branches with so many atoms: from min r / (1 - gamma) to max r / (1 - gamma), with 0 where a
    /// place has no branches; wider by 1 if that is one point. Discounts must be less than one.
    static member Covering(count: int, branches: Branches) : Support =
        if not (branches.LargestDiscount < 1.0) then
            invalidArg (nameof branches) $"discounts must be less than 1 but the largest is {branches.LargestDiscount}"

        let ends = Array.map2 (fun reward discount -> reward / (1.0 - discount)) branches.Rewards branches.Discounts

        let silent =
            seq { 0 .. branches.Places - 1 }
            |> Seq.exists (fun p -> branches.GroupOffsets[p] = branches.GroupOffsets[p + 1])

        let ends = if silent || ends.Length = 0 then Array.append ends [| 0.0 |] else ends
        let least, largest = Array.min ends, Array.max ends

        if largest > least then
            Support(least, largest, count)
        else
            Support(least - 0.5, largest + 0.5, count)

namespace ValueFlow.Core.Returns

open System
open ValueFlow.Core.Foundations

/// The laws as they are, without a projection: atoms multiply with every application. Atoms within <c>joining</c> of one another are
/// joined, which moves no outcome further than that; an ArgumentException names both counts where a law then has more than
/// <c>mostAtoms</c>. The push-forward contracts by (max E gamma^p)^(1/p) in the largest W_p, by the largest discount in W_infinity, by
/// sqrt(max E gamma) in the largest l_2, and in no distance that is blind to how far atoms lie apart. Bellemare, Dabney and Munos 2017.
[<Sealed>]
type ExactRepresentation(joining: float, mostAtoms: int) =
    inherit Representation<LawTable>("exact laws", Laws.space)

    do
        if not (joining >= 0.0 && Double.IsFinite joining) then
            invalidArg (nameof joining) $"joining must be finite and not negative but is {joining}"

        if mostAtoms < 1 then
            invalidArg (nameof mostAtoms) $"mostAtoms must be at least 1 but is {mostAtoms}"

    /// Atoms this near are joined.
    member _.Joining = joining
    /// The most atoms of a law.
    member _.MostAtoms = mostAtoms

    override _.OfLaws laws =
        laws
        |> Array.mapi (fun place law ->
            let joined = if joining > 0.0 then Distribution.joined joining law else law

            if joined.Count > mostAtoms then
                invalidArg (nameof mostAtoms) $"a law must have at most {mostAtoms} atoms but that of place {place} has {joined.Count}"

            joined)
        |> LawTable

    override _.Claims branches =
        let claim metric modulus : Claim<LawTable> =
            {
                Metric = metric
                Modulus = Bound.above modulus
                Rounding = ValueNone
                Source = "Bellemare, Dabney and Munos 2017, A distributional perspective on reinforcement learning"
            }

        // Joining moves atoms after the push-forward, and expands a little.
        if joining > 0.0 then
            []
        else
            [
                claim (Statewise.wasserstein 1.0) branches.MeanDiscount
                claim (Statewise.wasserstein 2.0) (sqrt (branches.DiscountMoment 2.0))
                claim (Statewise.wasserstein Double.PositiveInfinity) branches.LargestDiscount
                claim Statewise.cramer (sqrt branches.MeanDiscount)
            ]

    /// The claim in the largest MMD of the kernel -|x - y|^b, b in (0, 2): the modulus is sqrt(max E gamma^b), so gamma^(b/2) for one
    /// discount. The square of the MMD is a difference of sums that may be far larger, so its rounding is the root of theirs.
    member _.EnergyClaim(exponent: float, branches: Branches) : Claim<LawTable> =
        let rounding (table: LawTable) =
            let size (law: Distribution) = Math.Max(abs law.Minimum, abs law.Maximum)
            let largest = Array.init table.Places (table.Law >> size) |> Array.fold max 0.0
            let magnitude = branches.LargestReward + branches.LargestDiscount * largest
            let moved = 2.0 * Math.Pow(4.0 * Bound.unitRoundoff * magnitude, exponent)
            let terms = 16.0 + 4.0 * float (branches.MostBranches * table.MostAtoms)
            sqrt (moved + terms * Bound.unitRoundoff * Math.Pow(2.0 * magnitude, exponent))

        {
            Metric = Statewise.energyMmd exponent
            Modulus = Bound.above (sqrt (branches.DiscountMoment exponent))
            Rounding = ValueSome rounding
            Source = "Nguyen-Tang, Gupta and Venkatesh 2021, Distributional reinforcement learning via moment matching"
        }

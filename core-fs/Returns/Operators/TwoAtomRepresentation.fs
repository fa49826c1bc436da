namespace ValueFlow.Core.Returns

open System
open System.Buffers
open ValueFlow.Core.Foundations

/// The tail means of the push-forward of all places.
module internal TwoAtomSweep =

    let private block (branches: Branches) (share: float) (source: float[]) (destination: float[]) (first: int) (last: int) =
        let rent () = ArrayPool<float>.Shared.Rent(Math.Max(1, 2 * branches.MostBranches))
        let values, weights = rent (), rent ()

        for place in first .. last - 1 do
            let mutable count = 0

            let add value weight =
                values[count] <- value
                weights[count] <- weight
                count <- count + 1

            for group in branches.GroupOffsets[place] .. branches.GroupOffsets[place + 1] - 1 do
                let reward, discount = branches.Rewards[group], branches.Discounts[group]

                for k in branches.Offsets[group] .. branches.Offsets[group + 1] - 1 do
                    let weight, target = branches.Weights[k], branches.Targets[k]

                    if target < 0 then
                        add reward weight
                    else
                        add (reward + discount * source[2 * target]) (share * weight)
                        add (reward + discount * source[2 * target + 1]) ((1.0 - share) * weight)

            Array.Sort(values, weights, 0, count)
            let mutable left, below, above = share, 0.0, 0.0
            let mutable massBelow, massAbove = 0.0, 0.0

            for k in 0 .. count - 1 do
                let lower = Math.Min(left, weights[k])
                below <- below + lower * values[k]
                above <- above + (weights[k] - lower) * values[k]
                massBelow <- massBelow + lower
                massAbove <- massAbove + (weights[k] - lower)
                left <- left - lower

            // The masses themselves are rounded: a mean over them is between its atoms.
            destination[2 * place] <- if massBelow > 0.0 then below / massBelow else 0.0
            destination[2 * place + 1] <- if massAbove > 0.0 then above / massAbove else 0.0

        ArrayPool<float>.Shared.Return values
        ArrayPool<float>.Shared.Return weights

    /// Writes both atoms of all places of the branches over the destination.
    let run (branches: Branches) (share: float) (source: float[]) (destination: float[]) : unit =
        Blocks.run branches.Places (10L * int64 branches.Count) (fun first last -> block branches share source destination first last)

/// Two atoms of masses alpha and 1 - alpha for each law: the mean of its worst share alpha and that of the rest. The projected operator
/// contracts by the largest discount in the sup norm over both atoms, keeps the order, and keeps means: alpha Q1 + (1 - alpha) Q2 obeys the
/// ordinary Bellman operator. Q1 is the value of a robust process in which an adversary reweights the pairs of a next place and an atom by
/// densities of at most 1/alpha; Q2 that of an ally with densities of at most 1/(1 - alpha). Achab and Neu 2021, "Robustness and risk
/// management via distributional dynamic programming".
[<Sealed>]
type TwoAtomRepresentation(share: float) =
    inherit Representation<TwoAtomTable>($"two atoms, share {share}", TwoAtom.space)

    do TwoAtom.requireShare share

    /// alpha.
    member _.Share = share

    override _.OfLaws laws = TwoAtom.ofLaws share laws
    override _.Monotone = true

    override _.Claims branches =
        // A tail mean moves by the rounding of the masses, times the range, by its share; the sums add theirs.
        let terms = (6.0 * float branches.MostBranches + 24.0) * (1.0 + 2.0 / Math.Min(share, 1.0 - share))

        let rounding (table: TwoAtomTable) =
            let size = table.Numbers |> Array.fold (fun largest x -> Math.Max(largest, abs x)) 0.0
            let magnitude = Math.Max(branches.LargestReward + branches.LargestDiscount * size, Math.ScaleB(1.0, -1000))
            Bound.above (terms * Bound.unitRoundoff * magnitude)

        [
            {
                Metric = TwoAtom.sup
                Modulus = Bound.above branches.LargestDiscount
                Rounding = ValueSome rounding
                Source = "Achab and Neu 2021, Robustness and risk management via distributional dynamic programming"
            }
        ]

    member private _.Require(branches: Branches, table: TwoAtomTable) =
        branches.Require table

        if table.Share <> share then
            invalidArg (nameof table) $"the share must be {share} but is {table.Share}"

    override this.Apply(branches, table) =
        this.Require(branches, table)
        let atoms = Array.zeroCreate (2 * branches.Places)
        TwoAtomSweep.run branches share table.Numbers atoms
        TwoAtomTable(share, branches.Places, atoms)

    override this.Into branches =
        ValueSome(
            Into(fun table destination ->
                this.Require(branches, table)
                Shape.requireLength (nameof destination) (2 * branches.Places) destination.Numbers.Length
                TwoAtomSweep.run branches share table.Numbers destination.Numbers)
        )

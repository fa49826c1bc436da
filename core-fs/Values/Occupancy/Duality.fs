namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// What values and an occupancy measure prove of each other, rounding included.
type DualityGap =
    {
        /// &lt;d, r&gt;: what the measure pays.
        Paid: float
        /// &lt;rho, V + shift&gt;: what the start is worth by the values, raised or lowered until no action is worth more than its state.
        Priced: float
        /// The constant by which the values were raised in states that are not terminal.
        Shift: float
        /// The measure's policy is worth at least this at the start.
        Lower: float
        /// No policy is worth more than this at the start.
        Upper: float
    }

    /// Upper - Lower: the measure's policy loses at most this against the optimum at the start.
    member this.Gap: float = this.Upper - this.Lower

/// The linear program of occupancy measures and its dual,
///
/// max { &lt;d, r&gt; : d an occupancy measure } = min { &lt;rho, V&gt; : V(s) &gt;= r(s, a) + gamma sum over s' of P(s' | s, a) V(s') for all s and a }.
///
/// Weak duality: for every measure d and all values V, &lt;rho, V&gt; - &lt;d, r&gt; = &lt;d, slack&gt; with the slacks V(s) - r(s, a) - gamma P V, so that the gap is closed exactly by V* and a
/// measure that takes actions without slack alone. Manne 1960, "Linear programming and sequential decisions"; Puterman 1994, "Markov decision processes", section 6.9.
[<RequireQualifiedAccess>]
module Duality =

    let private requireValues (polytope: OccupancyPolytope) (values: float[]) =
        Shape.requireLength (nameof values) polytope.Model.StateCount values.Length
        Shape.requireFinite (nameof values) values

    /// V(s) - r(s, a) - sum over s' of gamma P(s' | s, a) V(s') for each row: what an action falls short of its state's value. Terminal states are worth zero, whatever is given.
    let slacks (polytope: OccupancyPolytope) (values: float[]) : float[] =
        requireValues polytope values
        let model, kernel = polytope.Model, polytope.Kernel
        let result = Array.zeroCreate<float> model.RowCount

        for s in 0 .. model.stateCount - 1 do
            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                let mutable follows = 0.0

                for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                    let next = model.successors[k]

                    if not (model.IsTerminal next) then
                        follows <- follows + kernel.Weights[k] * values[next]

                result[row] <- values[s] - (kernel.RowRewards[row] + follows)

        result

    // The least constant that makes values feasible, from above. V + c is worth at most T V + m c one step ahead, m the share of a constant that a row passes on: the most for c > 0, the least for c < 0.
    let private shift (polytope: OccupancyPolytope) (values: float[]) =
        let kernel = polytope.Kernel
        let largest = values |> Array.fold (fun (most: float) v -> Math.Max(most, abs v)) 0.0
        let rounding = float (kernel.LongestRow + 8) * Bound.unitRoundoff * (kernel.Magnitude values + largest)

        let needed =
            rounding
            - (slacks polytope values |> Array.fold (fun (least: float) x -> Math.Min(least, x)) Double.PositiveInfinity)

        let struct (least, most) = kernel.MassFactors

        if needed = Double.NegativeInfinity then
            0.0
        elif needed > 0.0 then
            Bound.above (needed / Bound.below (1.0 - most))
        else
            -(Bound.below (-needed / Bound.above (1.0 - (if kernel.HasTerminals then 0.0 else Math.Max(0.0, least)))))

    // What follows a measure less what is there, in absolute terms and summed over states; and what rounding may hide of it.
    let private imbalance (polytope: OccupancyPolytope) (occupancy: float[]) =
        let model, kernel = polytope.Model, polytope.Kernel
        let left, terms = Array.copy polytope.Starts, Array.create model.stateCount 4
        let mutable mass = 1.0

        for s in 0 .. model.stateCount - 1 do
            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                left[s] <- left[s] - occupancy[row]
                terms[s] <- terms[s] + 1
                mass <- mass + 2.0 * occupancy[row]

                for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                    left[model.successors[k]] <- left[model.successors[k]] + kernel.Weights[k] * occupancy[row]
                    terms[model.successors[k]] <- terms[model.successors[k]] + 2

        let mutable sum = 0.0

        for s in polytope.Equations do
            sum <- sum + abs left[s]

        Bound.above (
            (1.0 + float model.stateCount * Bound.unitRoundoff) * sum
            + float (Array.max terms) * Bound.unitRoundoff * mass
        )

    /// The bounds that values (of any kind, one a state) and a measure prove: what lies below zero in the measure counts as zero, what its equations miss is charged to the lower bound, and values that some action
    /// exceeds are raised by a constant.
    let gap (polytope: OccupancyPolytope) (values: float[]) (occupancy: float[]) : DualityGap =
        requireValues polytope values
        let model, kernel = polytope.Model, polytope.Kernel
        Shape.requireLength (nameof occupancy) model.RowCount occupancy.Length
        Shape.requireFinite (nameof occupancy) occupancy
        let occupancy = occupancy |> Array.map (fun x -> Math.Max(0.0, x))
        let mutable paid, size, most = 0.0, 0.0, 0.0

        for row in 0 .. model.RowCount - 1 do
            let part = occupancy[row] * kernel.RowRewards[row]
            paid <- paid + part
            size <- size + abs part
            most <- Math.Max(most, abs kernel.RowRewards[row])

        let mutable worth, magnitude, acting = 0.0, 0.0, 0.0

        for s in polytope.Equations do
            worth <- worth + polytope.Starts[s] * values[s]
            magnitude <- magnitude + polytope.Starts[s] * abs values[s]
            acting <- acting + polytope.Starts[s]

        let constant = shift polytope values
        let priced = worth + constant * acting
        let terms count = float (count + 8) * Bound.unitRoundoff
        let struct (_, factor) = kernel.MassFactors
        // Visits of the measure's policy differ from the measure's by at most imbalance / (1 - gamma) in all; a row's mean reward is a sum, too.
        let missed =
            (most + terms kernel.LongestRow * kernel.LargestReward) * imbalance polytope occupancy
            / Bound.below (1.0 - factor)

        let mass = Array.sum occupancy
        let paidRounding = terms model.RowCount * size + terms kernel.LongestRow * kernel.LargestReward * mass

        {
            Paid = paid
            Priced = priced
            Shift = constant
            Lower = paid - Bound.above (missed + paidRounding)
            Upper = priced + Bound.above (terms model.stateCount * (magnitude + abs constant))
        }

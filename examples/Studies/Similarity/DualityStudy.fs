namespace ValueFlow.Studies

open System
open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// The dual of values: visits instead of numbers, and what both prove of each other.
[<Sealed>]
type DualityStudy() =
    inherit
        Study(
            "duality",
            "A",
            "Visits in the place of values",
            "A Garnet of 20 states and 3 actions, discount 0.9: the best decisions by iterating visits, the gap that values and visits certify after each step, and one matrix for many rewards."
        )

    let discount = 0.9

    override _.Run(seed, _, progress, cancellation) =
        let options = { RunOptions.standard with Tolerance = 1e-11; Cancellation = cancellation }
        let generator = Generator seed
        let model = Garnet.create (generator.Split()) 20 3 4
        let polytope = OccupancyPolytope.Create(model, discount)
        let rewards = polytope.Rewards
        let rows = model.RowCount
        let solution = PolicyIteration.solve options (Bellman.Optimality(model, discount))
        let operator = VisitationMatrix.optimality model discount rewards
        let steps = 240
        let start = Array.init (rows * rows) (fun k -> if k / rows = k % rows then 1.0 else 0.0)

        let stateValues (h: float[]) =
            let worth = VisitationMatrix.inner model rewards h

            Array.init model.StateCount (fun s ->
                Seq.max (seq { for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 -> worth[row] / (1.0 - discount) }))

        let visits =
            Seq.unfold
                (fun h ->
                    cancellation.ThrowIfCancellationRequested()
                    Some(h, operator.Apply h))
                start
            |> Seq.take steps
            |> Array.ofSeq

        progress.Invoke "gaps"

        // Of the visits alone: values, decisions and the measure are read off the matrix.
        let ofVisits =
            visits
            |> Array.map (fun h ->
                let policy = Policy.Deterministic(model, ReadOnlySpan(VisitationMatrix.greedy model rewards h))
                (Duality.gap polytope (stateValues h) (VisitationMatrix.occupancy polytope policy h)).Gap)

        // Of values, and the exact measure of their greedy policy.
        let bellman = Bellman.Optimality(model, discount)

        let ofValues =
            Seq.unfold (fun values -> Some(values, bellman.Operator.Apply values)) (Array.zeroCreate<float> model.StateCount)
            |> Seq.take steps
            |> Seq.map (fun values ->
                let policy = Policy.Deterministic(model, ReadOnlySpan(bellman.Greedy(values, Direction.Maximise, cancellation)))
                (Duality.gap polytope values (Occupancy.ofPolicy cancellation policy polytope)).Gap)
            |> Array.ofSeq

        let seen = (VisitationMatrix.seenBy model rewards).Distance

        let ratio =
            visits
            |> Array.pairwise
            |> Array.map (fun (a, b) -> seen a b)
            |> Array.filter (fun step -> step > 1e-6)
            |> Array.pairwise
            |> Array.map (fun (before, after) -> after / before)
            |> Array.max

        let final = visits[steps - 1]

        let leastEntry, furthestSum =
            Array.min final, Seq.max (seq { for row in 0 .. rows - 1 -> abs (Array.sum (Array.sub final (row * rows) rows) - 1.0) })

        progress.Invoke "one matrix for many rewards"
        let policy = Policy.Uniform model
        let evaluation = VisitationMatrix.evaluation model discount policy
        let mixed = (FixedPoint.picard { options with Tolerance = 1e-12 } evaluation start).Value

        let several =
            Seq.init 5 (fun k ->
                let own = Array.init rows (fun _ -> Math.Pow(10.0, float k) * Sampling.normal generator)
                let paid = Occupancy.value own (VisitationMatrix.occupancy polytope policy mixed)
                let exact = Occupancy.value own (Occupancy.ofPolicy cancellation policy polytope)
                abs (paid - exact) / Math.Pow(10.0, float k))
            |> Seq.max

        let curve name (gaps: float[]) =
            Worlds.curve name (Array.init gaps.Length float) (gaps |> Array.map (fun gap -> if gap > 1e-13 then gap else nan))

        let source = "Wang, Lizotte, Bowling and Schuurmans 2008"

        {
            Findings =
                [|
                    Findings.exact
                        "values read off the visits: error after all steps, over the bound discount^steps / (1 - discount)"
                        1.0
                        Relation.AtMost
                        0.0
                        source
                        ((Metric.sup.Distance (stateValues final) solution.Values - solution.Bound)
                         / (Math.Pow(discount, float (steps - 1)) / (1.0 - discount) + 1e-12))
                    Findings.exact
                        "what rewards see of a step over that of the step before, largest"
                        discount
                        Relation.AtMost
                        1e-6
                        source
                        ratio
                    Findings.exact "visits stay laws: largest |sum of a row - 1|" 0.0 Relation.Equals 1e-12 source furthestSum
                    Findings.exact "visits stay laws: least entry" 0.0 Relation.AtLeast 0.0 source leastEntry
                    Findings.exact
                        "the certified gap of visits after all steps"
                        1e-6
                        Relation.AtMost
                        0.0
                        "strong duality"
                        ofVisits[steps - 1]
                    Findings.exact
                        "the same: the factor by which it falls in a step, over the last 100"
                        discount
                        Relation.Equals
                        1e-3
                        "what visits have not seen yet is discount^steps of all"
                        (Math.Pow(ofVisits[steps - 1] / ofVisits[steps - 101], 0.01))
                    Findings.exact
                        "solved values and their policy's measure: certified gap"
                        0.0
                        Relation.Equals
                        1e-8
                        "strong duality"
                        (Duality.gap
                            polytope
                            solution.Values
                            (Occupancy.ofPolicy cancellation (Policy.Deterministic(model, ReadOnlySpan solution.Policy)) polytope))
                            .Gap
                    Findings.exact
                        "one matrix, five rewards of sizes 1 to 10,000: largest error over the size"
                        0.0
                        Relation.Equals
                        1e-9
                        source
                        several
                |]
            Tables =
                [|
                    struct ("Certified gap at the start, by steps",
                            (let shown = [| 0; 10; 20; 40; 80; 160 |] |> Array.filter (fun k -> k < steps)

                             DataFrame(
                                 DoubleDataFrameColumn("steps", shown |> Array.map float),
                                 DoubleDataFrameColumn("visits", shown |> Array.map (fun k -> ofVisits[k])),
                                 DoubleDataFrameColumn("values", shown |> Array.map (fun k -> ofValues[k]))
                             )))
                |]
            Figures =
                [|
                    LineFigure(
                        "Certified gap at the start",
                        "steps",
                        "upper less lower bound",
                        [|
                            curve "visits: all is read off the matrix" ofVisits
                            curve "values, and the measure of their policy by a linear solve" ofValues
                        |],
                        true
                    )
                |]
            Notes =
                [|
                    "Visits pay for what their equations still miss, so that their gap falls as discount^steps; values with an exact measure need none of that, and end where rounding does."
                |]
        }

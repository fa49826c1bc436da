namespace ValueFlow.Studies

open System.Threading
open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns

/// A chain with two treasures of which only one is ever found, and a third that gives both: who learns each source alone knows nothing of their dependence.
[<Sealed>]
type JointReturnsStudy() =
    inherit
        Study(
            "joint-returns",
            "B",
            "Treasures that exclude one another",
            "Two sources of reward on a chain of six states: 64 particles in the plane learn the joint law of both returns, and its correlation."
        )

    static let discount = 0.9

    // 0 -> 1, or 2 with the wind; 2 holds gold (on to 3) or silver (on to 4); a chest before the end holds some of both.
    static let chain =
        let builder = ModelBuilder 6
        builder.Initial 0
        builder.Terminal 5
        builder.ParallelOutcomes <- true
        builder.Add(0, 0, 1, 0.75, 0.0)
        builder.Add(0, 0, 2, 0.25, 0.0)
        builder.Add(1, 0, 2, 1.0, 0.0)
        builder.Add(2, 0, 3, 0.5, 1.0)
        builder.Add(2, 0, 4, 0.5, 1.0)
        builder.Add(3, 0, 4, 1.0, 0.0)
        builder.Add(4, 0, 5, 0.7, 0.0)
        builder.Add(4, 0, 5, 0.3, 0.8)

        match builder.Build() with
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")
        | Ok model ->
            VectorRewards.Create(
                model,
                [| "gold"; "silver" |],
                fun k ->
                    match model.Successors[k], model.Rewards[k] with
                    | 3, reward -> [| reward; 0.0 |]
                    | 4, reward -> [| 0.0; reward |]
                    | _, reward -> [| 0.5 * reward; 0.5 * reward |]
            )

    override _.Run(seed, _, progress, cancellation) =
        let model = chain.Model
        let policy = Policy.Uniform model
        let start = 0
        let exactReturns = JointBellman.withinHorizon 1_000 cancellation 6 discount policy chain
        let exact = exactReturns.Laws.Law start
        let correlation law = JointLaw.correlation (JointLaw.covariance law) 0 1
        let truth = correlation exact
        let solved = (JointMoments.ofPolicy cancellation discount policy chain).Covariances[start]
        let episodes = 20_000

        let options =
            { JointLearningOptions.standard with
                Episodes = episodes
                Cancellation = cancellation
                Progress =
                    fun played ->
                        if played % 2_000 = 0 then
                            progress.Invoke $"{played} of {episodes} episodes"
            }

        let learned = (JointLearning.ofPolicy (Generator seed) options discount policy chain).Law start

        // Each source on its own, exactly: the best that separate learners can do.
        let apart = JointLaw.independent exact

        let ratio kernel (gamma: float) =
            // A loop without rewards: T only shrinks two pairs of points, two bandwidths wide and a thousand apart.
            let pair at scale = Sample.OfPoints [| [| scale * at; 0.0 |]; [| scale * (at + 2.0); 0.0 |] |]

            sqrt (
                Discrepancy.squaredMmd kernel (pair 0.0 gamma) (pair 1000.0 gamma)
                / Discrepancy.squaredMmd kernel (pair 0.0 1.0) (pair 1000.0 1.0)
            )

        let finding = Findings.exact

        let column (law: Sample) k = Array.init law.Count (fun i -> (law.Point i)[k])
        let points name law colour size : PlaneLayer = PointLayer(name, column law 0, column law 1, colour, size, 0.75)

        // Radii whose areas are as the masses.
        let exactLayers: PlaneLayer[] =
            Array.init exact.Count (fun i ->
                let at = exact.Point i
                PointLayer("exact law (area: mass)", [| at[0] |], [| at[1] |], LayerColour.Sky, 45.0 * sqrt exact.Weights[i], 0.45))

        let panel title law colour =
            (PlaneFigure(
                title,
                "return in gold (discounted)",
                "return in silver (discounted)",
                Array.append exactLayers [| points title law colour 3.5 |]
            ))
                .Within(-0.15, 1.35, -0.15, 1.35)

        {
            Findings =
                [|
                    finding
                        "every episode ends within six steps: probability of going on"
                        0.0
                        Relation.Equals
                        0.0
                        "closed form: the chain leads onwards"
                        exactReturns.Unfinished[start]
                    finding
                        "correlation of the exact joint law less that of the covariance fixed point"
                        0.0
                        Relation.Equals
                        1e-12
                        "derived: C(s) = Cov(R + gamma m(S')) + gamma^2 E C(S')"
                        (truth - JointLaw.correlation solved 0 1)
                    Findings.target
                        "64 particles learn the correlation (error)"
                        0.05
                        Relation.AtMost
                        "within 0.05 of the enumeration"
                        (abs (correlation learned - truth))
                    Findings.target
                        "their energy distance to the exact joint law"
                        0.05
                        Relation.AtMost
                        "below 0.05"
                        (Discrepancy.energy learned exact)
                    finding
                        "learned apart, source by source: the correlation that is left"
                        0.0
                        Relation.Equals
                        1e-12
                        "closed form: independent coordinates"
                        (correlation apart)
                    Findings.calibrated
                        "their energy distance even if each source is learned perfectly"
                        0.08
                        Relation.AtLeast
                        (Discrepancy.energy apart exact)
                    finding
                        "energy kernel, discount 0.5: factor of the MMD between two pairs of points"
                        (sqrt 0.5)
                        Relation.AtMost
                        1e-12
                        "gamma^(b/2), b = 1: Zhang et al. 2021, derived from homogeneity"
                        (ratio (EnergyKernel 1.0) 0.5)
                    finding
                        "Gaussian kernel, the same pairs: the operator drives them apart"
                        (sqrt ((1.0 + exp -0.5) / (1.0 + exp -2.0)))
                        Relation.Equals
                        1e-12
                        "closed form: sqrt((1 + e^(-1/2)) / (1 + e^(-2)))"
                        (ratio (Gaussian [ 1.0 ]) 0.5)
                |]
            Tables =
                [|
                    struct ("The joint law from the start, and what is learned of it",
                            DataFrame(
                                StringDataFrameColumn("law", [| "exact"; "64 particles"; "apart" |]),
                                DoubleDataFrameColumn(
                                    "mean gold",
                                    [| exact; learned; apart |] |> Array.map (fun law -> (JointLaw.mean law)[0])
                                ),
                                DoubleDataFrameColumn(
                                    "mean silver",
                                    [| exact; learned; apart |] |> Array.map (fun law -> (JointLaw.mean law)[1])
                                ),
                                DoubleDataFrameColumn("correlation", [| exact; learned; apart |] |> Array.map correlation),
                                DoubleDataFrameColumn(
                                    "energy distance",
                                    [| exact; learned; apart |] |> Array.map (Discrepancy.energy exact)
                                )
                            ))
                |]
            Figures =
                [|
                    PanelFigure(
                        "Joint and separate learners",
                        [|
                            panel "learned jointly: 64 particles" learned LayerColour.Vermilion
                            panel
                                "learned apart: 64 draws"
                                (Particles.project (Generator seed) (EnergyKernel 1.0) 64 0 0.1 CancellationToken.None apart)
                                LayerColour.Green
                        |]
                    )
                |]
            Notes =
                [|
                    "A greedy choice looks at the sum of the means only; the joint law says what else comes with it."
                    "Averages over gold or silver alone are right for separate learners, too: only questions about both at once need the joint law."
                |]
        }

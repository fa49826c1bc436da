namespace ValueFlow.Studies

open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns

/// Trading a spread that returns to its mean, for the mean or for the expected shortfall.
[<Sealed>]
type ConvexScoringStudy() =
    inherit
        Study(
            "convex-scoring",
            "B",
            "Trading a spread by a convex score",
            "Expected shortfall as the least value of a score: an outer forecast, an inner program over the spread and what was paid. The averse trader gains less and is hurt less."
        )

    override _.Run(_, _, progress, cancellation) =
        let model = GambleModels.spread ()
        let horizon = 8
        let level = 0.9
        let shortfall = Scoring.expectedShortfall level
        let forecasts = Array.init 17 (fun i -> float (i - 8))
        let graphFrom start steps = StockGraph.Reach(100_000, steps, 0.0, start, 1.0, model, cancellation)
        let law plan = StockProgram.lawOf plan cancellation

        let both start =
            let graph = graphFrom start horizon
            // At the mean every position has the same mean cost: of decisions that tie, those of the least shortfall.
            let neutral = law (TwoStage.solve (Scoring.meanRisk 1e-9 shortfall) forecasts cancellation graph).Plan
            let averse = TwoStage.solve shortfall forecasts cancellation graph
            struct (neutral, averse)

        progress.Invoke "trading from four steps below the mean, and from the mean"
        let struct (neutral, plan) = both 3
        let averse = law plan.Plan
        let struct (neutralFromMean, planFromMean) = both 7
        let averseFromMean = law planFromMean.Plan

        progress.Invoke "enumerating all decisions of three steps"

        let least =
            let span = 3
            let atoms = Array.init (2 * span + 1) (fun i -> float (i - span))

            // The mean of the largest costs that carry a tenth of the mass, without making a law of each.
            let tail (masses: float[]) =
                let mutable left = 1.0 - level
                let mutable sum = 0.0
                let mutable i = masses.Length - 1

                while left > 1e-15 && i >= 0 do
                    let mass = min left masses[i]
                    sum <- sum + mass * atoms[i]
                    left <- left - mass
                    i <- i - 1

                sum / (1.0 - level)

            GambleModels.reachable span 3 3 model |> Seq.map tail |> Seq.min

        let short = TwoStage.solve shortfall forecasts cancellation (graphFrom 3 3)
        let graph = graphFrom 3 horizon
        let struct (fromBelow, values) = TwoStage.alternate shortfall 1e-12 -8.0 cancellation graph
        let struct (fromZero, _) = TwoStage.alternate shortfall 1e-12 0.0 cancellation graph
        let weights = [| 0.0; 0.1; 0.25; 0.5; 1.0; 2.0; 4.0; 8.0 |]

        // E Y + weight ES(Y): the frontier.
        let frontier =
            weights
            |> Array.map (fun weight -> law (TwoStage.solve (Scoring.meanRisk weight shortfall) forecasts cancellation graph).Plan)

        let risk = Scoring.risk shortfall
        let source = "computed once by an independent program on this lattice, then frozen"

        {
            Findings =
                [|
                    Findings.exact "risk-neutral: mean cost, in steps of the lattice" -2.283 Relation.Equals 5e-4 source neutral.Mean
                    Findings.exact "risk-neutral: expected shortfall 0.9" -0.264 Relation.Equals 5e-4 source (risk neutral)
                    Findings.exact "averse: mean cost" -0.971 Relation.Equals 5e-4 source averse.Mean
                    Findings.exact "averse: expected shortfall 0.9" -0.709 Relation.Equals 5e-4 source (risk averse)
                    Findings.target
                        "the shortfall falls by at least"
                        0.3
                        Relation.AtLeast
                        "Han, Liu and Yu 2025"
                        (risk neutral - risk averse)
                    Findings.target
                        "for a mean cost that is higher by at least"
                        0.5
                        Relation.AtLeast
                        "Han, Liu and Yu 2025"
                        (averse.Mean - neutral.Mean)
                    Findings.exact
                        "from the mean the averse trader never trades: shortfall"
                        0.0
                        Relation.Equals
                        1e-9
                        "nothing is paid without a position"
                        (risk averseFromMean)
                    Findings.exact "where the risk-neutral one has" 1.297 Relation.Equals 5e-4 source (risk neutralFromMean)
                    Findings.exact
                        "three steps: the two stages, less the best of all history-dependent decisions"
                        0.0
                        Relation.Equals
                        1e-8
                        "every law that can be reached is enumerated"
                        (short.Value - least)
                    Findings.exact
                        "alternation never raises the risk: its largest step"
                        0.0
                        Relation.AtMost
                        1e-12
                        "each half-step minimises"
                        (Array.pairwise values |> Array.map (fun (a, b) -> b - a) |> Array.max)
                    Findings.exact
                        "from the forecast -8 it ends where the grid of forecasts does: the difference"
                        0.0
                        Relation.Equals
                        1e-9
                        "no bound: alternation may stop elsewhere"
                        (fromBelow.Value - plan.Value)
                    Findings.exact
                        "from the forecast 0 it stays at no trade, whose shortfall is"
                        0.0
                        Relation.Equals
                        1e-9
                        "no trade scores 0 against 0, and nothing scores less"
                        fromZero.Value
                |]
            Tables =
                [|
                    struct ("E Y + weight ES(Y), costs in steps of the lattice",
                            DataFrame(
                                DoubleDataFrameColumn("weight", weights),
                                DoubleDataFrameColumn("mean cost", frontier |> Array.map _.Mean),
                                DoubleDataFrameColumn("expected shortfall 0.9", frontier |> Array.map risk)
                            ))
                |]
            Figures =
                [|
                    LineFigure(
                        "What the averse trader gives up, and what for",
                        "cost of eight steps (steps of the lattice; negative is a gain)",
                        "probability of at most as much",
                        [| GambleModels.steps "least shortfall" averse; GambleModels.steps "least mean" neutral |],
                        false
                    )
                    LineFigure(
                        "The outer stage: risk by forecast",
                        "forecast v (steps of the lattice)",
                        "least E f(Y, v) (steps)",
                        [|
                            Worlds.curve
                                "inner program"
                                forecasts
                                (forecasts |> Array.map (fun v -> (TwoStage.against shortfall v cancellation graph).Value))
                        |],
                        false
                    )
                    LineFigure(
                        "The frontier of mean and shortfall",
                        "mean cost (steps of the lattice)",
                        "expected shortfall 0.9 (steps)",
                        [| Worlds.curve "weights from 0 to 8" (frontier |> Array.map _.Mean) (frontier |> Array.map risk) |],
                        false
                    )
                |]
            Notes =
                [|
                    "Alternation finds the least shortfall from forecasts below zero, and stops at no trade from zero: it never gets worse, and may stop where another plan is better."
                |]
        }

namespace ValueFlow.Studies

open System
open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// FrozenLake 4 x 4: risk-neutral, averse and robust decisions, held against ice that is more or less slippery than was thought.
[<Sealed>]
type FrozenLakeStudy() =
    inherit
        Study(
            "frozen-lake",
            "A",
            "FrozenLake under risk and doubt",
            "Policies that are risk-neutral, averse (CVaR) or robust (total variation), on ice that slips more or less than the model says."
        )

    override _.Run(_, _, progress, cancellation) =
        let lake = FrozenLake.standard ()
        let discount = 0.99

        let cross = Worlds.enclosed (Reachability.solve RunOptions.standard Direction.Maximise "goal" lake)

        let policies: (string * StateSummary)[] =
            [|
                "risk-neutral", Expectation()
                "CVaR 0.9", Cvar 0.9
                "CVaR 0.7", Cvar 0.7
                "robust, TV 0.1", TotalVariation 0.1
            |]

        let solutions = policies |> Array.map (fun (name, state) -> name, Worlds.solve lake discount state)
        let slips = Array.append [| 0.0; 0.001; 0.01 |] [| for i in 1..18 -> float i * 0.05 |]

        let curves =
            solutions
            |> Array.map (fun (name, solution) ->
                progress.Invoke $"playing {name} on {slips.Length} lakes"
                cancellation.ThrowIfCancellationRequested()

                Worlds.curve
                    name
                    slips
                    (slips
                     |> Array.map (fun slip -> Worlds.reaches "goal" (FrozenLake.create FrozenLake.map4x4 slip) solution.Policy)))

        // The nested measure, level by level.
        let levels = [| 0.3; 1.0 / 3.0; 0.4; 0.5; 0.6; 2.0 / 3.0; 0.7; 0.75; 0.8; 0.85; 0.9; 0.95; 1.0 |]
        let values = levels |> Array.map (fun level -> (Worlds.solve lake discount (Cvar level)).Values[0])
        let reached = levels |> Array.map (fun level -> Worlds.reaches "goal" lake (Worlds.solve lake discount (Cvar level)).Policy)

        let claim text expected relation tolerance source : Claim =
            {
                Text = text
                Expected = expected
                Relation = relation
                Tolerance = tolerance
                Source = source
                ExpectReproduced = true
            }

        {
            Findings =
                [|
                    {
                        Claim =
                            claim
                                "the best policy reaches the goal with probability 14/17 (enclosed)"
                                (14.0 / 17.0)
                                Relation.Equals
                                1e-8
                                "closed form"
                        Measured = cross.Values[0]
                    }
                    {
                        Claim =
                            claim
                                "the value of the start at discount 0.99 is 0.5420259"
                                0.5420259320
                                Relation.Equals
                                2e-8
                                "policy iteration in exact arithmetic, rounded"
                        Measured = (snd solutions[0]).Values[0]
                    }
                    {
                        Claim =
                            claim
                                "below one half the nested measure is degenerate: at level 1/3 the start is worth nothing"
                                0.0
                                Relation.Equals
                                1e-8
                                "the worst third of three equal outcomes is the worst outcome, and nature steers past the goal for ever"
                        Measured = values[1]
                    }
                    {
                        Claim =
                            claim
                                "the value never falls as the level rises from 0.3 to 1 (smallest step)"
                                0.0
                                Relation.AtLeast
                                2e-8
                                "CVaR is monotone in its level"
                        Measured = Array.pairwise values |> Array.map (fun (a, b) -> b - a) |> Array.min
                    }
                    {
                        Claim =
                            claim "at level 1 the measure is the expectation" (snd solutions[0]).Values[0] Relation.Equals 2e-8 "definition"
                        Measured = values[levels.Length - 1]
                    }
                |]
            Tables =
                [|
                    struct ("Nested CVaR at the start, discount 0.99",
                            DataFrame(
                                DoubleDataFrameColumn("level", levels),
                                DoubleDataFrameColumn("value of the start", values),
                                DoubleDataFrameColumn("probability of reaching the goal", reached)
                            ))
                    struct ("Probability of reaching the goal, by slip",
                            DataFrame(
                                [|
                                    DoubleDataFrameColumn("slip", slips) :> DataFrameColumn
                                    for curve in curves do
                                        DoubleDataFrameColumn(curve.Name, curve.Y)
                                |]
                            ))
                |]
            Figures =
                [|
                    Worlds.map "Risk-neutral values and decisions" "value (discounted probability of the goal)" lake (snd solutions[0])
                    Worlds.map "CVaR 0.7: values and decisions" "nested CVaR value" lake (snd solutions[2])
                    LineFigure(
                        "Crossing a lake that slips otherwise than thought",
                        "true slip (probability of going astray)",
                        "probability of reaching the goal",
                        curves,
                        false
                    )
                    LineFigure(
                        "Nested CVaR is worth nothing up to a level of two thirds",
                        "level (share of worst outcomes)",
                        "value of the start",
                        [| Worlds.curve "nested CVaR" levels values |],
                        false
                    )
                |]
            Notes =
                [|
                    "Policies are found on the lake that the model describes (slip 2/3) and played, without discount, on lakes that slip otherwise."
                    "On dry ice (slip 0) these policies never arrive: they push against walls, safely, and wait for the ice to carry them."
                    "The nested measure applies CVaR at every step: with three equal outcomes a level of one third sees only the worst of them, and one of two thirds the worse two, with which nature steers past the goal for ever."
                |]
        }

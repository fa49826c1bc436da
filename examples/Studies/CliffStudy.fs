namespace ValueFlow.Studies

open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// CliffWalking with a slip of 0.003: the way moves away from the edge as risk aversion grows.
[<Sealed>]
type CliffStudy() =
    inherit
        Study(
            "cliff",
            "A",
            "The safe path along the cliff",
            "Slip 0.003, reward -100 on the falling transition, discount 0.99: the more averse the decision maker, the further from the edge the path."
        )

    override _.Run(_, _, progress, cancellation) =
        let slip, discount = 0.003, 0.99
        let model = CliffWalking.create slip
        let grid = model.Grid.Value

        let still =
            (Worlds.enclosed (TotalReward.solve RunOptions.standard Direction.Maximise (CliffWalking.create 0.0))).Values[model.Initial[0]]

        // Rows between a transition's end and the cliff, over the columns that have a cliff below: 1 on the edge.
        let rowsAway k =
            let cell = grid.Cells[model.Successors[k]]
            let column = cell % grid.Columns
            if column > 0 && column < grid.Columns - 1 then float (grid.Rows - 1 - cell / grid.Columns) else 0.0

        let levels = [| 1.0; 0.95; 0.9; 0.8; 0.7; 0.5; 0.3; 0.1 |]

        let rows =
            levels
            |> Array.map (fun level ->
                progress.Invoke $"solving at level {level}"
                cancellation.ThrowIfCancellationRequested()
                let solution = Worlds.solve model discount (Cvar level)
                let gathers amount = Worlds.gathers amount model solution.Policy

                {|
                    Solution = solution
                    Distance = gathers rowsAway / gathers (fun k -> if rowsAway k > 0.0 then 1.0 else 0.0)
                    Falls = gathers (fun k -> if model.Rewards[k] = -100.0 then 1.0 else 0.0)
                    Return = gathers (fun k -> model.Rewards[k])
                |})

        let claim text expected relation tolerance source : Claim =
            {
                Text = text
                Expected = expected
                Relation = relation
                Tolerance = tolerance
                Source = source
                ExpectReproduced = true
            }

        let distances, falls = rows |> Array.map _.Distance, rows |> Array.map _.Falls
        let calibrated = "calibrated 2026-11-24, then frozen; direction: Sutton and Barto 2018, example 6.6 (safe and optimal path)"

        {
            Findings =
                [|
                    {
                        Claim =
                            claim
                                "without slip the best total reward is -13 (enclosed)"
                                -13.0
                                Relation.Equals
                                1e-8
                                "closed form: up, eleven times right, down"
                        Measured = still
                    }
                    {
                        Claim =
                            claim "risk-neutral, the path keeps to the edge: mean rows from the cliff" 1.0 Relation.Equals 0.05 calibrated
                        Measured = distances[0]
                    }
                    {
                        Claim = claim "at level 0.1 it keeps a row away: mean rows from the cliff" 1.9 Relation.AtLeast 0.0 calibrated
                        Measured = distances[levels.Length - 1]
                    }
                    {
                        Claim =
                            claim "it never comes nearer as aversion grows (smallest step, in rows)" 0.0 Relation.AtLeast 1e-6 calibrated
                        Measured = Array.pairwise distances |> Array.map (fun (a, b) -> b - a) |> Array.min
                    }
                    {
                        Claim =
                            claim
                                "risk-neutral walkers fall at least five times as often as those at level 0.1"
                                5.0
                                Relation.AtLeast
                                0.0
                                calibrated
                        Measured = falls[0] / falls[levels.Length - 1]
                    }
                |]
            Tables =
                [|
                    struct ("By level of CVaR: expected totals, exact",
                            DataFrame(
                                DoubleDataFrameColumn("level", levels),
                                DoubleDataFrameColumn("mean rows from the cliff", distances),
                                DoubleDataFrameColumn("falls per episode", falls),
                                DoubleDataFrameColumn("undiscounted return", rows |> Array.map _.Return)
                            ))
                |]
            Figures =
                [|
                    Worlds.map "Risk-neutral: along the edge" "value (discounted)" model rows[0].Solution
                    Worlds.map "CVaR 0.1: a row away" "nested CVaR value" model rows[levels.Length - 1].Solution
                    LineFigure(
                        "The path leaves the edge",
                        "level of CVaR (share of worst outcomes; 1 is risk-neutral)",
                        "mean distance from the cliff (rows)",
                        [| Worlds.curve "path" levels distances |],
                        false
                    )
                    LineFigure(
                        "What caution saves",
                        "level of CVaR (share of worst outcomes; 1 is risk-neutral)",
                        "falls (per episode)",
                        [| Worlds.curve "falls" levels falls |],
                        false
                    )
                |]
            Notes =
                [|
                    "A move goes astray with probability 0.003, half to either side; -100 is earned on the transition that falls, which ends at the start."
                    "With a slip of 0.1 the effect is hidden: a detour of two steps is so much cheaper than the edge that the risk-neutral path is safe already."
                |]
        }

namespace ValueFlow.Studies

open System
open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// P095: a grid with lava and a wind that nature may change by at most 0.1 a step.
[<Sealed>]
type DriftingWindStudy() =
    inherit
        Study(
            "drifting-wind",
            "A",
            "A nature that moves by little",
            "A 6 x 6 grid with lava and a downward wind of probability psi, which nature changes by at most 0.1 a step: worst values of the policy that sees the wind, of the robust one, and of the nominal one."
        )

    static let side = 6
    static let goal = struct (5, 5)
    static let lava = set [ for column in 1..4 -> 3, column ] + set [ for column in 1..3 -> 5, column ]

    static let model (wind: float) : Model =
        let builder = ModelBuilder(side * side)
        builder.ParallelOutcomes <- true
        let moves = [| struct (0, 1); struct (1, 0); struct (0, -1); struct (-1, 0) |]
        builder.ActionNames [| "right"; "down"; "left"; "up" |]
        let state row column = row * side + column

        // Who would leave the grid stays.
        let moved row column (struct (down, right)) =
            let r, c = row + down, column + right
            if r < 0 || r >= side || c < 0 || c >= side then struct (row, column) else struct (r, c)

        for row in 0 .. side - 1 do
            for column in 0 .. side - 1 do
                if struct (row, column) = goal then
                    builder.Terminal(state row column)
                else
                    for action in 0..3 do
                        if lava.Contains(row, column) then
                            builder.Add(state row column, action, 0, 1.0, -10.0)
                        else
                            let struct (r, c) = moved row column moves[action]
                            let struct (lower, sameColumn) = moved r c (struct (1, 0))

                            [ state r c, 1.0 - wind; state lower sameColumn, wind ]
                            |> List.groupBy fst
                            |> List.iter (fun (next, chances) ->
                                let chance = List.sumBy snd chances

                                if chance > 0.0 then
                                    builder.Add(state row column, action, next, chance, -1.0))

        builder.Initial 0

        builder.Grid
            {
                Rows = side
                Columns = side
                Cells = [| 0 .. side * side - 1 |]
                Marks =
                    Array.init (side * side) (fun place ->
                        if place = 0 then 'S'
                        elif struct (place / side, place % side) = goal then 'G'
                        elif lava.Contains(place / side, place % side) then 'L'
                        else ' ')
                Directions = moves |> Array.map (fun (struct (down, right)) -> struct (right, down))
            }

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    override _.Run(_, _, progress, cancellation) =
        let discount, count, radius = 0.95, 11, 0.1
        let winds = Array.init count (fun i -> float i / float (count - 1))
        let distances = Array2D.init count count (fun i j -> abs (winds[i] - winds[j]))
        let family = ModelFamily.Create(winds |> Array.map model, discount)
        let states = family.StateCount
        let options = { RunOptions.standard with Tolerance = 1e-9; Cancellation = cancellation }
        let game = TimeConstrained.Create(family, distances, radius)
        let boundless = TimeConstrained.Create(family, distances, 1.0)

        let solve name (operator: Operator<float[]>) =
            progress.Invoke name
            (FixedPoint.picard options operator (Array.zeroCreate (count * states))).Value

        let oracle = solve "the game" game.Optimality
        let policy (actions: int[]) = Policy.Deterministic(family[0], ReadOnlySpan(actions |> Array.map (max 0)))
        let unbounded = solve "without a bound on the wind" boundless.Optimality
        let robustActions = (boundless.Greedy(unbounded, 1e-6))[0]
        let nominalSolution = ValueIteration.solve options (Bellman.Optimality(family[0], discount))
        let evaluated name actions = solve name (game.Evaluation(Array.create count (policy actions)))
        let robust, nominal = evaluated "the robust policy" robustActions, evaluated "the nominal policy" nominalSolution.Policy
        let atStart (values: float[]) i = values[i * states]
        let from = [| 0; 2; 4; 6 |]

        let expected =
            [|
                "policy that sees the wind", oracle, [| -8.03; -8.21; -10.26; -14.59 |]
                "robust policy", robust, [| -8.03; -9.03; -13.68; -18.65 |]
                "nominal policy", nominal, [| -9.40; -18.98; -36.71; -55.34 |]
            |]

        let most =
            Seq.max
                [
                    for place in 0 .. oracle.Length - 1 -> max (robust[place] - oracle[place]) (nominal[place] - oracle[place])
                ]

        {
            Findings =
                [|
                    for name, values, numbers in expected do
                        for k in 0..3 do
                            Findings.exact
                                $"worst value of the {name}, wind {winds[from[k]]} at the start"
                                numbers[k]
                                Relation.Equals
                                0.005
                                "exact dynamic programming in another language, two decimals"
                                (atStart values from[k])

                    Findings.exact
                        "no policy is better than the one that sees the wind, anywhere: largest excess"
                        0.0
                        Relation.AtMost
                        1e-7
                        "Zouitine et al. 2024"
                        most
                    Findings.exact
                        "with wind 0.4 the robust policy loses strictly"
                        0.0
                        Relation.AtLeast
                        -1.0
                        "from the table above"
                        (atStart oracle 4 - atStart robust 4)
                    Findings.exact
                        "and the nominal one more"
                        0.0
                        Relation.AtLeast
                        -1.0
                        "from the table above"
                        (atStart robust 4 - atStart nominal 4)
                |]
            Tables =
                [|
                    struct ("Worst value at the start cell, by the wind at the start",
                            DataFrame(
                                [
                                    DoubleDataFrameColumn("wind", winds) :> DataFrameColumn
                                    for name, values, _ in expected do
                                        DoubleDataFrameColumn(name, Array.init count (atStart values))
                                ]
                            ))
                |]
            Figures =
                [|
                    LineFigure(
                        "What it is worth to see the wind",
                        "wind psi at the start",
                        "worst value at the start cell",
                        expected |> Array.map (fun (name, values, _) -> Worlds.curve name winds (Array.init count (atStart values))),
                        false
                    )
                    Worlds.map "Nominal policy: along the lava" "value without wind" family[0] nominalSolution
                    Worlds.map
                        "Robust policy"
                        "worst value, wind unbounded"
                        family[0]
                        { nominalSolution with Values = Array.sub unbounded 0 states; Policy = robustActions }
                |]
            Notes =
                [|
                    "Ties decide what the robust and the nominal policy are worth: all actions are alike to the robust one at the start, whose value is -20 as if it never arrived. Here ties go to the right; with 'left' first the robust policy stays for ever (-20), with 'down' first the nominal one is worth -51 without wind."
                    "In a lava cell every action costs 10 and leads to the start. The ball of a wind holds its neighbours on the grid of eleven winds, by whole steps: in floating point 0.4 - 0.3 exceeds 0.1."
                |]
        }

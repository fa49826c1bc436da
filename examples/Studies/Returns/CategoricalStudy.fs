namespace ValueFlow.Studies

open System
open System.Threading
open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns

/// Categorical laws of returns against closed forms, random processes and ties.
[<Sealed>]
type CategoricalStudy() =
    inherit
        Study(
            "categorical",
            "B",
            "The law of a return on 51 atoms",
            "A fair coin at discount 1/2 has the uniform law on [0, 2] as its return; 51 atoms come within a quarter of their gap of it, and keep the mean exactly."
        )

    let source = "Bellemare, Dabney and Munos 2017, A distributional perspective on reinforcement learning"
    let rowland = "Rowland et al. 2018, An analysis of categorical distributional reinforcement learning"

    let build (fill: ModelBuilder -> unit) (states: int) =
        let builder = ModelBuilder states
        builder.ParallelOutcomes <- true
        fill builder

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    let coin =
        build
            (fun builder ->
                builder.Add(0, 0, 0, 0.5, 0.0)
                builder.Add(0, 0, 0, 0.5, 1.0))
            1

    // A coin of 1 or -1 before state 1, or nothing before state 2; 1 and 2 take turns and earn nothing.
    let turns =
        build
            (fun builder ->
                builder.Add(0, 0, 1, 0.5, 1.0)
                builder.Add(0, 0, 1, 0.5, -1.0)
                builder.Add(0, 1, 2, 1.0, 0.0)
                builder.Add(1, 0, 2, 1.0, 0.0)
                builder.Add(2, 0, 1, 1.0, 0.0))
            3

    // A ledge above a pit: the way along it is short, and slippery.
    let ledge =
        let pit = Grid.terminal 'H' -20.0

        Seq.fold (fun grid column -> Grid.set 3 column pit grid) (Grid.create 4 10 -1.0) (seq { 1..8 })
        |> Grid.set 3 9 (Grid.terminal 'G' -1.0)
        |> Grid.set 3 0 { Grid.floor -1.0 with Start = true }
        |> Grid.slipping 0.1
        |> Grid.toModel

    // The integrals over [0, 2] of |F - x/2| and of (F - x/2)^2, gap by gap, for a law on the support.
    let againstUniform (law: Distribution) =
        let atoms = law.Atoms.ToArray()
        let mutable first, second = 0.0, 0.0

        for i in 0 .. atoms.Length - 2 do
            let level, a, b = law.Cdf atoms[i], atoms[i], atoms[i + 1]
            let left, right = level - 0.5 * a, level - 0.5 * b
            // The difference falls from left to right, at the slope 1/2.
            let area = if left * right >= 0.0 then 0.5 * (b - a) * abs (left + right) else left * left + right * right
            first <- first + area
            second <- second + (b - a) * (left * left + left * right + right * right) / 3.0

        struct (first, sqrt second)

    override _.Run(seed, quick, progress, cancellation) =
        let options = { RunOptions.standard with Tolerance = 1e-10; Cancellation = cancellation }
        progress.Invoke "tossing the coin"
        let coinBranches = Branches.evaluation 0.5 (Policy.Uniform coin) coin
        let coinSupport = CategoricalRepresentation.Covering(51, coinBranches)
        let coinSolution = Returns.fixedPoint options (CategoricalRepresentation coinSupport) coinBranches
        let coinLaw = coinSolution.Table.Law 0
        let struct (coinWasserstein, coinCramer) = againstUniform coinLaw

        progress.Invoke "evaluating random processes"
        let processes = if quick then 4 else 10

        let rows =
            [|
                for i in 1..processes do
                    let generator = Generator(1000 * seed + i)
                    let model = Garnet.create generator 10 2 3
                    let policy = Policy.Uniform model
                    let discount = 0.9
                    let branches = Branches.evaluation discount policy model
                    let representation = CategoricalRepresentation(CategoricalRepresentation.Covering(51, branches))
                    let solution = Returns.fixedPoint options representation branches
                    let bellman = Bellman.Evaluation(model, discount, policy)
                    let values = (FixedPoint.picard options bellman.Operator (Array.zeroCreate 10)).Value
                    let operator = ReturnOperator.create representation branches
                    let exact = ReturnOperator.create (ExactRepresentation(0.0, 100_000)) branches

                    let randomLaw () = Distribution.ofNumbers (Array.init 4 (fun _ -> 10.0 * generator.Uniform()))

                    let ratio (metric: Metric<'table>) (operator: Operator<'table>) (make: unit -> 'table) =
                        Seq.init 50 (fun _ ->
                            let x, y = make (), make ()
                            metric.Distance (operator.Apply x) (operator.Apply y) / metric.Distance x y)
                        |> Seq.max

                    let laws () = LawTable(Array.init 10 (fun _ -> randomLaw ()))
                    let tables () = Categorical.ofTable representation.Support (laws ())

                    let far =
                        Returns.fixedPoint options (CategoricalRepresentation(CategoricalRepresentation.Covering(1601, branches))) branches

                    {|
                        MeanError = Array.map2 (fun (a: float) b -> abs (a - b)) solution.Table.Means values |> Array.max
                        Exact = ratio (Statewise.wasserstein 1.0) exact laws / discount
                        Cramer = ratio Categorical.cramer operator tables / sqrt discount
                        Wasserstein = ratio Categorical.wasserstein operator tables / discount
                        Distance = (Statewise.wasserstein 1.0).Distance (Laws.ofTable solution.Table) (Laws.ofTable far.Table)
                        Stated = solution.Distortion + far.TrueBound + solution.Bound
                    |}
            |]

        let worst pick = rows |> Array.map pick |> Array.max

        progress.Invoke "breaking ties"
        let support = Support(-2.0, 2.0, 41)
        let steps = 100

        let follow (operator: Operator<CategoricalTable>) =
            let mutable table = Categorical.ofLaws support (Array.map Distribution.point [| 0.0; 1.0; 0.0 |])

            [|
                for _ in 1..steps do
                    let next = operator.Apply table
                    struct (Line.wasserstein 1.0 (table.Law 0) (next.Law 0), next.Means |> Array.map abs |> Array.max)
                    table <- next
            |]

        let greedy = follow (ReturnOperator.greedy (CategoricalRepresentation support) Direction.Maximise 0.9 turns)
        let settled = follow (ReturnOperator.evaluation (CategoricalRepresentation support) 0.9 (Policy.Uniform turns) turns)
        let moves (run: struct (float * float)[]) = run |> Array.map (fun struct (move, _) -> move)
        let means (run: struct (float * float)[]) = run |> Array.map (fun struct (_, mean) -> mean)

        progress.Invoke "walking the ledge"
        let ledgeCategorical = CategoricalRepresentation(Support(-20.0, 0.0, 201))

        let struct (policy, along) = Returns.control options ledgeCategorical Direction.Maximise 0.95 ledge

        let actions = policy.MostLikely ledge

        // The most likely way.
        let path =
            ledge.Initial[0]
            |> List.unfold (fun state ->
                if state < 0 then
                    None
                elif ledge.IsTerminal state then
                    Some(state, -1)
                else
                    let row =
                        Seq.find
                            (fun row -> ledge.RowActions[row] = actions[state])
                            (seq { ledge.RowOffsets[state] .. ledge.RowOffsets[state + 1] - 1 })

                    let k = Seq.maxBy (fun k -> ledge.Probabilities[k]) (seq { ledge.Offsets[row] .. ledge.Offsets[row + 1] - 1 })
                    Some(state, ledge.Successors[k]))
            |> Array.ofList

        let wayLaws = path |> Array.map along.Table.Law
        let wayX = Array.init path.Length float

        let stairs (name: string) (law: Distribution) =
            let atoms = law.Atoms.ToArray()

            Worlds.curve
                name
                (atoms |> Array.collect (fun z -> [| z; z |]))
                (atoms |> Array.collect (fun z -> [| law.Cdf(z - 1e-9); law.Cdf z |]))

        let coarse = Returns.fixedPoint options (CategoricalRepresentation(Support(0.0, 2.0, 11))) coinBranches

        {
            Findings =
                [|
                    Findings.exact
                        "the coin's mean is 1"
                        1.0
                        Relation.Equals
                        1e-9
                        $"closed form: the mean is kept; {source}"
                        (coinSolution.Table.Mean 0)
                    Findings.exact
                        "W_1 to the uniform law on [0, 2] is a quarter of the gap of 51 atoms"
                        (0.25 * coinSupport.Gap)
                        Relation.Equals
                        1e-8
                        "closed form: each gap holds the mean of the uniform distribution function over it"
                        coinWasserstein
                    Findings.exact
                        "Cramer's distance to it is gap / sqrt 24"
                        (coinSupport.Gap / sqrt 24.0)
                        Relation.Equals
                        1e-8
                        "closed form: on each gap a line of slope 1/2 about its mean"
                        coinCramer
                    Findings.exact
                        "random processes of 10 states: the largest difference of a law's mean and the value"
                        0.0
                        Relation.AtMost
                        1e-4
                        $"closed form: means are kept on a covering support; {rowland}"
                        (worst _.MeanError)
                    Findings.exact
                        "the push-forward contracts in W_1: largest measured ratio over the discount"
                        1.0
                        Relation.AtMost
                        1e-9
                        source
                        (worst _.Exact)
                    Findings.exact
                        "the projected operator contracts in Cramer's distance: largest ratio over the root of the discount"
                        1.0
                        Relation.AtMost
                        1e-9
                        rowland
                        (worst _.Cramer)
                    Findings.exact
                        "and in W_1: largest ratio over the discount"
                        1.0
                        Relation.AtMost
                        1e-9
                        "the projection averages distribution functions over gaps"
                        (worst _.Wasserstein)
                    Findings.exact
                        "51 atoms against 1601: the largest W_1 over what is stated"
                        1.0
                        Relation.AtMost
                        0.0
                        "gap / (2 (1 - discount)), for both"
                        (rows |> Array.map (fun row -> row.Distance / row.Stated) |> Array.max)
                    Findings.exact
                        "greedy control of a tie: the law still moves in W_1 at step 100"
                        0.8
                        Relation.AtLeast
                        0.0
                        $"the greedy operator is no contraction; {source}"
                        (Array.last (moves greedy))
                    Findings.exact
                        "while the means have converged at the rate of the discount: largest |mean| over 0.9^100"
                        1.0
                        Relation.AtMost
                        1e-6
                        "means obey the optimality operator"
                        (Array.last (means greedy) / Math.Pow(0.9, float steps))
                |]
            Tables =
                [|
                    struct ("Random processes (10 states, discount 0.9, 51 atoms)",
                            DataFrame(
                                DoubleDataFrameColumn("largest |mean - value|", rows |> Array.map _.MeanError),
                                DoubleDataFrameColumn("W_1 ratio / discount, exact laws", rows |> Array.map _.Exact),
                                DoubleDataFrameColumn("Cramer ratio / root of discount", rows |> Array.map _.Cramer),
                                DoubleDataFrameColumn("W_1 ratio / discount, 51 atoms", rows |> Array.map _.Wasserstein),
                                DoubleDataFrameColumn("W_1 to 1601 atoms", rows |> Array.map _.Distance),
                                DoubleDataFrameColumn("stated bound", rows |> Array.map _.Stated)
                            ))
                |]
            Figures =
                [|
                    LineFigure(
                        "A fair coin at discount 1/2: atoms and the uniform law",
                        "return x (discounted sum of coin tosses)",
                        "probability of at most x",
                        [|
                            stairs "11 atoms" (coarse.Table.Law 0)
                            stairs "51 atoms" coinLaw
                            Worlds.curve "uniform on [0, 2]" [| 0.0; 2.0 |] [| 0.0; 1.0 |]
                        |],
                        false
                    )
                    LineFigure(
                        "Along the ledge: the law of what is still to come",
                        "step on the most likely way (the goal is the last)",
                        "return still to come (discount 0.95)",
                        [|
                            {
                                Name = "median, with 10 % and 90 %"
                                X = wayX
                                Y = wayLaws |> Array.map (fun law -> law.Quantile 0.5)
                                Low = wayLaws |> Array.map (fun law -> law.Quantile 0.1)
                                High = wayLaws |> Array.map (fun law -> law.Quantile 0.9)
                            }
                            Worlds.curve "mean: the ordinary value" wayX (wayLaws |> Array.map _.Mean)
                        |],
                        false
                    )
                    LineFigure(
                        "Means converge, greedy laws need not",
                        "application of the operator",
                        "size (of returns)",
                        (let x = Array.init steps (fun n -> float (n + 1))

                         [|
                             Worlds.curve "greedy: W_1 between successive laws" x (moves greedy)
                             Worlds.curve "greedy: largest |mean|" x (means greedy)
                             Worlds.curve "one policy: W_1 between successive laws" x (moves settled)
                         |]),
                        true
                    )
                |]
            Notes =
                [|
                    "The projection gives each gap the mean of the distribution function over it: that is why it keeps means, expands neither W_1 nor Cramer's distance, and why its error has closed forms."
                    "The best way keeps a row further from the pit than it must: a slip beside it costs -20. Rare falls and detours pull the mean below the median."
                |]
        }

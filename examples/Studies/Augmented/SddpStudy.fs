namespace ValueFlow.Studies

open System
open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Stages

/// A stock with a season: what stochastic dual dynamic programming computes, and what cuts that are predicted from the instance's numbers are worth.
[<Sealed>]
type SddpStudy() =
    inherit
        Study(
            "sddp",
            "A",
            "Cuts that are computed, and cuts that are guessed",
            "Three products, four stages, one supplier: the bound equals the program of the whole tree, and predicted cuts decide nearly as well without an iteration."
        )

    // Little, some and much of every product.
    static let states =
        let levels = [ 1.0; 3.5; 6.0 ]

        [|
            for a in levels do
                for b in levels do
                    for c in levels -> [| a; b; c |]
        |]

    // Products are told apart by their numbers alone: every instance is six.
    static let orders = [| [| 0; 1; 2 |]; [| 0; 2; 1 |]; [| 1; 0; 2 |]; [| 1; 2; 0 |]; [| 2; 0; 1 |]; [| 2; 1; 0 |] |]

    static let draw seed = Inventory.random 3 4 5 (Generator seed)

    override _.Run(seed, quick, progress, cancellation) =
        let training, testing = 60, (if quick then 6 else 20)
        let iterations = 12
        let options = { Sddp.standard iterations with Cancellation = cancellation }

        let solved index =
            let instance = draw (10_000 * seed + index)
            let problem = Inventory.problem instance
            let result = Sddp.solve (Generator index) options problem
            struct (instance, problem, result)

        // One instance to the end, against the program of the tree.
        progress.Invoke "one instance to the end"
        let struct (_, whole, _) = solved 0
        let least = ExtensiveForm.solve whole
        let long = Sddp.solve (Generator 1) { options with Iterations = (if quick then 150 else 300) } whole
        let longCost = Sddp.cost cancellation long.Cuts whole

        let known =
            Array.init training (fun i ->
                if i % 10 = 0 then
                    progress.Invoke $"solving training instance {i}"

                let struct (instance, problem, result) = solved (i + 1)
                let cuts = Sddp.cutsAt states result.Cuts problem

                orders
                |> Array.map (fun order ->
                    {
                        Context = Inventory.context (Inventory.reordered order instance)
                        Cuts = CutPrediction.reordered states order cuts
                    }))
            |> Array.concat

        let train predictor = CutPrediction.train cancellation predictor states known
        progress.Invoke "learning to predict cuts"
        let ridge = train (CutPredictor.Ridge 60.0)
        let network = train (CutPredictor.Network([ 64 ], 1000, seed))
        let mean = train CutPredictor.Mean

        let to1Percent least (bounds: float[]) =
            match bounds |> Array.tryFindIndex (fun bound -> bound >= 0.99 * least) with
            | Some i -> float (i + 1)
            | None -> float (bounds.Length + 1)

        let tests =
            Array.init testing (fun i ->
                progress.Invoke $"test instance {i}"
                let index = 1000 + i
                let struct (instance, problem, cold) = solved index
                let context = Inventory.context instance
                let cost cuts = Sddp.cost cancellation cuts problem
                let predict (model: CutModel) = model.Predict context |> CutPrediction.repaired states (Inventory.slopes instance)
                let predicted = predict ridge
                let solvedCuts = Sddp.cutsAt states cold.Cuts problem
                let warm = Sddp.solve (Generator index) { options with Guides = predicted } problem
                let top = max (Array.last cold.Bounds) (Array.last warm.Bounds)

                {|
                    Sddp = cost cold.Cuts
                    Bound = top
                    Ridge = cost predicted
                    Network = cost (predict network)
                    Unrepaired = cost (ridge.Predict context)
                    Mean = cost (mean.Predict context)
                    Myopic = cost [| [||]; [||]; [||] |]
                    Cold = to1Percent top cold.Bounds
                    Warm = to1Percent top warm.Bounds
                    RidgeApart = Array.map2 Cut.distance predicted solvedCuts |> Array.average
                    MeanApart = Array.map2 Cut.distance (mean.Predict context) solvedCuts |> Array.average
                |})

        let average choose = tests |> Array.averageBy choose
        let sddp, byRidge, byNetwork = average _.Sddp, average _.Ridge, average _.Network
        let byMean, myopic = average _.Mean, average _.Myopic

        let table =
            [|
                "SDDP, 12 iterations", sddp
                "predicted cuts, ridge", byRidge
                "predicted cuts, network", byNetwork
                "predicted cuts, ridge, not repaired", average _.Unrepaired
                "mean of the training cuts", byMean
                "no cuts (myopic)", myopic
            |]

        // Stated before it was measured, and not so.
        let missed text expected relation measured =
            {
                Claim =
                    {
                        Text = text
                        Expected = expected
                        Relation = relation
                        Tolerance = 0.0
                        Source = "target: systems' first statement, the number for iterations ours"
                        ExpectReproduced = false
                    }
                Measured = measured
            }

        let x = [| for i in 1 .. long.Bounds.Length -> float i |]
        let order = tests |> Array.sortBy _.Sddp

        {
            Findings =
                [|
                    Findings.exact
                        "the bound is the least cost of the whole tree (625 scenarios): relative gap"
                        0.0
                        Relation.Equals
                        1e-6
                        "finite convergence, Philpott and Guan 2008"
                        ((least - long.Bound) / least)
                    Findings.exact
                        "so is the exact cost of its policy: relative gap"
                        0.0
                        Relation.Equals
                        1e-6
                        "finite convergence, Philpott and Guan 2008"
                        ((longCost - least) / least)
                    Findings.calibrated
                        "cuts predicted by ridge against no cuts: cost ratio, mean over test instances"
                        1.0
                        Relation.AtMost
                        (byRidge / myopic)
                    for name, cost in [ "ridge", byRidge; "the network", byNetwork ] do
                        Findings.calibrated
                            $"cuts predicted by {name} against the mean of the training cuts: cost ratio"
                            1.0
                            Relation.AtMost
                            (cost / byMean)

                    Findings.target
                        "predicted cuts cost at most 5 % more than SDDP, without an iteration (ratio)"
                        1.05
                        Relation.AtMost
                        "systems' first statement"
                        (byRidge / sddp)
                    Findings.target
                        "predicted cut sets are nearer to the solved ones than the mean set (ratio of assignment distances)"
                        1.0
                        Relation.AtMost
                        "systems' first statement"
                        (average _.RidgeApart / average _.MeanApart)
                    missed "no cuts at all cost at least 30 % more than SDDP (ratio)" 1.3 Relation.AtLeast (myopic / sddp)
                    missed
                        "paths that predicted cuts lead come within 1 % of the bound in no more than 90 % of the iterations (ratio of means)"
                        0.9
                        Relation.AtMost
                        (average _.Warm / average _.Cold)
                |]
            Tables =
                [|
                    struct ("Expected cost, exact over the tree; mean over test instances",
                            DataFrame(
                                StringDataFrameColumn("decides by", table |> Array.map fst),
                                DoubleDataFrameColumn("cost", table |> Array.map snd),
                                DoubleDataFrameColumn("against SDDP", table |> Array.map (fun (_, cost) -> cost / sddp))
                            ))
                    struct ("Iterations to 1 % of the bound; mean over test instances",
                            DataFrame(
                                StringDataFrameColumn("start", [| "cold"; "led by predicted cuts" |]),
                                DoubleDataFrameColumn("iterations", [| average _.Cold; average _.Warm |])
                            ))
                |]
            Figures =
                [|
                    LineFigure(
                        "The bound rises to the least cost",
                        "iteration",
                        "gap of the bound, share of the least cost",
                        [| Worlds.curve "SDDP" x (long.Bounds |> Array.map (fun bound -> max 1e-9 ((least - bound) / least))) |],
                        true,
                        true
                    )
                    LineFigure(
                        "What cuts are worth",
                        "test instance, by the cost under SDDP",
                        "expected cost (exact over the tree)",
                        [|
                            let place = order |> Array.mapi (fun i _ -> float (i + 1))
                            Worlds.curve "SDDP" place (order |> Array.map _.Sddp)
                            Worlds.curve "predicted, ridge" place (order |> Array.map _.Ridge)
                            Worlds.curve "predicted, network" place (order |> Array.map _.Network)
                            Worlds.curve "mean of the training cuts" place (order |> Array.map _.Mean)
                            Worlds.curve "no cuts" place (order |> Array.map _.Myopic)
                        |],
                        false
                    )
                |]
            Notes =
                [|
                    "Predicted cuts bound nothing: what is compared is the exact expected cost of the policies, over all 625 paths."
                    $"Contexts are the instance's costs and the means and spreads of its demands; {training} training instances in every order of their products, 27 canonical states."
                    "Paths that predicted cuts lead need about as many iterations as those of a cold start: 5 % fewer on twenty instances, more on six."
                    "Predicted cuts are repaired: slopes steeper than a lost sale are cut to it, cuts that exceed the value of another one at its state are lowered. Without that a single instance in twenty stocks up without end."
                |]
        }

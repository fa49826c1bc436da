namespace ValueFlow.Studies

open System
open System.Diagnostics
open System.Threading
open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns

/// Decisions that remember what was earned: the best tail exactly, a balance that is kept, and ten thousand states between bounds.
[<Sealed>]
type StockCvarStudy() =
    inherit
        Study(
            "stock-cvar",
            "B",
            "The best tail needs a memory of what was earned",
            "Stock-augmented programs: the best CVaR equals brute force over all history-dependent decisions, a stock is brought to balance, and 10,000 states are solved between certified bounds."
        )

    static let horizon = 4
    // Chosen so that the stock matters: it does on about half of all seeds.
    static let gambleSeed = 7

    // Decisions by stage and state alone, each the one whose own tail is best.
    static member private MarkovGreedy(share: float, model: Model, cancellation: CancellationToken) : Distribution =
        let mutable laws = Array.create model.StateCount (Distribution.point 0.0)

        for _ in 1..horizon do
            cancellation.ThrowIfCancellationRequested()

            laws <-
                Array.init model.StateCount (fun s ->
                    [
                        for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 ->
                            Distribution.mixture
                                [
                                    for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 ->
                                        struct (model.Probabilities[k], Distribution.affine model.Rewards[k] 1.0 laws[model.Successors[k]])
                                ]
                    ]
                    |> List.maxBy ((Tail.cvar share).Value))

        laws[0]

    override _.Run(seed, quick, progress, cancellation) =
        // The gamble: exact.
        let gamble = GambleModels.gamble gambleSeed
        let share = 0.25
        progress.Invoke "enumerating the laws that can be reached in four steps"
        let span = 3 * horizon
        let places = Array.init (2 * span + 1) (fun i -> float (i - span))

        let brute =
            GambleModels.reachable span horizon 0 gamble
            |> Seq.map (fun masses -> (Tail.cvar share).Value(Distribution.ofAtoms places masses))
            |> Seq.max

        let best share =
            let struct (plan, _) = BestTail.solve share 100_000 horizon 0 1.0 gamble cancellation
            StockProgram.lawOf plan cancellation

        let graph = StockGraph.Reach(100_000, horizon, 0.0, 0, 1.0, gamble, cancellation)
        let neutral = (StockProgram.solve Sight.FromTheStart _.Mean cancellation graph).Value
        let averse = best share
        let markov = StockCvarStudy.MarkovGreedy(share, gamble, cancellation)
        let shares = [| 0.05; 0.1; 0.15; 0.2; 0.25; 0.3; 0.4; 0.5; 0.6; 0.7; 0.8; 0.9; 1.0 |]
        let frontier = shares |> Array.map best

        // The balance.
        progress.Invoke "bringing a stock to balance on a grid"
        let grid = GambleModels.pickUps ()
        let starts = [| -4.0; -2.0; 0.0; 2.0; 4.0 |]
        let steps = 16

        let left functional stock =
            let graph = StockGraph.Reach(200_000, steps, stock, 0, 1.0, grid, cancellation)
            StockProgram.lawOf (StockProgram.solveMean functional cancellation graph) cancellation

        let balanced = starts |> Array.map (left (fun x -> -(x * x)))
        let greedy = starts |> Array.map (left id)
        let distance (laws: Distribution[]) = laws |> Array.averageBy (fun law -> law.Expect abs)

        // At scale.
        let states = if quick then 1_000 else 10_000
        let tolerance = 0.25
        progress.Invoke $"solving a model of {states} states for the mean of the worst tenth"
        let garnet = Garnet.create (Generator seed) states 4 8
        let watch = Stopwatch.StartNew()

        let found =
            BestTail.optimise
                { StockPlanning.standard with Tolerance = tolerance; Cancellation = cancellation }
                0.1
                Direction.Maximise
                0
                0.95
                garnet

        let seconds = watch.Elapsed.TotalSeconds
        let episodes = if quick then 2_000 else 5_000
        let played = Distribution.ofNumbers (found.Play(Generator(seed + 1), episodes, 150, cancellation)).Returns
        let tail = (Tail.cvar 0.1).Value played
        let levels = [| 0.05; 0.1; 0.2; 0.3; 0.4; 0.5; 0.6; 0.7; 0.8; 0.9; 1.0 |]
        let readings = levels |> Array.map (fun share -> BestTail.at share 0 found)

        {
            Findings =
                [|
                    Findings.exact
                        "CVaR 0.25 of the program with a stock, less the best of all history-dependent decisions"
                        0.0
                        Relation.Equals
                        1e-9
                        "Bauerle and Ott 2011; every law that can be reached is enumerated"
                        ((Tail.cvar share).Value averse - brute)
                    Findings.target
                        "by how much it is above the risk-neutral decisions' CVaR 0.25"
                        1e-3
                        Relation.AtLeast
                        "Pires et al. 2025"
                        ((Tail.cvar share).Value averse - (Tail.cvar share).Value neutral)
                    Findings.target
                        "and above that of decisions by stage and state that are greedy for it"
                        1e-3
                        Relation.AtLeast
                        "Pires et al. 2025"
                        ((Tail.cvar share).Value averse - (Tail.cvar share).Value markov)
                    Findings.target
                        "stocks from -4 to 4 are brought near zero by f(x) = -x^2: mean distance at the end"
                        0.5
                        Relation.AtMost
                        "Pires et al. 2025"
                        (distance balanced)
                    Findings.target
                        "risk-neutral decisions leave them at a mean distance"
                        1.5
                        Relation.AtLeast
                        "Pires et al. 2025"
                        (distance greedy)
                    Findings.exact
                        $"{states} states: width of the certified bracket of the best CVaR 0.1"
                        tolerance
                        Relation.AtMost
                        0.0
                        "the solver's tolerance"
                        (found.Upper - found.Lower)
                    Findings.exact
                        "the played CVaR 0.1, less the certified lower bound"
                        0.0
                        Relation.AtLeast
                        0.05
                        "decisions attain the bound, but for what playing errs by"
                        (tail - found.Lower)
                    Findings.exact
                        "the certified upper bound, less the played CVaR 0.1"
                        0.0
                        Relation.AtLeast
                        0.05
                        "no decisions exceed it, but for what playing errs by"
                        (found.Upper - tail)
                |]
            Tables =
                [|
                    struct ("The best CVaR 0.1 of a random model, four actions, eight successors, discount 0.95",
                            DataFrame(
                                DoubleDataFrameColumn("states", [| float states |]),
                                DoubleDataFrameColumn("lower", [| found.Lower |]),
                                DoubleDataFrameColumn("estimate", [| found.Estimate |]),
                                DoubleDataFrameColumn("upper", [| found.Upper |]),
                                DoubleDataFrameColumn("played", [| tail |]),
                                DoubleDataFrameColumn("target", [| found.Target |]),
                                DoubleDataFrameColumn("nodes", [| float found.Values.Nodes |]),
                                DoubleDataFrameColumn("lattice gap", [| found.Values.Lattice.Gap |]),
                                DoubleDataFrameColumn("sweeps", [| float found.Values.Sweeps |]),
                                DoubleDataFrameColumn("seconds", [| seconds |])
                            ))
                    struct ("The gamble: best decisions for each share",
                            DataFrame(
                                DoubleDataFrameColumn("share", shares),
                                DoubleDataFrameColumn("CVaR", Array.map2 (fun share law -> (Tail.cvar share).Value law) shares frontier),
                                DoubleDataFrameColumn(
                                    "CVaR of the risk-neutral",
                                    shares |> Array.map (fun s -> (Tail.cvar s).Value neutral)
                                ),
                                DoubleDataFrameColumn("mean", frontier |> Array.map _.Mean)
                            ))
                    struct ("The balance: mean distance from zero after 16 steps",
                            DataFrame(
                                DoubleDataFrameColumn("stock at the start", starts),
                                DoubleDataFrameColumn("f(x) = -x^2", balanced |> Array.map (fun law -> law.Expect abs)),
                                DoubleDataFrameColumn("risk-neutral", greedy |> Array.map (fun law -> law.Expect abs))
                            ))
                |]
            Figures =
                [|
                    LineFigure(
                        "The frontier of risk: a better tail costs some of the mean",
                        "share of worst outcomes",
                        "total reward of four steps",
                        [|
                            Worlds.curve
                                "CVaR, best decisions for the share"
                                shares
                                (Array.map2 (fun share law -> (Tail.cvar share).Value law) shares frontier)
                            Worlds.curve "CVaR, risk-neutral decisions" shares (shares |> Array.map (fun s -> (Tail.cvar s).Value neutral))
                            Worlds.curve "mean, best decisions for the share" shares (frontier |> Array.map _.Mean)
                        |],
                        false
                    )
                    LineFigure(
                        "The law of the total reward",
                        "total reward of four steps",
                        "probability of at most as much",
                        [| GambleModels.steps "best for the worst quarter" averse; GambleModels.steps "risk-neutral" neutral |],
                        false
                    )
                    LineFigure(
                        $"{states} states: certified bounds of the best CVaR",
                        "share of worst outcomes",
                        "discounted return",
                        [|
                            {
                                Name = "estimate, between the bounds"
                                X = levels
                                Y = readings |> Array.map _.Estimate
                                Low = readings |> Array.map _.Lower
                                High = readings |> Array.map _.Upper
                            }
                        |],
                        false
                    )
                |]
            Notes =
                [|
                    "With two actions and two outcomes 32,768 laws of the total can be reached in four steps; whether the stock matters depends on the model, and it does on about half of random ones."
                    "One solve answers for every share: the bracket was narrowed at 0.1, and is wider where the share is smaller."
                |]
        }

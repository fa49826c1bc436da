namespace ValueFlow.Studies

open System
open System.Threading
open Microsoft.Data.Analysis
open MathNet.Numerics
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns

/// Caution at every step in linear decision processes: planned, learned by optimism, and rewards learned from comparisons.
[<Sealed>]
type IteratedCvarStudy() =
    inherit
        Study(
            "iterated-cvar",
            "B",
            "Caution at every step, learned",
            "Iterated CVaR in random linear decision processes: an optimistic learner's regret falls, caution pays at its own level, and comparisons teach rewards at the rate n^(-1/2)."
        )

    static let horizon, share = 4, 0.3

    // The law of the total reward of a plan from state 0: exact.
    static let returns (plan: StagePlan) (model: Model) : Distribution =
        let rec from h (laws: Distribution[]) =
            if h < 0 then
                laws[0]
            else
                Array.init model.StateCount (fun s ->
                    let row = model.RowOffsets[s] + plan.Decisions[h].[s]

                    Distribution.mixture (
                        seq {
                            for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 ->
                                struct (model.Probabilities[k], Distribution.affine model.Rewards[k] 1.0 laws[model.Successors[k]])
                        }
                    ))
                |> from (h - 1)

        from (plan.Horizon - 1) (Array.create model.StateCount (Distribution.point 0.0))

    // The error of a reward learned from so many comparisons of segments, but for a constant, which no comparison tells.
    static let comparisonError (generator: Generator) (count: int) =
        let d, length = 4, 4
        let centred (x: float[]) = let mean = Array.average x in x |> Array.map (fun v -> v - mean)
        let truth = Array.init d (fun _ -> 4.0 * generator.Uniform())

        let segment () = Array.init length (fun _ -> Sampling.dirichlet generator 0.3 d) |> Array.reduce (Array.map2 (+))

        let comparisons =
            Array.init count (fun _ ->
                let difference = Array.map2 (-) (segment ()) (segment ())

                {
                    Difference = difference
                    FirstPreferred = generator.Uniform() < BradleyTerry.probability truth difference
                })

        let fit = BradleyTerry.fit 1e-3 comparisons
        Array.map2 (fun a b -> (a - b) * (a - b)) (centred fit.Weights) (centred truth) |> Array.sum

    override _.Run(seed, quick, progress, cancellation: CancellationToken) =
        let instances = 10
        let options = { OptimisticCvarOptions.Standard with Share = share; Horizon = horizon }
        let generator = Generator seed
        let models = Array.init instances (fun _ -> LinearModel.random (generator.Split()) 8 3 4 0.3)

        let runs =
            models
            |> Array.mapi (fun i model ->
                progress.Invoke $"learning in process {i + 1} of {instances}"
                OptimisticCvar.learn (generator.Split()) cancellation options model)

        let half = options.Episodes / 2
        let average from until = runs |> Array.averageBy (fun run -> Array.average run.Regrets[from .. until - 1])
        let first, second = average 0 half, average half options.Episodes

        let start (plan: StagePlan) = plan.Values[0].[0]

        let worths =
            models
            |> Array.map (fun linear ->
                let neutral = IteratedCvar.neutral cancellation horizon linear.Model

                struct (start (IteratedCvar.plan cancellation share horizon linear.Model),
                        start (IteratedCvar.evaluate cancellation share neutral linear.Model)))

        let gains = worths |> Array.map (fun (struct (cautious, neutral)) -> cautious - neutral)

        progress.Invoke "comparisons"
        let counts = [| 100; 200; 400; 800; 1600; 3200 |]
        let repeats = if quick then 15 else 40

        let errors =
            counts
            |> Array.map (fun count ->
                cancellation.ThrowIfCancellationRequested()
                sqrt (Array.average (Array.init repeats (fun _ -> comparisonError generator count))))

        let struct (_, slope) = Fit.Line(counts |> Array.map (fun n -> log (float n)), errors |> Array.map log)

        progress.Invoke "frontier"
        let levels = [| 0.03; 0.05; 0.1; 0.2; 0.3; 0.5; 0.7; 1.0 |]

        // By level, on the average of the processes: mean return, iterated CVaR at the study's share, mean of the worst tenth of returns.
        let frontier =
            levels
            |> Array.map (fun level ->
                let judged =
                    models
                    |> Array.map (fun linear ->
                        let plan = IteratedCvar.plan cancellation level horizon linear.Model
                        let law = returns plan linear.Model

                        [| law.Mean; start (IteratedCvar.evaluate cancellation share plan linear.Model); (Tail.cvar 0.1).Value law |])

                Array.init 3 (fun k -> judged |> Array.averageBy (fun values -> values[k])))

        let column k = frontier |> Array.map (fun values -> values[k])
        let means, iterated, tails = column 0, column 1, column 2
        let neutral = levels.Length - 1
        let lead (values: float[]) = values |> Array.map (fun value -> value - values[neutral])

        let episodes = Array.init options.Episodes (fun i -> float (i + 1))
        let cumulative = runs |> Array.map (fun run -> run.Regrets |> Array.scan (+) 0.0 |> Array.tail)
        let across (pick: float[] -> float) = Array.init options.Episodes (fun i -> pick (cumulative |> Array.map (fun path -> path[i])))

        {
            Findings =
                [|
                    Findings.target
                        "average regret of the second half of the episodes, in parts of that of the first"
                        0.5
                        Relation.AtMost
                        "stated before the study; prototypes measured .02 to .4"
                        (second / first)
                    Findings.exact
                        "the cautious plan is worth no less than the neutral one at its own level (least gain of any process)"
                        0.0
                        Relation.AtLeast
                        1e-12
                        "closed form: the plan is optimal"
                        (Array.min gains)
                    Findings.target
                        "and more in at least one process (processes)"
                        1.0
                        Relation.AtLeast
                        "stated before the study"
                        (gains |> Array.filter (fun gain -> gain > 1e-9) |> Array.length |> float)
                    Findings.exact
                        "the error of a reward learned from n comparisons falls as n^(-1/2): slope"
                        -0.5
                        Relation.Equals
                        0.15
                        "rate of maximum likelihood"
                        slope
                    Findings.exact
                        "the neutral plan has the largest mean return (least lead over the other levels)"
                        0.0
                        Relation.AtLeast
                        1e-9
                        "closed form: share 1 is the expectation"
                        (means[neutral] - Array.max means)
                    Findings.exact
                        "the plan of level 0.3 has the largest iterated CVaR at 0.3 (least lead over the other levels)"
                        0.0
                        Relation.AtLeast
                        1e-9
                        "closed form: the plan is optimal"
                        (iterated[Array.IndexOf(levels, share)] - Array.max iterated)
                |]
            Tables =
                [|
                    struct ("By process",
                            DataFrame(
                                DoubleDataFrameColumn(
                                    "average regret, first half",
                                    runs |> Array.map (fun run -> Array.average run.Regrets[.. half - 1])
                                ),
                                DoubleDataFrameColumn(
                                    "average regret, second half",
                                    runs |> Array.map (fun run -> Array.average run.Regrets[half..])
                                ),
                                DoubleDataFrameColumn("iterated CVaR, cautious plan", worths |> Array.map (fun (struct (c, _)) -> c)),
                                DoubleDataFrameColumn("iterated CVaR, neutral plan", worths |> Array.map (fun (struct (_, n)) -> n))
                            ))
                    struct ($"By level of caution, mean of {instances} processes",
                            DataFrame(
                                DoubleDataFrameColumn("share", levels),
                                DoubleDataFrameColumn("mean return", means),
                                DoubleDataFrameColumn("iterated CVaR at 0.3", iterated),
                                DoubleDataFrameColumn("mean of the worst tenth of returns", tails)
                            ))
                    struct ("Comparisons",
                            DataFrame(
                                DoubleDataFrameColumn("comparisons", counts |> Array.map float),
                                DoubleDataFrameColumn("root mean squared error", errors)
                            ))
                |]
            Figures =
                [|
                    LineFigure(
                        "Regret of an optimistic learner",
                        "episodes",
                        "cumulative regret (reward)",
                        [|
                            {
                                Name = $"mean of {instances} processes, band from least to most"
                                X = episodes
                                Y = across Array.average
                                Low = across Array.min
                                High = across Array.max
                            }
                        |],
                        false
                    )
                    LineFigure(
                        "What caution costs and saves, against the neutral plan",
                        "level of the plan: share of worst outcomes (1 is neutral)",
                        "reward more than neutral",
                        [|
                            Worlds.curve "iterated CVaR at 0.3" levels (lead iterated)
                            Worlds.curve "mean of the worst tenth of returns" levels (lead tails)
                            Worlds.curve "mean return" levels (lead means)
                        |],
                        false
                    )
                    LineFigure(
                        "Rewards from comparisons",
                        "comparisons",
                        "error of the weights",
                        [| Worlds.curve $"maximum likelihood, slope {slope:F2}" (counts |> Array.map float) errors |],
                        true,
                        true,
                        false,
                        [| -0.5 |]
                    )
                |]
            Notes =
                [|
                    "Eight states, three actions, four features; features and laws from the Dirichlet law of concentration 0.3, rewards squares of uniform numbers; share 0.3, ridge 1, bonus 0.1, grid 0.1, horizon 4, start in state 0."
                    "Iterated CVaR judges every step; the worst tenth of whole returns is another measure, and need not improve with every step of caution."
                |]
        }

namespace ValueFlow.Studies

open System
open System.Threading.Tasks
open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning
open ValueFlow.Core.Returns
open ValueFlow.Core.Values

/// C51 beside DQN of the same size on a walk along a cliff.
[<Sealed>]
type CategoricalAgentStudy() =
    inherit
        Study(
            "categorical-agent",
            "B",
            "A law for each action, or its mean: C51 beside DQN",
            "Cliff of 4 x 8, one-hot states, networks 64 x 64: the same loop learns a value or a law of 51 atoms; what its greedy policies earn is computed exactly."
        )

    override _.Run(seed, quick, progress, cancellation) =
        let discount, steps, checks = 0.99, 8000, 20
        let seeds = if quick then 3 else 8
        let model = Grid.toModel (CliffWalking.grid 4 8 0.0)
        let world = TabularWorld model
        let bellman = Bellman.Create(model, discount, Expectation(), Extreme Direction.Maximise)
        let start = model.Initial[0]
        let best = (ValueIteration.solve RunOptions.standard bellman).Values[start]

        // The discounted return of a greedy policy from the start: exact, not sampled.
        let earns (snapshot: AgentSnapshot) =
            let policy = Policy.Deterministic(model, ReadOnlySpan snapshot.Greedy)
            (PolicyEvaluation.linear RunOptions.standard policy bellman).Values[start]

        // Rewards by ten: the largest loss, -120, lies within the support.
        let heads = [| "DQN", ValueHead.Scalar; "C51", ValueHead.Categorical(Support(-12.0, 0.0, 51)) |]

        let learn (name: string) (head: ValueHead) (run: int) =
            let options =
                { AgentOptions.standard head steps with
                    RewardScale = 0.1
                    Discount = discount
                    CheckEvery = steps / checks
                    Seed = 1000 * seed + run
                    Cancellation = cancellation
                }

            progress.Invoke $"{name}, seed {options.Seed}"
            let trained = ValueAgent.train options world
            trained.Snapshots |> Array.map earns

        let curves =
            heads
            |> Array.map (fun (name, head) ->
                let curves: float[][] = Array.zeroCreate seeds
                let side = ParallelOptions(MaxDegreeOfParallelism = 2, CancellationToken = cancellation)
                Parallel.For(0, seeds, side, fun run -> curves[run] <- learn name head run) |> ignore
                name, curves)

        let xs = Array.init checks (fun i -> float ((i + 1) * steps / checks))
        let at (curves: float[][]) i = curves |> Array.map (fun curve -> curve[i])
        let final (curves: float[][]) = Array.average (at curves (checks - 1))
        let area (curves: float[][]) = curves |> Array.averageBy Array.average

        // The first check from which on the policy is the best one, in steps; the end where there is none.
        let solvedAfter (curve: float[]) =
            let last = curve |> Array.tryFindIndexBack (fun v -> v < best - 1e-6)

            match last with
            | None -> xs[0]
            | Some i -> if i = checks - 1 then float steps else xs[i + 1]

        let series =
            curves
            |> Array.map (fun (name, curves) ->
                let means = Array.init checks (fun i -> Array.average (at curves i))

                let errors =
                    Array.init checks (fun i ->
                        let values = at curves i
                        let mean = Array.average values
                        sqrt ((values |> Array.sumBy (fun v -> (v - mean) * (v - mean))) / float (seeds * (seeds - 1))))

                {
                    Name = name
                    X = xs
                    Y = means
                    Low = Array.map2 (-) means errors
                    High = Array.map2 (+) means errors
                })

        let dqn, c51 = snd curves[0], snd curves[1]

        {
            Findings =
                [|
                    Findings.exact
                        "the best discounted return from the start: nine steps of -1"
                        (-(1.0 - Math.Pow(discount, 9.0)) / (1.0 - discount))
                        Relation.Equals
                        1e-8
                        "closed form: up, seven times right, down"
                        best
                    Findings.target
                        "area under the curve of C51 less that of DQN: mean greedy return over all checks and seeds"
                        0.0
                        Relation.AtLeast
                        "C51 >= DQN of the same size"
                        (area c51 - area dqn)
                    Findings.target
                        "greedy return of C51 at the end less that of DQN, mean over seeds"
                        0.0
                        Relation.AtLeast
                        "C51 >= DQN of the same size"
                        (final c51 - final dqn)
                |]
            Tables =
                [|
                    struct ("Greedy policies, exact discounted return from the start; means over seeds",
                            DataFrame(
                                StringDataFrameColumn("agent", heads |> Array.map fst),
                                DoubleDataFrameColumn("at the end", curves |> Array.map (snd >> final)),
                                DoubleDataFrameColumn("mean over all checks", curves |> Array.map (snd >> area)),
                                DoubleDataFrameColumn("best for good after steps", curves |> Array.map (snd >> Array.averageBy solvedAfter))
                            ))
                |]
            Figures =
                [|
                    LineFigure(
                        $"Greedy policies while learning: mean, standard error ({seeds} seeds)",
                        "steps in the world",
                        "discounted return (rewards)",
                        series,
                        false
                    )
                |]
            Notes =
                [|
                    "A greedy policy that runs into a wall for ever earns -1 / (1 - 0.99) = -100: early checks stand there."
                    "Same layers, seeds, exploration, replay, target network and Adam; only the last layer (4 against 204 outputs) and the loss differ. Rewards are learnt by a tenth."
                |]
        }

namespace ValueFlow.Studies

open System
open System.Threading
open Microsoft.Data.Analysis
open MathNet.Numerics.LinearAlgebra.Double
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// Values that are linear in features: where the projected iteration contracts, how good its bound is, where it diverges, and what a log tells.
[<Sealed>]
type LinearValuesStudy() =
    inherit
        Study(
            "linear-values",
            "A",
            "Values by features: contraction, its bound, and divergence",
            "TD with linear features as an operator: on a cycle where the bound is met, on two states and on Baird's star where it diverges, and from logs of a random walk, whole and cut off."
        )

    static let trust = "Tsitsiklis and Van Roy 1997, An analysis of temporal-difference learning with function approximation"

    static let built (builder: ModelBuilder) : Model =
        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    static let turn n s = 2.0 * Math.PI * float s / float n

    // A cycle whose rewards are a sine; a constant and a cosine as features.
    static let cycle n : Model * Features =
        let builder = ModelBuilder n

        for s in 0 .. n - 1 do
            builder.Add(s, 0, (s + 1) % n, 1.0, sin (turn n s))

        let model = built builder
        model, Features.OfStates(model, fun s -> [| 1.0; cos (turn n s) |])

    // Values w and 2 w; the second state is never left.
    static let twoStates: Model * Features =
        let builder = ModelBuilder 2
        builder.Add(0, 0, 1, 1.0, 0.0)
        builder.Add(1, 0, 1, 1.0, 0.0)
        built builder, Features.Create [| [| 1.0 |]; [| 2.0 |] |]

    // Expected updates of TD(0) at seven states, all as often: theta' = A theta. Eight features, so that no projection is unique.
    static let star (discount: float) =
        let phi =
            DenseMatrix.Create(
                7,
                8,
                fun s j ->
                    if s < 6 then
                        (if j = s then 2.0
                         elif j = 7 then 1.0
                         else 0.0)
                    elif j = 6 then
                        1.0
                    elif j = 7 then
                        2.0
                    else
                        0.0
            )

        let ahead = DenseMatrix.Create(7, 7, fun s next -> (if next = 6 then discount else 0.0) - (if s = next then 1.0 else 0.0))
        phi.TransposeThisAndMultiply(ahead * phi) / 7.0

    override _.Run(seed, _, progress, cancellation) =
        // Four seconds: what is quick needs no less.
        let none = CancellationToken.None
        let n, discount = 32, 0.98
        let model, features = cycle n
        let policy = Policy.Uniform model
        let along lambda = ProjectedBellman.Create(model, discount, policy, lambda, features, StateWeights.uniform model, none)
        let single = along 0.0
        let found = single.Solve()

        // Distances to the fixed point, step by step.
        let distances =
            Seq.unfold
                (fun values -> Some(single.Projection.Metric.Distance values found.Values, single.Operator.Apply values))
                (Array.create n 100.0)
            |> Seq.take 301
            |> Array.ofSeq

        let factor = (distances[300] / distances[200]) ** 0.01
        let lambdas = [| for i in 0..50 -> float i / 50.0 |]
        let solutions = lambdas |> Array.map (fun lambda -> (along lambda).Solve())
        let worst = solutions |> Array.map (fun solution -> solution.Error / solution.ErrorBound) |> Array.max

        // Two states, Baird's star.
        let pair, doubling = twoStates
        let stay = Policy.Uniform pair

        let growing weights =
            let bellman = ProjectedBellman.Create(pair, 0.99, stay, 0.0, doubling, weights, none)

            Seq.unfold (fun theta -> Some(abs (Array.head theta), bellman.Step theta)) [| 1.0 |]
            |> Seq.take 61
            |> Array.ofSeq

        let uniform, kept = growing (StateWeights.uniform pair), growing (StateWeights.stationary none stay pair)
        let updates = star 0.99
        let rate = updates.Evd().EigenValues |> Seq.map _.Real |> Seq.max
        // The two eigenvalues of the symmetric part that are not those of -4/7: closed form.
        let trace, determinant =
            17.0 * 0.99 - 15.0, (12.0 * 0.99 - 10.0) * (5.0 * 0.99 - 5.0) - (5.0 * 0.99 - 2.0) * (12.0 * 0.99 - 12.0)

        let expectedRate = (trace + sqrt (trace * trace - 4.0 * determinant)) / 14.0
        let step = 0.5

        let starWeights =
            Seq.unfold
                (fun (theta: DenseVector) -> Some(theta.L2Norm(), theta + DenseVector.OfVector(updates * theta) * step))
                (DenseVector.OfArray [| 1.0; 1.0; 1.0; 1.0; 1.0; 1.0; 10.0; 1.0 |])
            |> Seq.take 61
            |> Array.ofSeq

        // Logs of a random walk from the middle of 13 states, of which both ends are terminal; a constant and the place as features.
        let walk = Chain.randomWalk 13 0.5
        let wander = Policy.Uniform walk
        let place s = [| 1.0; float s / 12.0 |]
        let lambda, share = 0.8, 0.95
        let walkFeatures = Features.OfStates(walk, place)
        let mu = StateWeights.stationary cancellation wander walk
        let target = ProjectedBellman.Create(walk, share, wander, lambda, walkFeatures, mu, none)
        let expected = target.Solve()
        let size = target.Projection.Metric.Distance expected.Values (Array.zeroCreate walk.StateCount)
        let counts = [| 30; 100; 300; 1000; 3000 |]
        let repeats = 10
        let generator = Generator seed
        let longest = 15

        let away episodes most =
            Array.init repeats (fun _ ->
                let log = Recording.record (generator.Split()) episodes most cancellation wander walk
                let names = log.StateNames.ToArray() |> Array.map int
                let logged = Lstd.ofLog cancellation share lambda (fun s -> place names[s]) ValueNone log
                // From weights, so that states the log never saw have values too.
                target.Projection.Metric.Distance (walkFeatures.Values logged.Weights) expected.Values / size)

        let rms (x: float[]) = sqrt (Array.averageBy (fun v -> v * v) x)

        let logs most =
            counts
            |> Array.map (fun episodes ->
                progress.Invoke $"{episodes} episodes of at most {most} steps"
                rms (away episodes most))

        let whole, cut = logs 100_000, logs longest
        let last = counts.Length - 1
        let slope = log (whole[last] / whole[0]) / log (float counts[last] / float counts[0])
        let day = "2026-11-28"

        {
            Findings =
                [|
                    Findings.exact
                        "cycle: factor by which 100 projected steps shorten the distance, each"
                        discount
                        Relation.Equals
                        1e-6
                        trust
                        factor
                    Findings.exact
                        "cycle: the computed modulus (gamma, as the policy keeps the weights)"
                        discount
                        Relation.Equals
                        1e-9
                        trust
                        found.Modulus
                    Findings.exact
                        "cycle: error over the least error, l = 0; the bound is 1 / sqrt(1 - gamma^2)"
                        (1.0 / sqrt (1.0 - discount * discount))
                        Relation.AtMost
                        1e-9
                        trust
                        (found.Error / found.LeastError)
                    Findings.exact
                        "cycle: the same, at least 99.9 % of the bound: it cannot be bettered"
                        (0.999 / sqrt (1.0 - discount * discount))
                        Relation.AtLeast
                        0.0
                        "the feature's correlation with its next value is gamma, nearly"
                        (found.Error / found.LeastError)
                    Findings.exact "cycle: error over bound, worst of 51 values of l" 1.0 Relation.AtMost 1e-9 trust worst
                    Findings.exact
                        "two states, weights even: growth of a step, 6/5 gamma"
                        (1.2 * 0.99)
                        Relation.Equals
                        1e-9
                        "Tsitsiklis and Van Roy 1996, Feature-based methods for large scale dynamic programming"
                        (uniform[60] / uniform[59])
                    Findings.exact
                        "two states, weights of the policy: growth of a step"
                        0.99
                        Relation.Equals
                        1e-9
                        trust
                        (kept[60] / kept[59])
                    Findings.exact
                        "Baird's star, all states as often: the largest rate at which expected updates of TD(0) grow"
                        expectedRate
                        Relation.Equals
                        1e-9
                        "Baird 1995, Residual algorithms: reinforcement learning with function approximation; closed form"
                        rate
                    Findings.calibratedOn
                        day
                        $"random walk, {counts[last]} whole episodes: LSTD(0.8) from the model's fixed point, relative"
                        0.05
                        Relation.AtMost
                        whole[last]
                    Findings.calibratedOn
                        day
                        "the slope of that distance in the number of episodes (-1/2 in the long run), at most"
                        -0.25
                        Relation.AtMost
                        slope
                    Findings.calibratedOn
                        day
                        $"episodes cut off after {longest} steps: how many times as far with as many episodes"
                        3.0
                        Relation.AtLeast
                        (cut[last] / whole[last])
                |]
            Tables =
                [|
                    struct ("Relative distance of LSTD(0.8) from the model's fixed point (root mean square of the logs)",
                            DataFrame(
                                Int32DataFrameColumn("episodes", counts),
                                DoubleDataFrameColumn("whole", whole),
                                DoubleDataFrameColumn($"cut off after {longest} steps", cut)
                            ))
                |]
            Figures =
                [|
                    LineFigure(
                        "Where the weights of states decide",
                        "step",
                        "length of theta",
                        [|
                            Worlds.curve "two states, even weights: 1.188 a step" (Array.init 61 float) uniform
                            Worlds.curve "Baird's star, even weights, steps of 0.5" (Array.init 61 float) starWeights
                            Worlds.curve "two states, weights of the policy: 0.99 a step" (Array.init 61 float) kept
                        |],
                        true
                    )
                    LineFigure(
                        "A cycle on which the bound is met",
                        "lambda",
                        "error / least error",
                        [|
                            Worlds.curve "bound" lambdas (solutions |> Array.map (fun s -> s.ErrorBound / s.LeastError))
                            Worlds.curve "fixed point" lambdas (solutions |> Array.map (fun s -> s.Error / s.LeastError))
                        |],
                        false
                    )
                    LineFigure(
                        "LSTD(0.8) from logs of a random walk",
                        "episodes",
                        "relative distance from fixed point",
                        [|
                            Worlds.curve "whole episodes" (counts |> Array.map float) whole
                            Worlds.curve $"cut off after {longest} steps" (counts |> Array.map float) cut
                        |],
                        true,
                        logarithmicX = true,
                        slopes = [| -0.5 |]
                    )
                |]
            Notes =
                [|
                    "Weights of states that the policy does not keep may make the projected operator expand; then nothing is claimed of it, and its fixed point, if it has one, may be anywhere."
                    "Episodes that are cut off weigh early states too much: what is found is another fixed point, however many there are."
                |]
        }

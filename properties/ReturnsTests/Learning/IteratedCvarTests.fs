/// Caution at every step, the grid of thresholds, and a learner that knows neither kernel nor fear.
module ValueFlow.Tests.Returns.IteratedCvarTests

open System
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open MathNet.Numerics.LinearAlgebra
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns
open ValueFlow.Laws
open ValueFlow.Tests.Returns.Judge

let private cancellation = CancellationToken.None

let private garnet (seed: int) = Garnet.create (Generator(abs seed % 100_000)) (2 + abs seed % 5) (1 + abs seed % 3) (1 + abs seed % 2)

let private close (tolerance: float) (a: float[]) (b: float[]) =
    let worst = Array.map2 (fun x y -> abs (x - y)) a b |> Array.max
    (worst <= tolerance) |> Prop.label $"{worst} <= {tolerance}"

[<Fact>]
let ``all outcomes: the neutral plan; the least probable share: the worst outcome; more caution, less value`` () =
    let everything (share: float) (seed: int) =
        let model = garnet seed
        close 1e-12 (IteratedCvar.plan cancellation share 4 model).Values[0] (IteratedCvar.neutral cancellation 4 model).Values[0]

    holds (everything 1.0)
    refuted (everything 0.5)

    // V_h = max over a of min over successors of r + V_(h+1).
    let rec worst (choose: float seq -> float) (model: Model) stages : float[] =
        if stages = 0 then
            Array.zeroCreate model.StateCount
        else
            let next = worst choose model (stages - 1)

            Array.init model.StateCount (fun s ->
                seq { model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 }
                |> Seq.map (fun row ->
                    seq { model.Offsets[row] .. model.Offsets[row + 1] - 1 }
                    |> Seq.map (fun k -> model.Rewards[k] + next[model.Successors[k]])
                    |> choose)
                |> Seq.max)

    let least choose (seed: int) =
        let model = garnet seed
        let share = model.Probabilities.ToArray() |> Array.min
        close 1e-9 (IteratedCvar.plan cancellation share 3 model).Values[0] (worst choose model 3)

    holds (least Seq.min)
    refuted (least Seq.max)

    let monotone (swap: bool) (seed: int, first: int, second: int) =
        let model = garnet seed
        let a, b = float (1 + abs (first % 99)) / 100.0, float (1 + abs (second % 99)) / 100.0
        let value share = (IteratedCvar.plan cancellation share 3 model).Values[0]
        let low, high = if swap then max a b, min a b else min a b, max a b
        atMost (Array.map2 (-) (value low) (value high) |> Array.max) 0.0

    holds (monotone false)
    refuted (monotone true)

[<Fact>]
let ``the cautious plan is the best at its own share`` () =
    let law (share: float) (seed: int) =
        let model = garnet seed
        let cautious, neutral = IteratedCvar.plan cancellation 0.3 4 model, IteratedCvar.neutral cancellation 4 model
        let worth plan = (IteratedCvar.evaluate cancellation share plan model).Values[0]

        close 1e-12 (IteratedCvar.evaluate cancellation 0.3 cautious model).Values[0] cautious.Values[0]
        .&. atMost (Array.map2 (-) (worth neutral) (worth cautious) |> Array.max) 0.0

    holds (law 0.3)
    refuted (law 1.0)

[<Fact>]
let ``the discounted operator contracts, keeps order and passes constants on`` () =
    let subject = Subject.bellman (Cvar 0.3) (fun _ -> Extreme Direction.Maximise)
    let verdict law subject = (Law.checkWith (LawOptions(Cases = 300, MaximumSeconds = 20.0)) law subject).Verdict

    let spoiled name (spoil: (float[] -> float[]) -> float -> float[] -> float[]) =
        Subject.family name (fun model discount ->
            let right = (Bellman.Create(model, discount, Cvar 0.3, Extreme Direction.Maximise)).Operator
            { right with Name = name; Apply = spoil right.Apply discount; ApplyInto = ValueNone })

    Assert.Equal(Verdict.Holds, verdict Law.contraction subject)
    Assert.Equal(Verdict.Holds, verdict Law.monotonicity subject)
    Assert.Equal(Verdict.Holds, verdict Law.translation subject)
    // Dividing by the share twice; the sign of a cost; a factor.
    Assert.Equal(Verdict.Refuted, verdict Law.contraction (spoiled "shares" (fun apply _ v -> apply v |> Array.map (fun x -> x / 0.3))))
    Assert.Equal(Verdict.Refuted, verdict Law.monotonicity (spoiled "sign" (fun apply _ v -> apply (Array.map (~-) v))))
    Assert.Equal(Verdict.Refuted, verdict Law.translation (spoiled "factor" (fun apply _ v -> apply v |> Array.map ((*) 1.1))))

[<Fact>]
let ``a grid of thresholds falls short by no more than its step`` () =
    let law (missing: float) (bound: float) (sketch: LawSketch, s: PositiveInt, level: int) =
        let law = lawOf sketch
        let step, share = float s.Get / 16.0, float (1 + abs (level % 100)) / 100.0
        // A grid that does not reach below the law's atoms is worth less.
        let found = IteratedCvar.onGrid step share law - missing * step
        let gap = (Tail.cvar share).Value law - found
        atMost 0.0 gap .&. atMost gap (bound * step)

    holds (law 0.0 1.0)
    refuted (law 0.0 0.5)
    refuted (law 0.6 1.0)
    refuted (law -0.1 1.0)
    refuses "step" "0" (fun () -> IteratedCvar.onGrid 0.0 0.5 (Distribution.point 1.0))
    refuses "share" "0" (fun () -> IteratedCvar.onGrid 0.1 0.0 (Distribution.point 1.0))
    refuses "step" "at most" (fun () -> IteratedCvar.onGrid 1e-9 0.5 (Distribution.ofNumbers [| 0.0; 1.0 |]))

let private linear (seed: int) =
    LinearModel.random (Generator(abs seed % 100_000)) (2 + abs seed % 4) (2 + abs seed % 2) (2 + abs seed % 3) 1.0

[<Fact>]
let ``a linear model's transitions are its features times its laws`` () =
    let law (slip: float) (seed: int) =
        let linear = linear seed
        let model = linear.Model

        let gaps =
            seq {
                for s in 0 .. linear.StateCount - 1 do
                    for a in 0 .. linear.ActionCount - 1 do
                        let row = model.RowOffsets[s] + a

                        for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                            let mutable chance = 0.0

                            for i in 0 .. linear.Dimension - 1 do
                                chance <- chance + linear.Feature(s, a).[i] * linear.Law(i).[model.Successors[k]]

                            abs (model.Probabilities[k] - slip * chance)
                            abs (model.Rewards[k] - linear.Reward(s, a))
            }

        atMost (Seq.max gaps) 0.0

    holds (law 1.0)
    refuted (law 1.01)

// What infinitely many transitions of every state and action would teach.
let private population (spoil: bool) (ridge: float) (linear: LinearModel) =
    let mutable regression = TransitionRegression.create ridge linear.Dimension linear.StateCount

    for s in 0 .. linear.StateCount - 1 do
        for a in 0 .. linear.ActionCount - 1 do
            let law =
                Array.init linear.StateCount (fun next ->
                    Seq.sum (seq { for i in 0 .. linear.Dimension - 1 -> linear.Feature(s, a).[i] * linear.Law(i).[next] }))

            let law = if spoil then Array.rev law else law
            // A thousand times each.
            let root = sqrt 1000.0
            let feature = linear.Feature(s, a).ToArray() |> Array.map ((*) root)
            regression <- TransitionRegression.observeLaw (ReadOnlySpan feature) (ReadOnlySpan(law |> Array.map ((*) root))) regression

    regression

[<Fact>]
let ``the regression is exact for population data, and so are the action values but for the grid`` () =
    let law (spoil: bool) (bound: float) (seed: int) =
        let linear = linear seed
        let regression = population spoil 1e-9 linear
        let generator = Generator seed
        let next = Array.init linear.StateCount (fun _ -> 2.0 * generator.Uniform())
        let options = { OptimisticCvarOptions.Standard with Bonus = 0.0; GridStep = 0.01 }
        let found = OptimisticCvar.actionValues options 3.0 regression next linear

        let gaps =
            Array.init (linear.StateCount * linear.ActionCount) (fun k ->
                let s, a = k / linear.ActionCount, k % linear.ActionCount
                let row = linear.Model.RowOffsets[s] + a
                let transitions = [| linear.Model.Offsets[row] .. linear.Model.Offsets[row + 1] - 1 |]

                let law =
                    Distribution.ofAtoms
                        (transitions |> Array.map (fun k -> next[linear.Model.Successors[k]]))
                        (transitions |> Array.map (fun k -> linear.Model.Probabilities[k]))

                linear.Reward(s, a) + (Tail.cvar options.Share).Value law - found[k])

        (Array.forall (fun gap -> gap >= -1e-4 && gap <= bound + 1e-4) gaps)
        |> Prop.label $"gaps from {Array.min gaps} to {Array.max gaps}"

    holds (law false 0.01)
    refuted (law true 0.01)
    refuted (law false 0.001)

[<Fact>]
let ``rank-one updates give the inverse that a solver gives, and shrink the widths`` () =
    let law (forget: bool) (seed: int) =
        let generator = Generator seed
        let d = 1 + abs seed % 4
        let features = Array.init (1 + abs seed % 9) (fun _ -> Array.init d (fun _ -> Sampling.normal generator))

        let regressions =
            features
            |> Array.scan
                (fun regression phi -> TransitionRegression.observe (ReadOnlySpan phi) (generator.Below 3) regression)
                (TransitionRegression.create 0.5 d 3)

        let gram =
            (if forget then Array.tail features else features)
            |> Array.fold
                (fun (sum: Matrix<float>) phi ->
                    let v = Vector<float>.Build.DenseOfArray phi
                    sum + v.OuterProduct v)
                (0.5 * Matrix<float>.Build.DenseIdentity d)

        let inverse = gram.Inverse().ToRowArrays()
        let last = regressions[features.Length]
        let probe = Array.init d (fun _ -> Sampling.normal generator)

        close 1e-8 (Array.concat last.Inverse) (Array.concat inverse)
        .&. atMost (last.Width(ReadOnlySpan probe)) (regressions[0].Width(ReadOnlySpan probe))

    holds (law false)
    refuted (law true)

[<Fact>]
let ``a learner repeats itself for a seed, regrets nothing negative, and ends when it is told`` () =
    let linear = LinearModel.random (Generator 3) 6 3 3 0.3
    let options = { OptimisticCvarOptions.Standard with Episodes = 30 }
    let run seed = OptimisticCvar.learn (Generator seed) cancellation options linear
    let first = run 1
    Assert.Equal<float[]>(first.Regrets, (run 1).Regrets)
    Assert.All(first.Regrets, fun regret -> Assert.True(regret >= -1e-12))
    Assert.True(first.Regressions[0].Width(linear.Feature(0, 0)) < 1.0)
    // A bonus beyond all doubt: beliefs are at least the optimum.
    let believer = OptimisticCvar.learn (Generator 1) cancellation { options with Bonus = 20.0 } linear
    let optimum = (IteratedCvar.plan cancellation options.Share options.Horizon linear.Model).Values[0].[0]
    Assert.All(believer.Beliefs, fun belief -> Assert.True(belief >= optimum - 0.4))
    use source = new CancellationTokenSource()
    source.Cancel()

    Assert.Throws<OperationCanceledException>(fun () -> OptimisticCvar.learn (Generator 1) source.Token options linear |> ignore)
    |> ignore

[<Fact>]
let ``bad input is named`` () =
    let linear = LinearModel.random (Generator 3) 4 2 2 0.3
    let learn options = OptimisticCvar.learn (Generator 1) cancellation options linear
    let standard = OptimisticCvarOptions.Standard
    refuses "Share" "0" (fun () -> learn { standard with Share = 0.0 })
    refuses "Ridge" "-1" (fun () -> learn { standard with Ridge = -1.0 })
    refuses "GridStep" "NaN" (fun () -> learn { standard with GridStep = nan })
    refuses "Bonus" "-1" (fun () -> learn { standard with Bonus = -1.0 })
    refuses "Horizon" "0" (fun () -> learn { standard with Horizon = 0 })
    refuses "Episodes" "0" (fun () -> learn { standard with Episodes = 0 })
    refuses "features" "0.9" (fun () -> LinearModel.create 1 [| [| 0.9 |] |] [| [| 1.0 |] |] [| 0.0 |])
    refuses "laws" "-0.5" (fun () -> LinearModel.create 2 [| [| 1.0 |]; [| 1.0 |] |] [| [| 1.5; -0.5 |] |] [| 0.0; 0.0 |])
    refuses "rewards" "NaN" (fun () -> LinearModel.create 1 [| [| 1.0 |] |] [| [| 1.0 |] |] [| nan |])
    refuses "features" "3" (fun () -> LinearModel.create 2 [| [| 1.0 |]; [| 1.0 |]; [| 1.0 |] |] [| [| 0.5; 0.5 |] |] [| 0.0; 0.0; 0.0 |])
    refuses "successor" "9" (fun () -> TransitionRegression.observe (linear.Feature(0, 0)) 9 (TransitionRegression.create 1.0 2 4))
    refuses "ridge" "0" (fun () -> TransitionRegression.create 0.0 2 4)
    let proud = LinearModel.create 1 [| [| 1.0 |] |] [| [| 1.0 |] |] [| 2.0 |]
    refuses "model" "2" (fun () -> OptimisticCvar.learn (Generator 1) cancellation standard proud)
    refuses "shape" "0" (fun () -> Sampling.gamma (Generator 1) 0.0)

[<Fact>]
let ``gamma and Dirichlet draws have their laws`` () =
    let generator = Generator 7

    for shape in [ 0.3; 1.0; 4.5 ] do
        let draws = Array.init 20_000 (fun _ -> Sampling.gamma generator shape) |> Array.sort
        let law = MathNet.Numerics.Distributions.Gamma(shape, 1.0)
        let gap = draws |> Array.mapi (fun i x -> abs (law.CumulativeDistribution x - (float i + 0.5) / 20_000.0)) |> Array.max
        // Kolmogorov's distance of n draws exceeds 1.95 / sqrt n once in a thousand times (Smirnov 1948).
        Assert.True(gap < 1.95 / sqrt 20_000.0, $"shape {shape}: {gap}")
        Assert.False(abs (law.CumulativeDistribution(1.1 * draws[10_000]) - 0.5) < 1.95 / sqrt 20_000.0)

    let points = Array.init 5000 (fun _ -> Sampling.dirichlet generator 0.3 4)
    Assert.All(points, fun point -> Assert.Equal(1.0, Array.sum point, 12))
    // Mean 1/4, variance (1/4)(3/4) / (4 c + 1).
    let first = points |> Array.map Array.head
    Assert.Equal(0.25, Array.average first, 1)
    Assert.True(abs ((first |> Array.averageBy (fun x -> (x - 0.25) * (x - 0.25))) - 0.1875 / 2.2) < 0.005)

/// Replay, worlds, heads and the loop of value-based agents.
module ValueFlow.LearningTests.Agents.AgentTests

open System
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning
open ValueFlow.Core.Returns
open ValueFlow.Core.Values
open ValueFlow.LearningTests.Refutation
open ValueFlow.LearningTests.Networks.Sketch

let private numbered (i: int) : Transition =
    { State = i; Action = 0; Reward = float i; Next = i + 1; Continuation = 1.0; Truncated = false }

// A ring that forgets the newest where the real one forgets the oldest.
let private keepsLast (kept: int -> int -> int list) (capacity: PositiveInt, count: NonNegativeInt) =
    let replay = Replay(capacity.Get % 20 + 1)

    for i in 1 .. count.Get do
        replay.Add(numbered i)

    let found = [ for i in 0 .. replay.Count - 1 -> replay[i].State ]
    found = kept replay.Capacity count.Get |> Prop.label $"{found}"

[<Fact>]
let ``the replay keeps the last transitions, oldest first`` () =
    holds 200 (keepsLast (fun capacity count -> [ max 1 (count - capacity + 1) .. count ]))
    refuted (keepsLast (fun capacity count -> [ 1 .. min capacity count ]))

let private uniformLaw (draw: Replay -> Generator -> Transition[] -> unit) (seed: int) =
    let replay = Replay 7

    for i in 1..10 do
        replay.Add(numbered i)

    let drawn: Transition[] = Array.zeroCreate 7000
    draw replay (Generator seed) drawn
    let counts = [ 4..10 ] |> List.map (fun i -> drawn |> Array.filter (fun t -> t.State = i) |> Array.length)
    // Six deviations of a count of 7000 with probability 1/7 are 176.
    List.sum counts = 7000 && counts |> List.forall (fun n -> abs (n - 1000) < 176)

[<Fact>]
let ``draws are uniform over what is kept`` () =
    holds 20 (uniformLaw (fun replay generator drawn -> replay.Sample(generator, Span drawn)))

    refuted (
        uniformLaw (fun replay generator drawn ->
            for i in 0 .. drawn.Length - 1 do
                drawn[i] <- replay[min 6 (generator.Below 8)])
    )

[<Fact>]
let ``a loss of one's own has the gradient of the same loss built in`` () =
    let law (factor: float) (sketch: Sketch) =
        let case = case { sketch with Weighted = false; Huber = false }
        let fused = FusedNetwork case.Configuration
        fused.Load(ReadOnlySpan case.Parameters)
        let expected, found = Array.zeroCreate<float32> case.Parameters.Length, Array.zeroCreate<float32> case.Parameters.Length
        let x, t, condition = case.X, case.T, case.Condition

        let loss =
            fused.Regression(
                RegressionLoss.Squared,
                case.Rows,
                x,
                t,
                condition,
                ReadOnlySpan case.Targets,
                ReadOnlySpan.Empty,
                Span expected
            )

        let width = case.Configuration.Output
        let scale = factor / float (case.Rows * width)

        let squared =
            RowLoss(fun row value derivative ->
                let mutable sum = 0.0

                for o in 0 .. width - 1 do
                    let error = float value[o] - float case.Targets[row * width + o]
                    derivative[o] <- float32 (2.0 * scale * error)
                    sum <- sum + scale * error * error

                sum)

        let own = fused.LossGradient(squared, case.Rows, x, t, condition, Span found)
        near 1e-6 loss own .&. allNear 1e-6 (Array.map float expected) (Array.map float found)

    holds 100 (law 1.0)
    refuted (law 1.01)

let private targetsLaw (discountOf: float32 -> float32) (seed: int) =
    let generator = Generator seed
    let support = Support(-4.0, 4.0, 17)
    let rows, actions = 4, 3
    let width = actions * support.Count
    let outputs = Array.init (rows * width) (fun _ -> float32 (Sampling.normal generator))
    let rewards = Array.init rows (fun _ -> float32 (2.0 * generator.Uniform() - 1.0))
    let discounts = Array.init rows (fun b -> if b = 0 then 0.0f else 0.7f)
    let head = ValueHead.Categorical support

    let masses =
        ValueAgent.targets head actions (ReadOnlySpan rewards) (ReadOnlySpan(Array.map discountOf discounts)) (ReadOnlySpan outputs)

    let expected =
        Array.init rows (fun b ->
            let row = outputs[b * width .. b * width + width - 1]
            let best = Seq.max (seq { for a in 0 .. actions - 1 -> ValueHead.value (ReadOnlySpan row) a head })
            float rewards[b] + float discounts[b] * best)

    let means =
        Array.init rows (fun b -> Seq.sum (seq { for i in 0 .. support.Count - 1 -> support.Atom i * float masses[b * support.Count + i] }))

    // r + 0.7 z lies within the support for |r| <= 1.
    allNear 1e-5 expected means

[<Fact>]
let ``the mean of a categorical target is the scalar target, and a terminated step has no future`` () =
    holds 100 (targetsLaw id)
    refuted (targetsLaw (fun _ -> 0.7f))

let private cliff = lazy TabularWorld(Grid.toModel (CliffWalking.grid 3 4 0.0))

let private options head steps =
    { AgentOptions.standard head steps with
        RewardScale = 0.1
        WarmUp = 50
        CheckEvery = steps / 2
        EpisodeSteps = 50
    }

let private categorical = ValueHead.Categorical(Support(-12.0, 0.0, 25))

[<Fact>]
let ``a seed decides everything, and another one something else`` () =
    for head in [ ValueHead.Scalar; categorical ] do
        let run seed = ValueAgent.train { options head 300 with Seed = seed } cliff.Value
        let first, again, other = run 1, run 1, run 2
        Assert.Equal<float32[]>(first.Network.Parameters, again.Network.Parameters)
        Assert.Equal<float[]>(first.EpisodeReturns, again.EpisodeReturns)
        Assert.NotEqual<float32[]>(first.Network.Parameters, other.Network.Parameters)

[<Fact>]
let ``both heads learn the way along a short cliff, and what it earns`` () =
    let model = cliff.Value.Model
    let best = ValueIteration.solve RunOptions.standard (Bellman.Create(model, 0.99, Expectation(), Extreme Direction.Maximise))

    for head in [ ValueHead.Scalar; categorical ] do
        let last = Array.last (ValueAgent.train { options head 4000 with Seed = 3 } cliff.Value).Snapshots
        let start = model.Initial[0]
        let mutable state = start
        let mutable steps = 0

        while not (model.IsTerminal state) && steps < 20 do
            state <- cliff.Value.Step(Generator 1, state, last.Greedy[state]).Next
            steps <- steps + 1

        Assert.Equal(5, steps)
        Assert.Equal(best.Values[start], last.Values[start], 0.5)

[<Fact>]
let ``episodes that are cut off are no terminations`` () =
    let trained = ValueAgent.train { options ValueHead.Scalar 300 with EpisodeSteps = 3 } cliff.Value
    Assert.Equal(trained.EpisodeReturns.Length, trained.EpisodeTruncated.Length)
    // The goal is five steps away.
    Assert.All(trained.EpisodeTruncated, fun cut -> Assert.True cut)
    Assert.Equal(100, trained.EpisodeTruncated.Length)

[<Fact>]
let ``progress is told, and cancellation ends a run`` () =
    let heard = ResizeArray<int>()

    ValueAgent.train { options ValueHead.Scalar 100 with Progress = fun progress -> heard.Add progress.Step } cliff.Value
    |> ignore

    Assert.Equal<int>([ 50; 100 ], heard)
    use source = new CancellationTokenSource()

    let stopping =
        { options ValueHead.Scalar 100 with
            Cancellation = source.Token
            Progress = fun _ -> source.Cancel()
        }

    Assert.Throws<OperationCanceledException>(fun () -> ValueAgent.train stopping cliff.Value |> ignore) |> ignore

[<Fact>]
let ``bad input is named`` () =
    let refuses (argument: string) (found: string) (work: unit -> unit) =
        let error = Assert.ThrowsAny<ArgumentException>(fun () -> work ())
        Assert.Equal(argument, error.ParamName)
        Assert.Contains(found, error.Message)

    let standard = options ValueHead.Scalar 10
    let train changed () = ValueAgent.train changed cliff.Value |> ignore
    refuses "options" "Steps must be at least 1 but is 0" (train { standard with Steps = 0 })
    refuses "options" "Discount" (train { standard with Discount = 1.5 })
    refuses "options" "Exploration" (train { standard with Exploration = struct (1.0, nan) })
    refuses "options" "RewardScale" (train { standard with RewardScale = 0.0 })
    refuses "capacity" "0" (fun () -> Replay 0 |> ignore)
    refuses "transition" "NaN" (fun () -> (Replay 1).Add { numbered 1 with Reward = nan })
    refuses "transition" "truncated" (fun () -> (Replay 1).Add { numbered 1 with Continuation = 0.0; Truncated = true })
    refuses "action" "7" (fun () -> cliff.Value.Step(Generator 1, cliff.Value.Model.Initial[0], 7) |> ignore)
    refuses "state" "-1" (fun () -> cliff.Value.Step(Generator 1, -1, 0) |> ignore)

    Assert.Throws<InvalidOperationException>(fun () -> (Replay 3).Sample(Generator 1, Span [| numbered 1 |]))
    |> ignore

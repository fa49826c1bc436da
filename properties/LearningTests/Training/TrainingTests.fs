module ValueFlow.LearningTests.Training.TrainingTests

open System
open System.Diagnostics
open System.IO
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open Xunit.Abstractions
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Learning
open ValueFlow.LearningTests.Refutation
open ValueFlow.LearningTests.Files.SafetensorsTests
open ValueFlow.LearningTests.Training.Runs

let private differentiable: Objective =
    Objective.differentiable "turning, by autograd" (fun moment parameters ->
        let batch = draw (moment.Generator())
        let x: torch.Tensor = (torch.tensor batch.Points).reshape([| int64 batch.Rows; 2L |])
        let y: torch.Tensor = (torch.tensor batch.Targets).reshape([| int64 batch.Rows; 2L |])
        let value: torch.Tensor = TensorForm.ofTime configuration parameters (torch.tensor batch.Times) x
        torch.nn.functional.mse_loss (value, y))

let private same (a: TrainingResult) (b: TrainingResult) : bool =
    a.Network.Parameters = b.Network.Parameters
    && a.Last.Parameters = b.Last.Parameters
    && a.History = b.History
    && a.Steps = b.Steps

[<Fact>]
let ``training by the fused gradient and by autograd makes the same losses small`` () =
    let fused = Training.run (options 400) objective (network 3)
    let plain = Training.run (options 400) differentiable (network 3)
    Assert.Equal(TrainingOutcome.Completed, fused.Outcome)
    Assert.Equal(400, fused.Steps)
    Assert.True(List.last fused.History.Means < 0.1 * fused.History.Means.Head, $"%A{fused.History}")

    for a, b in List.zip fused.History.Means plain.History.Means do
        Assert.True(abs (a - b) < 1e-3 * (1.0 + a), $"{a} {b}")

let private resumed (make: unit -> Objective) (NonNegativeInt stop, NonNegativeInt every, ema: bool, clip: bool) =
    inFolder (fun folder ->
        let steps, stop = 150, stop % 150
        let path = Path.Combine(folder, "run.safetensors")

        let options =
            { options steps with
                EmaDecay = if ema then ValueSome 0.9 else ValueNone
                ClipNorm = if clip then ValueSome 0.5 else ValueNone
                Optimiser = if stop % 3 = 0 then Optimiser.Sgd 0.9 else Optimiser.adamW 0.01
            }

        let whole = Training.run options (make ()) (network 3)
        use source = new CancellationTokenSource()

        let stopped =
            Training.run
                { options with
                    Checkpoint = ValueSome { Path = path; Every = 1 + every % 40 }
                    Cancellation = source.Token
                    Progress =
                        fun progress ->
                            if progress.Step = stop then
                                source.Cancel()
                }
                (make ())
                (network 3)

        let last = Training.resume options (make ()) configuration path
        (stop = 0 || stopped.Outcome = TrainingOutcome.Cancelled && stopped.Steps = stop) && same whole last)

[<Fact>]
let ``a run that is stopped at any step and resumed is the uninterrupted run, bit for bit`` () =
    holds 40 (resumed (fun () -> objective))
    // Randomness that remembers is found out.
    refuted (
        resumed (fun () ->
            let generator = Generator 1
            Objective.regression "turning" configuration RegressionLoss.Squared (fun _ -> draw generator))
    )

[<Fact>]
let ``a run that is stopped before its first step is resumed, too, and more steps may be asked for`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "run.safetensors")
        let keeping = { options 0 with Checkpoint = ValueSome { Path = path; Every = 10 } }
        Training.run keeping objective (network 3) |> ignore
        let middle = Training.resume { keeping with Steps = 40 } objective configuration path
        let last = Training.resume { keeping with Steps = 70 } objective configuration path
        Assert.Equal(40, middle.Steps)
        Assert.True(same last (Training.run (options 70) objective (network 3))))

[<Fact>]
let ``a checkpoint of another run is refused: what was expected, and what was found`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "run.safetensors")
        let good = { options 30 with Checkpoint = ValueSome { Path = path; Every = 10 } }
        Training.run good objective (network 3) |> ignore

        let refused (part: string) options objective configuration =
            let error = Assert.Throws<InvalidDataException>(fun () -> Training.resume options objective configuration path |> ignore)
            Assert.StartsWith("run.safetensors: expected ", error.Message)
            Assert.Contains(part, error.Message)

        refused "seed '12', found '11'" { good with Seed = 12 } objective configuration
        refused "clip norm 'none', found '1'" { good with ClipNorm = ValueNone } objective configuration
        refused "EMA decay '0.5', found '0.99'" { good with EmaDecay = ValueSome 0.5 } objective configuration
        refused "optimiser 'sgd(0.5)', found 'adam(0.9, 0.999, 1E-08)'" { good with Optimiser = Optimiser.Sgd 0.5 } objective configuration
        refused "learning rate 'constant(0.001)'" { good with LearningRate = LearningRate.Constant 1e-3 } objective configuration
        refused "objective 'turning, by autograd', found 'turning'" good differentiable configuration
        refused "configuration" good objective { configuration with Hidden = [ 17; 16 ] }
        Network.save path (network 3)
        refused "format 'valueflow.checkpoint', found 'valueflow.network'" good objective configuration

        // A bit of the numbers has changed on the disk.
        Training.run good objective (network 3) |> ignore
        let bytes = File.ReadAllBytes path
        bytes[bytes.Length - 5] <- bytes[bytes.Length - 5] ^^^ 1uy
        File.WriteAllBytes(path, bytes)
        refused "sha256" good objective configuration)

[<Fact>]
let ``cancellation stops within a step, and the result is that of the steps done`` () =
    for stop in [ 0; 1; 7 ] do
        use source = new CancellationTokenSource()
        let mutable evaluations = 0

        let counting =
            { objective with
                Evaluate =
                    fun moment parameters gradient ->
                        evaluations <- evaluations + 1

                        // In the middle of the step.
                        if evaluations = stop then
                            source.Cancel()

                        objective.Evaluate moment parameters gradient
            }

        if stop = 0 then
            source.Cancel()

        let result = Training.run { options 1000 with Cancellation = source.Token } counting (network 3)
        Assert.Equal(TrainingOutcome.Cancelled, result.Outcome)
        Assert.Equal(stop, result.Steps)
        Assert.Equal(stop, evaluations)
        Assert.True(same result (Training.run (options stop) objective (network 3)))

[<Fact>]
let ``what is no number ends the run with its place, and the last good parameters`` () =
    let spoiled (at: int) (spoil: float32[] -> float -> float) =
        { objective with
            Evaluate =
                fun moment parameters gradient ->
                    let loss = objective.Evaluate moment parameters gradient
                    if moment.Step = at then spoil gradient loss else loss
        }

    for at in [ 0; 1; 6 ] do
        for spoil, words in
            [
                (fun _ _ -> nan), "the loss is NaN"
                (fun (gradient: float32[]) loss ->
                    gradient[3] <- infinityf
                    loss),
                "the gradient's norm is"
            ] do
            let result = Training.run (options 50) (spoiled at spoil) (network 3)

            match result.Outcome with
            | TrainingOutcome.NotFinite found -> Assert.StartsWith($"step {at}: {words}", found)
            | other -> Assert.Fail $"{other}"

            Assert.Equal(at, result.Steps)
            let good = Training.run (options (max 0 (at - 1))) objective (network 3)
            Assert.Equal<float32[]>(good.Last.Parameters, result.Last.Parameters)
            Assert.Equal<float32[]>(good.Network.Parameters, result.Network.Parameters)

    // A rate that throws the parameters out of all bounds.
    let wild =
        { options 50 with
            LearningRate = LearningRate.Constant 1e38
            ClipNorm = ValueNone
            Optimiser = Optimiser.Sgd 0.0
        }

    let result = Training.run wild objective (network 3)

    Assert.True(
        (match result.Outcome with
         | TrainingOutcome.NotFinite _ -> true
         | _ -> false)
    )

    Assert.True(Array.forall Single.IsFinite result.Network.Parameters)

[<Fact>]
let ``bad options and losses are refused by name`` () =
    let refused (part: string) (work: unit -> unit) = Assert.Contains(part, Assert.Throws<ArgumentException>(Action work).Message)

    let run options () = Training.run options objective (network 3) |> ignore
    refused "Steps" (run { options 3 with Steps = -1 })
    refused "decay" (run { options 3 with EmaDecay = ValueSome 1.0 })
    refused "norm" (run { options 3 with ClipNorm = ValueSome 0.0 })
    refused "HistoryPlaces" (run { options 3 with HistoryPlaces = 3 })
    refused "Every" (run { options 3 with Checkpoint = ValueSome { Path = "x"; Every = 0 } })
    let loss work () = Training.run (options 3) (Objective.differentiable "bad" work) (network 3) |> ignore
    refused "one number" (loss (fun _ parameters -> Elementwise.times 2.0 parameters))
    refused "depend on the parameters" (loss (fun _ _ -> torch.tensor 1.0f))

[<Fact>]
let ``the randomness of a step depends on seed and step alone, and no two steps of a run share it`` () =
    holds 200 (fun (seed: int, NonNegativeInt step) ->
        let moment = { Seed = seed; Step = step }
        moment.Generator().Uniform() = moment.Generator().Uniform())

    let seeds = System.Collections.Generic.HashSet<int>()

    for step in 0..99_999 do
        Assert.True(seeds.Add({ Seed = 5; Step = step }.Generator().Seed))

    let firsts = [| for step in 0..9_999 -> { Seed = 6; Step = step }.Generator().Uniform() |]
    Assert.Equal(0.5, Array.average firsts, 0.02)
    let lag = Array.pairwise firsts |> Array.averageBy (fun (a, b) -> (a - 0.5) * (b - 0.5))
    Assert.Equal(0.0, lag, 0.005)

[<Fact>]
let ``the history keeps the mean of all losses in bounded room`` () =
    let result = Training.run { options 1000 with HistoryPlaces = 16 } objective (network 3)
    let history = result.History
    Assert.True(history.Means.Length < 16 && history.Means.Length >= 7)
    Assert.Equal(1000, history.Stride * history.Means.Length + history.PartialCount)
    let all = ResizeArray()

    Training.run { options 1000 with Progress = fun progress -> all.Add progress.Loss } objective (network 3)
    |> ignore

    Assert.Equal(Seq.average (Seq.take history.Stride all), history.Means.Head, 9)

/// Clocks, memory and processes: nothing else runs meanwhile.
[<CollectionDefinition("alone", DisableParallelization = true)>]
type Alone() = class end

[<Collection "alone">]
type ResourceTests(output: ITestOutputHelper) =

    [<Fact>]
    member _.``1,000 steps leave no tensor and no memory behind``() =
        for objective in [ objective; differentiable ] do
            let memory () =
                GC.Collect()
                GC.WaitForPendingFinalizers()
                GC.Collect()
                use self = Process.GetCurrentProcess()
                self.WorkingSet64

            let run steps = Training.run (options steps) objective (network 3) |> ignore
            run 300
            let before, tensors = memory (), Lifetime.live ()
            run 1000
            let grown = float (memory () - before) / 1e6
            output.WriteLine $"{objective.Name}: working set grew by {grown:F1} MB"
            Assert.Equal(tensors, Lifetime.live ())
            Assert.True(grown < 15.0, $"{objective.Name}: {grown} MB")

        // An objective that keeps a tensor a step is found out.
        let leaking =
            { objective with
                Evaluate =
                    fun moment parameters gradient ->
                        torch.zeros([| 1L |]).DetachFromDisposeScope() |> ignore
                        objective.Evaluate moment parameters gradient
            }

        Assert.Equal(20L, Lifetime.born (fun () -> Training.run (options 20) leaking (network 3) |> ignore))

    [<Fact>]
    member _.``a process that is killed at random moments, and started again, ends where the uninterrupted run ends, bit for bit``() =
        inFolder (fun folder ->
            let steps, every = 40_000, 200
            let checkpoint, result = Path.Combine(folder, "run.safetensors"), Path.Combine(folder, "model.safetensors")
            let program = Path.Combine(AppContext.BaseDirectory, "ValueFlow.LearningTests.dll")
            let random = Random()
            let mutable kills = 0

            let start () =
                let info = ProcessStartInfo("dotnet", [ program; "train"; string steps; string every; checkpoint; result ])
                info.RedirectStandardError <- true
                Option.get (Option.ofObj (Process.Start info))

            let mutable ended = false

            while not ended do
                use child = start ()

                if kills < 4 then
                    // At a random moment after its first new checkpoint.
                    let before = if File.Exists checkpoint then File.GetLastWriteTimeUtc checkpoint else DateTime.MinValue
                    let fresh () = File.Exists checkpoint && File.GetLastWriteTimeUtc checkpoint > before

                    while not (fresh () || child.HasExited) do
                        Thread.Sleep 1

                    Thread.Sleep(random.Next 60)

                    if not child.HasExited then
                        child.Kill()
                        child.WaitForExit()
                        kills <- kills + 1
                    else
                        ended <- true
                else
                    let words = child.StandardError.ReadToEnd()
                    child.WaitForExit()
                    Assert.True((child.ExitCode = 0), words)
                    ended <- true

            output.WriteLine $"killed {kills} times"
            Assert.True(kills >= 2, $"{kills}")
            let whole = Training.run (options steps) objective (network 3)
            Assert.Equal<float32[]>(whole.Network.Parameters, (Network.load result).Parameters))

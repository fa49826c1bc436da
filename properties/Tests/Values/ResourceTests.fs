/// Memory stays flat, row sweeps allocate nothing, long solves stop when told, and the tabular half needs no libtorch.
module ValueFlow.Tests.Values.ResourceTests

open System
open System.Diagnostics
open System.IO
open System.Threading
open Xunit
open Xunit.Abstractions
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Tests.Values.CertificateTests
open ValueFlow.Tests.Values.SummaryTests

/// A garnet-like model that is quick to build at a million states: successors by a fixed stride.
let private large (states: int) (actions: int) (branching: int) =
    let builder = ModelBuilder states

    for s in 0 .. states - 1 do
        for a in 0 .. actions - 1 do
            let first = int ((int64 s * 7919L + int64 a * 104729L) % int64 (states - branching * 13))

            for b in 0 .. branching - 1 do
                builder.Add(s, a, first + 13 * b, 1.0 / float branching, float ((s + a) % 5))

    builder.Label("target", 0, -1)

    match builder.Build() with
    | Ok model -> model
    | Error errors -> invalidOp (ModelError.describe errors.Head)

let private workingSet () =
    GC.Collect()
    GC.WaitForPendingFinalizers()
    GC.Collect()
    use self = Process.GetCurrentProcess()
    self.WorkingSet64

/// Clocks and memory are read here: nothing else runs meanwhile.
[<CollectionDefinition("alone", DisableParallelization = true)>]
type Alone() = class end

[<Collection "alone">]
type ResourceTests(output: ITestOutputHelper) =

    [<Fact>]
    member _.``5,000 applications in row form allocate nothing, for every pair of summaries``() =
        let case = randomCase 12

        for state in stateSummaries do
            for action in actionSummaries case.Model do
                let bellman = Bellman.Create(case.Model, case.Discount, state, action)
                let into = bellman.Operator.ApplyInto.Value
                let source = Array.create case.Model.StateCount 1.0
                let destination = Array.zeroCreate case.Model.StateCount

                // The first applications compile the sweep, and compile it again when it proves hot.
                for _ in 1..2000 do
                    into.Invoke(source, destination)

                let before = GC.GetAllocatedBytesForCurrentThread()

                // The least object takes 24 bytes: one an application would show thirty times over.
                for _ in 1..5_000 do
                    into.Invoke(source, destination)

                let allocated = GC.GetAllocatedBytesForCurrentThread() - before
                Assert.True(allocated < 4096L, $"{bellman.Operator.Name} allocated {allocated} bytes")

    [<Fact>]
    member _.``100,000 applications in tensor form leave as many live tensors as before, and no memory behind``() =
        let case = randomCase 12
        use rows = new TensorRows(Kernel(case.Model, case.Discount))
        let bellman = Bellman.Create(case.Model, case.Discount, Cvar 0.3, LogSumExp.Mellowmax 3.0)
        let operator = bellman.TensorOperator rows
        use values = torch.zeros ([| int64 case.Model.StateCount |], dtype = torch.float64)

        let apply count =
            for _ in 1..count do
                (operator.Apply values).Dispose()

        apply 1000
        let tensors = Lifetime.live ()
        // What other tests left behind may go meanwhile: growth is counted from the lowest.
        let mutable lowest = workingSet ()
        let mutable grown = 0.0

        for _ in 1..9 do
            apply 11_000
            let now = workingSet ()
            grown <- float (now - lowest) / 1e6
            lowest <- Math.Min(lowest, now)

        output.WriteLine $"working set grew by {grown:F1} MB"
        Assert.Equal(tensors, Lifetime.live ())
        Assert.True(grown < 20.0, $"grew by {grown} MB")

    [<Fact>]
    member _.``every tensor form leaves one tensor: its result``() =
        let case = randomCase 12
        use rows = new TensorRows(Kernel(case.Model, case.Discount))
        use values = torch.zeros ([| int64 case.Model.StateCount |], dtype = torch.float64)

        for state in stateSummaries do
            for action in actionSummaries case.Model do
                let operator = Bellman.Create(case.Model, case.Discount, state, action).TensorOperator rows
                let born = Lifetime.born (fun () -> operator.Apply values |> ignore)
                Assert.True((born = 1L), $"{operator.Name} leaves {born} tensors")

    [<Fact>]
    member _.``a long solve on a million states is cancelled within 200 ms, whatever the method``() =
        let model = large 1_000_000 2 4
        let optimality = Bellman.Optimality(model, 0.999)
        let policy = Policy.Uniform model

        let solved result =
            match result with
            | Ok solution -> solution
            | Error error -> invalidOp (UndiscountedError.describe error)

        let under (state: StateSummary) = Bellman.Create(model, 0.999, state, Extreme Direction.Maximise)

        let methods: (string * (RunOptions -> Solution)) list =
            [
                "value iteration", (fun options -> ValueIteration.solve options optimality)
                "value iteration, cvar", (fun options -> ValueIteration.solve options (under (Cvar 0.3)))
                "value iteration, tv", (fun options -> ValueIteration.solve options (under (TotalVariation 0.1)))
                "Gauss-Seidel", (fun options -> GaussSeidel.solve options optimality)
                "modified policy iteration", (fun options -> PolicyIteration.solveModified 50 options optimality)
                "policy iteration, cvar", (fun options -> PolicyIteration.solve options (under (Cvar 0.3)))
                "policy evaluation", (fun options -> PolicyEvaluation.iterate options policy optimality)
                "policy iteration", (fun options -> PolicyIteration.solve options optimality)
                "linear evaluation", (fun options -> PolicyEvaluation.linear options policy optimality)
                "reachability", (fun options -> Reachability.solve options Direction.Maximise "target" model |> solved)
                "total reward", (fun options -> TotalReward.solve options Direction.Minimise model |> solved)
            ]

        for name, solve in methods do
            // Milliseconds from the request to the end; nothing where the solve had ended before.
            let late (pause: int) : int64 voption =
                GC.Collect()
                use source = new CancellationTokenSource()
                let watch = Stopwatch()

                let strike () =
                    Thread.Sleep pause
                    watch.Start()
                    source.Cancel()

                let striker = Thread(strike)
                striker.Start()
                let solution = solve { RunOptions.standard with Cancellation = source.Token; Tolerance = 1e-300 }
                let milliseconds = watch.ElapsedMilliseconds
                striker.Join()
                if solution.Outcome = Outcome.Cancelled then ValueSome milliseconds else ValueNone

            // The machine does other things as well: a moment may be tried five times. A method that does not listen is late every time.
            let rec attempts (pause: int) (times: int64 list) : int64 list =
                match late pause with
                | ValueNone -> times
                | ValueSome time when time < 200L || times.Length = 4 -> time :: times
                | ValueSome time -> attempts pause (time :: times)

            let judged =
                [ 100; 300; 500 ]
                |> List.filter (fun pause ->
                    let times = attempts pause []
                    output.WriteLine $"{name}: stopped %A{List.rev times} ms after a request that came after {pause} ms"
                    Assert.True(times.IsEmpty || times.Head < 200L, $"{name}: %A{List.rev times} ms")
                    not times.IsEmpty)

            Assert.True(not judged.IsEmpty, $"{name} ended before it could be cancelled")

    [<Fact>]
    member _.``the tabular half runs in a process that cannot load libtorch, and a tensor path says what is missing``() =
        let here = Path.TrimEndingDirectorySeparator AppContext.BaseDirectory
        let configuration = DirectoryInfo(here).Name
        let program = Path.Combine(here, "..", "..", "WithoutTorch", configuration, "WithoutTorch.dll")
        Assert.True(File.Exists program, $"build {program} first")
        let start = ProcessStartInfo("dotnet", [ program ], RedirectStandardOutput = true)
        use run = new Process(StartInfo = start)
        run.Start() |> ignore
        let text = run.StandardOutput.ReadToEnd()
        run.WaitForExit()
        Assert.True((run.ExitCode = 0), text)
        Assert.Contains("solved 1.11878452", text)
        Assert.Contains("libtorch-cpu-linux-x64", text)

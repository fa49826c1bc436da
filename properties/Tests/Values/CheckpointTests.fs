/// A planning run that is stopped between two sweeps, and goes on from its file, ends as if it had not been stopped: bit for bit.
module ValueFlow.Tests.Values.CheckpointTests

open System
open System.IO
open System.Threading
open Xunit
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws
open ValueFlow.Tests.Files
open ValueFlow.Tests.Systems

let private methods =
    [|
        PlanningMethod.Automatic
        PlanningMethod.ValueIteration
        PlanningMethod.GaussSeidel SweepOrder.Forward
        PlanningMethod.GaussSeidel SweepOrder.Alternating
        PlanningMethod.PrioritisedSweeping
        PlanningMethod.Anderson 3
        PlanningMethod.Anchored
        PlanningMethod.PolicyIteration
        PlanningMethod.ModifiedPolicyIteration 3
    |]

let private every sweeps path : PlanningCheckpointOptions = { Path = path; Interval = TimeSpan.FromDays 1.0; Sweeps = sweeps }

let private summaries: StateSummary[] =
    [| Expectation(); Expectation(); Cvar 0.3; TotalVariation(0.2, Support.Nominal, Attitude.Adverse) |]

// The problem of a trial. Under a summary other than the expectation, a discount near one would take long.
let private problem (case: Judge.Case) : Bellman =
    let summary = summaries[case.Draw % summaries.Length]
    let discount = if summary :? Expectation then min 0.999 case.Sketch.Discount else min 0.95 case.Sketch.Discount

    Bellman.Create(
        ModelSketch.toModel case.Sketch,
        discount,
        summary,
        Extreme(if case.Draw % 3 = 0 then Direction.Minimise else Direction.Maximise)
    )

// Below what rounding allows in every second trial: then the ends by rounding are tried as well.
let private told (case: Judge.Case) = { RunOptions.standard with Tolerance = (if case.Draw % 2 = 0 then 1e-8 else 1e-14) }

let private bits (values: float[]) = values |> Array.map BitConverter.DoubleToInt64Bits

/// True if two solutions are equal, bit for bit.
let same (a: Solution) (b: Solution) : bool =
    let entry (p: Progress) = p.Applications, BitConverter.DoubleToInt64Bits p.Residual, BitConverter.DoubleToInt64Bits p.Bound

    bits a.Values = bits b.Values
    && bits a.Lower = bits b.Lower
    && bits a.Upper = bits b.Upper
    && bits [| a.Bound; a.Floor; a.PolicyLoss |] = bits [| b.Bound; b.Floor; b.PolicyLoss |]
    && a.Policy = b.Policy
    && a.Certificate = b.Certificate
    && a.Outcome = b.Outcome
    && a.Method = b.Method
    && a.Sweeps = b.Sweeps
    && Array.map entry a.History = Array.map entry b.History

// Stops after so many sweeps, by the budget or by cancelling, spoils the file, and goes on to the end; also the sweeps that the file held, and how many were left.
let private stopped (spoil: string -> unit) (byBudget: bool) (sweeps: int) method (options: RunOptions) bellman path =
    use source = new CancellationTokenSource()

    let short =
        if byBudget then
            { options with Budget = sweeps }
        else
            { options with
                Cancellation = source.Token
                Progress =
                    fun progress ->
                        if progress.Applications >= sweeps then
                            source.Cancel()
            }

    let first = PlanningMethod.solveKept (every (max 1 (sweeps - 1)) path) method short bellman
    // A step that was cancelled in its middle is not kept: the file is that of the sweep before, or is not there yet.
    let held = if File.Exists path then (PlanningCheckpoint.read path).State.Sweeps else 0

    if held > 0 then
        spoil path

    let left = ref 0
    let rest = { options with Progress = fun _ -> left.Value <- left.Value + 1 }
    struct (first, held, PlanningMethod.solveKept (every 1000 path) method rest bellman, left.Value)

// Whether the law holds, and what happened.
let private tried (methods: PlanningMethod[]) (spoil: string -> unit) (case: Judge.Case) : struct (bool * string) =
    use folder = new Folder()
    let generator = case.Generator
    let bellman, options = problem case, told case
    let method = methods[generator.Below methods.Length]
    let whole = PlanningMethod.solve method options bellman
    let path = folder.At "run.checkpoint"
    // Anywhere; and near the end, where rounding decides.
    let sweeps =
        if generator.Uniform() < 0.5 then
            1 + generator.Below(max 1 (whole.Sweeps - 1))
        else
            max 1 (whole.Sweeps - 1 - generator.Below 6)

    let byBudget = generator.Uniform() < 0.5
    let struct (first, held, again, left) = stopped spoil byBudget sweeps method options bellman path
    let describe (s: Solution) = $"{s.Method} {s.Outcome} after {s.Sweeps}, bound {s.Bound:R}, values %A{s.Values}"

    let keeps = whole.Sweeps = 1 || (held >= (if byBudget then sweeps else sweeps - 1) && left <= whole.Sweeps - held)

    struct (same whole again && keeps,
            $"stopped at {sweeps} (by the budget: {byBudget}): {describe first}\nwhole {describe whole}\nagain {describe again}, {held} sweeps held, {left} left")

[<Fact>]
let ``stopped at any sweep and resumed, every method ends with the same answer bit for bit, in fewer sweeps`` () =
    Judge.holds (fun case ->
        let struct (holds, words) = tried methods ignore case
        holds |> Prop.label words)

// Mutants: a file that forgets a part of the state.
let private forgetting (forget: PlanningState -> PlanningState) path =
    let found = PlanningCheckpoint.read path
    PlanningCheckpoint.write path { found with State = forget found.State }

[<Fact>]
let ``a file that forgets the sweeps, the decisions, the halvings, the attempt, the last application or the record is refuted`` () =
    let sweeping = [| PlanningMethod.ValueIteration; PlanningMethod.GaussSeidel SweepOrder.Forward |]
    let improving = [| PlanningMethod.PolicyIteration |]

    let forgotten: (string * int * PlanningMethod[] * (PlanningState -> PlanningState)) list =
        [
            "values", 1, methods, (fun state -> { state with Values = Array.map (fun v -> v + 1e-9 * (1.0 + abs v)) state.Values })
            "sweeps", 1, methods, (fun state -> { state with Sweeps = 0 })
            // To forget them altogether changes nothing on small models: the greedy ones are found again, but for ties.
            "decisions' states", 1, improving, (fun state -> { state with Integers = state.Integers |> Array.map Array.rev })
            "differences",
            1,
            [| PlanningMethod.Anderson 3 |],
            (fun state -> { state with Numbers = state.Numbers |> Array.map (Array.map (fun _ -> 0.0)) })
            "anchor",
            1,
            [| PlanningMethod.Anchored |],
            (fun state -> { state with Numbers = state.Numbers |> Array.map (Array.map (fun _ -> 1.0)) })
            "turn", 1, [| PlanningMethod.GaussSeidel SweepOrder.Alternating |], (fun state -> { state with Integers = [| [| 0 |] |] })
            "widths", 1, [| PlanningMethod.Automatic |], (fun state -> { state with Integers = state.Integers |> Array.map Array.rev })
            "halvings", 140, sweeping, (fun state -> { state with Best = infinity; Halved = state.Sweeps })
            "attempt", 2400, sweeping, (fun state -> { state with Attempt = 0 })
            "last application", 2400, sweeping, (fun state -> { state with Basis = state.Values; Reached = state.Values })
            "record", 1, methods, (fun state -> { state with History = [||] })
        ]

    for name, first, methods, forget in forgotten do
        // Some parts matter seldom, only where nothing but rounding is left: the search begins near a model that shows it.
        let refuted seed =
            let case: Judge.Case = { Sketch = ModelSketch.generate (Generator seed); Draw = seed }

            // Decisions of other states are told when they are used.
            try
                let struct (holds, _) = tried methods (forgetting forget) case
                not holds
            with
            | :? ArgumentException as error when error.ParamName = "chosen" -> true
            | :? AggregateException as errors when (errors.GetBaseException() :? ArgumentException) -> true

        match Seq.tryFind refuted (seq { first .. first + 3000 }) with
        | Some seed -> printfn $"the {name}: refuted at seed {seed}"
        | None -> Assert.Fail $"a file that forgets the {name} passed"

[<Fact>]
let ``stopped at every sweep in turn, a run ends with the same answer bit for bit`` () =
    use folder = new Folder()

    for seed in 1..6 do
        let case: Judge.Case = { Sketch = { ModelSketch.generate (Generator(10 + seed)) with Discount = 0.9 }; Draw = seed }
        let bellman, options = problem case, told case

        for method in methods do
            let whole = PlanningMethod.solve method options bellman
            let path = folder.At $"{seed} {method}"
            let mutable solution = PlanningMethod.solveKept (every 1 path) method { options with Budget = 1 } bellman
            let mutable runs = 1

            while solution.Outcome = Outcome.BudgetExhausted && runs < 100_000 do
                runs <- runs + 1
                solution <- PlanningMethod.solveKept (every 1 path) method { options with Budget = runs } bellman

            Assert.True(same whole solution, $"seed {seed}, {method}: {whole.Sweeps} sweeps in one run, {solution.Sweeps} in {runs}")
            // The file is left: who comes again begins near the end, and ends there.
            Assert.True(same whole (PlanningMethod.solveKept (every 1 path) method options bellman))

let private chain discount = Bellman.Optimality(Chain.randomWalk 12 0.9, discount)

let private kept (folder: Folder) name method bellman =
    let path = folder.At name
    PlanningMethod.solveKept (every 1 path) method { RunOptions.standard with Budget = 5 } bellman |> ignore
    path

let private refuses (path: string) method bellman (sentence: string) =
    let error =
        Assert.Throws<InvalidDataException>(fun () -> PlanningMethod.solveKept (every 1 path) method RunOptions.standard bellman |> ignore)

    Assert.Contains(sentence, error.Message)

[<Fact>]
let ``a file of another method, model, discount or policy is refused in words`` () =
    use folder = new Folder()
    let path = kept folder "run.checkpoint" PlanningMethod.ValueIteration (chain 0.9)
    let method = PlanningMethod.ValueIteration

    refuses
        path
        (PlanningMethod.GaussSeidel SweepOrder.Forward)
        (chain 0.9)
        "run.checkpoint: expected the method 'Gauss-Seidel', found 'value iteration'"

    refuses path method (chain 0.95) "expected the operator Bellman[expectation, max, 0.95], found Bellman[expectation, max, 0.9]"
    refuses path method (Bellman.Optimality(Chain.randomWalk 13 0.9, 0.9)) "expected 13 states, found 12"
    refuses path method (Bellman.Optimality(Chain.randomWalk 12 0.8, 0.9)) "found "
    refuses path method (Bellman.Optimality(Chain.randomWalk 12 0.8, 0.9)) "it is of another model"
    let model = Chain.riverSwim 12
    let path = kept folder "policy.checkpoint" method (Bellman.Evaluation(model, 0.9, Policy.Uniform model))
    let right = Policy.Deterministic(model, ReadOnlySpan(Array.create 12 1))
    refuses path method (Bellman.Evaluation(model, 0.9, right)) "another policy or summary"

[<Fact>]
let ``damaged files are refused, whatever the damage`` () =
    use folder = new Folder()
    let bellman = chain 0.99
    let method = PlanningMethod.PolicyIteration
    let path = kept folder "run.checkpoint" method bellman
    let whole = File.ReadAllBytes path

    for seed in 1..100 do
        let generator = Generator seed
        let bytes = Array.copy whole

        let wrong =
            match generator.Below 3 with
            | 0 -> bytes[.. generator.Below bytes.Length - 1]
            | 1 ->
                let place = generator.Below bytes.Length
                bytes[place] <- bytes[place] ^^^ byte (1 + generator.Below 255)
                bytes
            | _ -> Array.append bytes (Array.init (1 + generator.Below 20) byte)

        File.WriteAllBytes(path, wrong)
        refuses path method bellman "run.checkpoint: expected "

    File.WriteAllBytes(path, whole)
    Assert.Equal(Outcome.Converged, (PlanningMethod.solveKept (every 1 path) method RunOptions.standard bellman).Outcome)

[<Fact>]
let ``the state is written at its interval, and bad options are refused`` () =
    use folder = new Folder()
    let path = folder.At "run.checkpoint"
    let options = { RunOptions.standard with Budget = 20 }
    let solve checkpoint = PlanningMethod.solveKept checkpoint PlanningMethod.ValueIteration options (chain 0.99) |> ignore
    let writes = ref []

    let looking =
        { options with
            Progress =
                fun _ ->
                    if File.Exists path then
                        writes.Value <- (PlanningCheckpoint.read path).State.Sweeps :: writes.Value
        }

    PlanningMethod.solveKept (every 6 path) PlanningMethod.ValueIteration looking (chain 0.99) |> ignore
    Assert.Equal<int list>([ 6; 12; 18 ], List.rev (List.distinct writes.Value))
    Assert.Equal(20, (PlanningCheckpoint.read path).State.Sweeps)
    Assert.Throws<ArgumentException>(fun () -> solve (every 0 path)) |> ignore
    Assert.Throws<ArgumentException>(fun () -> solve (every 1 " ")) |> ignore

    Assert.Throws<ArgumentException>(fun () -> solve { every 1 path with Interval = TimeSpan.FromSeconds -1.0 })
    |> ignore

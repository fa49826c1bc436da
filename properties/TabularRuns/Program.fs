/// One measurement of tabular planning a process, in lines of JSON: sweeps, methods, memory, comparison, write.
module ValueFlow.TabularRuns.Program

open System
open System.Diagnostics
open System.Globalization
open System.IO
open System.Runtime.InteropServices
open System.Text.Json.Nodes
open System.Threading
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

let private say (entries: (string * JsonNode | null) list) : unit =
    let line = JsonObject()

    for name, value in entries do
        line[name] <- value

    printfn "%s" (line.ToJsonString())

let private number (value: float) : JsonNode | null = if Double.IsFinite value then JsonValue.Create value else null

/// The options key=value.
let private option (arguments: string[]) (name: string) (fallback: string) : string =
    arguments
    |> Array.tryPick (fun argument ->
        if argument.StartsWith(name + "=", StringComparison.Ordinal) then
            Some(argument.Substring(name.Length + 1))
        else
            None)
    |> Option.defaultValue fallback

let private real (text: string) = Double.Parse(text, CultureInfo.InvariantCulture)

// The most memory that the process ever held, in MiB.
let private peak () : float =
    let status = "/proc/self/status"

    if File.Exists status then
        File.ReadLines status
        |> Seq.tryPick (fun line ->
            if line.StartsWith "VmHWM:" then
                Some(real (line.Substring(6).Replace("kB", "").Trim()) / 1024.0)
            else
                None)
        |> Option.defaultValue nan
    else
        float (Process.GetCurrentProcess().PeakWorkingSet64) / 1048576.0

let private model (arguments: string[]) : Model =
    let option = option arguments
    let single = option "single" "no" = "yes"

    match option "file" "" with
    | "" ->
        let states = int (option "states" "10000")

        match option "family" "garnet" with
        | "dense" -> Instances.dense states
        | "chain" -> Instances.chain states
        | "grid" -> Instances.grid states
        | _ -> Instances.garnet states single
    | file ->
        match ModelFile.read { ModelFile.standard with SinglePrecision = single } file with
        | Ok model -> model
        | Error errors -> invalidOp (FileError.describe errors.Head)

let private methodOf (name: string) : PlanningMethod =
    match name with
    | "value-iteration" -> PlanningMethod.ValueIteration
    | "gauss-seidel" -> PlanningMethod.GaussSeidel SweepOrder.Forward
    | "prioritised-sweeping" -> PlanningMethod.PrioritisedSweeping
    | "anderson" -> PlanningMethod.Anderson 5
    | "anchored" -> PlanningMethod.Anchored
    | "policy-iteration" -> PlanningMethod.PolicyIteration
    | "modified-policy-iteration" -> PlanningMethod.ModifiedPolicyIteration 20
    | "automatic" -> PlanningMethod.Automatic
    | other -> invalidArg (nameof name) $"there is no method '{other}'"

// Nanoseconds a transition of one sweep: the library's own summary and the user's, beside the reference kernel in turns.
let private sweeps (arguments: string[]) : unit =
    let model, discount = model arguments, real (option arguments "discount" "0.99")
    let library = option arguments "yardstick" ""

    let sweeping (summary: StateSummary) =
        let sweep = (Bellman.Create(model, discount, summary, Extreme Direction.Maximise)).Sweep
        let mutable source = Array.zeroCreate<float> model.StateCount
        let mutable image = Array.zeroCreate<float> model.StateCount

        fun () ->
            sweep.Apply(source, image, CancellationToken.None) |> ignore
            let last = source
            source <- image
            image <- last

    let own =
        [
            "expectation", sweeping (Expectation())
            "own struct", sweeping OwnSummaries.asStruct
            "own delegate", sweeping OwnSummaries.asDelegate
        ]

    let yardstick = if library = "" then ValueNone else ValueSome(new Yardstick(library, model, discount))

    let works =
        [|
            match yardstick with
            | ValueSome kernel -> "C++", (fun () -> kernel.Sweep Environment.ProcessorCount)
            | ValueNone -> ()
            yield! own
        |]

    let times = Timing.inTurns (int (option arguments "repeats" "21")) 0.02 (Array.map snd works)

    for i in 0 .. works.Length - 1 do
        let nanoseconds = 1e9 * Timing.median times[i] / float model.TransitionCount

        say
            [
                "name", JsonValue.Create(fst works[i])
                "nanoseconds", number nanoseconds
                "ratio", number (if yardstick.IsSome then Timing.median (Array.map2 (/) times[i] times[0]) else nan)
                "least", number (if yardstick.IsSome then Array.min times[i] / Array.min times[0] else nan)
            ]

    yardstick |> ValueOption.iter (fun kernel -> (kernel :> IDisposable).Dispose())

// Seconds and sweeps to the certificate, for each method, beside value iteration of the reference kernel with the same rule.
let private methods (arguments: string[]) : unit =
    let model, discount = model arguments, real (option arguments "discount" "0.99")
    let tolerance = real (option arguments "tolerance" "5e-7")
    let library = option arguments "yardstick" ""
    let bellman = Bellman.Optimality(model, discount)
    let options = { RunOptions.standard with Tolerance = tolerance }
    let names = (option arguments "methods" "value-iteration;automatic").Split ';'

    let yardstick = if library = "" then ValueNone else ValueSome(new Yardstick(library, model, discount))
    let mutable reference = 0
    let solutions = names |> Array.map (fun _ -> Unchecked.defaultof<Solution>)

    let works =
        [|
            match yardstick with
            | ValueSome kernel -> (fun () -> reference <- kernel.Certify(Environment.ProcessorCount, 2.0 * tolerance))
            | ValueNone -> ()

            for i in 0 .. names.Length - 1 do
                let method = methodOf names[i]
                fun () -> solutions[i] <- PlanningMethod.solve method options bellman
        |]

    let times = Timing.inTurns (int (option arguments "repeats" "9")) 0.03 works
    let first = works.Length - names.Length

    if yardstick.IsSome then
        say
            [
                "name", JsonValue.Create "C++"
                "seconds", number (Timing.median times[0])
                "sweeps", JsonValue.Create reference
            ]

    for i in 0 .. names.Length - 1 do
        let found = times[first + i]

        say
            [
                "name", JsonValue.Create names[i]
                "seconds", number (Timing.median found)
                "sweeps", JsonValue.Create solutions[i].Sweeps
                "bound", number solutions[i].Bound
                "outcome", JsonValue.Create $"{solutions[i].Outcome}"
                "ratio", number (if yardstick.IsSome then Timing.median (Array.map2 (/) found times[0]) else nan)
                "least", number (if yardstick.IsSome then Array.min found / Array.min times[0] else nan)
            ]

    say [ "name", JsonValue.Create "peak"; "mebibytes", number (peak ()) ]
    yardstick |> ValueOption.iter (fun kernel -> (kernel :> IDisposable).Dispose())

// The most memory of a process that makes or reads a model, and solves it; and whether libtorch was in it.
let private memory (arguments: string[]) : unit =
    let clock = Stopwatch.StartNew()
    let model = model arguments
    let built = clock.Elapsed.TotalSeconds

    let solution =
        ValueIteration.solve
            { RunOptions.standard with Tolerance = 5e-7 }
            (Bellman.Optimality(model, real (option arguments "discount" "0.99")))

    let maps = "/proc/self/maps"

    say
        [
            "name", JsonValue.Create "memory"
            "mebibytes", number (peak ())
            "built", number built
            "solved", number (clock.Elapsed.TotalSeconds - built)
            "sweeps", JsonValue.Create solution.Sweeps
            "bound", number solution.Bound
            "libtorch", JsonValue.Create(File.Exists maps && File.ReadLines maps |> Seq.exists _.Contains("libtorch"))
        ]

// How far from recorded optimal values, in a file of float64 beside the model's.
let private comparison (arguments: string[]) : unit =
    let file = option arguments "file" ""
    let model = model arguments

    let expected =
        MemoryMarshal.Cast<byte, float>(ReadOnlySpan(File.ReadAllBytes(string (Path.ChangeExtension(file, ".vstar.bin"))))).ToArray()

    let solution =
        PlanningMethod.solve
            PlanningMethod.Automatic
            { RunOptions.standard with Tolerance = 1e-10 }
            (Bellman.Optimality(model, real (option arguments "discount" "0.99")))

    say
        [
            "name", JsonValue.Create(Path.GetFileNameWithoutExtension file)
            "error", number (Array.map2 (fun a b -> abs (a - b)) solution.Values expected |> Array.max)
            "bound", number solution.Bound
            "sweeps", JsonValue.Create solution.Sweeps
        ]

/// The first argument names the measurement, the others are options key=value. Exit code 0, or 2 for an option that is no good.
[<EntryPoint>]
let main arguments =
    CultureInfo.CurrentCulture <- CultureInfo.InvariantCulture

    try
        match Array.tryHead arguments with
        | Some "sweeps" -> sweeps arguments
        | Some "methods" -> methods arguments
        | Some "memory" -> memory arguments
        | Some "comparison" -> comparison arguments
        | Some "write" -> ModelFile.write (option arguments "to" "model.json") (model arguments)
        | _ -> invalidArg (nameof arguments) "the first word must be sweeps, methods, memory, comparison or write"

        0
    with
    | :? ArgumentException
    | :? InvalidOperationException
    | :? IOException as error ->
        eprintfn "%s" error.Message
        2

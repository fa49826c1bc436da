namespace ValueFlow.Benchmarks

open System
open System.CommandLine
open System.Diagnostics
open System.IO
open System.Threading

/// The command <c>values</c>.
[<RequireQualifiedAccess>]
module ValuesCommand =

    let private everyMethod =
        [
            "value-iteration"
            "automatic"
            "gauss-seidel"
            "prioritised-sweeping"
            "anderson"
            "anchored"
            "modified-policy-iteration"
            "policy-iteration"
        ]

    let private rows (runs: TabularRuns) (repeats: int) (isLarge: bool) (data: string option) : Row list =
        [
            match data with
            | Some folder -> yield! ValueRows.comparisons runs folder
            | None -> ()

            for states in [ 1_000; 10_000; 100_000; 1_000_000 ] do
                yield! ValueRows.sweeps runs (if states = 1_000_000 then min repeats 9 else repeats) "garnet" states 1

            for states in [ 100_000; 1_000_000 ] do
                yield!
                    ValueRows.sweeps runs (if states = 1_000_000 then min repeats 9 else repeats) "garnet" states Environment.ProcessorCount

            for states in [ 256; 1_024; 2_048 ] do
                yield! ValueRows.sweeps runs repeats "dense" states 1

            yield! ValueRows.certificates runs repeats "garnet" 1_000 0.99 everyMethod
            yield!
                ValueRows.certificates
                    runs
                    repeats
                    "garnet"
                    10_000
                    0.99
                    (everyMethod |> List.except [ "policy-iteration"; "prioritised-sweeping" ])
            yield!
                ValueRows.certificates
                    runs
                    (min repeats 9)
                    "garnet"
                    100_000
                    0.99
                    [ "value-iteration"; "automatic"; "modified-policy-iteration" ]
            yield! ValueRows.certificates runs (min repeats 5) "garnet" 1_000_000 0.99 [ "value-iteration"; "automatic" ]
            yield! ValueRows.certificates runs (min repeats 9) "dense" 1_024 0.99 [ "value-iteration"; "automatic" ]
            yield! ValueRows.certificates runs 3 "chain" 1_000 0.999 everyMethod
            yield! ValueRows.certificates runs 3 "grid" 50 0.999 everyMethod
            yield! ValueRows.memory runs "1e6 states x 4 actions x 8 successors" [ "states=1000000" ] (ValueSome 800.0)
            yield! ValueRows.memory runs "the same in single precision" [ "states=1000000"; "single=yes" ] ValueNone

            if isLarge then
                yield! ValueRows.large runs 10_000_000
        ]

    let private run folder repeats isLarge asJson (output: TextWriter) (error: TextWriter) (cancellation: CancellationToken) : int =
        let before, clock = Report.load (), Stopwatch.StartNew()

        let native =
            match folder with
            | None -> Error "there is no folder of the benchmarks' data beside the repository: give one with --data"
            | Some folder -> NativeLimit.library folder

        try
            let runs =
                TabularRuns(
                    Path.GetFullPath(
                        Path.Combine(
                            AppContext.BaseDirectory,
                            "..",
                            "..",
                            "TabularRuns",
                            DirectoryInfo(AppContext.BaseDirectory).Name,
                            "TabularRuns.dll"
                        )
                    ),
                    (match native with
                     | Ok library -> ValueSome library
                     | Error _ -> ValueNone),
                    (fun words -> error.WriteLine $"{clock.Elapsed.TotalSeconds:F0} s: {words}"),
                    cancellation
                )

            let rows = rows runs repeats isLarge folder

            let facts =
                [
                    "machine", Report.machine ()
                    "load", $"{before} at the start, {Report.load ()} at the end"
                    "times", $"by the clock, both sides in turns in one process; medians; {clock.Elapsed.TotalSeconds:F0} s in all"
                    "C++",
                    (match native with
                     | Ok _ ->
                         "kern.cpp by g++ -O3 -march=native -fopenmp, compiled by this command and called in the same process, with as many threads"
                     | Error reason -> $"not measured: {reason}")
                    "peers", "recorded on another machine of the kind; their ratio is to the same C++ kernel there"
                ]

            Report.write output asJson facts rows
            0
        finally
            match native with
            | Ok library -> File.Delete library
            | Error _ -> ()

    /// The command with its options.
    let create (output: TextWriter) (error: TextWriter) (cancellation: CancellationToken) : Command =
        let data =
            Option<string>(
                "--data",
                Description = "The folder with kern.cpp and recorded instances; else ../shared/bench beside the repository."
            )

        let isLarge =
            Option<bool>(
                "--large",
                Description = "Also 1e7 states in single precision, by way of a file of 3 GB.",
                DefaultValueFactory = fun _ -> false
            )

        let isJson =
            Option<bool>("--json", DefaultValueFactory = (fun _ -> false), Description = "One JSON object instead of tables.")

        let repeats =
            Option<int>("--repeats", Description = "Repeats behind each median, at most.", DefaultValueFactory = fun _ -> 21)

        repeats.Validators.Add(fun result ->
            if result.GetRequiredValue repeats < 1 then
                result.AddError "--repeats must be positive.")

        let command = Command("values", "Tabular planning: sweeps, methods, memory, beside C++ and recorded figures.")

        for option in [ data :> Option; isLarge; repeats; isJson ] do
            command.Options.Add option

        command.SetAction(fun parsed ->
            let folder =
                match parsed.GetValue data with
                | null -> BenchFolder.find []
                | folder -> Some folder

            run
                folder
                (parsed.GetRequiredValue repeats)
                (parsed.GetRequiredValue isLarge)
                (parsed.GetRequiredValue isJson)
                output
                error
                cancellation)

        command

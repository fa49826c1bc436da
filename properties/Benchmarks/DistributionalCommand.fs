namespace ValueFlow.Benchmarks

open System
open System.CommandLine
open System.Diagnostics
open System.IO
open System.Threading
open TorchSharp

/// The command <c>distributional</c>.
[<RequireQualifiedAccess>]
module DistributionalCommand =

    let private run
        (folder: string option)
        (repeats: int)
        (asJson: bool)
        (output: TextWriter)
        (error: TextWriter)
        (cancellation: CancellationToken)
        : int =
        torch.set_num_threads 1
        let before, clock = Report.load (), Stopwatch.StartNew()
        error.WriteLine "C++ kernels ..."

        let native =
            match folder with
            | None -> Error "there is no folder of the benchmarks' data beside the repository: give one with --data"
            | Some folder ->
                NativeLimit.compile folder
                |> Result.bind (fun program ->
                    try
                        NativeLimit.times program
                    finally
                        File.Delete program)

        error.WriteLine $"{clock.Elapsed.TotalSeconds:F0} s: kernels, plain TorchSharp, tensors ..."

        let times =
            match native with
            | Ok times -> ValueSome times
            | Error _ -> ValueNone

        let rows = DistributionalRows.measure repeats times cancellation

        let facts =
            [
                "machine", Report.machine ()
                "load", $"{before} at the start, {Report.load ()} at the end"
                "threads", $"1 of libtorch; {clock.Elapsed.TotalSeconds:F0} s in all"
                "times", "processor time of this process where nothing else is said; works take turns in it; medians over repeats"
                "C++",
                (match native with
                 | Ok _ ->
                     "c51_limit.cpp by g++ -O3 -march=native -ffast-math -fopenmp, compiled and run by this command: least times by the clock on both sides"
                 | Error reason -> $"not measured: {reason}")
                "peers", "recorded on another machine of the kind: PyTorch 1.13, float32, 1 thread"
            ]

        Report.write output asJson facts rows
        0

    /// The command with its options.
    let create (output: TextWriter) (error: TextWriter) (cancellation: CancellationToken) : Command =
        let data =
            Option<string>("--data", Description = "The folder with c51_limit.cpp; else ../shared/bench beside the repository.")

        let isJson =
            Option<bool>("--json", DefaultValueFactory = (fun _ -> false), Description = "One JSON object instead of tables.")

        let repeats = Option<int>("--repeats", Description = "Repeats behind each median.", DefaultValueFactory = fun _ -> 21)

        repeats.Validators.Add(fun result ->
            if result.GetRequiredValue repeats < 1 then
                result.AddError "--repeats must be positive.")

        let command =
            Command(
                "distributional",
                "The categorical projection and losses of return laws beside C++, plain TorchSharp and recorded figures."
            )

        for option in [ data :> Option; repeats; isJson ] do
            command.Options.Add option

        command.SetAction(fun parsed ->
            let folder =
                match parsed.GetValue data with
                | null -> BenchFolder.find []
                | folder -> Some folder

            run folder (parsed.GetRequiredValue repeats) (parsed.GetRequiredValue isJson) output error cancellation)

        command

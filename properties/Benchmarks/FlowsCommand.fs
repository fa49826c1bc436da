namespace ValueFlow.Benchmarks

open System
open System.CommandLine
open System.Diagnostics
open System.IO
open System.Threading
open TorchSharp

/// The command <c>flows</c>.
[<RequireQualifiedAccess>]
module FlowsCommand =

    let private sections: (string * (Extent -> FlowData -> int -> CancellationToken -> Row list)) list =
        [
            "training", (fun extent data _ _ -> TrainingRows.measure extent data)
            "solver", (fun extent data _ _ -> SolverRows.measure extent data)
            "stochastic", (fun extent data _ _ -> StochasticRows.measure extent data)
            "transport", (fun extent data _ cancellation -> TransportRows.measure extent data cancellation)
            "quality", QualityRows.measure
        ]

    let private run
        (folder: string option)
        (extent: Extent)
        (seed: int)
        (chosen: string list)
        (asJson: bool)
        (output: TextWriter)
        (error: TextWriter)
        (cancellation: CancellationToken)
        : int =
        torch.set_num_threads 1
        let before, clock = Report.load (), Stopwatch.StartNew()

        let data =
            match folder with
            | Some folder -> FlowData.read folder
            | None -> FlowData.make seed (min extent.Steps 2000)

        let rows =
            [
                for name, measure in sections do
                    if chosen.IsEmpty || List.contains name chosen then
                        error.WriteLine $"{clock.Elapsed.TotalSeconds:F0} s: {name} ..."
                        yield! measure extent data seed cancellation
                        cancellation.ThrowIfCancellationRequested()
            ]

        // On other data only ratios to a yardstick say something.
        let comparable (peer: PeerFigure) = data.IsRecorded || peer.Yardstick.IsSome

        let rows =
            rows
            |> List.map (fun row ->
                match row.Peer with
                | ValueSome peer when not (comparable peer) -> { row with Peer = ValueNone }
                | _ -> row)

        let facts =
            [
                "data", data.Source
                "machine", Report.machine ()
                "load", $"{before} at the start, {Report.load ()} at the end"
                "threads", $"1 of libtorch; seed {seed}; {clock.Elapsed.TotalSeconds:F0} s in all"
                "times", "processor time of this process; works take turns in it; medians over repeats, and of the ratios of single repeats"
                "peers",
                if data.IsRecorded then
                    "recorded on another machine of the kind, on the same data: compare ratios"
                else
                    "recorded on other data: figures without a yardstick are not comparable and are left out"
            ]

        Report.write output asJson facts rows
        0

    let private positive (option: Option<int>) : Option<int> =
        option.Validators.Add(fun result ->
            if result.GetRequiredValue option < 1 then
                result.AddError $"{option.Name} must be positive.")

        option

    /// The command with its options.
    let create (output: TextWriter) (error: TextWriter) (cancellation: CancellationToken) : Command =
        let data =
            Option<string>(
                "--data",
                Description = "A folder with the recorded data (.bin and .json files); else the data beside the repository, or own data."
            )

        let isQuick =
            Option<bool>(
                "--quick",
                DefaultValueFactory = (fun _ -> false),
                Description = "A minute: fewer repeats, 1000 training steps, 2000 test samples."
            )

        let isJson =
            Option<bool>("--json", DefaultValueFactory = (fun _ -> false), Description = "One JSON object instead of tables.")

        let steps =
            Option<int>("--steps", Description = "Training steps behind the figures of quality.", DefaultValueFactory = fun _ -> 20000)
            |> positive

        let seed = Option<int>("--seed", Description = "The seed of training, and of own data.", DefaultValueFactory = fun _ -> 0)

        let repeats =
            Option<int>("--repeats", Description = "Repeats behind each median.", DefaultValueFactory = fun _ -> 21)
            |> positive

        let only =
            Option<string[]>(
                "--only",
                Description = "Sections to run: training, solver, stochastic, transport, quality.",
                AllowMultipleArgumentsPerToken = true
            )

        only.AcceptOnlyFromAmong(sections |> List.map fst |> Array.ofList) |> ignore

        let command =
            Command(
                "flows",
                "Training, solves, stochastic solves and exact transport beside plain TorchSharp and recorded figures of other libraries."
            )

        for option in [ data :> Option; isQuick; isJson; steps; seed; repeats; only ] do
            command.Options.Add option

        command.SetAction(fun parsed ->
            let quick = parsed.GetRequiredValue isQuick

            let given (option: Option<int>) (short: int) =
                match parsed.GetResult option with
                | null -> parsed.GetRequiredValue option
                | result when result.Implicit && quick -> short
                | _ -> parsed.GetRequiredValue option

            let extent = { Repeats = given repeats 7; Steps = given steps 1000; Samples = (if quick then 2000 else 10000) }

            let folder =
                match parsed.GetValue data with
                | null -> BenchFolder.find [ "data"; "flow" ]
                | folder -> Some folder

            let chosen =
                match parsed.GetValue only with
                | null -> []
                | names -> List.ofArray names

            run folder extent (parsed.GetRequiredValue seed) chosen (parsed.GetRequiredValue isJson) output error cancellation)

        command

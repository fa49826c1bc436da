namespace ValueFlow.Benchmarks

open System
open System.Diagnostics
open System.IO
open System.Text.Json.Nodes
open System.Threading

/// Runs of tabular planning in processes of their own, without libtorch, and what they say.
[<Sealed>]
type TabularRuns(program: string, yardstick: string voption, output: Action<string>, cancellation: CancellationToken) =

    /// One process with so many threads: its lines.
    member _.Lines(threads: int, arguments: string list) : JsonNode list =
        output.Invoke(String.Join(' ', arguments))
        let start = ProcessStartInfo("dotnet", program :: arguments, RedirectStandardOutput = true, RedirectStandardError = true)
        start.Environment["DOTNET_PROCESSOR_COUNT"] <- string threads
        start.Environment["OMP_NUM_THREADS"] <- string threads
        // Threads of C++ that wait do not spin: they would take the core from the other side's turn.
        start.Environment["OMP_WAIT_POLICY"] <- "passive"

        match Process.Start start with
        | null -> raise (IOException "the run did not start")
        | started ->
            use started = started
            use _ = cancellation.Register(fun () -> started.Kill true)
            let errors = started.StandardError.ReadToEndAsync()
            let text = started.StandardOutput.ReadToEnd()
            started.WaitForExit()
            cancellation.ThrowIfCancellationRequested()

            if started.ExitCode <> 0 then
                raise (InvalidDataException $"a run ended with {started.ExitCode}: {errors.Result.Trim()}")

            [
                for line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries) do
                    match JsonNode.Parse line with
                    | null -> ()
                    | node -> node
            ]

    /// The option that names the reference kernel, where there is one.
    member _.Yardstick: string list =
        match yardstick with
        | ValueSome library -> [ $"yardstick={library}" ]
        | ValueNone -> []

/// The rows of tabular planning.
[<RequireQualifiedAccess>]
module ValueRows =

    let private text (node: JsonNode) (name: string) : string =
        match node[name] with
        | null -> ""
        | value -> value.ToString()

    let private number (node: JsonNode) (name: string) : float voption =
        match node[name] with
        | null -> ValueNone
        | value -> ValueSome(value.GetValue<float>())

    let private known (value: float voption) = ValueOption.defaultValue nan value

    /// A sweep of each kind of summary beside the reference kernel: nanoseconds a transition.
    let sweeps (runs: TabularRuns) (repeats: int) (family: string) (states: int) (threads: int) : Row list =
        let lines = runs.Lines(threads, [ "sweeps"; $"family={family}"; $"states={states}"; $"repeats={repeats}" ] @ runs.Yardstick)
        let kernel = lines |> List.tryFind (fun line -> text line "name" = "C++")
        let section = $"one sweep, {threads} thread(s): ns a transition"

        [
            for line in lines do
                let name = text line "name"

                if name <> "C++" then
                    let row =
                        { Row.figure section $"{family} {states}, {name}" "ns" (known (number line "nanoseconds")) with
                            Repeats = repeats
                            Ratio = number line "ratio"
                            Note =
                                number line "least"
                                |> ValueOption.map (fun least -> $"of least times {least:F2}")
                                |> ValueOption.defaultValue ""
                            Yardstick =
                                kernel
                                |> Option.map (fun kernel -> struct ("C++", known (number kernel "nanoseconds")))
                                |> ValueOption.ofOption
                        }

                    let goal = if name = "own delegate" then 2.5 else 1.15

                    match row.Ratio with
                    | ValueSome ratio when states >= 10_000 && family = "garnet" -> Row.atMost "ratio to C++" goal ratio row
                    | _ -> row
        ]

    let private least (line: JsonNode) : string =
        number line "least"
        |> ValueOption.map (fun ratio -> $"of least times {ratio:F2}, ")
        |> ValueOption.defaultValue ""

    // Seconds to the same tolerance in other libraries over those of the C++ kernel with the span rule, recorded together: the fastest certified one.
    let private peer (states: int) : PeerFigure voption =
        let recorded seconds kernel : PeerFigure voption =
            ValueSome
                {
                    Name = "QuantEcon, modified policy iteration"
                    Figure = seconds
                    Yardstick = ValueSome kernel
                    Source = "CPU seconds, recorded beside the C++ kernel with the span rule"
                }

        match states with
        | 1_000 -> recorded 0.0023 0.0004
        | 10_000 -> recorded 0.027 0.0052
        | 100_000 -> recorded 0.348 0.115
        | 1_000_000 -> recorded 8.0 3.6
        | _ -> ValueNone

    /// Seconds and sweeps to the certificate, a row for each method, and the memory of the process.
    let certificates (runs: TabularRuns) (repeats: int) (family: string) (states: int) (discount: float) (methods: string list) : Row list =
        let isGarnet = family = "garnet"
        let joined = String.Join(';', methods)

        let arguments =
            [
                "methods"
                $"family={family}"
                $"states={states}"
                $"discount={discount}"
                $"repeats={repeats}"
                $"methods={joined}"
            ]

        let lines = runs.Lines(1, arguments @ (if isGarnet || family = "dense" then runs.Yardstick else []))
        let kernel = lines |> List.tryFind (fun line -> text line "name" = "C++")
        let section = "to the certificate of 5e-7, 1 thread: seconds"

        [
            for line in lines do
                let name = text line "name"

                if name = "peak" then
                    Row.figure
                        "memory of the process, all methods and the C++ copy"
                        $"{family} {states}"
                        "MiB"
                        (known (number line "mebibytes"))
                elif name <> "C++" then
                    let row =
                        { Row.figure section $"{family} {states} at {discount}, {name}" "s" (known (number line "seconds")) with
                            Repeats = repeats
                            Ratio = number line "ratio"
                            Note =
                                $"""{least line}{text line "sweeps"} sweeps, {text line "outcome"}, bound {known (number line "bound"):G2}"""
                            Yardstick =
                                kernel
                                |> Option.map (fun kernel ->
                                    struct ($"""C++, {text kernel "sweeps"} sweeps""", known (number kernel "seconds")))
                                |> ValueOption.ofOption
                            Peer = if isGarnet && name = "automatic" then peer states else ValueNone
                        }

                    match row.Ratio with
                    | ValueSome ratio when isGarnet && states >= 10_000 && name = "automatic" -> Row.atMost "ratio to C++" 1.2 ratio row
                    | _ -> row
        ]

    /// The most memory of a process that makes a Garnet of so many states (or reads it from a file) and solves it.
    let memory (runs: TabularRuns) (what: string) (arguments: string list) (goal: float voption) : Row list =
        [
            for line in runs.Lines(Environment.ProcessorCount, "memory" :: arguments) do
                let found = known (number line "mebibytes")

                let row =
                    { Row.figure "memory of a process without libtorch: made or read, and solved" what "MiB" found with
                        Note =
                            $"""ready in {known (number line "built"):F1} s, solved in {known (number line "solved"):F1} s, {text line "sweeps"} sweeps, libtorch {text line "libtorch"}"""
                    }

                match goal with
                | ValueSome most -> Row.atMost "MiB" most found row
                | ValueNone -> row
        ]

    /// Recorded instances against their recorded optimal values: the error must not exceed the bound and what the record left open.
    let comparisons (runs: TabularRuns) (folder: string) : Row list =
        [
            for file in Directory.GetFiles(Path.Combine(folder, "data"), "*.json") |> Array.sort do
                if File.Exists(Path.ChangeExtension(file, ".vstar.bin")) then
                    for line in runs.Lines(1, [ "comparison"; $"file={file}" ]) do
                        let error, bound = known (number line "error"), known (number line "bound")

                        { Row.figure "recorded instances: sup |V - recorded V*|" (text line "name") "" error with
                            Note = $"certified {bound:G2}"
                        }
                        // The record's residual is below 5e-13, at a discount of .99.
                        |> Row.atMost "error" (bound + 5e-11) error
        ]

    /// Writes a large Garnet in single precision, and reads and solves it in another process.
    let large (runs: TabularRuns) (states: int) : Row list =
        let file = Path.Combine(Path.GetTempPath(), $"garnet-{Environment.ProcessId}.json")

        try
            runs.Lines(Environment.ProcessorCount, [ "write"; $"states={states}"; "single=yes"; $"to={file}" ]) |> ignore
            let size = float (FileInfo(string (Path.ChangeExtension(file, ".bin"))).Length) / 1048576.0
            memory runs $"{states} states in single precision, from a file of {size:F0} MiB" [ $"file={file}"; "single=yes" ] ValueNone
        finally
            File.Delete file
            File.Delete(string (Path.ChangeExtension(file, ".bin")))

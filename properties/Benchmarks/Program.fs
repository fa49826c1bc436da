/// The benchmarks' command line.
module ValueFlow.Benchmarks.Program

open System
open System.CommandLine
open System.Globalization
open System.IO
open System.Text.Json
open System.Threading

/// 0 if everything was measured, whether goals were met or not; 2 for bad options or files; 130 if cancelled.
[<EntryPoint>]
let main (arguments: string[]) : int =
    CultureInfo.CurrentCulture <- CultureInfo.InvariantCulture
    Console.OutputEncoding <- Text.Encoding.UTF8
    use source = new CancellationTokenSource()

    Console.CancelKeyPress.Add(fun press ->
        press.Cancel <- true
        source.Cancel())

    let root = RootCommand "Benchmarks beside this machine's own yardsticks and recorded figures of other libraries."
    root.Subcommands.Add(FlowsCommand.create Console.Out Console.Error source.Token)
    root.Subcommands.Add(DistributionalCommand.create Console.Out Console.Error source.Token)
    root.Subcommands.Add(ValuesCommand.create Console.Out Console.Error source.Token)
    let parsed = root.Parse arguments

    try
        if parsed.Errors.Count > 0 then
            for error in parsed.Errors do
                eprintfn "%s" error.Message

            2
        else
            parsed.Invoke(InvocationConfiguration(EnableDefaultExceptionHandler = false))
    with
    | :? OperationCanceledException ->
        eprintfn "Cancelled."
        130
    | :? IOException
    | :? UnauthorizedAccessException
    | :? InvalidDataException
    | :? JsonException
    | :? ArgumentException as error ->
        eprintfn "%s" error.Message
        2

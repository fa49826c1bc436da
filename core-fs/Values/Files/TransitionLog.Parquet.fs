namespace ValueFlow.Core.Values

open System
open System.Globalization
open System.IO
open System.Threading
open Parquet
open Parquet.Schema
open ValueFlow.Core.Foundations

/// Transition logs in Parquet, with the columns of the CSV form; states and actions are text or whole numbers.
[<RequireQualifiedAccess>]
module TransitionParquet =

    // The library's calls are asynchronous: they are waited for away from any context of the caller's, which could otherwise wait for itself.
    let internal wait (work: unit -> Tasks.Task) = Tasks.Task.Run(Func<Tasks.Task> work).GetAwaiter().GetResult()
    let internal await (work: unit -> Tasks.Task<'a>) = Tasks.Task.Run<'a>(Func<Tasks.Task<'a>> work).GetAwaiter().GetResult()

    let private text (value: obj | null) : string =
        match value with
        | null -> ""
        | :? float as x -> ModelError.number x
        | :? float32 as x -> ModelError.number (float x)
        | :? bool as flag -> if flag then "true" else "false"
        | :? IFormattable as other -> other.ToString(null, CultureInfo.InvariantCulture)
        | other -> other.ToString() |> Option.ofObj |> Option.defaultValue ""

    // A column of a row group as text; numbers round-trip.
    let internal column (group: ParquetRowGroupReader) (field: DataField) (count: int) (cancellation: CancellationToken) : string[] =
        let values (read: Memory<Nullable<'a>> -> Tasks.ValueTask) =
            let buffer = Array.zeroCreate<Nullable<'a>> count
            wait (fun () -> (read (Memory buffer)).AsTask())
            buffer |> Array.map (fun value -> if value.HasValue then text (box value.Value) else "")

        let kind = field.ClrType

        if kind = typeof<string> || kind = typeof<ReadOnlyMemory<char>> then
            let buffer = Array.create count ""
            wait (fun () -> group.ReadAsync(field, Memory<string> buffer, Nullable(), cancellation).AsTask())
            // The reader leaves null where a value is missing, whatever the type says.
            buffer |> Array.map (fun value -> text (box value))
        elif kind = typeof<float> then
            values (fun buffer -> group.ReadAsync<float>(field, buffer, Nullable(), cancellation))
        elif kind = typeof<float32> then
            values (fun buffer -> group.ReadAsync<float32>(field, buffer, Nullable(), cancellation))
        elif kind = typeof<int> then
            values (fun buffer -> group.ReadAsync<int>(field, buffer, Nullable(), cancellation))
        elif kind = typeof<int64> then
            values (fun buffer -> group.ReadAsync<int64>(field, buffer, Nullable(), cancellation))
        elif kind = typeof<int16> then
            values (fun buffer -> group.ReadAsync<int16>(field, buffer, Nullable(), cancellation))
        elif kind = typeof<bool> then
            values (fun buffer -> group.ReadAsync<bool>(field, buffer, Nullable(), cancellation))
        else
            raise (NotSupportedException $"text, whole numbers, float64 or boolean in the column {field.Name}, found {kind.Name}")

    // A row in words, of those counted through the whole file from 1.
    let internal place (before: ResizeArray<int>) (row: int) : string =
        let group = before.FindLastIndex(fun first -> first < row)
        $"row group {group}, row {row - before[group]}"

    /// Reads a log: either the log, or all that is wrong, at most <c>limit</c> errors in words. Rows are counted within their row group, from 1.
    let read (limit: int) (cancellation: CancellationToken) (path: string) : Result<TransitionLog, FileError list> =
        let findings = Findings(path, limit)
        // What the file system objects to is raised here; all later objections are about what the file holds.
        use stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read)

        try
            try
                let reader = await (fun () -> ParquetReader.CreateAsync(stream, cancellationToken = cancellation))

                try
                    let fields = reader.Schema.GetDataFields()
                    let builder = TransitionLogBuilder(findings, fields |> Array.map _.Name, "schema", 0)
                    // How many rows stand before each row group.
                    let before = ResizeArray [ 0 ]

                    for number in 0 .. reader.RowGroupCount - 1 do
                        cancellation.ThrowIfCancellationRequested()
                        use group = reader.OpenRowGroupReader number
                        let count = int group.RowCount
                        let columns = fields |> Array.map (fun field -> column group field count cancellation)

                        for row in 0 .. count - 1 do
                            let row' = before[number] + row + 1
                            builder.Add(columns |> Array.map (fun values -> values[row]), place before row', row')

                        before.Add(before[number] + count)

                    Ok(builder.Build(place before))
                finally
                    wait (fun () -> reader.DisposeAsync().AsTask())
            with
            | Unreadable -> Error findings.All
            | :? OperationCanceledException -> reraise ()
            | :? NotSupportedException as error ->
                findings.Add(0, error.Message.Replace(", found", " (found") + ")", "another type")
                Error findings.All
            | error ->
                // What the reader of the format says of a file that is none.
                findings.Add(0, "a Parquet file", FileError.shown ((error.Message.Split '\n')[0]))
                Error findings.All
        with Unreadable ->
            Error findings.All

    /// Writes a log with all its columns, in one row group; the file appears whole or not at all.
    let write (path: string) (log: TransitionLog) : unit =
        let states, actions = log.StateNames.ToArray(), log.ActionNames.ToArray()
        let steps = log.Steps.ToArray()
        let mutable episode = -1L

        let episodes =
            steps
            |> Array.map (fun step ->
                if step.Starts then
                    episode <- episode + 1L

                episode)

        let names =
            [|
                "state"
                "action"
                "reward"
                "next_state"
                "terminated"
                "truncated"
                "weight"
                "episode"
                if log.HasDurations then
                    "duration"
            |]

        let types =
            [|
                typeof<string>
                typeof<string>
                typeof<float>
                typeof<string>
                typeof<bool>
                typeof<bool>
                typeof<float>
                typeof<int64>
                if log.HasDurations then
                    typeof<float>
            |]

        let fields = Array.map2 (fun name (kind: Type) -> DataField(name, kind, Nullable false)) names types
        let schema = ParquetSchema(fields |> Seq.cast<Field> |> Array.ofSeq)

        AtomicFile.write path (fun stream ->
            let writer = await (fun () -> ParquetWriter.CreateAsync(schema, stream))

            try
                use group = writer.CreateRowGroup()

                let text i (pick: LogStep -> string) =
                    wait (fun () ->
                        group.WriteAsync(fields[i], (steps |> Array.map pick :> Collections.Generic.IReadOnlyCollection<string>)))

                let numbers i (pick: LogStep -> float) =
                    wait (fun () -> group.WriteAsync<float>(fields[i], ReadOnlyMemory(steps |> Array.map pick)))

                let flags i (pick: LogStep -> bool) =
                    wait (fun () -> group.WriteAsync<bool>(fields[i], ReadOnlyMemory(steps |> Array.map pick)))

                text 0 (fun step -> states[step.State])
                text 1 (fun step -> actions[step.Action])
                numbers 2 _.Reward
                text 3 (fun step -> states[step.Next])
                flags 4 _.Terminated
                flags 5 _.Truncated
                numbers 6 _.Weight
                wait (fun () -> group.WriteAsync<int64>(fields[7], ReadOnlyMemory episodes))

                if log.HasDurations then
                    numbers 8 _.Duration
            finally
                wait (fun () -> writer.DisposeAsync().AsTask()))

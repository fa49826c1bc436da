namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations
open System.Collections.Generic
open System.Globalization
open System.IO
open System.Threading
open CsvHelper
open CsvHelper.Configuration
open Parquet
open Parquet.Schema

/// Named columns of finite numbers.
type NumericTable =
    {
        /// The columns' names; they differ.
        Columns: string[]
        /// The rows, a number for each column.
        Rows: float[][]
    }

// Takes fields row by row: the wanted columns, each a finite number.
[<Sealed>]
type private TableBuilder(findings: Findings, header: string[], wanted: string[]) =
    let rows = ResizeArray<float[]>()
    let places = Dictionary<string, int>()

    // A column of words would be an error in every row: it is told once.
    let textual = HashSet<int>()
    let missing = "of the columns in the header"

    do
        header
        |> Array.iteri (fun i name ->
            if name = "" then
                findings.Add(1, $"a name for column {i + 1}", "nothing")
            elif not (places.TryAdd(name, i)) then
                findings.Add(1, "names of columns that differ", $"{FileError.shown name} twice"))

        for name in wanted do
            if not (places.ContainsKey name) then
                let known = String.Join(", ", header)
                findings.Add(1, $"a column {FileError.shown name}", $"the columns {known}")

        if findings.Count > 0 then
            raise Unreadable

    let chosen =
        if wanted.Length = 0 then
            Array.init header.Length id
        else
            wanted |> Array.map (fun name -> places[name])

    let tryNumber (text: string) : float voption =
        match Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture) with
        | true, number when Double.IsFinite number -> ValueSome number
        | _ -> ValueNone

    let isWord (text: string) = fst (Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture)) = false && text.Trim() <> ""

    /// The places of the chosen columns in the header.
    member _.Chosen = chosen

    /// Adds a row of all columns.
    member _.Add(fields: string[], place: string, number: int) : unit =
        if fields.Length <> header.Length then
            findings.AddAt(place, number, number, $"{header.Length} fields, one for each {missing}", string fields.Length)
        else
            let row =
                chosen
                |> Array.map (fun column ->
                    match tryNumber fields[column] with
                    | ValueSome value -> value
                    | ValueNone ->
                        if not (textual.Contains column) then
                            let found = FileError.shown fields[column]
                            findings.AddAt(place, number, number, $"a finite number in column '{header[column]}'", found)

                        if isWord fields[column] then
                            textual.Add column |> ignore

                        nan)

            rows.Add row

    /// The table; throws where something is wrong.
    member _.Build() : NumericTable =
        if rows.Count = 0 && findings.Count = 0 then
            findings.Add(0, "at least one row of numbers", "a header alone")

        if findings.Count > 0 then
            raise Unreadable

        { Columns = chosen |> Array.map (fun column -> header[column]); Rows = rows.ToArray() }

/// Tables of numbers in CSV (comma-separated, invariant numbers, a header) and Parquet.
[<RequireQualifiedAccess>]
module NumericTable =

    let private requireHeader (findings: Findings) (header: string[]) : unit =
        let isNumber (text: string) = fst (Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture))

        if header.Length > 0 && Array.forall isNumber header then
            findings.Add(1, "a header with the names of the columns", "a line of numbers")
            raise Unreadable

    let private readCsv (findings: Findings) (wanted: string[]) (cancellation: CancellationToken) (path: string) : NumericTable =
        use reader = new LineReader(path, findings, cancellation)

        let header =
            match reader.Next() with
            | null ->
                findings.Add(1, "a header with the names of the columns", "an empty file")
                raise Unreadable
            | line -> TransitionCsv.fields findings 1 line |> Array.map _.Trim()

        if findings.Count > 0 then
            raise Unreadable

        requireHeader findings header
        let builder = TableBuilder(findings, header, wanted)
        let mutable line = reader.Next()

        while not (isNull line) do
            let text = nonNull line

            if text.Trim() <> "" then
                match TransitionCsv.fields findings reader.Number text with
                | [||] -> ()
                | fields -> builder.Add(fields, $"line {reader.Number}", reader.Number)

            line <- reader.Next()

        builder.Build()

    let private readParquet (findings: Findings) (wanted: string[]) (cancellation: CancellationToken) (path: string) : NumericTable =
        use stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read)
        let reader = TransitionParquet.await (fun () -> ParquetReader.CreateAsync(stream, cancellationToken = cancellation))

        try
            let fields = reader.Schema.GetDataFields()
            let builder = TableBuilder(findings, fields |> Array.map _.Name, wanted)
            let chosen = HashSet builder.Chosen
            let before = ResizeArray [ 0 ]

            for number in 0 .. reader.RowGroupCount - 1 do
                cancellation.ThrowIfCancellationRequested()
                use group = reader.OpenRowGroupReader number
                let count = int group.RowCount

                // Columns that nobody wants are not read.
                let columns =
                    fields
                    |> Array.mapi (fun i field ->
                        if chosen.Contains i then
                            TransitionParquet.column group field count cancellation
                        else
                            Array.create count "")

                for row in 0 .. count - 1 do
                    let row' = before[number] + row + 1
                    builder.Add(columns |> Array.map (fun values -> values[row]), TransitionParquet.place before row', row')

                before.Add(before[number] + count)

            builder.Build()
        finally
            TransitionParquet.wait (fun () -> reader.DisposeAsync().AsTask())

    let private whole (path: string) (expected: string) (found: string) : Result<'a, FileError list> =
        Error [ { File = FileInfo(path).Name; Place = ""; Line = 0; Until = 0; Expected = expected; Found = found } ]

    /// Reads the columns that are wanted (none named: all), each of finite numbers, from .csv or .parquet: the table, or all that is wrong, at most <c>limit</c> errors in words. A column of
    /// words is told once. Rows of Parquet are counted within their row group, from 1.
    let read (limit: int) (wanted: string[]) (cancellation: CancellationToken) (path: string) : Result<NumericTable, FileError list> =
        let findings = Findings(path, limit)

        let guarded (work: Findings -> string[] -> CancellationToken -> string -> NumericTable) =
            try
                Ok(work findings wanted cancellation path)
            with
            | Unreadable -> Error findings.All
            | :? UnauthorizedAccessException as error -> whole path "a file that can be read" error.Message

        if Directory.Exists path then
            whole path "a file" "a folder"
        elif not (File.Exists path) then
            whole path "a file that exists" "none"
        else
            match (FileInfo path).Extension.ToLowerInvariant() with
            | ".csv" ->
                try
                    guarded readCsv
                with :? IOException as error ->
                    whole path "a file that can be read" error.Message
            | ".parquet" ->
                try
                    guarded readParquet
                with
                | :? OperationCanceledException -> reraise ()
                | :? NotSupportedException as error -> whole path (error.Message.Replace(", found", " (found") + ")") "another type"
                // What the reader of the format says of a file that is none.
                | error -> whole path "a Parquet file" (FileError.shown ((error.Message.Split '\n')[0]))
            | other -> whole path "the extension .csv or .parquet" $"'{other}'"

    let private writeCsv (path: string) (table: NumericTable) : unit =
        AtomicFile.writeText path (fun out ->
            use csv = new CsvWriter(out, CsvConfiguration(CultureInfo.InvariantCulture, NewLine = "\n"), true)

            for name in table.Columns do
                csv.WriteField name

            csv.NextRecord()

            for row in table.Rows do
                for value in row do
                    csv.WriteField(ModelError.number value)

                csv.NextRecord())

    let private writeParquet (path: string) (table: NumericTable) : unit =
        let fields = table.Columns |> Array.map (fun name -> DataField(name, typeof<float>, Nullable false))
        let schema = ParquetSchema(fields |> Seq.cast<Field> |> Array.ofSeq)

        AtomicFile.write path (fun stream ->
            let writer = TransitionParquet.await (fun () -> ParquetWriter.CreateAsync(schema, stream))

            try
                use group = writer.CreateRowGroup()

                fields
                |> Array.iteri (fun i field ->
                    let values = table.Rows |> Array.map (fun row -> row[i])
                    TransitionParquet.wait (fun () -> group.WriteAsync<float>(field, ReadOnlyMemory values)))
            finally
                TransitionParquet.wait (fun () -> writer.DisposeAsync().AsTask()))

    /// Writes a table as .csv (numbers round-trip) or .parquet; the file appears whole or not at all. Throws an ArgumentException for another extension.
    let write (path: string) (table: NumericTable) : unit =
        match (FileInfo path).Extension.ToLowerInvariant() with
        | ".csv" -> writeCsv path table
        | ".parquet" -> writeParquet path table
        | other -> invalidArg (nameof path) $"the extension must be .csv or .parquet but is '{other}'"

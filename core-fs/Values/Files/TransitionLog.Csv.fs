namespace ValueFlow.Core.Values

open System
open System.Globalization
open System.IO
open System.Threading
open CsvHelper
open CsvHelper.Configuration
open ValueFlow.Core.Foundations

/// Transition logs in CSV: comma-separated, invariant numbers, a header.
[<RequireQualifiedAccess>]
module TransitionCsv =

    // A line with quoted fields. Names hold no line breaks: a quotation mark that is not closed is an error of its line, not a field of a thousand lines.
    let internal quoted (findings: Findings) (number: int) (line: string) : string[] =
        use reader = new StringReader(line)
        let mutable bad = false
        let settings = CsvConfiguration(CultureInfo.InvariantCulture, BadDataFound = (fun _ -> bad <- true))
        use parser = new CsvParser(reader, settings)
        let fields = if parser.Read() then parser.Record |> Option.ofObj |> Option.defaultValue [||] else [||]

        if bad || (line |> Seq.filter ((=) '"') |> Seq.length) % 2 = 1 then
            findings.Add(number, "quotation marks around whole fields, closed on the same line", FileError.shown line)
            [||]
        else
            fields

    let internal fields findings number (line: string) = if line.Contains '"' then quoted findings number line else line.Split ','

    /// Reads a log: either the log, or all that is wrong, at most <c>limit</c> errors in words.
    let read (limit: int) (cancellation: CancellationToken) (path: string) : Result<TransitionLog, FileError list> =
        let findings = Findings(path, limit)

        try
            use reader = new LineReader(path, findings, cancellation)

            let builder =
                match reader.Next() with
                | null ->
                    findings.Add(
                        1,
                        "a header state,action,reward,next_state,terminated[,truncated][,weight][,episode][,duration]",
                        "an empty file"
                    )

                    raise Unreadable
                | line -> TransitionLogBuilder(findings, fields findings 1 line, "line 1", 1)

            let mutable line = reader.Next()

            while not (isNull line) do
                let text = nonNull line

                if text.Trim() <> "" then
                    match fields findings reader.Number text with
                    | [||] -> ()
                    | some -> builder.Add(some, $"line {reader.Number}", reader.Number)

                line <- reader.Next()

            Ok(builder.Build(fun line -> $"line {line}"))
        with Unreadable ->
            Error findings.All

    /// Writes a log with all its columns; the file appears whole or not at all.
    let write (path: string) (log: TransitionLog) : unit =
        let states, actions = log.StateNames.ToArray(), log.ActionNames.ToArray()
        let lasts = log.HasDurations

        AtomicFile.writeText path (fun out ->
            use csv = new CsvWriter(out, CsvConfiguration(CultureInfo.InvariantCulture, NewLine = "\n"), true)

            for name in [ "state"; "action"; "reward"; "next_state"; "terminated"; "truncated"; "weight"; "episode" ] do
                csv.WriteField name

            if lasts then
                csv.WriteField "duration"

            csv.NextRecord()
            let mutable episode = -1

            for step in log.Steps do
                if step.Starts then
                    episode <- episode + 1

                csv.WriteField states[step.State]
                csv.WriteField actions[step.Action]
                csv.WriteField(ModelError.number step.Reward)
                csv.WriteField states[step.Next]
                csv.WriteField(if step.Terminated then "true" else "false")
                csv.WriteField(if step.Truncated then "true" else "false")
                csv.WriteField(ModelError.number step.Weight)
                csv.WriteField(string episode)

                if lasts then
                    csv.WriteField(ModelError.number step.Duration)

                csv.NextRecord())

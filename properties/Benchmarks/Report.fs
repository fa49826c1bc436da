namespace ValueFlow.Benchmarks

open System
open System.Globalization
open System.IO
open System.Runtime.InteropServices
open System.Text.Json
open System.Text.Json.Nodes
open Spectre.Console

/// Rows for people and for programs.
[<RequireQualifiedAccess>]
module Report =

    let private number (value: float) : string =
        let digits =
            match abs value with
            | size when size = 0.0 || size >= 100.0 -> "F0"
            | size when size >= 10.0 -> "F1"
            | size when size >= 0.1 -> "F3"
            | _ -> "0.0E+0"

        value.ToString(digits, CultureInfo.InvariantCulture)

    let private withUnit (value: float) (unit: string) : string = $"{number value} {unit}".TrimEnd()

    /// The load of the machine (one minute), where the system tells it.
    let load () : string =
        try
            (File.ReadAllText "/proc/loadavg").Split(' ')[0]
        with
        | :? IOException
        | :? UnauthorizedAccessException -> "unknown"

    /// Where and when.
    let machine () : string =
        let date = DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture)
        let system = $"{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture}"
        $"{date} UTC, {Environment.ProcessorCount} cores, {system}, {RuntimeInformation.FrameworkDescription}"

    let private verdict (row: Row) : string =
        match row.Goal with
        | ValueNone -> ""
        | ValueSome goal -> $"""{(if goal.IsMet then "met" else "NOT MET")}: {goal.Text}"""

    let private cells (row: Row) : string list =
        let yardstick =
            match row.Yardstick with
            | ValueSome(struct (name, value)) -> $"{withUnit value row.Unit}, {name}"
            | ValueNone -> ""

        let ratio = row.Ratio |> ValueOption.map number |> ValueOption.defaultValue ""
        let figure = withUnit row.Figure row.Unit + (if row.Note = "" then "" else $" ({row.Note})")

        let peer, theirs =
            match row.Peer with
            | ValueSome peer ->
                let rod =
                    peer.Yardstick
                    |> ValueOption.map (fun value -> $" / {withUnit value row.Unit}")
                    |> ValueOption.defaultValue ""

                let ratio = peer.Yardstick |> ValueOption.map (fun value -> number (peer.Figure / value)) |> ValueOption.defaultValue ""
                $"{withUnit peer.Figure row.Unit}{rod}, {peer.Name}", ratio
            | ValueNone -> "", ""

        [ row.Name; figure; yardstick; ratio; peer; theirs; verdict row ]

    /// One table a section.
    let tables (console: IAnsiConsole) (rows: Row list) : unit =
        for section, rows in rows |> List.groupBy _.Section do
            let repeats = rows |> List.map _.Repeats |> List.max
            let table = Table().Border(TableBorder.Rounded)
            table.Title <- TableTitle(Markup.Escape $"{section} (medians of {repeats})")

            for heading in [ "figure"; "here"; "yardstick here"; "ratio"; "recorded peer / its yardstick"; "its ratio"; "goal" ] do
                table.AddColumn(TableColumn(Markup.Escape heading)) |> ignore

            for row in rows do
                let colour =
                    match row.Goal with
                    | ValueSome goal -> if goal.IsMet then "green" else "red"
                    | ValueNone -> "default"

                let cells = cells row |> List.map Markup.Escape
                let painted = cells |> List.mapi (fun i cell -> if i = 6 then $"[{colour}]{cell}[/]" else cell)
                table.AddRow(Array.ofList painted) |> ignore

            console.Write table

    let private optional (value: float voption) : JsonNode | null =
        match value with
        | ValueSome value -> JsonValue.Create value
        | ValueNone -> null

    let private node (row: Row) : JsonNode =
        let json = JsonObject()
        json["section"] <- JsonValue.Create row.Section
        json["name"] <- JsonValue.Create row.Name
        json["figure"] <- JsonValue.Create row.Figure
        json["unit"] <- JsonValue.Create row.Unit
        json["note"] <- JsonValue.Create row.Note
        json["repeats"] <- JsonValue.Create row.Repeats
        json["ratio"] <- optional row.Ratio

        match row.Yardstick with
        | ValueSome(struct (name, value)) ->
            json["yardstick"] <- JsonValue.Create name
            json["yardstickFigure"] <- JsonValue.Create value
        | ValueNone -> ()

        match row.Peer with
        | ValueSome peer ->
            let other = JsonObject()
            other["name"] <- JsonValue.Create peer.Name
            other["figure"] <- JsonValue.Create peer.Figure
            other["yardstickFigure"] <- optional peer.Yardstick
            other["source"] <- JsonValue.Create peer.Source
            json["peer"] <- other
        | ValueNone -> ()

        match row.Goal with
        | ValueSome goal ->
            json["goal"] <- JsonValue.Create goal.Text
            json["met"] <- JsonValue.Create goal.IsMet
        | ValueNone -> ()

        json

    /// Everything as one JSON object.
    let json (facts: (string * string) list) (rows: Row list) : string =
        let root = JsonObject()

        for name, value in facts do
            root[name] <- JsonValue.Create value

        let list = JsonArray()
        rows |> List.iter (fun row -> list.Add(node row))
        root["rows"] <- list
        root.ToJsonString(JsonSerializerOptions(WriteIndented = true))

    /// Rows, facts and how many goals were met, as tables or as JSON.
    let write (output: TextWriter) (asJson: bool) (facts: (string * string) list) (rows: Row list) : unit =
        if asJson then
            output.WriteLine(json facts rows)
        else
            let settings = AnsiConsoleSettings(Out = AnsiConsoleOutput output)
            let console = AnsiConsole.Create settings

            if Console.IsOutputRedirected then
                console.Profile.Width <- 200

            tables console rows

            for name, value in facts do
                output.WriteLine $"{name}: {value}"

            let goals = rows |> List.choose (fun row -> ValueOption.toOption row.Goal)
            let met = goals |> List.filter _.IsMet |> List.length
            output.WriteLine $"goals: {met} met, {goals.Length - met} not met"

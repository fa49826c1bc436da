namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open System.IO
open System.Threading

/// The pieces of PRISM's explicit files beside the transitions: rewards, states, labels.
module internal PrismParts =

    let expect (findings: Findings) line expected found = findings.Add(line, expected, FileError.shown found)

    let refuse (findings: Findings) line expected found =
        expect findings line expected found
        raise Unreadable

    let indices (text: string) = Field.split text |> Array.map Field.tryIndex

    // The header of numbers, of one of the lengths.
    let header (findings: Findings) (reader: LineReader) (expected: string) (lengths: int list) =
        match reader.NextContent "#" with
        | null -> refuse findings (max 1 reader.Number) expected ""
        | line ->
            let numbers = indices line

            if List.contains numbers.Length lengths && numbers |> Array.forall _.IsSome then
                numbers |> Array.map _.Value
            else
                refuse findings reader.Number expected line

    let reading path limit (cancellation: CancellationToken) (read: Findings -> LineReader -> unit) =
        let findings = Findings(path, limit)

        try
            use reader = new LineReader(path, findings, cancellation)
            read findings reader
        with Unreadable ->
            ()

        findings

    let private rewardName (path: string) =
        // "# Reward structure "name"" in the first lines, of which no more is read than they may hold.
        use reader = new StreamReader(path)
        let head = Array.zeroCreate<char> 4096
        let filled = reader.ReadBlock(head, 0, head.Length)

        String(head, 0, filled).Split '\n'
        |> Seq.truncate 4
        |> Seq.tryPick (fun line ->
            if line.StartsWith("# Reward structure", StringComparison.Ordinal) then
                Some(line.Substring("# Reward structure".Length).Trim().Trim('"'))
            else
                None)
        |> Option.defaultValue ""

    // The files of one kind: model.srew, or model1.srew, model2.srew, ... with several structures.
    let rewardFiles (stem: string) (extension: string) =
        [
            if File.Exists(stem + extension) then
                stem + extension

            yield! [ for i in 1..99 -> $"{stem}{i}{extension}" ] |> List.filter File.Exists
        ]
        |> List.map (fun path -> rewardName path, path)

    // Rewards by state, choice and successor, each with its line.
    let readRewards path limit cancellation (isState: bool) (isMdp: bool) states =
        let values = Dictionary<struct (int * int * int), struct (float * int)>()

        let length =
            if isState then 2
            elif isMdp then 4
            else 3

        let shape =
            if isState then "state reward"
            elif isMdp then "state choice successor reward"
            else "state successor reward"

        let findings =
            reading path limit cancellation (fun findings reader ->
                let numbers =
                    header
                        findings
                        reader
                        $"a header of {if not isState && isMdp then 3 else 2} whole numbers"
                        [ (if not isState && isMdp then 3 else 2) ]

                let first = reader.Number

                if numbers[0] <> states then
                    findings.Add(reader.Number, $"{states} states like the .tra file", string numbers[0])

                let mutable count = 0
                let mutable line = reader.NextContent "#"

                while not (isNull line) do
                    let text = nonNull line
                    let fields = Field.split text
                    count <- count + 1

                    if fields.Length <> length then
                        expect findings reader.Number $"'{shape}'" text
                    else
                        let places = fields[.. length - 2] |> Array.map Field.tryIndex

                        if places |> Array.exists _.IsNone then
                            expect findings reader.Number $"'{shape}' with whole numbers before the reward" text
                        else
                            let place = places |> Array.map _.Value

                            let key =
                                if isState then struct (place[0], -1, -1)
                                elif isMdp then struct (place[0], place[1], place[2])
                                else struct (place[0], 0, place[1])

                            let struct (state, _, successor) = key

                            if state >= states || successor >= states then
                                findings.Add(reader.Number, $"states in [0, {states})", string (max state successor))
                            else
                                match Field.tryNumber fields[length - 1] with
                                | ValueNone -> expect findings reader.Number "a finite reward" fields[length - 1]
                                | ValueSome reward ->
                                    if not (values.TryAdd(key, struct (reward, reader.Number))) then
                                        expect findings reader.Number "each entry once" $"{text} again"

                    line <- reader.NextContent "#"

                if findings.Count = 0 && count <> numbers[numbers.Length - 1] then
                    findings.AddBetween(first, reader.Number, $"{numbers[numbers.Length - 1]} entries, as the header says", string count))

        findings, values

    // State names "(1,2)" and the variables of the header.
    let readStates (path: string) limit cancellation count =
        let names = Array.create count ""
        let mutable variables = [||]

        let findings =
            reading path limit cancellation (fun findings reader ->
                match reader.NextContent "#" with
                | null -> refuse findings 1 "a header like (x,y)" ""
                | line when not (line.StartsWith '(' && line.EndsWith ')') -> refuse findings reader.Number "a header like (x,y)" line
                | line -> variables <- line.Substring(1, line.Length - 2).Split ','

                // A file of names that this library wrote: they may hold anything.
                let named = variables = [| "state" |]

                let isValue (value: string) =
                    match value.Trim().TrimStart('-', '+').ToLowerInvariant() with
                    | ""
                    | "nan"
                    | "inf"
                    | "infinity" -> false
                    | _ -> true

                let isTuple (values: string) =
                    values.Length >= 2
                    && values.StartsWith '('
                    && values.EndsWith ')'
                    && (named
                        || (let parts = values.Substring(1, values.Length - 2).Split ','
                            parts.Length = variables.Length && Array.forall isValue parts))

                let mutable found = 0
                let mutable line = reader.NextContent "#"

                while not (isNull line) do
                    let text = nonNull line
                    let colon = text.IndexOf ':'
                    let index = if colon < 0 then ValueNone else Field.tryIndex (text.Substring(0, colon).Trim())

                    match index with
                    | ValueSome state when state >= count -> findings.Add(reader.Number, $"a state in [0, {count})", string state)
                    | ValueSome state when names[state] <> "" -> findings.Add(reader.Number, "each state once", $"state {state} again")
                    | ValueSome state ->
                        let value = text.Substring(colon + 1).Trim()

                        if not (isTuple value) then
                            expect findings reader.Number $"'state:(values)' with {variables.Length} values" text
                        else
                            names[state] <- value
                            found <- found + 1
                    | ValueNone -> expect findings reader.Number $"'state:(values)' with {variables.Length} values" text

                    line <- reader.NextContent "#"

                if found < count && findings.Count = 0 then
                    findings.Add(reader.Number, $"{count} states like the .tra file", string found))

        // Names that were written by this library stand alone in their brackets.
        let names =
            if variables = [| "state" |] then
                names |> Array.map (fun name -> if name.Length > 2 then name.Substring(1, name.Length - 2) else name)
            else
                names

        findings, names, variables

    let readLabels path limit cancellation (builder: ModelBuilder) =
        let deadlocks = HashSet<int>()

        let findings =
            reading path limit cancellation (fun findings reader ->
                let labels = Dictionary<int, string>()

                match reader.NextContent "#" with
                | null -> refuse findings 1 "declarations like 0=\"init\"" ""
                | line ->
                    let mutable rest = line.Trim()

                    while rest <> "" do
                        let equals = rest.IndexOf "=\""
                        let close = if equals < 0 then -1 else rest.IndexOf('"', equals + 2)
                        let number = if close < 0 then ValueNone else Field.tryIndex (rest.Substring(0, equals).Trim())

                        match number with
                        | ValueSome number when labels.TryAdd(number, rest.Substring(equals + 2, close - equals - 2)) ->
                            builder.DeclareLabel labels[number]
                            rest <- rest.Substring(close + 1).Trim()
                        | _ -> refuse findings reader.Number "declarations like 0=\"init\" 1=\"deadlock\", each number once" rest

                let seen = HashSet<int>()
                let mutable line = reader.NextContent "#"

                while not (isNull line) do
                    let text = nonNull line
                    let colon = text.IndexOf ':'
                    let state = if colon < 0 then ValueNone else Field.tryIndex (text.Substring(0, colon).Trim())
                    let numbers = if colon < 0 then [||] else indices (text.Substring(colon + 1))

                    match state with
                    | ValueSome state when state >= builder.StateCount ->
                        findings.Add(reader.Number, $"a state in [0, {builder.StateCount})", string state)
                    | ValueSome state when not (seen.Add state) -> findings.Add(reader.Number, "each state once", $"state {state} again")
                    | ValueSome state when numbers.Length > 0 && numbers |> Array.forall (fun n -> n.IsSome && labels.ContainsKey n.Value) ->
                        for number in numbers do
                            let label = labels[number.Value]
                            builder.Label(label, state, reader.Number)

                            if label = "init" then
                                builder.Initial state
                            elif label = "deadlock" then
                                deadlocks.Add state |> ignore
                    | _ -> expect findings reader.Number "'state: labels' with labels that were declared" text

                    line <- reader.NextContent "#")

        findings, deadlocks

    // Two whole-number variables that place every state on a cell of its own make a map.
    let grid (variables: string[]) (names: string[]) : GridLayout voption =
        let pairs =
            names
            |> Array.map (fun name ->
                match name.Trim('(', ')').Split ',' |> Array.map Field.tryIndex with
                | [| ValueSome a; ValueSome b |] -> ValueSome(struct (a, b))
                | _ -> ValueNone)

        if variables.Length <> 2 || pairs |> Array.exists _.IsNone then
            ValueNone
        else
            // The field's habit: x runs to the right and y downwards; row and column say so themselves.
            let rowFirst = [ "row"; "r"; "y"; "i" ] |> List.contains (variables[0].ToLowerInvariant())

            let cells =
                pairs
                |> Array.map (fun pair -> let struct (a, b) = pair.Value in if rowFirst then struct (a, b) else struct (b, a))

            let rows = 1 + (cells |> Array.map (fun (struct (r, _)) -> r) |> Array.max)
            let columns = 1 + (cells |> Array.map (fun (struct (_, c)) -> c) |> Array.max)

            if
                rows < 2
                || columns < 2
                || (Array.distinct cells).Length <> cells.Length
                || int64 rows * int64 columns > 10_000L
            then
                ValueNone
            else
                ValueSome
                    {
                        Rows = rows
                        Columns = columns
                        Cells = cells |> Array.map (fun (struct (r, c)) -> r * columns + c)
                        Marks = Array.create (rows * columns) ' '
                        Directions = [||]
                    }

    /// The path of a file without its extension.
    let stemOf (path: string) : string =
        let file = FileInfo path
        file.FullName.Substring(0, file.FullName.Length - file.Extension.Length)

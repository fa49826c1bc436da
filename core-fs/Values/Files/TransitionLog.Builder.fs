namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open System.Globalization

/// Collects logged steps from rows of text, whatever the file: checks the header once and every field of every row.
[<Sealed>]
type internal TransitionLogBuilder(findings: Findings, header: string[], headerPlace: string, headerLine: int) =

    static let required = [ "state"; "action"; "reward"; "next_state" ]
    static let optional = [ "terminated"; "done"; "truncated"; "weight"; "episode"; "duration" ]
    static let expectedHeader = "the columns state,action,reward,next_state,terminated[,truncated][,weight][,episode][,duration]"

    let warnings = ResizeArray<string>()
    let columns = Dictionary<string, int>(StringComparer.Ordinal)
    let states, actions = Dictionary<string, int>(StringComparer.Ordinal), Dictionary<string, int>(StringComparer.Ordinal)
    let steps = ResizeArray<LogStep>()
    let mutable lastEpisode = ""
    let mutable fresh = true

    do
        header
        |> Array.iteri (fun i name ->
            let name = name.Trim().TrimStart('\uFEFF').ToLowerInvariant()

            if not (List.contains name required || List.contains name optional) then
                findings.AddAt(headerPlace, headerLine, headerLine, expectedHeader, FileError.shown name)
            elif not (columns.TryAdd(name, i)) then
                findings.AddAt(headerPlace, headerLine, headerLine, "each column once", $"'{name}' again"))

        let missing = required |> List.filter (columns.ContainsKey >> not)

        if not missing.IsEmpty then
            let list = String.concat ", " missing
            findings.AddAt(headerPlace, headerLine, headerLine, expectedHeader, $"no column {list}")
        elif not (columns.ContainsKey "terminated" || columns.ContainsKey "done") then
            findings.AddAt(headerPlace, headerLine, headerLine, expectedHeader, "neither 'terminated' nor 'done'")
        elif columns.ContainsKey "done" then
            if columns.ContainsKey "terminated" then
                findings.AddAt(headerPlace, headerLine, headerLine, "one of 'terminated' and 'done'", "both")
            else
                warnings.Add
                    "the column 'done' was read as 'terminated': if it also marks steps that were cut off, give those a column 'truncated'"

        if findings.Count > 0 then
            raise Unreadable

    let flag (text: string) =
        match text.Trim().ToLowerInvariant() with
        | "true"
        | "1"
        | "1.0" -> ValueSome true
        | "false"
        | "0"
        | "0.0"
        | "" -> ValueSome false
        | _ -> ValueNone

    let numberOf (names: Dictionary<string, int>) name =
        match names.TryGetValue name with
        | true, number -> number
        | _ ->
            names[name] <- names.Count
            names[name]

    // Whole numbers before other names, in their own order.
    let sorted (names: Dictionary<string, int>) =
        let key (name: string) =
            match Int64.TryParse(name, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) with
            | true, number -> struct (0, number, name)
            | _ -> struct (1, 0L, name)

        let ordered =
            names.Keys
            |> Seq.sortWith (fun a b ->
                let struct (ka, na, sa) = key a
                let struct (kb, nb, sb) = key b

                if ka <> kb then compare ka kb
                elif na <> nb then compare na nb
                else String.CompareOrdinal(sa, sb))
            |> Array.ofSeq

        let renumbered = Array.zeroCreate names.Count
        ordered |> Array.iteri (fun i name -> renumbered[names[name]] <- i)
        ordered, renumbered

    /// Adds a row of as many fields as the header has.
    member _.Add(fields: string[], place: string, line: int) : unit =
        let wrong expected (found: string) = findings.AddAt(place, line, line, expected, found)

        if fields.Length <> header.Length then
            wrong $"{header.Length} fields like the header" $"{fields.Length}"
        else
            let field name =
                match columns.TryGetValue name with
                | true, i -> ValueSome(fields[i].Trim())
                | _ -> ValueNone

            let named name =
                match field name with
                | ValueSome text when text <> "" -> ValueSome text
                | _ ->
                    wrong $"a name in the column {name}" "nothing"
                    ValueNone

            let marked name =
                match field name with
                | ValueNone -> ValueSome false
                | ValueSome text ->
                    match flag text with
                    | ValueNone ->
                        wrong $"true or false in the column {name}" (FileError.shown text)
                        ValueNone
                    | some -> some

            let state, action, next = named "state", named "action", named "next_state"
            let terminated = marked (if columns.ContainsKey "done" then "done" else "terminated")
            let truncated = marked "truncated"

            let reward =
                match Field.tryNumber (field "reward").Value with
                | ValueNone ->
                    wrong "a finite number in the column reward" (FileError.shown (field "reward").Value)
                    ValueNone
                | some -> some

            let weight =
                match field "weight" with
                | ValueNone -> ValueSome 1.0
                | ValueSome text ->
                    match Field.tryNumber text with
                    | ValueSome w when w >= 0.0 -> ValueSome w
                    | _ ->
                        wrong "a finite weight that is not negative" (FileError.shown text)
                        ValueNone

            let duration =
                match field "duration" with
                | ValueNone -> ValueSome 1.0
                | ValueSome text ->
                    match Field.tryNumber text with
                    | ValueSome d when d >= 1.0 -> ValueSome d
                    | _ ->
                        wrong "a finite duration of at least 1 in the column duration" (FileError.shown text)
                        ValueNone

            let episode = field "episode" |> ValueOption.defaultValue lastEpisode

            match state, action, next, terminated, truncated, reward, weight, duration with
            | ValueSome state,
              ValueSome action,
              ValueSome next,
              ValueSome terminated,
              ValueSome truncated,
              ValueSome reward,
              ValueSome weight,
              ValueSome duration ->
                steps.Add
                    {
                        State = numberOf states state
                        Action = numberOf actions action
                        Reward = reward
                        Next = numberOf states next
                        Terminated = terminated
                        Truncated = truncated
                        Weight = weight
                        Duration = duration
                        Starts = fresh || episode <> lastEpisode
                        Place = line
                    }

                fresh <- terminated || truncated
                lastEpisode <- episode
            | _ -> ()

    /// The log, with words for the places of its steps; nothing if there was an error.
    member _.Build(place: int -> string) : TransitionLog =
        if steps.Count = 0 && findings.Count = 0 then
            findings.Add(headerLine, "at least one step after the header", "none")

        if findings.Count > 0 then
            raise Unreadable

        let stateNames, stateNumbers = sorted states
        let actionNames, actionNumbers = sorted actions

        let renumbered =
            steps.ToArray()
            |> Array.map (fun step ->
                { step with
                    State = stateNumbers[step.State]
                    Action = actionNumbers[step.Action]
                    Next = stateNumbers[step.Next]
                })

        TransitionLog(renumbered, stateNames, actionNames, List.ofSeq warnings, place)

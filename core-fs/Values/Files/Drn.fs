namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open System.Threading

/// Storm's DRN files: MDPs and DTMCs with rewards, and their interval forms. State rewards are earned on leaving, together with the action's.
/// A state with the label "deadlock", a self-loop and no reward is terminal.
[<RequireQualifiedAccess>]
module Drn =

    let private expect (findings: Findings) line expected (found: string) = findings.Add(line, expected, FileError.shown found)

    let private refuse (findings: Findings) line expected found =
        expect findings line expected found
        raise Unreadable

    // Words of a line; "two words" in quotation marks are one, and so is a bracket [1, 2].
    let private words (text: string) =
        let found = ResizeArray<string>()
        let mutable i = 0

        while i < text.Length do
            let start = i

            match text[i] with
            | ' '
            | '\t' -> i <- i + 1
            | opening when opening = '"' || opening = '[' || opening = '{' ->
                let closing =
                    match opening with
                    | '[' -> ']'
                    | '{' -> '}'
                    | other -> other

                let close = text.IndexOf(closing, i + 1)
                i <- if close < 0 then text.Length else close + 1
                found.Add(text.Substring(start, i - start))
            | _ ->
                while i < text.Length && text[i] <> ' ' && text[i] <> '\t' do
                    i <- i + 1

                found.Add(text.Substring(start, i - start))

        found.ToArray()

    // Counts come with their lines.
    type private Header =
        {
            IsMdp: bool
            Rewards: string[]
            States: int
            StatesLine: int
            Choices: struct (int * int) voption
        }

    // The lines from @type to @model.
    let private header (findings: Findings) (reader: LineReader) =
        let mutable isMdp = ValueNone
        let mutable rewards = [||]
        let mutable states = ValueNone
        let mutable choices = ValueNone
        let mutable going = true

        // The line after a keyword: it may be blank.
        let following expected =
            match reader.Next() with
            | null -> refuse findings reader.Number expected ""
            | text -> text.Trim()

        let count keyword =
            let text = following $"a whole number after {keyword}"

            match Field.tryIndex text with
            | ValueSome number -> ValueSome(struct (number, reader.Number))
            | ValueNone -> refuse findings reader.Number $"a whole number after {keyword}" text

        while going do
            match reader.NextContent "//" with
            | null -> refuse findings (max 1 reader.Number) "a header that ends with @model" ""
            | line ->
                let text = line.Trim()

                if text.StartsWith("@type:", StringComparison.Ordinal) then
                    match text.Substring(6).Trim().ToLowerInvariant() with
                    | "mdp" -> isMdp <- ValueSome true
                    | "dtmc" -> isMdp <- ValueSome false
                    | _ -> refuse findings reader.Number "@type: mdp or @type: dtmc (other kinds of models are not read)" text
                elif text.StartsWith("@value_type:", StringComparison.Ordinal) then
                    match text.Substring(12).Trim().ToLowerInvariant() with
                    | "double"
                    | "rational"
                    | "double-interval"
                    | "rational-interval" -> ()
                    | _ -> refuse findings reader.Number "@value_type: double, rational, double-interval or rational-interval" text
                elif text = "@parameters" then
                    let names = following "a line of parameters"

                    if names <> "" then
                        refuse findings reader.Number "no parameters (instantiate the model first)" names
                elif text = "@placeholders" then
                    refuse findings reader.Number "no placeholders (export the model without them)" text
                elif text = "@reward_models" then
                    rewards <- Field.split (following "a line of reward models")
                elif text = "@nr_states" then
                    states <- count text
                elif text = "@nr_choices" then
                    choices <- count text
                elif text = "@model" then
                    going <- false
                else
                    refuse findings reader.Number "a header of @type, @parameters, @reward_models, @nr_states, @nr_choices and @model" text

        match isMdp, states with
        | ValueNone, _ -> refuse findings reader.Number "@type: mdp or @type: dtmc before @model" "nothing"
        | _, ValueNone
        | _, ValueSome(struct (0, _)) -> refuse findings reader.Number "@nr_states of at least 1 before @model" "none"
        | ValueSome isMdp, ValueSome(struct (states, line)) ->
            { IsMdp = isMdp; Rewards = rewards; States = states; StatesLine = line; Choices = choices }

    let private chooseReward (findings: Findings) (wanted: string voption) (names: string[]) =
        let list = names |> Array.map (fun name -> $"'{name}'") |> String.concat ", "

        match wanted, names with
        | ValueSome name, _ when not (Array.contains name names) ->
            findings.Add(0, $"a reward model named '{name}'", (if names.Length = 0 then "no reward model" else list))
            raise Unreadable
        | ValueSome name, _ -> Array.IndexOf(names, name)
        | ValueNone, [||] -> -1
        | ValueNone, [| _ |] -> 0
        | ValueNone, _ ->
            findings.Add(0, "one reward model, or the name of the one to use", list)
            raise Unreadable

    // "[1, 2]" as numbers, one for each reward model.
    let private rewardOf (findings: Findings) line (count: int) (index: int) (bracket: string) =
        let numbers = bracket.Trim('[', ']').Split ',' |> Array.map (fun part -> Field.tryNumber (part.Trim()))

        if not (bracket.EndsWith ']') || numbers.Length <> count || numbers |> Array.exists _.IsNone then
            expect findings line $"{count} finite rewards in brackets" bracket
            0.0
        elif index < 0 then
            0.0
        else
            numbers[index].Value

    /// Reads a DRN file, with the reward model of the name (not needed if there is one at most). Either the model, or all that is wrong, at most
    /// <c>limit</c> errors in words.
    let read (reward: string voption) (limit: int) (cancellation: CancellationToken) (path: string) : Result<Model, FileError list> =
        let findings = Findings(path, limit)
        let names = ActionNames()
        let mutable builder = ModelBuilder 1

        try
            use reader = new LineReader(path, findings, cancellation)
            let head = header findings reader
            let index = chooseReward findings reward head.Rewards
            builder <- ModelBuilder(head.States, Cancellation = cancellation)
            builder.ErrorLimit <- limit
            // The line of each state.
            let stateLines = ResizeArray<int>()
            let deadlocks, loops, others = HashSet<int>(), HashSet<int>(), HashSet<int>()
            let mutable state, choice = -1, -1
            let mutable choices = 0
            let mutable stateReward, actionReward = 0.0, 0.0
            let mutable broken = false
            let mutable line = reader.NextContent "//"

            while not (isNull line) do
                let text = nonNull line
                let parts = words (text.Trim())
                let number = reader.Number

                match parts[0] with
                | "state" ->
                    choice <- -1
                    actionReward <- 0.0
                    stateReward <- 0.0

                    match (if parts.Length > 1 then Field.tryIndex parts[1] else ValueNone) with
                    | ValueSome next when next = state + 1 && next < head.States ->
                        broken <- false
                        state <- next
                        stateLines.Add number

                        for part in parts[2..] do
                            if part.StartsWith '[' then
                                stateReward <- rewardOf findings number head.Rewards.Length index part
                            elif part.StartsWith '{' || part.StartsWith '!' then
                                expect findings number "a state of an MDP or DTMC, without observation or rate" text
                            elif part.StartsWith '"' && (part.Length < 3 || not (part.EndsWith '"')) then
                                expect findings number "a label that ends with its quotation mark" part
                            else
                                let label = part.Trim '"'
                                builder.Label(label, state, number)

                                if label = "init" then
                                    builder.Initial state
                                elif label = "deadlock" then
                                    deadlocks.Add state |> ignore
                    | ValueSome next when next >= head.States ->
                        broken <- true
                        findings.Add(number, $"a state in [0, {head.States})", string next)
                        state <- state + 1
                    | found ->
                        broken <- true
                        expect findings number $"state {state + 1}, in order" text
                        // A state that is told again stays behind; one that is skipped to goes on from there.
                        state <- if found.IsSome then Math.Max(state, found.Value) else state + 1
                | "action" when state < 0 -> expect findings number "a state before the first action" text
                | "action" ->
                    choice <- choice + 1
                    choices <- choices + 1
                    actionReward <- 0.0

                    if choice > 0 && not head.IsMdp && not broken then
                        expect findings number "one action for each state of a dtmc" text

                    if parts.Length > 1 then
                        names.Add(state, choice, (if parts[1] = "__NOLABEL__" then "" else parts[1]))
                    else
                        expect findings number "'action NAME'" text

                    for part in parts[2..] do
                        if part.StartsWith '[' then
                            actionReward <- rewardOf findings number head.Rewards.Length index part
                        else
                            expect findings number "'action NAME [rewards]'" text
                | _ ->
                    if choice < 0 && not head.IsMdp && state >= 0 then
                        choice <- 0
                        choices <- choices + 1

                    let colon = text.IndexOf ':'
                    let successor = if colon < 0 then ValueNone else Field.tryIndex (text.Substring(0, colon).Trim())
                    let chance = if colon < 0 then ValueNone else Field.tryInterval (text.Substring(colon + 1))

                    match successor, chance with
                    | ValueSome successor, ValueSome(struct (lower, upper)) ->
                        let reward = stateReward + actionReward

                        if choice < 0 then
                            expect findings number "an action before its transitions" text
                        elif not (lower >= 0.0 && lower <= upper && upper <= 1.0) then
                            expect
                                findings
                                number
                                "a probability in [0, 1] or an interval [lower, upper]"
                                (text.Substring(colon + 1).Trim())
                        elif successor >= head.States then
                            findings.Add(number, $"a successor in [0, {head.States})", string successor)
                        elif not broken then
                            if lower = upper then
                                builder.Add(state, choice, successor, lower, reward, number)
                            else
                                builder.AddInterval(state, choice, successor, lower, upper, reward, number)

                            if successor = state && reward = 0.0 && lower = 1.0 && loops.Add state then
                                ()
                            else
                                others.Add state |> ignore
                    | _ -> expect findings number "'state', 'action', or 'successor : probability'" text

                line <- reader.NextContent "//"

            if findings.Count = 0 && state + 1 <> head.States then
                findings.AddBetween(head.StatesLine, reader.Number, $"{head.States} states, as @nr_states says", string (state + 1))

            let isTerminal state = deadlocks.Contains state && loops.Contains state && not (others.Contains state)
            deadlocks |> Seq.filter isTerminal |> Seq.iter builder.Terminal

            if findings.Count = 0 then
                names.Apply(builder, isTerminal)

                match builder.Build(), head.Choices with
                | Ok _, ValueSome(struct (told, line)) when told <> choices ->
                    findings.AddBetween(line, reader.Number, $"{told} choices, as @nr_choices says", string choices)
                    Error findings.All
                | Ok model, _ -> Ok model
                | Error errors, _ ->
                    findings.AddModel(errors, Places.lines (fun state -> stateLines[state]))
                    Error findings.All
            else
                Error findings.All
        with Unreadable ->
            Error findings.All

    /// Writes a DRN file; it appears whole or not at all. Blanks in names of actions become underscores; names of states, and labels that no state carries, have no place in
    /// the format. An ArgumentException says what the format cannot hold: rewards belong to a state and action there, not to a successor.
    let write (path: string) (model: Model) : unit =
        let rowReward row =
            let first = model.offsets[row]
            let all = Seq.forall (fun k -> model.rewards[k] = model.rewards[first]) (seq { first .. model.offsets[row + 1] - 1 })
            if all then ValueSome model.rewards[first] else ValueNone

        match PrismWriter.unwritable model with
        | ValueSome found ->
            invalidArg (nameof model) $"the format holds models with one outcome for each successor, but this one has {found}"
        | ValueNone -> ()

        match Seq.tryFind (fun row -> (rowReward row).IsNone) (seq { 0 .. model.RowCount - 1 }) with
        | Some row ->
            invalidArg
                (nameof model)
                $"the format holds rewards of states and actions, but row {row} has rewards that depend on the successor"
        | None -> ()

        let number = ModelError.number

        let carries label s =
            match model.labels.TryFind label with
            | Some states -> Array.BinarySearch(states, s) >= 0
            | None -> false

        let terminals =
            [
                for s in 0 .. model.StateCount - 1 do
                    if model.IsTerminal s then
                        s
            ]

        AtomicFile.writeText path (fun out ->
            out.WriteLine(
                if model.IsInterval || model.RowCount <> model.StateCount - terminals.Length then
                    "@type: MDP"
                else
                    "@type: DTMC"
            )

            if model.IsInterval then
                out.WriteLine "@value_type: double-interval"

            out.Write
                $"@parameters\n\n@reward_models\nreward\n@nr_states\n{model.StateCount}\n@nr_choices\n{model.RowCount + terminals.Length}\n@model\n"

            for s in 0 .. model.StateCount - 1 do
                let labels =
                    [
                        if Array.BinarySearch(model.initial, s) >= 0 then
                            "init"
                        if model.IsTerminal s || carries "deadlock" s then
                            "deadlock"
                        for entry in model.labels do
                            if entry.Key <> "init" && entry.Key <> "deadlock" && carries entry.Key s then
                                if Seq.forall Char.IsAsciiLetterOrDigit (entry.Key.Replace('_', 'a')) then
                                    entry.Key
                                else
                                    $"\"{entry.Key}\""
                    ]
                    |> List.map (fun label -> " " + label)
                    |> String.concat ""

                out.WriteLine $"state {s} [0]{labels}"

                if model.IsTerminal s then
                    out.WriteLine $"\taction 0 [0]\n\t\t{s} : 1"

                for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                    let name = PrismWriter.word (model.ActionName model.rowActions[row])
                    out.WriteLine $"\taction {name} [{number (rowReward row).Value}]"

                    for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                        let p =
                            if model.IsInterval then
                                $"[{number model.lower[k]}, {number model.upper[k]}]"
                            else
                                number model.probabilities[k]

                        out.WriteLine $"\t\t{model.successors[k]} : {p}")

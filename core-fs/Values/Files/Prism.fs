namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open System.IO
open System.Threading

/// PRISM's explicit files: model.tra, and beside it model.sta (states), model.lab (labels), model.srew and model.trew (rewards). MDPs, DTMCs and their interval
/// forms. State rewards are earned on leaving. A state with the label "deadlock", a self-loop and no reward is terminal.
[<RequireQualifiedAccess>]
module PrismReader =

    open PrismParts

    let private choose (reward: string voption) (available: string list) (findings: Findings) =
        let names = available |> List.distinct
        let list = names |> List.map (fun name -> $"'{name}'") |> String.concat ", "

        match reward, names with
        | ValueSome wanted, _ when not (List.contains wanted names) ->
            findings.Add(0, $"a reward structure named '{wanted}'", (if names.IsEmpty then "no reward structure" else list))
            None
        | ValueSome wanted, _ -> Some wanted
        | ValueNone, [] -> None
        | ValueNone, [ only ] -> Some only
        | ValueNone, _ ->
            findings.Add(0, "one reward structure, or the name of the one to use", list)
            None

    /// Reads model.tra and what stands beside it, with the reward structure of the name (not needed if there is one at most). Either the model, or all that is
    /// wrong, at most <c>limit</c> errors of each file in words.
    let read (reward: string voption) (limit: int) (cancellation: CancellationToken) (path: string) : Result<Model, FileError list> =
        let stem = stemOf path
        let mutable builder = ModelBuilder 1
        let transitions = ResizeArray<struct (int * int * int * float * float * int)>()
        let names = ActionNames()
        let used = HashSet<struct (int * int * int)>()
        let mutable isMdp = false
        let mutable headerLine = 1

        let body =
            reading path limit cancellation (fun findings reader ->
                let numbers = header findings reader "a header 'states choices transitions' (MDP) or 'states transitions' (DTMC)" [ 2; 3 ]
                isMdp <- numbers.Length = 3
                let states, count = numbers[0], numbers[numbers.Length - 1]

                headerLine <- reader.Number
                let headerText = numbers |> Array.map string |> String.concat " "

                if states = 0 then
                    refuse findings reader.Number "at least one state" "0"

                // Before anything is made as large as the header says.
                if numbers |> Array.pairwise |> Array.exists (fun (fewer, more) -> fewer > more) then
                    refuse findings reader.Number "a choice for each state, and a transition for each choice" headerText

                builder <- ModelBuilder(states, Cancellation = cancellation)
                builder.ErrorLimit <- limit
                let least = if isMdp then 4 else 3
                let shape = if isMdp then "state choice successor probability [action]" else "state successor probability"
                let mutable found = 0
                let choices = HashSet<struct (int * int)>()
                let mutable line = reader.NextContent "#"

                while not (isNull line) do
                    let text = nonNull line
                    let fields = Field.split text
                    found <- found + 1

                    // A number where a DTMC has a name: the first line tells that the header lacks its choices.
                    if found = 1 && not isMdp && fields.Length >= 4 && (Field.tryInterval fields[3]).IsSome then
                        refuse findings headerLine "a header 'states choices transitions' before lines that have choices" headerText

                    if fields.Length < least || fields.Length > least + 1 then
                        expect findings reader.Number $"'{shape}'" text
                    else
                        let places = fields[.. least - 2] |> Array.map Field.tryIndex

                        if places |> Array.exists _.IsNone then
                            expect findings reader.Number $"'{shape}' with whole numbers before the probability" text
                        else
                            let state, choice, successor =
                                if isMdp then
                                    places[0].Value, places[1].Value, places[2].Value
                                else
                                    places[0].Value, 0, places[1].Value

                            match Field.tryInterval fields[least - 1] with
                            | ValueNone ->
                                expect findings reader.Number "a probability in [0, 1] or an interval [lower,upper]" fields[least - 1]
                            | ValueSome(struct (lower, upper)) ->
                                if not (lower >= 0.0 && lower <= upper && upper <= 1.0) then
                                    expect findings reader.Number "a probability in [0, 1] or an interval [lower,upper]" fields[least - 1]
                                elif state >= states || successor >= states then
                                    findings.Add(reader.Number, $"states in [0, {states})", string (max state successor))
                                elif isMdp && choice >= Math.Max(1, numbers[1]) then
                                    findings.Add(reader.Number, $"a choice below {numbers[1]}, as the header says", string choice)
                                elif not (used.Add(struct (state, choice, successor))) then
                                    findings.Add(reader.Number, "each successor once", $"state {successor} again")
                                else
                                    transitions.Add(struct (state, choice, successor, lower, upper, reader.Number))

                                    if isMdp then
                                        choices.Add(struct (state, choice)) |> ignore

                                    if isMdp then
                                        names.Add(state, choice, (if fields.Length > least then fields[least] else ""))

                    line <- reader.NextContent "#"

                if findings.Count > 0 then
                    ()
                elif found <> count then
                    findings.AddBetween(headerLine, reader.Number, $"{count} transitions, as the header says", string found)
                elif isMdp && choices.Count <> numbers[1] then
                    findings.AddBetween(headerLine, reader.Number, $"{numbers[1]} choices, as the header says", string choices.Count))

        if body.Count > 0 then
            Error body.All
        else
            let states = builder.StateCount
            let stateFiles, transitionFiles = rewardFiles stem ".srew", rewardFiles stem ".trew"
            let general = Findings(path, limit)
            let name = choose reward (List.map fst stateFiles @ List.map fst transitionFiles) general

            let rewardsOf isState files =
                files
                |> List.tryFind (fun (n, _) -> Some n = name)
                |> Option.map (fun (_, path) -> readRewards path limit cancellation isState isMdp states)
                |> Option.defaultWith (fun () -> Findings(path, limit), Dictionary())

            let stateFindings, stateRewards = rewardsOf true stateFiles
            let transitionFindings, transitionRewards = rewardsOf false transitionFiles

            let labelFindings, deadlocks =
                if File.Exists(stem + ".lab") then
                    readLabels (stem + ".lab") limit cancellation builder
                else
                    Findings(path, limit), HashSet()

            let nameFindings =
                if File.Exists(stem + ".sta") then
                    let findings, names, variables = readStates (stem + ".sta") limit cancellation states

                    if findings.Count = 0 then
                        builder.StateNames names
                        grid variables names |> ValueOption.iter builder.Grid

                    findings
                else
                    Findings(path, limit)

            let found (values: Dictionary<struct (int * int * int), struct (float * int)>) key =
                match values.TryGetValue key with
                | true, struct (reward, _) -> reward
                | _ -> 0.0

            let loops, others = HashSet<int>(), HashSet<int>()

            for struct (state, choice, successor, lower, upper, line) in transitions do
                let key = struct (state, choice, successor)
                let reward = found stateRewards (struct (state, -1, -1)) + found transitionRewards key

                if lower = upper then
                    builder.Add(state, choice, successor, lower, reward, line)
                else
                    builder.AddInterval(state, choice, successor, lower, upper, reward, line)

                if successor = state && reward = 0.0 && lower = 1.0 && loops.Add state then
                    ()
                else
                    others.Add state |> ignore

            let isTerminal state = deadlocks.Contains state && loops.Contains state && not (others.Contains state)
            deadlocks |> Seq.filter isTerminal |> Seq.iter builder.Terminal

            for entry in transitionRewards do
                if not (used.Contains entry.Key) then
                    let struct (state, choice, successor) = entry.Key
                    let struct (_, line) = entry.Value

                    transitionFindings.Add(
                        line,
                        "rewards of transitions that the .tra file has",
                        $"one of state {state}, choice {choice}, successor {successor}"
                    )

            names.Apply(builder, isTerminal)

            match [ general; stateFindings; transitionFindings; labelFindings; nameFindings ] |> List.collect _.All with
            | [] ->
                match builder.Build() with
                | Ok model -> Ok model
                | Error errors ->
                    // A state without a line of its own is one of the header's.
                    body.AddModel(errors, Places.lines (fun _ -> headerLine))
                    Error body.All
            | errors -> Error errors

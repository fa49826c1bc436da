namespace ValueFlow.Core.Values

open System
open System.IO
open ValueFlow.Core.Foundations

/// Writes PRISM's explicit files.
[<RequireQualifiedAccess>]
module PrismWriter =

    let private number (x: float) = ModelError.number x

    /// What of a model the files cannot hold: nothing, or why not.
    let internal unwritable (model: Model) : string voption =
        let duplicate =
            seq { 1 .. model.TransitionCount - 1 }
            |> Seq.exists (fun k -> model.successors[k] = model.successors[k - 1] && Array.BinarySearch(model.offsets, k) < 0)

        let labels = [ for entry in model.labels -> entry.Key ]

        if model.continuations.Length > 0 then
            ValueSome "transitions that end the episode or take several steps"
        elif duplicate then
            ValueSome "rows that lead to a successor twice, with different rewards"
        elif Seq.append model.stateNames labels |> Seq.exists (Seq.exists Char.IsControl) then
            ValueSome "a name with a line break or another control character"
        elif labels |> Seq.exists (fun label -> label = "" || label.Contains '"') then
            ValueSome "a label that is empty or holds a quotation mark"
        else
            ValueNone

    // An action's name as the formats can hold it: without blanks.
    let internal word (name: string) : string = name |> String.map (fun c -> if Char.IsWhiteSpace c || Char.IsControl c then '_' else c)

    /// Writes model.tra, and beside it .sta (if states have names), .lab and .trew (if anything is earned). Blanks in names of actions become underscores. Each file appears whole or not at all. An ArgumentException says
    /// what the format cannot hold.
    let write (path: string) (model: Model) : unit =
        match unwritable model with
        | ValueSome found ->
            invalidArg (nameof model) $"the format holds models with one outcome for each successor, but this one has {found}"
        | ValueNone -> ()

        let stem = PrismParts.stemOf path

        let terminals =
            [
                for s in 0 .. model.StateCount - 1 do
                    if model.IsTerminal s then
                        s
            ]

        // Rows in the order of states; a terminal state gets a self-loop, as the format asks for.
        let eachRow (visit: int -> int -> int -> unit) =
            for s in 0 .. model.StateCount - 1 do
                if model.IsTerminal s then
                    visit s 0 -1

                for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                    visit s (row - model.rowOffsets[s]) row

        let rewards = model.rewards |> Array.filter (fun r -> r <> 0.0) |> Array.length

        AtomicFile.writeText path (fun out ->
            out.WriteLine $"{model.StateCount} {model.RowCount + terminals.Length} {model.TransitionCount + terminals.Length}"

            eachRow (fun s choice row ->
                if row < 0 then
                    out.WriteLine $"{s} 0 {s} 1"
                else
                    let action = word (model.ActionName model.rowActions[row])

                    for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                        let p =
                            if model.IsInterval then
                                $"[{number model.lower[k]},{number model.upper[k]}]"
                            else
                                number model.probabilities[k]

                        out.WriteLine $"{s} {choice} {model.successors[k]} {p} {action}"))

        if model.stateNames.Length > 0 then
            // Names like (1,2) are values of variables; others are names, and may hold anything.
            let isValue (part: string) = (Field.tryNumber part).IsSome || part = "true" || part = "false"

            let tuples =
                model.stateNames
                |> Array.forall (fun name ->
                    name.Length > 2
                    && name.StartsWith '('
                    && name.EndsWith ')'
                    && Array.forall isValue (name.Substring(1, name.Length - 2).Split ','))

            let arity = model.stateNames |> Array.map (fun name -> name.Split(',').Length) |> Array.distinct

            AtomicFile.writeText (stem + ".sta") (fun out ->
                if tuples && arity.Length = 1 then
                    let variables = if arity[0] = 2 then [ "row"; "column" ] else [ for i in 1 .. arity[0] -> $"v{i}" ]
                    let header = String.concat "," variables
                    out.WriteLine $"({header})"
                    model.stateNames |> Array.iteri (fun s name -> out.WriteLine $"{s}:{name}")
                else
                    out.WriteLine "(state)"
                    model.stateNames |> Array.iteri (fun s name -> out.WriteLine $"{s}:({name})"))

        let labels =
            [
                "init", model.initial
                let deadlocks =
                    Array.append (Array.ofList terminals) (defaultArg (model.labels.TryFind "deadlock") [||])
                    |> Array.distinct
                    |> Array.sort

                if deadlocks.Length > 0 then
                    "deadlock", deadlocks

                for entry in model.labels do
                    if entry.Key <> "init" && entry.Key <> "deadlock" then
                        entry.Key, entry.Value
            ]

        AtomicFile.writeText (stem + ".lab") (fun out ->
            out.WriteLine(labels |> List.mapi (fun i (name, _) -> $"{i}=\"{name}\"") |> String.concat " ")

            for s in 0 .. model.StateCount - 1 do
                let own = labels |> List.indexed |> List.filter (fun (_, (_, states)) -> Array.BinarySearch(states, s) >= 0)

                if not own.IsEmpty then
                    let numbers = own |> List.map (fst >> string) |> String.concat " "
                    out.WriteLine $"{s}: {numbers}")

        if rewards > 0 then
            AtomicFile.writeText (stem + ".trew") (fun out ->
                out.WriteLine "# Reward structure"
                out.WriteLine "# Transition rewards"
                out.WriteLine $"{model.StateCount} {model.RowCount + terminals.Length} {rewards}"

                eachRow (fun s choice row ->
                    if row >= 0 then
                        for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                            if model.rewards[k] <> 0.0 then
                                out.WriteLine $"{s} {choice} {model.successors[k]} {number model.rewards[k]}"))

namespace ValueFlow.Core.Values

open System.Collections.Generic

/// Names of actions that a reader meets on the way, by state and choice.
[<Sealed>]
type internal ActionNames() =
    let names = Dictionary<struct (int * int), string>()
    let mutable contradicted = false

    /// The choice of a state was met, with a name or, empty, without.
    member _.Add(state: int, choice: int, name: string) : unit =
        if not (names.TryAdd(struct (state, choice), name)) && names[struct (state, choice)] <> name then
            contradicted <- true

    /// Gives the actions of the builder their names, numbered as they come, if every choice has one and those of a state differ; names that are all numbers
    /// are the actions' numbers. Terminal states have no actions.
    member _.Apply(builder: ModelBuilder, isTerminal: int -> bool) : unit =
        let acting = names |> Seq.filter (fun entry -> let struct (state, _) = entry.Key in not (isTerminal state)) |> Array.ofSeq
        let different = acting |> Seq.map (fun entry -> let struct (state, _) = entry.Key in struct (state, entry.Value)) |> HashSet

        if
            not contradicted
            && acting.Length > 0
            && different.Count = acting.Length
            && not (Seq.exists (fun (entry: KeyValuePair<_, string>) -> entry.Value = "") acting)
        then
            let distinct = acting |> Seq.map _.Value |> Seq.distinct |> Array.ofSeq
            let numbers = distinct |> Array.map Field.tryIndex
            let numeric = numbers |> Array.forall (fun number -> number.IsSome && number.Value < 1_000_000)
            let numberOf = Dictionary<string, int>()
            distinct |> Array.iteri (fun i name -> numberOf[name] <- if numeric then numbers[i].Value else i)

            builder.RenumberActions(fun state choice ->
                match names.TryGetValue(struct (state, choice)) with
                | true, name when numberOf.ContainsKey name -> numberOf[name]
                | _ -> choice)

            if not numeric then
                builder.ActionNames distinct

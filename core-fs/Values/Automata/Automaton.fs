namespace ValueFlow.Core.Values

open System
open System.Collections.Generic

/// A condition on the labels of a state: it carries all that are needed and none that are forbidden.
type Guard =
    {
        /// Labels that the state must carry.
        Needs: Set<string>
        /// Labels that it must not carry.
        Forbids: Set<string>
    }

    /// True if the labels meet the condition.
    member this.Admits(labels: Set<string>) : bool = this.Needs.IsSubsetOf labels && Set.intersect this.Forbids labels = Set.empty

/// Makes guards.
[<RequireQualifiedAccess>]
module Guard =

    /// No condition.
    let always: Guard = { Needs = Set.empty; Forbids = Set.empty }
    /// The label, and maybe others.
    let has (label: string) : Guard = { always with Needs = Set.singleton label }
    /// Not the label.
    let lacks (label: string) : Guard = { always with Forbids = Set.singleton label }
    /// Both conditions.
    let both (a: Guard) (b: Guard) : Guard = { Needs = a.Needs + b.Needs; Forbids = a.Forbids + b.Forbids }

/// A limit-deterministic Buchi automaton: it reads the labels of the states that a process visits, and accepts if it comes to its accepting states
/// infinitely often. Reading is deterministic: the first edge whose guard admits the labels is taken, and where none does the automaton falls into a
/// sink that nothing leaves. A jump changes its state without reading; who follows the automaton decides when.
/// Sickert, Esparza, Jaax and Kretinsky 2016, "Limit-deterministic Buchi automata for linear temporal logic".
[<Sealed>]
type Automaton private (names: string[], initial: int, accepting: bool[], edges: struct (Guard * int)[][], jumps: int[][]) =

    /// The number of states, the sink included: it is the last one.
    member _.StateCount = names.Length + 1
    /// The state that nothing leaves and that accepts nothing.
    member _.Sink = names.Length
    /// The state that it starts in, before it reads anything.
    member _.Initial = initial
    /// True for accepting states.
    member _.IsAccepting(state: int) : bool = state < names.Length && accepting[state]
    /// The state's name.
    member _.Name(state: int) : string = if state < names.Length then names[state] else "sink"

    /// delta(state, labels): the state after labels were read.
    member this.Read(state: int, labels: Set<string>) : int =
        if state = this.Sink then
            state
        else
            match edges[state] |> Array.tryFind (fun (struct (guard, _)) -> guard.Admits labels) with
            | Some(struct (_, target)) -> target
            | None -> this.Sink

    /// The states that it may jump to from a state, in increasing order.
    member _.Jumps(state: int) : ReadOnlySpan<int> = if state < names.Length then ReadOnlySpan jumps[state] else ReadOnlySpan()

    /// The automaton with the named states; the first one is where it starts. Edges (from, guard, to) are tried in the order of the list. Throws an
    /// ArgumentException for no states, a name that stands twice, and accepting states, edges or jumps that are no states.
    static member Create(names: string list, accepting: int list, edges: (int * Guard * int) list, jumps: (int * int) list) : Automaton =
        if names.IsEmpty then
            invalidArg (nameof names) "an automaton must have at least one state but has none"

        match names |> List.countBy id |> List.tryFind (fun (_, count) -> count > 1) with
        | Some(name, count) -> invalidArg (nameof names) $"each name must stand once but '{name}' stands {count} times"
        | None -> ()

        let count = names.Length

        let require argument what state =
            if state < 0 || state >= count then
                invalidArg argument $"{what} must be a state in [0, {count}) but is {state}"

        accepting |> List.iter (require (nameof accepting) "an accepting state")

        for from, _, target in edges do
            require (nameof edges) "an edge's start" from
            require (nameof edges) "an edge's end" target

        for from, target in jumps do
            require (nameof jumps) "a jump's start" from
            require (nameof jumps) "a jump's end" target

        let own (list: (int * 'a) list) =
            Array.init count (fun state -> list |> List.filter (fun (from, _) -> from = state) |> List.map snd |> Array.ofList)

        Automaton(
            Array.ofList names,
            0,
            Array.init count (fun state -> List.contains state accepting),
            own (edges |> List.map (fun (from, guard, target) -> from, struct (guard, target))),
            own jumps |> Array.map (Array.distinct >> Array.sort)
        )

/// Automata for the formulas that decision makers ask for most.
[<RequireQualifiedAccess>]
module Automaton =

    /// GF goal_1 and ... and GF goal_n and G not avoided: visits every goal again and again, in turn, and never a state that carries an avoided label.
    let patrol (goals: string list) (avoided: string list) : Automaton =
        if goals.IsEmpty then
            invalidArg (nameof goals) "there must be at least one goal but there is none"

        let safe = avoided |> List.map Guard.lacks |> List.fold Guard.both Guard.always
        let count = goals.Length
        // State i < n has seen the goals before i in this round; state n has just seen the last one, and goes on as state 0.
        let waits = [ for i in 0 .. count - 1 -> i, i ] @ [ count, 0 ]

        Automaton.Create(
            [ for goal in goals -> $"to {goal}" ] @ [ "round" ],
            [ count ],
            [
                for state, goal in waits do
                    state, Guard.both safe (Guard.has goals[goal]), goal + 1
                    state, safe, goal
            ],
            []
        )

    /// FG held and G not avoided: from some step on always in states that carry the label. When that is so nobody can read off the labels: the
    /// automaton jumps, and falls into the sink if it jumped too early.
    let settle (held: string) (avoided: string list) : Automaton =
        let safe = avoided |> List.map Guard.lacks |> List.fold Guard.both Guard.always

        Automaton.Create([ "roaming"; $"in {held}" ], [ 1 ], [ 0, safe, 0; 1, Guard.both safe (Guard.has held), 1 ], [ 0, 1 ])

    // The labels of every state of a model.
    let internal labelsOf (model: Model) : Set<string>[] =
        let lists = Array.init model.stateCount (fun _ -> List<string>())

        for entry in model.labels do
            for state in entry.Value do
                lists[state].Add entry.Key

        lists |> Array.map Set.ofSeq

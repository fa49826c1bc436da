namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open System.Threading
open ValueFlow.Core.Foundations

/// A model in which some states are decided, some components have become one unknown, and the rest is a transient system.
type internal Collapsed =
    {
        /// For each state its unknown, or -1 if its value is decided.
        Unknowns: int[]
        /// For each unknown its states.
        Members: int[][]
        /// The equations.
        System: TransientSystem
        /// For each row of the model whether it stays in a component that was collapsed.
        Inside: bool[]
    }

/// Collapses components, and carries the answer back to the states.
[<RequireQualifiedAccess>]
module internal Collapsed =

    /// One unknown for each state that is not decided, but one for all states of a component. Rows inside a component vanish; staying there for
    /// ever is a way out of value zero where <c>mayStay</c>. Sums are of sign * (P (r + V)) over decided successors.
    let create
        (cancellation: CancellationToken)
        (model: Model)
        (sign: float)
        (rewards: bool)
        (decided: float voption[])
        (components: int[])
        (inside: bool[])
        (mayStay: bool)
        : Collapsed =
        let watch = Interruptible.watch cancellation
        let unknowns = Array.create model.stateCount -1
        let members = ResizeArray<ResizeArray<int>>()
        let ofComponent = Dictionary<int, int>()

        for s in 0 .. model.stateCount - 1 do
            watch ()

            if decided[s].IsNone then
                let known, unknown = if components[s] < 0 then false, -1 else ofComponent.TryGetValue components[s]

                if known then
                    unknowns[s] <- unknown
                    members[unknown].Add s
                else
                    unknowns[s] <- members.Count

                    if components[s] >= 0 then
                        ofComponent[components[s]] <- members.Count

                    members.Add(ResizeArray [ s ])

        let longest =
            if model.RowCount = 0 then
                0
            else
                Seq.max (seq { for row in 0 .. model.RowCount - 1 -> model.offsets[row + 1] - model.offsets[row] })

        let builder = TransientSystem.Builder(members.Count, 2 * longest)

        for unknown in 0 .. members.Count - 1 do
            watch ()

            for s in members[unknown] do
                for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                    if not inside[row] then
                        let mutable constant = 0.0
                        let mutable magnitude = 0.0
                        let mutable leaves = false
                        let entries = ResizeArray<struct (int * float)>()

                        for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                            let weight = model.probabilities[k] * model.Continuation k
                            let earned = if rewards then model.probabilities[k] * model.rewards[k] else 0.0

                            let after =
                                match decided[model.successors[k]] with
                                | ValueSome value ->
                                    leaves <- true
                                    weight * value
                                | ValueNone ->
                                    if weight > 0.0 then
                                        entries.Add(struct (unknowns[model.successors[k]], weight))

                                    leaves <- leaves || model.Continuation k < 1.0
                                    0.0

                            constant <- constant + sign * (earned + after)
                            magnitude <- magnitude + abs earned + abs after

                        builder.Row(unknown, row, leaves, constant, magnitude, entries)

            if mayStay && components[members[unknown][0]] >= 0 then
                builder.Row(unknown, -1, true, 0.0, 0.0, Seq.empty)

        {
            Unknowns = unknowns
            Members = members.ToArray() |> Array.map _.ToArray()
            System = builder.Build()
            Inside = inside
        }

    // Within a component that was collapsed: rows that come to the target state for certain, nearest first.
    let private route (model: Model) (inside: bool[]) (members: int[]) (chosen: int[]) (target: int) =
        let reached = HashSet [ target ]
        let mutable growing = true

        while growing do
            growing <- false

            for s in members do
                if not (reached.Contains s) then
                    seq { model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 }
                    |> Seq.tryFind (fun row ->
                        inside[row]
                        && Seq.exists
                            (fun k -> reached.Contains model.successors[k])
                            (seq { model.offsets[row] .. model.offsets[row + 1] - 1 }))
                    |> Option.iter (fun row ->
                        chosen[s] <- row
                        reached.Add s |> ignore
                        growing <- true)

    /// The solution for the states, from an enclosure of the unknowns; <c>fallback</c> chooses rows of states that are decided.
    let solution
        (name: string)
        (model: Model)
        (sign: float)
        (decided: float voption[])
        (collapsed: Collapsed)
        (fallback: int -> int)
        (enclosure: TransientSystem.Enclosure)
        : Solution =
        let ofUnknown (values: float[]) s =
            match decided[s] with
            | ValueSome value -> value
            | ValueNone -> sign * values[collapsed.Unknowns[s]]

        let bounds one other = Array.init model.stateCount (ofUnknown (if sign > 0.0 then one else other))
        let lower = bounds enclosure.Lower enclosure.Upper
        let upper = bounds enclosure.Upper enclosure.Lower

        // The midpoint; where a bound is infinite, what policy iteration found.
        let values =
            Array.init model.stateCount (fun s ->
                if lower[s] = upper[s] then
                    lower[s]
                else
                    let middle = 0.5 * lower[s] + 0.5 * upper[s]
                    if Double.IsFinite middle then middle else ofUnknown enclosure.Point s)

        let chosen = Array.create model.stateCount -1
        let owner = Array.zeroCreate<int> model.RowCount

        for s in 0 .. model.stateCount - 1 do
            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                owner[row] <- s

        for s in 0 .. model.stateCount - 1 do
            if not (model.IsTerminal s) then
                if decided[s].IsSome then
                    chosen[s] <- fallback s
                else
                    // A component that stays: any row inside will do.
                    chosen[s] <-
                        seq { model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 }
                        |> Seq.tryFind (fun row -> collapsed.Inside[row])
                        |> Option.defaultValue model.rowOffsets[s]

        for row in enclosure.Chosen do
            let origin = collapsed.System.Origins[row]

            if origin >= 0 then
                route model collapsed.Inside collapsed.Members[collapsed.Unknowns[owner[origin]]] chosen owner[origin]
                chosen[owner[origin]] <- origin

        let mutable bound = 0.0
        let mutable widest = 0.0

        for s in 0 .. model.stateCount - 1 do
            bound <- Math.Max(bound, Math.Max(values[s] - lower[s], upper[s] - values[s]))
            widest <- Math.Max(widest, upper[s] - lower[s])

        let certified = Double.IsFinite widest

        {
            Values = values
            Lower = lower
            Upper = upper
            Policy = chosen |> Array.map (fun row -> if row < 0 then -1 else model.rowActions[row])
            Bound = (if certified then Bound.above bound else Double.PositiveInfinity)
            Floor = (if enclosure.Outcome = Outcome.PrecisionFloor then Bound.above bound else 0.0)
            PolicyLoss = (if certified then Bound.above widest else Double.PositiveInfinity)
            Certificate = (if certified then Certificate.Enclosure else Certificate.Estimate)
            Outcome = enclosure.Outcome
            Method = name
            Sweeps = enclosure.Steps
            History = enclosure.History
        }

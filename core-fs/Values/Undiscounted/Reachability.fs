namespace ValueFlow.Core.Values

open System.Collections.Generic
open ValueFlow.Core.Foundations

/// The probability of ever reaching a label's states, the best or the worst over policies; rewards play no part. States that cannot reach the target, or can
/// avoid it, are found from the graph alone; end components are collapsed, so that the rest has one solution, which is enclosed.
/// Haddad and Monmege 2018, "Interval iteration algorithm for MDPs and IMDPs"; Baier et al. 2017, "Ensuring the reliability of your model checker".
[<RequireQualifiedAccess>]
module Reachability =

    [<Literal>]
    let private Method = "policy iteration, enclosed"

    // The states from which some policy reaches the target with positive probability.
    let private canReach (watch: unit -> unit) (model: Model) (target: bool[]) =
        let predecessors = Array.init model.stateCount (fun _ -> ResizeArray<int>(0))

        for s in 0 .. model.stateCount - 1 do
            watch ()

            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                    if model.Continuation k > 0.0 then
                        predecessors[model.successors[k]].Add s

        let reached = Array.copy target
        let queue = Queue<int>(Seq.filter (fun s -> target[s]) (seq { 0 .. model.stateCount - 1 }))

        while queue.Count > 0 do
            watch ()

            for s in predecessors[queue.Dequeue()] do
                if not reached[s] then
                    reached[s] <- true
                    queue.Enqueue s

        reached

    // For each state a row by which it avoids the target for ever, whatever happens; -1 where there is none, -2 in terminal states.
    let private avoiding (watch: unit -> unit) (model: Model) (target: bool[]) =
        let inside = Array.init model.stateCount (fun s -> not target[s])
        let rows = Array.create model.stateCount -2

        let stays row =
            Seq.forall
                (fun k -> inside[model.successors[k]] || model.Continuation k = 0.0)
                (seq { model.offsets[row] .. model.offsets[row + 1] - 1 })

        let mutable shrinking = true

        while shrinking do
            shrinking <- false

            for s in 0 .. model.stateCount - 1 do
                watch ()

                if inside[s] && not (model.IsTerminal s) then
                    match Seq.tryFind stays (seq { model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 }) with
                    | Some row -> rows[s] <- row
                    | None ->
                        inside[s] <- false
                        rows[s] <- -1
                        shrinking <- true

        struct (inside, rows)

    let private search (direction: Direction) (label: string) (model: Model) (options: RunOptions) : Result<Solution, UndiscountedError> =
        match model.labels.TryFind label with
        | _ when model.IsInterval -> Error UndiscountedError.IntervalModel
        | None
        | Some [||] ->
            Error(
                UndiscountedError.UnknownLabel(
                    label,
                    [
                        for entry in model.labels do
                            if entry.Value.Length > 0 then
                                entry.Key
                    ]
                )
            )
        | Some states ->
            let target = Array.zeroCreate model.stateCount
            states |> Array.iter (fun s -> target[s] <- true)
            let maximise = direction = Direction.Maximise
            let watch = Interruptible.watch options.Cancellation

            let struct (never, rowOf) =
                if maximise then
                    let reached = canReach watch model target
                    struct (Array.map not reached, (fun s -> model.rowOffsets[s]))
                else
                    let struct (inside, rows) = avoiding watch model target
                    struct (inside, (fun s -> if rows[s] >= 0 then rows[s] else model.rowOffsets[s]))

            let decided =
                Array.init model.stateCount (fun s ->
                    if target[s] then ValueSome 1.0
                    elif never[s] then ValueSome 0.0
                    else ValueNone)

            // Under a best policy nobody stays in a component that does not hold the target; under a worst one there is none left.
            let allowed =
                Array.init model.stateCount (fun s ->
                    watch ()

                    [|
                        for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                            decided[s].IsNone
                            && Seq.forall
                                (fun k -> decided[model.successors[k]].IsNone && model.Continuation k = 1.0)
                                (seq { model.offsets[row] .. model.offsets[row + 1] - 1 })
                    |])
                |> Array.concat

            let struct (components, inside) = EndComponents.findUntil options.Cancellation model allowed
            let sign = if maximise then 1.0 else -1.0
            let collapsed = Collapsed.create options.Cancellation model sign false decided components inside false

            match TransientSystem.proper options.Cancellation collapsed.System with
            | Error unknowns ->
                let lost = HashSet unknowns

                let states =
                    seq {
                        for s in 0 .. model.stateCount - 1 do
                            if lost.Contains collapsed.Unknowns[s] then
                                s
                    }

                Error(UndiscountedError.NeverEnds(EndComponents.names model states))
            | Ok start ->
                TransientSystem.enclose options collapsed.System start (if maximise then 0.0 else -1.0) (if maximise then 1.0 else 0.0)
                |> Collapsed.solution Method model sign decided collapsed rowOf
                |> Ok

    /// The probabilities, certified by enclosure.
    let solve (options: RunOptions) (direction: Direction) (label: string) (model: Model) : Result<Solution, UndiscountedError> =
        Undiscounted.solve Method options model (search direction label model)

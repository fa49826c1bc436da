namespace ValueFlow.Core.Values

open System
open System.Threading
open ValueFlow.Core.Foundations

/// The expected sum of all rewards, without a discount, where it is well defined: where the best policies end almost surely, or come to rest where
/// nothing more is earned. Anything else is refused, and the states are named. Puterman 1994, "Markov decision processes", chapter 7.
[<RequireQualifiedAccess>]
module TotalReward =

    [<Literal>]
    let private Method = "policy iteration, enclosed"

    // The mean reward of a row, with the sign; exactly zero if every reward is.
    let private mean (model: Model) (sign: float) row =
        let mutable sum = 0.0

        for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
            sum <- sum + model.probabilities[k] * model.rewards[k]

        sign * sum

    // Bounds on the largest mean reward per step of staying in a component, from relative value iteration on half steps, which are aperiodic.
    // max over s of (T v - v) bounds the gain from above for any v, its minimum from below (Puterman 1994, theorem 8.5.5).
    let private gain (model: Model) sign (inside: bool[]) (members: int[]) (cancellation: CancellationToken) =
        let mutable v = Array.zeroCreate<float> model.stateCount
        let mutable lower, upper = Double.NegativeInfinity, Double.PositiveInfinity
        let mutable sweep = 0

        while sweep < 20_000 && not (lower > 0.0 || upper < 0.0) do
            cancellation.ThrowIfCancellationRequested()
            let next = Array.copy v
            let mutable smallest, largest, size = Double.PositiveInfinity, Double.NegativeInfinity, 0.0

            for s in members do
                let mutable best = Double.NegativeInfinity

                for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                    if inside[row] then
                        let mutable sum = mean model sign row

                        for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                            sum <- sum + model.probabilities[k] * v[model.successors[k]]
                            size <- Math.Max(size, abs model.rewards[k] + abs v[model.successors[k]])

                        best <- Math.Max(best, sum)

                smallest <- Math.Min(smallest, best - v[s])
                largest <- Math.Max(largest, best - v[s])
                next[s] <- 0.5 * v[s] + 0.5 * best

            let slack = 64.0 * float model.TransitionCount * Bound.unitRoundoff * size
            lower <- Math.Max(lower, smallest - slack)
            upper <- Math.Min(upper, largest + slack)
            let base' = next[members[0]]
            members |> Array.iter (fun s -> next[s] <- next[s] - base')
            v <- next
            sweep <- sweep + 1

        struct (lower, upper)

    // What forbids a total in a component, if anything does.
    let private refusal (model: Model) sign (inside: bool[]) (cancellation: CancellationToken) (states: int[]) =
        let silent row = Seq.forall (fun k -> model.rewards[k] = 0.0) (seq { model.offsets[row] .. model.offsets[row + 1] - 1 })
        let mutable earns, loses, unsure = false, false, false

        for s in states do
            cancellation.ThrowIfCancellationRequested()

            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                if inside[row] then
                    let earned = mean model sign row
                    earns <- earns || earned > 0.0
                    loses <- loses || earned < 0.0
                    unsure <- unsure || (earned = 0.0 && not (silent row))

        if not (earns || unsure) then
            None
        elif earns && not loses then
            Some(UndiscountedError.InfiniteReward(EndComponents.names model states))
        else
            let struct (lower, upper) = gain model sign inside states cancellation

            if lower > 0.0 then Some(UndiscountedError.InfiniteReward(EndComponents.names model states))
            elif upper < 0.0 then None
            else Some(UndiscountedError.UndecidedReward(EndComponents.names model states))

    let private search (direction: Direction) (model: Model) (options: RunOptions) : Result<Solution, UndiscountedError> =
        if model.IsInterval then
            Error UndiscountedError.IntervalModel
        else
            let sign = if direction = Direction.Maximise then 1.0 else -1.0
            let each row test = Seq.forall test (seq { model.offsets[row] .. model.offsets[row + 1] - 1 })
            // A row with a continuation below one ends sooner or later: nobody stays by it.
            let watch = Interruptible.watch options.Cancellation

            let rows (test: int -> bool) =
                Array.init model.RowCount (fun row ->
                    watch ()
                    test row)

            let lasting = rows (fun row -> each row (fun k -> model.Continuation k = 1.0))
            let struct (components, inside) = EndComponents.findUntil options.Cancellation model lasting

            let refused = EndComponents.members components |> Array.tryPick (refusal model sign inside options.Cancellation)

            match refused with
            | Some error -> Error error
            | None ->
                // Where every reward is zero one may rest.
                let silent = rows (fun row -> lasting[row] && each row (fun k -> model.rewards[k] = 0.0))
                let struct (resting, rests) = EndComponents.findUntil options.Cancellation model silent
                let decided = Array.init model.stateCount (fun s -> if model.IsTerminal s then ValueSome 0.0 else ValueNone)
                let collapsed = Collapsed.create options.Cancellation model sign true decided resting rests true

                match TransientSystem.proper options.Cancellation collapsed.System with
                | Error unknowns ->
                    let lost = System.Collections.Generic.HashSet unknowns

                    let states =
                        seq {
                            for s in 0 .. model.stateCount - 1 do
                                if lost.Contains collapsed.Unknowns[s] then
                                    s
                        }

                    Error(UndiscountedError.NeverEnds(EndComponents.names model states))
                | Ok start ->
                    let earns = model.rewards |> Array.exists (fun r -> sign * r > 0.0)

                    let most = if earns then Double.PositiveInfinity else 0.0

                    TransientSystem.enclose options collapsed.System start Double.NegativeInfinity most
                    |> Collapsed.solution Method model sign decided collapsed (fun s -> model.rowOffsets[s])
                    |> Ok

    /// The total reward, best in the direction, certified by enclosure; or why there is none.
    let solve (options: RunOptions) (direction: Direction) (model: Model) : Result<Solution, UndiscountedError> =
        Undiscounted.solve Method options model (search direction model)

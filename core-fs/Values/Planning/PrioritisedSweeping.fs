namespace ValueFlow.Core.Values

open System
open System.Threading
open ValueFlow.Core.Foundations

/// States by what their next backup may change at most, the largest first: a heap that knows where each state stands.
[<Sealed>]
type internal BackupQueue(count: int) =
    let heap = Array.zeroCreate<int> count
    let places = Array.create count -1
    let priorities = Array.zeroCreate<float> count
    let mutable size = 0

    let put place state =
        heap[place] <- state
        places[state] <- place

    let rec up place state =
        let parent = (place - 1) / 2

        if place > 0 && priorities[heap[parent]] < priorities[state] then
            put place heap[parent]
            up parent state
        else
            put place state

    let rec down place state =
        let left = 2 * place + 1

        if left < size then
            let right = left + 1
            let child = if right < size && priorities[heap[right]] > priorities[heap[left]] then right else left

            if priorities[heap[child]] > priorities[state] then
                put place heap[child]
                down child state
            else
                put place state
        else
            put place state

    /// How many states wait.
    member _.Size = size

    /// What the next backup of a state may change at most, waiting or not.
    member _.Priority(state: int) : float = priorities[state]

    /// Sets the priority of a state; it waits from now on if that is above the threshold.
    member _.Set(state: int, priority: float, threshold: float) : unit =
        let before = priorities[state]
        priorities[state] <- priority

        if places[state] >= 0 then
            if priority > before then up places[state] state else down places[state] state
        elif priority > threshold then
            size <- size + 1
            up (size - 1) state

    /// Takes the state with the largest priority, which becomes zero.
    member _.Take() : int =
        let first = heap[0]
        places[first] <- -1
        priorities[first] <- 0.0
        size <- size - 1

        if size > 0 then
            down 0 heap[size]

        first

/// For each state its predecessors, and how much of a change of its value may reach them.
[<Sealed>]
type internal Predecessors(bellman: Bellman) =
    let model = bellman.Kernel.Model
    let expects = bellman.State :? Expectation

    // Calls back with each successor of a state once, and the largest share of its change that a row passes on: its weight under an expectation, its discount under another summary.
    let forSuccessors =
        let shares = Array.zeroCreate<float> model.stateCount
        let inRow = Array.zeroCreate<float> model.stateCount

        fun state (work: int -> float -> unit) ->
            let first, last = model.rowOffsets[state], model.rowOffsets[state + 1] - 1

            for row in first..last do
                for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                    let next = model.successors[k]
                    let own = if expects then bellman.Kernel.Weights[k] else bellman.Kernel.Discount * model.Continuation k
                    // A successor may stand twice in a row, with other rewards.
                    inRow[next] <- if expects then inRow[next] + own else Math.Max(inRow[next], own)

                for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                    let next = model.successors[k]
                    shares[next] <- Math.Max(shares[next], inRow[next])
                    inRow[next] <- 0.0

            for k in (if last < first then 0 else model.offsets[first]) .. (if last < first then -1 else model.offsets[last + 1] - 1) do
                let next = model.successors[k]

                if shares[next] > 0.0 then
                    work next shares[next]
                    shares[next] <- 0.0

    let offsets = Array.zeroCreate<int>(model.stateCount + 1)

    do
        for state in 0 .. model.stateCount - 1 do
            forSuccessors state (fun next _ -> offsets[next + 1] <- offsets[next + 1] + 1)

        for state in 1 .. model.stateCount do
            offsets[state] <- offsets[state] + offsets[state - 1]

    let states = Array.zeroCreate<int> offsets[model.stateCount]
    let shares = Array.zeroCreate<float> offsets[model.stateCount]

    do
        let next = Array.copy offsets

        for state in 0 .. model.stateCount - 1 do
            forSuccessors state (fun successor share ->
                let place = next[successor]
                states[place] <- state
                shares[place] <- share
                next[successor] <- place + 1)

    member _.Offsets = offsets
    member _.States = states
    member _.Shares = shares

/// Backups of single states, where the most is to be gained: the state whose value may change the most comes first, and its change is told to its predecessors. Moore and Atkeson 1993,
/// "Prioritized sweeping: reinforcement learning with less data and less time"; here the changes of several successors add up, so that a state that does not wait has no
/// residual above the threshold, and a whole sweep certifies the end.
[<RequireQualifiedAccess>]
module PrioritisedSweeping =

    let private require (bellman: Bellman) =
        if not bellman.State.Local then
            invalidArg
                (nameof bellman)
                $"prioritised sweeping needs a summary that looks at a row's successors alone, but '{bellman.State.Name}' looks at all states"

    // Backs up waiting states until none waits, or so many were. The number, or -1 if it was cancelled.
    let private work
        (bellman: Bellman)
        (predecessors: Predecessors)
        (queue: BackupQueue)
        threshold
        most
        (values: float[])
        (cancellation: CancellationToken)
        =
        let context: int[] = [||]
        let mutable count = 0

        while count >= 0 && count < most && queue.Size > 0 do
            if count &&& 1023 = 0 && cancellation.IsCancellationRequested then
                count <- -1
            else
                let state = queue.Take()
                let before = values[state]
                bellman.Sweep.Block(values, values, context, state, state + 1)
                let change = abs (values[state] - before)
                count <- count + 1

                if change > 0.0 then
                    for i in predecessors.Offsets[state] .. predecessors.Offsets[state + 1] - 1 do
                        let other = predecessors.States[i]
                        queue.Set(other, queue.Priority other + predecessors.Shares[i] * change, threshold)

        count

    // The middle is what a constant that is added to the values takes from every residual.
    let private fill (queue: BackupQueue) (model: Model) (values: float[]) (image: float[]) middle threshold =
        for s in 0 .. values.Length - 1 do
            queue.Set(s, (if model.IsTerminal s then 0.0 else abs (image[s] - values[s] - middle)), threshold)

    /// Backs up states of the values, in place, until no residual is above the threshold (then the second result is true) or so many backups were made (the first result). Values of terminal
    /// states are zero. An OperationCanceledException ends it early.
    let backUp (threshold: float) (most: int) (cancellation: CancellationToken) (bellman: Bellman) (values: float[]) : struct (int * bool) =
        require bellman

        if not (threshold >= 0.0) then
            invalidArg (nameof threshold) $"threshold must not be negative but is {threshold}"

        Shape.requireLength (nameof values) bellman.Kernel.Model.StateCount values.Length
        let image = Array.zeroCreate values.Length
        bellman.Sweep.Apply(values, image, cancellation) |> ignore
        cancellation.ThrowIfCancellationRequested()
        let queue = BackupQueue values.Length
        fill queue bellman.Kernel.Model values image 0.0 threshold
        let count = work bellman (Predecessors bellman) queue threshold most values cancellation
        cancellation.ThrowIfCancellationRequested()
        struct (count, queue.Size = 0)

    let internal solveKept checkpoint (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution =
        require bellman
        let model = bellman.Kernel.Model
        let predecessors = lazy (Predecessors bellman)
        let struct (_, factor) = bellman.Factors
        // Whole sweeps are rare: they look for what is left, and certify. So many backups make a tenth of a residual, as a rule.
        let rounds = Math.Clamp(ceil (3.0 / (1.0 - factor)), 4.0, 1000.0)
        let most = int (Math.Min(1e9, rounds * float model.stateCount))
        let plain = ValueIteration.advanceOf bellman
        let shift = ValueIteration.shifts bellman && factor > 0.0 && factor < 1.0

        let advance =
            Planning.Advance(fun values image bracket ->
                let struct (smallest, largest) = Bracket.extremes bellman.Kernel values image
                let middle = if shift then 0.5 * (smallest + largest) else 0.0
                let widest = Math.Max(abs (smallest - middle), abs (largest - middle))
                // Enough for the tolerance, no more than rounding allows; and a tenth of what is left, so that a whole sweep comes now and then.
                let enough = Math.Max(0.5 * options.Tolerance * (1.0 - factor), 2.0 * bellman.Rounding values)

                if widest <= enough then
                    plain.Invoke(values, image, bracket)
                else
                    let threshold = Math.Max(enough, 0.1 * widest)
                    let queue = BackupQueue model.stateCount
                    fill queue model values image middle threshold

                    if middle <> 0.0 then
                        let constant = middle / (1.0 - factor)

                        for s in 0 .. values.Length - 1 do
                            values[s] <- values[s] + constant

                    work bellman predecessors.Value queue threshold most values options.Cancellation >= 0)

        let apply source destination = bellman.Sweep.Apply(source, destination, options.Cancellation)
        // A sweep that was cut short by the number of its backups may leave wider bounds than the one before it.
        let scheme = { Planning.plain "prioritised sweeping" with Pace = 4.0 }
        Planning.run scheme checkpoint options bellman apply (Bracket.ofApplication bellman) given advance

    /// Starts from the caller's values, which it leaves as they are. The state summary looks at a row's successors alone (ArgumentException if not).
    let solveFrom (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution = solveKept ValueNone given options bellman

    /// Starts from zero.
    let solve (options: RunOptions) (bellman: Bellman) : Solution = solveFrom ValueNone options bellman

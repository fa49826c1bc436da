namespace ValueFlow.Core.Returns

open System
open System.Buffers
open System.Numerics.Tensors
open System.Threading
open System.Threading.Tasks
open ValueFlow.Core.Values

/// What a stock-augmented problem is: V(s, c) = max over decisions of E f(c + G).
type internal StockProblem =
    {
        Model: Model
        Discount: float
        Utility: GainLoss
        /// For each state a number A with V(s, c) &lt;= Loss c + A.
        Left: float[]
        /// For each state a number B with V(s, c) &lt;= Gain c + B.
        Right: float[]
    }

/// For each state a window of a lattice of stocks; outside of it values are known well enough. A terminal state has none.
type internal StockWindows =
    {
        Lattice: StockLattice
        /// For each state the index of its window's first stock.
        First: int[]
        /// For each state the place of its first value; one entry more than states.
        Offsets: int[]
    }

    member this.Count(state: int) = this.Offsets[state + 1] - this.Offsets[state]
    member this.Nodes = this.Offsets[this.Offsets.Length - 1]
    member this.Stock(state: int, place: int) = this.Lattice.At(this.First[state] + place)

/// Backups V(s, c) = max_a E gamma V(s', (c + r) / gamma) over all states and the stocks of their windows: in parallel, and without allocation but for what
/// rents and threads need.
[<Sealed>]
type internal StockSweep(problem: StockProblem, windows: StockWindows) =
    let model = problem.Model
    let utility = problem.Utility
    let states = model.stateCount
    let least, gap = windows.Lattice.Least, windows.Lattice.Gap

    let largest =
        let mutable largest = 1

        for s in 0 .. states - 1 do
            largest <- Math.Max(largest, windows.Count s)

        largest

    // A thread takes this many states at a time.
    let block = 32
    let blocks = (states + block - 1) / block
    let changes = Array.zeroCreate<float> blocks
    let falls = Array.zeroCreate<float> blocks

    // Transitions of a row that are neighbours and agree in reward and continuation: their laws are mixed before they are read between stocks.
    let lastOfRun =
        let last = Array.init model.successors.Length id

        for row in 0 .. model.rowActions.Length - 1 do
            for k in model.offsets[row + 1] - 2 .. -1 .. model.offsets[row] do
                if model.rewards[k] = model.rewards[k + 1] && model.Continuation k = model.Continuation(k + 1) then
                    last[k] <- last[k + 1]

        last

    // Places of the stocks from a place on, a stride apart: the number of them that lie before a bound.
    let before (bound: float) (from: float) (stride: float) (count: int) =
        int (Math.Clamp(Math.Ceiling((bound - from) / stride), 0.0, float count))

    /// Adds weight * V(s, c) at <c>result.Length</c> stocks: at the places from, from + stride, ... in gaps from the lattice's least stock.
    member private _.Read<'Envelope when 'Envelope: struct and 'Envelope :> IEnvelope>
        (envelope: 'Envelope, values: float[], state: int, weight: float, from: float, stride: float, result: Span<float>)
        : unit =
        let mutable envelope = envelope
        let count = windows.Count state

        if count = 0 then
            for i in 0 .. result.Length - 1 do
                result[i] <- result[i] + weight * utility.Of(least + gap * (from + stride * float i))
        else
            let window = ReadOnlySpan(values, windows.Offsets[state], count)
            let first = float windows.First[state]
            let inside = before first from stride result.Length
            let beyond = Math.Max(inside, before (first + float (count - 1)) from stride result.Length)

            let left =
                if envelope.Anchored then
                    window[0] - utility.Loss * windows.Stock(state, 0)
                else
                    problem.Left[state]

            let right =
                if envelope.Anchored then
                    window[count - 1] - utility.Gain * windows.Stock(state, count - 1)
                else
                    problem.Right[state]

            for i in 0 .. inside - 1 do
                result[i] <- result[i] + weight * (utility.Loss * (least + gap * (from + stride * float i)) + left)

            if stride = 1.0 && from = Math.Floor from then
                // Stocks of the lattice itself: nothing lies between.
                if beyond > inside then
                    let part = result.Slice(inside, beyond - inside)
                    let offset = int (from + float inside - first)
                    TensorPrimitives.MultiplyAdd(window.Slice(offset, part.Length), weight, Span.op_Implicit part, part)
            else
                for i in inside .. beyond - 1 do
                    let place = from - first + stride * float i
                    let cell = Math.Min(int place, count - 2)
                    result[i] <- result[i] + weight * envelope.Between(window[cell], window[cell + 1], place - float cell)

            for i in beyond .. result.Length - 1 do
                result[i] <- result[i] + weight * (utility.Gain * (least + gap * (from + stride * float i)) + right)

    /// Adds sum P gamma V(s', (c + r) / gamma) over a run of transitions, at every stock c of a state's window.
    member private this.Add<'Envelope when 'Envelope: struct and 'Envelope :> IEnvelope>
        (envelope: 'Envelope, values: float[], state: int, first: int, last: int, result: Span<float>, mixed: Span<float>)
        : unit =
        let mutable envelope = envelope
        let gamma = problem.Discount * model.Continuation first
        let stock = windows.Stock(state, 0) + model.rewards[first]
        let mutable mass = 0.0

        for k in first..last do
            mass <- mass + model.probabilities[k]

        if gamma = 0.0 then
            for i in 0 .. result.Length - 1 do
                result[i] <- result[i] + mass * utility.Of(stock + gap * float i)
        else
            let stride = 1.0 / gamma
            let from = (stock * stride - least) / gap
            let start = Math.Floor from
            let length = Math.Floor(from + stride * float (result.Length - 1)) - start + 2.0

            if first = last || length > float mixed.Length then
                for k in first..last do
                    this.Read(envelope, values, model.successors[k], model.probabilities[k] * gamma, from, stride, result)
            else
                let mixed = mixed.Slice(0, int length)
                mixed.Clear()

                for k in first..last do
                    this.Read(envelope, values, model.successors[k], model.probabilities[k] / mass, start, 1.0, mixed)

                let weight = mass * gamma

                for i in 0 .. result.Length - 1 do
                    let place = from - start + stride * float i
                    let cell = Math.Min(int place, mixed.Length - 2)
                    result[i] <- result[i] + weight * envelope.Between(mixed[cell], mixed[cell + 1], place - float cell)

    member private this.Block<'Envelope when 'Envelope: struct and 'Envelope :> IEnvelope>
        (
            envelope: 'Envelope,
            source: float[],
            destination: float[],
            lower: float[],
            upper: float[],
            alive: bool[],
            prunes: bool,
            number: int
        ) : unit =
        let mutable envelope = envelope
        let scratch = ArrayPool<float>.Shared.Rent(4 * largest + 4)
        let mixed = Span(scratch, 2 * largest, 2 * largest + 4)
        let mutable change = 0.0
        let mutable fall = 0.0

        for state in number * block .. Math.Min(states, (number + 1) * block) - 1 do
            let offset, count = windows.Offsets[state], windows.Count state

            if count > 0 then
                let best = Span(scratch, 0, count)
                let row = Span(scratch, count, count)
                best.Fill Double.NegativeInfinity

                for k in model.rowOffsets[state] .. model.rowOffsets[state + 1] - 1 do
                    if alive[k] then
                        row.Clear()

                        let mutable first = model.offsets[k]

                        while first < model.offsets[k + 1] do
                            this.Add(envelope, source, state, first, lastOfRun[first], row, mixed)
                            first <- lastOfRun[first] + 1

                        let mutable hope = not prunes

                        for i in 0 .. count - 1 do
                            best[i] <- Math.Max(best[i], row[i])

                            if row[i] >= lower[offset + i] - 1e-9 * (1.0 + abs row[i]) then
                                hope <- true

                        if not hope then
                            alive[k] <- false

                for i in 0 .. count - 1 do
                    let before = source[offset + i]
                    let kept = envelope.Keep(before, best[i], lower[offset + i], upper[offset + i])
                    destination[offset + i] <- kept
                    change <- Math.Max(change, abs (kept - before))
                    fall <- Math.Max(fall, before - kept)

        ArrayPool<float>.Shared.Return scratch
        changes[number] <- change
        falls[number] <- fall

    /// By how much the last sweep lowered a value at most.
    member _.Fall: float = Array.max falls

    /// One backup of all values; the largest change, or not a number if it was cancelled. Rows that are not alive are passed over; with <c>prunes</c> a row dies that is below
    /// the lower bound at every stock of its state's window.
    member this.Apply<'Envelope when 'Envelope: struct and 'Envelope :> IEnvelope>
        (
            envelope: 'Envelope,
            source: float[],
            destination: float[],
            lower: float[],
            upper: float[],
            alive: bool[],
            prunes: bool,
            cancellation: CancellationToken
        ) : float =
        let run number = this.Block(envelope, source, destination, lower, upper, alive, prunes, number)

        if windows.Nodes > 20_000 && Environment.ProcessorCount > 1 then
            Parallel.For(
                0,
                blocks,
                fun number (loop: ParallelLoopState) -> if cancellation.IsCancellationRequested then loop.Stop() else run number
            )
            |> ignore
        else
            for number in 0 .. blocks - 1 do
                if not cancellation.IsCancellationRequested then
                    run number

        if cancellation.IsCancellationRequested then nan else Array.max changes

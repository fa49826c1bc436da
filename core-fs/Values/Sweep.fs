namespace ValueFlow.Core.Values

open System
open System.Buffers
open System.Threading
open System.Threading.Tasks
open ValueFlow.Core.Foundations

/// One generalised Bellman backup over all states, for a pair of summaries: the fast row form behind operators and planning methods.
/// It keeps no state of its own: several threads may use it at once.
[<AbstractClass>]
type Sweep(kernel: Kernel) =

    /// States a block: between blocks a sweep looks at the cancellation, and threads take turns.
    static member val internal BlockSize = 2048

    /// The kernel that is swept.
    member _.Kernel = kernel

    /// Writes (T V)(s) for the states first .. last - 1, and zero for terminal ones. The destination may be the source: then later states see
    /// the new values of earlier ones (Gauss and Seidel).
    abstract Block: source: float[] * destination: float[] * context: int[] * first: int * last: int -> unit

    /// Writes rho for the rows of the states first .. last - 1.
    abstract RowBlock: source: float[] * rowValues: float[] * context: int[] * first: int * last: int -> unit

    /// Writes rho of the chosen row of each of the states first .. last - 1 (-1 in terminal states, whose value is zero): the backup under a
    /// deterministic policy. The destination may be the source.
    abstract ChosenBlock: source: float[] * destination: float[] * context: int[] * chosen: int[] * first: int * last: int -> unit

    /// Improves the chosen rows of the states first .. last - 1 and returns how many changed: the row whose sign * rho is largest, the first of
    /// several; the row that is chosen already (if not -1) stays unless another is better by more than the margin.
    abstract ImproveBlock: source: float[] * context: int[] * sign: float * margin: float * chosen: int[] * first: int * last: int -> int

    /// Called before the blocks of a sweep, and given back to <c>Done</c>.
    abstract Prepare: values: float[] -> int[]

    /// Takes back what <c>Prepare</c> gave.
    abstract Done: context: int[] -> unit

    /// Improves one state's chosen row, by the values of its rows from the first on: true if another is better by more than the margin, or none was chosen.
    static member internal Improves(values: ReadOnlySpan<float>, first: int, sign: float, margin: float, chosen: byref<int>) : bool =
        if values.Length = 0 then
            false
        else
            if chosen >= first + values.Length || (chosen >= 0 && chosen < first) then
                invalidArg
                    (nameof chosen)
                    $"a chosen row must lie in [{first}, {first + values.Length}) of its state, or be -1, but is {chosen}"

            let mutable best = 0

            for place in 1 .. values.Length - 1 do
                if sign * values[place] > sign * values[best] then
                    best <- place

            let better = chosen < 0 || sign * values[best] > sign * values[chosen - first] + margin

            if better && chosen <> first + best then
                chosen <- first + best
                true
            else
                false

    member private this.Blocks(work: Action<int, int>, cancellation: CancellationToken) =
        let model = kernel.Model
        let count = model.stateCount
        let blocks = (count + Sweep.BlockSize - 1) / Sweep.BlockSize

        let run block = work.Invoke(block * Sweep.BlockSize, Math.Min(count, (block + 1) * Sweep.BlockSize))

        if blocks > 1 && model.successors.Length > 100_000 && Environment.ProcessorCount > 1 then
            let result =
                Parallel.For(
                    0,
                    blocks,
                    fun block (state: ParallelLoopState) -> if cancellation.IsCancellationRequested then state.Stop() else run block
                )

            result.IsCompleted
        else
            let mutable block = 0

            while block < blocks && not cancellation.IsCancellationRequested do
                run block
                block <- block + 1

            block = blocks

    /// destination = T source, for two different arrays. False if it was cancelled on the way: then the destination is of no use.
    member this.Apply(source: float[], destination: float[], cancellation: CancellationToken) : bool =
        if obj.ReferenceEquals(source, destination) then
            invalidArg (nameof destination) "destination must be another array than the source"

        this.RequireLengths(source, destination)
        let context = this.Prepare source

        try
            if kernel.Model.stateCount <= Sweep.BlockSize then
                this.Block(source, destination, context, 0, kernel.Model.stateCount)
                not cancellation.IsCancellationRequested
            else
                this.Blocks((fun first last -> this.Block(source, destination, context, first, last)), cancellation)
        finally
            this.Done context

    /// destination = T source under the policy that takes the chosen row in each state. False if it was cancelled on the way.
    member this.ApplyChosen(source: float[], destination: float[], chosen: int[], cancellation: CancellationToken) : bool =
        this.RequireLengths(source, destination)
        let context = this.Prepare source

        try
            this.Blocks((fun first last -> this.ChosenBlock(source, destination, context, chosen, first, last)), cancellation)
        finally
            this.Done context

    /// Improves the chosen rows by the values of the source, in the direction; a chosen row stays unless another is better by more than the
    /// margin. How many changed, or -1 if it was cancelled on the way. An ArgumentException tells of a chosen row of another state.
    member this.Improve(source: float[], direction: Direction, margin: float, chosen: int[], cancellation: CancellationToken) : int =
        this.RequireLengths(source, source)
        let context = this.Prepare source
        let sign = if direction = Direction.Maximise then 1.0 else -1.0
        let changed = [| 0 |]

        let work first last =
            let count = this.ImproveBlock(source, context, sign, margin, chosen, first, last)
            Interlocked.Add(&changed[0], count) |> ignore

        try
            if this.Blocks(work, cancellation) then changed[0] else -1
        finally
            this.Done context

    /// Writes the action values rho(s, a) of every row. False if it was cancelled on the way.
    member this.ActionValues(source: float[], rowValues: float[], cancellation: CancellationToken) : bool =
        Shape.requireLength (nameof source) kernel.Model.stateCount source.Length
        Shape.requireLength (nameof rowValues) kernel.Model.RowCount rowValues.Length
        let context = this.Prepare source

        try
            this.Blocks((fun first last -> this.RowBlock(source, rowValues, context, first, last)), cancellation)
        finally
            this.Done context

    member internal this.Require(source: float[], destination: float[], first: int, last: int) =
        this.RequireLengths(source, destination)

        if first < 0 || last > kernel.Model.stateCount then
            invalidArg (nameof first) $"states must lie in [0, {kernel.Model.stateCount}) but the block is {first} .. {last - 1}"

    member private _.RequireLengths(source: float[], destination: float[]) =
        Shape.requireLength (nameof source) kernel.Model.stateCount source.Length
        Shape.requireLength (nameof destination) kernel.Model.stateCount destination.Length

/// The sweep of two summaries whose types are known, so that the compiler joins them into one loop.
type internal Sweep<'State, 'Action when 'State: struct and 'State :> IRowSummary and 'Action: struct and 'Action :> IActionRowSummary>
    (kernel: Kernel, summary: 'State, actionSummary: 'Action) =
    inherit Sweep(kernel)

    override _.Prepare values = summary.Prepare values
    override _.Done context = summary.Done context

    override _.Block(source, destination, context, first, last) =
        let mutable summary = summary
        let mutable actionSummary = actionSummary
        let rowOffsets = kernel.Model.rowOffsets
        let places = kernel.MostActions
        let scratch = ArrayPool<float>.Shared.Rent(places + summary.Scratch + 1)
        let work = scratch.AsSpan(places, summary.Scratch)

        for state in first .. last - 1 do
            let start = rowOffsets[state]
            let count = rowOffsets[state + 1] - start

            if count = 0 then
                destination[state] <- 0.0
            else
                let actionValues = scratch.AsSpan(0, count)

                for place in 0 .. count - 1 do
                    actionValues[place] <- summary.Value(source, context, start + place, work)

                destination[state] <- actionSummary.Value(actionValues, start)

        ArrayPool<float>.Shared.Return scratch

    override _.RowBlock(source, rowValues, context, first, last) =
        let mutable summary = summary
        let rowOffsets = kernel.Model.rowOffsets
        let scratch = ArrayPool<float>.Shared.Rent(summary.Scratch + 1)
        let work = scratch.AsSpan(0, summary.Scratch)

        for row in rowOffsets[first] .. rowOffsets[last] - 1 do
            rowValues[row] <- summary.Value(source, context, row, work)

        ArrayPool<float>.Shared.Return scratch

    override _.ChosenBlock(source, destination, context, chosen, first, last) =
        let mutable summary = summary
        let scratch = ArrayPool<float>.Shared.Rent(summary.Scratch + 1)
        let work = scratch.AsSpan(0, summary.Scratch)

        for state in first .. last - 1 do
            destination[state] <- if chosen[state] < 0 then 0.0 else summary.Value(source, context, chosen[state], work)

        ArrayPool<float>.Shared.Return scratch

    override _.ImproveBlock(source, context, sign, margin, chosen, first, last) =
        let mutable summary = summary
        let rowOffsets = kernel.Model.rowOffsets
        let places = kernel.MostActions
        let scratch = ArrayPool<float>.Shared.Rent(places + summary.Scratch + 1)
        let work = scratch.AsSpan(places, summary.Scratch)
        let mutable changed = 0

        for state in first .. last - 1 do
            let start, next = rowOffsets[state], rowOffsets[state + 1]

            for row in start .. next - 1 do
                scratch[row - start] <- summary.Value(source, context, row, work)

            if Sweep.Improves(ReadOnlySpan(scratch, 0, next - start), start, sign, margin, &chosen[state]) then
                changed <- changed + 1

        ArrayPool<float>.Shared.Return scratch
        changed

/// The sweep of an action summary that takes action values one by one.
[<Sealed>]
type internal FoldedSweep<'State, 'Action when 'State: struct and 'State :> IRowSummary and 'Action: struct and 'Action :> IActionFold>
    (kernel: Kernel, summary: 'State, action: 'Action) =
    inherit Sweep<'State, 'Action>(kernel, summary, action)

    override _.Block(source, destination, context, first, last) =
        let mutable summary = summary
        let mutable action = action
        let rowOffsets = kernel.Model.rowOffsets
        let scratch = ArrayPool<float>.Shared.Rent(summary.Scratch + 1)
        let work = scratch.AsSpan(0, summary.Scratch)
        let mutable sum = 0.0

        for state in first .. last - 1 do
            let start, next = rowOffsets[state], rowOffsets[state + 1]
            let mutable folded = if start < next then action.Start else 0.0

            for row in start .. next - 1 do
                let value = summary.Value(source, context, row, work)
                folded <- action.Join(folded, value, row)
                sum <- sum + value

            destination[state] <- folded

        ArrayPool<float>.Shared.Return scratch

        if Double.IsNaN sum then
            base.Block(source, destination, context, first, last)

/// The sweep of a state summary and an action summary that are folds: one loop over all transitions, with nothing put down between.
[<Sealed>]
type internal GatheredSweep<'Row, 'Action when 'Row: struct and 'Row :> IGatheredRow and 'Action: struct and 'Action :> IActionFold>
    (kernel: Kernel, rule: 'Row, shares: float[], rewards: float[], action: 'Action) =
    inherit Sweep<GatheredRow<'Row>, 'Action>(kernel, GatheredRow(rule, kernel.Model, shares, rewards), action)

    override this.Block(source, destination, context, first, last) =
        this.Require(source, destination, first, last)

        if Double.IsNaN(Gathered.Block(rule, action, kernel.Model, shares, rewards, source, destination, first, last)) then
            base.Block(source, destination, context, first, last)

    override this.ImproveBlock(source, _, sign, margin, chosen, first, last) =
        this.Require(source, source, first, last)
        let model = kernel.Model
        let rowOffsets = model.rowOffsets
        // So many states that their rows stay in the first cache.
        let together = Math.Max(1, 512 / Math.Max(1, kernel.MostActions))
        let scratch = ArrayPool<float>.Shared.Rent(together * kernel.MostActions + 1)
        let mutable changed = 0
        let mutable from = first

        while from < last do
            let until = Math.Min(last, from + together)
            Gathered.Rows(rule, model, shares, rewards, source, rowOffsets[from], rowOffsets[until], scratch.AsSpan())

            for state in from .. until - 1 do
                let start = rowOffsets[state]
                let values = ReadOnlySpan(scratch, start - rowOffsets[from], rowOffsets[state + 1] - start)

                if Sweep.Improves(values, start, sign, margin, &chosen[state]) then
                    changed <- changed + 1

            from <- until

        ArrayPool<float>.Shared.Return scratch
        changed

    override this.RowBlock(source, rowValues, _, first, last) =
        this.Require(source, source, first, last)
        let rows = kernel.Model.rowOffsets

        Gathered.Rows(
            rule,
            kernel.Model,
            shares,
            rewards,
            source,
            rows[first],
            rows[last],
            rowValues.AsSpan(rows[first], rows[last] - rows[first])
        )

/// Makes sweeps.
[<RequireQualifiedAccess>]
module Sweep =

    /// The sweep of a kernel and two summaries.
    let create (kernel: Kernel) (state: StateSummary) (action: ActionSummary) : Sweep =
        let model = kernel.Model

        state.Bind(
            kernel,
            { new IRowSummaryUser<Sweep> with
                member _.Use rows =
                    action.Bind(
                        model,
                        { new IActionRowSummaryUser<Sweep> with
                            member _.Use actions = Sweep<_, _>(kernel, rows, actions)
                            member _.UseFold actions = FoldedSweep<_, _>(kernel, rows, actions)
                        }
                    )

                member _.UseGathered(rule, shares, rewards) =
                    action.Bind(
                        model,
                        { new IActionRowSummaryUser<Sweep> with
                            member _.Use actions = Sweep<_, _>(kernel, GatheredRow(rule, model, shares, rewards), actions)
                            member _.UseFold actions = GatheredSweep<_, _>(kernel, rule, shares, rewards, actions)
                        }
                    )
            }
        )

namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open System.Runtime.InteropServices
open System.Runtime.Intrinsics.X86

#nowarn "9" // addresses are taken for prefetching alone

/// The loops that planning spends its time in: eight transitions at a time, without checks of bounds, and with what lies ahead fetched.
/// A model holds that its successors are states, and callers hold that there is a value for each state.
[<AbstractClass; Sealed>]
type internal Gathered =

    /// Fetches what lies 96 transitions ahead: far enough for the latency of the last-level cache, near enough to stay in the first.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member Fetch(shares: byref<float>, successors: byref<int>, transition: nativeint) : unit =
        if Sse.IsSupported then
            Sse.Prefetch0(Unsafe.AsPointer(&Unsafe.Add(&shares, transition + 96n)))
            Sse.Prefetch0(Unsafe.AsPointer(&Unsafe.Add(&successors, transition + 96n)))

    /// The fold over the transitions first .. last - 1.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member private Fold<'Row when 'Row: struct and 'Row :> IGatheredRow>
        (rule: 'Row, shares: byref<float>, successors: byref<int>, values: byref<float>, reward: float, first: nativeint, last: nativeint)
        : float =
        let mutable rule = rule
        let mutable k = first
        let mutable folded = rule.Start
        Gathered.Fetch(&shares, &successors, k)

        while k + 8n <= last do
            folded <- rule.Step(folded, Unsafe.Add(&shares, k), Unsafe.Add(&values, Unsafe.Add(&successors, k)), reward)
            folded <- rule.Step(folded, Unsafe.Add(&shares, k + 1n), Unsafe.Add(&values, Unsafe.Add(&successors, k + 1n)), reward)
            folded <- rule.Step(folded, Unsafe.Add(&shares, k + 2n), Unsafe.Add(&values, Unsafe.Add(&successors, k + 2n)), reward)
            folded <- rule.Step(folded, Unsafe.Add(&shares, k + 3n), Unsafe.Add(&values, Unsafe.Add(&successors, k + 3n)), reward)
            folded <- rule.Step(folded, Unsafe.Add(&shares, k + 4n), Unsafe.Add(&values, Unsafe.Add(&successors, k + 4n)), reward)
            folded <- rule.Step(folded, Unsafe.Add(&shares, k + 5n), Unsafe.Add(&values, Unsafe.Add(&successors, k + 5n)), reward)
            folded <- rule.Step(folded, Unsafe.Add(&shares, k + 6n), Unsafe.Add(&values, Unsafe.Add(&successors, k + 6n)), reward)
            folded <- rule.Step(folded, Unsafe.Add(&shares, k + 7n), Unsafe.Add(&values, Unsafe.Add(&successors, k + 7n)), reward)
            k <- k + 8n

        while k < last do
            folded <- rule.Step(folded, Unsafe.Add(&shares, k), Unsafe.Add(&values, Unsafe.Add(&successors, k)), reward)
            k <- k + 1n

        rule.Finish(folded, reward)

    /// The summary of one row.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member Row<'Row when 'Row: struct and 'Row :> IGatheredRow>
        (rule: 'Row, model: Model, shares: float[], rewards: float[], values: float[], row: int)
        : float =
        Gathered.Fold(
            rule,
            &MemoryMarshal.GetArrayDataReference shares,
            &MemoryMarshal.GetArrayDataReference model.successors,
            &MemoryMarshal.GetArrayDataReference values,
            rewards[row],
            nativeint model.offsets[row],
            nativeint model.offsets[row + 1]
        )

    /// The summaries of the rows first .. last - 1, from the first place of the results on.
    static member Rows<'Row when 'Row: struct and 'Row :> IGatheredRow>
        (rule: 'Row, model: Model, shares: float[], rewards: float[], source: float[], first: int, last: int, results: Span<float>)
        : unit =
        let offsets = &MemoryMarshal.GetArrayDataReference model.offsets
        let successors = &MemoryMarshal.GetArrayDataReference model.successors
        let shares = &MemoryMarshal.GetArrayDataReference shares
        let rewards = &MemoryMarshal.GetArrayDataReference rewards
        let values = &MemoryMarshal.GetArrayDataReference source
        let mutable k = nativeint (Unsafe.Add(&offsets, first))

        for row in first .. last - 1 do
            let stop = nativeint (Unsafe.Add(&offsets, row + 1))
            results[row - first] <- Gathered.Fold(rule, &shares, &successors, &values, Unsafe.Add(&rewards, row), k, stop)
            k <- stop

    /// The values of the states first .. last - 1: zero in terminal ones. Returns the sum of all action values, which is no number if one of them is none:
    /// an action summary that drops such a number is told by it.
    static member Block<'Row, 'Action when 'Row: struct and 'Row :> IGatheredRow and 'Action: struct and 'Action :> IActionFold>
        (
            rule: 'Row,
            action: 'Action,
            model: Model,
            shares: float[],
            rewards: float[],
            source: float[],
            destination: float[],
            first: int,
            last: int
        ) : float =
        let mutable action = action
        let rowOffsets = &MemoryMarshal.GetArrayDataReference model.rowOffsets
        let offsets = &MemoryMarshal.GetArrayDataReference model.offsets
        let successors = &MemoryMarshal.GetArrayDataReference model.successors
        let shares = &MemoryMarshal.GetArrayDataReference shares
        let rewards = &MemoryMarshal.GetArrayDataReference rewards
        let values = &MemoryMarshal.GetArrayDataReference source
        let results = &MemoryMarshal.GetArrayDataReference destination
        let mutable row = nativeint (Unsafe.Add(&rowOffsets, first))
        let mutable k = nativeint (Unsafe.Add(&offsets, row))
        let mutable sum = 0.0

        for state in first .. last - 1 do
            let next = nativeint (Unsafe.Add(&rowOffsets, state + 1))
            let mutable folded = 0.0

            if row < next then
                folded <- action.Start

                while row < next do
                    let stop = nativeint (Unsafe.Add(&offsets, row + 1n))
                    let value = Gathered.Fold(rule, &shares, &successors, &values, Unsafe.Add(&rewards, row), k, stop)
                    folded <- action.Join(folded, value, int row)
                    sum <- sum + value
                    k <- stop
                    row <- row + 1n

            Unsafe.Add(&results, state) <- folded

        sum

    /// Writes reward + discount * V(s') for the transitions to the successors.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member Outcomes(successors: byref<int>, values: float[], reward: float, discount: float, outcomes: Span<float>) : unit =
        let v = &MemoryMarshal.GetArrayDataReference values
        let result = &MemoryMarshal.GetReference outcomes
        let count = nativeint outcomes.Length
        let mutable k = 0n

        while k + 8n <= count do
            Unsafe.Add(&result, k) <- reward + discount * Unsafe.Add(&v, Unsafe.Add(&successors, k))
            Unsafe.Add(&result, k + 1n) <- reward + discount * Unsafe.Add(&v, Unsafe.Add(&successors, k + 1n))
            Unsafe.Add(&result, k + 2n) <- reward + discount * Unsafe.Add(&v, Unsafe.Add(&successors, k + 2n))
            Unsafe.Add(&result, k + 3n) <- reward + discount * Unsafe.Add(&v, Unsafe.Add(&successors, k + 3n))
            Unsafe.Add(&result, k + 4n) <- reward + discount * Unsafe.Add(&v, Unsafe.Add(&successors, k + 4n))
            Unsafe.Add(&result, k + 5n) <- reward + discount * Unsafe.Add(&v, Unsafe.Add(&successors, k + 5n))
            Unsafe.Add(&result, k + 6n) <- reward + discount * Unsafe.Add(&v, Unsafe.Add(&successors, k + 6n))
            Unsafe.Add(&result, k + 7n) <- reward + discount * Unsafe.Add(&v, Unsafe.Add(&successors, k + 7n))
            k <- k + 8n

        while k < count do
            Unsafe.Add(&result, k) <- reward + discount * Unsafe.Add(&v, Unsafe.Add(&successors, k))
            k <- k + 1n

    /// The mean of values with shares in single precision, over the sum of the shares.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member Mean(shares: float32[], successors: int[], values: float[], first: int, last: int) : float =
        let p = &MemoryMarshal.GetArrayDataReference shares
        let next = &MemoryMarshal.GetArrayDataReference successors
        let v = &MemoryMarshal.GetArrayDataReference values
        let stop = nativeint last
        let mutable k = nativeint first
        let mutable sum = 0.0
        let mutable mass = 0.0

        while k < stop do
            let share = float (Unsafe.Add(&p, k))
            sum <- sum + share * Unsafe.Add(&v, Unsafe.Add(&next, k))
            mass <- mass + share
            k <- k + 1n

        sum / mass

/// A rule of a row with the arrays that it reads.
[<Struct; IsReadOnly>]
type internal GatheredRow<'Row when 'Row: struct and 'Row :> IGatheredRow>(rule: 'Row, model: Model, shares: float[], rewards: float[]) =
    interface IRowSummary with
        member _.Scratch = 0
        member _.Prepare _ = [||]
        member _.Done _ = ()

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Value(values, _, row, _) = Gathered.Row(rule, model, shares, rewards, values, row)

namespace ValueFlow.Core.Values

open System

/// Where cells lie, for models that are drawn as a map.
type GridLayout =
    {
        /// Rows of the map, the first at the top.
        Rows: int
        /// Columns of the map.
        Columns: int
        /// For each state its cell, row * Columns + column, or -1 for a state without one.
        Cells: int[]
        /// For each cell what it shows: 'S' start, 'G' goal, 'H' hole, 'C' cliff, '#' wall, ' ' floor.
        Marks: char[]
        /// For each action its direction (dx to the right, dy downwards), or (0, 0).
        Directions: struct (int * int)[]
    }

/// The rewards of a model: a number for each transition, or one for each row where the successor does not matter, which takes a share of the memory.
[<Sealed>]
type internal RewardTable private (given: float[] | null, rows: float[], offsets: int[]) =
    let mutable each = given

    /// A number for each transition.
    static member OfTransitions(rewards: float[]) = RewardTable(rewards, Array.Empty(), Array.Empty())

    /// A number for each row, for all transitions of the row.
    static member OfRows(rewards: float[], offsets: int[]) = RewardTable(null, rewards, offsets)

    /// A number for each transition, kept as one for each row if it is the same within each.
    static member Gather(rewards: float[], offsets: int[]) =
        // To the bit: a negative zero stays one.
        let same (a: float) (b: float) = BitConverter.DoubleToInt64Bits a = BitConverter.DoubleToInt64Bits b

        let constant row =
            let mutable k = offsets[row] + 1

            while k < offsets[row + 1] && same rewards[k] rewards[k - 1] do
                k <- k + 1

            k >= offsets[row + 1]

        let mutable row = 0

        while row < offsets.Length - 1 && offsets[row] < offsets[row + 1] && constant row do
            row <- row + 1

        if row = offsets.Length - 1 && row < rewards.Length then
            RewardTable.OfRows(Array.init row (fun row -> rewards[offsets[row]]), offsets)
        else
            RewardTable.OfTransitions rewards

    /// For each row its reward; empty if rewards depend on the successor.
    member _.Rows = rows

    /// For each transition its reward: written out when it is first asked for.
    member _.Each: float[] =
        match each with
        | null ->
            let written = Array.zeroCreate offsets[offsets.Length - 1]

            for row in 0 .. rows.Length - 1 do
                Array.Fill(written, rows[row], offsets[row], offsets[row + 1] - offsets[row])

            each <- written
            written
        | written -> written

/// The probabilities of a model: in double precision, or in single precision, where the probability of a transition is its number over the sum
/// of the row's numbers.
[<Sealed>]
type internal ProbabilityTable private (given: float[] | null, singles: float32[], offsets: int[]) =
    let mutable each = given

    /// A number for each transition; the numbers of a row sum to one.
    static member OfDoubles(probabilities: float[]) = ProbabilityTable(probabilities, Array.Empty(), Array.Empty())

    /// A number for each transition; divided by their sum they are the row's law.
    static member OfSingles(shares: float32[], offsets: int[]) = ProbabilityTable(null, shares, offsets)

    /// For each transition its share of the row; empty if the table is in double precision.
    member _.Singles = singles

    /// For each transition its probability: written out when it is first asked for.
    member _.Each: float[] =
        match each with
        | null ->
            let written = Array.zeroCreate singles.Length

            for row in 0 .. offsets.Length - 2 do
                let mutable sum = 0.0

                for k in offsets[row] .. offsets[row + 1] - 1 do
                    sum <- sum + float singles[k]

                for k in offsets[row] .. offsets[row + 1] - 1 do
                    written[k] <- float singles[k] / sum

            each <- written
            written
        | written -> written

/// A finite Markov decision process, sparse by state and action. Made by <c>ModelBuilder</c>, which holds what is said here; nobody changes
/// an array of a model.
///
/// State s owns the rows RowOffsets[s] .. RowOffsets[s+1]-1, one for each action that it allows (the mask is what is absent); a
/// terminal state owns none and has value zero. Row k owns the transitions Offsets[k] .. Offsets[k+1]-1.
type Model =
    internal
        {
            stateCount: int
            actionCount: int
            rowOffsets: int[]
            rowActions: int[]
            offsets: int[]
            successors: int[]
            probabilityTable: ProbabilityTable
            rewardTable: RewardTable
            continuations: float[]
            lower: float[]
            upper: float[]
            stateNames: string[]
            actionNames: string[]
            initial: int[]
            labels: Map<string, int[]>
            grid: GridLayout voption
            normalisation: float
            warnings: string list
        }

    /// For each transition its probability.
    member internal this.probabilities: float[] = this.probabilityTable.Each
    /// For each transition its reward.
    member internal this.rewards: float[] = this.rewardTable.Each
    /// The number of states.
    member this.StateCount = this.stateCount
    /// The number of actions that some state allows.
    member this.ActionCount = this.actionCount
    /// The number of pairs of a state and an action that it allows.
    member this.RowCount = this.rowActions.Length
    /// The number of transitions.
    member this.TransitionCount = this.successors.Length
    /// For each state its first row; one entry more than states.
    member this.RowOffsets: ReadOnlySpan<int> = ReadOnlySpan this.rowOffsets
    /// For each row its action.
    member this.RowActions: ReadOnlySpan<int> = ReadOnlySpan this.rowActions
    /// For each row its first transition; one entry more than rows.
    member this.Offsets: ReadOnlySpan<int> = ReadOnlySpan this.offsets
    /// For each transition the state that it leads to.
    member this.Successors: ReadOnlySpan<int> = ReadOnlySpan this.successors
    /// For each transition its probability given state and action; in an interval model a law within the bounds.
    member this.Probabilities: ReadOnlySpan<float> = ReadOnlySpan this.probabilities
    /// For each transition its reward r(s, a, s').
    member this.Rewards: ReadOnlySpan<float> = ReadOnlySpan this.rewards
    /// For each transition the share of the discount that applies to what follows, in [0, 1]: 1 as a rule, 0 where the episode
    /// ends with the transition, discount^(t-1) where it takes t steps. Empty if all are 1.
    member this.Continuations: ReadOnlySpan<float> = ReadOnlySpan this.continuations
    /// For each transition the least probability of an interval model; empty if the model is no interval model.
    member this.Lower: ReadOnlySpan<float> = ReadOnlySpan this.lower
    /// For each transition the largest probability of an interval model; empty if the model is no interval model.
    member this.Upper: ReadOnlySpan<float> = ReadOnlySpan this.upper
    /// True if the probabilities are known only to lie in intervals.
    member this.IsInterval = this.lower.Length > 0
    /// The states to start from, possibly none.
    member this.Initial: ReadOnlySpan<int> = ReadOnlySpan this.initial
    /// The states that carry a label, in increasing order.
    member this.Labels: Map<string, int[]> = this.labels
    /// Where the states lie on a map.
    member this.Grid: GridLayout voption = this.grid
    /// The largest |sum - 1| of a row before it was normalised.
    member this.Normalisation: float = this.normalisation
    /// What the reader or builder found worth saying, though no error.
    member this.Warnings: string list = this.warnings
    /// True for states without actions: their value is zero.
    member this.IsTerminal(state: int) : bool = this.rowOffsets[state] = this.rowOffsets[state + 1]

    /// The state's name, its number if it has none.
    member this.StateName(state: int) : string = if this.stateNames.Length = 0 then string state else this.stateNames[state]

    /// The action's name, its number if it has none.
    member this.ActionName(action: int) : string = if this.actionNames.Length = 0 then string action else this.actionNames[action]

    /// The factor on what follows a transition, before the discount.
    member internal this.Continuation(transition: int) : float =
        if this.continuations.Length = 0 then 1.0 else this.continuations[transition]

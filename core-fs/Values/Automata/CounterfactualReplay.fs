namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// One step in a product of process and automaton.
[<Struct>]
type ProductStep =
    {
        /// The row of the product that was taken: a pair (s, b) and an action.
        Row: int
        /// 1 for a step into an accepting state of the automaton, else 0.
        Reward: float
        /// The pair that followed.
        Next: int
        /// True if the run ended with the step.
        Ended: bool
    }

/// How Q-learning under eventual discounting goes.
type EventualLearningOptions =
    {
        /// The step size, in (0, 1].
        Step: float
        /// The discount of accepting steps, in (0, 1).
        Discount: float
        /// The probability of a random action in episode e: from First, in a straight line over Episodes, to Last.
        Exploration: {| First: float; Last: float; Episodes: int |}
        /// Steps of an episode.
        EpisodeSteps: int
        /// True to learn from every step for all states of the automaton, false to learn from what happened alone.
        Counterfactual: bool
    }

/// Action values that were learnt, and from how many episodes.
type EventualLearner =
    {
        /// For each row of the product its value. Nobody changes them.
        ActionValues: float[]
        /// Episodes so far.
        Episodes: int
    }

/// Learning in a product when the automaton is known: what the process did would have been the same in every other state of the automaton, so that one real
/// step is a step for all of them. Voloshin, Verma and Yue 2023, "Eventual discounting temporal logic counterfactual experience replay".
[<RequireQualifiedAccess>]
module CounterfactualReplay =

    /// Step 0.1, discount 0.9, exploration from 1 to 0.1 over 500 episodes of 100 steps, counterfactual.
    let standard: EventualLearningOptions =
        {
            Step = 0.1
            Discount = 0.9
            Exploration = {| First = 1.0; Last = 0.1; Episodes = 500 |}
            EpisodeSteps = 100
            Counterfactual = true
        }

    // The row of the product for a row of the process and a state of the automaton: rows of the process come first.
    let private productRow (product: ProductModel) (state: int) (row: int) (b: int) =
        product.Model.rowOffsets[product.State(state, b)] + row - product.Basis.rowOffsets[state]

    /// The steps that transition k of row (s, a) of the process stands for: from (s, b) for every state b of the automaton. Their law, given (s, a), is the
    /// product's: what the process does, and what it shows, do not depend on b.
    let steps (product: ProductModel) (row: int) (transition: int) : ProductStep[] =
        let basis, automaton = product.Basis, product.Automaton

        if row < 0 || row >= basis.RowCount then
            invalidArg (nameof row) $"row must lie in [0, {basis.RowCount}) but is {row}"

        if transition < basis.offsets[row] || transition >= basis.offsets[row + 1] then
            invalidArg (nameof transition) $"transition must lie in [{basis.offsets[row]}, {basis.offsets[row + 1]}) but is {transition}"

        let state = Array.BinarySearch(basis.rowOffsets, row)
        // The last state whose rows start there: states without rows share the offset of the next one.
        let mutable state = if state >= 0 then state else ~~~state - 1

        while basis.rowOffsets[state + 1] <= row do
            state <- state + 1

        let next = basis.successors[transition]

        Array.init automaton.StateCount (fun b ->
            let read = product.Read(b, next)

            {
                Row = productRow product state row b
                Reward = (if automaton.IsAccepting read then 1.0 else 0.0)
                Next = product.State(next, read)
                Ended = basis.Continuation transition = 0.0
            })

    /// All jumps of the automaton while the process is in a state.
    let jumps (product: ProductModel) (state: int) : ProductStep[] =
        let basis, automaton = product.Basis, product.Automaton

        [|
            if not (basis.IsTerminal state) then
                for b in 0 .. automaton.StateCount - 1 do
                    let own = basis.rowOffsets[state + 1] - basis.rowOffsets[state]

                    yield!
                        automaton.Jumps(b).ToArray()
                        |> Array.mapi (fun i target ->
                            {
                                Row = product.Model.rowOffsets[product.State(state, b)] + own + i
                                Reward = 0.0
                                Next = product.State(state, target)
                                Ended = false
                            })
        |]

    /// A learner that knows nothing: every action value is zero.
    let start (product: ProductModel) : EventualLearner = { ActionValues = Array.zeroCreate product.Model.RowCount; Episodes = 0 }

    // The best row of a pair; among equals a random one, for a loop has the value of what it leads back to.
    let private best (generator: Generator) (model: Model) (q: float[]) (state: int) =
        let mutable row, value, equals = -1, Double.NegativeInfinity, 0

        for candidate in model.rowOffsets[state] .. model.rowOffsets[state + 1] - 1 do
            if q[candidate] > value then
                row <- candidate
                value <- q[candidate]
                equals <- 1
            elif q[candidate] = value then
                equals <- equals + 1

                if generator.Below equals = 0 then
                    row <- candidate

        row

    /// The row with the largest action value in a pair (s, b), a random one among equals; -1 in a terminal state.
    let greedy (generator: Generator) (product: ProductModel) (learner: EventualLearner) (state: int) : int =
        best generator product.Model learner.ActionValues state

    let private require (options: EventualLearningOptions) =
        let share name low (value: float) =
            if not (value >= low && value <= 1.0) then
                invalidArg (nameof options) $"{name} must lie in [{low}, 1] but is {value}"

        if not (options.Step > 0.0 && options.Step <= 1.0) then
            invalidArg (nameof options) $"Step must lie in (0, 1] but is {options.Step}"

        if not (options.Discount > 0.0 && options.Discount < 1.0) then
            invalidArg (nameof options) $"Discount must lie in (0, 1) but is {options.Discount}"

        share "Exploration.First" 0.0 options.Exploration.First
        share "Exploration.Last" 0.0 options.Exploration.Last

        if options.Exploration.Episodes < 1 || options.EpisodeSteps < 1 then
            invalidArg
                (nameof options)
                $"Exploration.Episodes and EpisodeSteps must be at least 1 but are {options.Exploration.Episodes} and {options.EpisodeSteps}"

    /// One episode of Q-learning from an initial pair drawn uniformly:
    /// Q(s, b, a) moves by Step towards 1{b' accepting} + G(b') max over a' of Q(s', b', a'). Throws an ArgumentException for options that make no sense and a product
    /// without initial states.
    let episode
        (generator: Generator)
        (options: EventualLearningOptions)
        (product: ProductModel)
        (learner: EventualLearner)
        : EventualLearner =
        require options
        let model, basis = product.Model, product.Basis

        if model.initial.Length = 0 then
            invalidArg (nameof product) "the process must have an initial state but has none"

        let q = Array.copy learner.ActionValues
        let share = Math.Min(1.0, float learner.Episodes / float options.Exploration.Episodes)
        let exploration = options.Exploration.First + share * (options.Exploration.Last - options.Exploration.First)

        let learn (step: ProductStep) =
            let mutable following = 0.0

            if not step.Ended then
                for row in model.rowOffsets[step.Next] .. model.rowOffsets[step.Next + 1] - 1 do
                    following <- Math.Max(following, q[row])

            let target = step.Reward + (if step.Reward > 0.0 then options.Discount else 1.0) * following
            q[step.Row] <- q[step.Row] + options.Step * (target - q[step.Row])

        let mutable state = model.initial[generator.Below model.initial.Length]
        let mutable left = options.EpisodeSteps

        while left > 0 && not (model.IsTerminal state) do
            left <- left - 1
            let first = model.rowOffsets[state]
            let count = model.rowOffsets[state + 1] - first

            let row =
                if generator.Uniform() < exploration then
                    first + generator.Below count
                else
                    best generator model q state

            let s, b = product.BasisState state, product.AutomatonState state
            let own = basis.rowOffsets[s + 1] - basis.rowOffsets[s]

            if row - first >= own then
                let taken = jumps product s |> Array.find (fun step -> step.Row = row)
                (if options.Counterfactual then jumps product s else [| taken |]) |> Array.iter learn
                state <- taken.Next
            else
                let basisRow = basis.rowOffsets[s] + row - first
                let offset = basis.offsets[basisRow]
                let chances = ReadOnlySpan(basis.probabilities, offset, basis.offsets[basisRow + 1] - offset)
                let found = steps product basisRow (offset + Sampling.index generator chances)

                if options.Counterfactual then
                    Array.iter learn found
                    Array.iter learn (jumps product s)
                else
                    learn found[b]

                state <- found[b].Next
                left <- if found[b].Ended then 0 else left

        { ActionValues = q; Episodes = learner.Episodes + 1 }

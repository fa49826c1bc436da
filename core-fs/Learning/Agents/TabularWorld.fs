namespace ValueFlow.Core.Learning

open System
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// What came of an action.
[<Struct>]
type WorldStep =
    {
        /// The reward.
        Reward: float
        /// The state that followed.
        Next: int
        /// The share of the discount that applies to what follows: 1 as a rule, 0 where the step terminated the episode.
        Continuation: float
    }

/// A finite model as a world to learn from: it answers actions, and shows its states as one-hot vectors. Every state that is not terminal must allow every action.
[<Sealed>]
type TabularWorld(model: Model) =
    do
        for state in 0 .. model.StateCount - 1 do
            let allowed = model.RowOffsets[state + 1] - model.RowOffsets[state]

            if allowed <> 0 && allowed <> model.ActionCount then
                invalidArg (nameof model) $"state {model.StateName state} must allow all {model.ActionCount} actions but allows {allowed}"

        if model.Initial.Length = 0 then
            invalidArg (nameof model) "the model must have a state to start from but has none"

    /// The model.
    member _.Model = model
    /// Numbers in what is seen of a state: one for each state.
    member _.Width = model.StateCount
    /// The number of actions.
    member _.ActionCount = model.ActionCount

    /// Writes what is seen of a state: a one at its place, zeros elsewhere.
    member _.Observe(state: int, into: Span<float32>) : unit =
        Shape.requireLength (nameof into) model.StateCount into.Length
        into.Clear()
        into[state] <- 1.0f

    /// A state to start from, uniform over the initial ones.
    member _.Start(generator: Generator) : int = model.Initial[generator.Below model.Initial.Length]

    /// What comes of an action in a state that is not terminal.
    member _.Step(generator: Generator, state: int, action: int) : WorldStep =
        if state < 0 || state >= model.StateCount || model.IsTerminal state then
            invalidArg (nameof state) $"state must be a state with actions but is {state}"

        if action < 0 || action >= model.ActionCount then
            invalidArg (nameof action) $"action must lie in [0, {model.ActionCount}) but is {action}"

        let first = model.RowOffsets[state]
        let row = first + model.RowActions.Slice(first, model.ActionCount).IndexOf action
        let offset = model.Offsets[row]
        let k = offset + Sampling.index generator (model.Probabilities.Slice(offset, model.Offsets[row + 1] - offset))
        let next = model.Successors[k]

        {
            Reward = model.Rewards[k]
            Next = next
            Continuation =
                if model.IsTerminal next then 0.0
                elif model.Continuations.Length = 0 then 1.0
                else model.Continuations[k]
        }

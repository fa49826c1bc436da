namespace ValueFlow.Core.Learning

open System
open ValueFlow.Core.Foundations

/// A step that was made, as it is remembered.
[<Struct>]
type Transition =
    {
        /// The state, as a number.
        State: int
        /// The action that was taken.
        Action: int
        /// The reward.
        Reward: float
        /// The state that followed.
        Next: int
        /// The share of the discount that applies to what follows; 0 where the step terminated the episode.
        Continuation: float
        /// True where the episode was cut off after the step although it would have gone on: what followed still counts, with the continuation.
        Truncated: bool
    }

    /// True where the step ended the episode for good: nothing follows.
    member this.Terminated = this.Continuation = 0.0

/// The last so many transitions, drawn uniformly. Lin 1992, "Self-improving reactive agents based on reinforcement learning, planning and teaching". It changes as it is
/// filled: one thread at a time.
[<Sealed>]
type Replay(capacity: int) =
    do
        if capacity < 1 then
            invalidArg (nameof capacity) $"capacity must be at least 1 but is {capacity}"

    let ring: Transition[] = Array.zeroCreate capacity
    let mutable added = 0L

    /// The most that is kept.
    member _.Capacity = capacity
    /// What is kept now.
    member _.Count = int (min added (int64 capacity))

    /// Adds a transition; the oldest one makes room.
    member _.Add(transition: Transition) : unit =
        if not (Double.IsFinite transition.Reward) then
            invalidArg (nameof transition) $"the reward must be finite but is {transition.Reward}"

        if not (transition.Continuation >= 0.0 && transition.Continuation <= 1.0) then
            invalidArg (nameof transition) $"the continuation must lie in [0, 1] but is {transition.Continuation}"

        if transition.Truncated && transition.Terminated then
            invalidArg (nameof transition) "a step must not be both terminated and truncated but is"

        ring[int (added % int64 capacity)] <- transition
        added <- added + 1L

    /// The index-th oldest of what is kept, from 0.
    member this.Item(index: int) : Transition =
        if index < 0 || index >= this.Count then
            invalidArg (nameof index) $"index must lie in [0, {this.Count}) but is {index}"

        ring[int ((added - int64 this.Count + int64 index) % int64 capacity)]

    /// Fills the destination with independent uniform draws, with replacement. Throws an InvalidOperationException where nothing was added yet.
    member this.Sample(generator: Generator, destination: Span<Transition>) : unit =
        if this.Count = 0 then
            invalidOp "there is nothing to draw from: add a transition first"

        for i in 0 .. destination.Length - 1 do
            destination[i] <- ring[generator.Below this.Count]

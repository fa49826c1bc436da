namespace ValueFlow.Core.Returns

open System
open System.Runtime.CompilerServices

/// How a function of the stock, known at the stocks of a lattice, is read between them; and what is kept of a new value. Structs, so that the compiler joins
/// them with the sweep into one loop.
type internal IEnvelope =
    /// The value at the share w of the way from a stock with value l to its neighbour with value h.
    abstract Between: l: float * h: float * w: float -> float
    /// Outside the window: true if the function goes on from the window's ends with its slopes, false if it follows the asymptotes.
    abstract Anchored: bool
    /// What is kept, of the value so far and the new one, between bounds.
    abstract Keep: before: float * found: float * lower: float * upper: float -> float

/// The largest function that no function with these values and slopes in [Gain, Loss] is below: never above the truth.
[<Struct>]
type internal LowerEnvelope =
    {
        /// Gain times the lattice's gap.
        Gain: float
        /// Loss times the lattice's gap.
        Loss: float
    }

    interface IEnvelope with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member this.Between(l, h, w) = Math.Max(l + this.Gain * w, h - this.Loss * (1.0 - w))

        member _.Anchored = true
        // Not the larger of both: decisions must attain what is kept.
        member _.Keep(_, found, _, _) = found

/// The least function that no function with these values and slopes in [Gain, Loss] is above: never below the truth.
[<Struct>]
type internal UpperEnvelope =
    {
        /// Gain times the lattice's gap.
        Gain: float
        /// Loss times the lattice's gap.
        Loss: float
    }

    interface IEnvelope with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member this.Between(l, h, w) = Math.Min(l + this.Loss * w, h - this.Gain * (1.0 - w))

        member _.Anchored = false
        member _.Keep(before, found, _, _) = Math.Min(before, found)

/// The straight line between neighbours, kept within the bounds: an estimate.
[<Struct>]
type internal Interpolation =
    interface IEnvelope with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        member _.Between(l, h, w) = l + w * (h - l)

        member _.Anchored = false
        member _.Keep(_, found, lower, upper) = Math.Max(lower, Math.Min(upper, found))

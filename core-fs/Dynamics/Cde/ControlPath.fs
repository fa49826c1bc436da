namespace ValueFlow.Core.Dynamics

open System
open TorchSharp
open ValueFlow.Core.Foundations

/// A path X(t) that drives a controlled equation, smooth between its knots: values of shape (batch, channels).
///
/// Series with times of their own share knots 0, 1, 2, ... and carry their time as a channel: what a controlled equation makes of a path does not depend on how
/// fast it is run through.
[<NoComparison; NoEquality>]
type ControlPath =
    {
        /// The name in reports.
        Name: string
        /// The knots, ascending; at least two.
        Knots: float[]
        /// Rows and channels of the values.
        Shape: struct (int64 * int64)
        /// X(t) by the piece of a number (from knot i to knot i + 1), at a time within it.
        Value: int -> float -> torch.Tensor
        /// X'(t) by the piece of a number: at a knot, that of the side of the piece.
        Derivative: int -> float -> torch.Tensor
    }

/// Makes paths from data.
[<RequireQualifiedAccess>]
module ControlPath =

    let private requireKnots (knots: float[]) : unit =
        if knots.Length < 2 then
            invalidArg (nameof knots) $"there must be at least 2 knots but there are {knots.Length}"

        Shape.requireFinite (nameof knots) knots

        for i in 1 .. knots.Length - 1 do
            if not (knots[i] > knots[i - 1]) then
                invalidArg (nameof knots) $"knots must ascend but {knots[i - 1]} is followed by {knots[i]}"

    let private requireValues (knots: float[]) (values: torch.Tensor) : unit =
        requireKnots knots
        Shape.require (nameof values) [ -1L; int64 knots.Length; -1L ] values

        if values.dtype <> torch.float32 && values.dtype <> torch.float64 then
            invalidArg (nameof values) $"type must be Float32 or Float64 but is {values.dtype}"

        if values.NumberOfElements = 0L then
            invalidArg (nameof values) "there must be at least one row and one channel but there is none"

        if not (Lifetime.within (fun () -> (values.detach().isfinite().all()).item<bool>())) then
            invalidArg (nameof values) "all values must be finite but some are not: fill the gaps, and add a channel that says so"

    // Weights of knots, by piece and time, for the value and for the derivative.
    let private create
        (name: string)
        (knots: float[])
        (values: torch.Tensor)
        (value: int -> float -> struct (int * float)[])
        (derivative: int -> float -> struct (int * float)[])
        : ControlPath =
        requireValues knots values

        let combine (weights: struct (int * float)[]) : torch.Tensor =
            Lifetime.keep (fun () ->
                weights
                |> Array.map (fun (struct (knot, weight)) -> Elementwise.times weight (values.select (1L, int64 knot)))
                |> Array.reduce Elementwise.sum)

        {
            Name = name
            Knots = Array.copy knots
            Shape = struct (values.shape[0], values.shape[2])
            Value = fun piece t -> combine (value piece t)
            Derivative = fun piece t -> combine (derivative piece t)
        }

    /// Straight lines from knot to knot. Values have the shape (batch, knots, channels), all finite; the path reads them at every call, and gradients pass to them.
    let linear (knots: float[]) (values: torch.Tensor) : ControlPath =
        create
            "linear"
            knots
            values
            (fun i t ->
                let share = (t - knots[i]) / (knots[i + 1] - knots[i])
                [| struct (i, 1.0 - share); struct (i + 1, share) |])
            (fun i _ ->
                let rate = 1.0 / (knots[i + 1] - knots[i])
                [| struct (i, -rate); struct (i + 1, rate) |])

    /// Cubics with Hermite's conditions: at a knot the slope is the backward difference (x_i - x_(i-1)) / (t_i - t_(i-1)), at the first one the forward one. Once
    /// continuously differentiable, and a piece knows nothing of what comes after it: fit for series that are read as they arrive.
    /// Morrill, Kidger, Yang and Lyons 2021, "Neural controlled differential equations for online prediction tasks". Shapes as for <c>linear</c>.
    let hermite (knots: float[]) (values: torch.Tensor) : ControlPath =
        let slope (at: int) : struct (int * float)[] =
            let i = max at 1
            let rate = 1.0 / (knots[i] - knots[i - 1])
            [| struct (i - 1, -rate); struct (i, rate) |]

        let weigh (factor: float) (weights: struct (int * float)[]) =
            weights |> Array.map (fun (struct (knot, weight)) -> struct (knot, factor * weight))

        // The four cubics of Hermite (or their derivatives) on the values and slopes at both ends.
        let piece (basis: float -> struct (float * float * float * float)) (outer: float -> float) (i: int) (t: float) =
            let h = knots[i + 1] - knots[i]
            let struct (first, firstSlope, last, lastSlope) = basis ((t - knots[i]) / h)

            Array.concat
                [
                    [| struct (i, first * outer h); struct (i + 1, last * outer h) |]
                    weigh (firstSlope * h * outer h) (slope i)
                    weigh (lastSlope * h * outer h) (slope (i + 1))
                ]

        let value (s: float) =
            struct ((1.0 + 2.0 * s) * (1.0 - s) * (1.0 - s), s * (1.0 - s) * (1.0 - s), s * s * (3.0 - 2.0 * s), s * s * (s - 1.0))

        let rate (s: float) = struct (6.0 * s * (s - 1.0), (1.0 - s) * (1.0 - 3.0 * s), 6.0 * s * (1.0 - s), s * (3.0 * s - 2.0))

        create "cubic Hermite" knots values (piece value (fun _ -> 1.0)) (piece rate (fun h -> 1.0 / h))

    /// X(clock(s)) with knots of its own, which the clock takes to the path's knots; the clock's derivative is given. Throws an ArgumentException where the clock misses a knot
    /// by more than 1e-9 of the path's span, or its derivative is not the numerical one there.
    let reparametrised (knots: float[]) (clock: float -> float) (rate: float -> float) (path: ControlPath) : ControlPath =
        requireKnots knots
        Shape.requireLength (nameof knots) path.Knots.Length knots.Length
        let last = knots.Length - 1
        let span = path.Knots[last] - path.Knots[0]

        knots
        |> Array.iteri (fun i s ->
            if not (abs (clock s - path.Knots[i]) <= 1e-9 * span) then
                invalidArg (nameof clock) $"the clock must take knot {i} to {path.Knots[i]} but takes it to {clock s}")

        for i in 0 .. last - 1 do
            let middle, h = 0.5 * (knots[i] + knots[i + 1]), 1e-4 * (knots[i + 1] - knots[i])
            let measured = (clock (middle + h) - clock (middle - h)) / (2.0 * h)

            if not (abs (rate middle - measured) <= 1e-4 * (abs measured + 1e-9 * span / h)) then
                invalidArg (nameof rate) $"the rate must be {measured} (numerically) at {middle} but is {rate middle}"

        { path with
            Name = $"{path.Name}, by another clock"
            Knots = Array.copy knots
            Value = fun piece s -> path.Value piece (clock s)
            Derivative = fun piece s -> Lifetime.keep (fun () -> Elementwise.times (rate s) (path.Derivative piece (clock s)))
        }

    /// X(t), (batch, channels), at a time between the first and the last knot.
    let at (path: ControlPath) (t: float) : torch.Tensor =
        let last = path.Knots.Length - 1

        if not (t >= path.Knots[0] && t <= path.Knots[last]) then
            invalidArg (nameof t) $"time must lie in [{path.Knots[0]}, {path.Knots[last]}] but is {t}"

        let found = Array.BinarySearch(path.Knots, t)
        path.Value (min (last - 1) (if found >= 0 then found else ~~~found - 1)) t

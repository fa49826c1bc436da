namespace ValueFlow.Core.Flows

open System

/// Noise levels e(t) >= 0 of sampling. Every one leads to the same marginal laws (Albergo, Boffi and Vanden-Eijnden 2023, "Stochastic Interpolants", section 2.4):
/// dX = (b + e s) dt + sqrt(2 e) dW has the law of x_t at every time t, with b the velocity and s the score. They differ in what errors of the model and of the steps do.
[<RequireQualifiedAccess>]
module NoiseLevel =

    let private requireLevel (name: string) (value: float) : unit =
        if not (value >= 0.0 && Double.IsFinite value) then
            invalidArg name $"must be finite and not negative but is {value}"

    /// No noise: the ordinary equation of the velocity.
    let none: Schedule = Schedule.constant 0.0

    /// The same level at all times.
    let constant (level: float) : Schedule =
        requireLevel (nameof level) level
        Schedule.constant level

    /// 4 e t (1 - t): e in the middle, nothing at the ends.
    let parabola (most: float) : Schedule =
        requireLevel (nameof most) most
        Schedule.create (fun t -> 4.0 * most * t * (1.0 - t)) (fun t -> 4.0 * most * (1.0 - 2.0 * t))

    /// The level between two interior times, and no noise before and after them. The score is then asked for only between them, so that singular ends are no matter; and since every level
    /// keeps the marginal laws, this cut-off has no bias. It has the derivative of the level inside, and jumps at the two times.
    let inside (first: InteriorTime) (last: InteriorTime) (level: Schedule) : Schedule =
        let within =
            match first.IsShared, last.IsShared with
            | true, true when first[0] <= last[0] -> fun t -> t >= first[0] && t <= last[0]
            | true, true -> invalidArg (nameof last) $"must not lie before {first[0]} but is {last[0]}"
            | _ -> invalidArg (nameof first) "both must be one time for the whole batch, not times of rows"

        Schedule.create (fun t -> if within t then level.Value t else 0.0) (fun t -> if within t then level.Derivative t else 0.0)

    /// sqrt(2 e(t)): what multiplies dW. Throws an ArgumentException where the level is negative or not finite.
    let deviation (level: Schedule) (t: float) : float =
        let e = level.Value t

        if not (e >= 0.0 && Double.IsFinite e) then
            invalidArg (nameof level) $"must be finite and not negative but is {e} at t = {t}"

        sqrt (2.0 * e)

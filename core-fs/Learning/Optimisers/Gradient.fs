namespace ValueFlow.Core.Learning

#nowarn "9" // native pointers into pinned arrays

open System
open System.Runtime.Intrinsics

/// The length of a gradient, and its bound.
[<RequireQualifiedAccess>]
module Gradient =

    /// The Euclidean norm, summed in float64, in an order that does not depend on the machine.
    let norm (gradient: float32[]) : float =
        use p = fixed gradient
        let mutable low = Vector256<float>.Zero
        let mutable high = Vector256<float>.Zero
        let whole = gradient.Length &&& ~~~7
        let mutable i = 0

        while i < whole do
            let x = Simd.load p i
            let a: Vector256<float> = Vector256.WidenLower x
            let b: Vector256<float> = Vector256.WidenUpper x
            low <- low + a * a
            high <- high + b * b
            i <- i + 8

        let mutable sum = Vector256.Sum(low + high)

        while i < gradient.Length do
            sum <- sum + float gradient[i] * float gradient[i]
            i <- i + 1

        sqrt sum

    let internal scaleInto (factor: float) (gradient: float32[]) : unit =
        let factor = float32 factor

        for i in 0 .. gradient.Length - 1 do
            gradient[i] <- factor * gradient[i]

    let internal requireLimit (limit: float) =
        if not (limit > 0.0) then
            invalidArg (nameof limit) $"the largest norm must be positive but is {limit}"

    /// g, or g limit / |g| where |g| is above the limit. Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent neural networks".
    let clip (limit: float) (gradient: float32[]) : float32[] =
        requireLimit limit
        let size = norm gradient
        let clipped = Array.copy gradient

        if size > limit then
            scaleInto (limit / size) clipped

        clipped

namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// An increasing map of values, and its inverse: other coordinates to learn and to iterate in.
type ValueMap =
    {
        /// The name, with its parameters.
        Name: string
        /// f.
        Forward: float -> float
        /// f^-1 on the range of f.
        Backward: float -> float
        /// The least value that f takes; -infinity where it takes all.
        Least: float
        /// Who proposed it: author, year, title.
        Source: string
    }

/// Maps of values.
[<RequireQualifiedAccess>]
module ValueMap =

    let private positive (name: string) (x: float) =
        if not (x > 0.0 && Double.IsFinite x) then
            invalidArg name $"{name} must be positive and finite but is {x}"

    /// f(x) = c log(x + gamma^k) + d with d = -c k log gamma, so that f(0) = 0; for x &gt; -gamma^k. Gaps between gamma^n and gamma^(n+1) become alike for n well below k.
    /// van Seijen, Fatemi and Tavakoli 2019, "Using a logarithmic mapping to enable lower discount factors in reinforcement learning".
    let logarithmic (c: float) (gamma: float) (k: int) : ValueMap =
        positive (nameof c) c

        if not (gamma > 0.0 && gamma < 1.0) then
            invalidArg (nameof gamma) $"gamma must lie in (0, 1) but is {gamma}"

        if k < 1 then
            invalidArg (nameof k) $"k must be at least 1 but is {k}"

        let shift = Math.Pow(gamma, float k)
        // f(x) = c log(1 + x / gamma^k): the same, without the cancellation of d.
        {
            Name = $"logarithmic({c}, {gamma}, {k})"
            Forward = fun x -> c * log ((x + shift) / shift)
            Backward = fun y -> shift * exp (y / c) - shift
            Least = -shift
            Source = "van Seijen, Fatemi and Tavakoli 2019"
        }

    /// f(x) = sign(x) (sqrt(|x| + 1) - 1) + e x, for e &gt; 0.
    /// Pohlen et al. 2018, "Observe and look further: achieving consistent performance on Atari".
    let signedHyperbolic (e: float) : ValueMap =
        positive (nameof e) e

        {
            Name = $"signed hyperbolic({e})"
            Forward = fun x -> float (sign x) * (sqrt (abs x + 1.0) - 1.0) + e * x
            Backward =
                fun y ->
                    // sqrt(|x| + 1) solves e u^2 + u - (1 + e + |y|) = 0; written without the difference of two near numbers.
                    let u = 2.0 * (1.0 + e + abs y) / (1.0 + sqrt (1.0 + 4.0 * e * (1.0 + e + abs y)))
                    float (sign y) * (u * u - 1.0)
            Least = Double.NegativeInfinity
            Source = "Pohlen et al. 2018"
        }

    /// f(x) = sign(x) |x|^p, for p &gt; 0.
    let signedPower (p: float) : ValueMap =
        positive (nameof p) p

        {
            Name = $"signed power({p})"
            Forward = fun x -> float (sign x) * Math.Pow(abs x, p)
            Backward = fun y -> float (sign y) * Math.Pow(abs y, 1.0 / p)
            Least = Double.NegativeInfinity
            Source = "Box and Cox 1964, \"An analysis of transformations\", in the signed form"
        }

    /// Straight lines through the points (xs[i], ys[i]), both strictly increasing, with the outer slopes beyond the ends; at least two points.
    let piecewiseLinear (xs: float[]) (ys: float[]) : ValueMap =
        Shape.requireLength (nameof ys) xs.Length ys.Length
        Shape.requireFinite (nameof xs) xs
        Shape.requireFinite (nameof ys) ys

        if xs.Length < 2 then
            invalidArg (nameof xs) $"there must be at least 2 points but there are {xs.Length}"

        for name, numbers in [ nameof xs, xs; nameof ys, ys ] do
            for i in 1 .. numbers.Length - 1 do
                if not (numbers[i] > numbers[i - 1]) then
                    invalidArg name $"points must increase but entry {i} is {numbers[i]} after {numbers[i - 1]}"

        let xs, ys = Array.copy xs, Array.copy ys

        let along (from: float[]) (onto: float[]) (x: float) =
            let found = Array.BinarySearch(from, x)
            let i = Math.Clamp((if found >= 0 then found else ~~~found) - 1, 0, from.Length - 2)
            let share = (x - from[i]) / (from[i + 1] - from[i])
            (1.0 - share) * onto[i] + share * onto[i + 1]

        {
            Name = $"piecewise linear({xs.Length} points)"
            Forward = along xs ys
            Backward = along ys xs
            Least = Double.NegativeInfinity
            Source = "stated by the user"
        }

    /// An operator in other coordinates: f . T . f^-1, place by place. It contracts by the same modulus, in the metric |f^-1 x - f^-1 y|, and in general in no other.
    let conjugate (map: ValueMap) (operator: Operator<float[]>) : Operator<float[]> =
        Operator.conjugate map.Name Space.vectors (Array.map map.Forward) (Array.map map.Backward) operator

namespace ValueFlow.Core.Foundations

open System

/// A kernel on R^d, made of the squared distance of two points, whose MMD is a distance between laws.
type MmdKernel =
    /// The mean over bandwidths h of exp(-|x - y|^2 / (2 h^2)).
    | Gaussian of bandwidths: float list
    /// Gaussian, the bandwidth being the median distance between different points of the two samples (1 where all points are equal).
    | GaussianByMedian
    /// (c^2 + |x - y|^2)^(-1/2): the inverse multiquadric of a scale c.
    | InverseMultiquadric of scale: float
    /// -|x - y|^b for an exponent b in (0, 2): MMD^2 is the generalised energy distance. It is homogeneous: scaling both laws by c scales MMD^2 by c^b.
    | EnergyKernel of exponent: float

/// Distances between samples that are means over pairs of points: quadratic time, no optimisation.
[<RequireQualifiedAccess>]
module Discrepancy =

    // sum_ij w_i w'_j k(|x_i - y_j|^2), with or without the pairs of a point with itself.
    let private mean (kernel: float -> float) (first: Sample) (second: Sample) =
        let mutable total = 0.0

        for i in 0 .. first.Count - 1 do
            let mutable sum = 0.0

            for j in 0 .. second.Count - 1 do
                sum <- sum + second.Masses[j] * kernel (Ground.between SquaredEuclidean first.Axes i second.Axes j)

            total <- total + first.Masses[i] * sum

        total

    /// 2 E|X - Y| - E|X - X'| - E|Y - Y'|, all pairs counted, a point with itself included: not negative, and zero only where the two laws are equal.
    /// Szekely and Rizzo 2013, "Energy statistics: a class of statistics based on distances".
    let energy (first: Sample) (second: Sample) : float =
        Sample.RequireSame(nameof second, first, second)
        let value = 2.0 * mean sqrt first second - mean sqrt first first - mean sqrt second second
        Math.Max(0.0, value)

    /// The median distance between different points of the two samples together, 1 where all points are equal: the usual bandwidth of a Gaussian kernel. Of more than
    /// a thousand points every so many-th is taken. Gretton et al. 2012, "A kernel two-sample test", section 8.
    let medianDistance (first: Sample) (second: Sample) : float =
        Sample.RequireSame(nameof second, first, second)
        let axes = Array.map2 (fun (a: float[]) (b: float[]) -> Array.append a b) first.Axes second.Axes
        let count = first.Count + second.Count
        // Of many points, every so many-th: the median needs no more than half a million pairs.
        let stride = Math.Max(1, count / 1000)

        let distances =
            [|
                for i in 0..stride .. count - 1 do
                    for j in 0..stride .. i - 1 do
                        let square = Ground.between SquaredEuclidean axes i axes j

                        if square > 0.0 then
                            square
            |]

        if distances.Length = 0 then
            1.0
        else
            Array.Sort distances
            sqrt distances[distances.Length / 2]

    let private profile (kernel: MmdKernel) (first: Sample) (second: Sample) : float -> float =
        let positive (name: string) (value: float) =
            if not (value > 0.0 && Double.IsFinite value) then
                invalidArg (nameof kernel) $"{name} must be positive and finite but is {value}"

        let gaussian (bandwidths: float list) =
            if bandwidths.IsEmpty then
                invalidArg (nameof kernel) "there must be at least one bandwidth but there is none"

            bandwidths |> List.iter (positive "a bandwidth")
            let rates = bandwidths |> List.map (fun h -> -0.5 / (h * h)) |> Array.ofList
            fun square -> Array.averageBy (fun rate -> exp (rate * square)) rates

        match kernel with
        | Gaussian bandwidths -> gaussian bandwidths
        | GaussianByMedian -> gaussian [ medianDistance first second ]
        | InverseMultiquadric scale ->
            positive "the scale" scale
            fun square -> 1.0 / sqrt (scale * scale + square)
        | EnergyKernel exponent ->
            if not (exponent > 0.0 && exponent < 2.0) then
                invalidArg (nameof kernel) $"the exponent must lie in (0, 2) but is {exponent}"

            fun square -> -Math.Pow(square, 0.5 * exponent)

    /// MMD^2 as a V-statistic, E k(X, X') + E k(Y, Y') - 2 E k(X, Y) over all pairs: not negative, biased upwards.
    /// Gretton, Borgwardt, Rasch, Scholkopf and Smola 2012, "A kernel two-sample test".
    let squaredMmd (kernel: MmdKernel) (first: Sample) (second: Sample) : float =
        Sample.RequireSame(nameof second, first, second)
        let k = profile kernel first second
        Math.Max(0.0, mean k first first + mean k second second - 2.0 * mean k first second)

    /// MMD^2 as a U-statistic: a point is not paired with itself. Unbiased for equal weights, may be negative. Throws an ArgumentException for samples of fewer
    /// than two points, and for unequal weights.
    let unbiasedSquaredMmd (kernel: MmdKernel) (first: Sample) (second: Sample) : float =
        Sample.RequireSame(nameof second, first, second)

        for name, sample in [ nameof first, first; nameof second, second ] do
            if sample.Count < 2 then
                invalidArg name $"a sample must have at least 2 points but has {sample.Count}"

            if not sample.IsUniform then
                invalidArg name "points must have equal weights"

        let k = profile kernel first second

        let within (sample: Sample) =
            let n = float sample.Count
            (n * mean k sample sample - k 0.0) / (n - 1.0)

        within first + within second - 2.0 * mean k first second

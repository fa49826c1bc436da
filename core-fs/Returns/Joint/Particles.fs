namespace ValueFlow.Core.Returns

open System
open System.Threading
open ValueFlow.Core.Foundations

/// Laws of M points of equal weight, moved by the gradient of MMD^2 to a target: with k(x, y) the kernel,
///
///   MMD^2 = 1/M^2 sum over i, j of k(x_i, x_j) - 2/M sum over i, j of w_j k(x_i, y_j) + a part without x.
///
/// Nguyen, Gupta and Venkatesh 2021, "Distributional reinforcement learning via moment matching"; Zhang et al. 2021 for several rewards.
[<RequireQualifiedAccess>]
module Particles =

    // 2 k'(q) for a kernel k of the squared distance q: the gradient in x of k(|x - y|^2) is that times (x - y). Zero at q = 0, where the energy kernel has a kink.
    let private slope (kernel: MmdKernel) : float -> float =
        let positive (name: string) (value: float) =
            if not (value > 0.0 && Double.IsFinite value) then
                invalidArg (nameof kernel) $"{name} must be positive and finite but is {value}"

        match kernel with
        | Gaussian bandwidths ->
            if bandwidths.IsEmpty then
                invalidArg (nameof kernel) "there must be at least one bandwidth but there is none"

            bandwidths |> List.iter (positive "a bandwidth")
            let rates = bandwidths |> List.map (fun h -> 1.0 / (h * h)) |> Array.ofList
            fun q -> -(rates |> Array.averageBy (fun rate -> rate * exp (-0.5 * rate * q)))
        | GaussianByMedian ->
            invalidArg (nameof kernel) "the kernel must be one for all points but GaussianByMedian follows the points: choose bandwidths"
        | InverseMultiquadric scale ->
            positive "the scale" scale
            fun q -> -Math.Pow(scale * scale + q, -1.5)
        | EnergyKernel exponent ->
            if not (exponent > 0.0 && exponent < 2.0) then
                invalidArg (nameof kernel) $"the exponent must lie in (0, 2) but is {exponent}"

            if exponent = 1.0 then
                fun q -> if q > 0.0 then -1.0 / sqrt q else 0.0
            else
                fun q -> if q > 0.0 then -exponent * Math.Pow(q, 0.5 * exponent - 1.0) else 0.0

    // sum over j of w_j 2 k'(|x - y_j|^2) (x - y_j), added to a vector with a factor.
    let private pull (slope: float -> float) (factor: float) (x: float[]) (axes: float[][]) (weights: float[]) (sum: float[]) =
        for j in 0 .. weights.Length - 1 do
            let mutable q = 0.0

            for k in 0 .. x.Length - 1 do
                let gap = x[k] - axes[k].[j]
                q <- q + gap * gap

            let weight = factor * weights[j] * slope q

            for k in 0 .. x.Length - 1 do
                sum[k] <- sum[k] + weight * (x[k] - axes[k].[j])

    let private requireParticles (particles: Sample) =
        if not particles.IsUniform then
            invalidArg (nameof particles) "points must have equal weights"

    /// For each particle M times the gradient of MMD^2(particles, target) in its coordinates (the target stands still): a step against it is of the same size however many particles there are. Particles
    /// weigh the same; where two points meet, the pair counts as zero. Throws an ArgumentException for GaussianByMedian, whose bandwidth follows the points.
    let gradient (kernel: MmdKernel) (particles: Sample) (target: Sample) : float[][] =
        Sample.RequireSame(nameof target, particles, target)
        requireParticles particles
        let slope = slope kernel

        Array.init particles.Count (fun i ->
            let x, sum = particles.Point i, Array.zeroCreate<float> particles.Dimension
            pull slope 2.0 x particles.Axes particles.Masses sum
            pull slope -2.0 x target.Axes target.Masses sum
            sum)

    /// x_i - rate * M * (gradient at x_i): one step towards the target.
    let step (kernel: MmdKernel) (rate: float) (particles: Sample) (target: Sample) : Sample =
        if not (rate > 0.0 && Double.IsFinite rate) then
            invalidArg (nameof rate) $"the rate must be positive and finite but is {rate}"

        let gradient = gradient kernel particles target
        Sample.OfPoints(Array.init particles.Count (fun i -> Array.map2 (fun x g -> x - rate * g) (particles.Point i) gradient[i]))

    /// M points of equal weight that stand for a law: drawn from it, then moved against the gradient of MMD^2 for a number of steps, the rate of step t being rate / sqrt t. Not a
    /// minimum in general: the problem has many.
    let project
        (generator: Generator)
        (kernel: MmdKernel)
        (count: int)
        (steps: int)
        (rate: float)
        (cancellation: CancellationToken)
        (law: Sample)
        : Sample =
        if count < 1 then
            invalidArg (nameof count) $"there must be at least one particle but there are {count}"

        if steps < 0 then
            invalidArg (nameof steps) $"steps must not be negative but are {steps}"

        let drawn = Sample.OfPoints(Array.init count (fun _ -> law.Point(Sampling.index generator (ReadOnlySpan law.Masses))))

        // Equal points feel the same pull: a hair of noise parts them.
        let width = law.Axes |> Array.map (fun axis -> Array.max axis - Array.min axis) |> Array.max

        let start =
            Sample.OfPoints(Array.init count (fun i -> drawn.Point i |> Array.map (fun x -> x + 1e-6 * width * Sampling.normal generator)))

        let mutable particles = start

        for t in 1..steps do
            cancellation.ThrowIfCancellationRequested()
            particles <- step kernel (rate / sqrt (float t)) particles law

        particles

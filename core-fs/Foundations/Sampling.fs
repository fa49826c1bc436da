namespace ValueFlow.Core.Foundations

open MathNet.Numerics.Random

/// Randomness is an argument: a generator is made from a seed and handed on, and nothing else is random.
/// The same seed gives the same numbers on every machine.
[<Sealed>]
type Generator private (source: Xoshiro256StarStar, seed: int) =

    /// The generator of a seed (xoshiro256**; Blackman and Vigna 2021, "Scrambled linear pseudorandom number generators").
    new(seed: int) = Generator(Xoshiro256StarStar(seed, false), seed)

    /// The seed that this generator was made from.
    member _.Seed = seed

    /// A number in [0, 1).
    member _.Uniform() : float = source.NextDouble()

    /// A whole number in [0, count).
    member _.Below(count: int) : int =
        if count <= 0 then
            invalidArg (nameof count) $"count must be positive but is {count}"

        source.Next count

    /// A generator of its own, for a part of the work that must not depend on how much the rest draws.
    member _.Split() : Generator = Generator(source.Next())

/// Draws from distributions, generator first.
[<RequireQualifiedAccess>]
module Sampling =

    /// A number from the standard normal law.
    let normal (generator: Generator) : float =
        let radius = sqrt (-2.0 * log (1.0 - generator.Uniform()))
        radius * cos (2.0 * System.Math.PI * generator.Uniform())

    /// A tensor of independent standard normal numbers, made from one draw of the generator by <c>KeyedNoise</c>: the same on every machine. It carries no graph.
    let normals
        (generator: Generator)
        (dtype: TorchSharp.torch.ScalarType)
        (device: TorchSharp.torch.Device)
        (shape: int64[])
        : TorchSharp.torch.Tensor =
        let numbers: float[] = Array.zeroCreate (int (Array.fold (*) 1L shape))
        KeyedNoise.normals (KeyedNoise.key (generator.Below System.Int32.MaxValue)) numbers

        Lifetime.keepDetached (fun () -> (TorchSharp.torch.tensor (numbers, dtype = dtype, device = device)).reshape shape)

    /// An index with probability proportional to its weight. Weights are not negative and have a positive sum.
    let index (generator: Generator) (weights: System.ReadOnlySpan<float>) : int =
        let mutable total = 0.0

        for weight in weights do
            total <- total + weight

        if not (total > 0.0 && System.Double.IsFinite total) then
            invalidArg (nameof weights) $"weights must have a positive finite sum but have {total}"

        let mutable left = generator.Uniform() * total
        let mutable chosen = -1
        let mutable i = 0

        while i < weights.Length do
            if weights[i] > 0.0 && (chosen < 0 || left >= 0.0) then
                chosen <- i

            left <- left - weights[i]
            i <- if left < 0.0 && chosen >= 0 then weights.Length else i + 1

        chosen

    /// A point of the simplex, uniform: the gaps between sorted uniform numbers.
    let simplex (generator: Generator) (size: int) : float[] =
        let cuts = Array.init (size - 1) (fun _ -> generator.Uniform()) |> Array.sort
        Array.init size (fun i -> (if i = size - 1 then 1.0 else cuts[i]) - (if i = 0 then 0.0 else cuts[i - 1]))

    /// A number from the gamma law of a shape and scale 1. Marsaglia and Tsang 2000, "A simple method for generating gamma variables".
    let rec gamma (generator: Generator) (shape: float) : float =
        if not (shape > 0.0 && System.Double.IsFinite shape) then
            invalidArg (nameof shape) $"shape must be positive and finite but is {shape}"

        if shape < 1.0 then
            gamma generator (shape + 1.0) * System.Math.Pow(1.0 - generator.Uniform(), 1.0 / shape)
        else
            let d = shape - 1.0 / 3.0
            let mutable accepted = nan

            while System.Double.IsNaN accepted do
                let x = normal generator
                let v = System.Math.Pow(1.0 + x / sqrt (9.0 * d), 3.0)

                if v > 0.0 && log (1.0 - generator.Uniform()) < 0.5 * x * x + d - d * v + d * log v then
                    accepted <- d * v

            accepted

    /// A point of the simplex from the Dirichlet law whose concentrations are all the same: near corners below 1, uniform at 1, near the middle above.
    let dirichlet (generator: Generator) (concentration: float) (size: int) : float[] =
        let weights = Array.init size (fun _ -> gamma generator concentration)
        let total = Array.sum weights

        // Tiny concentrations may underflow altogether: then all mass is on one corner.
        if total > 0.0 then
            weights |> Array.map (fun weight -> weight / total)
        else
            let corner = generator.Below size
            Array.init size (fun i -> if i = corner then 1.0 else 0.0)

    /// <c>count</c> different whole numbers below <c>bound</c>, in random order.
    let distinct (generator: Generator) (count: int) (bound: int) : int[] =
        if count < 0 || count > bound then
            invalidArg (nameof count) $"count must lie in [0, {bound}] but is {count}"

        let moved = System.Collections.Generic.Dictionary<int, int>()
        let at index = if moved.ContainsKey index then moved[index] else index

        Array.init count (fun i ->
            let j = i + generator.Below(bound - i)
            let chosen = at j
            moved[j] <- at i
            chosen)

    /// A libtorch generator with the seed of this one's next draw, for tensors.
    let torchGenerator (generator: Generator) : TorchSharp.torch.Generator =
        new TorchSharp.torch.Generator(uint64 (generator.Below System.Int32.MaxValue))

namespace ValueFlow.Core.Foundations

open System
open System.Numerics.Tensors

/// Random numbers as a pure function of a key: whoever asks again, in whatever order, gets the same ones. What a refinable path and a run that can be resumed need.
///
/// Keys are mixed by SplitMix64, whose numbers they also seed (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
[<RequireQualifiedAccess>]
module KeyedNoise =

    let private golden = 0x9E3779B97F4A7C15UL

    let private mix (z: uint64) : uint64 =
        let z = (z ^^^ (z >>> 30)) * 0xBF58476D1CE4E5B9UL
        let z = (z ^^^ (z >>> 27)) * 0x94D049BB133111EBUL
        z ^^^ (z >>> 31)

    /// The key of a seed.
    let key (seed: int) : uint64 = mix (uint64 (uint32 seed) + golden)

    /// The key of a part of what a key stands for: of a node of a tree, say, or of a step of a run.
    let sub (key: uint64) (part: int64) : uint64 = mix (key ^^^ mix (uint64 part + golden))

    // (0, 1], and [0, 1): the upper 53 bits.
    let private unit = 1.0 / 9007199254740992.0

    /// Fills the destination with independent numbers that are uniform on (0, 1].
    let uniforms (key: uint64) (destination: Span<float>) : unit =
        for i in 0 .. destination.Length - 1 do
            destination[i] <- float ((mix (key + golden * uint64 (i + 1)) >>> 11) + 1UL) * unit

    /// Fills the destination with independent standard normal numbers. Box and Muller 1958, "A note on the generation of random normal deviates".
    let normals (key: uint64) (destination: float[]) : unit =
        let pairs = (destination.Length + 1) / 2
        let numbers = Array.zeroCreate<float>(4 * pairs)
        uniforms key (Span(numbers, 0, 2 * pairs))
        let radius = Span(numbers, 0, pairs)
        let angle = Span(numbers, pairs, pairs)
        let sine = Span(numbers, 2 * pairs, pairs)
        let cosine = Span(numbers, 3 * pairs, pairs)
        TensorPrimitives.Log(Span.op_Implicit radius, radius)
        TensorPrimitives.Multiply(Span.op_Implicit radius, -2.0, radius)
        TensorPrimitives.Sqrt(Span.op_Implicit radius, radius)
        TensorPrimitives.Multiply(Span.op_Implicit angle, 2.0 * Math.PI, angle)
        TensorPrimitives.SinCos(Span.op_Implicit angle, sine, cosine)
        let rest = destination.Length - pairs
        TensorPrimitives.Multiply(Span.op_Implicit radius, Span.op_Implicit cosine, Span(destination, 0, pairs))

        TensorPrimitives.Multiply(
            Span.op_Implicit (radius.Slice(0, rest)),
            Span.op_Implicit (sine.Slice(0, rest)),
            Span(destination, pairs, rest)
        )

/// What the tests of returns share: sketches that shrink, and the judge of a law.
module ValueFlow.Tests.Returns.Judge

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations

/// The seed of random trials: VALUEFLOW_SEED, or 1.
let seed: uint64 =
    match Environment.GetEnvironmentVariable "VALUEFLOW_SEED" with
    | null -> 1UL
    | text -> UInt64.Parse(text, Globalization.CultureInfo.InvariantCulture)

/// A law on the line as quarters with whole weights: ties, duplicates and points are common, and shrinking stays readable.
type LawSketch = NonEmptyArray<struct (int * PositiveInt)>

/// The law of a sketch.
let lawOf (sketch: LawSketch) : Distribution =
    let weights = sketch.Get |> Array.map (fun struct (_, w) -> float w.Get)
    let total = Array.sum weights
    Distribution.ofAtoms (sketch.Get |> Array.map (fun struct (x, _) -> float x / 4.0)) (weights |> Array.map (fun w -> w / total))

/// a &lt;= b up to rounding, labelled with both sides.
let atMost (a: float) (b: float) : Property = (a <= b + 1e-9 * (1.0 + abs b)) |> Prop.label $"{a} <= {b}"

/// a = b up to rounding.
let same (a: float) (b: float) : Property = (abs (a - b) <= 1e-9 * (1.0 + abs b)) |> Prop.label $"{a} = {b}"

/// a = b within a tolerance relative to 1 + |b|.
let within (tolerance: float) (a: float) (b: float) : Property = (abs (a - b) <= tolerance * (1.0 + abs b)) |> Prop.label $"{a} = {b}"

/// The law holds for three hundred sketches; throws with the shrunk counterexample.
let holds (law: 'sketch -> Property) : unit =
    Check.One(Config.QuickThrowOnFailure.WithMaxTest(300).WithReplay(seed, 1UL).WithQuietOnSuccess(true), law)

/// The law does not hold.
let refuted (law: 'sketch -> Property) : unit =
    let failed =
        try
            holds law
            false
        with _ ->
            true

    Assert.True(failed, "the mutant passed")

/// The exception names the argument and says what was found.
let refuses (argument: string) (found: string) (work: unit -> 'a) : unit =
    let error = Assert.ThrowsAny<ArgumentException>(fun () -> work () |> ignore)
    Assert.Equal(argument, error.ParamName)
    Assert.Contains(found, error.Message)

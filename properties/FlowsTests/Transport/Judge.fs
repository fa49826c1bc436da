/// What the tests of transport share: shrinking sketches of samples, and the judge of a law.
module ValueFlow.Tests.Flows.Judge

open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Flows

/// Two samples of equal size in the plane, as quarters: FsCheck makes and shrinks them; ties and duplicates are common, and costs are exact in float64.
type Pairs = NonEmptyArray<struct (int * int) * struct (int * int)>

let private point (struct (x, y): struct (int * int)) = [| float x / 4.0; float y / 4.0 |]

/// The samples of a sketch.
let samples (pairs: Pairs) : Sample * Sample =
    Sample.OfPoints(pairs.Get |> Array.map (fst >> point)), Sample.OfPoints(pairs.Get |> Array.map (snd >> point))

/// Squared distances of all pairs of points.
let squares (first: Sample) (second: Sample) : float[,] =
    Array2D.init first.Count second.Count (fun i j ->
        Array.fold2 (fun sum x y -> sum + (x - y) * (x - y)) 0.0 (first.Point i) (second.Point j))

/// a <= b up to rounding, labelled with both sides.
let atMost (a: float) (b: float) : Property = (a <= b + 1e-9 * (1.0 + abs b)) |> Prop.label $"{a} <= {b}"

/// a = b up to rounding.
let same (a: float) (b: float) : Property = (abs (a - b) <= 1e-9 * (1.0 + abs b)) |> Prop.label $"{a} = {b}"

/// The law holds for a few hundred sketches; throws with the shrunk counterexample.
let holds (law: 'sketch -> Property) : unit =
    Check.One(
        Config.QuickThrowOnFailure.WithMaxTest(300).WithReplay(ValueFlow.FlowsTests.Interpolants.Draw.seed, 1UL).WithQuietOnSuccess(true),
        law
    )

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
    let error = Assert.ThrowsAny<System.ArgumentException>(fun () -> work () |> ignore)
    Assert.Equal(argument, error.ParamName)
    Assert.Contains(found, error.Message)

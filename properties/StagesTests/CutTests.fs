/// Sets of cuts, and how far apart they are.
module ValueFlow.Tests.Stages.CutTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Stages

/// The seed of random trials: VALUEFLOW_SEED, or 1.
let seed: uint64 =
    match Environment.GetEnvironmentVariable "VALUEFLOW_SEED" with
    | null -> 1UL
    | text -> UInt64.Parse(text, Globalization.CultureInfo.InvariantCulture)

/// The law holds for so many sketches; throws with the shrunk counterexample.
let holdsFor (count: int) (law: 'sketch -> Property) : unit =
    Check.One(Config.QuickThrowOnFailure.WithMaxTest(count).WithReplay(seed, 1UL).WithQuietOnSuccess(true), law)

/// The law does not hold.
let refutedIn (count: int) (law: 'sketch -> Property) : unit =
    let failed =
        try
            holdsFor count law
            false
        with _ ->
            true

    Assert.True(failed, "the mutant passed")

/// a &lt;= b within a tolerance relative to 1 + |b|.
let atMost (tolerance: float) (a: float) (b: float) : Property = (a <= b + tolerance * (1.0 + abs b)) |> Prop.label $"{a} <= {b}"

/// a = b within a tolerance relative to 1 + |b|.
let within (tolerance: float) (a: float) (b: float) : Property = (abs (a - b) <= tolerance * (1.0 + abs b)) |> Prop.label $"{a} = {b}"

/// The exception names the argument and says what was found.
let refuses (argument: string) (found: string) (work: unit -> 'a) : unit =
    let error = Assert.ThrowsAny<ArgumentException>(fun () -> work () |> ignore)
    Assert.Contains(argument, error.ParamName)
    Assert.Contains(found, error.Message)

/// Numbers from which three sets of equally many cuts are read, as halves.
type Sets = NonEmptyArray<int>

let private sets (sketch: Sets) =
    let numbers = sketch.Get
    let count = 1 + numbers.Length / 9
    let number i = float numbers[i % numbers.Length] / 2.0

    let read first =
        Array.init (min 7 count) (fun k ->
            let i = 9 * k + 3 * first
            { Intercept = number i; Slopes = [| number (i + 1); number (i + 2) |] })

    struct (read 0, read 1, read 2)

[<Fact>]
let ``(4) the assignment distance is a metric, and does not see the order`` () =
    let law (distance: Cut[] -> Cut[] -> float) (sketch: Sets, turn: int) =
        let struct (x, y, z) = sets sketch
        let turned = Array.permute (fun i -> (i + abs (turn % 100)) % y.Length) y

        atMost 1e-9 (distance x z) (distance x y + distance y z)
        .&. within 1e-9 (distance x y) (distance y x)
        .&. within 1e-9 (distance x x) 0.0
        .&. within 1e-9 (distance x turned) (distance x y)
        .&. ((set x = set y || distance x y > 0.0) |> Prop.label "different sets lie apart")

    holdsFor 300 (law Cut.distance)

    let apart (x: Cut) (y: Cut) =
        sqrt ((x.Intercept - y.Intercept) ** 2.0 + Array.fold2 (fun sum p q -> sum + (p - q) ** 2.0) 0.0 x.Slopes y.Slopes)

    // Paired in the order of the lists.
    refutedIn 300 (law (fun x y -> Array.map2 apart x y |> Array.average))
    // Squares without a root.
    refutedIn 300 (law (fun x y -> (Cut.distance x y) ** 2.0))

[<Fact>]
let ``(4) squares without a root violate the triangle inequality: three cuts at 0, 1 and 2`` () =
    let at x = [| { Intercept = x; Slopes = [||] } |]
    let squared a b = (Cut.distance (at a) (at b)) ** 2.0
    Assert.True(squared 0.0 2.0 > squared 0.0 1.0 + squared 1.0 2.0)
    Assert.Equal(2.0, Cut.distance (at 0.0) (at 2.0))

[<Fact>]
let ``a set of cuts is convex, and its active cut a subgradient`` () =
    let law (value: Cut[] -> float[] -> float) (sketch: Sets, p: int, q: int, r: int, s: int) =
        let struct (cuts, _, _) = sets sketch
        let y, z = [| float p; float q |], [| float r; float s |]
        let middle = Array.map2 (fun a b -> 0.5 * (a + b)) y z
        let active = Cut.active cuts y
        let gain = Array.fold2 (fun sum b d -> sum + b * d) 0.0 active.Slopes (Array.map2 (-) z y)

        atMost 1e-9 (value cuts middle) (0.5 * (value cuts y + value cuts z))
        .&. atMost 1e-9 (value cuts y + gain) (value cuts z)

    holdsFor 300 (law (Cut.value -1e9))
    refutedIn 300 (law (fun cuts y -> cuts |> Array.map (fun cut -> cut.At y) |> Array.min))

[<Fact>]
let ``bad input is named`` () =
    let one = { Intercept = 0.0; Slopes = [| 1.0 |] }
    refuses "b" "1 and 0" (fun () -> Cut.distance [| one |] [||])
    refuses "cuts" "none" (fun () -> Cut.active [||] [| 0.0 |])
    refuses "state" "length must be 1" (fun () -> one.At [| 0.0; 1.0 |])

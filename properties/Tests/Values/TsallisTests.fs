/// The Tsallis summary of actions: no policy does better, its limits, and wrong variants refuted.
module ValueFlow.Tests.Values.TsallisTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Tests.Values.CertificateTests

/// Action values in quarters, weights of a prior and of another policy, and numbers for index and temperature.
type Sketch = { Actions: NonEmptyArray<struct (int * PositiveInt * NonNegativeInt)>; Index: int; Heat: int }

let private normalised (weights: float[]) = let total = Array.sum weights in weights |> Array.map (fun w -> w / total)
let private q sketch = sketch.Actions.Get |> Array.map (fun struct (x, _, _) -> float (x % 64) / 4.0)
let private prior sketch = sketch.Actions.Get |> Array.map (fun struct (_, w, _) -> float w.Get) |> normalised
let private index sketch = [| 1.0001; 1.001; 1.1; 1.5; 2.0; 2.5; 3.0; 8.0 |][abs (sketch.Index % 8)]
let private heat sketch = [| 0.01; 0.3; 1.0; 5.0 |][abs (sketch.Heat % 4)]

/// The summary of one state's action values.
let private choose (make: Model -> ActionSummary) (q: float[]) =
    let builder = ModelBuilder 1
    q |> Array.iteri (fun a x -> builder.Add(0, a, 0, 1.0, x))

    match builder.Build() with
    | Error errors -> invalidOp (ModelError.describe errors.Head)
    | Ok model -> (Bellman.Create(model, 0.0, Expectation(), make model).Operator.Apply [| 0.0 |])[0]

let private tsallis withPrior direction sketch =
    choose
        (fun model ->
            Tsallis(
                index sketch,
                heat sketch,
                (if withPrior then ValueSome(Policy.Stochastic(model, prior sketch)) else ValueNone),
                direction
            ))
        (q sketch)

// sum p q - t D(p).
let private gain withPrior sketch (p: float[]) =
    let k, t = index sketch, heat sketch
    let m = if withPrior then prior sketch else Array.create p.Length 1.0
    let divergence = ((Array.map2 (fun m p -> Math.Pow(m, 1.0 - k) * Math.Pow(p, k)) m p |> Array.sum) - 1.0) / (k - 1.0)
    (Array.map2 (*) p (q sketch) |> Array.sum) - t * divergence

let private rivals sketch =
    let x = q sketch
    let best = Array.max x
    let other = sketch.Actions.Get |> Array.map (fun struct (_, _, w) -> float w.Get)

    [
        prior sketch
        Array.create x.Length (1.0 / float x.Length)
        x |> Array.map (fun x -> if x = best then 1.0 else 0.0) |> normalised
        if Array.sum other > 0.0 then
            normalised other
        for sharpness in [ 0.1; 0.5; 1.0; 3.0; 30.0 ] do
            Array.map2 (fun m x -> m * exp (sharpness * (x - best))) (prior sketch) x |> normalised
        for width in [ 0.1; 1.0; 3.0; 10.0; 100.0 ] do
            x |> Array.map (fun x -> Math.Max(0.0, width - (best - x))) |> normalised
    ]

let private holdsWith (law: Sketch -> Property) =
    Check.One(Config.QuickThrowOnFailure.WithMaxTest(300).WithReplay(uint64 firstSeed, 1UL).WithQuietOnSuccess(true), law)

let private refuted (law: Sketch -> Property) =
    Assert.True(
        (try
            holdsWith law
            false
         with _ ->
             true),
        "the mutant passed"
    )

let private atMost tolerance a b = (a <= b + tolerance * (1.0 + abs a + abs b)) |> Prop.label $"{a} <= {b}"
let private same tolerance a b = (abs (a - b) <= tolerance * (1.0 + abs b)) |> Prop.label $"{a} = {b}"

let private noBetter withPrior (value: Sketch -> float) sketch =
    rivals sketch |> List.map (fun p -> atMost 1e-9 (gain withPrior sketch p) (value sketch)) |> List.reduce (.&.)

[<Fact>]
let ``no policy gains more`` () =
    for withPrior in [ false; true ] do
        holdsWith (noBetter withPrior (tsallis withPrior Direction.Maximise))

    // Without the entropy it is the largest value, or less; with half of it, too little.
    refuted (noBetter false (fun s -> Array.max (q s)))
    refuted (noBetter true (fun s -> tsallis true Direction.Maximise { s with Heat = s.Heat + 1 }))

[<Fact>]
let ``for costs it is the mirror image`` () =
    let mirrored (s: Sketch) =
        { s with
            Actions = NonEmptyArray.NonEmptyArray(s.Actions.Get |> Array.map (fun struct (x, w, o) -> struct (-(x % 64), w, o)))
        }

    for withPrior in [ false; true ] do
        holdsWith (fun s -> same 1e-12 (tsallis withPrior Direction.Minimise s) -(tsallis withPrior Direction.Maximise (mirrored s)))

    refuted (fun s -> same 1e-12 (tsallis true Direction.Minimise s) (tsallis true Direction.Maximise s))

[<Fact>]
let ``sparsemax is the projection on the simplex`` () =
    // The threshold by sorting: p = [(q - h) / (2 t)]+ sums to one.
    let plain s =
        let x, t = q s |> Array.map (fun x -> x / (2.0 * heat s)) |> Array.sortDescending, heat s
        let sums = x |> Array.scan (+) 0.0 |> Array.tail
        let support = [ 1 .. x.Length ] |> List.findBack (fun k -> 1.0 + float k * x[k - 1] > sums[k - 1])
        let level = (sums[support - 1] - 1.0) / float support
        let p = x |> Array.map (fun x -> Math.Max(0.0, x - level))
        (Array.map2 (fun p x -> p * 2.0 * t * x) p x |> Array.sum) + t * (1.0 - (p |> Array.sumBy (fun p -> p * p)))

    let value s = choose (fun _ -> Tsallis.Sparsemax(heat s, Direction.Maximise)) (q s)
    holdsWith (fun s -> same 1e-12 (value s) (plain s))
    refuted (fun s -> same 1e-12 (choose (fun _ -> Tsallis.Sparsemax(2.0 * heat s, Direction.Maximise)) (q s)) (plain s))

[<Fact>]
let ``near index one it is the log-sum-exp with the prior`` () =
    let near s =
        let make index model : ActionSummary =
            Tsallis(index, 2.0 + heat s, ValueSome(Policy.Stochastic(model, prior s)), Direction.Maximise)

        let limit = choose (fun model -> LogSumExp(2.0 + heat s, Policy.Stochastic(model, prior s))) (q s)
        struct (abs (choose (make 1.001) (q s) - limit), abs (choose (make 1.01) (q s) - limit))

    // The difference is of the order of index - 1: a tenth of the step, a tenth of the difference, within a third.
    holdsWith (fun s ->
        let struct (fine, coarse) = near s
        atMost 1e-9 fine (coarse / 6.0))

    refuted (fun s ->
        let struct (fine, coarse) = near s
        atMost 1e-9 fine (coarse / 30.0))

[<Fact>]
let ``an annealed mix goes from the best action to the policy`` () =
    let mixed w s = choose (fun model -> AnnealedMix(w, Policy.Stochastic(model, prior s), Direction.Maximise)) (q s)
    let mean s = Array.map2 (*) (prior s) (q s) |> Array.sum
    holdsWith (fun s -> same 1e-12 (mixed 0.0 s) (Array.max (q s)) .&. same 1e-12 (mixed 1.0 s) (mean s))
    holdsWith (fun s -> same 1e-12 (mixed 0.25 s) (0.75 * Array.max (q s) + 0.25 * mean s))
    refuted (fun s -> same 1e-12 (mixed 0.75 s) (0.75 * Array.max (q s) + 0.25 * mean s))

[<Fact>]
let ``bad parameters are refused by name`` () =
    let refuses (name: string) (found: string) (make: unit -> obj) =
        let error = Assert.ThrowsAny<ArgumentException>(fun () -> make () |> ignore)
        Assert.Equal(name, error.ParamName)
        Assert.Contains(found, error.Message)

    refuses "index" "1" (fun () -> Tsallis(1.0, 1.0, ValueNone, Direction.Maximise))
    refuses "index" "NaN" (fun () -> Tsallis(nan, 1.0, ValueNone, Direction.Maximise))
    refuses "temperature" "0" (fun () -> Tsallis.Sparsemax(0.0, Direction.Maximise))
    refuses "weight" "1.5" (fun () -> AnnealedMix(1.5, Policy.Uniform(FrozenLake.standard ()), Direction.Maximise))
    let small = Policy.Uniform(FrozenLake.standard ())
    let other = CliffWalking.create 0.0

    refuses "action" "rows like the prior" (fun () ->
        Bellman.Create(other, 0.9, Expectation(), Tsallis(2.0, 1.0, ValueSome small, Direction.Maximise)))

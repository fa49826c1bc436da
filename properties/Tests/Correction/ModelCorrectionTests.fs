/// A model that is off, corrected by expectations of a few functions.
module ValueFlow.Tests.Correction.ModelCorrectionTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws

/// For each outcome its weight in the true law and in the other one, and two features.
type Sketch = NonEmptyArray<struct (PositiveInt * PositiveInt * int * int)>

let private law (pick: struct (PositiveInt * PositiveInt * int * int) -> int) (sketch: Sketch) =
    let weights = sketch.Get |> Array.map (pick >> float)
    let total = Array.sum weights
    weights |> Array.map (fun w -> w / total)

let private truth = law (fun struct (w, _, _, _) -> min 20 w.Get)
let private prior = law (fun struct (_, w, _, _) -> min 20 w.Get)

let private features (sketch: Sketch) =
    [|
        sketch.Get |> Array.map (fun struct (_, _, f, _) -> float (f % 8))
        sketch.Get |> Array.map (fun struct (_, _, _, f) -> float (f % 8))
    |]

let private mean (law: float[]) (f: float[]) = Array.fold2 (fun sum p x -> sum + p * x) 0.0 law f
let private near (a: float) (b: float) = (abs (a - b) <= 1e-7 * (1.0 + abs b)) |> Prop.label $"{a} = {b}"
let private atMost (a: float) (b: float) = (a <= b + 1e-9 * (1.0 + abs b)) |> Prop.label $"{a} <= {b}"

let private holds (law: Sketch -> Property) =
    Check.One(Config.QuickThrowOnFailure.WithMaxTest(300).WithReplay(1UL, 1UL).WithQuietOnSuccess(true), law)

let private fails (work: unit -> unit) =
    let failed =
        try
            work ()
            false
        with _ ->
            true

    Assert.True(failed, "the mutant passed")

let private corrected sketch =
    let features, truth = features sketch, truth sketch
    (MaximumEntropy.correct (prior sketch) features (features |> Array.map (mean truth))).Law

// Mutants: the tilt goes the wrong way; half of the way; from the flat law.
let private wrongWay sketch =
    let features, truth, prior = features sketch, truth sketch, prior sketch
    let away f = 2.0 * mean prior f - mean truth f
    (MaximumEntropy.correct prior features (features |> Array.map away)).Law

let private halfWay sketch = Array.map2 (fun p q -> 0.5 * (p + q)) (corrected sketch) (prior sketch)

let private fromFlat sketch =
    let features, truth = features sketch, truth sketch
    let flat = truth |> Array.map (fun _ -> 1.0 / float truth.Length)
    (MaximumEntropy.correct flat features (features |> Array.map (mean truth))).Law

[<Fact>]
let ``moments are met`` () =
    let law correct sketch =
        let q, p = correct sketch, truth sketch
        features sketch |> Array.map (fun f -> near (mean q f) (mean p f)) |> Array.reduce (.&.)

    holds (law corrected)
    fails (fun () -> holds (law wrongWay))
    fails (fun () -> holds (law halfWay))

[<Fact>]
let ``relative entropy splits as in Pythagoras' theorem`` () =
    let law correct sketch =
        let q, p, other = correct sketch, truth sketch, prior sketch
        near (MaximumEntropy.divergence p other) (MaximumEntropy.divergence p q + MaximumEntropy.divergence q other)

    holds (law corrected)
    fails (fun () -> holds (law halfWay))
    fails (fun () -> holds (law fromFlat))

[<Fact>]
let ``what is right already stays`` () =
    let law (correct: float[] -> float[][] -> float[] -> Tilted) sketch =
        let p, features = truth sketch, features sketch
        let found = correct p features (features |> Array.map (mean p))
        Array.map2 near found.Law p |> Array.reduce (.&.)

    holds (law MaximumEntropy.correct)

    fails (fun () -> holds (law (fun p features moments -> MaximumEntropy.correct p features (moments |> Array.map (fun m -> 0.9 * m)))))

[<Fact>]
let ``expectations are off by no more than what features leave open`` () =
    let law (scale: float) (sketch: Sketch) =
        let q, p, features = corrected sketch, truth sketch, features sketch
        let values = sketch.Get |> Array.mapi (fun i (struct (w, _, _, _)) -> float (w.Get % 5) + cos (float i))
        let off = abs (mean p values - mean q values)
        let distance = Array.fold2 (fun sum a b -> sum + abs (a - b)) 0.0 p q

        [
            for w1, w2 in [ 0.0, 0.0; 0.5, -0.25; -0.1, 0.3 ] do
                let left = Array.init values.Length (fun x -> values[x] - w1 * features[0].[x] - w2 * features[1].[x])
                let middle = 0.5 * (Array.max left + Array.min left)
                let size = left |> Array.fold (fun most x -> max most (abs (x - middle))) 0.0
                atMost off (scale * distance * size)
        ]
        |> List.reduce (.&.)

    holds (law 1.0)
    fails (fun () -> holds (law 0.2))

[<Fact>]
let ``moments on the edge of what is possible are met within a millionth`` () =
    // All mass on one or two outcomes of ten.
    for mass in [ [ 3, 1.0 ]; [ 2, 0.4; 7, 0.6 ] ] do
        let features =
            [|
                Array.init 10 (fun x -> float (x * x))
                Array.init 10 (fun x -> sin (float x))
                Array.init 10 (fun x -> 2.0 * float (x * x))
            |]

        let moments = features |> Array.map (fun f -> mass |> List.sumBy (fun (x, p) -> p * f[x]))
        let found = MaximumEntropy.correct (Array.create 10 0.1) features moments
        Assert.True(found.Residual < 1e-6, $"{found.Residual}")

// Models without continuations; the other model is mixed with the flat law.
let private forAll (law: ModelSketch -> Property) =
    let plain (sketch: ModelSketch) =
        sketch.Discount <= 0.95
        && sketch.States
           |> List.concat
           |> List.collect snd
           |> List.forall (fun outcome -> outcome.Continuation = 1.0 && abs outcome.Reward <= 10.0)

    let generator = Gen.choose (0, 1_000_000) |> Gen.map (fun seed -> ModelSketch.generate (Generator seed)) |> Gen.filter plain
    let arbitrary = Arb.fromGenShrink (generator, ModelSketch.shrink >> Seq.filter plain)
    Check.One(Config.QuickThrowOnFailure.WithMaxTest(60).WithReplay(1UL, 1UL).WithQuietOnSuccess(true), Prop.forAll arbitrary law)

let private blurred share (model: Model) =
    let n = model.StateCount
    let builder = ModelBuilder n

    for s in 0 .. n - 1 do
        if model.IsTerminal s then
            builder.Terminal s

        for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 do
            let law = Array.create n (share / float n)

            for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                law[model.Successors[k]] <- law[model.Successors[k]] + (1.0 - share) * model.Probabilities[k]

            law |> Array.iteri (fun next p -> builder.Add(s, model.RowActions[row], next, p, 0.0))

    match builder.Build() with
    | Ok model -> model
    | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

let private optimal (model: Model) discount = (PolicyIteration.solve RunOptions.standard (Bellman.Optimality(model, discount))).Values

let private close (a: float[]) (b: float[]) =
    Array.map2 (fun x y -> (abs (x - y) <= 1e-5 * (1.0 + abs y)) |> Prop.label $"{x} = {y}") a b
    |> Array.reduce (.&.)

[<Fact>]
let ``a model corrected by the optimal values has them as its own`` () =
    let law (feature: float[] -> float[]) (sketch: ModelSketch) =
        let model = ModelSketch.toModel sketch
        let values = optimal model sketch.Discount
        let f = feature values
        let corrected = ModelCorrection.correct model (blurred 0.5 model) [| f |] [| ModelCorrection.expectations model f |]
        close (optimal corrected sketch.Discount) values

    forAll (law id)
    // A multiple, shifted, spans the same.
    forAll (law (Array.map (fun v -> 3.0 * v + 1.0)))
    fails (fun () -> forAll (law (Array.map (fun v -> v * v))))

[<Fact>]
let ``without features it is planning with the model alone, with them it comes to the optimal values`` () =
    let law count tolerance (sketch: ModelSketch) =
        let model = ModelSketch.toModel sketch
        let values = optimal model sketch.Discount
        let found = ModelCorrection.valueIteration RunOptions.standard count sketch.Discount model (blurred 0.3 model)
        let first, later = Seq.head found, Seq.item 25 found
        let alone = optimal (ModelCorrection.correct model (blurred 0.3 model) [||] [||]) sketch.Discount

        let within =
            Array.map2
                (fun x y -> (abs (x - y) <= tolerance * (1.0 + abs y)) |> Prop.label $"{x} = {y}")
                later
                (if count = 0 then alone else values)

        close first alone .&. Array.reduce (.&.) within

    forAll (law 0 1e-9)
    forAll (law 3 1e-3)

    fails (fun () ->
        forAll (fun sketch ->
            law 0 1e-3 sketch
            .&. (let model = ModelSketch.toModel sketch in

                 close
                     (Seq.item 25 (ModelCorrection.valueIteration RunOptions.standard 0 sketch.Discount model (blurred 0.3 model)))
                     (optimal model sketch.Discount))))

[<Fact>]
let ``bad input is named`` () =
    let refuses argument (found: string) work =
        let error = Assert.ThrowsAny<ArgumentException>(fun () -> work () |> ignore)
        Assert.Equal(argument, error.ParamName)
        Assert.Contains(found, error.Message)

    refuses "prior" "1.1" (fun () -> MaximumEntropy.correct [| 0.5; 0.6 |] [||] [||])
    refuses "moments" "1" (fun () -> MaximumEntropy.correct [| 0.5; 0.5 |] [||] [| 1.0 |])
    refuses "features" "3" (fun () -> MaximumEntropy.correct [| 0.5; 0.5 |] [| [| 1.0; 2.0; 3.0 |] |] [| 1.0 |])
    let chain = Chain.randomWalk 5 0.5
    refuses "approximate" "4 states" (fun () -> ModelCorrection.correct chain (Chain.randomWalk 4 0.5) [||] [||])
    refuses "count" "-1" (fun () -> ModelCorrection.valueIteration RunOptions.standard -1 0.9 chain chain)

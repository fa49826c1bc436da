/// Values in other coordinates: maps, conjugated operators, and learning in mapped values.
module ValueFlow.Tests.Mapped.ValueMapTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws

let private log' = ValueMap.logarithmic 0.5 0.9 200

let private maps =
    [
        log'
        ValueMap.signedHyperbolic 0.01
        ValueMap.signedPower 0.5
        ValueMap.piecewiseLinear [| -1.0; 0.0; 2.0 |] [| -3.0; 0.0; 1.0 |]
    ]

let private holds (law: 'a -> Property) =
    Check.One(Config.QuickThrowOnFailure.WithMaxTest(300).WithReplay(1UL, 1UL).WithQuietOnSuccess(true), law)

let private fails (work: unit -> unit) =
    let failed =
        try
            work ()
            false
        with _ ->
            true

    Assert.True(failed, "the mutant passed")

let private near (a: float) (b: float) = (abs (a - b) <= 1e-9 * (1.0 + abs b)) |> Prop.label $"{a} = {b}"

[<Fact>]
let ``maps and their inverses undo one another, increase, and keep zero`` () =
    let law (map: ValueMap) (x: int, y: int) =
        let at (n: int) = if map.Least = Double.NegativeInfinity then float n / 8.0 else abs (float n) / 8.0
        let x, y = at x, at y

        near (map.Backward(map.Forward x)) x
        .&. near (map.Forward(map.Backward(map.Forward x))) (map.Forward x)
        .&. near (map.Forward 0.0) 0.0
        .&. ((x < y) = (map.Forward x < map.Forward y) |> Prop.label "increasing")

    for map in maps do
        holds (fun sketch -> law map sketch |> Prop.label map.Name)

    fails (fun () -> holds (law { log' with Backward = fun y -> exp (y / 0.5) - 1.0 }))
    fails (fun () -> holds (law { log' with Forward = fun x -> -(log'.Forward x) }))
    fails (fun () -> holds (law { ValueMap.signedHyperbolic 0.01 with Backward = (ValueMap.signedHyperbolic 0.02).Backward }))

[<Fact>]
let ``the logarithm is concave, and makes gaps between powers of the discount alike`` () =
    let concave (map: ValueMap) (x: int, y: int) =
        let x, y = abs (float x) / 8.0, abs (float y) / 8.0
        let middle, mean = map.Forward(0.5 * (x + y)), 0.5 * (map.Forward x + map.Forward y)
        (middle >= mean - 1e-12 * abs mean) |> Prop.label $"{middle} >= {mean}"

    holds (concave log')
    fails (fun () -> holds (concave (ValueMap.signedPower 2.0)))
    let gap (map: ValueMap) n = map.Forward(Math.Pow(0.9, float n)) - map.Forward(Math.Pow(0.9, float (n + 1)))
    let most = 0.5 * log (1.0 / 0.9)

    for n in 0..250 do
        Assert.InRange(gap log' n, 1e-9, most + 1e-12)

    // Alike for n well below k = 200; without the map they fall by the factor 0.9^100.
    Assert.InRange(gap log' 100 / gap log' 0, 0.999, 1.001)
    Assert.True(gap (ValueMap.signedPower 1.0) 100 / gap (ValueMap.signedPower 1.0) 0 < 1e-4)

let private family (map: ValueMap) =
    Subject.familyOf
        map.Name
        1
        // Points in the range of f.
        (Array.map (fun x -> map.Forward(if map.Least = Double.NegativeInfinity then x else abs x)))
        (Array.map map.Backward)
        (fun model discount ->
            // Losses would leave the domain of the logarithm.
            let inner = (Bellman.Optimality(model, discount)).Operator

            let kept =
                if map.Least = Double.NegativeInfinity then
                    inner
                else
                    { inner with Apply = inner.Apply >> Array.map (max 0.0); ApplyInto = ValueNone }

            ValueMap.conjugate map kept)

[<Fact>]
let ``an operator in other coordinates contracts in the metric seen through the map`` () =
    for map in maps do
        let report = Law.check Law.contraction (family map)
        Assert.True((report.Verdict = Verdict.Holds), string report)

[<Fact>]
let ``it does not contract in the plain sup norm: pinned`` () =
    // One state, reward 1, discount 0.9: near zero the logarithm is steep, f(T x) - f(T y) exceeds 0.9 |f(x) - f(y)| far from it.
    let builder = ModelBuilder 1
    builder.Add(0, 0, 0, 1.0, 0.0)

    match builder.Build() with
    | Error errors -> Assert.Fail(string errors)
    | Ok model ->
        let operator = ValueMap.conjugate log' (Bellman.Optimality(model, 0.9)).Operator
        let x, y = [| log'.Forward 1.0 |], [| log'.Forward 0.5 |]
        let before, after = abs (x[0] - y[0]), abs ((operator.Apply x)[0] - (operator.Apply y)[0])
        // The gap of logarithms stays what it was.
        Assert.InRange(after / before, 0.9999, 1.0001)
        Assert.True((Operator.tryClaim MetricKey.Sup operator).IsNone)

// Random learning on random models: rows and transitions by number.
let private randomLearning (sketch: ModelSketch) (picks: int list) (learn: int -> int -> unit) (model: Model) =
    ignore sketch

    for pick in picks do
        if model.RowCount > 0 then
            let row = abs pick % model.RowCount
            let count = model.Offsets[row + 1] - model.Offsets[row]
            learn row (model.Offsets[row] + abs (pick / 7) % count)

[<Fact>]
let ``with a mapped step of one it is Q-learning`` () =
    let law (mapped: float) (seed: int, picks: int list) =
        let sketch = ModelSketch.generate (Generator(abs seed))

        let small =
            sketch.Discount < 0.99
            && sketch.States |> List.concat |> List.collect snd |> List.forall (fun outcome -> abs outcome.Reward <= 10.0)

        if not small then
            Prop.ofTestable true
        else
            let model = ModelSketch.toModel sketch
            let learner = MappedLearner(ValueMap.logarithmic 0.5 0.9 50, RowFeatures.table model, model, sketch.Discount, infinity)
            let plain = Array.zeroCreate<float> model.RowCount

            let best state =
                [ for row in model.RowOffsets[state] .. model.RowOffsets[state + 1] - 1 -> row ]
                |> List.fold (fun chosen row -> if chosen < 0 || learner.Value row > learner.Value chosen then row else chosen) -1

            model
            |> randomLearning sketch picks (fun row k ->
                let next = best model.Successors[k]
                let continuation = if model.Continuations.Length = 0 then 1.0 else model.Continuations[k]
                let after = if next < 0 then 0.0 else plain[next]
                plain[row] <- plain[row] + 0.3 * (model.Rewards[k] + sketch.Discount * continuation * after - plain[row])
                learner.Learn({ Regular = 0.3; Mapped = mapped }, row, k))

            plain
            |> Array.mapi (fun row q -> (abs (learner.Value row - q) <= 1e-7 * (1.0 + abs q)) |> Prop.label $"{learner.Value row} = {q}")
            |> Array.fold (.&.) (Prop.ofTestable true)

    holds (law 1.0)
    fails (fun () -> holds (law 0.5))

[<Fact>]
let ``a mapped step below one underrates what is random, and only that`` () =
    // Reward 0 or 1 at even chances, discount 0: the mean of f(U) is at most f of the mean.
    let learnt (chances: (float * float) list) regular mapped =
        let builder = ModelBuilder 1
        builder.ParallelOutcomes <- true

        for chance, reward in chances do
            builder.AddContinuing(0, 0, 0, chance, reward, 0.0, -1)

        match builder.Build() with
        | Error errors -> invalidOp (string errors)
        | Ok model ->
            let learner = MappedLearner(ValueMap.logarithmic 0.5 0.9 20, RowFeatures.table model, model, 0.9, infinity)
            let generator = Generator 5
            let mutable sum = 0.0

            for step in 1..40_000 do
                let k = Sampling.index generator model.Probabilities
                learner.Learn({ Regular = regular; Mapped = mapped }, 0, k)

                if step > 20_000 then
                    sum <- sum + learner.Value 0

            sum / 20_000.0

    Assert.InRange(learnt [ 1.0, 1.0 ] 1.0 0.01, 0.999, 1.001)
    Assert.True(learnt [ 0.5, 0.0; 0.5, 1.0 ] 1.0 0.01 < 0.4)
    Assert.InRange(learnt [ 0.5, 0.0; 0.5, 1.0 ] 0.01 1.0, 0.48, 0.52)

[<Fact>]
let ``tilings give each state width features, shared by neighbours`` () =
    let model = Chain.randomWalk 12 0.5
    let features = RowFeatures.tilings 3 model
    Assert.All(features.Rows, fun row -> Assert.Equal(3, (Array.distinct row).Length))
    Assert.Equal(1.0, 3.0 * features.Value * features.Value, 12)
    let shared a b = (Set.intersect (set features.Rows[a]) (set features.Rows[b])).Count
    Assert.Equal(2, shared 2 3)
    Assert.Equal(0, shared 2 6)

[<Fact>]
let ``bad input is named`` () =
    let refuses argument (found: string) work =
        let error = Assert.ThrowsAny<ArgumentException>(fun () -> work () |> ignore)
        Assert.Equal(argument, error.ParamName)
        Assert.Contains(found, error.Message)

    refuses "c" "-1" (fun () -> ValueMap.logarithmic -1.0 0.9 10)
    refuses "gamma" "1.5" (fun () -> ValueMap.logarithmic 1.0 1.5 10)
    refuses "ys" "entry 1" (fun () -> ValueMap.piecewiseLinear [| 0.0; 1.0 |] [| 0.0; 0.0 |])
    refuses "xs" "2 points" (fun () -> ValueMap.piecewiseLinear [| 0.0 |] [| 0.0 |])
    let model = Chain.randomWalk 3 0.5
    refuses "width" "0" (fun () -> RowFeatures.tilings 0 model)

    refuses "discount" "1" (fun () ->
        MappedLearner(log', RowFeatures.table model, model, 1.0, 1.0) |> ignore
        log')

/// Several models that may be the true one: the rectangular robust operator, the search for the worst model, and a nature that moves by little.
module ValueFlow.Tests.Robust.ModelFamilyTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws

// The same rows with other probabilities: 2 is reversed, 3 squared.
let private variant (kind: int) (model: Model) : Model =
    let builder = ModelBuilder model.StateCount
    builder.ParallelOutcomes <- true

    for s in 0 .. model.StateCount - 1 do
        if model.IsTerminal s then
            builder.Terminal s

        for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 do
            let first, last = model.Offsets[row], model.Offsets[row + 1] - 1
            let chances = [| for k in first..last -> model.Probabilities[k] |]

            let chances =
                match kind with
                | 0 -> chances
                | 1 -> Array.rev chances
                | _ -> chances |> Array.map (fun p -> p * p)

            let total = Array.sum chances

            for k in first..last do
                let continuation = if model.Continuations.Length = 0 then 1.0 else model.Continuations[k]

                builder.AddContinuing(
                    s,
                    model.RowActions[row],
                    model.Successors[k],
                    chances[k - first] / total,
                    model.Rewards[k],
                    continuation,
                    -1
                )

    match builder.Build() with
    | Ok model -> model
    | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

let private family (model: Model) discount = ModelFamily.Create([| for kind in 0..2 -> variant kind model |], discount)

// The plain form: one row's backup under one model.
let private backup (model: Model) discount (values: int -> float) row =
    Seq.sum
        [
            for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 ->
                let continuation = if model.Continuations.Length = 0 then 1.0 else model.Continuations[k]
                model.Probabilities[k] * (model.Rewards[k] + discount * continuation * values model.Successors[k])
        ]

let private plain (over: float list -> float) (reach: int -> int list) (models: Model[]) discount (values: int -> int -> float) i s =
    let model = models[0]

    if model.IsTerminal s then
        0.0
    else
        [
            for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 ->
                over [ for j in reach i -> backup models[j] discount (values j) row ]
        ]
        |> List.max

let private holds law subject =
    let report: Report = Law.check law subject
    Assert.True((report.Verdict = Verdict.Holds), string report)

let private refuted law subject =
    let report: Report = Law.check law subject
    Assert.True((report.Verdict = Verdict.Refuted), string report)

let private robust = Subject.family "robust" (fun model discount -> ModelFamily.robust (family model discount))

let private plainRobust over =
    Subject.family "plain" (fun model discount ->
        let models = [| for kind in 0..2 -> variant kind model |]

        Operator.create "plain" Space.vectors (fun v ->
            Array.init model.StateCount (plain over (fun _ -> [ 0..2 ]) models discount (fun _ s -> v[s]) 0)))

[<Fact>]
let ``the rectangular robust operator is what it says, contracts and keeps the order`` () =
    holds (Law.equality 1e-12 (plainRobust List.min)) robust
    refuted (Law.equality 1e-12 (plainRobust List.max)) robust
    refuted (Law.equality 1e-12 (plainRobust List.average)) robust
    holds Law.contraction robust
    holds Law.monotonicity robust
    holds Law.purity robust

    refuted
        Law.contraction
        (Subject.family "twice" (fun model discount ->
            { ModelFamily.robust (family model discount) with
                Apply = fun v -> (ModelFamily.robust (family model (sqrt discount))).Apply v
            }))

// Distances 0.1 apart, as floats have it: 0.4 - 0.3 > 0.1.
let private distances = Array2D.init 3 3 (fun i j -> abs ([| 0.3; 0.4; 0.5 |][i] - [| 0.3; 0.4; 0.5 |][j]))

let private constrained radius model discount = TimeConstrained.Create(family model discount, distances, radius)

let private game radius =
    Subject.familyOf "time-constrained" 3 Array.copy id (fun model discount -> (constrained radius model discount).Optimality)

let private plainGame reach =
    Subject.familyOf "plain" 3 Array.copy id (fun model discount ->
        let models = [| for kind in 0..2 -> variant kind model |]
        let n = model.StateCount

        Operator.create "plain" Space.vectors (fun v ->
            Array.init (3 * n) (fun place -> plain List.min reach models discount (fun j s -> v[j * n + s]) (place / n) (place % n))))

[<Fact>]
let ``nature moves to neighbours alone, and the operator contracts and keeps the order`` () =
    let neighbours i = [ max 0 (i - 1) .. min 2 (i + 1) ]
    holds (Law.equality 1e-12 (plainGame neighbours)) (game 0.1)
    refuted (Law.equality 1e-12 (plainGame (fun i -> [ i ]))) (game 0.1)
    refuted (Law.equality 1e-12 (plainGame (fun _ -> [ 0..2 ]))) (game 0.1)
    holds Law.contraction (game 0.1)
    holds Law.monotonicity (game 0.1)
    // 0.4 - 0.3 is more than 0.1 in floats: with a plain comparison the ball of 0.3 would be itself.
    Assert.True(0.4 - 0.3 > 0.1)
    Assert.Equal<int[]>([| 0; 1 |], (constrained 0.1 (Chain.randomWalk 3 0.5) 0.9).Reach 0)

// Random models with at most three actions in six states, discount at most 0.99: all policies can be listed.
let private forAll (law: ModelSketch -> Property) =
    let generator = Gen.choose (0, 1_000_000) |> Gen.map (fun seed -> ModelSketch.generate (Generator seed))

    let small (sketch: ModelSketch) = sketch.Discount <= 0.99 && sketch.States |> List.forall (fun actions -> actions.Length <= 3)

    let arbitrary = Arb.fromGenShrink (generator |> Gen.filter small, ModelSketch.shrink >> Seq.filter small)
    Check.One(Config.QuickThrowOnFailure.WithMaxTest(60).WithReplay(1UL, 1UL).WithQuietOnSuccess(true), Prop.forAll arbitrary law)

// a <= b but for rounding, which grows with the largest value that the process can have.
let private below (sketch: ModelSketch) (a: float) (b: float) =
    let largest =
        sketch.States
        |> List.concat
        |> List.collect snd
        |> List.fold (fun top outcome -> max top (abs outcome.Reward)) 1.0

    (a <= b + 1e-6 + 1e-9 * largest / (1.0 - sketch.Discount)) |> Prop.label $"{a} <= {b}"

let private fails (work: unit -> unit) =
    let failed =
        try
            work ()
            false
        with _ ->
            true

    Assert.True(failed, "the mutant passed")

let private fixedPoint (operator: Operator<float[]>) count =
    (FixedPoint.picard { RunOptions.standard with Tolerance = 1e-9 } operator (Array.zeroCreate count)).Value

let rec private policies (model: Model) s : int list list =
    if s = model.StateCount then
        [ [] ]
    else
        let actions =
            if model.IsTerminal s then
                [ 0 ]
            else
                [ for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 -> model.RowActions[row] ]

        [
            for action in actions do
                for rest in policies model (s + 1) -> action :: rest
        ]

[<Fact>]
let ``the search brackets the best worst case of all policies, and what it holds possible never grows`` () =
    let law (shift: float) (sketch: ModelSketch) =
        let atMost = below sketch
        let model = ModelSketch.toModel sketch
        let family = family model sketch.Discount
        let found = WorstCaseSearch.solve RunOptions.standard 1e-7 0 0 family

        let worst actions =
            let policy = Policy.Deterministic(model, ReadOnlySpan(Array.ofList actions))
            Seq.min [ for i in 0..2 -> (PolicyEvaluation.linear RunOptions.standard policy (family.Backup i)).Values[0] ]

        let best = policies model 0 |> List.map worst |> List.max
        let rectangular = fixedPoint (ModelFamily.robust family) model.StateCount
        let single = WorstCaseSearch.solve RunOptions.standard 0.0 0 0 (ModelFamily.Create([| model |], sketch.Discount))
        let ordinary = (ValueIteration.solve RunOptions.standard (Bellman.Optimality(model, sketch.Discount))).Values[0]

        atMost (found.Lower + shift) best
        .&. atMost (best + shift) found.Upper
        .&. atMost rectangular[0] found.Upper
        .&. (found.ActionValues
             |> List.pairwise
             |> List.forall (fun (before, after) -> Array.forall2 (<=) after before)
             |> Prop.label "Q never grows")
        .&. (single.Found.Length = 1 |> Prop.label "one model, one round")
        .&. atMost single.Upper ordinary
        .&. atMost ordinary single.Lower

    forAll (law 0.0)
    fails (fun () -> forAll (law 0.1))

[<Fact>]
let ``the game's value falls with the radius, from the ordinary values to the robust one, and no policy does better`` () =
    let law (radii: float list) (sketch: ModelSketch) =
        let atMost = below sketch
        let model = ModelSketch.toModel sketch
        let n = model.StateCount
        let family = family model sketch.Discount
        let value radius = fixedPoint (TimeConstrained.Create(family, distances, radius)).Optimality (3 * n)
        let still, near, far = value radii[0], value radii[1], value radii[2]
        let rectangular = fixedPoint (ModelFamily.robust family) n

        let greedy = (TimeConstrained.Create(family, distances, radii[1])).Greedy(near, 0.0)
        let policy (actions: int[]) = Policy.Deterministic(model, ReadOnlySpan(actions |> Array.map (max 0)))
        let game = TimeConstrained.Create(family, distances, radii[1])
        let oracle = fixedPoint (game.Evaluation(greedy |> Array.map policy)) (3 * n)
        let uniform = fixedPoint (game.Evaluation(Array.create 3 (Policy.Uniform model))) (3 * n)

        [
            for i in 0..2 do
                let alone = (ValueIteration.solve RunOptions.standard (family.Backup i)).Values

                for s in 0 .. n - 1 do
                    let place = i * n + s
                    atMost near[place] still[place]
                    atMost far[place] near[place]
                    atMost still[place] alone[s]
                    atMost alone[s] still[place]
                    atMost far[place] rectangular[s]
                    atMost rectangular[s] far[place]
                    atMost uniform[place] near[place]
                    atMost oracle[place] near[place]
                    atMost near[place] oracle[place]
        ]
        |> List.reduce (.&.)

    forAll (law [ 0.0; 0.1; 0.2 ])
    fails (fun () -> forAll (law [ 0.1; 0.1; 0.2 ]))
    fails (fun () -> forAll (law [ 0.0; 0.1; 0.1 ]))

[<Fact>]
let ``bad input is named`` () =
    let refuses argument (found: string) work =
        let error = Assert.ThrowsAny<ArgumentException>(fun () -> work () |> ignore)
        Assert.Equal(argument, error.ParamName)
        Assert.Contains(found, error.Message)

    let chain, other = Chain.randomWalk 3 0.5, Chain.randomWalk 4 0.5
    refuses "models" "none" (fun () -> ModelFamily.Create([||], 0.9) :> obj)
    refuses "models" "model 1 must have" (fun () -> ModelFamily.Create([| chain; other |], 0.9) :> obj)
    let family = ModelFamily.Create([| chain; chain |], 0.9)
    refuses "start" "7" (fun () -> WorstCaseSearch.solve RunOptions.standard 0.0 7 0 family :> obj)
    refuses "first" "2" (fun () -> WorstCaseSearch.solve RunOptions.standard 0.0 0 2 family :> obj)
    refuses "distances" "3 x 3" (fun () -> TimeConstrained.Create(family, distances, 0.1) :> obj)
    refuses "distances" "-1" (fun () -> TimeConstrained.Create(family, array2D [ [ 0.0; -1.0 ]; [ -1.0; 0.0 ] ], 0.1) :> obj)
    refuses "radius" "-0.5" (fun () -> TimeConstrained.Create(family, Array2D.zeroCreate 2 2, -0.5) :> obj)

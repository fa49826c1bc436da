/// Problems that end: against plain recursion, against all policies, and in parts.
module ValueFlow.Tests.Returns.FiniteHorizonTests

open System
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns
open ValueFlow.Laws
open ValueFlow.Tests.Returns.Judge

let private cancellation = CancellationToken.None
let private best = Extreme Direction.Maximise

/// A random model, shrinking.
let private models: Arbitrary<ModelSketch> =
    Arb.fromGenShrink (
        Gen.choose (0, Int32.MaxValue - 1) |> Gen.map (fun seed -> ModelSketch.generate (Generator seed)),
        ModelSketch.shrink
    )

let private forModels (law: ModelSketch -> Property) () = Prop.forAll models law

let private largest (sketch: ModelSketch) =
    1.0
    + (sketch.States
       |> List.concat
       |> List.collect snd
       |> List.map (fun outcome -> abs outcome.Reward)
       |> List.fold max 0.0)

// The law of r + g V over the transitions of a row.
let private outcomes (model: Model) (discount: float) (values: float[]) (row: int) =
    let transitions = [| model.Offsets[row] .. model.Offsets[row + 1] - 1 |]
    let masses = transitions |> Array.map (fun k -> model.Probabilities[k])
    let total = Array.sum masses
    let g k = discount * (if model.Continuations.Length = 0 then 1.0 else model.Continuations[k])

    Distribution.ofAtoms
        (transitions |> Array.map (fun k -> model.Rewards[k] + g k * values[model.Successors[k]]))
        (masses |> Array.map (fun mass -> mass / total))

let private rowsOf (model: Model) s = [ model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 ]

// V_h by plain recursion with a functional on laws of outcomes.
let rec private plain (functional: Functional) (model: Model) (discount: float) (stages: int) : float[] =
    if stages = 0 then
        Array.zeroCreate model.StateCount
    else
        let next = plain functional model discount (stages - 1)

        Array.init model.StateCount (fun s ->
            if model.IsTerminal s then
                0.0
            else
                rowsOf model s |> List.map (fun row -> functional.Value(outcomes model discount next row)) |> List.max)

let private equal (tolerance: float) (a: float[]) (b: float[]) =
    let worst = Array.map2 (fun x y -> abs (x - y)) a b |> Array.max
    (worst <= tolerance) |> Prop.label $"{worst} <= {tolerance}"

[<Fact>]
let ``backward induction equals plain recursion on laws of outcomes, with and without discount`` () =
    let law (state: StateSummary) (functional: Functional) (sketch: ModelSketch) =
        let model = ModelSketch.toModel sketch

        [ 1.0; sketch.Discount ]
        |> List.map (fun discount ->
            let plan = FiniteHorizon.solve cancellation 3 discount state best model
            equal (1e-8 * largest sketch) plan.Values[0] (plain functional model discount 3))
        |> List.reduce (.&.)

    holds (forModels (law (Expectation()) Functional.mean))
    holds (forModels (law (Cvar 0.3) (Tail.cvar 0.3)))
    holds (forModels (law (Cvar(0.3, Attitude.Favourable)) (Tail.upperCvar 0.3)))
    holds (forModels (law (Entropic 0.5) (Entropy.certaintyEquivalent 0.5)))
    refuted (forModels (law (Cvar 0.3) (Tail.cvar 0.4)))
    refuted (forModels (law (Expectation()) (Tail.expectile 0.49)))

[<Fact>]
let ``no sequence of decisions is better; the plan attains its value`` () =
    // Two stages: every pair of deterministic decisions, state by state, evaluated by plain sums.
    let law (spoil: int[] -> int[]) (sketch: ModelSketch) =
        let model = ModelSketch.toModel sketch
        let plan = FiniteHorizon.solve cancellation 2 1.0 (Expectation()) best model

        let evaluated =
            FiniteHorizon.evaluate cancellation 1.0 (Expectation()) { plan with Decisions = plan.Decisions |> Array.map spoil } model

        let policies =
            List.foldBack
                (fun s tails ->
                    let choices = if model.IsTerminal s then [ -1 ] else rowsOf model s

                    [
                        for row in choices |> List.truncate 2 do
                            for tail in tails -> row :: tail
                    ])
                [ 0 .. model.StateCount - 1 ]
                [ [] ]

        let value (next: float[]) (policy: int list) =
            policy |> List.map (fun row -> if row < 0 then 0.0 else (outcomes model 1.0 next row).Mean) |> Array.ofList

        let ends = Array.zeroCreate model.StateCount

        let worst =
            policies
            |> List.collect (fun last -> let next = value ends last in policies |> List.map (value next))
            |> List.map (fun values -> Array.map2 (-) values plan.Values[0] |> Array.max)
            |> List.max

        (worst <= 1e-9 * largest sketch |> Prop.label $"another gains {worst}")
        .&. equal (1e-9 * largest sketch) evaluated.Values[0] plan.Values[0]

    let few = Arb.filter (fun (sketch: ModelSketch) -> sketch.States.Length <= 3) models
    holds (fun () -> Prop.forAll few (law id))

    // The other action, where there is one.
    refuted (fun () ->
        Prop.forAll few (fun sketch ->
            let model = ModelSketch.toModel sketch

            law
                (Array.mapi (fun s action ->
                    rowsOf model s
                    |> List.map (fun row -> model.RowActions[row])
                    |> List.tryFind ((<>) action)
                    |> Option.defaultValue action))
                sketch))

[<Fact>]
let ``a horizon is solved in parts: the first from the values of the second`` () =
    let law (handOver: float[] -> float[]) (sketch: ModelSketch) =
        let model = ModelSketch.toModel sketch
        let stage share = { Model = model; State = Cvar share; Action = best }
        let stages = [| stage 0.2; stage 0.9; stage 0.5; stage 0.1 |]
        let ends = Array.zeroCreate model.StateCount
        let whole = FiniteHorizon.solveStages cancellation 1.0 ends stages
        let second = FiniteHorizon.solveStages cancellation 1.0 ends stages[2..]
        let first = FiniteHorizon.solveStages cancellation 1.0 (handOver second.Values[0]) stages[..1]

        equal 1e-12 first.Values[0] whole.Values[0]
        .&. ((first.Decisions = whole.Decisions[..1]) |> Prop.label "the same decisions")

    holds (forModels (law id))
    refuted (forModels (law (Array.map (fun _ -> 0.0))))
    refuted (forModels (law (Array.map (fun value -> 0.5 * value))))

[<Fact>]
let ``what is worth more at the end is worth no less at the start`` () =
    let law (sign: float) (sketch: ModelSketch) =
        let model = ModelSketch.toModel sketch
        let stages = Array.create 3 { Model = model; State = Cvar 0.4; Action = best }
        let generator = Generator 5
        let low = Array.init model.StateCount (fun _ -> generator.Uniform())
        let high = low |> Array.map (fun value -> value + sign * generator.Uniform())
        let solve ends = (FiniteHorizon.solveStages cancellation 1.0 ends stages).Values[0]
        let excess = Array.map2 (-) (solve low) (solve high) |> Array.max
        (excess <= 1e-9 * largest sketch) |> Prop.label $"{excess}"

    holds (forModels (law 1.0))
    refuted (forModels (law -1.0))

[<Fact>]
let ``the argument stays, cancellation ends, bad input is named`` () =
    let model = Garnet.create (Generator 1) 4 2 2
    let ends = [| 1.0; 2.0; 3.0; 4.0 |]
    let stage = { Model = model; State = Expectation(); Action = best }
    let plan = FiniteHorizon.solveStages cancellation 1.0 ends [| stage |]
    Assert.Equal<float[]>([| 1.0; 2.0; 3.0; 4.0 |], ends)
    Assert.NotSame(ends, plan.Values[1])
    Assert.Equal(1, plan.Horizon)
    use source = new CancellationTokenSource()
    source.Cancel()

    Assert.Throws<OperationCanceledException>(fun () -> FiniteHorizon.solveStages source.Token 1.0 ends [| stage |] |> ignore)
    |> ignore

    refuses "stages" "none" (fun () -> FiniteHorizon.solveStages cancellation 1.0 ends [||])
    refuses "discount" "1.5" (fun () -> FiniteHorizon.solveStages cancellation 1.5 ends [| stage |])
    refuses "final" "NaN" (fun () -> FiniteHorizon.solveStages cancellation 1.0 [| 0.0; nan; 0.0; 0.0 |] [| stage |])
    refuses "final" "2" (fun () -> FiniteHorizon.solveStages cancellation 1.0 [| 0.0; 0.0 |] [| stage |])
    refuses "horizon" "0" (fun () -> FiniteHorizon.solve cancellation 0 1.0 (Expectation()) best model)

    refuses "stages" "3" (fun () ->
        FiniteHorizon.solveStages cancellation 1.0 ends [| stage; { stage with Model = Garnet.create (Generator 1) 3 2 2 } |])

    refuses "stages" "rows" (fun () ->
        let other = Garnet.create (Generator 1) 3 2 2
        FiniteHorizon.solveStages cancellation 1.0 ends [| { stage with Action = PolicyMean(Policy.Uniform other) } |])
    // Only a problem that ends may go undiscounted.
    refuses "discount" "[0, 1)" (fun () -> Kernel(model, 1.0))

/// Exact programs with a stock against the enumeration of everything that can be done.
module ValueFlow.Tests.Returns.StockProgramTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns
open ValueFlow.Tests.Returns.Judge
open ValueFlow.Tests.Returns.StockSketch

let private horizon = 3

let private graphOf discount steps stock model = StockGraph.Reach(100_000, steps, stock, 0, discount, model, none)

let private utilities: (string * (float -> float)) list =
    [
        "min(x, 0)", (fun x -> Math.Min(x, 0.0))
        "-|x|", (fun x -> -(abs x))
        "-x^2", (fun x -> -(x * x))
        "x", id
    ]

[<Fact>]
let ``c + r + gamma g = gamma (c' + g)`` () =
    let law (next: float -> float -> float -> float) (c: int, r: int, g: int, share: int) =
        let c, r, g = float c / 4.0, float r / 4.0, float g / 4.0
        let gamma = float (1 + abs share % 20) / 20.0
        same (c + r + gamma * g) (gamma * (next gamma c r + g))

    let values gamma =
        StockPlanning.solve
            { StockPlanning.standard with Tolerance = 10.0 }
            GainLoss.shortfall
            0
            0.0
            gamma
            (modelOf false 0 1.0 (NonEmptyArray [| 1 |]))

    let half = values 0.5
    holds (law (fun gamma c r -> if gamma = 0.5 then half.Next(c, r, 1.0) else half.Next(c, r, gamma / 0.5)))
    refuted (law (fun _ c r -> c + r))
    refuted (law (fun gamma c _ -> c / gamma))

[<Fact>]
let ``the program reaches what the best of all history-dependent decisions reaches`` () =
    let law (solve: (float -> float) -> StockGraph -> float) (discount: float) (sketch: StockSketch) =
        let model = modelOf true 0 1.0 sketch
        let laws = reachable model discount horizon 0 0.0 1.0

        utilities
        |> List.map (fun (name, f) ->
            let best = laws |> List.map (fun law -> law.Expect f) |> List.max
            same (solve f (graphOf discount horizon 0.0 model)) best |> Prop.label name)
        |> List.reduce (.&.)

    let byLaws (f: float -> float) graph = (StockProgram.solve Sight.FromTheStart (fun law -> law.Expect f) none graph).Value.Expect f

    for discount in [ 1.0; 0.5 ] do
        holdsFor 40 (law byLaws discount)
        holdsFor 40 (law (fun f graph -> (StockProgram.solveMean f none graph).Value) discount)
    // Decisions that do not see what was earned, those of the best mean, are worse.
    refuted (law (fun f graph -> (StockProgram.solve Sight.FromTheStart _.Mean none graph).Value.Expect f) 1.0)
    // So are those of a wrong sign.
    refuted (law (fun f graph -> (StockProgram.solve Sight.FromTheStart (fun law -> -law.Expect f) none graph).Value.Expect f) 1.0)

[<Fact>]
let ``for a positively homogeneous utility each stage may be judged as if it were the start`` () =
    let law (f: float -> float) (sketch: StockSketch) =
        let graph = graphOf 0.5 horizon 0.25 (modelOf true 0 1.0 sketch)
        let value sight = (StockProgram.solve sight (fun law -> law.Expect f) none graph).Value.Expect f
        same (value Sight.FromEachStage) (value Sight.FromTheStart)

    for _, f in utilities do
        holdsFor 60 (law f)

    refuted (law (fun x -> -(exp -x)))

[<Fact>]
let ``a utility that is not homogeneous is misjudged from each stage: a pinned gamble`` () =
    // Nothing is earned at first; then 1 for certain, or 0 and 3.5 with equal chances. f = -exp(-x), gamma = 1/2.
    let builder = ModelBuilder 3
    builder.Add(0, 0, 1, 1.0, 0.0)
    builder.Add(1, 0, 2, 1.0, 1.0)
    builder.ParallelOutcomes <- true
    builder.Add(1, 1, 2, 0.5, 0.0)
    builder.Add(1, 1, 2, 0.5, 3.5)
    builder.Terminal 2

    let model =
        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp $"{errors}"

    let graph = graphOf 0.5 2 0.0 model
    let f x = -(exp -x)
    let value sight = (StockProgram.solve sight (fun law -> law.Expect f) none graph).Value.Expect f
    Assert.Equal(-exp -0.5, value Sight.FromEachStage, 12)
    Assert.Equal(-0.5 * (1.0 + exp -1.75), value Sight.FromTheStart, 12)
    Assert.True(value Sight.FromEachStage < value Sight.FromTheStart - 0.01)

[<Fact>]
let ``without a preference about risk the actions are those of value iteration, whatever the stock`` () =
    let law (functional: Distribution -> float) (sketch: StockSketch) =
        let model = modelOf true 0 1.0 sketch
        let kernel = Kernel(model, 0.5)
        let sweep = (Bellman.Optimality(model, 0.5)).Operator
        let values = Array.scan (fun v _ -> sweep.Apply v) (Array.zeroCreate model.StateCount) [| 1..horizon |]
        let plan = StockProgram.solve Sight.FromTheStart functional none (graphOf 0.5 horizon 0.75 model)
        let bellman = Bellman.Optimality(model, kernel.Discount)

        [
            for stage in 0 .. horizon - 1 do
                for node in 0 .. plan.Graph.Nodes(stage).Length - 1 do
                    let at = plan.Graph.Nodes(stage).[node]

                    if at.State >= 0 && not (model.IsTerminal at.State) then
                        let rows = Array.zeroCreate model.RowCount
                        bellman.Sweep.ActionValues(values[horizon - stage - 1], rows, none) |> ignore
                        let best = Array.max rows[model.RowOffsets[at.State] .. model.RowOffsets[at.State + 1] - 1]
                        let taken = model.RowOffsets[at.State] + plan.ActionOf(stage, at.State, at.Earned)
                        same rows[taken] best
        ]
        |> List.reduce (.&.)

    holdsFor 60 (law _.Mean)
    refuted (law (fun law -> law.Expect(fun x -> Math.Min(x, 0.0))))

[<Fact>]
let ``the best tail is found by the search over targets, and no Markov policy has a better one`` () =
    let law (best: float -> Model -> float) (share: float) (sketch: StockSketch) =
        let model = modelOf true 0 1.0 sketch
        let laws = reachable model 1.0 horizon 0 0.0 1.0
        let found = best share model

        same found (laws |> List.map ((Tail.cvar share).Value) |> List.max)
        .&. atMost (markov model 1.0 horizon |> List.map ((Tail.cvar share).Value) |> List.max) found

    let search share model =
        let struct (plan, target) = BestTail.solve share 100_000 horizon 0 1.0 model none
        let law = StockProgram.lawOf plan none
        // The value is that of the plan: its target is the quantile.
        if
            abs ((Tail.cvar share).Value law - plan.Value) > 1e-9
            || abs (target + law.Expect(fun x -> Math.Min(x - target, 0.0)) / share - plan.Value) > 1e-9
        then
            nan
        else
            plan.Value

    for share in [ 0.25; 0.5 ] do
        holdsFor 40 (law search share)

    // The target's sign turned round.
    let turned share model =
        let graph = graphOf 1.0 horizon 0.0 model
        let targets = graph.Nodes(horizon).ToArray() |> Array.map _.Earned

        targets
        |> Array.map (fun b -> b + (StockProgram.solveMean (fun x -> Math.Min(x + b, 0.0) / share) none graph).Value)
        |> Array.max

    refuted (law turned 0.25)
    // A functional that is no mean: greedy decisions by CVaR itself are not optimal.
    refuted (
        law
            (fun share model ->
                (Tail.cvar share).Value
                    (StockProgram.solve Sight.FromTheStart ((Tail.cvar share).Value) none (graphOf 1.0 horizon 0.0 model)).Value)
            0.25
    )

[<Fact>]
let ``the tail mean is the best of b + E min(X - b, 0) / tau over all b`` () =
    let law (mean: float -> Distribution -> float) (sketch: LawSketch, share: PositiveInt) =
        let x = lawOf sketch
        let tau = float (1 + share.Get % 100) / 100.0
        let best = x.Atoms.ToArray() |> Array.map (fun b -> b + x.Expect(fun y -> Math.Min(y - b, 0.0)) / tau) |> Array.max
        same (mean tau x) best .&. same ((Tail.cvar 1.0).Value x) x.Mean

    holds (law (fun tau -> (Tail.cvar tau).Value))
    refuted (law (fun tau x -> x.Quantile tau))
    refuted (law (fun tau x -> -((Tail.cvar tau).Value(Distribution.affine 0.0 -1.0 x))))

[<Fact>]
let ``evaluation with a stock contracts by gamma in every W_p`` () =
    let lattice = StockLattice.wholes -6 6

    let law
        (factor: float)
        (evaluate: Model -> Distribution[] -> Distribution[])
        (sketch: StockSketch, first: LawSketch, second: LawSketch)
        =
        let model = modelOf false 0 1.0 sketch
        let count = model.StateCount * lattice.Count
        // Different laws at different nodes.
        let family (sketch: LawSketch) = Array.init count (fun i -> Distribution.affine (float (i % 5)) 1.0 (lawOf sketch))
        let x, y = family first, Array.rev (family second)
        let distance p a b = Array.map2 (Line.wasserstein p) a b |> Array.max

        [ 1.0; 2.0; infinity ]
        |> List.map (fun p -> atMost (distance p (evaluate model x) (evaluate model y)) (factor * distance p x y))
        |> List.reduce (.&.)

    let policy state stock = if stock > float state - 1.0 then 0 else 1
    holdsFor 60 (law 0.8 (StockLattice.evaluation policy 0.8 lattice))
    refuted (law 0.8 (fun model laws -> StockLattice.evaluation policy 1.0 lattice model laws))

[<Fact>]
let ``evaluation on a lattice that holds every stock is the exact law`` () =
    let law (lattice: StockLattice) (sketch: StockSketch) =
        let model = modelOf false 3 1.0 sketch
        let policy _ stock = if stock > 0.5 then 0 else 1
        let evaluate = StockLattice.evaluation policy 1.0 lattice model
        let laws = Array.create (model.StateCount * lattice.Count) (Distribution.point 0.0)
        let found = (laws |> evaluate |> evaluate |> evaluate)[lattice.Nearest 0.0]
        let exact = (StockProgram.evaluate (fun _ -> policy) none (graphOf 1.0 3 0.0 model)).Value
        same (Line.wasserstein 1.0 found exact) 0.0

    holdsFor 60 (law (StockLattice.wholes -9 9))
    refuted (law (StockLattice.wholes -1 1))

[<Fact>]
let ``bad input is named`` () =
    let model = modelOf true 0 1.0 (NonEmptyArray [| 1 |])
    refuses "discount" "0" (fun () -> StockGraph.Reach(10, 1, 0.0, 0, 0.0, model, none))
    refuses "horizon" "-1" (fun () -> StockGraph.Reach(10, -1, 0.0, 0, 1.0, model, none))
    refuses "start" "7" (fun () -> StockGraph.Reach(10, 1, 0.0, 7, 1.0, model, none))
    refuses "stock" "NaN" (fun () -> StockGraph.Reach(10, 1, nan, 0, 1.0, model, none))
    refuses "mostNodes" "2" (fun () -> StockGraph.Reach(2, 5, 0.0, 0, 1.0, model, none))
    refuses "share" "0" (fun () -> (Tail.cvar 0.0).Value(Distribution.point 1.0))
    refuses "loss" "-1" (fun () -> GainLoss.create 0.0 -1.0)
    refuses "gap" "0" (fun () -> StockLattice.create 0.0 0.0 3)
    let plan = StockProgram.solve Sight.FromTheStart _.Mean none (graphOf 1.0 2 0.0 model)
    refuses "earned" "0.5" (fun () -> plan.ActionOf(0, 0, 0.5))
    refuses "stage" "9" (fun () -> plan.ActionOf(9, 0, 0.0))
    refuses "action" "5" (fun () -> StockProgram.evaluate (fun _ _ _ -> 5) none plan.Graph)

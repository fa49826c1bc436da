/// Risks by scores, and the decisions of least risk.
module ValueFlow.Tests.Returns.ScoringTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns
open ValueFlow.Tests.Returns.Judge
open ValueFlow.Tests.Returns.StockSketch

let private shortfall = Scoring.expectedShortfall

[<Fact>]
let ``the expected shortfall is the mean of the largest costs, its forecast the quantile; the variance is the variance`` () =
    let law (es: float -> Scoring) (variance: Scoring) (sketch: LawSketch, share: PositiveInt) =
        let y = lawOf sketch
        let level = float (share.Get % 100) / 100.0
        let struct (forecast, value) = Scoring.forecast (es level) y
        // A forecast between quantiles scores the same.
        let atQuantile = y.Expect(fun x -> (es level).Score x (y.Quantile level))

        same value -((Tail.cvar (1.0 - level)).Value(Distribution.affine 0.0 -1.0 y))
        .&. same value atQuantile
        .&. same (Scoring.risk (es 0.0) y) y.Mean
        .&. ((y.Cdf(forecast + 1e-6) >= level - 1e-9 && y.Cdf(forecast - 1e-6) <= level + 1e-9) |> Prop.label "a quantile")
        .&. same (Scoring.risk variance y) y.Variance
        .&. within 1e-6 (let struct (v, _) = Scoring.forecast variance y in v) y.Mean

    holds (law shortfall Scoring.variance)
    refuted (law (fun level -> { shortfall level with Score = fun y v -> v + Math.Max(y - v, 0.0) }) Scoring.variance)
    refuted (law (fun level -> shortfall (0.5 * level)) Scoring.variance)
    refuted (law shortfall { Scoring.variance with Score = fun y v -> abs (y - v) })

[<Fact>]
let ``the entropic value-at-risk is no less than the shortfall and no more than the largest cost and what the largest forecast leaves`` () =
    let law (evar: float -> float -> Scoring) (sketch: LawSketch, share: PositiveInt) =
        let y = lawOf sketch |> Distribution.affine 0.0 0.25
        let level = float (1 + share.Get % 98) / 100.0
        let vMost = 600.0 / (1.0 + Math.Max(abs y.Minimum, abs y.Maximum))
        let risk = Scoring.risk (evar level vMost) y

        // Forecasts do not go below a millionth of the most: a little is lost for levels near zero.
        atMost (Scoring.risk (shortfall level) y) (risk + 1e-6)
        .&. atMost risk (y.Maximum + log (1.0 / (1.0 - level)) / vMost)

    holds (law Scoring.entropicValueAtRisk)
    refuted (law (fun level vMost -> { Scoring.entropicValueAtRisk level vMost with Risk = fun x v -> log x / v }))
    refuted (law (fun level vMost -> { Scoring.entropicValueAtRisk level vMost with Risk = fun x v -> log (x / (1.0 - level)) / v + 1.0 }))

[<Fact>]
let ``of two values with chances of 4 to 1 the entropic value-at-risk nears its infimum, the largest, as forecasts grow: pinned`` () =
    let y = Distribution.ofAtoms [| 0.0; 1.0 |] [| 0.8; 0.2 |]
    let at v = (Scoring.entropicValueAtRisk 0.9 700.0).Risk (y.Expect(fun x -> (Scoring.entropicValueAtRisk 0.9 700.0).Score x v)) v
    Assert.Equal(1.0693, at 10.0, 4)
    Assert.Equal(1.00693, at 100.0, 5)
    Assert.Equal(1.0 + log 2.0 / 700.0, Scoring.risk (Scoring.entropicValueAtRisk 0.9 700.0) y, 9)
    Assert.True(Scoring.risk (Scoring.entropicValueAtRisk 0.9 700.0) y > 1.0)

[<Fact>]
let ``the shortfall and the entropic value-at-risk translate and are monotone; the variance is neither monotone nor homogeneous`` () =
    let law (risk: Distribution -> float) (sketch: LawSketch, shift: int, gain: PositiveInt) =
        let y = lawOf sketch
        let c = float (shift % 40) / 4.0
        // Costs that are no less anywhere.
        let more = Distribution.map (fun x -> x + (if x > 0.0 then float (gain.Get % 20) / 4.0 else 0.0)) y

        within 1e-6 (risk (Distribution.affine c 1.0 y)) (c + risk y) .&. atMost (risk y) (risk more + 1e-6)

    let bounded risk (sketch: LawSketch, shift: int, gain: PositiveInt) =
        ((lawOf sketch).Maximum < 60.0 && (lawOf sketch).Minimum > -60.0) ==> (lazy (law risk (sketch, shift, gain)))

    holds (law (Scoring.risk (shortfall 0.8)))
    holds (bounded (Scoring.risk (Scoring.entropicValueAtRisk 0.8 8.0)))
    refuted (law (Scoring.risk Scoring.variance))
    let uniform = Distribution.ofNumbers [| 0.0; 1.0 |]
    Assert.True(Scoring.risk Scoring.variance uniform > Scoring.risk Scoring.variance (Distribution.point 1.0))
    Assert.Equal(4.0 * Scoring.risk Scoring.variance uniform, Scoring.risk Scoring.variance (Distribution.affine 0.0 2.0 uniform), 9)

[<Fact>]
let ``mean and risk add`` () =
    let law (weight: float) (sketch: LawSketch) =
        let y = lawOf sketch
        same (Scoring.risk (Scoring.meanRisk weight (shortfall 0.7)) y) (y.Mean + 2.0 * Scoring.risk (shortfall 0.7) y)

    holds (law 2.0)
    refuted (law 1.0)

[<Fact>]
let ``both stages reach the least risk of all history-dependent decisions`` () =
    let horizon = 3

    let law
        (forecasts: Distribution list -> float[])
        (scoring: Scoring)
        (solve: Scoring -> float[] -> StockGraph -> ScoredPlan)
        (sketch: StockSketch)
        =
        let model = modelOf true 0 1.0 sketch
        let laws = reachable model 1.0 horizon 0 0.0 1.0
        let graph = StockGraph.Reach(100_000, horizon, 0.0, 0, 1.0, model, none)
        let found = solve scoring (forecasts laws) graph
        let least = laws |> List.map (Scoring.risk scoring) |> List.min
        same found.Value least .&. same (Scoring.risk scoring (StockProgram.lawOf found.Plan none)) least

    let outcomes (laws: Distribution list) = laws |> Seq.collect (fun law -> law.Atoms.ToArray()) |> Seq.distinct |> Array.ofSeq
    let means (laws: Distribution list) = laws |> List.map _.Mean |> List.distinct |> Array.ofList
    let solve scoring forecasts graph = TwoStage.solve scoring forecasts none graph
    holdsFor 40 (law outcomes (shortfall 0.75) solve)
    holdsFor 20 (law means Scoring.variance solve)
    holdsFor 40 (law outcomes (Scoring.meanRisk 0.5 (shortfall 0.75)) solve)
    // Forecasts that miss the optimal one; decisions of the best mean; the largest score instead of the least.
    refuted (law (fun laws -> [| laws.Head.Mean + 0.3 |]) (shortfall 0.75) solve)
    refuted (law outcomes (shortfall 0.75) (fun scoring _ graph -> TwoStage.against scoring 1000.0 none graph))

    refuted (
        law outcomes (shortfall 0.75) (fun scoring forecasts graph ->
            solve { scoring with Score = fun y v -> -(scoring.Score y v) } forecasts graph)
    )

[<Fact>]
let ``for the entropic value-at-risk both stages are within what the largest forecast leaves`` () =
    let vMost = 40.0

    let law (scoring: Scoring) (sketch: StockSketch) =
        let model = modelOf true 0 1.0 sketch
        let laws = reachable model 1.0 3 0 0.0 1.0
        let graph = StockGraph.Reach(100_000, 3, 0.0, 0, 1.0, model, none)

        let least =
            laws
            |> List.map (fun y -> Math.Min(y.Maximum, Scoring.risk (Scoring.entropicValueAtRisk 0.9 vMost) y))
            |> List.min

        let forecasts = Array.init 400 (fun i -> vMost * Math.Exp(-0.03 * float i))
        let found = TwoStage.solve scoring forecasts none graph
        // Between two forecasts of the grid, 3 % apart, a hundredth may be lost.
        atMost (least - 1e-6) found.Value .&. atMost found.Value (least + log 10.0 / vMost + 0.01)

    holdsFor 20 (law (Scoring.entropicValueAtRisk 0.9 vMost))
    refuted (law { Scoring.entropicValueAtRisk 0.9 vMost with Risk = fun x v -> log x / v })

[<Fact>]
let ``alternation never raises the risk`` () =
    let law (improve: Scoring -> ScoredPlan -> ScoredPlan) (scoring: Scoring) (sketch: StockSketch, start: int) =
        let graph = StockGraph.Reach(100_000, 3, 0.0, 0, 1.0, modelOf true 0 1.0 sketch, none)
        let mutable plan = TwoStage.against scoring (float (start % 10)) none graph
        let mutable verdict = Prop.ofTestable true

        for _ in 1..4 do
            let next = improve scoring plan
            verdict <- verdict .&. atMost next.Value plan.Value
            plan <- next

        verdict

    let improve scoring plan = TwoStage.improve scoring none plan
    holdsFor 60 (law improve (shortfall 0.75))
    holdsFor 60 (law improve Scoring.variance)
    refuted (law (fun scoring plan -> TwoStage.against scoring (plan.Forecast + 1.0) none plan.Plan.Graph) (shortfall 0.75))
    let graph = StockGraph.Reach(100_000, 3, 0.0, 0, 1.0, modelOf true 0 1.0 (NonEmptyArray [| 3; 1; 4 |]), none)
    let struct (plan, values) = TwoStage.alternate (shortfall 0.75) 1e-12 0.0 none graph
    Assert.Equal(plan.Value, values[values.Length - 1])
    Assert.True(Array.pairwise values |> Array.forall (fun (a, b) -> b < a))

[<Fact>]
let ``bad input is named`` () =
    refuses "level" "1" (fun () -> shortfall 1.0)
    refuses "vMost" "0" (fun () -> Scoring.entropicValueAtRisk 0.5 0.0)
    refuses "vMost" "800" (fun () -> Scoring.risk (Scoring.entropicValueAtRisk 0.5 8.0) (Distribution.point 100.0))
    refuses "scoring" "evar" (fun () -> Scoring.meanRisk 1.0 (Scoring.entropicValueAtRisk 0.5 1.0))
    refuses "weight" "-1" (fun () -> Scoring.meanRisk -1.0 Scoring.variance)
    let graph = StockGraph.Reach(100, 1, 0.0, 0, 1.0, modelOf true 0 1.0 (NonEmptyArray [| 1 |]), none)
    refuses "forecasts" "none" (fun () -> TwoStage.solve Scoring.variance [||] none graph)

/// The laws hold for every combination of summaries.
module ValueFlow.Tests.Laws.LawTests

open Xunit
open Xunit.Abstractions
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws

let private indices count = [ for i in 0 .. count - 1 -> [| box i |] ]

let private stateSummaries = ValueFlow.Tests.Values.SummaryTests.stateSummaries
let private actionCount = (ValueFlow.Tests.Values.SummaryTests.actionSummaries (FrozenLake.standard ())).Length
let private action i model = (ValueFlow.Tests.Values.SummaryTests.actionSummaries model)[i]

/// The state summaries, by number.
let states () = indices stateSummaries.Length

[<Theory; MemberData(nameof states)>]
let ``contraction, monotonicity, translation and purity hold with every action summary`` (state: int) =
    for a in 0 .. actionCount - 1 do
        let subject = Subject.bellman stateSummaries[state] (action a)

        for report in Law.all subject do
            report.Require()

[<Theory; MemberData(nameof states)>]
let ``row form equals tensor form, and tensors do not leak`` (state: int) =
    let options = LawOptions(Cases = 100)

    for a in 0 .. actionCount - 1 do
        let rows, tensors =
            Subject.bellman stateSummaries[state] (action a), Subject.bellmanOnTensors stateSummaries[state] (action a)

        (Law.checkWith options (Law.equality 1e-12 tensors) rows).Require()
        (Law.checkWith options Law.leakFreedom tensors).Require()
        (Law.checkWith options Law.contraction tensors).Require()

[<Fact>]
let ``the interval summaries obey the laws too`` () =
    for attitude in [ Attitude.Adverse; Attitude.Favourable ] do
        for a in 0 .. actionCount - 1 do
            let make model discount =
                let model = ValueFlow.Tests.Values.CertificateTests.withIntervals model
                // Every transition certain: no interval is left, and so no interval model.
                let state: StateSummary = if model.IsInterval then Interval attitude else Expectation()
                (Bellman.Create(model, discount, state, action a model)).Operator

            for report in Law.all (Subject.family "interval" make) do
                report.Require()

[<Fact>]
let ``the span seminorm contracts where nothing is lost, and only the sup norm claims it`` () =
    let subject = Subject.family "optimality" (fun model discount -> (Bellman.Optimality(model, discount)).Operator)
    (Law.check (Law.nonExpansion Metric.sup) subject).Require()
    let euclidean = Law.check (Law.nonExpansion Metric.euclidean) subject
    // In the Euclidean norm a Bellman operator may expand: a known counterexample, found anew.
    Assert.Equal(Verdict.Refuted, euclidean.Verdict)

[<Fact>]
let ``the solver's answer is the fixed point`` () =
    let subject = Subject.family "optimality" (fun model discount -> (Bellman.Optimality(model, min discount 0.99)).Operator)
    let find operator start = (FixedPoint.picard { RunOptions.standard with Tolerance = 1e-6 } operator start).Value
    (Law.checkWith (LawOptions(Cases = 100)) (Law.fixedPoint 1e-3 find) subject).Require()

[<Fact>]
let ``generators reach what operators get wrong, by stated minimums`` () =
    let subject = Subject.family "optimality" (fun model discount -> (Bellman.Optimality(model, discount)).Operator)
    let report = Law.checkWith (LawOptions(Cases = 1000, MaximumSeconds = 30.0)) Law.contraction subject
    report.Require()
    Assert.Equal(1000, report.Cases)

    for label, least in ModelSketch.minimums do
        Assert.True(report.Labels[label] >= least, $"{label}: {report.Labels[label]}%% of at least {least}%%")

[<Fact>]
let ``a seed gives the same report again`` () =
    let wrong = Operator.onVectors "wrong" 0.5 (Array.map (fun x -> 0.6 * x))
    let once, again = Law.check Law.contraction (Subject.vectors 2 wrong), Law.check Law.contraction (Subject.vectors 2 wrong)
    Assert.Equal(once.Counterexample, again.Counterexample)
    Assert.NotEqual<string>("", once.Counterexample)
    let other = Law.checkWith (LawOptions(Seed = 2)) Law.contraction (Subject.vectors 2 wrong)
    Assert.NotEqual<string>(once.OriginalCounterexample, other.OriginalCounterexample)

type GridTests(output: ITestOutputHelper) =

    [<Fact>]
    member _.``how many pairs of summaries the laws cover``() =
        let claiming = stateSummaries |> List.filter _.Claim.NonExpansive
        output.WriteLine $"{stateSummaries.Length} state x {actionCount} action summaries: {stateSummaries.Length * actionCount} pairs"
        Assert.Equal(stateSummaries.Length, claiming.Length)
        Assert.True(stateSummaries.Length * actionCount >= 400)

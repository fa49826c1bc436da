module ValueFlow.Tests.Values.EvaluationTests

open System
open System.Threading
open Xunit
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Tests
open ValueFlow.Tests.Values.CertificateTests

[<Fact>]
let ``both evaluations of a policy enclose its exact value`` () =
    for seed in 1..200 do
        let case = randomCase seed

        if case.Discount < 0.9995 then
            let model = case.Model
            let rows = Array.init model.StateCount (fun s -> if model.IsTerminal s then -1 else model.RowOffsets[s + 1] - 1)
            let exact = Exact.Process(model, case.Discount, Exact.expectation, false).Value rows

            let policy =
                Policy.Deterministic(model, ReadOnlySpan(rows |> Array.map (fun row -> if row < 0 then 0 else model.RowActions[row])))

            let bellman = Bellman.Optimality(model, case.Discount)

            for evaluate, certificate in
                [ PolicyEvaluation.linear, Certificate.LinearSolve; PolicyEvaluation.iterate, Certificate.SpanBounds ] do
                let solution: Solution = evaluate RunOptions.standard policy bellman
                Assert.Equal(certificate, solution.Certificate)

                for s in 0 .. model.StateCount - 1 do
                    Assert.True(
                        Rational.OfFloat solution.Lower[s] <= exact[s] && exact[s] <= Rational.OfFloat solution.Upper[s],
                        $"seed {seed}, state {s}"
                    )

[<Fact>]
let ``a large policy is evaluated by a Krylov method, certified alike`` () =
    let model = Chain.randomWalk 3001 0.5
    let bellman = Bellman.Optimality(model, 0.9999)
    let solution = PolicyEvaluation.linear RunOptions.standard (Policy.Uniform model) bellman
    Assert.Equal(Outcome.Converged, solution.Outcome)
    // V(s) = sinh-like closed form: V = (a^s - a^-s) / (a^n - a^-n) with gamma (a + 1/a) = 2.
    let gamma, n = 0.9999, 3000.0
    let a = (1.0 + sqrt (1.0 - gamma * gamma)) / gamma
    // The end itself earns 1 on arrival, undiscounted: V(s) = gamma^-1 times the discounted hitting transform.
    let closed s = (a ** s - a ** -s) / (a ** n - a ** -n) / gamma
    Assert.Equal(closed 1500.0, solution.Values[1500], 7)

[<Fact>]
let ``the caller's start is left as it was, and a good start saves sweeps`` () =
    let bellman = Bellman.Optimality(FrozenLake.standard (), 0.95)
    let first = ValueIteration.solve RunOptions.standard bellman
    let start = Array.copy first.Values
    let again = ValueIteration.solveFrom (ValueSome start) RunOptions.standard bellman
    Assert.Equal<float[]>(first.Values, start)
    Assert.True(again.Sweeps < first.Sweeps / 2)

    let wrong =
        Assert.Throws<ArgumentException>(fun () -> ValueIteration.solveFrom (ValueSome [| 1.0 |]) RunOptions.standard bellman |> ignore)

    Assert.Contains("16", wrong.Message)

[<Fact>]
let ``span bounds certify orders of magnitude earlier than contraction`` () =
    let model = Garnet.create (Generator 3) 1000 4 8
    let bellman = Bellman.Optimality(model, 0.99)
    let span = ValueIteration.solve RunOptions.standard bellman
    let banach = FixedPoint.picard RunOptions.standard bellman.Operator (Array.zeroCreate 1000)
    Assert.Equal(Outcome.Converged, span.Outcome)
    Assert.Equal(Outcome.Converged, banach.Outcome)
    Assert.True(span.Sweeps * 20 < banach.Applications, $"{span.Sweeps} and {banach.Applications}")
    Assert.True(Metric.sup.Distance span.Values banach.Value <= span.Bound + banach.Bound)

[<Fact>]
let ``play meets its prediction, by seed alone`` () =
    let model = FrozenLake.standard ()
    let solution = ValueIteration.solve RunOptions.standard (Bellman.Optimality(model, 0.99))
    let policy = Policy.Deterministic(model, ReadOnlySpan solution.Policy)
    let play seed = Simulation.play (Generator seed) 20_000 10_000 0.99 -1 CancellationToken.None policy model
    let playout = play 1
    Assert.True(abs (playout.Mean - solution.Values[0]) <= 5.0 * playout.StandardError)
    Assert.Equal<float[]>(playout.Returns, (play 1).Returns)
    Assert.NotEqual<float[]>(playout.Returns, (play 2).Returns)
    Assert.Equal(20_000, (Simulation.play (Generator 1) 20_000 1 0.99 -1 CancellationToken.None policy model).Truncated)

[<Fact>]
let ``interval bounds hold for every law within the intervals`` () =
    // The robust value lies below the value under any law within the bounds, and the optimistic one above.
    for seed in 1..50 do
        let interval = Files.Fixture.model seed true false
        let direction = Extreme Direction.Maximise
        let robust = ValueIteration.solve RunOptions.standard (Bellman.Create(interval, 0.9, Interval(), direction))

        let hopeful =
            ValueIteration.solve RunOptions.standard (Bellman.Create(interval, 0.9, Interval Attitude.Favourable, direction))

        let builder = ModelBuilder interval.StateCount

        for s in 0 .. interval.StateCount - 1 do
            if interval.IsTerminal s then
                builder.Terminal s

            for row in interval.RowOffsets[s] .. interval.RowOffsets[s + 1] - 1 do
                for k in interval.Offsets[row] .. interval.Offsets[row + 1] - 1 do
                    builder.Add(s, interval.RowActions[row], interval.Successors[k], interval.Probabilities[k], interval.Rewards[k])

        match builder.Build() with
        | Error errors -> Assert.Fail(ModelError.describe errors.Head)
        | Ok nominal ->
            let plain = ValueIteration.solve RunOptions.standard (Bellman.Optimality(nominal, 0.9))

            for s in 0 .. interval.StateCount - 1 do
                Assert.True(robust.Lower[s] <= plain.Upper[s] && plain.Lower[s] <= hopeful.Upper[s], $"seed {seed}, state {s}")

/// What summaries claim of their rounding, against exact numbers; and the corners where rounding decides.
module ValueFlow.Tests.Values.RoundingTests

open System
open System.Numerics
open Xunit
open Xunit.Abstractions
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Tests
open ValueFlow.Tests.Values.CertificateTests

let private build states (rows: (int * int * int * float * float) list) =
    let builder = ModelBuilder states

    for state, action, successor, p, r in rows do
        builder.Add(state, action, successor, p, r)

    match builder.Build() with
    | Ok model -> model
    | Error errors -> invalidOp (ModelError.describe errors.Head)

// r + gamma V of the transitions of a row, in 192 digits; gamma is the exact product.
let private outcomes (model: Model) (discount: float) (values: BigInteger[]) row =
    [|
        for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
            let continuation = if model.Continuations.Length = 0 then 1.0 else model.Continuations[k]
            let gamma = Precise.times (Precise.ofFloat discount) (Precise.ofFloat continuation)
            Precise.ofFloat model.Rewards[k] + Precise.times gamma values[model.Successors[k]]
    |]

let private probabilities (model: Model) row =
    [| for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 -> Precise.ofFloat model.Probabilities[k] |]

// The entropic summary of a row: sharpness -B is averse, B favourable.
let private entropicRow model discount sharpness values row =
    Precise.logSum sharpness (probabilities model row) (outcomes model discount values row)

let private distance (x: float) (y: BigInteger) = Precise.toFloat (BigInteger.Abs(Precise.ofFloat x - y))

let private valuesFor (generator: Generator) (case: Case) =
    Array.init case.Model.StateCount (fun _ ->
        match generator.Below 4 with
        | 0 -> 0.0
        | 1 -> 1e6 * case.Scale * (generator.Uniform() - 0.5)
        | _ -> case.Scale * (generator.Uniform() - 0.5))

type RoundingTests(output: ITestOutputHelper) =

    let require (name: string) (errors: seq<float * float>) =
        let shares = errors |> Seq.map (fun (error, bound) -> error / bound) |> Array.ofSeq
        output.WriteLine $"{name}: largest error / claimed rounding {Array.max shares:G3} in {shares.Length} rows"
        Assert.True(Array.max shares <= 1.0, $"{name}: {Array.max shares}")

    [<Fact>]
    member _.``every state summary stays within the rounding that it claims``() =
        let adverse, favourable = Attitude.Adverse, Attitude.Favourable

        let linear: (StateSummary * Exact.Law * bool * bool) list =
            [
                Expectation(), Exact.expectation, false, false
                for share in [ 0.01; 0.3; 1.0 ] do
                    Cvar share, Exact.cvar share, false, false
                    Cvar(share, favourable), Exact.favourable (Exact.cvar share), false, false
                for radius in [ 0.0; 0.2; 1.0 ] do
                    TotalVariation(radius, Support.Nominal, adverse), Exact.totalVariation radius, false, false
                    TotalVariation(radius, Support.AllStates, adverse), Exact.totalVariation radius, true, false
                    TotalVariation(radius, Support.AllStates, favourable), Exact.favourable (Exact.totalVariation radius), true, false
                Interval(), Exact.interval, false, true
                Interval favourable, Exact.favourable Exact.interval, false, true
                for share in [ 0.0; 0.2; 1.0 ] do
                    Contamination(share, Support.Nominal, adverse), Exact.contamination share, false, false
                    Contamination(share, Support.AllStates, adverse), Exact.contamination share, true, false
                    Contamination(share, Support.AllStates, favourable), Exact.favourable (Exact.contamination share), true, false
                for level in [ 1e-3; 0.3; 0.5; 0.9 ] do
                    Expectile level, Exact.expectile level, false, false
                    Expectile(level, favourable), Exact.favourable (Exact.expectile level), false, false
                for weight in [ 0.0; 0.5; 1.0 ] do
                    Semideviation weight, Exact.semideviation weight, false, false
                    Semideviation(weight, favourable), Exact.favourable (Exact.semideviation weight), false, false
            ]

        let entropic = [ for aversion in [ 1e-3; 0.5; 20.0 ] -> aversion ]

        let rows (model: Model) discount (summary: StateSummary) values =
            let bellman = Bellman.Create(model, discount, summary, Extreme Direction.Maximise)
            let computed = Array.zeroCreate model.RowCount
            Assert.True(bellman.Sweep.ActionValues(values, computed, Threading.CancellationToken.None))
            computed, summary.Rounding(bellman.Kernel, bellman.Kernel.Magnitude values)

        let trials =
            [
                for seed in firstSeed .. firstSeed + 99 -> randomCase seed, valuesFor (Generator(seed + 5000)) (randomCase seed)
            ]

        for summary, law, wide, needsIntervals in linear do
            require
                summary.Name
                [
                    for case, values in trials do
                        let model = if needsIntervals then withIntervals case.Model else case.Model

                        if model.IsInterval = needsIntervals then
                            let computed, bound = rows model case.Discount summary values
                            let exact = Exact.Process(model, case.Discount, law, wide)
                            let fractions = values |> Array.map Rational.OfFloat

                            for row in 0 .. model.RowCount - 1 do
                                let error = Rational.Abs(Rational.OfFloat computed[row] - exact.RowValue(fractions, row))
                                error.ToFloat(), bound
                ]

        for aversion in entropic do
            for attitude, sharpness in [ adverse, -aversion; favourable, aversion ] do
                let summary = Entropic(aversion, attitude)

                require
                    summary.Name
                    [
                        for case, values in trials do
                            let computed, bound = rows case.Model case.Discount summary values

                            for row in 0 .. case.Model.RowCount - 1 do
                                let exact = entropicRow case.Model case.Discount sharpness (Array.map Precise.ofFloat values) row
                                distance computed[row] exact, bound
                    ]

        let balls: (StateSummary * float * (BigInteger[] -> BigInteger[] -> BigInteger)) list =
            [
                for radius in [ 0.0; 1e-9; 1e-3; 0.1; 1.0; 30.0 ] do
                    KullbackLeibler radius, 1.0, Precise.divergenceBall radius
                    KullbackLeibler(radius, favourable), -1.0, Precise.divergenceBall radius
                for radius in [ 0.0; 1e-9; 0.1; 1.0; 30.0 ] do
                    ChiSquare radius, 1.0, Precise.chiSquareBall radius
                    ChiSquare(radius, favourable), -1.0, Precise.chiSquareBall radius
                for share in [ 1.0; 0.9; 0.01 ] do
                    Evar share, 1.0, Precise.divergenceBall (if share = 1.0 then 0.0 else -(Math.Log share))
            ]

        for summary, sign, ball in balls do
            require
                summary.Name
                [
                    for case, values in trials do
                        let computed, bound = rows case.Model case.Discount summary values

                        for row in 0 .. case.Model.RowCount - 1 do
                            let p = Precise.normalise (probabilities case.Model row)
                            let flip (x: BigInteger) = if sign > 0.0 then x else BigInteger.Negate x
                            let x = outcomes case.Model case.Discount (Array.map Precise.ofFloat values) row |> Array.map flip
                            distance computed[row] (flip (ball p x)), bound
                ]

        for radius in [ 0.0; 0.3; 2.0 ] do
            for support in [ Support.Nominal; Support.AllStates ] do
                let summary = Wasserstein(radius, StateMetric.Line, support, adverse)

                require
                    summary.Name
                    [
                        for case, values in trials do
                            let computed, bound = rows case.Model case.Discount summary values
                            let exact = Exact.Process(case.Model, case.Discount, Exact.expectation, (support = Support.AllStates))
                            let fractions = values |> Array.map Rational.OfFloat

                            for row in 0 .. case.Model.RowCount - 1 do
                                let value = exact.Transported(fractions, row, radius)
                                Rational.Abs(Rational.OfFloat computed[row] - value).ToFloat(), bound
                    ]

    [<Fact>]
    member _.``every action summary stays within the rounding that it claims``() =
        let generator = Generator firstSeed

        let trials =
            [
                for _ in 1..300 ->
                    let scale = [ 1e-3; 1.0; 100.0; 1e8 ][generator.Below 4]
                    let count = 1 + generator.Below 9

                    [|
                        for _ in 1..count -> if generator.Uniform() < 0.2 then 0.0 else scale * (2.0 * generator.Uniform() - 1.0)
                    |]
            ]

        let mean (q: float[]) = Array.fold (fun sum x -> sum + Precise.ofFloat x) BigInteger.Zero q / BigInteger q.Length

        // With a discount of zero the action values are the rewards, exactly.
        let check name (make: Model -> ActionSummary) (exact: float[] -> BigInteger) =
            require
                name
                [
                    for q in trials do
                        let model = build 1 [ for a in 0 .. q.Length - 1 -> 0, a, 0, 1.0, q[a] ]
                        let bellman = Bellman.Create(model, 0.0, Expectation(), make model)
                        let computed = (bellman.Operator.Apply [| 0.0 |])[0]
                        distance computed (exact q), bellman.Operator.Claims.Head.Rounding.Value [| 0.0 |]
                ]

        let uniform (q: float[]) = Array.create q.Length (Precise.one / BigInteger q.Length)

        // Powers of two, whose reciprocal is exact.
        for temperature in [ 0.5; -2.0; 4096.0 ] do
            check $"logsumexp({temperature})" (fun model -> LogSumExp(temperature, Policy.Uniform model)) (fun q ->
                Precise.logSum (1.0 / temperature) (uniform q) (Array.map Precise.ofFloat q))

        // Near zero it is the maximum, but for t log n.
        for temperature in [ 1e-9; -1e-300 ] do
            for q in trials do
                let model = build 1 [ for a in 0 .. q.Length - 1 -> 0, a, 0, 1.0, q[a] ]
                let bellman = Bellman.Create(model, 0.0, Expectation(), LogSumExp(temperature, Policy.Uniform model))
                let best = if temperature > 0.0 then Array.max q else Array.min q
                let slack = abs temperature * log 9.0 * 1.01 + bellman.Operator.Claims.Head.Rounding.Value [| 0.0 |]
                Assert.Equal(best, (bellman.Operator.Apply [| 0.0 |])[0], slack)

        for index in [ 1.5; 2.0; 3.0 ] do
            for temperature in [ 1e-6; 0.5; 1000.0 ] do
                check $"tsallis({index}, {temperature})" (fun _ -> Tsallis(index, temperature, ValueNone, Direction.Maximise)) (fun q ->
                    Precise.tsallis index temperature (Array.create q.Length 1.0) q)

                check
                    $"tsallis-prior({index}, {temperature})"
                    (fun model -> Tsallis(index, temperature, ValueSome(Policy.Uniform model), Direction.Maximise))
                    (fun q -> Precise.tsallis index temperature (Array.create q.Length (1.0 / float q.Length)) q)

        check "annealed mix" (fun model -> AnnealedMix(0.25, Policy.Uniform model, Direction.Maximise)) (fun q ->
            (BigInteger 3 * Precise.ofFloat (Array.max q) + mean q) / BigInteger 4)

        check "policy mean" (fun model -> PolicyMean(Policy.Uniform model)) mean

        check "epsilon mix" (fun _ -> EpsilonMix(0.25, Direction.Minimise)) (fun q ->
            (BigInteger 3 * Precise.ofFloat (Array.min q) + mean q) / BigInteger 4)

    [<Fact>]
    member _.``entropic solutions are enclosed, against 192 digits``() =
        let ratios = ResizeArray<float>()

        for seed in firstSeed .. firstSeed + 149 do
            let case = randomCase seed

            if case.Discount <= 0.9 && case.Scale <= 100.0 then
                let attitude, sharpness = if seed % 2 = 0 then Attitude.Adverse, -0.5 else Attitude.Favourable, 0.5
                let bellman = Bellman.Create(case.Model, case.Discount, Entropic(0.5, attitude), Extreme Direction.Maximise)
                let solve = [ ValueIteration.solve; GaussSeidel.solve; PolicyIteration.solve; PolicyIteration.solveModified 5 ][seed % 4]
                let solution = solve RunOptions.standard bellman
                Assert.Equal(Outcome.Converged, solution.Outcome)
                Assert.True(solution.Bound <= 1e-8)

                let apply (values: BigInteger[]) =
                    Array.init case.Model.StateCount (fun s ->
                        if case.Model.IsTerminal s then
                            BigInteger.Zero
                        else
                            [ case.Model.RowOffsets[s] .. case.Model.RowOffsets[s + 1] - 1 ]
                            |> List.map (entropicRow case.Model case.Discount sharpness values)
                            |> List.max)

                // From the answer on until what is left is a millionth of the bound.
                let sweeps = if case.Discount = 0.0 then 1 else int (ceil (log 1e-6 / log case.Discount))
                let reference = Seq.fold (fun v _ -> apply v) (solution.Values |> Array.map Precise.ofFloat) (seq { 1..sweeps })
                let left = Precise.ofFloat (1e-6 * solution.Bound)

                for s in 0 .. case.Model.StateCount - 1 do
                    Assert.True(Precise.ofFloat solution.Lower[s] - left <= reference[s], $"seed {seed}, state {s}")
                    Assert.True(reference[s] <= Precise.ofFloat solution.Upper[s] + left, $"seed {seed}, state {s}")
                    Assert.True(distance solution.Values[s] reference[s] <= 1.000001 * solution.Bound)
                    ratios.Add(distance solution.Values[s] reference[s] / solution.Bound)

        let sorted = ratios |> Seq.sort |> Array.ofSeq

        output.WriteLine
            $"true error / bound: median {sorted[sorted.Length / 2]:G3}, largest {Array.last sorted:G3}, {sorted.Length} states"

    [<Fact>]
    member _.``at the corners nothing false is certified``() =
        let models =
            [
                "one state", build 1 [ 0, 0, 0, 1.0, 1.0 ]
                "least numbers", build 2 [ 0, 0, 1, 1.0, 5e-324; 0, 1, 0, 0.3, 3e-310; 0, 1, 1, 0.7, 1e-320; 1, 0, 0, 1.0, -7e-322 ]
                "large rewards", build 2 [ 0, 0, 1, 0.3, 1e300; 0, 0, 0, 0.7, -1e300; 1, 0, 0, 1.0, 3e299 ]
                "thirds",
                build
                    3
                    [
                        for s in 0..2 do
                            for n in 0..2 -> s, 0, n, 1.0 / 3.0, float (s - n) / 3.0
                    ]
            ]

        let methods = [ ValueIteration.solve; GaussSeidel.solve; PolicyIteration.solve; PolicyIteration.solveModified 3 ]

        for name, model in models do
            for discount in [ 0.0; 5e-324; 1e-310; 1e-9; 0.5; 0.9 ] do
                let optimum = Exact.Process(model, discount, Exact.expectation, false).Optimum Direction.Maximise
                let size = optimum |> Array.map (fun v -> abs (v.ToFloat())) |> Array.max

                for solve in methods do
                    for tolerance in [ 1e-8; 1e-12 * size + 5e-324; 1e-15 * size + 5e-324; 3e-16 * size + 5e-324; 5e-324 ] do
                        let solution: Solution =
                            solve { RunOptions.standard with Tolerance = tolerance } (Bellman.Optimality(model, discount))

                        let where = $"{name}, discount {discount}, tolerance {tolerance}, {solution.Method}: {solution.Outcome}"
                        Assert.True(solution.Outcome <> Outcome.Converged || solution.Bound <= tolerance, $"{where}, {solution.Bound}")

                        for s in 0 .. model.StateCount - 1 do
                            Assert.True(Rational.OfFloat solution.Lower[s] <= optimum[s], where)
                            Assert.True(optimum[s] <= Rational.OfFloat solution.Upper[s], where)

        // All states terminal: there is nothing to bound.
        let builder = ModelBuilder 2
        builder.Terminal 0
        builder.Terminal 1

        match builder.Build() with
        | Error errors -> Assert.Fail(ModelError.describe errors.Head)
        | Ok model ->
            for solve in methods do
                let solution: Solution = solve RunOptions.standard (Bellman.Optimality(model, 0.9))
                Assert.Equal<float[]>([| 0.0; 0.0 |], solution.Values)
                Assert.Equal<float[]>([| 0.0; 0.0 |], solution.Upper)
                Assert.Equal(Outcome.Converged, solution.Outcome)

        // What overflows is told, and nothing is certified of it.
        for solve in methods do
            let solution: Solution = solve RunOptions.standard (Bellman.Optimality(build 1 [ 0, 0, 0, 1.0, 1.7e308 ], 0.99))

            Assert.True(Double.IsPositiveInfinity solution.Bound || Double.IsPositiveInfinity solution.Upper[0], $"{solution.Method}")

    [<Fact>]
    member _.``a discount that rounding does not tell from one certifies nothing``() =
        let discount = Math.BitDecrement 1.0
        let model = build 2 [ 0, 0, 0, 0.3, 1.0; 0, 0, 1, 0.7, 1.0; 1, 0, 0, 1.0, 1.0 ]

        for solve in [ ValueIteration.solve; GaussSeidel.solve; PolicyIteration.solveModified 3 ] do
            let solution: Solution = solve { RunOptions.standard with Budget = 50 } (Bellman.Optimality(model, discount))
            // V* = 2^53, or so.
            Assert.True(solution.Upper[0] >= Math.ScaleB(1.0, 53), $"{solution.Method}: {solution.Lower[0]}, {solution.Upper[0]}")
            Assert.Equal(Certificate.Estimate, solution.Certificate)

    [<Fact>]
    member _.``a summary without a rounding bound converges to an estimate``() =
        let rho =
            RowFunction(fun p x ->
                let mutable sum = 0.0 in

                (for k in 0 .. p.Length - 1 do
                    sum <- sum + p[k] * x[k])

                sum)

        let summary = CustomSummary("own mean", SummaryClaim.all "stated by the user", ValueNone, rho)
        let bellman = Bellman.Create(FrozenLake.standard (), 0.9, summary, Extreme Direction.Maximise)
        let start = Array.zeroCreate 16
        let result = FixedPoint.picard RunOptions.standard bellman.Operator start
        Assert.Equal(Outcome.Converged, result.Outcome)
        Assert.Equal(Certificate.Estimate, result.Certificate)
        Assert.True(result.Residual <= 1e-8)

    [<Fact>]
    member _.``intervals that leave out every law by rounding are widened, and certified truly``() =
        for lower, upper in [ [ 0.5000003; 0.5 ], [ 0.6; 0.7 ]; [ 0.1; 0.2 ], [ 0.4; 0.5999995 ] ] do
            let builder = ModelBuilder 2

            for n in 0..1 do
                builder.AddInterval(0, 0, n, lower[n], upper[n], 1.0 + float n, -1)
                builder.AddInterval(1, 0, n, lower[n], upper[n], 1.0 - float n, -1)

            match builder.Build() with
            | Error errors -> Assert.Fail(ModelError.describe errors.Head)
            | Ok model ->
                Assert.True(model.Normalisation > 1e-7)
                let exact = Exact.Process(model, 0.99, Exact.interval, false).Optimum Direction.Maximise

                let solution =
                    ValueIteration.solve RunOptions.standard (Bellman.Create(model, 0.99, Interval(), Extreme Direction.Maximise))

                Assert.True(solution.Bound <= 1e-8)

                for s in 0..1 do
                    Assert.True(Rational.OfFloat solution.Lower[s] <= exact[s] && exact[s] <= Rational.OfFloat solution.Upper[s])

/// Mirror-descent value iteration with weighted regression: P089.
module ValueFlow.Tests.Systems.MirrorDescentTests

open System
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open MathNet.Numerics.LinearAlgebra.Double
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws
open ValueFlow.Tests.Systems.Judge

let private none = CancellationToken.None
let private nothing = true |> Prop.label "nothing to be said"

let private exactly sweeps = { MirrorDescentOptions.standard with Sweeps = sweeps; Samples = 0 }

let private apart (model: Model) =
    Features.OfFunction(model.RowCount, fun i -> Array.init model.RowCount (fun j -> if i = j then 1.0 else 0.0))

// A regression: so many places and features from the draw, all numbers ordinary.
type private Regression = { Features: Features; F: float[]; Generator: Generator }

let private regressionOf (case: Case) =
    let generator = Generator(case.Draw + 11)
    let d = 1 + generator.Below 4
    let n = d + 1 + generator.Below 12

    {
        Features = Features.OfFunction(n, fun _ -> Array.init d (fun _ -> Sampling.normal generator))
        F = Array.init n (fun _ -> exp (2.0 * Sampling.normal generator))
        Generator = generator
    }

[<Fact>]
let ``targets that the features can take are found exactly, whatever the weights`` () =
    let law (fit: Regression -> float[] -> float[]) (case: Case) =
        let problem = regressionOf case
        let theta = Array.init problem.Features.Count (fun _ -> 10.0 * problem.Generator.Uniform() - 5.0)
        allWithin 1e-7 (fit problem (problem.Features.Values theta)) theta

    let squares f = f |> Array.map (fun x -> 1.0 / (x * x))
    holds (law (fun problem -> (LeastSquares.Create(problem.Features, squares problem.F)).Fit))

    // G with 1 / f, the target with 1 / f^2, as a public notebook has it.
    refuted (
        law (fun problem target ->
            let phi = DenseMatrix.Create(problem.F.Length, problem.Features.Count, fun i j -> problem.Features[i].[j])

            let weighted power =
                DenseMatrix.Create(problem.F.Length, problem.Features.Count, fun i j -> problem.Features[i].[j] / (problem.F[i] ** power))

            let g = (weighted 1.0).TransposeThisAndMultiply phi
            g.Solve((weighted 2.0).TransposeThisAndMultiply(DenseVector.OfArray target)).ToArray())
    )

// The same recursion on plain arrays, to be spoiled: how much of the last w is taken off, and how much of the last s is kept.
let private recursion (off: float -> float) (keep: float -> float) sweeps discount (model: Model) =
    let best (s: float[]) =
        Array.init model.StateCount (fun state ->
            if model.IsTerminal state then
                0.0
            else
                Seq.max (seq { for row in model.RowOffsets[state] .. model.RowOffsets[state + 1] - 1 -> s[row] }))

    let backup (v: float[]) =
        Array.init model.RowCount (fun row ->
            Seq.sum (
                seq {
                    for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 ->
                        let continuation = if model.Continuations.Length = 0 then 1.0 else model.Continuations[k]
                        model.Probabilities[k] * (model.Rewards[k] + discount * continuation * v[model.Successors[k]])
                }
            ))

    let history = ResizeArray [ Array.zeroCreate<float> model.RowCount ]
    let mutable before = Array.zeroCreate<float> model.StateCount

    for _ in 1..sweeps do
        let s = history[history.Count - 1]
        let w = best s
        let q = backup (Array.map2 (fun now earlier -> now - off discount * earlier) w before)
        before <- w
        history.Add(Array.map2 (fun q s -> q + keep discount * s) q s)

    history.ToArray(), best, backup

[<Fact>]
let ``without noise the sweeps telescope, and come to the optimal values`` () =
    let law (run: int -> float -> Model -> float[][]) (case: Case) =
        let model = ModelSketch.toModel case.Sketch

        if model.RowCount = 0 then
            nothing
        else
            let discount = min 0.9 case.Sketch.Discount
            let sweeps = 350
            let history = run sweeps discount model
            let _, best, backup = recursion id id 0 discount model
            let rewards = backup (Array.zeroCreate model.StateCount)

            let telescoped =
                [ 0; 1; 2; 7; sweeps - 1 ]
                |> List.map (fun k ->
                    let sum = if discount = 0.0 then 1.0 else (1.0 - discount ** float (k + 1)) / (1.0 - discount)
                    // gamma P w = backup w - r.
                    let expected = Array.map2 (fun moved r -> moved - r + sum * r) (backup (best history[k])) rewards
                    allWithin 1e-10 history[k + 1] expected)
                |> List.reduce (.&.)

            let optimal = (PolicyIteration.solve RunOptions.standard (Bellman.Optimality(model, discount))).Values
            let scaled = history[sweeps] |> Array.map (fun s -> (1.0 - discount) * s)
            telescoped .&. allWithin 1e-8 scaled (backup optimal)

    let solved sweeps discount model =
        (MirrorDescentIteration.solve (exactly sweeps) (Generator 1) discount (apart model) (Array.create model.RowCount 1.0) model).History

    holds (law solved)
    holds (law (fun sweeps discount model -> let history, _, _ = recursion id id sweeps discount model in history))
    // Nothing taken off; nothing kept; not the discount.
    refuted (law (fun sweeps discount model -> let history, _, _ = recursion (fun _ -> 0.0) id sweeps discount model in history))
    refuted (law (fun sweeps discount model -> let history, _, _ = recursion id (fun _ -> 0.0) sweeps discount model in history))

    refuted (
        law (fun sweeps discount model ->
            let history, _, _ = recursion (fun g -> 0.9 * g) (fun g -> 0.9 * g) sweeps discount model in history)
    )

[<Fact>]
let ``its values and policy are the optimal ones in the end, whatever f`` () =
    for seed in 1..10 do
        let model = Garnet.create (Generator seed) 6 3 3
        let generator = Generator(seed + 100)
        let f = Array.init model.RowCount (fun _ -> 0.1 + generator.Uniform())
        let found = MirrorDescentIteration.solve (exactly 400) generator 0.9 (apart model) f model
        let optimal = PolicyIteration.solve RunOptions.standard (Bellman.Optimality(model, 0.9))
        Assert.True(Metric.sup.Distance found.Values optimal.Values < 1e-8)
        let bellman = Bellman.Optimality(model, 0.9)

        let of' =
            (PolicyEvaluation.linear RunOptions.standard (Policy.Deterministic(model, ReadOnlySpan found.Policy)) bellman).Values

        Assert.True(Metric.sup.Distance of' optimal.Values < 1e-8)

[<Fact>]
let ``the best design has the largest variance d, and log det G is the largest there`` () =
    let tolerance = 1e-4

    let law (design: Features -> float[]) (case: Case) =
        let problem = regressionOf case
        let features = problem.Features
        let shares = design features
        let variances = GOptimalDesign.variances features shares
        let d = float features.Count

        let volume (shares: float[]) =
            let g = DenseMatrix.Create(features.Count, features.Count, 0.0)

            for i in 0 .. features.Places - 1 do
                for a in 0 .. features.Count - 1 do
                    for b in 0 .. features.Count - 1 do
                        g[a, b] <- g[a, b] + shares[i] * features[i].[a] * features[i].[b]

            log (g.Determinant())

        let other = Sampling.simplex problem.Generator features.Places

        within 1e-9 (Array.sum shares) 1.0
        .&. (Array.forall (fun x -> x >= 0.0) shares |> Prop.label "shares")
        .&. atMost (Array.max variances) (d * (1.0 + tolerance))
        .&. atMost d (Array.max variances)
        // sum of rho phi' G^-1 phi is the trace of the identity.
        .&. within 1e-8 (Array.fold2 (fun sum share v -> sum + share * v) 0.0 shares variances) d
        .&. atMost (volume other) (volume shares + d * tolerance)

    holds (law (fun features -> (GOptimalDesign.design tolerance 100_000 none features).Shares))
    refuted (law (fun features -> Array.create features.Places (1.0 / float features.Places)))
    // Too coarse a design.
    refuted (law (fun features -> (GOptimalDesign.design 0.3 100_000 none features).Shares))

[<Fact>]
let ``weights of one over the variance are the best`` () =
    // Cov(any weights) - Cov(these weights) has no direction below zero. Aitken 1936.
    let law (power: float) (case: Case) =
        let problem = regressionOf case
        let variances = problem.F |> Array.map (fun f -> f * f)
        let of' weights = (LeastSquares.Create(problem.Features, weights)).Covariance variances |> DenseMatrix.OfArray
        let ours = of' (variances |> Array.map (fun v -> v ** -power))

        [
            variances |> Array.map (fun _ -> 1.0)
            variances |> Array.map (fun v -> 1.0 / sqrt v)
            variances |> Array.map (fun _ -> 0.05 + problem.Generator.Uniform())
        ]
        |> List.map (fun weights ->
            let others = of' weights

            let least =
                (others - ours).Evd(MathNet.Numerics.LinearAlgebra.Symmetricity.Symmetric).EigenValues
                |> Seq.map _.Real
                |> Seq.min

            least >= -1e-8 * (1e-300 + others.FrobeniusNorm()) |> Prop.label $"least eigenvalue {least}")
        |> List.reduce (.&.)

    holds (law 1.0)
    refuted (law 2.0)
    refuted (law 0.2)

[<Fact>]
let ``half the square of a difference is a variance in expectation`` () =
    let law (factor: float) (case: Case) =
        let model = ModelSketch.toModel case.Sketch

        if model.RowCount = 0 then
            nothing
        else
            let generator = case.Generator
            let values = Array.init model.StateCount (fun _ -> 10.0 * generator.Uniform() - 5.0)
            let exact = MirrorDescentIteration.variances values model
            let worth k = values[model.Successors[k]] * (if model.Continuations.Length = 0 then 1.0 else model.Continuations[k])

            let pairs =
                Array.init model.RowCount (fun row ->
                    let rows = [ model.Offsets[row] .. model.Offsets[row + 1] - 1 ]

                    List.allPairs rows rows
                    |> List.sumBy (fun (k, l) -> model.Probabilities[k] * model.Probabilities[l] * factor * (worth k - worth l) ** 2.0))

            allWithin 1e-9 pairs exact

    holds (law 0.5)
    refuted (law 1.0)

[<Fact>]
let ``pairs that are drawn estimate it, and f stays between the root of the horizon and the horizon`` () =
    let model = Garnet.create (Generator 2) 8 3 4
    let generator = Generator 5
    let values = Array.init 8 (fun _ -> 10.0 * generator.Uniform())
    let rows = [| 0 .. model.RowCount - 1 |]
    let found = MirrorDescentIteration.pairedVariances generator 20_000 values rows model
    let exact = MirrorDescentIteration.variances values model
    // Differences of at most 10 have squares of at most 100: five standard errors are below 50 * 5 / sqrt(20000) / 2.
    Assert.True(Metric.sup.Distance found exact < 0.9, $"{Metric.sup.Distance found exact}")
    let mean (x: float[]) = Array.average x
    Assert.True(abs (mean found - mean exact) < 0.2)

    let features = Features.OfFunction(model.RowCount, fun i -> [| 1.0; float (i % 3); sin (float i) |])
    let options = { exactly 50 with Samples = 20 }
    let struct (result, f) = MirrorDescentIteration.varianceWeighted options generator 50 0.9 features model
    Assert.All(f, fun x -> Assert.InRange(x, sqrt 10.0 - 1e-9, 10.0 + 1e-9))
    Assert.All(result.ActionValues, fun x -> Assert.True(Double.IsFinite x))

[<Fact>]
let ``the same seed gives the same run, and samples come to expectations`` () =
    let model = Garnet.create (Generator 3) 5 2 3
    let features = apart model
    let f = Array.create model.RowCount 1.0

    let run samples seed =
        (MirrorDescentIteration.solve { exactly 60 with Samples = samples } (Generator seed) 0.8 features f model).ActionValues

    Assert.Equal<float[]>(run 10 1, run 10 1)
    Assert.NotEqual<float[]>(run 10 1, run 10 2)
    let off samples = Metric.sup.Distance (run samples 4) (run 0 4)
    Assert.True(off 4000 < 0.25 * off 10)

[<Fact>]
let ``bad input is named`` () =
    let model = Garnet.create (Generator 1) 4 2 2
    let features = apart model
    let ones = Array.create model.RowCount 1.0
    let solve options discount (features: Features) f = MirrorDescentIteration.solve options (Generator 1) discount features f model
    let good = exactly 5
    refuses "options" "Sweeps must be at least 1 but are 0" (fun () -> solve (exactly 0) 0.9 features ones)
    refuses "options" "are -1" (fun () -> solve { good with Samples = -1 } 0.9 features ones)
    refuses "discount" "is 1" (fun () -> solve good 1.0 features ones)
    refuses "f" "row 3" (fun () -> solve good 0.9 features (ones |> Array.mapi (fun i x -> if i = 3 then 0.0 else x)))
    refuses "features" "8 rows but are of 3" (fun () -> solve good 0.9 (Features.OfFunction(3, fun i -> [| float (i + 1) |])) ones)
    refuses "tolerance" "is 0" (fun () -> GOptimalDesign.design 0.0 10 none features)
    refuses "pairs" "are 0" (fun () -> MirrorDescentIteration.pairedVariances (Generator 1) 0 (Array.zeroCreate 4) [| 0 |] model)
    refuses "variances" "place 0" (fun () -> (LeastSquares.Create(features, ones)).Covariance(Array.create 8 -1.0))

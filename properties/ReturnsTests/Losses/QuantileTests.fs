/// The quantile Huber loss is its definition, in both kernels, and its minimiser is the quantile.
module ValueFlow.Tests.Returns.Losses.QuantileTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Returns
open ValueFlow.Tests.Returns.Judge
open ValueFlow.Tests.Returns.Losses.Sketches

let private exact = definition asymmetric byRule sumThenMean

let private definitionLaw (tolerance: float) (loss: QuantileLoss) (sketch: QuantileSketch) =
    let case = quantileCase sketch
    let expected, expectedGradient = exact case
    let value, gradient = loss case
    within tolerance value expected .&. allWithin tolerance expectedGradient gradient

[<Fact>]
let ``both kernels are the definition, on any number of threads`` () =
    for loss in [ pairwise 1; pairwise 2; sorted 1; sorted 2 ] do
        holds (definitionLaw 4e-6 loss)

[<Fact>]
let ``wrong conventions are found`` () =
    let wrong weigh factor share = refuted (definitionLaw 4e-6 (definition weigh factor share))
    // The level on the wrong side, none at all, sum and mean swapped, the sum over targets, divided twice and never.
    wrong (fun level d -> if d < 0.0 then level else 1.0 - level) byRule sumThenMean
    wrong (fun _ _ -> 0.5) byRule sumThenMean
    wrong asymmetric byRule (fun rows n _ -> 1.0 / (float rows * float n))
    wrong asymmetric byRule (fun rows _ _ -> 1.0 / float rows)
    wrong asymmetric (fun rule -> if rule.Kappa = 0.0 then 1.0 else byRule rule / rule.Kappa) sumThenMean
    wrong asymmetric (fun rule -> if rule.Kappa = 0.0 then 1.0 else rule.Kappa) sumThenMean

let private gradientLaw (loss: QuantileLoss) (sketch: QuantileSketch) =
    // Away from kinks: numbers are not tied, and kappa is no small one.
    let case = quantileCase { sketch with Ties = false; Kappa = 2uy + sketch.Kappa % 3uy }
    let step = 1.0f / 256.0f
    let _, gradient = loss case

    let numerical =
        Array.init case.Predictions.Length (fun i ->
            let at (shift: float32) =
                let moved = Array.copy case.Predictions
                moved[i] <- moved[i] + shift
                fst (exact { case with Predictions = moved })

            (at step - at -step) / float (2.0f * step))

    // The slope is Lipschitz with constant factor / (rows kappa), but for the weight's jump where d changes sign: there the slope is at most step / kappa.
    allWithin (2.0 * float step * byRule case.Rule / case.Rule.Kappa) numerical gradient

[<Fact>]
let ``the gradient is the numerical one`` () =
    holds (gradientLaw (pairwise 1))
    holds (gradientLaw (sorted 1))
    refuted (gradientLaw (fun case -> fst (exact case), Array.map (fun g -> -g) (snd (exact case))))
    refuted (gradientLaw (fun case -> fst (exact case), Array.map (fun g -> 1.1 * g) (snd (exact case))))

let private shuffle (generator: Generator) (rows: int) (numbers: float32[]) : float32[] =
    let width = numbers.Length / rows

    [|
        for b in 0 .. rows - 1 -> Sampling.distinct generator width width |> Array.map (fun i -> numbers[b * width + i])
    |]
    |> Array.concat

let private permutationLaw (loss: QuantileLoss) (sketch: QuantileSketch) =
    let case = quantileCase sketch
    let value, gradient = loss case
    let moved, movedGradient = loss { case with Targets = shuffle (Generator sketch.Seed) case.Rows case.Targets }
    within 4e-6 value moved .&. allWithin 4e-6 gradient movedGradient

[<Fact>]
let ``the order of the targets does not matter`` () =
    holds (permutationLaw (pairwise 1))
    holds (permutationLaw (sorted 1))
    // Targets that are paired with predictions one to one.
    refuted (
        permutationLaw (fun case ->
            let n, m = case.Rule.Levels.Length, case.Targets.Length / case.Rows
            let error i = float case.Targets[(i / n) * m + (i % n) % m] - float case.Predictions[i]
            Seq.sum (seq { for i in 0 .. case.Predictions.Length - 1 -> abs (error i) }), Array.init case.Predictions.Length error)
    )

let private repeatLaw (loss: QuantileLoss) (sketch: QuantileSketch) =
    let case = quantileCase sketch
    let m = case.Targets.Length / case.Rows

    let twice =
        [|
            for b in 0 .. case.Rows - 1 do
                for _ in 1..2 do
                    yield! case.Targets[b * m .. b * m + m - 1]
        |]

    let value, gradient = loss case
    let other, otherGradient = loss { case with Targets = twice }
    within 4e-6 value other .&. allWithin 4e-6 gradient otherGradient

[<Fact>]
let ``targets are a law: each of them twice is the same, more or fewer than predictions`` () =
    holds (repeatLaw (pairwise 1))
    holds (repeatLaw (sorted 1))
    refuted (repeatLaw (definition asymmetric byRule (fun rows n _ -> 1.0 / (float rows * float n))))

let private limitLaw (loss: QuantileLoss) (sketch: QuantileSketch) =
    let case = quantileCase { sketch with Kappa = 0uy; Divides = true }
    let value, _ = loss case
    let near, _ = loss { case with Rule = { case.Rule with Kappa = 1e-5 } }
    // Each pair changes by kappa / 2 at most, times a weight below one, summed over predictions.
    (abs (value - near) <= 5e-6 * float case.Rule.Levels.Length + 4e-6 * (1.0 + abs value))
    |> Prop.label $"{value}, {near}"

[<Fact>]
let ``kappa to zero is the plain quantile loss`` () =
    holds (limitLaw (pairwise 1))
    holds (limitLaw (sorted 1))
    refuted (limitLaw (definition asymmetric (fun rule -> if rule.Kappa = 0.0 then 1.0 else rule.Kappa) sumThenMean))

let private minimiserLaw (side: float -> float) (loss: QuantileLoss) (sketch: QuantileSketch) =
    let case = quantileCase { sketch with Rows = 0uy; Predictions = 0uy; Kappa = 0uy }
    let level = case.Rule.Levels[0]
    let law = Distribution.ofNumbers (Array.map float case.Targets)
    let at (x: float) = fst (loss { case with Predictions = [| float32 x |] })
    let best = at (law.Quantile(side level))
    // The loss is piecewise linear with its kinks at the targets.
    (case.Targets |> Array.forall (fun y -> best <= at (float y) + 1e-5))
    |> Prop.label $"quantile of level {level}"

[<Fact>]
let ``the quantile of its level minimises the loss`` () =
    holds (minimiserLaw id (pairwise 1))
    holds (minimiserLaw id (sorted 1))
    refuted (minimiserLaw (fun level -> 1.0 - level) (pairwise 1))

[<Fact>]
let ``rows of hundreds: both kernels agree where the faster one changes`` () =
    let generator = Generator 5
    let numbers count = Array.init count (fun _ -> float32 (3.0 * Sampling.normal generator))

    for n, m in [ 200, 200; 768, 600; 767, 900; 800, 768 ] do
        let case =
            {
                Rule = QuantileRule.standard 1.0 n
                Rows = 2
                Predictions = numbers (2 * n)
                Targets = numbers (2 * m)
            }

        let a, ga = pairwise 1 case
        let b, gb = sorted 1 case

        let chosen =
            QuantileKernel.lossAndGradient case.Rule 1 (ReadOnlySpan case.Predictions) (ReadOnlySpan case.Targets) Span.Empty

        Assert.Equal(a, b, 2e-5 * a)
        Assert.Equal(a, chosen, 2e-5 * a)
        Assert.True(Array.forall2 (fun x y -> abs (x - y) < 1e-6) ga gb)

[<Fact>]
let ``one thread takes no memory`` () =
    let case =
        quantileCase
            {
                Seed = 1
                Rows = 3uy
                Predictions = 20uy
                Targets = 30uy
                Kappa = 3uy
                Divides = true
                Ties = false
            }

    let gradient = Array.zeroCreate<float32> case.Predictions.Length

    let run () =
        QuantileKernel.pairwise case.Rule 1 (ReadOnlySpan case.Predictions) (ReadOnlySpan case.Targets) (Span gradient)
        |> ignore

        QuantileKernel.sorted case.Rule 1 (ReadOnlySpan case.Predictions) (ReadOnlySpan case.Targets) (Span gradient)
        |> ignore

    run ()
    let before = GC.GetAllocatedBytesForCurrentThread()
    run ()
    Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread())

[<Fact>]
let ``bad input is named`` () =
    let run rule (predictions: float32[]) (targets: float32[]) () =
        QuantileKernel.pairwise rule 1 (ReadOnlySpan predictions) (ReadOnlySpan targets) Span.Empty

    let rule = QuantileRule.standard 1.0 2
    refuses "predictions" "3" (run rule [| 0.0f; 1.0f; 2.0f |] [| 0.0f |])
    refuses "predictions" "row 1, column 0" (run rule [| 0.0f; 1.0f; nanf; 0.0f |] [| 0.0f; 1.0f |])
    refuses "targets" "row 1, column 1" (run rule [| 0.0f; 1.0f; 2.0f; 0.0f |] [| 0.0f; 1.0f; 0.0f; infinityf |])
    refuses "targets" "3" (run rule [| 0.0f; 1.0f; 2.0f; 0.0f |] [| 0.0f; 1.0f; 0.0f |])
    refuses "rule" "-1" (run { rule with Kappa = -1.0 } [| 0.0f; 1.0f |] [| 0.0f |])
    refuses "rule" "1.5" (run { rule with Levels = [| 0.5; 1.5 |] } [| 0.0f; 1.0f |] [| 0.0f |])
    refuses "count" "0" (fun () -> QuantileRule.midpoints 0)

    refuses "gradient" "1" (fun () ->
        QuantileKernel.sorted rule 1 (ReadOnlySpan [| 0.0f; 1.0f |]) (ReadOnlySpan [| 0.0f |]) (Span [| 0.0f |]))

/// Every functional keeps every axiom that it claims, on random laws; and each axiom refutes a wrong variant of every functional that claims it.
module ValueFlow.Tests.Returns.AxiomTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Returns
open ValueFlow.Tests.Returns.Judge

/// Two numbers that belong together, with a whole weight: a joint law.
type private JointSketch = NonEmptyArray<struct (int * int * PositiveInt)>

let private jointly (f: float -> float -> float) (sketch: JointSketch) : Distribution =
    let total = sketch.Get |> Array.sumBy (fun struct (_, _, w) -> float w.Get)

    Distribution.ofAtoms
        (sketch.Get |> Array.map (fun struct (x, y, _) -> f (float x / 4.0) (float y / 4.0)))
        (sketch.Get |> Array.map (fun struct (_, _, w) -> float w.Get / total))

let private mixed (sketch: LawSketch * LawSketch * int) =
    let x, y, level = sketch
    let share = float (1 + abs (level % 98)) / 100.0
    let a, b = lawOf x, lawOf y
    share, a, b, Distribution.mixture [ struct (1.0 - share, a); struct (share, b) ]

let private monotone (value: Distribution -> float) (sketch: JointSketch) =
    atMost (value (jointly (fun x _ -> x) sketch)) (value (jointly (fun x rise -> x + abs rise) sketch))

let private translates (value: Distribution -> float) (sketch: LawSketch, constant: int) =
    let law, c = lawOf sketch, float constant / 8.0
    same (value (Distribution.affine c 1.0 law)) (value law + c)

let private homogeneous (value: Distribution -> float) (sketch: LawSketch, scale: int) =
    let law, a = lawOf sketch, abs (float scale) / 8.0
    same (value (Distribution.affine 0.0 a law)) (a * value law)

let private concave (value: Distribution -> float) sketch =
    let share, a, b, mixture = mixed sketch
    atMost ((1.0 - share) * value a + share * value b) (value mixture)

let private convex (value: Distribution -> float) sketch =
    let share, a, b, mixture = mixed sketch
    atMost (value mixture) ((1.0 - share) * value a + share * value b)

let private superadditive (value: Distribution -> float) (sketch: JointSketch) =
    atMost (value (jointly (fun x _ -> x) sketch) + value (jointly (fun _ y -> y) sketch)) (value (jointly (fun x y -> x + y) sketch))

let private lipschitz (bound: float) (value: Distribution -> float) (x: LawSketch, y: LawSketch) =
    let a, b = lawOf x, lawOf y
    atMost (abs (value a - value b)) (bound * Line.wasserstein 1.0 a b)

let private every (claimed: Axioms -> bool) (law: Functional -> 'sketch -> Property) (mutant: Functional -> 'sketch -> Property) =
    let tried = Catalogue.functionals |> List.filter (fun functional -> claimed functional.Axioms)
    Assert.True(tried.Length > 1)

    for functional in tried do
        holds (fun sketch -> law functional sketch |> Prop.label functional.Name)
        refuted (mutant functional)

let private negative (law: Distribution) = Distribution.affine 0.0 -1.0 law

[<Fact>]
let ``order is kept; taking losses for rewards is refuted`` () =
    every _.Monotone (fun k -> monotone k.Value) (fun k -> monotone (negative >> k.Value))

[<Fact>]
let ``constants pass through; a factor is refuted`` () =
    every _.Translates (fun k -> translates k.Value) (fun k -> translates (fun law -> 1.01 * k.Value law))

[<Fact>]
let ``scale passes through; a penalty on the variance is refuted`` () =
    every _.Homogeneous (fun k -> homogeneous k.Value) (fun k -> homogeneous (fun law -> k.Value law - 0.1 * law.Variance))

[<Fact>]
let ``concave in mixtures; less the variance is refuted`` () =
    every _.ConcaveInMixtures (fun k -> concave k.Value) (fun k -> concave (fun law -> k.Value law - 10.0 * law.Variance))

[<Fact>]
let ``convex in mixtures; plus the variance is refuted`` () =
    every _.ConvexInMixtures (fun k -> convex k.Value) (fun k -> convex (fun law -> k.Value law + 10.0 * law.Variance))

[<Fact>]
let ``superadditive over joint laws; a bonus for spread is refuted`` () =
    every _.Superadditive (fun k -> superadditive k.Value) (fun k -> superadditive (fun law -> k.Value law + 5.0 * sqrt law.Variance))

[<Fact>]
let ``Lipschitz in W1; a factor beyond the bound is refuted`` () =
    every (fun axioms -> Double.IsFinite axioms.Lipschitz) (fun k -> lipschitz k.Axioms.Lipschitz k.Value) (fun k ->
        lipschitz k.Axioms.Lipschitz (fun law -> (1.1 + k.Axioms.Lipschitz) * k.Value law))

[<Fact>]
let ``what is not claimed is false: quantiles, seeking, weighting, spreads`` () =
    for functional in
        [
            Tail.quantileLower 0.35
            Tail.quantileUpper 0.35
            Tail.upperCvar 0.25
            Tail.expectile 0.9
            Entropy.certaintyEquivalent 0.6
            Distortion.functional (Distortion.probabilityWeighting 0.71)
            Functional.standardDeviation
        ] do
        Assert.False functional.Axioms.Superadditive
        // Quantiles of many outcomes are seldom caught.
        refuted (fun (sketch: JointSketch) -> superadditive functional.Value (NonEmptyArray(Array.truncate 4 sketch.Get)))

    for functional in [ Functional.variance; Functional.meanVariance 0.3; Functional.meanDeviation 3.0 ] do
        Assert.False functional.Axioms.Monotone
        refuted (monotone functional.Value)

    for functional in [ Tail.expectile 0.2; Tail.quantileLower 0.35; Functional.meanSemideviation 1 0.9 ] do
        refuted (convex functional.Value)
        refuted (concave functional.Value)

    refuted (homogeneous (Entropy.certaintyEquivalent 0.6).Value)

[<Fact>]
let ``coherent are tail means, EVaR, low expectiles, semideviations and concave distortions, and no others`` () =
    let coherent = Catalogue.functionals |> List.filter _.Axioms.Coherent |> List.map _.Name
    Assert.Contains("cvar(0.01)", coherent)
    Assert.Contains("evar(0.3)", coherent)
    Assert.Contains("expectile(0.2)", coherent)
    Assert.Contains("mean-semideviation(2, 0.9)", coherent)
    Assert.Contains("wang(0.7)", coherent)

    for name in
        [
            "upper-cvar(0.25)"
            "quantile(0.35)"
            "expectile(0.9)"
            "entropic(0.6)"
            "probability-weighting(0.71)"
            "variance"
            "mean-deviation(0.8)"
        ] do
        Assert.DoesNotContain(name, coherent)

[<Fact>]
let ``two bets that each lose seldom lose often together: VaR is not superadditive`` () =
    // Each bet loses 1 with probability 0.04, independently.
    let bet = Distribution.ofAtoms [| -1.0; 0.0 |] [| 0.04; 0.96 |]
    let value = (Tail.quantileLower 0.05).Value
    Assert.Equal(0.0, value bet + value bet)
    Assert.Equal(-1.0, value (Distribution.sum bet bet))
    Assert.True((Tail.cvar 0.05).Value(Distribution.sum bet bet) >= 2.0 * (Tail.cvar 0.05).Value bet)

[<Fact>]
let ``a lottery ticket for nothing has more variance: mean-variance is not monotone`` () =
    let nothing, ticket = Distribution.point 0.0, Distribution.ofAtoms [| 0.0; 100.0 |] [| 0.99; 0.01 |]
    Assert.True((Functional.meanVariance 0.3).Value ticket < (Functional.meanVariance 0.3).Value nothing)
    Assert.True((Functional.meanSemideviation 1 1.0).Value ticket >= 0.0)

[<Fact>]
let ``weighting rare gains buys lottery tickets: probability weighting is not coherent`` () =
    // Two tickets, of which exactly one wins one time in fifty: together a single sure-footed chance, apart two overweighted ones.
    let value = (Distortion.functional (Distortion.probabilityWeighting 0.71)).Value
    let ticket = Distribution.ofAtoms [| 0.0; 1.0 |] [| 0.99; 0.01 |]
    let together = Distribution.ofAtoms [| 0.0; 1.0 |] [| 0.98; 0.02 |]
    Assert.True(value together < 2.0 * value ticket)
    Assert.True(value ticket > ticket.Mean)

[<Fact>]
let ``bad input is named`` () =
    refuses "share" "0" (fun () -> Tail.cvar 0.0)
    refuses "share" "2" (fun () -> Tail.upperCvar 2.0)
    refuses "share" "1" (fun () -> Tail.quantileUpper 1.0)
    refuses "share" "NaN" (fun () -> Tail.quantileLower nan)
    refuses "level" "1" (fun () -> Tail.expectile 1.0)
    refuses "aversion" "NaN" (fun () -> Entropy.certaintyEquivalent nan)
    refuses "share" "-1" (fun () -> Entropy.evar -1.0)
    refuses "weight" "1.5" (fun () -> Functional.meanSemideviation 1 1.5)
    refuses "order" "3" (fun () -> Functional.meanSemideviation 3 0.5)
    refuses "weight" "-1" (fun () -> Functional.meanVariance -1.0)
    refuses "weight" "NaN" (fun () -> Functional.mix nan Functional.mean Functional.mean)
    refuses "exponent" "0" (fun () -> Distortion.power 0.0)
    refuses "exponent" "-1" (fun () -> Distortion.dualPower -1.0)
    refuses "aversion" "NaN" (fun () -> Distortion.wang nan)
    refuses "curvature" "0.2" (fun () -> Distortion.probabilityWeighting 0.2)
    refuses "levels" "0.9" (fun () -> Distortion.spectral [| 0.9 |] [| 1.0 |])
    refuses "levels" "0.5" (fun () -> Distortion.spectral [| 0.5; 0.5; 1.0 |] [| 1.0; 1.0; 1.0 |])
    refuses "heights" "2" (fun () -> Distortion.spectral [| 1.0 |] [| 2.0 |])
    refuses "heights" "1" (fun () -> Distortion.spectral [| 0.5; 1.0 |] [| 1.0 |])
    refuses "weight" "0.5" (fun () -> Distortion.ofFunction "half" Bend.Straight 1.0 "none" (fun q -> 0.5 * q))
    refuses "weight" "decrease" (fun () -> Distortion.ofFunction "wave" Bend.Mixed 9.0 "none" (fun q -> q + sin (2.0 * Math.PI * q)))
    refuses "distortion" "Convex" (fun () -> Dual.ofDistortion (Distortion.power 2.0))
    refuses "aversion" "-1" (fun () -> Dual.certaintyEquivalent -1.0)
    refuses "level" "0.7" (fun () -> Dual.expectile 0.7)

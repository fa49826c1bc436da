/// Functionals at laws whose values are known, against plain forms of themselves, in their limits, and in order of caution.
module ValueFlow.Tests.Returns.FunctionalTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open MathNet.Numerics.Distributions
open ValueFlow.Core.Foundations
open ValueFlow.Core.Returns
open ValueFlow.Tests.Returns.Judge

// The normal law by the midpoints of equal shares of mass, and uniform numbers in [0, 1].
let private normal mean deviation count =
    Distribution.ofNumbers (Array.init count (fun i -> Normal.InvCDF(mean, deviation, (float i + 0.5) / float count)))

let private uniform count = Distribution.ofNumbers (Array.init count (fun i -> (float i + 0.5) / float count))

let private near (tolerance: float) (expected: float) (found: float) =
    Assert.True(abs (found - expected) <= tolerance, $"{found} is not within {tolerance} of {expected}")

[<Fact>]
let ``closed forms of normal laws`` () =
    // 1e5 midpoints cut the tails at 4.4 deviations: what is lost is below 1e-3 for these parameters.
    let law = normal 0.5 0.8 100_000

    for aversion in [ -2.0; -0.5; 0.1; 0.5; 1.0; 2.0 ] do
        near 1e-3 (0.5 - aversion * 0.32) ((Entropy.certaintyEquivalent aversion).Value law)

    for share in [ 0.01; 0.1; 0.5; 0.9 ] do
        let z = Normal.InvCDF(0.0, 1.0, share)
        near 1e-3 (0.5 - 0.8 * Normal.PDF(0.0, 1.0, z) / share) ((Tail.cvar share).Value law)
        near 1e-3 (0.5 + 0.8 * Normal.PDF(0.0, 1.0, z) / share) ((Tail.upperCvar share).Value law)
        near 1e-3 (0.5 + 0.8 * z) ((Tail.quantileLower share).Value law)

    // The midpoints miss more of the tail that EVaR looks at.
    for share in [ 0.1; 0.5; 0.9 ] do
        near 2e-3 (0.5 - 0.8 * sqrt (-2.0 * log share)) ((Entropy.evar share).Value law)

    for aversion in [ -0.5; 0.5 ] do
        near 2e-3 (0.5 - 0.8 * aversion) ((Distortion.functional (Distortion.wang aversion)).Value law)

    near 1e-3 (0.5 - 0.8 / sqrt (2.0 * Math.PI)) ((Functional.meanSemideviation 1 1.0).Value law)
    near 1e-3 (0.5 - 0.8 / sqrt 2.0) ((Functional.meanSemideviation 2 1.0).Value law)

[<Fact>]
let ``closed forms of uniform laws`` () =
    let law = uniform 10_000

    for share in [ 0.001; 0.25; 0.5; 1.0 ] do
        near 1e-9 (0.5 * share) ((Tail.cvar share).Value law)
        near 1e-9 (1.0 - 0.5 * share) ((Tail.upperCvar share).Value law)

    for level in [ 0.1; 0.5; 0.8 ] do
        // t (1 - e)^2 = (1 - t) e^2.
        near 1e-7 (sqrt level / (sqrt level + sqrt (1.0 - level))) ((Tail.expectile level).Value law)

    near 1e-7 0.25 ((Distortion.functional (Distortion.dualPower 3.0)).Value law)
    near 1e-7 0.75 ((Distortion.functional (Distortion.power 3.0)).Value law)

[<Fact>]
let ``the worst and the best of r draws are dual power and power distortions`` () =
    let law (exponent: float) (sketch: LawSketch) =
        let law = lawOf sketch
        let atoms, masses = law.Atoms.ToArray(), law.Masses.ToArray()

        let extreme (choose: float -> float -> float) =
            Seq.sum (
                seq {
                    for i in 0 .. law.Count - 1 do
                        for j in 0 .. law.Count - 1 -> masses[i] * masses[j] * choose atoms[i] atoms[j]
                }
            )

        same ((Distortion.functional (Distortion.dualPower exponent)).Value law) (extreme min)
        .&. same ((Distortion.functional (Distortion.power exponent)).Value law) (extreme max)

    holds (law 2.0)
    refuted (law 2.1)

[<Fact>]
let ``tail means equal the supremum over thresholds`` () =
    let law (slip: float) (sketch: LawSketch, level: int) =
        let law = lawOf sketch
        let share = float (1 + abs (level % 100)) / 100.0
        let at threshold = threshold - law.Expect(fun x -> Math.Max(threshold - x, 0.0)) / (share * slip)
        // The supremum lies at an atom.
        same ((Tail.cvar share).Value law) (law.Atoms.ToArray() |> Array.map at |> Array.max)
        .&. same ((Tail.upperCvar share).Value law) (-(Tail.cvar share).Value(Distribution.affine 0.0 -1.0 law))
        .&. same
                (share * (Tail.cvar share).Value law
                 + (1.0 - share) * (if share = 1.0 then 0.0 else (Tail.upperCvar (1.0 - share)).Value law))
                law.Mean

    holds (law 1.0)
    refuted (law 1.1)

[<Fact>]
let ``expectiles balance gains and losses`` () =
    let law (slip: float) (sketch: LawSketch, level: int) =
        let law = lawOf sketch
        let t = float (1 + abs (level % 99)) / 100.0
        let e = (Tail.expectile t).Value law + slip

        within 1e-9 (t * law.Expect(fun x -> Math.Max(x - e, 0.0))) ((1.0 - t) * law.Expect(fun x -> Math.Max(e - x, 0.0)))

    holds (law 0.0)
    refuted (law 0.01)

[<Fact>]
let ``EVaR is the supremum over aversions, by a fine search`` () =
    let law (slip: float) (sketch: LawSketch, level: int) =
        let law = lawOf sketch
        let share = float (1 + abs (level % 99)) / 100.0
        let value = (Entropy.evar share).Value law

        let bounds =
            [ for i in -400 .. 400 -> Math.Pow(10.0, float i / 100.0) ]
            |> List.map (fun b -> (Entropy.certaintyEquivalent b).Value law + log share / b)

        let best = Math.Max(List.max bounds, law.Minimum)
        // The grid misses the maximum by little, and never lies above it.
        (best <= value + slip + 1e-9 * (1.0 + abs value) |> Prop.label $"{best} <= {value}")
        .&. (best >= value + slip - 1e-3 * (law.Maximum - law.Minimum) - 1e-9 |> Prop.label $"{best} >= {value}")

    holds (law 0.0)
    refuted (law 0.5)
    refuted (law -0.5)

[<Fact>]
let ``caution in order`` () =
    let law (swap: bool) (sketch: LawSketch, first: int, second: int) =
        let law = lawOf sketch
        let a, b = float (1 + abs (first % 99)) / 100.0, float (1 + abs (second % 99)) / 100.0
        let low, high = if swap then Math.Max(a, b), Math.Min(a, b) else Math.Min(a, b), Math.Max(a, b)
        let inOrder (make: float -> Functional) = atMost ((make low).Value law) ((make high).Value law)

        inOrder Tail.cvar
        .&. inOrder Tail.quantileLower
        .&. inOrder Tail.quantileUpper
        .&. inOrder Tail.expectile
        .&. inOrder Entropy.evar
        .&. inOrder (fun share -> Entropy.certaintyEquivalent (1.0 - 2.0 * share |> fun b -> 3.0 * b))
        .&. inOrder (fun share -> Functional.meanSemideviation 1 (1.0 - share))
        .&. inOrder (fun share -> Distortion.functional (Distortion.wang (1.0 - share)))

    holds (law false)
    refuted (law true)

[<Fact>]
let ``EVaR bounds CVaR, CVaR bounds VaR and the mean, semideviations bound one another`` () =
    let law (evar: float -> Functional) (sketch: LawSketch, level: int) =
        let law = lawOf sketch
        let share = float (1 + abs (level % 99)) / 100.0
        let at (functional: Functional) = functional.Value law

        atMost law.Minimum (at (evar share))
        .&. atMost (at (evar share)) (at (Tail.cvar share))
        .&. atMost (at (Tail.cvar share)) (at (Tail.quantileLower share))
        .&. atMost (at (Tail.cvar share)) law.Mean
        .&. atMost (at (Tail.quantileLower share)) (at (if share < 1.0 then Tail.quantileUpper share else Tail.quantileLower share))
        .&. atMost (at (Functional.meanSemideviation 2 share)) (at (Functional.meanSemideviation 1 share))
        .&. (if share <= 0.5 then
                 atMost (at (Tail.expectile share)) law.Mean
             else
                 atMost law.Mean (at (Tail.expectile share)))
        .&. atMost law.Mean (at (Tail.upperCvar share))

    holds (law Entropy.evar)
    refuted (law (fun share -> Entropy.evar (Math.Min(1.0, 2.0 * share))))

[<Fact>]
let ``limits: to the mean and to the extremes`` () =
    let law (slip: float) (sketch: LawSketch) =
        let law = lawOf sketch
        let least = Math.Min(1.0, law.Masses[0])
        let range = law.Maximum - law.Minimum
        let at (functional: Functional) = functional.Value law

        let close (tolerance: float) (expected: float) (found: float) =
            (abs (found - expected) <= tolerance * (1.0 + range) * (1.0 + range) + slip - 1e-12
             || abs (found - expected) <= 1e-9 * (1.0 + abs expected))
            |> Prop.label $"{found} near {expected}"

        same (at (Tail.cvar 1.0)) law.Mean
        .&. same (at (Tail.cvar least)) law.Minimum
        .&. same (at (Entropy.evar 1.0)) law.Mean
        .&. same (at (Entropy.evar least)) law.Minimum
        .&. same (at (Tail.expectile 0.5)) law.Mean
        .&. same (at (Tail.quantileUpper 0.0)) law.Minimum
        .&. same (at (Tail.quantileLower 1.0)) law.Maximum
        // CE_b = m - b Var / 2 + O(b^2).
        .&. close 1e-9 (law.Mean - 0.5e-6 * law.Variance) (at (Entropy.certaintyEquivalent 1e-6))
        .&. close 1e-9 (law.Mean + 0.5e-6 * law.Variance) (at (Entropy.certaintyEquivalent -1e-6))
        .&. close 1e-2 law.Minimum (at (Entropy.certaintyEquivalent 1e4))
        .&. close 1e-2 law.Maximum (at (Entropy.certaintyEquivalent -1e4))
        .&. close 1e-5 law.Mean (at (Entropy.evar (1.0 - 1e-12)))
        .&. close 1e-4 law.Minimum (at (Tail.expectile 1e-9))
        .&. close 1e-5 law.Mean (at (Distortion.functional (Distortion.wang 1e-6)))
        .&. close 1e-5 law.Mean (at (Distortion.functional (Distortion.power (1.0 + 1e-6))))

    holds (law 0.0)
    // A limit from the wrong side: the exponent's sign.
    refuted (fun (sketch: LawSketch) ->
        let law = lawOf sketch
        same (law.Mean + 0.5e-3 * law.Variance) ((Entropy.certaintyEquivalent 1e-3).Value law))

[<Fact>]
let ``EVaR tends to the minimum just above its corner, and does not jump`` () =
    let law = Distribution.ofAtoms [| -3.0; 1.0; 2.0 |] [| 0.2; 0.3; 0.5 |]
    Assert.Equal(-3.0, (Entropy.evar 0.2).Value law)
    near 1e-6 -3.0 ((Entropy.evar (0.2 + 1e-9)).Value law)
    near 1e-2 -3.0 ((Entropy.evar 0.2001).Value law)
    // Far apart and close together, heavy and light: the search has no scale of its own.
    for scale in [ 1e-12; 1.0; 1e12 ] do
        let scaled = Distribution.affine 0.0 scale law
        near (1e-9 * scale) (scale * (Entropy.evar 0.5).Value law) ((Entropy.evar 0.5).Value scaled)

    near 1e-9 1.0 ((Entropy.certaintyEquivalent 2.0).Value(Distribution.ofAtoms [| 1.0; 1e9 |] [| 1.0 - 1e-12; 1e-12 |]))

[<Fact>]
let ``entropic values of independent sums add up; the variance of a wrong sum does not`` () =
    let law (dependent: bool) (x: LawSketch, y: LawSketch) =
        let a, b = lawOf x, lawOf y
        let value = (Entropy.certaintyEquivalent 0.2).Value
        let sum = if dependent then Distribution.affine 0.0 2.0 a else Distribution.sum a b
        within 1e-8 (value sum) (value a + value (if dependent then a else b))

    holds (law false)
    refuted (law true)

/// Laws with finitely many outcomes behave as laws, and distances between them as distances.
module ValueFlow.Tests.Returns.DistributionTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Tests.Returns.Judge

let private metrics =
    [
        "W1", Line.wasserstein 1.0
        "W2", Line.wasserstein 2.0
        "W_inf", Line.wasserstein infinity
        "l2", Line.cramer
        "l3", Line.cramerOf 3.0
        "Kolmogorov", Line.kolmogorov
        "total variation", Line.totalVariation
    ]

[<Fact>]
let ``symmetry, identity, triangle inequality`` () =
    let law (d: Distribution -> Distribution -> float) (x: LawSketch, y: LawSketch, z: LawSketch) =
        let a, b, c = lawOf x, lawOf y, lawOf z

        atMost (d a c) (d a b + d b c)
        .&. same (d a b) (d b a)
        .&. same (d a a) 0.0
        .&. ((Line.totalVariation a b <= 1e-9 || d a b > 0.0) |> Prop.label "different laws lie apart")

    for name, d in metrics do
        holds (fun sketch -> law d sketch |> Prop.label name)

    refuted (law (fun a b -> Line.wasserstein 2.0 a b ** 2.0))
    refuted (law (fun a b -> abs (a.Minimum - b.Minimum)))

[<Fact>]
let ``distances of one law agree with one another`` () =
    let law (order: float) (x: LawSketch, y: LawSketch) =
        let a, b = lawOf x, lawOf y

        same (Line.wasserstein 1.0 a b) (Line.cramerOf order a b)
        .&. atMost (Line.wasserstein 1.0 a b) (Line.wasserstein 2.0 a b)
        .&. atMost (Line.wasserstein 2.0 a b) (Line.wasserstein infinity a b)
        .&. atMost (abs (a.Mean - b.Mean)) (Line.wasserstein 1.0 a b)
        .&. atMost (Line.kolmogorov a b) (Line.totalVariation a b)
        .&. same (Line.cramer a b) (Line.cramerOf 2.0 a b)

    holds (law 1.0)
    refuted (law 2.0)

[<Fact>]
let ``the energy distance of numbers is twice the square of Cramer's, and the MMD of the kernel -|x - y|`` () =
    let law (factor: float) (x: LawSketch, y: LawSketch) =
        let sample (sketch: LawSketch) =
            (Sample.OfNumbers(sketch.Get |> Array.map (fun struct (x, _) -> float x / 4.0)))
                .Weighted(sketch.Get |> Array.map (fun struct (_, w) -> float w.Get))

        let energy = Discrepancy.energy (sample x) (sample y)

        same energy (factor * Line.cramer (lawOf x) (lawOf y) ** 2.0)
        .&. same energy (Line.energy (lawOf x) (lawOf y))
        .&. same energy (Discrepancy.squaredMmd (EnergyKernel 1.0) (sample x) (sample y))

    holds (law 2.0)
    refuted (law 1.0)

[<Fact>]
let ``quantile and distribution function are inverse to one another`` () =
    let law (quantile: Distribution -> float -> float) (sketch: LawSketch, level: int) =
        let a = lawOf sketch
        let q = float (1 + abs (37 * level) % 999) / 1000.0
        let x = quantile a q

        (a.Cdf x >= q - 1e-12 |> Prop.label "F(F^-1(q)) >= q")
        .&. (a.Cdf(x - 1e-9) < q |> Prop.label "no smaller x has it")

    holds (law (fun a q -> a.Quantile q))
    refuted (law (fun a q -> a.Quantile(0.9 * q)))

[<Fact>]
let ``maps, mixtures and sums keep mass and move means as they should`` () =
    let law (shift: float) (x: LawSketch, y: LawSketch, scale: int) =
        let a, b, c = lawOf x, lawOf y, float scale / 4.0
        let mass (law: Distribution) = Seq.sum (law.Masses.ToArray())

        let affine, mixed, sum =
            Distribution.affine 3.0 c a, Distribution.mixture [ struct (0.25, a); struct (0.75, b) ], Distribution.sum a b

        same (mass affine) 1.0
        .&. same (mass mixed) 1.0
        .&. same (mass sum) 1.0
        .&. same affine.Mean (shift + c * a.Mean)
        .&. same affine.Variance (c * c * a.Variance)
        .&. same mixed.Mean (0.25 * a.Mean + 0.75 * b.Mean)
        .&. same (mixed.Cdf 0.5) (0.25 * a.Cdf 0.5 + 0.75 * b.Cdf 0.5)
        .&. same sum.Mean (a.Mean + b.Mean)
        .&. same sum.Variance (a.Variance + b.Variance)
        .&. atMost (Line.wasserstein infinity a (Distribution.joined 0.5 a)) 0.5

    holds (law 3.0)
    refuted (law 2.5)

[<Fact>]
let ``draws have the law`` () =
    let law = Distribution.ofAtoms [| -1.0; 0.5; 2.0 |] [| 0.2; 0.5; 0.3 |]
    let generator = Generator 3
    let drawn = Distribution.ofNumbers (Array.init 40_000 (fun _ -> law.Sample generator))
    // Kolmogorov's distance of n draws exceeds 1.95 / sqrt n once in a thousand times (Smirnov 1948).
    Assert.True(Line.kolmogorov law drawn < 1.95 / 200.0, $"{Line.kolmogorov law drawn}")

[<Fact>]
let ``distances at pinned laws`` () =
    let of' numbers = Distribution.ofNumbers (Array.ofList numbers)
    Assert.Equal(0.0, Line.kolmogorov (of' [ 1.0; 2.0 ]) (of' [ 2.0; 1.0; 1.0; 2.0 ]), 12)
    Assert.Equal(1.0, Line.kolmogorov (of' [ 1.0; 2.0 ]) (of' [ 3.0 ]), 12)
    Assert.Equal(0.5, Line.kolmogorov (of' [ 1.0; 2.0; 3.0; 4.0 ]) (of' [ 3.0; 4.0; 3.0; 4.0 ]), 12)
    Assert.Equal(0.25, Line.kolmogorov (Distribution.ofAtoms [| 0.0; 1.0 |] [| 0.75; 0.25 |]) (of' [ 0.0; 1.0 ]), 12)
    Assert.Equal(2.0, Line.wasserstein infinity (of' [ 0.0; 1.0 ]) (of' [ 0.0; 3.0 ]), 12)
    Assert.Equal(sqrt 0.5, Line.cramer (of' [ 0.0 ]) (of' [ 0.5; 0.0 ]) * 2.0, 12)
    // Sums of thirds round; no sliver of a level may carry the largest distance.
    let third = Distribution.ofAtoms [| 0.0; 1.0; 9.0 |] [| 0.3; 0.6; 0.1 |]
    let other = Distribution.ofAtoms [| 0.0; 1.0; 9.0 |] [| 0.1 + 0.2; 0.6; 1.0 - 0.6 - (0.1 + 0.2) |]
    Assert.Equal(0.0, Line.wasserstein infinity third other)

[<Fact>]
let ``bad input is named`` () =
    refuses "atoms" "none" (fun () -> Distribution.ofAtoms [||] [||])
    refuses "atoms" "NaN" (fun () -> Distribution.ofAtoms [| nan |] [| 1.0 |])
    refuses "masses" "0.9" (fun () -> Distribution.ofAtoms [| 0.0 |] [| 0.9 |])
    refuses "masses" "-0.5" (fun () -> Distribution.ofAtoms [| 0.0; 1.0 |] [| 1.5; -0.5 |])
    refuses "level" "1.5" (fun () -> (Distribution.point 0.0).Quantile 1.5)
    refuses "p" "0.5" (fun () -> Line.wasserstein 0.5 (Distribution.point 0.0) (Distribution.point 1.0))
    refuses "sample" "2" (fun () -> Distribution.ofSample (Sample.OfPoints [| [| 0.0; 1.0 |] |]))
    refuses "kernel" "2.5" (fun () -> Discrepancy.squaredMmd (EnergyKernel 2.5) (Sample.OfNumbers [| 0.0 |]) (Sample.OfNumbers [| 1.0 |]))

/// Distances between samples are distances, and agree where theory says that they do.
module ValueFlow.Tests.Flows.DistanceTests

open System
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations
open ValueFlow.Tests.Flows.Judge

let private none = CancellationToken.None
let private w1 a b = (Wasserstein.w1 none a b).Value
let private w2 a b = (Wasserstein.w2 none a b).Value
let private seeded p a b = Line.sliced (Generator 1) 20 p a b
let private rooted (square: Sample -> Sample -> float) a b = sqrt (square a b)
let private mmd = rooted (Discrepancy.squaredMmd (Gaussian [ 1.0; 3.0 ]))
let private quadric = rooted (Discrepancy.squaredMmd (InverseMultiquadric 1.0))

let private metrics =
    [
        "W1", w1
        "W2", w2
        "sliced", seeded 2.0
        "energy", rooted Discrepancy.energy
        "MMD", mmd
        "multiquadric", quadric
        "Bures", Bures.betweenSamples
    ]

/// Three samples in one sketch.
type Triple = NonEmptyArray<struct (int * int) * struct (int * int) * struct (int * int)>

let private three (sketch: Triple) =
    let sample pick = Sample.OfPoints(sketch.Get |> Array.map (pick >> fun struct (x: int, y: int) -> [| float x / 4.0; float y / 4.0 |]))
    sample (fun (x, _, _) -> x), sample (fun (_, y, _) -> y), sample (fun (_, _, z) -> z)

// Square roots of differences that round to almost nothing.
let private near a b = (a <= b + 3e-7 * (1.0 + abs b)) |> Prop.label $"{a} <= {b}"

let private metricLaw (name: string) (d: Sample -> Sample -> float) (sketch: Triple) =
    let a, b, c = three sketch

    near (d a c) (d a b + d b c)
    .&. near (d a b) (d b a)
    .&. near (d b a) (d a b)
    .&. near (d a a) 0.0
    .&. near 0.0 (d a b)
    |> Prop.label name

[<Fact>]
let ``symmetry, identity, triangle inequality`` () =
    for name, d in metrics do
        holds (metricLaw name d)

    refuted (metricLaw "W2 squared" (fun a b -> w2 a b ** 2.0))
    refuted (metricLaw "MMD squared" (fun a b -> mmd a b ** 2.0))
    refuted (metricLaw "one-sided" (fun a b -> max 0.0 ((a.Point 0).[0] - (b.Point 0).[0])))

[<Fact>]
let ``W1 is at most W2, sliced at most W2, the Gaussian part at most W2, and each bracket is closed`` () =
    let law scale (pairs: Pairs) =
        let a, b = samples pairs
        let found = Wasserstein.w2 none a b

        near (w1 a b) (scale * found.Value)
        .&. near (seeded 2.0 a b) found.Value
        .&. near (Bures.betweenSamples a b) found.Value
        .&. near found.Value found.LowerBound

    holds (law 1.0)
    refuted (law 0.9)

[<Fact>]
let ``a shifted sample is as far as the shift`` () =
    let law (d: Sample -> Sample -> float) (pairs: Pairs, struct (x: int, y: int)) =
        let a, _ = samples pairs
        let moved = Sample.OfPoints(Array.init a.Count (fun i -> [| (a.Point i).[0] + float x; (a.Point i).[1] + float y |]))
        let length = sqrt (float (x * x + y * y))
        near (d a moved) length .&. near length (d a moved)

    holds (law w1)
    holds (law w2)
    holds (law Bures.betweenSamples)
    refuted (law (seeded 2.0))

[<Fact>]
let ``on a line, sorting is the assignment, and the weighted plan too`` () =
    let law (p: float) (sketch: NonEmptyArray<struct (int * int * PositiveInt)>) =
        let numbers pick = Sample.OfNumbers(sketch.Get |> Array.map pick)
        let a = numbers (fun struct (x, _, _) -> float x)
        let b = numbers (fun struct (_, y, _) -> float y / 2.0)
        let weights = sketch.Get |> Array.map (fun struct (_, _, w) -> float w.Get)
        let heavy = a.Weighted weights

        let line p a b = Line.wasserstein p (Distribution.ofSample a) (Distribution.ofSample b)

        near (line 2.0 a b) (w2 a b)
        .&. near (w2 a b) (line p a b)
        .&. near (line 1.0 heavy b) (Wasserstein.w1 none heavy b).Value
        .&. near (Wasserstein.w1 none heavy b).Value (line 1.0 heavy b)

    holds (law 2.0)
    refuted (law 1.0)

[<Fact>]
let ``energy and MMD vanish only between equal laws`` () =
    let law (d: Sample -> Sample -> float) (pairs: Pairs) =
        let a, b = samples pairs
        let points (s: Sample) = List.init s.Count (fun i -> List.ofArray (s.Point i)) |> List.sort
        // Equal weights and sizes: the laws are equal where the points are.
        ((points a = points b) = (d a b <= 1e-9)) |> Prop.label $"{d a b}"

    holds (law Discrepancy.energy)
    holds (law (Discrepancy.squaredMmd (InverseMultiquadric 1.0)))
    refuted (law (fun a b -> abs ((a.Point 0).[0] - (b.Point 0).[0])))

[<Fact>]
let ``the unbiased MMD has mean zero between draws of one law, the biased one does not`` () =
    let generator = Generator 8
    let draw () = Sample.OfNumbers(Array.init 10 (fun _ -> Sampling.normal generator))
    let pairs = Array.init 2000 (fun _ -> draw (), draw ())
    let mean statistic = pairs |> Array.averageBy (fun (a, b) -> statistic (Gaussian [ 1.0 ]) a b)
    Assert.InRange(mean Discrepancy.unbiasedSquaredMmd, -0.006, 0.006)
    Assert.True(mean Discrepancy.squaredMmd > 0.03)
    Assert.True(Discrepancy.squaredMmd GaussianByMedian (draw ()) (draw ()) >= 0.0)

[<Fact>]
let ``Bures has its closed form for commuting covariances, and singular ones`` () =
    let diagonal (a: float) (b: float) = array2D [ [ a; 0.0 ]; [ 0.0; b ] ]
    let found = Bures.distance ([| 0.0; 1.0 |], diagonal 4.0 9.0) ([| 1.0; 1.0 |], diagonal 1.0 0.0)
    Assert.Equal(sqrt (1.0 + 1.0 + 9.0), found, 12)
    // The same, turned.
    let turn (m: float[,]) =
        let c, s = cos 0.7, sin 0.7
        let r = MathNet.Numerics.LinearAlgebra.Matrix<float>.Build.DenseOfArray(array2D [ [ c; -s ]; [ s; c ] ])
        let product = r * MathNet.Numerics.LinearAlgebra.Matrix<float>.Build.DenseOfArray m * r.Transpose()
        ((product + product.Transpose()) / 2.0).ToArray()

    Assert.Equal(sqrt (1.0 + 9.0), Bures.distance ([| 0.0; 0.0 |], turn (diagonal 4.0 9.0)) ([| 0.0; 0.0 |], turn (diagonal 1.0 0.0)), 7)

    refuses "covariance1" "positive semi-definite" (fun () ->
        Bures.distance ([| 0.0; 0.0 |], diagonal 1.0 1.0) ([| 0.0; 0.0 |], diagonal -1.0 1.0))

    refuses "covariance0" "symmetric" (fun () ->
        Bures.distance ([| 0.0; 0.0 |], array2D [ [ 1.0; 0.5 ]; [ 0.0; 1.0 ] ]) ([| 0.0; 0.0 |], diagonal 1.0 1.0))

[<Fact>]
let ``distances name bad input`` () =
    let line, plane = Sample.OfNumbers [| 0.0 |], Sample.OfPoints [| [| 0.0; 1.0 |] |]
    refuses "directions" "0" (fun () -> Line.sliced (Generator 1) 0 2.0 plane plane)
    refuses "second" "2" (fun () -> Discrepancy.energy line plane)
    refuses "kernel" "-1" (fun () -> Discrepancy.squaredMmd (Gaussian [ -1.0 ]) line line)
    refuses "first" "has 1" (fun () -> Discrepancy.unbiasedSquaredMmd GaussianByMedian line line)
    Assert.Equal(0.0, w2 line line)

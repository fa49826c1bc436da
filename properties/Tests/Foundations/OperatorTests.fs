/// Combinators compute claims that the laws do not refute, and claim no more than is true.
module ValueFlow.Tests.Foundations.OperatorTests

open System
open Xunit
open ValueFlow.Core.Foundations
open ValueFlow.Laws
open ValueFlow.Tests

/// x -> M x + b with a random matrix whose rows sum, in absolute terms, to the modulus.
let private affine (seed: int) (size: int) (modulus: float) : Operator<float[]> =
    let generator = Generator seed

    let rows =
        Array.init size (fun _ ->
            Sampling.simplex generator size
            |> Array.map (fun p -> modulus * p * (if generator.Uniform() < 0.5 then -1.0 else 1.0)))

    let shift = Array.init size (fun _ -> Sampling.normal generator)

    Operator.onVectors $"affine {seed}" modulus (fun x ->
        Array.map2 (fun row b -> Array.fold2 (fun sum p xi -> sum + p * xi) b row x) rows shift)

let private modulus (operator: Operator<'x>) = operator.Claims |> List.map _.Modulus

let private holds (operator: Operator<float[]>) =
    for report in Law.all (Subject.vectors 3 operator) do
        report.Require()

[<Fact>]
let ``compose multiplies, mix averages, power repeats, damp mixes with the identity`` () =
    let a, b = affine 1 3 0.5, affine 2 3 0.8
    Assert.Equal<float list>([ 0.4 ], modulus (Operator.compose a b))
    Assert.Equal(0.65, (modulus (Operator.mix [ 0.5, a; 0.5, b ])).Head, 12)
    Assert.Equal<float list>([ 0.125 ], modulus (Operator.power 3 a))
    Assert.Equal(0.75, (modulus (Operator.damp 0.5 a)).Head, 12)
    Assert.Equal<float list>([ 0.5 ], modulus (Operator.project (Operator.onVectors "clamp" 1.0 (Array.map (max 0.0))) a))

    for operator in
        [
            Operator.compose a b
            Operator.mix [ 0.25, a; 0.75, b ]
            Operator.power 3 b
            Operator.damp 0.3 b
            Operator.project (Operator.onVectors "clamp" 1.0 (Array.map (max 0.0))) b
        ] do
        holds operator

[<Fact>]
let ``a mutant of each combinator is refuted`` () =
    let a, b = affine 1 3 0.5, affine 2 3 0.8
    // One modulus instead of the product; the least instead of the mean; the operator's instead of the damped one.
    for operator, claimed in [ Operator.compose a b, 0.2; Operator.mix [ 0.5, a; 0.5, b ], 0.5; Operator.damp 0.5 (affine 3 3 0.2), 0.2 ] do
        let wrong = operator |> Operator.claiming Metric.sup claimed
        let report = Law.checkWith (LawOptions(Cases = 2000)) Law.contraction (Subject.vectors 3 wrong)
        Assert.True((report.Verdict = Verdict.Refuted), report.ToString())

[<Fact>]
let ``claims are joined only in the same metric, weights included`` () =
    let weighted weights = Metric.weightedSup weights
    let halve metric = Operator.create "half" Space.vectors (Array.map (fun x -> x / 2.0)) |> Operator.claiming metric 0.5
    Assert.Empty((Operator.compose (halve Metric.sup) (halve Metric.euclidean)).Claims)
    Assert.Empty((Operator.compose (halve (weighted [| 1.0; 2.0 |])) (halve (weighted [| 1.0; 3.0 |]))).Claims)
    Assert.Equal<float list>([ 0.25 ], modulus (Operator.compose (halve (weighted [| 1.0; 2.0 |])) (halve (weighted [| 1.0; 2.0 |]))))

[<Fact>]
let ``a conjugated operator contracts through its map, and a mixture of it claims nothing`` () =
    let cube =
        Operator.conjugate "cube root" Space.vectors (Array.map Math.Cbrt) (Array.map (fun x -> x * x * x)) (affine 1 2 0.5)

    Assert.Equal<float list>([ 0.5 ], modulus cube)
    Assert.False(cube.Claims.Head.Metric.Convex)
    Assert.Empty((Operator.damp 0.5 cube).Claims)
    // Within the range that cubes keep exact enough.
    let report =
        Law.checkWith (LawOptions(Cases = 500)) Law.contraction (Subject.create 2 (Array.map (fun x -> Math.Clamp(x, -50.0, 50.0))) id cube)

    report.Require()

[<Fact>]
let ``metrics are metrics, and the span forgets constants`` () =
    let generator = Generator 1

    for _ in 1..500 do
        let vector () = Array.init 3 (fun _ -> Sampling.normal generator)
        let x, y, z = vector (), vector (), vector ()

        for metric in [ Metric.sup; Metric.euclidean; Metric.span; Metric.weightedSup [| 1.0; 2.0; 0.5 |] ] do
            Assert.Equal(metric.Distance x y, metric.Distance y x, 14)
            Assert.Equal(0.0, metric.Distance x x)
            Assert.True(metric.Distance x z <= metric.Distance x y + metric.Distance y z + 1e-12)

        Assert.Equal(0.0, Metric.span.Distance x (Array.map (fun v -> v + 3.0) x), 12)

    Assert.False Metric.span.Separates
    Assert.Equal(5.0, (Metric.product Metric.sup Metric.sup).Distance (struct ([| 1.0 |], [| 0.0 |])) (struct ([| 3.0 |], [| 5.0 |])))
    Assert.Throws<ArgumentException>(fun () -> Metric.weightedSup [| 1.0; 0.0 |] |> ignore) |> ignore

[<Fact>]
let ``slips are named`` () =
    let a = affine 1 3 0.5
    Assert.Throws<ArgumentException>(fun () -> Operator.mix [ 0.5, a ] |> ignore) |> ignore
    Assert.Throws<ArgumentException>(fun () -> Operator.damp 0.0 a |> ignore) |> ignore
    Assert.Throws<ArgumentException>(fun () -> Operator.power 0 a |> ignore) |> ignore

    Assert.Throws<ArgumentException>(fun () ->
        FixedPoint.picard { RunOptions.standard with Tolerance = 0.0 } a [| 0.0; 0.0; 0.0 |] |> ignore)
    |> ignore

    Assert.Throws<ArgumentException>(fun () -> FixedPoint.picard RunOptions.standard a [| 0.0; nan; 0.0 |] |> ignore)
    |> ignore

/// Rows with weights that are not negative and sum to between a fifth and the modulus: it keeps the order, and the sums are its factors.
let private averaging (seed: int) (size: int) (modulus: float) : Operator<float[]> =
    let generator = Generator seed
    let sums = Array.init size (fun _ -> 0.2 + (modulus - 0.2) * generator.Uniform())
    let rows = sums |> Array.map (fun sum -> Sampling.simplex generator size |> Array.map (fun p -> sum * p))
    let shift = Array.init size (fun _ -> Sampling.normal generator)

    Operator.onVectors $"averaging {seed}" modulus (fun x ->
        Array.map2 (fun row b -> Array.fold2 (fun sum p xi -> sum + p * xi) b row x) rows shift)
    |> Operator.monotone
    |> Operator.translating (Array.min sums) (Array.max sums)

/// x(i) + 0.5 (x(j) - x(i)) * a for a of either sign: passes every constant on whole, and does not always keep the order.
let private leaning (seed: int) (size: int) : Operator<float[]> =
    let generator = Generator seed
    let other = Array.init size (fun _ -> generator.Below size)
    let lean = 2.0 * generator.Uniform() - 1.0

    Operator.onVectors $"leaning {seed}" (abs (1.0 - lean) + abs lean) (fun x -> Array.mapi (fun i xi -> xi + lean * (x[other[i]] - xi)) x)
    |> Operator.translating 1.0 1.0

let rec private combination (generator: Generator) (depth: int) : Operator<float[]> =
    let seed = generator.Below 1_000_000
    let part () = combination generator (depth - 1)

    match (if depth = 0 then generator.Below 3 else 3 + generator.Below 5) with
    | 0 -> affine seed 3 (0.3 + generator.Uniform())
    | 1 -> averaging seed 3 (0.3 + generator.Uniform())
    | 2 -> leaning seed 3
    | 3 -> Operator.compose (part ()) (part ())
    | 4 ->
        let weight = generator.Uniform()
        Operator.mix [ weight, part (); 1.0 - weight, part () ]
    | 5 -> Operator.power (1 + generator.Below 3) (part ())
    | 6 -> Operator.damp (1.0 - generator.Uniform()) (part ())
    | _ ->
        let clamp = Operator.onVectors "clamp" 1.0 (Array.map (fun x -> Math.Clamp(x, -5.0, 5.0))) |> Operator.monotone
        Operator.project clamp (part ())

[<Fact>]
let ``random combinations obey every law that is computed for them`` () =
    let generator = Generator 1
    let mutable translating, monotone = 0, 0

    for _ in 1..150 do
        let operator = combination generator 2
        translating <- translating + (if operator.Translation.IsSome then 1 else 0)
        monotone <- monotone + (if operator.Monotone then 1 else 0)

        for law in [ Law.contraction; Law.monotonicity; Law.translation; Law.purity ] do
            (Law.checkWith (LawOptions(Cases = 100)) law (Subject.vectors 3 operator)).Require()

    Assert.True(translating >= 20 && monotone >= 10, $"{translating} translate, {monotone} keep the order")

[<Fact>]
let ``factors multiply only where the order or an even inner one says so`` () =
    let halves = Operator.onVectors "halves the first" 1.0 (fun x -> [| 0.5 * x[0]; x[1] |]) |> Operator.translating 0.5 1.0

    let beyond =
        Operator.onVectors "beyond" 3.0 (fun x -> [| x[0] + 2.0 * (x[1] - x[0]); x[1] |])
        |> Operator.translating 1.0 1.0

    let both = Operator.compose beyond halves
    Assert.True both.Translation.IsNone
    // The product of the factors, which is what one would have written down, is refuted.
    let wrong = both |> Operator.translating 0.5 1.0
    Assert.Equal(Verdict.Refuted, (Law.check Law.translation (Subject.vectors 2 wrong)).Verdict)
    Assert.Equal(ValueSome(struct (0.5, 1.0)), (Operator.compose (Operator.monotone beyond) halves).Translation)
    Assert.Equal(ValueSome(struct (0.5, 1.0)), (Operator.compose halves beyond).Translation)

[<Fact>]
let ``the modulus of a power is never below the exact product`` () =
    for modulus in [ 0.1; 0.3; 0.99; 0.9999 ] do
        for count in 1..20 do
            let exact = Seq.replicate count (Rational.OfFloat modulus) |> Seq.reduce (*)
            let claimed = (Operator.power count (affine 1 2 modulus)).Claims.Head.Modulus
            Assert.True(exact <= Rational.OfFloat claimed)
            Assert.Equal(Math.Pow(modulus, float count), claimed, 1e-14)

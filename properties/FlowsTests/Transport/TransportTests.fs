/// Transport between weighted samples: exact marginals, a true bracket; Sinkhorn's plans: feasible, and no nearer than their gap says.
module ValueFlow.Tests.Flows.TransportTests

open System
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations
open ValueFlow.Tests.Flows.Judge

let private marginals (first: Sample) (second: Sample) (shipments: (int * int * float) seq) =
    let rows, columns = Array.zeroCreate<float> first.Count, Array.zeroCreate<float> second.Count

    for i, j, mass in shipments do
        rows[i] <- rows[i] + mass
        columns[j] <- columns[j] + mass

    let off (found: float[]) (wanted: float[]) = Array.map2 (fun x y -> abs (x - y)) found wanted |> Array.max
    atMost (off rows first.Weights) 1e-12 .&. atMost (off columns second.Weights) 1e-12

/// A sketch of two weighted samples of different size.
type Weighted = NonEmptyArray<struct (int * int) * PositiveInt> * NonEmptyArray<struct (int * int) * PositiveInt>

let private weighted ((a, b): Weighted) =
    let sample (sketch: NonEmptyArray<struct (int * int) * PositiveInt>) =
        let points = sketch.Get |> Array.map (fun (struct (x, y), _) -> [| float x / 4.0; float y / 4.0 |])
        Sample.OfPoints(points).Weighted(sketch.Get |> Array.map (fun (_, w) -> float w.Get))

    sample a, sample b

let private triples (plan: TransportPlan) = plan.Shipments |> Seq.map (fun s -> s.Source, s.Target, s.Mass)

[<Fact>]
let ``an exact plan has the weights as marginals, and its bracket is narrow`` () =
    let law (solve: Sample -> Sample -> TransportPlan) sketch =
        let first, second = weighted sketch
        let plan = solve first second
        let priced = plan.Shipments |> Array.sumBy (fun s -> s.Mass * (squares first second)[s.Source, s.Target])

        marginals first second (triples plan)
        .&. same plan.Cost priced
        .&. atMost plan.LowerBound plan.Cost
        .&. atMost plan.Gap (1e-8 * plan.Cost)

    holds (law (Transport.exact SquaredEuclidean))

    // The product plan has the marginals but not the bracket.
    refuted (
        law (fun a b ->
            let found = Transport.exact SquaredEuclidean a b
            let costs = squares a b

            let all =
                [|
                    for i in 0 .. a.Count - 1 do
                        for j in 0 .. b.Count - 1 -> { Source = i; Target = j; Mass = a.Weights[i] * b.Weights[j] }
                |]

            TransportPlan(all, all |> Array.sumBy (fun s -> s.Mass * costs[s.Source, s.Target]), found.LowerBound))
    )

[<Fact>]
let ``points counted twice are points of double weight`` () =
    let law (double: Sample -> Sample) (pairs: Pairs) =
        let first, second = samples pairs

        same
            (Transport.exact SquaredEuclidean (double first) second).Cost
            (Assignment.ofSamples SquaredEuclidean CancellationToken.None first second
             |> fun a -> a.Cost / float first.Count)

    holds (law (fun s -> Sample.OfPoints(Array.init (2 * s.Count) (fun i -> s.Point(i / 2)))))
    refuted (law (fun s -> Sample.OfPoints(Array.init (s.Count + 1) (fun i -> s.Point(i / 2)))))

let private solve r pairs =
    let first, second = samples pairs
    first, second, Sinkhorn.ofSamples SinkhornOptions.Default r SquaredEuclidean first second

let private cells (plan: float[,]) =
    seq {
        for i in 0 .. plan.GetLength 0 - 1 do
            for j in 0 .. plan.GetLength 1 - 1 -> i, j, plan[i, j]
    }

[<Fact>]
let ``a Sinkhorn plan has the weights as marginals, and its gaps enclose the exact cost`` () =
    let law (mutate: SinkhornPlan -> SinkhornPlan) (pairs: Pairs) =
        let first, second, found = solve 0.5 pairs
        let found = mutate found
        let exact = (Assignment.solve (squares first second)).Cost / float first.Count

        marginals first second (cells found.Plan)
        .&. atMost exact found.Cost
        .&. atMost found.LowerBound exact
        .&. atMost 0.0 found.Gap
        .&. ((found.Reason <> GapReached || found.Gap <= 1e-6 * (squares first second |> Seq.cast<float> |> Seq.max) + 1e-12)
             |> Prop.label "gap reached")

    holds (law id)
    refuted (law (fun found -> { found with LowerBound = found.Cost }))
    refuted (law (fun found -> { found with Plan = found.Plan |> Array2D.map (fun mass -> 1.001 * mass) }))

[<Fact>]
let ``the gap is at least the distance from the regularised optimum`` () =
    let generator = Generator 4
    let draw n = Sample.OfPoints(Array.init n (fun _ -> [| Sampling.normal generator; Sampling.normal generator |]))

    for r in [ 1.0; 0.1; 0.02 ] do
        let a, b = draw 20, draw 25
        let best = Sinkhorn.ofSamples { SinkhornOptions.Default with Tolerance = 1e-12; MaxSteps = 200_000 } r SquaredEuclidean a b

        for steps in [ 20; 60; 200 ] do
            let rough = Sinkhorn.ofSamples { SinkhornOptions.Default with Tolerance = 1e-12; MaxSteps = steps } r SquaredEuclidean a b
            Assert.True(rough.Gap >= rough.Objective - best.Objective - 1e-9, $"{rough.Gap} {rough.Objective - best.Objective}")
            Assert.True(rough.Objective >= best.Objective - best.Gap - 1e-12)

[<Fact>]
let ``the cost falls to the exact one as the regularisation goes to zero, and stays finite`` () =
    let generator = Generator 5
    let draw n = Sample.OfPoints(Array.init n (fun _ -> [| Sampling.normal generator; Sampling.normal generator |]))
    let first, second = draw 30, draw 30
    let exact = (Assignment.solve (squares first second)).Cost / 30.0
    let options = { SinkhornOptions.Default with Tolerance = 1e-8; MaxSteps = 50_000 }

    let costs =
        [ 10.0; 3.0; 1.0; 0.3; 0.1; 0.03; 0.01 ]
        |> List.map (fun r -> (Sinkhorn.ofSamples options r SquaredEuclidean first second).Cost)

    for larger, smaller in List.pairwise costs do
        Assert.True(smaller <= larger + 1e-6, $"{smaller} {larger}")

    Assert.InRange(List.last costs, exact - 1e-9, exact * 1.01)
    let tiny = Sinkhorn.ofSamples { options with MaxSteps = 300 } 1e-9 SquaredEuclidean first second
    Assert.True(Double.IsFinite tiny.Gap && tiny.Cost >= exact - 1e-9 && tiny.LowerBound <= exact + 1e-9)
    // The levels of the regularisation reach what is in effect the assignment; what is left is within the gap.
    Assert.True(tiny.Cost - exact <= tiny.Gap + 1e-6, $"{tiny.Cost - exact} {tiny.Gap}")
    let short = Sinkhorn.ofSamples { options with MaxSteps = 3 } 1e-9 SquaredEuclidean first second
    Assert.Equal(StepLimit, short.Reason)
    Assert.Equal(3, short.Steps)
    Assert.True(short.Gap >= 0.0 && short.LowerBound <= exact && short.Cost >= exact - 1e-9)

[<Fact>]
let ``Sinkhorn can be cancelled, takes weights of zero, and names bad input`` () =
    let options = SinkhornOptions.Default
    let costs = array2D [ [ 0.0; 1.0 ]; [ 1.0; 0.0 ] ]

    Assert.Equal(
        Cancelled,
        (Sinkhorn.solve { options with Cancellation = CancellationToken true } 0.1 costs [| 1.0; 3.0 |] [| 1.0; 1.0 |]).Reason
    )

    let found = Sinkhorn.solve options 0.1 costs [| 1.0; 0.0 |] [| 1.0; 3.0 |]
    Assert.Equal(0.75, found.Cost, 9)
    Assert.Equal(0.0, found.Plan[1, 0])
    refuses "regularisation" "0" (fun () -> Sinkhorn.solve options 0.0 costs [| 1.0; 1.0 |] [| 1.0; 1.0 |])
    refuses "costs" "NaN" (fun () -> Sinkhorn.solve options 0.1 (array2D [ [ nan ] ]) [| 1.0 |] [| 1.0 |])
    refuses "sourceWeights" "length" (fun () -> Sinkhorn.solve options 0.1 costs [| 1.0 |] [| 1.0; 1.0 |])
    refuses "targetWeights" "-1" (fun () -> Sinkhorn.solve options 0.1 costs [| 1.0; 1.0 |] [| 2.0; -1.0 |])

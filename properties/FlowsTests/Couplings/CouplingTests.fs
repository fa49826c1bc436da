/// Couplings keep both marginals, labels travel with their pairs, gradients stay out, nothing leaks.
module ValueFlow.Tests.Flows.CouplingTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open TorchSharp
open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Tests.Flows.Judge

let private tensor (sample: Sample) : torch.Tensor =
    torch
        .tensor(
            Array.init (sample.Count * sample.Dimension) (fun at -> float32 (sample.Point(at / sample.Dimension).[at % sample.Dimension]))
        )
        .reshape(int64 sample.Count, int64 sample.Dimension)

let private noisy (generator: Generator) (x1: torch.Tensor) : torch.Tensor =
    use random = Sampling.torchGenerator generator
    x1.Plus(torch.randn (x1.shape, dtype = x1.dtype, generator = random))

let private permutations: Coupling<int> list =
    [
        Coupling.independent
        Coupling.exact SquaredEuclidean
        Coupling.exact Euclidean
        Coupling.dataDependent noisy
        Conditional.weighted SquaredEuclidean 2.0 (fun a b -> float (abs (a - b)))
        Conditional.withinClass SquaredEuclidean
    ]

// Labels are the rows' numbers modulo three, and so are known from the pairing.
let private couple (coupling: Coupling<int>) seed (pairs: Pairs) (judge: torch.Tensor -> torch.Tensor -> CoupledPairs<int> -> Property) =
    let first, second = samples pairs

    Lifetime.within (fun () ->
        let x0, x1 = tensor first, tensor second
        judge x0 x1 (Coupling.apply coupling (Generator seed) x0 x1 (Array.init second.Count (fun j -> j % 3))))

let private keepsMarginals coupling (pairs: Pairs, seed: int) =
    couple coupling seed pairs (fun _ x1 found ->
        let n = pairs.Get.Length
        let whole = Array.sort found.Pairing.Source = Array.init n id && Array.sort found.Pairing.Target = Array.init n id
        let travelled = Array.forall2 (fun label j -> label = j % 3) found.Labels found.Pairing.Target
        let rows = found.Finish.equal(x1.index_select (0L, torch.tensor (Array.map int64 found.Pairing.Target))).all().ToBoolean()

        (whole && travelled && rows && not found.Finish.requires_grad)
        |> Prop.label $"{coupling.Name} %A{found.Pairing.Target} %A{found.Labels}")

[<Fact>]
let ``every row is in exactly one pair, and labels travel with their rows`` () =
    for coupling in permutations do
        Assert.True coupling.IsPermutation
        holds (keepsMarginals coupling)

    let replacing =
        { Coupling.independent<int> with
            Pair =
                fun g x0 _ _ ->
                    {
                        Source = Array.init (int x0.shape[0]) id
                        Target = Array.init (int x0.shape[0]) (fun _ -> g.Below(int x0.shape[0]))
                    }
        }

    refuted (keepsMarginals replacing)
    Assert.False (Coupling.sinkhorn<int> SinkhornOptions.Default 1.0 SquaredEuclidean).IsPermutation
    refuted (keepsMarginals (Coupling.sinkhorn SinkhornOptions.Default 100.0 SquaredEuclidean))

[<Fact>]
let ``the exact coupling costs no more than the independent one, and the conditional ones lie between`` () =
    let law (cheap: Coupling<int>) (dear: Coupling<int>) (pairs: Pairs, seed: int) =
        let cost coupling =
            let mutable sum = 0.0

            couple coupling seed pairs (fun _ _ found ->
                sum <- (found.Start.sub(found.Finish).Squared().sum()).ToDouble()
                true |> Prop.ofTestable)
            |> ignore

            sum

        let a, b = cost cheap, cost dear
        (a <= b + 1e-4 * (1.0 + b)) |> Prop.label $"{a} <= {b}"

    holds (law (Coupling.exact SquaredEuclidean) Coupling.independent)
    holds (law (Coupling.exact SquaredEuclidean) (Conditional.withinClass SquaredEuclidean))
    refuted (law Coupling.independent (Coupling.exact SquaredEuclidean))

// The label that a row of the first batch was given, from the same seed.
let private given seed count = Sampling.distinct (Generator seed) count count |> Array.map (fun j -> j % 3)

let private equalLabels coupling (pairs: Pairs, seed: int) =
    couple coupling seed pairs (fun _ _ found -> (found.Labels = given seed pairs.Get.Length) |> Prop.label $"%A{found.Labels}")

[<Fact>]
let ``with a large weight, and within classes, only equal labels are paired`` () =
    let apart a b = if a = b then 0.0 else 1.0
    holds (equalLabels (Conditional.weighted SquaredEuclidean 1e9 apart))
    holds (equalLabels (Conditional.withinClass SquaredEuclidean))
    refuted (equalLabels (Coupling.exact SquaredEuclidean))

    // The limit of a large weight is the assignment within classes.
    let limit (pairs: Pairs, seed: int) =
        let cost coupling =
            let mutable sum = 0.0

            couple coupling seed pairs (fun _ _ found ->
                sum <- (found.Start.sub(found.Finish).Squared().sum()).ToDouble()
                Prop.ofTestable true)
            |> ignore

            sum

        let a, b = cost (Conditional.weighted SquaredEuclidean 1e9 apart), cost (Conditional.withinClass SquaredEuclidean)
        (abs (a - b) <= 1e-4 * (1.0 + b)) |> Prop.label $"{a} = {b}"

    holds limit

[<Fact>]
let ``a Sinkhorn coupling of little regularisation is the exact one, and keeps the second marginal in the mean`` () =
    Lifetime.within (fun () ->
        let generator = Generator 2
        let draw () = Sample.OfPoints(Array.init 12 (fun _ -> [| Sampling.normal generator; Sampling.normal generator |]))
        let x0, x1 = tensor (draw ()), tensor (draw ())
        let target (coupling: Coupling<unit>) seed = (Coupling.apply coupling (Generator seed) x0 x1 [||]).Pairing.Target
        let tight = Coupling.sinkhorn { SinkhornOptions.Default with MaxSteps = 20000 } 0.001 SquaredEuclidean
        Assert.Equal<int[]>(target (Coupling.exact SquaredEuclidean) 1, target tight 1)
        let loose = Coupling.sinkhorn SinkhornOptions.Default 1.0 SquaredEuclidean
        let counts = Array.zeroCreate<int> 12

        for seed in 1..400 do
            for j in target loose seed do
                counts[j] <- counts[j] + 1

        Assert.All(counts, fun count -> Assert.InRange(count, 320, 480)))

[<Fact>]
let ``the same seed gives the same pairs, another seed others`` () =
    Lifetime.within (fun () ->
        let x = torch.arange (60L, dtype = torch.float32)
        let x = x.reshape (30L, 2L)
        let target seed = (Coupling.apply Coupling.independent<unit> (Generator seed) x x [||]).Pairing.Target
        Assert.Equal<int[]>(target 1, target 1)
        Assert.NotEqual<int[]>(target 1, target 2))

[<Fact>]
let ``gradients stay out, and nothing leaks`` () =
    Lifetime.within (fun () ->
        let x0, x1 = torch.randn ([| 8L; 2L |], requires_grad = true), torch.randn ([| 8L; 2L |], requires_grad = true)

        for coupling in permutations do
            let born =
                Lifetime.born (fun () ->
                    let found = Coupling.apply coupling (Generator 1) x0 x1 [| 0; 1; 0; 1; 0; 1; 0; 1 |]
                    Assert.False(found.Start.requires_grad || found.Finish.requires_grad)
                    found.Start.Dispose()
                    found.Finish.Dispose())

            Assert.Equal(0L, born))

[<Fact>]
let ``a multimarginal coupling pairs each batch with the first`` () =
    Lifetime.within (fun () ->
        let batches = List.init 3 (fun _ -> torch.randn [| 20L; 2L |])
        let coupling = Coupling.exact<unit> SquaredEuclidean
        let rows = TupleCoupling.rows coupling (Generator 1) batches
        Assert.Equal<int[]>(Array.init 20 id, rows[0])

        for b in 1..2 do
            let pair = Coupling.apply coupling (Generator 1) batches[0] batches[b] [||]
            Assert.Equal<int[]>(pair.Pairing.Target, rows[b])
            Assert.Equal<int[]>(Array.init 20 id, Array.sort rows[b])

        Assert.Equal(3L, Lifetime.born (fun () -> TupleCoupling.apply coupling (Generator 1) batches |> ignore)))

[<Fact>]
let ``couplings name bad input`` () =
    Lifetime.within (fun () ->
        let x = torch.zeros [| 4L; 2L |]

        let apply (coupling: Coupling<int>) (a: torch.Tensor) (b: torch.Tensor) labels () =
            Coupling.apply coupling (Generator 1) a b labels

        refuses "x0" "[3, 2]" (apply Coupling.independent (torch.zeros [| 3L; 2L |]) x [||])
        refuses "x0" "Float64" (apply Coupling.independent (torch.zeros ([| 4L; 2L |], dtype = torch.float64)) x [||])
        refuses "x1" "none" (apply Coupling.independent (torch.zeros [| 0L; 2L |]) (torch.zeros [| 0L; 2L |]) [||])
        refuses "labels" "3" (apply Coupling.independent x x [| 1; 2; 3 |])
        refuses "labels" "0" (apply (Conditional.withinClass SquaredEuclidean) x x [||])
        refuses "points" "NaN" (apply (Coupling.exact SquaredEuclidean) (x.div (torch.zeros [| 1L |])) x [||])
        refuses "x0" "[8]" (apply (Coupling.dataDependent (fun _ x1 -> x1.flatten ())) x x [||])
        refuses "batches" "none" (fun () -> TupleCoupling.rows Coupling.independent (Generator 1) []))

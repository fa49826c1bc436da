module ValueFlow.Tests.Foundations.FixedPointTests

open System
open System.Threading
open Xunit
open TorchSharp
open ValueFlow.Core.Foundations

let private rounded (operator: Operator<float[]>) =
    operator
    |> Operator.roundedBy (fun x -> 8.0 * Bound.unitRoundoff * (1.0 + Metric.sup.Distance x (Array.zeroCreate x.Length)))

/// x -> L (rotation of the places) x + 1: the fixed point is 1 / (1 - L) everywhere.
let private turn (modulus: float) =
    Operator.onVectors "turn" modulus (fun x -> Array.init x.Length (fun i -> modulus * x[(i + 1) % x.Length] + 1.0))
    |> rounded

let private start = [| 0.0; 5.0; -7.0 |]

[<Fact>]
let ``Picard is certified within its tolerance, and leaves the start as it was`` () =
    for modulus in [ 0.0; 0.5; 0.9; 0.99 ] do
        let result = FixedPoint.picard RunOptions.standard (turn modulus) start
        Assert.Equal(Outcome.Converged, result.Outcome)
        Assert.Equal(Certificate.Contraction, result.Certificate)
        Assert.True(Metric.sup.Distance result.Value (Array.create 3 (1.0 / (1.0 - modulus))) <= result.Bound)
        Assert.True(result.Bound <= 1e-8)

    Assert.Equal<float[]>([| 0.0; 5.0; -7.0 |], start)

[<Fact>]
let ``a tolerance below the floor ends at the floor, and says so`` () =
    let result = FixedPoint.picard { RunOptions.standard with Tolerance = 1e-18 } (turn 0.9) start
    Assert.Equal(Outcome.PrecisionFloor, result.Outcome)
    Assert.True(result.Bound <= 10.0 * result.Floor, $"{result.Bound} {result.Floor}")
    Assert.True(Metric.sup.Distance result.Value (Array.create 3 10.0) <= result.Bound)

[<Fact>]
let ``without a rounding bound nothing is certified`` () =
    let unstated = Operator.onVectors "half" 0.5 (Array.map (fun x -> x / 2.0))
    let result = FixedPoint.picard RunOptions.standard unstated start
    Assert.Equal(Certificate.Estimate, result.Certificate)
    Assert.True(Double.IsPositiveInfinity result.Bound)
    Assert.True(result.Residual <= 1e-8)

[<Fact>]
let ``a false claim is found out on the way`` () =
    let liar = Operator.onVectors "liar" 0.5 (Array.map (fun x -> 0.9 * x + 1.0)) |> rounded

    match (FixedPoint.picard RunOptions.standard liar start).Outcome with
    | Outcome.ClaimRefuted(measured, claimed) ->
        Assert.Equal(0.9, measured, 6)
        Assert.Equal(0.5, claimed)
    | other -> Assert.Fail $"{other}"

[<Fact>]
let ``budget, cancellation and what is no number are told`` () =
    let result = FixedPoint.picard { RunOptions.standard with Budget = 5 } (turn 0.99) start
    Assert.Equal(Outcome.BudgetExhausted, result.Outcome)
    Assert.Equal(5, result.Applications)
    Assert.True(Double.IsFinite result.Bound)
    use source = new CancellationTokenSource()

    let options =
        { RunOptions.standard with
            Cancellation = source.Token
            Progress =
                fun p ->
                    if p.Applications = 3 then
                        source.Cancel()
        }

    Assert.Equal(Outcome.Cancelled, (FixedPoint.picard options (turn 0.99) start).Outcome)
    let pole = Operator.onVectors "pole" 0.5 (Array.map (fun x -> if x < 1.0 then x / 2.0 else nan))

    match (FixedPoint.picard RunOptions.standard pole start).Outcome with
    | Outcome.NotFinite found -> Assert.Contains("entry 1", found)
    | other -> Assert.Fail $"{other}"

[<Fact>]
let ``Anderson needs fewer applications than Picard, and certifies alike`` () =
    for modulus in [ 0.9; 0.99; 0.999 ] do
        let plain = FixedPoint.picard RunOptions.standard (turn modulus) start
        let fast = Accelerated.anderson 3 RunOptions.standard (turn modulus) start
        Assert.Equal(Outcome.Converged, fast.Outcome)
        Assert.True(Metric.sup.Distance fast.Value (Array.create 3 (1.0 / (1.0 - modulus))) <= fast.Bound)
        Assert.True(fast.Applications * 4 < plain.Applications, $"{fast.Applications} of {plain.Applications}")

[<Fact>]
let ``Halpern comes to the fixed point of a rotation, where Picard circles for ever`` () =
    let quarter =
        Operator.create "quarter turn" Space.vectors (fun (x: float[]) -> [| -x[1]; x[0] |])
        |> Operator.claiming Metric.euclidean 1.0

    let options = { RunOptions.standard with Tolerance = 1e-3; Budget = 20_000 }
    let circling = FixedPoint.picard options quarter [| 1.0; 0.0 |]
    Assert.Equal(Outcome.BudgetExhausted, circling.Outcome)
    let result = Accelerated.halpern options quarter [| 1.0; 0.0 |]
    Assert.Equal(Outcome.Converged, result.Outcome)
    Assert.Equal(Certificate.Estimate, result.Certificate)
    Assert.True(Metric.euclidean.Distance result.Value [| 0.0; 0.0 |] <= 1e-2)

[<Fact>]
let ``runners on tensors leave one tensor: their answer`` () =
    let half =
        Operator.create "half" (Space.tensors ()) (Elementwise.times 0.5)
        |> Operator.claiming (TensorMetric.sup ()) 0.5

    use x = torch.ones ([| 4L |], dtype = torch.float64)

    let options = { RunOptions.standard with Tolerance = 1e-3 }

    for run in [ FixedPoint.picard; Accelerated.anderson 3; Accelerated.halpern ] do
        let born = Lifetime.born (fun () -> (run options half x).Value |> ignore)
        Assert.Equal(1L, born)

    Assert.Equal(4.0, Lifetime.within (fun () -> x.sum().item<float>()))

[<Fact>]
let ``Halpern is not mistaken for an iteration that has come to its floor`` () =
    let result = Accelerated.halpern { RunOptions.standard with Tolerance = 0.05 } (turn 0.9) start
    Assert.Equal(Outcome.Converged, result.Outcome)
    Assert.True(Metric.sup.Distance result.Value (Array.create 3 10.0) <= result.Bound)

/// x -> L max(A x + b, C x + d) by places: a contraction in the sup norm whose pieces mislead an extrapolation.
let private pieces seed size modulus =
    let generator = Generator seed
    let row () = Sampling.simplex generator size |> Array.map (fun p -> if generator.Uniform() < 0.5 then -p else p)
    let part () = Array.init size (fun _ -> row ()), Array.init size (fun _ -> Sampling.normal generator)
    let parts = [ part (); part (); part () ]

    Operator.onVectors $"pieces {seed}" modulus (fun x ->
        Array.init size (fun i ->
            parts
            |> List.map (fun (rows, shift) -> modulus * Array.fold2 (fun sum p v -> sum + p * v) shift[i] rows[i] x)
            |> List.max))
    |> rounded

[<Fact>]
let ``Anderson converges on every contraction, in no more than twice the applications`` () =
    for seed in 1..200 do
        let operator = pieces seed 5 0.95
        let plain = FixedPoint.picard RunOptions.standard operator (Array.create 5 100.0)
        let result = Accelerated.anderson 4 RunOptions.standard operator (Array.create 5 100.0)
        Assert.Equal(Outcome.Converged, result.Outcome)
        Assert.True(Metric.sup.Distance result.Value plain.Value <= result.Bound + plain.Bound, $"seed {seed}")
        // The worst case: every second step is taken back, and each other one shortens the residual by the modulus alone.
        let worst = 2.0 * (log (1e-11 / 1e3) / log 0.95)
        Assert.True(float result.Applications <= worst, $"seed {seed}: {result.Applications}, plain {plain.Applications}")

[<Fact>]
let ``numbers that cross into libtorch are not collected on the way`` () =
    use stop = new CancellationTokenSource()

    let collector =
        Thread(fun () ->
            while not stop.IsCancellationRequested do
                GC.Collect 0
                GC.WaitForPendingFinalizers())

    use x = torch.ones ([| 3L |], dtype = torch.float64)
    let space = Space.tensors ()
    collector.Start()

    try
        for _ in 1..5000 do
            let y = space.Combine 0.5 x 0.5 x
            Assert.Equal(0.0, (TensorMetric.sup ()).Distance x y)
            space.Release y
    finally
        stop.Cancel()
        collector.Join()

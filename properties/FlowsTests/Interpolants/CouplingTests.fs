/// Couplings made from data: super-resolution, in-painting, perturbation.
module ValueFlow.FlowsTests.Interpolants.CouplingTests

open Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.FlowsTests.Interpolants.Draw

let private images (draw: Draw) : torch.Tensor = (points draw 0 3 16).reshape [| 3L; 4L; 4L |]
let private mask (draw: Draw) : torch.Tensor = (points draw 200 3 16).ge(scalar 0.0).``to``(torch.float64).reshape [| 3L; 4L; 4L |]

let private couplings (draw: Draw) : (Generator -> torch.Tensor -> CoupledBatch) list =
    [
        DataCoupling.independent
        DataCoupling.perturbed 0.3
        DataCoupling.superResolution 2 0.1
        DataCoupling.inPainting (mask draw)
    ]

[<Fact>]
let ``every coupling may follow every interpolant: ends are exact`` () =
    let ends (early: float) (draw: Draw) =
        let i, x1 = interpolant draw, images draw

        couplings draw
        |> List.map (fun couple ->
            let batch = couple (Generator draw.Moment) x1
            let pairs = { Start = batch.Start; Finish = batch.Finish; Noise = ValueSome(torch.ones_like x1) }
            let first = if i.IsMirror then x1 else batch.Start
            max (distance (Path.point i (scalar early) pairs) first) (distance (Path.point i (scalar 1.0) pairs) x1))
        |> List.max

    holds 60 0.0 (ends 0.0)
    refutes 60 0.0 (ends 0.01)

// max |C_1(flow) - C1| and means: the velocity's ODE carries N(m0, C0) to N(m1, C1).
let private coupledFlow (cross: float) (draw: Draw) : float =
    let data = gaussian draw 3 2
    let spread = data.Covariance
    // x0 = x1 + 0.6 noise: Cov(x0) = C1 + 0.36 I, Cov(x0, x1) = C1.
    let start = GaussianLaw.create data.Mean (spread |> Array2D.mapi (fun i j c -> if i = j then c + 0.36 else c))
    let pair = PairLaw.joint start data (spread |> Array2D.map (fun c -> cross * c))

    let i =
        if draw.Choice % 2 = 0 then
            Interpolant.linear Latent.none
        else
            Interpolant.trigonometric (Latent.quadratic 0.5)

    let truth = if cross = 1.0 then pair else PairLaw.joint start data spread
    let marginal t = (PairLaw.marginal i truth t).Components[0]
    let reached = LinearDrift.transport (LinearDrift.ofNormal i pair (fun _ -> 0.0)) (fun _ -> 0.0) 0.0 0.6 300 start
    let expected = marginal 0.6

    max
        (Array.map2 gap reached.Mean expected.Mean |> Array.max)
        (Seq.map2 gap (Seq.cast<float> reached.Covariance) (Seq.cast<float> expected.Covariance) |> Seq.max)

[<Fact>]
let ``a coupled normal pair's velocity carries start to end`` () = holds 60 1e-7 (coupledFlow 1.0)

[<Fact>]
let ``forgetting the coupling is refuted`` () = refutes 60 1e-7 (coupledFlow 0.0)

[<Fact>]
let ``known pixels start exact, have velocity zero, and stay exact under any model`` () =
    let keeps (protect: torch.Tensor -> Field -> Field) (draw: Draw) =
        let x1, mask = images draw, mask draw
        let batch = DataCoupling.inPainting mask (Generator draw.Moment) x1
        let pairs = { Start = batch.Start; Finish = batch.Finish; Noise = ValueNone }
        let known (x: torch.Tensor) = x.mul mask
        let along = Path.velocity (Interpolant.linear Latent.none) (scalar 0.3) pairs
        let model = Field.create "any" (fun _ x -> Elementwise.plus 0.1 (x.Squared()))
        let moved = batch.Start.Plus(Elementwise.times 0.25 ((protect mask model).Apply (scalar 0.3) batch.Start))

        [
            distance (known batch.Start) (known x1)
            distance (known along) (torch.zeros_like x1)
            distance (known moved) (known x1)
        ]
        |> List.max

    holds 60 0.0 (keeps DataCoupling.keepKnown)
    refutes 60 0.0 (keeps (fun _ field -> field))

[<Fact>]
let ``kinetic energy is at most the cost of the coupling`` () =
    let energy (factor: float) (draw: Draw) =
        let first, last = gaussian draw 3 2, gaussian draw 60 2
        let pair = PairLaw.independent (MixtureLaw.single first) (MixtureLaw.single last)
        let i = Interpolant.linear Latent.none
        let drift = LinearDrift.ofNormal i pair (fun _ -> 0.0)
        let still: LinearDrift = { Slope = (fun _ -> Array2D.zeroCreate 2 2); Offset = fun _ -> [| 0.0; 0.0 |] }
        // Four e = 1: the bound's integrand is E|b|^2 itself.
        let kinetic =
            LinearDrift.divergenceBound (fun _ -> 0.25) (fun t -> (PairLaw.marginal i pair t).Components[0]) still drift 0.0 1.0 40

        let trace (c: float[,]) = c[0, 0] + c[1, 1]

        let cost =
            Array.fold2 (fun sum a b -> sum + (a - b) ** 2.0) (trace first.Covariance + trace last.Covariance) first.Mean last.Mean

        kinetic - factor * cost

    holds 60 1e-6 (energy 1.0)
    refutes 60 1e-6 (energy 0.2)

[<Fact>]
let ``coarsening is a projection that keeps block means`` () =
    holds 60 1e-14 (fun draw ->
        let x = images draw
        let coarse = DataCoupling.coarsen 2 x
        let total (x: torch.Tensor) = x.sum ([| 1L; 2L |])
        max (distance (DataCoupling.coarsen 2 coarse) coarse) (distance (total coarse) (total x)))

    Lifetime.within (fun () ->
        let x = torch.arange(16L, dtype = torch.float64).reshape [| 1L; 4L; 4L |]
        Assert.Equal<float[]>([| 2.5; 2.5; 4.5; 4.5 |], (values (DataCoupling.coarsen 2 x))[0..3]))

[<Fact>]
let ``couplings are functions of the generator, pure, and leave no tensor behind`` () =
    use scope = torch.NewDisposeScope()
    let draw = { Choice = 0; Moment = 3; Numbers = [ 14; 3; 66 ] }
    let x1 = images draw

    for couple in couplings draw do
        Assert.Equal<float[]>(values (couple (Generator 5) x1).Start, values (couple (Generator 5) x1).Start)
        Assert.NotEqual<float[]>(values (couple (Generator 5) x1).Start, values (couple (Generator 6) x1).Start)

    let mask = mask draw
    isPure 1L [ x1 ] (fun () -> [ (DataCoupling.perturbed 0.3 (Generator 1) x1).Start ])

    isPure 2L [ x1 ] (fun () ->
        let batch = DataCoupling.superResolution 2 0.1 (Generator 1) x1
        [ batch.Start; batch.Condition.Value ])

    isPure 3L [ x1; mask ] (fun () ->
        let batch = DataCoupling.inPainting mask (Generator 1) x1
        [ batch.Start; batch.Condition.Value; batch.Known.Value ])

    Assert.Contains("zeros and ones", refusal (fun () -> DataCoupling.inPainting (Elementwise.times 0.5 mask) (Generator 1) x1 |> ignore))
    Assert.Contains("divide", refusal (fun () -> DataCoupling.coarsen 3 x1 |> ignore))
    Assert.Contains("deviation", refusal (fun () -> DataCoupling.perturbed nan (Generator 1) x1 |> ignore))

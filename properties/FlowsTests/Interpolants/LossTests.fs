/// Regression losses: the minimiser is the conditional mean, and the gap above it is known. Expectations are exact, by Gauss-Hermite quadrature.
module ValueFlow.FlowsTests.Interpolants.LossTests

open Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Flows
open ValueFlow.FlowsTests.Interpolants.Draw

/// Four nodes and weights of the standard normal law: exact for polynomials of degree seven.
let nodes: (float * float)[] =
    [|
        for sign in [ -1.0; 1.0 ] do
            for side in [ -1.0; 1.0 ] -> sign * sqrt (3.0 + side * sqrt 6.0), (3.0 - side * sqrt 6.0) / 12.0
    |]

// All of (x0, x1, z) in one dimension, with weights.
let private batch (first: GaussianLaw) (last: GaussianLaw) (t: float) : LossBatch =
    let rows =
        [|
            for a, wa in nodes do
                for b, wb in nodes do
                    for z, wz in nodes ->
                        first.Mean[0] + sqrt first.Covariance[0, 0] * a, last.Mean[0] + sqrt last.Covariance[0, 0] * b, z, wa * wb * wz
        |]

    let column pick = table (rows |> Array.map (fun row -> [| pick row |]))

    {
        Times = vector (Array.create rows.Length t)
        Pairs =
            {
                Start = column (fun (a, _, _, _) -> a)
                Finish = column (fun (_, b, _, _) -> b)
                Noise = ValueSome(column (fun (_, _, z, _) -> z))
            }
        Weights = ValueSome(vector (rows |> Array.map (fun (_, _, _, w) -> w)))
    }

type private Loss = LossOptions -> Interpolant -> Target -> (torch.Tensor -> torch.Tensor -> torch.Tensor) -> LossBatch -> torch.Tensor

// | L(b + p x + q) - L(b) - E|p x + q|^2 |, for every target that the interpolant has.
let private gapIdentity (loss: Loss) (draw: Draw) : float =
    let i, t = interpolant draw, innerTime draw
    let first, last = ends i draw 1 1
    let law = PairLaw.independent first last
    let batch = batch first.Components[0] last.Components[0] t
    let p, q = number draw 90, number draw 91
    let marginal = PairLaw.marginal i law t
    let mean, variance = (MixtureLaw.mean marginal)[0], (MixtureLaw.covariance marginal)[0, 0]
    let expected = p * p * (variance + mean * mean) + 2.0 * p * q * mean + q * q

    let options =
        {
            Form = (if draw.Choice % 2 = 0 then LossForm.SquaredError else LossForm.InnerProduct)
            IsAntithetic = draw.Moment % 2 = 0
        }

    [
        for target in [ Target.Velocity; Target.Score; Target.Denoiser; Target.Start; Target.Endpoint ] do
            match Conversion.tryBetween i [ target ] target (InteriorTime.At t) with
            | Error _ -> ()
            | Ok _ ->
                let exact = PairLaw.field i law target
                let other t (x: torch.Tensor) = (exact.Apply t x).Plus(Elementwise.plus q (Elementwise.times p x))
                let value model = (loss options i target model batch).item<float>()
                let least = value exact.Apply
                abs (value other - least - expected) / (1.0 + abs least + expected)
    ]
    |> List.max

[<Fact>]
let ``the conditional mean is the minimiser, and the gap above it is the squared distance`` () =
    holds 150 1e-9 (gapIdentity Losses.regression)

[<Fact>]
let ``a loss with the wrong cross term is refuted`` () =
    let wrong: Loss =
        fun options i target model batch -> Losses.regression options i target (fun t x -> Elementwise.times 1.05 (model t x)) batch

    refutes 150 1e-9 (gapIdentity wrong)

[<Fact>]
let ``both forms differ by the target's square only, antithetic noise keeps the expectation`` () =
    holds 100 1e-9 (fun draw ->
        let i, t = interpolant draw, innerTime draw
        let first, last = ends i draw 1 1
        let batch = batch first.Components[0] last.Components[0] t
        let model (_: torch.Tensor) (x: torch.Tensor) = Elementwise.times (number draw 90) (x.Squared())
        let value form isAntithetic model = (Losses.velocity { Form = form; IsAntithetic = isAntithetic } i model batch).item<float>()
        let zero (_: torch.Tensor) (x: torch.Tensor) = torch.zeros_like x
        let square, inner = value LossForm.SquaredError false, value LossForm.InnerProduct false

        List.max
            [
                gap (inner model + value LossForm.SquaredError false zero) (square model)
                gap (value LossForm.SquaredError true model) (square model)
                gap (value LossForm.InnerProduct true model) (inner model)
            ])

[<Fact>]
let ``antithetic noise bounds the variance near a singular end`` () =
    // Per-row losses of the inner-product form at t = 1e-6 of a bridge: gamma' is 500 there.
    Lifetime.within (fun () ->
        let bridge = Interpolant.brownianBridge 1.0
        use source = new torch.Generator(2UL)
        let count = 2000
        let random () = torch.randn ([| int64 count; 1L |], dtype = torch.float64, generator = source)
        let start, finish, noise = random (), random (), random ()

        let spread isAntithetic =
            let values =
                Array.init count (fun row ->
                    let part (x: torch.Tensor) = x.narrow (0L, int64 row, 1L)

                    let batch =
                        {
                            Times = vector [| 1e-6 |]
                            Weights = ValueNone
                            Pairs = { Start = part start; Finish = part finish; Noise = ValueSome(part noise) }
                        }

                    Lifetime.within (fun () ->
                        (Losses.velocity { Form = LossForm.InnerProduct; IsAntithetic = isAntithetic } bridge (fun _ x -> x) batch)
                            .item<float>()))

            let mean = Array.average values
            Array.averageBy (fun v -> (v - mean) ** 2.0) values

        let plain, antithetic = spread false, spread true
        Assert.True(plain > 1e5, $"{plain}")
        Assert.True(antithetic < 100.0, $"{antithetic}"))

[<Fact>]
let ``without latent noise the linear target is x1 - x0, and the score's is -x0 / (1 - t)`` () =
    Lifetime.within (fun () ->
        let draw = { Choice = 0; Moment = 5; Numbers = [ 3; 77; 20 ] }
        let pairs = { Start = points draw 0 4 2; Finish = points draw 8 4 2; Noise = ValueNone }
        let t = vector [| 0.1; 0.3; 0.5; 0.8 |]
        Assert.True(distance (Target.regressand interpolants[0] Target.Velocity t pairs) (pairs.Finish.sub pairs.Start) = 0.0)
        let oneSided = Interpolant.oneSided "one-sided" Schedule.remaining Schedule.time
        let expected = pairs.Start.div(torch.tensor([| 0.9; 0.7; 0.5; 0.2 |], dtype = torch.float64).unsqueeze 1L).neg()
        Assert.True(distance (Target.regressand oneSided Target.Score t pairs) expected < 1e-15)
        Assert.Contains("neither end", refusal (fun () -> Target.regressand interpolants[0] Target.Score t pairs |> ignore)))

[<Fact>]
let ``losses are pure, leave one tensor, and their gradient is the numerical one`` () =
    use scope = torch.NewDisposeScope()
    let batch = batch (GaussianLaw.isotropic [| 0.4 |] 1.2) (GaussianLaw.isotropic [| -1.0 |] 0.5) 0.3
    let inputs = [ batch.Times; batch.Pairs.Start; batch.Pairs.Finish; batch.Pairs.Noise.Value; batch.Weights.Value ]
    let options = { Form = LossForm.InnerProduct; IsAntithetic = true }
    let bridge = Interpolant.brownianBridge 1.0
    isPure 1L inputs (fun () -> [ Losses.velocity options bridge (fun _ x -> x.Squared()) batch ])
    isPure 1L inputs (fun () -> [ Losses.denoiser Losses.options bridge (fun _ x -> x.Squared()) batch ])
    isPure 1L inputs (fun () -> [ Losses.score options bridge (fun _ x -> x.Squared()) batch ])
    let weight = (scalar 0.7).requires_grad_ true
    let value (w: torch.Tensor) = Losses.velocity options bridge (fun _ x -> x.mul w) batch
    (value weight).backward()
    let numerical = Schedule.numericalDerivative (fun w -> (value (scalar w)).item<float>()) 0.7

    Assert.Equal(
        numerical,
        (match weight.grad with
         | null -> nan
         | g -> g.item<float>()),
        6
    )

[<Fact>]
let ``slips are named`` () =
    Lifetime.within (fun () ->
        let batch = batch (GaussianLaw.isotropic [| 0.4 |] 1.2) (GaussianLaw.isotropic [| -1.0 |] 0.5) 0.3
        let bridge = Interpolant.brownianBridge 1.0
        Assert.Contains("model", refusal (fun () -> Losses.velocity Losses.options bridge (fun t _ -> t) batch |> ignore))

        Assert.Contains(
            "times",
            refusal (fun () -> Losses.velocity Losses.options bridge (fun _ x -> x) { batch with Times = scalar 0.5 } |> ignore)
        )

        Assert.Contains(
            "weights",
            refusal (fun () ->
                Losses.velocity Losses.options bridge (fun _ x -> x) { batch with Weights = ValueSome(vector [| 1.0 |]) }
                |> ignore)
        )

        let atEnd = { batch with Times = torch.zeros_like batch.Times }
        Assert.Contains("singular at t = 0", refusal (fun () -> Losses.velocity Losses.options bridge (fun _ x -> x) atEnd |> ignore)))

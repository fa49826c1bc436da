/// The ordinary equation and every stochastic one of a transport have the marginal laws of its interpolant.
module ValueFlow.FlowsTests.Samplers.EqualMarginalTests

open Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.FlowsTests.Interpolants.Draw
open ValueFlow.FlowsTests.Samplers.Systems

let private rows = 5000
let private steps = 60

// Means of numbers in [-1, 1] over 5,000 rows have standard deviations of about 0.01 (at most 0.014); the bias of 60 steps comes on top. Measured: 0.039 at most with 3,000 rows.
let private tolerance = 0.06

type private Run = SdeOptions -> TimeInterval -> Schedule -> int -> Field -> ScoreModel -> torch.Tensor -> Samples

let private sampled (run: Run) (interval: TimeInterval) (components: int) (draw: Draw) : float =
    let system = transport draw 2 components
    let source = PairLaw.marginal system.Interpolant system.Law interval.From
    let start = MixtureLaw.sample (Generator(seed draw)) source rows

    let options = { SdeOptions.create SdeScheme.eulerMaruyama steps with SaveEvery = steps / 3 }

    let samples = run options interval (noisyLevel draw) (seed draw) system.Velocity (ScoreModel.Score system.Score) start

    Assert.Equal(Reason.ReachedEnd, samples.Reason)
    Assert.Equal(interval.Until, samples.Time)
    // Weak form: the mean of every test function, at every time on the way.
    Array.map2 (fun t x -> waveGap draw (PairLaw.marginal system.Interpolant system.Law t) x) samples.SavedTimes samples.Saved
    |> Array.max

[<Fact>]
let ``every noise level has the marginal laws of the interpolant, from 0 to 1: normal laws`` () =
    holds 12 tolerance (sampled Sampler.sde TimeInterval.whole 1)

[<Fact>]
let ``every noise level has the marginal laws of the interpolant, from 0 to 1: mixtures`` () =
    holds 12 tolerance (sampled Sampler.sde TimeInterval.whole 3)

[<Fact>]
let ``every noise level has the marginal laws of the interpolant, from 1 to 0`` () =
    holds 12 tolerance (sampled Sampler.sde TimeInterval.back 2)

let private zero: ScoreModel = ScoreModel.Score(Field.autonomous "no score" torch.zeros_like)

[<Fact>]
let ``a drift without the score, one of the wrong sign, and noise sqrt e are refuted`` () =
    let withoutScore: Run =
        fun options interval level seed velocity _ start -> Sampler.sde options interval level seed velocity zero start

    let wrongSign: Run =
        fun options interval level seed velocity score start ->
            let negative =
                { ScoreModel.field velocity score with
                    Apply = fun t x -> ((ScoreModel.field velocity score).Apply t x).neg()
                }

            Sampler.sde options interval level seed velocity (ScoreModel.Score negative) start

    // Half the level for the noise, all of it for the score.
    let lessNoise: Run =
        fun options interval level seed velocity score start ->
            let twice =
                { ScoreModel.field velocity score with
                    Apply = fun t x -> Elementwise.times 2.0 ((ScoreModel.field velocity score).Apply t x)
                }

            Sampler.sde options interval (Schedule.scale 0.5 level) seed velocity (ScoreModel.Score twice) start

    for wrong in [ withoutScore; wrongSign; lessNoise ] do
        refutes 30 tolerance (sampled wrong TimeInterval.whole 1)

    refutes 30 tolerance (sampled withoutScore TimeInterval.back 2)

[<Fact>]
let ``the ordinary equation has the marginal laws too, in both directions`` () =
    let law (velocity: Transport -> Field) (draw: Draw) =
        let system = transport draw 2 2

        [ TimeInterval.whole; TimeInterval.back ]
        |> List.map (fun interval ->
            let start = MixtureLaw.sample (Generator(seed draw)) (PairLaw.marginal system.Interpolant system.Law interval.From) rows
            let times = if interval.IsForward then [| 0.0; 0.4; 1.0 |] else [| 1.0; 0.6; 0.0 |]
            let options = { OdeOptions.adaptive Scheme.dormandPrince5 1e-5 with Save = times }
            let samples = Sampler.ode options interval (velocity system) start
            Assert.Equal<float[]>(times, samples.SavedTimes)

            Array.map2 (fun t x -> waveGap draw (PairLaw.marginal system.Interpolant system.Law t) x) times samples.Saved
            |> Array.max)
        |> List.max

    holds 12 tolerance (law _.Velocity)
    let late (system: Transport) = { system.Velocity with Apply = fun t x -> Elementwise.times 0.8 (system.Velocity.Apply t x) }
    refutes 30 tolerance (law late)

[<Fact>]
let ``normal laws: the ordinary equation is exact, and the error of the stochastic ones is that of the step`` () =
    // In one dimension the map of the ordinary equation is affine: two points tell mean and deviation.
    use scope = torch.NewDisposeScope()
    let law mean deviation = MixtureLaw.single (GaussianLaw.isotropic [| mean |] deviation)
    let system = between (Interpolant.brownianBridge 0.5) (law -1.0 0.6) (law 2.0 1.3)
    let options = OdeOptions.adaptive Scheme.dormandPrince8 1e-11
    let ends = values (Sampler.ode options TimeInterval.whole system.Velocity (table [| [| -1.0 |]; [| -0.4 |] |])).Final
    Assert.Equal(2.0, ends[0], 9)
    Assert.Equal(1.3, ends[1] - ends[0], 9)

    // Without the noise of a path Euler-Maruyama moves means by Euler's method; the noise adds 2 e h to the variance. The moments of n steps against the exact ones:
    let error (n: int) : float =
        let drift = LinearDrift.ofNormal system.Interpolant system.Law (fun _ -> 0.8)
        let h = 1.0 / float n

        let mean, variance =
            ((-1.0, 0.36), [ 0 .. n - 1 ])
            ||> List.fold (fun (m, v) k ->
                let a, c = (drift.Slope(float k * h))[0, 0], (drift.Offset(float k * h))[0]
                m + h * (a * m + c), (1.0 + h * a) ** 2.0 * v + 1.6 * h)

        max (abs (mean - 2.0)) (abs (variance - 1.69))

    Assert.InRange(error 50 / error 100, 1.7, 2.3)
    Assert.True(error 400 < 0.02, $"{error 400}")

    // The sampler's steps have these moments: the mean of a path and of its mirror image is the mean, exactly.
    let equation (start: float) (sign: float) =
        let path = BrownianPath.Create(5, 0.0, 1.0, 50, [ 1L; 1L ], torch.float64)

        let turned =
            { SdeScheme.eulerMaruyama with
                Step =
                    SdeStep(fun sde t h state noise ->
                        SdeScheme.eulerMaruyama.Step.Invoke(
                            sde,
                            t,
                            h,
                            state,
                            { noise with Increment = Elementwise.times sign noise.Increment }
                        ))
            }

        (values
            (Sampler.alongPath
                (SdeOptions.create turned 50)
                TimeInterval.whole
                (NoiseLevel.constant 0.8)
                path
                system.Velocity
                (ScoreModel.Score system.Score)
                (table [| [| start |] |]))
                .Final)[0]

    let mean = 0.5 * (equation -1.0 1.0 + equation -1.0 -1.0)
    Assert.Equal(2.0, mean, 1)
    let drift = LinearDrift.ofNormal system.Interpolant system.Law (fun _ -> 0.8)

    let expected =
        (-1.0, [ 0..49 ])
        ||> List.fold (fun m k -> m + 0.02 * ((drift.Slope(float k * 0.02))[0, 0] * m + (drift.Offset(float k * 0.02))[0]))

    Assert.Equal(expected, mean, 10)

[<Fact>]
let ``mixtures: the energy distance of samples to the law is that of two samples of the law`` () =
    use scope = torch.NewDisposeScope()

    let ring =
        MixtureLaw.around [| for k in 0..7 -> [| 2.0 * cos (float k * 0.785398); 2.0 * sin (float k * 0.785398) |] |] 0.25

    let system = between (Interpolant.linear (Latent.brownian 0.5)) (MixtureLaw.single (GaussianLaw.standard 2)) ring
    let start = MixtureLaw.sample (Generator 1) system.First 1500
    let target = MixtureLaw.sample (Generator 2) ring 1500

    let distance level score =
        use samples =
            Sampler.sde (SdeOptions.create SdeScheme.eulerMaruyama 150) TimeInterval.whole level 7 system.Velocity score start

        energyDistance samples.Final target

    for level in levels do
        let found = distance level (ScoreModel.Score system.Score)
        // Two independent samples of the law: standard deviation about 0.002.
        Assert.True(abs found < 0.01, $"energy distance {found}")

    let wrong = distance (NoiseLevel.constant 1.0) zero
    Assert.True(wrong > 0.02, $"without the score {wrong}")

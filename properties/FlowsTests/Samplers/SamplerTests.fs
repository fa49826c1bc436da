/// Cut-offs, directions, few steps, reports, slips and lifetimes of samplers.
module ValueFlow.FlowsTests.Samplers.SamplerTests

open System.Threading
open Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.FlowsTests.Interpolants.Draw
open ValueFlow.FlowsTests.Samplers.Systems

let private euler (steps: int) = SdeOptions.create SdeScheme.eulerMaruyama steps

let private example () =
    let draw = { Choice = 4; Moment = 400; Numbers = [ 3; 90; 14 ] }
    let first, last = ends (oneSided draw) draw 2 3
    between (oneSided draw) first last, points draw 0 8 2

[<Fact>]
let ``there and back is the identity`` () =
    let law (interval: TimeInterval) (draw: Draw) =
        let system, x = transport draw 2 3, points draw 40 4 2
        let options = OdeOptions.adaptive Scheme.dormandPrince5 1e-9
        let there = Sampler.ode options interval system.Velocity x
        distance (Sampler.ode options interval.Reversed system.Velocity there.Final).Final x

    holds 15 1e-6 (law TimeInterval.whole)
    holds 15 1e-6 (law TimeInterval.back)

    // Twice there is not the identity.
    refutes 15 1e-6 (fun draw ->
        let system, x = transport draw 2 3, points draw 40 4 2
        let run = Sampler.ode (OdeOptions.adaptive Scheme.dormandPrince5 1e-9) TimeInterval.whole system.Velocity
        distance (run (run x).Final).Final x)

[<Fact>]
let ``few steps are a solve with constant steps, and a loop by hand`` () =
    let byHand (isHeun: bool) (n: int) (system: Transport) (x: torch.Tensor) =
        let h = 1.0 / float n
        let mutable x = x

        for k in 0 .. n - 1 do
            let slope = system.Velocity.Apply (scalar (float k / float n)) x

            if isHeun then
                let next = system.Velocity.Apply (scalar (float (k + 1) / float n)) (x |> Elementwise.addTimes h slope)
                x <- x |> Elementwise.addTimes (h / 2.0) (slope |> Elementwise.addTimes 1.0 next)
            else
                x <- x |> Elementwise.addTimes h slope

        x

    let law (scheme: Scheme) (isHeun: bool) (draw: Draw) =
        let system, x = transport draw 2 2, points draw 40 3 2
        let n = 1 + abs (draw.Moment % 40)
        let few = Sampler.fewStep scheme n TimeInterval.whole system.Velocity x
        Assert.Equal(n, few.Steps)
        Assert.Equal(0, few.Rejections)
        // Where gradients could be recorded, a solve asks the field once more whether they are.
        use _plain = torch.no_grad ()
        let solution = Ode.solve (OdeOptions.fixedStep scheme (1.0 / float n)) system.Velocity x 0.0 1.0
        Assert.Equal(solution.Evaluations, few.VelocityEvaluations)
        Assert.Equal<float[]>(values solution.Final, values few.Final)
        distance few.Final (byHand isHeun n system x)

    holds 30 1e-12 (law Scheme.euler false)
    holds 30 1e-12 (law Scheme.heun true)
    refutes 30 1e-12 (law Scheme.midpoint true)

// One dimension, normal laws: the map is affine, so that two points tell mean and deviation of the result exactly.
let private cutOffBias (cut: float) : float =
    let law mean deviation = MixtureLaw.single (GaussianLaw.isotropic [| mean |] deviation)
    let system = between (Interpolant.trigonometric (Latent.quadratic 1.0)) (law -1.0 0.6) (law 2.0 1.3)
    let interval = TimeInterval.between (InteriorTime.At cut) (InteriorTime.At(1.0 - cut))
    let options = OdeOptions.adaptive Scheme.dormandPrince8 1e-11
    let ends = values (Sampler.ode options interval system.Velocity (table [| [| -1.0 |]; [| -0.4 |] |])).Final
    max (abs (ends[0] - 2.0)) (abs (ends[1] - ends[0] - 1.3))

[<Fact>]
let ``a cut-off has a bias in proportion to what it cuts`` () =
    use scope = torch.NewDisposeScope()
    Assert.InRange(cutOffBias 0.02 / cutOffBias 0.01, 1.8, 2.2)
    Assert.InRange(cutOffBias 0.001, 1e-4, 1e-2)

[<Fact>]
let ``singular ends are refused, cut off, or left without noise`` () =
    use scope = torch.NewDisposeScope()
    let system, _ = example ()
    let start = MixtureLaw.sample (Generator 3) system.First 4000
    let denoiser = PairLaw.field system.Interpolant system.Law Target.Denoiser
    let models = [ ScoreModel.Denoiser(system.Interpolant, denoiser); ScoreModel.OfVelocity system.Interpolant ]

    for model in models do
        let run interval level = Sampler.sde (euler 80) interval level 5 system.Velocity model start
        let words = refusal (fun () -> run TimeInterval.whole (NoiseLevel.constant 0.5) |> ignore)
        Assert.Contains("open interval", words)
        // Left without noise at the ends: no bias.
        let quiet = NoiseLevel.inside (InteriorTime.At 0.05) (InteriorTime.At 0.95) (NoiseLevel.constant 0.5)
        let samples = run TimeInterval.whole quiet
        let gap = waveGap { Choice = 0; Moment = 0; Numbers = [ 7; 50; 81 ] } system.Last samples.Final
        Assert.True(gap < 0.06, $"{gap}")
        Assert.InRange(samples.ScoreEvaluations, 70, 75)
        // Cut off: the law at the time of the cut.
        let cut = TimeInterval.between (InteriorTime.At 0.02) (InteriorTime.At 0.98)
        let samples = run cut (NoiseLevel.constant 0.5)
        Assert.Equal(0.98, samples.Time)
        Assert.Equal(80, samples.ScoreEvaluations)

    // The three scores are one.
    let x, t = points { Choice = 0; Moment = 0; Numbers = [ 5; 70 ] } 0 4 2, scalar 0.37

    for model in models do
        Assert.True(distance ((ScoreModel.field system.Velocity model).Apply t x) (system.Score.Apply t x) < 1e-10)

[<Fact>]
let ``without noise the stochastic equation is Euler's method in either direction, and no score is asked for`` () =
    use scope = torch.NewDisposeScope()
    let system, x = example ()
    let never = ScoreModel.Score(Field.autonomous "never" (fun _ -> invalidOp "the score was asked for"))

    for interval in [ TimeInterval.whole; TimeInterval.back ] do
        for n in [ 1; 3; 7; 49 ] do
            let noisy = Sampler.sde (euler n) interval NoiseLevel.none 1 system.Velocity never x
            let plain = Sampler.fewStep Scheme.euler n interval system.Velocity x
            Assert.True(distance noisy.Final plain.Final < 1e-11)
            Assert.Equal(n, noisy.VelocityEvaluations)
            Assert.Equal(0, noisy.ScoreEvaluations)

[<Fact>]
let ``the noise of a run is a function of its seed, and a path refines it`` () =
    use scope = torch.NewDisposeScope()
    let system, x = example ()
    let score = ScoreModel.Score system.Score
    let run seed = values (Sampler.sde (euler 20) TimeInterval.whole (NoiseLevel.constant 0.5) seed system.Velocity score x).Final
    Assert.Equal<float[]>(run 5, run 5)
    Assert.NotEqual<float[]>(run 5, run 6)
    // Additive noise: strong order one along one path, and every scheme takes it.
    let path = BrownianPath.Create(4, 0.0, 1.0, 10, [ 64L; 2L ], torch.float64)
    let law = MixtureLaw.single (GaussianLaw.create [| 1.0; -0.5 |] (array2D [ [ 0.8; 0.3 ]; [ 0.3; 0.5 ] ]))
    let system = between (Interpolant.brownianBridge 0.5) (MixtureLaw.single (GaussianLaw.standard 2)) law
    let score = ScoreModel.Score system.Score
    let x = MixtureLaw.sample (Generator 1) system.First 64

    let along (scheme: SdeScheme) n =
        (Sampler.alongPath (SdeOptions.create scheme n) TimeInterval.whole (NoiseLevel.constant 0.5) path system.Velocity score x).Final

    let fine = along SdeScheme.roessler 1280

    let error n = values ((along SdeScheme.eulerMaruyama n).sub fine) |> Array.averageBy (fun v -> v * v) |> sqrt

    Assert.InRange(error 40 / error 160, 3.0, 5.0)

    for scheme in SdeScheme.all do
        Assert.True(distance (along scheme 320) fine < 0.1, scheme.Name)

[<Fact>]
let ``no field is asked beyond the interval, whatever the scheme, the direction and the number of steps`` () =
    // The first number of steps n for which the sum of the last step's start and its length, rounded, is above 1.
    let sum n = float (n - 1) * (1.0 / float n) + 1.0 / float n
    let n = Seq.initInfinite id |> Seq.find (fun n -> n > 1 && sum n > 1.0)
    use scope = torch.NewDisposeScope()

    let strict =
        Field.create "inside" (fun t x ->
            let time = Array.head (values t)

            if not (time >= 0.0 && time <= 1.0) then
                invalidArg "t" $"{time}"

            x.neg ())

    let x = torch.ones ([| 2L; 3L; 2L |], dtype = torch.float64)
    let level = Schedule.create (fun t -> if t >= 0.0 && t <= 1.0 then 0.1 * t else nan) (fun _ -> 0.1)

    for interval in [ TimeInterval.whole; TimeInterval.back ] do
        for scheme in SdeScheme.all do
            let samples = Sampler.sde (SdeOptions.create scheme n) interval level 3 strict (ScoreModel.Score strict) x
            Assert.Equal(Reason.ReachedEnd, samples.Reason)
            Assert.Equal<int64[]>(x.shape, samples.Final.shape)

    // The runner itself ends its last step where the interval ends.
    let equation = StochasticEquation.additive (Drifts.forward level strict strict) (NoiseLevel.deviation level)
    let path = BrownianPath.Create(3, 0.0, 1.0, n, List.ofArray x.shape, torch.float64)
    let solution = Sde.solve (SdeOptions.create SdeScheme.heun n) equation path x 0.0 1.0
    Assert.Equal(Reason.ReachedEnd, solution.Reason)

[<Fact>]
let ``single precision stays single, and its samples are those of double precision`` () =
    use scope = torch.NewDisposeScope()
    let system, x = example ()
    let score = ScoreModel.Score system.Score
    let sde x = (Sampler.sde (euler 20) TimeInterval.whole (NoiseLevel.parabola 0.3) 5 system.Velocity score x).Final
    let few x = (Sampler.fewStep Scheme.heun 8 TimeInterval.back system.Velocity x).Final

    for run in [ sde; few ] do
        let single = run (x.``to`` torch.float32)
        Assert.Equal(torch.float32, single.dtype)
        Assert.True(distance (single.``to`` torch.float64) (run x) < 1e-4)

[<Fact>]
let ``progress, cancellation and blow-up come through, in the time of the flow`` () =
    use scope = torch.NewDisposeScope()
    let system, x = example ()
    let score = ScoreModel.Score system.Score

    for interval in [ TimeInterval.whole; TimeInterval.back ] do
        let seen = ResizeArray<float>()
        use source = new CancellationTokenSource()

        let stop (time: float) =
            seen.Add time

            if seen.Count = 3 then
                source.Cancel()

        let options =
            { euler 10 with
                SaveEvery = 1
                Progress = fun p -> stop p.Time
                Cancellation = source.Token
            }

        let samples = Sampler.sde options interval (NoiseLevel.constant 0.3) 2 system.Velocity score x
        let expected = if interval.IsForward then [| 0.1; 0.2; 0.3 |] else [| 0.9; 0.8; 0.7 |]
        Assert.Equal(Reason.Cancelled, samples.Reason)
        Assert.Equal(3, samples.Steps)
        Array.iter2 (fun (a: float) b -> Assert.Equal(a, b, 12)) expected (seen.ToArray())
        Array.iter2 (fun (a: float) b -> Assert.Equal(a, b, 12)) (Array.append [| interval.From |] expected) samples.SavedTimes
        Assert.Equal(expected[2], samples.Time, 12)

    use source = new CancellationTokenSource()
    source.Cancel()
    let few = { Sampler.equalSteps Scheme.heun 4 TimeInterval.whole with Cancellation = source.Token }
    Assert.Equal(Reason.Cancelled, (Sampler.ode few TimeInterval.whole system.Velocity x).Reason)
    let explosive = Field.autonomous "x^2" (fun x -> Elementwise.times 1e200 (x.mul x))
    let samples = Sampler.sde (euler 10) TimeInterval.whole NoiseLevel.none 2 explosive score x
    Assert.Equal(Reason.NotFinite, samples.Reason)
    Assert.True(samples.Time < 1.0)

[<Fact>]
let ``slips are named before the run`` () =
    use scope = torch.NewDisposeScope()
    let system, x = example ()
    let score = ScoreModel.Score system.Score
    let run options level start = Sampler.sde options TimeInterval.whole level 1 system.Velocity score start |> ignore
    Assert.Contains("until", refusal (fun () -> TimeInterval.Create(0.2, 1.5) |> ignore))
    Assert.Contains("differ", refusal (fun () -> TimeInterval.Create(0.2, 0.2) |> ignore))
    Assert.Contains("from", refusal (fun () -> TimeInterval.Create(nan, 0.2) |> ignore))
    Assert.Contains("rows", refusal (fun () -> TimeInterval.between (InteriorTime.Rows [| 0.1; 0.2 |]) (InteriorTime.At 0.5) |> ignore))
    Assert.Contains("last", refusal (fun () -> NoiseLevel.inside (InteriorTime.At 0.7) (InteriorTime.At 0.5) NoiseLevel.none |> ignore))
    Assert.Contains("level", refusal (fun () -> NoiseLevel.constant -1.0 |> ignore))
    Assert.Contains("level", refusal (fun () -> run (euler 4) (Schedule.constant -0.1) x))
    Assert.Contains("level", refusal (fun () -> run (euler 4) (Schedule.constant nan) x))
    Assert.Contains("at least 1 step", refusal (fun () -> run (euler 0) NoiseLevel.none x))
    Assert.Contains("at least 1 step", refusal (fun () -> Sampler.fewStep Scheme.euler 0 TimeInterval.whole system.Velocity x |> ignore))
    Assert.Contains("finite", refusal (fun () -> run (euler 4) NoiseLevel.none (x.mul (scalar nan))))
    Assert.Contains("type", refusal (fun () -> run (euler 4) NoiseLevel.none (x.``to`` torch.int64)))

[<Fact>]
let ``samplers own what they return, record nothing, and leave nothing behind`` () =
    use scope = torch.NewDisposeScope()
    let system, x = example ()
    let score = ScoreModel.Score system.Score
    let tracked = x.detach().requires_grad_ true

    for interval in [ TimeInterval.whole; TimeInterval.back ] do
        let options = { euler 6 with SaveEvery = 3 }

        isPure 4L [ tracked ] (fun () ->
            let samples = Sampler.sde options interval (NoiseLevel.constant 0.4) 1 system.Velocity score tracked
            Assert.False samples.Final.requires_grad
            samples.Final :: List.ofArray samples.Saved)

        isPure 1L [ tracked ] (fun () ->
            let samples = Sampler.fewStep Scheme.heun 3 interval system.Velocity tracked
            Assert.False samples.Final.requires_grad
            [ samples.Final ])

    let failing =
        Field.create "fails late" (fun t x -> if values(t)[0] > 0.5 then invalidArg "t" "too late" else torch.zeros_like x)

    let born =
        Lifetime.born (fun () ->
            Assert.Contains(
                "too late",
                refusal (fun () -> Sampler.sde (euler 9) TimeInterval.whole NoiseLevel.none 1 failing score x |> ignore)
            )

            Assert.Contains("too late", refusal (fun () -> Sampler.fewStep Scheme.euler 9 TimeInterval.whole failing x |> ignore)))

    // The message's own look at the time makes tensors that this scope owns.
    Assert.InRange(born, 0L, 0L)

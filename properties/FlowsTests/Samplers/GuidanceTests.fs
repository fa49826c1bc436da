/// Guidance: no weight is no change, exact likelihoods give exact posteriors, and guidance commutes with conversions.
module ValueFlow.FlowsTests.Samplers.GuidanceTests

open System
open Xunit
open TorchSharp
open MathNet.Numerics.LinearAlgebra
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.FlowsTests.Interpolants.Draw
open ValueFlow.FlowsTests.Samplers.Systems

// x1 ~ N(m, C) is seen as y = h . x1 + N(0, r). Given x_t = beta x1 + alpha z, x1 is normal with a covariance P_t, and y with mean h . E[x1 | x_t] and variance h' P_t h + r.
type private Observed =
    {
        Interpolant: Interpolant
        Prior: PairLaw
        Posterior: PairLaw
        LogLikelihood: torch.Tensor -> torch.Tensor -> torch.Tensor
    }

let private matrix (values: float[,]) = Matrix<float>.Build.DenseOfArray values

let private observed (draw: Draw) : Observed =
    let i, prior = oneSided draw, gaussian draw 3 2
    let h = Vector<float>.Build.DenseOfArray [| 1.0 + number draw 60; number draw 61 |]
    let r, y = 0.2 + positive draw 62, number draw 63
    let mean, covariance = Vector<float>.Build.DenseOfArray prior.Mean, matrix prior.Covariance
    let gain = (covariance * h) / (h * covariance * h + r)
    let posterior = covariance - gain.OuterProduct(covariance * h)
    let symmetric = 0.5 * (posterior + posterior.Transpose())
    let law (one: GaussianLaw) = PairLaw.independent (MixtureLaw.single (GaussianLaw.standard 2)) (MixtureLaw.single one)
    let endpoint = PairLaw.field i (law prior) Target.Endpoint

    let logLikelihood (t: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        let n = Interpolant.at i (Array.head (values t))
        let identity = Matrix<float>.Build.DenseIdentity 2
        let noisy = n.Alpha * n.Alpha * identity + n.Beta * n.Beta * covariance
        let left = covariance - n.Beta * n.Beta * covariance * noisy.Inverse() * covariance
        let variance = h * left * h + r
        let seen: torch.Tensor = (endpoint.Apply t x).mv(vector (h.ToArray()))

        Elementwise.plus
            (-0.5 * log (2.0 * Math.PI * variance))
            (Elementwise.times (-0.5 / variance) ((Elementwise.plus -y seen).Squared()))

    {
        Interpolant = i
        Prior = law prior
        Posterior = law (GaussianLaw.create ((mean + gain * (y - h * mean)).ToArray()) (symmetric.ToArray()))
        LogLikelihood = logLikelihood
    }

let private one = Schedule.constant 1.0

let private posterior (target: Target) (guidance: Observed -> Guidance) (draw: Draw) : float =
    let system = observed draw
    let t, x = scalar (innerTime draw), points draw 20 4 2
    let prior = PairLaw.field system.Interpolant system.Prior target
    distance ((guidance system prior).Apply t x) ((PairLaw.field system.Interpolant system.Posterior target).Apply t x)

[<Fact>]
let ``normal data with a normal likelihood: the guided score is the posterior's score`` () =
    let byScore (weight: float) (system: Observed) = Guidance.score (Schedule.constant weight) system.LogLikelihood
    holds 60 1e-9 (posterior Target.Score (byScore 1.0))
    refutes 60 1e-9 (posterior Target.Score (byScore -1.0))
    refutes 60 1e-9 (posterior Target.Score (byScore 0.9))

[<Fact>]
let ``and the guided velocity, denoiser and endpoint are the posterior's`` () =
    for target in [ Target.Velocity; Target.Denoiser; Target.Endpoint; Target.Start; Target.Score ] do
        holds 60 1e-8 (posterior target (fun system -> Guidance.target system.Interpolant target one system.LogLikelihood))

    holds 60 1e-8 (posterior Target.Velocity (fun system -> Guidance.velocity system.Interpolant one system.LogLikelihood))
    // The gradient itself, without its coefficient.
    refutes 60 1e-8 (posterior Target.Velocity (fun system -> Guidance.score one system.LogLikelihood))

[<Fact>]
let ``samples of a guided flow have the posterior's law`` () =
    use scope = torch.NewDisposeScope()
    let draw = { Choice = 0; Moment = 123; Numbers = [ 31; 77; 12; 64 ] }
    let system = observed draw
    let field law target = PairLaw.field system.Interpolant law target
    let cut = NoiseLevel.inside (InteriorTime.At 1e-3) (InteriorTime.At(1.0 - 1e-3)) one
    let start = MixtureLaw.sample (Generator 1) (MixtureLaw.single (GaussianLaw.standard 2)) 3000
    let velocity = Guidance.velocity system.Interpolant cut system.LogLikelihood (field system.Prior Target.Velocity)
    let score = Guidance.score one system.LogLikelihood (field system.Prior Target.Score)
    let last = PairLaw.marginal system.Interpolant system.Posterior 1.0
    let ode = Sampler.fewStep Scheme.heun 60 TimeInterval.whole velocity start

    let sde =
        Sampler.sde
            (SdeOptions.create SdeScheme.eulerMaruyama 80)
            TimeInterval.whole
            (NoiseLevel.parabola 0.5)
            3
            velocity
            (ScoreModel.Score score)
            start

    for samples in [ ode; sde ] do
        let gap = waveGap draw last samples.Final
        Assert.True(gap < 0.06, $"{gap}")

    let prior = waveGap draw (PairLaw.marginal system.Interpolant system.Prior 1.0) ode.Final
    Assert.True(prior > 0.1, $"the posterior must differ from the prior: {prior}")

[<Fact>]
let ``no weight is no change, bit for bit, and nothing else is evaluated`` () =
    holds 30 0.0 (fun draw ->
        let system = transport draw 2 2
        let t, x = scalar (innerTime draw), points draw 20 3 2
        let never = Field.autonomous "never" (fun _ -> invalidOp "it was evaluated")
        let none = Schedule.constant 0.0
        let before = values (system.Velocity.Apply t x)

        [
            Guidance.classifierFree none never
            Guidance.score none (fun _ _ -> invalidOp "it was evaluated")
            Guidance.velocity system.Interpolant none (fun _ _ -> invalidOp "it was evaluated")
            id
        ]
        |> List.sumBy (fun guidance -> if values ((guidance system.Velocity).Apply t x) = before then 0.0 else 1.0))

[<Fact>]
let ``classifier-free guidance of scores is the score of a product of powers`` () =
    let law (guided: Schedule -> Field -> Guidance) (draw: Draw) =
        let i = smoothInterpolant draw
        let first, last = ends i draw 2 2
        let other = if i.Gaussian = GaussianEnd.Start then first else mixture draw 90 2 2
        let conditional, unconditional = PairLaw.independent first last, PairLaw.independent other (mixture draw 130 2 3)
        let w = Schedule.create (fun t -> 3.0 * t) (fun _ -> 3.0)
        // A time for each row.
        let times, x = innerTimes draw 3, points draw 20 3 2
        let t = vector times
        let guided = guided w (PairLaw.field i unconditional Target.Score) (PairLaw.field i conditional Target.Score)

        let power (x: torch.Tensor) : torch.Tensor =
            ((vector (times |> Array.map (fun t -> 1.0 + 3.0 * t))).mul(PairLaw.logDensity i conditional t x))
                .sub((vector (times |> Array.map (fun t -> 3.0 * t))).mul(PairLaw.logDensity i unconditional t x))

        distance (guided.Apply t x) (Diff.Batch.gradient power x)

    holds 60 1e-9 (law Guidance.classifierFree)
    // The other common sign: w v_c + (1 - w) v_u.
    let other (weight: Schedule) (unconditional: Field) : Guidance =
        Guidance.classifierFree (Schedule.add weight (Schedule.constant -1.0)) unconditional

    refutes 60 1e-9 (law other)

[<Fact>]
let ``classifier-free guidance commutes with conversions`` () =
    let law (guide: Field -> Guidance) (draw: Draw) =
        let i = oneSided draw
        let first, last = ends i draw 2 2
        let pair law = PairLaw.field i law Target.Velocity
        let c, u = pair (PairLaw.independent first last), pair (PairLaw.independent first (mixture draw 130 2 3))
        let t, x = scalar (innerTime draw), points draw 20 3 2
        let score field = Conversion.field i [ Target.Velocity, field ] Target.Score
        let a = (score (guide u c)).Apply t x
        distance a ((guide (score u) (score c)).Apply t x)

    holds 60 1e-8 (law (Guidance.classifierFree (Schedule.constant 1.7)))

    // Weights that do not sum to one: 2 v_c - v_u / 2.
    let unbalanced (u: Field) : Guidance = Guidance.classifierFree one { u with Apply = fun t x -> Elementwise.times 0.5 (u.Apply t x) }

    refutes 60 1e-8 (law unbalanced)

[<Fact>]
let ``slips are named, guided fields are pure`` () =
    use scope = torch.NewDisposeScope()
    let system = observed { Choice = 0; Moment = 3; Numbers = [ 14; 3; 66 ] }
    let velocity = PairLaw.field system.Interpolant system.Prior Target.Velocity
    let x, t = points { Choice = 0; Moment = 0; Numbers = [ 5; 70 ] } 0 4 2, scalar 0.4

    let fields =
        [
            Guidance.classifierFree one velocity velocity
            (Guidance.score one system.LogLikelihood >> Guidance.classifierFree one velocity) velocity
            Guidance.velocity system.Interpolant one system.LogLikelihood velocity
        ]

    for field in fields do
        isPure 1L [ x; t ] (fun () -> [ field.Apply t x ])
        // The same without recording.
        use _quiet = torch.no_grad ()
        isPure 1L [ x; t ] (fun () -> [ field.Apply t x ])

    let bad (weight: float) = Guidance.classifierFree (Schedule.constant weight) velocity velocity
    Assert.Contains("weight", refusal (fun () -> (bad nan).Apply t x |> ignore))
    let bridge = Guidance.velocity (Interpolant.brownianBridge 1.0) one system.LogLikelihood velocity
    Assert.Contains("does not follow", refusal (fun () -> bridge.Apply t x |> ignore))
    let guided = Guidance.velocity system.Interpolant one system.LogLikelihood velocity
    Assert.Contains("open interval", refusal (fun () -> guided.Apply (scalar 0.0) x |> ignore))

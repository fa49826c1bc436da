/// Closed forms of interpolants between normal laws and their mixtures, against independent derivations.
module ValueFlow.FlowsTests.Interpolants.ClosedFormTests

open System
open System.Collections.Generic
open MathNet.Numerics.LinearAlgebra
open Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.FlowsTests.Interpolants.Draw

let private law (draw: Draw) (d: int) (count: int) : PairLaw = ends (interpolant draw) draw d count ||> PairLaw.independent

// E cos(w . x) and E sin(w . x) of a mixture of normal laws, from its characteristic function.
let private characteristic (law: MixtureLaw) (w: float[]) : Numerics.Complex =
    Array.fold2
        (fun sum (share: float) (part: GaussianLaw) ->
            let mean, covariance = part.Mean, part.Covariance
            let d = w.Length
            let phase = Seq.sum (Seq.init d (fun i -> w[i] * mean[i]))

            let spread =
                Seq.sum (
                    seq {
                        for i in 0 .. d - 1 do
                            for j in 0 .. d - 1 -> w[i] * covariance[i, j] * w[j]
                    }
                )

            sum + Numerics.Complex.FromPolarCoordinates(share * exp (-0.5 * spread), phase))
        Numerics.Complex.Zero
        law.Weights
        law.Components

// E cos(w . x_t + phase) without any of the closed forms: characteristic functions of independent sums multiply.
let private expectation (i: Interpolant) (first: MixtureLaw) (last: MixtureLaw) (w: float[]) (phase: float) (t: float) : float =
    let n = Interpolant.at i t
    let scaled c = w |> Array.map (fun a -> c * a)
    let square = Array.sumBy (fun a -> a * a) w

    (characteristic first (scaled n.Alpha)
     * characteristic last (scaled n.Beta)
     * Numerics.Complex.FromPolarCoordinates(exp (-0.5 * n.Gamma * n.Gamma * square), phase))
        .Real

let private line = [| for k in -300 .. 300 -> [| 0.05 * float k |] |]

let private plane =
    [|
        for a in -60 .. 60 do
            for b in -60 .. 60 -> [| 0.2 * float a; 0.2 * float b |]
    |]

// | d/dt E phi(x_t) - E grad phi . b(t, x_t) | and | E phi(x_t) - int phi p_t |, by quadrature on a grid.
let private continuity (velocity: Interpolant -> PairLaw -> Field) (d: int) (draw: Draw) : float =
    let i, t = interpolant draw, 0.05 + 0.9 * time draw
    let first, last = ends i draw d (if d = 1 then 2 else 1)
    // Wide enough laws for the plane's grid.
    let widen (law: MixtureLaw) =
        if d = 1 then
            law
        else
            MixtureLaw.create
                law.Weights
                (law.Components
                 |> Array.map (fun part ->
                     GaussianLaw.create part.Mean (part.Covariance |> Array2D.mapi (fun i j c -> if i = j then c + 0.3 else c))))

    let first = if i.Gaussian = GaussianEnd.Start then first else widen first
    let last = if i.Gaussian = GaussianEnd.Finish then last else widen last
    let pair = PairLaw.independent first last
    let w, phase = Array.init d (fun k -> number draw (100 + k)), number draw 110
    let grid, cell = if d = 1 then line, 0.05 else plane, 0.04
    let x = table grid
    let density = values (PairLaw.logDensity i pair (scalar t) x) |> Array.map exp
    let b = values ((velocity i pair).Apply (scalar t) x) |> Array.chunkBySize d
    let angle row = phase + Array.fold2 (fun sum a y -> sum + a * y) 0.0 w grid[row]
    let integrate (f: int -> float) = cell * Seq.sum (Seq.init grid.Length (fun row -> density[row] * f row))
    let claimed = integrate (fun row -> -sin(angle row) * Array.fold2 (fun sum a v -> sum + a * v) 0.0 w b[row])
    let rate = Schedule.numericalDerivative (expectation i first last w phase) t

    List.max
        [
            gap claimed rate
            gap (integrate (fun row -> cos (angle row))) (expectation i first last w phase t)
            gap (integrate (fun _ -> 1.0)) 1.0
        ]

[<Fact>]
let ``continuity equation in weak form, on random waves, by quadrature`` () =
    let field i pair = PairLaw.field i pair Target.Velocity
    holds 150 1e-7 (continuity field 1)
    holds 15 1e-5 (continuity field 2)

[<Fact>]
let ``a velocity without gamma gamma' violates continuity`` () =
    // b = v - gamma gamma' s: dropping the last term leaves E[alpha' x0 + beta' x1 | x].
    let wrong i pair =
        let b, s = PairLaw.field i pair Target.Velocity, PairLaw.field i pair Target.Score

        Field.create "wrong" (fun t x ->
            (b.Apply t x).Plus(Elementwise.times (Interpolant.at i (Array.head (values t))).GammaProduct (s.Apply t x)))

    refutes 150 1e-7 (continuity wrong 1)

// m_t and C_t by hand, b = m' + G C^-1 (x - m), s = -C^-1 (x - m): P155's second law, with plain matrices.
let private byHand (score: bool) (i: Interpolant) (p: GaussianLaw) (q: GaussianLaw) (t: float) (x: float[]) : float[] =
    let n = Interpolant.at i t
    let build (m: float[,]) = Matrix<float>.Build.DenseOfArray m
    let c0, c1, one = build p.Covariance, build q.Covariance, Matrix<float>.Build.DenseIdentity p.Dimension
    let m0, m1 = Vector<float>.Build.DenseOfArray p.Mean, Vector<float>.Build.DenseOfArray q.Mean
    let c = n.Alpha ** 2.0 * c0 + n.Beta ** 2.0 * c1 + n.Gamma ** 2.0 * one
    let gain = n.Alpha * n.AlphaRate * c0 + n.Beta * n.BetaRate * c1 + n.GammaProduct * one
    let pull = c.Cholesky().Solve(Vector<float>.Build.DenseOfArray x - (n.Alpha * m0 + n.Beta * m1))
    (if score then -pull else n.AlphaRate * m0 + n.BetaRate * m1 + gain * pull).ToArray()

let private singleComponent (target: Target) (draw: Draw) : float =
    let i, t = interpolant draw, innerTime draw
    let first, last = ends i draw 3 1
    let x = points draw 50 4 3

    let expected =
        values x
        |> Array.chunkBySize 3
        |> Array.map (byHand (target = Target.Score) i first.Components[0] last.Components[0] t)
        |> table

    let single = (PairLaw.field i (PairLaw.independent first last) target).Apply (scalar t) x
    // Two equal components are one.
    let twice (law: MixtureLaw) = MixtureLaw.create [| 0.3; 0.7 |] [| law.Components[0]; law.Components[0] |]
    let doubled = (PairLaw.field i (PairLaw.independent (twice first) (twice last)) target).Apply (scalar t) x
    max (distance single expected) (distance doubled expected)

[<Fact>]
let ``a mixture of one component, or of equal ones, is the normal law`` () =
    holds 150 1e-9 (singleComponent Target.Velocity)
    holds 150 1e-9 (singleComponent Target.Score)

[<Fact>]
let ``the velocity is not the score`` () =
    refutes 150 1e-9 (fun draw ->
        let i, t = interpolant draw, innerTime draw
        let first, last = ends i draw 2 1
        let x = points draw 50 1 2
        let b = (PairLaw.field i (PairLaw.independent first last) Target.Velocity).Apply (scalar t) x
        distance b (table [| byHand true i first.Components[0] last.Components[0] t (values x) |]))

let private gradient (value: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
    (torch.autograd.grad (List<torch.Tensor>([ value.sum () ]), List<torch.Tensor>([ x ]), allow_unused = true))[0]

[<Fact>]
let ``the score is the gradient of the log-density, also for a time of each row`` () =
    let scoreGap (factor: float) (draw: Draw) =
        let i = interpolant draw
        let pair = law draw 2 2
        let t = vector (innerTimes draw 3)
        let x = (points draw 50 3 2).requires_grad_ true
        distance ((PairLaw.field i pair Target.Score).Apply t x) (Elementwise.times factor (gradient (PairLaw.logDensity i pair t x) x))

    holds 150 1e-9 (scoreGap 1.0)
    refutes 150 1e-9 (scoreGap -1.0)

[<Fact>]
let ``marginals are the law of sums: mean, covariance and density of samples agree`` () =
    let draw = { Choice = 1; Moment = 300; Numbers = [ 11; 64; 30 ] }
    let pair = law draw 2 3
    let i = interpolant draw

    Lifetime.within (fun () ->
        let struct (x0, x1) = PairLaw.sample (Generator 3) pair 40000
        use source = new torch.Generator(5UL)
        let z = torch.randn ([| 40000L; 2L |], dtype = torch.float64, generator = source)
        let x = Path.point i (scalar 0.4) { Start = x0; Finish = x1; Noise = ValueSome z }
        let marginal = PairLaw.marginal i pair 0.4
        let mean, covariance = MixtureLaw.mean marginal, MixtureLaw.covariance marginal
        let found = values (x.mean ([| 0L |]))
        let centred = x.sub (vector mean)
        let spread = values (Elementwise.times (1.0 / 40000.0) ((centred.t ()).mm centred))

        for a in 0..1 do
            // Five standard errors of the mean; fourth moments are at most a few times the square.
            Assert.True(abs (found[a] - mean[a]) < 5.0 * sqrt (covariance[a, a] / 40000.0))

            for b in 0..1 do
                Assert.True(abs (spread[2 * a + b] - covariance[a, b]) < 0.05 * sqrt (covariance[a, a] * covariance[b, b]))

        Assert.True(distance (MixtureLaw.logDensity marginal x) (PairLaw.logDensity i pair (scalar 0.4) x) < 1e-12)
        Assert.True(distance (MixtureLaw.score marginal x) ((PairLaw.field i pair Target.Score).Apply (scalar 0.4) x) < 1e-10))

[<Fact>]
let ``moments carried by the exact drift are the moments of the interpolant`` () =
    let carried (share: float -> float) (level: float -> float) (draw: Draw) =
        let i = interpolant draw
        let first, last = ends i draw 2 1
        let pair = PairLaw.independent first last
        let a, b = 0.2, 0.45
        let marginal t = (PairLaw.marginal i pair t).Components[0]
        let reached = LinearDrift.transport (LinearDrift.ofNormal i pair share) level a b 200 (marginal a)
        let expected = marginal b
        let means = Array.map2 gap reached.Mean expected.Mean |> Array.max
        let spreads = Seq.map2 gap (Seq.cast<float> reached.Covariance) (Seq.cast<float> expected.Covariance) |> Seq.max
        max means spreads

    holds 60 1e-6 (carried (fun _ -> 0.0) (fun _ -> 0.0))
    // P155's third law: any noise level, constant or not.
    holds 60 1e-6 (carried (fun _ -> 0.7) (fun _ -> 0.7))
    holds 60 1e-6 (carried (fun t -> 1.0 + t) (fun t -> 1.0 + t))
    refutes 60 1e-6 (carried (fun _ -> 0.7) (fun _ -> 0.6))

[<Fact>]
let ``the linear drift of a normal pair is its field`` () =
    let field (share: float) (draw: Draw) =
        let i, t = interpolant draw, innerTime draw
        let first, last = ends i draw 2 1
        let pair = PairLaw.independent first last
        let drift = LinearDrift.ofNormal i pair (fun _ -> share)
        let b = Drifts.forward (Schedule.constant 0.3) (PairLaw.field i pair Target.Velocity) (PairLaw.field i pair Target.Score)
        let x = points draw 50 1 2
        let slope, offset, at = drift.Slope t, drift.Offset t, values x
        let expected = Array.init 2 (fun r -> offset[r] + slope[r, 0] * at[0] + slope[r, 1] * at[1])
        distance (b.Apply (scalar t) x) (table [| expected |])

    holds 100 1e-9 (field 0.3)
    refutes 100 1e-9 (field 0.2)

[<Fact>]
let ``velocities are finite and continuous at the ends although gamma' is not`` () =
    for i in
        [
            Interpolant.brownianBridge 1.0
            Interpolant.trigonometric (Latent.brownian 0.5)
            Interpolant.mirror (Latent.brownian 1.0)
        ] do
        Lifetime.within (fun () ->
            let draw = { Choice = 0; Moment = 12; Numbers = [ 9; 2 ] }
            let pair = PairLaw.independent (mixture draw 3 2 2) (mixture draw 50 2 2)
            let b = PairLaw.field i pair Target.Velocity
            let x = points draw 7 5 2

            for edge, near in [ 0.0, 1e-8; 1.0, 1.0 - 1e-8 ] do
                Assert.True(distance (b.Apply (scalar edge) x) (b.Apply (scalar near) x) < 1e-5))

[<Fact>]
let ``far away densities and scores stay finite`` () =
    Lifetime.within (fun () ->
        let law = MixtureLaw.around [| [| 0.0; 0.0 |]; [| 3.0; 0.0 |] |] 0.1
        let x = table [| [| 1e4; -1e4 |]; [| -1e6; 0.0 |] |]
        Assert.All(values (MixtureLaw.logDensity law x), fun v -> Assert.True(Double.IsFinite v && v < -1e9))
        let score = values (MixtureLaw.score law x)
        Assert.Equal(-(1e4 - 3.0) / 0.01, score[0], 3)
        Assert.Equal(1e6 / 0.01, score[2], 3))

[<Fact>]
let ``divergence of normal laws: zero at equality, the known number, positive`` () =
    Assert.Equal(
        0.5 * (4.0 + 1.0 - 1.0 - log 4.0),
        GaussianLaw.divergence (GaussianLaw.isotropic [| 1.0 |] 2.0) (GaussianLaw.isotropic [| 0.0 |] 1.0),
        12
    )

    holds 100 1e-12 (fun draw -> abs (GaussianLaw.divergence (gaussian draw 3 3) (gaussian draw 3 3)))
    holds 100 0.0 (fun draw -> -(GaussianLaw.divergence (gaussian draw 3 2) (gaussian draw 47 2)) - 1e-12)

[<Fact>]
let ``fields take float32, are pure, and leave no tensor behind`` () =
    for target in [ Target.Velocity; Target.Score; Target.Denoiser; Target.Start; Target.Endpoint ] do
        use scope = torch.NewDisposeScope()
        let draw = { Choice = 1; Moment = 300; Numbers = [ 11; 64; 30 ] }
        let pair = law draw 2 3
        let field = PairLaw.field (interpolant draw) pair target
        let x, t = points draw 50 3 2, vector [| 0.3; 0.6; 0.9 |]
        isPure 1L [ t; x ] (fun () -> [ field.Apply t x ])
        isPure 1L [ t; x ] (fun () -> [ PairLaw.logDensity (interpolant draw) pair t x ])
        let single = field.Apply (t.``to`` torch.float32) (x.``to`` torch.float32)
        Assert.Equal(torch.float32, single.dtype)
        Assert.True(distance (single.``to`` torch.float64) (field.Apply t x) < 1e-4)

[<Fact>]
let ``slips are named`` () =
    let square = Array2D.init 2 2 (fun i j -> if i = j then 1.0 else 2.0)
    Assert.Contains("positive semi-definite", refusal (fun () -> GaussianLaw.create [| 0.0; 0.0 |] square |> ignore))
    Assert.Contains("symmetric", refusal (fun () -> GaussianLaw.create [| 0.0; 0.0 |] (array2D [ [ 1.0; 0.5 ]; [ 0.1; 1.0 ] ]) |> ignore))
    Assert.Contains("entry 1", refusal (fun () -> GaussianLaw.isotropic [| 0.0; nan |] 1.0 |> ignore))

    Assert.Contains(
        "must not be negative",
        refusal (fun () -> MixtureLaw.create [| 1.0; -1.0 |] [| GaussianLaw.standard 1; GaussianLaw.standard 1 |] |> ignore)
    )

    let oneSided = Interpolant.oneSided "one-sided" Schedule.remaining Schedule.time
    let wide = MixtureLaw.single (GaussianLaw.isotropic [| 0.0 |] 2.0)
    Assert.Contains("N(0, I)", refusal (fun () -> PairLaw.field oneSided (PairLaw.independent wide wide) Target.Velocity |> ignore))
    let point = MixtureLaw.single (GaussianLaw.isotropic [| 0.0 |] 0.0)

    Assert.Contains(
        "singular",
        refusal (fun () ->
            PairLaw.logDensity interpolants[0] (PairLaw.independent point point) (scalar 0.5) (table [| [| 0.0 |] |])
            |> ignore)
    )

    let pair = PairLaw.independent wide wide

    Assert.Contains(
        "[any, 1]",
        refusal (fun () -> PairLaw.logDensity interpolants[0] pair (scalar 0.5) (table [| [| 0.0; 1.0 |] |]) |> ignore)
    )

    Assert.Contains(
        "cross",
        refusal (fun () -> PairLaw.joint (GaussianLaw.standard 1) (GaussianLaw.standard 1) (array2D [ [ 2.0 ] ]) |> ignore)
    )

    Assert.Contains(
        "must be a time",
        refusal (fun () ->
            (PairLaw.field
                (Interpolant.diffusion 0.1 20.0)
                (PairLaw.independent (MixtureLaw.single (GaussianLaw.standard 1)) wide)
                Target.Velocity)
                .Apply
                (scalar 1.0)
                (table [| [| 0.0 |] |])
            |> ignore)
    )

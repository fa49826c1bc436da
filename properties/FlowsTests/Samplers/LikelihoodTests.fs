/// Densities of flows: closed forms, total mass, unbiased traces, gradients.
module ValueFlow.FlowsTests.Samplers.LikelihoodTests

open System.Threading
open Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.FlowsTests.Interpolants.Draw
open ValueFlow.FlowsTests.Samplers.Systems

let private options = { LikelihoodOptions.standard with Ode = OdeOptions.adaptive Scheme.dormandPrince5 1e-8 }

let private withProbes (probes: torch.Tensor) = { options with Divergence = DivergenceMethod.Along probes }

type private Density = LikelihoodOptions -> (torch.Tensor -> torch.Tensor) -> Field -> torch.Tensor -> FlowDensity

let private closedForm (density: Density) (components: int) (draw: Draw) : float =
    let system, x = transport draw 2 components, points draw 20 4 2
    let found = density options (MixtureLaw.logDensity system.First) system.Velocity x
    distance found.LogDensity (MixtureLaw.logDensity system.Last x)

// log p_base + int div in place of its difference.
let private wrongSign: Density =
    fun options baseDensity velocity x ->
        let found = Likelihood.logDensity options baseDensity velocity x
        { found with LogDensity = (Elementwise.times 2.0 (baseDensity found.Base)).sub found.LogDensity }

[<Fact>]
let ``the log-density along the exact velocity is the closed form: normal laws`` () = holds 20 1e-5 (closedForm Likelihood.logDensity 1)

[<Fact>]
let ``the log-density along the exact velocity is the closed form: mixtures`` () = holds 20 1e-5 (closedForm Likelihood.logDensity 3)

[<Fact>]
let ``and the other way round: the base law at time 1`` () =
    let law (density: Density) (draw: Draw) =
        let system, x = transport draw 2 2, points draw 20 4 2
        let turned = { options with Interval = TimeInterval.back }
        distance (density turned (MixtureLaw.logDensity system.Last) system.Velocity x).LogDensity (MixtureLaw.logDensity system.First x)

    holds 15 1e-5 (law Likelihood.logDensity)
    refutes 15 1e-5 (law wrongSign)

[<Fact>]
let ``a divergence of the wrong sign, none at all, and no way back are refuted`` () =
    refutes 20 1e-5 (closedForm wrongSign 3)

    let without: Density =
        fun options baseDensity velocity x ->
            let found = Likelihood.logDensity options baseDensity velocity x
            { found with LogDensity = baseDensity found.Base }

    refutes 20 1e-5 (closedForm without 3)
    let forwards: Density = fun options -> Likelihood.logDensity { options with Interval = TimeInterval.back }
    refutes 20 1e-5 (closedForm forwards 3)

[<Fact>]
let ``points pushed forward have the closed form's density at every saved time, and going back finds it again`` () =
    let law (density: Density) (draw: Draw) =
        let system, x = transport draw 2 2, points draw 20 4 2
        let baseDensity = MixtureLaw.logDensity system.First
        let saving times = { options with Ode = { options.Ode with Save = times } }
        let there = Likelihood.pushForward (saving [| 0.0; 0.3; 0.8 |]) baseDensity system.Velocity x
        let back = density (saving [| 0.8; 0.3; 0.0 |]) baseDensity system.Velocity there.Points
        let marginal (at: DensityAt) = MixtureLaw.logDensity (PairLaw.marginal system.Interpolant system.Law at.Time) at.Points

        let onTheWay = Array.append there.Saved back.Saved |> Array.map (fun at -> distance at.LogDensity (marginal at))

        List.max
            [
                distance there.LogDensity (MixtureLaw.logDensity system.Last there.Points)
                distance back.LogDensity there.LogDensity
                distance back.Base x
                distance there.Base x
                Array.max onTheWay
            ]

    holds 15 2e-5 (law Likelihood.logDensity)
    refutes 15 2e-5 (law wrongSign)

// A field that belongs to no closed form: a transport that is bent.
let private bent (draw: Draw) (d: int) : Transport * Field =
    let system = transport draw d 2
    let a, b = 0.2 + 0.3 * positive draw 50, number draw 51

    let bend (x: torch.Tensor) : torch.Tensor =
        let phase: torch.Tensor = Elementwise.plus b (x.flip 1L |> Elementwise.addTimes 1.3 x)
        Elementwise.times a (phase.sin ())

    system,
    {
        Name = "bent"
        Apply = fun t x -> Lifetime.keep (fun () -> system.Velocity.Apply t x |> Elementwise.addTimes 1.0 (bend x))
    }

// The trapezoidal rule over a box that holds all but a negligible part of the law.
let private mass (density: Density) (d: int) (draw: Draw) : float =
    let system, field = bent draw d
    let reach, count = 9.0, if d = 1 then 241 else 73
    let h = 2.0 * reach / float (count - 1)
    let axis = Array.init count (fun k -> -reach + h * float k)

    let grid =
        if d = 1 then
            axis |> Array.map Array.singleton
        else
            Array.allPairs axis axis |> Array.map (fun (a, b) -> [| a; b |])

    let coarse = { options with Ode = OdeOptions.adaptive Scheme.dormandPrince5 1e-6 }
    let found = density coarse (MixtureLaw.logDensity system.First) field (table grid)
    abs ((values (found.LogDensity.exp ()) |> Array.sum) * h ** float d - 1.0)

[<Fact>]
let ``the density integrates to one on the line`` () = holds 12 1e-3 (mass Likelihood.logDensity 1)

[<Fact>]
let ``the density integrates to one in the plane`` () = holds 5 2e-3 (mass Likelihood.logDensity 2)

[<Fact>]
let ``a divergence of the wrong sign does not integrate to one`` () =
    refutes 12 1e-3 (mass wrongSign 1)
    let draw = { Choice = 1; Moment = 3; Numbers = [ 14; 3; 66; 90 ] }
    let struct (right, wrong) = Lifetime.within (fun () -> struct (mass Likelihood.logDensity 2 draw, mass wrongSign 2 draw))
    Assert.True(right < 2e-3 && wrong > 0.05, $"{right}, {wrong}")

let private signs (rows: int) (take: int) : torch.Tensor =
    let all = [| [| 1.0; 1.0 |]; [| 1.0; -1.0 |]; [| -1.0; 1.0 |]; [| -1.0; -1.0 |] |]
    torch.stack (all |> Array.truncate take |> Array.map (fun sign -> table (Array.create rows sign)), 0L)

[<Fact>]
let ``the mean over all sign probes is the exact density`` () =
    let law (take: int) (draw: Draw) =
        let system, field = bent draw 2
        let x = points draw 20 3 2
        let ode = OdeOptions.fixedStep Scheme.rungeKutta4 0.1
        let density options = (Likelihood.logDensity options (MixtureLaw.logDensity system.First) field x).LogDensity
        distance (density { withProbes (signs 3 take) with Ode = ode }) (density { options with Ode = ode })

    holds 20 1e-11 (law 4)
    refutes 20 1e-11 (law 3)

[<Fact>]
let ``drawn probes are unbiased and fixed for a solve`` () =
    use scope = torch.NewDisposeScope()
    let draw = { Choice = 1; Moment = 3; Numbers = [ 14; 3; 66; 90 ] }
    let system, field = bent draw 2
    let ode = OdeOptions.fixedStep Scheme.rungeKutta4 0.1

    let density divergence x =
        (Likelihood.logDensity { options with Ode = ode; Divergence = divergence } (MixtureLaw.logDensity system.First) field x).LogDensity

    let rows = 2000
    let x = table (Array.create rows [| 0.3; -0.4 |])
    let exact = (values (density DivergenceMethod.Exact (x.narrow (0L, 0L, 1L))))[0]

    for law in [ Probe.Rademacher; Probe.Normal ] do
        let found = values (density (DivergenceMethod.Hutchinson(Generator 7, law, 2)) x)
        let mean = Array.average found
        let deviation = sqrt (Array.averageBy (fun v -> (v - mean) ** 2.0) found / float rows)
        Assert.True(abs (mean - exact) < 4.5 * deviation, $"{law}: {mean} +- {deviation}, exact {exact}")
        Assert.True(deviation > 1e-5)
        Assert.Equal<float[]>(found, values (density (DivergenceMethod.Hutchinson(Generator 7, law, 2)) x))

    // Fixed: the solver's error falls with its tolerance, which it cannot if the field changes at random.
    let converged step =
        let options =
            { options with
                Ode = OdeOptions.fixedStep Scheme.rungeKutta4 step
                Divergence = DivergenceMethod.Hutchinson(Generator 7, Probe.Normal, 1)
            }

        (Likelihood.logDensity options (MixtureLaw.logDensity system.First) field (x.narrow (0L, 0L, 4L))).LogDensity

    Assert.True(distance (converged 0.02) (converged 0.01) < 1e-5)

[<Fact>]
let ``gradients are recorded if they are wanted: the score of the closed form, and of parameters`` () =
    let scoreOf (gradients: bool) (draw: Draw) =
        let system, x = transport draw 2 2, points draw 20 3 2
        let options = { options with Ode = OdeOptions.fixedStep Scheme.rungeKutta4 0.02; Gradients = gradients }
        let logDensity (x: torch.Tensor) = (Likelihood.logDensity options (MixtureLaw.logDensity system.First) system.Velocity x).LogDensity
        distance (Diff.Batch.gradient logDensity x) (MixtureLaw.score system.Last x)

    holds 5 1e-4 (scoreOf true)
    refutes 5 1e-4 (scoreOf false)

    // dx/dt = theta x carries N(0, I) to N(0, e^(2 theta) I): d log p / d theta = |x|^2 e^(-2 theta) - d.
    use scope = torch.NewDisposeScope()
    let theta = (scalar 0.3).requires_grad_ true
    let linear = Field.autonomous "theta x" (fun x -> x.mul theta)
    let standard = MixtureLaw.logDensity (MixtureLaw.single (GaussianLaw.standard 2))
    let x = table [| [| 1.0; 2.0 |] |]
    let recorded = { options with Gradients = true }
    (Likelihood.logDensity recorded standard linear x).LogDensity.sum().backward()
    Assert.Equal(5.0 * exp -0.6 - 2.0, (values (nonNull theta.grad))[0], 5)
    Assert.False((Likelihood.logDensity options standard linear x).LogDensity.requires_grad)
    use _quiet = torch.no_grad ()
    Assert.False((Likelihood.logDensity recorded standard linear x).LogDensity.requires_grad)

[<Fact>]
let ``reports, early ends and slips`` () =
    use scope = torch.NewDisposeScope()
    let standard = MixtureLaw.logDensity (MixtureLaw.single (GaussianLaw.standard 2))
    let half = Field.autonomous "x / 2" (Elementwise.times 0.5)
    let x = table [| [| 1.0; 2.0 |]; [| 0.0; 1.0 |] |]
    let found = Likelihood.logDensity options standard half x
    Assert.Equal(Reason.ReachedEnd, found.Reason)
    Assert.True(found.Steps > 0 && found.Evaluations >= 6 * found.Steps)

    // Single precision stays single.
    let single = Likelihood.logDensity LikelihoodOptions.standard standard half (x.``to`` torch.float32)
    Assert.Equal(torch.float32, single.LogDensity.dtype)
    Assert.True(distance single.LogDensity found.LogDensity < 1e-4)

    use source = new CancellationTokenSource()
    source.Cancel()

    let cancelled =
        Likelihood.logDensity { options with Ode = { options.Ode with Cancellation = source.Token } } standard half x

    Assert.Equal(Reason.Cancelled, cancelled.Reason)
    Assert.All(values cancelled.LogDensity, fun value -> Assert.True(System.Double.IsNaN value))

    // Samples with steps of their own: one blows up (dx/dt = -x^2 backwards from x = 3 ends at t = 2/3), the other arrives.
    let square = Field.autonomous "-x^2" (fun x -> x.Squared().neg())

    let own =
        { options with
            Ode = { options.Ode with Control = StepControl.withNorm ErrorNorm.EachSample options.Ode.Control }
        }

    let line = MixtureLaw.logDensity (MixtureLaw.single (GaussianLaw.standard 1))
    let mixed = Likelihood.logDensity own line square (table [| [| 3.0 |]; [| 0.5 |] |])
    let densities = values mixed.LogDensity
    Assert.NotEqual(Reason.ReachedEnd, mixed.Reason)
    Assert.True(System.Double.IsNaN densities[0])
    // x0 = x / (1 - x) = 1, dx0/dx = 1 / (1 - x)^2 = 4.
    Assert.Equal(-0.5 * log (2.0 * System.Math.PI) - 0.5 + log 4.0, densities[1], 5)

    let slip options baseDensity (x: torch.Tensor) = refusal (fun () -> Likelihood.logDensity options baseDensity half x |> ignore)
    Assert.Contains("shape", slip options standard (scalar 1.0))
    Assert.Contains("type", slip options standard (x.``to`` torch.int64))
    Assert.Contains("log-density", slip options (fun x -> x) x)
    Assert.Contains("row 0", slip options (fun x -> Elementwise.times nan (x.sum 1L)) x)
    Assert.Contains("probes", slip (withProbes (signs 3 4)) standard x)
    Assert.Contains("dense", slip { options with Ode = { options.Ode with Dense = true } } standard x)

[<Fact>]
let ``likelihoods own what they return and leave nothing behind, with and without gradients`` () =
    use scope = torch.NewDisposeScope()
    let system, field = bent { Choice = 1; Moment = 3; Numbers = [ 14; 3; 66; 90 ] } 2
    let x = (points { Choice = 0; Moment = 0; Numbers = [ 5; 70 ] } 0 3 2).detach().requires_grad_ true
    let saving = { options with Ode = { OdeOptions.fixedStep Scheme.rungeKutta4 0.25 with Save = [| 0.5 |] } }

    for options in
        [
            saving
            { saving with Gradients = true }
            { saving with Divergence = DivergenceMethod.Hutchinson(Generator 3, Probe.Rademacher, 2) }
        ] do
        for density in [ Likelihood.logDensity; Likelihood.pushForward ] do
            isPure 5L [ x ] (fun () ->
                let found = density options (MixtureLaw.logDensity system.First) field x
                Assert.Equal(options.Gradients, found.LogDensity.requires_grad)
                let saved = found.Saved[0]
                [ found.LogDensity; found.Points; found.Base; saved.Points; saved.LogDensity ])

namespace ValueFlow.Studies

open Microsoft.Data.Analysis
open TorchSharp
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning

/// Between two normal laws everything has a closed form: solvers, likelihoods, conversions and trained networks are held against it, for several interpolants.
[<Sealed>]
type GaussianInterpolantStudy() =
    inherit
        Study(
            "gaussian-closed-form",
            "flows",
            "Interpolants of normal laws, held against their closed forms",
            "Velocity, score, likelihood and moments between two normal laws: closed-form fields to many digits, trained networks to about a percent."
        )

    static let source = "closed form: Albergo, Boffi and Vanden-Eijnden 2023, Stochastic Interpolants, appendix A"

    override _.Run(seed, quick, progress, cancellation) =
        Tensors.prepare ()
        use _plain = torch.no_grad ()
        use _scope = torch.NewDisposeScope()
        let struct (first, last) = PlaneLaws.normalPair
        let law = PairLaw.independent (MixtureLaw.single first) (MixtureLaw.single last)
        let number (t: float) : torch.Tensor = torch.tensor (t, dtype = torch.float64)

        let interpolants =
            [|
                "linear", Interpolant.linear Latent.none
                "linear, brownian latent", Interpolant.brownianBridge 1.0
                "linear, latent 2 t (1 - t)", Interpolant.linear (Latent.quadratic 2.0)
                "trigonometric", Interpolant.trigonometric Latent.none
                "encoding-decoding", Interpolant.encodingDecoding
            |]

        let generator = Generator(4000 + seed)
        let tests = MixtureLaw.sample generator (MixtureLaw.single last) 200
        let exactDensity = MixtureLaw.logDensity (MixtureLaw.single last) tests
        let worst (a: torch.Tensor) (b: torch.Tensor) : float = Clouds.numbers (a.sub b) |> Array.map abs |> Array.max
        let panelTimes = [| 0.0; 0.25; 0.5; 0.75; 1.0 |]
        let marginal interpolant t = (PairLaw.marginal interpolant law t).Components[0]
        let noiseSteps, noiseCount = 200, (if quick then 2000 else 8000)

        let closed =
            interpolants
            |> Array.mapi (fun index (name, interpolant) ->
                progress.Invoke $"closed forms: {name}"
                cancellation.ThrowIfCancellationRequested()
                let velocity = PairLaw.field interpolant law Target.Velocity
                let score = PairLaw.field interpolant law Target.Score

                let tight = { OdeOptions.adaptive Scheme.dormandPrince5 1e-9 with Cancellation = cancellation }

                let density =
                    Likelihood.logDensity
                        { LikelihoodOptions.standard with Ode = tight }
                        (MixtureLaw.logDensity (MixtureLaw.single first))
                        velocity
                        tests

                let carried = Clouds.flow cancellation 1e-9 panelTimes velocity (PlaneLaws.sigmaPoints first)

                let moments =
                    Array.map2 (fun t points -> Clouds.momentError (marginal interpolant t) points) panelTimes carried.Saved
                    |> Array.max

                // The same target by two ways: in closed form, and by algebra from another one.
                let converted =
                    [| 0.1; 0.3; 0.5; 0.7; 0.9 |]
                    |> Array.map (fun t ->
                        let x = MixtureLaw.sample generator (PairLaw.marginal interpolant law t) 100

                        let other, wanted, expected =
                            if interpolant.Latent.Gamma.Value 0.5 > 0.0 then
                                Target.Denoiser, Target.Score, score
                            else
                                Target.Endpoint, Target.Velocity, velocity

                        let found = Conversion.field interpolant [ other, PairLaw.field interpolant law other ] wanted
                        worst (found.Apply (number t) x) (expected.Apply (number t) x))
                    |> Array.max

                let level = 0.5

                let lyapunov =
                    let drift = LinearDrift.ofNormal interpolant law (fun _ -> level)
                    let reached = LinearDrift.transport drift (fun _ -> level) 0.0 1.0 400 first

                    Seq.append
                        (Array.map2 (-) reached.Mean last.Mean)
                        (Seq.map2 (-) (Seq.cast<float> reached.Covariance) (Seq.cast<float> last.Covariance))
                    |> Seq.map abs
                    |> Seq.max

                let start = MixtureLaw.sample generator (MixtureLaw.single first) noiseCount

                let noisy =
                    Clouds.noisy
                        cancellation
                        noiseSteps
                        5
                        (NoiseLevel.constant level)
                        (40 * seed + index)
                        velocity
                        (ScoreModel.Score score)
                        start

                {|
                    Name = name
                    Likelihood = worst density.LogDensity exactDensity
                    Moments = moments
                    Converted = converted
                    Lyapunov = lyapunov
                    Sampled = Clouds.momentError last noisy.Final
                    Noisy = noisy
                |})

        // Trained networks.
        let pairs =
            FlowMatching.between
                Coupling.independent
                (RowSource.mixture "N(m0, C0)" (MixtureLaw.single first))
                (RowSource.mixture "N(m1, C1)" (MixtureLaw.single last))

        let steps = if quick then 600 else 4000

        let learnt =
            [|
                for k, target in [ 0, Target.Velocity; 1, Target.Velocity; 1, Target.Denoiser; 3, Target.Velocity ] do
                    let name, interpolant = interpolants[k]

                    {|
                        Name = $"{name}: {(string target).ToLowerInvariant()}"
                        Interpolant = interpolant
                        Target = target
                    |}
            |]

        let trained =
            learnt
            |> Array.map (fun wanted ->
                {
                    Name = wanted.Name
                    Configuration = Fits.plane
                    Options = { FlowMatching.options wanted.Interpolant with Target = wanted.Target; Batch = 128 }
                    Pairs = pairs
                    Steps = steps
                })
            |> Fits.run seed progress cancellation
            |> Array.map (fun result -> NetworkField.field result.Network)

        progress.Invoke "trained networks against closed forms"
        let times = Array.init 19 (fun i -> 0.05 * float (i + 1))

        // sqrt(E |found - exact|^2 / E |exact|^2) at each time, x from the law of x_t. A denoiser has the relative error of the score that follows from it.
        let errors =
            Array.map2
                (fun (wanted: {| Interpolant: Interpolant; Name: string; Target: Target |}) (network: Field) ->
                    let exact = PairLaw.field wanted.Interpolant law wanted.Target

                    times
                    |> Array.map (fun t ->
                        Lifetime.within (fun () ->
                            let x = MixtureLaw.sample generator (PairLaw.marginal wanted.Interpolant law t) 1000
                            let value = exact.Apply (number t) x
                            sqrt (Clouds.meanSquare ((network.Apply (number t) x).sub value) / Clouds.meanSquare value))))
                learnt
                trained

        let overall = errors |> Array.map (fun e -> sqrt (Array.averageBy (fun v -> v * v) e))

        // (exact, learnt) log-densities of the test points.
        let densities =
            [| 0; 1; 3 |]
            |> Array.map (fun k ->
                let options =
                    { LikelihoodOptions.standard with
                        Ode = { OdeOptions.adaptive Scheme.dormandPrince5 1e-5 with Cancellation = cancellation }
                    }

                let found = Likelihood.logDensity options (MixtureLaw.logDensity (MixtureLaw.single first)) trained[k] tests
                struct (learnt[k].Name, Clouds.numbers found.LogDensity))

        let exactNumbers = Clouds.numbers exactDensity

        let gaps =
            densities
            |> Array.map (fun struct (_, found) -> Array.map2 (fun a b -> abs (a - b)) found exactNumbers |> Array.average)

        let nats = densities |> Array.map (fun struct (_, found) -> Array.map2 (-) exactNumbers found |> Array.average)
        let most pick = closed |> Array.map pick |> Array.max
        let bridge = snd interpolants[1]
        let limits = PlaneLimits.Of(-4.6, 6.6, -3.5, 4.5)

        let panel (k: int) : PlaneFigure =
            let t = panelTimes[k]
            let side = 60
            let at low high i = low + (high - low) * float i / float (side - 1)

            let grid: torch.Tensor =
                torch
                    .tensor(
                        [|
                            for i in 0 .. side - 1 do
                                for j in 0 .. side - 1 do
                                    at limits.XLow limits.XHigh j
                                    at limits.YLow limits.YHigh i
                        |],
                        dtype = torch.float64
                    )
                    .reshape
                    [| int64 (side * side); 2L |]

            let values = Clouds.numbers ((PairLaw.logDensity bridge law (number t) grid).exp())

            PlaneFigure(
                $"t = {t}",
                "x",
                "y",
                [|
                    DensityLayer("exact density", limits, Array2D.init side side (fun i j -> values[i * side + j]), 10)
                    Clouds.layer "stochastic equation, e = 0.5" LayerColour.Vermilion 1.8 200 closed[1].Noisy.Saved[10 * k]
                |]
            )

        let spread interpolant t = sqrt (marginal interpolant t).Covariance[0, 0]
        let fine = Array.init 41 (fun i -> float i / 40.0)

        let measured (noisy: Samples) =
            noisy.Saved
            |> Array.map (fun points ->
                let struct (_, covariance) = Bures.moments (Sample.OfTensor points)
                sqrt covariance[0, 0])

        let diagonal = [| Array.min exactNumbers; Array.max exactNumbers |]

        {
            Findings =
                [|
                    Findings.exact
                        "log-density by the closed-form velocity, largest error (nats)"
                        0.0
                        Relation.Equals
                        1e-6
                        source
                        (most _.Likelihood)
                    Findings.exact
                        "moments that the ordinary equation carries, largest error at five times"
                        0.0
                        Relation.Equals
                        1e-6
                        source
                        (most _.Moments)
                    Findings.exact
                        "moments at t = 1 under the stochastic equation (e = 0.5, Lyapunov equation), largest error"
                        0.0
                        Relation.Equals
                        1e-6
                        source
                        (most _.Lyapunov)
                    Findings.exact
                        "score from denoiser, velocity from endpoint, by algebra: largest error"
                        0.0
                        Relation.Equals
                        1e-9
                        "closed form: Tweedie's formula"
                        (most _.Converted)
                    Findings.calibrated
                        $"moments of {noiseCount} samples of the stochastic equation in {noiseSteps} steps, largest error"
                        (if quick then 0.25 else 0.1)
                        Relation.AtMost
                        (most _.Sampled)
                    Findings.calibrated
                        "trained velocities: largest relative error in the mean square"
                        (if quick then 0.25 else 0.06)
                        Relation.AtMost
                        ([| 0; 1; 3 |] |> Array.map (fun k -> overall[k]) |> Array.max)
                    Findings.calibrated
                        "trained score: relative error in the mean square"
                        (if quick then 0.4 else 0.15)
                        Relation.AtMost
                        overall[2]
                    Findings.calibrated
                        "log-density by trained velocities, largest mean error (nats)"
                        (if quick then 0.8 else 0.1)
                        Relation.AtMost
                        (Array.max gaps)
                |]
            Tables =
                [|
                    struct ("Closed-form fields: largest errors",
                            DataFrame(
                                StringDataFrameColumn("interpolant", closed |> Array.map _.Name),
                                DoubleDataFrameColumn("log-density (nats)", closed |> Array.map _.Likelihood),
                                DoubleDataFrameColumn("moments, ordinary", closed |> Array.map _.Moments),
                                DoubleDataFrameColumn("moments, stochastic (Lyapunov)", closed |> Array.map _.Lyapunov),
                                DoubleDataFrameColumn($"moments, {noiseCount} samples", closed |> Array.map _.Sampled),
                                DoubleDataFrameColumn("conversion", closed |> Array.map _.Converted)
                            ))
                    struct ("Trained networks",
                            DataFrame(
                                StringDataFrameColumn("network", learnt |> Array.map _.Name),
                                DoubleDataFrameColumn("relative error, mean square over t", overall),
                                DoubleDataFrameColumn("largest over t", errors |> Array.map Array.max)
                            ))
                    struct ("Likelihood by trained velocities, 200 points of the last law",
                            DataFrame(
                                StringDataFrameColumn("network", densities |> Array.map (fun struct (name, _) -> name)),
                                DoubleDataFrameColumn("mean error (nats)", gaps),
                                DoubleDataFrameColumn("mean of exact less learnt (nats)", nats)
                            ))
                |]
            Figures =
                [|
                    PanelFigure("The law of x_t, and samples of a stochastic equation that follows it", [| panel 0; panel 2; panel 4 |])
                    LineFigure(
                        "How well velocity and score are learnt",
                        "t",
                        "relative error in the mean square",
                        Array.map2
                            (fun (wanted: {| Interpolant: Interpolant; Name: string; Target: Target |}) e ->
                                Worlds.curve wanted.Name times e)
                            learnt
                            errors,
                        true
                    )
                    PlaneFigure(
                        "Likelihood of points: learnt against exact",
                        "exact log-density (nats)",
                        "learnt log-density (nats)",
                        [|
                            PathLayer("equal", [| diagonal |], [| diagonal |], LayerColour.Grey)
                            for struct (name, found) in densities do
                                PointLayer(name, exactNumbers, found, size = 3.0)
                        |]
                    )
                    LineFigure(
                        "The same ends, different ways: spread along x",
                        "t",
                        "standard deviation of x",
                        [|
                            for k in [ 0; 1; 3; 4 ] do
                                Worlds.curve $"{fst interpolants[k]}, exact" fine (fine |> Array.map (spread (snd interpolants[k])))

                            Worlds.curve "linear, brownian latent, sampled" closed[1].Noisy.SavedTimes (measured closed[1].Noisy)
                        |],
                        false
                    )
                |]
            Notes =
                [|
                    "N((-1, 0.5), (0.5, 0.2; 0.2, 0.8)) to N((2, 1), (1.5, -0.6; -0.6, 0.7)), independent. The ordinary equation carries points that have exactly the moments of the first law, so that no sampling error hides an error of the field."
                    $"Networks: 64, 64, 64 units (SELU), {steps} steps of 128 pairs. Relative errors are large where the target itself is small: a denoiser near both ends, where x_t tells next to nothing of z."
                |]
        }

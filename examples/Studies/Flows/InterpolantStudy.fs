namespace ValueFlow.Studies

open Microsoft.Data.Analysis
open TorchSharp
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning

/// Eight gaussians become two moons: by an ordinary equation, by stochastic ones of any noise level, and along straighter paths where pairs are chosen by optimal transport.
[<Sealed>]
type InterpolantStudy() =
    inherit
        Study(
            "stochastic-interpolant",
            "flows",
            "Stochastic interpolants: one law of every time, many ways to follow it",
            "Eight gaussians to two moons with learnt velocity and denoiser: the ordinary equation and stochastic ones of several noise levels end in one law; optimal-transport pairs make paths straight."
        )

    static let source = "Albergo, Boffi and Vanden-Eijnden 2023, Stochastic Interpolants"

    /// The velocity of a normal pair is linear in x at each time: least squares on samples against the closed form, as the worst relative error in the mean square over some times.
    static member private LinearFit(seed: int, pairs: int) : float =
        let struct (first, last) = PlaneLaws.normalPair
        let law = PairLaw.independent (MixtureLaw.single first) (MixtureLaw.single last)
        let interpolant = Interpolant.brownianBridge 1.0
        let exact = PairLaw.field interpolant law Target.Velocity
        let generator = Generator(5000 + seed)

        [| 0.1; 0.3; 0.5; 0.7; 0.9 |]
        |> Array.map (fun time ->
            Lifetime.within (fun () ->
                let struct (x0, x1) = PairLaw.sample generator law pairs
                use randomness = Sampling.torchGenerator generator
                let z: torch.Tensor = torch.randn ([| int64 pairs; 2L |], dtype = torch.float64, generator = randomness)
                let t = torch.tensor (time, dtype = torch.float64)
                // Every pair with z and with -z.
                let twice (x: torch.Tensor) = torch.cat ([| x; x |], 0L)
                let batch = { Pairs.Start = twice x0; Finish = twice x1; Noise = ValueSome(torch.cat ([| z; z.neg () |], 0L)) }
                let struct (x, rate) = Path.pointAndVelocity interpolant t batch
                let features: torch.Tensor = torch.cat ([| x; torch.ones ([| 2L * int64 pairs; 1L |], dtype = torch.float64) |], 1L)
                let rows: torch.Tensor = features.t ()
                let weights = torch.linalg.solve (rows.mm features, rows.mm rate)
                let b = exact.Apply t x
                sqrt (Clouds.meanSquare ((features.mm weights).sub b) / Clouds.meanSquare b)))
        |> Array.max

    /// KL(exact || perturbed) at time 1 beside its bound, for linear drifts perturbed at random: the largest quotient, which must not exceed 1, and one row each.
    static member private Divergences(seed: int) : struct (float * float * float)[] =
        let struct (first, last) = PlaneLaws.normalPair
        let law = PairLaw.independent (MixtureLaw.single first) (MixtureLaw.single last)
        let interpolant = Interpolant.brownianBridge 1.0
        let generator = Generator(6000 + seed)

        let marginal t = (PairLaw.marginal interpolant law t).Components[0]

        [|
            for level in [ 0.1; 0.3; 1.0; 3.0 ] do
                for size in [ 0.1; 0.5 ] do
                    let exact = LinearDrift.ofNormal interpolant law (fun _ -> level)
                    let slope = Array2D.init 2 2 (fun _ _ -> size * Sampling.normal generator)
                    let offset = Array.init 2 (fun _ -> size * Sampling.normal generator)

                    let other =
                        {
                            Slope = fun t -> Array2D.init 2 2 (fun i j -> (exact.Slope t)[i, j] + slope[i, j])
                            Offset = fun t -> Array.map2 (+) (exact.Offset t) offset
                        }

                    let reached = LinearDrift.transport other (fun _ -> level) 0.0 1.0 200 first
                    let bound = LinearDrift.divergenceBound (fun _ -> level) marginal exact other 0.0 1.0 100
                    struct (level, GaussianLaw.divergence last reached, bound)
        |]

    override _.Run(seed, quick, progress, cancellation) =
        Tensors.prepare ()
        use _plain = torch.no_grad ()
        use _scope = torch.NewDisposeScope()
        let first, last = PlaneLaws.eightGaussians, PlaneLaws.twoMoons
        let bridge, straight = Interpolant.brownianBridge 1.0, Interpolant.linear Latent.none
        let count = if quick then 1000 else 2000
        let steps = if quick then 1200 else 4000
        let atRandom = FlowMatching.between Coupling.independent first last
        let byTransport = FlowMatching.between (Coupling.exact SquaredEuclidean) first last

        let fit name interpolant target pairs steps =
            {
                Name = name
                Configuration = Fits.plane
                Options = { FlowMatching.options interpolant with Target = target; Batch = 128 }
                Pairs = pairs
                Steps = steps
            }

        let trained =
            Fits.run
                seed
                progress
                cancellation
                [|
                    fit "velocity" bridge Target.Velocity atRandom steps
                    fit "denoiser" bridge Target.Denoiser atRandom steps
                    fit "pairs at random" straight Target.Velocity atRandom steps
                    fit "pairs by optimal transport" straight Target.Velocity byTransport steps
                |]

        let networks = trained |> Array.map (fun result -> NetworkField.field result.Network)
        let velocity, denoiser = networks[0], ScoreModel.Denoiser(bridge, networks[1])

        // Fresh samples, the same for all ways of sampling.
        let generator = Generator(9000 + seed)
        let start, finish = first.Draw generator count, last.Draw generator count
        let moons = Sample.OfTensor finish
        let energy (points: torch.Tensor) = Discrepancy.energy (Sample.OfTensor points) moons
        let floor = energy (last.Draw generator count)
        let panelTimes = [| 0.0; 0.25; 0.5; 0.75; 1.0 |]

        progress.Invoke "sampling by the ordinary and by stochastic equations"
        let pathTimes = Array.init 41 (fun i -> float i / 40.0)
        let ode = Clouds.flow cancellation 1e-4 pathTimes velocity start

        let levels =
            [|
                "4 e t (1 - t), e = 0.25", NoiseLevel.parabola 0.25
                "4 e t (1 - t), e = 1", NoiseLevel.parabola 1.0
                "0.1 for t in [0.02, 0.98], else 0",
                NoiseLevel.inside (InteriorTime.At 0.02) (InteriorTime.At 0.98) (NoiseLevel.constant 0.1)
            |]

        let noisySteps = 200

        let noisy =
            levels
            |> Array.mapi (fun i (_, level) -> Clouds.noisy cancellation noisySteps 5 level (300 + 10 * seed + i) velocity denoiser start)

        let distances = Array.append [| energy ode.Final |] (noisy |> Array.map (fun run -> energy run.Final))

        // The law of x_t itself, from fresh pairs.
        let between (time: float) : torch.Tensor =
            let pairs = atRandom.Draw generator count
            use randomness = Sampling.torchGenerator generator
            let z: torch.Tensor = torch.randn (pairs.Start.shape, dtype = torch.float32, generator = randomness)

            Path.point
                bridge
                (torch.tensor (time, dtype = torch.float32))
                { Start = pairs.Start; Finish = pairs.Finish; Noise = ValueSome z }

        let marginals = panelTimes |> Array.map between
        let onTheWay (times: float[]) (saved: torch.Tensor[]) time = saved[Array.findIndex (fun t -> abs (t - time) < 1e-9) times]

        let apart (times: float[]) (saved: torch.Tensor[]) =
            [| 1; 2; 3 |]
            |> Array.map (fun k -> Discrepancy.energy (Sample.OfTensor(onTheWay times saved panelTimes[k])) (Sample.OfTensor marginals[k]))
            |> Array.max

        // The sampler keeps states every 5 of 200 steps: every 0.025, as the paths.
        let odeApart = apart ode.SavedTimes ode.Saved
        let rounded (run: Samples) = run.SavedTimes |> Array.map (fun t -> round (40.0 * t) / 40.0)
        let noisyApart = noisy |> Array.map (fun run -> apart (rounded run) run.Saved)

        progress.Invoke "few steps on straight and on crooked paths"
        let fewest = [| 1; 2; 4; 8; 16 |]
        let pairings = [| "at random", networks[2]; "by optimal transport", networks[3] |]

        let few =
            pairings
            |> Array.map (fun (_, field) ->
                fewest |> Array.map (fun n -> energy (Clouds.steps cancellation Scheme.euler n field start).Final))

        let ways = pairings |> Array.map (fun (_, field) -> Clouds.way cancellation field (start.narrow (0L, 0L, 1000L)))
        let whole = pairings |> Array.map (fun (_, field) -> energy (Clouds.flow cancellation 1e-4 [||] field start).Final)

        progress.Invoke "closed forms"
        let linear = InterpolantStudy.LinearFit(seed, (if quick then 20000 else 50000))
        let divergences = InterpolantStudy.Divergences seed
        let quotient = divergences |> Array.map (fun struct (_, found, bound) -> found / bound) |> Array.max

        let accuracy text measured =
            if quick then
                Findings.calibrated text 0.06 Relation.AtMost measured
            else
                Findings.target text 0.02 Relation.AtMost "entry P155, unit: the plane's, laws of radius 3 and 2" measured

        let limits = PlaneLimits.Of(-4.2, 4.2, -4.2, 4.2)

        let densityPanel (k: int) : PlaneFigure =
            PlaneFigure($"t = {panelTimes[k]}", "x", "y", [| Clouds.density "density / peak" limits 0.22 marginals[k] |])

        let cloudPanel (k: int) : PlaneFigure =
            let points times saved = onTheWay times saved panelTimes[k]

            PlaneFigure(
                "",
                "x",
                "y",
                [|
                    Clouds.layer "ordinary equation" LayerColour.Blue 1.5 300 (points ode.SavedTimes ode.Saved)
                    Clouds.layer
                        "stochastic equation, e = 1 in the middle"
                        LayerColour.Vermilion
                        1.5
                        300
                        (points (rounded noisy[1]) noisy[1].Saved)
                |]
            )
                .Within(-4.2, 4.2, -4.2, 4.2)

        let pathPanel title (times: float[]) (states: torch.Tensor[]) : PlaneFigure =
            PlaneFigure(
                title,
                "x",
                "y",
                [|
                    Clouds.layer "two moons" LayerColour.Grey 2.0 600 finish
                    Clouds.layer "start" LayerColour.Black 3.0 60 start
                    Clouds.paths "paths" 60 times states
                    Clouds.layer "end" LayerColour.Vermilion 3.0 60 (Array.last states)
                |]
            )
                .Within(-4.2, 4.2, -4.2, 4.2)

        let couplingPanel k : PlaneFigure =
            let run = Clouds.flow cancellation 1e-4 pathTimes (snd pairings[k]) start
            pathPanel $"pairs {fst pairings[k]}" run.SavedTimes run.Saved

        {
            Findings =
                [|
                    accuracy "energy distance to the moons, ordinary equation" distances[0]
                    for k in 0 .. levels.Length - 1 do
                        accuracy $"energy distance to the moons, noise level {fst levels[k]}" distances[k + 1]
                    Findings.calibrated
                        "ordinary and stochastic equations have the law of x_t on the way, too: largest energy distance at t = 1/4, 1/2, 3/4"
                        (if quick then 0.1 else 0.015)
                        Relation.AtMost
                        (max odeApart (Array.max noisyApart))
                    Findings.target
                        "normal to normal: learnt linear velocity, largest relative error over five times"
                        0.02
                        Relation.AtMost
                        $"entry P155; closed form {source}"
                        linear
                    Findings.exact
                        "KL(exact, perturbed) never exceeds int E|b - b'|^2 / (4 e) dt: largest quotient"
                        1.0
                        Relation.AtMost
                        1e-9
                        $"theorem, {source}, section 2.4"
                        quotient
                    Findings.exact
                        "no flow costs less than W2^2 between its two ends: smaller path energy over it, 1000 points"
                        1.0
                        Relation.AtLeast
                        0.005
                        "Benamou and Brenier 2000, A computational fluid mechanics solution to the Monge-Kantorovich problem; tolerance: quadrature"
                        (ways |> Array.map (fun way -> way.Energy / way.LeastEnergy) |> Array.min)
                    Findings.calibrated
                        "the flow of optimal-transport pairs comes near it: path energy over W2^2"
                        (if quick then 1.15 else 1.05)
                        Relation.AtMost
                        (ways[1].Energy / ways[1].LeastEnergy)
                    Findings.calibrated
                        "optimal-transport pairs make paths straight: int E|x1 - x0 - b|^2, ratio to pairs at random"
                        0.02
                        Relation.AtMost
                        (ways[1].Bend / ways[0].Bend)
                    Findings.calibrated
                        "and one Euler step far better: energy distance, ratio to pairs at random"
                        0.1
                        Relation.AtMost
                        (few[1].[0] / few[0].[0])
                |]
            Tables =
                [|
                    struct ($"{count} samples; another sample of the moons itself lies at energy distance {floor:F4}",
                            DataFrame(
                                StringDataFrameColumn(
                                    "sampling",
                                    Array.append
                                        [| "ordinary equation, Dormand-Prince 1e-4" |]
                                        (levels |> Array.map (fun (name, _) -> $"e(t) = {name}"))
                                ),
                                DoubleDataFrameColumn("energy distance at t = 1", distances),
                                DoubleDataFrameColumn("largest at t = 1/4, 1/2, 3/4", Array.append [| odeApart |] noisyApart),
                                DoubleDataFrameColumn(
                                    "velocity evaluations",
                                    Array.append
                                        [| float ode.VelocityEvaluations |]
                                        (noisy |> Array.map (fun run -> float run.VelocityEvaluations))
                                ),
                                DoubleDataFrameColumn(
                                    "score evaluations",
                                    Array.append [| 0.0 |] (noisy |> Array.map (fun run -> float run.ScoreEvaluations))
                                )
                            ))
                    struct ("Pairs at random and by optimal transport (linear, no latent noise)",
                            DataFrame(
                                [|
                                    StringDataFrameColumn("pairs", pairings |> Array.map fst) :> DataFrameColumn
                                    DoubleDataFrameColumn("path energy", ways |> Array.map _.Energy)
                                    DoubleDataFrameColumn("W2^2 of the ends", ways |> Array.map _.LeastEnergy)
                                    DoubleDataFrameColumn("bend", ways |> Array.map _.Bend)
                                |]
                            ))
                    struct ("Energy distance to the moons by steps",
                            DataFrame(
                                StringDataFrameColumn(
                                    "sampling",
                                    Array.append (fewest |> Array.map (fun n -> $"Euler, {n}")) [| "Dormand-Prince, 1e-4" |]
                                ),
                                DoubleDataFrameColumn("pairs at random", Array.append few[0] [| whole[0] |]),
                                DoubleDataFrameColumn("pairs by optimal transport", Array.append few[1] [| whole[1] |])
                            ))
                    struct ("Linear drifts, perturbed: KL and its bound",
                            DataFrame(
                                DoubleDataFrameColumn("noise level", divergences |> Array.map (fun struct (level, _, _) -> level)),
                                DoubleDataFrameColumn("KL", divergences |> Array.map (fun struct (_, found, _) -> found)),
                                DoubleDataFrameColumn("bound", divergences |> Array.map (fun struct (_, _, bound) -> bound))
                            ))
                |]
            Figures =
                [|
                    PanelFigure(
                        "From eight gaussians to two moons: the law of x_t, and what the learnt flows carry",
                        Array.append (Array.init 5 densityPanel) (Array.init 5 cloudPanel),
                        5
                    )
                    PanelFigure(
                        "One law, many paths: the ordinary equation and two noise levels",
                        [|
                            pathPanel "e = 0" ode.SavedTimes ode.Saved
                            pathPanel "e = 0.25 in the middle" noisy[0].SavedTimes noisy[0].Saved
                            pathPanel "e = 1 in the middle" noisy[1].SavedTimes noisy[1].Saved
                        |]
                    )
                    PanelFigure("Optimal transport makes paths straight", [| couplingPanel 0; couplingPanel 1 |])
                    LineFigure(
                        "Straight paths need few steps",
                        "Euler steps",
                        "energy distance to the moons",
                        Array.append
                            (Array.mapi (fun k (name, _) -> Worlds.curve $"pairs {name}" (fewest |> Array.map float) few[k]) pairings)
                            [| Worlds.curve "a sample of the moons" [| 1.0; 16.0 |] [| floor; floor |] |],
                        true
                    )
                |]
            Notes =
                [|
                    $"Velocity and denoiser: multilayer perceptrons 64, 64, 64 (SELU), {steps} steps of 128 pairs, each with +z and -z; Adam, rate 2e-3 to 1e-5 along half a cosine, moving average 0.995."
                    "x_t = (1 - t) x0 + t x1 + sqrt(t (1 - t)) z. Every noise level has the same law at every time; what differs in practice is how errors of the networks and of the steps show."
                    "The energy distance counts pairs of a point with itself: of two samples of one law it is not zero but the figure given above the table."
                |]
        }

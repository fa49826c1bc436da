namespace ValueFlow.Studies

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.Core.Learning
open ValueFlow.Studies.Ensembles

/// Unpaired snapshots of an ensemble of Lorenz's system, and a gradient field that carries them.
[<Sealed>]
type LorenzSnapshotsStudy() =
    inherit
        Study(
            "lorenz-snapshots",
            "flows",
            "Lorenz's ensemble, without its trajectories",
            "Action matching learns from unpaired snapshots of a cloud on Lorenz's attractor a gradient field that carries the cloud along, and through its split."
        )

    // Lorenz 1963, "Deterministic nonperiodic flow": sigma 10, rho 28, beta 8/3.
    static let lorenz =
        Field.autonomous "Lorenz 1963" (fun state ->
            Lifetime.keep (fun () ->
                let at k = state.narrow (1L, k, 1L)
                let x, y, z = at 0L, at 1L, at 2L
                let first = Elementwise.times 10.0 (y.sub x)
                let second = (x.mul (Elementwise.plus 28.0 (z.neg ()))).sub y
                let third = (x.mul y).sub(Elementwise.times (8.0 / 3.0) z)
                torch.cat ([| first; second; third |], 1L)))

    static let span = 0.6
    // Units in which the cloud is of size one.
    static let scaled (x: float[]) = [| x[0] / 10.0; x[1] / 10.0; (x[2] - 25.0) / 10.0 |]

    static let ensemble (generator: Generator) (count: int) : float[][] =
        Array.init count (fun _ -> Array.map2 (fun centre z -> centre + 2.0 * z) [| 0.0; 0.0; 22.0 |] (normal generator 3))

    override _.Run(seed, quick, progress, cancellation) =
        Tensors.prepare ()
        use _scope = torch.NewDisposeScope()
        use _quiet = torch.no_grad ()
        let generator = Generator seed
        let times = Array.init 31 (fun n -> float n / 30.0)

        let truth count =
            carry (OdeOptions.adaptive Scheme.dormandPrince5 1e-6) lorenz (times |> Array.map ((*) span)) (ensemble generator count)

        progress.Invoke "trajectories"
        // A fresh ensemble for every snapshot: no two points of the data belong to one trajectory.
        let seen = times |> Array.mapi (fun n _ -> (truth 600)[n] |> Array.map scaled)
        let held = truth 500 |> Array.map (Array.map scaled)
        let again = truth 500 |> Array.map (Array.map scaled)
        let start = ensemble generator 500 |> Array.map scaled
        let snapshots = seen |> Array.map tensor
        let steps = if quick then 1500 else 4000

        let train name configuration steps rate (objective: Objective) =
            let options =
                { TrainingOptions.standard steps with
                    LearningRate = LearningRate.Cosine(rate, 0.01 * rate, steps)
                    EmaDecay = ValueSome 0.99
                    Seed = seed
                    Cancellation = cancellation
                    Progress = fun now -> told progress name steps now.Step
                }

            let result = Training.run options objective (Network.init Initialisation.Linear (Generator(2000 + seed)) configuration)
            cancellation.ThrowIfCancellationRequested()
            result.Network

        let action = { NetworkConfiguration.mlp 3 [ 64; 64; 64 ] 1 Activation.Silu with Time = TimeInput.Plain }

        let network =
            ActionObjective.create "Lorenz snapshots" ActionKind.Balanced action times snapshots 384
            |> train "action" action steps 4e-3

        let velocity = NetworkConfiguration.timeMlp 3 [ 64; 64 ] Activation.Silu

        let single =
            let source name (points: float[][]) = RowSource.ofRows name 3 (ReadOnlySpan(points |> Array.concat |> Array.map float32))
            let pairs = FlowMatching.between Coupling.independent (source "first" seen[0]) (source "last" seen[30])

            FlowMatching.objective (FlowMatching.options (Interpolant.linear Latent.none)) velocity pairs
            |> train "single flow" velocity steps 3e-3

        progress.Invoke "carrying samples"
        let solver = OdeOptions.fixedStep Scheme.rungeKutta4 (1.0 / 60.0)
        let acted = carry solver (ActionMatching.velocity "gradient of the action" (NetworkField.action network)) times start
        let flowed = carry solver (NetworkField.field single) times start
        let still = times |> Array.map (fun _ -> start)
        let sliced clouds = Array.map2 slicedW2 clouds held
        let actedS, flowedS, stillS, floorS = sliced acted, sliced flowed, sliced still, sliced again
        let chosen = [| 6; 12; 18; 24; 30 |]

        let exactW2 (clouds: float[][][]) =
            chosen
            |> Array.map (fun n -> (Wasserstein.w2 cancellation (Sample.OfPoints clouds[n]) (Sample.OfPoints held[n])).Value)

        let actedW, flowedW, stillW, floorW = exactW2 acted, exactW2 flowed, exactW2 still, exactW2 again
        let middle (values: float[]) = Array.average values[1..29]
        let seconds = times |> Array.map ((*) span)
        let raw k (points: float[][]) = column k points |> Array.map (fun x -> 10.0 * x + (if k = 2 then 25.0 else 0.0))

        let background =
            let way =
                carry
                    (OdeOptions.adaptive Scheme.dormandPrince5 1e-6)
                    lorenz
                    (Array.init 2001 (fun n -> 0.01 * float n))
                    [| [| 1.0; 1.0; 20.0 |] |]

            let after = way[300..]
            let line k = [| after |> Array.map (fun point -> point[0].[k]) |]
            line 0, line 2

        let panel name (clouds: float[][][]) =
            [| 6; 14; 22; 30 |]
            |> Array.map (fun n ->
                PlaneFigure(
                    $"{name}, t = {seconds[n]:F2}",
                    "x",
                    "z",
                    [|
                        PathLayer("attractor", fst background, snd background, LayerColour.Sky)
                        PointLayer("held-out snapshot", raw 0 held[n], raw 2 held[n], LayerColour.Grey, size = 2.2, opacity = 0.7)
                        PointLayer(
                            "carried from t = 0",
                            raw 0 clouds[n],
                            raw 2 clouds[n],
                            LayerColour.Vermilion,
                            size = 1.8,
                            opacity = 0.6
                        )
                    |]
                )
                    .Within(-30.0, 30.0, -5.0, 55.0))

        {
            Findings =
                [|
                    atMost
                        "mean sliced W2 to 29 held-out snapshots in the middle, over that of a single flow from the first to the last"
                        0.4
                        calibrated
                        (middle actedS / middle flowedS)
                    atMost "... over that of no motion" 0.35 calibrated (middle actedS / middle stillS)
                    atMost "sliced W2 to the held-out snapshot at the end, in units of 10" 0.35 calibrated actedS[30]
                    atMost
                        "mean W2 (exact) at five times, over that of the single flow"
                        0.5
                        calibrated
                        (Array.average actedW / Array.average flowedW)
                |]
            Tables =
                [|
                    table
                        "W2 (exact) between 500 carried and 500 held-out points, in units of 10"
                        []
                        [
                            "t", chosen |> Array.map (fun n -> seconds[n])
                            "action matching", actedW
                            "single flow", flowedW
                            "no motion", stillW
                            "two samples of the truth", floorW
                        ]
                    table
                        "Sliced W2, mean over the 29 snapshots in the middle, and at the end"
                        [ "method", [| "action matching"; "single flow"; "no motion"; "two samples of the truth" |] ]
                        [
                            "middle", [| middle actedS; middle flowedS; middle stillS; middle floorS |]
                            "end", [| actedS[30]; flowedS[30]; stillS[30]; floorS[30] |]
                        ]
                |]
            Figures =
                [|
                    PanelFigure(
                        "A cloud on Lorenz's attractor, from unpaired snapshots",
                        Array.append (panel "action" acted) (panel "single flow" flowed),
                        4
                    )
                    LineFigure(
                        "Distance to snapshots that were held out",
                        "t",
                        "sliced W2 (units of 10)",
                        [|
                            Worlds.curve "action matching" seconds actedS
                            Worlds.curve "single flow, first to last" seconds flowedS
                            Worlds.curve "no motion" seconds stillS
                            Worlds.curve "two samples of the truth" seconds floorS
                        |],
                        false
                    )
                |]
            Notes =
                [|
                    "31 snapshots of 600 points over 0.6 time units, every one from an ensemble of its own; between two of them the law is their mixture."
                    "The learnt field is the gradient field of least energy that moves the cloud, not Lorenz's field: single points need not follow Lorenz's trajectories, the cloud does."
                    "At the end the single flow, which was made for the last snapshot, may be nearer to it; the gain is in between. A few points that leave the cloud early run away; those beyond the frame are not drawn, but measured."
                |]
        }

namespace ValueFlow.Studies

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.Core.Learning
open ValueFlow.Studies.Ensembles

/// The least action that moves a law as it was seen to move: against closed forms, from unpaired snapshots, and with mass that grows.
[<Sealed>]
type ActionMatchingStudy() =
    inherit
        Study(
            "action-matching",
            "flows",
            "Dynamics from unpaired snapshots",
            "Action matching learns the gradient field that moves a law: kinetic energies in closed form, a cloud that splits, mass that grows."
        )

    static let configuration dimension hidden = { NetworkConfiguration.mlp dimension hidden 1 Activation.Silu with Time = TimeInput.Plain }

    static let train
        progress
        cancellation
        name
        dimension
        hidden
        seed
        steps
        (loss: Moment -> NetworkConfiguration -> torch.Tensor -> torch.Tensor)
        =
        let configuration = configuration dimension hidden
        let start = Network.init Initialisation.Linear (Generator(2000 + seed)) configuration

        let options =
            { TrainingOptions.standard steps with
                LearningRate = LearningRate.Cosine(4e-3, 4e-5, steps)
                EmaDecay = ValueSome 0.995
                Seed = seed
                Cancellation = cancellation
                Progress = fun now -> told progress name steps now.Step
            }

        let objective = Objective.differentiable name (fun moment -> loss moment configuration)
        let result = Training.run options objective start
        cancellation.ThrowIfCancellationRequested()
        result.Network

    static let velocity (network: Network) = ActionMatching.velocity "gradient of the action" (NetworkField.action network)
    static let unweighted points : WeightedPoints = { Points = points; Weights = ValueNone }

    // A batch of a path x_t = f(t, draw): both ends and times in between.
    static let along (generator: Generator) (dimension: int) (count: int) (at: float -> float[] -> float[]) : ActionBatch =
        // One half of the draws is the other's mirror image: odd moments have no noise.
        let draws () =
            let half = Array.init (count / 2) (fun _ -> normal generator dimension)
            Array.append half (half |> Array.map (Array.map (~-)))

        // One time in each of equally many cells.
        let times = Array.init count (fun n -> (float n + generator.Uniform()) / float count)
        let order = Sampling.distinct generator count count
        let ends = draws ()
        let points t = unweighted (tensor (ends |> Array.map (at t)))

        {
            First = points 0.0
            Last = points 1.0
            Times = torch.tensor (times |> Array.map float32)
            Between = unweighted (tensor (Array.map2 (fun n t -> at t ends[n]) order times))
        }

    // E |v|^2 / 2, and E |v - v*|^2 / E |v*|^2, over a path.
    static let energies (batch: ActionBatch) (field: Field) (exact: Field) : struct (float * float) =
        Lifetime.within (fun () ->
            let value (field: Field) = numbers (field.Apply batch.Times batch.Between.Points)
            let found, truth = value field, value exact
            let count = float batch.Times.shape[0]
            let square = Array.sumBy (fun v -> v * v)
            struct (0.5 * square found / count, square (Array.map2 (-) found truth) / square truth))

    // A normal law that moves along an arc, and is squeezed in one direction while it widens in the other.
    static let path: NormalPath =
        let schedule value rate = Schedule.create value rate

        {
            Mean =
                [|
                    schedule (fun t -> 2.0 * t) (fun _ -> 2.0)
                    schedule (fun t -> Double.SinPi t) (fun t -> Math.PI * Double.CosPi t)
                |]
            Deviation = [| schedule (fun t -> 1.0 - 0.6 * t) (fun _ -> -0.6); schedule (fun t -> 0.5 + 0.5 * t * t) (fun t -> t) |]
        }

    static let onPath t (z: float[]) = Array.mapi (fun i z -> path.Mean[i].Value t + path.Deviation[i].Value t * z) z

    static let kinetic = Array.init 1000 (fun n -> 0.5 * NormalPath.speedSquared path 0.0 ((float n + 0.5) / 1000.0)) |> Array.average

    // x_t = (1 - t) x + t J x: the pairs are turned by a quarter, the laws only shrink and widen again.
    static let onTurn t (z: float[]) = [| (1.0 - t) * z[0] - t * z[1]; (1.0 - t) * z[1] + t * z[0] |]

    static let turning: Field =
        Field.create "radial field of the turned law" (fun t x ->
            let rate =
                (Elementwise.plus -1.0 (Elementwise.times 2.0 t)).div(Elementwise.plus 1.0 (Elementwise.times 2.0 (t.mul(t).sub t)))

            x.mul (rate.unsqueeze -1L))

    // A cloud that rises, and splits in two on the way back.
    static let splitAt (generator: Generator) (t: float) (count: int) : float[][] =
        let rise, side = 1.5 * Double.SinPi t, 1.6 * t * t

        Array.init count (fun n ->
            let z = normal generator 2
            let sign = if n % 2 = 0 then 1.0 else -1.0
            [| sign * side + 0.3 * z[0]; rise + 0.3 * z[1] |])

    static let mass t = 0.5 + 0.5 * Math.Pow(3.0, t)

    // Two hills that stay: the right one grows threefold.
    static let hills (generator: Generator) (t: float) (count: int) : float[][] =
        let right = 0.5 * Math.Pow(3.0, t) / mass t
        // Shares without chance.
        let shift = generator.Uniform()

        Array.init count (fun n ->
            let level = (float n + shift) / float count
            [| (if level < right then 1.5 else -1.5) + 0.4 * Sampling.normal generator |])

    override _.Run(seed, _, progress, cancellation) =
        Tensors.prepare ()
        use _scope = torch.NewDisposeScope()
        use _quiet = torch.no_grad ()
        let generator = Generator seed

        // 1. A normal path: loss at the optimum and velocity, both known.
        let normalNet =
            train progress cancellation "normal path" 2 [ 48; 48 ] seed 3000 (fun moment configuration parameters ->
                ActionMatching.loss
                    ActionKind.Balanced
                    (TensorForm.action configuration parameters)
                    (along (moment.Generator()) 2 384 onPath))

        let test = along generator 2 40000 onPath
        let exact = NormalPath.velocity path 0.0
        let (struct (_, normalMiss)) = energies test (velocity normalNet) exact

        let normalLoss =
            Lifetime.within (fun () ->
                float ((ActionMatching.loss ActionKind.Balanced (NetworkField.action normalNet) test).item<float32>()))

        // 2. The turned law: the field with pairs turns, the gradient field does not.
        let turnNet =
            train progress cancellation "turned law" 2 [ 48; 48 ] seed 2400 (fun moment configuration parameters ->
                ActionMatching.loss
                    ActionKind.Balanced
                    (TensorForm.action configuration parameters)
                    (along (moment.Generator()) 2 384 onTurn))

        let (struct (turnEnergy, turnMiss)) = energies (along generator 2 40000 onTurn) (velocity turnNet) turning
        let least = 2.0 - 0.5 * Math.PI

        // 3. Ten unpaired snapshots of the cloud that splits.
        let times = Array.init 10 (fun n -> float n / 9.0)
        let seen = times |> Array.map (fun t -> splitAt generator t 1000)
        let snapshots = seen |> Array.map tensor

        let splitNet =
            train progress cancellation "split" 2 [ 64; 64 ] seed 1600 (fun moment configuration parameters ->
                ActionMatching.loss
                    ActionKind.Balanced
                    (TensorForm.action configuration parameters)
                    (ActionMatching.draw (moment.Generator()) times snapshots 384))

        let flowConfiguration = NetworkConfiguration.timeMlp 2 [ 64; 64 ] Activation.Silu

        let flowNet =
            let source name (points: float[][]) = RowSource.ofRows name 2 (ReadOnlySpan(points |> Array.concat |> Array.map float32))
            let pairs = FlowMatching.between Coupling.independent (source "first snapshot" seen[0]) (source "last snapshot" seen[9])
            let objective = FlowMatching.objective (FlowMatching.options (Interpolant.linear Latent.none)) flowConfiguration pairs
            let steps = 2000

            let options =
                { TrainingOptions.standard steps with
                    LearningRate = LearningRate.Cosine(3e-3, 3e-5, steps)
                    Seed = seed
                    Cancellation = cancellation
                    Progress = fun now -> told progress "single flow" steps now.Step
                }

            (Training.run options objective (Network.init Initialisation.Linear (Generator(3000 + seed)) flowConfiguration)).Network

        let start = splitAt generator 0.0 500
        let solver = OdeOptions.fixedStep Scheme.rungeKutta4 (1.0 / 36.0)
        progress.Invoke "carrying samples"
        let acted = carry solver (velocity splitNet) times start
        let flowed = carry solver (NetworkField.field flowNet) times start
        let held = times |> Array.map (fun t -> splitAt generator t 500)
        let again = times |> Array.map (fun t -> splitAt generator t 500)
        let w2 (a: float[][]) (b: float[][]) = (Wasserstein.w2 cancellation (Sample.OfPoints a) (Sample.OfPoints b)).Value
        let along' clouds = Array.map2 w2 clouds held

        let actedW2, flowedW2, floorW2, stillW2 =
            along' acted, along' flowed, along' again, along' (times |> Array.map (fun _ -> start))

        let middle (values: float[]) = Array.average values[1..8]

        // 4. Mass that grows.
        let count = 256

        let weigh generator (t: float) : WeightedPoints =
            {
                Points = tensor (hills generator t count)
                Weights = ValueSome(torch.full ([| int64 count |], Scalar.op_Implicit (float32 (mass t / float count))))
            }

        let growNet =
            train progress cancellation "growing mass" 1 [ 32; 32 ] seed 1000 (fun moment configuration parameters ->
                let generator = moment.Generator()
                let moments = Array.init count (fun n -> (float n + generator.Uniform()) / float count)

                let points =
                    moments
                    |> Array.map (fun t ->
                        let right = generator.Uniform() < 0.5 * Math.Pow(3.0, t) / mass t
                        [| (if right then 1.5 else -1.5) + 0.4 * Sampling.normal generator |])

                ActionMatching.loss
                    ActionKind.Unbalanced
                    (TensorForm.action configuration parameters)
                    {
                        First = weigh generator 0.0
                        Last = weigh generator 1.0
                        Times = torch.tensor (moments |> Array.map float32)
                        Between =
                            {
                                Points = tensor points
                                Weights = ValueSome(torch.tensor (moments |> Array.map (fun t -> float32 (mass t / float count))))
                            }
                    })

        // (x, log w): dx = grad s dt, d log w = s dt.
        let growing =
            let action, gradient = NetworkField.action growNet, velocity growNet

            Field.create "points and log weights" (fun t state ->
                Lifetime.keep (fun () ->
                    let x = state.narrow(1L, 0L, 1L).contiguous()
                    torch.cat ([| gradient.Apply t x; (action (t.expand([| x.shape[0] |]).clone()) x).unsqueeze 1L |], 1L)))

        let grown = (carry solver growing [| 0.0; 1.0 |] (hills generator 0.0 4000 |> Array.map (fun x -> [| x[0]; 0.0 |])))[1]

        let weight keep = grown |> Array.sumBy (fun row -> if keep row[0] then exp row[1] else 0.0)
        let ratio = weight (fun x -> x > 0.0) / weight (fun x -> x <= 0.0)
        let total = weight (fun _ -> true) / 4000.0
        let source = "Neklyudov, Brekelmans, Severo and Makhzani 2023, Action Matching"

        let cloud name colour (points: float[][]) : PlaneLayer =
            PointLayer(name, column 0 points, column 1 points, colour, size = 1.8, opacity = 0.55)

        let row name (clouds: float[][][]) =
            [| 2; 4; 7; 9 |]
            |> Array.map (fun n ->
                PlaneFigure(
                    $"{name}, t = {n}/9",
                    "x",
                    "y",
                    [|
                        cloud "held-out snapshot" LayerColour.Grey held[n]
                        cloud "carried from t = 0" LayerColour.Blue clouds[n]
                    |]
                ))

        {
            Findings =
                [|
                    equals
                        "normal path: the loss at the optimum, over minus the kinetic energy"
                        1.0
                        0.03
                        $"closed form: -int E|grad s*|^2/2 = {-kinetic:F4}; {source}"
                        (normalLoss / -kinetic)
                    atMost
                        "normal path: relative error of the velocity"
                        0.05
                        $"bench of the system; closed form of the velocity"
                        (sqrt normalMiss)
                    equals
                        "turned law: kinetic energy of the learnt gradient field"
                        least
                        (0.05 * least)
                        "closed form: int (sd')^2 dt = 2 - pi/2, five per cent for training"
                        turnEnergy
                    atMost
                        "... which is at most that of the velocity with these pairs"
                        2.0
                        "closed form: E|Jx - x|^2/2 = 2; the gradient field has the least energy"
                        turnEnergy
                    atMost
                        "split: mean W2 to eight held-out snapshots in the middle, over that of the single flow from the first to the last"
                        0.3
                        calibrated
                        (middle actedW2 / middle flowedW2)
                    atMost "split: W2 to the held-out snapshot at the end, over that of no motion" 0.6 calibrated (actedW2[9] / stillW2[9])
                    equals
                        "growing mass: weight of the right hill over the left one"
                        3.0
                        0.15
                        "closed form: threefold growth; five per cent is the bench's"
                        ratio
                    equals "growing mass: total at the end" 2.0 0.1 "closed form: (1 + 3)/2" total
                |]
            Tables =
                [|
                    table
                        "Kinetic energies int E|v|^2/2 dt"
                        [ "law", [| "normal path"; "turned law" |] ]
                        [
                            "closed form", [| kinetic; least |]
                            "action matching", [| -normalLoss; turnEnergy |]
                            "velocity of the pairs", [| kinetic; 2.0 |]
                            "relative error of the velocity", [| sqrt normalMiss; sqrt turnMiss |]
                        ]
                    table
                        "Split: W2 between 500 carried and 500 held-out points"
                        []
                        [
                            "t", times
                            "action matching", actedW2
                            "single flow", flowedW2
                            "no motion", stillW2
                            "two samples of the truth", floorW2
                        ]
                |]
            Figures =
                [|
                    PanelFigure(
                        "A cloud rises and splits: only its snapshots were seen",
                        Array.append (row "action matching" acted) (row "single flow" flowed),
                        4
                    )
                    LineFigure(
                        "Distance to snapshots that were held out",
                        "t",
                        "W2",
                        [|
                            Worlds.curve "action matching" times actedW2
                            Worlds.curve "single flow, first to last" times flowedW2
                            Worlds.curve "no motion" times stillW2
                            Worlds.curve "two samples of the truth" times floorW2
                        |],
                        false
                    )
                |]
            Notes =
                [|
                    "Between two snapshots the law is their mixture: a row is drawn from one or the other. Nothing is paired."
                    "In one dimension every velocity that carries the path is the same; the turned law shows the difference in two: pairs turn by a quarter, at energy 2, though the law is round at every time."
                    "At the end the single flow, which was made for the last snapshot, is nearer to it: errors of ten snapshots add up, and a few points miss their hill."
                    "The single flow knows the first and the last snapshot only; it cannot know of the rise, and no method could from these two."
                |]
        }

namespace ValueFlow.Benchmarks

open System.Threading
open TorchSharp
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning

/// How good the transports are that training gives: distance to the test sample, energy of the path, evaluations of a solve.
[<RequireQualifiedAccess>]
module QualityRows =

    let private sampleOf (points: torch.Tensor) : Sample = Sample.OfTensor points

    // E int |v|^2 dt along the flow by the trapezoidal rule on 101 times.
    let private energy (field: Field) (x0: torch.Tensor) : float =
        Lifetime.within (fun () ->
            let times = Array.init 101 (fun i -> float i / 100.0)
            let solution = Ode.solve { OdeOptions.standard with Save = times } field x0 0.0 1.0

            let squares =
                Array.map2
                    (fun (time: float) (x: torch.Tensor) ->
                        let t: torch.Tensor = torch.tensor (float32 time)
                        let v: torch.Tensor = (field.Apply t x).``to`` torch.float64
                        (v.mul(v).sum().item<float>()) / float x.shape[0])
                    times
                    solution.Saved

            (Array.sum squares - 0.5 * (squares[0] + squares[100])) / 100.0)

    type private Quality = { Distance: float; Energy: float; Few: int; Many: int }

    let private judge (extent: Extent) (data: FlowData) (network: Network) (cancellation: CancellationToken) : Quality =
        use _plain = torch.no_grad ()

        Lifetime.within (fun () ->
            let field = NetworkField.field network
            let x0 = FlowData.rows 2 extent.Samples data.TestStart
            let target = sampleOf (FlowData.rows 2 extent.Samples data.TestEnd)
            let solution = Ode.solve OdeOptions.standard field x0 0.0 1.0
            let few = Ode.solve OdeOptions.standard field (x0.narrow (0L, 0L, 256L)) 0.0 1.0
            let distance = Wasserstein.w2 cancellation (sampleOf solution.Final) target

            {
                Distance = distance.Value
                Energy = energy field (x0.narrow (0L, 0L, int64 (min 2048 extent.Samples)))
                Few = few.Evaluations
                Many = solution.Evaluations
            })

    /// The rows: one training run for each coupling at a constant rate of 1e-3, judged with its last parameters (as the peers are) and with their moving average.
    let measure (extent: Extent) (data: FlowData) (seed: int) (cancellation: CancellationToken) : Row list =
        let isWhole = extent.Samples = 10000 && extent.Steps = 20000

        let squared =
            if data.IsRecorded then
                Peers.squaredDistance
            else
                let sample rows = Lifetime.within (fun () -> sampleOf (FlowData.rows 2 extent.Samples rows))
                (Wasserstein.w2 cancellation (sample data.TestStart) (sample data.TestEnd)).Value ** 2.0

        [
            for coupling, section, bound, distance, energy, normalised, evaluations in
                [
                    Coupling.independent,
                    "quality, independent pairs",
                    0.44,
                    Peers.distanceIndependent,
                    Peers.energyIndependent,
                    Peers.normalisedIndependent,
                    Peers.evaluationsIndependent
                    Coupling.exact SquaredEuclidean,
                    "quality, exact transport",
                    0.25,
                    Peers.distanceExact,
                    Peers.energyExact,
                    Peers.normalisedExact,
                    Peers.evaluationsExact
                ] do
                let options =
                    { TrainingOptions.standard extent.Steps with
                        EmaDecay = ValueSome 0.999
                        Seed = seed
                        Cancellation = cancellation
                    }

                let result = Training.run options (TrainingRows.objective data coupling) data.Initial
                cancellation.ThrowIfCancellationRequested()

                for network, words, isLast in [ result.Last, "last parameters", true; result.Network, "moving average 0.999", false ] do
                    let found = judge extent data network cancellation
                    let figure name unit value = Row.figure section $"{words}: {name}" unit value
                    let peer (figure: PeerFigure) (row: Row) = if isLast then { row with Peer = ValueSome figure } else row

                    // The goal is for 20,000 steps and 10,000 samples.
                    let goal (row: Row) = if isWhole then Row.atMost "W2" bound found.Distance row else row
                    let asked = $"{extent.Steps} steps, {extent.Samples} samples, seed {seed}"
                    { figure "W2 to the test sample" "" found.Distance with Note = asked } |> peer distance |> goal
                    { figure "path energy" "" found.Energy with Note = $"W2 squared of the laws {squared:F3}" } |> peer energy
                    figure "normalised path energy error" "" (abs (found.Energy - squared) / squared) |> peer normalised

                    { figure "evaluations at 1e-5, batch 256" "" (float found.Few) with
                        Note = $"{found.Many} for all {extent.Samples}"
                    }
                    |> peer evaluations

        ]

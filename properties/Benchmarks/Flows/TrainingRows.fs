namespace ValueFlow.Benchmarks

open System
open TorchSharp
open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning

/// How much of a benchmark is run.
type Extent =
    {
        /// Repeats behind each median.
        Repeats: int
        /// Training steps behind the figures of quality.
        Steps: int
        /// Test samples behind the distances.
        Samples: int
    }

/// Time of a training step: the network 3-64-64-64-2 with SELU, batch 256, Adam at 1e-3, from the same weights and pool.
[<RequireQualifiedAccess>]
module TrainingRows =

    [<Literal>]
    let private Section = "training step"

    [<Literal>]
    let private Batch = 256

    /// The transport of the benchmarks with a coupling: linear path, velocity, batch 256. The recorded peers add noise of deviation 0.1 to the points, with the same velocity.
    let objective (data: FlowData) (coupling: Coupling<unit>) : Objective =
        let pairs =
            FlowMatching.between
                coupling
                (RowSource.ofRows "8 gaussians" 2 (ReadOnlySpan data.PoolStart))
                (RowSource.ofRows "moons" 2 (ReadOnlySpan data.PoolEnd))

        FlowMatching.objective (FlowMatching.options (Interpolant.linear Latent.none)) data.Initial.Configuration pairs

    let private adamOf (modules: torch.nn.Module<torch.Tensor, torch.Tensor>) : torch.optim.Optimizer =
        torch.optim.Adam(modules.parameters (), 1e-3)

    // The largest relative difference of losses over steps on the very same batches: both train the same thing.
    let private disagreement (data: FlowData) (steps: int) : float =
        let source name rows = RowSource.ofRows name 2 (ReadOnlySpan(rows: float32[]))
        let pairs = FlowMatching.between Coupling.independent (source "8 gaussians" data.PoolStart) (source "moons" data.PoolEnd)
        let options = FlowMatching.options (Interpolant.linear Latent.none)
        let losses = ResizeArray<float>()
        let standard = TrainingOptions.standard steps
        let run = { standard with Progress = fun progress -> losses.Add progress.Loss }
        Training.run run (FlowMatching.objective options data.Initial.Configuration pairs) data.Initial |> ignore
        use modules = PlainTorch.modules data.Initial
        use adam = adamOf modules
        let mutable worst = 0.0

        for step in 0 .. steps - 1 do
            use _scope = torch.NewDisposeScope()
            let batch = FlowMatching.batch options pairs ({ Seed = standard.Seed; Step = step }.Generator())
            let matrix (values: float32[]) : torch.Tensor = (torch.tensor values).reshape(int64 batch.Rows, -1L)
            let inputs: torch.Tensor = torch.cat ([| matrix batch.Points; matrix batch.Times |], 1L)
            let loss: torch.Tensor = PlainTorch.trainingStep modules adam inputs (matrix batch.Targets)
            let loss = float (loss.item<float32>())
            worst <- Math.Max(worst, abs (losses[step] - loss) / loss)

        worst

    let private row
        (extent: Extent)
        (data: FlowData)
        (name: string)
        (coupling: Coupling<unit>)
        (isExact: bool)
        (peer: PeerFigure)
        : Row list =
        let steps = if isExact then 25 else 100
        let objective = objective data coupling
        let options = TrainingOptions.standard steps
        use modules = PlainTorch.modules data.Initial
        use adam = adamOf modules
        use pool0 = FlowData.rows 2 131072 data.PoolStart
        use pool1 = FlowData.rows 2 131072 data.PoolEnd
        let generator = Generator 1

        // A TorchSharp user has no assignment of his own: he gets ours, and the comparison is of everything else.
        let pair (x0: torch.Tensor) (x1: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            if isExact then
                let pairs = Coupling.apply coupling generator x0 x1 [||]
                struct (pairs.Start, pairs.Finish)
            else
                struct (x0, x1)

        let plain () =
            use _scope = torch.NewDisposeScope()
            let struct (x0, x1, t) = PlainTorch.draw Batch pool0 pool1
            let struct (x0, x1) = pair x0 x1
            let struct (inputs, targets) = PlainTorch.linearPath x0 x1 t
            PlainTorch.trainingStep modules adam inputs targets |> ignore

        // The same batch at every step: neither drawn nor joined.
        use _kept = torch.NewDisposeScope()
        let struct (x0, x1, t) = PlainTorch.draw Batch pool0 pool1
        let struct (inputs, targets) = PlainTorch.linearPath x0 x1 t

        let bare () =
            use _scope = torch.NewDisposeScope()
            PlainTorch.trainingStep modules adam inputs targets |> ignore

        use frozen = PlainTorch.modules data.Initial
        use time: torch.Tensor = torch.tensor 0.5f
        let forward () = (PlainTorch.forward frozen time x0).Dispose()
        let run () = Training.run options objective data.Initial |> ignore

        match
            Measure.inTurns
                extent.Repeats
                [
                    { Calls = 1; Call = run }
                    { Calls = steps; Call = plain }
                    { Calls = steps; Call = bare }
                    { Calls = steps; Call = forward }
                ]
        with
        | [ ours; plain; bare; forward ] ->
            let perStep =
                {
                    Cpu = ours.Cpu |> Array.map (fun s -> s / float steps)
                    Wall = ours.Wall |> Array.map (fun s -> s / float steps)
                }

            let rate (timing: Timing) = $"{1.0 / Measure.seconds timing:F0} steps/s"
            let rod = "bare forward pass"

            let main =
                { Row.timed Section $"{name}: ours" "us" perStep rod forward with
                    Peer = ValueSome peer
                    Note = rate perStep
                }
                |> Row.atLeast "plain TorchSharp / ours" 1.5 (Measure.ratio plain perStep)

            let second =
                { Row.timed Section $"{name}: plain TorchSharp" "us" plain rod forward with
                    Note = rate plain + (if isExact then ", with our assignment" else "")
                }

            if isExact then
                [ main; second ]
            else
                [
                    main
                    second
                    { Row.timed Section "forward, backward, Adam of plain TorchSharp, one fixed batch" "us" bare rod forward with
                        Note = $"{rate bare}; this / ours {Measure.ratio bare perStep:F2}"
                    }
                ]
        | _ -> []

    /// The rows.
    let measure (extent: Extent) (data: FlowData) : Row list =
        [
            yield! row extent data "independent pairs" Coupling.independent false Peers.trainingIndependent
            yield! row extent data "exact transport" (Coupling.exact SquaredEuclidean) true Peers.trainingExact

            { Row.figure Section "largest relative difference of losses, same batches, 50 steps" "" (disagreement data 50) with
                Note = "ours and plain TorchSharp train the same network"
            }
        ]

namespace ValueFlow.Benchmarks

open System
open System.Threading
open TorchSharp
open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations

/// Time of exact minibatch transport, from two tensors of points to the permutation.
[<RequireQualifiedAccess>]
module TransportRows =

    let private row (extent: Extent) (data: FlowData) (size: int) : Row =
        use _plain = torch.no_grad ()
        use _scope = torch.NewDisposeScope()
        let pool0 = FlowData.rows 2 131072 data.PoolStart
        let pool1 = FlowData.rows 2 131072 data.PoolEnd
        let generator = Generator 3

        let pick (pool: torch.Tensor) : torch.Tensor =
            let chosen: torch.Tensor = torch.tensor (Array.init size (fun _ -> int64 (generator.Below 131072)))
            pool.index_select (0L, chosen)

        // A few batches, the same in every repeat: batches differ in how hard they are.
        let batches = Array.init (if size > 256 then 4 else 8) (fun _ -> pick pool0, pick pool1)
        use modules = PlainTorch.modules data.Initial
        let time: torch.Tensor = torch.tensor 0.5f
        let points = pool0.narrow(0L, 0L, 256L).clone()
        let mutable next = 0

        let assign () =
            let x0, x1 = batches[next % batches.Length]
            next <- next + 1
            let pairs = Assignment.ofSamples SquaredEuclidean CancellationToken.None (Sample.OfTensor x0) (Sample.OfTensor x1)
            assert (pairs.Columns.Length = size)

        let forward () = (PlainTorch.forward modules time points).Dispose()

        match Measure.inTurns extent.Repeats [ { Calls = batches.Length; Call = assign }; { Calls = 50; Call = forward } ] with
        | [ ours; forward ] ->
            let peer = Peers.assignment size
            let theirs = peer.Figure / peer.Yardstick.Value

            { Row.timed "exact minibatch transport" $"{size} points a side" "ms" ours "bare forward pass, batch 256" forward with
                Peer = ValueSome peer
            }
            |> Row.atLeast "POT / ours, both in forward passes" 1.5 (theirs / Measure.ratio ours forward)
        | _ -> invalidOp "two works give two timings"

    // The distance of the two laws; one solve.
    let private large (data: FlowData) (cancellation: CancellationToken) : Row =
        let sample rows = Lifetime.within (fun () -> Sample.OfTensor(FlowData.rows 2 10000 rows))
        let source, target = sample data.TestStart, sample data.TestEnd
        let before = Environment.CpuUsage.TotalTime
        let distance = Wasserstein.w2 cancellation source target
        let seconds = (Environment.CpuUsage.TotalTime - before).TotalSeconds

        { Row.figure "exact minibatch transport" "10000 points a side" "s" seconds with
            Note = $"W2 squared {distance.Value ** 2.0:F3}, gap of W2 {distance.Gap:E1}"
            Peer = ValueSome Peers.largeAssignment
        }

    /// The rows.
    let measure (extent: Extent) (data: FlowData) (cancellation: CancellationToken) : Row list =
        [
            yield! [ 256; 1024 ] |> List.map (row extent data)

            if extent.Samples = 10000 then
                large data cancellation
        ]

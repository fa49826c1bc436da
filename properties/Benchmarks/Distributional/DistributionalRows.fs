namespace ValueFlow.Benchmarks

open System
open System.Collections.Generic
open System.Threading
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Returns

/// Times of the projection and of the losses of return laws, at batch 32 and 1024.
[<RequireQualifiedAccess>]
module DistributionalRows =

    // Blocks of about a millisecond, so that a least one is found between two interruptions.
    let private calls (batch: int) (microseconds: float) : int = max 1 (int (1000.0 / (microseconds * float batch)))

    let private tensor (width: int) (numbers: float32[]) : torch.Tensor =
        let flat: torch.Tensor = torch.tensor numbers
        if width = 0 then flat else flat.reshape (-1L, int64 width)

    // The yardstick of C++ at a number of threads: least against least, by the clock.
    let private limit
        (native: IReadOnlyDictionary<string, float> voption)
        (what: string)
        (batch: int)
        (threads: int)
        (timing: Timing)
        (row: Row)
        : Row =
        match native with
        | ValueNone -> row
        | ValueSome times ->
            match times.TryGetValue $"c++ {what} batch {batch} threads {threads}" with
            | true, theirs ->
                let ours = 1e6 * Array.min timing.Wall
                Row.atMost $"least time {ours:F1} us / C++ {theirs:F1} us" 2.0 (ours / theirs) row
            | _ -> row

    // Ours on one thread and on two, beside the plain form: the rows, and the figures of other libraries.
    let private compared
        (repeats: int)
        (section: string)
        (name: string)
        (calls: int)
        (ours: int -> unit)
        (plainName: string)
        (plainCalls: int)
        (plain: unit -> unit)
        (peer: PeerFigure)
        (toLimit: int -> Timing -> Row -> Row)
        : Row list =
        let timings =
            Measure.inTurns
                repeats
                [
                    { Calls = calls; Call = (fun () -> ours 1) }
                    { Calls = calls; Call = (fun () -> ours 2) }
                    { Calls = plainCalls; Call = plain }
                ]

        match timings with
        | [ one; two; plain ] ->
            let wall (timing: Timing) = 1e6 * Measure.median timing.Wall

            [
                { Row.timed section $"{name}: 1 thread" "us" one plainName plain with
                    Peer = ValueSome peer
                    Note = $"plain / ours {Measure.ratio plain one:F1}; recorded peer / ours {peer.Figure / (1e6 * Measure.seconds one):F1}"
                }
                |> toLimit 1 one

                { Row.figure section $"{name}: 2 threads, by the clock" "us" (wall two) with
                    Repeats = repeats
                    Note = $"1 thread {wall one:F1} us"
                }
                |> toLimit 2 two
            ]
        | _ -> []

    let private projection repeats native (batch: int) : Row list =
        let data = DistributionalData.make 1 batch
        let projected = Array.zeroCreate<float32> data.Masses.Length

        let ours threads =
            CategoricalKernel.project
                DistributionalData.support
                threads
                (ReadOnlySpan data.Rewards)
                (ReadOnlySpan data.Discounts)
                (ReadOnlySpan data.Masses)
                (Span projected)
            |> ignore

        use _kept = torch.NewDisposeScope()
        let rewards, discounts, masses = tensor 0 data.Rewards, tensor 0 data.Discounts, tensor 51 data.Masses
        let atoms = tensor 0 (Array.map float32 DistributionalData.support.Atoms)

        let plain () =
            use _scope = torch.NewDisposeScope()
            use _noGrad = torch.no_grad ()
            PlainReturns.project rewards discounts masses atoms |> ignore

        let work =
            compared
                repeats
                "categorical projection, 51 atoms"
                $"batch {batch}"
                (calls batch 0.1)
                ours
                "two scatters in TorchSharp"
                (max 1 (calls batch 1.0))
                plain

        work (Peers.projection batch) (limit native "c51 project" batch)

    let private quantile repeats native (batch: int) : Row list =
        let section = "quantile Huber loss, 200 x 200 pairs"
        let data = DistributionalData.make 1 batch
        let gradient = Array.zeroCreate<float32> data.Predictions.Length

        let run (into: float32[]) threads =
            QuantileKernel.lossAndGradient
                DistributionalData.rule
                threads
                (ReadOnlySpan data.Predictions)
                (ReadOnlySpan data.Targets)
                (Span into)
            |> ignore

        use _kept = torch.NewDisposeScope()
        let targets = tensor 200 data.Targets
        let levels = tensor 0 (Array.map float32 DistributionalData.rule.Levels)
        let leaf: torch.Tensor = (tensor 200 data.Predictions).requires_grad_()

        let forward () =
            use _scope = torch.NewDisposeScope()
            use _noGrad = torch.no_grad ()
            PlainReturns.quantileHuber leaf targets levels |> ignore

        let backward (loss: unit -> torch.Tensor) () =
            use _scope = torch.NewDisposeScope()
            (loss ()).backward()

        let both = backward (fun () -> PlainReturns.quantileHuber leaf targets levels)
        let attached = backward (fun () -> ReturnLoss.quantileHuber DistributionalData.rule leaf targets)
        let calls = calls batch 6.0
        let plainName = "all pairs by smooth L1 in TorchSharp"
        let few = if batch > 100 then min repeats 5 else repeats

        [
            yield!
                compared
                    few
                    section
                    $"batch {batch}, forward"
                    calls
                    (run [||])
                    plainName
                    1
                    forward
                    (Peers.quantileForward batch)
                    (fun _ _ row -> row)
            yield!
                compared
                    few
                    section
                    $"batch {batch}, with gradient"
                    calls
                    (run gradient)
                    plainName
                    1
                    both
                    (Peers.quantileBackward batch)
                    (limit native "qr_huber pairwise fwd+grad fused" batch)

            match Measure.inTurns few [ { Calls = calls; Call = attached }; { Calls = calls; Call = (fun () -> run gradient 1) } ] with
            | [ tensors; kernel ] ->
                Row.timed section $"batch {batch}, ReturnLoss.quantileHuber on tensors, backward" "us" tensors "the kernel alone" kernel
            | _ -> ()
        ]

    let private sorted repeats : Row list =
        [
            for size in [ 64; 200; 512; 768; 1024; 4096 ] do
                // So many rows that no processor learns how they compare.
                let rows = 64
                let rule = QuantileRule.standard 1.0 size
                let generator = Generator 2
                let numbers () = Array.init (rows * size) (fun _ -> float32 (3.0 * Sampling.normal generator))
                let predictions, targets, gradient = numbers (), numbers (), Array.zeroCreate<float32>(rows * size)
                let pairs () = QuantileKernel.pairwise rule 1 (ReadOnlySpan predictions) (ReadOnlySpan targets) (Span gradient) |> ignore
                let sort () = QuantileKernel.sorted rule 1 (ReadOnlySpan predictions) (ReadOnlySpan targets) (Span gradient) |> ignore
                let calls = max 1 (16000000 / (rows * size * size))

                match Measure.inTurns repeats [ { Calls = calls; Call = sort }; { Calls = calls; Call = pairs } ] with
                | [ sort; pairs ] ->
                    Row.timed
                        "sorted targets and prefix sums against all pairs, 64 rows, with gradient"
                        $"{size} x {size}"
                        "us"
                        sort
                        "all pairs"
                        pairs
                | _ -> ()
        ]

    let private crossEntropy repeats (batch: int) : Row list =
        let data = DistributionalData.make 1 batch
        let gradient = Array.zeroCreate<float32> data.Logits.Length

        let ours _ =
            CrossEntropy.lossAndGradient 51 (ReadOnlySpan data.Logits) (ReadOnlySpan data.Masses) (Span gradient)
            |> ignore

        use _kept = torch.NewDisposeScope()
        let leaf: torch.Tensor = (tensor 51 data.Logits).requires_grad_()
        let targets = tensor 51 data.Masses

        let backward (loss: unit -> torch.Tensor) () =
            use _scope = torch.NewDisposeScope()
            (loss ()).backward()

        let plain = backward (fun () -> PlainReturns.categorical leaf targets)
        let attached = backward (fun () -> ReturnLoss.categorical leaf targets)
        let section = "categorical cross-entropy with gradient, 51 atoms"
        let many = calls batch 0.5

        match
            Measure.inTurns repeats [ { Calls = many; Call = ours }; { Calls = many; Call = attached }; { Calls = many; Call = plain } ]
        with
        | [ kernel; attached; plain ] ->
            [
                { Row.timed section $"batch {batch}: kernel" "us" kernel "log_softmax and autograd in TorchSharp" plain with
                    Peer = ValueSome(Peers.crossEntropy batch)
                }
                Row.timed
                    section
                    $"batch {batch}: ReturnLoss.categorical on tensors, backward"
                    "us"
                    attached
                    "log_softmax and autograd in TorchSharp"
                    plain
            ]
        | _ -> []

    /// The rows; C++ figures by line, where there are any.
    let measure (repeats: int) (native: IReadOnlyDictionary<string, float> voption) (cancellation: CancellationToken) : Row list =
        [
            for part in [ projection repeats native; quantile repeats native; crossEntropy repeats ] do
                for batch in [ 32; 1024 ] do
                    cancellation.ThrowIfCancellationRequested()
                    yield! part batch

            yield! sorted (min repeats 7)
        ]

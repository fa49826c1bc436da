namespace ValueFlow.Benchmarks

open System
open TorchSharp
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning

/// Time of an Euler-Maruyama step with the trained network as drift and the diagonal diffusion 0.2 + 0.1 sin x, 128 steps on [0, 1].
[<RequireQualifiedAccess>]
module StochasticRows =

    [<Literal>]
    let private Section = "Euler-Maruyama step"

    [<Literal>]
    let private Steps = 128

    let private spread (x: torch.Tensor) : torch.Tensor = Lifetime.keep (fun () -> Elementwise.times 0.1 (x.sin ()) |> Elementwise.plus 0.2)

    // x + h f + g sqrt(h) z, step by step; the noise is libtorch's and not kept.
    let private loop (drift: torch.Tensor -> torch.Tensor -> torch.Tensor) (x0: torch.Tensor) : unit =
        let h = 1.0 / float Steps
        let mutable x = x0.clone ()

        for n in 0 .. Steps - 1 do
            let next =
                Lifetime.keep (fun () ->
                    let t: torch.Tensor = torch.tensor (float32 (float n * h))
                    let noise: torch.Tensor = Elementwise.times (sqrt h) (torch.randn_like x)
                    Elementwise.sum (Elementwise.addTimes h (drift t x) x) ((spread x).mul noise))

            x.Dispose()
            x <- next

        x.Dispose()

    let private row (extent: Extent) (data: FlowData) (batch: int) : Row list =
        use _plain = torch.no_grad ()
        use _scope = torch.NewDisposeScope()
        let x0 = FlowData.rows 2 batch data.TestStart
        let field = NetworkField.field data.Trained
        use modules = PlainTorch.modules data.Trained
        let equation = StochasticEquation.diagonal field (Field.autonomous "0.2 + 0.1 sin x" spread)
        let options = SdeOptions.create SdeScheme.eulerMaruyama Steps
        let mutable seed = 0

        // A path that was never asked before, as the loop draws numbers that were never drawn before.
        let solve () =
            seed <- seed + 1
            let path = BrownianPath.Create(seed, 0.0, 1.0, Steps, List.ofArray x0.shape, torch.float32)
            (Sde.solve options equation path x0 0.0 1.0 :> IDisposable).Dispose()

        match
            Measure.inTurns
                extent.Repeats
                [
                    { Calls = 1; Call = solve }
                    { Calls = 1; Call = fun () -> loop (PlainTorch.forward modules) x0 }
                    { Calls = 1; Call = fun () -> loop field.Apply x0 }
                ]
        with
        | [ ours; plain; fused ] ->
            let each (timing: Timing) =
                let share = Array.map (fun s -> s / float Steps)
                { Cpu = share timing.Cpu; Wall = share timing.Wall }

            let ours, plain, fused = each ours, each plain, each fused
            let rate (timing: Timing) = $"{1.0 / Measure.seconds timing:F0} steps/s"

            [
                { Row.timed Section $"batch {batch}: ours" "us" ours "plain loop, TorchSharp modules" plain with
                    Note = rate ours
                    Peer = ValueSome(Peers.eulerMaruyama batch)
                }
                |> Row.atMost "in steps of the plain loop" 1.0 (Measure.ratio ours plain)
                { Row.timed Section $"batch {batch}: ours" "us" ours "plain loop, our field" fused with
                    Note = "what paths that can be asked again cost"
                }
            ]
        | _ -> []

    /// The rows.
    let measure (extent: Extent) (data: FlowData) : Row list = [ 256; 4096 ] |> List.collect (row extent data)

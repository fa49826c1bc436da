namespace ValueFlow.Benchmarks

open System
open TorchSharp
open ValueFlow.Core.Learning

/// The yardsticks: what one would write with TorchSharp alone, modules, autograd and torch.optim.
[<RequireQualifiedAccess>]
module PlainTorch =

    let private modulesOf (configuration: NetworkConfiguration) : (string * torch.nn.Module<torch.Tensor, torch.Tensor>) list =
        let widths = NetworkConfiguration.inputWidth configuration :: configuration.Hidden @ [ configuration.Output ]
        let last = widths.Length - 2

        let activation () : torch.nn.Module<torch.Tensor, torch.Tensor> =
            match configuration.Activation with
            | Activation.Selu -> torch.nn.SELU()
            | Activation.Silu -> torch.nn.SiLU()
            | other -> invalidArg (nameof configuration) $"the activation must be SELU or SiLU but is {other}"

        [
            for i, (inputs, outputs) in List.indexed (List.pairwise widths) do
                yield $"linear{i}", (torch.nn.Linear(int64 inputs, int64 outputs) :> torch.nn.Module<torch.Tensor, torch.Tensor>)

                if i < last then
                    yield $"activation{i}", activation ()
        ]

    /// The network as modules: fresh ones with the same numbers.
    let modules (network: Network) : torch.nn.Module<torch.Tensor, torch.Tensor> =
        let parts = modulesOf network.Configuration |> List.map (fun (name, part) -> struct (name, part))
        let sequence = torch.nn.Sequential(Array.ofList parts)
        use _scope = torch.NewDisposeScope()
        use _plain = torch.no_grad ()
        let mutable offset = 0

        // Weight, then bias, layer by layer: the order of the flat vector.
        for parameter in sequence.parameters () do
            let count = int (parameter.numel ())
            let values: torch.Tensor = (torch.tensor network.Parameters[offset .. offset + count - 1]).reshape parameter.shape
            parameter.copy_ values |> ignore
            offset <- offset + count

        sequence

    /// v(t, x) without gradients; the caller owns the value.
    let forward (modules: torch.nn.Module<torch.Tensor, torch.Tensor>) (t: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        use scope = torch.NewDisposeScope()
        use _plain = torch.no_grad ()
        let time: torch.Tensor = t.expand (x.shape[0], 1L)
        scope.MoveToOuter(modules.forward (torch.cat ([| x; time |], 1L)))

    /// One step: the mean squared error of the velocity, backward, Adam. Points and times are joined in the inputs.
    let trainingStep
        (modules: torch.nn.Module<torch.Tensor, torch.Tensor>)
        (adam: torch.optim.Optimizer)
        (inputs: torch.Tensor)
        (targets: torch.Tensor)
        : torch.Tensor =
        let value: torch.Tensor = modules.forward inputs
        let loss: torch.Tensor = torch.nn.functional.mse_loss (value, targets)
        adam.zero_grad ()
        loss.backward ()
        adam.step () |> ignore
        loss

    /// Rows of two pools at random, and times: (x0, x1, t), all in the current scope.
    let draw (batch: int) (pool0: torch.Tensor) (pool1: torch.Tensor) : struct (torch.Tensor * torch.Tensor * torch.Tensor) =
        let pick (pool: torch.Tensor) : torch.Tensor = pool.index_select (0L, torch.randint (pool.shape[0], [| int64 batch |]))

        struct (pick pool0, pick pool1, torch.rand ([| int64 batch; 1L |], dtype = Nullable torch.float32))

    /// Points of the linear path with their times, and its velocity.
    let linearPath (x0: torch.Tensor) (x1: torch.Tensor) (t: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        let velocity: torch.Tensor = x1.sub x0
        let points: torch.Tensor = x0.addcmul (t, velocity, Scalar.op_Implicit 1.0)
        struct (torch.cat ([| points; t |], 1L), velocity)

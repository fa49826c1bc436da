/// Training step and forward pass against plain TorchSharp, measured in turns within one run. No test: it prints.
module ValueFlow.LearningTests.Speed.TrainingSpeed

open System
open System.Diagnostics
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Learning

let private median (values: float[]) = (Array.sort values)[values.Length / 2]

let private microseconds (repeats: int) (work: unit -> unit) =
    let clock = Stopwatch.StartNew()

    for _ in 1..repeats do
        work ()

    clock.Elapsed.TotalMicroseconds / float repeats

/// The network of the flow benchmarks, 3-64-64-64-2 with SELU, in float32 on one thread: modules, autograd and torch.optim.Adam; and the fused kernels.
/// The same batch at every step; 41 pairs of blocks of steps; medians of the blocks, and of the ratios within pairs.
let print (write: string -> unit) : unit =
    torch.set_num_threads 1
    let batch = 256
    let configuration = NetworkConfiguration.timeMlp 2 [ 64; 64; 64 ] Activation.Selu
    let network = Network.init Initialisation.Linear (Generator 1) configuration
    let generator = Generator 2
    let normals count = Array.init count (fun _ -> float32 (Sampling.normal generator))
    let x, y = normals (2 * batch), normals (2 * batch)
    let t = Array.init batch (fun _ -> float32 (generator.Uniform()))

    use modules =
        torch.nn.Sequential(
            torch.nn.Linear(3L, 64L),
            torch.nn.SELU(),
            torch.nn.Linear(64L, 64L),
            torch.nn.SELU(),
            torch.nn.Linear(64L, 64L),
            torch.nn.SELU(),
            torch.nn.Linear(64L, 2L)
        )

    use adam = torch.optim.Adam(modules.parameters (), 1e-3)
    let matrix (rows: int) (values: float32[]) : torch.Tensor = (torch.tensor values).reshape([| int64 rows; -1L |])
    use inputs: torch.Tensor = torch.cat ([| matrix batch x; matrix batch t |], 1L)
    use targets = matrix batch y

    let plainStep () =
        use _scope = torch.NewDisposeScope()
        let value: torch.Tensor = modules.forward inputs
        let loss: torch.Tensor = torch.nn.functional.mse_loss (value, targets)
        adam.zero_grad ()
        loss.backward ()
        adam.step () |> ignore

    let fixedBatch = RegressionBatch.atTimes batch t x y
    let objective = Objective.regression "benchmark" configuration RegressionLoss.Squared (fun _ -> fixedBatch)
    let steps = 100
    let options = TrainingOptions.standard steps
    let run () = Training.run options objective network |> ignore

    let compare name plainRepeats plain oursRepeats (ours: unit -> unit) share =
        // Twice with a pause: the runtime compiles what is hot again.
        for _ in 1..2 do
            microseconds (10 * plainRepeats) plain |> ignore
            microseconds (10 * oursRepeats) ours |> ignore
            Threading.Thread.Sleep 300

        let pairs = Array.init 41 (fun _ -> microseconds plainRepeats plain, microseconds oursRepeats ours / share)
        let plainTime, oursTime = pairs |> Array.map fst |> median, pairs |> Array.map snd |> median
        let ratio = pairs |> Array.map (fun (a, b) -> a / b) |> median
        write $"{name}: plain {plainTime:F0} us, fused {oursTime:F0} us, plain / fused {ratio:F2}"

    compare "training step, batch 256" steps plainStep 1 run (float steps)

    for rows in [ 256; 4096 ] do
        let field = NetworkField.field network
        use points = matrix rows (normals (2 * rows))
        use time: torch.Tensor = torch.tensor 0.5f
        use column: torch.Tensor = torch.full ([| int64 rows; 1L |], Scalar.op_Implicit 0.5f)

        let plain () =
            use _scope = torch.NewDisposeScope()
            use _noGrad = torch.no_grad ()
            modules.forward (torch.cat ([| points; column |], 1L)) |> ignore

        let fused () = (field.Apply time points).Dispose()
        compare $"forward pass as a field, batch {rows}" 50 plain 50 fused 1.0

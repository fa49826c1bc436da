namespace ValueFlow.Studies

open System
open Microsoft.Data.Analysis
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows

/// What the studies of moving clouds share: claims, numbers of tensors, distances and solves.
module internal Ensembles =

    /// The source of a target that was measured on seeds 1, 2 and 3, given a margin, and frozen.
    let calibrated = "calibrated 2026-11-25, then frozen"

    /// A claim and what was measured.
    let finding (relation: Relation) (text: string) (expected: float) (tolerance: float) (source: string) (measured: float) : Finding =
        {
            Claim =
                {
                    Text = text
                    Expected = expected
                    Relation = relation
                    Tolerance = tolerance
                    Source = source
                    ExpectReproduced = true
                }
            Measured = measured
        }

    /// The number is small enough.
    let atMost text expected source measured = finding Relation.AtMost text expected 0.0 source measured
    /// The number is large enough.
    let atLeast text expected source measured = finding Relation.AtLeast text expected 0.0 source measured
    /// The number is the expected one.
    let equals text expected tolerance source measured = finding Relation.Equals text expected tolerance source measured

    /// The numbers of a tensor, row by row, and nothing else of it.
    let numbers (x: torch.Tensor) : float[] =
        Lifetime.within (fun () -> x.detach().``to``(torch.float64).contiguous().data<float>().ToArray())

    /// The rows of a tensor (count, d).
    let rows (x: torch.Tensor) : float[][] = numbers x |> Array.chunkBySize (int x.shape[1])

    /// A column of rows.
    let column (k: int) (points: float[][]) : float[] = points |> Array.map (fun point -> point[k])

    /// A tensor of rows in float32.
    let tensor (points: float[][]) : torch.Tensor =
        Lifetime.keep (fun () ->
            (torch.tensor (Array.concat points, dtype = torch.float32)).reshape [| int64 points.Length; int64 points[0].Length |])

    /// A draw from N(0, I) on R^d.
    let normal (generator: Generator) (dimension: int) : float[] = Array.init dimension (fun _ -> Sampling.normal generator)

    /// The mean over 100 directions, the same for every pair of clouds, of W2^2 between projections; its root.
    let slicedW2 (first: float[][]) (second: float[][]) : float =
        Line.sliced (Generator 7) 100 2.0 (Sample.OfPoints first) (Sample.OfPoints second)

    /// The rows at the given times (the first is where the solve starts), without gradients.
    let carry (options: OdeOptions) (field: Field) (times: float[]) (start: float[][]) : float[][][] =
        Lifetime.within (fun () ->
            use _quiet = torch.no_grad ()
            let final = times[times.Length - 1]
            use solution = Ode.solve { options with Save = times } field (tensor start) times[0] final

            if solution.Reason <> Reason.ReachedEnd then
                invalidOp $"{field.Name}: {solution.Reason} at {solution.Time}"

            solution.Saved |> Array.map rows)

    /// A table from named columns.
    let table (title: string) (names: (string * string[]) list) (columns: (string * float[]) list) : struct (string * DataFrame) =
        let all: DataFrameColumn[] =
            [|
                for name, values in names do
                    StringDataFrameColumn(name, values)
                for name, values in columns do
                    DoubleDataFrameColumn(name, values)
            |]

        struct (title, DataFrame all)

    /// Says how far a training is, every hundred steps.
    let told (progress: Action<string>) (name: string) (steps: int) (step: int) : unit =
        if step % 100 = 0 then
            progress.Invoke $"{name}: step {step} of {steps}"

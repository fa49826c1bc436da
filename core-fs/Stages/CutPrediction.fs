namespace ValueFlow.Core.Stages

open System
open System.Threading
open MathNet.Numerics.LinearAlgebra.Double
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning

/// An instance that was solved: what is known of it beforehand, and its cuts at the canonical states.
type SolvedInstance =
    {
        /// The numbers that tell instances apart.
        Context: float[]
        /// For each stage but the last one cut for each canonical state, in their order.
        Cuts: Cut[][]
    }

/// How cuts are predicted from a context.
[<RequireQualifiedAccess>]
type CutPredictor =
    /// The mean of the cuts of all instances, whatever the context.
    | Mean
    /// A linear function of the standardised context, with this penalty on its coefficients (in units of instances).
    | Ridge of penalty: float
    /// A multilayer perceptron of the standardised context, with hidden layers of these widths, trained by Adam for so many steps from a seed.
    | Network of hidden: int list * steps: int * seed: int

/// Cuts that are guessed from what is known of an instance, without solving it. A guess need not lie below the expected cost, so that it bounds nothing;
/// but it leads to a policy, whose exact cost does, and it may guide the paths of a solver that makes cuts of its own.
/// Dai, Xue, Syed, Schuurmans and Dai 2021, "Neural stochastic dual dynamic programming".
[<Sealed>]
type CutModel internal (states: float[][], stages: int, width: int, predict: float[] -> float[]) =

    /// The states at which cuts are predicted.
    member _.States: float[][] = states |> Array.map Array.copy

    /// For each stage but the last one cut for each canonical state. Throws an ArgumentException for a context of another length.
    member _.Predict(context: float[]) : Cut[][] =
        Shape.requireLength (nameof context) width context.Length
        Shape.requireFinite (nameof context) context
        let numbers = predict context
        let size = states[0].Length + 1

        Array.init stages (fun t ->
            Array.init states.Length (fun k ->
                let offset = (t * states.Length + k) * size
                Cut.through states[k] numbers[offset] numbers[offset + 1 .. offset + size - 1]))

/// Learns to predict cuts.
[<RequireQualifiedAccess>]
module CutPrediction =

    // Value at the canonical state, then slopes, cut by cut: numbers of one size, unlike intercepts.
    let private numbers (states: float[][]) (cuts: Cut[][]) =
        cuts
        |> Array.collect (fun set ->
            Array.map2 (fun (cut: Cut) state -> Array.append [| cut.At state |] cut.Slopes) set states |> Array.concat)

    let private moments (rows: float[][]) =
        let mean = Array.init rows[0].Length (fun j -> rows |> Array.averageBy (fun row -> row[j]))

        let spread =
            Array.init mean.Length (fun j ->
                let variance = rows |> Array.averageBy (fun row -> (row[j] - mean[j]) * (row[j] - mean[j]))
                if variance > 0.0 then sqrt variance else 1.0)

        struct (mean, spread)

    let private standard mean spread row = Array.map3 (fun m s x -> (x - m) / s) mean spread row

    let private ridge (penalty: float) (inputs: float[][]) (targets: float[][]) =
        let x = DenseMatrix.OfRowArrays inputs
        let y = DenseMatrix.OfRowArrays targets
        let normal = x.TransposeThisAndMultiply x + DenseMatrix.CreateDiagonal(x.ColumnCount, x.ColumnCount, penalty)
        let weights = normal.Cholesky().Solve(x.TransposeThisAndMultiply y)
        fun (row: float[]) -> weights.LeftMultiply(DenseVector.OfArray row).ToArray()

    let private network hidden steps seed (cancellation: CancellationToken) (inputs: float[][]) (targets: float[][]) =
        let configuration = NetworkConfiguration.mlp inputs[0].Length hidden targets[0].Length Activation.Silu
        let flat (rows: float[][]) = rows |> Array.concat |> Array.map float32
        let batch = RegressionBatch.create inputs.Length (flat inputs) (flat targets)
        let objective = Objective.regression "cuts" configuration RegressionLoss.Squared (fun _ -> batch)

        let options =
            { TrainingOptions.standard steps with
                Seed = seed
                Cancellation = cancellation
                LearningRate = LearningRate.Cosine(3e-3, 0.0, steps)
            }

        let start = Network.init Initialisation.LeCun (Generator seed) configuration
        let trained = (Training.run options objective start).Network
        cancellation.ThrowIfCancellationRequested()
        let fused = FusedNetwork configuration
        fused.Load(ReadOnlySpan trained.Parameters)

        fun (row: float[]) ->
            let output = Array.zeroCreate<float32> targets[0].Length
            fused.Forward(1, ReadOnlySpan(row |> Array.map float32), ReadOnlySpan(), ReadOnlySpan(), Span output)
            output |> Array.map float

    /// A model that predicts cuts at canonical states from contexts. Throws an ArgumentException for no instances, no states, cuts or contexts of different numbers, and
    /// parameters that make no sense.
    let train (cancellation: CancellationToken) (predictor: CutPredictor) (states: float[][]) (instances: SolvedInstance[]) : CutModel =
        if states.Length = 0 then
            invalidArg (nameof states) "there must be at least one canonical state but there is none"

        if instances.Length = 0 then
            invalidArg (nameof instances) "there must be at least one instance but there is none"

        let stages, width = instances[0].Cuts.Length, instances[0].Context.Length

        for instance in instances do
            Shape.requireLength $"{nameof instances}: stages with cuts" stages instance.Cuts.Length
            Shape.requireLength $"{nameof instances}: contexts" width instance.Context.Length
            Shape.requireFinite $"{nameof instances}: contexts" instance.Context

            for set in instance.Cuts do
                Shape.requireLength $"{nameof instances}: cuts of a stage" states.Length set.Length

        let contexts = instances |> Array.map _.Context
        let targets = instances |> Array.map (fun instance -> numbers states instance.Cuts)
        let struct (contextMean, contextSpread) = moments contexts
        let struct (targetMean, targetSpread) = moments targets
        let inputs = contexts |> Array.map (standard contextMean contextSpread)
        let outputs = targets |> Array.map (standard targetMean targetSpread)

        let guess =
            match predictor with
            | CutPredictor.Mean -> fun _ -> Array.zeroCreate<float> targetMean.Length
            | CutPredictor.Ridge penalty ->
                if not (penalty > 0.0 && Double.IsFinite penalty) then
                    invalidArg (nameof predictor) $"penalty must be positive and finite but is {penalty}"

                ridge penalty inputs outputs
            | CutPredictor.Network(hidden, steps, seed) ->
                if steps < 1 then
                    invalidArg (nameof predictor) $"steps must be at least 1 but are {steps}"

                network hidden steps seed cancellation inputs outputs

        let predict context =
            guess (standard contextMean contextSpread context)
            |> Array.map3 (fun m s z -> m + s * z) targetMean targetSpread

        CutModel(Array.map Array.copy states, stages, width, predict)

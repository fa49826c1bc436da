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

    /// For each stage but the last one cut for each canonical state. Throws an ArgumentException for a context of another length. Not for several threads at once.
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

    /// Cuts at canonical states when the entries of the state are put in another order, each at the state that its own becomes: entry k of the result is entry
    /// order[k]. Products that are told apart only by their numbers may be exchanged, so that one solved instance is as many as there are orders. Throws an
    /// ArgumentException where a reordered state is no canonical one.
    let reordered (states: float[][]) (order: int[]) (cuts: Cut[][]) : Cut[][] =
        let turned (values: float[]) = order |> Array.map (fun i -> values[i])

        let places =
            states
            |> Array.map (fun state ->
                match Array.tryFindIndex (fun other -> other = turned state) states with
                | Some place -> place
                | None -> invalidArg (nameof states) $"reordered states must be canonical ones but %A{turned state} is none")

        cuts
        |> Array.map (fun set ->
            Shape.requireLength (nameof cuts) states.Length set.Length
            let result = Array.zeroCreate<Cut> set.Length
            set |> Array.iteri (fun k cut -> result[places[k]] <- { cut with Slopes = turned cut.Slopes })
            result)

    /// Predicted cuts made to agree with what is known of all of them: slopes are brought between the least and the largest that the problem allows, the value at the
    /// cut's own canonical state kept; then a cut that exceeds the value of another one at that one's state is lowered until it does not, since the expected
    /// cost is convex. Cuts that were computed at the states stay as they are. Without it a slope that is steeper than any saving makes a policy
    /// that stocks up without end.
    let repaired (states: float[][]) (slopes: struct (float[] * float[])[]) (cuts: Cut[][]) : Cut[][] =
        Shape.requireLength (nameof slopes) cuts.Length slopes.Length

        Array.map2
            (fun (struct (least: float[], largest: float[])) (set: Cut[]) ->
                Shape.requireLength (nameof cuts) states.Length set.Length
                let values = Array.map2 (fun (cut: Cut) state -> cut.At state) set states

                let clipped =
                    set
                    |> Array.mapi (fun k cut ->
                        Array.map3 (fun low high b -> max low (min high b)) least largest cut.Slopes
                        |> Cut.through states[k] values[k])

                clipped
                |> Array.map (fun cut ->
                    let excess = Array.fold2 (fun most state value -> Math.Max(most, cut.At state - value)) 0.0 states values
                    { cut with Intercept = cut.Intercept - excess }))
            slopes
            cuts

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

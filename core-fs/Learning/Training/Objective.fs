namespace ValueFlow.Core.Learning

open System
open System.Runtime.InteropServices
open TorchSharp
open ValueFlow.Core.Foundations

/// What a run makes small.
type Objective =
    {
        /// What is minimised, on which data: a checkpoint remembers it, and is not resumed under another name.
        Name: string
        /// The loss of a step at the parameters; writes its gradient into the second vector, and changes nothing else. A pure function of the moment and the
        /// parameters.
        Evaluate: Moment -> float32[] -> float32[] -> float
    }

/// The points and targets of one step, row by row.
type RegressionBatch =
    {
        /// How many rows.
        Rows: int
        /// x, (rows x input).
        Points: float32[]
        /// t: one number for all rows or one a row; empty for a network without time.
        Times: float32[]
        /// The condition, (rows x condition); empty for none.
        Conditions: float32[]
        /// What the network should be there, (rows x output).
        Targets: float32[]
        /// A factor for the loss of each row; empty: all one.
        Weights: float32[]
    }

/// Makes the points and targets of a step.
[<RequireQualifiedAccess>]
module RegressionBatch =

    /// Points and targets.
    let create (rows: int) (points: float32[]) (targets: float32[]) : RegressionBatch =
        { Rows = rows; Points = points; Times = [||]; Conditions = [||]; Targets = targets; Weights = [||] }

    /// Points, times and targets.
    let atTimes (rows: int) (times: float32[]) (points: float32[]) (targets: float32[]) : RegressionBatch =
        { create rows points targets with Times = times }

    let private numbers (name: string) (tensor: torch.Tensor) : float32[] =
        Shape.requireType name torch.float32 tensor

        Lifetime.within (fun () ->
            let plain: torch.Tensor = tensor.detach().cpu().contiguous()

            if plain.numel () = 0L then [||] else MemoryMarshal.Cast<byte, float32>(plain.bytes).ToArray())

    /// The inputs and targets (batch x output) of a step from float32 tensors: copies.
    let ofTensors (inputs: NetworkInputs) (targets: torch.Tensor) : RegressionBatch =
        let orEmpty name tensor =
            match tensor with
            | ValueSome tensor -> numbers name tensor
            | ValueNone -> [||]

        {
            Rows = int inputs.Points.shape[0]
            Points = numbers "x" inputs.Points
            Times = orEmpty "t" inputs.Time
            Conditions = orEmpty "condition" inputs.Condition
            Targets = numbers (nameof targets) targets
            Weights = [||]
        }

/// Makes objectives.
[<RequireQualifiedAccess>]
module Objective =

    /// The mean loss of a network at the points of each step: value and gradient in one pass of the fused kernels. One run at a time.
    let regression
        (name: string)
        (configuration: NetworkConfiguration)
        (loss: RegressionLoss)
        (draw: Moment -> RegressionBatch)
        : Objective =
        let fused = FusedNetwork configuration

        {
            Name = name
            Evaluate =
                fun moment parameters gradient ->
                    let batch = draw moment
                    fused.Load(ReadOnlySpan parameters)

                    fused.Regression(
                        loss,
                        batch.Rows,
                        ReadOnlySpan batch.Points,
                        ReadOnlySpan batch.Times,
                        ReadOnlySpan batch.Conditions,
                        ReadOnlySpan batch.Targets,
                        ReadOnlySpan batch.Weights,
                        Span gradient
                    )
        }

    /// Any differentiable loss: a function of the moment and the flat parameter vector, a float32 tensor that records gradients, to one number. Every tensor
    /// born in it is freed after the step. Throws an ArgumentException where the loss is no single number, or does not depend on the parameters.
    let differentiable (name: string) (loss: Moment -> torch.Tensor -> torch.Tensor) : Objective =
        let evaluate (moment: Moment) (parameters: float32[]) (gradient: float32[]) : float =
            Lifetime.within (fun () ->
                use _recording = torch.enable_grad ()
                let leaf: torch.Tensor = (torch.tensor parameters).requires_grad_ true
                let value: torch.Tensor = loss moment leaf

                if value.numel () <> 1L then
                    invalidArg (nameof loss) $"the loss must be one number but has {value.numel ()}"

                if not value.requires_grad then
                    invalidArg (nameof loss) "the loss must depend on the parameters but does not"

                value.backward ()

                match leaf.grad with
                | null -> invalidArg (nameof loss) "the loss must depend on the parameters but does not"
                | found ->
                    let plain: torch.Tensor = found.contiguous ()
                    MemoryMarshal.Cast<byte, float32>(plain.bytes).CopyTo(Span gradient)
                    (value.detach().``to``(torch.float64)).item<float>())

        { Name = name; Evaluate = evaluate }

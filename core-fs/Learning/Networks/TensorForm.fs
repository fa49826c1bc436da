namespace ValueFlow.Core.Learning

open System
open TorchSharp
open ValueFlow.Core.Foundations

/// What a network is asked: points, and where its configuration has them, time and condition; all of one type.
type NetworkInputs =
    {
        /// x, (batch x input).
        Points: torch.Tensor
        /// t: one number (0-dimensional) or one a row (batch).
        Time: torch.Tensor voption
        /// The condition, (batch x condition).
        Condition: torch.Tensor voption
    }

/// A network as a function of tensors: differentiable, as often as its activation, by parameters, points, time and condition. float32 or float64.
[<RequireQualifiedAccess>]
module TensorForm =

    let private requireInputs (configuration: NetworkConfiguration) (parameters: torch.Tensor) (inputs: NetworkInputs) =
        Shape.require "parameters" [ int64 (NetworkConfiguration.parameterCount configuration) ] parameters
        Shape.require "x" [ -1L; int64 configuration.Input ] inputs.Points
        let dtype: torch.ScalarType = inputs.Points.dtype

        if dtype <> torch.float32 && dtype <> torch.float64 then
            invalidArg "x" $"type must be Float32 or Float64 but is {dtype}"

        Shape.requireType "parameters" dtype parameters

        match configuration.Time, inputs.Time with
        | TimeInput.Absent, ValueNone -> ()
        | TimeInput.Absent, ValueSome _ -> invalidArg "t" "the network takes no time but a time was given"
        | _, ValueNone -> invalidArg "t" "the network takes the time but none was given"
        | _, ValueSome t ->
            Shape.requireType "t" dtype t

            if t.dim () <> 0L then
                Shape.require "t" [ inputs.Points.shape[0] ] t

        match configuration.Condition, inputs.Condition with
        | 0, ValueNone -> ()
        | 0, ValueSome _ -> invalidArg "condition" "the network takes no condition but one was given"
        | _, ValueNone -> invalidArg "condition" "the network takes a condition but none was given"
        | width, ValueSome condition ->
            Shape.requireType "condition" dtype condition
            Shape.require "condition" [ inputs.Points.shape[0]; int64 width ] condition

    let private timeColumns (configuration: NetworkConfiguration) (batch: int64) (t: torch.Tensor) : torch.Tensor =
        let column: torch.Tensor = (if t.dim () = 0L then t.expand ([| batch |]) else t).unsqueeze 1L

        match configuration.Time with
        | TimeInput.Fourier frequencies ->
            let turns = Array.init frequencies (fun j -> 2.0 * Math.PI * float (j + 1))
            let factors: torch.Tensor = torch.tensor(turns).``to``(t.dtype: torch.ScalarType)
            let angles: torch.Tensor = column.mul factors
            torch.cat ([| column; angles.sin (); angles.cos () |], 1L)
        | TimeInput.Absent
        | TimeInput.Plain -> column

    /// The value (batch x output) of the network with the flat parameter vector at the inputs: one fresh tensor.
    /// Throws an ArgumentException for shapes and types that do not fit.
    let apply (configuration: NetworkConfiguration) (parameters: torch.Tensor) (inputs: NetworkInputs) : torch.Tensor =
        requireInputs configuration parameters inputs
        let layers = NetworkConfiguration.layers configuration

        Lifetime.keep (fun () ->
            let columns =
                [|
                    inputs.Points
                    match inputs.Time with
                    | ValueSome t -> timeColumns configuration inputs.Points.shape[0] t
                    | ValueNone -> ()
                    match inputs.Condition with
                    | ValueSome condition -> condition
                    | ValueNone -> ()
                |]

            let mutable state: torch.Tensor = if columns.Length = 1 then columns[0] else torch.cat (columns, 1L)

            for i in 0 .. layers.Length - 1 do
                let layer = layers[i]
                let flat: torch.Tensor = parameters.narrow (0L, int64 layer.Offset, int64 (layer.Bias - layer.Offset))
                let weight: torch.Tensor = flat.view ([| int64 layer.Outputs; int64 layer.Inputs |])
                let bias: torch.Tensor = parameters.narrow (0L, int64 layer.Bias, int64 layer.Outputs)
                state <- torch.nn.functional.linear (state, weight, bias)

                if i < layers.Length - 1 then
                    state <- Activation.apply configuration.Activation state

            state)

    /// The network of x alone: f(x).
    let ofPoints (configuration: NetworkConfiguration) (parameters: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        apply configuration parameters { Points = x; Time = ValueNone; Condition = ValueNone }

    /// The network of x and t: f(t, x).
    let ofTime (configuration: NetworkConfiguration) (parameters: torch.Tensor) (t: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        apply configuration parameters { Points = x; Time = ValueSome t; Condition = ValueNone }

    /// A network of one output as a scalar action s(t, x), (batch): one number a row.
    let action (configuration: NetworkConfiguration) (parameters: torch.Tensor) (t: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        if configuration.Output <> 1 then
            invalidArg (nameof configuration) $"an action has one output but the network has {configuration.Output}"

        Lifetime.keep (fun () -> (ofTime configuration parameters t x).squeeze 1L)

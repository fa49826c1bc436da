/// Random networks and their inputs as plain data that prints and shrinks.
module ValueFlow.LearningTests.Networks.Sketch

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning

/// Bytes that are folded into their ranges: whatever FsCheck draws is a network with inputs.
type Sketch =
    {
        Seed: int
        Activation: byte
        Depth: byte
        Width: byte
        Input: byte
        Output: byte
        Time: byte
        Condition: byte
        Rows: byte
        OneTime: bool
        Weighted: bool
        Huber: bool
    }

let configuration (sketch: Sketch) : NetworkConfiguration =
    {
        Input = 1 + int sketch.Input % 5
        Time =
            match int sketch.Time % 4 with
            | 0 -> TimeInput.Absent
            | 1 -> TimeInput.Plain
            | frequencies -> TimeInput.Fourier(frequencies - 1)
        Condition = int sketch.Condition % 3
        Hidden = List.init (int sketch.Depth % 4) (fun i -> 1 + (int sketch.Width + 7 * i) % 37)
        Output = 1 + int sketch.Output % 19
        Activation = Activation.all[int sketch.Activation % Activation.all.Length]
    }

/// Numbers of a network, and what it is asked: x, t, condition, targets, weights, row by row.
type Case =
    {
        Configuration: NetworkConfiguration
        Parameters: float32[]
        Rows: int
        X: float32[]
        T: float32[]
        Condition: float32[]
        Targets: float32[]
        Weights: float32[]
        Loss: RegressionLoss
    }

let case (sketch: Sketch) : Case =
    let configuration = configuration sketch
    let generator = Generator sketch.Seed
    let rows = 1 + int sketch.Rows % 150
    let numbers count = Array.init count (fun _ -> float32 (4.0 * generator.Uniform() - 2.0))
    let network = Network.init Initialisation.Linear generator configuration

    {
        Configuration = configuration
        Parameters = network.Parameters
        Rows = rows
        X = numbers (rows * configuration.Input)
        T =
            if configuration.Time = TimeInput.Absent then [||]
            elif sketch.OneTime then numbers 1
            else numbers rows
        Condition = numbers (rows * configuration.Condition)
        Targets = numbers (rows * configuration.Output)
        Weights = if sketch.Weighted then Array.map abs (numbers rows) else [||]
        Loss = if sketch.Huber then RegressionLoss.Huber 0.7 else RegressionLoss.Squared
    }

let tensor (dtype: torch.ScalarType) (shape: int list) (values: float32[]) : torch.Tensor =
    let flat: torch.Tensor = torch.tensor(values).``to``(dtype)
    flat.reshape (shape |> List.map int64 |> Array.ofList)

let inputs (dtype: torch.ScalarType) (case: Case) : NetworkInputs =
    {
        Points = tensor dtype [ case.Rows; case.Configuration.Input ] case.X
        Time =
            match case.T.Length with
            | 0 -> ValueNone
            | 1 -> ValueSome(tensor dtype [] case.T)
            | rows -> ValueSome(tensor dtype [ rows ] case.T)
        Condition =
            if case.Configuration.Condition = 0 then
                ValueNone
            else
                ValueSome(tensor dtype [ case.Rows; case.Configuration.Condition ] case.Condition)
    }

let numbersOf (tensor: torch.Tensor) : float[] =
    let plain: torch.Tensor = tensor.detach().``to``(torch.float64).contiguous()
    plain.data<float>().ToArray()

/// The loss in tensors, at a flat parameter vector in float64.
let loss (case: Case) (parameters: torch.Tensor) : torch.Tensor =
    let value: torch.Tensor = TensorForm.apply case.Configuration parameters (inputs torch.float64 case)
    let error: torch.Tensor = value.sub (tensor torch.float64 [ case.Rows; case.Configuration.Output ] case.Targets)

    let each: torch.Tensor =
        match case.Loss with
        | RegressionLoss.Squared -> error.mul error
        | RegressionLoss.Huber distance ->
            let size = error.abs ()
            let inner = Elementwise.times 0.5 (error.mul error)
            let outer = Elementwise.times distance (Elementwise.plus (-0.5 * distance) size)
            torch.where (Elementwise.isAtMost distance size, inner, outer)

    let weighted: torch.Tensor =
        if case.Weights.Length = 0 then
            each
        else
            each.mul (tensor torch.float64 [ case.Rows; 1 ] case.Weights)

    weighted.mean ()

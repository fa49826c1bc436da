namespace ValueFlow.Core.Learning

open System
open System.Globalization
open System.IO

/// All that a run is between two steps.
type internal TrainingState =
    {
        /// Steps done.
        Step: int
        Parameters: float32[]
        Optimiser: OptimiserState
        /// The moving average; empty where there is none.
        Average: float32[]
        History: LossHistory
    }

/// A run's state in one safetensors file: numbers bit for bit, and in the metadata the configuration and everything that the next steps depend on.
[<RequireQualifiedAccess>]
module internal Checkpoint =

    [<Literal>]
    let private Format = "valueflow.checkpoint"

    let private vector (name: string) (values: float32[]) = Safetensors.ofFloat32 name [ int64 values.Length ] (ReadOnlySpan values)

    let write (path: string) (configuration: NetworkConfiguration) (facts: (string * string) list) (state: TrainingState) : unit =
        let means = Array.ofList state.History.Means

        let tensors =
            [
                vector "parameters" state.Parameters
                vector "average" state.Average
                Safetensors.ofFloat64 "history.means" [ int64 means.Length ] (ReadOnlySpan means)
                Safetensors.ofFloat64 "history.sum" [] (ReadOnlySpan [| state.History.PartialSum |])

                for i, values in Array.indexed state.Optimiser.Vectors do
                    vector $"optimiser.{i}" values
            ]

        let metadata =
            [
                "format", Format
                "version", "1"
                "configuration", NetworkConfiguration.toJson configuration
                "step", string state.Step
                "history.stride", string state.History.Stride
                "history.count", string state.History.PartialCount
                "sha256", Safetensors.fingerprint tensors
                yield! facts
            ]

        Safetensors.write path (Map.ofList metadata) tensors

    /// The state in the file, if it is one of this network and these options: else an InvalidDataException that names file, expectation and finding.
    let read
        (path: string)
        (configuration: NetworkConfiguration)
        (facts: (string * string) list)
        (optimiser: Optimiser)
        (averaged: bool)
        : TrainingState =
        let file = string (Path.GetFileName path)
        let content = Safetensors.read path
        Network.requireFact file content "format" Format
        Network.requireFact file content "version" "1"
        Network.requireFact file content "configuration" (NetworkConfiguration.toJson configuration)

        for key, value in facts do
            Network.requireFact file content key value

        Network.requireFact file content "sha256" (Safetensors.fingerprint content.Tensors)

        let number (key: string) =
            match Map.tryFind key content.Metadata with
            | Some text ->
                match Int32.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture) with
                | true, value -> value
                | _ -> raise (InvalidDataException $"{file}: expected {key} to be a whole number, found '{text}'")
            | None -> raise (InvalidDataException $"{file}: expected {key} in its metadata, found none")

        let count = NetworkConfiguration.parameterCount configuration
        let vector (name: string) (length: int) = Safetensors.toFloat32 (Network.tensorIn file content name "F32" [ int64 length ])

        let means =
            match content.Tensors |> List.tryFind (fun tensor -> tensor.Name = "history.means" && tensor.DType = "F64") with
            | Some tensor -> Safetensors.toFloat64 tensor
            | None -> raise (InvalidDataException $"{file}: expected an F64 array 'history.means', found none")

        let fresh = Optimiser.init optimiser count
        let step = number "step"

        {
            Step = step
            Parameters = vector "parameters" count
            Optimiser = { Steps = step; Vectors = Array.init fresh.Vectors.Length (fun i -> vector $"optimiser.{i}" count) }
            Average = vector "average" (if averaged then count else 0)
            History =
                {
                    Stride = number "history.stride"
                    Means = List.ofArray means
                    PartialSum = (Safetensors.toFloat64 (Network.tensorIn file content "history.sum" "F64" []))[0]
                    PartialCount = number "history.count"
                }
        }

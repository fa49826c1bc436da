namespace ValueFlow.Core.Learning

open System
open System.IO
open ValueFlow.Core.Foundations

/// How the parameters of a layer start; U(a, b) is uniform, N(m, v) normal with variance v.
[<RequireQualifiedAccess>]
type Initialisation =
    /// Weights and biases U(-1/sqrt(inputs), 1/sqrt(inputs)): what torch.nn.Linear does.
    | Linear
    /// Weights N(0, 1/inputs), biases zero: keeps the variance through SELU layers. LeCun et al. 1998, "Efficient BackProp".
    | LeCun
    /// Weights U(-a, a) with a = sqrt(6/(inputs + outputs)), biases zero.
    /// Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks".
    | Glorot
    /// Weights N(0, 2/inputs), biases zero: for ReLU. He et al. 2015, "Delving deep into rectifiers".
    | He

/// A network: what it looks like, and its numbers. Parameters are not changed after they were handed over.
type Network =
    {
        /// What it looks like.
        Configuration: NetworkConfiguration
        /// The flat parameter vector: layer by layer, weight (outputs x inputs, row by row) then bias.
        Parameters: float32[]
    }

/// Makes, saves and loads networks.
[<RequireQualifiedAccess>]
module Network =

    [<Literal>]
    let private Format = "valueflow.network"

    /// A network from its parameters. Throws an ArgumentException unless they are as many as the configuration asks for, and finite.
    let create (configuration: NetworkConfiguration) (parameters: float32[]) : Network =
        Shape.requireLength (nameof parameters) (NetworkConfiguration.parameterCount configuration) parameters.Length

        match parameters |> Array.tryFindIndex (Single.IsFinite >> not) with
        | Some index -> invalidArg (nameof parameters) $"entry {index} must be finite but is {parameters[index]}"
        | None -> { Configuration = configuration; Parameters = parameters }

    /// A network with random parameters.
    let init (rule: Initialisation) (generator: Generator) (configuration: NetworkConfiguration) : Network =
        let parameters = Array.zeroCreate (NetworkConfiguration.parameterCount configuration)

        for layer in NetworkConfiguration.layers configuration do
            let inputs, outputs = float layer.Inputs, float layer.Outputs
            let uniform bound = bound * (2.0 * generator.Uniform() - 1.0)

            let weight () =
                match rule with
                | Initialisation.Linear -> uniform (1.0 / sqrt inputs)
                | Initialisation.LeCun -> Sampling.normal generator / sqrt inputs
                | Initialisation.Glorot -> uniform (sqrt (6.0 / (inputs + outputs)))
                | Initialisation.He -> Sampling.normal generator * sqrt (2.0 / inputs)

            for i in layer.Offset .. layer.Bias - 1 do
                parameters[i] <- float32 (weight ())

            if rule = Initialisation.Linear then
                for i in layer.Bias .. layer.End - 1 do
                    parameters[i] <- float32 (uniform (1.0 / sqrt inputs))

        { Configuration = configuration; Parameters = parameters }

    let internal tensorsOf (network: Network) : StoredTensor list =
        NetworkConfiguration.layers network.Configuration
        |> Array.mapi (fun i layer ->
            let weight = ReadOnlySpan(network.Parameters, layer.Offset, layer.Bias - layer.Offset)

            [
                Safetensors.ofFloat32 $"layers.{i}.weight" [ int64 layer.Outputs; int64 layer.Inputs ] weight
                Safetensors.ofFloat32
                    $"layers.{i}.bias"
                    [ int64 layer.Outputs ]
                    (ReadOnlySpan(network.Parameters, layer.Bias, layer.Outputs))
            ])
        |> List.concat

    // The facts that a file of ours states; throws an InvalidDataException that names what is missing or different.
    let internal requireFact (file: string) (content: SafetensorsContent) (key: string) (expected: string) : unit =
        match Map.tryFind key content.Metadata with
        | Some found when found = expected -> ()
        | Some found -> raise (InvalidDataException $"{file}: expected {key} '{expected}', found '{found}'")
        | None -> raise (InvalidDataException $"{file}: expected {key} '{expected}' in its metadata, found no {key}")

    let internal configurationIn (file: string) (content: SafetensorsContent) : NetworkConfiguration =
        match Map.tryFind "configuration" content.Metadata with
        | None -> raise (InvalidDataException $"{file}: expected a network's configuration in its metadata, found none")
        | Some text ->
            match NetworkConfiguration.ofJson text with
            | Ok configuration -> configuration
            | Error problem -> raise (InvalidDataException $"{file}: expected a network's configuration: {problem}")

    let internal tensorIn (file: string) (content: SafetensorsContent) (name: string) (dtype: string) (shape: int64 list) : StoredTensor =
        match content.Tensors |> List.tryFind (fun tensor -> tensor.Name = name) with
        | None -> raise (InvalidDataException $"{file}: expected an array '{name}', found none of that name")
        | Some tensor when tensor.DType <> dtype || tensor.Shape <> shape ->
            raise (
                InvalidDataException
                    $"{file}: expected '{name}' to be {dtype} of shape {Safetensors.shown shape}, found {tensor.DType} of shape {Safetensors.shown tensor.Shape}"
            )
        | Some tensor -> tensor

    /// Saves a network as safetensors, its configuration in the metadata, together with texts of your own (their names must not be ours: format, version,
    /// configuration, sha256). The file is there whole or not at all.
    let saveWith (metadata: Map<string, string>) (path: string) (network: Network) : unit =
        let tensors = tensorsOf network

        let own =
            [
                "format", Format
                "version", "1"
                "configuration", NetworkConfiguration.toJson network.Configuration
                "sha256", Safetensors.fingerprint tensors
            ]

        for key, _ in own do
            if metadata.ContainsKey key then
                invalidArg (nameof metadata) $"the name '{key}' is used by the format"

        Safetensors.write path (List.fold (fun all (key, value) -> Map.add key value all) metadata own) tensors

    /// Saves a network as safetensors, its configuration in the metadata.
    let save (path: string) (network: Network) : unit = saveWith Map.empty path network

    /// Loads what <c>saveWith</c> wrote: the network and all metadata. Throws an InvalidDataException that names the file, what was expected and what was
    /// found: no safetensors, no network of this library, missing or surplus arrays, other shapes or types, numbers that are not finite or have changed.
    let loadWith (path: string) : Network * Map<string, string> =
        let file = string (Path.GetFileName path)
        let content = Safetensors.read path
        requireFact file content "format" Format
        requireFact file content "version" "1"
        let configuration = configurationIn file content
        let layers = NetworkConfiguration.layers configuration

        if content.Tensors.Length <> 2 * layers.Length then
            raise (InvalidDataException $"{file}: expected {2 * layers.Length} arrays, found {content.Tensors.Length}")

        let parameters: float32[] = Array.zeroCreate (NetworkConfiguration.parameterCount configuration)

        layers
        |> Array.iteri (fun i layer ->
            let take name shape (offset: int) =
                let values = Safetensors.toFloat32 (tensorIn file content name "F32" shape)

                match values |> Array.tryFindIndex (Single.IsFinite >> not) with
                | Some index ->
                    raise (InvalidDataException $"{file}: expected finite numbers in '{name}', found {values[index]} at {index}")
                | None -> values.CopyTo(parameters, offset)

            take $"layers.{i}.weight" [ int64 layer.Outputs; int64 layer.Inputs ] layer.Offset
            take $"layers.{i}.bias" [ int64 layer.Outputs ] layer.Bias)

        requireFact file content "sha256" (Safetensors.fingerprint content.Tensors)
        { Configuration = configuration; Parameters = parameters }, content.Metadata

    /// Loads a network that <c>save</c> wrote; throws as <c>loadWith</c> does.
    let load (path: string) : Network = fst (loadWith path)

namespace ValueFlow.Core.Learning

open System
open System.Text.Json
open System.Text.Json.Nodes

/// How a network sees the time.
[<RequireQualifiedAccess>]
type TimeInput =
    /// Not at all.
    | Absent
    /// As one more input: t.
    | Plain
    /// As 1 + 2 k inputs: t, then sin(2 pi j t) for j = 1 .. k, then cos(2 pi j t) for j = 1 .. k.
    /// Fourier features: Tancik et al. 2020, "Fourier features let networks learn high frequency functions in low dimensional domains".
    | Fourier of frequencies: int

/// What a multilayer perceptron looks like: input = concat(x, time inputs, condition), then hidden layers with an activation, then a linear layer.
/// A plain value: printable, comparable, and stored with the weights.
type NetworkConfiguration =
    {
        /// Numbers in a point x.
        Input: int
        /// How the time enters.
        Time: TimeInput
        /// Numbers in the condition that is given with every point; zero for none.
        Condition: int
        /// Widths of the hidden layers, first to last; empty for a linear map.
        Hidden: int list
        /// Numbers in the value.
        Output: int
        /// The activation after each hidden layer.
        Activation: Activation
    }

/// One affine layer within the flat parameter vector: the weight (outputs x inputs, row by row), then the bias.
[<Struct>]
type internal Layer =
    {
        Inputs: int
        Outputs: int
        Offset: int
    }

    member layer.Bias = layer.Offset + layer.Inputs * layer.Outputs
    member layer.End = layer.Bias + layer.Outputs

/// Makes and reads configurations.
[<RequireQualifiedAccess>]
module NetworkConfiguration =

    let private largest = 1 <<< 20
    let private most = 1L <<< 28

    /// Numbers that the time takes among the inputs.
    let timeWidth (configuration: NetworkConfiguration) : int =
        match configuration.Time with
        | TimeInput.Absent -> 0
        | TimeInput.Plain -> 1
        | TimeInput.Fourier frequencies -> 1 + 2 * frequencies

    /// Numbers that enter the first layer.
    let inputWidth (configuration: NetworkConfiguration) : int = configuration.Input + timeWidth configuration + configuration.Condition

    let internal layers (configuration: NetworkConfiguration) : Layer[] =
        let widths = Array.ofList (inputWidth configuration :: configuration.Hidden @ [ configuration.Output ])
        let mutable offset = 0

        Array.init (widths.Length - 1) (fun i ->
            let layer = { Inputs = widths[i]; Outputs = widths[i + 1]; Offset = offset }
            offset <- layer.End
            layer)

    /// Everything that is wrong with a configuration: nothing for a good one.
    let problems (configuration: NetworkConfiguration) : string list =
        let between name least value =
            if value < least || value > largest then
                [ $"{name} must lie in [{least}, {largest}] but is {value}" ]
            else
                []

        let widths =
            [
                yield! between "Input" 1 configuration.Input
                yield! between "Output" 1 configuration.Output
                yield! between "Condition" 0 configuration.Condition

                for i, width in List.indexed configuration.Hidden do
                    yield! between $"Hidden[{i}]" 1 width

                match configuration.Time with
                | TimeInput.Fourier frequencies -> yield! between "Fourier frequencies" 1 frequencies
                | TimeInput.Absent
                | TimeInput.Plain -> ()
            ]

        let count () =
            inputWidth configuration :: configuration.Hidden @ [ configuration.Output ]
            |> List.pairwise
            |> List.sumBy (fun (inputs, outputs) -> (int64 inputs + 1L) * int64 outputs)

        if widths.IsEmpty && count () > most then
            [ $"the network may have at most {most} parameters but has {count ()}" ]
        else
            widths

    /// Throws an ArgumentException that tells everything that is wrong with a configuration.
    let require (configuration: NetworkConfiguration) : unit =
        match problems configuration with
        | [] -> ()
        | found -> invalidArg (nameof configuration) (String.concat "; " found)

    /// Numbers in the flat parameter vector: layer by layer, weight (outputs x inputs, row by row) then bias.
    let parameterCount (configuration: NetworkConfiguration) : int =
        require configuration
        (Array.last (layers configuration)).End

    /// A network of x alone.
    let mlp (input: int) (hidden: int list) (output: int) (activation: Activation) : NetworkConfiguration =
        {
            Input = input
            Time = TimeInput.Absent
            Condition = 0
            Hidden = hidden
            Output = output
            Activation = activation
        }

    /// A network of x and t whose value has the shape of x: a velocity field.
    let timeMlp (dimension: int) (hidden: int list) (activation: Activation) : NetworkConfiguration =
        { mlp dimension hidden dimension activation with Time = TimeInput.Plain }

    /// The configuration as JSON, on one line.
    let toJson (configuration: NetworkConfiguration) : string =
        let json = JsonObject()
        json["input"] <- JsonValue.Create configuration.Input

        json["time"] <-
            match configuration.Time with
            | TimeInput.Absent -> JsonValue.Create "absent"
            | TimeInput.Plain -> JsonValue.Create "plain"
            | TimeInput.Fourier frequencies -> JsonValue.Create $"fourier:{frequencies}"

        json["condition"] <- JsonValue.Create configuration.Condition
        json["hidden"] <- JsonArray(configuration.Hidden |> List.map (fun width -> JsonValue.Create width :> JsonNode) |> Array.ofList)
        json["output"] <- JsonValue.Create configuration.Output
        json["activation"] <- JsonValue.Create(Activation.name configuration.Activation)
        json.ToJsonString()

    /// The configuration that <c>toJson</c> wrote, or what is wrong with the text.
    let ofJson (text: string) : Result<NetworkConfiguration, string> =
        let number (json: JsonElement) (name: string) =
            match json.TryGetProperty name with
            | true, value when value.ValueKind = JsonValueKind.Number ->
                match value.TryGetInt32() with
                | true, found -> found
                | _ -> raise (FormatException $"'{name}' must be a whole number but is {value}")
            | _ -> raise (FormatException $"'{name}' must be a whole number but is missing or none")

        let word (json: JsonElement) (name: string) : string =
            match json.TryGetProperty name with
            | true, value when value.ValueKind = JsonValueKind.String -> string (value.GetString())
            | _ -> raise (FormatException $"'{name}' must be a text but is missing or none")

        let widths (json: JsonElement) =
            match json.TryGetProperty "hidden" with
            | true, value when value.ValueKind = JsonValueKind.Array ->
                [
                    for item in value.EnumerateArray() do
                        match item.ValueKind = JsonValueKind.Number, item with
                        | true, width when fst (width.TryGetInt32()) -> width.GetInt32()
                        | _ -> raise (FormatException $"'hidden' must hold whole numbers but holds {item}")
                ]
            | _ -> raise (FormatException "'hidden' must be a list but is missing or none")

        let time (text: string) =
            match text, text.Split ':' with
            | "absent", _ -> TimeInput.Absent
            | "plain", _ -> TimeInput.Plain
            | _, [| "fourier"; count |] when fst (Int32.TryParse count) -> TimeInput.Fourier(Int32.Parse count)
            | _ -> raise (FormatException $"'time' must be absent, plain or fourier:K but is '{text}'")

        try
            use document = JsonDocument.Parse text
            let json = document.RootElement

            if json.ValueKind <> JsonValueKind.Object then
                Error $"must be a JSON object but is a JSON {json.ValueKind}"
            else
                let activation = word json "activation"

                match Activation.tryParse activation with
                | None -> Error $"'activation' must be a known one but is '{activation}'"
                | Some activation ->
                    let configuration =
                        {
                            Input = number json "input"
                            Time = time (word json "time")
                            Condition = number json "condition"
                            Hidden = widths json
                            Output = number json "output"
                            Activation = activation
                        }

                    match problems configuration with
                    | [] -> Ok configuration
                    | found -> Error(String.concat "; " found)
        with
        | :? FormatException as error -> Error error.Message
        | :? JsonException as error -> Error $"must be JSON but {error.Message}"

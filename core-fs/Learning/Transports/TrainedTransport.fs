namespace ValueFlow.Core.Learning

open System
open System.Globalization
open System.IO
open System.Text.Json
open TorchSharp
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations

/// A learnt transport between two laws on the columns of a table: a velocity network, the standardisation of the columns, and what is known of the law at time 0.
/// Points go in and come out in the units of the columns, (B, d) in float64; solvers run in standardised columns, where tolerances and noise levels are meant.
[<NoComparison; NoEquality>]
type TrainedTransport =
    {
        /// The velocity, in standardised columns.
        Network: Network
        /// The interpolant that it was learnt on.
        Path: TransportPath
        /// The coupling that it was learnt with.
        Pairing: TransportPairing
        /// The law at time 0.
        Base: TransportBase
        /// From standardised columns to data.
        Scale: Standardisation
        /// The columns' names, in the order of the data.
        Columns: string[]
        /// The seed of the training.
        Seed: int
        /// Steps of the training.
        Steps: int
        /// The losses of the training, thinned: a mean over every <c>LossStride</c> steps.
        Losses: float[]
        /// Steps that one of the losses is over.
        LossStride: int
        /// Why the training ended.
        Outcome: TrainingOutcome
    }

/// Runs, saves and loads learnt transports.
[<RequireQualifiedAccess>]
module TrainedTransport =

    [<Literal>]
    let private Prefix = "transport."

    // The solver's numbers are float64, the network's float32.
    let private fused (transport: TrainedTransport) : Field =
        let network = NetworkField.field transport.Network

        Field.create "velocity" (fun t x ->
            Lifetime.keepDetached (fun () ->
                let value: torch.Tensor = network.Apply (t.``to`` torch.float32) (x.``to`` torch.float32)
                value.``to`` x.dtype))

    /// b(t, x) in data units at points (B, d) of data space. t is one number or (B).
    let velocity (transport: TrainedTransport) : Field =
        let inner = fused transport

        Field.create "velocity" (fun t x ->
            Lifetime.keep (fun () -> inner.Apply t (Standardisation.apply transport.Scale x) |> Standardisation.stretch transport.Scale))

    // The result in data units; what it had is freed.
    let private inDataUnits (transport: TrainedTransport) (samples: Samples) : Samples =
        let convert (z: torch.Tensor) =
            let x = Standardisation.invert transport.Scale z
            z.Dispose()
            x

        { samples with Final = convert samples.Final; Saved = Array.map convert samples.Saved }

    /// So many draws of the law at time 0, in data units. Throws an InvalidOperationException if that law is a sample, which a transport does not keep.
    let drawBase (transport: TrainedTransport) (generator: Generator) (count: int) : torch.Tensor =
        if transport.Base <> TransportBase.Normal then
            raise (
                InvalidOperationException
                    "the source of this flow is a sample, which it does not keep: transport points of the source instead"
            )

        if count < 1 then
            invalidArg (nameof count) $"there must be at least 1 sample but there are {count}"

        Lifetime.keep (fun () ->
            Sampling.normals generator torch.float64 torch.CPU [| int64 count; int64 transport.Scale.Dimension |]
            |> Standardisation.invert transport.Scale)

    /// Points of data space carried by the ordinary equation over an interval, in its direction.
    let ode (options: OdeOptions) (interval: TimeInterval) (transport: TrainedTransport) (points: torch.Tensor) : Samples =
        use start = Standardisation.apply transport.Scale points
        Sampler.ode options interval (fused transport) start |> inDataUnits transport

    /// The interpolant, with what is known of its start.
    let interpolant (transport: TrainedTransport) : Interpolant =
        TransportDesign.interpolant transport.Path transport.Pairing transport.Base

    /// Points carried forwards by the stochastic equation of a noise level, in standardised columns. The score follows from the velocity, which takes a normal base, independent pairs
    /// and a path without latent noise: throws an InvalidOperationException elsewhere. Noise enters between the times 0.001 and 0.999.
    let sde (options: SdeOptions) (level: Schedule) (seed: int) (transport: TrainedTransport) (points: torch.Tensor) : Samples =
        let known = interpolant transport

        if known.Gaussian <> GaussianEnd.Start || known.Latent.Gamma.Value 0.5 > 0.0 then
            let found =
                $"{transport.Base} source, {TransportDesign.pairingName transport.Pairing} pairs, {TransportDesign.pathName transport.Path} path"

            raise (
                InvalidOperationException
                    $"a stochastic sampler needs the score, which follows from the velocity only with a normal source, independent pairs and a path without latent noise; found {found}"
            )

        let inside = NoiseLevel.inside (InteriorTime.At 0.001) (InteriorTime.At 0.999) level
        use start = Standardisation.apply transport.Scale points

        Sampler.sde options TimeInterval.whole inside seed (fused transport) (ScoreModel.OfVelocity known) start
        |> inDataUnits transport

    /// The log-density (B) of points (B, d), both in data units, under the law to which the transport carries its normal base. The divergence is differentiated in float64.
    /// Throws an InvalidOperationException if the base is a sample, and as <c>Likelihood.logDensity</c> does.
    let logDensity (options: LikelihoodOptions) (transport: TrainedTransport) (points: torch.Tensor) : FlowDensity =
        if transport.Base <> TransportBase.Normal then
            raise (InvalidOperationException "a log-density needs a source whose density is known, but the source of this flow is a sample")

        let scale = transport.Scale
        let constant = -0.5 * float scale.Dimension * log (2.0 * Math.PI)

        let normal (z: torch.Tensor) : torch.Tensor =
            Lifetime.keep (fun () -> Elementwise.plus constant (Elementwise.times -0.5 ((z.mul z).sum 1L)))

        let convert (work: torch.Tensor -> torch.Tensor) (tensor: torch.Tensor) =
            let result = work tensor
            tensor.Dispose()
            result

        use start = Standardisation.apply scale points
        let found = Likelihood.logDensity options normal (NetworkField.field transport.Network) start
        let toData, shifted = convert (Standardisation.invert scale), convert (Elementwise.plus -scale.LogVolume)

        { found with
            LogDensity = shifted found.LogDensity
            Points = toData found.Points
            Base = toData found.Base
            Saved =
                found.Saved
                |> Array.map (fun saved -> { saved with Points = toData saved.Points; LogDensity = shifted saved.LogDensity })
        }

    [<Literal>]
    let private NotFinite = "not-finite: "

    let private outcomeName (outcome: TrainingOutcome) : string =
        match outcome with
        | TrainingOutcome.Completed -> "completed"
        | TrainingOutcome.Cancelled -> "cancelled"
        | TrainingOutcome.NotFinite found -> NotFinite + found

    let private tryParseOutcome (text: string) : TrainingOutcome option =
        match text with
        | "completed" -> Some TrainingOutcome.Completed
        | "cancelled" -> Some TrainingOutcome.Cancelled
        | other when other.StartsWith(NotFinite, StringComparison.Ordinal) ->
            Some(TrainingOutcome.NotFinite(other.Substring NotFinite.Length))
        | _ -> None

    let private json (value: 'a) : string = JsonSerializer.Serialize value

    /// Saves the transport as one safetensors file: the network's arrays, all else in the metadata. The file is there whole or not at all.
    let save (path: string) (transport: TrainedTransport) : unit =
        let facts =
            [
                "version", "1"
                "path", TransportDesign.pathName transport.Path
                "pairing", TransportDesign.pairingName transport.Pairing
                "base", (string transport.Base).ToLowerInvariant()
                "columns", json transport.Columns
                "mean", json transport.Scale.Mean
                "deviation", json transport.Scale.Deviation
                "seed", string transport.Seed
                "steps", string transport.Steps
                "losses", json transport.Losses
                "loss stride", string transport.LossStride
                "outcome", outcomeName transport.Outcome
            ]

        Network.saveWith (facts |> List.map (fun (key, value) -> Prefix + key, value) |> Map.ofList) path transport.Network

    /// Loads what <c>save</c> wrote. Throws an InvalidDataException that names the file, what was expected and what was found.
    let load (path: string) : TrainedTransport =
        let file = string (Path.GetFileName path)
        let network, metadata = Network.loadWith path
        let refuse (expected: string) (found: string) = raise (InvalidDataException $"{file}: expected {expected}, found {found}")

        let text (key: string) : string =
            match Map.tryFind (Prefix + key) metadata with
            | Some value -> value
            | None -> refuse $"{Prefix}{key} in the metadata of a trained flow" "none"

        let parsed (key: string) (expected: string) (parse: string -> 'a option) : 'a =
            match parse (text key) with
            | Some value -> value
            | None -> refuse $"{Prefix}{key} to be {expected}" $"'{text key}'"

        let list (key: string) : 'a[] =
            parsed key "a list" (fun value ->
                try
                    JsonSerializer.Deserialize<'a[]> value |> Option.ofObj
                with :? JsonException ->
                    None)

        let whole (key: string) : int =
            parsed key "a whole number" (fun value ->
                match Int32.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) with
                | true, number -> Some number
                | _ -> None)

        parsed "version" "1" (fun value -> if value = "1" then Some() else None)
        let columns: string[] = list "columns"
        let dimension = network.Configuration.Output

        let scale =
            try
                Standardisation.create (list "mean") (list "deviation")
            with :? ArgumentException as error ->
                refuse "a standardisation of the columns" error.Message

        if columns.Length <> dimension || scale.Dimension <> dimension || network.Configuration.Input <> dimension then
            refuse $"{dimension} columns, means and deviations" $"{columns.Length} columns and {scale.Dimension} means"

        {
            Network = network
            Path = parsed "path" "a known path" TransportDesign.tryParsePath
            Pairing = parsed "pairing" "a known pairing" TransportDesign.tryParsePairing
            Base =
                parsed "base" "normal or sample" (fun value ->
                    match value with
                    | "normal" -> Some TransportBase.Normal
                    | "sample" -> Some TransportBase.Sample
                    | _ -> None)
            Scale = scale
            Columns = columns
            Seed = whole "seed"
            Steps = whole "steps"
            Losses = list "losses"
            LossStride = whole "loss stride"
            Outcome = parsed "outcome" "a known outcome" tryParseOutcome
        }

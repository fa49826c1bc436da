namespace ValueFlow.Core.Learning

open System
open System.Globalization
open ValueFlow.Core.Foundations
open ValueFlow.Core.Flows

/// An interpolant by name: a plain value, which files keep.
[<RequireQualifiedAccess>]
type TransportPath =
    /// (1 - t) x0 + t x1.
    | Linear
    /// cos(pi t/2) x0 + sin(pi t/2) x1.
    | Trigonometric
    /// x0 dissolves into noise, from which x1 forms.
    | EncodingDecoding
    /// (1 - t) x0 + t x1 + sqrt(a t (1 - t)) z, with a the variance.
    | BrownianBridge of variance: float

/// A coupling of minibatches by name.
[<RequireQualifiedAccess>]
type TransportPairing =
    /// At random.
    | Independent
    /// Of least total squared distance.
    | OptimalTransport
    /// Drawn from Sinkhorn's plan, with its regularisation.
    | Sinkhorn of regularisation: float

/// What a transport starts from.
[<RequireQualifiedAccess>]
type TransportBase =
    /// N(0, I) in the standardised columns: in data units the normal law with the mean and deviation of each column.
    | Normal
    /// Another sample.
    | Sample

/// How a transport is to be learnt: a plain value.
type TransportDesign =
    {
        /// The interpolant.
        Path: TransportPath
        /// Who is paired with whom.
        Pairing: TransportPairing
        /// Widths of the hidden layers.
        Hidden: int list
        /// The activation after each.
        Activation: Activation
        /// How the time enters.
        Time: TimeInput
        /// Pairs in a step.
        Batch: int
    }

/// Names of paths and pairings, as files and commands have them.
[<RequireQualifiedAccess>]
module TransportDesign =

    /// Linear, independent pairs, 3 x 64 with SiLU, plain time, 256 pairs a step.
    let standard: TransportDesign =
        {
            Path = TransportPath.Linear
            Pairing = TransportPairing.Independent
            Hidden = [ 64; 64; 64 ]
            Activation = Activation.Silu
            Time = TimeInput.Plain
            Batch = 256
        }

    let private number (value: float) = value.ToString("R", CultureInfo.InvariantCulture)

    // The number after the colon of a word; nothing unless it is finite and positive.
    let private after (prefix: string) (text: string) : float option =
        if not (text.StartsWith(prefix + ":", StringComparison.Ordinal)) then
            None
        else
            match Double.TryParse(text.Substring(prefix.Length + 1), NumberStyles.Float, CultureInfo.InvariantCulture) with
            | true, value when value > 0.0 && Double.IsFinite value -> Some value
            | _ -> None

    /// linear, trigonometric, encoding-decoding or brownian-bridge:VARIANCE.
    let pathName (path: TransportPath) : string =
        match path with
        | TransportPath.Linear -> "linear"
        | TransportPath.Trigonometric -> "trigonometric"
        | TransportPath.EncodingDecoding -> "encoding-decoding"
        | TransportPath.BrownianBridge variance -> $"brownian-bridge:{number variance}"

    /// The path of a name; nothing for an unknown one.
    let tryParsePath (text: string) : TransportPath option =
        match text with
        | "linear" -> Some TransportPath.Linear
        | "trigonometric" -> Some TransportPath.Trigonometric
        | "encoding-decoding" -> Some TransportPath.EncodingDecoding
        | _ -> after "brownian-bridge" text |> Option.map TransportPath.BrownianBridge

    /// independent, optimal-transport or sinkhorn:REGULARISATION.
    let pairingName (pairing: TransportPairing) : string =
        match pairing with
        | TransportPairing.Independent -> "independent"
        | TransportPairing.OptimalTransport -> "optimal-transport"
        | TransportPairing.Sinkhorn regularisation -> $"sinkhorn:{number regularisation}"

    /// The pairing of a name; nothing for an unknown one.
    let tryParsePairing (text: string) : TransportPairing option =
        match text with
        | "independent" -> Some TransportPairing.Independent
        | "optimal-transport" -> Some TransportPairing.OptimalTransport
        | _ -> after "sinkhorn" text |> Option.map TransportPairing.Sinkhorn

    /// The interpolant of a path; with a normal base and independent pairs its start is known to be noise.
    let interpolant (path: TransportPath) (pairing: TransportPairing) (start: TransportBase) : Interpolant =
        let plain =
            match path with
            | TransportPath.Linear -> Interpolant.linear Latent.none
            | TransportPath.Trigonometric -> Interpolant.trigonometric Latent.none
            | TransportPath.EncodingDecoding -> Interpolant.encodingDecoding
            | TransportPath.BrownianBridge variance -> Interpolant.brownianBridge variance

        if start = TransportBase.Normal && pairing = TransportPairing.Independent then
            Interpolant.withGaussianStart plain
        else
            plain

    /// The coupling of a pairing.
    let coupling (pairing: TransportPairing) : Coupling<unit> =
        match pairing with
        | TransportPairing.Independent -> Coupling.independent
        | TransportPairing.OptimalTransport -> Coupling.exact SquaredEuclidean
        | TransportPairing.Sinkhorn regularisation -> Coupling.sinkhorn SinkhornOptions.Default regularisation SquaredEuclidean

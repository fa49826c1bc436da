namespace ValueFlow.Core.Learning

open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations

/// The rows that a transport is learnt from.
[<RequireQualifiedAccess; NoComparison>]
type TransportSource =
    /// The normal law of <c>TransportBase.Normal</c>.
    | Normal
    /// A sample, row by row, in the columns of the target.
    | Rows of float[][]

/// A training of a transport, and what came of it.
[<NoComparison; NoEquality>]
type TransportFit =
    {
        /// The transport.
        Transport: TrainedTransport
        /// The run.
        Run: TrainingResult
    }

/// Learns transports from tables: flow matching in standardised columns.
[<RequireQualifiedAccess>]
module TransportTraining =

    /// The standardisation that a training uses: of the target's columns, or of both samples together.
    let scale (source: TransportSource) (target: float[][]) : Standardisation =
        match source with
        | TransportSource.Normal -> Standardisation.ofRows target
        | TransportSource.Rows rows -> Standardisation.ofRows (Array.append rows target)

    let private fit
        (run: NetworkConfiguration -> Objective -> TrainingResult)
        (options: TrainingOptions)
        (design: TransportDesign)
        (columns: string[])
        (source: TransportSource)
        (target: float[][])
        : TransportFit =
        let scale = scale source target
        Shape.requireLength (nameof columns) scale.Dimension columns.Length

        let sample (name: string) (rows: float[][]) =
            RowSource.ofRows name scale.Dimension (System.ReadOnlySpan(Standardisation.toFloat32 scale rows))

        let start, law =
            match source with
            | TransportSource.Normal -> TransportBase.Normal, RowSource.normal scale.Dimension
            | TransportSource.Rows rows -> TransportBase.Sample, sample "source" rows

        let configuration =
            { NetworkConfiguration.timeMlp scale.Dimension design.Hidden design.Activation with
                Time = design.Time
            }

        let matching =
            { FlowMatching.options (TransportDesign.interpolant design.Path design.Pairing start) with
                Batch = design.Batch
            }

        let pairs = FlowMatching.between (TransportDesign.coupling design.Pairing) law (sample "target" target)
        let result = run configuration (FlowMatching.objective matching configuration pairs)

        {
            Run = result
            Transport =
                {
                    Network = result.Network
                    Path = design.Path
                    Pairing = design.Pairing
                    Base = start
                    Scale = scale
                    Columns = Array.copy columns
                    Seed = options.Seed
                    Steps = result.Steps
                    Losses = Array.ofList result.History.Means
                    LossStride = result.History.Stride
                    Outcome = result.Outcome
                }
        }

    /// Trains a transport from the source to the target, from a network that the seed starts. Throws an ArgumentException for options and rows that make no sense.
    let run
        (options: TrainingOptions)
        (design: TransportDesign)
        (columns: string[])
        (source: TransportSource)
        (target: float[][])
        : TransportFit =
        let start configuration objective =
            Training.run options objective (Network.init Initialisation.Linear (Generator options.Seed) configuration)

        fit start options design columns source target

    /// Goes on from a checkpoint, to the bit as if the run had not been stopped. Throws an InvalidDataException where the file is none, or of other data, another design or other options.
    let resume
        (path: string)
        (options: TrainingOptions)
        (design: TransportDesign)
        (columns: string[])
        (source: TransportSource)
        (target: float[][])
        : TransportFit =
        fit (fun configuration objective -> Training.resume options objective configuration path) options design columns source target

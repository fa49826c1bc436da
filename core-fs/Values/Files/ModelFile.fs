namespace ValueFlow.Core.Values

open System
open System.IO
open System.Threading

/// How a file is read.
type ReadOptions =
    {
        /// The reward structure to use; needed if a file has several.
        Reward: string voption
        /// For a log: read probabilities as intervals that hold all at once with this confidence; without it as the shares that were seen.
        Confidence: float voption
        /// For a log: keep the rewards of a state, action and successor apart, as outcomes of their own; without it their mean is taken. Not together with a confidence.
        DistinctRewards: bool
        /// The most errors in words.
        ErrorLimit: int
        /// Probabilities of models in numbers in single precision: half the memory. Other readers do not ask.
        SinglePrecision: bool
        /// Told the share that was read, in (0, 1], of models in numbers; other readers do not tell.
        Progress: float -> unit
        /// Checked on the way; an OperationCanceledException ends the reading.
        Cancellation: CancellationToken
    }

/// Models in files, by extension: .tra (PRISM), .drn (Storm), .json (numbers, with a .bin beside it), .csv and .parquet (logs).
[<RequireQualifiedAccess>]
module ModelFile =

    /// The one reward structure, shares as probabilities, 20 errors in words, no cancellation.
    let standard: ReadOptions =
        {
            Reward = ValueNone
            Confidence = ValueNone
            DistinctRewards = false
            ErrorLimit = 20
            SinglePrecision = false
            Progress = ignore
            Cancellation = CancellationToken.None
        }

    let private whole (path: string) expected found : FileError =
        { File = FileInfo(path).Name; Place = ""; Line = 0; Until = 0; Expected = expected; Found = found }

    // What must hold before a file is opened, and what opening may run into.
    let private guarded (path: string) (read: string -> Result<'a, FileError list>) : Result<'a, FileError list> =
        if Directory.Exists path then
            Error [ whole path "a file" "a folder" ]
        elif not (File.Exists path) then
            Error [ whole path "a file that exists" "none" ]
        else
            try
                read path
            with
            | :? UnauthorizedAccessException
            | :? IOException as error -> Error [ whole path "a file that can be read" error.Message ]

    /// Reads a log in CSV or Parquet.
    let readLog (options: ReadOptions) (path: string) : Result<TransitionLog, FileError list> =
        guarded path (fun path ->
            match (FileInfo path).Extension.ToLowerInvariant() with
            | ".csv" -> TransitionCsv.read options.ErrorLimit options.Cancellation path
            | ".parquet" -> TransitionParquet.read options.ErrorLimit options.Cancellation path
            | other -> Error [ whole path "the extension .csv or .parquet" $"'{other}'" ])

    /// The model that a log estimates; errors name the lines or rows of the file.
    let estimate (options: ReadOptions) (path: string) (log: TransitionLog) : Result<Model, FileError list> =
        if options.Confidence.IsSome && options.DistinctRewards then
            invalidArg (nameof options) "a confidence and distinct rewards must not be asked for together but both are"

        if options.Confidence.IsSome && not log.CountsAreWhole then
            Error [ whole path "weights that are whole numbers, for intervals" "other weights" ]
        else
            match (if options.DistinctRewards then log.EstimateOutcomes() else log.Estimate options.Confidence) with
            | Ok model -> Ok model
            | Error errors ->
                let findings = Findings(path, options.ErrorLimit)
                findings.AddModel(errors, log.Places)
                Error findings.All

    /// Reads a model.
    let read (options: ReadOptions) (path: string) : Result<Model, FileError list> =
        let nameless what path read =
            if options.Reward.IsSome then
                Error [ whole path $"no name of a reward structure for {what}" $"'{options.Reward.Value}'" ]
            else
                read path

        let logged path = readLog options path |> Result.bind (estimate options path)

        guarded path (fun path ->
            match (FileInfo path).Extension.ToLowerInvariant() with
            | ".tra" -> PrismReader.read options.Reward options.ErrorLimit options.Cancellation path
            | ".drn" -> Drn.read options.Reward options.ErrorLimit options.Cancellation path
            | ".json" ->
                nameless
                    "a model in numbers"
                    path
                    (BinaryModel.read options.SinglePrecision options.ErrorLimit options.Progress options.Cancellation)
            | ".csv"
            | ".parquet" -> nameless "a log" path logged
            | other -> Error [ whole path "the extension .tra, .drn, .json, .csv or .parquet" $"'{other}'" ])

    /// Writes a model as .tra (with the files beside it), .drn, or .json (with a .bin beside it, every model bit for bit); files appear whole or not at all. An ArgumentException says what a format cannot hold.
    let write (path: string) (model: Model) : unit =
        match (FileInfo path).Extension.ToLowerInvariant() with
        | ".tra" -> PrismWriter.write path model
        | ".drn" -> Drn.write path model
        | ".json" -> BinaryModelWriter.write path model
        | other -> invalidArg (nameof path) $"the extension must be .tra, .drn or .json but is '{other}'"

    /// Writes a log as .csv or .parquet; the file appears whole or not at all.
    let writeLog (path: string) (log: TransitionLog) : unit =
        match (FileInfo path).Extension.ToLowerInvariant() with
        | ".csv" -> TransitionCsv.write path log
        | ".parquet" -> TransitionParquet.write path log
        | other -> invalidArg (nameof path) $"the extension must be .csv or .parquet but is '{other}'"

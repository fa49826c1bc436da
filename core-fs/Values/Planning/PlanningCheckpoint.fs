namespace ValueFlow.Core.Values

open System
open System.IO
open System.Runtime.InteropServices
open System.Security.Cryptography
open System.Text
open System.Threading
open ValueFlow.Core.Foundations

/// Where a planning run keeps its state, and how often.
type PlanningCheckpointOptions =
    {
        /// The file. If it is there, the run goes on from it; if not, the run begins, and makes it.
        Path: string
        /// The time between two writings; zero to write before every sweep.
        Interval: TimeSpan
        /// The most sweeps between two writings.
        Sweeps: int
    }

/// All that a planning run is between two sweeps: what comes next depends on nothing else.
type PlanningState =
    {
        /// The values that are applied next.
        Values: float[]
        /// The values of the last application that counts.
        Basis: float[]
        /// Its image T V.
        Reached: float[]
        /// The bracket of that application.
        Bracket: Bracket
        /// Sweeps done.
        Sweeps: int
        /// 0 as a rule; 1 or 2 while a step is tried that may get below the last digits.
        Attempt: int
        /// The width that the next halving is measured by.
        Best: float
        /// The sweep of the last halving.
        Halved: int
        /// The smallest bound that rounding lets the method certify.
        Floor: float
        /// The last report of progress.
        Last: Progress
        /// The record of progress so far.
        History: Progress[]
        /// Whole numbers that the method keeps from sweep to sweep.
        Integers: int[][]
        /// Numbers that the method keeps from sweep to sweep.
        Numbers: float[][]
    }

/// The content of a checkpoint file: whose state it is, and the state.
type PlanningCheckpoint =
    {
        /// The method's name with its parameters.
        Method: string
        /// The operator's name: the summaries and the discount.
        Operator: string
        /// SHA-256 of the model's arrays, in hexadecimal.
        Model: string
        /// Weighted sums of the image of one fixed vector: operators of the same name that differ (in a policy, in a function of the user's) differ in them.
        Probes: float[]
        /// The state.
        State: PlanningState
    }

/// Checkpoint files of planning runs: a mark, a version, the content in little-endian order, and its SHA-256. Files appear whole or not at all, so that a run that was killed at any
/// moment finds the last one that was complete.
[<RequireQualifiedAccess>]
module PlanningCheckpoint =

    [<Literal>]
    let private Mark = "VFPLANNING"

    [<Literal>]
    let private Version = 1

    // Mark, version, checksum.
    let private least = Mark.Length + 4 + 32

    let private certificates =
        [|
            Certificate.Contraction
            Certificate.SpanBounds
            Certificate.Enclosure
            Certificate.LinearSolve
            Certificate.Estimate
        |]

    /// The checkpoint that a run with this method, operator and state would write.
    let make (method: string) (bellman: Bellman) (cancellation: CancellationToken) (state: PlanningState) : PlanningCheckpoint =
        let model = bellman.Kernel.Model
        use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256

        let integers (values: int[]) =
            hash.AppendData(BitConverter.GetBytes values.Length)
            hash.AppendData(MemoryMarshal.AsBytes(ReadOnlySpan values))

        let numbers (values: float[]) =
            hash.AppendData(BitConverter.GetBytes values.Length)
            hash.AppendData(MemoryMarshal.AsBytes(ReadOnlySpan values))

        [ model.rowOffsets; model.rowActions; model.offsets; model.successors ] |> List.iter integers

        [ model.probabilities; model.rewards; model.continuations; model.lower; model.upper ] |> List.iter numbers

        // A value that no two states share, and that ends no sum in a tie.
        let size = 1.0 + bellman.Kernel.LargestReward
        let wave (place: int) (turn: float) = sin (turn * (1.0 + float place))
        let probe = Array.init model.StateCount (fun s -> if model.IsTerminal s then 0.0 else size * wave s 0.7548776662466927)
        let image = Array.zeroCreate model.StateCount
        bellman.Sweep.Apply(probe, image, cancellation) |> ignore
        cancellation.ThrowIfCancellationRequested()

        {
            Method = method
            Operator = bellman.Operator.Name
            Model = Convert.ToHexStringLower(hash.GetHashAndReset())
            Probes =
                [|
                    for turn in [ 0.5698402909980532; 1.2207440846057596; 2.414213562373095 ] do
                        let mutable sum = 0.0

                        for s in 0 .. image.Length - 1 do
                            sum <- sum + (wave s turn / float image.Length) * image[s]

                        sum
                |]
            State = state
        }

    let private writeContent (stream: Stream) (checkpoint: PlanningCheckpoint) =
        use writer = new BinaryWriter(stream, UTF8Encoding false, true)
        let numbers (values: float[]) = writer.Write(MemoryMarshal.AsBytes(ReadOnlySpan values))

        let counted (values: float[]) =
            writer.Write values.Length
            numbers values

        let progress (entry: Progress) =
            writer.Write entry.Applications
            writer.Write entry.Residual
            writer.Write entry.Bound

        let state = checkpoint.State
        writer.Write(Encoding.ASCII.GetBytes Mark)
        writer.Write Version
        writer.Write checkpoint.Method
        writer.Write checkpoint.Operator
        writer.Write checkpoint.Model
        counted checkpoint.Probes
        writer.Write state.Values.Length
        [ state.Values; state.Basis; state.Reached ] |> List.iter numbers

        [
            state.Bracket.Below
            state.Bracket.Above
            state.Bracket.Residual
            state.Bracket.Floor
            state.Bracket.LossWidths
        ]
        |> List.iter writer.Write

        writer.Write(Array.IndexOf(certificates, state.Bracket.Certificate))
        writer.Write state.Sweeps
        writer.Write state.Attempt
        writer.Write state.Best
        writer.Write state.Halved
        writer.Write state.Floor
        progress state.Last
        writer.Write state.History.Length
        Array.iter progress state.History
        writer.Write state.Integers.Length

        for values in state.Integers do
            writer.Write values.Length
            writer.Write(MemoryMarshal.AsBytes(ReadOnlySpan values))

        writer.Write state.Numbers.Length
        Array.iter counted state.Numbers

    /// Writes the file.
    let write (path: string) (checkpoint: PlanningCheckpoint) : unit =
        AtomicFile.write path (fun stream ->
            use hash = SHA256.Create()

            do
                use hashing = new CryptoStream(stream, hash, CryptoStreamMode.Write, true)
                writeContent hashing checkpoint
                hashing.FlushFinalBlock()

            match hash.Hash with
            | null -> invalidOp "the checksum must be there once its stream is closed but is not"
            | sum -> stream.Write(ReadOnlySpan sum))

    let private refuse (file: string) (expected: string) (found: string) =
        raise (InvalidDataException $"{file}: expected {expected}, found {found}")

    let private checksum (stream: Stream) (length: int64) =
        use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256
        let buffer = Array.zeroCreate<byte> 65536
        let mutable left = length

        while left > 0L do
            let count = stream.Read(buffer, 0, int (Math.Min(int64 buffer.Length, left)))

            if count = 0 then
                raise (EndOfStreamException())

            hash.AppendData(buffer, 0, count)
            left <- left - int64 count

        hash.GetHashAndReset()

    let private readContent (file: string) (stream: FileStream) : PlanningCheckpoint =
        use reader = new BinaryReader(stream, UTF8Encoding(false, true), true)

        let count (what: string) (bytes: int) =
            let found = reader.ReadInt32()
            let most = (stream.Length - stream.Position) / int64 bytes

            if found < 0 || int64 found > most then
                refuse file $"a number of {what} in [0, {most}]" (string found)

            found

        let fill (values: 'number[]) =
            stream.ReadExactly(MemoryMarshal.AsBytes(Span values))
            values

        let numbers (length: int) : float[] = fill (Array.zeroCreate length)

        let progress () =
            let applications = reader.ReadInt32()
            let residual = reader.ReadDouble()
            { Applications = applications; Residual = residual; Bound = reader.ReadDouble() }

        stream.Position <- int64 (Mark.Length + 4)
        let method = reader.ReadString()
        let operator = reader.ReadString()
        let model = reader.ReadString()
        let probes = numbers (count "probes" 8)
        let states = count "states" 24
        let values = numbers states
        let basis = numbers states
        let reached = numbers states
        let ends = numbers 5
        let certificate = reader.ReadInt32()

        if certificate < 0 || certificate >= certificates.Length then
            refuse file $"the number of a certificate in [0, {certificates.Length})" (string certificate)

        let sweeps = reader.ReadInt32()
        let attempt = reader.ReadInt32()
        let best = reader.ReadDouble()
        let halved = reader.ReadInt32()
        let floor = reader.ReadDouble()
        let last = progress ()
        let history = Array.init (count "reports" 20) (fun _ -> progress ())

        let integers =
            Array.init (count "arrays of whole numbers" 4) (fun _ -> fill (Array.zeroCreate<int>(count "whole numbers" 4)))

        let kept = Array.init (count "arrays of numbers" 4) (fun _ -> numbers (count "numbers" 8))

        if stream.Position <> stream.Length - 32L then
            refuse file $"its content to end at byte {stream.Length - 32L}" $"the end at byte {stream.Position}"

        {
            Method = method
            Operator = operator
            Model = model
            Probes = probes
            State =
                {
                    Values = values
                    Basis = basis
                    Reached = reached
                    Bracket =
                        {
                            Below = ends[0]
                            Above = ends[1]
                            Residual = ends[2]
                            Floor = ends[3]
                            LossWidths = ends[4]
                            Certificate = certificates[certificate]
                        }
                    Sweeps = sweeps
                    Attempt = attempt
                    Best = best
                    Halved = halved
                    Floor = floor
                    Last = last
                    History = history
                    Integers = integers
                    Numbers = kept
                }
        }

    /// Reads a file. An InvalidDataException names the file, what was expected and what was found: another kind of file, another version, damage.
    let read (path: string) : PlanningCheckpoint =
        let file = string (Path.GetFileName path)
        use stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 65536)

        if stream.Length < int64 least then
            refuse file $"a checkpoint of planning of at least {least} bytes" $"{stream.Length} bytes"

        let head = Array.zeroCreate<byte>(Mark.Length + 4)
        stream.ReadExactly(Span head)
        let mark = Encoding.Latin1.GetString(head, 0, Mark.Length)

        if mark <> Mark then
            refuse file $"a checkpoint of planning, which begins with '{Mark}'" (FileError.shown mark)

        let version = BitConverter.ToInt32(head, Mark.Length)

        if version <> Version then
            refuse file $"version {Version}" $"version {version}"

        stream.Position <- 0L
        let found = Convert.ToHexStringLower(checksum stream (stream.Length - 32L))
        let expected = Array.zeroCreate<byte> 32
        stream.ReadExactly(Span expected)
        let expected = Convert.ToHexStringLower expected

        if expected <> found then
            refuse file $"content with the SHA-256 {expected[..15]}... that stands at its end" $"{found[..15]}...: the file is damaged"

        try
            readContent file stream
        with :? EndOfStreamException ->
            refuse file "content that ends before its checksum" "less"

    /// The state in the file, if it belongs to what is given: else an InvalidDataException that says in what it differs.
    let require (path: string) (own: PlanningCheckpoint) : PlanningState =
        let file = string (Path.GetFileName path)
        let found = read path

        if found.Method <> own.Method then
            refuse file $"the method '{own.Method}'" $"'{found.Method}'"

        if found.State.Values.Length <> own.State.Values.Length then
            refuse file $"{own.State.Values.Length} states" $"{found.State.Values.Length}"

        if found.Operator <> own.Operator then
            refuse file $"the operator {own.Operator}" found.Operator

        if found.Model <> own.Model then
            refuse file $"the model with the SHA-256 {own.Model[..15]}..." $"{found.Model[..15]}...: it is of another model"

        // Another machine may sum in another order.
        let near (a: float) (b: float) = a.Equals b || abs (a - b) <= 1e-9 * (abs a + abs b) + 1e-300

        if found.Probes.Length <> own.Probes.Length || not (Array.forall2 near found.Probes own.Probes) then
            let words (probes: float[]) = String.Join(' ', probes |> Array.map ModelError.number)

            refuse
                file
                $"an operator that sends a fixed vector to {words own.Probes}"
                $"{words found.Probes}: it is of another policy or summary of the same name"

        let lengths (arrays: 'a[][]) = arrays |> Array.map _.Length
        let own, state = own.State, found.State

        if lengths state.Integers <> lengths own.Integers || lengths state.Numbers <> lengths own.Numbers then
            refuse
                file
                $"what the method keeps in arrays of %A{lengths own.Integers} and %A{lengths own.Numbers}"
                $"%A{lengths state.Integers} and %A{lengths state.Numbers}"

        state

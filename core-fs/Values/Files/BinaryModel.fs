namespace ValueFlow.Core.Values

open System
open System.IO
open System.Runtime.InteropServices
open System.Security.Cryptography
open System.Threading
open Microsoft.Win32.SafeHandles

/// The numbers of a file, read in pieces straight into the arrays of a model: each piece is checked, and told of.
[<Sealed>]
type internal NumberSource
    (handle: SafeFileHandle, findings: Findings, total: int64, progress: float -> unit, cancellation: CancellationToken) =

    /// Elements of a piece.
    static member val Piece = 1 <<< 18

    member val private Done = 0L with get, set

    /// What a wrong element is about, in words, by array and number.
    member val Where: string -> int -> string = (fun _ _ -> "") with get, set

    member _.Findings = findings

    /// Adds an error of one element.
    member this.Wrong(name: string, element: int, expected: string, found: string) : unit =
        findings.AddAt($"array '{name}', element {element}{this.Where name element}", 0, 0, expected, found)

    member private this.Fill(layout: ArrayLayout, start: int, bytes: Span<byte>, hash: IncrementalHash) =
        cancellation.ThrowIfCancellationRequested()
        let place = layout.Offset + int64 start * int64 layout.Width
        let mutable read = 0

        while read < bytes.Length do
            let count = RandomAccess.Read(handle, bytes.Slice read, place + int64 read)

            if count = 0 then
                findings.AddAt($"array '{layout.Name}'", 0, 0, $"{bytes.Length} bytes from byte {place} on", string read)
                raise Unreadable

            read <- read + count

        if layout.Checksum.IsSome then
            hash.AppendData(Span.op_Implicit bytes: ReadOnlySpan<byte>)

        this.Done <- this.Done + int64 bytes.Length
        progress (Math.Min(1.0, float this.Done / float total))

    member private _.Finish(layout: ArrayLayout, hash: IncrementalHash) =
        match layout.Checksum with
        | ValueSome expected ->
            let found = Convert.ToHexStringLower(hash.GetHashAndReset())

            if not (String.Equals(expected, found, StringComparison.OrdinalIgnoreCase)) then
                findings.AddAt($"array '{layout.Name}'", 0, 0, $"the SHA-256 {FileError.shown expected}", $"'{found}'")
        | ValueNone -> ()

        if findings.Count > 0 then
            raise Unreadable

    /// Whole numbers, each in [least, most].
    member this.Integers(layout: ArrayLayout, least: int, most: int) : int[] =
        use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256
        let values = GC.AllocateUninitializedArray<int> layout.Count
        let mutable start = 0

        while start < layout.Count do
            let size = Math.Min(NumberSource.Piece, layout.Count - start)
            this.Fill(layout, start, MemoryMarshal.AsBytes(Span(values, start, size)), hash)

            for i in start .. start + size - 1 do
                if values[i] < least || values[i] > most then
                    this.Wrong(layout.Name, i, $"a whole number in [{least}, {most}]", string values[i])

            start <- start + size

        this.Finish(layout, hash)
        values

    /// Numbers in pieces, each in [least, most] and finite: first element and piece, which the taker must not keep.
    member private this.Pieces(layout: ArrayLayout, least: float, most: float, take: int -> ArraySegment<float> -> unit) =
        use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256
        let piece = Array.zeroCreate<float> NumberSource.Piece
        let narrow = if layout.Type = "float32" then Array.zeroCreate<float32> NumberSource.Piece else [||]
        let mutable start = 0

        while start < layout.Count do
            let size = Math.Min(NumberSource.Piece, layout.Count - start)

            if narrow.Length > 0 then
                this.Fill(layout, start, MemoryMarshal.AsBytes(Span(narrow, 0, size)), hash)

                for i in 0 .. size - 1 do
                    piece[i] <- float narrow[i]
            else
                this.Fill(layout, start, MemoryMarshal.AsBytes(Span(piece, 0, size)), hash)

            for i in 0 .. size - 1 do
                if not (piece[i] >= least && piece[i] <= most) then
                    let bounds =
                        if Double.IsInfinity most || most = Double.MaxValue then
                            "a finite number"
                        else
                            $"a number in [{least}, {most}]"

                    this.Wrong(layout.Name, start + i, bounds, ModelError.number piece[i])

            take start (ArraySegment(piece, 0, size))
            start <- start + size

        this.Finish(layout, hash)

    /// Numbers, each in [least, most] and finite.
    member this.Numbers(layout: ArrayLayout, least: float, most: float) : float[] =
        let values = GC.AllocateUninitializedArray<float> layout.Count
        this.Pieces(layout, least, most, (fun start piece -> piece.CopyTo(values, start)))
        values

    /// Probabilities of transitions: in single precision if the file has them so, or if the caller asks for it.
    member this.Probabilities(layout: ArrayLayout, most: float, single: bool) : ProbabilityArray =
        if single || layout.Type = "float32" then
            let values = GC.AllocateUninitializedArray<float32> layout.Count

            let take start (piece: ArraySegment<float>) =
                for i in 0 .. piece.Count - 1 do
                    values[start + i] <- float32 piece[i]

            this.Pieces(layout, 0.0, most, take)
            ProbabilityArray.Single values
        else
            ProbabilityArray.Double(this.Numbers(layout, 0.0, most))

    /// Rewards, a number for each transition or one for each row; with the sum of what was read, and that of the absolute values.
    member this.Rewards(layout: ArrayLayout, rows: int) : struct (RewardArray * float * float) =
        let rewards = GC.AllocateUninitializedArray<float> layout.Count
        let sums = [| 0.0; 0.0 |]

        let take start (piece: ArraySegment<float>) =
            piece.CopyTo(rewards, start)

            for reward in piece do
                sums[0] <- sums[0] + reward
                sums[1] <- sums[1] + abs reward

        this.Pieces(layout, -Double.MaxValue, Double.MaxValue, take)
        struct ((if layout.Count = rows then RewardArray.OfRows rewards else RewardArray.OfTransitions rewards), sums[0], sums[1])

/// Models in numbers: words in a .json, and beside it the numbers in a .bin of the same stem. Kinds: garnet (as many actions in every state, as many transitions for each), dense, and csr,
/// which holds every model.
[<RequireQualifiedAccess>]
module BinaryModel =

    let private floats = [ "float64"; "float32" ]
    // A law's numbers may be off by rounding.
    let private chance = 1.0 + 1e-6

    let private refuse (findings: Findings) place expected found : 'a =
        findings.AddAt(place, 0, 0, expected, found)
        raise Unreadable

    let private size (findings: Findings) (factors: int list) : int =
        let product = factors |> List.fold (fun (product: float) factor -> product * float factor) 1.0

        if product > float Array.MaxLength then
            refuse findings "" $"at most {Array.MaxLength} transitions" $"{product}"

        int product

    let private checkSums (findings: Findings) (layout: BinaryLayout) (successors: int[]) (struct (sum: float, size: float)) =
        match layout.SumIndices with
        | ValueSome expected ->
            let mutable found = 0L

            for successor in successors do
                found <- found + int64 successor

            if found <> expected then
                refuse findings "array 'indices'" $"the sum {expected}" (string found)
        | ValueNone -> ()

        match layout.SumRewards with
        | ValueSome expected when not (abs (sum - expected) <= 1e-9 * (size + 1e-300)) ->
            refuse findings "array 'rewards'" $"the sum {ModelError.number expected}" (ModelError.number sum)
        | _ -> ()

    let private named (layout: BinaryLayout) (arrays: ModelArrays) =
        { arrays with
            StateNames = layout.StateNames
            ActionNames = layout.ActionNames
            Initial = layout.Initial
            Labels = layout.Labels
            Grid = layout.Grid
        }

    let private plain rowOffsets rowActions offsets successors probabilities rewards : ModelArrays =
        {
            RowOffsets = rowOffsets
            RowActions = rowActions
            Offsets = offsets
            Successors = successors
            Probabilities = probabilities
            Rewards = rewards
            Continuations = [||]
            Lower = [||]
            Upper = [||]
            StateNames = [||]
            ActionNames = [||]
            Initial = [||]
            Labels = Map.empty
            Grid = ValueNone
        }

    let private evenArrays states actions branching successors probabilities rewards =
        let rows = states * actions

        plain
            (Array.init (states + 1) (fun s -> s * actions))
            (Array.init rows (fun row -> row % actions))
            (Array.init (rows + 1) (fun row -> row * branching))
            successors
            probabilities
            rewards

    // The names of the arrays that hold successors, probabilities and rewards.
    let private namesOf (kind: BinaryKind) =
        match kind with
        | Even _ -> struct ("indices", "probs", "rewards")
        | Dense -> struct ("P", "P", "R")
        | Rows -> struct ("successors", "probabilities", "rewards")

    let private readEven (words: Findings) (source: NumberSource) (layout: BinaryLayout) (single: bool) (branching: int) : ModelArrays =
        let transitions = size words [ layout.States; layout.Actions; branching ]
        let rows = layout.States * layout.Actions
        let need name types counts = BinaryLayout.require words layout name types (List.map int64 counts)
        let indices = need "indices" [ "int32" ] [ transitions ]
        let probabilities = need "probs" floats [ transitions ]
        let rewards = need "rewards" floats [ rows; transitions ]

        source.Where <-
            fun name i ->
                let row = if name = "rewards" && rewards.Count = rows then i else i / branching
                $" (state {row / layout.Actions}, action {row % layout.Actions})"

        let successors = source.Integers(indices, 0, layout.States - 1)
        let chances = source.Probabilities(probabilities, chance, single)
        let struct (earned, sum, size) = source.Rewards(rewards, rows)
        checkSums source.Findings layout successors (struct (sum, size))
        evenArrays layout.States layout.Actions branching successors chances earned

    let private readDense (words: Findings) (source: NumberSource) (layout: BinaryLayout) (single: bool) : ModelArrays =
        let transitions = size words [ layout.States; layout.Actions; layout.States ]
        let rows = layout.States * layout.Actions
        let probabilities = BinaryLayout.require words layout "P" floats [ int64 transitions ]
        let rewards = BinaryLayout.require words layout "R" floats [ int64 rows; int64 transitions ]

        source.Where <-
            fun name i ->
                let row = if name = "R" && rewards.Count = rows then i else i / layout.States
                $" (state {row / layout.Actions}, action {row % layout.Actions})"

        let chances = source.Probabilities(probabilities, chance, single)
        let struct (earned, _, _) = source.Rewards(rewards, rows)
        let successors = GC.AllocateUninitializedArray<int> transitions

        for row in 0 .. rows - 1 do
            for next in 0 .. layout.States - 1 do
                successors[row * layout.States + next] <- next

        evenArrays layout.States layout.Actions layout.States successors chances earned

    // Offsets: from 0, rising by no less than the least step, to the count.
    let private offsetsOf (source: NumberSource) (layout: ArrayLayout) (least: int) (count: int) =
        let offsets = source.Integers(layout, 0, count)

        for i in 0 .. offsets.Length - 1 do
            let from = if i = 0 then 0 else offsets[i - 1] + least
            let until = if i = 0 then 0 else count

            if offsets[i] < from || offsets[i] > until then
                source.Wrong(layout.Name, i, $"a whole number in [{from}, {until}]", string offsets[i])
            elif i = offsets.Length - 1 && offsets[i] <> count then
                source.Wrong(layout.Name, i, string count, string offsets[i])

        if source.Findings.Count > 0 then
            raise Unreadable

        offsets

    let private rowOf (offsets: int[]) (element: int) =
        match Array.BinarySearch(offsets, element) with
        | found when found >= 0 ->
            // Empty states: the last one that begins there.
            let mutable place = found

            while place + 1 < offsets.Length && offsets[place + 1] = element do
                place <- place + 1

            place
        | missed -> ~~~missed - 1

    let private readRows (words: Findings) (source: NumberSource) (layout: BinaryLayout) (single: bool) : ModelArrays =
        let counted name = layout.Arrays.TryFind name |> Option.map _.Count |> Option.defaultValue 0
        let rows, transitions = counted "row_actions", counted "successors"
        let need name types counts = BinaryLayout.require words layout name types (List.map int64 counts)
        let rowOffsets = need "row_offsets" [ "int32" ] [ layout.States + 1 ]
        let rowActions = need "row_actions" [ "int32" ] [ rows ]
        let offsets = need "offsets" [ "int32" ] [ rows + 1 ]
        let successors = need "successors" [ "int32" ] [ transitions ]
        let probabilities = need "probabilities" floats [ transitions ]
        let rewards = need "rewards" floats [ rows; transitions ]

        let optional name = if layout.Arrays.ContainsKey name then ValueSome(need name floats [ transitions ]) else ValueNone

        let continuations, lower, upper = optional "continuations", optional "lower", optional "upper"

        if lower.IsSome <> upper.IsSome then
            refuse words "arrays" "'lower' and 'upper' both, or neither" "one of them"

        let rowOffsets = offsetsOf source rowOffsets 0 rows
        let actions = source.Integers(rowActions, 0, layout.Actions - 1)
        let offsets = offsetsOf source offsets 1 transitions

        let ofRow row = $" (state {rowOf rowOffsets row}, action {actions[row]})"

        source.Where <- fun name i -> ofRow (if name = "rewards" && rewards.Count = rows && rows <> transitions then i else rowOf offsets i)

        let successors = source.Integers(successors, 0, layout.States - 1)
        let chances = source.Probabilities(probabilities, chance, single)
        let struct (earned, _, _) = source.Rewards(rewards, rows)

        let shares (array: ArrayLayout voption) =
            match array with
            | ValueSome array -> source.Numbers(array, 0.0, 1.0)
            | ValueNone -> [||]

        { plain rowOffsets actions offsets successors chances earned with
            Continuations = shares continuations
            Lower = shares lower
            Upper = shares upper
        }

    // An error of the model, as one of an array.
    let private addModel (findings: Findings) (kind: BinaryKind) (error: ModelError) =
        let struct (successors, probabilities, rewards) = namesOf kind
        let struct (expected, found) = ModelError.expectation error.Fault

        let name =
            match error.Fault with
            | ModelFault.BadReward _ -> rewards
            | ModelFault.BadContinuation _ -> "continuations"
            | ModelFault.BadInterval _
            | ModelFault.NoLawInIntervals _ -> "lower"
            | ModelFault.UnknownState _
            | ModelFault.DuplicateSuccessor _ -> successors
            | ModelFault.Other(expected, _) when expected.StartsWith("successors", StringComparison.Ordinal) -> successors
            | _ -> probabilities

        let elements =
            if error.Until > error.Place then
                $"elements {error.Place} to {error.Until}"
            else
                $"element {error.Place}"

        let action = if error.Action >= 0 then $", action {error.Action}" else ""
        let place = if error.Place < 0 then "" else $"array '{name}', {elements} (state {error.State}{action})"
        findings.AddAt(place, 0, 0, expected, found)

    /// The file of numbers that belongs to a file of words.
    let numbersOf (path: string) : string = string (Path.ChangeExtension(path, ".bin"))

    /// Reads the model whose words stand in the .json; its numbers go straight into the model's arrays. In single precision probabilities take half the memory: each is its number over the sum of the row's. The
    /// progress is the share of bytes that was read, in (0, 1].
    let read
        (single: bool)
        (limit: int)
        (progress: float -> unit)
        (cancellation: CancellationToken)
        (path: string)
        : Result<Model, FileError list> =
        let words, numbers = Findings(path, limit), Findings(numbersOf path, limit)

        try
            if not (File.Exists(numbersOf path)) then
                refuse numbers "" $"a file that exists, beside {FileInfo(path).Name}" "none"

            use handle = File.OpenHandle(numbersOf path, FileMode.Open, FileAccess.Read, FileShare.Read, FileOptions.SequentialScan)
            let layout = BinaryLayout.read words path (RandomAccess.GetLength handle)
            let total = layout.Arrays |> Map.fold (fun sum _ array -> sum + int64 array.Count * int64 array.Width) 0L
            let source = NumberSource(handle, numbers, total, progress, cancellation)

            let arrays =
                match layout.Kind with
                | Even branching -> readEven words source layout single branching
                | Dense -> readDense words source layout single
                | Rows -> readRows words source layout single

            match ModelArrays.toModel limit cancellation (named layout arrays) with
            | Ok model -> Ok model
            | Error errors ->
                errors |> List.iter (addModel numbers layout.Kind)
                Error numbers.All
        with Unreadable ->
            Error(words.All @ numbers.All)

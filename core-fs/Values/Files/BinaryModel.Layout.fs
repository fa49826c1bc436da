namespace ValueFlow.Core.Values

open System
open System.IO
open System.Text.Json

/// The kinds of models in numbers.
type internal BinaryKind =
    /// A actions in every state, b transitions for each: indices, probs, rewards.
    | Even of branching: int
    /// A actions in every state, a probability for every state after each: P, R.
    | Dense
    /// Rows and transitions as a model has them.
    | Rows

/// Where an array stands in the file of numbers.
type internal ArrayLayout =
    {
        Name: string
        /// Bytes from the start of the file.
        Offset: int64
        /// int32, float64 or float32.
        Type: string
        /// The number of elements.
        Count: int
        /// SHA-256 of its bytes in hexadecimal, if it was given.
        Checksum: string voption
    }

    /// The bytes of an element.
    member this.Width = if this.Type = "float64" then 8 else 4

/// What stands in the file of words: kind, sizes, places of arrays, names.
type internal BinaryLayout =
    {
        Kind: BinaryKind
        States: int
        Actions: int
        Arrays: Map<string, ArrayLayout>
        /// The sum of all successors, if it was given.
        SumIndices: int64 voption
        /// The sum of all rewards that are written, if it was given.
        SumRewards: float voption
        StateNames: string[]
        ActionNames: string[]
        Initial: int[]
        Labels: Map<string, int[]>
        Grid: GridLayout voption
    }

/// Reads the file of words of a model in numbers.
[<RequireQualifiedAccess>]
module internal BinaryLayout =

    let private refuse (findings: Findings) place expected (found: string) : 'a =
        findings.AddAt(place, 0, 0, expected, found)
        raise Unreadable

    let private raw (element: JsonElement) = FileError.shown (element.GetRawText())

    let private tryFind (parent: JsonElement) (key: string) : JsonElement voption =
        match parent.TryGetProperty key with
        | true, found when found.ValueKind <> JsonValueKind.Null -> ValueSome found
        | _ -> ValueNone

    let private find findings place parent (key: string) =
        match tryFind parent key with
        | ValueSome found -> found
        | ValueNone -> refuse findings place $"'{key}'" "none"

    let private object findings place (element: JsonElement) =
        if element.ValueKind <> JsonValueKind.Object then
            refuse findings place "an object in braces" (raw element)

        element

    let private text findings place (element: JsonElement) : string =
        match element.ValueKind, element.GetRawText() with
        | JsonValueKind.String, _ -> element.GetString() |> Option.ofObj |> Option.defaultValue ""
        | _, found -> refuse findings place "a text in quotation marks" (FileError.shown found)

    let private whole findings place (least: int64) (most: int64) (element: JsonElement) : int64 =
        let read () =
            match element.TryGetInt64() with
            | true, number when number >= least && number <= most -> ValueSome number
            | _ -> ValueNone

        match (if element.ValueKind = JsonValueKind.Number then read () else ValueNone) with
        | ValueSome number -> number
        | ValueNone -> refuse findings place $"a whole number in [{least}, {most}]" (raw element)

    let private number findings place (element: JsonElement) : float =
        match (if element.ValueKind = JsonValueKind.Number then element.GetDouble() else nan) with
        | found when Double.IsFinite found -> found
        | _ -> refuse findings place "a finite number" (raw element)

    let private list findings place (each: string -> JsonElement -> 'a) (element: JsonElement) : 'a[] =
        if element.ValueKind <> JsonValueKind.Array then
            refuse findings place "a list in brackets" (raw element)

        element.EnumerateArray() |> Seq.mapi (fun i item -> each $"{place}[{i}]" item) |> Array.ofSeq

    let private arrayOf findings (length: int64) (place: string) (name: string) (element: JsonElement) : ArrayLayout =
        let element = object findings place element
        let part key = find findings place element key
        let kind = text findings $"{place}.dtype" (part "dtype")

        if kind <> "int32" && kind <> "float64" && kind <> "float32" then
            refuse findings $"{place}.dtype" "int32, float64 or float32" $"'{kind}'"

        let shape = part "shape" |> list findings $"{place}.shape" (fun place -> whole findings place 0L (int64 Array.MaxLength))
        let count = shape |> Array.fold (fun (product: float) n -> product * float n) 1.0

        if count > float Array.MaxLength then
            refuse findings $"{place}.shape" $"at most {Array.MaxLength} elements" $"{count}"

        let offset = part "offset" |> whole findings $"{place}.offset" 0L Int64.MaxValue

        let layout =
            {
                Name = name
                Offset = offset
                Type = kind
                Count = int count
                Checksum = tryFind element "sha256" |> ValueOption.map (text findings $"{place}.sha256")
            }

        if offset > length - int64 layout.Count * int64 layout.Width then
            refuse
                findings
                place
                $"{layout.Count} elements of {layout.Width} bytes from byte {offset} on, in the file of numbers"
                $"a file of {length} bytes"

        layout

    let private gridOf findings states (element: JsonElement) : GridLayout =
        let element = object findings "grid" element
        let part key = find findings "grid" element key
        let size key = part key |> whole findings $"grid.{key}" 1L 1_000_000L |> int
        let rows, columns = size "rows", size "columns"
        let area = int64 rows * int64 columns
        let marks = (text findings "grid.marks" (part "marks")).ToCharArray()
        let cells = part "cells" |> list findings "grid.cells" (fun place -> whole findings place -1L (area - 1L) >> int)

        let pair place element =
            match list findings place (fun place -> whole findings place -1_000_000L 1_000_000L >> int) element with
            | [| x; y |] -> struct (x, y)
            | other -> refuse findings place "two whole numbers" (string other.Length)

        if int64 marks.Length <> area then
            refuse findings "grid.marks" $"{area} marks" (string marks.Length)

        if cells.Length <> states then
            refuse findings "grid.cells" $"{states} cells" (string cells.Length)

        {
            Rows = rows
            Columns = columns
            Cells = cells
            Marks = marks
            Directions = part "directions" |> list findings "grid.directions" pair
        }

    let private readRoot (findings: Findings) (length: int64) (root: JsonElement) : BinaryLayout =
        let root = object findings "" root
        let size key = find findings "" root key |> whole findings key 1L (int64 Array.MaxLength) |> int

        let optional key (read: string -> JsonElement -> 'a) (other: 'a) =
            tryFind root key |> ValueOption.map (read key) |> ValueOption.defaultValue other

        let endian = optional "endian" (text findings) "little"

        if endian <> "little" then
            refuse findings "endian" "little" $"'{endian}'"

        let order = optional "row" (text findings) "s*A+a"

        if order <> "s*A+a" then
            refuse findings "row" "s*A+a" $"'{order}'"

        optional "bytes" (fun place -> whole findings place length length) length |> ignore
        let states = size "S"

        let arrays =
            (object findings "arrays" (find findings "" root "arrays")).EnumerateObject()
            |> Seq.map (fun entry -> entry.Name, arrayOf findings length $"arrays.{entry.Name}" entry.Name entry.Value)
            |> Map.ofSeq

        let checksum = tryFind root "checksum" |> ValueOption.map (object findings "checksum")

        let sum key (read: string -> JsonElement -> 'a) =
            checksum |> ValueOption.bind (fun parent -> tryFind parent key) |> ValueOption.map (read $"checksum.{key}")

        let numbers place = list findings place (fun place -> whole findings place 0L (int64 states - 1L) >> int)
        let names place = list findings place (text findings)
        let actionNames = optional "action_names" names [||]
        let stateNames = optional "state_names" names [||]

        if stateNames.Length > 0 && stateNames.Length <> states then
            refuse findings "state_names" $"{states} names" (string stateNames.Length)

        {
            Kind =
                match text findings "kind" (find findings "" root "kind") with
                | "garnet" -> Even(size "b")
                | "dense" -> Dense
                | "csr" -> Rows
                | other -> refuse findings "kind" "garnet, dense or csr" $"'{other}'"
            States = states
            Actions = size "A"
            Arrays = arrays
            SumIndices = sum "sum_indices" (fun place -> whole findings place Int64.MinValue Int64.MaxValue)
            SumRewards = sum "sum_rewards" (number findings)
            StateNames = stateNames
            ActionNames = actionNames
            Initial = optional "initial" numbers [||] |> Array.distinct |> Array.sort
            Labels =
                optional
                    "labels"
                    (fun place element ->
                        (object findings place element).EnumerateObject()
                        |> Seq.map (fun entry -> entry.Name, numbers $"{place}.{entry.Name}" entry.Value |> Array.distinct |> Array.sort)
                        |> Map.ofSeq)
                    Map.empty
            Grid = tryFind root "grid" |> ValueOption.map (gridOf findings states)
        }

    /// The words of the file, for a file of numbers of so many bytes. What is wrong goes to the findings, and is raised as Unreadable.
    let read (findings: Findings) (path: string) (length: int64) : BinaryLayout =
        use stream = File.OpenRead path

        let document =
            try
                JsonDocument.Parse stream
            with :? JsonException as error ->
                let line = 1 + int (error.LineNumber.GetValueOrDefault())
                findings.Add(line, "JSON", error.Message)
                raise Unreadable

        use document = document
        readRoot findings length document.RootElement

    /// The array with a name: refused if it is missing, of another type or of another count.
    let require (findings: Findings) (layout: BinaryLayout) (name: string) (types: string list) (counts: int64 list) : ArrayLayout =
        let words (items: string list) = String.Join(" or ", items)

        match layout.Arrays.TryFind name with
        | None -> refuse findings "arrays" $"'{name}'" "none"
        | Some found ->
            if not (List.contains found.Type types) then
                refuse findings $"arrays.{name}.dtype" (words types) $"'{found.Type}'"

            if not (List.contains (int64 found.Count) counts) then
                refuse findings $"arrays.{name}.shape" $"{words (List.map string counts)} elements" (string found.Count)

            found

namespace ValueFlow.Core.Values

open System
open System.IO
open System.Runtime.InteropServices
open System.Security.Cryptography
open System.Text.Json
open ValueFlow.Core.Foundations

/// Writes models in numbers, of the kind csr: every model, bit for bit.
[<RequireQualifiedAccess>]
module BinaryModelWriter =

    [<Literal>]
    let private Alignment = 64L

    // An array as it is written: name, type, elements, and its bytes in pieces.
    type private Part = { Name: string; Type: string; Count: int; Write: (ReadOnlyMemory<byte> -> unit) -> unit }

    let private pieces (width: int) (count: int) (copy: int -> int -> byte[] -> unit) (write: ReadOnlyMemory<byte> -> unit) =
        let size = 1 <<< 16
        let bytes = Array.zeroCreate<byte>(size * width)
        let mutable start = 0

        while start < count do
            let taken = Math.Min(size, count - start)
            copy start taken bytes
            write (ReadOnlyMemory(bytes, 0, taken * width))
            start <- start + taken

    let private integers name (values: int[]) : Part =
        let copy start count (bytes: byte[]) = MemoryMarshal.AsBytes(ReadOnlySpan(values, start, count)).CopyTo(Span bytes)
        { Name = name; Type = "int32"; Count = values.Length; Write = pieces 4 values.Length copy }

    let private numbers name (values: float[]) : Part =
        let copy start count (bytes: byte[]) = MemoryMarshal.AsBytes(ReadOnlySpan(values, start, count)).CopyTo(Span bytes)
        { Name = name; Type = "float64"; Count = values.Length; Write = pieces 8 values.Length copy }

    let private singles name (values: float32[]) : Part =
        let copy start count (bytes: byte[]) = MemoryMarshal.AsBytes(ReadOnlySpan(values, start, count)).CopyTo(Span bytes)
        { Name = name; Type = "float32"; Count = values.Length; Write = pieces 4 values.Length copy }

    let private partsOf (model: Model) : Part list =
        [
            integers "row_offsets" model.rowOffsets
            integers "row_actions" model.rowActions
            integers "offsets" model.offsets
            integers "successors" model.successors
            if model.probabilityTable.Singles.Length > 0 then
                singles "probabilities" model.probabilityTable.Singles
            else
                numbers "probabilities" model.probabilities

            // One for each row, where a row's transitions earn the same.
            numbers "rewards" (if model.rewardTable.Rows.Length > 0 then model.rewardTable.Rows else model.rewards)

            for name, values in [ "continuations", model.continuations; "lower", model.lower; "upper", model.upper ] do
                if values.Length > 0 then
                    numbers name values
        ]

    // Writes the numbers; for each array its first byte and its checksum, and the length of all.
    let private writeNumbers (path: string) (parts: Part list) : struct ((Part * int64 * string) list * int64) =
        let placed = ResizeArray<Part * int64 * string>()
        let mutable length = 0L

        AtomicFile.write path (fun stream ->
            for part in parts do
                let padding = (Alignment - stream.Position % Alignment) % Alignment
                stream.Write(ReadOnlySpan(Array.zeroCreate<byte>(int padding)))
                let first = stream.Position
                use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256

                part.Write(fun bytes ->
                    hash.AppendData bytes.Span
                    stream.Write bytes.Span)

                placed.Add(part, first, Convert.ToHexStringLower(hash.GetHashAndReset()))

            length <- stream.Position)

        struct (List.ofSeq placed, length)

    let private writeGrid (json: Utf8JsonWriter) (grid: GridLayout) =
        json.WriteStartObject "grid"
        json.WriteNumber("rows", grid.Rows)
        json.WriteNumber("columns", grid.Columns)
        json.WriteString("marks", String grid.Marks)
        json.WriteStartArray "cells"
        grid.Cells |> Array.iter json.WriteNumberValue
        json.WriteEndArray()
        json.WriteStartArray "directions"

        for struct (x, y) in grid.Directions do
            json.WriteStartArray()
            json.WriteNumberValue x
            json.WriteNumberValue y
            json.WriteEndArray()

        json.WriteEndArray()
        json.WriteEndObject()

    let private writeWords (path: string) (model: Model) (placed: (Part * int64 * string) list) (length: int64) =
        AtomicFile.write path (fun stream ->
            use json = new Utf8JsonWriter(stream, JsonWriterOptions(Indented = true, NewLine = "\n"))

            let names (key: string) (values: string[]) =
                if values.Length > 0 then
                    json.WriteStartArray key
                    values |> Array.iter json.WriteStringValue
                    json.WriteEndArray()

            let states (key: string) (values: int[]) =
                json.WriteStartArray key
                values |> Array.iter json.WriteNumberValue
                json.WriteEndArray()

            json.WriteStartObject()
            json.WriteString("kind", "csr")
            json.WriteNumber("S", model.StateCount)
            // A file has an action at least, also where every state is terminal.
            json.WriteNumber("A", Math.Max(1, model.ActionCount))
            json.WriteString("endian", "little")
            json.WriteStartObject "arrays"

            for part, first, checksum in placed do
                json.WriteStartObject part.Name
                json.WriteNumber("offset", first)
                json.WriteString("dtype", part.Type)
                states "shape" [| part.Count |]
                json.WriteString("sha256", checksum)
                json.WriteEndObject()

            json.WriteEndObject()
            json.WriteNumber("bytes", length)
            names "action_names" model.actionNames

            if model.initial.Length > 0 then
                states "initial" model.initial

            if not model.labels.IsEmpty then
                json.WriteStartObject "labels"

                for entry in model.labels do
                    states entry.Key entry.Value

                json.WriteEndObject()

            model.grid |> ValueOption.iter (writeGrid json)
            names "state_names" model.stateNames
            json.WriteEndObject())

    /// Writes the numbers beside the path, as .bin, and then the words; each file appears whole or not at all, and words that meet the numbers of another model are refused by the reader.
    let write (path: string) (model: Model) : unit =
        let struct (placed, length) = writeNumbers (BinaryModel.numbersOf path) (partsOf model)
        writeWords path model placed length

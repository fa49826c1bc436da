namespace ValueFlow.Core.Learning

open System
open System.Buffers.Binary
open System.Collections.Generic
open System.IO
open System.Runtime.InteropServices
open System.Security.Cryptography
open System.Text.Json
open TorchSharp
open ValueFlow.Core.Foundations

/// One named array of a safetensors file: little-endian numbers, row by row.
type StoredTensor =
    {
        /// Its name in the file.
        Name: string
        /// The type of its numbers in the format's words: F32, F64, I64, ...
        DType: string
        /// Its sizes; empty for a single number.
        Shape: int64 list
        /// Its bytes.
        Data: byte[]
    }

/// What a safetensors file holds.
type SafetensorsContent =
    {
        /// Texts by name.
        Metadata: Map<string, string>
        /// The arrays, in the order of their bytes.
        Tensors: StoredTensor list
    }

/// Reads and writes the safetensors format: 8 bytes with the length of the header, the header in JSON, the bytes of the arrays without gaps.
/// Hugging Face 2022, "Safetensors: a simple and safe way to store and distribute tensors".
[<RequireQualifiedAccess>]
module Safetensors =

    /// The format's bound on the header: 100 MB.
    let largestHeader: int = 100_000_000

    let private sizes =
        dict
            [
                for name in [ "F64"; "I64"; "U64"; "C64" ] do
                    name, 8

                for name in [ "F32"; "I32"; "U32" ] do
                    name, 4

                for name in [ "F16"; "BF16"; "I16"; "U16" ] do
                    name, 2

                for name in [ "BOOL"; "U8"; "I8"; "F8_E4M3"; "F8_E5M2" ] do
                    name, 1
            ]

    let private torchTypes =
        [
            "F64", torch.float64
            "F32", torch.float32
            "F16", torch.float16
            "BF16", torch.bfloat16
            "I64", torch.int64
            "I32", torch.int32
            "I16", torch.int16
            "I8", torch.int8
            "U8", torch.uint8
            "BOOL", torch.bool
        ]

    let internal shown (shape: int64 list) : string = shape |> List.map string |> String.concat ", " |> sprintf "[%s]"

    exception private Malformed of expected: string * found: string

    let private refuse expected found = raise (Malformed(expected, found))

    // The bytes that a shape asks for.
    let private bytesOf (name: string) (dtype: string) (shape: int64 list) : int64 =
        try
            List.fold (fun product size -> Checked.(*) product size) (int64 sizes[dtype]) shape
        with :? OverflowException ->
            refuse $"a size of '{name}' that can be addressed" $"shape {shown shape}"

    let private text (name: string) (json: JsonElement) : string =
        match json.ValueKind with
        | JsonValueKind.String -> string (json.GetString())
        | kind -> refuse $"{name} to be a text" $"{kind}"

    let private whole (name: string) (json: JsonElement) : int64 =
        match json.ValueKind = JsonValueKind.Number, json with
        | true, number when fst (number.TryGetInt64()) && number.GetInt64() >= 0L -> number.GetInt64()
        | _ -> refuse $"{name} to be a whole number that is not negative" $"{json}"

    let private wholes (name: string) (json: JsonElement) : int64 list =
        match json.ValueKind with
        | JsonValueKind.Array -> [ for item in json.EnumerateArray() -> whole name item ]
        | kind -> refuse $"{name} to be a list" $"{kind}"

    let private properties (name: string) (json: JsonElement) : (string * JsonElement) list =
        if json.ValueKind <> JsonValueKind.Object then
            refuse $"{name} to be an object" $"{json.ValueKind}"

        let seen = HashSet<string>()

        [
            for property in json.EnumerateObject() do
                if not (seen.Add property.Name) then
                    refuse $"every name in {name} once" $"'{property.Name}' twice"

                property.Name, property.Value
        ]

    let private entry (buffer: ReadOnlyMemory<byte>) (name: string, json: JsonElement) : struct (int64 * int64 * StoredTensor) =
        let fields = Map.ofList (properties $"'{name}'" json)

        for field in [ "dtype"; "shape"; "data_offsets" ] do
            if not (fields.ContainsKey field) then
                refuse $"'{name}' to have dtype, shape and data_offsets" $"no {field}"

        let dtype = text $"dtype of '{name}'" fields["dtype"]

        if not (sizes.ContainsKey dtype) then
            let known = String.concat ", " sizes.Keys
            refuse $"dtype of '{name}' to be one of {known}" $"'{dtype}'"

        let shape = wholes $"shape of '{name}'" fields["shape"]

        match wholes $"data_offsets of '{name}'" fields["data_offsets"] with
        | [ first; last ] ->
            if first > last || last > int64 buffer.Length then
                refuse $"data_offsets of '{name}' within {buffer.Length} bytes" $"[{first}, {last}]"

            if last - first <> bytesOf name dtype shape then
                refuse $"{bytesOf name dtype shape} bytes for '{name}'" $"{last - first}"

            let data = buffer.Slice(int first, int (last - first)).ToArray()
            struct (first, last, { Name = name; DType = dtype; Shape = shape; Data = data })
        | other -> refuse $"data_offsets of '{name}' to be two numbers" $"{other.Length}"

    let private parseBytes (bytes: ReadOnlyMemory<byte>) : SafetensorsContent =
        if bytes.Length < 8 then
            refuse "8 bytes with the length of the header" $"a file of {bytes.Length} bytes"

        let length = BinaryPrimitives.ReadUInt64LittleEndian bytes.Span

        if length > uint64 largestHeader then
            refuse $"a header of at most {largestHeader} bytes" $"{length}"

        if length > uint64 (bytes.Length - 8) then
            refuse $"a header of {length} bytes" $"{bytes.Length - 8} bytes after the length"

        let header = bytes.Slice(8, int length)

        if header.Length = 0 || header.Span[0] <> byte '{' then
            refuse "a header that starts with {" (if header.Length = 0 then "nothing" else $"byte {header.Span[0]}")

        let buffer = bytes.Slice(8 + int length)

        try
            // An invalid surrogate is found only when a text is read.
            use document = JsonDocument.Parse(header, JsonDocumentOptions(MaxDepth = 8))
            let all = properties "the header" document.RootElement

            let metadata =
                match List.tryFind (fun (name, _) -> name = "__metadata__") all with
                | Some(_, json) -> properties "__metadata__" json |> List.map (fun (key, value) -> key, text $"__metadata__ '{key}'" value)
                | None -> []

            let entries =
                all
                |> List.filter (fun (name, _) -> name <> "__metadata__")
                |> List.map (entry buffer)
                |> List.sortBy (fun (struct (first, last, _)) -> struct (first, last))

            let mutable reached = 0L

            for struct (first, last, tensor) in entries do
                if first <> reached then
                    refuse $"'{tensor.Name}' to start at byte {reached}, without gap or overlap" $"byte {first}"

                reached <- last

            if reached <> int64 buffer.Length then
                refuse $"{reached} bytes of data" $"{buffer.Length}"

            { Metadata = Map.ofList metadata; Tensors = [ for struct (_, _, tensor) in entries -> tensor ] }
        with
        | :? JsonException as error -> refuse "a header in JSON" error.Message
        | :? InvalidOperationException as error -> refuse "texts in valid UTF-8" error.Message

    /// What the bytes of a file hold, or what is wrong: the file's name, what was expected and what was found.
    let parse (file: string) (bytes: ReadOnlyMemory<byte>) : Result<SafetensorsContent, string> =
        try
            Ok(parseBytes bytes)
        with Malformed(expected, found) ->
            Error $"{file}: expected {expected}, found {found}"

    /// What a file of less than 2 GB holds. Throws an InvalidDataException that names the file, what was expected and what was found; or an IOException.
    let read (path: string) : SafetensorsContent =
        match parse (string (Path.GetFileName path)) (ReadOnlyMemory(File.ReadAllBytes path)) with
        | Ok content -> content
        | Error message -> raise (InvalidDataException message)

    let private require (tensors: StoredTensor list) =
        let seen = HashSet<string>()

        for tensor in tensors do
            if tensor.Name = "__metadata__" || not (seen.Add tensor.Name) then
                invalidArg (nameof tensors) $"names must differ, and not be __metadata__, but '{tensor.Name}' is one"

            if not (sizes.ContainsKey tensor.DType) then
                invalidArg (nameof tensors) $"the type of '{tensor.Name}' must be one of the format but is '{tensor.DType}'"

            let expected = List.fold (*) (int64 sizes[tensor.DType]) tensor.Shape

            if List.exists (fun size -> size < 0L) tensor.Shape || int64 tensor.Data.Length <> expected then
                invalidArg (nameof tensors) $"'{tensor.Name}' must have {expected} bytes but has {tensor.Data.Length}"

    let private headerOf (metadata: Map<string, string>) (tensors: StoredTensor list) : byte[] =
        use memory = new MemoryStream()

        let writeHeader () =
            use json = new Utf8JsonWriter(memory)
            json.WriteStartObject()

            if not metadata.IsEmpty then
                json.WriteStartObject "__metadata__"

                for KeyValue(key, value) in metadata do
                    json.WriteString(key, value)

                json.WriteEndObject()

            let mutable offset = 0L

            for tensor in tensors do
                json.WriteStartObject tensor.Name
                json.WriteString("dtype", tensor.DType)
                json.WriteStartArray "shape"

                for size in tensor.Shape do
                    json.WriteNumberValue size

                json.WriteEndArray()
                json.WriteStartArray "data_offsets"
                json.WriteNumberValue offset
                offset <- offset + int64 tensor.Data.Length
                json.WriteNumberValue offset
                json.WriteEndArray()
                json.WriteEndObject()

            json.WriteEndObject()

        writeHeader ()

        // Spaces up to a multiple of 8: the numbers are aligned.
        while memory.Length % 8L <> 0L do
            memory.WriteByte(byte ' ')

        memory.ToArray()

    /// Writes a file: whole or not at all, under its name. The arrays are ordered by the width of their numbers, widest first, then by name.
    /// Throws an ArgumentException for names that do not differ, unknown types, and bytes that do not fit a shape, and a DirectoryNotFoundException
    /// where the folder is missing: a slip in the path of a long run's checkpoints shall not pass.
    let write (path: string) (metadata: Map<string, string>) (tensors: StoredTensor list) : unit =
        require tensors

        match Path.GetDirectoryName(Path.GetFullPath path) with
        | null -> ()
        | folder when Directory.Exists folder -> ()
        | folder -> raise (DirectoryNotFoundException $"the folder {folder} must exist but does not")

        let ordered =
            tensors
            |> List.sortWith (fun a b ->
                match compare sizes[b.DType] sizes[a.DType] with
                | 0 -> String.CompareOrdinal(a.Name, b.Name)
                | order -> order)

        let header = headerOf metadata ordered

        if header.Length > largestHeader then
            invalidArg (nameof metadata) $"the header may have at most {largestHeader} bytes but has {header.Length}"

        AtomicFile.write path (fun stream ->
            let length = Array.zeroCreate<byte> 8
            BinaryPrimitives.WriteUInt64LittleEndian(Span length, uint64 header.Length)
            stream.Write(length, 0, 8)
            stream.Write(header, 0, header.Length)

            for tensor in ordered do
                stream.Write(tensor.Data, 0, tensor.Data.Length))

    let private stored (name: string) (dtype: string) (shape: int64 list) (values: ReadOnlySpan<'number>) =
        { Name = name; DType = dtype; Shape = shape; Data = MemoryMarshal.AsBytes(values).ToArray() }

    /// A named array of float32 numbers.
    let ofFloat32 (name: string) (shape: int64 list) (values: ReadOnlySpan<float32>) : StoredTensor = stored name "F32" shape values

    /// A named array of float64 numbers.
    let ofFloat64 (name: string) (shape: int64 list) (values: ReadOnlySpan<float>) : StoredTensor = stored name "F64" shape values

    let private numbers<'number when 'number: struct and 'number :> ValueType and 'number: (new: unit -> 'number)>
        (dtype: string)
        (tensor: StoredTensor)
        =
        if tensor.DType <> dtype then
            invalidArg (nameof tensor) $"the type of '{tensor.Name}' must be {dtype} but is {tensor.DType}"

        MemoryMarshal.Cast<byte, 'number>(ReadOnlySpan tensor.Data).ToArray()

    /// The numbers of an F32 array.
    let toFloat32 (tensor: StoredTensor) : float32[] = numbers<float32> "F32" tensor

    /// The numbers of an F64 array.
    let toFloat64 (tensor: StoredTensor) : float[] = numbers<float> "F64" tensor

    /// A tensor under a name. Throws an ArgumentException for a type that the format does not know.
    let ofTensor (name: string) (tensor: torch.Tensor) : StoredTensor =
        match torchTypes |> List.tryFind (fun (_, dtype) -> dtype = tensor.dtype) with
        | None -> invalidArg (nameof tensor) $"the type must be one of the format but is {tensor.dtype}"
        | Some(dtype, _) ->
            Lifetime.within (fun () ->
                let plain: torch.Tensor = tensor.detach().cpu().contiguous()
                let data = if plain.numel () = 0L then [||] else plain.bytes.ToArray()
                { Name = name; DType = dtype; Shape = List.ofArray tensor.shape; Data = data })

    /// The array as a fresh tensor. Throws an ArgumentException for a type that libtorch does not have here.
    let toTensor (tensor: StoredTensor) : torch.Tensor =
        match torchTypes |> List.tryFind (fun (name, _) -> name = tensor.DType) with
        | None -> invalidArg (nameof tensor) $"the type of '{tensor.Name}' must be one of libtorch's but is {tensor.DType}"
        | Some(_, dtype) ->
            let fresh: torch.Tensor = torch.empty (Array.ofList tensor.Shape, dtype = Nullable dtype)

            if tensor.Data.Length > 0 then
                ReadOnlySpan(tensor.Data).CopyTo fresh.bytes

            fresh

    /// SHA-256 over the bytes of the arrays, by name: what a file states of its numbers, to notice that one has changed.
    let internal fingerprint (tensors: StoredTensor list) : string =
        use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256

        for tensor in tensors |> List.sortWith (fun a b -> String.CompareOrdinal(a.Name, b.Name)) do
            hash.AppendData(tensor.Data)

        Convert.ToHexStringLower(hash.GetHashAndReset())

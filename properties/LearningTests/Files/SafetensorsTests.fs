module ValueFlow.LearningTests.Files.SafetensorsTests

open System
open System.Buffers.Binary
open System.IO
open System.Text
open Xunit
open FsCheck
open FsCheck.FSharp
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning
open ValueFlow.LearningTests.Refutation

/// A folder of its own, gone afterwards.
let inFolder (work: string -> 'result) : 'result =
    let folder = Directory.CreateTempSubdirectory("valueflow").FullName

    try
        work folder
    finally
        Directory.Delete(folder, true)

/// A file as the format's description has it, byte by byte: length, header, data.
let private file (header: string) (data: byte[]) : byte[] =
    let text = Encoding.UTF8.GetBytes header
    let length = Array.zeroCreate<byte> 8
    BinaryPrimitives.WriteUInt64LittleEndian(Span length, uint64 text.Length)
    Array.concat [ length; text; data ]

let private parse (bytes: byte[]) = Safetensors.parse "t.safetensors" (ReadOnlyMemory bytes)

let private types =
    [|
        torch.float32
        torch.float64
        torch.float16
        torch.bfloat16
        torch.int64
        torch.int32
        torch.int16
        torch.int8
        torch.uint8
        torch.bool
    |]

/// Random arrays, empty ones and single numbers among them.
let private arrays (seed: int) : StoredTensor list =
    let generator = Generator seed

    List.init (generator.Below 5) (fun i ->
        let shape = Array.init (generator.Below 4) (fun _ -> int64 (generator.Below 4))

        Lifetime.within (fun () ->
            let wide: torch.Tensor = torch.empty (shape, dtype = Nullable torch.float64)

            let values: torch.Tensor =
                if wide.numel () = 0L then
                    wide
                else
                    (torch.tensor (Array.init (int (wide.numel ())) (fun _ -> 100.0 * Sampling.normal generator))).reshape shape

            Safetensors.ofTensor $"array {i} \"\u00e9" (values.``to`` types[generator.Below types.Length])))

let private metadata (seed: int) = Map.ofList [ for i in 1 .. abs (seed % 3) -> $"key {i}\n", $"\u6f22 \"{seed}\"" ]

let private roundTrip (change: SafetensorsContent -> SafetensorsContent) (seed: int) =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "a.safetensors")
        let tensors = arrays seed
        Safetensors.write path (metadata seed) tensors
        let found = change (Safetensors.read path)

        let again =
            found.Tensors
            |> List.map (fun stored ->
                use tensor = Safetensors.toTensor stored
                Safetensors.ofTensor stored.Name tensor)

        let bytes = File.ReadAllBytes path

        found.Metadata = metadata seed
        && List.sortBy _.Name found.Tensors = List.sortBy _.Name tensors
        && again = found.Tensors
        && (8UL + BinaryPrimitives.ReadUInt64LittleEndian(ReadOnlySpan bytes)) % 8UL = 0UL
        && Directory.GetFiles(folder).Length = 1)

[<Fact>]
let ``what is written is read: types, empty arrays, single numbers, texts`` () =
    holds 100 (roundTrip id)

    refuted (
        roundTrip (fun content ->
            { content with
                Tensors = content.Tensors |> List.map (fun tensor -> { tensor with Shape = List.rev tensor.Shape })
            })
    )

[<Fact>]
let ``a file made by hand from the format's description is read`` () =
    let header =
        """{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"e":{"dtype":"F16","shape":[0,3],"data_offsets":[16,16],"extra":1}}   """

    let data =
        Array.concat [ [| 7uy; 0uy; 0uy; 0uy; 0uy; 0uy; 0uy; 0uy |]; [| 0uy; 0uy; 128uy; 63uy |]; [| 0uy; 0uy; 0uy; 192uy |] ]

    match parse (file header data) with
    | Error problem -> Assert.Fail problem
    | Ok content ->
        Assert.Equal<Map<string, string>>(Map.ofList [ "format", "pt" ], content.Metadata)
        Assert.Equal<string list>([ "a"; "b"; "e" ], content.Tensors |> List.map _.Name)
        Assert.Equal<float32[]>([| 1.0f; -2.0f |], Safetensors.toFloat32 content.Tensors[1])
        use seven = Safetensors.toTensor content.Tensors[0]
        Assert.Equal(7L, seven.item<int64>())
        use empty = Safetensors.toTensor content.Tensors[2]
        Assert.Equal<int64[]>([| 0L; 3L |], empty.shape)

    // The smallest file: no array at all.
    Assert.Equal(Ok { Metadata = Map.empty; Tensors = [] }, parse (file "{}" [||]))

[<Fact>]
let ``every malformed file is refused by its name, what was expected and what was found`` () =
    let one (fields: string) = file ("{\"a\":{" + fields + "}}") (Array.zeroCreate 8)

    let cases =
        [
            [||], "8 bytes"
            [| 1uy; 2uy |], "found a file of 2 bytes"
            Array.create 8 255uy, "at most 100000000 bytes"
            file "{}" [||] |> Array.truncate 9, "found 1 bytes after the length"
            file "" [||], "starts with {"
            file " {}" [||], "starts with {"
            file "[]" [||], "starts with {"
            file "{" [||], "a header in JSON"
            file "{}x" [||], "a header in JSON"
            file "{}" [| 0uy |], "expected 0 bytes of data, found 1"
            file """{"a":1}""" [||], "'a' to be an object"
            file """{"__metadata__":{"k":1}}""" [||], "__metadata__ 'k'"
            file """{"__metadata__":[]}""" [||], "__metadata__ to be an object"
            one "", "no dtype"
            one "\"dtype\":\"F32\",\"shape\":[2]", "no data_offsets"
            one "\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]", "'F33'"
            one "\"dtype\":4,\"shape\":[2],\"data_offsets\":[0,8]", "dtype of 'a' to be a text"
            one "\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]", "shape of 'a' to be a list"
            one "\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]", "not negative"
            one "\"dtype\":\"F32\",\"shape\":[2.5],\"data_offsets\":[0,8]", "found 2.5"
            one "\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]", "expected 12 bytes for 'a', found 8"
            one "\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,8]", "addressed"
            one "\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]", "two numbers"
            one "\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]", "[8, 0]"
            one "\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]", "within 8 bytes"
            one "\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]", "expected 4 bytes of data, found 8"
            one "\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]", "without gap or overlap"
            file
                """{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"""
                [| 1uy; 2uy; 3uy |],
            "without gap or overlap"
            file
                """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"""
                [| 1uy; 2uy |],
            "'a' twice"
            file """{"\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""" [| 1uy |], "expected"
        ]

    for bytes, part in cases do
        match parse bytes with
        | Ok _ -> Assert.Fail part
        | Error problem ->
            Assert.StartsWith("t.safetensors: expected ", problem)
            Assert.Contains("found", problem)
            Assert.Contains(part, problem)

// A changed byte in length or header: refused, or the same bytes in arrays whose shapes fit them.
let private corruption (read: byte[] -> Result<SafetensorsContent, string>) (seed: int) =
    let bytes =
        inFolder (fun folder ->
            let path = Path.Combine(folder, "a.safetensors")
            Safetensors.write path (metadata seed) (arrays seed)
            File.ReadAllBytes path)

    let header = 8 + int (BinaryPrimitives.ReadUInt64LittleEndian(ReadOnlySpan bytes))
    let generator = Generator seed

    Seq.init 100 (fun _ ->
        let changed = Array.copy bytes
        let place = generator.Below header
        changed[place] <- changed[place] ^^^ byte (1 + generator.Below 255)

        match read changed with
        | Error problem -> problem.StartsWith "t.safetensors: expected"
        | Ok content -> Array.concat (content.Tensors |> List.map _.Data) = bytes[header..])
    |> Seq.forall id

[<Fact>]
let ``a changed byte in the header is refused, or the data are read as they are`` () =
    holds 100 (corruption parse)
    // A reader that takes every array that is in bounds, gaps or not.
    refuted (
        corruption (fun bytes -> parse bytes |> Result.map (fun content -> { content with Tensors = List.truncate 1 content.Tensors }))
    )

[<Fact>]
let ``arrays that do not fit the format are not written, and leave the old file as it was`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "a.safetensors")
        let good = Safetensors.ofFloat32 "a" [ 2L ] (ReadOnlySpan [| 1.0f; 2.0f |])
        Safetensors.write path Map.empty [ good ]
        let before = File.ReadAllBytes path

        for bad in
            [
                [ good; good ]
                [ { good with Name = "__metadata__" } ]
                [ { good with DType = "X" } ]
                [ { good with Shape = [ 3L ] } ]
            ] do
            Assert.Throws<ArgumentException>(fun () -> Safetensors.write path Map.empty bad) |> ignore

        Assert.Equal<byte[]>(before, File.ReadAllBytes path)

        Assert.Throws<DirectoryNotFoundException>(fun () -> Safetensors.write (Path.Combine(folder, "no", "a")) Map.empty [ good ])
        |> ignore

        Assert.Equal(1, Directory.GetFiles(folder).Length))

[<Fact>]
let ``a network is loaded as it was saved, and other files are refused precisely`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "model.safetensors")

        let network =
            { NetworkConfiguration.timeMlp 2 [ 5; 4 ] Activation.Selu with
                Time = TimeInput.Fourier 2
                Condition = 1
            }
            |> Network.init Initialisation.Linear (Generator 1)

        Network.saveWith (Map.ofList [ "columns", "x,y" ]) path network
        let loaded, facts = Network.loadWith path
        Assert.Equal(network.Configuration, loaded.Configuration)
        Assert.Equal<float32[]>(network.Parameters, loaded.Parameters)
        Assert.Equal("x,y", facts["columns"])

        Assert.Throws<ArgumentException>(fun () -> Network.saveWith (Map.ofList [ "sha256", "" ]) path network)
        |> ignore

        let content = Safetensors.read path

        let refused (part: string) (metadata: Map<string, string>) (tensors: StoredTensor list) =
            Safetensors.write path metadata tensors
            let error = Assert.Throws<InvalidDataException>(fun () -> Network.load path |> ignore)
            Assert.StartsWith("model.safetensors: expected ", error.Message)
            Assert.Contains(part, error.Message)

        let changing name change = content.Tensors |> List.map (fun tensor -> if tensor.Name = name then change tensor else tensor)

        refused "found no format" Map.empty content.Tensors
        refused "found 'other'" (Map.add "format" "other" content.Metadata) content.Tensors
        refused "version '1', found '2'" (Map.add "version" "2" content.Metadata) content.Tensors
        refused "configuration" (Map.remove "configuration" content.Metadata) content.Tensors
        refused "JSON" (Map.add "configuration" "x" content.Metadata) content.Tensors
        refused "6 arrays, found 5" content.Metadata (List.tail content.Tensors)
        refused "'layers.1.bias'" content.Metadata (changing "layers.1.bias" (fun tensor -> { tensor with Name = "bias" }))
        refused "[4]" content.Metadata (changing "layers.1.bias" (fun tensor -> { tensor with Shape = [ 2L; 2L ] }))
        refused "F32" content.Metadata (changing "layers.1.bias" (fun tensor -> { tensor with DType = "I32" }))

        refused
            "finite numbers in 'layers.1.bias', found NaN at 0"
            content.Metadata
            (changing "layers.1.bias" (fun tensor ->
                Safetensors.ofFloat32 tensor.Name tensor.Shape (ReadOnlySpan [| nanf; 0.0f; 0.0f; 0.0f |])))

        refused "sha256" content.Metadata (changing "layers.1.bias" (fun tensor -> { tensor with Data = Array.zeroCreate 16 }))
        File.WriteAllText(path, "x,y\n1,2\n")
        Assert.Throws<InvalidDataException>(fun () -> Network.load path |> ignore) |> ignore

        Assert.Throws<FileNotFoundException>(fun () -> Network.load (Path.Combine(folder, "none")) |> ignore)
        |> ignore)

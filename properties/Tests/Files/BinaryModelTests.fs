/// Models in numbers: what is written is read back bit for bit, files of other programs are read, and whatever is wrong is named by file, array and element.
module ValueFlow.Tests.Files.BinaryModelTests

open System
open System.IO
open System.Text.Json.Nodes
open System.Threading
open Xunit
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Tests.Files.Fixture

let private bits (values: ReadOnlySpan<float>) = values.ToArray() |> Array.map BitConverter.DoubleToInt64Bits

let private same (a: Model) (b: Model) =
    Assert.Equal<int[]>(a.RowOffsets.ToArray(), b.RowOffsets.ToArray())
    Assert.Equal<int[]>(a.RowActions.ToArray(), b.RowActions.ToArray())
    Assert.Equal<int[]>(a.Offsets.ToArray(), b.Offsets.ToArray())
    Assert.Equal<int[]>(a.Successors.ToArray(), b.Successors.ToArray())
    Assert.Equal<int64[]>(bits a.Probabilities, bits b.Probabilities)
    Assert.Equal<int64[]>(bits a.Rewards, bits b.Rewards)
    Assert.Equal<int64[]>(bits a.Continuations, bits b.Continuations)
    Assert.Equal<int64[]>(bits a.Lower, bits b.Lower)
    Assert.Equal<int64[]>(bits a.Upper, bits b.Upper)
    Assert.Equal<int[]>(a.Initial.ToArray(), b.Initial.ToArray())
    Assert.Equal<Map<string, int[]>>(a.Labels, b.Labels)
    Assert.Equal(a.Grid, b.Grid)
    Assert.Equal(a.ActionCount, b.ActionCount)
    Assert.Equal<string list>(List.init a.StateCount a.StateName, List.init b.StateCount b.StateName)
    Assert.Equal<string list>(List.init a.ActionCount a.ActionName, List.init b.ActionCount b.ActionName)

let private pick (generator: Generator) (choices: 'a[]) = choices[generator.Below choices.Length]

/// A file of numbers as another program writes it: arrays at multiples of 64 bytes, and words about them.
type private Foreign(kind: string, states: int, actions: int) =
    let stream = new MemoryStream()
    let arrays = JsonObject()
    let root = JsonObject()

    do
        root["kind"] <- JsonValue.Create kind
        root["S"] <- JsonValue.Create states
        root["A"] <- JsonValue.Create actions
        root["endian"] <- JsonValue.Create "little"
        root["row"] <- JsonValue.Create "s*A+a"

    member _.Root = root
    member _.Arrays = arrays

    member _.Add(name: string, dtype: string, shape: int list, bytes: byte[]) =
        while stream.Position % 64L <> 0L do
            stream.WriteByte 0uy

        let layout = JsonObject()
        layout["offset"] <- JsonValue.Create stream.Position
        layout["dtype"] <- JsonValue.Create dtype
        layout["shape"] <- JsonArray(shape |> List.map (fun n -> JsonValue.Create n :> JsonNode) |> Array.ofList)
        arrays[name] <- layout
        stream.Write(bytes, 0, bytes.Length)

    member this.Integers(name, values: int[]) = this.Add(name, "int32", [ values.Length ], values |> Array.collect BitConverter.GetBytes)

    member this.Numbers(name, shape, values: float[]) = this.Add(name, "float64", shape, values |> Array.collect BitConverter.GetBytes)

    member this.Narrow(name, shape, values: float[]) =
        this.Add(name, "float32", shape, values |> Array.collect (float32 >> BitConverter.GetBytes))

    member _.Write(path: string) =
        root["bytes"] <- JsonValue.Create stream.Position
        root["arrays"] <- arrays
        File.WriteAllText(path, root.ToJsonString())
        File.WriteAllBytes(BinaryModel.numbersOf path, stream.ToArray())

// A part of a document that is there.
let private at (node: JsonNode) (key: string) : JsonNode =
    match node[key] with
    | null -> invalidOp $"no {key}"
    | found -> found

let private parsed (path: string) : JsonNode =
    match JsonNode.Parse(File.ReadAllText path) with
    | null -> invalidOp "nothing"
    | found -> found

// As in the benchmark: s states, 4 actions, 3 successors in increasing order, rewards of rows.
let private garnet (seed: int) (states: int) =
    let generator = Generator seed
    let rows = states * 4
    let successors = Array.init rows (fun _ -> Sampling.distinct generator 3 states |> Array.sort) |> Array.concat
    let chances = Array.init rows (fun _ -> Sampling.simplex generator 3) |> Array.concat
    let rewards = Array.init rows (fun _ -> generator.Uniform())
    struct (successors, chances, rewards)

let private writeGarnet (path: string) (seed: int) (states: int) =
    let struct (successors, chances, rewards) = garnet seed states
    let file = Foreign("garnet", states, 4)
    file.Root["b"] <- JsonValue.Create 3
    file.Integers("indices", successors)
    file.Numbers("probs", [ chances.Length ], chances)
    file.Numbers("rewards", [ rewards.Length ], rewards)
    let sums = JsonObject()
    sums["sum_indices"] <- JsonValue.Create(successors |> Array.sumBy int64)
    sums["sum_rewards"] <- JsonValue.Create(Array.sum rewards)
    file.Root["checksum"] <- sums
    file.Write path

let private builtOf (states: int) (branching: int) (struct (successors: int[], chances: float[], rewards: int -> int -> float)) =
    let builder = ModelBuilder states

    for row in 0 .. successors.Length / branching - 1 do
        for k in row * branching .. (row + 1) * branching - 1 do
            builder.Add(row / 4, row % 4, successors[k], chances[k], rewards row k)

    match builder.Build() with
    | Ok model -> model
    | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

[<Fact>]
let ``every model is read back bit for bit, names, labels, map and intervals included`` () =
    use folder = new Folder()
    let path = folder.At "m.json"

    let back (model: Model) =
        ModelFile.write path model
        same model (ok (read path))

    for seed in 1..60 do
        back (model seed (seed % 2 = 0) (seed % 3 = 0))
        // Masks, terminals, ends of episodes, and outcomes of their own for different rewards.
        back (ValueFlow.Tests.Values.CertificateTests.randomCase seed).Model
        back (ValueFlow.Tests.Values.CertificateTests.withIntervals (ValueFlow.Tests.Values.CertificateTests.randomCase seed).Model)

    back (FrozenLake.standard ())
    back (CliffWalking.create 0.1)
    back (Taxi.create ())
    let nothing = ModelBuilder 2
    nothing.Terminal 0
    nothing.Terminal 1
    nothing.StateNames [| "\"a\"\n\\"; "é" |]

    back (
        match nothing.Build() with
        | Ok model -> model
        | Error _ -> invalidOp "two terminal states are a model"
    )

[<Fact>]
let ``the layouts of the benchmark are read as what they say`` () =
    use folder = new Folder()
    let path = folder.At "m.json"
    let near (a: float[]) (b: float[]) = Array.iter2 (fun (x: float) (y: float) -> Assert.Equal(x, y, 1e-7)) a b

    for seed in 1..20 do
        let states = 5 + seed
        let struct (successors, chances, rewards) = garnet seed states
        let expected = builtOf states 3 (struct (successors, chances, (fun row _ -> rewards[row])))
        writeGarnet path seed states
        let model = ok (read path)
        Assert.Equal<int[]>(expected.Successors.ToArray(), model.Successors.ToArray())
        Assert.Equal<float[]>(expected.Rewards.ToArray(), model.Rewards.ToArray())
        Assert.Equal<int[]>(expected.RowOffsets.ToArray(), model.RowOffsets.ToArray())
        near (expected.Probabilities.ToArray()) (model.Probabilities.ToArray())
        Assert.True(model.Normalisation < 1e-15)
        // In half the digits, and with a reward for each transition.
        let earned = Array.init chances.Length float
        let file = Foreign("garnet", states, 4)
        file.Root["b"] <- JsonValue.Create 3
        file.Integers("indices", successors)
        file.Narrow("probs", [ states * 4; 3 ], chances)
        file.Numbers("rewards", [ states * 4; 3 ], earned)
        file.Write path
        let model = ok (read path)
        near (expected.Probabilities.ToArray()) (model.Probabilities.ToArray())
        Assert.Equal<float[]>(earned, model.Rewards.ToArray())
        // Normalised, and told.
        Assert.InRange(model.Normalisation, 1e-12, 1e-6)

        for row in 0 .. states * 4 - 1 do
            let mutable sum = 0.0

            for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                sum <- sum + model.Probabilities[k]

            Assert.Equal(1.0, sum, 1e-15)

        // Dense, with places that are never reached.
        let dense = Array.zeroCreate (states * 4 * states)

        for row in 0 .. states * 4 - 1 do
            for k in row * 3 .. row * 3 + 2 do
                dense[row * states + successors[k]] <- chances[k]

        let file = Foreign("dense", states, 4)
        file.Numbers("P", [ states; 4; states ], dense)
        file.Numbers("R", [ states; 4 ], rewards)
        file.Write path
        let model = ok (read path)
        let positive = Array.map2 (fun s p -> s, p) successors chances |> Array.filter (fun (_, p) -> p > 0.0)
        Assert.Equal<int[]>(Array.map fst positive, model.Successors.ToArray())
        near (Array.map snd positive) (model.Probabilities.ToArray())

[<Fact>]
let ``the corrupted array and element are named in 100 of 100 files`` () =
    use folder = new Folder()
    let path = folder.At "m.json"

    for seed in 1..100 do
        let generator = Generator seed
        let states = 6
        let kind = generator.Below 2
        let struct (successors, chances, rewards) = garnet seed states

        // With checksums and without: a checksum must not hide the place.
        if kind = 0 then
            writeGarnet path seed states
        else
            ModelFile.write path (builtOf states 3 (struct (successors, chances, (fun row _ -> rewards[row]))))

        let indices, probs = if kind = 0 then "indices", "probs" else "successors", "probabilities"
        let root = parsed path
        let layout name = at (at root "arrays") name
        let bytes = File.ReadAllBytes(BinaryModel.numbersOf path)
        let offset name = (at (layout name) "offset").GetValue<int>()

        let element name width count (value: byte[]) =
            let i = generator.Below count
            Array.blit value 0 bytes (offset name + i * width) width
            File.WriteAllBytes(BinaryModel.numbersOf path, bytes)
            "m.bin", name, i

        let rows = states * 4

        let file, array, i =
            match generator.Below 7 with
            | 0 -> element indices 4 (3 * rows) (BitConverter.GetBytes(pick generator [| states; -1; Int32.MaxValue |]))
            | 1 -> element probs 8 (3 * rows) (BitConverter.GetBytes(pick generator [| nan; -0.25; 1.5; infinity |]))
            | 2 -> element "rewards" 8 rows (BitConverter.GetBytes(pick generator [| nan; infinity; -infinity |]))
            | 3 ->
                // A row that does not sum to one: a chance becomes another one.
                let i = generator.Below(3 * rows)
                let place = offset probs + 8 * i
                let p = BitConverter.ToDouble(bytes, place)
                Array.blit (BitConverter.GetBytes(if p > 0.5 then p - 0.1 else p + 0.1)) 0 bytes place 8
                File.WriteAllBytes(BinaryModel.numbersOf path, bytes)

                // Without its checksum, so that the sum is found.
                (layout probs).AsObject().Remove "sha256" |> ignore
                File.WriteAllText(path, root.ToJsonString())
                "m.bin", probs, i
            | 4 ->
                (layout probs)["dtype"] <- JsonValue.Create(pick generator [| "int32"; "float16"; "double" |])
                File.WriteAllText(path, root.ToJsonString())
                "m.json", probs, -1
            | 5 ->
                (layout "rewards")["shape"] <- JsonArray(JsonValue.Create(rows - 1))
                File.WriteAllText(path, root.ToJsonString())
                "m.json", "rewards", -1
            | _ ->
                (at root "arrays").AsObject().Remove indices |> ignore
                File.WriteAllText(path, root.ToJsonString())
                "m.json", indices, -1

        match read path with
        | Ok _ -> Assert.Fail $"seed {seed}: {array}, element {i} was read"
        | Error errors ->
            let first = errors[0]
            let words = FileError.describe first
            Assert.True(first.File = file && words.Contains array, $"seed {seed}, {array} {i}: {words}")

            if i >= 0 then
                let row = if array = "rewards" then i else i / 3
                Assert.Contains($"(state {row / 4}, action {row % 4})", first.Place)
                Assert.True(first.Place.Contains $"element {i} " || first.Place.Contains $"elements {3 * row} to {3 * row + 2}", words)

[<Fact>]
let ``whatever the bytes, a pair of files is read or refused, never more`` () =
    use folder = new Folder()
    let path = folder.At "m.json"

    for seed in 1..200 do
        let generator = Generator seed

        if seed % 2 = 0 then
            writeGarnet path seed 6
        else
            ModelFile.write path (model seed (seed % 3 = 0) (seed % 5 = 0))

        let victim = if generator.Uniform() < 0.5 then path else BinaryModel.numbersOf path
        let bytes = File.ReadAllBytes victim

        let wrong =
            match generator.Below 3 with
            | 0 -> bytes[.. generator.Below bytes.Length - 1]
            | 1 ->
                for _ in 0 .. generator.Below 8 do
                    bytes[generator.Below bytes.Length] <- byte (generator.Below 256)

                bytes
            | _ -> Array.append bytes [| for _ in 0 .. generator.Below 40 -> byte (generator.Below 256) |]

        File.WriteAllBytes(victim, wrong)

        match read path with
        | Ok _ -> ()
        | Error errors -> Assert.All(errors, fun error -> Assert.False(String.IsNullOrEmpty error.Found))

let private refuses (path: string) (sentence: string) =
    let found = words (read path)
    Assert.True(found.Contains sentence, $"{sentence}\nis not in\n{found}")

[<Fact>]
let ``what is wrong is told in words`` () =
    use folder = new Folder()
    let path = folder.At "m.json"

    let changed (change: JsonObject -> unit) (sentence: string) =
        writeGarnet path 1 6
        let root = (parsed path).AsObject()
        change root
        File.WriteAllText(path, root.ToJsonString())
        refuses path sentence

    changed (fun root -> root["kind"] <- JsonValue.Create "sparse") "m.json, kind: expected garnet, dense or csr, found 'sparse'"
    changed (fun root -> root["endian"] <- JsonValue.Create "big") "m.json, endian: expected little, found 'big'"
    changed (fun root -> root["S"] <- JsonValue.Create 0) "m.json, S: expected a whole number in [1, "
    changed (fun root -> root["S"] <- JsonValue.Create 1.5) "found '1.5'"
    changed (fun root -> root["bytes"] <- JsonValue.Create 7) "m.json, bytes: expected a whole number in ["
    changed (fun root -> root.Remove "b" |> ignore) "m.json: expected 'b', found none"
    changed (fun root -> root["b"] <- JsonValue.Create 2_000_000_000) "m.json: expected at most 2147483591 transitions, found "
    changed (fun root -> (at root "checksum")["sum_indices"] <- JsonValue.Create 7) "m.bin, array 'indices': expected the sum 7, found "
    changed (fun root -> (at root "checksum")["sum_rewards"] <- JsonValue.Create 7.0) "m.bin, array 'rewards': expected the sum 7, found "
    File.WriteAllText(path, "{\"kind\": ")
    refuses path "m.json, line 1: expected JSON, found "
    // A model and the numbers of another one of the same shape.
    let struct (s, p, r) = garnet 1 6
    ModelFile.write path (builtOf 6 3 (struct (s, p, (fun row _ -> r[row]))))
    let words = File.ReadAllText path
    ModelFile.write path (builtOf 6 3 (struct (s, p, (fun row _ -> -r[row]))))
    File.WriteAllText(path, words)
    refuses path "m.bin, array 'rewards': expected the SHA-256 '"
    File.Delete(folder.At "m.bin")
    refuses path "m.bin: expected a file that exists, beside m.json, found none"
    let named = { ModelFile.standard with Reward = ValueSome "r" }

    match ModelFile.read named path with
    | Ok _ -> Assert.Fail "a reward structure was found"
    | Error errors -> Assert.Contains("for a model in numbers", FileError.describe errors[0])

[<Fact>]
let ``reading tells how far it is, ends when cancelled, and copies nothing`` () =
    use folder = new Folder()
    let path = folder.At "m.json"
    let states = 60_000
    writeGarnet path 1 states
    let told = ResizeArray<float>()
    let options = { ModelFile.standard with Progress = told.Add }
    ModelFile.read options path |> ok |> ignore
    Assert.Equal<float seq>(Seq.sort told, told)
    Assert.Equal(1.0, told[told.Count - 1], 1e-12)
    use source = new CancellationTokenSource()
    let cancelled = { options with Cancellation = source.Token; Progress = fun _ -> source.Cancel() }
    Assert.Throws<OperationCanceledException>(fun () -> ModelFile.read cancelled path |> ignore) |> ignore
    let before = GC.GetAllocatedBytesForCurrentThread()
    let model = ok (read path)
    let allocated = GC.GetAllocatedBytesForCurrentThread() - before
    let own = int64 model.TransitionCount * 20L + int64 model.RowCount * 8L + int64 model.StateCount * 4L
    Assert.True(allocated < own + 8_000_000L, $"{allocated} bytes were allocated for a model of {own}")

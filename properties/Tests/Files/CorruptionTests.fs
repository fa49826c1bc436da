/// A random line of a file is corrupted, in a random way that makes it wrong: the first error names that line. For every format, a hundred files each, also
/// under a culture that writes decimals with commas.
module ValueFlow.Tests.Files.CorruptionTests

open System
open System.Globalization
open System.IO
open System.Threading
open Xunit
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Tests.Files.Fixture

/// What becomes of a line: one line or two, of which the last is wrong; or nothing if the kind does not suit the line.
type private Kind = Generator -> string -> string list

let private pick (generator: Generator) (choices: 'a[]) = choices[generator.Below choices.Length]

// One of the fields becomes one of the words.
let private field (separator: string) (places: int list) (words: string list) : Kind =
    fun generator line ->
        let fields = line.Split separator
        let suiting = places |> List.filter (fun place -> place < fields.Length) |> Array.ofList

        if suiting.Length = 0 then
            []
        else
            fields[pick generator suiting] <- pick generator (Array.ofList words)
            [ String.concat separator fields ]

// The line ends after some of the fields, fewer than so many.
let private cut (separator: string) (least: int) : Kind =
    fun generator line -> [ String.concat separator (Array.truncate (1 + generator.Below(least - 1)) (line.Split separator)) ]

let private again: Kind = fun _ line -> [ line; line ]
let private longer: Kind = fun _ line -> [ line + " extra more words" ]
let private noNumber = [ "NaN"; "-Infinity"; "x"; "1,5"; "0x1"; "" ]
let private noChance = "-0.25" :: "1.5" :: "[0.7,0.3]" :: noNumber
let private noIndex = [ "99"; "-1"; "1.5"; "x"; "99999999999"; "" ]

let private less (separator: string) (place: int) : Kind =
    fun _ line ->
        let fields = line.Split separator

        match Double.TryParse(fields[place], CultureInfo.InvariantCulture) with
        | true, chance ->
            fields[place] <- ModelError.number (0.9 * chance)
            [ String.concat separator fields ]
        | _ -> []

// The successor is acted from nowhere, and ended in nowhere.
let private nowhere: Kind =
    fun _ line ->
        let fields = line.Split ','
        [ String.concat "," [ yield! fields[..2]; "nowhere"; "false"; yield! fields[5..] ] ]

// The first line, and the others.
let private header (first: Kind list) (rest: Kind list) (number: int) (_: string) = if number = 1 then first else rest
let private only word : Kind = fun _ _ -> [ word ]

let private onDrn (number: int) (line: string) : Kind list =
    if line.StartsWith "\t\t" then
        [
            field " : " [ 0 ] ("" :: List.map (fun word -> "\t\t" + word) noIndex)
            field " : " [ 1 ] noChance
            less " : " 1
            again
        ]
    elif line.StartsWith "\taction" then
        [ field "[" [ 1 ] [ "NaN]"; "1"; "1,2]"; "]" ]; only "\taction"; longer ]
    elif line.StartsWith "state" then
        [ field " " [ 1 ] noIndex; field "[" [ 1 ] [ "NaN]"; "1"; "1 2]" ]; only "state"; again ]
    elif line.StartsWith "@type" then
        [ only "@type: POMDP"; only "@tpe: MDP" ]
    elif line.StartsWith "@" && not (line.StartsWith "@value_type") then
        [ only "@nothing" ]
    elif number > 5 && Char.IsDigit line[0] then
        [ only "x"; only "-3"; only "99" ]
    else
        []

let private kinds extension : int -> string -> Kind list =
    match extension with
    | ".tra" ->
        header
            [ only "states"; only "4 5"; only "9 8 7"; only "x 2 3"; (fun _ line -> [ line + "0" ]) ]
            [ field " " [ 0; 1; 2 ] noIndex; field " " [ 3 ] noChance; cut " " 4; again; longer; less " " 3 ]
    | ".sta" ->
        header
            [ only "x,y"; only "(x,y" ]
            [
                field ":" [ 0 ] noIndex
                field ":" [ 1 ] [ "(NaN,0)"; "(1)"; "(1,2,3)"; "1,2"; "(1,)"; "" ]
                again
                (fun generator line -> [ line.Substring(0, 1 + generator.Below(line.Length - 1)) ])
            ]
    | ".lab" ->
        header
            [ only "init deadlock"; only "0=\"init"; only "0=\"init\" 0=\"goal\""; only "x=\"init\"" ]
            [ field ":" [ 0 ] noIndex; field ":" [ 1 ] [ ""; " 99"; " x"; " -1"; " 0.5" ]; again; longer ]
    | ".srew" ->
        header
            [ only "states"; only "99 1"; (fun _ line -> [ line + "0" ]) ]
            [ field " " [ 0 ] noIndex; field " " [ 1 ] noNumber; again; longer; cut " " 2 ]
    | ".trew" ->
        header
            [ only "states"; only "99 1 1"; (fun _ line -> [ line + "0" ]) ]
            [ field " " [ 0; 1; 2 ] noIndex; field " " [ 3 ] noNumber; again; longer; cut " " 4 ]
    | ".drn" -> onDrn
    | _ ->
        header
            [
                only "state,action,reward"
                only "0,go,0.5,1,false,false"
                only "a;b;c"
                (fun _ line -> [ line + ",weight,colour" ])
            ]
            [
                field "," [ 0; 1; 3 ] [ ""; " " ]
                field "," [ 2 ] [ "NaN"; "Infinity"; "x"; "1.5.2"; "0x1"; "" ]
                field "," [ 2 ] [ "1,5" ]
                nowhere
                field "," [ 4; 5 ] [ "maybe"; "2" ]
                field "," [ 0; 1; 3 ] [ "\"open" ]
                cut "," 6
            ]

// The files of a model, or of a log; the one with the extension is to be corrupted.
let private writeAll (folder: Folder) (stem: string) (extension: string) (seed: int) =
    match extension with
    | ".drn" -> ModelFile.write (folder.At(stem + extension)) (model seed (seed % 2 = 0) false)
    | ".csv" -> folder.Write(stem + extension, logCsv) |> ignore
    | _ ->
        let model =
            Seq.initInfinite (fun i -> model (seed + 1000 * i) false true)
            |> Seq.find (fun model -> model.StateName 0 = "(0,0)" && Seq.exists ((<>) 0.0) (model.Rewards.ToArray()))

        ModelFile.write (folder.At(stem + ".tra")) model

        let acting =
            [
                for s in 0 .. model.StateCount - 1 do
                    if not (model.IsTerminal s) then
                        s
            ]

        let lines = $"{model.StateCount} {acting.Length}" :: [ for s in acting -> $"{s} {s + 1}.5" ]
        folder.Write(stem + ".srew", String.concat "\n" lines + "\n") |> ignore

let private underCulture (name: string) (work: unit -> unit) =
    let before = CultureInfo.CurrentCulture
    CultureInfo.CurrentCulture <- CultureInfo name

    try
        work ()
    finally
        CultureInfo.CurrentCulture <- before

let private mainOf (extension: string) = if List.contains extension [ ".sta"; ".lab"; ".srew"; ".trew" ] then ".tra" else extension

[<Theory>]
[<InlineData(".tra", "en-US")>]
[<InlineData(".sta", "en-US")>]
[<InlineData(".lab", "en-US")>]
[<InlineData(".srew", "en-US")>]
[<InlineData(".trew", "en-US")>]
[<InlineData(".drn", "en-US")>]
[<InlineData(".csv", "en-US")>]
[<InlineData(".tra", "de-DE")>]
[<InlineData(".trew", "de-DE")>]
[<InlineData(".drn", "de-DE")>]
[<InlineData(".csv", "de-DE")>]
let ``the corrupted line is named in 100 of 100 files`` (extension: string) (culture: string) =
    underCulture culture (fun () ->
        use folder = new Folder()
        let mutable right = 0
        let mutable seed = 0

        while right < 100 do
            seed <- seed + 1
            let generator = Generator seed
            writeAll folder $"m{seed}" extension seed
            let name = $"m{seed}{extension}"
            Assert.True((read (folder.At $"m{seed}{mainOf extension}")).IsOk, $"{name} is wrong already")
            let lines = File.ReadAllLines(folder.At name)

            let candidates =
                [|
                    for i in 0 .. lines.Length - 1 do
                        if not (lines[i].StartsWith '#') then
                            i
                |]

            let victim = pick generator candidates

            // Comment lines stand before the header of a reward file.
            let number = if victim = candidates[0] then 1 else victim + 2
            let suiting = kinds extension number lines[victim] |> Array.ofList
            let now = if suiting.Length = 0 then [] else pick generator suiting generator lines[victim]

            if not now.IsEmpty then
                File.WriteAllLines(folder.At name, Array.concat [ lines[.. victim - 1]; Array.ofList now; lines[victim + 1 ..] ])
                let line = victim + now.Length

                match read (folder.At $"m{seed}{mainOf extension}") with
                | Ok _ -> Assert.Fail $"{name}, line {line} '{now[now.Length - 1]}' was read"
                | Error errors ->
                    let first = errors[0]

                    Assert.True(
                        first.File = name && first.Line <= line && line <= first.Until,
                        $"{name}, line {line} '{now[now.Length - 1]}' instead of '{lines[victim]}': {FileError.describe first}"
                    )

                    right <- right + 1)

[<Theory>]
[<InlineData("en-US")>]
[<InlineData("de-DE")>]
let ``the corrupted row of a Parquet file is named in 100 of 100 files`` (culture: string) =
    underCulture culture (fun () ->
        use folder = new Folder()
        let good = logCsv.Trim().Split '\n' |> Array.map (fun line -> line.Split ',')

        for seed in 1..100 do
            let generator = Generator seed
            let rows = good[1..] |> Array.map Array.copy
            let size = 1 + generator.Below 7
            let victim = generator.Below rows.Length

            let column, word = pick generator [| 0, ""; 1, " "; 2, "NaN"; 2, "x"; 2, "1,5"; 2, ""; 3, "nowhere"; 4, "maybe"; 5, "2" |]

            rows[victim][column] <- word

            if word = "nowhere" then
                rows[victim][4] <- "false"

            let path = folder.At $"m{seed}.parquet"
            parquet path good[0] rows size
            let place = $"row group {victim / size}, row {victim % size + 1}"

            match read path with
            | Ok _ -> Assert.Fail $"{place} '{word}' was read"
            | Error errors -> Assert.Equal(place, errors[0].Place))

[<Fact>]
let ``whatever the bytes, a file is read or refused, never more`` () =
    use folder = new Folder()
    let log = ok (ModelFile.readLog ModelFile.standard (folder.Write("log.csv", logCsv)))

    for extension in [ ".tra"; ".sta"; ".lab"; ".srew"; ".trew"; ".drn"; ".csv"; ".parquet" ] do
        for seed in 1..40 do
            let generator = Generator seed

            if extension = ".parquet" then
                ModelFile.writeLog (folder.At "m.parquet") log
            else
                writeAll folder "m" extension seed

            let path = folder.At $"m{extension}"
            let bytes = File.ReadAllBytes path

            let wrong =
                match generator.Below 3 with
                | 0 -> bytes[.. generator.Below bytes.Length - 1]
                | 1 ->
                    for _ in 0 .. generator.Below 8 do
                        bytes[generator.Below bytes.Length] <- byte (generator.Below 256)

                    bytes
                | _ -> Array.append bytes [| for _ in 0 .. generator.Below 40 -> byte (generator.Below 256) |]

            File.WriteAllBytes(path, wrong)

            match read (folder.At $"m{mainOf extension}") with
            | Ok _ -> ()
            | Error errors -> Assert.All(errors, fun error -> Assert.False(String.IsNullOrEmpty error.Found))

[<Fact>]
let ``a file may have a mark at its start and carriage returns`` () =
    use folder = new Folder()

    let marked name =
        let text = File.ReadAllText(folder.At name).Replace("\n", "\r\n")
        File.WriteAllText(folder.At name, text, Text.UTF8Encoding true)

    for extension in [ ".tra"; ".drn"; ".csv" ] do
        writeAll folder "m" extension 1
        let before = ok (read (folder.At $"m{extension}"))
        Directory.GetFiles(folder.At "", "m.*") |> Array.iter (fun path -> marked (Path.GetFileName path |> nonNull))
        let after = ok (read (folder.At $"m{extension}"))
        Assert.Equal<float[]>(before.Probabilities.ToArray(), after.Probabilities.ToArray())
        Assert.Equal<float[]>(before.Rewards.ToArray(), after.Rewards.ToArray())
        Assert.Equal(before.StateName 0, after.StateName 0)
        Directory.GetFiles(folder.At "", "m.*") |> Array.iter File.Delete

[<Fact>]
let ``what stands nowhere is placed where it should be`` () =
    use folder = new Folder()

    let refuses name (text: string) (sentence: string) =
        let found = words (read (folder.Write(name, text)))
        Assert.True(found.Contains sentence, $"{sentence}\nis not in\n{found}")

    // A header that promises two thousand million states is refused before anything is made for them.
    let before = GC.GetAllocatedBytesForCurrentThread()
    refuses "a.tra" "2000000000 3 3\n0 0 1 1\n1 0 1 1\n2 0 2 1\n" "a.tra, line 1: expected a choice for each state"

    refuses
        "a.drn"
        "@type: MDP\n@nr_states\n2000000000\n@model\nstate 0\n\taction a\n\t\t0 : 1\n"
        "a.drn, lines 3 to 7: expected 2000000000 states"

    Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 20_000_000L)
    refuses "b.tra" "3 3 3\n0 0 1 1\n1 0 1 1\n1 1 0 1\n" "b.tra, line 1 (state 2): expected at least one action"

    refuses
        "b.drn"
        "@type: MDP\n@nr_states\n2\n@model\nstate 0\n\taction a\n\t\t0 : 1\nstate 1\n"
        "b.drn, line 8 (state 1): expected at least one action"

    let head = "state,action,reward,next_state,terminated,weight\n"
    refuses "b.csv" (head + "a,go,1,b,false,1\nb,go,0,a,false,0\n") "b.csv, line 2 (state 'b'): expected at least one action"

    refuses
        "c.drn"
        "@type: MDP\n@nr_states\n1\n@nr_choices\n2\n@model\nstate 0\n\taction a\n\t\t0 : 1\n"
        "c.drn, lines 5 to 9: expected 2 choices"

    refuses
        "d.drn"
        "@type: MDP\n@nr_states\n1\n@nr_choices\n2\n@model\nstate 0\n\taction a\n\t\t0 : 0.5\n"
        "d.drn, line 9 (state 0, action 0): expected probabilities that sum to 1 within 1e-6, found 0.5"

[<Fact>]
let ``bytes that are no UTF-8 are refused: names would run together`` () =
    use folder = new Folder()
    let path = folder.At "m.csv"
    let text = "state,action,reward,next_state,terminated\né,go,1,è,false\nè,go,0,é,true\n"
    File.WriteAllText(path, text, Text.Encoding.Latin1)
    Assert.StartsWith("m.csv, line 2: expected text in UTF-8", words (read path))
    File.WriteAllText(path, text)
    Assert.Equal(2, (ok (read path)).StateCount)

[<Fact>]
let ``beside a model, a hundred megabytes without a line break are refused at once`` () =
    use folder = new Folder()
    writeAll folder "m" ".tra" 1
    let block = Array.create (1 <<< 20) 97uy

    for extension in [ ".sta"; ".lab"; ".srew"; ".trew" ] do
        writeAll folder "m" ".tra" 1

        do
            use stream = File.Create(folder.At("m" + extension))

            for _ in 1..100 do
                stream.Write block

        let before = GC.GetAllocatedBytesForCurrentThread()
        Assert.StartsWith($"m{extension}, line 1: expected a line of at most", words (read (folder.At "m.tra")))
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 20_000_000L)
        File.Delete(folder.At("m" + extension))

[<Fact>]
let ``names and labels of all kinds are read back, or refused by the writer`` () =
    use folder = new Folder()

    let named (states: string[]) (label: string) =
        let builder = ModelBuilder 3
        builder.StateNames states
        builder.ActionNames [| "go on"; "stay" |]
        builder.Initial 1
        builder.Label(label, 2, -1)
        builder.Label(label, 0, -1)

        for s in 0..2 do
            builder.Add(s, 0, (s + 1) % 3, 1.0, float s)
            builder.Add(s, 1, s, 1.0, 1.0)

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (String.concat "; " (List.map ModelError.describe errors))

    for states in
        [
            [| "a"; "b"; "c" |]
            [| "(0,1)"; "(1,0)"; "(-1,1)" |]
            [| "a,b"; "\"q\""; "(x" |]
            [| "((1,2))"; "f(x)"; "0:1" |]
            [| "(a,b)"; "(c)"; " d " |]
        ] do
        for label in [ "goal"; "far away"; "[x]"; "{y}"; "!z"; "deadlock"; "a:b" ] do
            let model = named states label

            for extension in [ ".tra"; ".drn" ] do
                let path = folder.At $"m{extension}"
                ModelFile.write path model
                let again = ok (read path)
                Assert.Equal<int[]>([| 0; 2 |], again.Labels[label])
                Assert.Equal<int[]>([| 1 |], again.Initial.ToArray())
                Assert.Equal("go_on", again.ActionName 0)
                Assert.Equal("stay", again.ActionName 1)

                if extension = ".tra" then
                    Assert.Equal<string[]>(states, Array.init 3 again.StateName)

    for model in [ named [| "a\nb"; "c"; "d" |] "goal"; named [| "a"; "c"; "d" |] "say \"x\"" ] do
        for extension in [ ".tra"; ".drn" ] do
            let path = folder.At $"none{extension}"
            Assert.Throws<ArgumentException>(fun () -> ModelFile.write path model) |> ignore
            Assert.False(File.Exists path)

[<Fact>]
let ``a file that cannot be written leaves the old one as it was, and nothing beside it`` () =
    use folder = new Folder()
    let path = folder.Write("m.txt", "old")

    Assert.Throws<InvalidOperationException>(fun () ->
        AtomicFile.writeText path (fun out ->
            out.Write "half of"
            invalidOp "interrupted"))
    |> ignore

    Assert.Equal("old", File.ReadAllText path)
    Assert.Single(Directory.GetFiles(folder.At "")) |> ignore

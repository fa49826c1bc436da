module ValueFlow.Tests.Files.ModelFileTests

open System
open System.Globalization
open System.IO
open System.Threading
open Xunit
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Tests.Files.Fixture

let private same (a: Model) (b: Model) =
    Assert.Equal(a.StateCount, b.StateCount)
    Assert.Equal<int[]>(a.RowOffsets.ToArray(), b.RowOffsets.ToArray())
    Assert.Equal<int[]>(a.Offsets.ToArray(), b.Offsets.ToArray())
    Assert.Equal<int[]>(a.Successors.ToArray(), b.Successors.ToArray())
    Assert.Equal<float[]>(a.Rewards.ToArray(), b.Rewards.ToArray())
    Assert.Equal<float[]>(a.Lower.ToArray(), b.Lower.ToArray())
    Assert.Equal<float[]>(a.Upper.ToArray(), b.Upper.ToArray())
    Assert.Equal<int[]>(a.Initial.ToArray(), b.Initial.ToArray())
    Assert.Equal<int[]>(a.Labels["goal"], b.Labels["goal"])

    for k in 0 .. a.TransitionCount - 1 do
        // A row that was normalised sums to one but for rounding, and is normalised again.
        Assert.True(abs (a.Probabilities[k] - b.Probabilities[k]) <= 4e-16)

    for row in 0 .. a.RowCount - 1 do
        Assert.Equal((a.ActionName a.RowActions[row]).Replace(' ', '_'), b.ActionName b.RowActions[row])

[<Fact>]
let ``what is written as PRISM or DRN is read back`` () =
    use folder = new Folder()

    for seed in 1..100 do
        for intervals in [ false; true ] do
            let path = folder.At $"m{seed}{intervals}.tra"
            let model = model seed intervals true
            ModelFile.write path model
            same model (ok (read path))
            let path = folder.At $"m{seed}{intervals}.drn"
            let model = Fixture.model seed intervals false
            ModelFile.write path model
            same model (ok (read path))

let private prism =
    "4 5 8\n0 0 1 0.5 go\n0 0 2 0.5 go\n0 1 0 1 stay\n1 0 1 0.25 go\n1 0 3 0.75 go\n2 0 2 0.5 go\n2 0 3 0.5 go\n3 0 3 1 go\n"

[<Fact>]
let ``PRISM files as its releases write them`` () =
    use folder = new Folder()
    folder.Write("m.lab", "0=\"init\" 1=\"deadlock\" 2=\"goal\"\n0: 0\n3: 1 2\n") |> ignore
    folder.Write("m.sta", "(x,y)\n0:(0,0)\n1:(1,0)\n2:(0,1)\n3:(1,1)\n") |> ignore
    folder.Write("m1.srew", "# Reward structure \"steps\"\n# State rewards\n4 3\n0 1\n1 1\n2 1\n") |> ignore
    folder.Write("m2.srew", "# Reward structure \"energy\"\n# State rewards\n4 1\n2 7.5\n") |> ignore
    folder.Write("m2.trew", "# Reward structure \"energy\"\n# Transition rewards\n4 5 1\n0 1 0 2\n") |> ignore
    let path = folder.Write("m.tra", prism)
    Assert.Contains("'steps', 'energy'", words (read path))
    let energy = ok (ModelFile.read { ModelFile.standard with Reward = ValueSome "energy" } path)
    Assert.Equal(7.5, energy.Rewards[5])
    Assert.Equal(2.0, energy.Rewards[2])
    Assert.True(energy.IsTerminal 3)
    Assert.Equal<int[]>([| 3 |], energy.Labels["goal"])
    Assert.Equal("(1,0)", energy.StateName 1)
    Assert.Equal("stay", energy.ActionName energy.RowActions[1])
    Assert.Equal(2, energy.Grid.Value.Columns)
    Assert.Contains("named 'time'", words (ModelFile.read { ModelFile.standard with Reward = ValueSome "time" } path))
    // A DTMC has no choices.
    let chain = folder.Write("c.tra", "2 3\n0 0 0.5\n0 1 0.5\n1 1 1\n")
    Assert.Equal(2, (ok (read chain)).RowCount)

[<Fact>]
let ``DRN files as Storm writes them`` () =
    use folder = new Folder()

    let text =
        "// Exported by storm\n// Original model type: MDP\n@type: MDP\n@parameters\n\n@reward_models\nsteps cost \n@nr_states\n3\n@nr_choices\n4\n@model\n"
        + "state 0 [1, 0.5] init\n//[x=0]\n\taction a [0, 2]\n\t\t1 : 1/3\n\t\t2 : 2/3\n\taction b [0, 0]\n\t\t0 : 1\n"
        + "state 1 [1, 0] \"far away\"\n\taction a [0, 0]\n\t\t0 : 0.25\n\t\t2 : 0.75\nstate 2 [0, 0] deadlock goal\n\taction __NOLABEL__ [0, 0]\n\t\t2 : 1\n"

    let path = folder.Write("m.drn", text)
    Assert.Contains("'steps', 'cost'", words (read path))
    let cost = ok (ModelFile.read { ModelFile.standard with Reward = ValueSome "cost" } path)
    Assert.Equal<float[]>([| 2.5; 2.5; 0.5; 0.0; 0.0 |], cost.Rewards.ToArray())
    Assert.True(cost.IsTerminal 2)
    Assert.Equal<int[]>([| 1 |], cost.Labels["far away"])
    Assert.Contains("other kinds of models", words (read (folder.Write("p.drn", text.Replace("MDP", "POMDP")))))
    Assert.Contains("no parameters", words (read (folder.Write("q.drn", text.Replace("@parameters\n\n", "@parameters\np q\n")))))

[<Fact>]
let ``bad files are refused with file, line, expectation and finding`` () =
    use folder = new Folder()

    let refuses name (text: string) (sentence: string) =
        let found = words (read (folder.Write(name, text)))
        Assert.True(found.Contains sentence, $"{sentence}\nis not in\n{found}")

    refuses "a.tra" "" "a.tra, line 1: expected a header"
    refuses "b.tra" (prism.Replace("0 0 2 0.5 go\n", "")) "b.tra, lines 1 to 8: expected 8 transitions, as the header says, found 7"

    refuses
        "c.tra"
        (prism.Replace("0 0 2 0.5", "0 0 2 0.4"))
        "c.tra, lines 2 to 3 (state 0, action 0): expected probabilities that sum to 1 within 1e-6, found 0.9"

    refuses "d.tra" (prism.Replace("1 0 3 0.75", "1 0 9 0.75")) "d.tra, line 6: expected states in [0, 4), found 9"

    refuses
        "e.tra"
        (prism.Replace("0.25", "NaN"))
        "e.tra, line 5: expected a probability in [0, 1] or an interval [lower,upper], found 'NaN'"

    refuses "f.tra" (prism.Replace("0.25", "-0.25")) "f.tra, line 5: expected a probability"

    refuses "g.tra" (prism.Replace("1 0 3 0.75", "1 0 1 0.75")) "g.tra, line 6: expected each successor once, found state 1 again"

    refuses "h.tra" ("states " + prism) "h.tra, line 1: expected a header"
    refuses "i.tra" (prism.Replace("0 1 0 1 stay", "0 1 0 1,0 stay")) "i.tra, line 4: expected a probability"
    refuses "a.drn" "" "a.drn, line 1: expected a header that ends with @model"
    refuses "b.drn" "@type: MDP\n@nr_states\nx\n@model\n" "b.drn, line 3: expected a whole number after @nr_states, found 'x'"
    refuses "a.csv" "" "a.csv, line 1: expected a header"

    refuses
        "b.csv"
        "state,reward\n"
        "b.csv, line 1: expected the columns state,action,reward,next_state,terminated[,truncated][,weight][,episode][,duration], found no column action, next_state"

    refuses
        "c.csv"
        "state,action,reward,next_state,terminated\n0,a,x,1,true\n"
        "c.csv, line 2: expected a finite number in the column reward, found 'x'"

    refuses
        "d.csv"
        "state,action,reward,next_state,terminated\n0,a,1,1,maybe\n"
        "d.csv, line 2: expected true or false in the column terminated, found 'maybe'"

    refuses
        "e.csv"
        "state,action,reward,next_state,terminated\n0,a,1,1,false\n"
        "e.csv, line 2: expected a next state that is acted from, or ended in, somewhere in the log, found '1'"

    refuses "f.csv" "state,action,reward,next_state,terminated\n" "f.csv, line 1: expected at least one step after the header, found none"
    refuses "a.parquet" "no parquet" "a.parquet: expected a Parquet file"
    refuses "a.txt" "" "a.txt: expected the extension"
    Assert.Contains("none.tra: expected a file that exists", words (read (folder.At "none.tra")))

[<Fact>]
let ``a hundred megabytes of garbage are refused at once`` () =
    use folder = new Folder()
    let generator = Random 1
    let block = Array.zeroCreate<byte>(1 <<< 20)

    for name, broken in
        [
            "g.tra", false
            "g.drn", false
            "g.csv", false
            "g.parquet", false
            "h.tra", true
            "h.drn", true
            "h.csv", true
        ] do
        let path = folder.At name

        do
            use stream = File.Create path

            for _ in 1..100 do
                generator.NextBytes block

                for i in 0 .. block.Length - 1 do
                    // With line breaks, or without any.
                    if block[i] = 10uy || block[i] = 13uy then
                        block[i] <- if broken then 10uy else 65uy

                stream.Write block

        let watch = Diagnostics.Stopwatch.StartNew()
        let before = GC.GetAllocatedBytesForCurrentThread()
        let found = words (read path)
        Assert.True(watch.ElapsedMilliseconds < 5000L, $"{name}: {watch.ElapsedMilliseconds} ms")

        Assert.True(
            GC.GetAllocatedBytesForCurrentThread() - before < 200_000_000L,
            $"{name}: {GC.GetAllocatedBytesForCurrentThread() - before} bytes"
        )

        Assert.StartsWith(name, found)
        File.Delete path

let private logModel path = ok (read path)

[<Fact>]
let ``a log becomes a model, the same from CSV and Parquet`` () =
    use folder = new Folder()
    let path = folder.Write("log.csv", logCsv)
    let log = ok (ModelFile.readLog ModelFile.standard path)
    let model = logModel path
    Assert.Equal(4, model.StateCount)
    Assert.Equal("end", model.StateName 3)
    Assert.True(model.IsTerminal 3)
    Assert.Equal("go", model.ActionName 0)
    ModelFile.writeLog (folder.At "copy.parquet") log
    ModelFile.writeLog (folder.At "copy.csv") log

    for name in [ "copy.parquet"; "copy.csv" ] do
        let other = logModel (folder.At name)
        Assert.Equal<float[]>(model.Probabilities.ToArray(), other.Probabilities.ToArray())
        Assert.Equal<float[]>(model.Rewards.ToArray(), other.Rewards.ToArray())
        Assert.Equal<int[]>(model.Initial.ToArray(), other.Initial.ToArray())

    Assert.Equal(15L, log.ToDataFrame().Rows.Count)
    let frame = log.CountsToDataFrame 0.95
    Assert.Equal(6L, frame.Rows.Count)
    let intervals = ok (ModelFile.read { ModelFile.standard with Confidence = ValueSome 0.95 } path)
    Assert.True intervals.IsInterval

    for k in 0 .. intervals.TransitionCount - 1 do
        Assert.True(intervals.Lower[k] <= intervals.Probabilities[k] && intervals.Probabilities[k] <= intervals.Upper[k])

[<Fact>]
let ``a truncated step bootstraps, a terminated one does not`` () =
    use folder = new Folder()
    let csv rest = "state,action,reward,next_state,terminated,truncated\n" + rest
    // The same successor, ended in and acted from: what follows it does not count where the episode ended.
    let path = folder.Write("t.csv", csv "a,x,1,b,true,false\na,x,1,b,false,true\nb,x,1,a,false,false\na,x,1,b,false,false\n")
    let model = logModel path
    let a = ok (ModelFile.readLog ModelFile.standard path)
    Assert.Equal(3, a.Steps.ToArray() |> Array.filter _.Starts |> Array.length)
    Assert.Equal(3, model.TransitionCount)
    Assert.Equal<float[]>([| 1.0; 0.0; 1.0 |], model.Continuations.ToArray())
    Assert.Equal(2.0 / 3.0, model.Probabilities[0], 12)

[<Fact>]
let ``intervals cover the truth as often as they say`` () =
    // A known row of four outcomes, logged again and again: all bounds hold at once in at least 90 of 100 logs.
    let chances = [| 0.5; 0.3; 0.15; 0.05 |]
    let mutable covered = 0

    for seed in 1..300 do
        let generator = Generator seed
        let lines = [ for _ in 1..60 -> $"s,a,0,{Sampling.index generator (ReadOnlySpan chances)},true" ]
        use folder = new Folder()
        let path = folder.Write("l.csv", "state,action,reward,next_state,terminated\n" + String.concat "\n" lines)
        let counts = (ok (ModelFile.readLog ModelFile.standard path)).Counts 0.9

        if counts |> Array.forall (fun entry -> entry.Lower <= chances[entry.Next] && chances[entry.Next] <= entry.Upper) then
            covered <- covered + 1

    Assert.True(covered >= 270, $"{covered} of 300")

[<Fact>]
let ``a probability that is wrong but valid is found among the lines of its row`` () =
    use folder = new Folder()

    for seed in 1..100 do
        let generator = Generator seed
        let path = folder.At $"s{seed}.tra"
        ModelFile.write path (Fixture.model (seed % 9 + 1) false true)
        let lines = File.ReadAllLines path
        let victim = 1 + generator.Below(lines.Length - 1)
        let fields = lines[victim].Split ' '
        fields[3] <- ModelError.number (0.9 * float fields[3])
        lines[victim] <- String.concat " " fields
        File.WriteAllLines(path, lines)

        match read path with
        | Ok _ -> Assert.Fail $"{lines[victim]} was read"
        | Error errors ->
            Assert.True(errors[0].Line <= victim + 1 && victim + 1 <= errors[0].Until, $"line {victim + 1}: {FileError.describe errors[0]}")

[<Fact>]
let ``reading can be cancelled`` () =
    use folder = new Folder()
    let path = folder.Write("m.tra", prism)
    use source = new CancellationTokenSource()
    source.Cancel()
    let options = { ModelFile.standard with Cancellation = source.Token }
    Assert.Throws<OperationCanceledException>(fun () -> ModelFile.read options path |> ignore) |> ignore

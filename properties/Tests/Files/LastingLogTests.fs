/// Logs whose steps last: the column duration, and the semi-Markov models that they estimate.
module ValueFlow.Tests.Files.LastingLogTests

open System
open System.Globalization
open System.IO
open Xunit
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Tests.Files.Fixture

let private header = "state,action,reward,next_state,terminated,truncated,duration"

// A walk on three states, each step of which lasts as long as it says.
let private lastingCsv =
    header
    + "\n"
    + String.concat "" [ for i in 1..12 -> $"{i % 3},go,0.5,{(i + 1) % 3},false,{string (i % 6 = 5)},{1 + i % 4}.5\n" ]
    + "0,stop,1,end,true,false,2\n1,stop,-1,end,true,false,1\n2,stop,1e0,end,1,0,7\n"

let private readLog path = ok (ModelFile.readLog ModelFile.standard path)

let private built (result: Result<Model, ModelError list>) =
    match result with
    | Ok model -> model
    | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

let private valuesOf discount model = (PolicyIteration.solve RunOptions.standard (Bellman.Optimality(model, discount))).Values

[<Fact>]
let ``durations survive CSV and Parquet`` () =
    use folder = new Folder()
    let log = readLog (folder.Write("log.csv", lastingCsv))
    Assert.True log.HasDurations
    Assert.Equal(2.5, log.Steps[0].Duration)
    Assert.Equal(7.0, log.Steps[14].Duration)

    for name in [ "copy.csv"; "copy.parquet" ] do
        ModelFile.writeLog (folder.At name) log
        let copy = readLog (folder.At name)
        Assert.Equal<float[]>(log.Steps.ToArray() |> Array.map _.Duration, copy.Steps.ToArray() |> Array.map _.Duration)

    Assert.Equal(9, log.ToDataFrame().Columns.Count)

    // Without durations the files are what they were.
    let plain = readLog (folder.Write("plain.csv", logCsv))
    Assert.False plain.HasDurations
    ModelFile.writeLog (folder.At "plain2.csv") plain
    Assert.DoesNotContain("duration", File.ReadAllText(folder.At "plain2.csv"))
    Assert.Equal(8, plain.ToDataFrame().Columns.Count)

let private bad = [| "0"; "0.99"; "-1"; "NaN"; "Infinity"; "x"; ""; "1.5.2"; "2e400" |]

[<Theory>]
[<InlineData("en-US")>]
[<InlineData("de-DE")>]
let ``a bad duration is refused with its line, in 100 of 100 files`` (culture: string) =
    let before = CultureInfo.CurrentCulture
    CultureInfo.CurrentCulture <- CultureInfo culture

    try
        use folder = new Folder()
        let good = lastingCsv.Trim().Split '\n' |> Array.map (fun line -> line.Split ',')

        for seed in 1..100 do
            let generator = Generator seed
            let rows = good |> Array.map Array.copy
            let victim = 1 + generator.Below(rows.Length - 1)
            let word = bad[generator.Below bad.Length]
            rows[victim][6] <- word
            let text = rows |> Array.map (String.concat ",") |> String.concat "\n"
            let found = words (ModelFile.readLog ModelFile.standard (folder.Write("b.csv", text)))
            Assert.StartsWith($"b.csv, line {victim + 1}: expected a finite duration of at least 1 in the column duration, found", found)

            if seed % 5 = 0 then
                let path = folder.At $"b{seed}.parquet"
                parquet path rows[0] rows[1..] 4
                let place = $"row group {(victim - 1) / 4}, row {(victim - 1) % 4 + 1}"
                Assert.Contains($"{place}: expected a finite duration of at least 1", words (ModelFile.readLog ModelFile.standard path))
    finally
        CultureInfo.CurrentCulture <- before

[<Fact>]
let ``the estimate of steps that last 1 refuses durations, and says why and where`` () =
    use folder = new Folder()
    let path = folder.Write("d.csv", header + "\na,x,1,b,false,false,1\nb,x,1,a,true,false,3\n")

    for options in
        [
            ModelFile.standard
            { ModelFile.standard with DistinctRewards = true }
            { ModelFile.standard with Confidence = ValueSome 0.9 }
        ] do
        let found = words (ModelFile.read options path)
        Assert.StartsWith("d.csv, line 3: expected steps that last 1 each: with durations a model depends on the discount", found)
        Assert.EndsWith("found a duration of 3", found)

    Assert.True((LastingLog.estimate RewardTiming.AtStart 0.0 0.9 (readLog path)).IsOk)

// Random decisions that last whole steps, each drawn so often as its weight says, and the file that logs them.
let private drawn (seed: int) (evenly: bool) =
    let generator = Generator seed
    let states = 1 + generator.Below 4
    let discount = [ 0.0; 0.3; 0.9; 0.97 ][generator.Below 4]

    let rows =
        [
            for s in 0 .. states - 1 do
                for a in 0 .. generator.Below 3 do
                    [
                        for _ in 0 .. generator.Below 3 ->
                            let tau = 1 + generator.Below 4
                            let even = Math.Round(2.0 * generator.Uniform() - 1.0, 3)

                            struct (1 + generator.Below 5,
                                    {
                                        State = s
                                        Action = a
                                        Successor = generator.Below states
                                        Probability = 0.0
                                        Rewards =
                                            Array.init tau (fun _ ->
                                                if evenly then even else Math.Round(2.0 * generator.Uniform() - 1.0, 3))
                                    })
                    ]
        ]

    let outcomes =
        [
            for row in rows do
                let total = row |> List.sumBy (fun (struct (weight, _)) -> weight) |> float

                for struct (weight, outcome) in row do
                    { outcome with Probability = float weight / total }
        ]

    let lines =
        [
            for row in rows do
                for struct (weight, outcome) in row do
                    let reward = if evenly then Array.sum outcome.Rewards else SemiMarkov.worth discount outcome.Rewards

                    for _ in 1..weight do
                        let number = ModelError.number reward
                        $"{outcome.State},{outcome.Action},{number},{outcome.Successor},false,false,{outcome.Rewards.Length}"
        ]

    struct (states, discount, outcomes, header + "\n" + String.concat "\n" lines)

[<Fact>]
let ``the estimated values are those of the decisions, step by step`` () =
    use folder = new Folder()
    let mutable wrong = 0

    for seed in 1..60 do
        let evenly = seed % 2 = 0
        let struct (states, discount, outcomes, text) = drawn seed evenly
        let log = readLog (folder.Write("l.csv", text))
        let timing = if evenly then RewardTiming.Evenly else RewardTiming.AtStart
        let values = valuesOf discount (built (LastingLog.estimate timing 0.0 discount log))
        let steps = valuesOf discount (built (SemiMarkov.expanded states [] outcomes)) |> Array.take states
        Assert.True(Metric.sup.Distance values steps <= 1e-7, $"seed {seed}: {Metric.sup.Distance values steps}")
        // The mutant: totals taken for worths.
        let other = valuesOf discount (built (LastingLog.estimate RewardTiming.AtStart 0.0 discount log))

        if evenly && Metric.sup.Distance other steps > 1e-3 then
            wrong <- wrong + 1

    Assert.True(wrong >= 20, $"{wrong}")

[<Fact>]
let ``where steps last 1 it is the plain estimate`` () =
    use folder = new Folder()
    let log = readLog (folder.Write("log.csv", logCsv))
    let plain, lasting = built (log.Estimate ValueNone), built (LastingLog.estimate RewardTiming.Evenly 0.0 0.9 log)
    Assert.Equal<float[]>(plain.Probabilities.ToArray(), lasting.Probabilities.ToArray())
    Assert.Equal<float[]>(plain.Rewards.ToArray(), lasting.Rewards.ToArray())
    Assert.Equal<float[]>(valuesOf 0.9 plain, valuesOf 0.9 lasting)
    Assert.Equal<int[]>(plain.Initial.ToArray(), lasting.Initial.ToArray())

[<Fact>]
let ``actions that were taken rarely are masked, and ends count as ends`` () =
    use folder = new Folder()

    let text =
        header
        + "\na,x,1,b,false,false,2\na,x,1,b,false,false,2\na,x,1,b,false,false,2\na,x,5,b,true,false,9\na,y,9,a,false,false,1\nb,x,0,a,false,false,3\n"

    let log = readLog (folder.Write("m.csv", text))
    let all = built (LastingLog.estimate RewardTiming.AtStart 0.0 0.5 log)
    let often = built (LastingLog.estimate RewardTiming.AtStart 0.25 0.5 log)
    Assert.Equal(3, all.RowCount)
    Assert.Equal(2, often.RowCount)
    // Three quarters go on after two steps, a quarter ends, with the rewards apart.
    Assert.Equal<float[]>([| 0.0; 0.5; 0.25 |], often.Continuations.ToArray())
    Assert.Equal<float[]>([| 0.25; 0.75; 1.0 |], often.Probabilities.ToArray())
    Assert.Equal<float[]>([| 5.0; 1.0; 0.0 |], often.Rewards.ToArray())
    let refused name work = Assert.Equal(name, Assert.Throws<ArgumentException>(fun () -> work () |> ignore).ParamName)
    refused "threshold" (fun () -> LastingLog.estimate RewardTiming.AtStart 1.0 0.5 log)
    refused "discount" (fun () -> LastingLog.estimate RewardTiming.AtStart 0.0 1.0 log)
    refused "duration" (fun () -> Ok(ignore (LastingLog.worth RewardTiming.Evenly 0.5 0.5 1.0)))

[<Fact>]
let ``on a terrain the best way is the fastest`` () =
    // Breadth by time: the least number of steps to the goal.
    for seed in 1..10 do
        let terrain = Terrain.random (Generator seed) 4 5 8
        let cells = terrain.Times.Length
        let least = Array.create cells infinity
        least[terrain.Goal] <- 0.0

        for _ in 1 .. 8 * cells do
            for cell in 0 .. cells - 1 do
                if cell <> terrain.Goal then
                    for action in 0..3 do
                        let next = Terrain.target terrain cell action
                        least[cell] <- min least[cell] (float terrain.Times[next] + least[next])

        let values = valuesOf 0.95 (Terrain.model 0.95 terrain)

        for cell in 0 .. cells - 1 do
            if cell <> terrain.Goal then
                Assert.Equal(Math.Pow(0.95, least[cell] - 1.0), values[cell], 8)

    Assert.Throws<ArgumentException>(fun () -> Terrain.create 1 2 0 [| 1; 0 |] |> ignore).Message
    |> fun message -> Assert.Contains("that of cell 1 is 0", message)

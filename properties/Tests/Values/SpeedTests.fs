/// Fast code held against plain code: the loops of sweeps, folds and delegates, models from arrays, single precision.
module ValueFlow.Tests.Values.SpeedTests

open System
open System.Threading
open Xunit
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Tests.Systems.Judge

/// A process with rows of up to 20 transitions, so that loops of eight have whole rounds and a rest; rewards by row or by transition.
let private longRows (case: Case) : Model =
    let generator = case.Generator
    let states = 12 + generator.Below 20
    let builder = ModelBuilder states
    let byRow = generator.Uniform() < 0.5

    for s in 0 .. states - 1 do
        if generator.Uniform() < 0.9 then
            for a in 0 .. generator.Below 4 do
                let count = 1 + generator.Below(min 20 states)
                let chances = Sampling.simplex generator count
                let reward = (4.0 * generator.Uniform() - 2.0)

                Sampling.distinct generator count states
                |> Array.iteri (fun i next ->
                    builder.Add(s, a, next, chances[i], (if byRow then reward else (4.0 * generator.Uniform() - 2.0))))
        else
            builder.Terminal s

    match builder.Build() with
    | Ok model -> model
    | Error errors -> invalidOp (ModelError.describe errors.Head)

let private values (generator: Generator) (model: Model) : float[] =
    Array.init model.StateCount (fun s -> if model.IsTerminal s then 0.0 else 20.0 * (generator.Uniform() - 0.5))

/// max over a of the mean reward + discount * sum in the order of the transitions, the way that a textbook writes it; <c>skip</c> leaves the last transitions of long rows out.
let private plain (skip: int) (discount: float) (model: Model) (values: float[]) : float[] =
    Array.init model.StateCount (fun s ->
        let rows = [ model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 ]

        let worth row =
            let first, last = model.Offsets[row], model.Offsets[row + 1] - 1
            let mutable reward, sum = 0.0, 0.0

            for k in first..last do
                reward <- reward + model.Probabilities[k] * model.Rewards[k]

            for k in first .. (if last - first >= 8 then last - skip else last) do
                sum <- sum + model.Probabilities[k] * values[model.Successors[k]]

            reward + discount * sum

        if rows.IsEmpty then 0.0 else rows |> List.map worth |> List.max)

let private sweepIsPlain (skip: int) (case: Case) =
    let model = longRows case
    let before = values case.Generator model
    allWithin 1e-14 (Bellman.Optimality(model, 0.97).Operator.Apply before) (plain skip 0.97 model before)

[<Fact>]
let ``a sweep is what the textbook writes`` () = holds (sweepIsPlain 0)

[<Fact>]
let ``a sweep that drops the rest of a long row is refuted`` () = refuted (sweepIsPlain 1)

[<Fact>]
let ``a sweep over rows that lead everywhere is what the textbook writes`` () =
    let law skip (case: Case) =
        let states = 9 + case.Generator.Below 8
        let model = Garnet.create case.Generator states 3 states
        let before = values case.Generator model
        allWithin 1e-14 (Bellman.Optimality(model, 0.97).Operator.Apply before) (plain skip 0.97 model before)

    holds (law 0)
    refuted (law 1)

/// The expectation once more, as a struct that folds.
[<Struct>]
type private MeanFold =
    interface IOutcomeFold with
        member _.Start = 0.0
        member _.Step(folded, probability, outcome) = folded + probability * outcome
        member _.Finish folded = folded

let private claim = SummaryClaim.all "Bellman 1957"

let private asDelegate =
    CustomSummary(
        "mean by delegate",
        claim,
        ValueNone,
        RowFunction(fun probabilities outcomes ->
            let mutable sum = 0.0

            for i in 0 .. outcomes.Length - 1 do
                sum <- sum + probabilities[i] * outcomes[i]

            sum)
    )

// Equal up to what sums of outcomes as large as these round.
let private alike (model: Model) (before: float[]) (a: float[]) (b: float[]) =
    let gap = Array.fold2 (fun most x y -> max most (abs (x - y))) 0.0 a b
    (gap <= 1e-14 * (1.0 + Kernel(model, 0.9).Magnitude before)) |> Prop.label $"%A{a} = %A{b}"

[<Fact>]
let ``a summary as struct, as delegate and built in are one`` () =
    holds (fun case ->
        let long = longRows case
        let short = ValueFlow.Laws.ModelSketch.toModel case.Sketch

        [ long; short ]
        |> List.map (fun model ->
            let before = values case.Generator model
            let apply summary = (Bellman.Create(model, 0.9, summary, Extreme Direction.Maximise)).Operator.Apply before
            let built = apply (Expectation())

            alike model before (apply (FoldSummary("mean by struct", claim, ValueNone, MeanFold()))) built
            .&. alike model before (apply asDelegate) built)
        |> List.reduce (.&.))

/// Every pair of a fast state form and a fast action form gives what the row-by-row forms give.
[<Fact>]
let ``choices one by one are choices at once`` () =
    holds (fun case ->
        let model = longRows case
        let before = values case.Generator model
        let policy = Policy.Uniform model

        let atOnce choose = CustomChoice("at once", claim, ValueNone, Direction.Maximise, choose)
        let largest = atOnce (ChoiceFunction(fun q -> q.ToArray() |> Array.max))
        let least = atOnce (ChoiceFunction(fun q -> q.ToArray() |> Array.min))
        let mean = atOnce (ChoiceFunction(fun q -> q.ToArray() |> Array.average))

        [
            for summary in [ Expectation() :> StateSummary; Cvar(0.4, Attitude.Adverse); asDelegate ] do
                for fast, slow in
                    [
                        Extreme Direction.Maximise :> ActionSummary, largest
                        Extreme Direction.Minimise, least
                        PolicyMean policy, mean
                    ] do
                    let apply action = (Bellman.Create(model, 0.9, summary, action)).Operator.Apply before
                    allWithin 1e-13 (apply fast) (apply slow)
        ]
        |> List.reduce (.&.))

[<Fact>]
let ``a value that is no number reaches every state that may move to it`` () =
    holds (fun case ->
        let model = longRows case
        let before = values case.Generator model
        let bad = case.Generator.Below model.StateCount
        before[bad] <- Double.NaN

        let reaches s =
            Seq.exists
                (fun row -> Seq.exists (fun k -> model.Successors[k] = bad) (seq { model.Offsets[row] .. model.Offsets[row + 1] - 1 }))
                (seq { model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 })

        [ Direction.Maximise; Direction.Minimise ]
        |> List.map (fun direction ->
            let after = (Bellman.Create(model, 0.9, Expectation(), Extreme direction)).Operator.Apply before
            Seq.forall (fun s -> Double.IsNaN after[s] = reaches s) (seq { 0 .. model.StateCount - 1 }) |> Prop.ofTestable)
        |> List.reduce (.&.))

[<Fact>]
let ``improvement keeps what is as good, and takes the first of the best`` () =
    holds (fun case ->
        let model = longRows case
        let before = values case.Generator model
        let bellman = Bellman.Optimality(model, 0.9)
        let worth = Array.zeroCreate model.RowCount
        bellman.Sweep.ActionValues(before, worth, CancellationToken.None) |> ignore
        let generator = case.Generator
        let margin = generator.Uniform()

        let held =
            Array.init model.StateCount (fun s ->
                let count = model.RowOffsets[s + 1] - model.RowOffsets[s]
                if count = 0 then -1 else model.RowOffsets[s] + generator.Below(count + 1) - 1)
            |> Array.mapi (fun s row -> if row < model.RowOffsets[s] then -1 else row)

        let chosen = Array.copy held
        bellman.Sweep.Improve(before, Direction.Maximise, margin, chosen, CancellationToken.None) |> ignore

        let expected s =
            match [ model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 ] with
            | [] -> -1
            | rows ->
                let best = List.maxBy (fun row -> worth[row]) rows
                if held[s] < 0 || worth[best] > worth[held[s]] + margin then best else held[s]

        (chosen = Array.init model.StateCount expected) |> Prop.label $"%A{chosen}")

let private arraysOf (model: Model) : ModelArrays =
    {
        RowOffsets = model.RowOffsets.ToArray()
        RowActions = model.RowActions.ToArray()
        Offsets = model.Offsets.ToArray()
        Successors = model.Successors.ToArray()
        Probabilities = ProbabilityArray.Double(model.Probabilities.ToArray())
        Rewards = RewardArray.OfTransitions(model.Rewards.ToArray())
        Continuations = model.Continuations.ToArray()
        Lower = [||]
        Upper = [||]
        StateNames = [||]
        ActionNames = [||]
        Initial = model.Initial.ToArray()
        Labels = Map.empty
        Grid = ValueNone
    }

let private build arrays =
    match ModelArrays.toModel 20 CancellationToken.None arrays with
    | Ok model -> model
    | Error errors -> invalidOp (ModelError.describe errors.Head)

[<Fact>]
let ``a model of a model's arrays is the model`` () =
    holds (fun case ->
        let model = longRows case
        let before = values case.Generator model
        let apply (model: Model) = Bellman.Optimality(model, 0.9).Operator.Apply before
        (apply (build (arraysOf model)) = apply model) |> Prop.ofTestable)

[<Fact>]
let ``single precision is the model of the rounded, normalised shares`` () =
    holds (fun case ->
        let model = longRows case
        let before = values case.Generator model
        let shares = model.Probabilities.ToArray() |> Array.map float32
        let single = build { arraysOf model with Probabilities = ProbabilityArray.Single shares }
        let written = build { arraysOf single with Probabilities = ProbabilityArray.Double(single.Probabilities.ToArray()) }
        let apply (model: Model) = Bellman.Optimality(model, 0.9).Operator.Apply before
        let struct (least, largest) = Kernel(single, 0.9).MassFactors

        allWithin 1e-14 (apply single) (apply written)
        .&. allWithin 1e-6 (apply single) (apply model)
        .&. (largest - least <= 1e-12 |> Prop.label "a row of shares passes on the whole of a constant"))

[<Fact>]
let ``arrays that are no model are refused, with what was expected and found`` () =
    let arrays = arraysOf (Chain.riverSwim 6)

    let refusal (arrays: ModelArrays) =
        match ModelArrays.toModel 20 CancellationToken.None arrays with
        | Ok _ -> ""
        | Error errors -> errors |> List.map ModelError.describe |> String.concat "; "

    let altered (array: 'a[]) place value =
        let copy = Array.copy array
        copy[place] <- value
        copy

    let probabilities place value =
        match arrays.Probabilities with
        | ProbabilityArray.Double p -> ProbabilityArray.Double(altered p place value)
        | other -> other

    Assert.Equal("", refusal arrays)
    Assert.Contains("found 99", refusal { arrays with Successors = altered arrays.Successors 0 99 })
    Assert.Contains("found NaN", refusal { arrays with Probabilities = probabilities 0 nan })
    Assert.Contains("expected probabilities that sum to 1 within 1e-6", refusal { arrays with Probabilities = probabilities 0 0.5 })
    Assert.Contains("a finite reward", refusal { arrays with Rewards = RewardArray.OfRows(Array.create arrays.RowActions.Length infinity) })
    Assert.Contains("rewards of", refusal { arrays with Rewards = RewardArray.OfRows [| 1.0 |] })
    Assert.Contains("initial[0] in [0, 6)", refusal { arrays with Initial = [| 77 |] })
    Assert.Contains("offsets[1]", refusal { arrays with Offsets = altered arrays.Offsets 1 0 })

    Assert.Throws<OperationCanceledException>(fun () -> ModelArrays.toModel 20 (CancellationToken true) arrays |> ignore)
    |> ignore

/// Small models for decisions with a stock, as plain data that shrinks; and all that their decision makers can do, by enumeration.
module ValueFlow.Tests.Returns.StockSketch

open System
open System.Threading
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns

/// Numbers from which a model is read, one after another and again from the first: any list is a model, and shorter lists are simpler ones.
type StockSketch = NonEmptyArray<int>

let none = CancellationToken.None

/// A model of three states and two actions with two outcomes each and whole rewards in [-3, 3]; the last state is terminal if <c>ends</c>. If <c>layers</c> is positive, there are so many
/// layers of such states, each leading to the next, and the last to an end; if <c>alike</c>, a reward is the action's, whatever the outcome.
let modelLike (alike: bool) (ends: bool) (layers: int) (scale: float) (sketch: StockSketch) : Model =
    let mutable place = 0

    let next bound =
        place <- place + 1
        let number = sketch.Get[place % sketch.Get.Length] * 31 + 17 * place
        ((number % bound) + bound) % bound

    let width = 3
    let count = if layers > 0 then width * layers + 1 else width
    let builder = ModelBuilder count
    builder.ParallelOutcomes <- true

    for s in 0 .. count - 1 do
        if (ends || layers > 0) && s = count - 1 then
            builder.Terminal s
        else
            for a in 0..1 do
                let target () =
                    if layers = 0 then next width
                    elif s / width = layers - 1 then count - 1
                    else (s / width + 1) * width + next width

                let chance = float (1 + next 3) / 4.0
                let first, second = target (), target ()
                let gain = scale * float (next 7 - 3)
                let other = if alike then gain else scale * float (next 7 - 3)

                if first = second && gain = other then
                    builder.Add(s, a, first, 1.0, gain)
                else
                    builder.Add(s, a, first, chance, gain)
                    builder.Add(s, a, second, 1.0 - chance, other)

    builder.Initial 0

    match builder.Build() with
    | Ok model -> model
    | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

/// The same with a reward for each outcome.
let modelOf (ends: bool) (layers: int) (scale: float) (sketch: StockSketch) : Model = modelLike false ends layers scale sketch

/// The model with other rewards; outcomes that they no longer tell apart are one.
let earning (other: float -> float) (model: Model) : Model =
    let builder = ModelBuilder model.StateCount
    builder.ParallelOutcomes <- true

    for s in 0 .. model.StateCount - 1 do
        if model.IsTerminal s then
            builder.Terminal s

        for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 do
            [
                for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 ->
                    (model.Successors[k], other model.Rewards[k]), model.Probabilities[k]
            ]
            |> List.groupBy fst
            |> List.iter (fun ((next, reward), chances) -> builder.Add(s, model.RowActions[row], next, List.sumBy snd chances, reward))

    match builder.Build() with
    | Ok model -> model
    | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

/// All laws of the outcome that decisions depending on the whole history can reach: the product of what the successors' own decisions reach, action by action.
let rec reachable (model: Model) (discount: float) (horizon: int) (state: int) (earned: float) (weight: float) : Distribution list =
    if horizon = 0 || model.IsTerminal state then
        [ Distribution.point earned ]
    else
        [
            for row in model.RowOffsets[state] .. model.RowOffsets[state + 1] - 1 do
                let transitions = [ model.Offsets[row] .. model.Offsets[row + 1] - 1 ]

                let choices =
                    transitions
                    |> List.map (fun k ->
                        reachable model discount (horizon - 1) model.Successors[k] (earned + weight * model.Rewards[k]) (weight * discount))

                let rec product lists =
                    match lists with
                    | [] -> [ [] ]
                    | first :: rest ->
                        let tails = product rest

                        [
                            for x in first do
                                for tail in tails -> x :: tail
                        ]

                for laws in product choices do
                    Distribution.mixture (List.map2 (fun k law -> struct (model.Probabilities[k], law)) transitions laws)
        ]
        // Laws that are the same are one: by their words, which are exact.
        |> List.distinctBy (fun law ->
            String.Join(
                ";",
                Array.map2 (fun (a: float) (p: float) -> $"{a:R}:{Math.Round(p, 12)}") (law.Atoms.ToArray()) (law.Masses.ToArray())
            ))

/// The laws of the outcome from state 0 under every Markov policy of a model with two states to act in: an action for each stage and state.
let markov (model: Model) (discount: float) (horizon: int) : Distribution list =
    let graph = StockGraph.Reach(1_000_000, horizon, 0.0, 0, discount, model, none)
    let place stage state = if stage = 0 then 0 else 1 + 2 * (stage - 1) + state

    [
        for code in 0 .. (1 <<< (2 * horizon - 1)) - 1 do
            (StockProgram.evaluate (fun stage state _ -> (code >>> place stage state) &&& 1) none graph).Value
    ]
    |> List.distinctBy string

/// The law holds for so many sketches; throws with the shrunk counterexample.
let holdsFor (count: int) (law: 'sketch -> Property) : unit =
    Check.One(Config.QuickThrowOnFailure.WithMaxTest(count).WithReplay(Judge.seed, 1UL).WithQuietOnSuccess(true), law)

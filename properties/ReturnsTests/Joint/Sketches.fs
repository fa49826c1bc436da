/// Small decision processes with two rewards, and joint laws, as plain data that shrinks.
module ValueFlow.Tests.Returns.JointSketches

open FsCheck
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns

/// An outcome of an action: rewards are quarters.
type Outcome = { From: int; Action: int; To: int; Weight: PositiveInt; Gold: int; Silver: int; Ends: bool }

/// At most twelve outcomes over four states and two actions; a state without any is terminal.
type ProcessSketch = { Discount: int; Outcomes: Outcome list }

/// Points of a joint law, one a state in turn, with coordinates in quarters.
type LawsSketch = NonEmptyArray<struct (int * int * PositiveInt)>

/// The number of states.
[<Literal>]
let States = 4

/// What is made of a sketch.
type Process = { Rewards: VectorRewards; Policy: Policy; Discount: float }

let private residue (modulus: int) (x: int) = ((x % modulus) + modulus) % modulus
let private bounded (x: int) = x % 9

/// The process of a sketch: where <c>onwards</c>, every outcome leads to a later state, the last of which is terminal. Rows' weights make the policy, unless it shall be deterministic.
let processOf (onwards: bool) (deterministic: bool) (sketch: ProcessSketch) : Process =
    let outcomes =
        sketch.Outcomes
        |> List.truncate 12
        |> List.map (fun o ->
            let from = residue (if onwards then States - 1 else States) o.From

            { o with
                From = from
                Action = residue 2 o.Action
                To = if onwards then from + 1 + residue (States - 1 - from) o.To else residue States o.To
                Gold = bounded o.Gold
                Silver = bounded o.Silver
            })

    let rows = outcomes |> List.groupBy (fun o -> o.From, o.Action) |> List.sortBy fst
    let rows = if deterministic then rows |> List.map (fun (key, all) -> key, [ all.Head ]) else rows
    let builder = ModelBuilder States
    builder.ParallelOutcomes <- true
    builder.Initial 0

    for state in 0 .. States - 1 do
        if rows |> List.forall (fun ((from, _), _) -> from <> state) then
            builder.Terminal state

    for (from, action), all in rows do
        let total = all |> List.sumBy _.Weight.Get |> float

        for (next, gold, silver, ends), same in all |> List.groupBy (fun o -> o.To, o.Gold, o.Silver, o.Ends) do
            let weight = same |> List.sumBy _.Weight.Get |> float
            // Both rewards in one number, to be told apart below.
            builder.AddContinuing(from, action, next, weight / total, float (gold + 64 * silver), (if ends then 0.0 else 1.0), -1)

    let model =
        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    let rewards =
        VectorRewards.Create(
            model,
            [| "gold"; "silver" |],
            fun k ->
                let code = int model.Rewards[k]
                let silver = int (round (float code / 64.0))
                [| float (code - 64 * silver) / 4.0; float silver / 4.0 |]
        )

    let weights = rows |> List.map (fun (key, all) -> fst key, all |> List.sumBy _.Weight.Get |> float)

    let policy =
        if deterministic then
            let actions =
                Array.init States (fun s ->
                    rows |> List.tryFind (fun ((from, _), _) -> from = s) |> Option.map (fst >> snd) |> Option.defaultValue -1)

            Policy.Deterministic(model, actions)
        else
            weights
            |> List.map (fun (from, weight) -> weight / (weights |> List.filter (fun (other, _) -> other = from) |> List.sumBy snd))
            |> Array.ofList
            |> fun shares -> Policy.Stochastic(model, shares)

    {
        Rewards = rewards
        Policy = policy
        Discount = [| 0.5; 0.9; 0.99; 0.0 |][residue 4 sketch.Discount]
    }

/// The table of a sketch of laws, the law of zero at states without a point.
let tableOf (sketch: LawsSketch) : JointTable =
    let points = sketch.Get |> Array.truncate 12

    JointTable(
        Array.init States (fun state ->
            let own = points |> Array.indexed |> Array.filter (fun (i, _) -> i % States = state) |> Array.map snd

            if own.Length = 0 then
                JointLaw.point [| 0.0; 0.0 |]
            else
                (Sample.OfPoints(own |> Array.map (fun struct (x, y, _) -> [| float x / 4.0; float y / 4.0 |])))
                    .Weighted(own |> Array.map (fun struct (_, _, w) -> float w.Get)))
    )

/// The operator as it is written down: <c>push</c> makes the law of R + gamma Z of R, gamma and the law of Z.
let plain (push: float[] -> float -> Sample -> Sample) (case: Process) (table: JointTable) : JointTable =
    let model = case.Rewards.Model

    JointTable(
        Array.init States (fun s ->
            if model.IsTerminal s then
                JointLaw.point [| 0.0; 0.0 |]
            else
                JointLaw.mixture
                    [
                        for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 do
                            for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                                let next = model.Successors[k]
                                let ends = model.Continuations.Length > 0 && model.Continuations[k] = 0.0
                                let law = if ends || model.IsTerminal next then JointLaw.point [| 0.0; 0.0 |] else table.Law next
                                struct (case.Policy.Weights[row] * model.Probabilities[k], push (case.Rewards.At k) case.Discount law)
                    ])
    )

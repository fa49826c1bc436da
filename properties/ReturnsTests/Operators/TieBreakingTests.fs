/// Ties of means, broken by tails.
module ValueFlow.Tests.Returns.TieBreakingTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns
open ValueFlow.Tests.Returns.Judge

let private built (builder: ModelBuilder) =
    match builder.Build() with
    | Ok model -> model
    | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

// Three states with two actions that all tie: r = V(s) - gamma V(s') + noise of mean zero, for any values V.
let private tied (discount: float) (seed: int) =
    let generator = Generator(abs (seed % 10_000))
    let values = Array.init 3 (fun _ -> generator.Uniform())
    let builder = ModelBuilder 3

    for s in 0..2 do
        for a in 0..1 do
            let chances = Sampling.simplex generator 3
            let noise = Array.init 3 (fun _ -> 4.0 * generator.Uniform() - 2.0)
            let centre = Array.sum (Array.map2 (*) chances noise)

            for next in 0..2 do
                builder.Add(s, a, next, chances[next], values[s] - discount * values[next] + noise[next] - centre)

    built builder

let private options = { RunOptions.standard with Tolerance = 1e-10 }
let private shares = [| 0.1; 0.5; 0.8 |]
let private discounts = [| 0.5; 0.8 |]

let private policies (model: Model) =
    [ for code in 0..7 -> Policy.Deterministic(model, ReadOnlySpan [| for s in 0..2 -> (code >>> s) &&& 1 |]) ]

let private atoms discount share policy (model: Model) =
    let table = (Returns.fixedPoint options (TwoAtomRepresentation share) (Branches.rowEvaluation discount policy model)).Table

    [|
        for s in 0..2 do
            let row = Array.findIndex (fun w -> w > 0.5) [| policy.Weights[2 * s]; policy.Weights[2 * s + 1] |] + 2 * s
            struct (table.Worst row, table.Best row)
    |]

// The tie break has the largest Q1 and the smallest Q2 of all policies (safe), or the reverse.
let private extremeLaw (asked: TieBreak) (given: TieBreak) (seed: int, pick: int) =
    let discount, share = discounts[abs (pick % 2)], shares[abs (pick % 3)]
    let model = tied discount seed
    let broken = TieBreaking.solve options 1e-9 share given discount model
    let own = atoms discount share broken.Policy model
    let sign = if asked = TieBreak.Safe then 1.0 else -1.0

    policies model
    |> List.map (fun policy ->
        let other = atoms discount share policy model

        Array.forall2
            (fun (struct (worst: float, best: float)) (struct (w: float, b: float)) ->
                sign * worst >= sign * w - 1e-7 && sign * best <= sign * b + 1e-7)
            own
            other
        |> Prop.label "no policy has better tails")
    |> List.reduce (.&.)
    .&. (Array.forall (fun row -> row >= 0) broken.Rows |> Prop.label "every state acts")
    .&. (broken.Outcome = Outcome.Converged |> Prop.label "it settles")
    .&. (Array.forall2 (fun (a: float) b -> abs (a - b) <= 1e-7) broken.Returns.Table.Means broken.Optimal
         |> Prop.label "the optimal means are kept")

[<Fact>]
let ``the safe policy has the largest Q1 and the smallest Q2 of all optimal ones, the risky one the reverse`` () =
    holds (extremeLaw TieBreak.Safe TieBreak.Safe)
    holds (extremeLaw TieBreak.Risky TieBreak.Risky)
    refuted (extremeLaw TieBreak.Safe TieBreak.Risky)
    refuted (extremeLaw TieBreak.Risky TieBreak.Safe)

// On tables with the optimal means, which one number for each row fixes.
let private contractionLaw (factor: float) (tieBreak: TieBreak) (seed: int, pick: int, entries: NonEmptyArray<int>) =
    let discount, share = discounts[abs (pick % 2)], shares[abs (pick % 3)]
    let model = tied discount seed
    let broken = TieBreaking.solve options 1e-9 share tieBreak discount model
    let operator = TieBreaking.operator share tieBreak discount (Array.create 6 true) model
    let entry i = float entries.Get[i % entries.Get.Length] / 4.0

    let table spread =
        TwoAtom.ofAtoms
            share
            [|
                for row in 0..5 do
                    let below = abs (spread row)
                    yield broken.Optimal[row] - below
                    yield broken.Optimal[row] + share / (1.0 - share) * below
            |]

    let x, y = table entry, table (fun row -> entry (row + 1) + entry (row + 2) / 2.0)
    let first (table: TwoAtomTable) = Array.init 6 table.Worst
    let distance a b = Metric.sup.Distance (first a) (first b)
    let tx, ty = operator.Apply x, operator.Apply y
    let kept = Array.forall2 (fun (a: float) b -> abs (a - b) <= 1e-8 * (1.0 + abs b)) tx.Means broken.Optimal
    atMost (distance tx ty) (factor * discount * distance x y + 1e-8) .&. (kept |> Prop.label "means are kept")

[<Fact>]
let ``on tables with the optimal means the safe operator contracts by the discount in Q1, the risky one too`` () =
    holds (contractionLaw 1.0 TieBreak.Safe)
    holds (contractionLaw 1.0 TieBreak.Risky)
    refuted (contractionLaw 0.5 TieBreak.Safe)

// State 0 chooses between 1 for sure and a coin of 0 or 2, both to the end.
let private coin =
    let builder = ModelBuilder 2
    builder.ParallelOutcomes <- true
    builder.Terminal 1
    builder.Add(0, 0, 1, 0.5, 0.0)
    builder.Add(0, 0, 1, 0.5, 2.0)
    builder.Add(0, 1, 1, 1.0, 1.0)
    built builder

[<Fact>]
let ``the safe policy takes the sure payment and the risky one the coin`` () =
    for share in [ 0.1; 0.5; 0.9 ] do
        let solve tieBreak = TieBreaking.solve options 1e-9 share tieBreak 0.9 coin
        let safe, risky = solve TieBreak.Safe, solve TieBreak.Risky
        Assert.Equal<int[]>([| 1; -1 |], safe.Rows)
        Assert.Equal<int[]>([| 0; -1 |], risky.Rows)
        Assert.Equal<float[]>([| 1.0; 1.0 |], safe.Optimal)
        // Deterministic: both atoms are the value.
        Assert.Equal(1.0, safe.Returns.Table.Worst 1, 12)
        Assert.Equal(1.0, safe.Returns.Table.Best 1, 12)
        Assert.Equal(Math.Max(0.0, 2.0 * (share - 0.5) / share), risky.Returns.Table.Worst 0, 12)
        Assert.Equal(Math.Min(2.0, 1.0 / (1.0 - share)), risky.Returns.Table.Best 0, 12)

[<Fact>]
let ``as the share goes to zero or one, one of the atoms becomes the mean`` () =
    let model = tied 0.8 5
    let policy = Policy.Uniform model
    let branches = Branches.rowEvaluation 0.8 policy model
    let atoms share = (Returns.fixedPoint options (TwoAtomRepresentation share) branches).Table
    let means = (atoms 0.5).Means

    for row in 0 .. model.RowCount - 1 do
        let errors = [ 1e-2; 1e-3; 1e-4 ] |> List.map (fun share -> abs ((atoms share).Best row - means[row]))
        let others = [ 1e-2; 1e-3; 1e-4 ] |> List.map (fun share -> abs ((atoms (1.0 - share)).Worst row - means[row]))
        Assert.True(List.pairwise errors |> List.forall (fun (a, b) -> b < a) && errors[2] < 0.01, $"{errors}")
        Assert.True(List.pairwise others |> List.forall (fun (a, b) -> b < a) && others[2] < 0.01, $"{others}")

    refuses "share" "1.5" (fun () -> TieBreaking.solve options 1e-9 1.5 TieBreak.Safe 0.8 model)
    refuses "margin" "-1" (fun () -> TieBreaking.optimalRows -1.0 model (Array.zeroCreate 6))

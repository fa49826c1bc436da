/// Targets of decisions that last, and values that are fitted to logs of them.
module ValueFlow.LearningTests.Agents.SemiMarkovTests

open System
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning
open ValueFlow.Core.Values
open ValueFlow.LearningTests.Refutation

// A random batch of whole durations with all that was earned on the way: the decisions, the batch, the discount.
let private draw (longest: int) (seed: int) =
    let generator = Generator seed
    let states, actions = 1 + generator.Below 5, 1 + generator.Below 3
    let discount = [ 0.3; 0.9; 0.97 ][generator.Below 3]

    let rows =
        [
            for s in 0 .. states - 1 do
                let kept = generator.Below actions

                for a in 0 .. actions - 1 do
                    if a = kept || generator.Uniform() < 0.7 then
                        [
                            for _ in 0 .. generator.Below 3 ->
                                struct (1 + generator.Below 6,
                                        {
                                            State = s
                                            Action = a
                                            Successor = generator.Below states
                                            Probability = 0.0
                                            Rewards = Array.init (1 + generator.Below longest) (fun _ -> 2.0 * generator.Uniform() - 1.0)
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

    let steps =
        [|
            for struct (weight, outcome) in List.concat rows do
                for _ in 1..weight do
                    {
                        State = outcome.State
                        Action = outcome.Action
                        Reward = SemiMarkov.worth discount outcome.Rewards
                        Duration = float outcome.Rewards.Length
                        Next = outcome.Successor
                        Ended = false
                    }
        |]

    struct (outcomes, OfflineBatch.Create(states, actions, steps), discount)

let private normals (generator: Generator) count = Array.init count (fun _ -> 3.0 * Sampling.normal generator)
let private distance (a: float[]) (b: float[]) = Array.fold2 (fun most (x: float) (y: float) -> max most (abs (x - y))) 0.0 a b

type private Weight = float -> float -> float

[<Fact>]
let ``(1) the fit keeps the order, and contracts by the largest mean of gamma^tau, at most gamma`` () =
    let law (weight: Weight) (seed: NonNegativeInt) =
        let struct (_, batch, discount) = draw 6 seed.Get
        let claimed = (FittedValues.operator (SemiMarkovTargets.lasting discount) batch).Claims.Head.Modulus
        let operator = FittedValues.operator (weight discount) batch
        let generator = Generator(seed.Get + 1)
        let size = batch.StateCount * batch.ActionCount
        // Points that lie apart by a constant attain the modulus.
        let x = normals generator size
        let y = if generator.Below 2 = 0 then normals generator size else x |> Array.map (fun v -> v + 1.0)
        let above = Array.map2 (fun a b -> max a b) x y

        (distance (operator.Apply x) (operator.Apply y) <= claimed * distance x y + 1e-12
         |> Prop.label $"{distance (operator.Apply x) (operator.Apply y)} <= {claimed} * {distance x y}")
        .&. (Array.forall2 (fun a b -> a <= b + 1e-12) (operator.Apply x) (operator.Apply above) |> Prop.label "order")
        .&. (claimed <= discount * (1.0 + 1e-12) |> Prop.label $"{claimed} <= {discount}")

    holds 200 (law SemiMarkovTargets.lasting)
    refuted (law SemiMarkovTargets.byDecision)

[<Fact>]
let ``(2) decisions of one step are ordinary ones`` () =
    let law longest (seed: NonNegativeInt) =
        let struct (_, batch, discount) = draw longest seed.Get
        let q = normals (Generator seed.Get) (batch.StateCount * batch.ActionCount)
        let fit weight = (FittedValues.operator (weight discount) batch).Apply q
        allNear 1e-12 (fit SemiMarkovTargets.byDecision) (fit SemiMarkovTargets.lasting)

    holds 200 (law 1)
    refuted (law 3)

let private exactly = { RunOptions.standard with Tolerance = 1e-12; Budget = 5000 }

let private best (rule: NextValue) (batch: OfflineBatch) (table: FittedTable) =
    FittedValues.greedy rule batch table
    |> Array.mapi (fun s action -> table.Online[s * batch.ActionCount + action])

[<Fact>]
let ``(3) fitted values are those of the process in which the action is held step by step`` () =
    let law (weight: Weight) (rule: NextValue) (seed: NonNegativeInt) =
        let struct (outcomes, batch, discount) = draw 4 seed.Get

        match SemiMarkov.expanded batch.StateCount [] outcomes with
        | Error errors -> false |> Prop.label (ModelError.describe errors.Head)
        | Ok model ->
            let long = (PolicyIteration.solve RunOptions.standard (Bellman.Optimality(model, discount))).Values
            let found = FittedValues.run exactly (weight discount) rule batch
            allNear 1e-6 (Array.take batch.StateCount long) (best rule batch found.Table)

    holds 100 (law SemiMarkovTargets.lasting NextValue.Largest)
    holds 100 (law SemiMarkovTargets.lasting NextValue.OfBestOnline)
    refuted (law SemiMarkovTargets.byDecision NextValue.Largest)

type private Next = NextValue -> float[] -> float[] -> float[] -> float

let private nextValue: Next =
    fun rule online target shares -> SemiMarkovTargets.nextValue rule (ReadOnlySpan online) (ReadOnlySpan target) (ReadOnlySpan shares)

// Chooses by the target values, too.
let private byTarget: Next = fun rule _ target shares -> nextValue rule target target shares
// Takes the online value of what it chose.
let private ofOnline: Next = fun rule online _ shares -> nextValue rule online online shares

[<Fact>]
let ``(4) thresholds: below 0 the double target, with one table the plain one, towards 1 the most frequent action`` () =
    let law (next: Next) (seed: NonNegativeInt) =
        let generator = Generator seed.Get
        let count = 1 + generator.Below 5
        let online, target = normals generator count, normals generator count
        let shares = Sampling.simplex generator count |> Array.map (fun share -> if share < 0.05 then 0.0 else share)
        let seen = [ 0 .. count - 1 ] |> List.filter (fun a -> shares[a] > 0.0)
        let chosen = seen |> List.maxBy (fun a -> online[a])
        let mode = seen |> List.maxBy (fun a -> shares[a])

        near 1e-12 target[chosen] (next (NextValue.Constrained -1.0) online target shares)
        .&. near 1e-12 (next NextValue.OfBestOnline online target shares) (next (NextValue.Constrained -1.0) online target shares)
        .&. near 1e-12 (next NextValue.Largest target target shares) (next (NextValue.Constrained -1.0) target target shares)
        .&. near 1e-12 (seen |> List.map (fun a -> target[a]) |> List.max) (next NextValue.Largest online target shares)
        .&. near 1e-12 target[mode] (next (NextValue.Constrained(Math.BitDecrement 1.0)) online target shares)

    holds 300 (law nextValue)
    refuted (law byTarget)
    refuted (law ofOnline)

[<Fact>]
let ``constrained values are the best of the model without the rare actions`` () =
    let law (kept: float) (seed: NonNegativeInt) =
        let struct (outcomes, batch, discount) = draw 3 seed.Get
        let threshold = 0.5
        let share s a = batch.Shares[s * batch.ActionCount + a]
        let most s = Seq.max [ for a in 0 .. batch.ActionCount - 1 -> share s a ]
        let admitted = outcomes |> List.filter (fun o -> share o.State o.Action / most o.State > kept)

        match SemiMarkov.model discount batch.StateCount [] admitted with
        | Error errors -> false |> Prop.label (ModelError.describe errors.Head)
        | Ok model ->
            let values = (PolicyIteration.solve RunOptions.standard (Bellman.Optimality(model, discount))).Values
            let rule = NextValue.Constrained threshold
            let found = FittedValues.run exactly (SemiMarkovTargets.lasting discount) rule batch
            allNear 1e-6 values (best rule batch found.Table)

    holds 100 (law 0.5)
    refuted (law 0.0)

[<Fact>]
let ``a fit can be stopped, and says why it ended`` () =
    let struct (_, batch, discount) = draw 3 7
    let weight = SemiMarkovTargets.lasting discount
    let fits = ResizeArray<int>()
    let watch (progress: Progress) = fits.Add progress.Applications
    let few = FittedValues.run { exactly with Budget = 3; Progress = watch } weight NextValue.Largest batch
    Assert.Equal(Outcome.BudgetExhausted, few.Outcome)
    Assert.Equal<int list>([ 1; 2; 3 ], List.ofSeq fits)
    use source = new CancellationTokenSource()
    source.Cancel()
    Assert.Equal(Outcome.Cancelled, (FittedValues.run { exactly with Cancellation = source.Token } weight NextValue.Largest batch).Outcome)
    let full = FittedValues.run exactly weight NextValue.Largest batch
    Assert.Equal(Outcome.Converged, full.Outcome)
    // Step by step it is the same.
    let steps =
        Seq.init few.Fits id
        |> Seq.fold (fun table _ -> FittedValues.step weight NextValue.Largest batch table) (FittedValues.start batch)

    Assert.Equal<float[]>(few.Table.Online, steps.Online)

[<Fact>]
let ``bad input of offline agents is named`` () =
    let refuses (name: string) (words: string) (work: unit -> unit) =
        let error = Assert.ThrowsAny<ArgumentException>(fun () -> work ())
        Assert.Equal(name, error.ParamName)
        Assert.Contains(words, error.Message)

    let step = { State = 0; Action = 0; Reward = 0.0; Duration = 1.0; Next = 0; Ended = false }
    let create steps = OfflineBatch.Create(2, 1, steps) |> ignore
    refuses "steps" "at least one step" (fun () -> create [||])
    refuses "steps" "step 1: the reward must be finite but is NaN" (fun () -> create [| step; { step with Reward = nan } |])
    refuses "steps" "step 0: the duration must be finite and at least 1 but is 0.5" (fun () -> create [| { step with Duration = 0.5 } |])
    refuses "steps" "step 0: states must lie in [0, 2)" (fun () -> create [| { step with Next = 2 } |])
    refuses "steps" "step 0: the action must lie in [0, 1)" (fun () -> create [| { step with Action = -1 } |])
    refuses "steps" "step 0: a next state that goes on must be acted from" (fun () -> create [| { step with Next = 1 } |])
    create [| { step with Next = 1; Ended = true } |]
    refuses "rule" "is 1" (fun () -> nextValue (NextValue.Constrained 1.0) [| 0.0 |] [| 0.0 |] [| 1.0 |] |> ignore)
    refuses "discount" "is 1" (fun () -> SemiMarkovTargets.lasting 1.0 2.0 |> ignore)
    refuses "duration" "is 0" (fun () -> SemiMarkovTargets.lasting 0.9 0.0 |> ignore)
    Assert.Equal(0.0, nextValue NextValue.Largest [| 1.0 |] [| 1.0 |] [| 0.0 |])

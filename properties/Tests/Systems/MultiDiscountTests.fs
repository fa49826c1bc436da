/// Several objectives, each with a patience of its own.
module ValueFlow.Tests.Systems.MultiDiscountTests

open System
open Xunit
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws
open ValueFlow.Tests.Systems.Judge

let private options = { RunOptions.standard with Tolerance = 1e-11 }

// Small models with rewards in [0, 1): a sketch's scale is not the point here.
let private modelOf (case: Case) = Garnet.create (Generator case.Draw) (2 + case.Draw % 3) (1 + case.Draw % 2) 2

let private objectivesWith (constant: bool) (case: Case) (model: Model) : DiscountedObjective[] =
    let generator = Generator(case.Draw + 11)
    let random () = Array.init model.RowCount (fun _ -> generator.Uniform())

    [|
        for i, g in List.indexed [ 0.5; 0.8; 0.9 ] do
            let o = MultiDiscount.objective $"objective {i}" (random ()) g (0.2 + generator.Uniform())
            if constant then o else { o with Discounts = random () }
    |]

let private trajectory (generator: Generator) (model: Model) (length: int) : int[] =
    let mutable s = 0

    Array.init length (fun _ ->
        let first = model.RowOffsets[s]
        let row = first + generator.Below(model.RowOffsets[s + 1] - first)
        let offset = model.Offsets[row]
        s <- model.Successors[offset + generator.Below(model.Offsets[row + 1] - offset)]
        row)

[<Fact>]
let ``(1) rewards with weights that shrink add up to the same on every trajectory, for every common discount`` () =
    let law (total: float -> DiscountedObjective[] -> int[] -> float) (case: Case) =
        let model = modelOf case
        let objectives = objectivesWith (case.Draw % 2 = 0) case model
        let rows = trajectory case.Generator model 25
        let u = MultiDiscount.total objectives rows
        [ 0.1; 0.98; 2.0 ] |> List.map (fun g -> within 1e-12 (total g objectives rows) u) |> List.reduce (.&.)

    holds (law MultiDiscount.augmentedTotal)
    // Weights that stay: an ordinary sum.
    let constant g objectives rows =
        let y = MultiDiscount.weights objectives
        rows |> Array.mapi (fun t row -> Math.Pow(g, float t) * MultiDiscount.reward objectives y row) |> Array.sum

    refuted (law constant)

[<Fact>]
let ``(2) equal discounts leave the direction of the weights, and the problem is the ordinary one`` () =
    let law (first: float) (case: Case) =
        let model = modelOf case

        let objectives =
            objectivesWith true case model
            |> Array.mapi (fun i o -> MultiDiscount.objective o.Name o.Rewards (if i = 0 then first else 0.8) o.Weight)

        let w = MultiDiscount.weights objectives
        let y = Array.fold (fun y row -> MultiDiscount.next 0.9 objectives row y) w (trajectory case.Generator model 6)
        let direction (x: float[]) = x |> Array.map (fun v -> v / Array.sum x)
        let plan = MultiDiscount.solve options 30 model objectives
        let sum = Array.init model.RowCount (MultiDiscount.reward objectives w)

        let rewards =
            [|
                for row in 0 .. model.RowCount - 1 do
                    for _ in model.Offsets[row] .. model.Offsets[row + 1] - 1 -> sum[row]
            |]

        let builder = ModelBuilder model.StateCount

        for s in 0 .. model.StateCount - 1 do
            for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 do
                for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                    builder.Add(s, model.RowActions[row], model.Successors[k], model.Probabilities[k], rewards[k])

        let plain = ValueIteration.solve options (Bellman.Optimality(built builder, 0.8))
        // The tail follows one objective alone, which is not the best for their sum: it counts 0.8^30.
        allWithin 1e-12 (direction y) (direction w)
        .&. allWithin 2e-2 plan.Values plain.Values
        .&. allWithin 2e-2 plan.Upper plain.Values

    holds (law 0.8)
    refuted (law 0.5)

let private withWeights (y: float[]) (objectives: DiscountedObjective[]) =
    Array.map2 (fun (o: DiscountedObjective) w -> { o with Weight = w }) objectives y

[<Fact>]
let ``(3) the value is convex and homogeneous in the weights`` () =
    let law (value: Model -> DiscountedObjective[] -> float[] -> float) (case: Case) =
        let model = modelOf case
        let objectives = objectivesWith true case model
        let generator = case.Generator
        let draw () = Array.init objectives.Length (fun _ -> generator.Uniform())
        let y, z = draw (), draw ()
        let at = value model objectives
        let middle = Array.map2 (fun a b -> 0.5 * (a + b)) y z

        (at middle <= 0.5 * (at y + at z) + 2e-3 |> Prop.label $"convex: {at middle}")
        .&. within 1e-9 (at (y |> Array.map (fun v -> 3.0 * v))) (3.0 * at y)

    let best model objectives y = (MultiDiscount.solve options 60 model (withWeights y objectives)).Values[0]
    holds (law best)
    // The best of the worst weights is concave.
    refuted (law (fun model objectives y -> -(best model objectives y)))
    refuted (law (fun model objectives y -> (best model objectives y) ** 2.0))

[<Fact>]
let ``(4) a plan that was best stays best with the weights that are left`` () =
    let law (left: int -> DiscountedObjective -> float) (case: Case) =
        let model = modelOf case
        let objectives = objectivesWith true case model
        let horizon, t = 30, 1 + case.Draw % 5
        let plan = MultiDiscount.solve options horizon model objectives
        let later = objectives |> Array.map (fun o -> { o with Weight = left t o })
        let again = MultiDiscount.solve options (horizon - t) model later
        // The plan's rest, followed from time t, pays what the new plan pays.
        let rest = { plan with Actions = plan.Actions[t..] }
        let values = again.Values

        let pays (plan: TimedPlan) =
            // Backward, under the plan's own actions.
            let tail = Policy.Deterministic(model, ReadOnlySpan plan.Tail)

            let mutable v =
                later
                |> Array.map (fun o ->
                    let factor = Math.Pow(o.Discounts[0], float plan.Actions.Length)
                    MultiDiscount.stationary options model [| o |] tail |> Array.map (fun x -> factor * x))
                |> Array.reduce (Array.map2 (+))

            for step in plan.Actions.Length - 1 .. -1 .. 0 do
                let y = later |> Array.map (fun o -> o.Weight * Math.Pow(o.Discounts[0], float step))
                let after = v

                v <-
                    Array.init model.StateCount (fun s ->
                        let row =
                            Seq.find
                                (fun row -> model.RowActions[row] = plan.Actions[step][s])
                                (seq { model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 })

                        let mutable sum = MultiDiscount.reward later y row

                        for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                            sum <- sum + model.Probabilities[k] * after[model.Successors[k]]

                        sum)

            v

        allWithin 1e-9 (pays rest) values .&. allWithin 1e-9 (pays again) again.Values

    holds (law (fun t o -> o.Weight * Math.Pow(o.Discounts[0], float t)))
    // Starting afresh with the weights of the beginning reverses choices.
    refuted (law (fun _ o -> o.Weight))

/// One state; A pays the impatient objective, B the patient one.
let private pinned =
    let builder = ModelBuilder 1
    builder.Add(0, 0, 0, 1.0, 0.0)
    builder.Add(0, 1, 0, 1.0, 0.0)
    let model = built builder

    struct (model,
            [|
                MultiDiscount.objective "impatient" [| 1.0; 0.0 |] 0.5 1.0
                MultiDiscount.objective "patient" [| 0.0; 0.2 |] 0.95 1.0
            |])

[<Fact>]
let ``(4) at a pinned problem the plan switches at time 3, and a fresh start reverses it`` () =
    let struct (model, objectives) = pinned
    let plan = MultiDiscount.solve options 60 model objectives
    Assert.Equal<int[]>([| 0; 0; 0; 1; 1 |], plan.Actions[..4] |> Array.map (fun actions -> actions[0]))
    Assert.Equal(1.75 + 0.2 * 0.95 ** 3.0 / 0.05, plan.Values[0], 9)
    Assert.Equal(plan.Values[0], plan.Upper[0], 9)
    // At time 3 the plan says B; who starts again there with the first weights says A.
    Assert.Equal(0, (MultiDiscount.solve options 57 model objectives).Actions[0][0])

[<Fact>]
let ``(5) no stationary policy reaches the best plan`` () =
    let struct (model, objectives) = pinned
    let best = (MultiDiscount.solve options 60 model objectives).Values[0]

    for share in 0..100 do
        let p = float share / 100.0
        let u = (MultiDiscount.stationary options model objectives (Policy.Stochastic(model, [| p; 1.0 - p |])))[0]
        Assert.Equal(2.0 * p + 4.0 * (1.0 - p), u, 9)
        Assert.True(u < best - 1.0)

[<Fact>]
let ``(6) only the most patient objective is left in the end`` () =
    let law (steps: int) (case: Case) =
        let model = modelOf case
        let objectives = objectivesWith true case model

        let y =
            Array.fold
                (fun y row -> MultiDiscount.next 0.9 objectives row y)
                (MultiDiscount.weights objectives)
                (trajectory case.Generator model steps)

        let direction = y |> Array.map (fun v -> v / Array.sum y)
        allWithin 1e-6 direction [| 0.0; 0.0; 1.0 |]

    holds (law 200)
    refuted (law 20)

[<Fact>]
let ``the plan and its bound enclose the best, and close as the horizon grows`` () =
    let law (horizon: int) (case: Case) =
        let model = modelOf case
        let objectives = objectivesWith true case model
        let coarse, fine = MultiDiscount.solve options horizon model objectives, MultiDiscount.solve options 120 model objectives

        Array.init model.StateCount (fun s ->
            atMost coarse.Values[s] fine.Upper[s]
            .&. atMost fine.Values[s] coarse.Upper[s]
            .&. (coarse.Upper[s] - coarse.Values[s] <= 0.05 |> Prop.label $"{coarse.Upper[s] - coarse.Values[s]}"))
        |> Array.reduce (.&.)

    holds (law 30)
    refuted (law 1)

[<Fact>]
let ``bad input is named`` () =
    let struct (model, objectives) = pinned
    refuses "objectives" "none" (fun () -> MultiDiscount.solve options 3 model [||])
    refuses "objectives" "is 1" (fun () -> MultiDiscount.solve options 3 model [| MultiDiscount.objective "x" [| 0.0; 0.0 |] 1.0 1.0 |])
    refuses "objectives" "is -1" (fun () -> MultiDiscount.solve options 3 model [| MultiDiscount.objective "x" [| 0.0; 0.0 |] 0.5 -1.0 |])

    refuses "objectives" "same everywhere" (fun () ->
        MultiDiscount.solve options 3 model [| { objectives[0] with Discounts = [| 0.1; 0.2 |] } |])

    refuses "horizon" "is -1" (fun () -> MultiDiscount.solve options -1 model objectives)
    refuses "common" "is 0" (fun () -> MultiDiscount.next 0.0 objectives 0 [| 1.0; 1.0 |])
    refuses "y" "length must be 2" (fun () -> MultiDiscount.reward objectives [| 1.0 |] 0)

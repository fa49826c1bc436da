/// The operator on joint laws of several returns: its contractions, its moments, and what fails.
module ValueFlow.Tests.Returns.JointTests

open System
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns
open ValueFlow.Core.Flows
open ValueFlow.Tests.Returns.Judge
open ValueFlow.Tests.Returns.JointSketches

let private none = CancellationToken.None
let private every (properties: Property seq) = Seq.fold (.&.) (true |> Prop.label "") properties
let private allStates (law: int -> Property) = every [ for s in 0 .. States - 1 -> law s |> Prop.label $"state {s}" ]
let private operator (case: Process) = (JointBellman.evaluation 1.0 case.Discount case.Policy case.Rewards).Apply

// Wrong operators: without a discount, with discounted rewards, and with returns that forget one another.
let private undiscounted = plain (fun reward _ law -> JointLaw.affine reward 1.0 law)
let private late = plain (fun reward gamma law -> JointLaw.affine (Array.map (fun r -> gamma * r) reward) gamma law)
let private apart = plain (fun reward gamma law -> JointLaw.affine reward gamma (JointLaw.independent law))

let private largest (distance: Sample -> Sample -> float) (x: JointTable) (y: JointTable) =
    Seq.max [ for s in 0 .. States - 1 -> distance (x.Law s) (y.Law s) ]

[<Fact>]
let ``the operator is the plain one`` () =
    let law apply (sketch: ProcessSketch, laws: LawsSketch) =
        let case, table = processOf false false sketch, tableOf laws
        atMost (largest (Discrepancy.squaredMmd (EnergyKernel 1.0)) (apply case table) (operator case table)) 1e-12

    holds (law (plain JointLaw.affine))
    refuted (law late)

[<Fact>]
let ``it contracts by gamma in the largest Wasserstein distance in the plane`` () =
    let law apply (sketch: ProcessSketch, x: LawsSketch, y: LawsSketch) =
        let case, x, y = processOf false false sketch, tableOf x, tableOf y
        let tx, ty: JointTable * JointTable = apply case x, apply case y

        every
            [
                for name, distance in [ "W1", Wasserstein.w1 none; "W2", Wasserstein.w2 none ] do
                    let d a b = (distance a b).Value
                    // Plans cost at most 2^-40 of the largest cost too much.
                    (largest d tx ty <= case.Discount * largest d x y + 1e-5) |> Prop.label name
            ]

    holds (law operator)
    refuted (law undiscounted)

[<Fact>]
let ``it contracts by a power of gamma in the energy MMD, as claimed`` () =
    let law (exponent: float) (power: float) (sketch: ProcessSketch, x: LawsSketch, y: LawsSketch) =
        let case, x, y = processOf false false sketch, tableOf x, tableOf y
        let operator = JointBellman.evaluation exponent case.Discount case.Policy case.Rewards
        let claim = Assert.Single operator.Claims
        // MMD is the root of a difference of means: rounding is seen through the root.
        let slack = 1e-6

        (claim.Metric.Distance (operator.Apply x) (operator.Apply y)
         <= Math.Pow(claim.Modulus, power) * claim.Metric.Distance x y + slack)
        |> Prop.label $"{claim.Modulus}"

    for exponent in [ 0.5; 1.0; 1.5 ] do
        holds (law exponent 1.0)
        refuted (law exponent 2.0)

[<Fact>]
let ``no modulus holds in the MMD of a Gaussian kernel: two laws that the operator drives apart`` () =
    // R = 0 and a loop: T only shrinks. Points two bandwidths apart come to see one another, those of the other law stay out of sight.
    let builder = ModelBuilder 1
    builder.Add(0, 0, 0, 1.0, 0.0)

    let model =
        match builder.Build() with
        | Ok model -> model
        | Error _ -> invalidOp "no model"

    let rewards = VectorRewards.Create(model, [| "a"; "b" |], fun _ -> [| 0.0; 0.0 |])
    let operator = JointBellman.evaluation 1.0 0.5 (Policy.Uniform model) rewards
    let x = JointTable [| Sample.OfPoints [| [| 0.0; 0.0 |]; [| 2.0; 0.0 |] |] |]
    let y = JointTable [| Sample.OfPoints [| [| 1000.0; 0.0 |]; [| 1002.0; 0.0 |] |] |]

    let mmd kernel (x: JointTable) (y: JointTable) = sqrt (Discrepancy.squaredMmd kernel (x.Law 0) (y.Law 0))
    let gaussian = Gaussian [ 1.0 ]
    let ratio = mmd gaussian (operator.Apply x) (operator.Apply y) / mmd gaussian x y
    Assert.Equal(sqrt ((1.0 + exp -0.5) / (1.0 + exp -2.0)), ratio, 12)
    Assert.True(ratio > 1.18)
    // The same pair in the metric of the claim: exactly the modulus.
    let claim = operator.Claims.Head

    Assert.True(
        claim.Metric.Distance (operator.Apply x) (operator.Apply y)
        <= claim.Modulus * claim.Metric.Distance x y * (1.0 + 1e-12)
    )

[<Fact>]
let ``a direction of the joint law is the ordinary law of that reward`` () =
    let law apply (sketch: ProcessSketch, laws: LawsSketch, a: int, b: int) =
        let case, table = processOf false false sketch, tableOf laws
        let direction = [| float (a % 9) / 4.0; float (b % 9) / 4.0 |]
        let image: JointTable = apply case table
        let model = case.Rewards.Along direction

        allStates (fun s ->
            let scalar =
                if model.IsTerminal s then
                    Distribution.point 0.0
                else
                    Distribution.mixture
                        [
                            for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 do
                                for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                                    let next = model.Successors[k]
                                    let ends = model.Continuations.Length > 0 && model.Continuations[k] = 0.0
                                    let gamma = if ends || model.IsTerminal next then 0.0 else case.Discount

                                    struct (case.Policy.Weights[row] * model.Probabilities[k],
                                            Distribution.affine model.Rewards[k] gamma (Distribution.along direction (table.Law next)))
                        ]

            atMost (Line.wasserstein 1.0 (Distribution.along direction (image.Law s)) scalar) 1e-9)

    holds (law operator)
    refuted (law apart)

[<Fact>]
let ``means obey the vector Bellman equation and covariances the law of total covariance`` () =
    let law apply (sketch: ProcessSketch, laws: LawsSketch) =
        let case, table = processOf false false sketch, tableOf laws
        let image: JointTable = apply case table
        let model = case.Rewards.Model

        allStates (fun s ->
            let outcomes =
                [
                    for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 do
                        for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                            let next = model.Successors[k]
                            let ends = model.Continuations.Length > 0 && model.Continuations[k] = 0.0
                            let gamma = if ends || model.IsTerminal next then 0.0 else case.Discount
                            let mean = Array.map2 (fun r m -> r + gamma * m) (case.Rewards.At k) (JointLaw.mean (table.Law next))
                            let covariance = JointLaw.covariance (table.Law next) |> Array2D.map (fun c -> gamma * gamma * c)
                            case.Policy.Weights[row] * model.Probabilities[k], mean, covariance
                ]

            let mean i = outcomes |> List.sumBy (fun (p, m, _) -> p * m[i])
            let found, covariance = JointLaw.mean (image.Law s), JointLaw.covariance (image.Law s)

            every
                [
                    for i in 0..1 do
                        same found[i] (mean i)

                        for j in 0..1 do
                            let expected = outcomes |> List.sumBy (fun (p, m, c) -> p * ((m[i] - mean i) * (m[j] - mean j) + c[i, j]))
                            within 1e-7 covariance[i, j] expected
                ])

    holds (law operator)
    refuted (law late)
    refuted (law apart)

[<Fact>]
let ``moments by linear solves are those of the law by enumeration`` () =
    let law (moments: float -> Policy -> VectorRewards -> JointMoments) (sketch: ProcessSketch) =
        let case = processOf true false sketch
        let moments = moments case.Discount case.Policy case.Rewards
        let exact = JointBellman.withinHorizon 100_000 none States case.Discount case.Policy case.Rewards

        allStates (fun s ->
            let mean, covariance = JointLaw.mean (exact.Laws.Law s), JointLaw.covariance (exact.Laws.Law s)

            every
                [
                    same exact.Unfinished[s] 0.0

                    for i in 0..1 do
                        same moments.Means[s].[i] mean[i]

                        for j in 0..1 do
                            within 1e-7 moments.Covariances[s].[i, j] covariance[i, j]
                ])

    let ofPolicy = JointMoments.ofPolicy none
    holds (law ofPolicy)
    refuted (law (fun discount policy rewards -> ofPolicy (discount * discount) policy rewards))

    // As if the sources were independent.
    refuted (
        law (fun discount policy rewards ->
            let moments = ofPolicy discount policy rewards

            { moments with
                Covariances = moments.Covariances |> Array.map (Array2D.mapi (fun i j c -> if i = j then c else 0.0))
            })
    )

[<Fact>]
let ``moments solve their equations where episodes do not end`` () =
    // Four points with the mean m and the covariance L L'.
    let lawWith (m: float[]) (c: float[,]) =
        let a = sqrt (max 0.0 c[0, 0])
        let b = if a > 1e-9 then c[1, 0] / a else 0.0
        let d = sqrt (max 0.0 (c[1, 1] - b * b))

        Sample.OfPoints
            [|
                for sign in [ sqrt 2.0; -sqrt 2.0 ] do
                    [| m[0] + sign * a; m[1] + sign * b |]
                    [| m[0]; m[1] + sign * d |]
            |]

    let law (factor: float) (sketch: ProcessSketch) =
        let case = processOf false false sketch
        let moments = JointMoments.ofPolicy none case.Discount case.Policy case.Rewards
        let covariances = moments.Covariances |> Array.map (Array2D.map (fun c -> factor * c))
        let image = operator case (JointTable(Array.map2 lawWith moments.Means covariances))

        allStates (fun s ->
            let mean, covariance = JointLaw.mean (image.Law s), JointLaw.covariance (image.Law s)

            every
                [
                    for i in 0..1 do
                        within 1e-7 mean[i] moments.Means[s].[i]

                        for j in 0..1 do
                            within 1e-6 covariance[i, j] covariances[s].[i, j]
                ])

    holds (law 1.0)
    refuted (law 1.1)

[<Fact>]
let ``what is certain stays certain, if the policy is, too`` () =
    let law deterministicPolicy (sketch: ProcessSketch) =
        let case = processOf false true sketch
        let policy = if deterministicPolicy then case.Policy else Policy.Uniform case.Rewards.Model
        let reached = JointBellman.withinHorizon 100_000 none 6 case.Discount policy case.Rewards
        allStates (fun s -> ((reached.Laws.Law s).Count = 1) |> Prop.label $"{(reached.Laws.Law s).Count} points")

    holds (law true)
    refuted (law false)

[<Fact>]
let ``greedy sums of means follow the Bellman optimality operator`` () =
    let law (greedy: Process -> JointTable -> JointTable) (sketch: ProcessSketch, laws: LawsSketch) =
        let case, table = processOf false false sketch, tableOf laws
        let model = case.Rewards.Total

        let sums (table: JointTable) =
            Array.init States (fun s -> if model.IsTerminal s then 0.0 else Array.sum (JointLaw.mean (table.Law s)))

        let bellman = Bellman.Create(model, case.Discount, Expectation(), Extreme Direction.Maximise)
        let expected = bellman.Operator.Apply(sums table)
        let found = sums (greedy case table)
        allStates (fun s -> same found[s] expected[s])

    holds (law (fun case table -> (JointBellman.optimality case.Discount case.Rewards).Apply table))
    refuted (law operator)

[<Fact>]
let ``the probability of going on is that of not having ended`` () =
    let builder = ModelBuilder 2
    builder.Terminal 1
    builder.Add(0, 0, 0, 0.25, 1.0)
    builder.Add(0, 0, 1, 0.75, 0.0)

    match builder.Build() with
    | Error _ -> invalidOp "no model"
    | Ok model ->
        let rewards = VectorRewards.Create(model, [| "a" |], fun k -> [| model.Rewards[k] |])
        let found = JointBellman.withinHorizon 100 none 3 1.0 (Policy.Uniform model) rewards
        Assert.Equal(1.0 / 64.0, found.Unfinished[0], 12)
        let law = JointLaw.marginal 0 (found.Laws.Law 0)
        Assert.Equal<float[]>([| 0.0; 1.0; 2.0; 3.0 |], law.Atoms.ToArray())
        Assert.Equal(0.75, law.Masses[0], 12)

[<Fact>]
let ``what is wrong is said`` () =
    let case =
        processOf
            true
            false
            {
                Discount = 0
                Outcomes = [ { From = 0; Action = 0; To = 0; Weight = PositiveInt 1; Gold = 4; Silver = 4; Ends = false } ]
            }

    let model, table = case.Rewards.Model, JointTable.zero States 2
    refuses "names" "there is none" (fun () -> VectorRewards.Create(model, [||], fun _ -> [||]))
    refuses "names" "'a' comes 2 times" (fun () -> VectorRewards.Create(model, [| "a"; "a" |], fun _ -> [| 0.0; 0.0 |]))
    refuses "reward" "must have 2 rewards but has 1" (fun () -> VectorRewards.Create(model, [| "a"; "b" |], fun _ -> [| 0.0 |]))

    refuses "reward" "'b' of transition 0 must be finite but is NaN" (fun () ->
        VectorRewards.Create(model, [| "a"; "b" |], fun _ -> [| 0.0; nan |]))

    refuses "direction" "entry 1 must be finite but is NaN" (fun () -> case.Rewards.Along [| 0.0; nan |])
    refuses "discount" "but is 1.5" (fun () -> JointBellman.evaluation 1.0 1.5 case.Policy case.Rewards)
    refuses "exponent" "but is 2" (fun () -> JointBellman.evaluation 2.0 0.5 case.Policy case.Rewards)
    refuses "row" "must lie in [0, 1) but is 1" (fun () -> JointBellman.afterRow 0.5 case.Rewards table 1)
    refuses "table" "2 returns but are of 1" (fun () -> JointBellman.afterRow 0.5 case.Rewards (JointTable.zero States 1) 0)
    refuses "horizon" "but is -1" (fun () -> JointBellman.withinHorizon 10 none -1 0.5 case.Policy case.Rewards)

    refuses "mostPoints" "at most 0 points but that of state 0 has 1 after 1 steps" (fun () ->
        JointBellman.withinHorizon 0 none 1 0.5 case.Policy case.Rewards)

    refuses "parts" "sum to 0.5" (fun () -> JointLaw.mixture [ struct (0.5, JointLaw.point [| 1.0 |]) ])

    refuses "parts" "but one is -1" (fun () ->
        JointLaw.mixture [ struct (2.0, JointLaw.point [| 1.0 |]); struct (-1.0, JointLaw.point [| 1.0 |]) ])

    refuses "coordinate" "but is 2" (fun () -> JointLaw.marginal 2 (table.Law 0))
    refuses "place" "but is 4" (fun () -> table.Law States)
    let stopped = CancellationToken true

    Assert.Throws<OperationCanceledException>(fun () -> JointBellman.withinHorizon 10 stopped 1 0.5 case.Policy case.Rewards |> ignore)
    |> ignore

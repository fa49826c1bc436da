/// Bellman operators that look ahead along a policy which is known already.
module ValueFlow.Tests.Systems.ConservativeTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws
open ValueFlow.Tests.Systems.Judge

let private options = RunOptions.standard
let private modelOf (case: Case) = ModelSketch.toModel case.Sketch

// A policy that is made from the model alone: 1, 2, 3, ... parts for the actions of a state, in an order that the state's number turns round.
let private sloped (model: Model) =
    let weights = Array.zeroCreate model.RowCount

    for s in 0 .. model.StateCount - 1 do
        let first, count = model.RowOffsets[s], model.RowOffsets[s + 1] - model.RowOffsets[s]

        for place in 0 .. count - 1 do
            let part = if s % 2 = 0 then place + 1 else count - place
            weights[first + place] <- float part / (0.5 * float (count * (count + 1)))

    Policy.Stochastic(model, weights)

// An operator on action values, on points of four places a state: what is left over is sent to zero.
let private onRows name (make: Model -> float -> Operator<float[]>) : Subject<float[]> =
    Subject.familyOf name 4 Array.copy id (fun model discount ->
        let operator = make model discount

        let apply (x: float[]) =
            let image = operator.Apply(Array.sub x 0 model.RowCount)
            Array.append image (Array.zeroCreate (x.Length - image.Length))

        { operator with
            Apply = apply
            ApplyInto = ValueNone
            Translation = operator.Translation |> ValueOption.map (fun (struct (_, most)) -> struct (0.0, most))
        })

let private lawful (law: Law<float[]>) subject = (Law.checkWith (LawOptions(Cases = 200)) law subject).Require()

let private unlawful (law: Law<float[]>) subject =
    let report = Law.checkWith (LawOptions(Cases = 2000, MaximumSeconds = 20.0)) law subject
    Assert.True((report.Verdict = Verdict.Refuted), $"the mutant passed\n{report}")

let private conservative (model: Model) discount = ConservativeBellman.operator model discount (sloped model)

let private instead (apply: Model -> float -> float[] -> float[]) model discount =
    { conservative model discount with Apply = apply model discount }

/// a &lt;= b in every place, up to rounding of their size.
let private below (a: float[]) (b: float[]) : Property =
    let size = 1.0 + Array.fold (fun m x -> max m (abs x)) 0.0 b
    let excess = if a.Length = 0 then 0.0 else Array.map2 (-) a b |> Array.max
    excess <= 1e-9 * size |> Prop.label $"above by {excess} at size {size}: %A{a} <= %A{b}"

let private optimum (case: Case) (model: Model) =
    let solution = PolicyIteration.solve options (Bellman.Optimality(model, case.Sketch.Discount))
    struct (solution, ActionValues.ofValues model case.Sketch.Discount solution.Values)

let private worth (case: Case) (model: Model) (actions: int[]) =
    let bellman = Bellman.Optimality(model, case.Sketch.Discount)
    (PolicyEvaluation.linear options (Policy.Deterministic(model, ReadOnlySpan actions)) bellman).Values

[<Fact>]
let ``(1) the operator is monotone and contracts by the discount`` () =
    for law in [ Law.contraction; Law.monotonicity; Law.translation; Law.purity ] do
        lawful law (onRows "conservative" conservative)

    // The action that is there already counts a little as well.
    let leaking model discount q = Array.map2 (fun next q -> next + 0.1 * q) ((conservative model discount).Apply q) q
    unlawful Law.contraction (onRows "leaking" (instead leaking))
    unlawful Law.translation (onRows "leaking" (instead leaking))

    // The value ahead, less a part of how far the best action of the next state lies above it: no longer monotone.
    let doubting model discount (q: float[]) =
        let rows = ActionValues.greedyRows Direction.Maximise model q
        let followed = ConservativeBellman.followed model (sloped model)
        let ahead = Array.map2 (fun v best -> v - 0.5 * (best - v)) (ActionValues.at followed q) (ActionValues.at rows q)
        ActionValues.ofValues model discount ahead

    unlawful Law.monotonicity (onRows "doubting" (instead doubting))

[<Fact>]
let ``(1) its fixed point is the greedified policy's action values, which no optimum is below`` () =
    let law (solve: Model -> float -> Policy -> ConservativeSolution) (case: Case) =
        let model = modelOf case
        let policy = policyOf case.Generator model
        let found = solve model case.Sketch.Discount policy
        let likeliest = policy.MostLikely model
        let values = worth case model likeliest
        let struct (_, best) = optimum case model

        (found.Followed = likeliest |> Prop.label "the likeliest actions")
        .&. allWithin 1e-9 found.Values values
        .&. allWithin 1e-9 found.ActionValues (ActionValues.ofValues model case.Sketch.Discount values)
        .&. below found.ActionValues best

    let solve model discount policy = ConservativeBellman.solve options Direction.Maximise model discount policy
    holds (law solve)
    // The mean of the policy instead of its likeliest actions.
    let mean model discount policy =
        let values = (PolicyEvaluation.linear options policy (Bellman.Optimality(model, discount))).Values

        { solve model discount policy with
            Values = values
            ActionValues = ActionValues.ofValues model discount values
        }

    refuted (law mean)

    // The best of the next state's actions.
    let best (model: Model) discount policy =
        let values = (PolicyIteration.solve options (Bellman.Optimality(model, discount))).Values

        { solve model discount policy with
            Values = values
            ActionValues = ActionValues.ofValues model discount values
        }

    refuted (law best)

[<Fact>]
let ``(1) the bound that is stated holds`` () =
    let law (share: float) (case: Case) =
        let model = modelOf case
        let found = ConservativeBellman.solve options Direction.Maximise model case.Sketch.Discount (sloped model)
        let again = ConservativeBellman.actionValues { options with Tolerance = 1e-14 } model case.Sketch.Discount (sloped model)
        let kernel = (Bellman.Optimality(model, case.Sketch.Discount)).Kernel
        let rewards = ConservativeBellman.inverse model case.Sketch.Discount (sloped model) found.ActionValues
        let residual = Metric.sup.Distance found.ActionValues (again rewards).Value
        let size = kernel.Magnitude found.ActionValues

        // What T^q gives back lies no further from the rewards than a sweep's rounding and the bound allow.
        let mean = ActionValues.ofValues model case.Sketch.Discount (Array.zeroCreate model.StateCount)
        let gap = Metric.sup.Distance rewards mean

        (found.Bound <= 1e-8 + 1e-10 * size / (1.0 - case.Sketch.Discount)
         |> Prop.label $"bound {found.Bound} at size {size}")
        .&. (gap <= share * (2.0 * found.Bound + 1e-14 * size) |> Prop.label $"gap {gap}, bound {found.Bound}")
        .&. (residual <= 1e-10 * size / (1.0 - case.Sketch.Discount) |> Prop.label $"residual {residual}")

    holds (law 1.0)
    refuted (law 0.0)

[<Fact>]
let ``(2) the decisions that are greedy by the fixed point are nowhere worse than those followed`` () =
    let law (decide: Case -> Model -> ConservativeSolution -> int[]) (case: Case) =
        let model = modelOf case
        let found = ConservativeBellman.solve options Direction.Maximise model case.Sketch.Discount (policyOf case.Generator model)
        below found.Values (worth case model (decide case model found))

    holds (law (fun _ _ found -> found.Improved))
    refuted (law (fun _ model found -> ActionValues.greedyRows Direction.Minimise model found.ActionValues |> ActionValues.actionsOf model))
    // Greedy by the reward of the step alone.
    let short case model _ =
        ActionValues.ofValues model case.Sketch.Discount (Array.zeroCreate model.StateCount)
        |> ActionValues.greedyRows Direction.Maximise model
        |> ActionValues.actionsOf model

    refuted (law short)

[<Fact>]
let ``(2) for costs they are nowhere dearer`` () =
    let law (direction: Direction) (case: Case) =
        let model = modelOf case
        let found = ConservativeBellman.solve options direction model case.Sketch.Discount (policyOf case.Generator model)
        below (worth case model found.Improved) found.Values

    holds (law Direction.Minimise)
    refuted (law Direction.Maximise)

let private drawn (generator: Generator) count = Array.init count (fun _ -> 20.0 * generator.Uniform() - 10.0)

[<Fact>]
let ``(3) the inverse gives back the rewards, is onto, and is undone`` () =
    let law (inverse: Model -> float -> Policy -> float[] -> float[]) (case: Case) =
        let model, discount = modelOf case, case.Sketch.Discount
        let policy = policyOf case.Generator model
        let generator = Generator(case.Draw + 3)
        let mean = ActionValues.ofValues model discount (Array.zeroCreate model.StateCount)
        let fixedPoint = (ConservativeBellman.solve options Direction.Maximise model discount policy).ActionValues
        let rewards, actionValues = drawn generator model.RowCount, drawn generator model.RowCount
        let undo rewards = (ConservativeBellman.actionValues options model discount policy rewards).Value
        let ofRewards = undo rewards
        // Differences of large action values: what is left has the digits of the rewards less those of the horizon.
        let tolerance (values: float[]) = 1e-13 * Array.fold (fun m x -> max m (abs x)) 1.0 values
        let close size a b = let gap = Metric.sup.Distance a b in gap <= size |> Prop.label $"gap {gap} above {size}"

        close (1e-7 + tolerance fixedPoint) (inverse model discount policy fixedPoint) mean
        .&. close (1e-7 + tolerance ofRewards) (inverse model discount policy ofRewards) rewards
        .&. allWithin 1e-8 (undo (inverse model discount policy actionValues)) actionValues

    holds (law ConservativeBellman.inverse)

    // The ordinary one, with the best of the next state's actions.
    let greedy (model: Model) discount _ (q: float[]) =
        let values = ActionValues.at (ActionValues.greedyRows Direction.Maximise model q) q
        let none = Array.zeroCreate model.StateCount
        let mean = ActionValues.ofValues model discount none
        Array.map3 (fun q backed mean -> q - (backed - mean)) q (ActionValues.ofValues model discount values) mean

    refuted (law greedy)
    refuted (law (fun model discount policy q -> ConservativeBellman.inverse model (0.99 * discount) policy q))

[<Fact>]
let ``(4) with dueling heads the policy at the start is the pre-trained one, whatever the values`` () =
    let law (advantages: float -> Model -> float[] -> float[]) (case: Case) =
        let model = modelOf case
        let generator = case.Generator
        let scale = [| 0.1; 1.0; 7.0 |][generator.Below 3]
        let logits = drawn generator model.RowCount
        let found = advantages scale model logits
        let values = drawn generator model.StateCount
        let actionValues = Dueling.actionValues model found values
        let heads = Dueling.policy scale model actionValues
        let softmax = Dueling.policy 1.0 model logits
        let best = ActionValues.at (ActionValues.greedyRows Direction.Maximise model found) found

        allWithin 1e-12 (heads.Weights.ToArray()) (softmax.Weights.ToArray())
        .&. (Array.forall (fun a -> a <= 0.0) found |> Prop.label $"at most zero: %A{found}")
        .&. (Array.forall (fun a -> a = 0.0) best |> Prop.label $"zero at the best: %A{best}")
        .&. allWithin
                1e-12
                (ActionValues.at (ActionValues.greedyRows Direction.Maximise model actionValues) actionValues)
                (values |> Array.mapi (fun s v -> if model.IsTerminal s then 0.0 else v))

    holds (law Dueling.advantages)
    // Less the mean, as is usual for dueling networks.
    let centred scale (model: Model) (logits: float[]) =
        let result = Array.copy logits

        for s in 0 .. model.StateCount - 1 do
            let first, count = model.RowOffsets[s], model.RowOffsets[s + 1] - model.RowOffsets[s]

            if count > 0 then
                let mean = Array.average (Array.sub logits first count)

                for row in first .. first + count - 1 do
                    result[row] <- scale * (logits[row] - mean)

        result

    refuted (law centred)
    // Without the scale.
    refuted (law (fun _ model logits -> Dueling.advantages 1.0 model logits))

[<Fact>]
let ``(5) a policy whose likeliest actions are optimal has the fixed point of the optimality operator`` () =
    let law (decide: Solution -> int -> int -> bool) (case: Case) =
        let model = modelOf case
        let struct (solution, best) = optimum case model
        let generator = case.Generator
        // More than a half for the optimal action.
        let weights = Array.zeroCreate<float> model.RowCount

        for s in 0 .. model.StateCount - 1 do
            let first, count = model.RowOffsets[s], model.RowOffsets[s + 1] - model.RowOffsets[s]

            if count > 0 then
                Sampling.simplex generator count |> Array.iteri (fun i p -> weights[first + i] <- 0.49 * p)

                let chosen =
                    Seq.init count id
                    |> Seq.tryFind (fun i -> decide solution s model.RowActions[first + i])
                    |> Option.defaultValue 0

                weights[first + chosen] <- weights[first + chosen] + 0.51

        let found =
            ConservativeBellman.solve options Direction.Maximise model case.Sketch.Discount (Policy.Stochastic(model, weights))

        allWithin 1e-8 found.ActionValues best

    holds (law (fun solution s a -> solution.Policy[s] = a))
    refuted (law (fun solution s a -> solution.Policy[s] <> a))

[<Fact>]
let ``ties of the policy go to the lowest action, everywhere the same`` () =
    let builder = ModelBuilder 1
    builder.Add(0, 0, 0, 1.0, 0.0)
    builder.Add(0, 1, 0, 1.0, 1.0)
    let model = built builder
    let even = Policy.Uniform model
    let found = ConservativeBellman.solve options Direction.Maximise model 0.5 even
    Assert.Equal<int[]>([| 0 |], found.Followed)
    Assert.Equal<float[]>([| 0.0; 1.0 |], found.ActionValues)
    Assert.Equal<float[]>([| 0.0 |], found.Values)
    Assert.Equal<int[]>([| 1 |], found.Improved)
    Assert.Equal<float[]>([| 0.0; 1.0 |], ConservativeBellman.inverse model 0.5 even found.ActionValues)
    // Equal action values: the lowest as well.
    Assert.Equal<int[]>([| 0 |], ActionValues.greedyRows Direction.Maximise model [| 2.0; 2.0 |])

[<Fact>]
let ``bad input is named`` () =
    let model = Garnet.create (Generator 1) 3 2 2
    let policy, other = Policy.Uniform model, Policy.Uniform(FrozenLake.standard ())
    refuses "policy" "length must be 6" (fun () -> ConservativeBellman.operator model 0.9 other)
    refuses "discount" "is 1" (fun () -> ConservativeBellman.operator model 1.0 policy)
    refuses "actionValues" "length must be 6" (fun () -> (ConservativeBellman.operator model 0.9 policy).Apply [| 0.0 |])
    refuses "actionValues" "length must be 6" (fun () -> ConservativeBellman.inverse model 0.9 policy [| 0.0 |])
    refuses "actionValues" "entry 0" (fun () -> ConservativeBellman.inverse model 0.9 policy (Array.create 6 nan))
    refuses "actionValues" "entry 0" (fun () -> ActionValues.greedyRows Direction.Maximise model (Array.create 6 infinity))
    refuses "values" "entry 1" (fun () -> ActionValues.ofValues model 0.9 [| 0.0; nan; 0.0 |])
    refuses "rewards" "NaN" (fun () -> ConservativeBellman.actionValues options model 0.9 policy (Array.create 6 nan))
    refuses "scale" "is 0" (fun () -> Dueling.advantages 0.0 model (Array.zeroCreate 6))
    refuses "logits" "entry 2" (fun () -> Dueling.advantages 1.0 model [| 0.0; 0.0; infinity; 0.0; 0.0; 0.0 |])
    refuses "values" "length must be 3" (fun () -> Dueling.actionValues model (Array.zeroCreate 6) [| 0.0 |])
    refuses "values" "length must be 3" (fun () -> ActionValues.ofValues model 0.9 [| 0.0 |])
    let intervals = ModelBuilder 1
    intervals.AddInterval(0, 0, 0, 0.5, 1.0, 0.0, -1)
    refuses "model" "intervals" (fun () -> ConservativeBellman.operator (built intervals) 0.9 (Policy.Uniform(built intervals)))

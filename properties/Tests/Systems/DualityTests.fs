/// The linear program of occupancy measures and its dual: what values and measures prove of each other, and dynamic programming on visits.
module ValueFlow.Tests.Systems.DualityTests

open System
open System.Threading
open Xunit
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws
open ValueFlow.Tests.Systems.Judge

let private none = CancellationToken.None

let private polytopeOf (case: Case) =
    let model = ModelSketch.toModel case.Sketch
    OccupancyPolytope.Create(model, min 0.95 case.Sketch.Discount, Sampling.simplex (Generator(case.Draw + 7)) model.StateCount)

// The size of what values can be: tolerances are relative to it.
let private sizeOf (polytope: OccupancyPolytope) =
    1.0 + (Bellman.Optimality(polytope.Model, polytope.Discount)).Kernel.LargestReward / (1.0 - polytope.Discount)

let private valuesOf (generator: Generator) (polytope: OccupancyPolytope) =
    let size = sizeOf polytope
    Array.init polytope.Model.StateCount (fun _ -> size * (2.0 * generator.Uniform() - 1.0))

let private worth (polytope: OccupancyPolytope) (values: float[]) =
    let mutable sum = 0.0

    for s in 0 .. values.Length - 1 do
        if not (polytope.Model.IsTerminal s) then
            sum <- sum + polytope.Start[s] * values[s]

    sum

let private solve (polytope: OccupancyPolytope) =
    PolicyIteration.solve RunOptions.standard (Bellman.Optimality(polytope.Model, polytope.Discount))

[<Fact>]
let ``what values price a start above a measure's pay is what its actions fall short`` () =
    let law (slacks: OccupancyPolytope -> float[] -> float[]) (case: Case) =
        let polytope = polytopeOf case
        let generator = case.Generator
        let values = valuesOf generator polytope
        let d = Occupancy.ofPolicy none (policyOf generator polytope.Model) polytope
        let short = Array.fold2 (fun sum x y -> sum + x * y) 0.0 d (slacks polytope values)
        let gap = worth polytope values - Occupancy.value polytope.Rewards d
        abs (gap - short) <= 1e-8 * sizeOf polytope |> Prop.label $"{gap} = {short}"

    holds (law Duality.slacks)
    // Values of terminal states count, or the discount is forgotten.
    refuted (
        law (fun polytope values ->
            Duality.slacks (OccupancyPolytope.Create(polytope.Model, 0.5 * polytope.Discount, polytope.Start.ToArray())) values)
    )

    refuted (law (fun polytope values -> Array.map2 (-) (Duality.slacks polytope values) polytope.Rewards))

[<Fact>]
let ``the optimum lies between any measure's pay and any values' price`` () =
    let law (spoil: DualityGap -> DualityGap) (case: Case) =
        let polytope = polytopeOf case
        let generator = case.Generator
        let policy = policyOf generator polytope.Model
        let d = Occupancy.ofPolicy none policy polytope
        let found = spoil (Duality.gap polytope (valuesOf generator polytope) d)
        let best = solve polytope
        let slack = best.Bound
        let own = (PolicyEvaluation.linear RunOptions.standard policy (Bellman.Optimality(polytope.Model, polytope.Discount)))

        (found.Lower <= worth polytope own.Values + own.Bound
         |> Prop.label $"{found.Lower} <= {worth polytope own.Values}")
        .&. (found.Lower <= worth polytope best.Values + slack
             |> Prop.label $"{found.Lower} <= {worth polytope best.Values}")
        .&. (worth polytope best.Values - slack <= found.Upper
             |> Prop.label $"{worth polytope best.Values} <= {found.Upper}")
        .&. (found.Paid - found.Lower <= 1e-9 * sizeOf polytope
             |> Prop.label $"exact measures lose nothing: {found.Lower} of {found.Paid}")

    holds (law id)
    // Values as they are, feasible or not; and a constant that is not divided by 1 - gamma.
    refuted (law (fun gap -> { gap with Upper = gap.Upper - gap.Shift }))
    refuted (law (fun gap -> { gap with Upper = gap.Upper - 0.5 * gap.Shift }))
    refuted (law (fun gap -> { gap with Lower = gap.Upper }))

[<Fact>]
let ``solved values and the measure of their greedy policy close the gap`` () =
    let law (off: float) (case: Case) =
        let polytope = polytopeOf case
        let best = solve polytope
        let d = Occupancy.ofPolicy none (Policy.Deterministic(polytope.Model, ReadOnlySpan best.Policy)) polytope
        let values = best.Values |> Array.mapi (fun s v -> if s = 0 then v + off * sizeOf polytope else v)
        let found = Duality.gap polytope values d
        found.Gap <= 1e-8 * sizeOf polytope |> Prop.label $"gap {found.Gap} at size {sizeOf polytope}"

    holds (law 0.0)
    refuted (law 1e-3)
    refuted (law -1e-3)

[<Fact>]
let ``a measure that is none pays for what its equations miss`` () =
    let law (charge: bool) (case: Case) =
        let polytope = polytopeOf case
        let generator = case.Generator
        let policy = policyOf generator polytope.Model
        // Too much here, below zero there.
        let d =
            Occupancy.ofPolicy none policy polytope
            |> Array.map (fun x -> x * (1.0 + 0.2 * (2.0 * generator.Uniform() - 1.0)) - (if generator.Below 4 = 0 then 0.01 else 0.0))

        let found = Duality.gap polytope (Array.zeroCreate polytope.Model.StateCount) d

        let own =
            PolicyEvaluation.linear
                RunOptions.standard
                (Occupancy.policy polytope d)
                (Bellman.Optimality(polytope.Model, polytope.Discount))

        let lower = if charge then found.Lower else found.Paid
        lower <= worth polytope own.Values + own.Bound |> Prop.label $"{lower} <= {worth polytope own.Values}"

    holds (law true)
    refuted (law false)

// --- Visits ------------------------------------------------------------------------------------------------------------------------------------

// At most 24 rows in six states: 96 entries for each state.
let private onMatrices name (make: Model -> float -> Operator<float[]>) : Subject<float[]> =
    Subject.familyOf name 96 Array.copy id (fun model discount ->
        let operator = make model discount
        let count = model.RowCount * model.RowCount
        let cut (x: float[]) = Array.sub x 0 count

        let cutClaim (claim: Claim<float[]>) =
            { claim with
                Metric =
                    { claim.Metric with
                        Distance =
                            fun x y ->
                                if claim.Metric.Key = MetricKey.Sup then
                                    claim.Metric.Distance x y
                                else
                                    claim.Metric.Distance (cut x) (cut y)
                    }
                Rounding = claim.Rounding |> ValueOption.map (fun bound x -> bound (cut x))
            }

        { operator with
            Claims = operator.Claims |> List.map cutClaim
            Translation = operator.Translation |> ValueOption.map (fun (struct (_, most)) -> struct (0.0, most))
            Apply = fun x -> Array.append (operator.Apply(cut x)) (Array.zeroCreate (x.Length - count))
        })

let private sloped (model: Model) =
    let weights = Array.zeroCreate model.RowCount

    for s in 0 .. model.StateCount - 1 do
        let first, count = model.RowOffsets[s], model.RowOffsets[s + 1] - model.RowOffsets[s]

        for place in 0 .. count - 1 do
            weights[first + place] <- float (place + 1) / (0.5 * float (count * (count + 1)))

    Policy.Stochastic(model, weights)

let private rewardsOf (model: Model) = Array.init model.RowCount (fun row -> Math.Sin(float (3 * row + 1)))
let private evaluation model discount = VisitationMatrix.evaluation model discount (sloped model)
let private optimality model discount = VisitationMatrix.optimality model discount (rewardsOf model)
let private options = LawOptions(Cases = 80, MaximumSeconds = 10.0)
let private lawHolds (law: Law<'x>) (subject: Subject<'x>) = (Law.checkWith options law subject).Require()

let private lawRefuted (law: Law<'x>) (subject: Subject<'x>) =
    let report = Law.checkWith (LawOptions(Cases = 500, MaximumSeconds = 15.0)) law subject
    Assert.True((report.Verdict = Verdict.Refuted), $"the mutant passed\n{report}")

[<Fact>]
let ``visits under a policy contract in the sup norm, visits of best actions in what rewards see`` () =
    for law in [ Law.contraction; Law.monotonicity; Law.translation; Law.purity ] do
        lawHolds law (onMatrices "visits" evaluation)

    for law in [ Law.contraction; Law.purity ] do
        lawHolds law (onMatrices "optimal visits" optimality)

    let with' (claims: Model -> float -> Claim<float[]> list) make model discount =
        { make model discount with Operator.Claims = claims model discount }
    // The root of the discount; a best action by other rewards; and the best action, claimed to contract entry by entry.
    let root model discount = { evaluation model discount with Apply = (evaluation model (sqrt discount)).Apply }
    lawRefuted Law.contraction (onMatrices "root" root)

    let others (model: Model) discount =
        { optimality model discount with
            Apply = (VisitationMatrix.optimality model discount (rewardsOf model |> Array.map (fun r -> r * r))).Apply
        }

    lawRefuted Law.contraction (onMatrices "other rewards" others)
    lawRefuted Law.contraction (onMatrices "entry by entry" (with' (fun model discount -> (evaluation model discount).Claims) optimality))
    lawRefuted Law.monotonicity (onMatrices "best actions" (fun model discount -> { optimality model discount with Monotone = true }))

[<Fact>]
let ``best actions that tie make visits jump: a pinned pair`` () =
    // One state, two actions that stay, both worth the same.
    let builder = ModelBuilder 1
    builder.Add(0, 0, 0, 1.0, 0.0)
    builder.Add(0, 1, 0, 1.0, 0.0)
    let model = built builder
    let operator = VisitationMatrix.optimality model 0.5 [| 1.0; 1.0 |]
    let h, other = [| 0.5; 0.5; 0.5; 0.5 |], [| 0.5; 0.5; 0.0; 1.0 + 1e-9 |]
    Assert.Equal(0.5, Metric.sup.Distance h other, 1e-8)
    Assert.Equal(0.25, Metric.sup.Distance (operator.Apply h) (operator.Apply other), 1e-8)
    let near = [| 0.5; 0.5; 0.5; 0.5 + 1e-9 |]
    // With rows far apart the winner's visits change by half their distance, however near the points are.
    let apart, swapped = [| 1.0; 0.0; 0.0; 1.0 |], [| 1.0; 0.0; 0.0; 1.0 + 1e-9 |]
    Assert.True(Metric.sup.Distance (operator.Apply h) (operator.Apply near) < 1e-8)

    Assert.True(
        Metric.sup.Distance (operator.Apply apart) (operator.Apply swapped) >= 0.5
        && Metric.sup.Distance apart swapped < 1e-8
    )

// Steps enough for 1e-13.
let private fixedPoint (operator: Operator<float[]>) (start: float[]) discount =
    let steps = if discount = 0.0 then 2 else int (ceil (log 1e-13 / log discount)) + 2
    Seq.fold (fun h _ -> operator.Apply h) start (seq { 1..steps })

let private identity count = Array.init (count * count) (fun k -> if k / count = k % count then 1.0 else 0.0)

[<Fact>]
let ``visits under a policy are laws, give its action values for any rewards, and its occupancy`` () =
    let law (spoil: float) (case: Case) =
        let polytope = polytopeOf case
        let model, discount = polytope.Model, min 0.9 polytope.Discount
        let polytope = OccupancyPolytope.Create(model, discount, polytope.Start.ToArray())
        let policy = policyOf case.Generator model
        let count = model.RowCount

        let h =
            fixedPoint (VisitationMatrix.evaluation model discount policy) (identity count) discount
            |> Array.map (fun x -> spoil * x)

        let bellman = Bellman.Optimality(model, discount)
        let values = (PolicyEvaluation.linear RunOptions.standard policy bellman).Values

        let actions =
            Array.map2
                (fun slack row -> values[row] - slack)
                (Duality.slacks polytope values)
                [|
                    for s in 0 .. model.StateCount - 1 do
                        for _ in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 -> s
                |]

        let ends = model.Continuations.Length > 0 || Seq.exists model.IsTerminal (seq { 0 .. model.StateCount - 1 })

        [
            allWithin 1e-7 (VisitationMatrix.inner model polytope.Rewards h |> Array.map (fun x -> x / (1.0 - discount))) actions
            allWithin 1e-9 (VisitationMatrix.occupancy polytope policy h) (Occupancy.ofPolicy none policy polytope)

            for row in 0 .. count - 1 do
                let sum = Array.sum (Array.sub h (row * count) count)
                (if ends then sum <= 1.0 + 1e-9 else abs (sum - 1.0) <= 1e-9) |> Prop.label $"row {row} sums to {sum}"
        ]
        |> List.reduce (.&.)

    holds (law 1.0)
    refuted (law 1.01)

[<Fact>]
let ``best visits are worth the optimum, and their measure closes the gap without a solved equation`` () =
    let law (choose: Model -> float[] -> float[] -> int[]) (case: Case) =
        let given = polytopeOf case
        let model, discount = given.Model, min 0.9 given.Discount
        let polytope = OccupancyPolytope.Create(model, discount, given.Start.ToArray())
        let rewards = polytope.Rewards
        let h = fixedPoint (VisitationMatrix.optimality model discount rewards) (identity model.RowCount) discount
        let actions = choose model rewards h
        let policy = Policy.Deterministic(model, ReadOnlySpan actions)
        let read = VisitationMatrix.inner model rewards h

        // The state's value: its best row.
        let values =
            Array.init model.StateCount (fun s ->
                if model.IsTerminal s then
                    0.0
                else
                    Seq.max (seq { for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 -> read[row] / (1.0 - discount) }))

        let found = Duality.gap polytope values (VisitationMatrix.occupancy polytope policy h)
        let size = sizeOf polytope

        (allWithin 1e-7 values (solve polytope).Values)
        .&. (found.Gap <= 1e-7 * size |> Prop.label $"gap {found.Gap} at size {size}")

    holds (law VisitationMatrix.greedy)
    // The worst action.
    refuted (law (fun model rewards h -> VisitationMatrix.greedy model (rewards |> Array.map (~-)) h))

[<Fact>]
let ``bad input is named`` () =
    let model = Garnet.create (Generator 1) 3 2 2
    let polytope = OccupancyPolytope.Create(model, 0.9)
    let d = Occupancy.ofPolicy none (Policy.Uniform model) polytope
    refuses "values" "length must be 3" (fun () -> Duality.gap polytope [| 0.0 |] d)
    refuses "values" "entry 1" (fun () -> Duality.slacks polytope [| 0.0; nan; 0.0 |])
    refuses "occupancy" "length must be 6" (fun () -> Duality.gap polytope [| 0.0; 0.0; 0.0 |] [| 1.0 |])
    refuses "occupancy" "entry 0" (fun () -> Duality.gap polytope [| 0.0; 0.0; 0.0 |] (Array.create 6 infinity))
    refuses "rewards" "length must be 6" (fun () -> VisitationMatrix.optimality model 0.9 [| 0.0 |])
    refuses "rewards" "entry 2" (fun () -> VisitationMatrix.optimality model 0.9 [| 0.0; 0.0; nan; 0.0; 0.0; 0.0 |])
    refuses "discount" "is 1" (fun () -> VisitationMatrix.evaluation model 1.0 (Policy.Uniform model))
    refuses "h" "length must be 36" (fun () -> (VisitationMatrix.evaluation model 0.9 (Policy.Uniform model)).Apply [| 0.0 |])

    refuses "policy" "length must be 6" (fun () ->
        VisitationMatrix.evaluation model 0.9 (Policy.Uniform(Garnet.create (Generator 1) 2 2 2)))

    refuses "model" "2001" (fun () -> VisitationMatrix.evaluation (Garnet.create (Generator 1) 2001 1 1) 0.9 (Policy.Uniform model))

/// How alike states are: the distance of Kantorovich, the operator of bisimulation metrics, and what may be treated as one.
module ValueFlow.Tests.Systems.BisimulationTests

open System
open System.Threading
open Xunit
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws
open ValueFlow.Tests.Systems.Judge

let private draw (generator: Generator) = 2.0 * generator.Uniform() - 1.0

let private permutations count : int list list =
    let rec all left =
        match left with
        | [] -> [ [] ]
        | _ ->
            [
                for x in left do
                    for rest in all (List.except [ x ] left) -> x :: rest
            ]

    all [ 0 .. count - 1 ]

// --- The distance of Kantorovich ---------------------------------------------------------------------------------------------------------------

[<Fact>]
let ``on the line the distance is the area between the distribution functions`` () =
    for seed in 1..300 do
        let generator = Generator seed
        let n, m = 1 + generator.Below 30, 1 + generator.Below 30
        let x, y = Array.init n (fun _ -> draw generator), Array.init m (fun _ -> draw generator)
        let p, q = Sampling.simplex generator n, Sampling.simplex generator m
        let below (places: float[]) (law: float[]) at = Array.fold2 (fun sum place w -> if place <= at then sum + w else sum) 0.0 places law
        let knots = Array.append x y |> Array.sort

        let area = knots |> Array.pairwise |> Array.sumBy (fun (a, b) -> (b - a) * abs (below x p a - below y q a))

        let found = Kantorovich.distance (Array2D.init n m (fun i j -> abs (x[i] - y[j]))) p q
        Assert.Equal(area, found, 1e-13)

[<Fact>]
let ``between as many equal parts it is the best assignment, for costs of any sign`` () =
    for seed in 1..200 do
        let generator = Generator seed
        let count = 1 + generator.Below 6
        let cost = Array2D.init count count (fun _ _ -> if seed % 2 = 0 then float (generator.Below 4) else 10.0 * draw generator)
        let even = Array.create count (1.0 / float count)

        let best =
            permutations count
            |> List.map (fun order -> order |> List.mapi (fun i j -> cost[i, j]) |> List.average)
            |> List.min

        Assert.Equal(best, Kantorovich.distance cost even even, 1e-12)

[<Fact>]
let ``the plan has the marginals, the prices are feasible, and both say the same`` () =
    for seed in 1..200 do
        let generator = Generator seed
        let n, m = 1 + generator.Below 40, 1 + generator.Below 40
        let scale = [| 1e-9; 1.0; 1e9 |][seed % 3]
        let cost = Array2D.init n m (fun _ _ -> scale * draw generator)
        // Some places hold nothing.
        let thin law =
            law
            |> Array.mapi (fun i p -> if i > 0 && generator.Below 4 = 0 then 0.0 else p)
            |> fun law -> law |> Array.map (fun p -> p / Array.sum law)

        let p, q = thin (Sampling.simplex generator n), thin (Sampling.simplex generator m)
        let found = Kantorovich.solve cost p q

        for i in 0 .. n - 1 do
            Assert.Equal(p[i], Array.sum found.Plan[i, *], 1e-14)

            for j in 0 .. m - 1 do
                Assert.True(found.Plan[i, j] >= 0.0)
                Assert.True(found.SourcePrices[i] + found.TargetPrices[j] <= cost[i, j] + 1e-13 * scale)

        for j in 0 .. m - 1 do
            Assert.Equal(q[j], Array.sum found.Plan[*, j], 1e-14)

        let prices = Array.sum (Array.map2 (*) p found.SourcePrices) + Array.sum (Array.map2 (*) q found.TargetPrices)
        Assert.Equal(found.Cost / scale, prices / scale, 1e-12)
        Assert.True(found.Gap <= 1e-12 * scale)

[<Fact>]
let ``the distance keeps the order of costs, moves by no more than they do, and is a metric for a metric`` () =
    let law (distance: float[,] -> float[] -> float[] -> float) (case: Case) =
        let generator = case.Generator
        let count = 1 + generator.Below 6
        let points = Array.init count (fun _ -> [| draw generator; draw generator |])
        let metric = Array2D.init count count (fun i j -> Metric.euclidean.Distance points[i] points[j])
        let p, q, r = Sampling.simplex generator count, Sampling.simplex generator count, Sampling.simplex generator count
        let higher = metric |> Array2D.map (fun d -> d + generator.Uniform())
        let most = Array2D.init count count (fun i j -> higher[i, j] - metric[i, j]) |> Seq.cast<float> |> Seq.max

        atMost (distance metric p q) (distance higher p q)
        .&. atMost (distance higher p q) (distance metric p q + most)
        .&. within 1e-9 (distance metric p p) 0.0
        .&. within 1e-9 (distance metric p q) (distance metric q p)
        .&. atMost (distance metric p r) (distance metric p q + distance metric q r)

    // Each place sends its mass everywhere: a plan, but not the cheapest.
    let independent (cost: float[,]) (p: float[]) (q: float[]) =
        Seq.sum (
            seq {
                for i in 0 .. p.Length - 1 do
                    for j in 0 .. q.Length - 1 -> p[i] * q[j] * cost[i, j]
            }
        )

    holds (law Kantorovich.distance)
    refuted (law independent)
    refuted (law (fun cost p q -> (Kantorovich.distance cost p q) ** 2.0))

[<Fact>]
let ``what is no law or no cost is named`` () =
    let cost = Array2D.create 2 2 1.0
    refuses "p" "length must be 2" (fun () -> Kantorovich.distance cost [| 1.0 |] [| 0.5; 0.5 |])
    refuses "p" "-0.5" (fun () -> Kantorovich.distance cost [| 1.5; -0.5 |] [| 0.5; 0.5 |])
    refuses "q" "sum to 0.9" (fun () -> Kantorovich.distance cost [| 0.5; 0.5 |] [| 0.5; 0.4 |])
    refuses "q" "NaN" (fun () -> Kantorovich.distance cost [| 0.5; 0.5 |] [| 0.5; nan |])

    refuses "cost" "from 1 to 0" (fun () ->
        Kantorovich.distance (array2D [ [ 0.0; 1.0 ]; [ infinity; 0.0 ] ]) [| 0.5; 0.5 |] [| 0.5; 0.5 |])

// --- The operator, law 1 -----------------------------------------------------------------------------------------------------------------------

// n states and the end: 9 n are at least (n + 1)^2 for n up to 6.
let private width = 9

let private onPairs name matching (weight: float -> float) (spoil: Bisimulation -> float[] -> float[]) : Subject<float[]> =
    Subject.familyOf name width Array.copy id (fun model discount ->
        let bisimulation = Bisimulation.Create(model, 1.0, weight discount, matching)
        let count = bisimulation.Places * bisimulation.Places
        let operator = bisimulation.Operator

        { operator with
            Apply =
                fun x ->
                    let image = spoil bisimulation (Array.sub x 0 count)
                    Array.append image (Array.zeroCreate (x.Length - count))
            Claims =
                operator.Claims
                |> List.map (fun claim ->
                    { claim with
                        Rounding = claim.Rounding |> ValueOption.map (fun bound x -> bound (Array.sub x 0 count))
                    })
        })

let private weightOf discount = Math.Clamp(discount, 0.1, 0.99)
let private right matching = onPairs "bisimulation" matching weightOf (fun bisimulation -> bisimulation.Operator.Apply)
let private options = LawOptions(Cases = 100, MaximumSeconds = 10.0)

let private lawHolds (law: Law<'x>) (subject: Subject<'x>) = (Law.checkWith options law subject).Require()

let private lawRefuted (law: Law<'x>) (subject: Subject<'x>) =
    let report = Law.checkWith (LawOptions(Cases = 1000, MaximumSeconds = 15.0)) law subject
    Assert.True((report.Verdict = Verdict.Refuted), $"the mutant passed\n{report}")

[<Fact>]
let ``the operator contracts by the weight of transitions, keeps the order, and is pure`` () =
    for matching in [ ActionMatching.SameAction; ActionMatching.Nearest ] do
        for law in [ Law.contraction; Law.monotonicity; Law.translation; Law.purity ] do
            lawHolds law (right matching)

    // The root of the weight: more than is claimed.
    lawRefuted
        Law.contraction
        (onPairs "heavier" ActionMatching.SameAction weightOf (fun bisimulation ->
            (Bisimulation.Create(bisimulation.Model, 1.0, sqrt bisimulation.TransitionWeight, ActionMatching.SameAction)).Operator.Apply))

    // Squared distances as the cost of transport: subtle, and no contraction.
    lawRefuted
        Law.contraction
        (onPairs "squared" ActionMatching.SameAction weightOf (fun bisimulation d ->
            bisimulation.Operator.Apply(d |> Array.map (fun x -> x * x))))

    // Distances to the mean distance: a difference of costs has the wrong sign somewhere.
    lawRefuted
        Law.monotonicity
        (onPairs "less the mean" ActionMatching.SameAction weightOf (fun bisimulation d ->
            let mean = Array.average d
            bisimulation.Operator.Apply(d |> Array.map (fun x -> x - mean))))

// A case for the fixed point: the discount is moderate, the weight at least the discount, rewards are of size one.
let private tame (case: Case) =
    let largest =
        case.Sketch.States
        |> List.concat
        |> List.collect snd
        |> List.fold (fun most outcome -> max most (abs outcome.Reward)) 0.0

    let scale = if largest > 0.0 then 1.0 / largest else 1.0

    let sketch =
        { case.Sketch with
            Discount = min 0.9 case.Sketch.Discount
            States =
                case.Sketch.States
                |> List.map (List.map (fun (a, row) -> a, row |> List.map (fun o -> { o with Reward = scale * o.Reward })))
        }

    let generator = case.Generator
    let weight = if generator.Below 2 = 0 then max 0.3 sketch.Discount else 0.9
    let reward = [| 0.3; 1.0; 2.0 |][generator.Below 3]
    struct (ModelSketch.toModel sketch, sketch.Discount, reward, weight)

let private solved = { RunOptions.standard with Tolerance = 1e-7 }

let private matchingOf (case: Case) = if case.Draw % 2 = 0 then ActionMatching.SameAction else ActionMatching.Nearest

let private largest (d: float[]) = Array.fold (fun (most: float) x -> max most x) 0.0 d

[<Fact>]
let ``iterates rise to the fixed point as fast as the bound says`` () =
    let law (share: float) (case: Case) =
        let struct (model, _, reward, weight) = tame case
        let bisimulation = Bisimulation.Create(model, reward, weight, matchingOf case)
        let found = bisimulation.Solve solved
        let mutable d = Array.zeroCreate<float> found.Value.Length

        [
            found.Bound <= 1e-7 |> Prop.label $"bound {found.Bound}"

            for n in 0..6 do
                let next = bisimulation.Operator.Apply d
                atMost (largest (Array.map2 (-) d next)) 0.0
                atMost (largest (Array.map2 (-) d found.Value)) 0.0
                atMost (largest (Array.map2 (-) found.Value d)) (share * bisimulation.BoundAfter n + found.Bound)
                d <- next
        ]
        |> List.reduce (.&.)

    holds (law 1.0)
    refuted (law 0.9)

[<Fact>]
let ``where all states allow the same actions the bound is that of the largest difference of rewards`` () =
    for seed in 1..20 do
        let model = Garnet.create (Generator seed) 6 3 3
        let mean row = model.Rewards[model.Offsets[row]]

        let most =
            Seq.max (
                seq {
                    for s in 0..5 do
                        for t in 0..5 do
                            for a in 0..2 -> abs (mean (3 * s + a) - mean (3 * t + a))
                }
            )

        let bisimulation = Bisimulation.Create(model, 2.0, 0.8, ActionMatching.SameAction)
        Assert.Equal(Math.Pow(0.8, 5.0) / 0.2 * 2.0 * most, bisimulation.BoundAfter 5, 1e-12)

// --- Law 2 -------------------------------------------------------------------------------------------------------------------------------------

// The coarsest bisimulation by splitting: classes with the same actions, rewards and masses of classes. Givan, Dean and Greig 2003.
let private bisimilar (bisimulation: Bisimulation) (model: Model) : int[] =
    let count = bisimulation.Places
    let terminal s = s >= model.StateCount || model.IsTerminal s
    let actions = model.RowActions.ToArray() |> Array.distinct |> Array.sort |> List.ofArray
    let near (a: float) (b: float) = abs (a - b) <= 1e-9

    let rows s : (int * float * (int * float) list) list =
        if terminal s then
            [ for a in actions -> a, 0.0, [ s, 1.0 ] ]
        else
            [
                for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 ->
                    let outcomes = [ for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 -> k ]
                    let share k = if model.Continuations.Length = 0 then 1.0 else model.Continuations[k]

                    model.RowActions[row],
                    outcomes |> List.sumBy (fun k -> model.Probabilities[k] * model.Rewards[k]),
                    [
                        for k in outcomes do
                            model.Successors[k], model.Probabilities[k] * share k

                            if share k < 1.0 then
                                count - 1, model.Probabilities[k] * (1.0 - share k)
                    ]
            ]

    let rec refine (classOf: int[]) =
        let mass row c = row |> List.sumBy (fun (next, p) -> if classOf[next] = c then p else 0.0)

        let same s t =
            classOf[s] = classOf[t]
            && (let one, other = rows s, rows t

                List.map (fun (a, _, _) -> a) one = List.map (fun (a, _, _) -> a) other
                && List.forall2
                    (fun (_, r, next) (_, r', next') ->
                        near r r' && [ 0 .. count - 1 ] |> List.forall (fun c -> near (mass next c) (mass next' c)))
                    one
                    other)

        let finer = Array.init count (fun s -> Seq.find (fun t -> same s t) (seq { 0..s }))
        if finer = classOf then classOf else refine finer

    refine (Array.zeroCreate count)

// Every state once more, and each outcome goes to the one or the other copy.
let private doubled (share: float) (model: Model) : Model =
    let n = model.StateCount
    let builder = ModelBuilder(2 * n)

    for copy in 0..1 do
        for s in 0 .. n - 1 do
            if model.IsTerminal s then
                builder.Terminal(s + copy * n)

            for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 do
                for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                    let continuation = if model.Continuations.Length = 0 then 1.0 else model.Continuations[k]
                    let part = if copy = 0 then share else 1.0 - share
                    let add next p = builder.AddContinuing(s + copy * n, model.RowActions[row], next, p, model.Rewards[k], continuation, -1)
                    add model.Successors[k] (model.Probabilities[k] * part)
                    add (model.Successors[k] + n) (model.Probabilities[k] * (1.0 - part))

    built builder

[<Fact>]
let ``the fixed point is a pseudometric, and zero exactly between states that are bisimilar`` () =
    let law (spoil: float[] -> float[]) (case: Case) =
        let struct (model, _, reward, weight) = tame case
        let bisimulation = Bisimulation.Create(model, reward, weight, ActionMatching.SameAction)
        let d = spoil (bisimulation.Solve solved).Value
        let count = bisimulation.Places
        let classes = bisimilar bisimulation model

        [
            true |> Prop.label "nothing to compare"

            for s in 0 .. count - 1 do
                (d[s * count + s] = 0.0) |> Prop.label $"d({s}, {s}) = {d[s * count + s]}"

                for t in 0 .. count - 1 do
                    (d[s * count + t] = d[t * count + s]) |> Prop.label "symmetry"

                    ((d[s * count + t] <= 1e-12) = (classes[s] = classes[t]))
                    |> Prop.label $"d({s}, {t}) = {d[s * count + t]} of classes {classes[s]} and {classes[t]}"

                    for u in 0 .. count - 1 do
                        (d[s * count + u] <= d[s * count + t] + d[t * count + u] + 1e-6) |> Prop.label "triangle"
        ]
        |> List.reduce (.&.)

    holds (law id)
    // Squared, and a little everywhere.
    refuted (law (Array.map (fun x -> x * x)))
    refuted (law (Array.map (fun x -> x + 1e-9)))

[<Fact>]
let ``copies of a state are no distance apart`` () =
    let law (copy: Model -> Model) (case: Case) =
        let struct (model, _, reward, weight) = tame case
        let bisimulation = Bisimulation.Create(copy model, reward, weight, matchingOf case)
        let d = (bisimulation.Solve solved).Value
        let n = model.StateCount
        let most = Seq.max (seq { for s in 0 .. n - 1 -> d[s * bisimulation.Places + s + n] })
        most <= 1e-13 / (1.0 - weight) |> Prop.label $"{most}"

    holds (law (doubled 0.3))
    // Copies that lead to different mixtures of copies are still alike; with another reward they are not.
    refuted (
        law (fun model ->
            let copies = doubled 0.3 model
            let builder = ModelBuilder copies.StateCount
            builder.ParallelOutcomes <- true

            for s in 0 .. copies.StateCount - 1 do
                if copies.IsTerminal s then
                    builder.Terminal s

                for row in copies.RowOffsets[s] .. copies.RowOffsets[s + 1] - 1 do
                    for k in copies.Offsets[row] .. copies.Offsets[row + 1] - 1 do
                        builder.Add(
                            s,
                            copies.RowActions[row],
                            copies.Successors[k],
                            copies.Probabilities[k],
                            copies.Rewards[k] + (if s >= model.StateCount then 1e-6 else 0.0)
                        )

            built builder)
    )

[<Fact>]
let ``actions that states share, and those they do not: the triangle inequality forbids a mixed rule`` () =
    // State 0 and 1 allow the same two actions with rewards exchanged; state 2 a third one besides.
    let builder = ModelBuilder 3
    builder.Add(0, 0, 0, 1.0, 0.0)
    builder.Add(0, 1, 0, 1.0, 1.0)
    builder.Add(1, 0, 1, 1.0, 1.0)
    builder.Add(1, 1, 1, 1.0, 0.0)

    for a, reward in [ 0, 0.0; 1, 1.0; 2, 1.0 ] do
        builder.Add(2, a, 2, 1.0, reward)

    let model = built builder
    let distance matching = (Bisimulation.Create(model, 1.0, 0.5, matching)).Solve(solved).Value
    let same, nearest = distance ActionMatching.SameAction, distance ActionMatching.Nearest
    Assert.Equal(2.0, same[0 * 3 + 1], 1e-6)
    Assert.Equal(2.0, same[0 * 3 + 2], 1e-6)
    Assert.All([ nearest[1]; nearest[2]; nearest[5] ], (fun d -> Assert.Equal(0.0, d, 1e-6)))
    // Nearest actions where sets differ, the same action where they do not: 2 > 0 + 0.
    Assert.True(same[0 * 3 + 1] > nearest[0 * 3 + 2] + nearest[2 * 3 + 1])

[<Fact>]
let ``to compare what states share alone is unsound: a pinned case`` () =
    // Both may stay for nothing; one may earn, too.
    let builder = ModelBuilder 2
    builder.Add(0, 0, 0, 1.0, 0.0)
    builder.Add(1, 0, 1, 1.0, 0.0)
    builder.Add(1, 1, 1, 1.0, 1.0)
    let model = built builder
    let values = (PolicyIteration.solve RunOptions.standard (Bellman.Optimality(model, 0.5))).Values
    Assert.Equal(2.0, values[1] - values[0], 1e-7)
    // The shared action alone would say 0.
    for matching in [ ActionMatching.SameAction; ActionMatching.Nearest ] do
        let d = (Bisimulation.Create(model, 1.0, 0.5, matching)).Solve(solved).Value[1]
        Assert.True(d >= 2.0 - 1e-6)

// --- Laws 3, 4 and 5 ---------------------------------------------------------------------------------------------------------------------------

let private optimal (direction: Direction) model discount =
    (ValueIteration.solve RunOptions.standard (Bellman.Create(model, discount, Expectation(), Extreme direction))).Values

[<Fact>]
let ``values differ by no more than the distance`` () =
    let law (values: Direction -> Model -> float -> float[]) (case: Case) =
        let struct (model, discount, reward, weight) = tame case
        let bisimulation = Bisimulation.Create(model, reward, max discount weight, matchingOf case)
        let found = bisimulation.Solve solved
        let v = values (if case.Draw % 3 = 0 then Direction.Minimise else Direction.Maximise) model discount

        [
            true |> Prop.label "no pair"

            for s in 0 .. model.StateCount - 1 do
                for t in 0 .. model.StateCount - 1 do
                    (reward * abs (v[s] - v[t]) <= found.Value[s * bisimulation.Places + t] + found.Bound + 1e-6)
                    |> Prop.label $"{reward * abs (v[s] - v[t])} <= {found.Value[s * bisimulation.Places + t]}"
        ]
        |> List.reduce (.&.)

    holds (law optimal)
    // The values of a policy that treats states unlike are no function of what they are.
    refuted (
        law (fun _ model discount ->
            let actions =
                Array.init model.StateCount (fun s ->
                    if model.IsTerminal s then
                        -1
                    else
                        let count = model.RowOffsets[s + 1] - model.RowOffsets[s] in model.RowActions[model.RowOffsets[s] + s % count])

            (PolicyEvaluation.linear
                RunOptions.standard
                (Policy.Deterministic(model, ReadOnlySpan actions))
                (Bellman.Optimality(model, discount)))
                .Values)
    )
    // A discount above the weight of transitions.
    refuted (law (fun direction model discount -> optimal direction model (min 0.99 (discount + 0.5 * (1.0 - discount) + 0.2))))

// Classes at random: any that allow the same actions.
let private classesOf (generator: Generator) (bisimulation: Bisimulation) : int[] =
    let found = ResizeArray<ResizeArray<int>>()

    for place in 0 .. bisimulation.Places - 1 do
        match found |> Seq.tryFind (fun members -> bisimulation.Comparable(members[0], place) && generator.Below 2 = 0) with
        | Some members -> members.Add place
        | None -> found.Add(ResizeArray [ place ])

    let classOf = Array.zeroCreate bisimulation.Places

    found
    |> Seq.iteri (fun c members ->
        for place in members do
            classOf[place] <- c)

    classOf

[<Fact>]
let ``the values of an aggregated model are within the bounds`` () =
    let law (shrink: float) (case: Case) =
        let struct (model, discount, reward, weight) = tame case
        let bisimulation = Bisimulation.Create(model, reward, weight, ActionMatching.SameAction)
        let found = bisimulation.Solve solved
        let above = found.Value |> Array.map (fun d -> d + found.Bound)
        let aggregated = Aggregation.aggregate bisimulation above discount (classesOf case.Generator bisimulation)
        let direction = if case.Draw % 3 = 0 then Direction.Minimise else Direction.Maximise
        let lifted = aggregated.Lift(optimal direction aggregated.Model discount)
        let exact = optimal direction model discount

        [
            true |> Prop.label "no state"

            for s in 0 .. model.StateCount - 1 do
                (abs (lifted[s] - exact[s]) <= shrink * aggregated.Bounds[s] + 3e-8)
                |> Prop.label $"state {s}: {abs (lifted[s] - exact[s])} <= {aggregated.Bounds[s]}"

            aggregated.Bounds |> Array.forall (fun bound -> bound <= aggregated.Bound) |> Prop.label "largest"
        ]
        |> List.reduce (.&.)

    holds (law 1.0)
    refuted (law 0.4)

[<Fact>]
let ``classes of bisimilar states are exact, and every class keeps its diameter`` () =
    let law (case: Case) =
        let struct (model, discount, reward, weight) = tame case
        let copies = doubled 0.4 model
        let bisimulation = Bisimulation.Create(copies, reward, weight, ActionMatching.SameAction)
        let d = (bisimulation.Solve solved).Value
        let classOf = Aggregation.clusters bisimulation d 1e-9
        let aggregated = Aggregation.aggregate bisimulation d discount classOf
        let lifted = aggregated.Lift(optimal Direction.Maximise aggregated.Model discount)
        let wide = Aggregation.clusters bisimulation d 0.5
        let count = bisimulation.Places

        (aggregated.Classes.Length <= model.StateCount + 1 |> Prop.label $"{aggregated.Classes.Length} classes")
        .&. allWithin 1e-6 lifted (optimal Direction.Maximise copies discount)
        .&. (Seq.forall (fun (s, t) -> wide[s] <> wide[t] || d[s * count + t] <= 0.5) (Seq.allPairs [ 0 .. count - 1 ] [ 0 .. count - 1 ])
             |> Prop.label "diameter")

    holds law

[<Fact>]
let ``points that shrink lie as far apart as the closed form says`` () =
    // s' = rho s for nothing but its own reward s: d*(s, t) = |s - t| / (1 - c_T rho).
    let rho, weight, last = 0.5, 0.9, 48
    let points = Array.append (Array.init (last + 1) (fun k -> Math.Pow(rho, float k))) [| 0.0 |]
    let builder = ModelBuilder points.Length
    points |> Array.iteri (fun k s -> builder.Add(k, 0, min (k + 1) (last + 1), 1.0, s))
    let model = built builder
    let found = (Bisimulation.Create(model, 1.0, weight, ActionMatching.SameAction)).Solve { solved with Tolerance = 1e-9 }
    let values = optimal Direction.Maximise model weight

    for i in 0 .. points.Length - 1 do
        for j in 0 .. points.Length - 1 do
            let expected = abs (points[i] - points[j]) / (1.0 - weight * rho)
            Assert.Equal(expected, found.Value[i * points.Length + j], 1e-8)
            // For rho >= 0 the bound on values is tight.
            Assert.Equal(expected, abs (values[i] - values[j]), 1e-7)

// --- Estimates, runs and errors ----------------------------------------------------------------------------------------------------------------

// x' = x / 2 + 0.4 (2 U - 1) in [-1, 1] with the reward x, on an even grid: d* = |x - y| / (1 - c_T / 2).
let private drift = Representatives.OnLine(Array.init 21 (fun i -> -1.0 + 0.1 * float i))

let private drifting seed samples =
    drift.Sample(
        1,
        samples,
        Generator seed,
        (fun generator x _ -> struct ([| 0.5 * x[0] + 0.4 * (2.0 * generator.Uniform() - 1.0) |], x[0])),
        CancellationToken.None
    )

[<Fact>]
let ``an estimated model is within the perturbation bound, which two states that stay attain`` () =
    let law (share: float) (case: Case) =
        let generator = case.Generator

        let staying (shift: float) =
            let builder = ModelBuilder 2
            builder.Add(0, 0, 0, 1.0, shift)
            builder.Add(1, 0, 1, 1.0, 1.0 - shift)
            built builder

        let make seed =
            if case.Draw % 2 = 0 then
                Garnet.create (Generator seed) 5 2 3
            else
                staying (if seed = case.Draw then 0.0 else 0.4 * generator.Uniform())

        let create seed = Bisimulation.Create(make seed, 1.0, 0.7, ActionMatching.SameAction)
        let bisimulation, other = create case.Draw, create (case.Draw + 1000)
        let d, e = (bisimulation.Solve solved).Value, (other.Solve solved).Value
        atMost (Metric.sup.Distance d e) (share * bisimulation.Perturbation(other, d) + 3e-7)

    holds (law 1.0)
    refuted (law 0.9)

[<Fact>]
let ``representatives of a drift keep the mean, and their distances come near to the closed form`` () =
    for x in [ -2.0; -1.0; -0.33; 0.0; 0.57; 1.0; 3.0 ] do
        let mean = drift.Stand [| x |] |> Array.sumBy (fun struct (place, share) -> share * drift.Points[place][0])
        Assert.Equal(Math.Clamp(x, -1.0, 1.0), mean, 1e-12)

    let nearest = Representatives.Nearest [| [| 0.0; 0.0 |]; [| 1.0; 1.0 |] |]
    Assert.Equal<struct (int * float)[]>([| struct (1, 1.0) |], nearest.Stand [| 0.9; 0.2 |])

    let error samples =
        let d = (Bisimulation.Create(drifting 3 samples, 1.0, 0.8, ActionMatching.SameAction)).Solve(solved).Value

        Seq.max (
            seq {
                for i in 0..20 do
                    for j in 0..20 -> abs (d[i * 21 + j] - 0.1 * float (abs (i - j)) / (1.0 - 0.8 * 0.5))
            }
        )

    Assert.True(error 4000 < 0.3 * error 40)
    Assert.Equal<float[]>((drifting 5 30).Probabilities.ToArray(), (drifting 5 30).Probabilities.ToArray())

[<Fact>]
let ``a run that is cancelled keeps what it reached`` () =
    let model = Garnet.create (Generator 1) 40 2 3
    let bisimulation = Bisimulation.Create(model, 1.0, 0.8, ActionMatching.SameAction)
    use source = new CancellationTokenSource()
    let told = ResizeArray<Progress>()

    let found =
        bisimulation.Solve
            { solved with
                Cancellation = source.Token
                Progress =
                    fun progress ->
                        told.Add progress

                        if progress.Applications = 5 then
                            source.Cancel()
            }

    Assert.Equal(Outcome.Cancelled, found.Outcome)
    Assert.Equal(5, found.Applications)
    Assert.Equal(told[4].Bound, found.Bound)
    let whole = bisimulation.Solve solved
    Assert.True(Metric.sup.Distance whole.Value found.Value <= found.Bound)
    // In parallel, and yet to the bit.
    Assert.Equal<float[]>(whole.Value, (bisimulation.Solve solved).Value)

[<Fact>]
let ``a run ends in the middle of an application, too`` () =
    // An application takes some tenths of a second.
    let bisimulation = Bisimulation.Create(Garnet.create (Generator 1) 200 3 6, 1.0, 0.8, ActionMatching.SameAction)
    use source = new CancellationTokenSource()
    let told = ResizeArray<Progress>()

    let found =
        bisimulation.Solve
            { solved with
                Cancellation = source.Token
                Progress =
                    fun progress ->
                        told.Add progress

                        // A thread of its own: those of the pool are at work.
                        if progress.Applications = 1 then
                            Thread(fun () ->
                                Thread.Sleep 5
                                source.Cancel())
                                .Start()
            }

    Assert.Equal(Outcome.Cancelled, found.Outcome)
    Assert.Equal(told.Count, found.Applications)
    Assert.Equal(told[told.Count - 1].Bound, found.Bound)
    let reached = Seq.fold (fun d _ -> bisimulation.Operator.Apply d) (Array.zeroCreate found.Value.Length) told
    Assert.Equal<float[]>(reached, found.Value)

[<Fact>]
let ``bad input is named`` () =
    let model = Garnet.create (Generator 1) 3 2 2
    let create reward weight = fun () -> Bisimulation.Create(model, reward, weight, ActionMatching.SameAction)
    refuses "rewardWeight" "is 0" (create 0.0 0.5)
    refuses "transitionWeight" "is 1" (create 1.0 1.0)
    refuses "transitionWeight" "NaN" (create 1.0 nan)
    let bisimulation = create 1.0 0.9 ()
    let d = (bisimulation.Solve solved).Value
    refuses "d" "length must be 9" (fun () -> bisimulation.Operator.Apply [| 0.0 |])
    refuses "d" "entry 3" (fun () -> bisimulation.Operator.Apply(Array.init 9 (fun i -> if i = 3 then nan else 0.0)))
    refuses "diameter" "-1" (fun () -> Aggregation.clusters bisimulation d -1.0)
    refuses "classOf" "class 1" (fun () -> Aggregation.aggregate bisimulation d 0.9 [| 0; 2; 2 |])
    refuses "classOf" "length must be 3" (fun () -> Aggregation.aggregate bisimulation d 0.9 [| 0 |])
    refuses "discount" "0.95" (fun () -> Aggregation.aggregate bisimulation d 0.95 [| 0; 0; 0 |])
    let nearest = Bisimulation.Create(model, 1.0, 0.9, ActionMatching.Nearest)
    refuses "bisimulation" "number" (fun () -> Aggregation.aggregate nearest d 0.9 [| 0; 0; 0 |])

    refuses "other" "same places" (fun () ->
        bisimulation.Perturbation(Bisimulation.Create(Garnet.create (Generator 1) 4 2 2, 1.0, 0.9, ActionMatching.SameAction), d))

    refuses "places" "place 1 is 0" (fun () -> Representatives.OnLine [| 0.0; 0.0 |])
    refuses "points" "none" (fun () -> Representatives.Nearest [||])
    refuses "points" "point 1 has 2" (fun () -> Representatives.Nearest [| [| 0.0 |]; [| 0.0; 1.0 |] |])
    refuses "step" "point 0" (fun () -> drift.Sample(1, 1, Generator 1, (fun _ _ _ -> struct ([| nan |], 0.0)), CancellationToken.None))
    // Unlike sets of actions in one class.
    let builder = ModelBuilder 2
    builder.Add(0, 0, 0, 1.0, 0.0)
    builder.Add(1, 0, 1, 1.0, 0.0)
    builder.Add(1, 1, 1, 1.0, 1.0)
    let masked = Bisimulation.Create(built builder, 1.0, 0.9, ActionMatching.SameAction)
    refuses "classOf" "0 and 1" (fun () -> Aggregation.aggregate masked (Array.zeroCreate 4) 0.9 [| 0; 0 |])

/// A process, an automaton that reads along, and values that discount visits and not time.
module ValueFlow.Tests.Systems.EventualDiscountingTests

open System
open Xunit
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws
open ValueFlow.Tests.Systems.Judge

// The process of a case with random labels "a" and "b", and no continuation between 0 and 1.
let private labelled (case: Case) : Model =
    let generator = case.Generator
    let builder = ModelBuilder case.Sketch.States.Length

    case.Sketch.States
    |> List.iteri (fun s actions ->
        if actions.IsEmpty then
            builder.Terminal s

        for a, outcomes in actions do
            let total = outcomes |> List.sumBy _.Weight |> float

            for o in outcomes do
                builder.AddContinuing(s, a, o.Next, float o.Weight / total, o.Reward, (if o.Continuation = 0.0 then 0.0 else 1.0), -1)

        for label in [ "a"; "b" ] do
            if generator.Below 2 = 0 then
                builder.Label(label, s, -1))

    builder.Initial 0
    built builder

// A random automaton of up to three states that reads "a" and "b", with jumps.
let private automaton (generator: Generator) : Automaton =
    let count = 1 + generator.Below 3

    let guards =
        [
            Guard.both (Guard.has "a") (Guard.has "b")
            Guard.both (Guard.has "a") (Guard.lacks "b")
            Guard.has "b"
            Guard.always
        ]

    let edges =
        [
            for state in 0 .. count - 1 do
                for guard in guards do
                    if generator.Below 8 > 0 then
                        state, guard, generator.Below count
        ]

    let accepting = [ for state in 0 .. count - 1 -> state ] |> List.filter (fun _ -> generator.Below 3 = 0)
    let jumps = [ for _ in 1 .. generator.Below 3 -> generator.Below count, generator.Below count ]
    Automaton.Create([ for state in 0 .. count - 1 -> $"q{state}" ], accepting, edges, jumps)

let private product (case: Case) =
    let model = labelled case
    ProductModel.create (automaton (Generator(case.Draw + 1))) model

let private options = { RunOptions.standard with Tolerance = 1e-13; Budget = 200_000 }

let private values gamma product = (EventualDiscounting.solve options gamma product).Values

// P(N >= n) for n = 1, 2, ..., from every state of a chain, by sweeps of the definition: the plain way.
let private atLeast (accepts: Model -> int -> bool) (count: int) (chain: Model) : float[] list =
    let step (before: float[]) =
        let mutable now = Array.zeroCreate<float> chain.StateCount
        let mutable change = 1.0
        let mutable sweeps = 0

        while change > 1e-14 && sweeps < 20_000 do
            let next = Array.zeroCreate<float> chain.StateCount
            change <- 0.0
            sweeps <- sweeps + 1

            for s in 0 .. chain.StateCount - 1 do
                if not (chain.IsTerminal s) then
                    let row = chain.RowOffsets[s]

                    for k in chain.Offsets[row] .. chain.Offsets[row + 1] - 1 do
                        let ends = chain.Continuations.Length > 0 && chain.Continuations[k] = 0.0
                        let there = chain.Successors[k]

                        let follows =
                            if accepts chain k then (if ends then (if before[0] < 0.0 then 1.0 else 0.0) else abs before[there])
                            elif ends then 0.0
                            else now[there]

                        next[s] <- next[s] + chain.Probabilities[k] * follows

                change <- max change (abs (next[s] - now[s]))

            now <- next

        now

    // Before the first visit "at least none" is sure; the sign marks it, for a run that ends with its first visit.
    let sure = Array.create chain.StateCount -1.0
    List.scan (fun before _ -> step before) sure [ 1..count ] |> List.tail

let private real (chain: Model) k = chain.Rewards[k] > 0.0

[<Fact>]
let ``(1) the value of a policy is the mean of 1 - gamma^N`` () =
    let law (gamma: float) (accepts: Model -> int -> bool) (case: Case) =
        let product = product case
        let chain = ProductModel.under (policyOf case.Generator product.Model) product
        let value = values 0.5 chain
        let tails = atLeast accepts 46 chain.Model

        let mean =
            Array.init value.Length (fun s ->
                tails |> List.mapi (fun n tail -> (1.0 - gamma) * Math.Pow(gamma, float n) * tail[s]) |> List.sum)

        allWithin 1e-9 (value |> Array.map (fun v -> 0.5 * v)) mean

    holds (law 0.5 real)
    refuted (law 0.6 real)
    // Jumps into accepting states would be visits as well.
    let jumping (case: Case) =
        let product = product case
        let accepting s = product.Automaton.IsAccepting(product.AutomatonState s)
        law 0.5 (fun chain k -> accepting chain.Successors[k]) case

    refuted jumping

[<Fact>]
let ``(2) between the probability of acceptance and that plus what finitely many visits leave`` () =
    let law (accepted: ProductModel -> float[]) (gamma: float) (case: Case) =
        let product = product case
        let chain = ProductModel.under (policyOf case.Generator product.Model) product
        let value = values gamma chain
        let forever = accepted chain
        let tails = atLeast real 60 chain.Model

        Array.init value.Length (fun s ->
            let finite = tails |> List.sumBy (fun tail -> tail[s] - forever[s])
            let gap = (1.0 - gamma) * value[s] - forever[s]
            // Sixty visits leave a little of a slow tail.
            let rest = 60.0 * max 0.0 ((List.last tails)[s] - forever[s]) + 1e-7

            (atMost -1e-7 gap |> Prop.label "not below")
            .&. (atMost gap ((1.0 - gamma) * finite + rest) |> Prop.label "not above"))
        |> Array.reduce (.&.)

    let satisfaction chain = (ProductModel.satisfaction RunOptions.standard chain).Values
    holds (law satisfaction 0.9)
    holds (law satisfaction 0.99)
    refuted (law (fun chain -> (atLeast real 1 chain.Model).Head) 0.9)

[<Fact>]
let ``(3) the operator keeps the order, and from zero the values rise to the least fixed point`` () =
    let law (apply: float -> ProductModel -> float[] -> float[]) (start: float) (case: Case) =
        let product = product case
        let gamma = 0.8
        let t = apply gamma product
        let count = product.Model.StateCount
        let generator = case.Generator
        let v = Array.init count (fun _ -> 6.0 * generator.Uniform() - 1.0)
        let w = v |> Array.map (fun x -> x + (if generator.Below 2 = 0 then 0.0 else generator.Uniform()))
        let excess = Space.vectors.Order.Value.Excess
        let most = 1.0 / (1.0 - gamma)
        let mutable rising = Array.init count (fun s -> if product.Model.IsTerminal s then 0.0 else start)
        let mutable falls = 0.0

        for _ in 1..200 do
            let next = t rising
            falls <- max falls (excess rising next)
            rising <- next

        let least = values gamma product
        // A fixed point reached from above is not below the least one.
        let mutable above = Array.init count (fun s -> if product.Model.IsTerminal s then 0.0 else most)

        for _ in 1..200 do
            above <- t above

        atMost (excess (t v) (t w)) 0.0
        .&. (atMost falls 0.0 |> Prop.label "rises")
        .&. (atMost (excess rising least) 0.0 |> Prop.label "below the least fixed point")
        .&. (atMost (excess least above) 0.0 |> Prop.label "the least of them")
        .&. atMost (Array.max least) most

    let operator gamma product = (EventualDiscounting.operator gamma product).Apply
    holds (law operator 0.0)
    // From above one may come down to another fixed point.
    refuted (law operator 5.0)
    // The excess over a mean of all states is no monotone operator.
    refuted (law (fun gamma product v -> operator gamma product v |> Array.map (fun x -> x - 0.5 * Array.average v)) 0.0)

    for law: Law<float[]> in [ Law.monotonicity; Law.translation; Law.purity; Law.contraction ] do
        let product = ProductModel.create (Automaton.patrol [ "goal" ] [ "hole" ]) (FrozenLake.create FrozenLake.map4x4 0.5)
        let subject = Subject.vectors product.Model.StateCount (EventualDiscounting.operator 0.9 product)
        let report = Law.check law subject
        Assert.True((report.Verdict = Verdict.Holds), string report)

[<Fact>]
let ``it is no contraction: a pinned pair`` () =
    let builder = ModelBuilder 1
    builder.Add(0, 0, 0, 1.0, 0.0)
    let product = ProductModel.create (Automaton.patrol [ "never" ] []) (built builder)
    let t = EventualDiscounting.operator 0.9 product
    let zero, one = Array.zeroCreate 3, Array.create 3 1.0
    Assert.Equal(1.0, Metric.sup.Distance (t.Apply zero) (t.Apply one), 12)
    Assert.Equal(1.0, (Operator.tryClaim MetricKey.Sup t).Value.Modulus)

[<Fact>]
let ``(4) where every step is accepted it is a discounted process with reward one`` () =
    let law (discount: float) (case: Case) =
        let model = labelled case
        let all = Automaton.Create([ "all" ], [ 0 ], [ 0, Guard.always, 0 ], [])
        let product = ProductModel.create all model
        let found = values 0.9 product
        let builder = ModelBuilder model.StateCount
        builder.ParallelOutcomes <- true

        for s in 0 .. model.StateCount - 1 do
            if model.IsTerminal s then
                builder.Terminal s

            for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 do
                for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                    let continuation = if model.Continuations.Length = 0 then 1.0 else model.Continuations[k]
                    builder.AddContinuing(s, model.RowActions[row], model.Successors[k], model.Probabilities[k], 1.0, continuation, -1)

        let plain = (ValueIteration.solve options (Bellman.Optimality(built builder, discount))).Values
        allWithin 1e-9 (Array.init model.StateCount (fun s -> found[product.State(s, 0)])) plain

    holds (law 0.9)
    refuted (law 0.8)

[<Fact>]
let ``(5) counterfactual steps have the product's law`` () =
    let law (steps: ProductModel -> int -> int -> ProductStep[]) (case: Case) =
        let product = product case
        let basis, model = product.Basis, product.Model

        // For each row of the product what it expects of a function of the step.
        let expected, found = Array.zeroCreate<float> model.RowCount, Array.zeroCreate<float> model.RowCount
        let judge (next: int) (reward: float) (ended: bool) = float (3 * next + 1) + 100.0 * reward + (if ended then 1000.0 else 0.0)

        for row in 0 .. model.RowCount - 1 do
            for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                let ended = model.Continuations.Length > 0 && model.Continuations[k] = 0.0
                expected[row] <- expected[row] + model.Probabilities[k] * judge model.Successors[k] model.Rewards[k] ended

        for s in 0 .. basis.StateCount - 1 do
            for row in basis.RowOffsets[s] .. basis.RowOffsets[s + 1] - 1 do
                for k in basis.Offsets[row] .. basis.Offsets[row + 1] - 1 do
                    for step in steps product row k do
                        found[step.Row] <- found[step.Row] + basis.Probabilities[k] * judge step.Next step.Reward step.Ended

            for step in CounterfactualReplay.jumps product s do
                found[step.Row] <- found[step.Row] + judge step.Next step.Reward step.Ended

        allWithin 1e-12 found expected

    holds (law CounterfactualReplay.steps)
    // The automaton would not read.
    let deaf (product: ProductModel) row k =
        CounterfactualReplay.steps product row k
        |> Array.mapi (fun b step -> { step with Next = product.State(product.BasisState step.Next, b) })

    refuted (law deaf)

let private stayOrGo (stayFirst: bool) =
    let builder = ModelBuilder 2
    let stay, go = if stayFirst then 0, 1 else 1, 0
    builder.Add(0, stay, 0, 1.0, 0.0)
    builder.Add(0, go, 1, 1.0, 0.0)
    builder.Add(1, 0, 1, 1.0, 0.0)
    builder.Label("goal", 1, -1)
    builder.Initial 0
    struct (ProductModel.create (Automaton.patrol [ "goal" ] []) (built builder), stay, go)

[<Fact>]
let ``(6) a greedy policy of the values need not be optimal: stay or go`` () =
    for stayFirst in [ true; false ] do
        let struct (product, stay, go) = stayOrGo stayFirst
        let gamma = 0.9
        let solution = EventualDiscounting.solve options gamma product
        let start = product.Initial[0]
        // Both actions have the same value, 1 / (1 - gamma).
        Assert.Equal(10.0, solution.Values[start], 9)
        let stays = Array.init product.Model.StateCount (fun s -> if s = start then stay else 0)
        let staying = ProductModel.under (Policy.Deterministic(product.Model, ReadOnlySpan stays)) product
        Assert.Equal(0.0, (values gamma staying)[start])
        Assert.Equal(go, solution.Policy[start])

[<Fact>]
let ``(6) the policy of the history has the value`` () =
    let law (policy: ProductModel -> EventualSolution -> int[]) (case: Case) =
        let product = product case
        let solution = EventualDiscounting.solve options 0.8 product
        let chosen = Policy.Deterministic(product.Model, ReadOnlySpan(policy product solution))
        allWithin 1e-7 (values 0.8 (ProductModel.under chosen product)) solution.Values

    holds (law (fun _ solution -> solution.Policy))

    let greedy (product: ProductModel) (solution: EventualSolution) =
        let model = EventualDiscounting.model 0.8 product
        let bellman = Bellman.Create(model, 1.0 - 1e-12, Expectation(), Extreme Direction.Maximise)
        bellman.Greedy(solution.Values, Direction.Maximise, Threading.CancellationToken.None)

    refuted (law greedy)

[<Fact>]
let ``iteration and enclosure agree, and so do the probability and the limit`` () =
    let law (gamma: float) (case: Case) =
        let product = product case

        match EventualDiscounting.enclose RunOptions.standard 0.8 product with
        | Error error -> false |> Prop.label (UndiscountedError.describe error)
        | Ok solution -> allWithin 1e-6 (values gamma product) solution.Values

    holds (law 0.8)
    refuted (law 0.7)
    let lake = ProductModel.create (Automaton.patrol [ "goal" ] []) (FrozenLake.create FrozenLake.map4x4 FrozenLake.slippery)
    // The goal ends the run: nothing is accepted for ever.
    Assert.Equal(0.0, (ProductModel.satisfaction RunOptions.standard lake).Values[lake.Initial[0]])

[<Fact>]
let ``a property that needs a jump is found by one`` () =
    // FG home: 0 <-> 1, home is 1; nobody is told when to settle.
    let builder = ModelBuilder 2
    builder.Add(0, 0, 1, 0.5, 0.0)
    builder.Add(0, 0, 0, 0.5, 0.0)
    builder.Add(1, 0, 1, 1.0, 0.0)
    builder.Add(1, 1, 0, 1.0, 0.0)
    builder.Label("home", 1, -1)
    builder.Initial 0
    let product = ProductModel.create (Automaton.settle "home" []) (built builder)
    let solution = EventualDiscounting.solve options 0.9 product
    Assert.Equal(10.0, solution.Values[product.Initial[0]], 6)
    Assert.Equal(1.0, (ProductModel.satisfaction RunOptions.standard product).Values[product.Initial[0]], 6)
    Assert.Equal(product.Basis.ActionCount + 1, solution.Policy[product.State(1, 0)])

[<Fact>]
let ``Q-learning finds the values, from all states of the automaton at once`` () =
    let struct (product, _, go) = stayOrGo true

    let learnt counterfactual =
        let settings = { CounterfactualReplay.standard with Counterfactual = counterfactual; EpisodeSteps = 30 }
        let generator = Generator 4

        List.fold
            (fun learner _ -> CounterfactualReplay.episode generator settings product learner)
            (CounterfactualReplay.start product)
            [ 1..400 ]

    for counterfactual in [ true; false ] do
        let learner = learnt counterfactual
        Assert.Equal(400, learner.Episodes)
        let row = product.Model.RowOffsets[product.Initial[0]]
        Assert.True(abs (learner.ActionValues[row + go] - 10.0) < 0.5, $"{learner.ActionValues[row + go]}")

[<Fact>]
let ``bad input is named`` () =
    let struct (product, _, _) = stayOrGo true
    refuses "names" "none" (fun () -> Automaton.Create([], [], [], []))
    refuses "names" "2 times" (fun () -> Automaton.Create([ "a"; "a" ], [], [], []))
    refuses "accepting" "is 1" (fun () -> Automaton.Create([ "a" ], [ 1 ], [], []))
    refuses "edges" "is 3" (fun () -> Automaton.Create([ "a" ], [], [ 0, Guard.always, 3 ], []))
    refuses "jumps" "is -1" (fun () -> Automaton.Create([ "a" ], [], [], [ -1, 0 ]))
    refuses "goals" "none" (fun () -> Automaton.patrol [] [])
    refuses "gamma" "is 1" (fun () -> EventualDiscounting.operator 1.0 product)
    refuses "row" "is 99" (fun () -> CounterfactualReplay.steps product 99 0)

    refuses "options" "is 2" (fun () ->
        CounterfactualReplay.episode
            (Generator 1)
            { CounterfactualReplay.standard with Step = 2.0 }
            product
            (CounterfactualReplay.start product))

    let half = ModelBuilder 1
    half.AddContinuing(0, 0, 0, 1.0, 0.0, 0.5, -1)
    refuses "model" "0.5" (fun () -> ProductModel.create (Automaton.patrol [ "a" ] []) (built half))

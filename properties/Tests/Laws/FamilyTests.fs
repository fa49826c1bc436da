/// Operators that join several backups, or change what is backed up: their laws, their limits, and wrong variants refuted.
module ValueFlow.Tests.Laws.FamilyTests

open System
open Xunit
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws

let private options = LawOptions(Cases = 150)

let private holds (law: Law<'x>) (subject: Subject<'x>) = (Law.checkWith options law subject).Require()

let private refuted (law: Law<'x>) (subject: Subject<'x>) =
    let report = Law.checkWith (LawOptions(Cases = 2000, MaximumSeconds = 20.0)) law subject
    Assert.True((report.Verdict = Verdict.Refuted), $"the mutant passed\n{report}")

let private ordered subject =
    for law in [ Law.contraction; Law.monotonicity; Law.translation; Law.purity ] do
        holds law subject

// A policy that is made from the model alone: 1, 2, 3, ... parts for the actions of a state, or the other way round.
let private sloped rising (model: Model) =
    let weights = Array.zeroCreate model.RowCount

    for s in 0 .. model.StateCount - 1 do
        let first, count = model.RowOffsets[s], model.RowOffsets[s + 1] - model.RowOffsets[s]

        for place in 0 .. count - 1 do
            let part = if rising then place + 1 else count - place
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

let private instead (apply: Model -> float -> float[] -> float[]) (make: Model -> float -> Operator<float[]>) model discount =
    { make model discount with Apply = apply model discount; ApplyInto = ValueNone }

let private lambdas = [ 0.0; 0.5; 0.95; 1.0 ]

[<Fact>]
let ``the operator of TD(lambda) obeys the laws, and is the average of n-step operators`` () =
    for lambda in lambdas do
        let make model discount = TraceOperator.evaluation model discount (sloped true model) lambda
        ordered (Subject.family "TD" make)
        // (1 - l) sum of l^n T^(n+1), term by term: to be had where it ends soon.
        let plain (model: Model) discount values =
            let one = (Bellman.Evaluation(model, discount, sloped true model)).Operator.Apply
            let mutable x, weight, sum = one values, 1.0 - lambda, Array.zeroCreate<float> model.StateCount

            for _ in 1..400 do
                sum <- Array.map2 (fun sum x -> sum + weight * x) sum x
                x <- one x
                weight <- weight * lambda

            if lambda = 1.0 then x else Array.map2 (fun sum x -> sum + weight / (1.0 - lambda) * x) sum x

        let soon (make: Model -> float -> Operator<float[]>) model discount = make model (Math.Min(discount, 0.9))
        holds (Law.equality 1e-9 (Subject.family "plain" (soon (instead plain make)))) (Subject.family "TD" (soon make))

    // Weights that sum to more than one.
    refuted
        Law.contraction
        (Subject.family
            "unnormalised"
            (instead
                (fun model discount values ->
                    let one = (Bellman.Evaluation(model, discount, sloped true model)).Operator.Apply
                    Array.map2 (fun x y -> x + 0.5 * y) (one values) (one (one values)))
                (fun model discount -> TraceOperator.evaluation model discount (sloped true model) 0.5)))

    Assert.Contains(
        "lambda",
        Assert
            .Throws<ArgumentException>(fun () ->
                TraceOperator.evaluation (FrozenLake.standard ()) 0.9 (Policy.Uniform(FrozenLake.standard ())) 1.5 |> ignore)
            .Message
    )

// The action values of the values of states.
let private backedUp (model: Model) (discount: float) (values: float[]) : float[] =
    let result = Array.zeroCreate model.RowCount

    (Bellman.Optimality(model, discount)).Sweep.ActionValues(values, result, Threading.CancellationToken.None)
    |> ignore

    result

// The mean action value of each state under a policy.
let private meanOf (model: Model) (policy: Policy) (q: float[]) : float[] =
    Array.init model.StateCount (fun s ->
        Seq.sum (seq { for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 -> policy.Weights[row] * q[row] }))

let private actionValues (model: Model) discount (policy: Policy) =
    let bellman = Bellman.Evaluation(model, discount, policy)
    let values = (PolicyEvaluation.linear RunOptions.standard policy bellman).Values
    backedUp model discount values

[<Fact>]
let ``Retrace obeys the laws, and its fixed point is the target's action values`` () =
    for lambda in lambdas do
        let make model discount = Retrace.operator model discount (sloped true model) (sloped false model) lambda
        let subject = onRows "Retrace" make
        ordered subject

        for seed in 1..40 do
            let case = ValueFlow.Tests.Values.CertificateTests.randomCase seed

            if case.Discount <= 0.99 then
                let q = actionValues case.Model case.Discount (sloped true case.Model)
                let gap = Metric.sup.Distance q ((make case.Model case.Discount).Apply q)
                Assert.True(gap <= 1e-7 * case.Scale, $"seed {seed}: {gap}")

    // Without traces it is the target's own operator.
    let plain model discount q = backedUp model discount (meanOf model (sloped true model) q)
    let make model discount = Retrace.operator model discount (sloped true model) (sloped false model) 0.0
    holds (Law.equality 1e-12 (onRows "plain" (instead plain make))) (onRows "Retrace" make)

    // Traces that are not cut: Q(lambda) of another behaviour expands.
    let uncut model discount q =
        let nothing = backedUp model discount (Array.zeroCreate model.StateCount)
        let first = plain model discount q

        let carried term = Array.map2 (-) (backedUp model discount (meanOf model (sloped false model) term)) nothing

        Seq.unfold (fun term -> Some(term, carried term)) (carried (Array.map2 (-) first q))
        |> Seq.take 30
        |> Seq.fold (Array.map2 (+)) first

    refuted
        Law.contraction
        (onRows "uncut" (instead uncut (fun model discount -> Retrace.operator model discount (sloped true model) (sloped false model) 1.0)))

let private build states (rows: (int * int * int * float * float) list) =
    let builder = ModelBuilder states
    rows |> List.iter builder.Add

    match builder.Build() with
    | Ok model -> model
    | Error errors -> invalidOp (ModelError.describe errors.Head)

let private bestOf (model: Model) (q: float[]) =
    Array.init model.StateCount (fun s ->
        if model.IsTerminal s then
            0.0
        else
            Seq.max (seq { for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 -> q[row] }))

// The values after many applications, the optimum, and the optimum's action values.
let private settle (make: Model -> float -> Operator<float[]>) seed =
    let case = ValueFlow.Tests.Values.CertificateTests.randomCase seed
    let discount = Math.Min(case.Discount, 0.9)
    let operator = make case.Model discount
    let optimum = (PolicyIteration.solve RunOptions.standard (Bellman.Optimality(case.Model, discount))).Values
    let ideal = backedUp case.Model discount optimum

    let q = Seq.fold (fun q _ -> operator.Apply q) (Array.zeroCreate case.Model.RowCount) (seq { 1..3000 })
    struct (case.Model, case.Scale, optimum, ideal, q)

let private preserves make seed =
    let struct (model, scale, optimum, _, q) = settle make seed
    Metric.sup.Distance optimum (bestOf model q) <= 1e-5 * scale

let private widens make seed =
    let struct (_, scale, _, ideal, q) = settle make seed
    Array.forall2 (fun ideal q -> q <= ideal + 1e-5 * scale) ideal q

[<Fact>]
let ``gap-increasing operators keep the optimum and widen the gaps`` () =
    let operators =
        [
            (fun model discount -> GapIncreasing.advantageLearning model discount 0.3)
            (fun model discount -> GapIncreasing.advantageLearning model discount 0.8)
            GapIncreasing.consistent
        ]

    for make in operators do
        for seed in 1..40 do
            Assert.True(preserves make seed, $"seed {seed} loses the optimum")
            Assert.True(widens make seed, $"seed {seed} narrows a gap")

    // Pushed the wrong way gaps narrow; pushed from zero instead of the best the optimum is lost.
    let wrong sign anchor model discount =
        instead
            (fun model discount (q: float[]) ->
                let plain = (GapIncreasing.optimality model discount).Apply q
                let best = bestOf model q

                Array.init model.RowCount (fun row ->
                    let s = [ 0 .. model.StateCount - 1 ] |> List.find (fun s -> row < model.RowOffsets[s + 1])
                    plain[row] - sign * 0.5 * ((if anchor then best[s] else 0.0) - q[row])))
            (fun model discount -> GapIncreasing.advantageLearning model discount 0.5)
            model
            discount

    Assert.True([ 1..40 ] |> List.exists (fun seed -> not (widens (wrong -1.0 true) seed)))
    Assert.True([ 1..40 ] |> List.exists (fun seed -> not (preserves (wrong 1.0 false) seed)))

[<Fact>]
let ``the consistent operator contracts, advantage learning does not: a pinned pair`` () =
    for law in [ Law.contraction; Law.monotonicity ] do
        holds law (onRows "consistent" GapIncreasing.consistent)
        holds law (onRows "optimality" GapIncreasing.optimality)

    let model = build 1 [ 0, 0, 0, 1.0, 0.0; 0, 1, 0, 1.0, 0.0 ]
    let learn = GapIncreasing.advantageLearning model 0.5 0.9
    Assert.Empty learn.Claims
    Assert.False learn.Monotone
    // A distance of 1 becomes one of 1.3; and what lies above everywhere comes to lie below.
    Assert.Equal(1.3, Metric.sup.Distance (learn.Apply [| 0.0; 0.0 |]) (learn.Apply [| 1.0; -1.0 |]), 1e-12)
    Assert.Equal(-0.4, (learn.Apply [| 1.0; 0.0 |])[1], 1e-12)
    // A wrong variant of the consistent operator keeps the greedy value beside its own.
    refuted
        Law.contraction
        (onRows
            "both"
            (instead
                (fun model discount q ->
                    Array.map2 (+) ((GapIncreasing.consistent model discount).Apply q) (q |> Array.map (fun x -> 0.1 * x)))
                GapIncreasing.consistent))

[<Fact>]
let ``several discounts are backed up together, and contract by the largest`` () =
    let make claimed (model: Model) discount =
        let operator = SeveralDiscounts.create model [ 0.5 * discount; discount ] (Cvar 0.3) (Extreme Direction.Maximise)

        if claimed then
            operator
        else
            { operator with
                Claims = operator.Claims |> List.map (fun claim -> { claim with Modulus = 0.5 * claim.Modulus })
            }

    let subject claimed = Subject.familyOf "two discounts" 2 Array.copy id (make claimed)
    ordered (subject true)
    refuted Law.contraction (subject false)
    let lake = FrozenLake.standard ()
    let both = SeveralDiscounts.create lake [ 0.5; 0.9 ] (Expectation()) (Extreme Direction.Maximise)
    let point = FixedPoint.picard RunOptions.standard both (Array.zeroCreate 32)
    Assert.Equal(Certificate.Contraction, point.Certificate)

    for i, discount in [ 0, 0.5; 1, 0.9 ] do
        let alone = ValueIteration.solve RunOptions.standard (Bellman.Optimality(lake, discount))
        Assert.True(Metric.sup.Distance alone.Values (Array.sub point.Value (16 * i) 16) <= 1e-7)

    Assert.Throws<ArgumentException>(fun () -> SeveralDiscounts.create lake [] (Expectation()) (Extreme Direction.Maximise) |> ignore)
    |> ignore

// Actions that last one to four steps, with times that depend on the successor.
let private heldCase seed longest =
    let generator = Generator seed
    let states = 1 + generator.Below 4

    let outcomes =
        [
            for s in 0 .. states - 1 do
                for a in 0 .. generator.Below 3 do
                    let weights = [ for _ in 0 .. generator.Below 3 -> 1.0 + float (generator.Below 9) ]

                    for weight in weights do
                        {
                            State = s
                            Action = a
                            Successor = generator.Below states
                            Probability = weight / List.sum weights
                            Rewards = Array.init (1 + generator.Below longest) (fun _ -> 2.0 * generator.Uniform() - 1.0)
                        }
        ]

    states, outcomes, [ 0.3; 0.9; 0.97 ][generator.Below 3]

let private ok (result: Result<Model, ModelError list>) =
    match result with
    | Ok model -> model
    | Error errors -> invalidOp (ModelError.describe errors.Head)

[<Fact>]
let ``decisions that last have the values of the process step by step`` () =
    let solve model discount = (PolicyIteration.solve RunOptions.standard (Bellman.Optimality(model, discount))).Values
    let mutable wrong = 0

    for seed in 1..60 do
        let states, outcomes, discount = heldCase seed 4
        let model = ok (SemiMarkov.model discount states [] outcomes)
        let long = solve (ok (SemiMarkov.expanded states [] outcomes)) discount
        let gap = Metric.sup.Distance (solve model discount) (Array.take states long)
        Assert.True(gap <= 1e-7, $"seed {seed}: {gap}")
        // The modulus is the largest expected discount.
        let expected =
            outcomes
            |> List.groupBy (fun o -> o.State, o.Action)
            |> List.map (fun (_, row) -> row |> List.sumBy (fun o -> o.Probability * Math.Pow(discount, float o.Rewards.Length)))
            |> List.max

        let modulus = (Bellman.Optimality(model, discount)).Operator.Claims.Head.Modulus
        Assert.Equal(expected, modulus, 1e-12)
        Assert.True(modulus <= discount * (1.0 + 1e-12))
        // The mutant: the discount of one step, however long the action lasts.
        let builder = ModelBuilder states
        builder.ParallelOutcomes <- true

        for o in outcomes do
            builder.Add(o.State, o.Action, o.Successor, o.Probability, SemiMarkov.worth discount o.Rewards)

        if Metric.sup.Distance (solve (ok (builder.Build())) discount) (Array.take states long) > 1e-3 then
            wrong <- wrong + 1

        // One step each: the ordinary operator.
        let states, outcomes, discount = heldCase seed 1
        let plain = ok (SemiMarkov.expanded states [] outcomes)
        Assert.Equal<float[]>(solve plain discount, solve (ok (SemiMarkov.model discount states [] outcomes)) discount)

    Assert.True(wrong >= 40, $"{wrong}")
    let none = { State = 0; Action = 0; Successor = 0; Probability = 1.0; Rewards = [||] }
    Assert.Contains("lasts none", Assert.Throws<ArgumentException>(fun () -> SemiMarkov.model 0.9 1 [] [ none ] |> ignore).Message)

[<Fact>]
let ``altered transitions are laws on the same successors, optimistic or even`` () =
    for seed in 1..60 do
        let case = ValueFlow.Tests.Values.CertificateTests.randomCase seed
        let model, generator = case.Model, Generator seed
        let worth = Array.init model.TransitionCount (fun _ -> 0.01 + generator.Uniform())
        let even, deviated = AlteredTransitions.normalise model, AlteredTransitions.deviate ValueNone worth model
        let both = AlteredTransitions.deviate ValueNone worth even
        let clipped = AlteredTransitions.deviate (ValueSome 0.0) worth model

        for row in 0 .. model.RowCount - 1 do
            let first, count = model.Offsets[row], model.Offsets[row + 1] - model.Offsets[row]
            let law (m: Model) = m.Probabilities.Slice(first, count).ToArray()
            let w = Array.sub worth first count
            let mean m = Array.map2 (*) (law m) w |> Array.sum
            let variance = (Array.map2 (fun p v -> p * v * v) (law model) w |> Array.sum) - mean model * mean model
            Assert.All(law even, fun p -> Assert.Equal(1.0 / float count, p, 1e-12))
            Assert.Equal(mean model + variance / mean model, mean deviated, 1e-9)
            Assert.True(mean both >= mean even - 1e-12)
            Assert.True(Metric.sup.Distance (law clipped) (law model) <= 1e-12)

        // Frozen, it is an ordinary operator.
        Assert.True((Bellman.Optimality(deviated, case.Discount)).Operator.Claims.Head.Modulus <= case.Discount * (1.0 + 1e-12))

    // The mutant that deviates the other way is refuted by the mean.
    let model = build 2 [ 0, 0, 0, 0.5, 0.0; 0, 0, 1, 0.5, 0.0; 1, 0, 1, 1.0, 0.0 ]
    let deviated = AlteredTransitions.deviate ValueNone [| 1.0; 3.0; 1.0 |] model
    let wrong = AlteredTransitions.deviate ValueNone [| 3.0; 1.0; 1.0 |] model
    Assert.Equal(2.5, 1.0 * deviated.Probabilities[0] + 3.0 * deviated.Probabilities[1], 1e-12)
    Assert.NotEqual(2.5, 1.0 * wrong.Probabilities[0] + 3.0 * wrong.Probabilities[1])

    Assert.Throws<ArgumentException>(fun () -> AlteredTransitions.reweighted [| 0.0; 0.0; 1.0 |] model |> ignore)
    |> ignore

    Assert.Throws<ArgumentException>(fun () -> AlteredTransitions.deviate (ValueSome 2.0) [| 1.0; 1.0; 1.0 |] model |> ignore)
    |> ignore

[<Fact>]
let ``weights that follow the values need not contract: a pinned pair`` () =
    let model = build 2 [ 0, 0, 0, 0.5, 0.0; 0, 0, 1, 0.5, 0.0; 1, 0, 1, 1.0, 0.0 ]

    let follow values =
        let altered = AlteredTransitions.deviate ValueNone (AlteredTransitions.worth model 0.9 values) model
        (Bellman.Optimality(altered, 0.9)).Operator.Apply values

    let x, y = [| 1.0; 0.1 |], [| 1.1; 0.0 |]
    Assert.True(Metric.sup.Distance (follow x) (follow y) > 1.6 * Metric.sup.Distance x y)

[<Fact>]
let ``two agents that cannot see each other meet where the altered transitions say`` () =
    // What an action earns beside each action of the other, who played them with these probabilities.
    let choice alter (payoff: float[][]) (other: float[]) =
        let builder = ModelBuilder 3
        builder.Terminal 1
        builder.Terminal 2

        for a in 0..1 do
            for b in 0..1 do
                builder.Add(0, a, b + 1, other[b], payoff[a][b])

        let altered: Model = alter (ok (builder.Build()))
        (Bellman.Optimality(altered, 0.0)).Greedy([| 0.0; 0.0; 0.0 |], Direction.Maximise, Threading.CancellationToken.None)[0]

    let deviate model = AlteredTransitions.deviate ValueNone (AlteredTransitions.worth model 0.0 [| 0.0; 0.0; 0.0 |]) model
    let transposed (payoff: float[][]) = Array.init 2 (fun b -> Array.init 2 (fun a -> payoff[a][b]))

    let meet alter payoff behaviour =
        let first, second = choice alter payoff behaviour, choice alter (transposed payoff) behaviour
        payoff[first][second]

    let crossed, risky = [| [| 1.0; 5.0 |]; [| 6.0; 1.0 |] |], [| [| 6.0; 0.0 |]; [| 4.0; 4.0 |] |]

    for alter, expected in [ id, 1.0; deviate, 1.0; AlteredTransitions.normalise, 6.0; AlteredTransitions.normalise >> deviate, 6.0 ] do
        Assert.Equal(expected, meet alter crossed [| 0.8; 0.2 |])

    for alter, expected in [ id, 4.0; AlteredTransitions.normalise, 4.0; deviate, 6.0; AlteredTransitions.normalise >> deviate, 6.0 ] do
        // The first agent's choice of the risky game; the second's is symmetric only in the diagonal.
        Assert.Equal((if expected = 6.0 then 0 else 1), choice alter risky [| 0.2; 0.8 |])

let private budgets = [ 0.0; 0.1; 0.5; 1.3 ]

[<Fact>]
let ``shared budgets obey the laws, and their policy attains what they promise`` () =
    for budget in budgets do
        let optimal model discount = Rectangular.optimality model discount budget
        let followed model discount = Rectangular.evaluation model discount budget (sloped true model)
        ordered (Subject.family "shared" optimal)
        ordered (Subject.family "shared, policy" followed)

        let attained (model: Model) discount values =
            (Rectangular.evaluation model discount budget (Rectangular.greedy model discount budget values)).Apply values

        holds (Law.equality 1e-9 (Subject.family "greedy" (instead attained optimal))) (Subject.family "shared" optimal)

        // No policy does better.
        for seed in 1..60 do
            let case = ValueFlow.Tests.Values.CertificateTests.randomCase seed
            let values = let generator = Generator seed in Array.init case.Model.StateCount (fun _ -> case.Scale * generator.Uniform())
            let best = (optimal case.Model case.Discount).Apply values
            let other = (followed case.Model case.Discount).Apply values
            Assert.True(Array.forall2 (fun best other -> best >= other - 1e-9 * case.Scale) best other)

    let without = Subject.family "optimality" (fun model discount -> (Bellman.Optimality(model, discount)).Operator)
    holds (Law.equality 1e-9 without) (Subject.family "shared" (fun model discount -> Rectangular.optimality model discount 0.0))

    let policy =
        Subject.family "evaluation" (fun model discount -> (Bellman.Evaluation(model, discount, sloped true model)).Operator)

    holds
        (Law.equality 1e-9 policy)
        (Subject.family "shared" (fun model discount -> Rectangular.evaluation model discount 0.0 (sloped true model)))

    // A budget for each action alone gives nature too much.
    let each model discount =
        (Bellman.Create(model, discount, TotalVariation(0.5, Support.Nominal, Attitude.Adverse), Extreme Direction.Maximise)).Operator

    refuted
        (Law.equality 1e-9 (Subject.family "each" each))
        (Subject.family "shared" (fun model discount -> Rectangular.optimality model discount 0.5))

    // A policy that draws by the slopes instead of one over them does not attain it; nor does the best single action.
    let uniform (model: Model) discount values = (Rectangular.evaluation model discount 0.5 (Policy.Uniform model)).Apply values

    refuted
        (Law.equality 1e-9 (Subject.family "uniform" (instead uniform (fun model discount -> Rectangular.optimality model discount 0.5))))
        (Subject.family "shared" (fun model discount -> Rectangular.optimality model discount 0.5))

[<Fact>]
let ``a policy that draws is worth more than any that does not: a pinned case`` () =
    // Two actions that win with certainty but for a budget of a half: one alone loses a half, both in turn a quarter.
    let model =
        let builder = ModelBuilder 3
        builder.Terminal 1
        builder.Terminal 2

        for a in 0..1 do
            builder.Add(0, a, 1, 0.999, 1.0)
            builder.Add(0, a, 2, 0.001, 0.0)

        ok (builder.Build())

    let worth policy = ((Rectangular.evaluation model 0.5 0.5 policy).Apply [| 0.0; 0.0; 0.0 |])[0]
    Assert.Equal(0.749, ((Rectangular.optimality model 0.5 0.5).Apply [| 0.0; 0.0; 0.0 |])[0], 1e-9)
    Assert.Equal(0.749, worth (Policy.Uniform model), 1e-9)
    Assert.Equal(0.499, worth (Policy.Deterministic(model, ReadOnlySpan [| 0; -1; -1 |])), 1e-9)
    Assert.Equal(0.749, worth (Rectangular.greedy model 0.5 0.5 [| 0.0; 0.0; 0.0 |]), 1e-9)
    Assert.Contains("-1", Assert.Throws<ArgumentException>(fun () -> Rectangular.optimality model 0.5 -1.0 |> ignore).Message)

[<Fact>]
let ``no laws within a shared budget do worse`` () =
    // How often laws that spend the budget do worse than said, if the operator had less of it.
    let worse share =
        [
            for seed in 1..200 do
                let case = ValueFlow.Tests.Values.CertificateTests.randomCase seed
                let model, generator = case.Model, Generator seed
                let values = Array.init model.StateCount (fun _ -> case.Scale * generator.Uniform())
                let policy = sloped true model
                let promised = (Rectangular.evaluation model case.Discount (share * 0.4) policy).Apply values

                for s in 0 .. model.StateCount - 1 do
                    if not (model.IsTerminal s) then
                        let first, next = model.RowOffsets[s], model.RowOffsets[s + 1]
                        let mutable left, sum = 0.4, 0.0

                        for row in first .. next - 1 do
                            let from, count = model.Offsets[row], model.Offsets[row + 1] - model.Offsets[row]
                            let worth = AlteredTransitions.worth model case.Discount values
                            let x = Array.sub worth from count
                            let law = model.Probabilities.Slice(from, count).ToArray()
                            // A random part of what is left moves from a random outcome to the least.
                            let source = generator.Below count
                            let moved = min law[source] (if row = next - 1 then left else left * generator.Uniform())
                            let least = Array.IndexOf(x, Array.min x)
                            law[source] <- law[source] - moved
                            law[least] <- law[least] + moved
                            left <- left - moved
                            sum <- sum + policy.Weights[row] * (Array.map2 (*) law x |> Array.sum)

                        sum < promised[s] - 1e-9 * case.Scale
        ]
        |> List.filter id
        |> List.length

    Assert.Equal(0, worse 1.0)
    let less = worse 0.5
    Assert.True(less >= 20, $"{less}")

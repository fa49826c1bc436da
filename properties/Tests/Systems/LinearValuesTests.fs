/// Values that are linear in features: projections, projected operators, LSTD, and where they diverge.
module ValueFlow.Tests.Systems.LinearValuesTests

open System
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open MathNet.Numerics.LinearAlgebra.Double
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws
open ValueFlow.Tests.Systems.Judge

let private none = CancellationToken.None
let private lambdas = [ 0.0; 0.5; 0.95; 1.0 ]
let private acts (model: Model) = Seq.exists (model.IsTerminal >> not) (seq { 0 .. model.StateCount - 1 })

// One feature, or two where two states have weight: a constant, and one that bends.
let private featuresOn (weights: float[]) (model: Model) =
    let two = (weights |> Array.filter (fun w -> w > 0.0)).Length >= 2
    Features.OfStates(model, fun s -> if two then [| 1.0; float (1 + s * s) / 4.0 |] else [| 1.0 |])

let private randomWeights (generator: Generator) (model: Model) =
    let weights = Array.init model.StateCount (fun s -> if model.IsTerminal s then 0.0 else 0.05 + generator.Uniform())
    let total = Array.sum weights
    weights |> Array.map (fun w -> w / total)

let private projected model discount policy lambda weights =
    ProjectedBellman.Create(model, discount, policy, lambda, featuresOn weights model, weights, none)

// A case in which nobody acts says nothing.
let private trivial = true |> Prop.label "nothing to be said"

let private normOf (weights: float[]) (x: float[]) = sqrt (Array.fold2 (fun sum w v -> sum + w * v * v) 0.0 weights x)

// || . || of the operator's linear part, from its images of unit vectors alone.
let private measuredNorm (weights: float[]) (apply: float[] -> float[]) =
    let n = weights.Length
    let origin = apply (Array.zeroCreate n)
    let images = Array.init n (fun j -> Array.map2 (-) (apply (Array.init n (fun i -> if i = j then 1.0 else 0.0))) origin)

    let scaled =
        DenseMatrix.Create(
            n,
            n,
            fun i j ->
                if weights[i] = 0.0 || weights[j] = 0.0 then
                    0.0
                else
                    sqrt weights[i] * images[j].[i] / sqrt weights[j]
        )

    scaled.L2Norm()

[<Fact>]
let ``a projection leaves a rest that is orthogonal to the features, and does not expand`` () =
    let law (weigh: float[] -> float[]) (case: Case) =
        let model = ModelSketch.toModel case.Sketch

        if not (acts model) then
            trivial
        else
            let generator = case.Generator
            let weights = randomWeights generator model
            let features = featuresOn weights model
            let least = LeastSquares.Create(features, weigh weights)
            let draw () = Array.init model.StateCount (fun _ -> 8.0 * generator.Uniform() - 4.0)
            let x, y = draw (), draw ()
            let px, py = least.Project x, least.Project y

            let orthogonal =
                [
                    for j in 0 .. features.Count - 1 do
                        let product = Seq.sum (seq { for s in 0 .. x.Length - 1 -> weights[s] * (x[s] - px[s]) * features[s].[j] })
                        abs product <= 1e-10 |> Prop.label $"<x - P x, feature {j}> = {product}"
                ]
                |> List.reduce (.&.)

            orthogonal
            .&. allWithin 1e-10 (least.Project px) px
            .&. atMost (least.Metric.Distance px py) (least.Metric.Distance x y)

    holds (law id)
    // Near in another norm.
    refuted (law (Array.map (fun w -> if w > 0.0 then 1.0 else 0.0)))
    refuted (law (Array.map (fun w -> w * w)))

[<Fact>]
let ``the law of the long run is kept by the policy, restarts included`` () =
    let law (weights: Policy -> Model -> float[]) (case: Case) =
        let model = ModelSketch.toModel case.Sketch

        if not (acts model) then
            trivial
        else
            let policy = policyOf case.Generator model
            let mu = weights policy model
            let acting = [| 0 .. model.StateCount - 1 |] |> Array.filter (model.IsTerminal >> not)
            let next = Array.zeroCreate<float> model.StateCount

            for s in acting do
                for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 do
                    for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                        let mass = mu[s] * policy.Weights[row] * model.Probabilities[k]
                        let ends = model.Continuations.Length > 0 && model.Continuations[k] = 0.0

                        if ends || model.IsTerminal model.Successors[k] then
                            acting |> Array.iter (fun t -> next[t] <- next[t] + mass / float acting.Length)
                        else
                            next[model.Successors[k]] <- next[model.Successors[k]] + mass

            allWithin 1e-10 next mu .&. within 1e-12 (Array.sum mu) 1.0

    holds (law (StateWeights.stationary none))
    refuted (law (fun _ model -> StateWeights.uniform model))

[<Fact>]
let ``with classes that are never left, each has the share of the starts that end there`` () =
    // 0 goes to 1 with 1/4 and to 2 with 3/4, and nobody comes back; starts are 0 (half) and 1 (half).
    let builder = ModelBuilder 3
    builder.Add(0, 0, 1, 0.25, 0.0)
    builder.Add(0, 0, 2, 0.75, 0.0)
    builder.Add(1, 0, 1, 1.0, 0.0)
    builder.Add(2, 0, 2, 1.0, 0.0)
    builder.Initial 0
    builder.Initial 1
    let model = built builder
    let mu = StateWeights.stationary none (Policy.Uniform model) model
    Assert.True(Metric.sup.Distance mu [| 0.0; 0.625; 0.375 |] < 1e-12)

// A policy that is made from the model alone.
let private sloped (model: Model) =
    let weights = Array.zeroCreate model.RowCount

    for s in 0 .. model.StateCount - 1 do
        let first, count = model.RowOffsets[s], model.RowOffsets[s + 1] - model.RowOffsets[s]

        for place in 0 .. count - 1 do
            weights[first + place] <- float (place + 1) / (0.5 * float (count * (count + 1)))

    Policy.Stochastic(model, weights)

// Nobody acts: the operator is the constant zero.
let private still (model: Model) : Operator<float[]> = Operator.onVectors "nobody acts" 0.0 (fun _ -> Array.zeroCreate model.StateCount)

let private onStationary lambda (model: Model) discount =
    if not (acts model) then
        still model
    else
        let policy = sloped model
        (projected model discount policy lambda (StateWeights.stationary none policy model)).Operator

let private options = LawOptions(Cases = 150)

let private lawHolds (law: Law<'x>) (subject: Subject<'x>) = (Law.checkWith options law subject).Require()

let private lawRefuted (law: Law<'x>) (subject: Subject<'x>) =
    let report = Law.checkWith (LawOptions(Cases = 2000, MaximumSeconds = 20.0)) law subject
    Assert.True((report.Verdict = Verdict.Refuted), $"the mutant passed\n{report}")

[<Fact>]
let ``the projected operator contracts by what it claims, and is pure`` () =
    for lambda in lambdas do
        let subject = Subject.family $"projected TD({lambda})" (onStationary lambda)
        lawHolds Law.contraction subject
        lawHolds Law.purity subject

    // A tenth less than what is true.
    lawRefuted
        Law.contraction
        (Subject.family "claims too much" (fun model discount ->
            let operator = onStationary 0.0 model discount

            { operator with
                Claims = operator.Claims |> List.map (fun claim -> { claim with Modulus = 0.9 * claim.Modulus })
            }))

    // The weights of the norm are those of the projection: elsewhere the modulus is not true.
    lawRefuted
        Law.contraction
        (Subject.family "in the sup norm" (fun model discount ->
            let operator = onStationary 0.0 model discount

            { operator with
                Claims = operator.Claims |> List.map (fun claim -> { claim with Metric = Metric.sup })
            }))

[<Fact>]
let ``it is the projection of the operator of TD(lambda), by normal equations`` () =
    let plain lambda (model: Model) discount =
        if not (acts model) then
            still model
        else
            let policy = sloped model
            let weights = StateWeights.stationary none policy model
            let features = featuresOn weights model
            let trace = TraceOperator.evaluation model discount policy lambda
            let phi = DenseMatrix.Create(model.StateCount, features.Count, fun s j -> features[s].[j])
            let heavy = DenseMatrix.Create(model.StateCount, features.Count, fun s j -> weights[s] * features[s].[j])
            let normal = heavy.TransposeThisAndMultiply phi

            Operator.create "plain" Space.vectors (fun x ->
                let masked = x |> Array.mapi (fun s v -> if model.IsTerminal s then 0.0 else v)
                let target = DenseVector.OfArray(trace.Apply masked)
                (phi * normal.Solve(heavy.TransposeThisAndMultiply target)).ToArray())

    // The series of traces is to be had where it ends soon.
    let soon make model discount = make model (Math.Min(discount, 0.9))

    for lambda in lambdas do
        lawHolds
            (Law.equality 1e-8 (Subject.family "plain" (soon (plain lambda))))
            (Subject.family "projected" (soon (onStationary lambda)))

    lawRefuted (Law.equality 1e-8 (Subject.family "plain" (soon (plain 0.5)))) (Subject.family "projected" (soon (onStationary 0.4)))

[<Fact>]
let ``the modulus is the norm of the linear part, for any weights, and at most g (1 - l) / (1 - g l)`` () =
    let law (stationary: bool) (claimed: ProjectedBellman -> float) (case: Case) =
        // Rewards have no part in it, and large ones would leave few digits.
        let free (outcome: OutcomeSketch) = { outcome with Reward = 0.0 }

        let model =
            ModelSketch.toModel
                { case.Sketch with
                    States = case.Sketch.States |> List.map (List.map (fun (a, outcomes) -> a, List.map free outcomes))
                }

        if not (acts model) then
            trivial
        else
            let generator = case.Generator
            let policy = policyOf generator model
            let discount = case.Sketch.Discount

            let weights = if stationary then StateWeights.stationary none policy model else randomWeights generator model

            lambdas
            |> List.map (fun lambda ->
                let bellman = projected model discount policy lambda weights
                let measured = measuredNorm weights bellman.Operator.Apply
                let closed = discount * (1.0 - lambda) / (1.0 - discount * lambda)
                let claims = bellman.Operator.Claims |> List.map _.Modulus

                within 1e-8 (claimed bellman) measured
                .&. ((not stationary || measured <= closed + 1e-9) |> Prop.label $"{measured} <= {closed}")
                .&. (claims = (if bellman.Modulus < 1.0 then [ bellman.Modulus ] else []) |> Prop.label $"claims {claims}")
                .&. (bellman.Modulus <= bellman.ModulusBound |> Prop.label $"{bellman.Modulus} <= {bellman.ModulusBound}"))
            |> List.reduce (.&.)

    holds (law true _.Modulus)
    holds (law false _.Modulus)
    refuted (law false (fun bellman -> bellman.Discount * (1.0 - bellman.Lambda) / (1.0 - bellman.Discount * bellman.Lambda)))

[<Fact>]
let ``weights of discounted visits contract by the root of the discount`` () =
    for seed in 1..20 do
        let model = Garnet.create (Generator seed) 8 3 2
        let policy = policyOf (Generator seed) model
        let polytope = OccupancyPolytope.Create(model, 0.9)
        let d = Occupancy.ofPolicy none policy polytope

        let visits =
            Array.init 8 (fun s -> Seq.sum (seq { for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 -> d[row] }))

        let bellman = projected model 0.9 policy 0.0 visits
        Assert.True(bellman.ModulusBound <= sqrt 0.9 + 1e-9, $"{bellman.ModulusBound}")
        Assert.True(bellman.Modulus <= bellman.ModulusBound)

[<Fact>]
let ``the fixed point solves the projected equation, within its bound of the values`` () =
    let law (find: ProjectedBellman -> ProjectedSolution) (case: Case) =
        let model = ModelSketch.toModel case.Sketch

        if not (acts model) then
            trivial
        else
            let policy = policyOf case.Generator model
            let discount = min 0.95 case.Sketch.Discount
            let weights = StateWeights.stationary none policy model
            let bellman = Bellman.Evaluation(model, discount, policy)
            let exact = (PolicyEvaluation.linear RunOptions.standard policy bellman).Values

            lambdas
            |> List.map (fun lambda ->
                let problem = projected model discount policy lambda weights
                let found = find problem
                let best = problem.Projection.Project exact
                let error = problem.Projection.Metric.Distance exact found.Values
                let size = 1e-9 * (1.0 + normOf weights exact)

                (allWithin 1e-8 (problem.Operator.Apply found.Values) found.Values |> Prop.label "fixed point")
                .&. allWithin 1e-8 problem.Exact exact
                .&. (abs (found.Error - error) <= size |> Prop.label $"error {found.Error} = {error}")
                .&. (abs (found.LeastError - problem.Projection.Metric.Distance exact best) <= size |> Prop.label "least error")
                .&. (found.Error <= found.ErrorBound + size |> Prop.label $"{found.Error} <= {found.ErrorBound}")
                .&. (found.LeastError <= found.Error + size |> Prop.label "nothing is nearer than the projection")
                .&. (if lambda < 1.0 then
                         trivial
                     else
                         allWithin 1e-8 found.Values best |> Prop.label "at l = 1 the projection itself"))
            |> List.reduce (.&.)

    holds (law _.Solve())

    // The fixed point of another l; the bound without its factor; the weights of the least residual.
    refuted (
        law (fun problem ->
            let found = problem.Solve()
            { found with Values = Array.map (fun v -> 1.001 * v) found.Values })
    )

    refuted (law (fun problem -> let found = problem.Solve() in { found with ErrorBound = found.LeastError }))

[<Fact>]
let ``features that tell all states apart give the values themselves, the least residual too`` () =
    for seed in 1..20 do
        let model = Garnet.create (Generator seed) 6 3 3
        let policy = policyOf (Generator seed) model
        let features = Features.OfStates(model, fun s -> Array.init 6 (fun j -> if s = j then 1.0 else 0.0))
        let weights = randomWeights (Generator seed) model
        let exact = (PolicyEvaluation.linear RunOptions.standard policy (Bellman.Evaluation(model, 0.9, policy))).Values

        for lambda in lambdas do
            let problem = ProjectedBellman.Create(model, 0.9, policy, lambda, features, weights, none)
            Assert.True(Metric.sup.Distance (problem.Solve()).Values exact < 1e-9)

        let struct (theta, residual) = ProjectedBellman.LeastResidual(model, 0.9, policy, features, weights)
        Assert.True(Metric.sup.Distance theta exact < 1e-9 && residual < 1e-9)

[<Fact>]
let ``no weights have a smaller residual than those of the least one`` () =
    let law (shift: float) (case: Case) =
        let model = ModelSketch.toModel case.Sketch

        if not (acts model) then
            trivial
        else
            let generator = case.Generator
            let policy = policyOf generator model
            let discount = min 0.95 case.Sketch.Discount
            let weights = StateWeights.stationary none policy model
            let features = featuresOn weights model
            let struct (theta, residual) = ProjectedBellman.LeastResidual(model, discount, policy, features, weights)
            let bellman = (Bellman.Evaluation(model, discount, policy)).Operator
            let metric = Metric.weightedEuclidean weights
            let of' (theta: float[]) = let v = features.Values theta in metric.Distance (bellman.Apply v) v
            let theta = theta |> Array.map (fun t -> t + shift)
            let size = 1.0 + residual + normOf weights (features.Values theta)

            [
                abs (of' theta - residual) <= 1e-9 * size |> Prop.label $"{of' theta} = {residual}"
                for _ in 1..5 do
                    let other = theta |> Array.map (fun t -> t + 2.0 * generator.Uniform() - 1.0)
                    residual <= of' other + 1e-9 * size |> Prop.label $"{residual} <= {of' other}"
            ]
            |> List.reduce (.&.)

    holds (law 0.0)
    refuted (law 0.1)

// Tsitsiklis and Van Roy's two states of value w and 2 w, of which the second is never left.
let private twoStates () =
    let builder = ModelBuilder 2
    builder.Add(0, 0, 1, 1.0, 0.0)
    builder.Add(1, 0, 1, 1.0, 0.0)
    let model = built builder
    struct (model, Policy.Uniform model, Features.Create [| [| 1.0 |]; [| 2.0 |] |])

[<Fact>]
let ``uniform weights may expand: a pinned pair of states`` () =
    let struct (model, policy, features) = twoStates ()
    let uniform = ProjectedBellman.Create(model, 0.99, policy, 0.0, features, StateWeights.uniform model, none)
    Assert.Equal(1.188, uniform.Growth, 12)
    Assert.Empty uniform.Operator.Claims
    Assert.True(uniform.Modulus >= 1.188)
    // theta -> 1.188 theta.
    Assert.Equal(1.188, (uniform.Step [| 1.0 |])[0], 12)
    Assert.Equal(infinity, uniform.Solve().ErrorBound)
    // Where the policy stays, all is well; long traces mend it too.
    let kept = ProjectedBellman.Create(model, 0.99, policy, 0.0, features, StateWeights.stationary none policy model, none)
    Assert.Equal(0.99, kept.Growth, 12)
    Assert.Equal(0.99, kept.Modulus, 9)
    let traced = ProjectedBellman.Create(model, 0.99, policy, 0.96, features, StateWeights.uniform model, none)
    Assert.Equal(1.2 * 0.99 * 0.04 / (1.0 - 0.99 * 0.96), traced.Growth, 12)
    Assert.True(traced.Growth < 1.0)

[<Fact>]
let ``the bound is met: a cycle and a cosine`` () =
    // V - Pi V and V - V_0 as far apart as the bound allows: gamma is the correlation of the feature with its next value.
    let n = 32
    let turn s = 2.0 * Math.PI * float s / float n
    let builder = ModelBuilder n

    for s in 0 .. n - 1 do
        builder.Add(s, 0, (s + 1) % n, 1.0, sin (turn s))

    let model = built builder
    let policy = Policy.Uniform model
    let features = Features.OfStates(model, fun s -> [| cos (turn s) |])
    let gamma = cos (turn 1)
    let found = (ProjectedBellman.Create(model, gamma, policy, 0.0, features, StateWeights.uniform model, none)).Solve()
    Assert.Equal(gamma, found.Modulus, 9)
    Assert.Equal(1.0, found.Error / found.ErrorBound, 6)

[<Fact>]
let ``claims of weighted norms are joined only where the weights are the same`` () =
    let model = Garnet.create (Generator 1) 5 2 3
    let policy = Policy.Uniform model
    let kept = StateWeights.stationary none policy model
    let other = kept |> Array.mapi (fun s w -> if s = 0 then 1.1 * w else w)
    let along weights lambda = (projected model 0.9 policy lambda weights).Operator
    let twice = Operator.compose (along kept 0.0) (along kept 0.5)
    let key = MetricKey.WeightedEuclidean(List.ofArray kept)
    let modulus operator = (Operator.tryClaim key operator).Value.Modulus
    Assert.Equal(modulus (along kept 0.0) * modulus (along kept 0.5), modulus twice, 12)
    Assert.Empty (Operator.compose (along kept 0.0) (along other 0.5)).Claims
    Assert.True((Metric.weightedEuclidean kept).Separates)
    Assert.False((Metric.weightedEuclidean [| 1.0; 0.0 |]).Separates)

    Assert.Equal(
        sqrt (2.0 * 9.0 + 0.5 * 4.0),
        (Metric.weightedEuclidean [| 2.0; 0.0; 0.5 |]).Distance [| 3.0; infinity; 1.0 |] [| 0.0; 7.0; 3.0 |],
        12
    )

[<Fact>]
let ``beyond the size of dense solves it is the same operator`` () =
    let model = Garnet.create (Generator 4) 650 2 3
    let policy = Policy.Uniform model
    let weights = StateWeights.stationary none policy model
    let features = Features.OfStates(model, fun s -> [| 1.0; sin (float s); cos (float s) |])
    let bellman = ProjectedBellman.Create(model, 0.9, policy, 0.5, features, weights, none)
    let trace = TraceOperator.evaluation model 0.9 policy 0.5
    let least = LeastSquares.Create(features, weights)
    let generator = Generator 5
    let x = Array.init 650 (fun _ -> generator.Uniform())
    Assert.True(Metric.sup.Distance (bellman.Operator.Apply x) (least.Project(trace.Apply x)) < 1e-9)
    Assert.InRange(bellman.Modulus, 0.0, 0.9 * 0.5 / 0.55 + 1e-9)
    let found = bellman.Solve()
    Assert.True(found.Error <= found.ErrorBound && found.LeastError <= found.Error + 1e-12)

// What a log can tell: no shares of continuations.
let private plainOf (case: Case) =
    let whole (outcome: OutcomeSketch) = if outcome.Continuation = 0.5 then { outcome with Continuation = 1.0 } else outcome

    { case.Sketch with
        States = case.Sketch.States |> List.map (List.map (fun (a, outcomes) -> a, List.map whole outcomes))
    }

[<Fact>]
let ``LSTD(0) from a log is the fixed point of the model that the log tells of, for other policies too`` () =
    let law (change: LoggedApproximation -> LoggedApproximation) (ratios: bool) (case: Case) =
        let model = ModelSketch.toModel (plainOf case)

        if not (acts model) then
            trivial
        else
            let log = Recording.record case.Generator 12 10 none (policyOf case.Generator model) model

            match log.Estimate ValueNone with
            | Error _ -> true |> Prop.label "cut off in a state that is never left"
            | Ok estimate ->
                let discount = min 0.9 case.Sketch.Discount
                let visits = Array.zeroCreate<float> estimate.StateCount
                log.Steps.ToArray() |> Array.iter (fun step -> visits[step.State] <- visits[step.State] + 1.0)
                let features = featuresOn visits estimate
                let other = policyOf (Generator(case.Draw + 3)) estimate

                let probability (s: int) (a: int) =
                    let first = estimate.RowOffsets[s]
                    let rows = estimate.RowActions.Slice(first, estimate.RowOffsets[s + 1] - first)
                    other.Weights[first + rows.IndexOf a]

                let featureOf s = features[s].ToArray()

                let found = change (Lstd.ofLog none discount 0.0 featureOf (if ratios then ValueSome probability else ValueNone) log)

                // What the update expects is that of the projected equation, even where nothing contracts.
                let expected = (ProjectedBellman.Create(estimate, discount, other, 0.0, features, visits, none)).Solve()
                allWithin 1e-6 found.Values expected.Values

    // Where the equation is nearly singular, digits are lost.
    holds (law id true)
    refuted (law (fun found -> { found with Values = Array.map (fun v -> 1.01 * v) found.Values }) true)
    refuted (law id false)

[<Fact>]
let ``LSTD(1) from whole episodes is the regression of returns on features`` () =
    let law (most: int) (lambda: float) (case: Case) =
        // Every state ends with one half.
        let whole (outcome: OutcomeSketch) = { outcome with Reward = Math.Clamp(outcome.Reward, -100.0, 100.0); Continuation = 1.0 }

        let model =
            let sketch = case.Sketch
            let builder = ModelBuilder(sketch.States.Length + 1)
            builder.Terminal sketch.States.Length

            sketch.States
            |> List.iteri (fun s actions ->
                let actions =
                    if actions.IsEmpty then
                        [ 0, [ { Next = 0; Weight = 1; Reward = 1.0; Continuation = 1.0 } ] ]
                    else
                        actions

                for a, outcomes in actions do
                    let total = outcomes |> List.sumBy _.Weight |> float

                    for outcome in List.map whole outcomes do
                        builder.Add(s, a, outcome.Next, 0.5 * float outcome.Weight / total, outcome.Reward)

                    builder.Add(s, a, sketch.States.Length, 0.5, 1.0))

            built builder

        let discount = min 0.9 case.Sketch.Discount
        let log = Recording.record case.Generator 25 most none (policyOf case.Generator model) model
        let names = log.StateNames.ToArray() |> Array.map int
        let steps = log.Steps.ToArray()
        let two = (steps |> Array.distinctBy _.State).Length >= 2
        let featureOf s = if two then [| 1.0; float names[s] |] else [| 1.0 |]
        let found = Lstd.ofLog none discount lambda featureOf ValueNone log
        let returns = Array.zeroCreate<float> steps.Length

        for t in steps.Length - 1 .. -1 .. 0 do
            let rest = if t + 1 < steps.Length && not steps[t + 1].Starts then returns[t + 1] else 0.0
            returns[t] <- steps[t].Reward + discount * rest

        let places = Features.Create(steps |> Array.map (fun step -> featureOf step.State))
        let fit = (LeastSquares.Create(places, Array.create steps.Length 1.0)).Fit returns
        allWithin 1e-7 found.Weights fit

    holds (law 1000 1.0)
    refuted (law 1000 0.9)
    // Cut off, bootstrapped from states by their approximate values: something else.
    refuted (law 2 1.0)

[<Fact>]
let ``a recorded log is what its seed says, and possible`` () =
    let model = FrozenLake.standard ()
    let policy = Policy.Uniform model
    let record seed = Recording.record (Generator seed) 50 20 none policy model
    let first, again, other = record 3, record 3, record 4
    Assert.Equal<LogStep[]>(first.Steps.ToArray(), again.Steps.ToArray())
    Assert.NotEqual<LogStep[]>(first.Steps.ToArray(), other.Steps.ToArray())
    Assert.Equal(50, first.Steps.ToArray() |> Array.filter _.Starts |> Array.length)
    let number = Collections.Generic.Dictionary<string, int>()

    for s in 0 .. model.StateCount - 1 do
        number[model.StateName s] <- s

    for step in first.Steps.ToArray() do
        let s, next = number[first.StateNames[step.State]], number[first.StateNames[step.Next]]

        let possible =
            Seq.exists
                (fun row ->
                    model.ActionName model.RowActions[row] = first.ActionNames[step.Action]
                    && Seq.exists
                        (fun k -> model.Successors[k] = next && model.Rewards[k] = step.Reward)
                        (seq { model.Offsets[row] .. model.Offsets[row + 1] - 1 }))
                (seq { model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 })

        Assert.True(possible, $"{step}")
        Assert.Equal(model.IsTerminal next, step.Terminated)

[<Fact>]
let ``bad input is named`` () =
    let model = Garnet.create (Generator 1) 4 2 2
    let policy = Policy.Uniform model
    let good = Features.OfStates(model, fun s -> [| 1.0; float s |])
    let mu = StateWeights.uniform model
    let create lambda (features: Features) weights = ProjectedBellman.Create(model, 0.9, policy, lambda, features, weights, none)

    refuses "rows" "at least one place" (fun () -> Features.Create [||])
    refuses "rows" "place 1 must have 2 features like place 0 but has 1" (fun () -> Features.Create [| [| 1.0; 0.0 |]; [| 1.0 |] |])
    refuses "rows" "feature 1 of place 0 must be finite but is NaN" (fun () -> Features.Create [| [| 1.0; nan |] |])

    refuses "rows" "feature 2 is a combination" (fun () -> Features.Create(Array.init 5 (fun i -> [| 1.0; float i; 3.0 - 0.1 * float i |])))

    refuses "rows" "feature 0 is a combination" (fun () -> Features.Create [| [| 0.0; 1.0 |]; [| 0.0; 2.0 |] |])
    refuses "lambda" "is 1.5" (fun () -> create 1.5 good mu)
    refuses "weights" "place 2" (fun () -> create 0.0 good [| 0.5; 0.5; -1.0; 0.0 |])
    refuses "weights" "feature 1 is a combination" (fun () -> create 0.0 good [| 0.0; 0.0; 1.0; 0.0 |])
    refuses "features" "4 states but are of 3" (fun () -> create 0.0 (Features.OfFunction(3, fun s -> [| float (s + 1) |])) mu)
    refuses "weights" "must be positive but none is" (fun () -> Metric.weightedEuclidean [| 0.0; 0.0 |])

    refuses "target" "place 1 must be finite but is NaN" (fun () -> (LeastSquares.Create(good, mu)).Fit [| 0.0; nan; 0.0; 0.0 |])
    let ending = Chain.randomWalk 3 0.5
    let log = Recording.record (Generator 1) 5 100 none (Policy.Uniform ending) ending
    refuses "discount" "is 1" (fun () -> Lstd.ofLog none 1.0 0.0 (fun _ -> [| 1.0 |]) ValueNone log)
    refuses "lambda" "NaN" (fun () -> Lstd.ofLog none 0.9 nan (fun _ -> [| 1.0 |]) ValueNone log)
    refuses "policy" "is 2" (fun () -> Lstd.ofLog none 0.9 0.0 (fun _ -> [| 1.0 |]) (ValueSome(fun _ _ -> 2.0)) log)
    refuses "episodes" "are 0" (fun () -> Recording.record (Generator 1) 0 5 none policy model)
    refuses "mostSteps" "are 0" (fun () -> Recording.record (Generator 1) 1 0 none policy model)

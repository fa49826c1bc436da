/// Regularised value iteration, and learners that decide where to look.
module ValueFlow.Tests.Systems.OptimismTests

open System
open System.Threading
open Xunit
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws
open ValueFlow.Tests.Systems.Judge

// Discounts so near one that a bound is all rounding belong to the tests of planning.
let private discountOf (case: Case) = min 0.99 case.Sketch.Discount

let private scaleOf (model: Model) = model.Rewards.ToArray() |> Array.fold (fun most reward -> max most (abs reward)) 1e-3

let private normals (generator: Generator) count = Array.init count (fun _ -> 3.0 * Sampling.normal generator)

let private etaOf (generator: Generator) = Math.Pow(10.0, 4.0 * generator.Uniform() - 2.0)

// What a law over the actions of each state makes of numbers of rows, state by state.
let private meanOf (model: Model) (weights: float[]) (numbers: float[]) =
    Array.init model.StateCount (fun s ->
        Seq.sum
            [
                for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 ->
                    if weights[row] > 0.0 then weights[row] * numbers[row] else 0.0
            ])

let private largestOf (model: Model) (numbers: float[]) =
    Array.init model.StateCount (fun s ->
        if model.IsTerminal s then
            0.0
        else
            Seq.max [ for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 -> numbers[row] ])

let private everywhereBelow (slack: float) (a: float[]) (b: float[]) =
    Array.forall2 (fun x y -> x <= y + slack) a b |> Prop.label $"%A{a} <= %A{b}"

// (1/eta) log sum over a of pi exp(eta q), for a policy in logarithms.
let private logSum eta (model: Model) (logPolicy: float[]) (q: float[]) =
    let terms = Array.map2 (fun l x -> l + eta * x) logPolicy q
    let largest = largestOf model terms

    Array.init model.StateCount (fun s ->
        if model.IsTerminal s then
            0.0
        else
            let sum = Seq.sum [ for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 -> exp (terms[row] - largest[s]) ]

            (largest[s] + log sum) / eta)

type private Mirror = float -> Model -> float[] -> float[] -> struct (float[] * float[])

// The policy is forgotten: every step starts from the uniform one.
let private forgetful: Mirror =
    fun eta model _ q -> RegularisedIteration.mirror eta model (RegularisedIteration.uniform model) q

// The values of another eta than that of the policy.
let private uneven: Mirror =
    fun eta model logPolicy q ->
        let struct (_, next) = RegularisedIteration.mirror eta model logPolicy q
        struct (logSum (2.0 * eta) model logPolicy q, next)

[<Fact>]
let ``(1) the value is the largest mean less divergence, which the next policy attains`` () =
    let law (mirror: Mirror) (case: Case) =
        let model = ModelSketch.toModel case.Sketch
        let generator = case.Generator
        let eta = etaOf generator
        let draw () = normals generator model.RowCount
        let struct (_, logPolicy) = RegularisedIteration.mirror eta model (RegularisedIteration.uniform model) (draw ())
        let q = draw ()
        let struct (values, next) = mirror eta model logPolicy q

        // mean of q under p, less KL(p | pi) / eta.
        let worth (weights: float[]) =
            let price = Array.map2 (fun w l -> if w > 0.0 then log w - l else 0.0) weights logPolicy
            Array.map2 (fun mean kl -> mean - kl / eta) (meanOf model weights q) (meanOf model weights price)

        let slack = 1e-9 * (1.0 + 1.0 / eta) * 100.0

        (everywhereBelow slack (worth ((policyOf generator model).Weights.ToArray())) values
         |> Prop.label "no law is worth more")
        .&. (allWithin (slack / 10.0) (worth (next |> Array.map exp)) values |> Prop.label "the next policy is")
        .&. (everywhereBelow slack (meanOf model (logPolicy |> Array.map exp) q) values |> Prop.label "mean")
        .&. (everywhereBelow slack values (largestOf model q) |> Prop.label "largest")

    holds (law RegularisedIteration.mirror)
    refuted (law forgetful)
    refuted (law uneven)

[<Fact>]
let ``(2) sums of values telescope, whatever the action values are`` () =
    let law (mirror: Mirror) (case: Case) =
        let model = ModelSketch.toModel case.Sketch
        let generator = case.Generator
        let eta = etaOf generator
        let rounds = List.init (1 + generator.Below 8) (fun _ -> normals generator model.RowCount)

        let values, _ =
            rounds
            |> List.fold
                (fun (sum, logPolicy) q ->
                    let struct (values, next) = mirror eta model logPolicy q
                    Array.map2 (+) sum values, next)
                (Array.zeroCreate model.StateCount, RegularisedIteration.uniform model)

        let total = rounds |> List.reduce (Array.map2 (+))
        let floor = largestOf model total |> Array.map (fun x -> x - log 4.0 / eta)

        allWithin (1e-10 * (1.0 + 1.0 / eta)) values (logSum eta model (RegularisedIteration.uniform model) total)
        .&. everywhereBelow (1e-9 * (1.0 + 1.0 / eta) * 100.0) floor values

    holds (law RegularisedIteration.mirror)
    refuted (law forgetful)
    refuted (law uneven)

// The average of so many steps, and its bound.
type private Average = float -> Bellman -> int -> struct (float[] * float)

[<Fact>]
let ``(3) the average is as near to the best values as it says, and not above them where nothing is lost`` () =
    let law (average: Average) (case: Case) =
        let generator = case.Generator
        let gains = generator.Below 2 = 0

        let sketch =
            { case.Sketch with
                States =
                    case.Sketch.States
                    |> List.map (
                        List.map (fun (a, outcomes) ->
                            a, outcomes |> List.map (fun o -> if gains then { o with Reward = abs o.Reward } else o))
                    )
            }

        let model = ModelSketch.toModel sketch
        let bellman = Bellman.Optimality(model, discountOf case)
        let eta = etaOf generator / scaleOf model
        let struct (mean, bound) = average eta bellman (1 + generator.Below 40)
        let best = (PolicyIteration.solve RunOptions.standard bellman).Values
        let slack = 1e-8 + 1e-9 * scaleOf model / (1.0 - discountOf case) + 1e-9 * bound

        (everywhereBelow slack best (mean |> Array.map (fun x -> x + bound)) |> Prop.label $"bound {bound}")
        .&. ((if gains then everywhereBelow slack mean best else Prop.ofTestable true) |> Prop.label "not above")

    holds (law RegularisedIteration.average)

    // The last values are left out of the bound.
    refuted (
        law (fun eta bellman steps ->
            let struct (mean, _) = RegularisedIteration.average eta bellman steps
            let entropy = log (float (max 1 bellman.Kernel.MostActions)) / eta
            struct (mean, entropy / (float steps * (1.0 - bellman.Kernel.Discount))))
    )

    // The last iterate in place of the average.
    refuted (
        law (fun eta bellman steps ->
            let struct (_, bound) = RegularisedIteration.average eta bellman steps
            struct ((RegularisedIteration.iterates eta bellman |> Seq.item steps).Values |> Array.map (fun x -> 1.01 * x), bound))
    )

// W_{k+1} = max over a of (k + 1) r + gamma P W_k: what sums of values follow.
let private leader (bellman: Bellman) (k: int) (w: float[]) =
    let model = bellman.Kernel.Model

    let backup (values: float[]) =
        let rows = Array.zeroCreate model.RowCount
        bellman.Sweep.ActionValues(values, rows, CancellationToken.None) |> ignore
        rows

    let rewards = backup (Array.zeroCreate model.StateCount)
    Array.map2 (fun q r -> q + float k * r) (backup w) rewards |> largestOf model

let private plain (bellman: Bellman) (_: int) (sum: float[]) = Array.map2 (+) sum (bellman.Operator.Apply sum)

[<Fact>]
let ``(4) sums of values stay within log A / (eta (1 - gamma)) below those of the leader`` () =
    let law (follow: Bellman -> int -> float[] -> float[]) (case: Case) =
        let model = ModelSketch.toModel case.Sketch
        let generator = case.Generator
        let discount = min 0.95 (discountOf case)
        let bellman = Bellman.Optimality(model, discount)
        let eta = 100.0 * etaOf generator / scaleOf model
        let steps = 1 + generator.Below 12
        let zero = Array.zeroCreate<float> model.StateCount

        let sum =
            RegularisedIteration.iterates eta bellman
            |> Seq.truncate (steps + 1)
            |> Seq.fold (fun sum iterate -> Array.map2 (+) sum iterate.Values) zero

        let leading = Seq.fold (fun w k -> follow bellman k w) zero [ 0 .. steps - 1 ]
        let entropy = log (float (max 1 bellman.Kernel.MostActions)) / eta / (1.0 - discount)
        let slack = 1e-9 * scaleOf model * float (steps * steps) + 1e-9

        everywhereBelow slack sum leading .&. everywhereBelow slack leading (sum |> Array.map (fun x -> x + entropy))

    holds (law leader)
    // The sum of plain sweeps.
    refuted (law plain)

[<Fact>]
let ``(4) with a large eta it is no plain value iteration: pinned`` () =
    let model = Garnet.create (Generator 4) 6 3 3
    let bellman = Bellman.Optimality(model, 0.9)
    let sweeps = Seq.unfold (fun v -> Some(v, bellman.Operator.Apply v)) (Array.zeroCreate 6) |> Seq.truncate 40 |> Array.ofSeq
    let distance = Metric.sup.Distance

    let apart =
        RegularisedIteration.iterates 1e7 bellman
        |> Seq.truncate 40
        |> Seq.mapi (fun k i -> distance i.Values sweeps[k])

    Assert.True(Seq.max apart > 0.01, $"apart {Seq.max apart}")
    Assert.True(distance (RegularisedIteration.iterates 1e7 bellman |> Seq.item 1).Values sweeps[1] < 1e-6)

    // With the uniform policy before every step it is.
    let fresh (iterate: RegularisedIterate) =
        RegularisedIteration.step 1e7 bellman { iterate with LogPolicy = RegularisedIteration.uniform model }

    let forgetting = Seq.unfold (fun i -> Some(i, fresh i)) (RegularisedIteration.start model) |> Seq.truncate 40
    Assert.True(forgetting |> Seq.mapi (fun k i -> distance i.Values sweeps[k]) |> Seq.max < 1e-5)

// Every outcome as often as its weight says.
let private countsOf (continues: bool) (case: Case) (model: Model) =
    let counts = ref (VisitCounts.empty model.RowCount)

    case.Sketch.States
    |> List.iteri (fun s actions ->
        for a, outcomes in actions do
            let row =
                model.RowOffsets[s]
                + model.RowActions.Slice(model.RowOffsets[s], model.RowOffsets[s + 1] - model.RowOffsets[s]).IndexOf a

            for outcome in outcomes do
                for _ in 1 .. outcome.Weight do
                    counts.Value <-
                        counts.Value
                        |> VisitCounts.add
                            {
                                Row = row
                                Reward = outcome.Reward
                                Next = outcome.Next
                                Continuation = if continues then 1.0 else outcome.Continuation
                            })

    counts.Value

[<Fact>]
let ``where what was seen is the model, a step by counts without a bonus is one of the known model`` () =
    let law (continues: bool) (case: Case) =
        let model = ModelSketch.toModel case.Sketch
        let bellman = Bellman.Optimality(model, discountOf case)
        let values = normals case.Generator model.StateCount
        let known = Array.zeroCreate<float> model.RowCount
        bellman.Sweep.ActionValues(values, known, CancellationToken.None) |> ignore
        let counts = countsOf continues case model
        allWithin 1e-12 (VisitCounts.backup (discountOf case) counts values) known

    holds (law false)
    // An end that is not seen.
    refuted (law true)

// Steps that a uniform policy sees.
let private walk (generator: Generator) (model: Model) count =
    let acting = [| 0 .. model.StateCount - 1 |] |> Array.filter (model.IsTerminal >> not)

    List.init count (fun _ ->
        let s = acting[generator.Below acting.Length]
        let row = model.RowOffsets[s] + generator.Below(model.RowOffsets[s + 1] - model.RowOffsets[s])
        let offset = model.Offsets[row]
        let k = offset + Sampling.index generator (model.Probabilities.Slice(offset, model.Offsets[row + 1] - offset))

        {
            Row = row
            Reward = model.Rewards[k]
            Next = model.Successors[k]
            Continuation = if model.Continuations.Length = 0 then 1.0 else model.Continuations[k]
        })

[<Fact>]
let ``a bonus as large as what is off keeps the optimistic learner above the best values`` () =
    let law (share: float) (case: Case) =
        let model = ModelSketch.toModel case.Sketch

        if model.RowCount = 0 then
            Prop.ofTestable true
        else
            let discount = discountOf case
            let ground = Explorer.ground model discount
            let bellman = Bellman.Optimality(model, discount)
            let best = (PolicyIteration.solve { RunOptions.standard with Tolerance = 1e-8 * scaleOf model } bellman).Values
            let bestRows = Array.zeroCreate<float> model.RowCount
            bellman.Sweep.ActionValues(best, bestRows, CancellationToken.None) |> ignore
            let steps = walk case.Generator model 60
            let histories = steps |> List.scan (fun counts step -> VisitCounts.add step counts) (VisitCounts.empty model.RowCount)
            let span = max 1e-300 (ground.Ceiling - ground.Floor)

            // By how much the backup of V* is off, in units of the bonus.
            let off =
                histories
                |> List.collect (fun counts ->
                    let found = VisitCounts.backup discount counts best

                    [
                        for row in 0 .. model.RowCount - 1 do
                            if VisitCounts.times counts row > 0.0 then
                                (bestRows[row] - found[row]) * sqrt (VisitCounts.times counts row + 1.0) / span
                    ])
                |> List.fold max 0.0

            let explorer = Explorer.optimistic (share * off) ground
            let slack = 1e-6 * scaleOf model / (1.0 - discount)

            steps
            |> List.scan (fun known step -> explorer.Learn step known) explorer.Start
            |> List.map (fun known -> everywhereBelow slack bestRows known.ActionValues)
            |> List.reduce (.&.)

    holds (law 1.0)
    refuted (law 0.3)

[<Fact>]
let ``values stay where values can be, and policies are laws`` () =
    let law (low: float) (case: Case) =
        let model = ModelSketch.toModel case.Sketch

        if model.RowCount = 0 then
            Prop.ofTestable true
        else
            let ground = Explorer.ground model (discountOf case)
            let steps = walk case.Generator model 40
            let explorer = Explorer.regularised (1.0 / scaleOf model) 0.05 ground
            let reached = steps |> List.fold (fun known step -> explorer.Learn step known) explorer.Start
            let slack = 1e-9 * scaleOf model / (1.0 - ground.Discount)
            // Throws unless every state has a law.
            Policy.Stochastic(model, explorer.Policy reached) |> ignore

            (reached.Values
             |> Array.forall (fun v -> v >= ground.Floor - slack && v <= low * ground.Ceiling + slack)
             |> Prop.label $"%A{reached.Values} in [{ground.Floor}, {ground.Ceiling}]")
            .&. (reached.Epochs >= 2 |> Prop.label "a first visit ends an epoch")

    holds (law 1.0)
    refuted (law 0.5)

[<Fact>]
let ``an epoch ends where a count has doubled, and only there`` () =
    let model = Chain.riverSwim 3
    let explorer = Explorer.regularised 1.0 0.05 (Explorer.ground model 0.9)
    let step row = { Row = row; Reward = 0.0; Next = 0; Continuation = 1.0 }

    let epochs =
        [ 0; 0; 0; 0; 1; 0; 0; 0; 0 ]
        |> List.scan (fun k row -> explorer.Learn (step row) k) explorer.Start
        |> List.map _.Epochs
    // Row 0 is seen for the 1st, 2nd, 3rd and 4th time; row 1 for the first, when the count of row 0 is 4; row 0 for the 5th to 8th.
    Assert.Equal<int list>([ 1; 2; 3; 3; 4; 5; 5; 5; 5; 6 ], epochs)

[<Fact>]
let ``Q-learning moves the value of what it did, by its step`` () =
    let model = Chain.riverSwim 3
    let explorer = Explorer.epsilonGreedy 0.1 0.25 (Explorer.ground model 0.9)
    let first = explorer.Learn { Row = 4; Reward = 1.0; Next = 2; Continuation = 1.0 } explorer.Start
    let second = explorer.Learn { Row = 2; Reward = 0.0; Next = 2; Continuation = 1.0 } first
    let ended = explorer.Learn { Row = 2; Reward = 0.0; Next = 2; Continuation = 0.0 } second
    Assert.Equal<float[]>([| 0.0; 0.0; 0.0; 0.0; 0.25; 0.0 |], first)
    Assert.Equal(0.25 * 0.9 * 0.25, second[2], 12)
    Assert.Equal(0.75 * second[2], ended[2], 12)
    Assert.Equal<float[]>([| 0.5; 0.5; 0.95; 0.05; 0.95; 0.05 |], explorer.Policy second |> Array.map (fun p -> Math.Round(p, 12)))

// Gauss's elimination: Lambda^-1 b and log det Lambda of a positive definite matrix.
let private eliminate (d: int) (matrix: float[]) (right: float[]) =
    let a, b = Array.copy matrix, Array.copy right
    let mutable logDet = 0.0

    for i in 0 .. d - 1 do
        logDet <- logDet + log a[i * d + i]

        for j in i + 1 .. d - 1 do
            let factor = a[j * d + i] / a[i * d + i]

            for k in 0 .. d - 1 do
                a[j * d + k] <- a[j * d + k] - factor * a[i * d + k]

            b[j] <- b[j] - factor * b[i]

    let x = Array.zeroCreate<float> d

    for i in d - 1 .. -1 .. 0 do
        x[i] <- (b[i] - Seq.sum [ for j in i + 1 .. d - 1 -> a[i * d + j] * x[j] ]) / a[i * d + i]

    struct (x, logDet)

let private dot (x: float[]) (y: float[]) = Array.fold2 (fun sum a b -> sum + a * b) 0.0 x y

[<Fact>]
let ``a design is ridge regression, and its width the farthest prediction of the ellipsoid`` () =
    let law (assumed: float) (width: RidgeDesign -> float[] -> float) (case: Case) =
        let generator = case.Generator
        let d = 1 + generator.Below 5
        let ridge = 0.1 + generator.Uniform()
        let data = List.init (1 + generator.Below 20) (fun _ -> struct (normals generator d, Sampling.normal generator))

        let design =
            data
            |> List.fold (fun design (struct (x, y)) -> RidgeDesign.add x y design) (RidgeDesign.start (assumed * ridge) d)

        let matrix =
            Array.init (d * d) (fun i ->
                (if i / d = i % d then ridge else 0.0) + Seq.sum [ for struct (x, _) in data -> x[i / d] * x[i % d] ])

        let right = Array.init d (fun i -> Seq.sum [ for struct (x, y) in data -> x[i] * y ])
        let struct (estimate, logDeterminant) = eliminate d matrix right
        let features = normals generator d
        let struct (along, _) = eliminate d matrix features
        // A random direction, of length one in the norm of the matrix.
        let direction = normals generator d
        let length = sqrt (Seq.sum [ for i in 0 .. d * d - 1 -> direction[i / d] * matrix[i] * direction[i % d] ])
        let found = width design features

        allWithin 1e-7 design.Estimate estimate
        .&. within 1e-9 design.LogDeterminant logDeterminant
        .&. atMost (dot features direction / length) found
        .&. (within 1e-8 (dot features along / sqrt (dot features along)) found |> Prop.label "attained")

    holds (law 1.0 RidgeDesign.width)
    refuted (law 1.5 RidgeDesign.width)
    refuted (law 1.0 (fun design features -> RidgeDesign.width design features * RidgeDesign.width design features))

let private mixtureOf (generator: Generator) =
    let bases = Array.init 3 (fun _ -> Garnet.create (generator.Split()) 5 2 3)
    LinearMixture.Create(bases, Array.init 10 (fun _ -> generator.Uniform()))

[<Fact>]
let ``what the bases expect, weighted, is what the mixture expects`` () =
    let law (share: float) (case: Case) =
        let generator = case.Generator
        let mixture = mixtureOf generator
        let weights = Sampling.simplex generator 3
        let model = mixture.Model weights
        let values = normals generator 5
        let rows = Array.zeroCreate<float> 10
        (Bellman.Optimality(model, 0.9)).Sweep.ActionValues(values, rows, CancellationToken.None) |> ignore

        Array.init 10 (fun row -> mixture.Rewards[row] + share * 0.9 * dot weights (mixture.Features(values, row)))
        |> fun found -> allWithin 1e-12 found rows

    holds (law 1.0)
    refuted (law 1.01)

[<Fact>]
let ``a bonus that grows with the values does not contract: pinned`` () =
    // One state that keeps to itself, nothing seen: Q = bonus V / sqrt(ridge).
    let builder = ModelBuilder 1
    builder.Add(0, 0, 0, 1.0, 0.5)
    builder.Initial 0
    let model = built builder
    let mixture = LinearMixture.Create([| model |], [| 0.5 |])
    let backup v = MixtureExplorer.optimisticBackup 2.0 (Explorer.ground model 0.9) mixture (RidgeDesign.start 1.0 1) [| v |]
    Assert.Equal(2.0, (backup 2.0)[0] - (backup 1.0)[0], 12)

[<Fact>]
let ``a run measures the exact value of the policy that it plays`` () =
    let model = Chain.riverSwim 6
    let ground = Explorer.ground model 0.95
    let options = { Exploration.standard with Steps = 400 }
    let explorer = Explorer.regularised 1.0 0.05 ground
    let run = Exploration.run (Generator 1) options ground explorer
    let bellman = Bellman.Optimality(model, 0.95)
    let best = (PolicyIteration.solve RunOptions.standard bellman).Values
    let valueOf policy = (PolicyEvaluation.linear RunOptions.standard policy bellman).Values
    Assert.Equal(best[0] - (valueOf (Policy.Uniform model))[0], run.Gaps[0], 7)
    Assert.Equal(best[0], run.Optimum, 7)
    Assert.Equal(400, Array.sum run.Visits)
    Assert.Equal(Array.sum run.Gaps, Array.last run.Regret, 9)
    Assert.True(run.Gaps |> Array.forall (fun gap -> gap >= -1e-7))
    // The policy at the end is that of one step more.
    let longer = Exploration.run (Generator 1) { options with Steps = 401 } ground explorer
    Assert.Equal<float[]>(run.Gaps, Array.take 400 longer.Gaps)
    Assert.Equal(best[0] - (valueOf run.Policy)[0], longer.Gaps[400], 7)
    // Fewer measurements, the same run.
    let sparse = Exploration.run (Generator 1) { options with MeasureEvery = 7 } ground explorer
    Assert.Equal<int[]>(run.Visits, sparse.Visits)
    Assert.True(Seq.forall (fun t -> abs (sparse.Gaps[t] - run.Gaps[t - t % 7]) < 1e-9) [ 0..399 ])
    Assert.NotEqual<int[]>(run.Visits, (Exploration.run (Generator 2) options ground explorer).Visits)

[<Fact>]
let ``a run can be watched and stopped`` () =
    let model = Chain.riverSwim 6
    let ground = Explorer.ground model 0.95
    use source = new CancellationTokenSource()
    let told = ResizeArray<int>()

    let watch t =
        told.Add t

        if t = 30 then
            source.Cancel()

    let options = { Steps = 1000; MeasureEvery = 10; Progress = watch; Cancellation = source.Token }
    let run = Exploration.run (Generator 1) options ground (Explorer.optimistic 0.05 ground)
    Assert.True(run.Cancelled)
    Assert.Equal(31, run.Gaps.Length)
    Assert.Equal<int list>([ 0; 10; 20; 30 ], List.ofSeq told)

[<Fact>]
let ``bad input of exploration is named`` () =
    let model = Chain.riverSwim 3
    let ground = Explorer.ground model 0.9
    refuses "eta" "is 0" (fun () -> RegularisedIteration.mirror 0.0 model (Array.zeroCreate 6) (Array.zeroCreate 6))
    refuses "actionValues" "length must be 6" (fun () -> RegularisedIteration.mirror 1.0 model (Array.zeroCreate 6) [||])
    refuses "steps" "are 0" (fun () -> RegularisedIteration.average 1.0 (Bellman.Optimality(model, 0.9)) 0)
    refuses "discount" "is 1" (fun () -> Explorer.ground model 1.0)
    refuses "bonus" "is -1" (fun () -> Explorer.regularised 1.0 -1.0 ground)
    refuses "eta" "is NaN" (fun () -> Explorer.regularised nan 1.0 ground)
    refuses "epsilon" "is 2" (fun () -> Explorer.epsilonGreedy 2.0 0.1 ground)
    refuses "step" "is 0" (fun () -> Explorer.epsilonGreedy 0.1 0.0 ground)
    refuses "step" "is 9" (fun () -> VisitCounts.add { Row = 9; Reward = 0.0; Next = 0; Continuation = 1.0 } (VisitCounts.empty 6))
    refuses "step" "NaN" (fun () -> VisitCounts.add { Row = 0; Reward = nan; Next = 0; Continuation = 1.0 } (VisitCounts.empty 6))
    refuses "ridge" "is 0" (fun () -> RidgeDesign.start 0.0 2)
    refuses "weights" "sum to 2" (fun () -> (mixtureOf (Generator 1)).Model [| 1.0; 1.0; 0.0 |])
    refuses "models" "model 1 must" (fun () -> LinearMixture.Create([| model; Chain.riverSwim 4 |], Array.zeroCreate 6))
    let run options = Exploration.run (Generator 1) options ground (Explorer.epsilonGreedy 0.1 0.1 ground)
    refuses "options" "Steps" (fun () -> run { Exploration.standard with Steps = 0 })
    refuses "options" "MeasureEvery" (fun () -> run { Exploration.standard with MeasureEvery = 0 })

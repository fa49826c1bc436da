/// Tsallis divergences, the policies that are greedy but for them, and Munchausen value iteration.
module ValueFlow.Tests.Systems.MunchausenTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws
open ValueFlow.Tests.Systems.Judge

/// Action values in quarters, weights of a prior and of another policy, and numbers for index and temperature.
type Sketch = { Actions: NonEmptyArray<struct (int * PositiveInt * NonNegativeInt)>; Index: int; Heat: int }

let private normalised (weights: float[]) = let total = Array.sum weights in weights |> Array.map (fun w -> w / total)
let private values sketch = sketch.Actions.Get |> Array.map (fun struct (x, _, _) -> float (x % 64) / 4.0)
let private prior sketch = sketch.Actions.Get |> Array.map (fun struct (_, w, _) -> float w.Get) |> normalised
let private index sketch = [| 1.0; 1.0001; 1.5; 2.0; 3.0 |][abs (sketch.Index % 5)]
let private heat sketch = [| 0.01; 0.3; 1.0; 5.0 |][abs (sketch.Heat % 4)]

let private other sketch =
    let weights = sketch.Actions.Get |> Array.map (fun struct (_, _, w) -> float w.Get)

    if Array.sum weights > 0.0 then
        normalised weights
    else
        Array.create weights.Length (1.0 / float weights.Length)

let private tried (law: Sketch -> Property) =
    Check.One(Config.QuickThrowOnFailure.WithMaxTest(300).WithReplay(seed, 1UL).WithQuietOnSuccess(true), law)

let private fails (law: Sketch -> Property) =
    Assert.True(
        (try
            tried law
            false
         with _ ->
             true),
        "the mutant passed"
    )

let private greedy withPrior sketch =
    if withPrior then
        TsallisPolicy.greedy (index sketch) (heat sketch) (prior sketch) (values sketch)
    else
        TsallisPolicy.entropyGreedy (index sketch) (heat sketch) (values sketch)

// sum p Q - t D_q(p || m), from the definition with powers; m = 1 without a prior.
let private gain withPrior sketch (p: float[]) =
    let q, m = index sketch, (if withPrior then prior sketch else Array.create p.Length 1.0)

    let divergence =
        if q = 1.0 then
            Array.fold2 (fun sum p m -> if p > 0.0 then sum + p * log (p / m) else sum) 0.0 p m
        else
            (Array.map2 (fun m p -> Math.Pow(m, 1.0 - q) * Math.Pow(p, q)) m p |> Array.sum) / (q - 1.0) - 1.0 / (q - 1.0)

    (Array.map2 (*) p (values sketch) |> Array.sum) - heat sketch * divergence

let private rivals sketch =
    let x = values sketch
    let best = Array.max x

    [
        prior sketch
        other sketch
        Array.create x.Length (1.0 / float x.Length)
        x |> Array.map (fun x -> if x = best then 1.0 else 0.0) |> normalised
        for sharpness in [ 0.1; 0.5; 1.0; 3.0; 30.0 ] do
            Array.map2 (fun m x -> m * exp (sharpness * (x - best))) (prior sketch) x |> normalised
        for width in [ 0.1; 1.0; 3.0; 10.0; 100.0 ] do
            x |> Array.map (fun x -> Math.Max(0.0, width - (best - x))) |> normalised
    ]

[<Fact>]
let ``(2) no policy gains as much as the greedy one, but itself`` () =
    // The divergence bends by at least q along every line for q <= 2: who is away by d loses t q d^2 / 2.
    let law withPrior (policy: Sketch -> float[]) sketch =
        let p = policy sketch
        let bend = if index sketch <= 2.0 then 0.5 * heat sketch * index sketch else 0.0
        // Powers of the definition near q = 1 cancel.
        let slack = if index sketch = 1.0001 then 1e-8 * (1.0 + heat sketch) else 1e-9 * (1.0 + heat sketch)

        rivals sketch
        |> List.map (fun rival ->
            let away = Array.fold2 (fun sum a b -> sum + (a - b) * (a - b)) 0.0 p rival
            let most, least = gain withPrior sketch p, gain withPrior sketch rival

            (least + bend * away <= most + slack * (1.0 + abs most) |> Prop.label $"{least} + {bend * away} <= {most}")
            .&. (abs (Array.sum p - 1.0) <= 1e-12 |> Prop.label "a law"))
        |> List.reduce (.&.)

    for withPrior in [ false; true ] do
        tried (law withPrior (greedy withPrior))
        fails (law withPrior (fun s -> greedy withPrior { s with Heat = s.Heat + 1 }))
        fails (law withPrior (fun s -> greedy withPrior { s with Index = s.Index + 1 }))

    // Without the prior where there is one.
    fails (law true (greedy false))

[<Fact>]
let ``(2) the policy attains the value of the summary`` () =
    // What max over p of sum p Q - t D(p) is worth by the duality that sweeps use.
    let value withPrior policy sketch =
        let builder = ModelBuilder 1
        values sketch |> Array.iteri (fun a x -> builder.Add(0, a, 0, 1.0, x))
        let model = built builder

        let m = if withPrior then ValueSome(Policy.Stochastic(model, prior sketch)) else ValueNone

        let bellman = Bellman.Create(model, 0.0, Expectation(), Tsallis(index sketch, heat sketch, m, Direction.Maximise))
        within 1e-8 (gain withPrior sketch (policy sketch)) ((bellman.Operator.Apply [| 0.0 |])[0])

    let above (sketch: Sketch) = { sketch with Index = 1 + abs (sketch.Index % 4) }

    for withPrior in [ false; true ] do
        tried (above >> value withPrior (greedy withPrior))
        fails (above >> value withPrior (fun s -> greedy withPrior { s with Heat = s.Heat + 1 }))

[<Fact>]
let ``(3) the divergence is zero only at the prior, and chi-square and relative entropy at q = 2 and 1`` () =
    let law (divergence: float -> float[] -> float[] -> float) sketch =
        let p, m = other sketch, prior sketch
        let apart = Array.fold2 (fun sum a b -> sum + abs (a - b)) 0.0 p m
        let kl = MaximumEntropy.divergence p m
        let chiSquare = (Array.map2 (fun p m -> p * p / m) p m |> Array.sum) - 1.0
        let near = divergence 1.0001 p m - kl, divergence 1.001 p m - kl

        // It grows with the index, and relative entropy is at least half the square of the L1 distance (Pinsker).
        atMost (0.5 * apart * apart) (divergence (index sketch) p m)
        .&. within 1e-9 (divergence (index sketch) m m) 0.0
        .&. within 1e-9 (divergence 2.0 p m) chiSquare
        .&. within 1e-9 (divergence 1.0 p m) kl
        .&. ((fst near >= -1e-9 && abs (snd near - 10.0 * fst near) <= 1e-9 + 0.1 * snd near)
             |> Prop.label $"to relative entropy in proportion to q - 1: {near}")

    tried (law TsallisPolicy.divergence)
    // From the other side; with the conjugate index 2 - q; relative entropy whatever the index.
    fails (law (fun q p m -> -(TsallisPolicy.divergence q p m)))

    let conjugate q (p: float[]) (m: float[]) =
        Array.fold2
            (fun sum p m ->
                if p > 0.0 then
                    sum + p * TsallisPolicy.boundedLogarithm q (p / m) * (if q = 1.0 then 1.0 else q)
                else
                    sum)
            0.0
            p
            m

    fails (law conjugate)
    fails (law (fun _ p m -> MaximumEntropy.divergence p m))

[<Fact>]
let ``logarithms agree with their powers`` () =
    for q in [ 1.0001; 1.5; 2.0; 7.0 ] do
        for x in [ 1e-3; 0.2; 1.0; 3.0 ] do
            Assert.Equal(
                (Math.Pow(x, 1.0 - q) - 1.0) / (1.0 - q),
                TsallisPolicy.logarithm q x,
                1e-9 * (1.0 + abs (TsallisPolicy.logarithm q x))
            )

            Assert.Equal(-(TsallisPolicy.logarithm q (1.0 / x)), TsallisPolicy.boundedLogarithm q x, 1e-9)

        Assert.Equal(-1.0 / (q - 1.0), TsallisPolicy.boundedLogarithm q 0.0)

    Assert.Equal(log 0.3, TsallisPolicy.logarithm 1.0 0.3)
    Assert.Equal(Double.NegativeInfinity, TsallisPolicy.boundedLogarithm 1.0 0.0)

[<Fact>]
let ``(5) the support lies in the prior's, and ends at the threshold`` () =
    let law (policy: float -> float -> float[] -> float[] -> float[]) sketch =
        // Some actions have no prior probability.
        let m =
            if Array.exists2 (fun p m -> p > 0.0 && m > 0.0) (other sketch) (prior sketch) then
                other sketch
            else
                prior sketch

        let q, t, x = index sketch, heat sketch, values sketch
        let p = policy q t m x
        let inside = Array.forall2 (fun p m -> m > 0.0 || p = 0.0) p m |> Prop.label $"support of %A{p} in that of %A{m}"

        if q = 1.0 then
            inside
        else
            let reach = t * q / (q - 1.0)
            let likeliest = p |> Array.indexed |> Array.maxBy snd |> fst
            // Where the policy begins: Q - t q / (q - 1) (p / m)^(q - 1) is the same for all that it takes.
            let threshold = x[likeliest] - reach * Math.Pow(p[likeliest] / m[likeliest], q - 1.0)
            let slack = 1e-9 * (1.0 + abs threshold + reach)

            let ends =
                Array.map3 (fun p m x -> m = 0.0 || (if p > 0.0 then x >= threshold - slack else x <= threshold + slack)) p m x
                |> Array.forall id
                |> Prop.label $"from {threshold} on: %A{p} at %A{x}"

            // Who lies that far behind the best is left out altogether.
            let best = x |> Array.indexed |> Array.filter (fun (a, _) -> m[a] > 0.0) |> Array.maxBy snd

            let far = snd best - reach * Math.Pow(m[fst best], 1.0 - q) - slack

            inside
            .&. ends
            .&. (Array.forall2 (fun p x -> x > far || p = 0.0) p x |> Prop.label $"nothing below {far}: %A{p} at %A{x}")

    tried (law TsallisPolicy.greedy)
    // A softmax takes every action.
    fails (law (fun _ t m x -> TsallisPolicy.greedy 1.0 t m x))
    // Without the prior.
    fails (law (fun q t _ x -> TsallisPolicy.entropyGreedy q t x))

// Small models with rewards in [0, 1): a sketch's scale is not the point here.
let private garnet (case: Case) = Garnet.create (Generator case.Draw) (2 + case.Draw % 4) (2 + case.Draw % 2) 2

let private sweeps (step: float[] -> float[]) (count: int) (model: Model) =
    Seq.fold (fun q _ -> step q) (Array.zeroCreate model.RowCount) (seq { 1..count })

let private settingsOf (case: Case) =
    {
        Index = 1.0
        Temperature = [| 0.3; 0.5; 1.0 |][case.Draw % 3]
        Weight = [| 0.5; 0.9 |][case.Draw % 2]
        Direction = Direction.Maximise
    }

[<Fact>]
let ``(1) as q goes to one it becomes Munchausen value iteration, in proportion to q - 1`` () =
    // Plainly: softmax, logarithm, backup.
    let plain (settings: MunchausenSettings) (model: Model) discount (q: float[]) =
        let t = settings.Temperature

        let soft =
            Array.init model.StateCount (fun s ->
                t * log (Seq.sum (seq { for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 -> exp (q[row] / t) })))

        let next = ActionValues.ofValues model discount soft

        for s in 0 .. model.StateCount - 1 do
            for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 do
                next[row] <- next[row] + settings.Weight * (q[row] - soft[s])

        next

    let law (step: MunchausenSettings -> Model -> float -> float[] -> float[]) (case: Case) =
        let model, settings = garnet case, settingsOf case
        let discount = [| 0.7; 0.95 |][(case.Draw / 2) % 2]
        let count = [| 1; 5; 10 |][(case.Draw / 4) % 3]
        let at index = sweeps (step { settings with Index = index } model discount) count model
        let limit = sweeps (plain settings model discount) count model
        let near, far = Metric.sup.Distance (at 1.0001) limit, Metric.sup.Distance (at 1.001) limit

        allWithin 1e-10 (at 1.0) limit
        .&. ((far / near >= 9.0 && far / near <= 11.0) |> Prop.label $"ratio {far / near} of {far} and {near}")

    let sweep settings model discount = Munchausen.sweep settings model discount [||]
    holds (law sweep)
    // The log-policy without its temperature, or left out where q is above one.
    let bare settings model discount q =
        sweep
            { settings with
                Weight = (if settings.Index > 1.0 then min 1.0 (settings.Weight / settings.Temperature) else settings.Weight)
            }
            model
            discount
            q

    refuted (law bare)
    refuted (law (fun settings -> sweep { settings with Weight = (if settings.Index > 1.0 then 0.0 else settings.Weight) }))

[<Fact>]
let ``without the log-policy it is value iteration with an entropy`` () =
    let law (weight: float) (case: Case) =
        let model = ModelSketch.toModel case.Sketch
        let discount = min 0.9 case.Sketch.Discount
        let scale = 1.0 + (Bellman.Optimality(model, discount)).Kernel.LargestReward

        let settings =
            { Munchausen.standard with
                Index = [| 1.5; 2.0; 3.0 |][case.Draw % 3]
                Temperature = scale
                Weight = weight
            }

        let soft = Bellman.Create(model, discount, Expectation(), Tsallis(settings.Index, scale, ValueNone, Direction.Maximise))
        let values = (ValueIteration.solve { RunOptions.standard with Tolerance = 1e-10 * scale } soft).Values
        let q = sweeps (Munchausen.sweep settings model discount [||]) 300 model
        let gap = Metric.sup.Distance q (ActionValues.ofValues model discount values)
        gap <= 1e-8 * scale |> Prop.label $"gap {gap} at rewards of {scale}"

    holds (law 0.0)
    refuted (law 0.5)

// The sketch with every reward the other way round.
let private mirrored (case: Case) =
    let turned =
        List.map (fun (a, outcomes) -> a, outcomes |> List.map (fun (o: OutcomeSketch) -> { o with Reward = -o.Reward }))

    { case with Sketch = { case.Sketch with States = case.Sketch.States |> List.map turned } }

[<Fact>]
let ``for costs it is the mirror image`` () =
    let law (direction: Direction) (case: Case) =
        let settings = { Munchausen.standard with Index = [| 1.0; 1.5; 2.0 |][case.Draw % 3] }
        let discount = min 0.9 case.Sketch.Discount
        let model, other = ModelSketch.toModel case.Sketch, ModelSketch.toModel (mirrored case).Sketch
        let q = sweeps (Munchausen.sweep settings model discount [||]) 5 model
        let costs = sweeps (Munchausen.sweep { settings with Direction = direction } other discount [||]) 5 other
        allWithin 1e-10 (costs |> Array.map (fun x -> -x)) q

    holds (law Direction.Minimise)
    refuted (law Direction.Maximise)

let private sloped (model: Model) =
    let weights = Array.zeroCreate model.RowCount

    for s in 0 .. model.StateCount - 1 do
        let first, count = model.RowOffsets[s], model.RowOffsets[s + 1] - model.RowOffsets[s]

        for place in 0 .. count - 1 do
            weights[first + place] <- float (place + 1) / (0.5 * float (count * (count + 1)))

    Policy.Stochastic(model, weights)

[<Fact>]
let ``(4) with a fixed prior the operator is monotone and contracts by the discount`` () =
    let options = LawOptions(Cases = 150)

    for index in [ 1.0; 1.0001; 1.5; 2.0 ] do
        let make model discount = (Munchausen.regularised { Munchausen.standard with Index = index } model discount (sloped model)).Operator

        for law in [ Law.contraction; Law.monotonicity; Law.translation; Law.purity ] do
            (Law.checkWith options law (Subject.family $"regularised({index})" make)).Require()

        let mutant (apply: Model -> float -> float[] -> float[]) =
            Subject.family "mutant" (fun model discount -> { make model discount with Apply = apply model discount; ApplyInto = ValueNone })

        // The prior follows the values, as the last policy of the recursion does: sum p_V (r + gamma P V), without what it costs to follow.
        let following (model: Model) discount (values: float[]) =
            let q = ActionValues.ofValues model discount values
            let policy = Munchausen.policy { Munchausen.standard with Index = index } model q

            Array.init model.StateCount (fun s ->
                Seq.sum (seq { for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 -> policy.Weights[row] * q[row] }))

        for law in [ Law.contraction; Law.monotonicity ] do
            let report = Law.checkWith (LawOptions(Cases = 3000, MaximumSeconds = 20.0)) law (mutant following)
            Assert.True((report.Verdict = Verdict.Refuted), $"the mutant passed\n{report}")

[<Fact>]
let ``(4) the recursion itself contracts nowhere near and keeps no order: a pinned pair`` () =
    let builder = ModelBuilder 1
    builder.Add(0, 0, 0, 1.0, 0.0)
    builder.Add(0, 1, 0, 1.0, 0.0)
    let model = built builder

    // Index, discount, a pair that comes to lie further apart, and one whose second entry goes down as the first goes up.
    let pairs =
        [
            1.0, 0.5, ([| 0.0; 0.0 |], [| 1.0; -1.0 |], 1.2), ([| 0.0; 0.0 |], [| 1.0; 0.0 |])
            1.5, 0.95, ([| 0.25; -0.25 |], [| 0.3; -0.3 |], 1.03), ([| -0.28; 0.25 |], [| -0.2; 0.25 |])
            2.0, 0.95, ([| 0.25; -0.25 |], [| 0.3; -0.3 |], 1.2), ([| -0.28; 0.25 |], [| -0.2; 0.25 |])
        ]

    for index, discount, (x, y, factor), (low, high) in pairs do
        let operator = Munchausen.operator { Munchausen.standard with Index = index } model discount
        Assert.Empty operator.Claims
        Assert.False operator.Monotone
        let ratio = Metric.sup.Distance (operator.Apply x) (operator.Apply y) / Metric.sup.Distance x y
        Assert.True(ratio > factor, $"index {index}: {ratio}")
        let fall = (operator.Apply low)[1] - (operator.Apply high)[1]
        Assert.True(fall > 1e-3, $"index {index}: {fall}")

    let shannon = Munchausen.operator Munchausen.standard model 0.5
    let soft = 1.0 + 0.3 * log (1.0 + exp (-2.0 / 0.3))
    Assert.Equal(0.5 * soft + 0.9 * (-1.0 - soft), (shannon.Apply [| 1.0; -1.0 |])[1], 1e-12)

[<Fact>]
let ``noise enters as reward, and a rare action leaves no infinity`` () =
    let model = Garnet.create (Generator 3) 4 3 2
    let q = Array.init model.RowCount (fun row -> 1e6 * float (row % 3))

    for index in [ 1.0; 1.0001; 1.5; 2.0 ] do
        let sweep = Munchausen.sweep { Munchausen.standard with Index = index } model 0.9
        let noise = Array.init model.RowCount float
        let still, noisy = sweep [||] q, sweep noise q
        Assert.True(Array.forall Double.IsFinite still)
        Assert.True(Metric.sup.Distance noisy (Array.map2 (+) still noise) <= 1e-9)
        Assert.Equal<float[]>(still, sweep (Array.zeroCreate model.RowCount) q)

[<Fact>]
let ``a solution says how it ended, and its decisions are good`` () =
    let model = Garnet.create (Generator 5) 20 5 3
    let best = (PolicyIteration.solve RunOptions.standard (Bellman.Optimality(model, 0.9))).Values

    for index in [ 1.0; 1.5; 2.0 ] do
        let found = Munchausen.solve { RunOptions.standard with Budget = 2000 } { Munchausen.standard with Index = index } model 0.9
        let policy = Policy.Deterministic(model, ReadOnlySpan found.Decisions)
        let worth = (PolicyEvaluation.linear RunOptions.standard policy (Bellman.Optimality(model, 0.9))).Values
        Assert.Equal(Outcome.Converged, found.Outcome)
        Assert.True(found.Change <= 1e-8)
        Assert.True(Metric.sup.Distance best worth <= 0.1)

    let cut = Munchausen.solve { RunOptions.standard with Budget = 3 } Munchausen.standard model 0.9
    Assert.Equal(Outcome.BudgetExhausted, cut.Outcome)
    Assert.Equal(3, cut.Sweeps)

[<Fact>]
let ``bad input is named`` () =
    let model = Garnet.create (Generator 1) 3 2 2
    let solve settings = Munchausen.sweep settings model 0.9
    refuses "index" "1.00001" (fun () -> solve { Munchausen.standard with Index = 1.00001 })
    refuses "index" "0.5" (fun () -> TsallisPolicy.entropyGreedy 0.5 1.0 [| 1.0 |])
    refuses "temperature" "is 0" (fun () -> solve { Munchausen.standard with Temperature = 0.0 })
    refuses "settings" "1.5" (fun () -> solve { Munchausen.standard with Weight = 1.5 })
    refuses "settings" "NaN" (fun () -> solve { Munchausen.standard with Weight = nan })
    refuses "discount" "is 1" (fun () -> Munchausen.sweep Munchausen.standard model 1.0)
    refuses "noise" "length must be 6" (fun () -> solve Munchausen.standard [| 1.0 |] (Array.zeroCreate 6))
    refuses "noise" "entry 0" (fun () -> solve Munchausen.standard (Array.create 6 nan) (Array.zeroCreate 6))
    refuses "actionValues" "length must be 6" (fun () -> solve Munchausen.standard [||] [| 1.0 |])
    refuses "actionValues" "entry 0" (fun () -> solve Munchausen.standard [||] (Array.create 6 infinity))
    refuses "prior" "-0.5" (fun () -> TsallisPolicy.greedy 2.0 1.0 [| 1.5; -0.5 |] [| 0.0; 0.0 |])
    refuses "prior" "finite" (fun () -> TsallisPolicy.greedy 1000.0 1.0 [| 0.5; 0.5 |] [| 0.0; 0.0 |])
    refuses "values" "at least one" (fun () -> TsallisPolicy.entropyGreedy 2.0 1.0 [||])
    refuses "values" "entry 1" (fun () -> TsallisPolicy.entropyGreedy 2.0 1.0 [| 0.0; nan |])
    refuses "x" "-1" (fun () -> TsallisPolicy.logarithm 2.0 -1.0)
    refuses "action" "finite" (fun () -> Munchausen.regularised { Munchausen.standard with Index = 1000.0 } model 0.9 (sloped model))

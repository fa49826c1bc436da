/// Every method finds what value iteration finds, within both bounds; prioritised sweeping leaves no residual above its threshold; the automatic method is never far from the best.
module ValueFlow.Tests.Values.MethodTests

open System
open System.Threading
open Xunit
open Xunit.Abstractions
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws
open ValueFlow.Tests.Systems

let private methods =
    [|
        PlanningMethod.Automatic
        PlanningMethod.GaussSeidel SweepOrder.Forward
        PlanningMethod.GaussSeidel SweepOrder.Backward
        PlanningMethod.GaussSeidel SweepOrder.Alternating
        PlanningMethod.PolicyIteration
        PlanningMethod.ModifiedPolicyIteration 10
        PlanningMethod.PrioritisedSweeping
        PlanningMethod.Anderson 1
        PlanningMethod.Anderson 5
        PlanningMethod.Anchored
    |]

let private direction (case: Judge.Case) = if case.Draw % 2 = 0 then Direction.Maximise else Direction.Minimise

let private agree (solve: PlanningMethod -> Bellman -> Solution) (bellman: Bellman) =
    let plain = solve PlanningMethod.ValueIteration bellman

    methods
    |> Array.map (fun method ->
        let other = solve method bellman

        let apart = Array.map2 (fun (a: float) b -> abs (a - b)) plain.Values other.Values |> Array.fold max 0.0

        let inside =
            Array.forall2 (<=) plain.Lower other.Upper
            && Array.forall2 (<=) other.Lower plain.Upper
            && apart <= plain.Bound + other.Bound

        let ended = other.Outcome = Outcome.Converged || other.Outcome = Outcome.PrecisionFloor
        // Rounding may end one method a little before the other, but not far above the floor.
        let near = other.Outcome = Outcome.Converged || other.Bound <= 4.0 * max other.Floor plain.Bound

        (inside && ended && near)
        |> Prop.label
            $"{other.Method}: {other.Outcome} after {other.Sweeps}, bound {other.Bound}, floor {other.Floor}; value iteration {plain.Outcome} after {plain.Sweeps}, bound {plain.Bound}; apart {apart}")
    |> Array.reduce (.&.)

let private solved method bellman = PlanningMethod.solve method RunOptions.standard bellman

[<Fact>]
let ``on random models every method agrees with value iteration within both bounds`` () =
    Judge.holds (fun case ->
        let discount = Math.Min(case.Sketch.Discount, 0.999)
        agree solved (Bellman.Create(ModelSketch.toModel case.Sketch, discount, Expectation(), Extreme(direction case))))

[<Fact>]
let ``under risk and doubt as well`` () =
    let summaries: StateSummary[] =
        [| Cvar 0.3; Entropic 0.5; TotalVariation(0.2, Support.Nominal, Attitude.Adverse); Expectile 0.3 |]

    Judge.holds (fun case ->
        let sketch = { case.Sketch with Discount = Math.Min(case.Sketch.Discount, 0.9) }
        // An aversion of one half, and rewards in the millions, make exponents too large for anyone.
        let rewards = sketch.States |> List.concat |> List.collect snd |> List.map (fun outcome -> abs outcome.Reward)
        let summary = if List.max (0.0 :: rewards) > 100.0 then summaries[0] else summaries[case.Draw % summaries.Length]
        agree solved (Bellman.Create(ModelSketch.toModel sketch, sketch.Discount, summary, Extreme(direction case))))

// A mutant: a run that ends early, and takes a thousandth of its residual for its error.
[<Fact>]
let ``a bound that takes the residual for the error is refuted`` () =
    Judge.refuted (fun case ->
        let spoiled method bellman =
            let solution = PlanningMethod.solve method { RunOptions.standard with Tolerance = 1e-3 } bellman

            if method = PlanningMethod.ValueIteration then
                solved method bellman
            else
                let last = solution.History[solution.History.Length - 1]
                let bound = 1e-3 * last.Residual

                { solution with
                    Bound = bound
                    Lower = Array.map (fun v -> v - bound) solution.Values
                    Upper = Array.map (fun v -> v + bound) solution.Values
                }

        agree spoiled (Bellman.Create(ModelSketch.toModel case.Sketch, 0.99, Expectation(), Extreme(direction case))))

let private residual (bellman: Bellman) (values: float[]) =
    Array.map2 (fun (a: float) b -> abs (a - b)) (bellman.Operator.Apply values) values |> Array.fold max 0.0

let private problemOf (case: Judge.Case) =
    let summary: StateSummary = if case.Draw % 3 = 0 then Cvar 0.4 else Expectation()
    Bellman.Create(ModelSketch.toModel case.Sketch, Math.Min(case.Sketch.Discount, 0.99), summary, Extreme(direction case))

let private startOf (case: Judge.Case) (model: Model) =
    let generator = case.Generator
    Array.init model.StateCount (fun s -> if model.IsTerminal s then 0.0 else 20.0 * generator.Uniform() - 10.0)

let private scaleOf (bellman: Bellman) = 1.0 + bellman.Kernel.LargestReward

[<Fact>]
let ``no residual is above the threshold when the queue is empty`` () =
    Judge.holds (fun case ->
        let bellman = problemOf case
        let threshold = Math.Pow(10.0, -1.0 - float (case.Draw % 5)) * scaleOf bellman
        let values = startOf case bellman.Kernel.Model
        let struct (backups, empty) = PrioritisedSweeping.backUp threshold 10_000_000 CancellationToken.None bellman values
        let left = residual bellman values
        // Changes that add up round as well.
        let allowed = threshold + 4.0 * (Array.max (Array.map abs values) + scaleOf bellman) * 1e-14 * float (backups + 1)

        (empty && left <= allowed)
        |> Prop.label $"{backups} backups, empty {empty}: residual {left}, threshold {threshold}")

// The same in a few lines, with a rule for what a predecessor is told: the sum of changes, or the largest.
let private plainly (rule: float -> float -> float) (threshold: float) (bellman: Bellman) (values: float[]) =
    let model = bellman.Kernel.Model
    let priorities = Array.map2 (fun (a: float) b -> abs (a - b)) (bellman.Operator.Apply values) values
    let mutable count = 0

    while Array.max priorities > threshold && count < 100_000 do
        count <- count + 1
        let state = Array.IndexOf(priorities, Array.max priorities)
        let change = abs ((bellman.Operator.Apply values)[state] - values[state])
        values[state] <- (bellman.Operator.Apply values)[state]
        priorities[state] <- 0.0

        for other in 0 .. model.StateCount - 1 do
            let mutable share = 0.0

            for row in model.RowOffsets[other] .. model.RowOffsets[other + 1] - 1 do
                for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                    if model.Successors[k] = state then
                        let gamma = bellman.Kernel.Discount * (if model.Continuations.Length = 0 then 1.0 else model.Continuations[k])
                        share <- max share (if bellman.State :? Expectation then model.Probabilities[k] * gamma else gamma)

            priorities[other] <- rule priorities[other] (share * change)

let private lawOf rule case =
    let bellman = problemOf case
    let threshold = 0.1 * scaleOf bellman
    let values = startOf case bellman.Kernel.Model
    plainly rule threshold bellman values
    let left = residual bellman values
    (left <= threshold * (1.0 + 1e-9)) |> Prop.label $"residual {left}, threshold {threshold}"

[<Fact>]
let ``with the largest of several changes instead of their sum, or with none, a residual is left: the mutants are refuted, and the sum is not``
    ()
    =
    Judge.holds (lawOf (+))
    Judge.refuted (lawOf max)
    Judge.refuted (lawOf (fun before _ -> before))

type MethodCosts(output: ITestOutputHelper) =

    // A ring on which two actions walk to and fro, with uneven rewards and one way out: it mixes slowly, and terminal states forbid the shift by a constant.
    let ring (states: int) =
        let generator = Generator 1
        let builder = ModelBuilder states
        builder.Terminal(states - 1)

        for s in 0 .. states - 2 do
            let reward = generator.Uniform()

            for a, next in [ 0, (s + states - 1) % states; 1, (s + 1) % states ] do
                builder.Add(s, a, s, 0.5, reward)
                builder.Add(s, a, next, 0.5, reward)

        Judge.built builder

    let garnet (states: int) =
        let generator = Generator 2
        let builder = ModelBuilder states

        for s in 0 .. states - 1 do
            for a in 0..3 do
                let successors = Sampling.distinct generator 8 states
                let chances = Sampling.simplex generator 8
                let reward = generator.Uniform()
                successors |> Array.iteri (fun i next -> builder.Add(s, a, next, chances[i], reward))

        Judge.built builder

    [<Fact>]
    member _.``the automatic method stays with value iteration where it closes quickly, and leaves it where it does not``() =
        let all = Array.append [| PlanningMethod.ValueIteration |] methods

        // The others take seconds on it.
        let few =
            [|
                PlanningMethod.ValueIteration
                PlanningMethod.Automatic
                PlanningMethod.PolicyIteration
                PlanningMethod.ModifiedPolicyIteration 10
            |]

        for name, model, discount in [ "garnet", garnet 2000, 0.99; "ring", ring 200, 0.999; "long ring", ring 3000, 0.999 ] do
            let bellman = Bellman.Optimality(model, discount)

            let costs =
                [
                    for method in (if name = "long ring" then few else all) do
                        let watch = Diagnostics.Stopwatch.StartNew()
                        let solution = PlanningMethod.solve method RunOptions.standard bellman

                        output.WriteLine
                            $"{name}: {method} {solution.Method}: {solution.Outcome} {solution.Sweeps} sweeps, {watch.Elapsed.TotalMilliseconds:F1} ms, bound {solution.Bound:G3}"

                        method, solution
                ]
                |> dict

            for entry in costs do
                // Gauss-Seidel sums its rounding up: its floor is that over 1 - g.
                Assert.True(
                    entry.Value.Outcome = Outcome.Converged || entry.Value.Bound <= entry.Value.Floor,
                    $"{name}, {entry.Key}: {entry.Value.Outcome}"
                )

            let automatic, plain = costs[PlanningMethod.Automatic], costs[PlanningMethod.ValueIteration]

            if name = "garnet" then
                Assert.Equal("value iteration", automatic.Method)
                Assert.Equal<float[]>(plain.Values, automatic.Values)
            else
                Assert.StartsWith("value iteration, then ", automatic.Method)
                Assert.True(automatic.Sweeps < plain.Sweeps / 10, $"{automatic.Sweeps} sweeps against {plain.Sweeps}")

    [<Fact>]
    member _.``what a method lacks is said``() =
        let model = Chain.riverSwim 6
        let wide = Bellman.Create(model, 0.9, TotalVariation 0.2, Extreme Direction.Maximise)

        let refuses (sentence: string) (work: unit -> Solution) =
            let error = Assert.Throws<ArgumentException>(fun () -> work () |> ignore)
            Assert.Contains(sentence, error.Message)

        refuses "successors alone" (fun () -> PlanningMethod.solve PlanningMethod.PrioritisedSweeping RunOptions.standard wide)

        refuses "successors alone" (fun () ->
            PlanningMethod.solve (PlanningMethod.GaussSeidel SweepOrder.Backward) RunOptions.standard wide)

        refuses "memory must be at least 1 but is 0" (fun () -> PlanningMethod.solve (PlanningMethod.Anderson 0) RunOptions.standard wide)
        // For whatever else, automatic is value iteration.
        Assert.Equal("value iteration", (PlanningMethod.solve PlanningMethod.Automatic RunOptions.standard wide).Method)

/// Runs of distributional operators are as near to the true laws as they state.
module ValueFlow.Tests.Returns.ReturnsTests

open System
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns
open ValueFlow.Tests.Returns.Judge
open ValueFlow.Tests.Returns.Subjects

/// A process of at most three states with rewards in eighths; the last one is terminal if there are three; some transitions end the
/// episode, or take twice as long.
type private World = { Seed: int; States: int; Discount: float }

let private worldOf (seed: int, states: PositiveInt, discount: int) =
    {
        Seed = abs (seed % 1000)
        States = 1 + states.Get % 3
        Discount = [| 0.0; 0.25; 0.5; 0.6 |][abs (discount % 4)]
    }

let private modelOf (world: World) =
    let generator = Generator world.Seed
    let builder = ModelBuilder world.States

    for s in 0 .. world.States - 1 do
        if s = 2 then
            builder.Terminal s
        else
            for a in 0..1 do
                let chances = Sampling.simplex generator world.States

                for next in 0 .. world.States - 1 do
                    let continuation = [| 1.0; 1.0; 0.5; 0.0 |][generator.Below 4]
                    let reward = float (generator.Below 17 - 8) / 8.0

                    if chances[next] > 0.0 then
                        builder.AddContinuing(s, a, next, chances[next], reward, continuation, -1)

    builder.Initial 0

    match builder.Build() with
    | Ok model -> model
    | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

let private branchesIn world =
    let model = modelOf world
    branchesOf model world.Discount

let private exactly (branches: Branches) = Returns.exact 14 1e-4 20_000 CancellationToken.None branches

let private few = { RunOptions.standard with Tolerance = 1e-9 }

let private representationLaw (stated: ReturnSolution<CategoricalTable> -> float) (cramerStated: float -> float) sketch =
    let branches = branchesIn (worldOf sketch)
    let struct (truth, away) = exactly branches
    let support = CategoricalRepresentation.Covering(9, branches)
    let representation = CategoricalRepresentation support
    let solution = Returns.fixedPoint few representation branches
    let distance = Statewise.wasserstein(1.0).Distance (Laws.ofTable solution.Table) truth
    let cramer = Statewise.cramer.Distance (Laws.ofTable solution.Table) truth

    atMost distance (stated solution + away)
    // l_2^2 <= W_1 for laws on the line, so that the truncated law is off by the root at most.
    .&. atMost cramer (cramerStated (representation.CramerDistortion branches) + sqrt away + sqrt few.Tolerance)
    .&. (solution.Clipping = Clipping.None |> Prop.label "nothing is clipped")
    .&. (solution.Certificate = Certificate.Contraction |> Prop.label "certified")
    .&. (Array.forall2 (fun (a: float) b -> abs (a - b) <= away + 1e-8) solution.Table.Means truth.Means
         |> Prop.label "means are kept")

[<Fact>]
let ``a covering support gives laws that are as near to the true ones as stated`` () =
    holds (representationLaw _.TrueBound id)
    refuted (representationLaw (fun solution -> solution.Bound + 0.4 * solution.Distortion) id)
    refuted (representationLaw _.TrueBound (fun bound -> 0.8 * bound))

let private certificateLaw (stated: ReturnSolution<CategoricalTable> -> float) sketch =
    let branches = branchesIn (worldOf sketch)
    let representation = CategoricalRepresentation(CategoricalRepresentation.Covering(21, branches))
    let rough = Returns.fixedPoint { few with Tolerance = 1e-2 } representation branches
    let fine = Returns.fixedPoint { few with Tolerance = 1e-11 } representation branches
    atMost (Categorical.wasserstein.Distance rough.Table fine.Table) (stated rough + fine.Bound)

[<Fact>]
let ``the certificate bounds the distance to the fixed point`` () =
    holds (certificateLaw _.Bound)
    refuted (certificateLaw (fun solution -> 0.3 * solution.Bound))

[<Fact>]
let ``two atoms are certified, keep means, and are the values of an adversary and of an ally`` () =
    // Tail means in their dual form: max over b of b - E (b - Y)+ / share, reached at an outcome.
    let dual share (law: Distribution) =
        law.Atoms.ToArray() |> Array.map (fun b -> b - law.Expect(fun y -> Math.Max(0.0, b - y)) / share) |> Array.max

    let law (shareOf: float -> float) (sketch, percent: int) =
        let world = worldOf sketch
        let model = modelOf world
        let share = float (1 + abs percent % 98) / 100.0
        let branches = Branches.rowEvaluation world.Discount (policyOf model) model
        let solution = Returns.fixedPoint few (TwoAtomRepresentation share) branches
        let bellman = Bellman.Evaluation(model, world.Discount, policyOf model)
        let values = (FixedPoint.picard few bellman.Operator (Array.zeroCreate model.StateCount)).Value
        let rowValues = Array.zeroCreate model.RowCount
        bellman.Sweep.ActionValues(values, rowValues, CancellationToken.None) |> ignore

        let place row =
            let next = branches.Law(solution.Table, row)
            let worst, best = solution.Table.Worst row, solution.Table.Best row

            within 1e-7 worst (dual (shareOf share) next)
            .&. within 1e-7 best -(dual (1.0 - shareOf share) (Distribution.affine 0.0 -1.0 next))
            .&. within 1e-7 (solution.Table.Mean row) rowValues[row]
            .&. atMost worst (rowValues[row] + 1e-8)
            .&. atMost rowValues[row] (best + 1e-8)

        (solution.Certificate = Certificate.Contraction |> Prop.label "certified")
        .&. (Seq.init model.RowCount place |> Seq.fold (.&.) (true |> Prop.label ""))

    holds (law id)
    refuted (law (fun share -> 0.5 * share))

[<Fact>]
let ``n steps with one projection are n exact steps, projected, and lose less than n projected ones`` () =
    let law (chain: Branches -> Branches) (sketch, count: PositiveInt) =
        let branches = branchesIn (worldOf sketch)
        let n = 1 + count.Get % 3
        let exact = ExactRepresentation(0.0, 1_000_000)
        let start = LawTable(Array.init branches.Places (fun place -> Distribution.ofNumbers [| float place; -1.0; 0.5 |]))
        let stepwise = Seq.fold (fun table _ -> exact.Apply(branches, table)) start (seq { 1..n })
        let once = exact.Apply(Seq.fold (fun whole _ -> chain whole) branches (seq { 2..n }), start)
        atMost (Statewise.wasserstein(1.0).Distance once stepwise) 1e-9

    let right sketch =
        let branches = branchesIn (worldOf sketch)
        law (fun whole -> Branches.andThen branches whole)

    holds (fun (sketch, count) -> right sketch (sketch, count))
    // The second step's rewards not discounted: as if the branches before had discount one.
    let wrong sketch =
        let world = worldOf sketch
        law (fun whole -> Branches.andThen (branchesIn { world with Discount = 0.9 * world.Discount }) whole)

    refuted (fun (sketch, count) -> wrong sketch (sketch, count))

    let branches = branchesIn { Seed = 7; States = 2; Discount = 0.6 }
    let three = Branches.steps 3 100_000 branches
    let representation = CategoricalRepresentation(CategoricalRepresentation.Covering(11, branches))
    Assert.True(representation.Distortion three < representation.Distortion branches)
    let struct (truth, _) = exactly branches
    let away branches = Statewise.wasserstein(1.0).Distance (Laws.ofTable (Returns.fixedPoint few representation branches).Table) truth
    Assert.True(away three < away branches, $"{away three} < {away branches}")
    refuses "mostBranches" "100 branches but" (fun () -> Branches.steps 9 100 branches)
    refuses "count" "0" (fun () -> Branches.steps 0 100 branches)

[<Fact>]
let ``exact laws are those of play`` () =
    for seed in 1..4 do
        let world = { Seed = seed; States = 3; Discount = 0.6 }
        let model = modelOf world
        let struct (truth, _) = Returns.exact 8 0.0 200_000 CancellationToken.None (branchesOf model world.Discount)
        let played = Simulation.play (Generator seed) 20_000 8 world.Discount 0 CancellationToken.None (policyOf model) model
        let law = truth.Law 0
        let distance = Line.wasserstein 1.0 law (Distribution.ofNumbers played.Returns)
        // W_1 is at most the range times Kolmogorov's distance, which exceeds 1.95 / sqrt n once in a thousand times (Smirnov 1948).
        let most = (law.Maximum - law.Minimum) * 1.95 / sqrt 20_000.0
        Assert.True(distance <= most, $"{distance} <= {most}")
        let quantiles = (Quantile.project 25 law |> Distribution.ofNumbers)
        Assert.True(Line.wasserstein 1.0 quantiles law <= (law.Maximum - law.Minimum) / 50.0)

    let branches = branchesIn { Seed = 1; States = 3; Discount = 0.6 }
    refuses "mostAtoms" "100" (fun () -> Returns.exact 14 0.0 100 CancellationToken.None branches)

[<Fact>]
let ``a fair coin at discount one half: the uniform law on [0, 2]`` () =
    let builder = ModelBuilder 1
    builder.ParallelOutcomes <- true
    builder.Add(0, 0, 0, 0.5, 0.0)
    builder.Add(0, 0, 0, 0.5, 1.0)

    let model =
        (match builder.Build() with
         | Ok model -> model
         | Error _ -> invalidOp "no model")

    let branches = Branches.evaluation 0.5 (Policy.Uniform model) model
    let support = CategoricalRepresentation.Covering(51, branches)
    Assert.Equal(Support(0.0, 2.0, 51), support)
    let solution = Returns.fixedPoint { few with Tolerance = 1e-12 } (CategoricalRepresentation support) branches
    Assert.Equal(1.0, solution.Table.Mean 0, 10)
    let struct (truth, away) = Returns.exact 16 0.0 100_000 CancellationToken.None branches
    // The truth is the uniform law within away.
    Assert.True(away < 1e-4)
    Assert.Equal(0.25 * support.Gap, Line.wasserstein 1.0 (solution.Table.Law 0) (truth.Law 0), 3)

[<Fact>]
let ``what a narrow support cuts off is counted`` () =
    let builder = ModelBuilder 1
    builder.ParallelOutcomes <- true
    builder.Add(0, 0, 0, 0.25, -3.0)
    builder.Add(0, 0, 0, 0.75, 1.0)

    let model =
        (match builder.Build() with
         | Ok model -> model
         | Error _ -> invalidOp "no model")

    let branches = Branches.evaluation 0.5 (Policy.Uniform model) model
    let representation = CategoricalRepresentation(Support(0.0, 1.0, 5))
    let solution = Returns.fixedPoint few representation branches
    Assert.Equal(0.25, solution.Clipping.Below, 12)
    Assert.True(solution.Clipping.Above > 0.0 && solution.Clipping.MeanShift > 0.0)
    Assert.True(Double.IsPositiveInfinity solution.Distortion && Double.IsPositiveInfinity solution.TrueBound)
    Assert.False(representation.Covers branches)

[<Fact>]
let ``clipping is what the projection counts`` () =
    let law (worst: Clipping -> Clipping) (sketch, least: int, size: PositiveInt) =
        let branches = branchesIn (worldOf sketch)
        let support = Support(float (least % 5) / 4.0, float (least % 5) / 4.0 + float size.Get / 8.0, 6)
        let representation = CategoricalRepresentation support

        let table =
            Categorical.ofLaws support (Array.init branches.Places (fun place -> Distribution.ofNumbers [| float place; 0.1; -1.0 |]))

        let counted = worst (representation.Clipping(branches, table))
        let projections = Array.init branches.Places (fun place -> Categorical.project support (branches.Law(table, place)))
        let largest pick = projections |> Array.map pick |> Array.max

        same counted.Below (largest _.Below)
        .&. same counted.Above (largest _.Above)
        .&. same counted.MeanShift (largest (fun projection -> abs projection.MeanShift))

    holds (law id)
    refuted (law (fun clipping -> { clipping with Below = clipping.Above; Above = clipping.Below }))
    refuted (law (fun clipping -> { clipping with MeanShift = clipping.Below + clipping.Above }))

[<Fact>]
let ``control has the optimal means, and one lookahead more those of every action`` () =
    let law (direction: Direction) (sketch) =
        let world = worldOf sketch
        let model = modelOf world
        let bellman = Bellman.Create(model, world.Discount, Expectation(), Extreme Direction.Maximise)
        let values = (FixedPoint.picard few bellman.Operator (Array.zeroCreate model.StateCount)).Value
        let rowValues = Array.zeroCreate model.RowCount
        bellman.Sweep.ActionValues(values, rowValues, CancellationToken.None) |> ignore
        let lookahead = Branches.lookahead world.Discount model
        let representation = CategoricalRepresentation(Support(-20.0, 20.0, 81))
        let struct (_, solution) = Returns.control few representation direction world.Discount model
        let rows = Returns.ofRows representation world.Discount model solution.Table
        let near (a: float) b = abs (a - b) <= 1e-7

        (Array.forall2 near solution.Table.Means values |> Prop.label "means of states")
        .&. (Array.forall2 near rows.Means rowValues |> Prop.label "means of rows")
        .&. (Array.forall2 near rows.Means (lookahead.Means values) |> Prop.label "means of branches")

    holds (law Direction.Maximise)
    refuted (law Direction.Minimise)

[<Fact>]
let ``a run that is cancelled ends at once and says so`` () =
    use source = new CancellationTokenSource()
    source.Cancel()
    let branches = branchesIn { Seed = 1; States = 3; Discount = 0.6 }
    let representation = CategoricalRepresentation(Support(-4.0, 4.0, 9))
    let solution = Returns.fixedPoint { few with Cancellation = source.Token } representation branches
    Assert.Equal(Outcome.Cancelled, solution.Outcome)
    Assert.True(Double.IsPositiveInfinity solution.Bound)

    Assert.Throws<OperationCanceledException>(fun () -> Returns.exact 5 0.0 1000 source.Token branches |> ignore)
    |> ignore

[<Fact>]
let ``large models give the same in parallel as in one block`` () =
    let model = Garnet.create (Generator 1) 3_000 3 4
    let branches = Branches.evaluation 0.9 (Policy.Uniform model) model
    let support = CategoricalRepresentation.Covering(51, branches)
    let representation = CategoricalRepresentation support
    let start = Categorical.ofLaws support (Array.init 3_000 (fun s -> Distribution.ofNumbers [| float (s % 11) / 2.0; 1.0 |]))
    let fast, plain = representation.Apply(branches, start), representation.Plain(branches, start)
    Assert.True(Categorical.wasserstein.Distance fast plain < 1e-12)
    let quantiles = QuantileRepresentation 20
    let start = Quantile.ofTable 20 start
    let fast, plain = quantiles.Apply(branches, start), quantiles.Plain(branches, start)
    Assert.True(Quantile.wasserstein.Distance fast plain < 1e-12)

[<Fact>]
let ``bad input is named`` () =
    let model = modelOf { Seed = 1; States = 3; Discount = 0.5 }
    let branches = branchesOf model 0.5
    let support = Support(-2.0, 2.0, 9)
    let representation = CategoricalRepresentation support
    refuses "discount" "1.5" (fun () -> branchesOf model 1.5)
    refuses "table" "2" (fun () -> representation.Apply(branches, representation.Zero 2))
    refuses "table" "3 atoms" (fun () -> representation.Apply(branches, CategoricalRepresentation(Support(0.0, 1.0, 3)).Zero 3))
    refuses "branches" "3" (fun () -> Returns.fixedPoint few representation (Branches.lookahead 0.5 model))
    refuses "branches" "1" (fun () -> CategoricalRepresentation.Covering(5, branchesOf model 1.0))
    refuses "place" "3" (fun () -> branches.At 3)
    refuses "joining" "-1" (fun () -> ExactRepresentation(-1.0, 5))
    refuses "count" "0" (fun () -> QuantileRepresentation 0)
    refuses "share" "0" (fun () -> TwoAtomRepresentation 0.0)

/// Distributional operators keep what they claim, and what is false of them is pinned.
module ValueFlow.Tests.Returns.OperatorTests

open System
open Xunit
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns
open ValueFlow.Laws
open ValueFlow.Tests.Returns
open ValueFlow.Tests.Returns.Subjects

[<Fact>]
let ``the categorical operator contracts in W1 and in Cramer's distance, purely, and equals its plain form`` () =
    for support in supports do
        let representation = CategoricalRepresentation support
        let subject = categorical support (evaluation representation)
        obeys Law.contraction subject
        obeys Law.purity subject
        obeys (Law.equality 1e-14 (categorical support (plainly representation))) subject

    let representation = CategoricalRepresentation supports[0]
    let plain = categorical supports[0] (plainly representation)

    for follow in wrongly do
        violates (Law.equality 1e-14 plain) (categorical supports[0] (followed follow representation))

    // A modulus that is too small in either metric, and gamma in metrics in which it is none.
    let claiming metric (modulus: float -> float) =
        categorical supports[0] (fun model discount ->
            { evaluation representation model discount with Claims = [] }
            |> Operator.claiming metric (modulus (branchesOf model discount).MeanDiscount))

    violates Law.contraction (claiming Categorical.wasserstein (fun g -> 0.9 * g))
    violates Law.contraction (claiming Categorical.cramer (fun g -> 0.9 * sqrt g))
    violates Law.contraction (claiming (Statewise.metric "total variation" true Line.totalVariation) id)
    violates Law.contraction (claiming (Statewise.wasserstein 2.0) id)

[<Fact>]
let ``the quantile operator contracts in W_infinity, in order, and equals its plain form`` () =
    for count in [ 1; 2; 5; 8 ] do
        let representation = QuantileRepresentation count
        let subject = quantile count (evaluation representation)
        Law.all subject |> List.iter _.Require()
        obeys (Law.equality 1e-14 (quantile count (plainly representation))) subject

    let representation = QuantileRepresentation 5

    for follow in wrongly do
        violates (Law.equality 1e-14 (quantile 5 (plainly representation))) (quantile 5 (followed follow representation))

    // Levels reached in the order of the branches, values unsorted.
    let unsorted (model: Model) (discount: float) =
        let branches = branchesOf model discount

        { evaluation representation model discount with
            Apply =
                fun table ->
                    let raw =
                        Array.init branches.Places (fun place ->
                            branches.At place
                            |> Array.collect (fun struct (_, r, g, source) ->
                                if source < 0 then
                                    Array.create 5 r
                                else
                                    table.Values(source).ToArray() |> Array.map (fun v -> r + g * v))
                            |> fun values -> if values.Length = 0 then Array.zeroCreate 5 else Array.truncate 5 values)

                    Quantile.ofValues 5 (Array.concat raw)
            ApplyInto = ValueNone
        }

    violates (Law.equality 1e-14 (quantile 5 (plainly representation))) (quantile 5 unsorted)

    // In W_1 it is no contraction.
    let inFirst (model: Model) (discount: float) =
        { evaluation representation model discount with Claims = [] }
        |> Operator.claiming (Statewise.wasserstein 1.0) (branchesOf model discount).LargestDiscount

    violates Law.contraction (quantile 5 inFirst)

[<Fact>]
let ``the two-atom operator contracts in the sup norm, in order, and equals its plain form`` () =
    for share in [ 0.001; 0.1; 0.5; 0.8; 0.999 ] do
        let representation = TwoAtomRepresentation share
        let subject = twoAtom share (evaluation representation)
        Law.all subject |> List.iter _.Require()
        obeys (Law.equality 1e-12 (twoAtom share (plainly representation))) subject

    let representation = TwoAtomRepresentation 0.3

    for follow in wrongly do
        violates (Law.equality 1e-12 (twoAtom 0.3 (plainly representation))) (twoAtom 0.3 (followed follow representation))

    // The shares of the atoms exchanged.
    let exchanged (model: Model) (discount: float) =
        let other = TwoAtomRepresentation 0.7

        { evaluation representation model discount with
            Apply =
                fun table ->
                    let atoms =
                        [|
                            for place in 0 .. table.Places - 1 do
                                yield table.Worst place
                                yield table.Best place
                        |]

                    let result = other.Apply(branchesOf model discount, TwoAtom.ofAtoms 0.7 atoms)

                    TwoAtom.ofAtoms
                        0.3
                        [|
                            for place in 0 .. result.Places - 1 do
                                yield result.Worst place
                                yield result.Best place
                        |]
            ApplyInto = ValueNone
        }

    violates (Law.equality 1e-12 (twoAtom 0.3 (plainly representation))) (twoAtom 0.3 exchanged)

[<Fact>]
let ``the push-forward of exact laws contracts in every W_p, in Cramer's distance and in the energy MMD`` () =
    let representation = ExactRepresentation(0.0, 100_000)

    let subject =
        exact (fun model discount ->
            let branches = branchesOf model discount

            [ 0.5; 1.0; 1.5 ]
            |> List.fold
                (fun operator exponent -> Operator.claim (representation.EnergyClaim(exponent, branches)) operator)
                (ReturnOperator.create representation branches))

    obeys Law.contraction subject
    obeys Law.purity subject

    let claiming metric modulus =
        exact (fun model discount ->
            let branches = branchesOf model discount

            { ReturnOperator.create representation branches with Claims = [] }
            |> Operator.claiming metric (modulus branches.LargestDiscount))

    violates Law.contraction (claiming (Statewise.metric "total variation" true Line.totalVariation) id)
    violates Law.contraction (claiming (Statewise.metric "Kolmogorov" true Line.kolmogorov) id)
    violates Law.contraction (claiming Statewise.cramer id)
    violates Law.contraction (claiming (Statewise.wasserstein 2.0) (fun g -> g * g))
    violates Law.contraction (claiming (Statewise.energyMmd 1.0) id)

[<Fact>]
let ``means obey the ordinary operators: evaluation, and optimality under greedy control`` () =
    let ordinary (bellman: Model -> float -> Bellman) =
        means (fun model discount ->
            let bellman = bellman model discount

            onTables "ordinary" (fun table ->
                bellman.Operator.Apply(livingMeans model table) |> Array.map Distribution.point |> LawTable :> ReturnTable))

    let evaluation = ordinary (fun model discount -> Bellman.Evaluation(model, discount, policyOf model))
    let optimality = ordinary (fun model discount -> Bellman.Optimality(model, discount))
    let minimality = ordinary (fun model discount -> Bellman.Create(model, discount, Expectation(), Extreme Direction.Minimise))

    let categorically (make: CategoricalRepresentation -> Model -> float -> Operator<CategoricalTable>) =
        means (fun model discount ->
            onTables "categorical" (fun table ->
                let support = wideSupport model table
                (make (CategoricalRepresentation support) model discount).Apply(Categorical.ofTable support table)))

    let law other = Law.equality 1e-11 other
    obeys (law evaluation) (categorically Subjects.evaluation)

    for follow in wrongly do
        violates (law evaluation) (categorically (followed follow))

    let onTwoAtoms =
        means (fun model discount ->
            onTables "two atoms" (fun table ->
                (Subjects.evaluation (TwoAtomRepresentation 0.3) model discount).Apply(TwoAtom.ofTable 0.3 table)))

    obeys (law evaluation) onTwoAtoms
    let greedy direction representation model discount = ReturnOperator.greedy representation direction discount model
    obeys (law optimality) (categorically (greedy Direction.Maximise))
    obeys (law minimality) (categorically (greedy Direction.Minimise))
    violates (law optimality) (categorically (greedy Direction.Minimise))

    // Greedy by the largest outcome instead of the mean.
    let hopeful (representation: CategoricalRepresentation) (model: Model) (discount: float) =
        let lookahead = Branches.lookahead discount model

        Operator.create "hopeful" representation.Space (fun table ->
            let best = Array.init lookahead.Places (fun row -> lookahead.Law(table, row).Maximum)
            representation.Apply(lookahead.Choosing(ReturnOperator.greedyRows Direction.Maximise model best), table))

    violates (law optimality) (categorically hopeful)

// A coin that pays 1 or -1 before state 1, or nothing before state 2; from there on nothing is earned, and 1 and 2 take turns.
let private turns =
    let builder = ModelBuilder 3
    builder.ParallelOutcomes <- true
    builder.Add(0, 0, 1, 0.5, 1.0)
    builder.Add(0, 0, 1, 0.5, -1.0)
    builder.Add(0, 1, 2, 1.0, 0.0)
    builder.Add(1, 0, 2, 1.0, 0.0)
    builder.Add(2, 0, 1, 1.0, 0.0)

    match builder.Build() with
    | Ok model -> model
    | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

[<Fact>]
let ``greedy laws may oscillate for ever where means tie, while the means converge at the rate of the discount`` () =
    let support = Support(-2.0, 2.0, 41)
    let operator = ReturnOperator.greedy (CategoricalRepresentation support) Direction.Maximise 0.9 turns
    Assert.Empty operator.Claims
    let start = Categorical.ofLaws support (Array.map Distribution.point [| 0.0; 1.0; 0.0 |])
    let mutable table = start
    let mutable before = table.Law 0

    for n in 1..150 do
        table <- operator.Apply table
        let law = table.Law 0
        Assert.True(abs (Array.max table.Means) <= Math.Pow(0.9, float n) + 1e-12)

        if n > 1 then
            Assert.True(Line.wasserstein 1.0 law before > 0.8, $"at step {n} the law moved by {Line.wasserstein 1.0 law before}")

        before <- law

    // Under one policy the same laws settle.
    let settled = Returns.control RunOptions.standard (CategoricalRepresentation support) Direction.Maximise 0.9 turns
    let struct (_, solution) = settled
    Assert.Equal(Outcome.Converged, solution.Outcome)
    Assert.Equal(1.0, Line.wasserstein 1.0 (solution.Table.Law 0) (Distribution.point 0.0), 6)

[<Fact>]
let ``the lowest action wins among equals, and rows are chosen by their own means on tables of rows`` () =
    Assert.Equal<int[]>([| 0; 2; 3 |], ReturnOperator.greedyRows Direction.Maximise turns [| 1.0; 1.0; 0.0; 0.0 |])
    Assert.Equal<int[]>([| 1; 2; 3 |], ReturnOperator.greedyRows Direction.Maximise turns [| 1.0; 2.0; 0.0; 0.0 |])
    Assert.Equal<int[]>([| 0; 2; 3 |], ReturnOperator.greedyRows Direction.Minimise turns [| 1.0; 2.0; 0.0; 0.0 |])

    // On rows: the law of the row that is best next.
    let builder = ModelBuilder 2
    builder.Add(0, 0, 1, 1.0, 1.0)
    builder.Add(1, 0, 1, 1.0, 0.0)
    builder.Add(1, 1, 0, 1.0, 0.0)

    let model =
        (match builder.Build() with
         | Ok model -> model
         | Error _ -> invalidOp "no model")

    let table = LawTable(Array.map Distribution.point [| 5.0; 1.0; 2.0 |])
    let operator direction = ReturnOperator.rowGreedy (ExactRepresentation(0.0, 100)) direction 0.5 model
    Assert.Equal<float[]>([| 2.0; 1.0; 2.5 |], ((operator Direction.Maximise).Apply table).Means)
    Assert.Equal<float[]>([| 1.5; 0.5; 2.5 |], ((operator Direction.Minimise).Apply table).Means)

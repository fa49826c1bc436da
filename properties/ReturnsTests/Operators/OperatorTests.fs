/// Distributional operators keep what they claim, and what is false of them is pinned.
module ValueFlow.Tests.Returns.OperatorTests

open System
open Xunit
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns
open ValueFlow.Laws
open ValueFlow.Tests.Returns.Subjects

[<Fact>]
let ``the categorical operator contracts in W1 and in Cramer's distance, purely, and equals its plain form`` () =
    for support in supports do
        let representation = CategoricalRepresentation support
        let subject = categorical support (evaluation representation)
        holds Law.contraction subject
        holds Law.purity subject
        holds (Law.equality 1e-14 (categorical support (plainly representation))) subject

[<Fact>]
let ``the quantile operator contracts in W_infinity, in order, and equals its plain form`` () =
    for count in [ 1; 2; 5; 8 ] do
        let representation = QuantileRepresentation count
        let subject = quantile count (evaluation representation)
        Law.all subject |> List.iter _.Require()
        holds (Law.equality 1e-14 (quantile count (plainly representation))) subject

[<Fact>]
let ``the two-atom operator contracts in the sup norm, in order, and equals its plain form`` () =
    for share in [ 0.001; 0.1; 0.5; 0.8; 0.999 ] do
        let representation = TwoAtomRepresentation share
        let subject = twoAtom share (evaluation representation)
        Law.all subject |> List.iter _.Require()
        holds (Law.equality 1e-12 (twoAtom share (plainly representation))) subject

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

    holds Law.contraction subject
    holds Law.purity subject

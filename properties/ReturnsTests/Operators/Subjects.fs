/// Operators on tables as subjects of laws, over random decision processes.
module ValueFlow.Tests.Returns.Subjects

open System
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns
open ValueFlow.Laws

/// A policy that is neither uniform nor deterministic: weights 1, 0, 3, 1, 0, 3, ... over the rows of a state.
let policyOf (model: Model) : Policy =
    let weights = Array.zeroCreate model.RowCount

    for state in 0 .. model.StateCount - 1 do
        let first, next = model.RowOffsets[state], model.RowOffsets[state + 1]
        let raw = Array.init (next - first) (fun i -> [| 1.0; 0.0; 3.0 |][i % 3])
        let total = Array.sum raw

        for row in first .. next - 1 do
            weights[row] <- raw[row - first] / total

    Policy.Stochastic(model, weights)

/// The branches of a random process under the policy.
let branchesOf (model: Model) (discount: float) : Branches = Branches.evaluation discount (policyOf model) model

/// The masses that entries stand for, place by place: their sizes, or all mass on one atom where all are zero. Atoms without mass, and points, are common.
let masses (count: int) (entries: float[]) : float[] =
    entries
    |> Array.chunkBySize count
    |> Array.mapi (fun place own ->
        let total = own |> Array.sumBy abs

        if total > 0.0 then
            own |> Array.map (fun x -> abs x / total)
        else
            Array.init count (fun i -> if i = place % count then 1.0 else 0.0))
    |> Array.concat

/// A categorical operator on a support.
let categorical (support: Support) (make: Model -> float -> Operator<CategoricalTable>) : Subject<CategoricalTable> =
    Subject.familyOf
        $"categorical on {support}"
        support.Count
        (fun entries -> Categorical.ofMasses support (masses support.Count entries))
        (fun table ->
            [|
                for place in 0 .. table.Places - 1 do
                    yield! table.Masses(place).ToArray()
            |])
        make

/// An operator on quantiles.
let quantile (count: int) (make: Model -> float -> Operator<QuantileTable>) : Subject<QuantileTable> =
    Subject.familyOf
        $"{count} quantiles"
        count
        (Quantile.ofValues count)
        (fun table ->
            [|
                for place in 0 .. table.Places - 1 do
                    yield! table.Values(place).ToArray()
            |])
        make

/// An operator on two atoms.
let twoAtom (share: float) (make: Model -> float -> Operator<TwoAtomTable>) : Subject<TwoAtomTable> =
    Subject.familyOf
        $"two atoms, share {share}"
        2
        (TwoAtom.ofAtoms share)
        (fun table ->
            [|
                for place in 0 .. table.Places - 1 do
                    yield table.Worst place
                    yield table.Best place
            |])
        make

/// An operator on exact laws of a few atoms of unequal masses.
let exact (make: Model -> float -> Operator<LawTable>) : Subject<LawTable> =
    let weights = [| 0.5; 0.3; 0.2 |]

    Subject.familyOf
        "exact laws"
        3
        (fun entries -> LawTable(entries |> Array.chunkBySize 3 |> Array.map (fun atoms -> Distribution.ofAtoms atoms weights)))
        (fun table ->
            [|
                for place in 0 .. table.Places - 1 do
                    yield! [| table.Law(place).Minimum; table.Mean place; table.Law(place).Maximum |]
            |])
        make

/// The operator of a representation under the policy.
let evaluation (representation: Representation<'table>) (model: Model) (discount: float) : Operator<'table> =
    ReturnOperator.create representation (branchesOf model discount)

/// What the same operator computes law by law.
let plainly (representation: Representation<'table>) (model: Model) (discount: float) : Operator<'table> =
    let branches = branchesOf model discount
    Operator.create "plain form" representation.Space (fun table -> representation.Plain(branches, table))

/// Throws with the report unless the law holds.
let holds (law: Law<'x>) (subject: Subject<'x>) : unit = (Law.check law subject).Require()

/// Throws unless the law is refuted.
let refuted (law: Law<'x>) (subject: Subject<'x>) : unit =
    let report = Law.checkWith (LawOptions(Cases = 1000)) law subject
    Xunit.Assert.True((report.Verdict = Verdict.Refuted), report.ToString())

/// Supports on which rewards and halved atoms hit the grid and both ends, a coarse one, and one that hits nothing.
let supports =
    [
        Support(-2.0, 2.0, 9)
        Support(-1.0, 1.0, 2)
        Support(-10.0, 30.0, 41)
        Support(-0.7, 1.9, 7)
        Support(-1e4, 1e4, 5)
    ]

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

/// The masses that entries stand for, place by place: their sizes, or all mass on one atom where all are zero. Atoms without mass, and
/// points, are common.
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

/// What follows a transition in a law-by-law form that shares nothing with the fast one: its discount, and whether what stands at a
/// terminal state counts.
type Follow = Model -> float -> int -> struct (float * bool)

/// discount * continuation, and nothing after a terminal state.
let rightly: Follow =
    fun model discount k -> struct ((if model.Continuations.Length = 0 then discount else discount * model.Continuations[k]), false)

/// The law that the policy's transitions make of a table at a state.
let lawAt (follow: Follow) (model: Model) (discount: float) (policy: Policy) (table: ReturnTable) (state: int) : Distribution =
    if model.IsTerminal state then
        Distribution.point 0.0
    else
        Distribution.mixture
            [
                for row in model.RowOffsets[state] .. model.RowOffsets[state + 1] - 1 do
                    for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                        let struct (gamma, leaks) = follow model discount k
                        let next = model.Successors[k]
                        let law = if model.IsTerminal next && not leaks then Distribution.point 0.0 else table.Law next
                        struct (policy.Weights[row] * model.Probabilities[k], Distribution.affine model.Rewards[k] gamma law)
            ]

/// What the operator of a representation computes in that form.
let followed (follow: Follow) (representation: Representation<'table>) (model: Model) (discount: float) : Operator<'table> =
    let policy = policyOf model

    Operator.create "plain form" representation.Space (fun table ->
        representation.OfLaws(Array.init model.StateCount (lawAt follow model discount policy table)))

/// The right one.
let plainly (representation: Representation<'table>) : Model -> float -> Operator<'table> = followed rightly representation

/// Wrong ones: the discount squared, what stands at a terminal state leaking in, the continuation left out.
let wrongly: Follow list =
    [
        fun model discount k ->
            let struct (gamma, leaks) = rightly model discount k
            struct (gamma * discount, leaks)
        fun model discount k ->
            let struct (gamma, _) = rightly model discount k
            struct (gamma, true)
        fun _ discount _ -> struct (discount, false)
    ]

/// Tables of any kind as points: for each state a law of three atoms, of which the law looks at the mean.
let means (make: Model -> float -> Operator<ReturnTable>) : Subject<ReturnTable> =
    let weights = [| 0.5; 0.3; 0.2 |]

    Subject.familyOf
        "means"
        3
        (fun entries -> LawTable(entries |> Array.chunkBySize 3 |> Array.map (fun atoms -> Distribution.ofAtoms atoms weights)))
        _.Means
        make

/// An operator on tables of any kind, of which only what it computes is of interest.
let onTables (name: string) (apply: ReturnTable -> ReturnTable) : Operator<ReturnTable> =
    let space: Space<ReturnTable> =
        {
            Copy = id
            Combine = fun _ x _ _ -> x
            Inner = fun x y -> Space.vectors.Inner x.Means y.Means
            NotFinite = fun _ -> ValueNone
            Order = ValueNone
            Release = ignore
        }

    Operator.create name space apply

/// Means with zero at terminal states.
let livingMeans (model: Model) (table: ReturnTable) : float[] =
    table.Means |> Array.mapi (fun state mean -> if model.IsTerminal state then 0.0 else mean)

/// A support that holds all that one application can make of the table.
let wideSupport (model: Model) (table: ReturnTable) : Support =
    let size (law: Distribution) = Math.Max(abs law.Minimum, abs law.Maximum)
    let largest = Array.init table.Places (table.Law >> size) |> Array.fold max 0.0
    let reward = model.Rewards.ToArray() |> Array.fold (fun most r -> Math.Max(most, abs r)) 0.0
    Support(-1.0 - 2.0 * (largest + reward), 1.0 + 2.0 * (largest + reward), 33)

/// Throws with the report unless the law holds.
let obeys (law: Law<'x>) (subject: Subject<'x>) : unit = (Law.check law subject).Require()

/// Throws unless the law is refuted.
let violates (law: Law<'x>) (subject: Subject<'x>) : unit =
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

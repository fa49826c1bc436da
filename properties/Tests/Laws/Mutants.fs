/// Wrong operators, and the law that refutes each: the evidence that the laws can fail.
module ValueFlow.Tests.Laws.Mutants

open System
open Xunit
open Xunit.Abstractions
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws

/// A plain backup in three loops, to be spoiled: how rows are summed, and how actions are chosen.
let private backup
    (row: Model -> int -> float[] -> float -> float)
    (choose: float[] -> float)
    (model: Model)
    (discount: float)
    (values: float[])
    =
    Array.init model.StateCount (fun s ->
        if model.IsTerminal s then
            0.0
        else
            [| for r in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 -> row model r values discount |] |> choose)

let private gamma (model: Model) k = if model.Continuations.Length = 0 then 1.0 else model.Continuations[k]

let private expectation (model: Model) row (values: float[]) discount =
    seq { model.Offsets[row] .. model.Offsets[row + 1] - 1 }
    |> Seq.sumBy (fun k -> model.Probabilities[k] * (model.Rewards[k] + discount * gamma model k * values[model.Successors[k]]))

let private like (right: Bellman) name apply = { right.Operator with Name = name; Apply = apply; ApplyInto = ValueNone }

let private spoiled name (make: Model -> float -> float[] -> float[]) =
    Subject.family name (fun model discount -> like (Bellman.Optimality(model, discount)) name (make model discount))

let private tensorOperator name apply = Operator.create name (Space.tensors ()) apply |> Operator.claiming (TensorMetric.sup ()) 1.0

/// Mutants: the law, whether it is a subtle one, what is wrong, and the report.
let all: (bool * string * Lazy<Report>) list =
    let refute law subject = lazy (Law.checkWith (LawOptions(Cases = 2000, MaximumSeconds = 20.0)) law subject)
    let right = Subject.family "optimality" (fun model discount -> (Bellman.Optimality(model, discount)).Operator)

    [
        false,
        "the discount is applied twice to rewards and not to values",
        refute Law.contraction (spoiled "undiscounted" (backup (fun m r v _ -> expectation m r v 1.0) Array.max))
        true,
        "equal action values add up instead of counting once",
        refute
            Law.contraction
            (spoiled
                "summed ties"
                (backup expectation (fun q -> let best = Array.max q in best + 0.001 * float (Array.filter ((=) best) q).Length)))
        true,
        "the Boltzmann mean is claimed to be a non-expansion",
        refute
            Law.contraction
            (Subject.family "Boltzmann mean" (fun model discount ->
                like
                    (Bellman.Optimality(model, discount))
                    "Boltzmann mean"
                    (Bellman.Create(model, discount, Expectation(), Boltzmann 5.0)).Operator.Apply))
        false,
        "one successor enters with the wrong sign",
        refute
            Law.monotonicity
            (spoiled "sign" (backup (fun m r v g -> expectation m r (Array.mapi (fun i x -> if i = 0 then -x else x) v) g) Array.max))
        true,
        "a choice among three or more earns a bonus for how far they lie apart",
        refute
            Law.monotonicity
            (spoiled
                "bonus"
                (backup expectation (fun q -> if q.Length < 3 then Array.max q else Array.max q + 0.1 * (Array.max q - Array.min q))))
        false,
        "terminal states are backed up like others",
        refute
            Law.translation
            (Subject.family "terminal leak" (fun model discount ->
                like (Bellman.Optimality(model, discount)) "terminal leak" (fun v ->
                    backup expectation Array.max model discount v
                    |> Array.mapi (fun s x -> if model.IsTerminal s then v[s] else x))))
        true,
        "missing mass is not missed: the factor is claimed to be the discount exactly",
        refute
            Law.translation
            (Subject.family "mass" (fun model discount ->
                { (Bellman.Optimality(model, discount)).Operator with
                    Translation =
                        ValueSome(
                            struct ((if Seq.exists model.IsTerminal [ 0 .. model.StateCount - 1 ] then 0.0 else discount * (1.0 - 1e-12)),
                                    discount * (1.0 + 1e-12))
                        )
                }))
        false,
        "a constant too much",
        refute (Law.nonExpansion Metric.sup) (Subject.vectors 2 (Operator.create "1.1 x" Space.vectors (Array.map (fun x -> 1.1 * x))))
        true,
        "the mean of the two largest, with weights that sum to 1.0001",
        refute
            (Law.nonExpansion Metric.sup)
            (Subject.vectors
                3
                (Operator.create "weights" Space.vectors (fun x -> let s = Array.sort x in Array.create 3 (0.6 * s[2] + 0.4001 * s[1]))))
        false,
        "the point is zero",
        refute
            (Law.fixedPoint 1e-6 (fun _ _ -> Array.zeroCreate 2))
            (Subject.vectors 2 (Operator.onVectors "x/2 + 1" 0.5 (Array.map (fun x -> x / 2.0 + 1.0))))
        true,
        "the point is off by 1e-5",
        refute
            (Law.fixedPoint 1e-6 (fun _ _ -> [| 2.0; 2.00001 |]))
            (Subject.vectors 2 (Operator.onVectors "x/2 + 1" 0.5 (Array.map (fun x -> x / 2.0 + 1.0))))
        false, "min instead of max", refute (Law.equality 1e-12 right) (spoiled "min" (backup expectation Array.min))
        true,
        "the total-variation summary over the nominal successors alone",
        refute
            (Law.equality
                1e-12
                (Subject.family "tv" (fun model discount ->
                    (Bellman.Create(model, discount, TotalVariation(0.2), Extreme Direction.Maximise)).Operator)))
            (Subject.family "tv-support" (fun model discount ->
                (Bellman.Create(model, discount, TotalVariation(0.2, Support.Nominal, Attitude.Adverse), Extreme Direction.Maximise))
                    .Operator))
        false,
        "the argument is changed in place",
        refute
            Law.purity
            (Subject.vectors
                2
                (Operator.create "in place" Space.vectors (fun x ->
                    x[0] <- x[0] + 1.0
                    Array.copy x)))
        true,
        "the argument itself is returned where nothing changes",
        refute
            Law.purity
            (Subject.vectors
                2
                (Operator.create "clamp" Space.vectors (fun x -> if Array.forall (fun v -> v >= 0.0) x then x else Array.map (max 0.0) x)))
        true,
        "ApplyInto adds to what stands there",
        refute
            Law.purity
            (Subject.vectors
                2
                { Operator.create "adds" Space.vectors Array.copy with
                    ApplyInto =
                        ValueSome(
                            Into(fun x y ->
                                for i in 0..1 do
                                    y[i] <- (if y[i] <> x[i] then y[i] else 0.0) + x[i])
                        )
                })
        false, "a temporary is not freed", refute Law.leakFreedom (Subject.tensors 2 (tensorOperator "leaky" (fun x -> (x.mul x).neg())))
        true,
        "a temporary is not freed where an entry is negative",
        refute
            Law.leakFreedom
            (Subject.tensors
                2
                (tensorOperator "leaks below zero" (fun x ->
                    let negative = Lifetime.within (fun () -> (Elementwise.isAtMost -1e-300 x).any().item<bool>())
                    if negative then (x.abs ()).neg() else x.neg ())))
    ]

type MutantTests(output: ITestOutputHelper) =

    [<Fact>]
    member _.``every law refutes an obvious mutant and a subtle one, with a small counterexample``() =
        for subtle, wrong, report in all do
            let report = report.Value
            let kind = if subtle then "subtle" else "obvious"
            output.WriteLine $"[{kind}] {wrong}\n{report}\n"
            Assert.True((report.Verdict = Verdict.Refuted), $"{wrong}\n{report}")
            // At most three states and actions, or three entries: something one can work out by hand.
            Assert.True(report.Counterexample.Split('\n').Length <= 10, report.Counterexample)

        for law in
            [
                "contraction"
                "monotonicity"
                "translation"
                "non-expansion"
                "fixed point"
                "equality"
                "purity"
                "leak-freedom"
            ] do
            for kind in [ true; false ] do
                Assert.Contains(all, fun (subtle, _, report) -> subtle = kind && report.Value.Law = law)

    /// Asadi and Littman 2017: two states, two actions; the mean under a softmax of sharpness 16.55 draws two value functions apart.
    [<Fact>]
    member _.``the Boltzmann mean is no non-expansion: a pinned pair``() =
        let boltzmann (q: float[]) =
            let best = Array.max q
            let weights = q |> Array.map (fun x -> exp (16.55 * (x - best)))
            (Array.map2 (*) weights q |> Array.sum) / Array.sum weights

        // Found by a search over pairs at distance 0.01, and pinned.
        let x, y = [| 0.0; 0.12 |], [| 0.0; 0.13 |]
        let stretch = abs (boltzmann x - boltzmann y) / 0.01
        Assert.True(stretch > 1.05, $"{stretch}")
        Assert.Empty((Bellman.Create(FrozenLake.standard (), 0.9, Expectation(), Boltzmann 16.55)).Operator.Claims)

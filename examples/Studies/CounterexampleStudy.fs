namespace ValueFlow.Studies

open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws

/// A user's operator that looks right, and the law that finds it out.
[<Sealed>]
type CounterexampleStudy() =
    inherit
        Study(
            "counterexample",
            "A",
            "A wrong operator, caught by its law",
            "A Bellman backup with a softmax mean claims to contract by the discount; the law shrinks a counterexample that fits on a page."
        )

    override _.Run(seed, _, progress, _) =
        let options = LawOptions(Cases = 2000, Seed = seed)

        // Looks like a soft maximum; is no non-expansion (Asadi and Littman 2017).
        let wrong =
            Subject.family "backup with a softmax mean" (fun model discount ->
                let right = Bellman.Optimality(model, discount)
                let soft = Bellman.Create(model, discount, Expectation(), Boltzmann 5.0)

                { right.Operator with
                    Name = "backup with a softmax mean"
                    Apply = soft.Operator.Apply
                    ApplyInto = ValueNone
                })

        let mended =
            Subject.family "backup with a mellowmax" (fun model discount ->
                (Bellman.Create(model, discount, Expectation(), LogSumExp.Mellowmax 5.0)).Operator)

        progress.Invoke "trying the softmax mean"
        let refuted = Law.checkWith options Law.contraction wrong
        progress.Invoke "trying the mellowmax"
        let held = Law.checkWith options Law.contraction mended

        let claim text expected : Claim =
            {
                Text = text
                Expected = expected
                Relation = Relation.Equals
                Tolerance = 0.0
                Source = "Asadi and Littman 2017, An alternative softmax operator for reinforcement learning"
                ExpectReproduced = true
            }

        let asNumber condition = if condition then 1.0 else 0.0

        {
            Findings =
                [|
                    {
                        Claim = claim "the law refutes the softmax mean (1: yes)" 1.0
                        Measured = asNumber (refuted.Verdict = Verdict.Refuted)
                    }
                    {
                        Claim = claim "the law holds for the mellowmax (1: yes)" 1.0
                        Measured = asNumber (held.Verdict = Verdict.Holds)
                    }
                |]
            Tables = [| struct ("Reports", Report.ToDataFrame [ refuted; held ]) |]
            Figures = [||]
            Notes = [| refuted.ToString(); held.ToString() |]
        }

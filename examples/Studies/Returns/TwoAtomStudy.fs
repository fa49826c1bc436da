namespace ValueFlow.Studies

open System
open System.Threading
open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns

/// Two atoms for each law: optimal in the mean, and then safe or risky.
[<Sealed>]
type TwoAtomStudy() =
    inherit
        Study(
            "two-atom",
            "B",
            "Two atoms break ties of means",
            "Where a sure payment and a fair coin have the same mean, the worst atom tells the safe from the risky action; both atoms are values of robust processes."
        )

    let source = "Achab and Neu 2021, Robustness and risk management via distributional dynamic programming"

    // Three rounds, each a sure 1 or a coin of 0 or 2; then the end.
    let rounds =
        let builder = ModelBuilder 4
        builder.ParallelOutcomes <- true
        builder.Terminal 3

        for s in 0..2 do
            builder.Add(s, 0, s + 1, 0.5, 0.0)
            builder.Add(s, 0, s + 1, 0.5, 2.0)
            builder.Add(s, 1, s + 1, 1.0, 1.0)

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    // min over densities of at most 1/share of the mean of an outcome, in its dual form: max over outcomes b of b - E (b - Y)+ / share.
    let adversary (share: float) (outcomes: (float * float)[]) =
        outcomes
        |> Array.map (fun (b, _) -> b - (outcomes |> Array.sumBy (fun (y, p) -> p * Math.Max(0.0, b - y))) / share)
        |> Array.max

    let ally share outcomes = -(adversary share (outcomes |> Array.map (fun (y, p) -> -y, p)))

    // The robust process on the pairs of a row and an atom, iterated as it stands.
    let robustValues (discount: float) (share: float) (policy: Policy) (model: Model) : float[] * float[] =
        let mutable worst, best = Array.zeroCreate<float> model.RowCount, Array.zeroCreate<float> model.RowCount

        for _ in 1..400 do
            let outcomes row =
                [|
                    for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                        let next = model.Successors[k]

                        if model.IsTerminal next then
                            model.Rewards[k], model.Probabilities[k]

                        for other in model.RowOffsets[next] .. model.RowOffsets[next + 1] - 1 do
                            let p = model.Probabilities[k] * policy.Weights[other]
                            model.Rewards[k] + discount * worst[other], p * share
                            model.Rewards[k] + discount * best[other], p * (1.0 - share)
                |]

            let all = Array.init model.RowCount outcomes
            worst <- all |> Array.map (adversary share)
            best <- all |> Array.map (ally (1.0 - share))

        worst, best

    override _.Run(seed, quick, progress, cancellation) =
        let options = { RunOptions.standard with Tolerance = 1e-10; Cancellation = cancellation }
        let discount = 0.9
        let shares = Array.init 19 (fun i -> float (i + 1) / 20.0)

        progress.Invoke "breaking ties"
        let solve tieBreak = shares |> Array.map (fun share -> TieBreaking.solve options 1e-9 share tieBreak discount rounds)
        let safe, risky = solve TieBreak.Safe, solve TieBreak.Risky

        let takes (row: int -> int) (solutions: TieBroken[]) =
            solutions |> Array.forall (fun solution -> Seq.forall (fun s -> solution.Rows[s] = row s) (seq { 0..2 }))

        let asNumber condition = if condition then 1.0 else 0.0

        let robustGap =
            Array.append safe risky
            |> Array.map (fun solution ->
                let table = solution.Returns.Table
                let worst, best = robustValues discount table.Share solution.Policy rounds

                let gaps =
                    Array.init rounds.RowCount (fun row -> Math.Max(abs (worst[row] - table.Worst row), abs (best[row] - table.Best row)))

                Array.max gaps)
            |> Array.max

        progress.Invoke "evaluating random processes"

        let garnets =
            [|
                for i in 1 .. (if quick then 4 else 10) do
                    let generator = Generator(1000 * seed + i)
                    let model = Garnet.create generator 8 2 3
                    let policy = Policy.Uniform model
                    let share = 0.1 + 0.8 * generator.Uniform()
                    let representation = TwoAtomRepresentation share
                    let branches = Branches.rowEvaluation discount policy model
                    let solution = Returns.fixedPoint options representation branches
                    let worst, best = robustValues discount share policy model
                    let operator = ReturnOperator.create representation branches
                    let random () = TwoAtom.ofAtoms share (Array.init (2 * model.RowCount) (fun _ -> 10.0 * generator.Uniform()))

                    let ratio =
                        Seq.init 200 (fun _ ->
                            let x, y = random (), random ()
                            TwoAtom.sup.Distance (operator.Apply x) (operator.Apply y) / TwoAtom.sup.Distance x y)
                        |> Seq.max

                    let bellman = Bellman.Evaluation(model, discount, policy)
                    let values = (FixedPoint.picard options bellman.Operator (Array.zeroCreate model.StateCount)).Value
                    let rowValues = Array.zeroCreate model.RowCount
                    bellman.Sweep.ActionValues(values, rowValues, CancellationToken.None) |> ignore
                    let largest f = Array.init model.RowCount f |> Array.max
                    let table = solution.Table

                    {|
                        Share = share
                        Ratio = ratio
                        Robust = largest (fun row -> Math.Max(abs (worst[row] - table.Worst row), abs (best[row] - table.Best row)))
                        Mean = largest (fun row -> abs (table.Mean row - rowValues[row]))
                    |}
            |]

        let worst pick = garnets |> Array.map pick |> Array.max
        // The row of the first round that each policy takes: 0 is the coin, 1 the sure payment.
        let atom (row: int) (pick: TwoAtomTable -> int -> float) (solutions: TieBroken[]) =
            solutions |> Array.map (fun solution -> pick solution.Returns.Table row)

        let best (table: TwoAtomTable) row = table.Best row
        let least (table: TwoAtomTable) row = table.Worst row
        let optimal = safe[0].Optimal[0]

        {
            Findings =
                [|
                    Findings.exact
                        "the safe policy takes the sure payment in every round, at every share (1: yes)"
                        1.0
                        Relation.Equals
                        0.0
                        source
                        (asNumber (takes (fun s -> 2 * s + 1) safe))
                    Findings.exact
                        "the risky one takes the coin (1: yes)"
                        1.0
                        Relation.Equals
                        0.0
                        source
                        (asNumber (takes (fun s -> 2 * s) risky))
                    Findings.exact
                        "both keep the optimal mean 1 + 0.9 + 0.81"
                        2.71
                        Relation.Equals
                        1e-8
                        "closed form"
                        (Array.append (atom 1 (fun table row -> table.Mean row) safe) (atom 0 (fun table row -> table.Mean row) risky)
                         |> Array.maxBy (fun mean -> abs (mean - 2.71)))
                    Findings.exact
                        "their atoms are the values of the robust process: largest difference"
                        0.0
                        Relation.AtMost
                        1e-8
                        $"dual of the adversary's linear program; {source}"
                        robustGap
                    Findings.exact
                        "so they are on random processes"
                        0.0
                        Relation.AtMost
                        1e-8
                        $"dual of the adversary's linear program; {source}"
                        (worst _.Robust)
                    Findings.exact
                        "the mean of both atoms is the ordinary value: largest difference"
                        0.0
                        Relation.AtMost
                        1e-8
                        "means are kept"
                        (worst _.Mean)
                    Findings.exact
                        "distances of tables shrink by the discount: largest ratio"
                        discount
                        Relation.AtMost
                        1e-9
                        "tail means expand no sup norm"
                        (worst _.Ratio)
                |]
            Tables =
                [|
                    struct ("Random processes (8 states, discount 0.9)",
                            DataFrame(
                                DoubleDataFrameColumn("share", garnets |> Array.map _.Share),
                                DoubleDataFrameColumn("largest ratio of distances", garnets |> Array.map _.Ratio),
                                DoubleDataFrameColumn("difference to the robust values", garnets |> Array.map _.Robust),
                                DoubleDataFrameColumn("difference of means", garnets |> Array.map _.Mean)
                            ))
                |]
            Figures =
                [|
                    LineFigure(
                        "Three rounds of a sure 1 or a coin of 0 or 2: tails of equal means",
                        "share of the worst atom, alpha",
                        "return from the start (discount 0.9)",
                        [|
                            Worlds.curve "risky: Q2, mean of the best 1 - alpha" shares (atom 0 best risky)
                            Worlds.curve "safe: Q1 = Q2" shares (atom 1 least safe)
                            Worlds.curve "risky: Q1, mean of the worst alpha" shares (atom 0 least risky)
                        |],
                        false
                    )
                |]
            Notes =
                [|
                    $"The optimal mean is {optimal:F2} for every policy: the ordinary operator cannot tell them apart."
                    "Q1 is what an adversary leaves who may reweight the pairs of a next row and an atom by densities of at most 1 / alpha."
                |]
        }

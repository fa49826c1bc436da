namespace ValueFlow.Studies

open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// Two objectives with patience of their own: the best plan changes its mind at time three, and no stationary policy can.
[<Sealed>]
type SeveralDiscountsStudy() =
    inherit
        Study(
            "several-discounts",
            "A",
            "Several discounts need a memory",
            "One state, an impatient and a patient objective: the best plan serves the first for three steps and the second for ever after."
        )

    override _.Run(_, _, _, cancellation) =
        let options = { RunOptions.standard with Tolerance = 1e-12; Cancellation = cancellation }

        let model =
            let builder = ModelBuilder 1
            builder.ActionNames [| "A"; "B" |]
            builder.Add(0, 0, 0, 1.0, 0.0)
            builder.Add(0, 1, 0, 1.0, 0.0)

            match builder.Build() with
            | Ok model -> model
            | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

        let objectives =
            [|
                MultiDiscount.objective "impatient" [| 1.0; 0.0 |] 0.5 1.0
                MultiDiscount.objective "patient" [| 0.0; 0.2 |] 0.95 1.0
            |]

        let plan = MultiDiscount.solve options 60 model objectives
        let switch = plan.Actions |> Array.findIndex (fun actions -> actions[0] = 1)
        let shares = [| for i in 0..50 -> float i / 50.0 |]

        let stationary =
            shares
            |> Array.map (fun p -> (MultiDiscount.stationary options model objectives (Policy.Stochastic(model, [| p; 1.0 - p |])))[0])

        let switching n =
            let rows = Array.init 1200 (fun t -> if t < n then 0 else 1)
            MultiDiscount.total objectives rows

        let switches = [| 0..12 |]
        let augmented = MultiDiscount.augmentedTotal 0.98 objectives (Array.init 1200 (fun t -> if t < switch then 0 else 1))
        // A discount of 0.95 for everybody: the ordinary process whose reward is the sum of the two.
        let afresh = float ((MultiDiscount.solve options 57 model objectives).Actions[0]).[0]
        let aware = [| 0..12 |] |> Array.map (fun t -> (1.0 * 0.5 ** float t, 0.2 * 0.95 ** float t))

        {
            Findings =
                [|
                    Findings.exact
                        "the best plan leaves the impatient objective at time"
                        3.0
                        Relation.Equals
                        0.0
                        "closed form: ceil(log 0.2 / log(0.5 / 0.95))"
                        (float switch)
                    Findings.exact
                        "its U"
                        (1.75 + 0.2 * 0.95 ** 3.0 / 0.05)
                        Relation.Equals
                        1e-9
                        "closed form: 1.75 + 0.2 * 0.95^3 / 0.05 = 5.1795"
                        plan.Values[0]
                    Findings.exact "no plan is better by more than" 0.0 Relation.Equals 1e-9 "the bound" (plan.Upper[0] - plan.Values[0])
                    Findings.exact
                        "the best stationary policy, drawn actions included, reaches only"
                        4.0
                        Relation.Equals
                        1e-9
                        "closed form: 2 p + 4 (1 - p)"
                        (Array.max stationary)
                    Findings.exact "always A: U" 2.0 Relation.Equals 1e-9 "closed form: 1 / (1 - 0.5)" stationary[50]
                    Findings.exact "always B: U" 4.0 Relation.Equals 1e-9 "closed form: 0.2 / (1 - 0.95)" stationary[0]
                    Findings.exact
                        "rewards with weights that shrink, discounted by 0.98: the same U"
                        plan.Values[0]
                        Relation.Equals
                        1e-9
                        "an identity on every trajectory"
                        augmented
                    Findings.exact
                        "who starts afresh at time 3 with the first weights takes A again (action 0)"
                        0.0
                        Relation.Equals
                        0.0
                        "the plan is consistent only with the weights that are left"
                        afresh
                |]
            Tables =
                [|
                    struct ("U by the time of the switch from A to B",
                            DataFrame(
                                DoubleDataFrameColumn("switch", switches |> Array.map float),
                                DoubleDataFrameColumn("U", switches |> Array.map switching)
                            ))
                |]
            Figures =
                [|
                    LineFigure(
                        "One switch beats every stationary policy",
                        "time of the switch from A to B (steps)",
                        "U (sum of both objectives)",
                        [|
                            Worlds.curve "A until the switch, then B" (switches |> Array.map float) (switches |> Array.map switching)
                            Worlds.curve "best stationary policy" [| 0.0; 12.0 |] [| 4.0; 4.0 |]
                        |],
                        false
                    )
                    LineFigure(
                        "What each action is still worth",
                        "time (steps)",
                        "weight left, times reward",
                        [|
                            Worlds.curve "A, impatient" (switches |> Array.map float) (aware |> Array.map fst)
                            Worlds.curve "B, patient" (switches |> Array.map float) (aware |> Array.map snd)
                        |],
                        true
                    )
                |]
            Notes =
                [|
                    "Weights are 1 and 1; A earns 1 for the impatient objective (discount 0.5), B earns 0.2 for the patient one (0.95)."
                |]
        }

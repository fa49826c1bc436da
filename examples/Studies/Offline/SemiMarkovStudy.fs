namespace ValueFlow.Studies

open System
open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning
open ValueFlow.Core.Values

/// P139: offline learning from decisions that last, against the same learning that takes decisions for steps.
[<Sealed>]
type SemiMarkovStudy() =
    inherit
        Study(
            "semi-markov",
            "A",
            "Decisions that last, learnt from logs",
            "Offline learning with gamma^tau (SDQN, SDDQN, SBCQ, by exact fits of tables) and with gamma for every decision: a grid whose moves last 1 to 8 steps, logged at random, and a simulated anticoagulation clinic whose visits lie 1 to 28 days apart."
        )

    // So many uniform moves, anew from a random cell wherever the goal was reached.
    static let wander (generator: Generator) (terrain: Terrain) (decisions: int) =
        let outcomes = Terrain.outcomes terrain |> Array.ofList
        let cells = terrain.Times.Length
        let byMove = outcomes |> Array.map (fun outcome -> (outcome.State, outcome.Action), outcome) |> Map.ofArray
        let mutable cell = terrain.Goal

        Array.init decisions (fun _ ->
            while cell = terrain.Goal do
                cell <- generator.Below cells

            let outcome = byMove[(cell, generator.Below 4)]
            cell <- outcome.Successor
            outcome)

    override _.Run(seed, quick, progress, cancellation) =
        let options = { RunOptions.standard with Tolerance = 1e-13; Budget = 20_000; Cancellation = cancellation }

        let fitted weight rule batch =
            let found = FittedValues.run options weight rule batch
            cancellation.ThrowIfCancellationRequested()

            if found.Outcome <> Outcome.Converged then
                invalidOp $"the fit ended by {found.Outcome} at {found.Residual}"

            found.Table

        // Terrain.
        let terrainDiscount = 0.95
        let terrains = if quick then 2 else 5

        let walk instance =
            progress.Invoke $"terrain {instance + 1} of {terrains}"
            let generator = Generator(1000 * seed + instance)
            let terrain = Terrain.random generator 8 8 8
            let log = wander generator terrain 20_000
            let model = Terrain.model terrainDiscount terrain
            let bellman = Bellman.Optimality(model, terrainDiscount)
            let best = (PolicyIteration.solve RunOptions.standard bellman).Values
            let rows = Array.zeroCreate model.RowCount
            bellman.Sweep.ActionValues(best, rows, cancellation) |> ignore

            let batch (reward: HeldOutcome -> float) =
                OfflineBatch.Create(
                    terrain.Times.Length,
                    4,
                    log
                    |> Array.map (fun outcome ->
                        {
                            State = outcome.State
                            Action = outcome.Action
                            Reward = reward outcome
                            Duration = float outcome.Rewards.Length
                            Next = outcome.Successor
                            Ended = outcome.Successor = terrain.Goal
                        })
                )

            let worths = batch (fun outcome -> SemiMarkov.worth terrainDiscount outcome.Rewards)
            let totals = batch (fun outcome -> Array.sum outcome.Rewards)

            // The share of cells whose move loses less than 1e-6, and the mean share of the value that is lost by following the policy.
            let judge (table: FittedTable) (chosen: OfflineBatch) =
                let greedy = FittedValues.greedy NextValue.Largest chosen table
                let acting = [| 0 .. model.StateCount - 1 |] |> Array.filter (model.IsTerminal >> not)
                let right = acting |> Array.filter (fun s -> best[s] - rows[model.RowOffsets[s] + greedy[s]] < 1e-6)

                let values = (PolicyEvaluation.linear RunOptions.standard (Policy.Deterministic(model, ReadOnlySpan greedy)) bellman).Values

                let lost = acting |> Array.averageBy (fun s -> 1.0 - values[s] / best[s])
                struct (float right.Length / float acting.Length, lost, greedy)

            let lasting = SemiMarkovTargets.lasting terrainDiscount
            let semi = fitted lasting NextValue.Largest worths

            let off =
                Seq.max
                    [
                        for s in 0 .. model.StateCount - 1 do
                            if not (model.IsTerminal s) then
                                abs (Array.max semi.Online[4 * s .. 4 * s + 3] - best[s])
                    ]

            {|
                Model = model
                Best = best
                Off = off
                Semi = judge semi worths
                Double = judge (fitted lasting NextValue.OfBestOnline worths) worths
                Decision = judge (fitted (SemiMarkovTargets.byDecision terrainDiscount) NextValue.Largest totals) totals
            |}

        let walks = Array.init terrains walk
        let share (struct (right: float, _: float, _: int[])) = right
        let lost (struct (_: float, loss: float, _: int[])) = loss

        // Clinic.
        progress.Invoke "clinic"
        let patients = if quick then 800 else 3000
        let astray, days = 0.3, 180
        let struct (_, visits) = Anticoagulation.follow (Generator seed) patients days (Anticoagulation.doctor astray)

        let evaluate policy =
            cancellation.ThrowIfCancellationRequested()
            let struct (inRange, _) = Anticoagulation.follow (Generator(100 + seed)) patients days policy
            inRange

        // Visits that led to where nothing was ever followed up say nothing of what came next.
        let rec followed (visits: Visit[]) =
            let acted = visits |> Array.map _.State |> Set.ofArray
            let kept = visits |> Array.filter (fun visit -> acted.Contains visit.Next)
            if kept.Length = visits.Length then kept else followed kept

        let visits = followed visits

        let clinic (discount: float) (semi: bool) rule =
            let steps =
                visits
                |> Array.map (fun visit ->
                    let rewards = visit.InRange |> Array.map (fun good -> if good then 1.0 else 0.0)

                    {
                        State = visit.State
                        Action = visit.Action
                        Reward = (if semi then SemiMarkov.worth discount rewards else Array.sum rewards)
                        Duration = float rewards.Length
                        Next = visit.Next
                        Ended = false
                    })

            let batch = OfflineBatch.Create(Anticoagulation.states, Anticoagulation.actions, steps)
            let weight = if semi then SemiMarkovTargets.lasting discount else SemiMarkovTargets.byDecision discount
            let table = FittedValues.run { options with Tolerance = 1e-9 } weight rule batch
            let greedy = FittedValues.greedy rule batch table.Table
            // Where there are no data the doctor decides.
            evaluate (fun _ inr state -> if greedy[state] < 0 then Anticoagulation.prescribed inr else greedy[state])

        let discounts = [| 0.9; 0.97; 0.99 |]

        let agents = [| "largest", NextValue.Largest; "constrained to 0.1", NextValue.Constrained 0.1 |]

        let shares =
            agents
            |> Array.map (fun (_, rule) ->
                discounts |> Array.map (fun discount -> struct (clinic discount true rule, clinic discount false rule)))

        let doctor, rule = evaluate (Anticoagulation.doctor astray), evaluate (Anticoagulation.doctor 0.0)
        let struct (sdqn, dqn) = shares[0][1]
        let struct (sbcq, bcq) = shares[1][1]

        let map title (greedy: int[]) (values: float[]) (model: Model) =
            let grid = model.Grid.Value
            let arrows = greedy |> Array.map (fun action -> if action < 0 then struct (0, 0) else grid.Directions[action])
            MapFigure(title, "value of the best way", grid.Rows, grid.Columns, values, arrows, grid.Marks) :> Figure

        let first = walks[0]
        let arrowsOf (struct (_: float, _: float, greedy: int[])) = greedy
        let shown = first.Best |> Array.mapi (fun s value -> if first.Model.IsTerminal s then nan else value)
        let theory = "the fixed point of the semi-Markov operator; all moves are certain and logged"

        {
            Findings =
                [|
                    Findings.exact
                        "terrain: largest |max Q - V*| of SDQN (all cells and instances)"
                        0.0
                        Relation.Equals
                        1e-6
                        theory
                        (walks |> Array.map _.Off |> Array.max)
                    Findings.exact
                        "terrain: least share of cells in which SDQN is optimal (V* - Q* < 1e-6)"
                        1.0
                        Relation.Equals
                        0.0
                        theory
                        (walks |> Array.map (fun w -> share w.Semi) |> Array.min)
                    Findings.exact
                        "terrain: least share of cells in which SDDQN is optimal"
                        1.0
                        Relation.Equals
                        0.0
                        theory
                        (walks |> Array.map (fun w -> share w.Double) |> Array.min)
                    Findings.target
                        "terrain: largest share of cells in which DQN by decision is optimal (not all of them)"
                        0.99
                        Relation.AtMost
                        "DQN on reshaped data is not optimal"
                        (walks |> Array.map (fun w -> share w.Decision) |> Array.max)
                    Findings.target
                        "clinic, discount 0.97: time in range of SDQN less the doctor's"
                        0.0
                        Relation.AtLeast
                        "no worse than the behaviour"
                        (sdqn - doctor)
                    Findings.target
                        "clinic, discount 0.97: time in range of SDQN less that of DQN by decision"
                        0.005
                        Relation.AtLeast
                        "better than by decision"
                        (sdqn - dqn)
                    Findings.target
                        "clinic, discount 0.97: time in range of SBCQ (0.1) less that of BCQ by decision"
                        0.005
                        Relation.AtLeast
                        "better than by decision"
                        (sbcq - bcq)
                    Findings.calibratedOn
                        "2026-11-28"
                        "clinic, discount 0.97: time in range of SDQN less the doctor's, with a margin"
                        0.02
                        Relation.AtLeast
                        (sdqn - doctor)
                |]
            Tables =
                [|
                    struct ("Terrains of 8 x 8 cells, 20,000 logged moves each",
                            DataFrame(
                                DoubleDataFrameColumn("instance", walks |> Array.mapi (fun i _ -> float (i + 1))),
                                DoubleDataFrameColumn("SDQN optimal in", walks |> Array.map (fun w -> share w.Semi)),
                                DoubleDataFrameColumn("by decision optimal in", walks |> Array.map (fun w -> share w.Decision)),
                                DoubleDataFrameColumn("value lost by decision (share)", walks |> Array.map (fun w -> lost w.Decision))
                            ))
                    struct ($"Time in range of {patients} new patients (doctor {doctor:F3}, the doctor's rule alone {rule:F3})",
                            DataFrame(
                                StringDataFrameColumn(
                                    "next value",
                                    agents |> Array.collect (fun (name, _) -> Array.replicate discounts.Length name)
                                ),
                                DoubleDataFrameColumn("discount a day", Array.concat [ discounts; discounts ]),
                                DoubleDataFrameColumn("gamma^tau", shares |> Array.concat |> Array.map (fun (struct (semi, _)) -> semi)),
                                DoubleDataFrameColumn(
                                    "gamma a decision",
                                    shares |> Array.concat |> Array.map (fun (struct (_, plain)) -> plain)
                                )
                            ))
                |]
            Figures =
                [|
                    map "Learnt with gamma^tau; cells tell how long they take" (arrowsOf first.Semi) shown first.Model
                    map
                        $"Learnt by decision: right in {100.0 * share first.Decision:F0} %% of the cells"
                        (arrowsOf first.Decision)
                        shown
                        first.Model
                    LineFigure(
                        "Clinic: time in range of new patients",
                        "discount a day",
                        "share of days in range",
                        [|
                            for i in 0 .. agents.Length - 1 do
                                let name = fst agents[i]
                                Worlds.curve $"gamma^tau, {name}" discounts (shares[i] |> Array.map (fun (struct (semi, _)) -> semi))

                                Worlds.curve
                                    $"gamma a decision, {name}"
                                    discounts
                                    (shares[i] |> Array.map (fun (struct (_, plain)) -> plain))

                            Worlds.curve "doctor" discounts (Array.create discounts.Length doctor)
                        |],
                        false
                    )
                |]
            Notes =
                [|
                    "By decision a move costs one discount, however long it takes: the fewest moves are taken for the fastest way."
                    "The clinic is a simulator (one compartment, hidden response, visits by a rule), not clinical records; policies are compared on the same patients. Networks are left out: tables are fitted exactly."
                |]
        }

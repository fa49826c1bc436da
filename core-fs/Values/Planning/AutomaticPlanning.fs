namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// The method that nobody chose. For the best action under the expectation: value iteration while its bounds close quickly, and where they would take long, policy iteration or modified
/// policy iteration, whichever should cost less by what the bounds have shown; for every other pair of summaries value iteration. It looks at no clock, so that the same problem
/// always takes the same steps.
[<RequireQualifiedAccess>]
module AutomaticPlanning =

    // Widths of the bounds that are looked back upon.
    [<Literal>]
    let private Look = 8

    // Fewer sweeps than these are not worth another method.
    [<Literal>]
    let private Few = 100.0

    // Backups of the modified policy iteration.
    [<Literal>]
    let private Backups = 50

    // Krylov solves are made for no more states.
    [<Literal>]
    let private KrylovLimit = 200_000

    [<Literal>]
    let private Sweeping = 0

    [<Literal>]
    let private Improving = 1

    [<Literal>]
    let private Backing = 2

    // Value iteration for good: another method went astray.
    [<Literal>]
    let private Retreating = 3

    // What is cheapest for so many sweeps of value iteration, counting a sweep as one: a solve by factorisation takes S^3 steps, a Krylov solve some three hundred products with the
    // matrix of a policy, and half a dozen solves are needed as a rule.
    let private cheapest (model: Model) (sweeps: float) : int =
        let states, transitions = float model.stateCount, float (Math.Max(1, model.successors.Length))
        let actions = float model.RowCount / Math.Max(1.0, states)
        let backing = sweeps * (1.0 + float Backups / actions) / float (Backups + 1)

        let improving =
            if model.stateCount <= LinearEvaluation.DenseLimit then 6.0 * states * states * states / transitions
            elif model.stateCount <= KrylovLimit then 6.0 * 300.0 * Math.Max(1.0, 4.0 / actions)
            else Double.PositiveInfinity

        if improving < Math.Min(backing, 0.7 * sweeps) then Improving
        elif backing < 0.7 * sweeps then Backing
        else Sweeping

    let private described (visited: int) =
        [
            "value iteration"
            if visited &&& 2 <> 0 then
                "policy iteration"
            if visited &&& 4 <> 0 then
                $"modified policy iteration ({Backups})"
        ]
        |> String.concat ", then "

    let private switching checkpoint (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution =
        let model = bellman.Kernel.Model
        let chosen = Array.create model.stateCount -1
        let sweep = ValueIteration.advanceOf bellman
        let improve = PolicyIteration.improving options bellman chosen
        let back = PolicyIteration.backing Backups options bellman
        let struct (_, factor) = bellman.Factors
        // The phase, the phases so far as bits, the sweeps of this phase, and those since its width halved.
        let phases = [| Sweeping; 1; 0; 0 |]
        // Widths of the bounds, the latest first.
        let widths = Array.create Look Double.PositiveInfinity
        // The width that the next halving is measured by.
        let best = [| Double.PositiveInfinity |]

        let enter phase =
            phases[0] <- phase
            phases[1] <- phases[1] ||| (1 <<< phase)
            phases[2] <- 0
            phases[3] <- 0
            best[0] <- widths[0]

        // Four times the sweeps within which so many backups halve the width.
        let patience = Look + int (Math.Min(1e6, 4.0 * log 2.0 / (float Backups * (1.0 - factor))))

        // The sweeps that value iteration would still take.
        let remaining (bracket: Bracket) =
            let pace = Math.Pow(widths[0] / widths[Look - 1], 1.0 / float (Look - 1))

            if not (widths[Look - 1] < Double.PositiveInfinity) || bracket.HalfWidth <= 100.0 * bracket.Floor then
                0.0
            elif not (pace < 1.0) then
                1e9
            else
                log (widths[0] / Math.Min(widths[0], 2.0 * options.Tolerance)) / -log pace

        let choose (bracket: Bracket) =
            match phases[0] with
            | Sweeping when phases[2] >= Look ->
                let sweeps = remaining bracket

                if sweeps > Few then
                    match cheapest model sweeps with
                    | Sweeping -> ()
                    | phase -> enter phase
            // Half a dozen improvements that do not halve the width: there are many decisions to mend, one after another.
            | Improving when phases[2] >= Look && widths[0] > 0.5 * widths[Look - 1] -> enter Backing
            | Backing when phases[3] > patience -> enter Retreating
            | _ -> ()

        let advance =
            Planning.Advance(fun values image bracket ->
                Array.Copy(widths, 0, widths, 1, Look - 1)
                widths[0] <- bracket.Above - bracket.Below

                if widths[0] <= 0.5 * best[0] then
                    best[0] <- widths[0]
                    phases[3] <- 0

                choose bracket
                phases[2] <- phases[2] + 1
                phases[3] <- phases[3] + 1

                match phases[0] with
                | Improving -> improve.Invoke(values, image, bracket)
                | Backing -> back.Invoke(values, image, bracket)
                | _ -> sweep.Invoke(values, image, bracket))

        let scheme: Planning.Scheme =
            { Name = "automatic"; Pace = 1.0; Integers = [| phases; chosen |]; Numbers = [| widths; best |] }

        let apply source destination = bellman.Sweep.Apply(source, destination, options.Cancellation)
        let solution = Planning.run scheme checkpoint options bellman apply (Bracket.ofApplication bellman) given advance
        { solution with Method = described phases[1] }

    let internal solveKept checkpoint (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution =
        match bellman.State, bellman.Action with
        | (:? Expectation), (:? Extreme) when not bellman.Operator.Claims.IsEmpty -> switching checkpoint given options bellman
        | _ -> ValueIteration.solveKept checkpoint given options bellman

    /// Starts from the caller's values, which it leaves as they are.
    let solveFrom (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution = solveKept ValueNone given options bellman

    /// Starts from zero. The solution names the methods that were used.
    let solve (options: RunOptions) (bellman: Bellman) : Solution = solveFrom ValueNone options bellman

namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// Methods that improve a policy and evaluate it, wholly or in part.
[<RequireQualifiedAccess>]
module PolicyIteration =

    let private directionOf (name: string) (bellman: Bellman) =
        match bellman.Action with
        | :? Extreme as extreme -> extreme.Direction.Value
        | other -> invalidArg (nameof bellman) $"{name} needs max or min as action summary but found '{other.Name}'"

    let private copy (source: float[]) (destination: float[]) = Array.blit source 0 destination 0 source.Length

    // V <- T V under the chosen rows, count times at most, until the change is small; the result stands in values, image is scratch.
    let private backup (bellman: Bellman) chosen count (enough: float) (values: float[]) (image: float[]) cancellation =
        let mutable left = count
        let mutable going = true

        while going && left > 0 do
            going <- bellman.Sweep.ApplyChosen(values, image, chosen, cancellation)

            if going then
                let struct (smallest, largest) = Bracket.extremes bellman.Kernel values image
                copy image values

                left <-
                    if largest - smallest <= enough && Math.Max(abs smallest, abs largest) <= enough then
                        0
                    else
                        left - 1

        going

    // Backups that evaluate a policy under a summary without a linear solve, at most; fewer do, unless rounding keeps the change from getting small.
    // No part of the budget: a run that was stopped and goes on must take the same steps.
    [<Literal>]
    let private Evaluations = 1_000_000

    // Improves the chosen rows, which are kept, and evaluates them.
    let internal improving (options: RunOptions) (bellman: Bellman) (chosen: int[]) : Planning.Advance =
        let direction = directionOf "policy iteration" bellman
        let model = bellman.Kernel.Model
        let struct (_, factor) = bellman.Factors
        let scratch = lazy (Array.zeroCreate<float> model.StateCount)

        Planning.Advance(fun values image _ ->
            let margin = 2.0 * bellman.Rounding values

            match bellman.Sweep.Improve(values, direction, margin, chosen, options.Cancellation), bellman.State with
            | -1, _ -> false
            | 0, _ ->
                // The policy stands: what is left is the error of its evaluation.
                copy image values
                true
            | _, (:? Expectation) ->
                let policy = Array.zeroCreate model.RowCount

                for row in chosen do
                    if row >= 0 then
                        policy[row] <- 1.0

                let found = LinearEvaluation.solve bellman.Kernel policy (Array.copy image) options.Cancellation
                copy (if Array.forall Double.IsFinite found then found else image) values
                // A solve that was cancelled returns its guess: no step that a run would take.
                not options.Cancellation.IsCancellationRequested
            | _ ->
                copy image values
                let enough = Math.Max(0.1 * options.Tolerance * (1.0 - factor), 0.5 * margin)
                backup bellman chosen Evaluations enough values scratch.Value options.Cancellation)

    let internal solveKept checkpoint (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution =
        let chosen = Array.create bellman.Kernel.Model.StateCount -1
        let advance = improving options bellman chosen
        let apply source destination = bellman.Sweep.Apply(source, destination, options.Cancellation)
        let scheme = { Planning.plain "policy iteration" with Integers = [| chosen |] }
        Planning.run scheme checkpoint options bellman apply (Bracket.ofApplication bellman) given advance

    /// Improves the policy, and evaluates it: by a linear solve under the expectation, by iteration under another summary. A decision changes only for one that
    /// is better by more than rounding explains, so that ties end. Howard 1960, "Dynamic programming and Markov processes".
    let solveFrom (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution = solveKept ValueNone given options bellman

    /// Starts from the greedy policy of zero values.
    let solve (options: RunOptions) (bellman: Bellman) : Solution = solveFrom ValueNone options bellman

    // The greedy policy, backed up so many times in all; arrays are kept between calls, and hold nothing.
    let internal backing (backups: int) (options: RunOptions) (bellman: Bellman) : Planning.Advance =
        let direction = directionOf "modified policy iteration" bellman
        let chosen = Array.create bellman.Kernel.Model.StateCount -1
        let scratch = lazy (Array.zeroCreate<float> chosen.Length)

        Planning.Advance(fun values image _ ->
            // The greedy policy afresh: a decision is not kept for its age.
            Array.fill chosen 0 chosen.Length -1

            if bellman.Sweep.Improve(values, direction, 0.0, chosen, options.Cancellation) < 0 then
                false
            else
                copy image values
                backup bellman chosen (backups - 1) 0.0 values scratch.Value options.Cancellation)

    let internal solveModifiedKept checkpoint (backups: int) (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution =
        if backups < 1 then
            invalidArg (nameof backups) $"backups must be at least 1 but is {backups}"

        let direction = directionOf "modified policy iteration" bellman
        let model = bellman.Kernel.Model
        let struct (_, factor) = bellman.Factors

        let lowered =
            let values = Planning.start bellman given
            let image = Array.zeroCreate values.Length
            bellman.Sweep.Apply(values, image, options.Cancellation) |> ignore
            let struct (smallest, largest) = Bracket.extremes bellman.Kernel values image

            let shift =
                if direction = Direction.Maximise then
                    Math.Min(0.0, smallest) / (1.0 - factor)
                else
                    Math.Max(0.0, largest) / (1.0 - factor)

            values |> Array.mapi (fun s value -> if model.IsTerminal s then 0.0 else value + shift)

        let advance = backing backups options bellman
        let apply source destination = bellman.Sweep.Apply(source, destination, options.Cancellation)
        let start = if Array.forall Double.IsFinite lowered then ValueSome lowered else given
        let scheme = Planning.plain $"modified policy iteration ({backups})"
        Planning.run scheme checkpoint options bellman apply (Bracket.ofApplication bellman) start advance

    /// Improves the policy, and backs it up <c>backups</c> times. Starts from the caller's values lowered by a constant (raised, for costs), so that T V >= V: then
    /// the iterates rise to the optimum. Puterman and Shin 1978, "Modified policy iteration algorithms for discounted Markov decision problems".
    let solveModifiedFrom (backups: int) (given: float[] voption) (options: RunOptions) (bellman: Bellman) : Solution =
        solveModifiedKept ValueNone backups given options bellman

    /// Starts from zero, lowered.
    let solveModified (backups: int) (options: RunOptions) (bellman: Bellman) : Solution =
        solveModifiedFrom backups ValueNone options bellman

namespace ValueFlow.Core.Values

open System.Globalization
open System.Threading
open ValueFlow.Core.Foundations

/// Plays policies on models and writes down what happens.
[<RequireQualifiedAccess>]
module Recording =

    let private header = [| "state"; "action"; "reward"; "next_state"; "terminated"; "truncated"; "episode" |]

    /// The log of so many episodes under a policy, as a file of them would be read: from an initial state drawn uniformly (any state with actions, if the model names none) until a terminal state, a
    /// transition whose continuation is zero, or the most steps, when an episode is cut off. The seed of the generator decides all. Throws an ArgumentException where the model is one of
    /// intervals or has continuations between zero and one, which no log can tell; an OperationCanceledException ends it early.
    let record
        (generator: Generator)
        (episodes: int)
        (mostSteps: int)
        (cancellation: CancellationToken)
        (policy: Policy)
        (model: Model)
        : TransitionLog =
        if episodes < 1 then
            invalidArg (nameof episodes) $"episodes must be at least 1 but are {episodes}"

        if mostSteps < 1 then
            invalidArg (nameof mostSteps) $"mostSteps must be at least 1 but are {mostSteps}"

        Shape.requireLength (nameof policy) model.RowCount policy.Rows.Length

        if model.IsInterval then
            invalidArg (nameof model) "the model must have probabilities but has intervals"

        match model.continuations |> Array.tryFind (fun c -> c > 0.0 && c < 1.0) with
        | Some c -> invalidArg (nameof model) $"continuations must be 0 or 1 for a log but one is {c}"
        | None -> ()

        let acting = [| 0 .. model.StateCount - 1 |] |> Array.filter (model.IsTerminal >> not)
        let named = model.initial |> Array.filter (model.IsTerminal >> not)
        let start = if named.Length > 0 then named else acting

        if start.Length = 0 then
            invalidArg (nameof model) "the model must have a state with actions but has none"

        let builder = TransitionLogBuilder(Findings("recorded", 1), header, "", 1)
        let mutable written = 0

        for episode in 1..episodes do
            cancellation.ThrowIfCancellationRequested()
            let mutable state = start[generator.Below start.Length]
            let mutable step = 0
            let mutable going = true

            while going do
                let first = model.rowOffsets[state]
                let actions = model.rowOffsets[state + 1] - first

                let row =
                    first
                    + (if actions = 1 then
                           0
                       else
                           Sampling.index generator (System.ReadOnlySpan(policy.Rows, first, actions)))

                let offset = model.offsets[row]

                let k =
                    offset
                    + Sampling.index generator (System.ReadOnlySpan(model.probabilities, offset, model.offsets[row + 1] - offset))

                let next = model.successors[k]
                step <- step + 1
                written <- written + 1
                let ended = model.IsTerminal next || model.Continuation k = 0.0
                let cut = not ended && step = mostSteps
                going <- not ended && not cut

                if step &&& 1023 = 0 then
                    cancellation.ThrowIfCancellationRequested()

                builder.Add(
                    [|
                        model.StateName state
                        model.ActionName model.rowActions[row]
                        model.rewards[k].ToString("R", CultureInfo.InvariantCulture)
                        model.StateName next
                        (if ended then "true" else "false")
                        (if cut then "true" else "false")
                        string episode
                    |],
                    $"step {written}",
                    written
                )

                state <- next

        builder.Build(fun step -> $"step {step}")

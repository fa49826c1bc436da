namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open System.Threading
open ValueFlow.Core.Foundations

/// Collects the parts of a model in any order, checks them all, and freezes. Rows that sum to one within 1e-6 are normalised and
/// the largest change is kept; more is an error. A state with only a self-loop of reward zero stays as it is: it absorbs.
/// Transitions of probability zero are dropped, unless they have an interval.
[<Sealed>]
type ModelBuilder(stateCount: int) =

    let mutable limit = 1000
    let errors = ResizeArray<ModelError>()
    let mutable errorCount = 0
    let warnings = ResizeArray<string>()
    let states = ResizeArray<int>()
    let actions = ResizeArray<int>()
    let successors = ResizeArray<int>()
    let probabilities = ResizeArray<float>()
    let uppers = ResizeArray<float>()
    let nominals = ResizeArray<float>()
    let rewards = ResizeArray<float>()
    let continuations = ResizeArray<float>()
    let places = ResizeArray<int>()
    let mutable interval = false
    let mutable continues = true
    let mutable parallelOutcomes = false
    let terminal = HashSet<int>()
    let initial = SortedSet<int>()
    let labels = SortedDictionary<string, SortedSet<int>>(StringComparer.Ordinal)
    let mutable stateNames: string[] = [||]
    let mutable actionNames: string[] = [||]
    let mutable grid: GridLayout voption = ValueNone

    let reportBetween fault state action place until =
        errorCount <- errorCount + 1

        if errors.Count < limit then
            errors.Add { Fault = fault; State = state; Action = action; Place = place; Until = until }

    let report fault state action place = reportBetween fault state action place place

    let known state place =
        if state >= 0 && state < stateCount then
            true
        else
            report (ModelFault.UnknownState(int64 state, stateCount)) -1 -1 place
            false

    let add state action successor nominal lower upper reward continuation place =
        if known state place && known successor place then
            if action < 0 then
                report (ModelFault.UnknownAction(int64 action)) state -1 place
            else
                if not (Double.IsFinite reward) then
                    report (ModelFault.BadReward reward) state action place

                if not (continuation >= 0.0 && continuation <= 1.0) then
                    report (ModelFault.BadContinuation continuation) state action place

                states.Add state
                actions.Add action
                successors.Add successor
                probabilities.Add lower
                nominals.Add nominal
                uppers.Add upper
                rewards.Add reward
                continuations.Add continuation
                places.Add place

                if continuation <> 1.0 then
                    continues <- false

    /// The number of states that the builder was made for.
    member _.StateCount = stateCount

    /// Adds P(successor | state, action) = probability with the reward r(state, action, successor). The place is a mark for error messages,
    /// a line number, say; -1 for none.
    member _.Add(state: int, action: int, successor: int, probability: float, reward: float, place: int) : unit =
        if not (probability >= 0.0 && probability <= 1.0) then
            report (ModelFault.BadProbability probability) state action place
        elif probability > 0.0 then
            add state action successor probability probability probability reward 1.0 place
        else
            (known state place && known successor place) |> ignore

    /// The same without a place.
    member this.Add(state: int, action: int, successor: int, probability: float, reward: float) : unit =
        this.Add(state, action, successor, probability, reward, -1)

    /// Adds a transition after which only the share <c>continuation</c> of the discount applies: 0 ends the episode.
    member _.AddContinuing
        (state: int, action: int, successor: int, probability: float, reward: float, continuation: float, place: int)
        : unit =
        if not (probability >= 0.0 && probability <= 1.0) then
            report (ModelFault.BadProbability probability) state action place
        elif probability > 0.0 then
            add state action successor probability probability probability reward continuation place

    /// Adds a transition whose probability is known to lie in [lower, upper], with a best guess (NaN for none: then the row's law takes the same share of
    /// every interval). All transitions of a model have intervals, or none has.
    member _.AddInterval
        (state: int, action: int, successor: int, nominal: float, lower: float, upper: float, reward: float, continuation: float, place: int) : unit =
        if not (lower >= 0.0 && lower <= upper && upper <= 1.0) || nominal < lower || nominal > upper then
            report (ModelFault.BadInterval(lower, upper)) state action place
        else
            if lower <> upper then
                interval <- true

            if upper > 0.0 then
                add state action successor nominal lower upper reward continuation place

    /// The same without a guess.
    member this.AddInterval(state: int, action: int, successor: int, lower: float, upper: float, reward: float, place: int) : unit =
        this.AddInterval(state, action, successor, Double.NaN, lower, upper, reward, 1.0, place)

    /// Gives actions other numbers: those that a reader learns at the end of a file.
    member _.RenumberActions(number: Func<int, int, int>) : unit =
        for i in 0 .. actions.Count - 1 do
            actions[i] <- number.Invoke(states[i], actions[i])

    /// Declares a state terminal: it has no action, and value zero.
    member _.Terminal(state: int, place: int) : unit =
        if known state place then
            terminal.Add state |> ignore

    /// Declares a state terminal.
    member this.Terminal(state: int) : unit = this.Terminal(state, -1)

    /// Declares a state to start from.
    member _.Initial(state: int, place: int) : unit =
        if known state place then
            initial.Add state |> ignore

    /// Declares a state to start from.
    member this.Initial(state: int) : unit = this.Initial(state, -1)

    /// Gives a state a label.
    member _.Label(label: string, state: int, place: int) : unit =
        if known state place then
            match labels.TryGetValue label with
            | true, set -> set.Add state |> ignore
            | _ -> labels[label] <- SortedSet [ state ]

    /// Declares a label that perhaps no state carries.
    member _.DeclareLabel(label: string) : unit =
        if not (labels.ContainsKey label) then
            labels[label] <- SortedSet()

    /// Names the states, one for each.
    member _.StateNames(names: string[]) : unit =
        Shape.requireLength (nameof names) stateCount names.Length
        stateNames <- Array.copy names

    /// Names the actions, from action 0 on.
    member _.ActionNames(names: string[]) : unit = actionNames <- Array.copy names

    /// Says where the states lie on a map.
    member _.Grid(layout: GridLayout) : unit =
        Shape.requireLength (nameof layout) stateCount layout.Cells.Length
        grid <- ValueSome layout

    /// Records what is worth saying, though no error.
    member _.Warn(message: string) : unit = warnings.Add message

    /// Records an error that a reader found.
    member _.Report(fault: ModelFault, place: int) : unit = report fault -1 -1 place

    /// Whether a row may lead to a successor twice, with different rewards or continuations. Model files cannot say so.
    member _.ParallelOutcomes
        with get () = parallelOutcomes
        and set value = parallelOutcomes <- value

    /// How many errors are kept in words; all are counted.
    member _.ErrorLimit
        with get () = limit
        and set value = limit <- value

    /// Ends <c>Build</c> with an OperationCanceledException; none by default.
    member val Cancellation: CancellationToken = CancellationToken.None with get, set

    /// Checks everything and freezes: the model, or all that is wrong with it, in the order of the places. Throws an OperationCanceledException if it was cancelled.
    member this.Build() : Result<Model, ModelError list> =
        let cancellation = this.Cancellation

        // Now and then: a million states take a second.
        let watch (i: int) =
            if i &&& 0xFFFF = 0 then
                cancellation.ThrowIfCancellationRequested()

        if stateCount <= 0 then
            report ModelFault.NoStates -1 -1 -1

        // Transitions by state, action and successor; a stable order keeps the place of the first for messages.
        let order = Array.init states.Count id

        let sorted =
            let mutable inOrder = true

            for i in 1 .. order.Length - 1 do
                watch i

                let compared =
                    if states[i - 1] <> states[i] then compare states[i - 1] states[i]
                    elif actions[i - 1] <> actions[i] then compare actions[i - 1] actions[i]
                    else compare successors[i - 1] successors[i]

                if compared > 0 then
                    inOrder <- false

            inOrder

        if not sorted then
            Array.Sort(
                order,
                Comparison(fun i j ->
                    if states[i] <> states[j] then compare states[i] states[j]
                    elif actions[i] <> actions[j] then compare actions[i] actions[j]
                    elif successors[i] <> successors[j] then compare successors[i] successors[j]
                    else compare i j)
            )

        let count = order.Length
        let rowOffsets = Array.zeroCreate<int>(Math.Max(0, stateCount) + 1)
        let rowActions = ResizeArray<int>()
        let offsets = ResizeArray<int>()
        let chosen = Array.init count (fun k -> successors[order[k]])
        let lower = Array.init count (fun k -> probabilities[order[k]])
        let upper = Array.init count (fun k -> uppers[order[k]])
        let chances = Array.copy lower
        let mutable normalisation = 0.0
        let mutable k = 0

        while k < count do
            watch offsets.Count
            let first = order[k]
            let state, action = states[first], actions[first]
            let start = k
            let mutable lowerSum = 0.0
            let mutable upperSum = 0.0

            while k < count && states[order[k]] = state && actions[order[k]] = action do
                let again = k > start && chosen[k] = chosen[k - 1]

                let differs =
                    again
                    && (rewards[order[k]] <> rewards[order[k - 1]] || continuations[order[k]] <> continuations[order[k - 1]])

                if again && not (parallelOutcomes && differs) then
                    report (ModelFault.DuplicateSuccessor chosen[k]) state action places[order[k]]

                lowerSum <- lowerSum + lower[k]
                upperSum <- upperSum + upper[k]
                k <- k + 1

            let mutable place = places[first]
            let mutable until = places[first]

            for i in start .. k - 1 do
                place <- Math.Min(place, places[order[i]])
                until <- Math.Max(until, places[order[i]])

            if interval then
                if lowerSum > 1.0 + 1e-6 || upperSum < 1.0 - 1e-6 then
                    reportBetween (ModelFault.NoLawInIntervals(lowerSum, upperSum)) state action place until
                else
                    // Bounds that leave out every law by rounding are widened until they hold one.
                    if lowerSum > 1.0 then
                        for i in start .. k - 1 do
                            lower[i] <- lower[i] / lowerSum
                    elif upperSum < 1.0 then
                        for i in start .. k - 1 do
                            upper[i] <- upper[i] / upperSum

                    normalisation <- Math.Max(normalisation, Math.Max(lowerSum - 1.0, 1.0 - upperSum))
                    // A law within the bounds: the same share of every interval.
                    let share = if upperSum > lowerSum then Math.Clamp((1.0 - lowerSum) / (upperSum - lowerSum), 0.0, 1.0) else 0.0

                    let mutable guesses = 0.0

                    for i in start .. k - 1 do
                        guesses <- guesses + nominals[order[i]]

                    for i in start .. k - 1 do
                        chances[i] <-
                            if abs (guesses - 1.0) <= 1e-6 then
                                nominals[order[i]] / guesses
                            else
                                lower[i] + share * (upper[i] - lower[i])
            elif abs (lowerSum - 1.0) > 1e-6 then
                reportBetween (ModelFault.BadSum lowerSum) state action place until
            else
                normalisation <- Math.Max(normalisation, abs (lowerSum - 1.0))

                if lowerSum <> 1.0 then
                    for i in start .. k - 1 do
                        chances[i] <- lower[i] / lowerSum

            if terminal.Contains state then
                let loops = k = start + 1 && chosen[start] = state && rewards[order[start]] = 0.0

                if not loops then
                    reportBetween ModelFault.TerminalActs state action place until
            else
                rowActions.Add action
                offsets.Add start
                rowOffsets[state + 1] <- rowOffsets[state + 1] + 1

        // A declared terminal state may have a self-loop in the data: it owns no row, so its transition is left out.
        let kept = Array.init count (fun k -> not (terminal.Contains states[order[k]]))

        let compact (values: 'a[]) = if Array.forall id kept then values else Array.zip values kept |> Array.filter snd |> Array.map fst

        let shift = Array.scan (fun sum keep -> if keep then sum + 1 else sum) 0 kept

        cancellation.ThrowIfCancellationRequested()

        for state in 0 .. stateCount - 1 do
            if rowOffsets[state + 1] = 0 && not (terminal.Contains state) && errorCount = 0 then
                report ModelFault.NoAction state -1 -1

            rowOffsets[state + 1] <- rowOffsets[state + 1] + rowOffsets[state]

        if errorCount > 0 then
            if errorCount > errors.Count then
                errors.Add
                    {
                        Fault = ModelFault.Other("a model without errors", $"{errorCount - errors.Count} more errors")
                        State = -1
                        Action = -1
                        Place = -1
                        Until = -1
                    }

            errors |> Seq.sortBy (fun e -> if e.Place < 0 then Int32.MaxValue else e.Place) |> List.ofSeq |> Error
        else
            let offsets = Array.append [| for offset in offsets -> shift[offset] |] [| shift[count] |]

            Ok
                {
                    stateCount = stateCount
                    actionCount = Math.Max(actionNames.Length, (if rowActions.Count = 0 then 0 else 1 + Seq.max rowActions))
                    rowOffsets = rowOffsets
                    rowActions = rowActions.ToArray()
                    offsets = offsets
                    successors = compact chosen
                    probabilityTable = ProbabilityTable.OfDoubles(compact chances)
                    rewardTable = RewardTable.Gather(compact (Array.init count (fun k -> rewards[order[k]])), offsets)
                    continuations = (if continues then [||] else compact (Array.init count (fun k -> continuations[order[k]])))
                    lower = (if interval then compact lower else [||])
                    upper = (if interval then compact upper else [||])
                    stateNames = stateNames
                    actionNames = actionNames
                    initial = Seq.toArray initial
                    labels = labels |> Seq.map (fun entry -> entry.Key, Seq.toArray entry.Value) |> Map.ofSeq
                    grid = grid
                    normalisation = normalisation
                    warnings = List.ofSeq warnings
                }

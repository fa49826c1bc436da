namespace ValueFlow.Core.Returns

open System
open System.Threading
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// V(s, c) = max over decisions of E f(c + G), between bounds that are certified: for every state and every stock, rounding included.
[<Sealed>]
type StockValues
    internal
    (
        problem: StockProblem,
        windows: StockWindows,
        lower: float[],
        upper: float[],
        estimate: float[],
        slack: float,
        unsupported: float,
        outcome: Outcome,
        sweeps: int
    ) =
    let model = problem.Model
    let utility = problem.Utility

    // Read as a sweep reads: between neighbours, and outside the window.
    let read (envelope: #IEnvelope) (values: float[]) (state: int) (stock: float) : float =
        let count = windows.Count state

        if count = 0 then
            utility.Of stock
        else
            let offset = windows.Offsets[state]
            let place = (stock - windows.Stock(state, 0)) / windows.Lattice.Gap

            if place < 0.0 then
                if envelope.Anchored then
                    values[offset] - utility.Loss * (windows.Stock(state, 0) - stock)
                else
                    utility.Loss * stock + problem.Left[state]
            elif place >= float (count - 1) then
                if envelope.Anchored then
                    values[offset + count - 1] + utility.Gain * (stock - windows.Stock(state, count - 1))
                else
                    utility.Gain * stock + problem.Right[state]
            else
                let cell = Math.Min(int place, count - 2)
                envelope.Between(values[offset + cell], values[offset + cell + 1], place - float cell)

    let gap = windows.Lattice.Gap
    let below: LowerEnvelope = { Gain = utility.Gain * gap; Loss = utility.Loss * gap }
    let above: UpperEnvelope = { Gain = utility.Gain * gap; Loss = utility.Loss * gap }

    let require (state: int) (stock: float) =
        if state < 0 || state >= model.StateCount then
            invalidArg (nameof state) $"state must lie in [0, {model.StateCount}) but is {state}"

        if not (Double.IsFinite stock) then
            invalidArg (nameof stock) $"stock must be finite but is {stock}"

    /// The model.
    member _.Model = model
    /// The discount.
    member _.Discount = problem.Discount
    /// The utility f.
    member _.Utility = utility
    /// The finest lattice of stocks that was reached.
    member _.Lattice = windows.Lattice
    /// States with stocks whose values are stored.
    member _.Nodes = windows.Nodes
    /// Why the solver stopped.
    member _.Outcome = outcome
    /// Sweeps over the states, of each bound.
    member _.Sweeps = sweeps
    /// What rounding may take from a bound; it is taken already.
    member internal _.Slack = slack
    /// What a lower bound loses until its decisions attain it: a backup still lowers it here and there.
    member internal _.Unsupported = unsupported
    member internal _.Windows = windows
    member internal _.LowerNodes = lower
    member internal _.UpperNodes = upper
    member internal _.EstimateNodes = estimate
    member internal _.Problem = problem

    /// A number that V(s, c) is not below, and that the decisions of <c>ActionOf</c> attain.
    member _.Lower(state: int, stock: float) : float =
        require state stock

        if windows.Count state = 0 then
            utility.Of stock
        else
            read below lower state stock - slack - unsupported

    /// A number that V(s, c) is not above.
    member _.Upper(state: int, stock: float) : float =
        require state stock

        if windows.Count state = 0 then
            utility.Of stock
        else
            let asymptote = Math.Min(utility.Loss * stock + problem.Left[state], utility.Gain * stock + problem.Right[state])
            Math.Min(asymptote, read above upper state stock) + slack

    /// V(s, c) by linear interpolation, between the bounds: more likely near the truth than they are, but nothing is certified.
    member this.Estimate(state: int, stock: float) : float =
        require state stock

        Math.Clamp(
            read (Interpolation()) estimate state stock,
            this.Lower(state, stock),
            Math.Max(this.Lower(state, stock), this.Upper(state, stock))
        )

    /// The action to take in a state with a stock, -1 in a terminal state: best by the lower bound, one step ahead. Who takes it in every state, with the stock of <c>Next</c>, attains
    /// Lower(s, c) from every state and stock.
    member _.ActionOf(state: int, stock: float) : int =
        require state stock
        let count = windows.Count state

        if count = 0 then
            -1
        else
            // What is best at the window's end is good enough outside.
            let stock = Math.Clamp(stock, windows.Stock(state, 0), windows.Stock(state, count - 1))
            let mutable best = -1
            let mutable bar = Double.NegativeInfinity

            for row in model.rowOffsets[state] .. model.rowOffsets[state + 1] - 1 do
                let mutable value = 0.0

                for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                    let gamma = problem.Discount * model.Continuation k
                    let next = stock + model.rewards[k]

                    value <-
                        value
                        + model.probabilities[k]
                          * (if gamma = 0.0 then utility.Of next else gamma * read below lower model.successors[k] (next / gamma))

                if value > bar then
                    best <- row
                    bar <- value

            model.rowActions[best]

    /// c' = (c + r) / gamma, gamma being the discount times the share of it that applies to what follows (1 as a rule).
    member _.Next(stock: float, reward: float, continuation: float) : float = (stock + reward) / (problem.Discount * continuation)

    /// Plays the decisions of <c>ActionOf</c> from a state with a stock, as <c>Simulation.play</c> does with a policy: the discounted returns of episodes that end in a terminal state, with a transition whose continuation
    /// is zero, or after the most steps.
    member this.Play
        (generator: Generator, episodes: int, mostSteps: int, start: int, stock: float, cancellation: CancellationToken)
        : Playout =
        require start stock

        if episodes < 1 then
            invalidArg (nameof episodes) $"episodes must be at least 1 but are {episodes}"

        if mostSteps < 1 then
            invalidArg (nameof mostSteps) $"mostSteps must be at least 1 but are {mostSteps}"

        let returns, steps, last = Array.zeroCreate<float> episodes, Array.zeroCreate<int> episodes, Array.zeroCreate<int> episodes
        let mutable truncated = 0

        for episode in 0 .. episodes - 1 do
            cancellation.ThrowIfCancellationRequested()
            let mutable state = start
            let mutable held = stock
            let mutable weight = 1.0
            let mutable going = not (model.IsTerminal state)

            while going do
                if steps[episode] = mostSteps then
                    truncated <- truncated + 1
                    going <- false
                else
                    let action = this.ActionOf(state, held)
                    let first = model.rowOffsets[state]
                    let row = first + model.RowActions.Slice(first, model.rowOffsets[state + 1] - first).IndexOf action
                    let offset = model.offsets[row]
                    let k = offset + Sampling.index generator (ReadOnlySpan(model.probabilities, offset, model.offsets[row + 1] - offset))
                    returns[episode] <- returns[episode] + weight * model.rewards[k]
                    weight <- weight * problem.Discount * model.Continuation k
                    steps[episode] <- steps[episode] + 1
                    state <- model.successors[k]
                    going <- not (model.IsTerminal state) && weight > 0.0

                    if going then
                        // Long after the start a stock may be too large for a number: its sign is all that counts.
                        held <- Math.Clamp(this.Next(held, model.rewards[k], model.Continuation k), -1e300, 1e300)

            last[episode] <- state

        { Returns = returns; Steps = steps; Last = last; Truncated = truncated }

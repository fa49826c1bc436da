namespace ValueFlow.Core.Returns

open System
open System.Threading
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// How an optimistic learner of iterated CVaR learns.
type OptimisticCvarOptions =
    {
        /// The share A in (0, 1] of the worst outcomes. 0.3.
        Share: float
        /// The number of steps H of an episode. 4.
        Horizon: int
        /// The number of episodes. 400.
        Episodes: int
        /// The ridge l &gt; 0 of the regressions. 1.
        Ridge: float
        /// The bonus beta &gt;= 0 for what is little known. 0.1.
        Bonus: float
        /// The step e &gt; 0 of the grid of thresholds. 0.1.
        GridStep: float
    }

    /// The values above.
    static member Standard = { Share = 0.3; Horizon = 4; Episodes = 400; Ridge = 1.0; Bonus = 0.1; GridStep = 0.1 }

/// What a learner did.
type OptimisticCvarRun =
    {
        /// For each episode what its policy falls short of the optimum, in state 0: V*_0 - V_0 of the policy, both exact.
        Regrets: float[]
        /// For each episode what the learner believed that it would get.
        Beliefs: float[]
        /// The regressions at the end, step by step.
        Regressions: TransitionRegression[]
    }

/// Learns to act well by iterated CVaR in a linear model whose kernel is not known and whose rewards, in [0, 1], are: every episode acts by values that are as large as what was seen allows.
/// Q_h(s,a) = r(s,a) + max over x on a grid of ( x - phi . theta (x - V_(h+1))_+ / A ) + (beta / A) |phi|_(Lambda^-1), clipped to [0, H - h], with ridge regressions of their own for
/// every step h. Chen et al. 2024, "Provably efficient iterated CVaR reinforcement learning with function approximation and human feedback".
[<RequireQualifiedAccess>]
module OptimisticCvar =

    /// The action values (S A) that a regression, the values V_(h+1) of what follows and the options give to a step with the largest total that is left.
    let actionValues
        (options: OptimisticCvarOptions)
        (most: float)
        (regression: TransitionRegression)
        (next: float[])
        (model: LinearModel)
        : float[] =
        Argument.share "Share" options.Share
        Argument.positive "GridStep" options.GridStep
        let kernel = regression.Kernel
        let d = model.Dimension
        let points = 1 + int (Math.Ceiling(most / options.GridStep))
        // w_x = theta (x - V)_+, threshold by threshold.
        let thresholds = Array.init points (fun k -> float k * options.GridStep)

        let weights =
            thresholds
            |> Array.map (fun x ->
                kernel
                |> Array.map (fun row ->
                    let mutable sum = 0.0

                    for s in 0 .. row.Length - 1 do
                        sum <- sum + row[s] * Math.Max(x - next[s], 0.0)

                    sum))

        Array.init model.features.Length (fun row ->
            let phi = model.features[row]
            let mutable best = Double.NegativeInfinity

            for k in 0 .. points - 1 do
                let mutable shortfall = 0.0

                for i in 0 .. d - 1 do
                    shortfall <- shortfall + phi[i] * weights[k].[i]

                best <- Math.Max(best, thresholds[k] - shortfall / options.Share)

            let bonus = options.Bonus / options.Share * regression.Width(ReadOnlySpan phi)
            Math.Clamp(model.rewards[row] + best + bonus, 0.0, most))

    let private check (options: OptimisticCvarOptions) (model: LinearModel) =
        Argument.share "Share" options.Share
        Argument.positive "Ridge" options.Ridge
        Argument.positive "GridStep" options.GridStep
        Argument.notNegative "Bonus" options.Bonus

        if options.Horizon < 1 then
            invalidArg "Horizon" $"Horizon must be at least 1 but is {options.Horizon}"

        if options.Episodes < 1 then
            invalidArg "Episodes" $"Episodes must be at least 1 but are {options.Episodes}"

        match model.rewards |> Array.tryFindIndex (fun reward -> not (reward >= 0.0 && reward <= 1.0)) with
        | Some row -> invalidArg (nameof model) $"rewards must lie in [0, 1] but one is {model.rewards[row]}"
        | None -> ()

    /// Learns for the episodes of the options, each from state 0. An OperationCanceledException ends it early.
    let learn
        (generator: Generator)
        (cancellation: CancellationToken)
        (options: OptimisticCvarOptions)
        (model: LinearModel)
        : OptimisticCvarRun =
        check options model
        let horizon, states, actions = options.Horizon, model.StateCount, model.ActionCount
        let optimum = (IteratedCvar.plan cancellation options.Share horizon model.Model).Values[0].[0]
        let regressions = Array.init horizon (fun _ -> TransitionRegression.create options.Ridge model.Dimension states)
        let regrets, beliefs = Array.zeroCreate options.Episodes, Array.zeroCreate options.Episodes
        let mutable judged: struct (int[][] * float) voption = ValueNone

        for episode in 0 .. options.Episodes - 1 do
            cancellation.ThrowIfCancellationRequested()
            let chosen: int[][] = Array.zeroCreate horizon
            let mutable values = Array.zeroCreate states

            for h in horizon - 1 .. -1 .. 0 do
                let q = actionValues options (float (horizon - h)) regressions[h] values model

                chosen[h] <-
                    Array.init states (fun s ->
                        Array.IndexOf(q, Seq.max (Seq.init actions (fun a -> q[s * actions + a])), s * actions) - s * actions)

                values <- Array.init states (fun s -> q[s * actions + chosen[h].[s]])

            // A policy is judged once as long as it stays.
            let worth =
                match judged with
                | ValueSome(struct (policy, worth)) when policy = chosen -> worth
                | _ ->
                    let plan = { Values = [||]; Decisions = chosen }
                    let worth = (IteratedCvar.evaluate cancellation options.Share plan model.Model).Values[0].[0]
                    judged <- ValueSome(struct (chosen, worth))
                    worth

            regrets[episode] <- optimum - worth
            beliefs[episode] <- values[0]
            let mutable state = 0

            for h in 0 .. horizon - 1 do
                let phi = model.Feature(state, chosen[h].[state])
                let row = state * actions + chosen[h].[state]
                let first = model.Model.Offsets[row]
                let count = model.Model.Offsets[row + 1] - first
                let successor = model.Model.Successors[first + Sampling.index generator (model.Model.Probabilities.Slice(first, count))]
                regressions[h] <- TransitionRegression.observe phi successor regressions[h]
                state <- successor

        { Regrets = regrets; Beliefs = beliefs; Regressions = regressions }

namespace ValueFlow.Core.Returns

open System
open System.Threading
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// What is known of returns before anything is planned: bounds on V(s, c) = max over decisions of E f(c + G) from means and variances.
[<RequireQualifiedAccess>]
module internal StockMoments =

    /// The least and the largest return that rewards and discount allow.
    let returns (kernel: Kernel) : struct (float * float) =
        let model = kernel.Model
        let struct (_, gamma) = kernel.DiscountFactors
        let ends = kernel.HasTerminals || model.continuations.Length > 0
        let least = if model.rewards.Length = 0 then 0.0 else Array.min model.rewards
        let most = if model.rewards.Length = 0 then 0.0 else Array.max model.rewards
        let least = if ends then Math.Min(0.0, least) else least
        let most = if ends then Math.Max(0.0, most) else most
        struct (least / (1.0 - gamma), most / (1.0 - gamma))

    /// The best or the least mean return of each state.
    let means (direction: Direction) (cancellation: CancellationToken) (kernel: Kernel) : Solution =
        let struct (least, most) = returns kernel

        ValueIteration.solve
            { RunOptions.standard with Tolerance = 1e-10 * (1.0 + most - least); Cancellation = cancellation }
            (Bellman.Create(kernel.Model, kernel.Discount, Expectation(), Extreme direction))

    /// For each state a number that the variance of the return is not above under the actions, given that mean returns are near the values: from above,
    /// W(s) = sum P ((r + gamma m(s') - m(s))^2 + gamma^2 W(s')). Sobel 1982, "The variance of discounted Markov decision processes".
    let variances (actions: int[]) (values: float[]) (cancellation: CancellationToken) (kernel: Kernel) : float[] =
        let model = kernel.Model
        let struct (least, most) = returns kernel
        let struct (_, gamma) = kernel.DiscountFactors
        let spread = most - least
        let highest = 0.25 * spread * spread / (1.0 - gamma * gamma)
        let mutable from = Array.init model.StateCount (fun s -> if model.IsTerminal s then 0.0 else highest)
        let mutable into = Array.zeroCreate model.StateCount
        let mutable change = infinity

        while change > 1e-6 * highest * (1.0 - gamma * gamma) && not cancellation.IsCancellationRequested do
            change <- 0.0

            for s in 0 .. model.StateCount - 1 do
                if not (model.IsTerminal s) then
                    let first = model.rowOffsets[s]
                    let row = first + model.RowActions.Slice(first, model.rowOffsets[s + 1] - first).IndexOf actions[s]
                    let mutable sum = 0.0

                    for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                        let discount = kernel.Discount * model.Continuation k
                        let next = model.successors[k]
                        let error = model.rewards[k] + discount * values[next] - values[s]
                        sum <- sum + model.probabilities[k] * (error * error + discount * discount * from[next])

                    into[s] <- sum
                    change <- Math.Max(change, from[s] - sum)

            let old = from
            from <- into
            into <- old

        // Values are near the means, and sums round: both are far below this.
        let leeway = 1e-7 * (1.0 + spread * spread)
        from |> Array.mapi (fun s variance -> if model.IsTerminal s then 0.0 else variance + leeway)

    /// E f(X) is at least this for every law with the mean m and at most the variance w: f(x) = Gain x + (Loss - Gain) min(x, 0), and E min(X, 0) &gt;= (m - sqrt(m^2 + w)) / 2.
    /// Scarf 1958, "A min-max solution of an inventory problem".
    let below (utility: GainLoss) (mean: float) (variance: float) : float =
        utility.Gain * mean + 0.5 * (utility.Loss - utility.Gain) * (mean - sqrt (mean * mean + variance))

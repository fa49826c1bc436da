namespace ValueFlow.Core.Values

open System
open System.Threading
open ValueFlow.Core.Foundations

/// Where a regularised value iteration stands.
type RegularisedIterate =
    {
        /// k: how many steps were taken.
        Step: int
        /// For each state V_k; zero at the start, and in terminal states.
        Values: float[]
        /// For each row Q_k; empty at the start.
        ActionValues: float[]
        /// For each row log pi_k(a | s), which no number of steps lets vanish.
        LogPolicy: float[]
    }

/// Value iteration whose policy is kept near the last one, by a price on their divergence:
///
/// Q_{k+1} = T-backup of V_k, V_{k+1}(s) = (1/eta) log sum over a of pi_k(a|s) exp(eta Q_{k+1}(s, a)), pi_{k+1}(a|s) = pi_k(a|s) exp(eta (Q_{k+1}(s, a) - V_{k+1}(s))).
///
/// V_{k+1} is the largest mean of Q_{k+1} less KL(p | pi_k) / eta, over all laws p. The sums telescope: V_1 + ... + V_K = (1/eta) log sum over a of pi_0 exp(eta (Q_1 + ... + Q_K)), whatever
/// the Q_k are. So for a known model the average of V_1, ..., V_K approaches V*, while a single V_k need not: a large eta follows the sum of all sweeps, and is no plain value iteration.
/// Moulin and Neu 2023, "Optimistic planning by regularized dynamic programming".
[<RequireQualifiedAccess>]
module RegularisedIteration =

    let internal requireEta (eta: float) =
        if not (eta > 0.0 && Double.IsFinite eta) then
            invalidArg (nameof eta) $"eta must be positive and finite but is {eta}"

    /// For each row the logarithm of the uniform law over the actions of its state: log pi_0.
    let uniform (model: Model) : float[] =
        let logs = Array.zeroCreate<float> model.RowCount

        for s in 0 .. model.StateCount - 1 do
            let first, next = model.rowOffsets[s], model.rowOffsets[s + 1]

            for row in first .. next - 1 do
                logs[row] <- -log(float (next - first))

        logs

    /// V_0 = 0 and the uniform policy.
    let start (model: Model) : RegularisedIterate =
        {
            Step = 0
            Values = Array.zeroCreate model.StateCount
            ActionValues = [||]
            LogPolicy = uniform model
        }

    /// The mirror step in every state at once: (1/eta) log sum over a of pi(a|s) exp(eta q(s, a)) for each state, and log of pi(a|s) exp(eta (q(s, a) - value)) for each row. eta is
    /// positive; policy and action values are one number a row.
    let mirror (eta: float) (model: Model) (logPolicy: float[]) (actionValues: float[]) : struct (float[] * float[]) =
        requireEta eta
        Shape.requireLength (nameof logPolicy) model.RowCount logPolicy.Length
        Shape.requireLength (nameof actionValues) model.RowCount actionValues.Length
        let values = Array.zeroCreate<float> model.StateCount
        let next = Array.zeroCreate<float> model.RowCount

        for s in 0 .. model.StateCount - 1 do
            let first, last = model.rowOffsets[s], model.rowOffsets[s + 1] - 1

            if first <= last then
                let mutable largest = Double.NegativeInfinity

                for row in first..last do
                    next[row] <- logPolicy[row] + eta * actionValues[row]
                    largest <- Math.Max(largest, next[row])

                let mutable sum = 0.0

                for row in first..last do
                    sum <- sum + exp (next[row] - largest)

                let total = largest + log sum
                values[s] <- total / eta

                for row in first..last do
                    next[row] <- next[row] - total

        struct (values, next)

    /// One step with the backup of a Bellman operator: of its model, its discount and its state summary (its action summary is not read).
    let step (eta: float) (bellman: Bellman) (iterate: RegularisedIterate) : RegularisedIterate =
        let model = bellman.Kernel.Model
        let actionValues = Array.zeroCreate<float> model.RowCount
        bellman.Sweep.ActionValues(iterate.Values, actionValues, CancellationToken.None) |> ignore
        let struct (values, logPolicy) = mirror eta model iterate.LogPolicy actionValues
        { Step = iterate.Step + 1; Values = values; ActionValues = actionValues; LogPolicy = logPolicy }

    /// The iterates k = 0, 1, 2, ...: without end.
    let iterates (eta: float) (bellman: Bellman) : seq<RegularisedIterate> =
        requireEta eta
        start bellman.Kernel.Model |> Seq.unfold (fun iterate -> Some(iterate, step eta bellman iterate))

    /// pi_k as probabilities.
    let policy (model: Model) (iterate: RegularisedIterate) : Policy = Policy.Stochastic(model, iterate.LogPolicy |> Array.map exp)

    /// (V_1 + ... + V_K) / K of the first K steps, and how far V* can be above it anywhere: (log(A) / eta + m sup |V_K|) / (K (1 - m)) with the most actions A of a state and the
    /// modulus m of the operator, its discount as a rule. The bound needs the expectation as summary; where no reward is negative V* is not below the average either. Rounding aside.
    let average (eta: float) (bellman: Bellman) (steps: int) : struct (float[] * float) =
        if steps < 1 then
            invalidArg (nameof steps) $"steps must be at least 1 but are {steps}"

        match bellman.State with
        | :? Expectation -> ()
        | other -> invalidArg (nameof bellman) $"the bound needs the expectation as state summary but found '{other.Name}'"

        let sum = Array.zeroCreate<float> bellman.Kernel.Model.StateCount
        let mutable last = 0.0

        for iterate in iterates eta bellman |> Seq.skip 1 |> Seq.truncate steps do
            iterate.Values |> Array.iteri (fun s value -> sum[s] <- sum[s] + value)
            last <- iterate.Values |> Array.fold (fun most value -> Math.Max(most, abs value)) 0.0

        let struct (_, modulus) = bellman.Factors
        let entropy = log (float (max 1 bellman.Kernel.MostActions)) / eta
        struct (sum |> Array.map (fun x -> x / float steps), (entropy + modulus * last) / (float steps * (1.0 - modulus)))

namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// Values under eventual discounting, and a policy that has them.
type EventualSolution =
    {
        /// For each pair (s, b) its value, at most the exact one; (1 - gamma) V tends to the probability of acceptance as gamma tends to 1.
        Values: float[]
        /// For each pair the action to take, or -1 in a terminal state.
        Policy: int[]
        /// Applications of the operator.
        Sweeps: int
        /// The largest increase of the last application. It bounds no error: off the accepting states nothing is discounted.
        Residual: float
        /// Why it stopped.
        Outcome: Outcome
    }

/// Only visits to accepting states are discounted, time is not: the value of a run that accepts N times is 1 + gamma + ... + gamma^(N-1), so that
///
/// (1 - gamma) V^pi = E[1 - gamma^N] and 0 &lt;= (1 - gamma) V^pi - P(N = infinity) &lt;= (1 - gamma) E[N; N &lt; infinity].
///
/// A long way that surely accepts is therefore better than a short one that may fail; a discount per step prefers the short one.
/// Voloshin, Verma and Yue 2023, "Eventual discounting temporal logic counterfactual experience replay". A jump of the automaton never counts as a visit.
[<RequireQualifiedAccess>]
module EventualDiscounting =

    let private requireDiscount (gamma: float) =
        if not (gamma > 0.0 && gamma < 1.0) then
            invalidArg (nameof gamma) $"gamma must lie in (0, 1) but is {gamma}"

    /// The product with gamma as the continuation of accepting transitions: eventual discounting is its total reward.
    let model (gamma: float) (product: ProductModel) : Model =
        requireDiscount gamma
        let basis = product.Model
        let continuation k = basis.Continuation k * (if basis.rewards[k] > 0.0 then gamma else 1.0)
        { basis with continuations = Array.init basis.TransitionCount continuation }

    let private rowValue (model: Model) (values: float[]) row =
        let mutable sum = 0.0

        for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
            sum <- sum + model.probabilities[k] * (model.rewards[k] + model.Continuation k * values[model.successors[k]])

        sum

    /// (T V)(s, b) = max over a of E[ 1{b' accepting} + G(b') V(s', b') ], with G = gamma where b' is accepting and 1 elsewhere. Monotone and no expansion in
    /// the sup norm, but no contraction: a loop off the accepting states keeps every distance.
    let operator (gamma: float) (product: ProductModel) : Operator<float[]> =
        let model = model gamma product
        let terminals = Seq.exists model.IsTerminal (seq { 0 .. model.stateCount - 1 })
        let ends = terminals || Array.contains 0.0 model.continuations

        { Operator.create $"eventual discounting ({gamma})" Space.vectors (fun values ->
              Shape.requireLength (nameof values) model.stateCount values.Length

              Array.init model.stateCount (fun s ->
                  if model.IsTerminal s then
                      0.0
                  else
                      let mutable best = Double.NegativeInfinity

                      for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                          best <- Math.Max(best, rowValue model values row)

                      best)) with
            Claims =
                [
                    {
                        Metric = Metric.sup
                        Modulus = 1.0
                        Rounding = ValueNone
                        Source = "Voloshin, Verma and Yue 2023, Eventual discounting temporal logic counterfactual experience replay"
                    }
                ]
            Monotone = true
            Translation = ValueSome(struct ((if ends then 0.0 else gamma), 1.0))
        }

    // An improvement smaller than this is rounding.
    [<Literal>]
    let private Strict = 1e-12

    /// V(n+1) = T V(n) from V(0) = 0, which increases to the least fixed point that is not negative, until no value increases by more than the tolerance.
    ///
    /// The policy is not read off the values: an action that only loops has the value of the best one, and whoever follows it never accepts. It is read off the
    /// history instead: each pair keeps the action that attained the last strict increase of its value.
    let solve (options: RunOptions) (gamma: float) (product: ProductModel) : EventualSolution =
        RunOptions.require options
        let model = model gamma product
        let chosen = Array.init model.stateCount (fun s -> if model.IsTerminal s then -1 else model.rowOffsets[s])
        let mutable values = Array.zeroCreate<float> model.stateCount
        let mutable sweeps = 0
        let mutable residual = Double.PositiveInfinity
        let mutable outcome = ValueNone

        while outcome.IsNone do
            if options.Cancellation.IsCancellationRequested then
                outcome <- ValueSome Outcome.Cancelled
            elif sweeps >= options.Budget then
                outcome <- ValueSome Outcome.BudgetExhausted
            else
                let before = values
                let next = Array.copy before
                residual <- 0.0

                for s in 0 .. model.stateCount - 1 do
                    for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                        let value = rowValue model before row

                        if value > next[s] then
                            if value > Math.Max(next[s], before[s] + Strict) then
                                chosen[s] <- row

                            next[s] <- value

                    residual <- Math.Max(residual, next[s] - before[s])

                values <- next
                sweeps <- sweeps + 1
                options.Progress { Applications = sweeps; Residual = residual; Bound = Double.PositiveInfinity }

                if residual <= options.Tolerance then
                    outcome <- ValueSome Outcome.Converged

        {
            Values = values
            Policy = chosen |> Array.map (fun row -> if row < 0 then -1 else model.rowActions[row])
            Sweeps = sweeps
            Residual = residual
            Outcome = outcome.Value
        }

    /// The same values, certified: end components that earn nothing are collapsed, and what is left is enclosed.
    let enclose (options: RunOptions) (gamma: float) (product: ProductModel) : Result<Solution, UndiscountedError> =
        TotalReward.solve options Direction.Maximise (model gamma product)

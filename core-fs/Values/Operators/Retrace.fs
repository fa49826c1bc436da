namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// The Retrace operator on action values, one for each row: what off-policy traces that are cut do in expectation.
[<RequireQualifiedAccess>]
module Retrace =

    /// R Q = Q + sum over n of (gamma P c)^n (T Q - Q), where T Q = sum P (r + gamma sum over a' of p(a' | s') Q(s', a')) evaluates the target policy p, and
    /// (P c)(s, a, s', a') = P(s' | s, a) m(a' | s') c(s', a') follows the behaviour m as far as the trace c = l min(1, p / m) lets it: l min(m, p), whatever the two policies are.
    /// It has the fixed point of T, the target's action values, is monotone (as c m &lt;= p), and contracts by the discount in the sup norm; where the traces carry further, by less. The
    /// series is cut where what is left of it is lost in rounding. Nothing is said of the rounding of the sum: fixed points are estimates.
    /// Munos, Stepleton, Harutyunyan and Bellemare 2016, "Safe and efficient off-policy reinforcement learning".
    let operator (model: Model) (discount: float) (target: Policy) (behaviour: Policy) (lambda: float) : Operator<float[]> =
        if not (lambda >= 0.0 && lambda <= 1.0) then
            invalidArg (nameof lambda) $"lambda must lie in [0, 1] but is {lambda}"

        Shape.requireLength (nameof target) model.RowCount target.Rows.Length
        Shape.requireLength (nameof behaviour) model.RowCount behaviour.Rows.Length

        match Expectation().Misses model with
        | ValueSome words -> invalidArg (nameof model) $"Retrace needs a model with {words}"
        | ValueNone -> ()

        let kernel = Kernel(model, discount)
        let weights, rewards = kernel.Weights, kernel.RowRewards
        let struct (_, largest) = kernel.MassFactors
        let trace = Array.map2 (fun (m: float) p -> lambda * Math.Min(m, p)) behaviour.Rows target.Rows

        // start + gamma P (sum over a' of shares Q): a backup through the shares of the actions.
        let through (start: float[]) (shares: float[]) (q: float[]) =
            let states =
                Array.init model.StateCount (fun s ->
                    let mutable sum = 0.0

                    for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                        sum <- sum + shares[row] * q[row]

                    sum)

            Array.init model.RowCount (fun row ->
                let mutable sum = start[row]

                for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                    sum <- sum + weights[k] * states[model.successors[k]]

                sum)

        let nothing = Array.zeroCreate model.RowCount
        let size (x: float[]) = Array.fold (fun (largest: float) v -> Math.Max(largest, abs v)) 0.0 x

        let apply (q: float[]) =
            Shape.requireLength (nameof q) model.RowCount q.Length
            let result = through rewards target.Rows q
            let mutable term = through nothing trace (Array.map2 (-) result q)
            let mutable left = size term

            while left > 0.125 * Bound.unitRoundoff * (1.0 - lambda * largest) * size result && left > Double.Epsilon do
                for row in 0 .. result.Length - 1 do
                    result[row] <- result[row] + term[row]

                term <- through nothing trace term
                left <- size term

            result

        let slack = 1e-13

        { Operator.onVectors $"Retrace({lambda}, {discount})" (largest + slack) apply with
            Monotone = true
            Translation = ValueSome(struct (0.0, largest + slack))
        }

namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// The evaluation operator of TD(l): an average of all n-step operators, whose sum is a series of backups.
[<RequireQualifiedAccess>]
module TraceOperator =

    /// T_l V = (1 - l) sum over n &gt;= 0 of l^n T^(n+1) V = V + sum over n of (l gamma P)^n (T V - V), for the evaluation operator T of a policy and l in [0, 1]. It has the fixed point of T, is
    /// monotone, and contracts by g (1 - l) / (1 - g l) in the sup norm, g the largest factor of T: at l = 1 by zero, when T_l V is the fixed point itself. The series is cut where what is
    /// left of it is lost in rounding. Nothing is said of the rounding of the sum: fixed points are estimates.
    /// Sutton 1988, "Learning to predict by the methods of temporal differences"; Tsitsiklis and Van Roy 1997, "An analysis of temporal-difference learning with function approximation".
    let evaluation (model: Model) (discount: float) (policy: Policy) (lambda: float) : Operator<float[]> =
        if not (lambda >= 0.0 && lambda <= 1.0) then
            invalidArg (nameof lambda) $"lambda must lie in [0, 1] but is {lambda}"

        let bellman = Bellman.Evaluation(model, discount, policy)
        let struct (least, largest) = bellman.Factors
        let averaged g = g * (1.0 - lambda) / (1.0 - g * lambda)
        // l gamma P d, by the same rows without their rewards.
        let weights = bellman.Kernel.Weights

        let carried (difference: float[]) =
            Array.init model.StateCount (fun state ->
                let mutable sum = 0.0

                for row in model.rowOffsets[state] .. model.rowOffsets[state + 1] - 1 do
                    for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                        sum <- sum + policy.Rows[row] * weights[k] * difference[model.successors[k]]

                lambda * sum)

        let apply (values: float[]) =
            let image = bellman.Operator.Apply values
            let result = Array.copy image
            let mutable term = carried (Array.map2 (-) image values)
            let size (x: float[]) = Array.fold (fun (largest: float) v -> Math.Max(largest, abs v)) 0.0 x
            let mutable left = size term

            while left > 0.125 * Bound.unitRoundoff * (1.0 - lambda * largest) * size result && left > Double.Epsilon do
                for s in 0 .. result.Length - 1 do
                    result[s] <- result[s] + term[s]

                term <- carried term
                left <- size term

            result

        let slack = 1e-13

        { Operator.onVectors $"TD({lambda})[{bellman.Operator.Name}]" (averaged largest + slack) apply with
            Monotone = true
            Translation =
                ValueSome(struct ((if bellman.Kernel.HasTerminals then 0.0 else averaged least - slack), averaged largest + slack))
        }

namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open System.Threading
open MathNet.Numerics.LinearAlgebra
open MathNet.Numerics.LinearAlgebra.Double
open ValueFlow.Core.Foundations

/// What a log says of the values of a policy, as far as features can tell.
type LoggedApproximation =
    {
        /// theta: the weights of the features.
        Weights: float[]
        /// Phi theta: for each state of the log its approximate value; zero in states that were only ever ended in.
        Values: float[]
        /// The steps that counted: those that the policy might have taken.
        Steps: int
        /// Sums of weights of the steps, for each state: where the approximation is near.
        Visits: float[]
        /// The largest over the least singular value of the equation: how many times a small error of the sums is enlarged.
        Condition: float
        /// Episodes that were cut off: with l &gt; 0, or where the values are not in the span, what is found is off by that.
        Truncated: int
    }

/// LSTD(l) from logged steps: the theta of sum over t of z_t rho_t (r_t + gamma &lt;phi(s_t+1), theta&gt; - &lt;phi(s_t), theta&gt;) = 0 with the trace z_t = phi(s_t) + gamma l rho_t-1 z_t-1, which starts anew with
/// each episode; rho_t = p(a_t|s_t) / b(a_t|s_t) is one where the policy is the one that was followed. Bradtke and Barto 1996, "Linear least-squares algorithms for temporal difference
/// learning"; Boyan 2002, "Technical update: least-squares temporal difference learning"; Yu 2010, "Convergence of least squares temporal difference methods under general conditions".
///
/// With more and more episodes that are not cut it comes to <c>ProjectedBellman.Solve</c> with the weights <c>StateWeights.stationary</c>.
[<RequireQualifiedAccess>]
module Lstd =

    // b(a | s) as the log has it.
    let private followed (log: TransitionLog) =
        let steps = log.Steps
        let byAction, byState = Dictionary<struct (int * int), float>(), Dictionary<int, float>()

        for step in steps do
            let key = struct (step.State, step.Action)
            byAction[key] <- (byAction.TryGetValue key |> snd) + step.Weight
            byState[step.State] <- (byState.TryGetValue step.State |> snd) + step.Weight

        fun state action -> byAction[struct (state, action)] / byState[state]

    // The ratios of the steps: one without a policy.
    let private ratios (policy: (int -> int -> float) voption) (log: TransitionLog) =
        match policy with
        | ValueNone -> fun (_: LogStep) -> 1.0
        | ValueSome probability ->
            let behaviour = followed log

            fun (step: LogStep) ->
                let p = probability step.State step.Action

                if not (p >= 0.0 && p <= 1.0) then
                    invalidArg
                        (nameof policy)
                        $"the probability of state '{log.StateNames[step.State]}', action '{log.ActionNames[step.Action]}' must lie in [0, 1] but is {p}"

                // Steps without weight tell nothing of what was followed.
                let b = behaviour step.State step.Action
                if p > 0.0 && b > 0.0 then p / b else 0.0

    /// The values of the policy that was followed (no policy), or of another one, given by the probability of an action (second) in a state (first), by their numbers in the log; features of
    /// terminal states are not read, those of others by the state's number. l lies in [0, 1], the discount in [0, 1). Throws an ArgumentException where a number is out of range, and where the steps do not
    /// determine the weights.
    let ofLog
        (cancellation: CancellationToken)
        (discount: float)
        (lambda: float)
        (featureOf: int -> float[])
        (policy: (int -> int -> float) voption)
        (log: TransitionLog)
        : LoggedApproximation =
        if not (discount >= 0.0 && discount < 1.0) then
            invalidArg (nameof discount) $"discount must lie in [0, 1) but is {discount}"

        if not (lambda >= 0.0 && lambda <= 1.0) then
            invalidArg (nameof lambda) $"lambda must lie in [0, 1] but is {lambda}"

        let steps, count = log.Steps.ToArray(), log.StateNames.Length
        let read = Array.create count false

        for step in steps do
            read[step.State] <- true

            if not step.Terminated then
                read[step.Next] <- true

        let rows = Array.init count (fun s -> if read[s] then featureOf s else [||])
        let width = (rows |> Array.find (fun row -> row.Length > 0)).Length
        let zero = Array.zeroCreate<float> width
        let rows = Array.init count (fun s -> if read[s] then rows[s] else zero)
        // Length, finiteness and independence, in one wording.
        let features = Features.Create rows
        let ratio = ratios policy log
        let matrix, right = DenseMatrix.Create(width, width, 0.0), DenseVector.Create(width, 0.0)
        let visits = Array.zeroCreate<float> count
        let trace = Array.zeroCreate<float> width
        let mutable carried, counted, truncated = 0.0, 0, 0

        for t in 0 .. steps.Length - 1 do
            if t &&& 1023 = 0 then
                cancellation.ThrowIfCancellationRequested()

            let step = steps[t]
            let rho = ratio step
            let own = features.Rows[step.State]
            let next = if step.Terminated then zero else features.Rows[step.Next]

            for i in 0 .. width - 1 do
                trace[i] <- own[i] + (if step.Starts then 0.0 else carried * trace[i])

            let share = step.Weight * rho

            if share > 0.0 then
                counted <- counted + 1

                for i in 0 .. width - 1 do
                    right[i] <- right[i] + share * trace[i] * step.Reward

                    for j in 0 .. width - 1 do
                        matrix[i, j] <- matrix[i, j] + share * trace[i] * (own[j] - discount * next[j])

            visits[step.State] <- visits[step.State] + step.Weight
            carried <- discount * lambda * rho

            if step.Truncated then
                truncated <- truncated + 1

        let singular = matrix.Svd(false).S

        if not (singular[width - 1] > 1e-12 * singular[0]) then
            invalidArg
                (nameof log)
                $"the steps must determine all {width} weights but the equation is singular: singular values from {singular[0]} to {singular[width - 1]}"

        let weights = matrix.Solve(right).ToArray()

        {
            Weights = weights
            Values = features.Values weights
            Steps = counted
            Visits = visits
            Condition = singular[0] / singular[width - 1]
            Truncated = truncated
        }

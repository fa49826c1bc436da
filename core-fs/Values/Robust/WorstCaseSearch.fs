namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// What a search for the worst model found.
type WorstCase =
    {
        /// For each state the action to take, or -1 in a terminal state.
        Policy: int[]
        /// The least value at the start, over the models, of the policy.
        Lower: float
        /// min over the models found of the largest value at the start: no deterministic stationary policy has a better worst case, but for the tolerance.
        Upper: float
        /// The models that were taken in, in order.
        Found: int list
        /// Q: for each row the least over the models found of its optimal value, round by round.
        ActionValues: float[] list
        /// Policies evaluated, each under one model.
        Evaluations: int
        /// Policies that were optimal for one model: solves.
        Solves: int
    }

    /// True if the bounds meet within the tolerance: then the policy is the most robust one at the start.
    member this.IsClosed(tolerance: float) = this.Upper - this.Lower <= tolerance

/// Robust decisions as a sequence of ordinary ones: solve a model, take the least of the action values found so far, look for the model in which that policy does worst,
/// and take it in, until it is known already or no worse than thought. Zouitine, Geist and Rachelson 2024, "Solving robust MDPs as a sequence of static RL problems".
/// No contraction, and no promise to reach the robust value: the bounds say how near it is.
[<RequireQualifiedAccess>]
module WorstCaseSearch =

    /// From a start state and the model that is taken first. The tolerance ends the search; options are for each solve. Throws an OperationCanceledException.
    let solve (options: RunOptions) (tolerance: float) (start: int) (first: int) (family: ModelFamily) : WorstCase =
        if start < 0 || start >= family.StateCount then
            invalidArg (nameof start) $"start must be a state in [0, {family.StateCount}) but is {start}"

        if first < 0 || first >= family.Count then
            invalidArg (nameof first) $"first must be a model in [0, {family.Count}) but is {first}"

        if not (tolerance >= 0.0) then
            invalidArg (nameof tolerance) $"tolerance must not be negative but is {tolerance}"

        let model = family[0]

        let optimal index =
            options.Cancellation.ThrowIfCancellationRequested()
            let rows = Array.zeroCreate family.RowCount
            family.ActionValues(index, (ValueIteration.solve options (family.Backup index)).Values, rows)
            rows

        // V of the policy at the start, under a model.
        let evaluate (policy: Policy) index =
            options.Cancellation.ThrowIfCancellationRequested()
            (PolicyEvaluation.linear options policy (family.Backup index)).Values[start]

        let rec search found (least: float[]) history evaluations =
            let actions = family.Greedy(least, 0.0)
            let policy = Policy.Deterministic(model, ReadOnlySpan(actions |> Array.map (fun action -> Math.Max(0, action))))
            let values = Array.init family.Count (evaluate policy)
            let worst = Array.IndexOf(values, Array.min values)
            let upper = (family.Best least)[start]
            let evaluations = evaluations + family.Count

            if values[worst] >= upper - tolerance || List.contains worst found then
                {
                    Policy = actions
                    Lower = values[worst]
                    Upper = upper
                    Found = List.rev found
                    ActionValues = List.rev history
                    Evaluations = evaluations
                    Solves = found.Length
                }
            else
                let least = Array.map2 (fun (a: float) b -> Math.Min(a, b)) least (optimal worst)
                search (worst :: found) least (least :: history) evaluations

        let initial = optimal first
        search [ first ] initial [ initial ] 0

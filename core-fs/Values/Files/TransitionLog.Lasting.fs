namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open ValueFlow.Core.Foundations

/// What the reward of a logged step that lasted stands for.
[<RequireQualifiedAccess>]
type RewardTiming =
    /// The worth of what was earned at the step's start, R = sum over k &lt; duration of gamma^k r_k: discounted already.
    | AtStart
    /// A total that was earned evenly over the duration: R = total / duration * (1 - gamma^duration) / (1 - gamma).
    | Evenly

/// Models of logs whose steps last: after a step of duration tau what follows counts with gamma^tau.
[<RequireQualifiedAccess>]
module LastingLog =

    /// What a reward is worth at the start of its step, for a discount in [0, 1) and a duration of at least 1.
    let worth (timing: RewardTiming) (discount: float) (duration: float) (reward: float) : float =
        if not (discount >= 0.0 && discount < 1.0) then
            invalidArg (nameof discount) $"discount must lie in [0, 1) but is {discount}"

        if not (duration >= 1.0 && Double.IsFinite duration) then
            invalidArg (nameof duration) $"duration must be finite and at least 1 but is {duration}"

        match timing with
        | RewardTiming.AtStart -> reward
        | RewardTiming.Evenly -> reward / duration * (1.0 - Math.Pow(discount, duration)) / (1.0 - discount)

    /// The estimated semi-Markov model for one discount, with which it is then to be used: shares as probabilities, mean worths as rewards, gamma^(duration - 1) as what is left of the discount.
    /// Actions whose share is at most the threshold times that of their state's most frequent action are masked (the constraint of batch-constrained Q-learning); with threshold 0 only those that were
    /// never taken. Terminal and initial states are as in <c>Estimate</c>. The threshold lies in [0, 1).
    let estimate (timing: RewardTiming) (threshold: float) (discount: float) (log: TransitionLog) : Result<Model, ModelError list> =
        if not (discount >= 0.0 && discount < 1.0) then
            invalidArg (nameof discount) $"discount must lie in [0, 1) but is {discount}"

        if not (threshold >= 0.0 && threshold < 1.0) then
            invalidArg (nameof threshold) $"threshold must lie in [0, 1) but is {threshold}"

        let builder = log.Builder()
        let steps = log.Steps.ToArray() |> Array.filter (fun step -> step.Weight > 0.0)
        let acted = HashSet<int>(log.Steps.ToArray() |> Seq.map _.State)

        for _, ofState in steps |> Array.groupBy _.State |> Array.sortBy fst do
            let rows =
                ofState
                |> Array.groupBy _.Action
                |> Array.sortBy fst
                |> Array.map (fun (action, row) -> struct (action, row, row |> Array.sumBy _.Weight))

            let most = rows |> Array.map (fun (struct (_, _, weight)) -> weight) |> Array.max

            for struct (action, row, total) in rows do
                if total > threshold * most then
                    // Outcomes that the discount does not tell apart are one.
                    row
                    |> Array.groupBy (fun step ->
                        let continuation =
                            if step.Terminated && acted.Contains step.Next then 0.0
                            elif step.Terminated then 1.0
                            else Math.Pow(discount, step.Duration - 1.0)

                        struct (step.Next, continuation))
                    |> Array.sortBy fst
                    |> Array.iter (fun (struct (next, continuation), seen) ->
                        let weight = seen |> Array.sumBy _.Weight
                        let worths = seen |> Array.sumBy (fun step -> step.Weight * worth timing discount step.Duration step.Reward)
                        let place = seen |> Array.map _.Place |> Array.min
                        builder.AddContinuing(row[0].State, action, next, weight / total, worths / weight, continuation, place))

        builder.Build()

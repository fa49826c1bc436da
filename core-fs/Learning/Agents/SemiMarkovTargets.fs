namespace ValueFlow.Core.Learning

open System
open ValueFlow.Core.Foundations

/// Which value of the next state a target takes.
[<RequireQualifiedAccess>]
type NextValue =
    /// The largest of the target values: SDQN, after Mnih et al. 2015, "Human-level control through deep reinforcement learning".
    | Largest
    /// The target value of the action that is best online: SDDQN, after van Hasselt, Guez and Silver 2016, "Deep reinforcement learning with double Q-learning".
    | OfBestOnline
    /// The same, among actions whose share is more than the threshold times that of the most frequent one: SBCQ, after Fujimoto, Conti, Ghavamzadeh and Pineau 2019, "Benchmarking batch deep
    /// reinforcement learning algorithms". A threshold below 0 admits all that were taken at all; towards 1 it leaves the most frequent action alone.
    | Constrained of threshold: float

/// Targets of decisions that last: y = R + gamma^tau times the value of the next state, with R = sum over k &lt; tau of gamma^k r_k. Taking gamma in place of gamma^tau, as if every
/// decision lasted one step, solves another problem.
/// Fatemi, Wu, Petch, Nelson, Connolly, Benz, Carnicelli and Ghassemi 2022, "Semi-Markov offline reinforcement learning for healthcare".
[<RequireQualifiedAccess>]
module SemiMarkovTargets =

    let private requireDiscount (discount: float) =
        if not (discount >= 0.0 && discount < 1.0) then
            invalidArg (nameof discount) $"discount must lie in [0, 1) but is {discount}"

    /// gamma^tau: what the next state counts for after a decision of duration tau, which is at least 1.
    let lasting (discount: float) (duration: float) : float =
        requireDiscount discount

        if not (duration >= 1.0 && Double.IsFinite duration) then
            invalidArg (nameof duration) $"duration must be finite and at least 1 but is {duration}"

        Math.Pow(discount, duration)

    /// gamma, however long the decision lasted: the counterpart that takes decisions for steps.
    let byDecision (discount: float) (_: float) : float =
        requireDiscount discount
        discount

    /// Throws unless a threshold is below 1, where no action would be admitted.
    let internal requireRule (rule: NextValue) =
        match rule with
        | NextValue.Constrained threshold when not (threshold < 1.0) ->
            invalidArg (nameof rule) $"the threshold must be below 1 but is {threshold}"
        | _ -> ()

    /// The action that a rule takes in a state: the best of those that it admits, the lowest number among equals; -1 if none was ever taken there. One number an action: values to choose by,
    /// and the shares with which the actions were taken. An action that was never taken has no value, and is not admitted.
    let choose (rule: NextValue) (values: ReadOnlySpan<float>) (shares: ReadOnlySpan<float>) : int =
        requireRule rule
        Shape.requireLength (nameof shares) values.Length shares.Length

        let threshold =
            match rule with
            | NextValue.Constrained threshold -> threshold
            | _ -> -1.0

        let mutable most = 0.0

        for share in shares do
            most <- Math.Max(most, share)

        let mutable best = -1

        for action in 0 .. values.Length - 1 do
            if shares[action] > 0.0 && shares[action] / most > threshold && (best < 0 || values[action] > values[best]) then
                best <- action

        best

    /// The value of the next state by a rule, from online and target values and shares, one number an action; 0 where no action was ever taken.
    let nextValue (rule: NextValue) (online: ReadOnlySpan<float>) (target: ReadOnlySpan<float>) (shares: ReadOnlySpan<float>) : float =
        Shape.requireLength (nameof target) online.Length target.Length

        let chosen =
            match rule with
            | NextValue.Largest -> choose rule target shares
            | _ -> choose rule online shares

        if chosen < 0 then 0.0 else target[chosen]

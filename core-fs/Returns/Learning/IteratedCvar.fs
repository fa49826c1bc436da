namespace ValueFlow.Core.Returns

open System
open System.Threading
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// Caution at every step: V_h(s) = max over a of CVaR_A( r(s,a,s') + V_(h+1)(s') ) over a horizon, CVaR_A the mean of the worst share A in (0, 1] of outcomes. With A = 1 it is risk-neutral.
/// Du, Wang and Huang 2023, "Provably efficient risk-sensitive reinforcement learning: iterated CVaR and worst path"; Chen et al. 2024, "Provably efficient iterated CVaR reinforcement learning with
/// function approximation and human feedback".
[<RequireQualifiedAccess>]
module IteratedCvar =

    /// The plan of a horizon H for a share A. Throws an ArgumentException for a share outside (0, 1] and a horizon below 1.
    let plan (cancellation: CancellationToken) (share: float) (horizon: int) (model: Model) : StagePlan =
        FiniteHorizon.solve cancellation horizon 1.0 (Cvar share) (Extreme Direction.Maximise) model

    /// The plan of one who sees no risk: the same with the expectation.
    let neutral (cancellation: CancellationToken) (horizon: int) (model: Model) : StagePlan =
        FiniteHorizon.solve cancellation horizon 1.0 (Expectation()) (Extreme Direction.Maximise) model

    /// What a plan is worth at a share A.
    let evaluate (cancellation: CancellationToken) (share: float) (plan: StagePlan) (model: Model) : StagePlan =
        FiniteHorizon.evaluate cancellation 1.0 (Cvar share) plan model

    /// max over x in { k e : k whole } of x - E max(x - X, 0) / A: CVaR_A from below, short of it by no more than the step e &gt; 0, since x - E max(x - X, 0) / A is concave in x with a slope of at
    /// most 1. A learner that knows E max(x - X, 0) for the points of a grid needs no more.
    let onGrid (step: float) (share: float) (law: Distribution) : float =
        Argument.positive (nameof step) step
        Argument.share (nameof share) share
        // The supremum lies at an atom: no point above all of them, and one below the least, is needed.
        let first, last = Math.Floor(law.Minimum / step), Math.Floor(law.Maximum / step)

        if last - first > 1e7 then
            invalidArg (nameof step) $"the grid must have at most 1e7 points but has {last - first}"

        let mutable best = Double.NegativeInfinity

        for k in 0 .. int (last - first) do
            let x = (first + float k) * step
            best <- Math.Max(best, x - law.Expect(fun outcome -> Math.Max(x - outcome, 0.0)) / share)

        best

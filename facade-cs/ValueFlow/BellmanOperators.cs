using Microsoft.FSharp.Collections;
using ValueFlow.Core.Foundations;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>Operators of a model that join several backups, or change what is backed up. Their fixed points are estimates where no rounding is known.</summary>
public static class BellmanOperators
{
    /// <summary>The operator of TD(lambda) on values: (1 - lambda) sum of lambda^n T^(n+1) for the evaluation operator T of a policy. It contracts by
    /// discount (1 - lambda) / (1 - discount lambda).</summary>
    /// <param name="model">The model.</param>
    /// <param name="discount">In [0, 1).</param>
    /// <param name="policy">The probability of an action (second) in a state (first).</param>
    /// <param name="lambda">In [0, 1].</param>
    /// <exception cref="ArgumentException">A parameter is no good, or the model has intervals.</exception>
    public static ValueOperator TemporalDifference(DecisionModel model, double discount, Func<int, int, double> policy, double lambda)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(policy);
        return new(TraceOperator.evaluation(model.Core, discount, Policies.Drawn(model.Core, policy), lambda));
    }

    /// <summary>Retrace on action values (one for each state and action that it allows, by state): expected updates along traces of the behaviour, cut to
    /// lambda min(1, target / behaviour). Its fixed point is the target's action values; it contracts by the discount.</summary>
    /// <param name="model">The model.</param>
    /// <param name="discount">In [0, 1).</param>
    /// <param name="target">The policy that is evaluated.</param>
    /// <param name="behaviour">The policy that is followed.</param>
    /// <param name="lambda">In [0, 1].</param>
    /// <exception cref="ArgumentException">A parameter is no good, or the model has intervals.</exception>
    public static ValueOperator Retrace(DecisionModel model, double discount, Func<int, int, double> target, Func<int, int, double> behaviour, double lambda)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(behaviour);
        return new(
            Core.Values.Retrace.@operator(model.Core, discount, Policies.Drawn(model.Core, target), Policies.Drawn(model.Core, behaviour), lambda)
        );
    }

    /// <summary>Advantage learning on action values: an ordinary backup less strength times how far an action falls behind the best. It keeps the optimum and widens the gaps, but
    /// it is no contraction: no modulus is claimed.</summary>
    /// <param name="model">The model.</param>
    /// <param name="discount">In [0, 1).</param>
    /// <param name="strength">In [0, 1).</param>
    /// <exception cref="ArgumentException">A parameter is no good, or the model has intervals.</exception>
    public static ValueOperator AdvantageLearning(DecisionModel model, double discount, double strength)
    {
        ArgumentNullException.ThrowIfNull(model);
        return new(GapIncreasing.advantageLearning(model.Core, discount, strength));
    }

    /// <summary>The consistent operator on action values: where a transition stays in its state, the same action is taken again. It keeps the optimum, widens the gaps, and contracts by the discount.</summary>
    /// <param name="model">The model.</param>
    /// <param name="discount">In [0, 1).</param>
    /// <exception cref="ArgumentException">The discount is no good, or the model has intervals.</exception>
    public static ValueOperator Consistent(DecisionModel model, double discount)
    {
        ArgumentNullException.ThrowIfNull(model);
        return new(GapIncreasing.consistent(model.Core, discount));
    }

    /// <summary>The conservative operator on action values (one for each state and action that it allows, by state): what follows is worth what the policy's likeliest action is worth. It is
    /// monotone and contracts by the discount; its fixed point is found by <see cref="ConservativeEvaluationExtensions"/> as well.</summary>
    /// <param name="model">The model.</param>
    /// <param name="discount">In [0, 1).</param>
    /// <param name="policy">The probability of an action (second) in a state (first).</param>
    /// <exception cref="ArgumentException">A parameter is no good, or the model has intervals.</exception>
    public static ValueOperator Conservative(DecisionModel model, double discount, Func<int, int, double> policy)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(policy);
        return new(ConservativeBellman.@operator(model.Core, discount, Policies.Drawn(model.Core, policy)));
    }

    /// <summary>The inverse of the conservative operator: the mean reward of each state and action for which action values are right. The sum along a path ranks it.</summary>
    /// <param name="model">The model.</param>
    /// <param name="discount">In [0, 1).</param>
    /// <param name="policy">The probability of an action (second) in a state (first).</param>
    /// <param name="actionValues">One for each state and action that it allows, by state.</param>
    /// <exception cref="ArgumentException">A parameter is no good, or the model has intervals.</exception>
    public static double[] ConservativeRewards(
        DecisionModel model,
        double discount,
        Func<int, int, double> policy,
        IReadOnlyList<double> actionValues
    )
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(actionValues);
        return ConservativeBellman.inverse(model.Core, discount, Policies.Drawn(model.Core, policy), [.. actionValues]);
    }

    /// <summary>The best policy against the worst laws that share one budget of total variation among the actions of a state; the policy may draw.</summary>
    /// <param name="model">The model.</param>
    /// <param name="discount">In [0, 1).</param>
    /// <param name="budget">The sum over the actions of a state of half the L1 distance; finite and not negative.</param>
    /// <exception cref="ArgumentException">A parameter is no good, or the model has intervals.</exception>
    public static ValueOperator SharedBudget(DecisionModel model, double discount, double budget)
    {
        ArgumentNullException.ThrowIfNull(model);
        return new(Rectangular.optimality(model.Core, discount, budget));
    }

    /// <summary>A policy under the worst laws that share one budget of total variation among the actions of a state.</summary>
    /// <param name="model">The model.</param>
    /// <param name="discount">In [0, 1).</param>
    /// <param name="budget">The sum over the actions of a state of half the L1 distance; finite and not negative.</param>
    /// <param name="policy">The probability of an action (second) in a state (first).</param>
    /// <exception cref="ArgumentException">A parameter is no good, or the model has intervals.</exception>
    public static ValueOperator SharedBudget(DecisionModel model, double discount, double budget, Func<int, int, double> policy)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(policy);
        return new(Rectangular.evaluation(model.Core, discount, budget, Policies.Drawn(model.Core, policy)));
    }

    /// <summary>The values under several discounts, one block after the other, backed up together: it contracts by the largest.</summary>
    /// <param name="model">The model.</param>
    /// <param name="discounts">At least one, each in [0, 1).</param>
    /// <exception cref="ArgumentException">There is no discount, one is no good, or the model has intervals.</exception>
    public static ValueOperator SeveralDiscounts(DecisionModel model, IReadOnlyList<double> discounts)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(discounts);
        return new(
            Core.Values.SeveralDiscounts.create(model.Core, ListModule.OfSeq(discounts), new Expectation(), new Extreme(Direction.Maximise))
        );
    }
}

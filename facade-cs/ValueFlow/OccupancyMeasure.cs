using Microsoft.Data.Analysis;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>How often a policy visits each state and takes each action there, discounted. Nothing in it changes.</summary>
public sealed class OccupancyMeasure
{
    private readonly OccupancyPolytope polytope;
    private readonly double[] weights;

    internal OccupancyMeasure(DecisionModel model, OccupancyPolytope polytope, double[] weights)
    {
        Model = model;
        this.polytope = polytope;
        this.weights = weights;
        double[] visits = new double[model.StateCount];
        for (int state = 0; state < visits.Length; state++)
        {
            for (int row = model.Core.RowOffsets[state]; row < model.Core.RowOffsets[state + 1]; row++)
            {
                visits[state] += weights[row];
            }
        }

        Visits = Array.AsReadOnly(visits);
    }

    /// <summary>The model.</summary>
    public DecisionModel Model { get; }

    /// <summary>For each state the expected discounted number of visits in which an action is taken; zero in terminal states.</summary>
    public IReadOnlyList<double> Visits { get; }

    /// <summary>The expected discounted number of times that an action is taken in a state; zero for an action that the state does not allow.</summary>
    public double this[int state, int action]
    {
        get
        {
            var rows = Model.Core.RowActions[Model.Core.RowOffsets[Model.State(state)]..Model.Core.RowOffsets[state + 1]];
            int place = rows.IndexOf(action);
            return place < 0 ? 0 : weights[Model.Core.RowOffsets[state] + place];
        }
    }

    /// <summary>The expected discounted sum of a reward for each state (first) and action (second).</summary>
    public double ValueOf(Func<int, int, double> reward)
    {
        ArgumentNullException.ThrowIfNull(reward);
        double sum = 0;
        for (int state = 0; state < Model.StateCount; state++)
        {
            for (int row = Model.Core.RowOffsets[state]; row < Model.Core.RowOffsets[state + 1]; row++)
            {
                sum += weights[row] * reward(state, Model.Core.RowActions[row]);
            }
        }

        return sum;
    }

    /// <summary>What values prove of the measure's policy at the start: how much it is worth at least, and that no policy is worth more than so much, rounding included. Values may be of any kind; those of a solved
    /// problem close the gap of its policy. Linear programming's weak duality: Puterman 1994, "Markov decision processes", section 6.9. Rewards are to be large.</summary>
    /// <param name="values">For each state a finite number; those of terminal states are not read.</param>
    /// <exception cref="ArgumentException">There is not one finite value for each state.</exception>
    public DualityGap GapTo(IReadOnlyList<double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        var gap = Duality.gap(polytope, [.. values], weights);
        return new(gap.Paid, gap.Lower, gap.Upper);
    }

    /// <summary>A table with a row for each state and action: state, action, visits.</summary>
    public DataFrame ToDataFrame()
    {
        var rows = Enumerable
            .Range(0, Model.StateCount)
            .SelectMany(state => Model.Actions(state).Select(action => (state, action)))
            .ToArray();
        return new(
            new StringDataFrameColumn("state", rows.Select(row => Model.StateName(row.state))),
            new StringDataFrameColumn("action", rows.Select(row => Model.ActionName(row.action))),
            new DoubleDataFrameColumn("visits", weights)
        );
    }
}

/// <summary>What an occupancy measure and values prove together, for the start.</summary>
/// <param name="Paid">The expected discounted sum of rewards, as computed.</param>
/// <param name="Lower">The policy is worth at least this.</param>
/// <param name="Upper">No policy is worth more than this.</param>
public sealed record DualityGap(double Paid, double Lower, double Upper)
{
    /// <summary>The policy loses at most this against the best one.</summary>
    public double Gap => Upper - Lower;
}

/// <summary>What policies visit.</summary>
public static class OccupancyExtensions
{
    /// <summary>The occupancy of a policy that is given by an action for each state (entries of terminal states are not read).</summary>
    /// <param name="model">The model.</param>
    /// <param name="discount">What a visit one step later counts, in [0, 1).</param>
    /// <param name="policy">For each state an action that it allows.</param>
    /// <exception cref="ArgumentException">The policy takes an action that a state does not allow, the discount is no good, or the model has intervals.</exception>
    public static OccupancyMeasure Occupancy(this DecisionModel model, double discount, IReadOnlyList<int> policy)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(policy);
        return Of(model, discount, Policy.Deterministic(model.Core, policy.ToArray()));
    }

    /// <summary>The occupancy of a policy that draws its actions. It starts in the model's initial states, all as likely; in every state if there are none.</summary>
    /// <param name="model">The model.</param>
    /// <param name="discount">What a visit one step later counts, in [0, 1).</param>
    /// <param name="probability">The probability of an action (second) in a state (first); in each state they sum to 1 within 1e-9.</param>
    /// <exception cref="ArgumentException">The policy or the discount is no good, or the model has intervals.</exception>
    public static OccupancyMeasure Occupancy(this DecisionModel model, double discount, Func<int, int, double> probability)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(probability);
        return Of(model, discount, Policies.Drawn(model.Core, probability));
    }

    private static OccupancyMeasure Of(DecisionModel model, double discount, Policy policy)
    {
        var polytope = OccupancyPolytope.Create(model.Core, discount);
        return new(model, polytope, Core.Values.Occupancy.ofPolicy(CancellationToken.None, policy, polytope));
    }
}

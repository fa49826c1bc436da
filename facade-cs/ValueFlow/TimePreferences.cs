using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>Several objectives, each with a reward, a weight and a patience of its own. It never changes: each word returns a new one.</summary>
public sealed class TimePreferences
{
    private readonly DecisionModel model;
    private readonly DiscountedObjective[] objectives;

    internal TimePreferences(DecisionModel model, DiscountedObjective[] objectives) => (this.model, this.objectives) = (model, objectives);

    /// <summary>Adds an objective. Bad numbers are refused by <see cref="Solve"/>.</summary>
    /// <param name="name">Its name in messages.</param>
    /// <param name="discount">What its reward one step later is worth, in [0, 1).</param>
    /// <param name="reward">What it earns for an action (second) in a state (first).</param>
    /// <param name="weight">How much it counts; not negative, 1 by default.</param>
    public TimePreferences Objective(string name, double discount, Func<int, int, double> reward, double weight = 1)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(reward);
        double[] rewards = new double[model.Core.RowCount];
        for (int state = 0; state < model.StateCount; state++)
        {
            for (int row = model.Core.RowOffsets[state]; row < model.Core.RowOffsets[state + 1]; row++)
            {
                rewards[row] = reward(state, model.Core.RowActions[row]);
            }
        }

        return new(model, [.. objectives, MultiDiscount.objective(name, rewards, discount, weight)]);
    }

    /// <summary>The best plan. It depends on the time, which no stationary policy can make up for; from the horizon on it serves the most patient objective alone.</summary>
    /// <param name="horizon">Steps for which the plan is made, not negative. The longer, the nearer Values and Upper.</param>
    /// <param name="options">Options; the method is not read.</param>
    /// <exception cref="ArgumentException">There is no objective, a number of one is no good, the horizon is negative, or the model has intervals.</exception>
    public TimedPlan Solve(int horizon, SolveOptions? options = null)
    {
        var core = (options ?? new()).Run(run => MultiDiscount.solve(run, horizon, model.Core, objectives));
        return new(model, core);
    }
}

/// <summary>What to do when. Nothing in it changes.</summary>
public sealed class TimedPlan
{
    private readonly Core.Values.TimedPlan core;

    internal TimedPlan(DecisionModel model, Core.Values.TimedPlan core)
    {
        Model = model;
        this.core = core;
        Values = Array.AsReadOnly(core.Values);
        Upper = Array.AsReadOnly(core.Upper);
    }

    /// <summary>The model.</summary>
    public DecisionModel Model { get; }

    /// <summary>The steps for which the plan was made.</summary>
    public int Horizon => core.Actions.Length;

    /// <summary>For each state the weighted sum of all objectives that the plan earns from there, rounding aside.</summary>
    public IReadOnlyList<double> Values { get; }

    /// <summary>For each state a number that no plan exceeds, rounding aside.</summary>
    public IReadOnlyList<double> Upper { get; }

    /// <summary>The action to take at a time (from 0 on) in a state; -1 in a terminal state.</summary>
    public int ActionAt(int time, int state)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(time);
        return (time < Horizon ? core.Actions[time] : core.Tail)[Model.State(state)];
    }
}

/// <summary>Several objectives on one model.</summary>
public static class TimePreferencesExtensions
{
    /// <summary>No objective yet: add some.</summary>
    public static TimePreferences TimePreferences(this DecisionModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return new(model, []);
    }
}

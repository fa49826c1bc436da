using Microsoft.Data.Analysis;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>Classes of states that are treated as one, the smaller model of them, and what that costs. Nothing in it changes.</summary>
public sealed class StateClusters
{
    private readonly DecisionProblem problem;
    private readonly AggregatedModel core;

    internal StateClusters(DecisionProblem problem, AggregatedModel core)
    {
        (this.problem, this.core) = (problem, core);
        Model = new(core.Model);
        Members = Array.AsReadOnly(core.Classes.Select(members => (IReadOnlyList<int>)Array.AsReadOnly(members)).ToArray());
        ValueErrorBounds = Array.AsReadOnly(core.Bounds);
    }

    /// <summary>The number of classes.</summary>
    public int Count => Members.Count;

    /// <summary>For each class its states. Where episodes end within a transition, that end is in a class, too, perhaps in one without a state.</summary>
    public IReadOnlyList<IReadOnlyList<int>> Members { get; }

    /// <summary>The model of the classes: the means of their states' rewards and transitions.</summary>
    public DecisionModel Model { get; }

    /// <summary>The problem of the classes, with the discount and the direction of the one that was aggregated.</summary>
    public DecisionProblem Problem => problem.IsMinimising ? Model.Discounted(problem.Discount).Minimising() : Model.Discounted(problem.Discount);

    /// <summary>The optimal value of no state is further than this from that of its class.</summary>
    public double ValueErrorBound => core.Bound;

    /// <summary>For each state a bound on how far its optimal value is from that of its class.</summary>
    public IReadOnlyList<double> ValueErrorBounds { get; }

    /// <summary>The class of a state.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such state.</exception>
    public int ClusterOf(int state) => core.ClassOf[problem.Model.State(state)];

    /// <summary>The class of the state with a name.</summary>
    /// <exception cref="ArgumentException">No state has the name.</exception>
    public int ClusterOf(string state) => core.ClassOf[problem.Model.StateOf(state)];

    /// <summary>For each state of the original model the value of its class, from a solution of <see cref="Problem"/>.</summary>
    /// <exception cref="ArgumentException">There is not one value for each class.</exception>
    public IReadOnlyList<double> Lift(IReadOnlyList<double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        return Array.AsReadOnly(core.Lift([.. values]));
    }

    /// <summary>For each state of the original model the action of its class, from a solution of <see cref="Problem"/>; -1 in terminal states.</summary>
    /// <exception cref="ArgumentException">There is not one action for each class.</exception>
    public IReadOnlyList<int> LiftPolicy(IReadOnlyList<int> policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return Array.AsReadOnly(core.LiftPolicy(problem.Model.Core, [.. policy]));
    }

    /// <summary>A table with a row for each state: state, cluster, value_error_bound.</summary>
    public DataFrame ToDataFrame() =>
        new(
            new StringDataFrameColumn("state", Enumerable.Range(0, problem.Model.StateCount).Select(problem.Model.StateName)),
            new Int32DataFrameColumn("cluster", core.ClassOf),
            new DoubleDataFrameColumn("value_error_bound", core.Bounds)
        );
}

using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>How far the states of a model lie apart: what it costs to move a unit of probability from one to another.</summary>
public sealed class StateDistances
{
    private readonly Func<Model, StateMetric> create;

    private StateDistances(Func<Model, StateMetric> create) => this.create = create;

    /// <summary>The fewest transitions of the model between two states, in either direction; infinite where no path leads. For models of at most 4,000 states
    /// (ArgumentException from the solver if more).</summary>
    public static StateDistances Steps { get; } = new(StateMetric.Steps);

    /// <summary>1 between any two states: total variation.</summary>
    public static StateDistances Discrete { get; } = new(_ => StateMetric.Discrete);

    /// <summary>|i - j| for states in a line, by their numbers.</summary>
    public static StateDistances Line { get; } = new(_ => StateMetric.Line);

    /// <summary>Euclidean distances between points, one for each state.</summary>
    /// <param name="points">Finite, of one dimension (ArgumentException if not).</param>
    public static StateDistances OfPoints(IReadOnlyList<IReadOnlyList<double>> points)
    {
        ArgumentNullException.ThrowIfNull(points);
        var metric = StateMetric.OfPoints([.. points.Select(point => point.ToArray())]);
        return new(_ => metric);
    }

    /// <summary>Distances by a table, from the state of the row to that of the column.</summary>
    /// <param name="table">Square, not negative, zero from a state to itself (ArgumentException if not); infinite where nothing may move.</param>
    public static StateDistances OfTable(double[,] table)
    {
        ArgumentNullException.ThrowIfNull(table);
        var metric = StateMetric.OfTable(table);
        return new(_ => metric);
    }

    internal StateMetric Core(Model model) => create(model);
}

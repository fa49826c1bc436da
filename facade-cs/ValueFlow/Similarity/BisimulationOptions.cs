namespace ValueFlow;

/// <summary>Which action of another state an action is compared with.</summary>
public enum ActionMatching
{
    /// <summary>The same one. States that allow different actions are never alike.</summary>
    SameAction,

    /// <summary>The nearest one, in both directions: actions may have other names, and states other actions.</summary>
    NearestAction,
}

/// <summary>How states are compared, and how far the comparison is computed.</summary>
public sealed record BisimulationOptions
{
    /// <summary>What a difference of rewards counts; positive, 1 by default.</summary>
    public double RewardWeight { get; init; } = 1;

    /// <summary>What a difference of what follows counts, in (0, 1) and not below the problem's discount; by default the discount (a half, if that is zero).</summary>
    public double? TransitionWeight { get; init; }

    /// <summary>Which actions are compared; the same ones by default.</summary>
    public ActionMatching Matching { get; init; } = ActionMatching.SameAction;

    /// <summary>The certified error of distances at which to stop; positive, 1e-6 by default.</summary>
    public double Tolerance { get; init; } = 1e-6;

    /// <summary>The most applications of the operator; at least 1, a million by default.</summary>
    public int MaximumSweeps { get; init; } = 1_000_000;

    /// <summary>Told of the first application, of the last, and of one in every <see cref="ProgressInterval"/> between; nobody by default.</summary>
    public IProgress<SolveProgress>? Progress { get; init; }

    /// <summary>The time between two reports of progress; 100 ms by default, zero for a report of every application.</summary>
    public TimeSpan ProgressInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Ends the run early: the metric then has the outcome Cancelled, and the bound reached so far (infinite before the first application is done).</summary>
    public CancellationToken Cancellation { get; init; }

    internal SolveOptions Solve =>
        new()
        {
            Tolerance = Tolerance,
            MaximumSweeps = MaximumSweeps,
            Progress = Progress,
            ProgressInterval = ProgressInterval,
            Cancellation = Cancellation,
        };

    internal double WeightFor(double discount)
    {
        double weight = TransitionWeight ?? (discount > 0 ? discount : 0.5);
        return weight >= discount && weight < 1 && weight > 0
            ? weight
            : throw new ArgumentOutOfRangeException("options", weight, $"TransitionWeight must lie in (0, 1) and not below the discount {discount}");
    }

    internal Core.Values.ActionMatching CoreMatching =>
        Matching switch
        {
            ActionMatching.SameAction => Core.Values.ActionMatching.SameAction,
            ActionMatching.NearestAction => Core.Values.ActionMatching.Nearest,
            _ => throw new ArgumentOutOfRangeException("options", Matching, "Matching must be SameAction or NearestAction"),
        };
}

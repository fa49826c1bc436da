namespace ValueFlow;

/// <summary>What the search for the best tail is told.</summary>
public sealed record TailOptions
{
    /// <summary>The width of the bracket [Lower, Upper] at which to stop, in the units of the return; positive, 0.01 by default.</summary>
    public double Tolerance { get; init; } = 0.01;

    /// <summary>The most pairs of a state and a stock; at least 1, eight million (some 400 MB) by default. A finer lattice that would need more is not tried, and the outcome says so.</summary>
    public int MaximumNodes { get; init; } = 8_000_000;

    /// <summary>Told of every sweep, its bound being the width of the bracket; nobody by default.</summary>
    public IProgress<SolveProgress>? Progress { get; init; }

    /// <summary>Ends the run early: the result then has the outcome Cancelled, and the bracket reached so far.</summary>
    public CancellationToken Cancellation { get; init; }

    // Slips are named as the caller knows them.
    internal Core.Returns.StockOptions Core()
    {
        if (!(Tolerance > 0))
        {
            throw new ArgumentOutOfRangeException("options", Tolerance, "Tolerance must be positive");
        }

        if (MaximumNodes < 1)
        {
            throw new ArgumentOutOfRangeException("options", MaximumNodes, "MaximumNodes must be at least 1");
        }

        Action<Core.Foundations.Progress> report = Progress is null
            ? _ => { }
        : progress => Progress.Report(new(progress.Applications, progress.Residual, progress.Bound));
        return new(Tolerance, MaximumNodes, Microsoft.FSharp.Core.FuncConvert.FromAction(report), Cancellation);
    }
}

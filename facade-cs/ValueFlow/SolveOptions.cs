namespace ValueFlow;

/// <summary>How a decision is found.</summary>
public sealed class Method
{
    private Method(string name, Func<Core.Foundations.RunOptions, Core.Values.Bellman, Core.Values.Solution> solve) => (Name, Solve) = (name, solve);

    /// <summary>The name.</summary>
    public string Name { get; }

    internal Func<Core.Foundations.RunOptions, Core.Values.Bellman, Core.Values.Solution> Solve { get; }

    /// <summary>Plain sweeps with the bounds of MacQueen and Porteus: the default.</summary>
    public static Method ValueIteration { get; } = new("value-iteration", Core.Values.ValueIteration.solve);

    /// <summary>Sweeps in which later states see new values.</summary>
    public static Method GaussSeidel { get; } = new("gauss-seidel", Core.Values.GaussSeidel.solve);

    /// <summary>Improve the policy, and evaluate it by a linear solve.</summary>
    public static Method PolicyIteration { get; } = new("policy-iteration", Core.Values.PolicyIteration.solve);

    /// <summary>Improve the policy, and back it up some times.</summary>
    /// <param name="backups">At least 1.</param>
    public static Method ModifiedPolicyIteration(int backups = 20)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(backups, 1);
        return new($"modified-policy-iteration:{backups}", (options, bellman) => Core.Values.PolicyIteration.solveModified(backups, options, bellman));
    }
}

/// <summary>How far a solver is.</summary>
/// <param name="Sweeps">Sweeps so far.</param>
/// <param name="Residual">sup |T V - V| of the last sweep.</param>
/// <param name="Bound">The certified error so far, infinite while there is none.</param>
public readonly record struct SolveProgress(int Sweeps, double Residual, double Bound);

/// <summary>What a solver is told.</summary>
public sealed record SolveOptions
{
    /// <summary>The certified error at which to stop; 1e-8 by default.</summary>
    public double Tolerance { get; init; } = 1e-8;

    /// <summary>The most sweeps; a million by default. The solution's outcome says if they were used up.</summary>
    public int MaximumSweeps { get; init; } = 1_000_000;

    /// <summary>How a discounted decision is found; value iteration by default.</summary>
    public Method Method { get; init; } = Method.ValueIteration;

    /// <summary>Told after every sweep; nobody by default.</summary>
    public IProgress<SolveProgress>? Progress { get; init; }

    /// <summary>Ends the run early: the solution then has the outcome Cancelled, and the bounds reached so far.</summary>
    public CancellationToken Cancellation { get; init; }

    internal Core.Foundations.RunOptions Core =>
        new(
            Tolerance,
            MaximumSweeps,
            Microsoft.FSharp.Core.FuncConvert.FromAction<Core.Foundations.Progress>(p => Progress?.Report(new(p.Applications, p.Residual, p.Bound))),
            Cancellation
        );
}

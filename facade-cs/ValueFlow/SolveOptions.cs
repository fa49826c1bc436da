using System.Diagnostics;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>How a decision is found.</summary>
public sealed class Method
{
    private Method(string name, PlanningMethod core) => (Name, Core) = (name, core);

    /// <summary>The name.</summary>
    public string Name { get; }

    internal PlanningMethod Core { get; }

    /// <summary>Value iteration; and for the best action without an attitude, where its bounds close slowly, policy iteration or modified policy iteration, whichever should cost
    /// less: the default, and good for every attitude and choice. The solution's method says what was done.</summary>
    public static Method Automatic { get; } = new("automatic", PlanningMethod.Automatic);

    /// <summary>Plain sweeps with the bounds of MacQueen and Porteus: good for every attitude and choice.</summary>
    public static Method ValueIteration { get; } = new("value-iteration", PlanningMethod.ValueIteration);

    /// <summary>Sweeps in which later states see new values. Refuses (ArgumentException) total variation over all states.</summary>
    public static Method GaussSeidel { get; } = new("gauss-seidel", PlanningMethod.NewGaussSeidel(SweepOrder.Forward));

    /// <summary>The same from the last state to the first.</summary>
    public static Method GaussSeidelBackward { get; } = new("gauss-seidel:backward", PlanningMethod.NewGaussSeidel(SweepOrder.Backward));

    /// <summary>The same forward and backward in turn.</summary>
    public static Method GaussSeidelAlternating { get; } = new("gauss-seidel:alternating", PlanningMethod.NewGaussSeidel(SweepOrder.Alternating));

    /// <summary>Backups of single states, that first which may change the most: good where few states matter at a time. Refuses (ArgumentException) total variation over all states.</summary>
    public static Method PrioritisedSweeping { get; } = new("prioritised-sweeping", PlanningMethod.PrioritisedSweeping);

    /// <summary>Anderson acceleration: steps from several images, taken back where they do not help.</summary>
    /// <param name="memory">How many differences are remembered, at least 1; 5 by default.</param>
    public static Method Anderson(int memory = 5)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(memory, 1);
        return new($"anderson:{memory}", PlanningMethod.NewAnderson(memory));
    }

    /// <summary>Value iteration that is drawn back to its start by less and less.</summary>
    public static Method Anchored { get; } = new("anchored", PlanningMethod.Anchored);

    /// <summary>Improve the policy, and evaluate it: by a linear solve, under risk or doubt by sweeps. Refuses (ArgumentException) another choice than the best action.</summary>
    public static Method PolicyIteration { get; } = new("policy-iteration", PlanningMethod.PolicyIteration);

    /// <summary>Improve the policy, and back it up some times. Refuses (ArgumentException) another choice than the best action.</summary>
    /// <param name="backups">At least 1; 20 by default.</param>
    public static Method ModifiedPolicyIteration(int backups = 20)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(backups, 1);
        return new($"modified-policy-iteration:{backups}", PlanningMethod.NewModifiedPolicyIteration(backups));
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
    /// <summary>The certified error at which to stop, in the units of the values; positive, 1e-8 by default.</summary>
    public double Tolerance { get; init; } = 1e-8;

    /// <summary>The most sweeps; at least 1, a million by default. The solution's outcome says if they were used up.</summary>
    public int MaximumSweeps { get; init; } = 1_000_000;

    /// <summary>How a discounted decision is found; automatically by default.</summary>
    public Method Method { get; init; } = Method.Automatic;

    /// <summary>Told of the first sweep, of the last, and of one in every <see cref="ProgressInterval"/> between; nobody by default.</summary>
    public IProgress<SolveProgress>? Progress { get; init; }

    /// <summary>The time between two reports of progress; 100 ms by default, zero for a report of every sweep.</summary>
    public TimeSpan ProgressInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>A file for the state of a discounted run: written now and then, and read when it is there already. A run that was stopped or killed goes on from it and ends with the same
    /// answer, to the bit, as if it had not been stopped. It is left when the run is done. None by default.</summary>
    public string? Checkpoint { get; init; }

    /// <summary>The time between two writings of the checkpoint; 30 s by default, zero for one before every sweep.</summary>
    public TimeSpan CheckpointInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Ends the run early: the solution then has the outcome Cancelled, and the bounds reached so far.</summary>
    public CancellationToken Cancellation { get; init; }

    internal Core.Values.Solution Solve(Core.Foundations.RunOptions run, Bellman bellman) =>
        Checkpoint is null
            ? PlanningMethodModule.solve(Method.Core, run, bellman)
            : PlanningMethodModule.solveKept(new(Checkpoint, CheckpointInterval, int.MaxValue), Method.Core, run, bellman);

    // Where a run keeps no state.
    internal void RequireNoCheckpoint(string what)
    {
        if (Checkpoint is not null)
        {
            throw new ArgumentException($"Checkpoint is for the solution of a discounted problem, but this is {what}", "options");
        }
    }

    // Slips are named as the caller knows them, before anything runs; the last sweep is always reported.
    internal T Run<T>(Func<Core.Foundations.RunOptions, T> run)
    {
        if (!(Tolerance > 0))
        {
            throw new ArgumentOutOfRangeException("options", Tolerance, "Tolerance must be positive");
        }

        if (MaximumSweeps < 1)
        {
            throw new ArgumentOutOfRangeException("options", MaximumSweeps, "MaximumSweeps must be at least 1");
        }

        if (Method is null)
        {
            throw new ArgumentNullException("options", "Method must be given");
        }

        if (Checkpoint is not null && string.IsNullOrWhiteSpace(Checkpoint))
        {
            throw new ArgumentException("Checkpoint must be the path of a file but is empty", "options");
        }

        if (CheckpointInterval < TimeSpan.Zero)
        {
            throw new ArgumentOutOfRangeException("options", CheckpointInterval, "CheckpointInterval must not be negative");
        }

        SolveProgress? untold = null;
        long told = 0;
        void Sweep(Core.Foundations.Progress progress)
        {
            SolveProgress now = new(progress.Applications, progress.Residual, progress.Bound);
            if (told != 0 && Stopwatch.GetElapsedTime(told) < ProgressInterval)
            {
                untold = now;
                return;
            }

            untold = null;
            told = Stopwatch.GetTimestamp();
            Progress!.Report(now);
        }

        Action<Core.Foundations.Progress> report = Progress is null ? _ => { } : Sweep;
        var result = run(new(Tolerance, MaximumSweeps, Microsoft.FSharp.Core.FuncConvert.FromAction(report), Cancellation));
        if (untold is SolveProgress last)
        {
            Progress!.Report(last);
        }

        return result;
    }
}

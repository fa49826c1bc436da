using Microsoft.FSharp.Collections;
using Microsoft.FSharp.Core;
using ValueFlow.Core.Dynamics;

namespace ValueFlow;

/// <summary>A scheme for ordinary equations.</summary>
public enum OdeScheme
{
    /// <summary>Dormand and Prince, order 5 with an error estimate: the default.</summary>
    DormandPrince5,

    /// <summary>Euler's, order 1, steps of one length.</summary>
    Euler,

    /// <summary>The midpoint rule, order 2.</summary>
    Midpoint,

    /// <summary>Heun's, order 2.</summary>
    Heun,

    /// <summary>Bogacki and Shampine, order 3.</summary>
    BogackiShampine,

    /// <summary>The classical one of Runge and Kutta, order 4, steps of one length.</summary>
    RungeKutta4,

    /// <summary>Tsitouras, order 5.</summary>
    Tsitouras5,

    /// <summary>Dormand and Prince, order 8: for small tolerances.</summary>
    DormandPrince8,
}

/// <summary>Whose error decides the steps of a batch.</summary>
public enum BatchError
{
    /// <summary>The root mean square over the batch.</summary>
    RootMeanSquare,

    /// <summary>The worst sample's.</summary>
    WorstSample,

    /// <summary>Each sample has its own steps: results do not depend on what else is in the batch.</summary>
    EachSample,
}

/// <summary>How an ordinary equation is solved.</summary>
public sealed record OdeOptions
{
    /// <summary>The scheme; Dormand-Prince 5 by default.</summary>
    public OdeScheme Scheme { get; init; } = OdeScheme.DormandPrince5;

    /// <summary>The error that a step may make: relative to the state, and absolute below one; positive, 1e-6 by default.</summary>
    public double Tolerance { get; init; } = 1e-6;

    /// <summary>The length of all steps, without error control; steps follow the tolerance by default.</summary>
    public double? Step { get; init; }

    /// <summary>Whose error decides in a batch; the root mean square by default.</summary>
    public BatchError BatchError { get; init; } = BatchError.RootMeanSquare;

    /// <summary>Times at which the state is kept, from the start to the end: steps land on them. By default the start and the end.</summary>
    public IReadOnlyList<double>? Times { get; init; }

    /// <summary>Whether the state between the steps is kept, for <see cref="OdeSolution{TState}.At"/>; it is not by default.</summary>
    public bool IsDense { get; init; }

    /// <summary>The most steps; 100,000 by default.</summary>
    public int MaximumSteps { get; init; } = 100_000;

    /// <summary>Told of every step; nobody by default.</summary>
    public IProgress<TimeProgress>? Progress { get; init; }

    /// <summary>Ends the solve early: the solution then says so, and is what was reached.</summary>
    public CancellationToken Cancellation { get; init; }

    /// <summary>So many times from one to another, equally far apart, both included.</summary>
    /// <param name="from">The first time.</param>
    /// <param name="until">The last time.</param>
    /// <param name="count">How many; at least 2.</param>
    public static double[] EvenTimes(double from, double until, int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 2);
        return [.. Enumerable.Range(0, count).Select(k => k == count - 1 ? until : from + ((until - from) * k / (count - 1)))];
    }

    internal static Scheme CoreScheme(OdeScheme scheme) =>
        scheme switch
        {
            OdeScheme.Euler => SchemeModule.euler,
            OdeScheme.Midpoint => SchemeModule.midpoint,
            OdeScheme.Heun => SchemeModule.heun,
            OdeScheme.BogackiShampine => SchemeModule.bogackiShampine,
            OdeScheme.RungeKutta4 => SchemeModule.rungeKutta4,
            OdeScheme.DormandPrince5 => SchemeModule.dormandPrince5,
            OdeScheme.Tsitouras5 => SchemeModule.tsitouras5,
            OdeScheme.DormandPrince8 => SchemeModule.dormandPrince8,
            _ => throw new ArgumentException($"the scheme must be one of {string.Join(", ", Enum.GetNames<OdeScheme>())} but is {scheme}"),
        };

    internal Core.Dynamics.OdeOptions Core(double from, double until)
    {
        var control = Step is double step ? StepControl.NewConstant(step) : StepControlModule.integral(Tolerance, Tolerance);
        var norm = BatchError switch
        {
            BatchError.WorstSample => ErrorNorm.WorstSample,
            BatchError.EachSample => ErrorNorm.EachSample,
            _ => ErrorNorm.RootMeanSquare,
        };
        return new(
            CoreScheme(Scheme),
            StepControlModule.withNorm(norm, control),
            Times?.ToArray() ?? (from == until ? [from] : [from, until]),
            FSharpList<OdeEvent>.Empty,
            IsDense,
            MaximumSteps,
            GradientMethod.Steps,
            Report(Progress),
            Cancellation
        );
    }

    internal static FSharpFunc<OdeProgress, Unit> Report(IProgress<TimeProgress>? progress) =>
        FuncConvert.FromAction<OdeProgress>(now => progress?.Report(new(now.Time, now.Steps, now.Rejections)));
}

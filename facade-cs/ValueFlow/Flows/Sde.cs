using Microsoft.FSharp.Core;
using TorchSharp;
using ValueFlow.Core.Dynamics;
using ValueFlow.Core.Foundations;

namespace ValueFlow;

/// <summary>A scheme for stochastic equations.</summary>
public enum SdeScheme
{
    /// <summary>Euler and Maruyama, in the sense of Ito; strong order 1/2, and 1 where the noise is additive: the default.</summary>
    EulerMaruyama,

    /// <summary>Milstein's without derivatives, in the sense of Ito; strong order 1.</summary>
    Milstein,

    /// <summary>Roessler's SRI1W1, in the sense of Ito; strong order 3/2.</summary>
    Roessler,

    /// <summary>Heun's, which solves the equation in the sense of Stratonovich; strong order 1.</summary>
    Heun,
}

/// <summary>How a stochastic equation is simulated.</summary>
public sealed record SdeOptions
{
    /// <summary>The scheme; Euler-Maruyama by default.</summary>
    public SdeScheme Scheme { get; init; } = SdeScheme.EulerMaruyama;

    /// <summary>The number of equal steps, from 1 to 1,048,576; 1,000 by default.</summary>
    public int Steps { get; init; } = 1_000;

    /// <summary>How many independent paths start from one state; 1 by default.</summary>
    public int Paths { get; init; } = 1;

    /// <summary>The seed of the noise, which is a function of it and of the time alone: half as long steps see the same Brownian path, more finely. 1 by default.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>The states are kept after every so many steps, and at the start; every step by default, 0 for the end alone.</summary>
    public int SaveEvery { get; init; } = 1;

    /// <summary>Told of every step; nobody by default.</summary>
    public IProgress<TimeProgress>? Progress { get; init; }

    /// <summary>Ends the simulation early: the paths then say so, and are what was reached.</summary>
    public CancellationToken Cancellation { get; init; }
}

/// <summary>Simulated paths of a stochastic equation. Nothing in it changes.</summary>
public sealed class SdePaths
{
    internal SdePaths(SdeSolution core)
    {
        Times = Array.AsReadOnly(core.SavedTimes);
        States = Array.AsReadOnly([.. core.Saved.Select(Rows.FromTensor)]);
        Final = Rows.FromTensor(core.Final);
        Time = core.Time;
        Steps = core.Steps;
        Evaluations = core.DriftEvaluations;
        Reason = SolveEnds.Of(core.Reason);
    }

    /// <summary>The times at which states were kept.</summary>
    public IReadOnlyList<double> Times { get; }

    /// <summary>At each of these times the state of each path.</summary>
    public IReadOnlyList<double[][]> States { get; }

    /// <summary>The state of each path at the time reached.</summary>
    public double[][] Final { get; }

    /// <summary>The time reached.</summary>
    public double Time { get; }

    /// <summary>Steps made.</summary>
    public int Steps { get; }

    /// <summary>Evaluations of the drift on all paths.</summary>
    public int Evaluations { get; }

    /// <summary>Why the simulation ended.</summary>
    public SolveEnd Reason { get; }
}

/// <summary>Stochastic equations dX = f(t, X) dt + g(t, X) dW from plain functions, each coordinate with a Brownian motion of its own. Needs libtorch (InvalidOperationException without).</summary>
public static class Sde
{
    /// <summary>Simulates paths from one state, forwards in time. What ends a simulation early is in the paths' reason.</summary>
    /// <param name="drift">f(t, x): a new array of the length of x, which is not to be changed.</param>
    /// <param name="diffusion">g(t, x): entry i multiplies dW_i, and looks at x_i alone.</param>
    /// <param name="start">x at the first time.</param>
    /// <param name="from">The first time.</param>
    /// <param name="until">The last time, after the first.</param>
    /// <param name="options">Options.</param>
    /// <exception cref="ArgumentException">An option, the start or a time is no good, or a function's value has another length.</exception>
    public static SdePaths Simulate(
        Func<double, double[], double[]> drift,
        Func<double, double[], double[]> diffusion,
        double[] start,
        double from,
        double until,
        SdeOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(drift);
        ArgumentNullException.ThrowIfNull(diffusion);
        ArgumentNullException.ThrowIfNull(start);
        Ode.RequireWidth(start.Length, nameof(start));
        Rows.Require(nameof(start), [start], start.Length);
        options ??= new();
        Check(options.Paths >= 1, "Paths must be at least 1", options.Paths);
        return Run(
            Fields.OfRow(nameof(drift), drift, start.Length),
            Fields.OfRow(nameof(diffusion), diffusion, start.Length),
            [.. Enumerable.Repeat(start, options.Paths)],
            from,
            until,
            options
        );
    }

    /// <summary>Simulates <see cref="SdeOptions.Paths"/> paths from each of the rows, forwards in time, all at once: row by row, the paths of a row together.</summary>
    /// <param name="drift">f(t, rows): a new array of rows like those it is given, which are not to be changed.</param>
    /// <param name="diffusion">g(t, rows): entry i of a row multiplies dW_i, and looks at the row's entry i alone.</param>
    /// <param name="start">The rows at the first time.</param>
    /// <param name="from">The first time.</param>
    /// <param name="until">The last time, after the first.</param>
    /// <param name="options">Options.</param>
    /// <exception cref="ArgumentException">An option, the start or a time is no good, or a function's value has another shape.</exception>
    public static SdePaths Simulate(
        Func<double, double[][], double[][]> drift,
        Func<double, double[][], double[][]> diffusion,
        double[][] start,
        double from,
        double until,
        SdeOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(drift);
        ArgumentNullException.ThrowIfNull(diffusion);
        int width = Ode.RequireBatch(start);
        options ??= new();
        Check(options.Paths >= 1, "Paths must be at least 1", options.Paths);
        double[][] rows = [.. start.SelectMany(row => Enumerable.Repeat(row, options.Paths))];
        return Run(Fields.OfBatch(nameof(drift), drift, width), Fields.OfBatch(nameof(diffusion), diffusion, width), rows, from, until, options);
    }

    private static void Check(bool good, string expected, object found)
    {
        if (!good)
        {
            throw new ArgumentOutOfRangeException("options", found, expected);
        }
    }

    private static SdePaths Run(Field drift, Field diffusion, double[][] start, double from, double until, SdeOptions options)
    {
        Check(options.Steps is >= 1 and <= 1 << 20, "Steps must lie in [1, 1048576]", options.Steps);
        Check(options.SaveEvery >= 0, "SaveEvery must not be negative", options.SaveEvery);
        if (!(double.IsFinite(from) && double.IsFinite(until) && from < until))
        {
            throw new ArgumentException($"the last time must be finite and after the first but they are {from} and {until}", nameof(until));
        }

        var scheme = options.Scheme switch
        {
            SdeScheme.Milstein => SdeSchemeModule.milstein,
            SdeScheme.Roessler => SdeSchemeModule.roessler,
            SdeScheme.Heun => SdeSchemeModule.heun,
            SdeScheme.EulerMaruyama => SdeSchemeModule.eulerMaruyama,
            _ => throw new ArgumentException($"the scheme must be one of {string.Join(", ", Enum.GetNames<SdeScheme>())} but is {options.Scheme}", nameof(options)),
        };
        Lifetime.requireTorch();
        using var quiet = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var equation = StochasticEquationModule.diagonal(drift, diffusion);
        if (options.Scheme == SdeScheme.Heun)
        {
            equation = StochasticEquationModule.stratonovich(equation);
        }

        var rows = Rows.ToTensor(nameof(start), start, start[0].Length);
        var path = BrownianPath.Create(
            options.Seed,
            from,
            until,
            options.Steps,
            Microsoft.FSharp.Collections.ListModule.OfArray(rows.shape),
            torch.float64
        );
        Core.Dynamics.SdeOptions core = new(
            scheme,
            options.Steps,
            options.SaveEvery,
            FuncConvert.FromAction<SdeProgress>(now => options.Progress?.Report(new(now.Time, now.Steps, 0))),
            options.Cancellation
        );
        return new(Core.Dynamics.Sde.solve(core, equation, path, rows, from, until));
    }
}

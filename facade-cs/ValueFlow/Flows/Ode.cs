using Microsoft.FSharp.Core;
using TorchSharp;
using ValueFlow.Core.Dynamics;
using ValueFlow.Core.Foundations;

namespace ValueFlow;

/// <summary>
/// The solution of an ordinary equation: of one state (an array of numbers), or of a batch of states. Where it was asked to be dense it keeps native memory, which Dispose frees; else there is nothing to free.
/// </summary>
/// <typeparam name="TState">An array of numbers, or an array of such rows.</typeparam>
public sealed class OdeSolution<TState> : IDisposable
{
    private readonly Func<torch.Tensor, TState> read;
    private readonly DenseOutput? dense;
    private bool isDisposed;

    internal OdeSolution(Core.Dynamics.OdeSolution core, Func<torch.Tensor, TState> read)
    {
        this.read = read;
        Times = Array.AsReadOnly(core.SavedTimes);
        States = Array.AsReadOnly([.. core.Saved.Select(read)]);
        Final = read(core.Final);
        Time = core.Time;
        Steps = core.Steps;
        Rejections = core.Rejections;
        Evaluations = core.Evaluations;
        Reason = SolveEnds.Of(core.Reason);
        dense = core.Dense.IsSome ? core.Dense.Value : null;
    }

    /// <summary>The times that were kept and reached.</summary>
    public IReadOnlyList<double> Times { get; }

    /// <summary>The states at these times.</summary>
    public IReadOnlyList<TState> States { get; }

    /// <summary>The state at the time reached.</summary>
    public TState Final { get; }

    /// <summary>The time reached: of the sample that is behind, if each has its own.</summary>
    public double Time { get; }

    /// <summary>Steps accepted.</summary>
    public int Steps { get; }

    /// <summary>Steps rejected.</summary>
    public int Rejections { get; }

    /// <summary>Evaluations of the field, on the whole batch.</summary>
    public int Evaluations { get; }

    /// <summary>Why the solve ended.</summary>
    public SolveEnd Reason { get; }

    /// <summary>The state at a time between the start and the time reached.</summary>
    /// <exception cref="InvalidOperationException">The options did not ask for dense output.</exception>
    /// <exception cref="ArgumentException">The time lies outside.</exception>
    /// <exception cref="ObjectDisposedException">The solution was disposed of.</exception>
    public TState At(double time)
    {
        ObjectDisposedException.ThrowIf(isDisposed, this);
        if (dense is null)
        {
            throw new InvalidOperationException("the state between the steps was not kept: solve with OdeOptions { IsDense = true }");
        }

        using var state = dense.At(time);
        return read(state);
    }

    /// <summary>Frees what dense output keeps.</summary>
    public void Dispose()
    {
        isDisposed = true;
        ((IDisposable?)dense)?.Dispose();
    }
}

/// <summary>Ordinary equations dx/dt = f(t, x) from plain functions. Needs libtorch (InvalidOperationException without).</summary>
public static class Ode
{
    /// <summary>Solves for one state, forwards or backwards in time. Whatever ends the solve is in the solution's reason.</summary>
    /// <param name="field">f(t, x): a new array of the length of x, which is not to be changed.</param>
    /// <param name="start">x at the first time.</param>
    /// <param name="from">The first time.</param>
    /// <param name="until">The last time; before the first for a solve backwards.</param>
    /// <param name="options">Options.</param>
    /// <exception cref="ArgumentException">An option, the start or a time is no good, or the field's value has another length.</exception>
    public static OdeSolution<double[]> Solve(
        Func<double, double[], double[]> field,
        double[] start,
        double from,
        double until,
        OdeOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(field);
        ArgumentNullException.ThrowIfNull(start);
        RequireWidth(start.Length, nameof(start));
        Rows.Require(nameof(start), [start], start.Length);
        return Run(Fields.OfRow(nameof(field), field, start.Length), [start], from, until, options, state => Rows.FromTensor(state)[0]);
    }

    /// <summary>Solves for a batch of states at once; the field sees all of them, or, where each sample has its own steps, one by one.</summary>
    /// <param name="field">f(t, rows): a new array of rows like those it is given, which are not to be changed.</param>
    /// <param name="start">The rows at the first time.</param>
    /// <param name="from">The first time.</param>
    /// <param name="until">The last time; before the first for a solve backwards.</param>
    /// <param name="options">Options.</param>
    /// <exception cref="ArgumentException">An option, the start or a time is no good, or the field's value has another shape.</exception>
    public static OdeSolution<double[][]> Solve(
        Func<double, double[][], double[][]> field,
        double[][] start,
        double from,
        double until,
        OdeOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(field);
        int width = RequireBatch(start);
        return Run(Fields.OfBatch(nameof(field), field, width), start, from, until, options, Rows.FromTensor);
    }

    internal static int RequireBatch(double[][] start)
    {
        ArgumentNullException.ThrowIfNull(start);
        int width = start.Length > 0 && start[0] is double[] first ? first.Length : 0;
        RequireWidth(width, nameof(start));
        Rows.Require(nameof(start), start, width);
        return width;
    }

    internal static void RequireWidth(int width, string name)
    {
        if (width == 0)
        {
            throw new ArgumentException("must have at least one number but has none", name);
        }
    }

    private static OdeSolution<TState> Run<TState>(
        Field field,
        double[][] start,
        double from,
        double until,
        OdeOptions? options,
        Func<torch.Tensor, TState> read
    )
    {
        options ??= new();
        Lifetime.requireTorch();
        using var quiet = torch.no_grad();
        // What dense output keeps outlives this call: no scope of ours may own it.
        using var scope = options.IsDense ? null : torch.NewDisposeScope();
        using var rows = Rows.ToTensor(nameof(start), start, start[0].Length);
        var core = Core.Dynamics.Ode.solve(options.Core(from, until), field, rows, from, until);
        OdeSolution<TState> solution = new(core, read);
        core.Final.Dispose();
        Array.ForEach(core.Saved, state => state.Dispose());
        return solution;
    }
}

/// <summary>Functions of plain numbers as fields on tensors.</summary>
internal static class Fields
{
    public static Field OfRow(string name, Func<double, double[], double[]> function, int width) =>
        OfBatch(name, (t, rows) => Array.ConvertAll(rows, row => function(t, row)), width);

    public static Field OfBatch(string name, Func<double, double[][], double[][]> function, int width)
    {
        torch.Tensor Value(double t, torch.Tensor x)
        {
            double[][] rows = Rows.FromTensor(x);
            double[][] value = function(t, rows) ?? throw new ArgumentException("must return rows but returned null", name);
            if (value.Length != rows.Length)
            {
                throw new ArgumentException($"must return {rows.Length} rows but returned {value.Length}", name);
            }

            double[] flat = new double[rows.Length * width];
            for (int i = 0; i < rows.Length; i++)
            {
                double[] row = value[i] ?? throw new ArgumentException($"must return arrays but returned null in row {i}", name);
                if (row.Length != width)
                {
                    throw new ArgumentException($"must return {width} numbers in a row but returned {row.Length} in row {i}", name);
                }

                row.CopyTo(flat, i * width);
            }

            return Rows.Tensor(flat, rows.Length, width);
        }

        return FieldModule.atTime(name, FuncConvert.FromFunc<double, torch.Tensor, torch.Tensor>(Value));
    }
}

using Microsoft.FSharp.Collections;
using Microsoft.FSharp.Core;
using ValueFlow.Core.Foundations;
using Operators = ValueFlow.Core.Foundations.Operator;

namespace ValueFlow;

/// <summary>A pure function from values to values, and the modulus that is claimed of it in the sup norm. It never changes; each word returns a new one, whose claim is computed.</summary>
public sealed class ValueOperator
{
    internal ValueOperator(Operator<double[]> core) => Core = core;

    internal Operator<double[]> Core { get; }

    /// <summary>An operator of one's own.</summary>
    /// <param name="name">Its name in reports.</param>
    /// <param name="modulus">sup |T x - T y| is at most this times sup |x - y|; not negative. Your word: check it with the laws.</param>
    /// <param name="apply">The function. It leaves its argument as it is and returns a fresh array of the same length.</param>
    /// <param name="rounding">A bound on how far an entry of a computed result may be from the exact one, in the units of the values; without it fixed points are estimates.</param>
    /// <exception cref="ArgumentException">The modulus or the rounding is negative or no number.</exception>
    public static ValueOperator From(string name, double modulus, Func<double[], double[]> apply, double? rounding = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(apply);
        RequireModulus(modulus);
        if (rounding is double stated && !(stated >= 0))
        {
            throw new ArgumentOutOfRangeException(nameof(rounding), stated, "rounding must not be negative");
        }

        double[] Given(double[] values) => apply(values) ?? throw new InvalidOperationException($"the operator '{name}' must return an array, but returned null");
        var core = Operators.onVectors(name, modulus, FuncConvert.FromFunc<double[], double[]>(Given));
        return new(rounding is double bound ? Operators.roundedBy(FuncConvert.FromFunc<double[], double>(_ => bound), core) : core);
    }

    /// <summary>The name.</summary>
    public string Name => Core.Name;

    /// <summary>The modulus that is claimed in the sup norm; infinite if none is.</summary>
    public double Modulus => ModulusOf(Core);

    /// <summary>T x, a fresh array.</summary>
    /// <exception cref="ArgumentException">The length is not the one that the operator works on.</exception>
    public double[] Apply(double[] values)
    {
        ArgumentNullException.ThrowIfNull(values);
        return Core.Apply.Invoke(values);
    }

    /// <summary>Claims that x &lt;= y everywhere implies T x &lt;= T y everywhere: your word; check it with the laws.</summary>
    public ValueOperator ClaimingMonotone() => new(Operators.monotone(Core));

    /// <summary>First this operator, then the other. Moduli multiply.</summary>
    public ValueOperator Then(ValueOperator other) => new(Operators.compose(Given(other), Core));

    /// <summary>(1 - weight) T + weight S, for a weight in [0, 1]. Moduli are averaged.</summary>
    public ValueOperator Mix(double weight, ValueOperator other) =>
        new(Operators.mix(ListModule.OfSeq([Tuple.Create(1 - weight, Core), Tuple.Create(weight, Given(other))])));

    /// <summary>The operator, count times; at least once.</summary>
    public ValueOperator Power(int count) => new(Operators.power(count, Core));

    /// <summary>(1 - step) x + step T x, for a step in (0, 1]: the same fixed points.</summary>
    public ValueOperator Damp(double step) => new(Operators.damp(step, Core));

    /// <summary>The operator, then a projection.</summary>
    public ValueOperator Project(ValueOperator projection) => new(Operators.project(Given(projection), Core));

    /// <summary>Looks for a fixed point from a start, which is left as it is.</summary>
    /// <param name="start">The start; finite.</param>
    /// <param name="method">How it is looked for; Picard by default.</param>
    /// <param name="options">Options; SolveOptions.Method, which is about decisions, is not read. Without a certificate the tolerance is that of the residual.</param>
    /// <exception cref="ArgumentException">The start or an option is no good.</exception>
    public FixedPointResult FixedPoint(double[] start, FixedPointMethod? method = null, SolveOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(start);
        return new((options ?? new()).Run(run => (method ?? FixedPointMethod.Picard).Run(run, Core, start)));
    }

    internal static double ModulusOf<T>(Operator<T> core)
    {
        var claim = Operators.tryClaim(MetricKey.Sup, core);
        return claim.IsNone ? double.PositiveInfinity : claim.Value.Modulus;
    }

    internal static void RequireModulus(double modulus)
    {
        if (!(modulus >= 0))
        {
            throw new ArgumentOutOfRangeException(nameof(modulus), modulus, "modulus must not be negative");
        }
    }

    private static Operator<double[]> Given(ValueOperator other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return other.Core;
    }
}

/// <summary>How a fixed point is looked for.</summary>
public sealed class FixedPointMethod
{
    private FixedPointMethod(Func<RunOptions, Operator<double[]>, double[], FixedPointResult<double[]>> run) => Run = run;

    internal Func<RunOptions, Operator<double[]>, double[], FixedPointResult<double[]>> Run { get; }

    /// <summary>x, T x, T T x, ...: the default.</summary>
    public static FixedPointMethod Picard { get; } = new(Core.Foundations.FixedPoint.picard);

    /// <summary>Extrapolation from the last steps: fewer applications.</summary>
    /// <param name="memory">Steps that are remembered; at least 1, 5 by default.</param>
    public static FixedPointMethod Anderson(int memory = 5)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(memory, 1);
        return new((options, @operator, start) => Accelerated.anderson(memory, options, @operator, start));
    }

    /// <summary>Steps that are drawn back to the start: for non-expansions.</summary>
    public static FixedPointMethod Halpern { get; } = new(Accelerated.halpern);
}

/// <summary>A point, and how near it is to a fixed point.</summary>
public sealed class FixedPointResult
{
    internal FixedPointResult(FixedPointResult<double[]> core)
    {
        Value = Array.AsReadOnly(core.Value);
        ErrorBound = core.Bound;
        Residual = core.Residual;
        Applications = core.Applications;
        Certificate = Outcomes.Of(core.Certificate);
        (Outcome, OutcomeText) = Outcomes.Of(core.Outcome);
    }

    /// <summary>The point.</summary>
    public IReadOnlyList<double> Value { get; }

    /// <summary>The exact fixed point is no further away than this; infinite for an estimate.</summary>
    public double ErrorBound { get; }

    /// <summary>sup |T x - x| at the last application.</summary>
    public double Residual { get; }

    /// <summary>Applications of the operator.</summary>
    public int Applications { get; }

    /// <summary>What stands behind the bound.</summary>
    public Certificate Certificate { get; }

    /// <summary>Why the run ended.</summary>
    public Outcome Outcome { get; }

    /// <summary>Why the run ended, in words.</summary>
    public string OutcomeText { get; }
}

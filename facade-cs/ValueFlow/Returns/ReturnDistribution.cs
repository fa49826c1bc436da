using Microsoft.Data.Analysis;
using ValueFlow.Core.Foundations;

namespace ValueFlow;

/// <summary>How far two laws on the line are from one another.</summary>
public enum ReturnMetric
{
    /// <summary>W1: the mean distance over levels between the quantiles. Means differ by at most it, CVaR of a share A by at most 1/A of it.</summary>
    Wasserstein1,

    /// <summary>W2: the root of the mean squared distance over levels between the quantiles.</summary>
    Wasserstein2,

    /// <summary>The largest distance over levels between the quantiles.</summary>
    WassersteinInfinity,

    /// <summary>The root of the integral of the squared difference of the distribution functions.</summary>
    Cramer,

    /// <summary>The largest difference of the distribution functions, in [0, 1].</summary>
    Kolmogorov,
}

/// <summary>One end of a law. Outcomes are rewards: the lower tail is the bad one; where they are costs it is the upper tail.</summary>
public enum Tail
{
    /// <summary>The smallest outcomes.</summary>
    Lower,

    /// <summary>The largest outcomes.</summary>
    Upper,
}

/// <summary>A law of a return with finitely many outcomes. It never changes.</summary>
public sealed partial class ReturnDistribution
{
    private readonly Distribution core;
    private readonly Lazy<IReadOnlyList<double>> atoms;
    private readonly Lazy<IReadOnlyList<double>> probabilities;

    internal ReturnDistribution(Distribution core)
    {
        this.core = core;
        atoms = new(() => Array.AsReadOnly(core.Atoms.ToArray()));
        probabilities = new(() => Array.AsReadOnly(core.Masses.ToArray()));
    }

    /// <summary>The law with the outcomes and their probabilities; without these every outcome is as likely.</summary>
    /// <param name="atoms">Finite outcomes, in any order; equal ones are joined.</param>
    /// <param name="probabilities">For each its probability; they sum to 1 within 1e-9.</param>
    /// <exception cref="ArgumentException">There is no outcome, a number is no good, or the lengths differ.</exception>
    public static ReturnDistribution From(IReadOnlyList<double> atoms, IReadOnlyList<double>? probabilities = null)
    {
        ArgumentNullException.ThrowIfNull(atoms);
        Require(nameof(atoms), atoms, double.IsFinite, "finite");
        if (atoms.Count == 0)
        {
            throw new ArgumentException("a law must have at least one outcome but has none", nameof(atoms));
        }

        if (probabilities is null)
        {
            return new(DistributionModule.ofNumbers([.. atoms]));
        }

        if (probabilities.Count != atoms.Count)
        {
            throw new ArgumentException($"there must be {atoms.Count} probabilities, one for each outcome, but there are {probabilities.Count}", nameof(probabilities));
        }

        Require(nameof(probabilities), probabilities, p => p >= 0 && p <= 1 + 1e-9, "in [0, 1]");
        double sum = probabilities.Sum();
        return Math.Abs(sum - 1) <= 1e-9
            ? new(DistributionModule.ofAtoms([.. atoms], [.. probabilities]))
            : throw new ArgumentException(FormattableString.Invariant($"probabilities must sum to 1 within 1e-9 but sum to {sum}"), nameof(probabilities));
    }

    /// <summary>The outcomes, in increasing order, all different.</summary>
    public IReadOnlyList<double> Atoms => atoms.Value;

    /// <summary>For each outcome its probability; they are positive and sum to 1.</summary>
    public IReadOnlyList<double> Probabilities => probabilities.Value;

    /// <summary>The mean.</summary>
    public double Mean => core.Mean;

    /// <summary>The mean squared distance from the mean.</summary>
    public double Variance => core.Variance;

    /// <summary>The root of the variance.</summary>
    public double StandardDeviation => Math.Sqrt(core.Variance);

    /// <summary>The smallest outcome.</summary>
    public double Minimum => core.Minimum;

    /// <summary>The largest outcome.</summary>
    public double Maximum => core.Maximum;

    /// <summary>E X^n, about zero.</summary>
    /// <param name="order">The order n, at least 1.</param>
    public double Moment(int order) => core.Expect(Microsoft.FSharp.Core.FuncConvert.FromFunc<double, double>(x => Math.Pow(x, Order(order))));

    /// <summary>E (X - E X)^n, about the mean.</summary>
    /// <param name="order">The order n, at least 1.</param>
    public double CentralMoment(int order) => core.CentralMoment(Order(order));

    /// <summary>E f(X).</summary>
    public double Expect(Func<double, double> function)
    {
        ArgumentNullException.ThrowIfNull(function);
        return core.Expect(Microsoft.FSharp.Core.FuncConvert.FromFunc(function));
    }

    /// <summary>P(X &lt;= x).</summary>
    public double Cdf(double x) => double.IsNaN(x) ? throw new ArgumentException("x must be a number but is NaN", nameof(x)) : core.Cdf(x);

    /// <summary>The least outcome x with P(X &lt;= x) &gt;= level, for a level in [0, 1].</summary>
    /// <exception cref="ArgumentException">The level lies elsewhere.</exception>
    public double Quantile(double level) => core.Quantile(level);

    /// <summary>Outcomes drawn independently; the seed decides all.</summary>
    /// <param name="count">How many, at least 1.</param>
    /// <param name="seed">The seed.</param>
    public IReadOnlyList<double> Sample(int count, int seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        Generator generator = new(seed);
        double[] drawn = new double[count];
        for (int i = 0; i < count; i++)
        {
            drawn[i] = core.Sample(generator);
        }

        return Array.AsReadOnly(drawn);
    }

    /// <summary>How far the law is from another one, exact.</summary>
    public double DistanceTo(ReturnDistribution other, ReturnMetric metric = ReturnMetric.Wasserstein1)
    {
        ArgumentNullException.ThrowIfNull(other);
        return metric switch
        {
            ReturnMetric.Wasserstein1 => Line.wasserstein(1, core, other.core),
            ReturnMetric.Wasserstein2 => Line.wasserstein(2, core, other.core),
            ReturnMetric.WassersteinInfinity => Line.wasserstein(double.PositiveInfinity, core, other.core),
            ReturnMetric.Cramer => Line.cramer(core, other.core),
            ReturnMetric.Kolmogorov => Line.kolmogorov(core, other.core),
            _ => throw new ArgumentOutOfRangeException(nameof(metric), metric, "the metric must be one of ReturnMetric"),
        };
    }

    /// <summary>A table with a row for each outcome: outcome, probability, and the probability of it or less.</summary>
    public DataFrame ToDataFrame() =>
        new(
            new DoubleDataFrameColumn("outcome", Atoms),
            new DoubleDataFrameColumn("probability", Probabilities),
            new DoubleDataFrameColumn("cdf", Atoms.Select(core.Cdf))
        );

    /// <summary>The number of outcomes, and the law itself if it has few.</summary>
    public override string ToString() => core.ToString();

    internal Distribution Law => core;

    private static int Order(int order) =>
        order >= 1 ? order : throw new ArgumentOutOfRangeException(nameof(order), order, "order must be at least 1");

    private static void Require(string name, IReadOnlyList<double> numbers, Func<double, bool> good, string expected)
    {
        for (int i = 0; i < numbers.Count; i++)
        {
            if (!good(numbers[i]))
            {
                throw new ArgumentException(FormattableString.Invariant($"entry {i} must be {expected} but is {numbers[i]}"), name);
            }
        }
    }
}

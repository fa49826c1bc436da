using ValueFlow.Core.Flows;
using ValueFlow.Core.Foundations;

namespace ValueFlow;

/// <summary>How far two samples (a point a row) are from one another. Samples of different size need OR-Tools for <see cref="Wasserstein1"/> and <see cref="Wasserstein2"/>.</summary>
public static class Distance
{
    /// <summary>W1: the least mean distance over all ways to carry one sample into the other, exact.</summary>
    /// <exception cref="ArgumentException">A sample is empty, rows differ in length, or a number is not finite.</exception>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public static double Wasserstein1(double[][] first, double[][] second, CancellationToken cancellation = default)
    {
        var (a, b) = Samples(first, second);
        return Wasserstein.w1(cancellation, a, b).Value;
    }

    /// <summary>W2: the root of the least mean squared distance, exact.</summary>
    /// <exception cref="ArgumentException">A sample is empty, rows differ in length, or a number is not finite.</exception>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public static double Wasserstein2(double[][] first, double[][] second, CancellationToken cancellation = default)
    {
        var (a, b) = Samples(first, second);
        return Wasserstein.w2(cancellation, a, b).Value;
    }

    /// <summary>The root of the mean squared W2 of projections on random directions: fast, and at most W2.</summary>
    /// <exception cref="ArgumentException">A sample is empty, rows differ in length, a number is not finite, or there is no direction.</exception>
    public static double SlicedWasserstein2(double[][] first, double[][] second, int directions = 256, int seed = 1)
    {
        var (a, b) = Samples(first, second);
        return Line.sliced(new Generator(seed), directions, 2, a, b);
    }

    /// <summary>2 E|X - Y| - E|X - X'| - E|Y - Y'|: zero only for equal laws. Time grows with the product of the sizes.</summary>
    /// <exception cref="ArgumentException">A sample is empty, rows differ in length, or a number is not finite.</exception>
    public static double Energy(double[][] first, double[][] second)
    {
        var (a, b) = Samples(first, second);
        return Discrepancy.energy(a, b);
    }

    /// <summary>The maximum mean discrepancy (its root, not its square) with a Gaussian kernel.</summary>
    /// <param name="first">A sample.</param>
    /// <param name="second">Another.</param>
    /// <param name="bandwidth">The kernel's deviation, positive; the median distance of the points by default.</param>
    /// <exception cref="ArgumentException">A sample is empty, rows differ in length, a number is not finite, or the bandwidth is not positive.</exception>
    public static double MaximumMeanDiscrepancy(double[][] first, double[][] second, double? bandwidth = null)
    {
        var (a, b) = Samples(first, second);
        var kernel = bandwidth is double h ? MmdKernel.NewGaussian(Microsoft.FSharp.Collections.ListModule.OfSeq([h])) : MmdKernel.GaussianByMedian;
        return Math.Sqrt(Discrepancy.squaredMmd(kernel, a, b));
    }

    private static (Sample, Sample) Samples(double[][] first, double[][] second)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        int width = first.Length > 0 && first[0] is double[] row ? row.Length : 0;
        Ode.RequireWidth(width, nameof(first));
        Rows.Require(nameof(first), first, width);
        Rows.Require(nameof(second), second, width);
        return (Sample.OfPoints(first), Sample.OfPoints(second));
    }
}

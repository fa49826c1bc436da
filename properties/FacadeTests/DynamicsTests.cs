using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>Ordinary and stochastic equations, and distances, from plain functions.</summary>
public class DynamicsTests
{
    private static double[] Turn(double t, double[] x) => [-x[1], x[0]];

    [Fact]
    public void ACircleIsSolvedBothWaysAndBetweenTheSteps()
    {
        using var solution = Ode.Solve(Turn, [1, 0], 0, 10, new() { Tolerance = 1e-9, IsDense = true, Times = OdeOptions.EvenTimes(0, 10, 11) });
        Assert.Equal(SolveEnd.ReachedEnd, solution.Reason);
        Assert.Equal(11, solution.Times.Count);
        for (int k = 0; k <= 10; k++)
        {
            Assert.Equal(Math.Cos(k), solution.States[k][0], 1e-7);
        }

        Assert.Equal(Math.Sin(Math.PI / 7), solution.At(Math.PI / 7)[1], 1e-6);
        Assert.True(solution.Evaluations > solution.Steps);
        Assert.Throws<ArgumentException>(() => solution.At(11));
        using var back = Ode.Solve(Turn, solution.Final, 10, 0, new() { Tolerance = 1e-9 });
        Assert.Equal(1, back.Final[0], 1e-7);
        Assert.Equal([10.0, 0.0], back.Times);
        Assert.Throws<InvalidOperationException>(() => back.At(5));
        solution.Dispose();
        Assert.Throws<ObjectDisposedException>(() => solution.At(1));
    }

    [Fact]
    public void ABatchIsSolvedAtOnceAndWithStepsOfItsOwn()
    {
        static double[][] Decay(double t, double[][] rows) => [.. rows.Select(row => new[] { -row[0] * row[1], 0 })];
        double[][] start = [[1, 1], [1, 100]];
        using var shared = Ode.Solve(Decay, start, 0, 1, new() { Scheme = OdeScheme.Tsitouras5 });
        using var own = Ode.Solve(Decay, start, 0, 1, new() { BatchError = BatchError.EachSample });
        using var alone = Ode.Solve(Decay, [start[0]], 0, 1, new() { BatchError = BatchError.EachSample });
        Assert.Equal(Math.Exp(-1), shared.Final[0][0], 1e-4);
        Assert.Equal(alone.Final[0], own.Final[0]);
    }

    [Fact]
    public void WhatStopsASolveIsItsReason()
    {
        using var blowUp = Ode.Solve((t, x) => [x[0] * x[0]], [1.0], 0, 2);
        Assert.Contains(blowUp.Reason, new[] { SolveEnd.StepUnderflow, SolveEnd.NotFinite });
        Assert.InRange(blowUp.Time, 0.9, 1.01);
        using var limited = Ode.Solve(Turn, [1, 0], 0, 1000, new() { MaximumSteps = 5 });
        Assert.Equal((SolveEnd.StepLimit, 5), (limited.Reason, limited.Steps + limited.Rejections));
        using CancellationTokenSource source = new();
        source.Cancel();
        using var cancelled = Ode.Solve(Turn, [1, 0], 0, 1, new() { Cancellation = source.Token });
        Assert.Equal(SolveEnd.Cancelled, cancelled.Reason);
    }

    [Fact]
    public void SlipsAreNamed()
    {
        Assert.Contains("must return 2 numbers in a row but returned 1", Assert.Throws<ArgumentException>(() => Ode.Solve((t, x) => [1.0], [1, 0], 0, 1)).Message);
        Assert.Contains("column 1 must be finite but is NaN", Assert.Throws<ArgumentException>(() => Ode.Solve(Turn, [1, double.NaN], 0, 1)).Message);
        Assert.Contains("no error estimate", Assert.Throws<ArgumentException>(() => Ode.Solve(Turn, [1, 0], 0, 1, new() { Scheme = OdeScheme.Euler })).Message);
        Assert.Contains("after the first", Assert.Throws<ArgumentException>(() => Sde.Simulate((t, x) => x, (t, x) => x, [1.0], 1, 0)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => Sde.Simulate((t, x) => x, (t, x) => x, [1.0], 0, 1, new() { Paths = 0 }));
        Assert.Throws<FormatException>(() => Ode.Solve((t, x) => throw new FormatException(), [1.0], 0, 1));
    }

    [Fact]
    public void PathsOfAnOrnsteinUhlenbeckProcessHaveItsLaw()
    {
        SdeOptions options = new() { Steps = 200, Paths = 4_000, Seed = 3, SaveEvery = 100 };
        var paths = Sde.Simulate((t, x) => [-x[0]], (t, x) => [0.5], [2.0], 0, 2, options);
        Assert.Equal([0.0, 1.0, 2.0], paths.Times);
        Assert.Equal(4_000, paths.Final.Length);
        double mean = paths.Final.Average(row => row[0]);
        double variance = paths.Final.Average(row => (row[0] - mean) * (row[0] - mean));
        Assert.Equal(2 * Math.Exp(-2), mean, 0.03);
        Assert.Equal(0.125 * (1 - Math.Exp(-4)), variance, 0.012);
        var again = Sde.Simulate((t, x) => [-x[0]], (t, x) => [0.5], [2.0], 0, 2, options);
        Assert.Equal(paths.Final, again.Final);
        var other = Sde.Simulate((t, x) => [-x[0]], (t, x) => [0.5], [2.0], 0, 2, options with { Seed = 4 });
        Assert.NotEqual(paths.Final, other.Final);
    }

    [Fact]
    public void GeometricBrownianMotionKnowsItoFromStratonovich()
    {
        // Without drift: Ito keeps the mean, Stratonovich makes it exp(s^2 t / 2).
        SdeOptions options = new() { Steps = 128, Paths = 20_000, Seed = 5, SaveEvery = 0 };
        double Mean(SdeScheme scheme) => Sde.Simulate((t, x) => [0.0], (t, x) => [0.4 * x[0]], [1.0], 0, 1, options with { Scheme = scheme }).Final.Average(row => row[0]);
        Assert.Equal(1, Mean(SdeScheme.Milstein), 0.015);
        Assert.Equal(Math.Exp(0.08), Mean(SdeScheme.Heun), 0.015);
    }

    [Fact]
    public void DistancesOfShiftedSamplesAreTheShift()
    {
        Random random = new(1);
        double[][] first = [.. Enumerable.Range(0, 60).Select(_ => new[] { random.NextDouble(), random.NextDouble() })];
        double[][] second = [.. first.Select(row => new[] { row[0] + 3, row[1] + 4 })];
        Assert.Equal(5, Distance.Wasserstein1(first, second), 9);
        Assert.Equal(5, Distance.Wasserstein2(first, second), 9);
        Assert.InRange(Distance.SlicedWasserstein2(first, second), 1, 5);
        Assert.True(Distance.Energy(first, second) > 1);
        Assert.True(Distance.MaximumMeanDiscrepancy(first, second) > 0.5);
        Assert.Equal(0, Distance.Energy(first, first), 9);
        Assert.Equal(0, Distance.MaximumMeanDiscrepancy(first, first, 1), 6);
        Assert.Throws<ArgumentException>(() => Distance.Wasserstein2(first, [[1.0]]));
        Assert.Throws<ArgumentException>(() => Distance.MaximumMeanDiscrepancy(first, second, -1));
    }
}

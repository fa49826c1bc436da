using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>A law of returns: its numbers, its tails, its distances, and what is refused.</summary>
public sealed class ReturnDistributionTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("valueflow").FullName;
    private readonly ReturnDistribution law = ReturnDistribution.From([10, 0, 20, 10], [0.25, 0.25, 0.25, 0.25]);

    public void Dispose() => Directory.Delete(folder, true);

    [Fact]
    public void NumbersAreThoseOfTheLaw()
    {
        Assert.Equal([0, 10, 20], law.Atoms);
        Assert.Equal([0.25, 0.5, 0.25], law.Probabilities);
        Assert.Equal((10, 50, 0, 20), (law.Mean, law.Variance, law.Minimum, law.Maximum));
        Assert.Equal(Math.Sqrt(50), law.StandardDeviation, 12);
        Assert.Equal(150, law.Moment(2), 12);
        Assert.Equal(0, law.CentralMoment(3), 12);
        Assert.Equal(0.5, law.Expect(x => x == 10 ? 1 : 0), 12);
        Assert.Equal((0.75, 0.25, 0), (law.Cdf(10), law.Cdf(9.99), law.Cdf(-1)));
        Assert.Equal((0, 10, 20), (law.Quantile(0.25), law.Quantile(0.26), law.Quantile(1)));
        Assert.Equal(3, law.ToDataFrame().Rows.Count);
        Assert.Equal("0: 0.25, 10: 0.5, 20: 0.25", law.ToString());
    }

    [Fact]
    public void TailsAreTheWorstAndTheBestShare()
    {
        Assert.Equal((0, 5), (law.ValueAtRisk(0.25), law.Cvar(0.5)));
        Assert.Equal((10, 15), (law.ValueAtRisk(0.5, Tail.Upper), law.Cvar(0.5, Tail.Upper)));
        Assert.Equal(law.Mean, law.Cvar(1), 12);
        Assert.Equal(law.Mean, 0.5 * (law.Cvar(0.5) + law.Cvar(0.5, Tail.Upper)), 12);
        Assert.Equal(-Math.Log(law.Expect(x => Math.Exp(-0.1 * x))) / 0.1, law.Entropic(0.1), 9);
        Assert.Equal(law.Mean, law.Expectile(0.5), 12);
        Assert.Equal(law.Mean, law.Wang(0), 9);
        Assert.True(law.Wang(0.5) < law.Mean && law.Expectile(0.2) < law.Mean && law.MeanSemideviation(0.5) < law.Mean);
        Assert.True(law.EntropicValueAtRisk(0.5) <= law.Cvar(0.5) && law.EntropicValueAtRisk(0.5) >= law.Minimum);
    }

    [Fact]
    public void DistancesAreThoseOfTheLine()
    {
        var moved = ReturnDistribution.From([1, 11, 11, 21]);
        foreach (var metric in new[] { ReturnMetric.Wasserstein1, ReturnMetric.Wasserstein2, ReturnMetric.WassersteinInfinity })
        {
            Assert.Equal(1, law.DistanceTo(moved, metric), 12);
        }

        Assert.Equal(0.5, law.DistanceTo(moved, ReturnMetric.Kolmogorov), 12);
        Assert.Equal(Math.Sqrt(0.0625 + 0.25 + 0.0625), law.DistanceTo(moved, ReturnMetric.Cramer), 12);
        Assert.Equal(0, law.DistanceTo(law), 12);
    }

    [Fact]
    public void DrawsHaveTheLawAndTheSeedDecides()
    {
        var drawn = ReturnDistribution.From(law.Sample(20_000, 7));
        Assert.True(law.DistanceTo(drawn, ReturnMetric.Kolmogorov) < 1.95 / Math.Sqrt(20_000));
        Assert.Equal(law.Sample(10, 7), law.Sample(10, 7));
        Assert.NotEqual(law.Sample(10, 7), law.Sample(10, 8));
    }

    [Fact]
    public void WhatIsWrongIsSaid()
    {
        void Refuses(string argument, string found, Action work)
        {
            var error = Assert.ThrowsAny<ArgumentException>(work);
            Assert.Equal(argument, error.ParamName);
            Assert.Contains(found, error.Message);
        }

        Refuses("atoms", "has none", () => ReturnDistribution.From([]));
        Refuses("atoms", "entry 1 must be finite but is NaN", () => ReturnDistribution.From([1, double.NaN]));
        Refuses("probabilities", "must be 2 probabilities, one for each outcome, but there are 1", () => ReturnDistribution.From([1, 2], [1]));
        Refuses("probabilities", "sum to 1 within 1e-9 but sum to 0.5", () => ReturnDistribution.From([1, 2], [0.25, 0.25]));
        Refuses("probabilities", "entry 0 must be in [0, 1] but is -1", () => ReturnDistribution.From([1, 2], [-1, 2]));
        Refuses("level", "but is 2", () => law.Quantile(2));
        Refuses("share", "but is 0", () => law.Cvar(0));
        Refuses("share", "but is 1.5", () => law.Cvar(1.5, Tail.Upper));
        Refuses("share", "but is NaN", () => law.ValueAtRisk(double.NaN, Tail.Upper));
        Refuses("share", "but is 0", () => law.EntropicValueAtRisk(0));
        Refuses("level", "but is 1", () => law.Expectile(1));
        Refuses("aversion", "but is NaN", () => law.Wang(double.NaN));
        Refuses("aversion", "but is NaN", () => law.Entropic(double.NaN));
        Refuses("order", "at least 1", () => law.Moment(0));
        Refuses("x", "is NaN", () => law.Cdf(double.NaN));
        Refuses("count", "1", () => law.Sample(0, 1));
        Refuses("path", "must be .png, .jpg, .webp or .svg but is '.pdf'", () => law.SavePlot(Path.Combine(folder, "law.pdf")));
        Refuses("width", "100", () => law.SavePlot(Path.Combine(folder, "law.png"), 10));
        Assert.Empty(Directory.GetFiles(folder));
    }

    [Fact]
    public void PicturesAreWhole()
    {
        string png = Path.Combine(folder, "made", "law.png"), svg = Path.Combine(folder, "law.svg");
        law.SavePlot(png);
        law.SavePlot(svg, 640, 400);
        Assert.Equal([0x89, (byte)'P', (byte)'N', (byte)'G'], File.ReadAllBytes(png)[..4]);
        Assert.Contains("<svg", File.ReadAllText(svg));
        // A point, many atoms that are even, many that are not, tiny and huge numbers: all can be drawn.
        Random random = new(1);
        foreach (var other in new[]
        {
            ReturnDistribution.From([3]),
            ReturnDistribution.From([.. Enumerable.Range(0, 201).Select(i => i / 7.0)]),
            ReturnDistribution.From([.. Enumerable.Range(0, 3000).Select(_ => random.NextDouble() * random.NextDouble())]),
            ReturnDistribution.From([1e-12, 2e-12]),
            ReturnDistribution.From([-1e12, 1e12]),
        })
        {
            other.SavePlot(png);
            Assert.Equal("return", other.ToPlot().Axes.Bottom.Label.Text);
            Assert.StartsWith("probability", other.ToPlot(0.2, Tail.Upper).Axes.Left.Label.Text);
        }

        Assert.Single(Directory.GetFiles(Path.GetDirectoryName(png)!));
    }
}

using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>Learners let loose on a process, as a consumer uses them.</summary>
public class ExplorationTests
{
    private static DecisionProblem River => Problems.RiverSwim().Discounted(0.95);

    [Fact]
    public void OptimistsFindTheEndThatPays()
    {
        var river = River;
        var found = river.Explore(Explorer.Regularised(), new() { Steps = 4000, Seed = 1 });
        var other = river.Explore(Explorer.Optimistic(), new() { Steps = 4000, Seed = 1 });
        var plain = river.Explore(Explorer.EpsilonGreedy(), new() { Steps = 4000, Seed = 1 });
        Assert.True(found.MeanGap < 0.3 && other.MeanGap < 0.3 && plain.MeanGap > 2.5, $"{found.MeanGap} {other.MeanGap} {plain.MeanGap}");
        Assert.Equal(river.Solve().Values[0], found.Optimum, 6);
        Assert.Equal(found.Gaps.Sum(), found.Regret[^1], 8);
        Assert.Equal(4000, found.Visits.Sum());
        Assert.Equal([1, 1, 1, 1, 1, 1], found.Policy);
        Assert.Equal(1, found.Probability(3, 0) + found.Probability(3, 1), 9);
        Assert.True(found.Epochs > 10 && plain.Epochs == 1 && !found.IsCancelled);
        Assert.Equal((4000, 3), (found.ToDataFrame().Rows.Count, found.ToDataFrame().Columns.Count));
        Assert.Equal(found.Regret, river.Explore(Explorer.Regularised(), new() { Steps = 4000, Seed = 1 }).Regret);
    }

    [Fact]
    public void AMixtureOfKnownProcessesIsLearntByRegression()
    {
        static DecisionModel Ring(double on) =>
            new ModelBuilder()
                .Transition("a", "go", "b", on).Transition("a", "go", "a", 1 - on).Transition("a", "wait", "a", 1, reward: 0.1)
                .Transition("b", "go", "a", on, reward: 1).Transition("b", "go", "b", 1 - on, reward: 1).Transition("b", "wait", "a", 1)
                .Initial("a")
                .Build();

        var found = Ring(0.5).Discounted(0.9).Explore(Explorer.LinearMixture([Ring(0.25), Ring(1)], eta: 10), new() { Steps = 2000 });
        Assert.True(found.MeanGap < 0.2, $"{found.MeanGap}");
        Assert.Throws<ArgumentException>(() => River.Explore(Explorer.LinearMixture([Ring(0.5)])));
    }

    [Fact]
    public void ThePictureIsSaved()
    {
        string folder = Directory.CreateTempSubdirectory("valueflow").FullName;
        try
        {
            var found = River.Explore(Explorer.Optimistic(), new() { Steps = 500, MeasureEvery = 5 });
            found.SavePlot(Path.Combine(folder, "regret.png"));
            found.SavePlot(Path.Combine(folder, "regret.svg"), 400, 300);
            Assert.True(new FileInfo(Path.Combine(folder, "regret.png")).Length > 1000);
            Assert.Contains("regret", File.ReadAllText(Path.Combine(folder, "regret.svg")));
            Assert.Throws<ArgumentException>(() => found.SavePlot(Path.Combine(folder, "regret.txt")));
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    [Fact]
    public void ACancelledRunKeepsWhatItReached()
    {
        using CancellationTokenSource source = new();
        Told told = new(t =>
        {
            if (t == 20)
            {
                source.Cancel();
            }
        });
        var found = River.Explore(Explorer.Regularised(), new() { MeasureEvery = 10, Progress = told, Cancellation = source.Token });
        Assert.True(found.IsCancelled);
        Assert.Equal(21, found.Gaps.Count);
    }

    private sealed class Told(Action<int> report) : IProgress<int>
    {
        public void Report(int value) => report(value);
    }

    [Fact]
    public void WhatDoesNotFitIsNamed()
    {
        Assert.Contains("discounted", Assert.Throws<InvalidOperationException>(() => Problems.RiverSwim().TotalReward().Explore(Explorer.Optimistic())).Message);
        Assert.Throws<InvalidOperationException>(() => River.Minimising().Explore(Explorer.Optimistic()));
        Assert.Throws<InvalidOperationException>(() => River.WithRisk(Risk.Entropic(1)).Explore(Explorer.Optimistic()));
        Assert.Equal("eta", Assert.Throws<ArgumentOutOfRangeException>(() => Explorer.Regularised(eta: 0)).ParamName);
        Assert.Equal("bonus", Assert.Throws<ArgumentOutOfRangeException>(() => Explorer.Optimistic(double.NaN)).ParamName);
        Assert.Equal("epsilon", Assert.Throws<ArgumentOutOfRangeException>(() => Explorer.EpsilonGreedy(1.5)).ParamName);
        Assert.Throws<ArgumentOutOfRangeException>(() => River.Explore(Explorer.Optimistic(), new() { Steps = 0 }));
    }
}

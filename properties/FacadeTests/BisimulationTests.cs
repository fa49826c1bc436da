using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>How alike states are, as a consumer asks it.</summary>
public sealed class BisimulationTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("valueflow").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    // Two machines that are alike but for their names, one that earns a little more, and a workshop.
    private static DecisionModel Machines(double better = 0.1) =>
        new ModelBuilder()
            .Transition("left", "produce", "left", 0.9, reward: 10)
            .Transition("left", "produce", "workshop", 0.1, reward: 10)
            .Transition("left", "wait", "right", 1, reward: 0)
            .Transition("right", "produce", "right", 0.5, reward: 10)
            .Transition("right", "produce", "left", 0.4, reward: 10)
            .Transition("right", "produce", "workshop", 0.1, reward: 10)
            .Transition("right", "wait", "left", 1, reward: 0)
            .Transition("new", "produce", "new", 0.9, reward: 10 + better)
            .Transition("new", "produce", "workshop", 0.1, reward: 10 + better)
            .Transition("new", "wait", "left", 1, reward: 0)
            .Transition("workshop", "produce", "workshop", 1, reward: -1)
            .Transition("workshop", "wait", "left", 1, reward: -20)
            .Initial("left")
            .Build();

    [Fact]
    public void AlikeIsWhatEarnsAndLeadsTheSame()
    {
        var problem = Machines().Discounted(0.9);
        var metric = problem.BisimulationMetric();
        Assert.Equal(Outcome.Converged, metric.Outcome);
        Assert.True(metric.ErrorBound <= 1e-6);
        Assert.Equal(0, metric.Between("left", "right"), 12);
        Assert.True(metric.Between("left", "new") > 0.1);
        Assert.True(metric.Between("left", "workshop") > 10);
        Assert.Equal(metric.Between(0, metric.Model.StateOf("new")), metric.Between("new", "left"), 12);
        var values = problem.Solve();
        foreach (string one in new[] { "left", "right", "new", "workshop" })
        {
            foreach (string other in new[] { "left", "right", "new", "workshop" })
            {
                Assert.True(Math.Abs(values.ValueOf(one) - values.ValueOf(other)) <= metric.ValueDifferenceBound(one, other) + 2e-8);
            }
        }

        Assert.Equal(metric.Between("new", "workshop"), metric.ToArray()[metric.Model.StateOf("new"), metric.Model.StateOf("workshop")]);
        var table = metric.ToDataFrame();
        Assert.Equal(6, table.Rows.Count);
        Assert.Equal(("left", "right"), ((string)table[0, 0], (string)table[0, 1]));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ClustersAreASmallerProblemWithABound(bool minimising)
    {
        var problem = minimising ? Machines().Discounted(0.9).Minimising() : Machines().Discounted(0.9);
        var metric = problem.BisimulationMetric();
        var twins = metric.Clusters(0.001);
        Assert.Equal(3, twins.Count);
        Assert.Equal(twins.ClusterOf("left"), twins.ClusterOf(problem.Model.StateOf("right")));
        Assert.True(twins.ValueErrorBound < 1e-4);
        var clusters = metric.Clusters(1.5);
        Assert.Equal(2, clusters.Count);
        Assert.Equal(["left", "new", "right"], clusters.Members[clusters.ClusterOf("new")].Select(problem.Model.StateName).Order());
        Assert.Equal(minimising, clusters.Problem.IsMinimising);
        var solution = clusters.Problem.Solve();
        var exact = problem.Solve();
        var lifted = clusters.Lift(solution.Values);
        for (int state = 0; state < 4; state++)
        {
            Assert.True(Math.Abs(lifted[state] - exact.Values[state]) <= clusters.ValueErrorBounds[state] + 2e-8);
            Assert.True(clusters.ValueErrorBounds[state] <= clusters.ValueErrorBound);
        }

        Assert.Equal(exact.Policy, clusters.LiftPolicy(solution.Policy));
        Assert.Equal(4, clusters.ToDataFrame().Rows.Count);
        Assert.Contains("left", clusters.Model.StateName(0));
        Assert.Equal(metric.Model.StateCount, metric.Clusters(0).Count);
    }

    [Fact]
    public void ThePictureIsSaved()
    {
        string picture = Path.Combine(folder, "distances.png");
        var lake = Problems.FrozenLake().Discounted(0.9).BisimulationMetric();
        lake.SavePlot(picture);
        Assert.True(new FileInfo(picture).Length > 10_000);
        Machines().Discounted(0.9).BisimulationMetric().SavePlot(Path.Combine(folder, "machines.svg"));
        if (Environment.GetEnvironmentVariable("VALUEFLOW_KEEP_PICTURES") is string kept)
        {
            lake.SavePlot(Path.Combine(kept, "lake.png"));
            Machines().Discounted(0.9).BisimulationMetric().SavePlot(Path.Combine(kept, "machines.png"));
        }
    }

    [Fact]
    public void ARunThatIsCancelledSaysSo()
    {
        using CancellationTokenSource source = new();
        Reporter progress = new(done =>
        {
            if (done == 3)
            {
                source.Cancel();
            }
        });
        var cut = Machines().Discounted(0.9).BisimulationMetric(new() { Cancellation = source.Token, Progress = progress, ProgressInterval = TimeSpan.Zero });
        Assert.Equal((Outcome.Cancelled, 3), (cut.Outcome, cut.Sweeps));
        var whole = Machines().Discounted(0.9).BisimulationMetric();
        Assert.True(whole.Between("left", "workshop") - cut.Between("left", "workshop") <= cut.ErrorBound);
        source.Cancel();
        var none = Machines().Discounted(0.9).BisimulationMetric(new() { Cancellation = source.Token });
        Assert.Equal(double.PositiveInfinity, none.ErrorBound);
        Assert.Contains("finite error bound", Assert.Throws<InvalidOperationException>(() => none.Clusters(1)).Message);
    }

    private sealed class Reporter(Action<int> told) : IProgress<SolveProgress>
    {
        private int done;

        public void Report(SolveProgress value) => told(++done);
    }

    [Fact]
    public void OtherNamesForActionsAreNoDifferenceToTheNearestAction()
    {
        var model = new ModelBuilder()
            .Transition("a", "stay", "a", 1, reward: 1)
            .Transition("b", "rest", "b", 1, reward: 1)
            .Build();
        var problem = model.Discounted(0.5);
        Assert.Equal(0, problem.BisimulationMetric(new() { Matching = ActionMatching.NearestAction }).Between("a", "b"), 9);
        var model2 = new ModelBuilder()
            .Transition("a", "stay", "a", 1, reward: 1)
            .Transition("b", "rest", "b", 1, reward: 0)
            .Build();
        Assert.Equal(2, model2.Discounted(0.5).BisimulationMetric().Between("a", "b"), 6);
        Assert.Throws<InvalidOperationException>(() => problem.BisimulationMetric(new() { Matching = ActionMatching.NearestAction }).Clusters(1));
    }

    [Fact]
    public void ValuesCloseTheGapOfTheirPolicy()
    {
        var lake = Problems.FrozenLake();
        var solution = lake.Discounted(0.95).Solve(new() { Tolerance = 1e-11 });
        var gap = lake.Occupancy(0.95, solution.Policy).GapTo(solution.Values);
        Assert.True(gap.Lower <= gap.Paid && gap.Gap >= 0 && gap.Gap <= 1e-9);
        Assert.Equal(solution.Values[lake.InitialStates[0]], gap.Paid, 9);
        var lazy = lake.Occupancy(0.95, (state, action) => 0.25).GapTo(new double[lake.StateCount]);
        Assert.True(lazy.Lower < gap.Lower && lazy.Upper > gap.Upper);
        Assert.Contains("length must be 16", Assert.Throws<ArgumentException>(() => lake.Occupancy(0.95, solution.Policy).GapTo([1])).Message);
    }

    [Fact]
    public void WhatDoesNotFitIsNamed()
    {
        var problem = Machines().Discounted(0.9);
        Assert.Contains("TransitionWeight", Assert.Throws<ArgumentOutOfRangeException>(() => problem.BisimulationMetric(new() { TransitionWeight = 0.8 })).Message);
        Assert.Contains("RewardWeight", Assert.Throws<ArgumentOutOfRangeException>(() => problem.BisimulationMetric(new() { RewardWeight = 0 })).Message);
        Assert.Contains("Tolerance", Assert.Throws<ArgumentOutOfRangeException>(() => problem.BisimulationMetric(new() { Tolerance = 0 })).Message);
        Assert.Throws<InvalidOperationException>(() => Machines().TotalReward().BisimulationMetric());
        Assert.Throws<InvalidOperationException>(() => problem.WithRisk(Risk.ConditionalValueAtRisk(0.5)).BisimulationMetric());
        Assert.Throws<InvalidOperationException>(() => problem.Choosing(ActionChoice.LogSumExp(0.1)).BisimulationMetric());
        var metric = problem.BisimulationMetric();
        Assert.Throws<ArgumentException>(() => metric.Between("left", "nowhere"));
        Assert.Throws<ArgumentOutOfRangeException>(() => metric.Between(0, 4));
        Assert.Throws<ArgumentException>(() => metric.Clusters(-1));
        Assert.Contains(".pdf", Assert.Throws<ArgumentException>(() => metric.SavePlot(Path.Combine(folder, "distances.pdf"))).Message);
    }
}

using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>Laws of the returns of policies: every method agrees with the exact law within what it states.</summary>
public sealed class ReturnTableTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("valueflow").FullName;

    // Two steps; the second is a coin for 1 or 3. From the start 2 + 0.5 * (1 or 3).
    private readonly DecisionModel coins = new ModelBuilder()
        .Transition("start", "go", "coin", 1, 2)
        .Transition("coin", "go", "end", 0.5, 1)
        .Transition("coin", "go", "end", 0.5, 3)
        .Terminal("end")
        .Initial("start")
        .Build();

    public void Dispose() => Directory.Delete(folder, true);

    private static double Uniform(int state, int action) => 1;

    [Fact]
    public void EveryMethodKnowsTheCoin()
    {
        var query = coins.Discounted(0.5).Returns(Uniform);
        var exact = query.Exact(2).Solve();
        Assert.Equal([2.5, 3.5], exact.FromStart().Atoms);
        Assert.Equal([0.5, 0.5], exact.Of("start").Probabilities);
        Assert.Equal((0, ReturnMetric.Wasserstein1, 0), (exact.ErrorBound, exact.Metric, exact.ClippedMass));
        foreach (var found in new[] { query.Solve(), query.Categorical(101).Solve(), query.Categorical(0, 6, 61).Solve(), query.Quantiles(20).Solve(), query.Played(2000, 3).Solve() })
        {
            Assert.Equal(Outcome.Converged, found.Outcome);
            Assert.Equal(3, found.FromStart().Mean, 0.05);
            Assert.True(found.FromStart().DistanceTo(exact.FromStart()) < 0.1, $"{found.Method}: {found.FromStart()}");
            Assert.Equal(0, found.ClippedMass);
            Assert.Equal(0, found.Of("end").Maximum, 12);
        }
    }

    [Fact]
    public void TheBoundHoldsAndMeansAreTheValues()
    {
        for (int seed = 1; seed <= 10; seed++)
        {
            var model = Problems.Garnet(seed, 6, 2, 2);
            var problem = model.Discounted(0.6);
            var solution = problem.Solve();
            var exact = problem.Returns(solution).Exact(9).Solve();
            var found = problem.Returns(solution).Categorical(101).Solve();
            Assert.Equal(Certificate.Contraction, found.Certificate);
            Assert.True(exact.ErrorBound is > 0 and < 0.1);
            double farthest = 0;
            for (int state = 0; state < model.StateCount; state++)
            {
                farthest = Math.Max(farthest, found.Of(state).DistanceTo(exact.Of(state)));
                Assert.Equal(solution.Values[state], found.Of(state).Mean, 1e-6);
                Assert.Equal(solution.Values[state], exact.Of(state).Mean, exact.ErrorBound);
            }

            Assert.True(farthest <= found.ErrorBound + exact.ErrorBound, $"{farthest} > {found.ErrorBound} + {exact.ErrorBound}");
            // The bound says something: within forty times what is measured.
            Assert.True(found.ErrorBound < 40 * farthest && found.SolverBound < found.ErrorBound);
        }
    }

    [Fact]
    public void WhatIsClippedIsCounted()
    {
        var narrow = coins.Discounted(0.5).Returns(Uniform).Categorical(0, 3, 31).Solve();
        Assert.True(narrow.ClippedMass > 0.4);
        Assert.Equal(double.PositiveInfinity, narrow.ErrorBound);
    }

    [Fact]
    public void PlayIsAsGoodAsItSays()
    {
        var query = coins.TotalReward().Returns([0, 0, -1]);
        var played = query.Played(1000, 5).Solve();
        Assert.Equal((Certificate.Estimate, double.PositiveInfinity, ReturnMetric.Kolmogorov), (played.Certificate, played.ErrorBound, played.Metric));
        Assert.Contains("with 95% confidence no distribution function is off by more than 0.0489", played.OutcomeText);
        Assert.True(played.Of("start").DistanceTo(query.Exact(2).Solve().Of("start"), ReturnMetric.Kolmogorov) <= 0.0489);
        Assert.Equal(played.Of("start").Probabilities, query.Played(1000, 5).Solve().Of("start").Probabilities);
    }

    [Fact]
    public void TheStartIsAMixtureAndThePathTheLikeliest()
    {
        var model = new ModelBuilder()
            .Transition("a", "go", "b", 0.7, 1)
            .Transition("a", "go", "c", 0.3, 5)
            .Transition("b", "go", "a", 1, 0, 0)
            .Terminal("c")
            .Initial("a")
            .Initial("c")
            .Build();
        var found = model.Discounted(0.9).Returns(Uniform).Exact(3).Solve();
        Assert.Equal([0, 1, 5], found.FromStart().Atoms);
        Assert.Equal(0.5, found.FromStart().Probabilities[0], 12);
        Assert.Equal(["a", "b"], found.LikeliestPath().Select(model.StateName));
        var table = found.ToDataFrame(0.3);
        Assert.Equal(["state", "mean", "standard_deviation", "cvar", "quantile_05", "quantile_25", "quantile_50", "quantile_75", "quantile_95"], table.Columns.Select(column => column.Name));
        Assert.Equal(3, table.Rows.Count);
        string path = Path.Combine(folder, "bands.png");
        found.SavePlot(path);
        Assert.True(new FileInfo(path).Length > 5000);
        Assert.Equal("return from the state on", found.ToPlot([0, 1]).Axes.Left.Label.Text);
    }

    [Fact]
    public void ARunCanBeStoppedAndWatched()
    {
        var query = Problems.CliffWalking(0.1).Discounted(0.99).Returns((_, _) => 0.25);
        var stopped = query.Categorical(51).Solve(new() { Cancellation = new(true) });
        Assert.Equal(Outcome.Cancelled, stopped.Outcome);
        Assert.Equal(Outcome.BudgetExhausted, query.Categorical(51).Solve(new() { MaximumSweeps = 3 }).Outcome);
        Assert.Throws<OperationCanceledException>(() => query.Played(10).Solve(new() { Cancellation = new(true) }));
        Assert.Throws<OperationCanceledException>(() => query.Exact(3).Solve(new() { Cancellation = new(true) }));
    }

    [Fact]
    public void WhatIsWrongIsSaid()
    {
        var problem = coins.Discounted(0.5);
        var query = problem.Returns(Uniform);
        Assert.Contains("least and the largest atom", Assert.Throws<InvalidOperationException>(() => coins.TotalReward().Returns(Uniform).Categorical(51)).Message);
        Assert.Contains("say Categorical", Assert.Throws<InvalidOperationException>(() => coins.TotalReward().Returns(Uniform).Solve()).Message);
        Assert.Contains("objective is Reaching", Assert.Throws<InvalidOperationException>(() => coins.Reaching("x").Returns(Uniform)).Message);
        Assert.Contains("guards against many: tv:0.1", Assert.Throws<InvalidOperationException>(() => problem.WithRobustness(Robustness.TotalVariation(0.1)).Returns(Uniform)).Message);
        Assert.Contains("another one", Assert.Throws<ArgumentException>(() => problem.Returns(Problems.RandomWalk(3).Discounted(0.5).Solve())).Message);
        Assert.Contains("run was cancelled", Assert.Throws<ArgumentException>(() => problem.Returns(problem.Solve(new() { Cancellation = new(true) }))).Message);
        Assert.Contains("must take one of its", Assert.Throws<ArgumentException>(() => problem.Returns([5, 0, 0])).Message);
        Assert.Equal("largest", Assert.Throws<ArgumentException>(() => query.Categorical(3, 1, 11)).ParamName);
        Assert.Equal("atoms", Assert.Throws<ArgumentOutOfRangeException>(() => query.Categorical(1)).ParamName);
        Assert.Equal("count", Assert.Throws<ArgumentOutOfRangeException>(() => query.Quantiles(0)).ParamName);
        Assert.Equal("episodes", Assert.Throws<ArgumentOutOfRangeException>(() => query.Played(0)).ParamName);
        Assert.Equal("horizon", Assert.Throws<ArgumentOutOfRangeException>(() => query.Exact(-1)).ParamName);
        Assert.Contains("at most 1 atoms", Assert.Throws<ArgumentException>(() => query.Exact(2, 1).Solve()).Message);
        var nowhere = new ModelBuilder().Transition("a", "go", "a", 1).Build();
        Assert.Contains("name a state", Assert.Throws<InvalidOperationException>(() => nowhere.Discounted(0.5).Returns(Uniform).Solve().FromStart()).Message);
        Assert.Contains("there is none", Assert.Throws<ArgumentException>(() => query.Solve().ToPlot([])).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => query.Solve().Of(3));
        Assert.Throws<ArgumentException>(() => query.Solve().Of("nowhere"));
        Assert.Contains("Tolerance", Assert.Throws<ArgumentOutOfRangeException>(() => query.Solve(new() { Tolerance = 0 })).Message);
    }
}

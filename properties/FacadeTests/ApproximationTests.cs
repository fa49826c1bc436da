using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>Values by features, as a consumer uses them.</summary>
public class ApproximationTests
{
    private static double[] Cell(int row, int column) => [1, row, column, row * column];

    private static double Distance(ValueApproximation found, IReadOnlyList<double> values) =>
        Math.Sqrt(found.StateWeights.Select((weight, s) => weight * Math.Pow(found.Exact[s] - values[s], 2)).Sum());

    [Fact]
    public void FeaturesOfCellsComeNearTheValuesOfAPolicy()
    {
        var problem = Problems.FrozenLake().Discounted(0.95);
        var best = problem.Solve();
        var found = problem.Approximate(Cell, best.Policy, new() { Trace = 0.8 });
        Assert.Equal(4, found.Weights.Count);
        Assert.Equal(1, found.StateWeights.Sum(), 12);
        Assert.InRange(found.Modulus, 0, 0.95 * 0.2 / (1 - 0.95 * 0.8) + 1e-9);
        Assert.InRange(found.Error, found.LeastError, found.ErrorBound);
        Assert.InRange(found.Growth, 0, found.Modulus + 1e-9);
        Assert.Equal(found.Error, Distance(found, found.Values), 9);
        Assert.All(Enumerable.Range(0, 16), s => Assert.Equal(best.Values[s], found.Exact[s], 6));
        // Terminal states have value zero, whatever the features.
        Assert.Equal(0, found.Values[15]);
        Assert.Equal(found.Values[0], found.ValueAt(Cell(0, 0)), 12);
        Assert.Equal(16, found.ToDataFrame().Rows.Count);
        // The fixed point of its operator.
        double[] again = found.Operator.Apply([.. found.Values]);
        Assert.All(again.Zip(found.Values), pair => Assert.Equal(pair.Second, pair.First, 9));
    }

    [Fact]
    public void WholeReturnsGiveTheNearestFunction()
    {
        var problem = Problems.FrozenLake().Discounted(0.95);
        var policy = problem.Solve().Policy;
        var whole = problem.Approximate(Cell, policy, new() { Trace = 1 });
        Assert.Equal(whole.LeastError, whole.Error, 9);
        var single = problem.Approximate(Cell, policy);
        Assert.True(single.Error >= whole.Error - 1e-12);
    }

    [Fact]
    public void WeightsOfOnesOwnMayExpandAndSaySo()
    {
        // Two states of value w and 2w, the second never left.
        var model = new ModelBuilder().Transition("one", "go", "two", 1).Transition("two", "stay", "two", 1).Build();
        var problem = model.Discounted(0.99);
        double[] Doubling(int state) => [state + 1];
        var even = problem.Approximate(Doubling, (_, _) => 1, new() { StateWeights = [0.5, 0.5] });
        Assert.Equal(1.188, even.Growth, 9);
        Assert.True(even.Modulus > 1 && double.IsPositiveInfinity(even.ErrorBound));
        var kept = problem.Approximate(Doubling, (_, _) => 1);
        Assert.Equal(0.99, kept.Modulus, 9);
    }

    [Fact]
    public void ALogComesToWhatTheModelSays()
    {
        var lake = Problems.FrozenLake();
        var problem = lake.Discounted(0.95);
        double[] Corner(int row, int column) => [1, row + column];
        double[] Named(string cell) => Corner(cell[1] - '0', cell[3] - '0');
        double[] Numbered(int state) => Named(lake.StateName(state));

        double Wander(int state, int action) => 0.25;
        var expected = problem.Approximate(Numbered, Wander, new() { Trace = 0.8 });
        var log = lake.Record(Wander, episodes: 20_000, seed: 3);
        var found = log.Approximate(Named, 0.95, new() { Trace = 0.8 });
        Assert.Equal(0, found.TruncatedEpisodes);
        Assert.Equal(log.StepCount, found.Steps);
        double size = Math.Sqrt(expected.StateWeights.Select((w, s) => w * expected.Values[s] * expected.Values[s]).Sum());
        double gap = Math.Sqrt(Enumerable.Range(0, 16).Select(s => expected.StateWeights[s] * Math.Pow(found.ValueOf(lake.StateName(s)) - expected.Values[s], 2)).Sum());
        Assert.InRange(gap / size, 0, 0.15);
        Assert.Equal(found.Weights, lake.Record(Wander, 20_000, 3).Approximate(Named, 0.95, new() { Trace = 0.8 }).Weights);
        Assert.Equal(found.ValueOf("(0,0)"), found.ValueAt(Corner(0, 0)), 12);
    }

    [Fact]
    public void TheExampleOfThePageRuns()
    {
        double[] Three(int row, int column) => [1, row, column];
        var plain = Problems.FrozenLake().Discounted(0.95);
        var best = plain.Solve();
        var near = plain.Approximate(Three, best.Policy, new() { Trace = 0.8 });
        var log = plain.Model.Record((state, action) => 0.25, episodes: 5000, seed: 1);
        double[] Named(string cell) => Three(cell[1] - '0', cell[3] - '0');
        var followed = log.Approximate(Named, discount: 0.95, new() { Trace = 0.8 });
        var other = log.ApproximatePolicy(Named, cell => best.ActionOf(cell), discount: 0.95);
        Assert.InRange(near.Error, near.LeastError, near.ErrorBound);
        Assert.True(double.IsFinite(near.ValueOf("(0,0)")) && double.IsFinite(other.ValueOf("(0,0)")));
        Assert.True(other.Steps < followed.Steps && double.IsFinite(followed.ValueAt(Three(9, 9))));
    }

    [Fact]
    public void AnotherPolicyIsWeighedByRatios()
    {
        // Two ways with rewards 1 and 3, then the end.
        var model = new ModelBuilder().Transition("start", "low", "end", 1, reward: 1).Transition("start", "high", "end", 1, reward: 3).Terminal("end").Initial("start").Build();
        var log = model.Record((_, action) => action == 0 ? 0.8 : 0.2, episodes: 200, seed: 1);
        Assert.Equal(3, log.ApproximatePolicy(_ => [1.0], _ => "high", 0.9).ValueOf("start"), 9);
        Assert.Equal(1, log.ApproximatePolicy(_ => [1.0], _ => "low", 0.9).ValueOf("start"), 9);
        Assert.Equal(2, log.ApproximatePolicy(_ => [1.0], (_, _) => 0.5, 0.9).ValueOf("start"), 9);
        Assert.InRange(log.Approximate(_ => [1.0], 0.9).ValueOf("start"), 1.2, 1.6);
        Assert.Equal(0, log.Approximate(_ => [1.0], 0.9).ValueOf("end"));
    }

    [Fact]
    public void SlipsAreNamed()
    {
        var lake = Problems.FrozenLake();
        var problem = lake.Discounted(0.95);
        var policy = problem.Solve().Policy;
        double[] One(int state) => [1];
        Assert.Contains("is 2", Assert.ThrowsAny<ArgumentException>(() => problem.Approximate(One, policy, new() { Trace = 2 })).Message);
        Assert.Contains(
            "feature 1 is a combination",
            Assert.ThrowsAny<ArgumentException>(() => problem.Approximate(state => [1.0 + state, 2.0 + 2 * state], policy)).Message
        );
        Assert.Contains("state 0", Assert.ThrowsAny<ArgumentException>(() => problem.Approximate((int state) => null!, policy)).Message);
        Assert.Throws<InvalidOperationException>(() => lake.TotalReward().Approximate(One, policy));
        Assert.Throws<InvalidOperationException>(() => problem.WithRisk(Risk.Entropic(1)).Approximate(One, policy));
        Assert.Throws<InvalidOperationException>(() =>
            new ModelBuilder().Transition("a", "go", "a", 1).Build().Discounted(0.9).Approximate(Cell, (IReadOnlyList<int>)[0])
        );
        var log = lake.Record(policy, 5, 1);
        Assert.Contains("(7,7)", Assert.Throws<ArgumentException>(() => log.Approximate(_ => [1.0], 0.9).ValueOf("(7,7)")).Message);
        Assert.Contains("are 2", Assert.Throws<ArgumentException>(() => log.Approximate(_ => [1.0], 0.9).ValueAt([1, 2])).Message);
        Assert.ThrowsAny<ArgumentException>(() => lake.Record(policy, 0, 1));
    }
}

using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>A policy that is known already, and regularisation by the last one, as a consumer uses them.</summary>
public class ConservativeTests
{
    private static readonly DecisionModel Lake = Problems.FrozenLake();

    // A sure small prize now, or a step on, where a large one waits beside nothing.
    private static DecisionModel Ways() =>
        new ModelBuilder()
            .Transition("start", "stay", "end", 1, reward: 1)
            .Transition("start", "go", "middle", 1)
            .Transition("middle", "idle", "end", 1)
            .Transition("middle", "take", "end", 1, reward: 10)
            .Terminal("end")
            .Initial("start")
            .Build();

    [Fact]
    public void APolicyIsFollowedAtItsLikeliestAndImproved()
    {
        var problem = Ways().Discounted(0.9);
        int middle = problem.Model.StateOf("middle"), end = problem.Model.StateOf("end");
        int take = problem.Model.Actions(middle)[1];
        // Half and half at the start: the lowest action is followed. In the middle the large prize is likelier.
        var found = problem.EvaluateConservatively((state, action) => state == 0 ? 0.5 : action == take ? 0.7 : 0.3);
        Assert.Equal((1, 10, 0), (found.Values[0], found.Values[middle], found.Values[end]));
        Assert.Equal([1, 9], found.ActionValues[0]);
        Assert.Equal("stay", found.Model.ActionName(found.Followed[0]));
        Assert.Equal("go", found.Model.ActionName(found.Improved[0]));
        Assert.Equal(-1, found.Improved[end]);
        Assert.True(found.ErrorBound <= 1e-8 && found.Outcome == Outcome.Converged && found.Certificate == Certificate.Contraction);
        // For costs it is the other way round.
        int[] dear = [problem.Model.Actions(0)[1], 0, 0];
        dear[middle] = take;
        Assert.Equal("stay", found.Model.ActionName(problem.Minimising().EvaluateConservatively(dear).Improved[0]));
    }

    [Fact]
    public void TheImprovedDecisionsAreNowhereWorse()
    {
        var problem = Lake.Discounted(0.95);
        var found = problem.EvaluateConservatively((state, action) => (action + 1 + state % 3) / (10.0 + 4 * (state % 3)));
        var followed = problem.Evaluate(found.Followed);
        var improved = problem.Evaluate(found.Improved);
        for (int state = 0; state < Lake.StateCount; state++)
        {
            Assert.Equal(followed.Values[state], found.Values[state], 1e-7);
            Assert.True(improved.Values[state] >= found.Values[state] - 1e-7);
        }
    }

    [Fact]
    public void TheOperatorObeysTheLawsAndItsInverseGivesBackTheRewards()
    {
        static double Sloped(int state, int action) => (action + 1) / 10.0;
        var op = BellmanOperators.Conservative(Lake, 0.9, Sloped);
        Assert.Equal(0.9, op.Modulus, 9);
        var point = op.FixedPoint(new double[Enumerable.Range(0, Lake.StateCount).Sum(state => Lake.Actions(state).Count)]);
        Assert.True(point.ErrorBound <= 1e-8);
        var rewards = BellmanOperators.ConservativeRewards(Lake, 0.9, Sloped, point.Value);
        var mean = Lake.Discounted(0.9).ActionValues(new double[Lake.StateCount]).SelectMany(values => values);
        Assert.All(rewards.Zip(mean), pair => Assert.Equal(pair.Second, pair.First, 1e-7));
        var flat = Lake.Discounted(0.9).EvaluateConservatively(Sloped).ActionValues.SelectMany(values => values);
        Assert.All(flat.Zip(point.Value), pair => Assert.Equal(pair.Second, pair.First, 1e-7));
    }

    [Fact]
    public void MunchausenDecidesNearlyAsWellAsTheBest()
    {
        var problem = Lake.Discounted(0.95);
        var best = problem.Solve();
        foreach (double index in new[] { 1, 1.5, 2 })
        {
            var found = problem.SolveMunchausen(new() { Index = index, Temperature = 0.01 }, new() { MaximumSweeps = 5000 });
            Assert.True(found.Outcome == Outcome.Converged && found.Change <= 1e-8, found.OutcomeText);
            var worth = problem.Evaluate(found.Policy);
            Assert.All(worth.Values.Zip(best.Values), pair => Assert.InRange(pair.First, pair.Second - 0.05, pair.Second + 1e-7));
            Assert.Equal(1, Lake.Actions(0).Sum(action => found.Probability(0, action)), 9);
            Assert.Equal(0, found.Probability(0, 7));
        }

        Assert.Equal(Outcome.BudgetExhausted, problem.SolveMunchausen(options: new() { MaximumSweeps = 3 }).Outcome);
    }

    [Fact]
    public void AnIndexAboveOneLeavesActionsOut()
    {
        var problem = Ways().Discounted(0.9);
        int middle = problem.Model.StateOf("middle"), idle = problem.Model.Actions(middle)[0];
        Assert.Equal(0, problem.SolveMunchausen(new() { Index = 2 }).Probability(middle, idle));
        Assert.True(problem.SolveMunchausen(new() { Temperature = 3 }).Probability(middle, idle) > 0);
    }

    // The example of docs/csharp.md.
    [Fact]
    public void TheExampleOfThePageRuns()
    {
        var lake = Problems.FrozenLake();
        var problem = lake.Discounted(0.95);
        var known = problem.EvaluateConservatively((state, action) => action == 1 ? 0.4 : 0.2);
        var better = problem.Evaluate(known.Improved);
        Assert.True(better.Values[0] > known.Values[0]);
        var soft = problem.SolveMunchausen(new() { Index = 2, Temperature = 0.01 });
        Assert.Equal("converged: the tolerance was reached", soft.OutcomeText);
        Assert.InRange(problem.Evaluate(soft.Policy).Values[0], better.Values[0], problem.Solve().Values[0] + 1e-7);
    }

    [Fact]
    public void WhatDoesNotFitIsNamed()
    {
        var problem = Lake.Discounted(0.9);
        static double Even(int state, int action) => 0.25;
        var averse = problem.WithRisk(Risk.ConditionalValueAtRisk(0.5));
        Assert.Contains("risk measure", Assert.Throws<InvalidOperationException>(() => averse.EvaluateConservatively(Even)).Message);
        Assert.Contains("risk measure", Assert.Throws<InvalidOperationException>(() => averse.SolveMunchausen()).Message);
        Assert.Contains("Reaching", Assert.Throws<InvalidOperationException>(() => Lake.Reaching("goal").SolveMunchausen()).Message);
        Assert.Throws<ArgumentException>(() => problem.EvaluateConservatively((state, action) => 0.3));
        Assert.Contains("0.5", Assert.Throws<ArgumentException>(() => problem.SolveMunchausen(new() { Index = 0.5 })).Message);
        Assert.Contains("1.5", Assert.Throws<ArgumentException>(() => problem.SolveMunchausen(new() { Weight = 1.5 })).Message);
        Assert.Throws<ArgumentException>(() => problem.SolveMunchausen(new() { Temperature = 0 }));
        using CancellationTokenSource source = new();
        source.Cancel();
        Assert.Equal(Outcome.Cancelled, problem.SolveMunchausen(options: new() { Cancellation = source.Token }).Outcome);
    }
}

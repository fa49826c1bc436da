using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>The best tail, as a consumer asks for it.</summary>
public class StockTailTests
{
    private static DecisionModel Machine() =>
        new ModelBuilder()
            .Transition("running", "produce", "running", 0.9, reward: 10)
            .Transition("running", "produce", "broken", 0.1, reward: 10)
            .Transition("running", "service", "running", 1, reward: 7)
            .Transition("broken", "repair", "running", 1, reward: -20)
            .Initial("running")
            .Build();

    private static readonly TailOptions Rough = new() { Tolerance = 0.5 };

    private static double Worst(IEnumerable<double> returns, double share)
    {
        var sorted = returns.Order().ToArray();
        return sorted.Take((int)(share * sorted.Length)).Average();
    }

    [Fact]
    public void TheTailIsBracketedAndPlayed()
    {
        var tail = Machine().Discounted(0.8).MaximiseTail(0.2, start: "running", options: Rough);
        Assert.Equal(Outcome.Converged, tail.Outcome);
        Assert.InRange(tail.Upper - tail.Lower, 0, 0.5);
        Assert.InRange(tail.Value, tail.Lower, tail.Upper);
        double played = Worst(tail.Simulate(new() { Episodes = 20_000, MaximumSteps = 80, Seed = 3 }).Returns, 0.2);
        Assert.InRange(played, tail.Lower - 0.3, tail.Upper + 0.3);
        // The mean of all is the ordinary value.
        double mean = Machine().Discounted(0.8).Solve().ValueOf("running");
        var whole = tail.At(1);
        Assert.InRange(mean, whole.Lower - 1e-6, whole.Upper + 1e-6);
        Assert.True(tail.Upper <= mean);
        Assert.Equal(played, Worst(tail.Simulate(new() { Episodes = 20_000, MaximumSteps = 80, Seed = 3 }).Returns, 0.2));
    }

    [Fact]
    public void ThePolicyIsStepped()
    {
        var policy = Machine().Discounted(0.8).MaximiseTail(0.2, options: Rough).Policy;
        double stock = policy.StartStock;
        string action = policy.ActionOf("running", stock);
        Assert.Contains(action, new[] { "produce", "service" });
        Assert.Equal("repair", policy.ActionOf("broken", stock));
        Assert.Equal((stock + 10) / 0.8, policy.Next(stock, 10), 12);
        Assert.Equal((stock + 10) / 0.4, policy.Next(stock, 10, continuation: 0.5), 12);
    }

    [Fact]
    public void CostsAreTheMirrorOfRewards()
    {
        var costs = new ModelBuilder()
            .Transition("running", "produce", "running", 0.9, reward: -10)
            .Transition("running", "produce", "broken", 0.1, reward: -10)
            .Transition("running", "service", "running", 1, reward: -7)
            .Transition("broken", "repair", "running", 1, reward: 20)
            .Initial("running")
            .Build();
        var gains = Machine().Discounted(0.8).MaximiseTail(0.2, options: Rough);
        var spent = costs.Discounted(0.8).Minimising().MaximiseTail(0.2, options: Rough);
        Assert.Equal(-gains.Lower, spent.Upper, 9);
        Assert.Equal(-gains.Upper, spent.Lower, 9);
        Assert.Equal(-gains.Target, spent.Target, 9);
        Assert.Equal(gains.Policy.StartStock, spent.Policy.StartStock, 9);
        Assert.Equal(gains.Policy.Next(1, 7), spent.Policy.Next(1, -7), 9);
    }

    [Fact]
    public void ARunIsWatchedAndCancelled()
    {
        using CancellationTokenSource source = new();
        List<SolveProgress> seen = [];
        TailOptions options = new()
        {
            Tolerance = 1e-6,
            Cancellation = source.Token,
            Progress = new Immediate(progress =>
            {
                seen.Add(progress);
                if (progress.Sweeps == 4)
                {
                    source.Cancel();
                }
            }),
        };
        var cancelled = Machine().Discounted(0.8).MaximiseTail(0.2, options: options);
        Assert.Equal(Outcome.Cancelled, cancelled.Outcome);
        Assert.Equal(4, seen.Count);
        Assert.Equal(4, cancelled.Sweeps);
        Assert.True(cancelled.Lower <= cancelled.Upper);
        var small = Machine().Discounted(0.8).MaximiseTail(0.2, options: new() { Tolerance = 1e-6, MaximumNodes = 500 });
        Assert.Equal(Outcome.BudgetExhausted, small.Outcome);
        Assert.Contains("MaximumNodes", small.OutcomeText);
    }

    [Fact]
    public void WhatDoesNotGoTogetherIsRefused()
    {
        var problem = Machine().Discounted(0.8);
        Assert.Contains("share", Assert.Throws<ArgumentException>(() => problem.MaximiseTail(0)).Message);
        Assert.Throws<ArgumentException>(() => problem.MaximiseTail(0.1, start: "nowhere"));
        Assert.Throws<ArgumentOutOfRangeException>(() => problem.MaximiseTail(0.1, options: new() { Tolerance = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => problem.MaximiseTail(0.1, options: new() { MaximumNodes = 0 }));
        Assert.Throws<InvalidOperationException>(() => Machine().TotalReward().MaximiseTail(0.1));
        Assert.Throws<InvalidOperationException>(() => problem.WithRisk(Risk.Entropic(1)).MaximiseTail(0.1));
        var policy = problem.MaximiseTail(0.5, options: new() { Tolerance = 100 }).Policy;
        Assert.Throws<ArgumentOutOfRangeException>(() => policy.ActionOf(7, 0));
        Assert.Throws<ArgumentException>(() => policy.ActionOf("running", double.NaN));
    }

    private sealed class Immediate(Action<SolveProgress> report) : IProgress<SolveProgress>
    {
        public void Report(SolveProgress value) => report(value);
    }
}

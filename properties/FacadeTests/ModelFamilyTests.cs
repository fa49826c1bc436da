using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>Several models that may be the true one, as a consumer uses them.</summary>
public class ModelFamilyTests
{
    // A short way that the wind may close, and a long one that it may not.
    private static DecisionModel Ways(double wind) =>
        new ModelBuilder()
            .Transition("start", "short", "start", wind, reward: -1)
            .Transition("start", "short", "goal", 1 - wind, reward: -1)
            .Transition("start", "long", "middle", 1, reward: -1)
            .Transition("middle", "on", "goal", 1, reward: -1)
            .Terminal("goal")
            .Initial("start")
            .Build();

    private static ModelFamily Winds() => ModelFamily.Of([Ways(0.1), Ways(0.5), Ways(0.9)], 0.9);

    [Fact]
    public void TheSearchTakesTheWayThatNoWindCloses()
    {
        var found = Winds().SearchWorstCase(start: 0);
        Assert.Equal("long", found.ActionOf(0));
        Assert.Equal(-1.9, found.Lower, 9);
        Assert.Equal(-1.9, found.Upper, 7);
        Assert.Equal([0, 2], found.Found);
    }

    [Fact]
    public void TheRobustOperatorHasTheSameValue()
    {
        var point = Winds().RobustOperator().FixedPoint(new double[3]);
        Assert.Equal(-1.9, point.Value[0], 7);
        Assert.True(point.ErrorBound <= 1e-8);
    }

    [Fact]
    public void ASlowNatureLeavesTimeForTheShortWay()
    {
        double[,] distances = new double[3, 3];
        for (int i = 0; i < 3; i++)
        {
            for (int j = 0; j < 3; j++)
            {
                distances[i, j] = 0.4 * Math.Abs(i - j);
            }
        }

        var still = Winds().SolveAgainstSlowNature(distances, 0);
        Assert.Equal("short", still.ActionOf(0, model: 0));
        Assert.Equal("long", still.ActionOf(0, model: 2));
        Assert.Equal(-1 / (1 - 0.9 * 0.1), still.ValueOf(0, model: 0), 7);
        var anywhere = Winds().SolveAgainstSlowNature(distances, 1);
        Assert.Equal(-1.9, anywhere.ValueOf(0, model: 0), 7);
        Assert.True(anywhere.ErrorBound <= 1e-8 && anywhere.Outcome == Outcome.Converged);
        Assert.Equal("", anywhere.ActionOf(1, model: 0));
    }

    [Fact]
    public void WhatDoesNotFitIsNamed()
    {
        var other = new ModelBuilder().Transition("start", "wait", "start", 1).Build();
        Assert.Contains("model 1 must have 3 states", Assert.Throws<ArgumentException>(() => ModelFamily.Of([Ways(0.1), other], 0.9)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => Winds().SearchWorstCase(7));
        Assert.Contains("3 x 3", Assert.Throws<ArgumentException>(() => Winds().SolveAgainstSlowNature(new double[2, 2], 0.1)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => Winds().SolveAgainstSlowNature(new double[3, 3], 0).ValueOf(0, 5));
    }
}

using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>From a log of decisions that last to decisions, as a consumer does it.</summary>
public sealed class LastingLogTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("valueflow").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    private TransitionLog Log(string rows, string name = "log.csv")
    {
        string path = Path.Combine(folder, name);
        File.WriteAllText(path, "state,action,reward,next_state,terminated,duration\n" + rows);
        return TransitionLog.Load(path);
    }

    // A short way of two quick steps, and a long one of a single slow step.
    private const string Ways = "home,fields,0,ford,false,2\nford,on,1,town,true,2\nhome,road,1,town,true,9\nhome,fields,0,ford,false,2\n";

    [Fact]
    public void TheQuickWayIsBestThoughItTakesMoreDecisions()
    {
        var log = Log(Ways);
        Assert.True(log.HasDurations);
        // A reward at a step's end is worth less at its start: here the log says it as it was paid, so that both ways are worth what their durations leave of it.
        var solution = log.EstimateLasting(0.9).Solve();
        Assert.Equal(0.9 * 0.9, Value(log.EstimateLasting(0.9), "fields"), 9);
        Assert.Equal(1, solution.ValueOf("home"), 9);
        // A total that was earned evenly: the slow way's is spread over nine units.
        double evenly(int t) => 1.0 / t * (1 - Math.Pow(0.9, t)) / 0.1;
        var even = log.EstimateLasting(0.9, RewardTiming.Evenly);
        Assert.Equal(0.81 * evenly(2), Value(even, "fields"), 9);
        Assert.Equal(evenly(9), Value(even, "road"), 9);
        Assert.Equal("fields", even.Solve().ActionOf("home"));
    }

    private static double Value(DecisionProblem problem, string action)
    {
        var model = problem.Model;
        int home = model.StateOf("home");
        int place = model.Actions(home).Select(model.ActionName).ToList().IndexOf(action);
        return problem.ActionValues(problem.Solve().Values)[home][place];
    }

    [Fact]
    public void WhatWasHardlyTriedIsLeftOut()
    {
        var log = Log(Ways);
        Assert.Equal(2, log.EstimateLasting(0.9).Model.Actions(log.EstimateLasting(0.9).Model.StateOf("home")).Count);
        var trusted = log.EstimateLasting(0.9, threshold: 0.5);
        Assert.Equal("fields", trusted.Solve().ActionOf("home"));
        Assert.Single(trusted.Model.Actions(trusted.Model.StateOf("home")));
    }

    [Fact]
    public void DurationsSurviveAndPlainEstimatesRefuseThem()
    {
        var log = Log(Ways);
        log.Save(Path.Combine(folder, "copy.parquet"));
        var copy = TransitionLog.Load(Path.Combine(folder, "copy.parquet"));
        Assert.Equal(log.EstimateLasting(0.9).Solve().Values, copy.EstimateLasting(0.9).Solve().Values);
        Assert.Equal("duration", copy.ToDataFrame().Columns[^1].Name);
        Assert.Contains("EstimateLasting", Assert.Throws<InvalidModelException>(() => log.Estimate()).Message);
        Assert.Contains("EstimateLasting", Assert.Throws<InvalidModelException>(() => log.EstimateOutcomes()).Message);
        var problem = Assert.Single(Assert.Throws<ModelFileException>(() => DecisionModel.Load(Path.Combine(folder, "log.csv"))).Problems);
        Assert.Equal(2, problem.Line);
        var bad = Assert.Throws<ModelFileException>(() => Log("a,x,1,b,true,0.5\n", "bad.csv"));
        Assert.Contains("bad.csv, line 2: expected a finite duration of at least 1 in the column duration, found '0.5'", bad.Message);
        Assert.Equal("discount", Assert.Throws<ArgumentOutOfRangeException>(() => log.EstimateLasting(1)).ParamName);
        Assert.Equal("threshold", Assert.Throws<ArgumentOutOfRangeException>(() => log.EstimateLasting(0.9, threshold: 1)).ParamName);
    }
}

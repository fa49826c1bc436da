using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>From a log to laws of outcomes: rewards that were seen apart stay apart.</summary>
public sealed class ReturnLogTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("valueflow").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    private string Csv(string rows, string name = "log.csv")
    {
        string path = Path.Combine(folder, name);
        File.WriteAllText(path, "state,action,reward,next_state,terminated,truncated\n" + rows);
        return path;
    }

    [Fact]
    public void MeansAgreeAndLawsDiffer()
    {
        var log = TransitionLog.Load(Csv("a,x,0,b,false,false\nb,x,-4,end,true,false\na,x,2,b,false,false\nb,x,8,end,true,false\n"));
        var (mean, apart) = (log.Estimate().Discounted(0.5), log.EstimateOutcomes().Discounted(0.5));
        Assert.Equal((2, 4), (mean.Model.TransitionCount, apart.Model.TransitionCount));
        var (first, second) = (mean.Solve(), apart.Solve());
        Assert.Equal(first.Values.Select(v => Math.Round(v, 9)), second.Values.Select(v => Math.Round(v, 9)));
        var (of, ofApart) = (mean.Returns(first).Exact(2).Solve().FromStart(), apart.Returns(second).Exact(2).Solve().FromStart());
        Assert.Equal([2], of.Atoms);
        Assert.Equal([-2, 0, 4, 6], ofApart.Atoms);
        Assert.Equal(2, ofApart.Mean, 12);
        var loaded = DecisionModel.Load(Path.Combine(folder, "log.csv"), new() { DistinctRewards = true });
        Assert.Equal(4, loaded.TransitionCount);
        Assert.Equal("options", Assert.Throws<ArgumentException>(() => DecisionModel.Load("log.csv", new() { DistinctRewards = true, Intervals = true })).ParamName);
    }

    [Fact]
    public void TruncatedAndTerminatedStayDifferent()
    {
        // The same reward and successor, once ended, once cut off: what follows counts only where it was cut off.
        var log = TransitionLog.Load(Csv("a,x,1,b,true,false\na,x,1,b,false,true\na,x,3,b,false,true\nb,x,10,b,true,false\n"));
        var problem = log.EstimateOutcomes().Discounted(0.5);
        var law = problem.Returns((_, _) => 1).Exact(3).Solve().Of("a");
        Assert.Equal([1, 6, 8], law.Atoms);
        Assert.All(law.Probabilities, p => Assert.Equal(1.0 / 3, p, 12));
    }

    [Fact]
    public void WeightsAreShares()
    {
        string path = Path.Combine(folder, "weights.csv");
        File.WriteAllText(path, "state,action,reward,next_state,terminated,weight\na,x,1,end,true,0.5\na,x,2,end,true,1.5\na,x,9,end,true,0\n");
        var law = TransitionLog.Load(path).EstimateOutcomes().TotalReward().Returns((_, _) => 1).Exact(1).Solve().Of("a");
        Assert.Equal([1, 2], law.Atoms);
        Assert.Equal(0.75, law.Probabilities[1], 12);
    }

    // The log of the documentation: five visits; a bold offer earns 12 or loses 5, a steady one earns 1 or 2.
    private static string Visits([System.Runtime.CompilerServices.CallerFilePath] string here = "") =>
        Path.Combine(Path.GetDirectoryName(here)!, "..", "..", "..", "examples", "visits.csv");

    [Fact]
    public void TheExampleOfTheDocumentationRuns()
    {
        string path = Visits();
        string picture = Path.Combine(folder, "outcomes.png");
        var log = TransitionLog.Load(path);
        var problem = log.EstimateOutcomes().Discounted(0.95);
        var neutral = problem.Solve();
        var averse = problem.WithRisk(Risk.ConditionalValueAtRisk(0.2)).Solve();
        List<ReturnDistribution> laws = [];
        foreach (var solution in new[] { neutral, averse })
        {
            var returns = problem.Returns(solution).Exact(horizon: 5).Solve();
            var law = returns.FromStart();
            laws.Add(law);
            Assert.Equal(0, returns.ErrorBound);
            law.SavePlot(picture);
            // On atoms the same, within what is certified.
            var categorical = problem.Returns(solution).Categorical(401).Solve();
            Assert.True(law.DistanceTo(categorical.FromStart()) <= categorical.ErrorBound);
        }

        problem.Returns(neutral).Exact(5).Solve().SavePlot(Path.ChangeExtension(picture, ".bands.png"));
        Assert.True(new FileInfo(picture).Length > 5000);
        Assert.Equal(("bold", "steady"), (neutral.ActionOf("visit 1"), averse.ActionOf("visit 1")));
        Assert.True(laws[0].Mean > laws[1].Mean && laws[0].Cvar(0.1) < laws[1].Cvar(0.1));
        Assert.Equal(0, laws[1].Cdf(0), 9);
        if (Environment.GetEnvironmentVariable("VALUEFLOW_PICTURES") is string kept)
        {
            foreach (string file in Directory.GetFiles(folder, "*.png"))
            {
                File.Copy(file, Path.Combine(kept, Path.GetFileName(file)), true);
            }

            problem.Returns(neutral).Categorical(401).Solve().FromStart().SavePlot(Path.Combine(kept, "categorical.png"));
            problem.Returns(neutral).Played(5000).Solve().FromStart().SavePlot(Path.Combine(kept, "played.png"));
        }
    }
}

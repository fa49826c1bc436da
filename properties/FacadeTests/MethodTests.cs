using ValueFlow.Gallery;
using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>Methods, and models in numbers, as a user of C# and of the console meets them.</summary>
public sealed class MethodTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("valueflow").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    private string At(string name) => Path.Combine(folder, name);

    private static Method[] Methods =>
    [
        Method.Automatic,
        Method.ValueIteration,
        Method.GaussSeidel,
        Method.GaussSeidelBackward,
        Method.GaussSeidelAlternating,
        Method.PolicyIteration,
        Method.ModifiedPolicyIteration(5),
        Method.PrioritisedSweeping,
        Method.Anderson(3),
        Method.Anchored,
    ];

    private static (int Code, string Output, string Error) Run(params string[] args)
    {
        using StringWriter output = new();
        using StringWriter error = new();
        int code = Program.Run(args, output, error);
        return (code, output.ToString(), error.ToString());
    }

    [Fact]
    public void EveryMethodFindsThePublishedOptimumOfTheLake()
    {
        var problem = Problems.FrozenLake().Discounted(0.99);
        foreach (var method in Methods)
        {
            var solution = problem.Solve(new() { Method = method });
            Assert.Equal(Outcome.Converged, solution.Outcome);
            Assert.InRange(0.5420259320, solution.Lower[0] - 1e-10, solution.Upper[0] + 1e-10);
        }

        Assert.Equal(Methods.Length, Methods.Select(method => method.Name).Distinct().Count());
        Assert.Same(Method.Automatic, new SolveOptions().Method);
    }

    [Fact]
    public void TheAutomaticMethodGoesWithEveryAttitudeAndChoice()
    {
        var problem = Problems.FrozenLake().Discounted(0.9);
        Assert.Equal(Outcome.Converged, problem.WithRisk(Risk.ConditionalValueAtRisk(0.5)).Solve().Outcome);
        Assert.Equal(Outcome.Converged, problem.WithRobustness(Robustness.TotalVariation(0.1)).Solve().Outcome);
        Assert.Equal(Outcome.Converged, problem.Choosing(ActionChoice.LogSumExp(0.1)).Solve().Outcome);
        Assert.Equal(Outcome.Converged, problem.Minimising().Solve().Outcome);
    }

    [Fact]
    public void WhatAMethodCannotDoIsRefused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Method.Anderson(0));
        var wide = Problems.RiverSwim().Discounted(0.9).WithRobustness(Robustness.TotalVariation(0.1));
        foreach (var method in new[] { Method.PrioritisedSweeping, Method.GaussSeidelBackward })
        {
            Assert.Contains("successors alone", Assert.Throws<ArgumentException>(() => wide.Solve(new() { Method = method })).Message);
        }
    }

    [Fact]
    public void AModelIsSavedAndLoadedInNumbersBitForBit()
    {
        foreach (var model in new[] { Problems.FrozenLake(), Problems.CliffWalking(), Problems.RiverSwim(12) })
        {
            model.Save(At("m.json"));
            List<double> told = [];
            var again = DecisionModel.Load(At("m.json"), new() { Progress = new Noting(told) });
            Assert.Equal(1, told[^1], 12);
            Assert.Equal(model.ToDataFrame().Rows.Select(row => string.Join('|', row)), again.ToDataFrame().Rows.Select(row => string.Join('|', row)));
            Assert.Equal(model.InitialStates, again.InitialStates);
            Assert.Equal(model.Labels.Keys, again.Labels.Keys);
            Assert.Equal(model.Grid?.Cells, again.Grid?.Cells);
            Assert.Equal(model.Discounted(0.9).Solve().Values, again.Discounted(0.9).Solve().Values);
        }

        byte[] numbers = File.ReadAllBytes(At("m.bin"));
        File.WriteAllBytes(At("m.bin"), numbers[..^8]);
        var error = Assert.Throws<ModelFileException>(() => DecisionModel.Load(At("m.json")));
        Assert.Contains("m.json", error.Message);
        using CancellationTokenSource source = new();
        source.Cancel();
        File.WriteAllBytes(At("m.bin"), numbers);
        Assert.Throws<OperationCanceledException>(() => DecisionModel.Load(At("m.json"), new() { Cancellation = source.Token }));
    }

    private sealed class Noting(List<double> told) : IProgress<double>
    {
        public void Report(double value) => told.Add(value);
    }

    [Fact]
    public void TheConsoleKnowsTheMethodsAndTheNumbers()
    {
        Problems.RiverSwim(8).Save(At("m.json"));
        foreach (string method in new[] { "automatic", "value-iteration", "gauss-seidel:backward", "gauss-seidel:alternating", "prioritised-sweeping", "anderson", "anderson:2", "anchored" })
        {
            var (code, output, error) = Run("solve", At("m.json"), "--discount", "0.9", "--method", method, "--json", "--out", At("out"));
            Assert.Equal((0, ""), (code, error));
            Assert.Contains("\"outcome\"", output, StringComparison.OrdinalIgnoreCase);
        }

        foreach (string method in new[] { "magic", "anderson:0", "gauss-seidel:sideways" })
        {
            var (code, _, error) = Run("solve", At("m.json"), "--discount", "0.9", "--method", method, "--out", At("none"));
            Assert.Equal(2, code);
            Assert.StartsWith("error: --method: expected automatic, ", error);
        }

        Assert.False(Directory.Exists(At("none")));
    }
}

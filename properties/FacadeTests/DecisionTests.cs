using System.Globalization;
using System.Numerics.Tensors;
using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>Decisions as a consumer makes them.</summary>
public class DecisionTests
{
    private static DecisionModel Machine() =>
        new ModelBuilder()
            .Transition("running", "produce", "running", 0.9, reward: 10)
            .Transition("running", "produce", "broken", 0.1, reward: 10)
            .Transition("running", "service", "running", 1, reward: 7)
            .Transition("broken", "repair", "running", 1, reward: -20)
            .Initial("running")
            .Build();

    [Fact]
    public void AModelIsBuiltAndSolvedInAFewLines()
    {
        var solution = Machine().Discounted(0.95).Solve();
        Assert.Equal(Outcome.Converged, solution.Outcome);
        Assert.Equal(Certificate.SpanBounds, solution.Certificate);
        Assert.True(solution.ErrorBound <= 1e-8);
        Assert.Equal("produce", solution.ActionOf(0));
        Assert.Equal("repair", solution.ActionOf(1));
        Assert.True(solution.Lower[0] <= solution.Values[0] && solution.Values[0] <= solution.Upper[0]);
    }

    [Fact]
    public void AllProblemsOfAModelAreListedAtOnce()
    {
        var builder = new ModelBuilder()
            .Transition("a", "go", "b", 0.4)
            .Transition("b", "go", "a", 1.5)
            .Transition("c", "go", "a", 1, double.NaN);
        var error = Assert.Throws<InvalidModelException>(() => builder.Build());
        Assert.Equal(3, error.Problems.Count);
        Assert.Contains("state 'a', action 'go': expected probabilities that sum to 1 within 1e-6, found 0.4", error.Problems);
        Assert.Contains(error.Problems, problem => problem.Contains("found 1.5"));
        Assert.Contains(error.Problems, problem => problem.Contains("found NaN"));
        Assert.False(builder.TryBuild(out var model, out var problems));
        Assert.Null(model);
        Assert.Equal(3, problems.Count);
    }

    [Fact]
    public void EveryMethodFindsTheSameValues()
    {
        var problem = Problems.FrozenLake().Discounted(0.99);
        var methods = new[] { Method.ValueIteration, Method.GaussSeidel, Method.PolicyIteration, Method.ModifiedPolicyIteration(10) };
        var values = methods.Select(method => problem.Solve(new() { Method = method })).ToArray();
        Assert.All(values, solution => Assert.InRange(solution.Values[0], values[0].Lower[0] - 1e-8, values[0].Upper[0] + 1e-8));
        // The published optimum of the slippery lake at 0.99.
        Assert.All(values, solution => Assert.InRange(0.5420259320, solution.Lower[0] - 1e-10, solution.Upper[0] + 1e-10));
    }

    [Fact]
    public void TheLakeIsCrossedWithFourteenChancesInSeventeen()
    {
        var solution = Problems.FrozenLake().Reaching("goal").Solve();
        Assert.Equal(Certificate.Enclosure, solution.Certificate);
        Assert.Equal(14.0 / 17.0, solution.Values[0], 8);
        Assert.InRange(14.0 / 17.0, solution.Lower[0], solution.Upper[0]);
        var cliff = Problems.CliffWalking().TotalReward().Solve();
        Assert.Equal(Certificate.Enclosure, cliff.Certificate);
        Assert.Equal(-13, cliff.Values[36], 8);
        Assert.InRange(-13.0, cliff.Lower[36], cliff.Upper[36]);
    }

    [Fact]
    public void AversionAndDoubtLowerTheValue()
    {
        var problem = Problems.FrozenLake().Discounted(0.95);
        double neutral = problem.Solve().Values[0];
        double averse = problem.WithRisk(Risk.ConditionalValueAtRisk(0.9)).Solve().Values[0];
        double robust = problem.WithRobustness(Robustness.TotalVariation(0.05)).Solve().Values[0];
        double seeking = problem.WithRisk(Risk.ConditionalValueAtRisk(0.9).Seeking()).Solve().Values[0];
        double optimistic = problem.WithRobustness(Robustness.TotalVariation(0.05).Optimistic()).Solve().Values[0];
        Assert.True(averse < neutral && robust < neutral && neutral < seeking && neutral < optimistic);
    }

    [Fact]
    public void ARiskOfOnesOwnIsCertifiedOnceItsRoundingIsStated()
    {
        static double Worst(ReadOnlySpan<double> p, ReadOnlySpan<double> outcomes) => TensorPrimitives.Min(outcomes);
        var problem = Machine().Discounted(0.9);
        var stated = problem.WithRisk(Risk.Custom("worst case", Worst, roundingUnits: 8)).Solve();
        Assert.Equal(Certificate.SpanBounds, stated.Certificate);
        var unstated = problem.WithRisk(Risk.Custom("worst case", Worst)).Solve();
        Assert.Equal(Certificate.Estimate, unstated.Certificate);
        Assert.True(double.IsPositiveInfinity(unstated.ErrorBound));
        Assert.Equal(stated.Values[0], unstated.Values[0], 6);
        var library = problem.WithRisk(Risk.ConditionalValueAtRisk(0.05)).Solve();
        Assert.Equal(library.Values[0], stated.Values[0], 6);
    }

    [Fact]
    public void WhatDoesNotGoTogetherIsRefused()
    {
        var problem = Machine().Discounted(0.9);
        Assert.Throws<InvalidOperationException>(() => problem.WithRisk(Risk.Neutral).WithRobustness(Robustness.TotalVariation(0.1)));
        Assert.Throws<InvalidOperationException>(() => Machine().TotalReward().WithRisk(Risk.Entropic(1)));
        Assert.Throws<InvalidOperationException>(() => problem.WithRobustness(Robustness.Intervals).Solve());
        Assert.Throws<ArgumentException>(() => Risk.ConditionalValueAtRisk(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => Machine().Discounted(1));
        var infinite = Assert.Throws<UndefinedObjectiveException>(() => Machine().TotalReward().Solve());
        Assert.Contains("running", infinite.Message);
        Assert.Contains("no state carries the label", Assert.Throws<UndefinedObjectiveException>(() => Machine().Reaching("x").Solve()).Message);
    }

    [Fact]
    public void IntervalsNeedRobustness()
    {
        var model = new ModelBuilder()
            .TransitionBetween("a", "go", "b", 0.2, 0.6, reward: 1)
            .TransitionBetween("a", "go", "c", 0.4, 0.8)
            .Terminal("b")
            .Terminal("c")
            .Build();
        Assert.True(model.HasIntervals);
        Assert.Throws<InvalidOperationException>(() => model.Discounted(0.9).Solve());
        Assert.Equal(0.2, model.Discounted(0.9).WithRobustness(Robustness.Intervals).Solve().Values[0], 9);
        Assert.Equal(0.6, model.Discounted(0.9).WithRobustness(Robustness.Intervals.Optimistic()).Solve().Values[0], 9);
        Assert.Equal(0.6, model.Discounted(0.9).Minimising().WithRobustness(Robustness.Intervals).Solve().Values[0], 9);
    }

    [Fact]
    public void ARunCanBeWatchedAndCancelled()
    {
        using CancellationTokenSource source = new();
        int reports = 0;
        SolveOptions options = new()
        {
            Tolerance = 1e-12,
            ProgressInterval = TimeSpan.Zero,
            Cancellation = source.Token,
            Progress = new Immediate<SolveProgress>(progress =>
            {
                reports++;
                if (progress.Sweeps == 5)
                {
                    source.Cancel();
                }
            }),
        };
        var solution = Problems.FrozenLake().Discounted(0.999).Solve(options);
        Assert.Equal(Outcome.Cancelled, solution.Outcome);
        Assert.Equal(5, reports);
        Assert.Equal(5, solution.Sweeps);
        Assert.True(double.IsFinite(solution.ErrorBound));
        Assert.Empty(solution.Policy);
        var exhausted = Problems.FrozenLake().Discounted(0.999).Solve(new() { MaximumSweeps = 7 });
        Assert.Equal(Outcome.BudgetExhausted, exhausted.Outcome);
    }

    private sealed class Immediate<T>(Action<T> report) : IProgress<T>
    {
        public void Report(T value) => report(value);
    }

    [Fact]
    public void ATableHasARowForEachState()
    {
        var table = Problems.FrozenLake().Discounted(0.9).Solve().ToDataFrame();
        Assert.Equal(16, table.Rows.Count);
        Assert.Equal(["state", "value", "lower", "upper", "action"], table.Columns.Select(column => column.Name));
        Assert.Equal("(0,1)", table["state"][1]);
    }

    [Fact]
    public void NothingOfASolutionCanBeChanged()
    {
        var solution = Machine().Discounted(0.9).Solve();
        Assert.IsNotType<double[]>(solution.Values);
        Assert.Throws<NotSupportedException>(() => ((IList<double>)solution.Values)[0] = 1);
        Assert.Throws<NotSupportedException>(() => ((IList<int>)solution.Policy)[0] = 1);
    }

    [Fact]
    public void APolicyIsEvaluatedAndPlayed()
    {
        var lake = Problems.FrozenLake();
        var problem = lake.Discounted(0.95);
        var best = problem.Solve();
        var evaluated = problem.Evaluate(best.Policy);
        Assert.Equal(Certificate.LinearSolve, evaluated.Certificate);
        Assert.Equal(best.Values[0], evaluated.Values[0], 7);
        var played = lake.Simulate(best.Policy, new() { Episodes = 20_000, Discount = 0.95, Seed = 7 });
        Assert.InRange(played.Mean, best.Values[0] - (5 * played.StandardError), best.Values[0] + (5 * played.StandardError));
        Assert.Equal(played.Mean, lake.Simulate(best.Policy, new() { Episodes = 20_000, Discount = 0.95, Seed = 7 }).Mean);
    }

    [Fact]
    public void OperatorsComposeAndAreChecked()
    {
        var lake = Problems.FrozenLake().Discounted(0.9);
        var bellman = lake.Operator();
        var half = ValueOperator.From("half", 0.5, v => [.. v.Select(x => x / 2)], rounding: 0);
        var both = bellman.Then(half);
        Assert.Equal(0.45, both.Modulus, 9);
        Assert.Equal(0.7, bellman.Mix(0.5, half).Modulus, 9);
        Assert.Equal(0.81, bellman.Power(2).Modulus, 9);
        Assert.All(Laws.OperatorLaws.Check(both, 16), report => report.Require());
        var point = both.FixedPoint(new double[16]);
        Assert.Equal(Certificate.Contraction, point.Certificate);
        Assert.True(point.ErrorBound <= 1e-8);
        Assert.Equal(Outcome.Converged, both.FixedPoint(new double[16], FixedPointMethod.Anderson()).Outcome);
        var wrong = ValueOperator.From("wrong", 0.5, v => [.. v.Select(x => 0.6 * x)]);
        var report = Laws.OperatorLaws.Check(wrong, 3)[0];
        Assert.Equal(Laws.Verdict.Refuted, report.Verdict);
        Assert.Contains("counterexample", report.ToString());
        Assert.All(Laws.OperatorLaws.CheckFamily("lake", (model, discount) => model.Discounted(discount).Operator()), r => r.Require());
        Assert.True(double.IsPositiveInfinity(lake.Operator(ActionChoice.Boltzmann(3)).Modulus));
    }

    [Theory]
    [InlineData("de-DE")]
    [InlineData("en-US")]
    public void FilesAreTheSameUnderEveryCulture(string culture)
    {
        var before = CultureInfo.CurrentCulture;
        CultureInfo.CurrentCulture = new(culture);
        string folder = Directory.CreateTempSubdirectory("valueflow").FullName;
        try
        {
            string path = Path.Combine(folder, "lake.tra");
            Problems.FrozenLake().Save(path);
            var loaded = DecisionModel.Load(path);
            Assert.Equal(14.0 / 17.0, loaded.Reaching("goal").Solve().Values[0], 8);
            File.WriteAllText(path, "1 1 1\n0 0 0 0,5 go\n");
            var error = Assert.Throws<ModelFileException>(() => DecisionModel.Load(path));
            Assert.Equal(2, error.Problems[0].Line);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
            Directory.Delete(folder, true);
        }
    }
}

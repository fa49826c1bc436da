using ValueFlow.Laws;
using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>Operators, measures and choices of one's own, and what else F# can do.</summary>
public class OwnPartsTests
{
    private static DecisionProblem Lake { get; } = Problems.FrozenLake().Discounted(0.95);

    private static double MeanLessDeviation(ReadOnlySpan<double> p, ReadOnlySpan<double> x)
    {
        double mean = 0, variance = 0;
        for (int i = 0; i < p.Length; i++)
        {
            mean += p[i] * x[i];
        }

        for (int i = 0; i < p.Length; i++)
        {
            variance += p[i] * (x[i] - mean) * (x[i] - mean);
        }

        return mean - (2 * Math.Sqrt(variance));
    }

    // The mean once more, times a scale: no measure unless that is one.
    private readonly struct MeanAsFold(double scale) : IRiskFold
    {
        public double Start => 0;

        public double Step(double folded, double probability, double outcome) => folded + (scale * probability * outcome);

        public double Finish(double folded) => folded;
    }

    [Fact]
    public void AStructThatFoldsIsWhatAFunctionIs()
    {
        var mean = Risk.Fold("mean", new MeanAsFold(1), roundingUnits: 64);
        Assert.All(
            OperatorLaws.CheckFamily("mean", (model, discount) => model.Discounted(discount).WithRisk(mean).Operator()),
            report => report.Require()
        );
        var folded = Lake.WithRisk(mean).Solve();
        Assert.Equal(Certificate.SpanBounds, folded.Certificate);
        var plain = Lake.Solve();
        Assert.All(plain.Values.Zip(folded.Values), pair => Assert.Equal(pair.First, pair.Second, folded.ErrorBound + plain.ErrorBound));
        Assert.Equal(Certificate.Estimate, Lake.WithRisk(Risk.Fold("mean", new MeanAsFold(1))).Solve().Certificate);

        var doubled = Risk.Fold("twice the mean", new MeanAsFold(2));
        var wrong = OperatorLaws.CheckFamily("doubled", (model, discount) => model.Discounted(discount).WithRisk(doubled).Operator());
        Assert.Contains(wrong, report => report.Verdict == Verdict.Refuted);
    }

    private static double Median(ReadOnlySpan<double> q)
    {
        double[] sorted = q.ToArray();
        Array.Sort(sorted);
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    [Fact]
    public void AMeasureThatIsNotMonotoneIsRefutedThoughItStatesNoRounding()
    {
        var wrong = Risk.Custom("mean less two deviations", MeanLessDeviation);
        var reports = OperatorLaws.CheckFamily("mine", (model, discount) => model.Discounted(discount).WithRisk(wrong).Operator());
        var monotonicity = Assert.Single(reports, report => report.Law == "monotonicity");
        Assert.Equal(Verdict.Refuted, monotonicity.Verdict);
        Assert.Contains("x = [", monotonicity.Counterexample);
        Assert.True(reports.Sum(report => report.Milliseconds) < 5000);
    }

    [Fact]
    public void AChoiceOfOnesOwnIsCheckedSolvedAndCertified()
    {
        var median = ActionChoice.Custom("median", Median, roundingUnits: 4);
        var reports = OperatorLaws.CheckFamily("median", (model, discount) => model.Discounted(discount).Choosing(median).Operator());
        Assert.All(reports, report => report.Require());
        var solution = Lake.Choosing(median).Solve();
        Assert.Equal(Certificate.SpanBounds, solution.Certificate);
        Assert.True(solution.Values[0] < Lake.Solve().Values[0]);
        Assert.Equal(Certificate.Estimate, Lake.Choosing(ActionChoice.Custom("median", Median)).Solve().Certificate);
        var sum = ActionChoice.Custom("sum", q => q.ToArray().Sum());
        var wrong = OperatorLaws.CheckFamily("sum", (model, discount) => model.Discounted(discount).Choosing(sum).Operator());
        Assert.Equal(Verdict.Refuted, wrong[0].Verdict);
    }

    [Fact]
    public void EveryChoiceIsSolved()
    {
        double best = Lake.Solve().Values[0];
        double mean = Lake.Choosing(ActionChoice.Uniform).Solve().Values[0];
        double soft = Lake.Choosing(ActionChoice.LogSumExp(0.01)).Solve().Values[0];
        double mixed = Lake.Choosing(ActionChoice.EpsilonGreedy(0.1)).Solve().Values[0];
        double mellow = Lake.Choosing(ActionChoice.Mellowmax(100)).Solve().Values[0];
        Assert.True(mean < mixed && mixed < best && mean < soft && soft < best);
        Assert.Equal(soft, mellow, 7);
        Assert.Equal(Certificate.Estimate, Lake.Choosing(ActionChoice.Boltzmann(5)).Solve().Certificate);
        Assert.Throws<ArgumentException>(() => Lake.Choosing(ActionChoice.Uniform).Solve(new() { Method = Method.PolicyIteration }));
        Assert.Throws<InvalidOperationException>(() => Problems.FrozenLake().TotalReward().Choosing(ActionChoice.Uniform));
    }

    [Fact]
    public void APolicyThatDrawsIsEvaluatedAndPlayed()
    {
        static double Quarter(int state, int action) => 0.25;
        var evaluated = Lake.Evaluate(Quarter);
        Assert.Equal(Certificate.LinearSolve, evaluated.Certificate);
        Assert.Equal(Lake.Choosing(ActionChoice.Uniform).Solve().Values[0], evaluated.Values[0], 7);
        Assert.Equal(evaluated.Values[0], Lake.Choosing(ActionChoice.Following(Quarter)).Solve().Values[0], 7);
        var played = Lake.Model.Simulate(Quarter, new() { Episodes = 20_000, Discount = 0.95, Seed = 3 });
        Assert.InRange(played.Mean, evaluated.Values[0] - (5 * played.StandardError), evaluated.Values[0] + (5 * played.StandardError));
        Assert.Contains("sum to 1", Assert.Throws<ArgumentException>(() => Lake.Evaluate((_, _) => 0.2)).Message);
    }

    [Fact]
    public void DecisionsAreFoundFromValues()
    {
        var solution = Lake.Solve();
        Assert.Equal(solution.Policy, Lake.Greedy(solution.Values));
        var worth = Lake.ActionValues(solution.Values);
        Assert.Equal(solution.Values[0], worth[0].Max(), 7);
        Assert.Equal(solution.Policy[0], Lake.Model.Actions(0)[worth[0].ToList().IndexOf(worth[0].Max())]);
        Assert.Empty(worth[5]);
        Assert.Throws<ArgumentException>(() => Lake.Greedy([1, 2]));
    }

    [Fact]
    public void TheTensorFormIsTheSameOperator()
    {
        using var tensors = Lake.TensorOperator();
        double[] values = [.. Enumerable.Range(0, 16).Select(i => i / 16.0)];
        using var x = TorchSharp.torch.tensor(values);
        using var image = tensors.Apply(x);
        Assert.Equal(Lake.Operator().Apply(values), image.data<double>().ToArray(), (a, b) => Math.Abs(a - b) < 1e-14);
        Assert.Equal(Lake.Operator().Modulus, tensors.Modulus, 12);
        Assert.Equal(tensors.Modulus * tensors.Modulus, tensors.Then(tensors).Modulus, 12);
        Assert.All(OperatorLaws.Check(tensors.Damp(0.5), 16), report => report.Require());
        var wrong = TensorOperator.From("wrong", 0.5, v => v * 0.6);
        Assert.Equal(Verdict.Refuted, OperatorLaws.Check(wrong, 3)[0].Verdict);
    }

    [Fact]
    public void AnEpisodeMayEndOnTheWay()
    {
        var model = new ModelBuilder().Transition("a", "go", "a", 0.5, 1).Transition("a", "go", "a", 0.5, 1, continuation: 0).Build();
        // V = 1 + 0.9 * 0.5 V.
        Assert.Equal(1 / 0.55, model.Discounted(0.9).Solve().ValueOf("a"), 7);
        Assert.Throws<InvalidModelException>(() => new ModelBuilder().Transition("a", "go", "a", 1, continuation: 2).Build());
    }

    [Fact]
    public void StatesAreFoundByName()
    {
        var solution = Lake.Solve();
        Assert.Equal(14, Lake.Model.StateOf("(3,2)"));
        Assert.Equal(solution.Values[14], solution.ValueOf("(3,2)"));
        Assert.Equal(solution.ActionOf(14), solution.ActionOf("(3,2)"));
        Assert.Contains("'nowhere'", Assert.Throws<ArgumentException>(() => solution.ValueOf("nowhere")).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => Lake.Model.ActionName(9));
        Assert.Throws<NotSupportedException>(() => ((IList<int>)Lake.Model.Labels["goal"])[0] = 0);
    }

    [Fact]
    public void SlipsAreNamedWhenTheyAreMade()
    {
        Assert.Throws<ArgumentException>(() => ActionChoice.EpsilonGreedy(2));
        Assert.Throws<ArgumentOutOfRangeException>(() => ActionChoice.LogSumExp(double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => ActionChoice.Mellowmax(0));
        Assert.Throws<ArgumentNullException>(() => ActionChoice.Following((int[])null!));
        Assert.Throws<ArgumentOutOfRangeException>(() => ActionChoice.Custom("x", q => q[0], roundingUnits: -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => FixedPointMethod.Anderson(0));
        Assert.Equal("modulus", Assert.Throws<ArgumentOutOfRangeException>(() => ValueOperator.From("x", -1, v => v)).ParamName);
        Assert.Throws<ArgumentOutOfRangeException>(() => ValueOperator.From("x", 1, v => v, rounding: -1));
        Assert.Contains("'x'", Assert.Throws<InvalidOperationException>(() => ValueOperator.From("x", 1, _ => null!).Apply([1])).Message);
        Assert.Contains("MaximumSweeps", Assert.Throws<ArgumentOutOfRangeException>(() => Lake.Solve(new() { MaximumSweeps = 0 })).Message);
        Assert.Contains("Tolerance", Assert.Throws<ArgumentOutOfRangeException>(() => Lake.Solve(new() { Tolerance = double.NaN })).Message);
        Assert.Contains("Method", Assert.Throws<ArgumentNullException>(() => Lake.Solve(new() { Method = null! })).Message);
        // Without trials the law would be tried for ever.
        Assert.Throws<ArgumentException>(() => OperatorLaws.Check(Lake.Operator(), 16, new() { Cases = 0 }));
    }

    [Fact]
    public void ProgressIsThrottledAndItsLastReportIsTheLastSweep()
    {
        List<int> sweeps = [];
        var heard = new Listener(progress => sweeps.Add(progress.Sweeps));
        var solution = Lake.Solve(new() { Progress = heard, ProgressInterval = TimeSpan.FromHours(1) });
        Assert.Equal([1, solution.Sweeps], sweeps);
        sweeps.Clear();
        Lake.Solve(new() { Progress = heard, ProgressInterval = TimeSpan.Zero });
        Assert.Equal(Enumerable.Range(1, solution.Sweeps), sweeps);
    }

    [Fact]
    public void TablesAndMovesOfTheCallerDamageNothing()
    {
        var solution = Lake.Solve();
        double before = solution.Values[0];
        solution.ToDataFrame()["value"][0] = 99.0;
        ((int[])Lake.Model.Actions(0))[0] = 7;
        ((double[])[.. solution.Values])[0] = 99;
        Lake.Model.ToDataFrame()["reward"][0] = 99.0;
        Assert.Equal(before, solution.Values[0]);
        Assert.Equal(0, Lake.Model.Actions(0)[0]);
        Assert.Equal(before, Lake.Solve().Values[0]);
        double[] start = new double[16];
        var point = Lake.Operator().FixedPoint(start);
        start[0] = 99;
        Assert.True(point.Value[0] < 1);
        int[] policy = [.. solution.Policy];
        var following = ActionChoice.Following(policy);
        policy[0] = 99;
        Assert.Equal(before, Lake.Choosing(following).Solve().Values[0], 7);
    }

    private sealed class Listener(Action<SolveProgress> hear) : IProgress<SolveProgress>
    {
        public void Report(SolveProgress value) => hear(value);
    }
}

using ValueFlow.Laws;
using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>Every attitude, choice and operator of the family, as a consumer meets them.</summary>
public class FamilyTests
{
    private static DecisionProblem Lake { get; } = Problems.FrozenLake().Discounted(0.95);

    private static double Even(int state, int action) => 0.25;

    [Fact]
    public void EveryRiskIsCertifiedAndOrdered()
    {
        double neutral = Lake.Solve().Values[0];
        Risk[] risks = [Risk.EntropicValueAtRisk(0.9), Risk.Expectile(0.4), Risk.Semideviation(0.5)];
        foreach (var risk in risks)
        {
            var averse = Lake.WithRisk(risk).Solve();
            Assert.Equal(Certificate.SpanBounds, averse.Certificate);
            Assert.True(averse.ErrorBound <= 1e-8);
            Assert.True(averse.Values[0] < neutral && neutral < Lake.WithRisk(risk.Seeking()).Solve().Values[0], risk.Name);
        }

        // The worst share's mean, seen entropically, is less.
        Assert.True(Lake.WithRisk(risks[0]).Solve().Values[0] < Lake.WithRisk(Risk.ConditionalValueAtRisk(0.9)).Solve().Values[0]);
        Assert.Equal(neutral, Lake.WithRisk(Risk.Expectile(0.5)).Solve().Values[0], 8);
        Assert.Equal("expectile:0.4", risks[1].Name);
    }

    [Fact]
    public void EveryDoubtIsCertifiedAndOrdered()
    {
        double nominal = Lake.Solve().Values[0];
        Robustness[] doubts =
        [
            Robustness.KullbackLeibler(0.01),
            Robustness.ChiSquare(0.01),
            Robustness.Contamination(0.05),
            Robustness.Contamination(0.05, nominalSupport: true),
            Robustness.Wasserstein(0.05),
            Robustness.Wasserstein(0.05, StateDistances.Line, nominalSupport: true),
        ];
        foreach (var doubt in doubts)
        {
            var robust = Lake.WithRobustness(doubt).Solve();
            Assert.Equal(Certificate.SpanBounds, robust.Certificate);
            Assert.True(robust.Values[0] < nominal && nominal < Lake.WithRobustness(doubt.Optimistic()).Solve().Values[0], doubt.Name);
        }

        double variation = Lake.WithRobustness(Robustness.TotalVariation(0.05)).Solve().Values[0];
        Assert.Equal(variation, Lake.WithRobustness(Robustness.Wasserstein(0.05, StateDistances.Discrete)).Solve().Values[0], 7);
        Assert.Equal("wasserstein:0.05:support", doubts[5].Name);
        var few = Robustness.Wasserstein(0.1, StateDistances.OfPoints([[0.0], [1.0]]));
        Assert.Contains("at most 2 states", Assert.Throws<InvalidOperationException>(() => Lake.WithRobustness(few).Solve()).Message);
        Assert.Throws<ArgumentException>(() => StateDistances.OfTable(new double[2, 3]));
        Assert.Throws<ArgumentException>(() => Robustness.Wasserstein(-1));
        Assert.Throws<ArgumentException>(() => Robustness.KullbackLeibler(double.NaN));
        Assert.Throws<ArgumentException>(() => Risk.Semideviation(1.1));
    }

    [Fact]
    public void EveryChoiceObeysTheLaws()
    {
        ActionChoice[] choices =
        [
            ActionChoice.Sparsemax(0.5),
            ActionChoice.Tsallis(1.5, 0.2),
            ActionChoice.Tsallis(3, 0.2),
        ];
        foreach (var choice in choices)
        {
            Assert.All(
                OperatorLaws.CheckFamily(choice.Name, (model, discount) => model.Discounted(discount).Choosing(choice).Operator()),
                report => report.Require()
            );
            Assert.Equal(Certificate.SpanBounds, Lake.Choosing(choice).Solve().Certificate);
        }

        double best = Lake.Solve().Values[0], mean = Lake.Choosing(ActionChoice.Uniform).Solve().Values[0];
        Assert.InRange(Lake.Choosing(ActionChoice.Annealed(0.5, Even)).Solve().Values[0], mean, best);
        Assert.Equal(Lake.Choosing(ActionChoice.LogSumExp(0.01)).Solve().Values[0], Lake.Choosing(ActionChoice.LogSumExp(0.01, Even)).Solve().Values[0], 7);
        // A prior makes it a penalty, so that nothing is gained over the best.
        Assert.InRange(Lake.Choosing(ActionChoice.Tsallis(2, 0.01, Even)).Solve().Values[0], mean, best);
        Assert.Throws<ArgumentException>(() => ActionChoice.Sparsemax(0));
        Assert.Throws<ArgumentException>(() => ActionChoice.Tsallis(1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => ActionChoice.Annealed(2, Even));
    }

    [Fact]
    public void ActionsThatLastAreDiscountedForTheirTime()
    {
        var model = new ModelBuilder()
            .Lasting("a", "wait", "a", 0.5, [0, 0, 4], 0.5)
            .Lasting("a", "wait", "a", 0.5, [2], 0.5)
            .Build();
        // V = (1/2)(1 + V/8) + (1/2)(2 + V/2).
        Assert.Equal(1.5 / (1 - 0.3125), model.Discounted(0.5).Solve().Values[0], 7);
        Assert.Equal(0.3125, model.Discounted(0.5).Operator().Modulus, 9);
        Assert.Throws<ArgumentException>(() => new ModelBuilder().Lasting("a", "go", "a", 1, [], 0.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ModelBuilder().Lasting("a", "go", "a", 1, [1], 1));
    }

    [Fact]
    public void TheOtherOperatorsHaveTheFixedPointsThatTheySay()
    {
        var model = Problems.FrozenLake();
        double value = Lake.Evaluate(Even).Values[0], best = Lake.Solve().Values[0];
        var traces = BellmanOperators.TemporalDifference(model, 0.95, Even, 0.9);
        Assert.Equal(0.95 * 0.1 / (1 - (0.95 * 0.9)), traces.Modulus, 9);
        Assert.Equal(value, traces.FixedPoint(new double[16]).Value[0], 7);
        int rows = Enumerable.Range(0, 16).Sum(state => model.Actions(state).Count);
        var retrace = BellmanOperators.Retrace(model, 0.95, Even, (state, action) => action == 0 ? 0.4 : 0.2, 0.9);
        Assert.Equal(value, retrace.FixedPoint(new double[rows]).Value.Take(4).Average(), 7);
        var consistent = BellmanOperators.Consistent(model, 0.95).FixedPoint(new double[rows]);
        Assert.Equal(Certificate.Contraction, consistent.Certificate);
        Assert.Equal(best, consistent.Value.Take(4).Max(), 7);
        Assert.True(double.IsPositiveInfinity(BellmanOperators.AdvantageLearning(model, 0.95, 0.5).Modulus));
        var unharmed = BellmanOperators.SharedBudget(model, 0.95, 0).FixedPoint(new double[16], options: new() { Tolerance = 1e-11 });
        Assert.Equal(Certificate.Estimate, unharmed.Certificate);
        Assert.Equal(best, unharmed.Value[0], 7);
        Assert.True(BellmanOperators.SharedBudget(model, 0.95, 0.2, Even).FixedPoint(new double[16]).Value[0] < value);
        var several = BellmanOperators.SeveralDiscounts(model, [0.5, 0.95]).FixedPoint(new double[32]);
        Assert.Equal(Certificate.Contraction, several.Certificate);
        Assert.Equal(best, several.Value[16], 7);
    }
}

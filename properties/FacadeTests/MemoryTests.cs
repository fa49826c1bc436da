using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>Requirements on whole runs, occupancy and time preferences as a consumer meets them.</summary>
public class MemoryTests
{
    // A short way that may fail, a long one that does not.
    private static DecisionModel Routes() =>
        new ModelBuilder()
            .Transition("start", "short", "bridge", 1)
            .Transition("bridge", "cross", "goal", 0.9)
            .Transition("bridge", "cross", "river", 0.1)
            .Transition("river", "swim", "river", 1)
            .Transition("start", "long", "path", 1)
            .Transition("path", "walk", "path", 0.8)
            .Transition("path", "walk", "goal", 0.2)
            .Transition("goal", "stay", "goal", 1)
            .Label("goal", "goal")
            .Label("wet", "river")
            .Initial("start")
            .Build();

    [Fact]
    public void TheLongSureWayIsBetterThanTheShortOneThatMayFail()
    {
        var product = Routes().Satisfying(Automaton.Patrol(["goal"], avoided: ["wet"]));
        int start = product.Model.InitialStates[0];
        var solution = product.Solve(0.95);
        Assert.Equal(Outcome.Converged, solution.Outcome);
        Assert.Equal("long", product.Model.ActionName(solution.Policy[start]));
        Assert.Equal(20, solution.Values[start], 5);
        Assert.Equal(1, product.Probability().Values[start], 7);
        int[] shortly = [.. solution.Policy];
        shortly[start] = product.Basis.Actions(0)[0];
        Assert.Equal(0.9, product.Probability(shortly).Values[start], 7);
        Assert.Equal(start, product.StateOf(0, "to goal"));
    }

    [Fact]
    public void AnAutomatonIsBuiltByHand()
    {
        var automaton = new AutomatonBuilder()
            .Edge("dry", "home", needs: ["goal"], forbids: ["wet"])
            .Edge("dry", "dry", forbids: ["wet"])
            .Edge("home", "home", needs: ["goal"])
            .Accepting("home")
            .Build();
        Assert.Equal(["dry", "home", "sink"], automaton.States);
        var product = Routes().Satisfying(automaton);
        Assert.Equal(1, product.Probability().Values[product.Model.InitialStates[0]], 7);
        Assert.Throws<ArgumentException>(() => new AutomatonBuilder().Build());
        Assert.Throws<ArgumentException>(() => product.StateOf(0, "nowhere"));
        Assert.Throws<ArgumentException>(() => product.Solve(1));
    }

    [Fact]
    public void AJumpSettlesWhatLabelsDoNotSay()
    {
        var product = Routes().Satisfying(Automaton.Settle("goal"));
        Assert.Equal(1, product.Probability().Values[product.Model.InitialStates[0]], 7);
    }

    [Fact]
    public void TheOccupancyOfAPolicyPaysWhatThePolicyIsWorth()
    {
        var lake = Problems.FrozenLake();
        var solution = lake.Discounted(0.95).Solve();
        var occupancy = lake.Occupancy(0.95, solution.Policy);
        double Reward(int state, int action) =>
            lake.ToDataFrame().Rows.Where(row => (string)row[0] == lake.StateName(state) && (string)row[1] == lake.ActionName(action)).Sum(row => (double)row[3] * (double)row[4]);
        Assert.Equal(solution.Values[lake.InitialStates[0]], occupancy.ValueOf(Reward), 7);
        Assert.Equal(occupancy.Visits[0], occupancy[0, solution.Policy[0]], 12);
        Assert.Equal(lake.Occupancy(0.95, (state, action) => action == solution.Policy[state] ? 1 : 0).Visits, occupancy.Visits);
        Assert.Equal(3, occupancy.ToDataFrame().Columns.Count);
        Assert.Throws<ArgumentException>(() => lake.Occupancy(1, solution.Policy));
    }

    [Fact]
    public void SeveralDiscountsSwitchAtTimeThree()
    {
        var model = new ModelBuilder().Transition("s", "A", "s", 1).Transition("s", "B", "s", 1).Build();
        var plan = model
            .TimePreferences()
            .Objective("impatient", 0.5, (_, action) => action == 0 ? 1 : 0)
            .Objective("patient", 0.95, (_, action) => action == 1 ? 0.2 : 0)
            .Solve(60, new() { Tolerance = 1e-11 });
        Assert.Equal([0, 0, 0, 1, 1], Enumerable.Range(0, 5).Select(time => plan.ActionAt(time, 0)));
        Assert.Equal(1, plan.ActionAt(1000, 0));
        Assert.Equal(5.1795, plan.Values[0], 9);
        Assert.Equal(plan.Values[0], plan.Upper[0], 9);
        Assert.Throws<ArgumentException>(() => model.TimePreferences().Solve(3));
        Assert.Throws<ArgumentException>(() => model.TimePreferences().Objective("x", 1, (_, _) => 0).Solve(3));
    }
}

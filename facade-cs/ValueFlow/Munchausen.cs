using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>What Munchausen value iteration is told.</summary>
public sealed record MunchausenOptions
{
    /// <summary>The index q of the entropy: 1 (Shannon's, the default), or in [1.0001, 1000]; above 1 bad actions are left out altogether.</summary>
    public double Index { get; init; } = 1;

    /// <summary>The temperature of the entropy, in units of reward; positive, 0.3 by default.</summary>
    public double Temperature { get; init; } = 0.3;

    /// <summary>The weight of the log-policy in the reward, in [0, 1]; 0.9 by default, 0 for plain entropy. What is left of the entropy in the end is (1 - weight) times the temperature.</summary>
    public double Weight { get; init; } = 0.9;
}

/// <summary>What Munchausen value iteration came to. Nothing in it changes.</summary>
public sealed class MunchausenSolution
{
    private readonly double[] weights;

    internal MunchausenSolution(DecisionModel model, Core.Values.MunchausenSolution core)
    {
        Model = model;
        ActionValues = ActionRows.ByState(model, core.ActionValues);
        Policy = Array.AsReadOnly(core.Decisions);
        weights = core.Policy.Weights.ToArray();
        Change = core.Change;
        Sweeps = core.Sweeps;
        (Outcome, OutcomeText) = Outcomes.Of(core.Outcome);
    }

    /// <summary>The model.</summary>
    public DecisionModel Model { get; }

    /// <summary>For each state the number by which each of its actions is judged, in the order of <see cref="DecisionModel.Actions"/>. They carry the entropy and the log-policy:
    /// <see cref="DecisionProblem.Evaluate(IReadOnlyList{int}, SolveOptions?)"/> says what the policy is worth.</summary>
    public IReadOnlyList<IReadOnlyList<double>> ActionValues { get; }

    /// <summary>For each state the action that is best by them, the lowest number among equals; -1 in a terminal state.</summary>
    public IReadOnlyList<int> Policy { get; }

    /// <summary>The probability with which the regularised policy takes an action in a state; zero for an action that the state does not allow.</summary>
    public double Probability(int state, int action)
    {
        var rows = Model.Core.RowActions[Model.Core.RowOffsets[Model.State(state)]..Model.Core.RowOffsets[state + 1]];
        int place = rows.IndexOf(action);
        return place < 0 ? 0 : weights[Model.Core.RowOffsets[state] + place];
    }

    /// <summary>The Euclidean length of the last change of the action values. No bound stands behind it: the recursion is no contraction.</summary>
    public double Change { get; }

    /// <summary>Sweeps.</summary>
    public int Sweeps { get; }

    /// <summary>Why the run ended: converged if the change is within the tolerance.</summary>
    public Outcome Outcome { get; }

    /// <summary>Why the run ended, in words.</summary>
    public string OutcomeText { get; }
}

/// <summary>Value iteration that gives the reward a share of the policy's own logarithm.</summary>
public static class MunchausenExtensions
{
    /// <summary>Munchausen value iteration: the policy is greedy but for an entropy, and its logarithm is a part of the reward, so that what was learnt in earlier sweeps counts on. The
    /// problem's choice of actions is not read.</summary>
    /// <param name="problem">A discounted problem without risk or robustness.</param>
    /// <param name="munchausen">Entropy and weight.</param>
    /// <param name="options">Options; the tolerance is that of the change of action values, the method is not read.</param>
    /// <exception cref="InvalidOperationException">The objective has no discount, or the problem has an attitude to risk or doubt.</exception>
    /// <exception cref="ArgumentException">The model has intervals, or an option is no good.</exception>
    public static MunchausenSolution SolveMunchausen(
        this DecisionProblem problem,
        MunchausenOptions? munchausen = null,
        SolveOptions? options = null
    )
    {
        var direction = PlainProblem.Require(problem, "Munchausen value iteration");
        munchausen ??= new();
        MunchausenSettings settings = new(munchausen.Index, munchausen.Temperature, munchausen.Weight, direction);
        var core = (options ?? new()).Run(run => Core.Values.Munchausen.solve(run, settings, problem.Model.Core, problem.Discount));
        return new(problem.Model, core);
    }
}

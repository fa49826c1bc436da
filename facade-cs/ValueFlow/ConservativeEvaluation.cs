using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>What a policy that is known already is worth if its likeliest actions are taken, and decisions that are one step better. Nothing in it changes.</summary>
public sealed class ConservativeEvaluation
{
    internal ConservativeEvaluation(DecisionModel model, ConservativeSolution core)
    {
        Model = model;
        ActionValues = ActionRows.ByState(model, core.ActionValues);
        Values = Array.AsReadOnly(core.Values);
        Followed = Array.AsReadOnly(core.Followed);
        Improved = Array.AsReadOnly(core.Improved);
        ErrorBound = core.Bound;
        Certificate = Outcomes.Of(core.Certificate);
        (Outcome, OutcomeText) = Outcomes.Of(core.Outcome);
        Sweeps = core.Sweeps;
    }

    /// <summary>The model.</summary>
    public DecisionModel Model { get; }

    /// <summary>For each state its value when the policy's likeliest actions are taken from there on.</summary>
    public IReadOnlyList<double> Values { get; }

    /// <summary>For each state what each of its actions is worth if they are taken afterwards, in the order of <see cref="DecisionModel.Actions"/>.</summary>
    public IReadOnlyList<IReadOnlyList<double>> ActionValues { get; }

    /// <summary>For each state the policy's likeliest action, the lowest number among equals; -1 in a terminal state.</summary>
    public IReadOnlyList<int> Followed { get; }

    /// <summary>For each state the action that is best by the action values, the lowest number among equals; -1 in a terminal state. Taking these is nowhere worse than following the policy, rounding aside.</summary>
    public IReadOnlyList<int> Improved { get; }

    /// <summary>No value is further than this from the exact one, rounding included; infinite if nothing is certified.</summary>
    public double ErrorBound { get; }

    /// <summary>What stands behind the bound.</summary>
    public Certificate Certificate { get; }

    /// <summary>Why the run ended.</summary>
    public Outcome Outcome { get; }

    /// <summary>Why the run ended, in words.</summary>
    public string OutcomeText { get; }

    /// <summary>Applications of the operator.</summary>
    public int Sweeps { get; }
}

/// <summary>Numbers for each state and action that it allows, by state.</summary>
internal static class ActionRows
{
    public static IReadOnlyList<IReadOnlyList<double>> ByState(DecisionModel model, double[] rows)
    {
        var result = new IReadOnlyList<double>[model.StateCount];
        for (int state = 0; state < result.Length; state++)
        {
            result[state] = Array.AsReadOnly(rows[model.Core.RowOffsets[state]..model.Core.RowOffsets[state + 1]]);
        }

        return Array.AsReadOnly(result);
    }
}

/// <summary>Problems for methods that know expectations only: what else a problem was told would be lost without a word.</summary>
internal static class PlainProblem
{
    /// <summary>The direction of a discounted problem without risk or robustness; any other is refused.</summary>
    public static Direction Require(DecisionProblem problem, string what)
    {
        ArgumentNullException.ThrowIfNull(problem);
        if (problem.Objective != Objective.Discounted)
        {
            throw new InvalidOperationException($"{what} needs a discounted objective, but the objective is {problem.Objective}");
        }

        if (problem.Risk is not null || problem.Robustness is not null)
        {
            throw new InvalidOperationException(
                $"{what} needs a problem without risk or robustness, but it has {(problem.Risk is null ? "a robustness" : "a risk measure")}"
            );
        }

        return problem.IsMinimising ? Direction.Minimise : Direction.Maximise;
    }
}

/// <summary>Policies that are known already, improved.</summary>
public static class ConservativeEvaluationExtensions
{
    /// <summary>Looks ahead along the likeliest actions of a policy in place of the best ones, as suits a pre-trained model that is to be improved but not left: its fixed point, with a
    /// bound, and the decisions that are greedy by it. The problem's choice of actions is not read.</summary>
    /// <param name="problem">A discounted problem without risk or robustness.</param>
    /// <param name="policy">The probability of an action (second) in a state (first); in each state they sum to 1 within 1e-9.</param>
    /// <param name="options">Options; the method is not read.</param>
    /// <exception cref="InvalidOperationException">The objective has no discount, or the problem has an attitude to risk or doubt.</exception>
    /// <exception cref="ArgumentException">The probabilities of a state are negative or do not sum to 1, the model has intervals, or an option is no good.</exception>
    public static ConservativeEvaluation EvaluateConservatively(
        this DecisionProblem problem,
        Func<int, int, double> policy,
        SolveOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(problem);
        ArgumentNullException.ThrowIfNull(policy);
        return Evaluate(problem, Policies.Drawn(problem.Model.Core, policy), options);
    }

    /// <summary>The same for a policy that is given by an action for each state (entries of terminal states are not read): one step of policy improvement.</summary>
    /// <param name="problem">A discounted problem without risk or robustness.</param>
    /// <param name="policy">For each state an action that it allows.</param>
    /// <param name="options">Options; the method is not read.</param>
    /// <exception cref="InvalidOperationException">The objective has no discount, or the problem has an attitude to risk or doubt.</exception>
    /// <exception cref="ArgumentException">The policy takes an action that a state does not allow, the model has intervals, or an option is no good.</exception>
    public static ConservativeEvaluation EvaluateConservatively(
        this DecisionProblem problem,
        IReadOnlyList<int> policy,
        SolveOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(problem);
        ArgumentNullException.ThrowIfNull(policy);
        return Evaluate(problem, Policy.Deterministic(problem.Model.Core, policy.ToArray()), options);
    }

    private static ConservativeEvaluation Evaluate(DecisionProblem problem, Policy policy, SolveOptions? options)
    {
        var direction = PlainProblem.Require(problem, "a conservative evaluation");
        var core = (options ?? new()).Run(run => ConservativeBellman.solve(run, direction, problem.Model.Core, problem.Discount, policy));
        return new(problem.Model, core);
    }
}

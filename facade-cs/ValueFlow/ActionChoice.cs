using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>From the values of a state's actions to the state's value.</summary>
public sealed class ActionChoice
{
    private readonly Func<Model, Direction, ActionSummary> create;

    private ActionChoice(Func<Model, Direction, ActionSummary> create) => this.create = create;

    /// <summary>The best action.</summary>
    public static ActionChoice Best { get; } = new((_, direction) => new Extreme(direction));

    /// <summary>The best action, but a random one with the probability.</summary>
    public static ActionChoice EpsilonGreedy(double epsilon) => new((_, direction) => new EpsilonMix(epsilon, direction));

    /// <summary>The mean over all actions.</summary>
    public static ActionChoice Uniform { get; } = new((model, _) => new PolicyMean(Policy.Uniform(model)));

    /// <summary>The value of a policy: for each state an action that it allows.</summary>
    public static ActionChoice Following(IReadOnlyList<int> policy) =>
        new((model, _) => new PolicyMean(Policy.Deterministic(model, policy.ToArray())));

    /// <summary>t log mean exp(q / t): a soft maximum for t &gt; 0, a soft minimum for t &lt; 0.</summary>
    public static ActionChoice LogSumExp(double temperature) => new((model, _) => new LogSumExp(temperature, Policy.Uniform(model)));

    /// <summary>(1/w) log mean exp(w q).</summary>
    public static ActionChoice Mellowmax(double sharpness) => new((_, _) => global::ValueFlow.Core.Values.LogSumExp.Mellowmax(sharpness));

    /// <summary>The mean under a softmax policy. It is no non-expansion: its operator claims no modulus, and nothing is certified with it.</summary>
    public static ActionChoice Boltzmann(double sharpness) => new((_, _) => new Boltzmann(sharpness));

    internal ActionSummary Core(Model model, Direction direction) => create(model, direction);
}

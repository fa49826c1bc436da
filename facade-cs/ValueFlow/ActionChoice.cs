using Microsoft.FSharp.Core;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>From the values of a state's actions to the state's value. Bad parameters are refused when they are given (ArgumentException).</summary>
public sealed class ActionChoice
{
    private readonly Func<Model, Direction, ActionSummary> create;

    private ActionChoice(string name, Func<Model, Direction, ActionSummary> create) => (Name, this.create) = (name, create);

    /// <summary>The name, with its parameters.</summary>
    public string Name { get; }

    /// <summary>The best action: the default.</summary>
    public static ActionChoice Best { get; } = new("best", (_, direction) => new Extreme(direction));

    /// <summary>The best action, but any one, all as likely, with the probability.</summary>
    /// <param name="epsilon">The probability, in [0, 1].</param>
    public static ActionChoice EpsilonGreedy(double epsilon)
    {
        _ = new EpsilonMix(epsilon, Direction.Maximise);
        return new(Named("epsilon-greedy", epsilon), (_, direction) => new EpsilonMix(epsilon, direction));
    }

    /// <summary>The mean over all actions.</summary>
    public static ActionChoice Uniform { get; } = new("uniform", (model, _) => new PolicyMean(Policy.Uniform(model)));

    /// <summary>The value of a policy.</summary>
    /// <param name="policy">For each state an action that it allows; entries of terminal states are not read.</param>
    public static ActionChoice Following(IReadOnlyList<int> policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        int[] actions = [.. policy];
        return new("policy", (model, _) => new PolicyMean(Policy.Deterministic(model, actions)));
    }

    /// <summary>The value of a policy that draws its actions.</summary>
    /// <param name="probability">The probability of an action (second) in a state (first); in each state they sum to 1 within 1e-9.</param>
    public static ActionChoice Following(Func<int, int, double> probability)
    {
        ArgumentNullException.ThrowIfNull(probability);
        return new("policy", (model, _) => new PolicyMean(Policies.Drawn(model, probability)));
    }

    /// <summary>t log mean exp(q / t): a soft maximum for t &gt; 0, a soft minimum for t &lt; 0.</summary>
    /// <param name="temperature">The temperature t, in units of reward; finite and not 0.</param>
    public static ActionChoice LogSumExp(double temperature)
    {
        if (!double.IsFinite(temperature) || temperature == 0)
        {
            throw new ArgumentOutOfRangeException(nameof(temperature), temperature, "temperature must be finite and not 0");
        }

        return new(Named("logsumexp", temperature), (model, _) => new LogSumExp(temperature, Policy.Uniform(model)));
    }

    /// <summary>t log sum p exp(q / t) for a prior policy p: the best value less t times the divergence of Kullback and Leibler from the prior.</summary>
    /// <param name="temperature">The temperature t, in units of reward; finite and not 0, a soft minimum if negative.</param>
    /// <param name="prior">The probability of an action (second) in a state (first); in each state they sum to 1 within 1e-9.</param>
    public static ActionChoice LogSumExp(double temperature, Func<int, int, double> prior)
    {
        ArgumentNullException.ThrowIfNull(prior);
        var named = LogSumExp(temperature).Name;
        return new(named, (model, _) => new LogSumExp(temperature, Policies.Drawn(model, prior)));
    }

    /// <summary>The best mean value of a policy p plus t (1 - sum p^2): a soft maximum whose policy leaves out bad actions altogether; for costs its mirror image.</summary>
    /// <param name="temperature">The temperature t, in units of reward; positive and finite.</param>
    public static ActionChoice Sparsemax(double temperature)
    {
        _ = global::ValueFlow.Core.Values.Tsallis.Sparsemax(temperature, Direction.Maximise);
        return new(Named("sparsemax", temperature), (_, direction) => global::ValueFlow.Core.Values.Tsallis.Sparsemax(temperature, direction));
    }

    /// <summary>The best mean value of a policy p plus t times its Tsallis entropy (1 - sum p^k) / (k - 1); with a prior m, less t times the divergence (sum m^(1-k) p^k - 1) / (k - 1). For costs its mirror image.</summary>
    /// <param name="index">The index k, in [1.0001, 1000]; 2 without a prior is sparsemax, near 1 it is the log-sum-exp.</param>
    /// <param name="temperature">The temperature t, in units of reward; positive and finite.</param>
    /// <param name="prior">The probability of an action (second) in a state (first), summing to 1 in each state; none by default.</param>
    public static ActionChoice Tsallis(double index, double temperature, Func<int, int, double>? prior = null)
    {
        _ = new global::ValueFlow.Core.Values.Tsallis(index, temperature, FSharpValueOption<Policy>.ValueNone, Direction.Maximise);
        return new(
            FormattableString.Invariant($"tsallis:{index}:{temperature}"),
            (model, direction) =>
                new global::ValueFlow.Core.Values.Tsallis(
                    index,
                    temperature,
                    prior is null ? FSharpValueOption<Policy>.ValueNone : FSharpValueOption<Policy>.NewValueSome(Policies.Drawn(model, prior)),
                    direction
                )
        );
    }

    /// <summary>(1 - w) times the best action, and w times the mean under a policy: from optimality to evaluation.</summary>
    /// <param name="weight">The weight w, in [0, 1].</param>
    /// <param name="policy">The probability of an action (second) in a state (first); in each state they sum to 1 within 1e-9.</param>
    public static ActionChoice Annealed(double weight, Func<int, int, double> policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        if (!(weight >= 0 && weight <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(weight), weight, "weight must lie in [0, 1]");
        }

        return new(Named("annealed", weight), (model, direction) => new AnnealedMix(weight, Policies.Drawn(model, policy), direction));
    }

    /// <summary>(1/w) log mean exp(w q).</summary>
    /// <param name="sharpness">The sharpness w, per unit of reward; finite and not 0, a soft minimum if negative.</param>
    public static ActionChoice Mellowmax(double sharpness)
    {
        if (!double.IsFinite(sharpness) || sharpness == 0)
        {
            throw new ArgumentOutOfRangeException(nameof(sharpness), sharpness, "sharpness must be finite and not 0");
        }

        return new(Named("mellowmax", sharpness), (_, _) => global::ValueFlow.Core.Values.LogSumExp.Mellowmax(sharpness));
    }

    /// <summary>The mean under a softmax policy. It is no non-expansion: its operator claims no modulus, and nothing is certified with it.</summary>
    /// <param name="sharpness">The inverse temperature, per unit of reward; finite.</param>
    public static ActionChoice Boltzmann(double sharpness)
    {
        _ = new Boltzmann(sharpness);
        return new(Named("boltzmann", sharpness), (_, _) => new Boltzmann(sharpness));
    }

    /// <summary>A choice of one's own, from a state's action values (in the order of <see cref="DecisionModel.Actions"/>) to the state's value.</summary>
    /// <param name="name">Its name in reports.</param>
    /// <param name="measure">The function. It is monotone, passes constants on, and does not expand; check that with the laws.</param>
    /// <param name="roundingUnits">How far a result may be off, in units of roundoff (2^-53) times the largest action value; without it nothing is certified.</param>
    public static ActionChoice Custom(string name, Func<ReadOnlySpan<double>, double> measure, double? roundingUnits = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(measure);
        var units = Units(roundingUnits, nameof(roundingUnits));
        var claim = SummaryClaimModule.all("stated by the user");
        return new(name, (_, direction) => new CustomChoice(name, claim, units, direction, values => measure(values)));
    }

    internal ActionSummary Core(Model model, Direction direction) => create(model, direction);

    internal static FSharpValueOption<double> Units(double? units, string parameter) =>
        units switch
        {
            null => FSharpValueOption<double>.ValueNone,
            >= 0 and < double.PositiveInfinity => FSharpValueOption<double>.NewValueSome(units.Value),
            _ => throw new ArgumentOutOfRangeException(parameter, units, $"{parameter} must be finite and not negative"),
        };

    private static string Named(string name, double parameter) => FormattableString.Invariant($"{name}:{parameter}");
}

/// <summary>Policies as the core knows them.</summary>
internal static class Policies
{
    public static Policy Drawn(Model model, Func<int, int, double> probability)
    {
        double[] weights = new double[model.RowCount];
        for (int state = 0; state < model.StateCount; state++)
        {
            for (int row = model.RowOffsets[state]; row < model.RowOffsets[state + 1]; row++)
            {
                weights[row] = probability(state, model.RowActions[row]);
            }
        }

        return Policy.Stochastic(model, weights);
    }
}

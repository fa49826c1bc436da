using System.Diagnostics.CodeAnalysis;

namespace ValueFlow;

/// <summary>Collects the parts of a model, in any order, and freezes them. States and actions are known by their names, and numbered as they first appear.</summary>
public sealed class ModelBuilder
{
    private readonly List<(string State, string Action, string Next, double Lower, double Upper, double Reward, double Continuation)> transitions = [];
    private readonly List<string> terminals = [];
    private readonly List<string> initials = [];
    private readonly List<(string Label, string State)> labels = [];
    private readonly Dictionary<string, int> states = [];
    private readonly Dictionary<string, int> actions = [];

    /// <summary>Adds the transition to a state. Wrong numbers are listed by <see cref="Build"/>.</summary>
    /// <param name="state">The state that is left.</param>
    /// <param name="action">The action that is taken.</param>
    /// <param name="next">The state that is come to.</param>
    /// <param name="probability">In [0, 1]; those of a state and action sum to 1 within 1e-6, and are normalised.</param>
    /// <param name="reward">What the transition earns; finite, 0 by default.</param>
    /// <param name="continuation">The share of the discount that applies afterwards, in [0, 1]; 1 by default, 0 where all ends.</param>
    public ModelBuilder Transition(string state, string action, string next, double probability, double reward = 0, double continuation = 1) =>
        TransitionBetween(state, action, next, probability, probability, reward, continuation);

    /// <summary>Adds a transition whose probability is known to lie in an interval: see <see cref="Robustness.Intervals"/>.</summary>
    /// <param name="state">The state that is left.</param>
    /// <param name="action">The action that is taken.</param>
    /// <param name="next">The state that is come to.</param>
    /// <param name="lower">The probability is at least this, in [0, upper].</param>
    /// <param name="upper">The probability is at most this, in [lower, 1].</param>
    /// <param name="reward">What the transition earns; finite, 0 by default.</param>
    /// <param name="continuation">The share of the discount that applies afterwards, in [0, 1]; 1 by default, 0 where all ends.</param>
    public ModelBuilder TransitionBetween(
        string state,
        string action,
        string next,
        double lower,
        double upper,
        double reward = 0,
        double continuation = 1
    )
    {
        Number(states, state, nameof(state));
        Number(actions, action, nameof(action));
        Number(states, next, nameof(next));
        transitions.Add((state, action, next, lower, upper, reward, continuation));
        return this;
    }

    /// <summary>Adds an outcome of an action that is held for several steps: the model is then for this discount, and its transition for the time that the action lasts.</summary>
    /// <param name="state">The state that is left.</param>
    /// <param name="action">The action that is taken, and held.</param>
    /// <param name="next">The next state that decides.</param>
    /// <param name="probability">The probability of the state and the time together, in [0, 1]; the same state may come after other times, too.</param>
    /// <param name="rewards">What each step earns: as many as the action lasts, one at least.</param>
    /// <param name="discount">The discount of one step, in [0, 1), with which the model is to be solved.</param>
    /// <exception cref="ArgumentException">There is no step, or the discount is none.</exception>
    public ModelBuilder Lasting(string state, string action, string next, double probability, IReadOnlyList<double> rewards, double discount)
    {
        ArgumentNullException.ThrowIfNull(rewards);
        if (rewards.Count == 0)
        {
            throw new ArgumentException("rewards must hold one number for each step but are empty", nameof(rewards));
        }

        if (!(discount >= 0 && discount < 1))
        {
            throw new ArgumentOutOfRangeException(nameof(discount), discount, "discount must lie in [0, 1)");
        }

        return Transition(state, action, next, probability, Core.Values.SemiMarkov.worth(discount, [.. rewards]), Math.Pow(discount, rewards.Count - 1));
    }

    /// <summary>Declares a state terminal: it has no action, and value zero.</summary>
    public ModelBuilder Terminal(string state)
    {
        Number(states, state, nameof(state));
        terminals.Add(state);
        return this;
    }

    /// <summary>Declares a state to start from.</summary>
    public ModelBuilder Initial(string state)
    {
        Number(states, state, nameof(state));
        initials.Add(state);
        return this;
    }

    /// <summary>Gives a state a label.</summary>
    public ModelBuilder Label(string label, string state)
    {
        ArgumentException.ThrowIfNullOrEmpty(label);
        Number(states, state, nameof(state));
        labels.Add((label, state));
        return this;
    }

    /// <summary>Checks everything and freezes.</summary>
    /// <exception cref="InvalidModelException">Something is wrong: every problem is listed.</exception>
    public DecisionModel Build() => TryBuild(out var model, out var problems) ? model : throw new InvalidModelException(problems);

    /// <summary>Checks everything and freezes: true and the model, or false and every problem.</summary>
    public bool TryBuild([NotNullWhen(true)] out DecisionModel? model, out IReadOnlyList<string> problems)
    {
        Core.Values.ModelBuilder core = new(states.Count) { ParallelOutcomes = true };
        bool intervals = transitions.Any(t => t.Lower != t.Upper);
        foreach (var t in transitions)
        {
            if (intervals)
            {
                core.AddInterval(states[t.State], actions[t.Action], states[t.Next], double.NaN, t.Lower, t.Upper, t.Reward, t.Continuation, -1);
            }
            else
            {
                core.AddContinuing(states[t.State], actions[t.Action], states[t.Next], t.Lower, t.Reward, t.Continuation, -1);
            }
        }

        terminals.ForEach(state => core.Terminal(states[state]));
        initials.ForEach(state => core.Initial(states[state]));
        labels.ForEach(entry => core.Label(entry.Label, states[entry.State], -1));
        string[] stateNames = [.. states.Keys], actionNames = [.. actions.Keys];
        core.StateNames(stateNames);
        core.ActionNames(actionNames);
        var result = core.Build();
        model = result.IsOk ? new(result.ResultValue) : null;
        problems = result.IsOk ? [] : [.. result.ErrorValue.Select(error => Describe(error, stateNames, actionNames))];
        return result.IsOk;
    }

    // The core speaks of numbers; whoever built by names reads names.
    private static string Describe(Core.Values.ModelError error, string[] states, string[] actions)
    {
        var words = Core.Values.ModelErrorModule.expectation(error.Fault);
        List<string> place = [];
        if (error.State >= 0)
        {
            place.Add($"state '{states[error.State]}'");
        }

        if (error.Action >= 0)
        {
            place.Add($"action '{actions[error.Action]}'");
        }

        string where = place.Count == 0 ? "" : string.Join(", ", place) + ": ";
        return $"{where}expected {words.Item1}, found {words.Item2}";
    }

    private static void Number(Dictionary<string, int> numbers, string name, string parameter)
    {
        ArgumentException.ThrowIfNullOrEmpty(name, parameter);
        numbers.TryAdd(name, numbers.Count);
    }
}

using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>A process and an automaton that reads along: what decisions look like when a requirement on whole runs is to be satisfied. States are pairs.</summary>
public sealed class ProductModel
{
    private readonly Core.Values.ProductModel inner;

    internal ProductModel(DecisionModel basis, Automaton automaton)
    {
        Basis = basis;
        Automaton = automaton;
        inner = ProductModelModule.create(automaton.Inner, basis.Core);
        Model = new(inner.Model);
    }

    /// <summary>The process.</summary>
    public DecisionModel Basis { get; }

    /// <summary>The automaton.</summary>
    public Automaton Automaton { get; }

    /// <summary>The pairs as a model of their own; a transition earns 1 where it leads into an accepting state of the automaton. Jumps are actions.</summary>
    public DecisionModel Model { get; }

    /// <summary>The pair of a state of the process and a state of the automaton.</summary>
    /// <exception cref="ArgumentException">There is no such state.</exception>
    public int StateOf(int state, string automatonState)
    {
        ArgumentException.ThrowIfNullOrEmpty(automatonState);
        for (int b = 0; b < Automaton.States.Count; b++)
        {
            if (Automaton.States[b] == automatonState)
            {
                return inner.State(Basis.State(state), b);
            }
        }

        throw new ArgumentException(
            $"automatonState must be one of {string.Join(", ", Automaton.States)} but is '{automatonState}'",
            nameof(automatonState)
        );
    }

    /// <summary>The largest probability of satisfying the automaton, from each pair; certified.</summary>
    public Solution Probability(SolveOptions? options = null) => Certified(inner, options);

    /// <summary>The probability with which a policy satisfies the automaton, from each pair; certified. The solution's own model has one action a state.</summary>
    /// <param name="policy">For each pair an action that it allows.</param>
    /// <param name="options">Options; the method is not read.</param>
    /// <exception cref="ArgumentException">The policy takes an action that a pair does not allow, or an option is no good.</exception>
    public Solution Probability(IReadOnlyList<int> policy, SolveOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return Certified(ProductModelModule.under(Policy.Deterministic(inner.Model, policy.ToArray()), inner), options);
    }

    /// <summary>Decides under eventual discounting: only visits to accepting states are discounted, steps are not, so that a long sure way is better than a short one that may
    /// fail. (1 - discount) times a value is near the probability of acceptance.</summary>
    /// <param name="discount">The discount of accepting visits, in (0, 1); the nearer to one, the more the probability counts.</param>
    /// <param name="options">Options: the tolerance is on the change of a sweep; the method is not read.</param>
    /// <exception cref="ArgumentException">The discount or an option is no good.</exception>
    public EventualSolution Solve(double discount, SolveOptions? options = null) =>
        new(this, (options ?? new()).Run(run => EventualDiscounting.solve(run, discount, inner)));

    private static Solution Certified(Core.Values.ProductModel product, SolveOptions? options)
    {
        var watch = System.Diagnostics.Stopwatch.StartNew();
        var core = (options ?? new()).Run(run => ProductModelModule.satisfaction(run, product));
        return new(new(product.Model), core, watch.Elapsed);
    }
}

/// <summary>Values under eventual discounting, and a policy that has them. Nothing in it changes.</summary>
public sealed class EventualSolution
{
    internal EventualSolution(ProductModel product, Core.Values.EventualSolution core)
    {
        Product = product;
        Values = Array.AsReadOnly(core.Values);
        Policy = Array.AsReadOnly(core.Policy);
        Sweeps = core.Sweeps;
        Residual = core.Residual;
        (Outcome, _) = Outcomes.Of(core.Outcome);
    }

    /// <summary>What was solved.</summary>
    public ProductModel Product { get; }

    /// <summary>For each pair its value, never above the exact one.</summary>
    public IReadOnlyList<double> Values { get; }

    /// <summary>For each pair the action to take, or -1 in a terminal state. It is no greedy policy of the values: those do not tell progress from waiting.</summary>
    public IReadOnlyList<int> Policy { get; }

    /// <summary>Sweeps over the pairs.</summary>
    public int Sweeps { get; }

    /// <summary>The largest change of the last sweep; it bounds no error.</summary>
    public double Residual { get; }

    /// <summary>Why it ended.</summary>
    public Outcome Outcome { get; }
}

/// <summary>Requirements on whole runs.</summary>
public static class SatisfyingExtensions
{
    /// <summary>The process with an automaton that reads along.</summary>
    /// <exception cref="ArgumentException">The model has intervals, or continuations other than 0 and 1.</exception>
    public static ProductModel Satisfying(this DecisionModel model, Automaton automaton)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(automaton);
        return new(model, automaton);
    }
}

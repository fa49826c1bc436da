using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>How a policy is played.</summary>
public sealed record SimulationOptions
{
    /// <summary>Episodes; 10,000 by default.</summary>
    public int Episodes { get; init; } = 10_000;

    /// <summary>Steps after which an episode is cut off; 10,000 by default. The result says how many were.</summary>
    public int MaximumSteps { get; init; } = 10_000;

    /// <summary>The discount of returns, in [0, 1]; 1 by default.</summary>
    public double Discount { get; init; } = 1;

    /// <summary>The seed, which decides all; 1 by default.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>The state to start from; the model's initial states, drawn uniformly, by default.</summary>
    public int? Start { get; init; }

    /// <summary>Ends the play with an OperationCanceledException.</summary>
    public CancellationToken Cancellation { get; init; }
}

/// <summary>What came of playing a policy.</summary>
public sealed class SimulationResult
{
    internal SimulationResult(Playout core)
    {
        Returns = Array.AsReadOnly(core.Returns);
        Steps = Array.AsReadOnly(core.Steps);
        LastStates = Array.AsReadOnly(core.Last);
        Truncated = core.Truncated;
        Mean = core.Mean;
        StandardError = core.StandardError;
    }

    /// <summary>For each episode its discounted sum of rewards.</summary>
    public IReadOnlyList<double> Returns { get; }

    /// <summary>For each episode its steps.</summary>
    public IReadOnlyList<int> Steps { get; }

    /// <summary>For each episode the state in which it ended.</summary>
    public IReadOnlyList<int> LastStates { get; }

    /// <summary>Episodes that were cut off.</summary>
    public int Truncated { get; }

    /// <summary>The mean return.</summary>
    public double Mean { get; }

    /// <summary>The standard error of the mean.</summary>
    public double StandardError { get; }
}

/// <summary>Plays policies on models.</summary>
public static class SimulationExtensions
{
    /// <summary>Plays a policy that is given by an action for each state (entries of terminal states are not read).</summary>
    /// <exception cref="ArgumentException">The policy or an option is no good, or there is no state to start from.</exception>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public static SimulationResult Simulate(this DecisionModel model, IReadOnlyList<int> policy, SimulationOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(policy);
        return Play(model, Policy.Deterministic(model.Core, policy.ToArray()), options ?? new());
    }

    /// <summary>Plays a policy that draws its actions.</summary>
    /// <param name="model">The model.</param>
    /// <param name="probability">The probability of an action (second) in a state (first); in each state they sum to 1 within 1e-9.</param>
    /// <param name="options">Options.</param>
    /// <exception cref="ArgumentException">The policy or an option is no good, or there is no state to start from.</exception>
    public static SimulationResult Simulate(this DecisionModel model, Func<int, int, double> probability, SimulationOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(probability);
        return Play(model, Policies.Drawn(model.Core, probability), options ?? new());
    }

    private static SimulationResult Play(DecisionModel model, Policy policy, SimulationOptions options) =>
        new(
            Core.Values.Simulation.play(
                new Core.Foundations.Generator(options.Seed),
                options.Episodes,
                options.MaximumSteps,
                options.Discount,
                options.Start is int start ? model.State(start) : -1,
                options.Cancellation,
                policy,
                model.Core
            )
        );
}

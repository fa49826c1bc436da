using Microsoft.FSharp.Core;
using ValueFlow.Core.Foundations;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>A learner that decides where to look, for <see cref="DecisionProblem.Explore"/>. It never changes: what it learns belongs to the run.</summary>
public sealed class Explorer
{
    private Explorer(string name, Func<DecisionProblem, ExplorationOptions, ExplorationResult> run) => (Name, Run) = (name, run);

    /// <summary>The name.</summary>
    public string Name { get; }

    internal Func<DecisionProblem, ExplorationOptions, ExplorationResult> Run { get; }

    /// <summary>Optimistic planning by regularised dynamic programming: backups of what was seen with a bonus for what was seen rarely, and a policy that changes at a price. Moulin and Neu
    /// 2023.</summary>
    /// <param name="eta">How fast the policy follows; positive, 1 by default.</param>
    /// <param name="bonus">The bonus of a state and action seen n times is this times the range of values over sqrt(n + 1); not negative, 0.05 by default.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is no good.</exception>
    public static Explorer Regularised(double eta = 1, double bonus = 0.05)
    {
        Positive(eta);
        NotNegative(bonus);
        return Of($"regularised (eta {eta}, bonus {bonus})", (_, ground) => Core.Values.Explorer.regularised(eta, bonus, ground));
    }

    /// <summary>Optimistic value iteration: the same backups, and the best action. He, Zhou and Gu 2021.</summary>
    /// <param name="bonus">As for <see cref="Regularised"/>; 0.05 by default.</param>
    /// <exception cref="ArgumentOutOfRangeException">The bonus is no good.</exception>
    public static Explorer Optimistic(double bonus = 0.05)
    {
        NotNegative(bonus);
        return Of($"optimistic (bonus {bonus})", (_, ground) => Core.Values.Explorer.optimistic(bonus, ground));
    }

    /// <summary>Q-learning that takes a random action now and then: the plain learner to compare with.</summary>
    /// <param name="epsilon">The probability of a random action, in [0, 1]; 0.1 by default.</param>
    /// <param name="step">The step of learning, in (0, 1]; 0.1 by default.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is no good.</exception>
    public static Explorer EpsilonGreedy(double epsilon = 0.1, double step = 0.1)
    {
        if (!(epsilon is >= 0 and <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(epsilon), epsilon, "epsilon must lie in [0, 1]");
        }

        if (!(step is > 0 and <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(step), step, "step must lie in (0, 1]");
        }

        return Of($"epsilon-greedy ({epsilon}, step {step})", (_, ground) => Core.Values.Explorer.epsilonGreedy(epsilon, step, ground));
    }

    /// <summary>The regularised learner where the process is an unknown mixture of known ones, and mean rewards are known (they are read from the problem's model): it learns as many numbers as there
    /// are processes.</summary>
    /// <param name="bases">The known processes; each allows the same actions in the same states as the problem's model.</param>
    /// <param name="eta">How fast the policy follows; positive, 1 by default.</param>
    /// <param name="bonus">How many times the width of the confidence ellipsoid is added; not negative, 1 by default.</param>
    /// <param name="ridge">The ridge of the regression; positive, 1 by default.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is no good.</exception>
    public static Explorer LinearMixture(IEnumerable<DecisionModel> bases, double eta = 1, double bonus = 1, double ridge = 1)
    {
        ArgumentNullException.ThrowIfNull(bases);
        Positive(eta);
        NotNegative(bonus);
        Positive(ridge);
        Model[] cores = [.. bases.Select(model => model.Core)];
        return Of(
            $"linear mixture of {cores.Length} (eta {eta}, bonus {bonus}, ridge {ridge})",
            (problem, ground) =>
            {
                double[] rewards = new double[problem.Model.Core.RowCount];
                problem.Bellman(new Extreme(Direction.Maximise)).Sweep.ActionValues(new double[problem.Model.StateCount], rewards, CancellationToken.None);
                return MixtureExplorer.regularised(eta, bonus, ridge, Core.Values.LinearMixture.Create(cores, rewards), ground);
            }
        );
    }

    private static Explorer Of<T>(FormattableString name, Func<DecisionProblem, ExplorationGround, Explorer<T>> make)
    {
        string words = FormattableString.Invariant(name);
        return new(
            words,
            (problem, options) =>
            {
                var ground = Core.Values.Explorer.ground(problem.Model.Core, problem.Discount);
                var run = Exploration.run(new Generator(options.Seed), options.Core, ground, make(problem, ground));
                return new(problem.Model, words, run.Gaps, run.Regret, run.Visits, run.Optimum, run.Policy, run.Epochs, run.Cancelled);
            }
        );
    }

    private static void Positive(double value, [System.Runtime.CompilerServices.CallerArgumentExpression(nameof(value))] string name = "")
    {
        if (!(value > 0 && double.IsFinite(value)))
        {
            throw new ArgumentOutOfRangeException(name, value, $"{name} must be positive and finite");
        }
    }

    private static void NotNegative(double value, [System.Runtime.CompilerServices.CallerArgumentExpression(nameof(value))] string name = "")
    {
        if (!(value >= 0 && double.IsFinite(value)))
        {
            throw new ArgumentOutOfRangeException(name, value, $"{name} must be finite and not negative");
        }
    }
}

/// <summary>How an exploration goes.</summary>
public sealed record ExplorationOptions
{
    /// <summary>Steps of the process, at least 1; 10,000 by default.</summary>
    public int Steps { get; init; } = 10_000;

    /// <summary>The seed, which decides all; 1 by default.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>How many steps go by between two measurements of the policy's exact value, at least 1 and 1 by default: each solves a linear system of as many unknowns as states. Between them
    /// the last one stands.</summary>
    public int MeasureEvery { get; init; } = 1;

    /// <summary>Told at every measurement how many steps are done; nobody by default.</summary>
    public IProgress<int>? Progress { get; init; }

    /// <summary>Ends the run early, with what was reached.</summary>
    public CancellationToken Cancellation { get; init; }

    internal Core.Values.ExplorationOptions Core
    {
        get
        {
            if (Steps < 1)
            {
                throw new ArgumentOutOfRangeException("options", Steps, "Steps must be at least 1");
            }

            if (MeasureEvery < 1)
            {
                throw new ArgumentOutOfRangeException("options", MeasureEvery, "MeasureEvery must be at least 1");
            }

            return new(Steps, MeasureEvery, FuncConvert.FromAction<int>(t => Progress?.Report(t)), Cancellation);
        }
    }
}

using System.Diagnostics;
using Microsoft.FSharp.Core;
using ValueFlow.Core.Foundations;
using ValueFlow.Core.Returns;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>A question: which law does the return of a policy have, from each state? It never changes: each word that says how laws are kept returns a new one. Without any they are
/// categorical, with 201 atoms.</summary>
public sealed class ReturnQuery
{
    // Most steps of an episode that is played, unless the discount has made the rest worthless before.
    private const int MostSteps = 10_000;

    private readonly DecisionProblem problem;
    private readonly Policy policy;
    private readonly Func<Branches, RunOptions, ReturnAnswer> answer;

    internal ReturnQuery(DecisionProblem problem, Policy policy)
        : this(problem, policy, "categorical, 201 atoms", Covering(problem, 201)) { }

    private ReturnQuery(DecisionProblem problem, Policy policy, string method, Func<Branches, RunOptions, ReturnAnswer> answer)
    {
        this.problem = problem;
        this.policy = policy;
        this.answer = answer;
        Method = method;
    }

    /// <summary>How laws are kept, in words.</summary>
    public string Method { get; }

    /// <summary>Keeps laws as probabilities of evenly spaced atoms, from the smallest to the largest return that the rewards allow: nothing is clipped, and the error in W1 is certified.</summary>
    /// <param name="atoms">At least 2; the error falls as 1 / atoms.</param>
    /// <exception cref="InvalidOperationException">The objective has no discount: then rewards bound no return.</exception>
    public ReturnQuery Categorical(int atoms)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(atoms, 2);
        if (problem.Objective != Objective.Discounted)
        {
            throw new InvalidOperationException(
                $"an objective without a discount bounds no return: give the least and the largest atom, or ask for Exact or Played (the objective is {problem.Objective})"
            );
        }

        return new(problem, policy, $"categorical, {atoms} atoms", Covering(problem, atoms));
    }

    /// <summary>Keeps laws as probabilities of evenly spaced atoms between two ends. Outcomes outside are moved to the ends: the result says how much mass was.</summary>
    /// <param name="least">The least atom; finite.</param>
    /// <param name="largest">The largest atom; finite and larger.</param>
    /// <param name="atoms">At least 2.</param>
    /// <exception cref="ArgumentException">The ends are no good.</exception>
    public ReturnQuery Categorical(double least, double largest, int atoms)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(atoms, 2);
        Core.Returns.Support support = new(least, largest, atoms);
        return new(problem, policy, $"categorical, {support}", (branches, run) => Solved(new CategoricalRepresentation(support), branches, run, ReturnMetric.Wasserstein1));
    }

    /// <summary>Keeps laws as quantiles, each as likely as the others. No error is certified.</summary>
    /// <param name="count">At least 1.</param>
    public ReturnQuery Quantiles(int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        return new(problem, policy, $"{count} quantiles", (branches, run) => Solved(new QuantileRepresentation(count), branches, run, ReturnMetric.WassersteinInfinity));
    }

    /// <summary>Enumerates all outcomes of the first steps. The error in W1 is certified, and zero where every episode ends within them.</summary>
    /// <param name="horizon">The steps, not negative.</param>
    /// <param name="maximumAtoms">The most outcomes of a state (more is an ArgumentException when solving); 100,000 by default.</param>
    public ReturnQuery Exact(int horizon, int maximumAtoms = 100_000)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(horizon);
        ArgumentOutOfRangeException.ThrowIfLessThan(maximumAtoms, 1);
        return new(problem, policy, $"exact, {horizon} steps", (branches, run) =>
        {
            var (table, bound) = Horizon.exact(horizon, 0, maximumAtoms, run.Cancellation, branches);
            return new(table, ReturnMetric.Wasserstein1, bound, bound, 0, double.IsFinite(bound) ? Certificate.Contraction : Certificate.Estimate, Outcome.Converged, $"all outcomes of {horizon} steps were enumerated", horizon);
        });
    }

    /// <summary>Plays episodes from each state. No error is certified; with 95% confidence no distribution function is further off, in any state, than the result says in words.</summary>
    /// <param name="episodes">Episodes from each state, at least 1.</param>
    /// <param name="seed">The seed, which decides all.</param>
    /// <param name="maximumSteps">Steps after which an episode is cut off; by default 10,000, or as many as make the rest worth less than 1e-9.</param>
    public ReturnQuery Played(int episodes, int seed = 1, int? maximumSteps = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(episodes, 1);
        int enough = problem.Discount is > 0 and < 1 ? (int)Math.Min(MostSteps, Math.Ceiling(Math.Log(1e-9) / Math.Log(problem.Discount))) : MostSteps;
        int steps = maximumSteps ?? Math.Max(1, enough);
        ArgumentOutOfRangeException.ThrowIfLessThan(steps, 1, nameof(maximumSteps));
        return new(problem, policy, $"{episodes} episodes", (_, run) => Play(episodes, seed, steps, run.Cancellation));
    }

    /// <summary>Finds the laws from the law of zero on. The outcome says whether the tolerance was reached; a categorical or quantile run that is cancelled returns the laws reached so far.</summary>
    /// <param name="options">Tolerance in the metric of the method; the method of the options is not read.</param>
    /// <exception cref="ArgumentException">An option is no good, or exact laws have too many outcomes.</exception>
    /// <exception cref="OperationCanceledException">The caller cancelled an enumeration or a play.</exception>
    public ReturnTable Solve(SolveOptions? options = null)
    {
        var watch = Stopwatch.StartNew();
        var branches = BranchesModule.evaluation(problem.Discount, policy, problem.Model.Core);
        var found = (options ?? new()).Run(run => answer(branches, run));
        return new(problem.Model, policy, found, Method, watch.Elapsed);
    }

    private static Func<Branches, RunOptions, ReturnAnswer> Covering(DecisionProblem problem, int atoms) =>
        (branches, run) =>
            problem.Discount < 1
                ? Solved(new CategoricalRepresentation(CategoricalRepresentation.Covering(atoms, branches)), branches, run, ReturnMetric.Wasserstein1)
                : throw new InvalidOperationException(
                    $"an objective without a discount bounds no return: say Categorical(least, largest, atoms), Exact or Played (the objective is {problem.Objective})"
                );

    private static ReturnAnswer Solved<T>(Representation<T> representation, Branches branches, RunOptions run, ReturnMetric metric)
        where T : Core.Returns.ReturnTable
    {
        var solution = Core.Returns.Returns.fixedPoint(run, representation, branches);
        var (outcome, text) = Outcomes.Of(solution.Outcome);
        double clipped = solution.Clipping.Below + solution.Clipping.Above;
        return new(solution.Table, metric, solution.TrueBound, solution.Bound, clipped, Outcomes.Of(solution.Certificate), outcome, text, solution.Applications);
    }

    private ReturnAnswer Play(int episodes, int seed, int steps, CancellationToken cancellation)
    {
        var model = problem.Model.Core;
        Generator generator = new(seed);
        Distribution[] laws = new Distribution[model.StateCount];
        long cut = 0;
        for (int state = 0; state < laws.Length; state++)
        {
            // Each state has draws of its own, however many there are of others.
            var own = generator.Split();
            if (model.IsTerminal(state))
            {
                laws[state] = DistributionModule.point(0);
                continue;
            }

            var played = Core.Values.Simulation.play(own, episodes, steps, problem.Discount, state, cancellation, policy, model);
            laws[state] = DistributionModule.ofNumbers(played.Returns);
            cut += played.Truncated;
        }

        // Massart 1990, "The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality"; all states at once by the union bound.
        double band = Math.Min(1, Math.Sqrt(Math.Log(2.0 * laws.Length / 0.05) / (2.0 * episodes)));
        string text = FormattableString.Invariant(
            $"played: with 95% confidence no distribution function is off by more than {band:G3} in any state; {cut} episodes were cut off after {steps} steps"
        );
        return new(new LawTable(laws), ReturnMetric.Kolmogorov, double.PositiveInfinity, double.PositiveInfinity, 0, Certificate.Estimate, Outcome.Converged, text, episodes);
    }
}

/// <summary>Laws, and what is known of their errors.</summary>
internal sealed record ReturnAnswer(
    Core.Returns.ReturnTable Table,
    ReturnMetric Metric,
    double ErrorBound,
    double SolverBound,
    double ClippedMass,
    Certificate Certificate,
    Outcome Outcome,
    string OutcomeText,
    int Sweeps
);

/// <summary>Laws of returns of policies.</summary>
public static class ReturnExtensions
{
    /// <summary>Asks for the laws of the returns of a policy that is given by an action for each state (entries of terminal states are not read).</summary>
    /// <exception cref="ArgumentException">The policy takes an action that a state does not allow.</exception>
    /// <exception cref="InvalidOperationException">The objective is to reach a label, the problem is robust, or the model has intervals: then there is no one law.</exception>
    public static ReturnQuery Returns(this DecisionProblem problem, IReadOnlyList<int> policy)
    {
        ArgumentNullException.ThrowIfNull(problem);
        ArgumentNullException.ThrowIfNull(policy);
        return Ask(problem, () => Policy.Deterministic(problem.Model.Core, policy.ToArray()));
    }

    /// <summary>Asks for the laws of the returns of a policy that draws its actions.</summary>
    /// <param name="problem">The problem.</param>
    /// <param name="probability">The probability of an action (second) in a state (first); in each state they sum to 1 within 1e-9.</param>
    /// <exception cref="ArgumentException">The probabilities of a state are negative or do not sum to 1.</exception>
    /// <exception cref="InvalidOperationException">The objective is to reach a label, the problem is robust, or the model has intervals: then there is no one law.</exception>
    public static ReturnQuery Returns(this DecisionProblem problem, Func<int, int, double> probability)
    {
        ArgumentNullException.ThrowIfNull(problem);
        ArgumentNullException.ThrowIfNull(probability);
        return Ask(problem, () => Policies.Drawn(problem.Model.Core, probability));
    }

    /// <summary>Asks for the laws of the returns of the policy that a solution found, of this problem or another on the same model.</summary>
    /// <exception cref="ArgumentException">The solution is of another model, or was cancelled and has no policy.</exception>
    /// <exception cref="InvalidOperationException">The objective is to reach a label, the problem is robust, or the model has intervals: then there is no one law.</exception>
    public static ReturnQuery Returns(this DecisionProblem problem, Solution solution)
    {
        ArgumentNullException.ThrowIfNull(problem);
        ArgumentNullException.ThrowIfNull(solution);
        if (!ReferenceEquals(solution.Model, problem.Model))
        {
            throw new ArgumentException("the solution must be of the problem's model but is of another one", nameof(solution));
        }

        return solution.Policy.Count > 0
            ? problem.Returns(solution.Policy)
            : throw new ArgumentException("the solution must have a policy but has none: its run was cancelled", nameof(solution));
    }

    private static ReturnQuery Ask(DecisionProblem problem, Func<Policy> policy)
    {
        if (problem.Objective == Objective.Reaching)
        {
            throw new InvalidOperationException("a law of returns needs rewards, but the objective is Reaching");
        }

        if (problem.Robustness is Robustness robustness)
        {
            throw new InvalidOperationException($"a law of returns needs one law of successors, but the problem guards against many: {robustness.Name}");
        }

        return problem.Model.HasIntervals
            ? throw new InvalidOperationException("a law of returns needs known probabilities, but the model has intervals")
            : new(problem, policy());
    }
}

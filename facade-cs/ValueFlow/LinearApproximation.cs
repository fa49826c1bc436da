using Microsoft.Data.Analysis;
using Microsoft.FSharp.Core;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>How values are approximated by features.</summary>
public sealed record ApproximationOptions
{
    /// <summary>How far traces reach, in [0, 1]: 0 (the default) for the fixed point of single backups, 1 for the regression on whole returns. Longer traces come nearer to the values; from a log they cost more
    /// variance.</summary>
    public double Trace { get; init; }

    /// <summary>For each state how much it counts; not negative. The share of time that the policy spends there in the long run, by default: then the bound holds. Not read for logs, where visits count.</summary>
    public IReadOnlyList<double>? StateWeights { get; init; }

    /// <summary>Ends the work with an OperationCanceledException.</summary>
    public CancellationToken Cancellation { get; init; }
}

/// <summary>The values of a policy, as near as features come in the sense of TD with traces, and how near that is. Errors are roots of weighted mean squares. Nothing in it changes.</summary>
public sealed class ValueApproximation
{
    internal ValueApproximation(DecisionModel model, ProjectedBellman bellman)
    {
        var core = bellman.Solve();
        Model = model;
        Weights = Array.AsReadOnly(core.Weights);
        Values = Array.AsReadOnly(core.Values);
        Exact = Array.AsReadOnly(bellman.Exact);
        StateWeights = Array.AsReadOnly(bellman.Projection.Weights.ToArray());
        Modulus = core.Modulus;
        Growth = bellman.Growth;
        Error = core.Error;
        LeastError = core.LeastError;
        ErrorBound = core.ErrorBound;
        Operator = new(bellman.Operator);
    }

    /// <summary>The model.</summary>
    public DecisionModel Model { get; }

    /// <summary>The weight of each feature.</summary>
    public IReadOnlyList<double> Weights { get; }

    /// <summary>For each state the sum of its features times the weights; zero in terminal states.</summary>
    public IReadOnlyList<double> Values { get; }

    /// <summary>For each state the value of the policy itself.</summary>
    public IReadOnlyList<double> Exact { get; }

    /// <summary>For each state how much it counts in the errors.</summary>
    public IReadOnlyList<double> StateWeights { get; }

    /// <summary>The factor by which one step of the projected iteration shortens distances in the weighted norm; at least one where it may lengthen them.</summary>
    public double Modulus { get; }

    /// <summary>What the iteration grows by from step to step in the long run: it converges exactly if this is below one.</summary>
    public double Growth { get; }

    /// <summary>How far the approximation is from the values.</summary>
    public double Error { get; }

    /// <summary>How near any weights of these features come to the values.</summary>
    public double LeastError { get; }

    /// <summary>LeastError / sqrt(1 - Modulus^2), which the error does not exceed; infinite if the modulus is not below one.</summary>
    public double ErrorBound { get; }

    /// <summary>The operator whose fixed point this is. What it claims, it claims in the weighted norm, not in the sup norm.</summary>
    public ValueOperator Operator { get; }

    /// <summary>The approximate value of the state with a name.</summary>
    /// <exception cref="ArgumentException">No state has the name.</exception>
    public double ValueOf(string state) => Values[Model.StateOf(state)];

    /// <summary>A table with a row for each state: state, value, exact, weight.</summary>
    public DataFrame ToDataFrame() =>
        new(
            new StringDataFrameColumn("state", Enumerable.Range(0, Model.StateCount).Select(Model.StateName)),
            new DoubleDataFrameColumn("value", Values),
            new DoubleDataFrameColumn("exact", Exact),
            new DoubleDataFrameColumn("weight", StateWeights)
        );

    /// <summary>The value of features that need not be those of a state.</summary>
    /// <exception cref="ArgumentException">There are not as many as weights.</exception>
    public double ValueAt(IReadOnlyList<double> featuresOfPlace) => LinearValue.Of(Weights, featuresOfPlace);
}

/// <summary>The values of a policy as a log tells of them, through features: LSTD with traces. Nothing in it changes.</summary>
public sealed class LoggedApproximation
{
    private readonly Dictionary<string, double> values = [];

    internal LoggedApproximation(Core.Values.TransitionLog log, Core.Values.LoggedApproximation core)
    {
        Weights = Array.AsReadOnly(core.Weights);
        States = Array.AsReadOnly(log.StateNames.ToArray());
        Values = Array.AsReadOnly(core.Values);
        Visits = Array.AsReadOnly(core.Visits);
        Steps = core.Steps;
        Condition = core.Condition;
        TruncatedEpisodes = core.Truncated;
        for (int state = 0; state < States.Count; state++)
        {
            values[States[state]] = Values[state];
        }
    }

    /// <summary>The weight of each feature.</summary>
    public IReadOnlyList<double> Weights { get; }

    /// <summary>The names of the states of the log.</summary>
    public IReadOnlyList<string> States { get; }

    /// <summary>For each of those states its approximate value; zero where episodes only ever end.</summary>
    public IReadOnlyList<double> Values { get; }

    /// <summary>For each of those states how often it was acted from: where nothing was seen, little is known.</summary>
    public IReadOnlyList<double> Visits { get; }

    /// <summary>The steps that counted: those that the policy might have taken.</summary>
    public int Steps { get; }

    /// <summary>How many times a small error of the sums may be enlarged in the weights.</summary>
    public double Condition { get; }

    /// <summary>Episodes that were cut off. With traces, what is found is off by them.</summary>
    public int TruncatedEpisodes { get; }

    /// <summary>The approximate value of the state with a name.</summary>
    /// <exception cref="ArgumentException">The log has no such state.</exception>
    public double ValueOf(string state)
    {
        ArgumentNullException.ThrowIfNull(state);
        return values.TryGetValue(state, out double value)
            ? value
            : throw new ArgumentException($"the state must be one of the log ('{States[0]}', say) but is '{state}'", nameof(state));
    }

    /// <summary>The value of features that need not be those of a state that was seen.</summary>
    /// <exception cref="ArgumentException">There are not as many as weights.</exception>
    public double ValueAt(IReadOnlyList<double> featuresOfPlace) => LinearValue.Of(Weights, featuresOfPlace);

    /// <summary>A table with a row for each state: state, value, visits.</summary>
    public DataFrame ToDataFrame() =>
        new(
            new StringDataFrameColumn("state", States),
            new DoubleDataFrameColumn("value", Values),
            new DoubleDataFrameColumn("visits", Visits)
        );
}

/// <summary>The sum of features times weights.</summary>
internal static class LinearValue
{
    public static double Of(IReadOnlyList<double> weights, IReadOnlyList<double> featuresOfPlace)
    {
        ArgumentNullException.ThrowIfNull(featuresOfPlace);
        return featuresOfPlace.Count == weights.Count
            ? weights.Zip(featuresOfPlace, (weight, feature) => weight * feature).Sum()
            : throw new ArgumentException($"there must be {weights.Count} features but there are {featuresOfPlace.Count}", nameof(featuresOfPlace));
    }
}

/// <summary>Values by features.</summary>
public static class ApproximationExtensions
{
    /// <summary>The values of a policy of a discounted problem, by features: the fixed point of TD with traces, from the model, by a linear solve.</summary>
    /// <param name="problem">The problem; without risk or robustness.</param>
    /// <param name="featuresOf">The features of a state, by its number; as many for each. Terminal states are not asked for: their value is zero.</param>
    /// <param name="policy">For each state an action that it allows; entries of terminal states are not read.</param>
    /// <param name="options">Options.</param>
    /// <exception cref="ArgumentException">Features are not finite, of different length, or not independent on the states that count; the policy or an option is no good.</exception>
    /// <exception cref="InvalidOperationException">The objective has no discount, there is risk or robustness, or the equation has not one solution.</exception>
    public static ValueApproximation Approximate(
        this DecisionProblem problem,
        Func<int, double[]> featuresOf,
        IReadOnlyList<int> policy,
        ApproximationOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(problem);
        ArgumentNullException.ThrowIfNull(policy);
        return Of(problem, featuresOf, Policy.Deterministic(problem.Model.Core, policy.ToArray()), options);
    }

    /// <summary>The same for a policy that draws its actions.</summary>
    /// <param name="problem">The problem; without risk or robustness.</param>
    /// <param name="featuresOf">The features of a state, by its number.</param>
    /// <param name="probability">The probability of an action (second) in a state (first); in each state they sum to 1 within 1e-9.</param>
    /// <param name="options">Options.</param>
    /// <exception cref="ArgumentException">Features, the policy or an option are no good.</exception>
    /// <exception cref="InvalidOperationException">The objective has no discount, there is risk or robustness, or the equation has not one solution.</exception>
    public static ValueApproximation Approximate(
        this DecisionProblem problem,
        Func<int, double[]> featuresOf,
        Func<int, int, double> probability,
        ApproximationOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(problem);
        ArgumentNullException.ThrowIfNull(probability);
        return Of(problem, featuresOf, Policies.Drawn(problem.Model.Core, probability), options);
    }

    /// <summary>The same on a map, with features of a cell.</summary>
    /// <param name="problem">The problem; its model lies on a map.</param>
    /// <param name="featuresOfCell">The features of a state, by its row (first) and column.</param>
    /// <param name="policy">For each state an action that it allows.</param>
    /// <param name="options">Options.</param>
    /// <exception cref="ArgumentException">Features, the policy or an option are no good, or a state that is not terminal has no cell.</exception>
    /// <exception cref="InvalidOperationException">The objective has no discount, there is risk or robustness, the model lies on no map, or the equation has not one solution.</exception>
    public static ValueApproximation Approximate(
        this DecisionProblem problem,
        Func<int, int, double[]> featuresOfCell,
        IReadOnlyList<int> policy,
        ApproximationOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(problem);
        ArgumentNullException.ThrowIfNull(featuresOfCell);
        var map = problem.Model.Grid ?? throw new InvalidOperationException("features of cells need a model that lies on a map, but this one does not");
        return problem.Approximate(
            state =>
                map.Cells[state] >= 0
                    ? featuresOfCell(map.Cells[state] / map.Columns, map.Cells[state] % map.Columns)
                    : throw new ArgumentException($"state {state} must have a cell on the map but has none", nameof(featuresOfCell)),
            policy,
            options
        );
    }

    /// <summary>The log of so many episodes under a policy, each from an initial state until it ends; the seed decides all.</summary>
    /// <param name="model">The model.</param>
    /// <param name="policy">For each state an action that it allows; entries of terminal states are not read.</param>
    /// <param name="episodes">Episodes; at least 1.</param>
    /// <param name="seed">The seed.</param>
    /// <param name="maximumSteps">Steps after which an episode is cut off (the log says so); 10,000 by default.</param>
    /// <param name="cancellation">Ends the play with an OperationCanceledException.</param>
    /// <exception cref="ArgumentException">A number or the policy is no good, or the model has intervals, or shares of the discount that no log can tell.</exception>
    public static TransitionLog Record(
        this DecisionModel model,
        IReadOnlyList<int> policy,
        int episodes,
        int seed,
        int maximumSteps = 10_000,
        CancellationToken cancellation = default
    )
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(policy);
        return Played(model, Policy.Deterministic(model.Core, policy.ToArray()), episodes, seed, maximumSteps, cancellation);
    }

    /// <summary>The same under a policy that draws its actions.</summary>
    /// <param name="model">The model.</param>
    /// <param name="probability">The probability of an action (second) in a state (first); in each state they sum to 1 within 1e-9.</param>
    /// <param name="episodes">Episodes; at least 1.</param>
    /// <param name="seed">The seed.</param>
    /// <param name="maximumSteps">Steps after which an episode is cut off; 10,000 by default.</param>
    /// <param name="cancellation">Ends the play with an OperationCanceledException.</param>
    /// <exception cref="ArgumentException">A number or the policy is no good, or the model is none that a log can tell of.</exception>
    public static TransitionLog Record(
        this DecisionModel model,
        Func<int, int, double> probability,
        int episodes,
        int seed,
        int maximumSteps = 10_000,
        CancellationToken cancellation = default
    )
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(probability);
        return Played(model, Policies.Drawn(model.Core, probability), episodes, seed, maximumSteps, cancellation);
    }

    /// <summary>The values of the policy that was followed in a log, by features: LSTD with traces.</summary>
    /// <param name="log">The log. Episodes that were cut off bias what is found with traces.</param>
    /// <param name="featuresOf">The features of a state, by its name; as many for each.</param>
    /// <param name="discount">What a reward one step later counts, in [0, 1).</param>
    /// <param name="options">Options.</param>
    /// <exception cref="ArgumentException">Features are not finite, of different length or not independent on the states that were seen, or a number is no good.</exception>
    public static LoggedApproximation Approximate(
        this TransitionLog log,
        Func<string, double[]> featuresOf,
        double discount,
        ApproximationOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(log);
        return Of(log, featuresOf, null, discount, options);
    }

    /// <summary>The values of another policy than the one that was followed: steps count by the quotient of its probability and the share that the log has of the action. It may be far off where
    /// the log seldom goes where the policy goes.</summary>
    /// <param name="log">The log.</param>
    /// <param name="featuresOf">The features of a state, by its name; as many for each.</param>
    /// <param name="policy">The name of the action to take in a state, by the state's name.</param>
    /// <param name="discount">What a reward one step later counts, in [0, 1).</param>
    /// <param name="options">Options.</param>
    /// <exception cref="ArgumentException">Features or a number are no good, or the log says too little of the policy.</exception>
    public static LoggedApproximation ApproximatePolicy(
        this TransitionLog log,
        Func<string, double[]> featuresOf,
        Func<string, string> policy,
        double discount,
        ApproximationOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(log);
        ArgumentNullException.ThrowIfNull(policy);
        return Of(log, featuresOf, (state, action) => policy(state) == action ? 1 : 0, discount, options);
    }

    /// <summary>The same for a policy that draws its actions.</summary>
    /// <param name="log">The log.</param>
    /// <param name="featuresOf">The features of a state, by its name; as many for each.</param>
    /// <param name="probability">The probability of an action (second) in a state (first), by their names.</param>
    /// <param name="discount">What a reward one step later counts, in [0, 1).</param>
    /// <param name="options">Options.</param>
    /// <exception cref="ArgumentException">Features or a number are no good, or the log says too little of the policy.</exception>
    public static LoggedApproximation ApproximatePolicy(
        this TransitionLog log,
        Func<string, double[]> featuresOf,
        Func<string, string, double> probability,
        double discount,
        ApproximationOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(log);
        ArgumentNullException.ThrowIfNull(probability);
        return Of(log, featuresOf, probability, discount, options);
    }

    private static ValueApproximation Of(DecisionProblem problem, Func<int, double[]> featuresOf, Policy policy, ApproximationOptions? options)
    {
        ArgumentNullException.ThrowIfNull(featuresOf);
        options ??= new();
        if (problem.Objective != Objective.Discounted)
        {
            throw new InvalidOperationException($"an approximation needs a discounted objective, but the objective is {problem.Objective}");
        }

        if (problem.Risk is not null || problem.Robustness is not null)
        {
            throw new InvalidOperationException("an approximation by features is one of expected values: it goes with neither risk nor robustness");
        }

        var model = problem.Model.Core;
        var features = Features.OfStates(model, FuncConvert.FromFunc<int, double[]>(state => Given(featuresOf(state), $"{state}")));
        double[] weights = options.StateWeights is null ? StateWeights.stationary(options.Cancellation, policy, model) : [.. options.StateWeights];
        return new(
            problem.Model,
            ProjectedBellman.Create(model, problem.Discount, policy, options.Trace, features, weights, options.Cancellation)
        );
    }

    private static TransitionLog Played(DecisionModel model, Policy policy, int episodes, int seed, int maximumSteps, CancellationToken cancellation) =>
        new(Recording.record(new Core.Foundations.Generator(seed), episodes, maximumSteps, cancellation, policy, model.Core));

    private static LoggedApproximation Of(
        TransitionLog log,
        Func<string, double[]> featuresOf,
        Func<string, string, double>? probability,
        double discount,
        ApproximationOptions? options
    )
    {
        ArgumentNullException.ThrowIfNull(featuresOf);
        options ??= new();
        var core = log.Core;
        string[] states = core.StateNames.ToArray(), actions = core.ActionNames.ToArray();
        var byNumber = FuncConvert.FromFunc<int, double[]>(state => Given(featuresOf(states[state]), $"'{states[state]}'"));
        var policy = probability is null
            ? FSharpValueOption<FSharpFunc<int, FSharpFunc<int, double>>>.ValueNone
            : FSharpValueOption<FSharpFunc<int, FSharpFunc<int, double>>>.NewValueSome(
                FuncConvert.FromFunc<int, int, double>((state, action) => probability(states[state], actions[action]))
            );
        return new(core, Lstd.ofLog(options.Cancellation, discount, options.Trace, byNumber, policy, core));
    }

    private static double[] Given(double[]? features, string state) =>
        features ?? throw new ArgumentException($"state {state} must have features but has none", nameof(features));
}

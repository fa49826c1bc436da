using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>A model with an objective, a direction, and an attitude to risk or doubt. It never changes: each word returns a new one.</summary>
public sealed class DecisionProblem
{
    internal DecisionProblem(DecisionModel model, Objective objective, double discount, string? label)
    {
        Model = model;
        Objective = objective;
        Discount = discount;
        Label = label;
    }

    private DecisionProblem(DecisionProblem other, bool minimising, Risk? risk, Robustness? robustness)
        : this(other.Model, other.Objective, other.Discount, other.Label)
    {
        IsMinimising = minimising;
        Risk = risk;
        Robustness = robustness;
    }

    /// <summary>The model.</summary>
    public DecisionModel Model { get; }

    /// <summary>What decisions are judged by.</summary>
    public Objective Objective { get; }

    /// <summary>The discount; 1 without one.</summary>
    public double Discount { get; }

    /// <summary>The label to be reached, if that is the objective.</summary>
    public string? Label { get; }

    /// <summary>True if smaller values are better.</summary>
    public bool IsMinimising { get; }

    /// <summary>The attitude to risk, if one was given.</summary>
    public Risk? Risk { get; }

    /// <summary>The attitude to doubt, if one was given.</summary>
    public Robustness? Robustness { get; }

    /// <summary>Smaller values are better: rewards are costs.</summary>
    public DecisionProblem Minimising() => new(this, true, Risk, Robustness);

    /// <summary>Judges outcomes by a risk measure at every step. Discounted objectives only, and not together with robustness.</summary>
    /// <exception cref="InvalidOperationException">The objective has no discount, or robustness was given already.</exception>
    public DecisionProblem WithRisk(Risk risk)
    {
        ArgumentNullException.ThrowIfNull(risk);
        RequireDiscount("a risk measure");
        return Robustness is null
            ? new(this, IsMinimising, risk, null)
            : throw new InvalidOperationException("risk and robustness together are not supported: choose one");
    }

    /// <summary>Guards against the worst of several laws at every step. Discounted objectives only, and not together with risk.</summary>
    /// <exception cref="InvalidOperationException">The objective has no discount, a risk measure was given already, or the model lacks the intervals.</exception>
    public DecisionProblem WithRobustness(Robustness robustness)
    {
        ArgumentNullException.ThrowIfNull(robustness);
        RequireDiscount("robustness");
        return Risk is null
            ? new(this, IsMinimising, null, robustness)
            : throw new InvalidOperationException("risk and robustness together are not supported: choose one");
    }

    /// <summary>Solves the problem. The outcome says whether the tolerance was reached; a run that was cancelled or used up its sweeps returns what is certified so far.</summary>
    /// <exception cref="UndefinedObjectiveException">The objective has no answer on this model; the states to blame are named.</exception>
    /// <exception cref="InvalidOperationException">The model has intervals and no robustness was given, or the other way round.</exception>
    public Solution Solve(SolveOptions? options = null)
    {
        options ??= new();
        var watch = System.Diagnostics.Stopwatch.StartNew();
        var direction = IsMinimising ? Direction.Minimise : Direction.Maximise;

        Core.Values.Solution Undiscounted(
            Func<Core.Foundations.RunOptions, Microsoft.FSharp.Core.FSharpResult<Core.Values.Solution, UndiscountedError>> solve
        )
        {
            var result = solve(options.Core);
            return result.IsOk ? result.ResultValue : throw new UndefinedObjectiveException(UndiscountedErrorModule.describe(result.ErrorValue));
        }

        var core = Objective switch
        {
            Objective.Reaching => Undiscounted(run => Reachability.solve(run, direction, Label!, Model.Core)),
            Objective.TotalReward => Undiscounted(run => Core.Values.TotalReward.solve(run, direction, Model.Core)),
            _ => options.Method.Solve(options.Core, Bellman(new Extreme(direction))),
        };
        return new(Model, core, watch.Elapsed);
    }

    /// <summary>The values of a policy that is given by an action for each state (entries of terminal states are not read).</summary>
    /// <param name="policy">For each state an action that it allows.</param>
    /// <param name="options">Options; the method is not read.</param>
    public Solution Evaluate(IReadOnlyList<int> policy, SolveOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(policy);
        RequireDiscount("policy evaluation");
        options ??= new();
        var watch = System.Diagnostics.Stopwatch.StartNew();
        var weights = Policy.Deterministic(Model.Core, policy.ToArray());
        var bellman = Bellman(new Extreme(Direction.Maximise));
        var core = bellman.State is Expectation
            ? PolicyEvaluation.linear(options.Core, weights, bellman)
            : PolicyEvaluation.iterate(options.Core, weights, bellman);
        return new(Model, core, watch.Elapsed);
    }

    /// <summary>The optimality operator of a discounted problem, with its claims.</summary>
    public ValueOperator Operator() => Operator(ActionChoice.Best);

    /// <summary>The Bellman operator of a discounted problem with a choice of actions, with its claims.</summary>
    public ValueOperator Operator(ActionChoice choice)
    {
        ArgumentNullException.ThrowIfNull(choice);
        return new(Bellman(choice.Core(Model.Core, IsMinimising ? Direction.Minimise : Direction.Maximise)).Operator);
    }

    internal Bellman Bellman(ActionSummary action)
    {
        RequireDiscount("a Bellman operator");
        var averse = Attitude.Averse(IsMinimising ? Direction.Minimise : Direction.Maximise);
        var state = Risk?.Core(averse) ?? Robustness?.Core(averse) ?? new Expectation();
        var missing = state.Misses(Model.Core);
        return missing.IsNone
            ? Core.Values.Bellman.Create(Model.Core, Discount, state, action)
            : throw new InvalidOperationException($"{state.Name} needs a model with {missing.Value}");
    }

    private void RequireDiscount(string what)
    {
        if (Objective != Objective.Discounted)
        {
            throw new InvalidOperationException($"{what} needs a discounted objective, but the objective is {Objective}");
        }
    }
}

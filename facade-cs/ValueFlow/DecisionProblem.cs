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

    private DecisionProblem(DecisionProblem other, bool minimising, Risk? risk, Robustness? robustness, ActionChoice choice)
        : this(other.Model, other.Objective, other.Discount, other.Label)
    {
        IsMinimising = minimising;
        Risk = risk;
        Robustness = robustness;
        Choice = choice;
    }

    /// <summary>The model.</summary>
    public DecisionModel Model { get; }

    /// <summary>What decisions are judged by.</summary>
    public Objective Objective { get; }

    /// <summary>The discount; 1 without one.</summary>
    public double Discount { get; }

    /// <summary>How the values of a state's actions become its value: the best one by default.</summary>
    public ActionChoice Choice { get; } = ActionChoice.Best;

    /// <summary>The label to be reached, if that is the objective.</summary>
    public string? Label { get; }

    /// <summary>True if smaller values are better.</summary>
    public bool IsMinimising { get; }

    /// <summary>The attitude to risk, if one was given.</summary>
    public Risk? Risk { get; }

    /// <summary>The attitude to doubt, if one was given.</summary>
    public Robustness? Robustness { get; }

    /// <summary>Smaller values are better: rewards are costs.</summary>
    public DecisionProblem Minimising() => new(this, true, Risk, Robustness, Choice);

    /// <summary>Judges outcomes by a risk measure at every step. Discounted objectives only, and not together with robustness.</summary>
    /// <exception cref="InvalidOperationException">The objective has no discount, or robustness was given already.</exception>
    public DecisionProblem WithRisk(Risk risk)
    {
        ArgumentNullException.ThrowIfNull(risk);
        RequireDiscount("a risk measure");
        return Robustness is null
            ? new(this, IsMinimising, risk, null, Choice)
            : throw new InvalidOperationException("risk and robustness together are not supported: choose one");
    }

    /// <summary>Guards against the worst of several laws at every step. Discounted objectives only, and not together with risk.</summary>
    /// <exception cref="InvalidOperationException">The objective has no discount, a risk measure was given already, or the model lacks the intervals.</exception>
    public DecisionProblem WithRobustness(Robustness robustness)
    {
        ArgumentNullException.ThrowIfNull(robustness);
        RequireDiscount("robustness");
        return Risk is null
            ? new(this, IsMinimising, null, robustness, Choice)
            : throw new InvalidOperationException("risk and robustness together are not supported: choose one");
    }

    /// <summary>Values states by another choice than the best action: a soft maximum, a policy, one of your own. Discounted objectives only.</summary>
    /// <exception cref="InvalidOperationException">The objective has no discount.</exception>
    public DecisionProblem Choosing(ActionChoice choice)
    {
        ArgumentNullException.ThrowIfNull(choice);
        RequireDiscount("a choice of actions");
        return new(this, IsMinimising, Risk, Robustness, choice);
    }

    /// <summary>Solves the problem. The outcome says whether the tolerance was reached; a run that was cancelled or used up its sweeps returns what is certified so far.</summary>
    /// <exception cref="UndefinedObjectiveException">The objective has no answer on this model; the states to blame are named.</exception>
    /// <exception cref="InvalidOperationException">The model has intervals and no robustness was given, or the other way round.</exception>
    /// <exception cref="ArgumentException">An option is no good, or the method does not go with the attitude or the choice.</exception>
    /// <exception cref="InvalidDataException">The checkpoint is one of another problem or method, or damaged; the message says what was expected and found.</exception>
    public Solution Solve(SolveOptions? options = null)
    {
        options ??= new();
        var watch = System.Diagnostics.Stopwatch.StartNew();
        var direction = IsMinimising ? Direction.Minimise : Direction.Maximise;

        Core.Values.Solution Undiscounted(
            Func<Core.Foundations.RunOptions, Microsoft.FSharp.Core.FSharpResult<Core.Values.Solution, UndiscountedError>> solve
        )
        {
            options.RequireNoCheckpoint($"the objective {Objective}");
            var result = options.Run(solve);
            return result.IsOk ? result.ResultValue : throw new UndefinedObjectiveException(UndiscountedErrorModule.describe(result.ErrorValue));
        }

        var core = Objective switch
        {
            Objective.Reaching => Undiscounted(run => Reachability.solve(run, direction, Label!, Model.Core)),
            Objective.TotalReward => Undiscounted(run => Core.Values.TotalReward.solve(run, direction, Model.Core)),
            _ => options.Run(run => options.Solve(run, Bellman(Choice.Core(Model.Core, direction)))),
        };
        return new(Model, core, watch.Elapsed);
    }

    /// <summary>The values of a policy that is given by an action for each state (entries of terminal states are not read).</summary>
    /// <param name="policy">For each state an action that it allows.</param>
    /// <param name="options">Options; the method is not read, and a checkpoint is refused (ArgumentException).</param>
    /// <exception cref="ArgumentException">The policy takes an action that a state does not allow, or an option is no good.</exception>
    /// <exception cref="InvalidOperationException">The objective has no discount.</exception>
    public Solution Evaluate(IReadOnlyList<int> policy, SolveOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return Evaluate(Policy.Deterministic(Model.Core, policy.ToArray()), options);
    }

    /// <summary>The values of a policy that draws its actions.</summary>
    /// <param name="probability">The probability of an action (second) in a state (first); in each state they sum to 1 within 1e-9.</param>
    /// <param name="options">Options; the method is not read, and a checkpoint is refused (ArgumentException).</param>
    /// <exception cref="ArgumentException">The probabilities of a state are negative or do not sum to 1, or an option is no good.</exception>
    /// <exception cref="InvalidOperationException">The objective has no discount.</exception>
    public Solution Evaluate(Func<int, int, double> probability, SolveOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(probability);
        return Evaluate(Policies.Drawn(Model.Core, probability), options);
    }

    /// <summary>For each state the action that is best by the values, one step ahead: the lowest number among equals, -1 in a terminal state.</summary>
    /// <param name="values">For each state its value, from a solution (a cancelled one has no policy) or elsewhere.</param>
    /// <exception cref="ArgumentException">There are not as many values as states.</exception>
    /// <exception cref="InvalidOperationException">The objective has no discount.</exception>
    public IReadOnlyList<int> Greedy(IReadOnlyList<double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        var direction = IsMinimising ? Direction.Minimise : Direction.Maximise;
        return Array.AsReadOnly(Bellman(new Extreme(direction)).Greedy([.. values], direction, CancellationToken.None));
    }

    /// <summary>For each state what each of its actions is worth by the values, one step ahead, in the order of <see cref="DecisionModel.Actions"/>.</summary>
    /// <param name="values">For each state its value.</param>
    /// <exception cref="ArgumentException">There are not as many values as states.</exception>
    /// <exception cref="InvalidOperationException">The objective has no discount.</exception>
    public IReadOnlyList<IReadOnlyList<double>> ActionValues(IReadOnlyList<double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        var model = Model.Core;
        double[] rows = new double[model.RowCount];
        Bellman(new Extreme(Direction.Maximise)).Sweep.ActionValues([.. values], rows, CancellationToken.None);
        var result = new IReadOnlyList<double>[model.StateCount];
        for (int state = 0; state < result.Length; state++)
        {
            result[state] = Array.AsReadOnly(rows[model.RowOffsets[state]..model.RowOffsets[state + 1]]);
        }

        return Array.AsReadOnly(result);
    }

    /// <summary>Lets a learner explore the process, of which it knows states, actions, the discount and the range of rewards, and measures what the exploration costs: step by step the gap
    /// between the best value and that of the policy being played, both exact. The same seed gives the same run.</summary>
    /// <param name="explorer">The learner.</param>
    /// <param name="options">Options; 10,000 steps by default.</param>
    /// <exception cref="InvalidOperationException">The problem is not the plain one: discounted, larger values better, the best action, without risk, robustness or intervals.</exception>
    /// <exception cref="ArgumentException">An option is no good, the model has no initial state with actions, or the explorer does not go with the model.</exception>
    /// <exception cref="OperationCanceledException">The caller cancelled before the first step.</exception>
    public ExplorationResult Explore(Explorer explorer, ExplorationOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(explorer);
        RequireDiscount("exploration");
        if (IsMinimising || Risk is not null || Robustness is not null || !ReferenceEquals(Choice, ActionChoice.Best) || Model.HasIntervals)
        {
            throw new InvalidOperationException("exploration needs a plain problem: larger values better, the best action, without risk, robustness or intervals");
        }

        return explorer.Run(this, options ?? new());
    }

    /// <summary>The Bellman operator of a discounted problem with its choice of actions, with its claims.</summary>
    /// <exception cref="InvalidOperationException">The objective has no discount, or the model lacks what the attitude needs.</exception>
    public ValueOperator Operator() => Operator(Choice);

    /// <summary>The same operator on tensors of float64 (one entry a state): batched and differentiable. Dispose frees what it holds.</summary>
    /// <exception cref="InvalidOperationException">The objective has no discount, the model lacks what the attitude needs, or libtorch cannot be loaded.</exception>
    public TensorOperator TensorOperator()
    {
        var bellman = Bellman(Choice.Core(Model.Core, IsMinimising ? Direction.Minimise : Direction.Maximise));
        TensorRows rows = new(bellman.Kernel);
        return new(bellman.TensorOperator(rows), rows);
    }

    /// <summary>The Bellman operator of a discounted problem with another choice of actions, with its claims.</summary>
    /// <exception cref="InvalidOperationException">The objective has no discount, or the model lacks what the attitude needs.</exception>
    public ValueOperator Operator(ActionChoice choice)
    {
        ArgumentNullException.ThrowIfNull(choice);
        return new(Bellman(choice.Core(Model.Core, IsMinimising ? Direction.Minimise : Direction.Maximise)).Operator);
    }

    private Solution Evaluate(Policy policy, SolveOptions? options)
    {
        RequireDiscount("policy evaluation");
        var watch = System.Diagnostics.Stopwatch.StartNew();
        var bellman = Bellman(new Extreme(Direction.Maximise));
        options ??= new();
        options.RequireNoCheckpoint("the evaluation of a policy");
        var core = options.Run(run =>
            bellman.State is Expectation ? PolicyEvaluation.linear(run, policy, bellman) : PolicyEvaluation.iterate(run, policy, bellman)
        );
        return new(Model, core, watch.Elapsed);
    }

    internal Bellman Bellman(ActionSummary action)
    {
        RequireDiscount("a Bellman operator");
        var averse = Attitude.Averse(IsMinimising ? Direction.Minimise : Direction.Maximise);
        var state = Risk?.Core(averse) ?? Robustness?.Core(Model.Core, averse) ?? new Expectation();
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

using ValueFlow.Core.Foundations;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>Several models of the same states and actions, any of which may be the true one. It never changes. Rewards are to be large.</summary>
public sealed class ModelFamily
{
    private readonly Core.Values.ModelFamily core;
    private readonly DecisionModel[] models;

    private ModelFamily(DecisionModel[] models, double discount)
    {
        this.models = models;
        core = Core.Values.ModelFamily.Create([.. models.Select(model => model.Core)], discount);
    }

    /// <summary>The family of models, with a discount in [0, 1).</summary>
    /// <exception cref="ArgumentException">There is no model, one allows other actions than the first (it is named), or the discount is no good.</exception>
    public static ModelFamily Of(IEnumerable<DecisionModel> models, double discount)
    {
        ArgumentNullException.ThrowIfNull(models);
        return new([.. models], discount);
    }

    /// <summary>The models.</summary>
    public IReadOnlyList<DecisionModel> Models => Array.AsReadOnly(models);

    /// <summary>The operator max over actions of min over models: nature chooses a model anew at every step. Its fixed point is the robust value.</summary>
    public ValueOperator RobustOperator() => new(ModelFamilyModule.robust(core));

    /// <summary>Robust decisions for one start as a sequence of ordinary ones: solve a model, look for the model in which that policy does worst, take it in, until nothing worse is found.</summary>
    /// <param name="start">The state to start from.</param>
    /// <param name="tolerance">The gap between the bounds that ends the search; not negative, 1e-8 by default.</param>
    /// <param name="first">The model to begin with; the first by default.</param>
    /// <param name="options">Options of each solve; the method is not read.</param>
    /// <exception cref="ArgumentException">The start, the model, the tolerance or an option is no good.</exception>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public WorstCaseResult SearchWorstCase(int start, double tolerance = 1e-8, int first = 0, SolveOptions? options = null)
    {
        models[0].State(start);
        return new(models, (options ?? new()).Run(run => WorstCaseSearch.solve(run, tolerance, start, first, core)));
    }

    /// <summary>The game against a nature that may change the model from step to step, but only to one within the radius of the last.</summary>
    /// <param name="distances">For each pair of models a distance: symmetric, not negative, zero from a model to itself.</param>
    /// <param name="radius">How far nature moves in a step; not negative. Zero: never; at least the largest distance: anywhere.</param>
    /// <param name="options">Options; the method is not read.</param>
    /// <exception cref="ArgumentException">The distances, the radius or an option is no good.</exception>
    public SlowNatureSolution SolveAgainstSlowNature(double[,] distances, double radius, SolveOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(distances);
        var game = TimeConstrained.Create(core, distances, radius);
        var found = new ValueOperator(game.Optimality).FixedPoint(new double[core.Count * core.StateCount], null, options);
        return new(models, found, game.Greedy([.. found.Value], 0));
    }
}

/// <summary>What the search for the worst model found, for its start.</summary>
public sealed class WorstCaseResult
{
    private readonly DecisionModel[] models;
    private readonly WorstCase core;

    internal WorstCaseResult(DecisionModel[] models, WorstCase core)
    {
        (this.models, this.core) = (models, core);
        Policy = Array.AsReadOnly(core.Policy);
        Found = Array.AsReadOnly(core.Found.ToArray());
    }

    /// <summary>For each state the number of the action to take; -1 in terminal states.</summary>
    public IReadOnlyList<int> Policy { get; }

    /// <summary>The least value at the start that the policy has in any of the models.</summary>
    public double Lower => core.Lower;

    /// <summary>No deterministic policy has a better worst case than this at the start.</summary>
    public double Upper => core.Upper;

    /// <summary>The models that were taken in, in order.</summary>
    public IReadOnlyList<int> Found { get; }

    /// <summary>The name of the action to take in a state; empty in a terminal state.</summary>
    public string ActionOf(int state) => Policy[models[0].State(state)] < 0 ? "" : models[0].ActionName(Policy[state]);
}

/// <summary>Values and decisions against a nature that changes the model only by little from step to step; both depend on the model of the last step.</summary>
public sealed class SlowNatureSolution
{
    private readonly DecisionModel[] models;
    private readonly FixedPointResult found;
    private readonly int[][] policy;

    internal SlowNatureSolution(DecisionModel[] models, FixedPointResult found, int[][] policy) =>
        (this.models, this.found, this.policy) = (models, found, policy);

    /// <summary>Every value is within this of the exact one.</summary>
    public double ErrorBound => found.ErrorBound;

    /// <summary>Why the run ended.</summary>
    public Outcome Outcome => found.Outcome;

    /// <summary>The worst value of a state when the last step went by a model.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such state or model.</exception>
    public double ValueOf(int state, int model) => found.Value[Place(state, model)];

    /// <summary>The name of the action to take; empty in a terminal state.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such state or model.</exception>
    public string ActionOf(int state, int model)
    {
        Place(state, model);
        return policy[model][state] < 0 ? "" : models[0].ActionName(policy[model][state]);
    }

    private int Place(int state, int model) =>
        model >= 0 && model < models.Length
            ? model * models[0].StateCount + models[0].State(state)
            : throw new ArgumentOutOfRangeException(nameof(model), model, $"model must lie in [0, {models.Length})");
}

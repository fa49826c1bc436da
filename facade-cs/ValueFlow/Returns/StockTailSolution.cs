using ValueFlow.Core.Returns;

namespace ValueFlow;

/// <summary>
/// The best mean of the worst share of returns (CVaR) over all decisions that may depend on what was earned, between certified bounds, and such decisions. Nothing in it changes.
/// </summary>
public sealed class TailResult
{
    private readonly TailSolution core;

    internal TailResult(DecisionModel model, TailSolution core, TimeSpan elapsed)
    {
        this.core = core;
        Model = model;
        Elapsed = elapsed;
        Policy = new(model, core);
        (Outcome, OutcomeText) = Outcomes.Of(core.Values.Outcome);
        if (Outcome == Outcome.BudgetExhausted)
        {
            OutcomeText = "stopped: a finer lattice of stocks would need more nodes than MaximumNodes allows";
        }
    }

    /// <summary>The model.</summary>
    public DecisionModel Model { get; }

    /// <summary>The share of worst returns, in (0, 1].</summary>
    public double Share => core.Share;

    /// <summary>The state to start from.</summary>
    public int Start => core.Start;

    /// <summary>A number that the best CVaR is not below.</summary>
    public double Lower => core.Lower;

    /// <summary>A number that the best CVaR is not above.</summary>
    public double Upper => core.Upper;

    /// <summary>The best CVaR, estimated by linear interpolation: between the bounds, but itself not certified.</summary>
    public double Value => core.Estimate;

    /// <summary>The target b: the return below which (or, for costs, above which) outcomes count as the tail.</summary>
    public double Target => core.Target;

    /// <summary>The decisions. Their CVaR is at least Lower for rewards, and at most Upper for costs.</summary>
    public StockPolicy Policy { get; }

    /// <summary>Why the run ended.</summary>
    public Outcome Outcome { get; }

    /// <summary>Why the run ended, in words.</summary>
    public string OutcomeText { get; }

    /// <summary>Sweeps over the states.</summary>
    public int Sweeps => core.Values.Sweeps;

    /// <summary>Pairs of a state and a stock whose values are stored.</summary>
    public int Nodes => core.Values.Nodes;

    /// <summary>How long it took.</summary>
    public TimeSpan Elapsed { get; }

    /// <summary>The answer for another share, from the same values: the bounds may lie further apart. The outcome is that of the run.</summary>
    /// <param name="share">In (0, 1] (ArgumentException if not).</param>
    public TailResult At(double share) => new(Model, BestTail.at(share, core.Start, core), Elapsed);

    /// <summary>Plays the decisions from the start. Start and Discount of the options are not read: they are the problem's.</summary>
    /// <exception cref="ArgumentException">An option is no good.</exception>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public SimulationResult Simulate(SimulationOptions? options = null)
    {
        options ??= new();
        return new(core.Play(new Core.Foundations.Generator(options.Seed), options.Episodes, options.MaximumSteps, options.Cancellation));
    }
}

/// <summary>Decisions by the state and the stock of what was earned. Start with <see cref="StartStock"/>, and after every reward go on with <see cref="Next"/>.</summary>
public sealed class StockPolicy
{
    private readonly TailSolution core;
    private readonly DecisionModel model;

    internal StockPolicy(DecisionModel model, TailSolution core) => (this.model, this.core) = (model, core);

    /// <summary>The stock to start with: minus the target; for costs the target, what may be spent.</summary>
    public double StartStock => core.Stock;

    /// <summary>The action to take in a state with a stock; -1 in a terminal state.</summary>
    /// <exception cref="ArgumentException">There is no such state, or the stock is not finite.</exception>
    public int ActionOf(int state, double stock) => core.ActionOf(model.State(state), stock);

    /// <summary>The name of the action to take; empty in a terminal state.</summary>
    /// <exception cref="ArgumentException">No state has the name, or the stock is not finite.</exception>
    public string ActionOf(string state, double stock)
    {
        int action = ActionOf(model.StateOf(state), stock);
        return action < 0 ? "" : model.ActionName(action);
    }

    /// <summary>The stock after a reward or a cost: (stock + reward) / discount, (stock - cost) / discount.</summary>
    /// <param name="stock">The stock before.</param>
    /// <param name="reward">What was earned; for a problem that minimises, what was paid.</param>
    /// <param name="continuation">The share of the discount that applies to what follows; 1 by default.</param>
    public double Next(double stock, double reward, double continuation = 1) => core.Next(stock, reward, continuation);
}

/// <summary>The best tail of a decision problem.</summary>
public static class TailExtensions
{
    /// <summary>
    /// Finds decisions whose mean of the worst share of discounted returns (CVaR, of the whole return) is as large as can be; for a minimising problem, whose mean of the largest costs is as small. They remember what
    /// was earned. (<see cref="Risk.ConditionalValueAtRisk"/> applies CVaR at every step instead, which needs no memory and is another objective.)
    /// </summary>
    /// <param name="problem">A discounted problem without risk, robustness or another choice of actions.</param>
    /// <param name="share">The share of worst returns, in (0, 1]; 1 is the mean.</param>
    /// <param name="start">The name of the state to start from; the first initial state by default.</param>
    /// <param name="options">Options.</param>
    /// <exception cref="ArgumentException">The share or an option is no good, no state has the name, the model has intervals, or there is no state to start from.</exception>
    /// <exception cref="InvalidOperationException">The objective has no discount, or risk, robustness or another choice of actions was given.</exception>
    public static TailResult MaximiseTail(this DecisionProblem problem, double share, string? start = null, TailOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(problem);
        if (problem.Objective != Objective.Discounted)
        {
            throw new InvalidOperationException($"the best tail needs a discounted objective, but the objective is {problem.Objective}");
        }

        if (problem.Risk is not null || problem.Robustness is not null || problem.Choice != ActionChoice.Best)
        {
            throw new InvalidOperationException("the best tail is a problem of its own: it goes with no risk measure, no robustness, and the best action");
        }

        var core = (options ?? new()).Core();
        var model = problem.Model;
        int from = start is not null
            ? model.StateOf(start)
            : model.InitialStates.Count > 0
                ? model.InitialStates[0]
                : throw new ArgumentException("the model must have an initial state, or a start must be given, but there is none", nameof(start));
        var watch = System.Diagnostics.Stopwatch.StartNew();
        var direction = problem.IsMinimising ? Core.Values.Direction.Minimise : Core.Values.Direction.Maximise;
        return new(model, BestTail.optimise(core, share, direction, from, problem.Discount, model.Core), watch.Elapsed);
    }
}

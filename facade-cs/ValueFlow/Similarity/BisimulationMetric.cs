using Microsoft.Data.Analysis;
using ScottPlot;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>How alike the states of a problem are: what they earn and what follows, not their names. Zero between states that cannot be told apart; and optimal values differ by no more than the distance over
/// the weight of rewards. Ferns, Panangaden and Precup 2004, "Metrics for finite Markov decision processes". Nothing in it changes.</summary>
public sealed class BisimulationMetric
{
    private readonly DecisionProblem problem;
    private readonly Bisimulation core;
    private readonly FixedPointResult found;

    internal BisimulationMetric(DecisionProblem problem, Bisimulation core, FixedPointResult found) =>
        (this.problem, this.core, this.found) = (problem, core, found);

    /// <summary>The model whose states are compared.</summary>
    public DecisionModel Model => problem.Model;

    /// <summary>What a difference of rewards counts.</summary>
    public double RewardWeight => core.RewardWeight;

    /// <summary>What a difference of what follows counts; the discount or more.</summary>
    public double TransitionWeight => core.TransitionWeight;

    /// <summary>Distances are below the exact ones by at most this (rounding included); infinite where nothing is certified.</summary>
    public double ErrorBound => found.ErrorBound;

    /// <summary>Applications of the operator.</summary>
    public int Sweeps => found.Applications;

    /// <summary>Why the run ended.</summary>
    public Outcome Outcome => found.Outcome;

    /// <summary>Why the run ended, in words.</summary>
    public string OutcomeText => found.OutcomeText;

    /// <summary>The distance between two states.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such state.</exception>
    public double Between(int state, int other)
    {
        Model.State(state);
        Model.State(other);
        return found.Value[(state * core.Places) + other];
    }

    /// <summary>The distance between two states by name.</summary>
    /// <exception cref="ArgumentException">No state has the name.</exception>
    public double Between(string state, string other) => Between(Model.StateOf(state), Model.StateOf(other));

    /// <summary>Optimal values of two states differ by at most this.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such state.</exception>
    public double ValueDifferenceBound(int state, int other) =>
        state == other ? 0 * Between(state, other) : (Between(state, other) + ErrorBound) / RewardWeight;

    /// <summary>Optimal values of two states, by name, differ by at most this.</summary>
    /// <exception cref="ArgumentException">No state has the name.</exception>
    public double ValueDifferenceBound(string state, string other) => ValueDifferenceBound(Model.StateOf(state), Model.StateOf(other));

    /// <summary>Classes in which no two states are farther apart than a diameter (the error bound included), each of which becomes a state of a smaller model. States join the first class that they fit, in the order of
    /// their numbers.</summary>
    /// <param name="diameter">Not negative. Below <see cref="ErrorBound"/> every state stays alone.</param>
    /// <exception cref="ArgumentException">The diameter is negative or no number.</exception>
    /// <exception cref="InvalidOperationException">Actions are matched with the nearest one, so that a class has no common action; or the run was cancelled before anything was certified.</exception>
    public StateClusters Clusters(double diameter)
    {
        if (core.Matching != Core.Values.ActionMatching.SameAction)
        {
            throw new InvalidOperationException("classes need actions that are matched with the same action, but they are matched with the nearest one");
        }

        if (!double.IsFinite(ErrorBound))
        {
            throw new InvalidOperationException($"classes need distances with a finite error bound, but it is {ErrorBound}: {OutcomeText}");
        }

        int count = core.Places;
        double[] above = [.. found.Value.Select((distance, k) => k / count == k % count ? 0 : distance + ErrorBound)];
        return new(problem, Aggregation.aggregate(core, above, problem.Discount, Aggregation.clusters(core, above, diameter)));
    }

    /// <summary>Distances as a table, [state, other].</summary>
    public double[,] ToArray()
    {
        double[,] result = new double[Model.StateCount, Model.StateCount];
        for (int state = 0; state < Model.StateCount; state++)
        {
            for (int other = 0; other < Model.StateCount; other++)
            {
                result[state, other] = Between(state, other);
            }
        }

        return result;
    }

    /// <summary>A table with a row for each pair of states, nearest first: state, other, distance.</summary>
    public DataFrame ToDataFrame()
    {
        var pairs = Enumerable
            .Range(0, Model.StateCount)
            .SelectMany(state => Enumerable.Range(state + 1, Model.StateCount - state - 1).Select(other => (state, other, distance: Between(state, other))))
            .OrderBy(pair => pair.distance)
            .ToArray();
        return new(
            new StringDataFrameColumn("state", pairs.Select(pair => Model.StateName(pair.state))),
            new StringDataFrameColumn("other", pairs.Select(pair => Model.StateName(pair.other))),
            new DoubleDataFrameColumn("distance", pairs.Select(pair => pair.distance))
        );
    }

    /// <summary>A picture of the distances between all states as a map of colours. States stand in an order in which each is followed by the nearest that is left, so that groups show as blocks.</summary>
    public Plot ToPlot() => BisimulationPictures.OfDistances(this);

    /// <summary>Saves the picture as .png, .jpg, .webp or .svg; the file appears whole or not at all.</summary>
    /// <param name="path">Where to.</param>
    /// <param name="width">The width in pixels, at least 100; 800 by default.</param>
    /// <param name="height">The height in pixels, at least 100; 700 by default.</param>
    /// <exception cref="ArgumentException">The extension is another one, or a side is too short.</exception>
    public void SavePlot(string path, int width = 800, int height = 700) => ReturnPictures.Save(path, width, height, ToPlot);
}

/// <summary>How alike states are.</summary>
public static class BisimulationExtensions
{
    /// <summary>The distances between all states of a discounted problem, from below, with a certified error. Both sides of a pair are best decisions: of any policy's values it says nothing. The time grows with the square of the number of states.</summary>
    /// <param name="problem">The problem; its choice of actions must be the best one, and outcomes are judged by their mean.</param>
    /// <param name="options">Weights, tolerance, progress and cancellation.</param>
    /// <exception cref="InvalidOperationException">The objective has no discount, there is an attitude to risk or doubt or a soft choice of actions, or the model has intervals.</exception>
    /// <exception cref="ArgumentException">An option is no good.</exception>
    public static BisimulationMetric BisimulationMetric(this DecisionProblem problem, BisimulationOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(problem);
        options ??= new();
        if (problem.Objective != Objective.Discounted || problem.Risk is not null || problem.Robustness is not null || problem.Choice != ActionChoice.Best)
        {
            throw new InvalidOperationException("distances between states need a discounted objective, mean outcomes and best actions: no other choice, risk or robustness");
        }

        if (problem.Model.HasIntervals)
        {
            throw new InvalidOperationException("distances between states need a model with probabilities, but it has intervals");
        }

        if (!(options.RewardWeight > 0 && double.IsFinite(options.RewardWeight)))
        {
            throw new ArgumentOutOfRangeException(nameof(options), options.RewardWeight, "RewardWeight must be positive and finite");
        }

        var core = Bisimulation.Create(problem.Model.Core, options.RewardWeight, options.WeightFor(problem.Discount), options.CoreMatching);
        return new(problem, core, new(options.Solve.Run(core.Solve)));
    }
}

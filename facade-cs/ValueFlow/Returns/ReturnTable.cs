using System.Globalization;
using Microsoft.Data.Analysis;
using ScottPlot;
using ValueFlow.Core.Foundations;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>For each state the law of a policy's return, and what is certified of it. Nothing in it changes.</summary>
public sealed class ReturnTable
{
    private static readonly double[] Levels = [0.05, 0.25, 0.5, 0.75, 0.95];
    private readonly Policy policy;
    private readonly ReturnAnswer answer;
    private readonly Lazy<ReturnDistribution>[] laws;

    internal ReturnTable(DecisionModel model, Policy policy, ReturnAnswer answer, string method, TimeSpan elapsed)
    {
        this.policy = policy;
        this.answer = answer;
        Model = model;
        Method = method;
        Elapsed = elapsed;
        laws = [.. Enumerable.Range(0, model.StateCount).Select(state => new Lazy<ReturnDistribution>(() => new(answer.Table.Law(state))))];
    }

    /// <summary>The model whose returns they are.</summary>
    public DecisionModel Model { get; }

    /// <summary>How laws are kept, in words.</summary>
    public string Method { get; }

    /// <summary>No law is further than this from the true one, in the <see cref="Metric"/>; infinite for an estimate. Means are off by at most a bound in W1, CVaR of a share A by at most 1/A
    /// of it.</summary>
    public double ErrorBound => answer.ErrorBound;

    /// <summary>No law is further than this from the fixed point of the method, in the <see cref="Metric"/>: what more sweeps could gain. Infinite for an estimate.</summary>
    public double SolverBound => answer.SolverBound;

    /// <summary>The metric of the bounds.</summary>
    public ReturnMetric Metric => answer.Metric;

    /// <summary>The largest mass over states that one more sweep would move to the ends of the support; zero for other methods.</summary>
    public double ClippedMass => answer.ClippedMass;

    /// <summary>What stands behind the bounds.</summary>
    public Certificate Certificate => answer.Certificate;

    /// <summary>Why the run ended.</summary>
    public Outcome Outcome => answer.Outcome;

    /// <summary>Why the run ended, in words.</summary>
    public string OutcomeText => answer.OutcomeText;

    /// <summary>Sweeps over the states; steps if laws were enumerated, episodes if they were played.</summary>
    public int Sweeps => answer.Sweeps;

    /// <summary>How long it took.</summary>
    public TimeSpan Elapsed { get; }

    /// <summary>The law of the return from a state on. ArgumentOutOfRangeException for no state.</summary>
    public ReturnDistribution Of(int state) => laws[Model.State(state)].Value;

    /// <summary>The same for a state's name.</summary>
    /// <exception cref="ArgumentException">No state has the name.</exception>
    public ReturnDistribution Of(string state) => Of(Model.StateOf(state));

    /// <summary>The law of the return from the start on, each initial state being as likely.</summary>
    /// <exception cref="InvalidOperationException">The model has no initial state.</exception>
    public ReturnDistribution FromStart()
    {
        var initial = Initial();
        return initial.Count == 1
            ? Of(initial[0])
            : new(DistributionModule.mixture(initial.Select(state => ValueTuple.Create(1.0 / initial.Count, Of(state).Law))));
    }

    /// <summary>The states along the likeliest way from the first initial state: the likeliest action and successor each, until the episode ends or a state comes again.</summary>
    /// <exception cref="InvalidOperationException">The model has no initial state.</exception>
    public IReadOnlyList<int> LikeliestPath()
    {
        var core = Model.Core;
        int[] actions = policy.MostLikely(core);
        List<int> path = [Initial()[0]];
        HashSet<int> seen = [path[0]];
        while (!core.IsTerminal(path[^1]))
        {
            int row = core.RowOffsets[path[^1]];
            row += core.RowActions[row..core.RowOffsets[path[^1] + 1]].IndexOf(actions[path[^1]]);
            Dictionary<int, double> chances = [];
            for (int k = core.Offsets[row]; k < core.Offsets[row + 1]; k++)
            {
                chances[core.Successors[k]] = chances.GetValueOrDefault(core.Successors[k]) + core.Probabilities[k];
            }

            int next = chances.MaxBy(entry => entry.Value).Key;
            if (!seen.Add(next))
            {
                break;
            }

            path.Add(next);
        }

        return path.AsReadOnly();
    }

    /// <summary>A table with a row for each state: state, mean, standard_deviation, cvar (of the lowest share), and the quantiles at 5, 25, 50, 75 and 95 percent.</summary>
    /// <param name="share">The share of CVaR, in (0, 1]; 0.1 by default.</param>
    public DataFrame ToDataFrame(double share = 0.1)
    {
        DataFrame table = new(
            new StringDataFrameColumn("state", Enumerable.Range(0, Model.StateCount).Select(Model.StateName)),
            Column("mean", law => law.Mean),
            Column("standard_deviation", law => law.StandardDeviation),
            Column("cvar", law => law.Cvar(share))
        );
        foreach (double level in Levels)
        {
            table.Columns.Add(Column(string.Create(CultureInfo.InvariantCulture, $"quantile_{100 * level:00}"), law => law.Quantile(level)));
        }

        return table;
    }

    /// <summary>A picture of quantile bands, median, mean and CVaR along states.</summary>
    /// <param name="states">The states in their order, at least one; <see cref="LikeliestPath"/> by default.</param>
    /// <exception cref="ArgumentException">There is no state, or one that the model does not have.</exception>
    public Plot ToPlot(IReadOnlyList<int>? states = null)
    {
        states ??= LikeliestPath();
        return states.Count > 0
            ? ReturnPictures.OfBands([.. states.Select(Of)], [.. states.Select(Model.StateName)])
            : throw new ArgumentException("there must be at least one state but there is none", nameof(states));
    }

    /// <summary>Saves the picture of quantile bands as .png, .jpg, .webp or .svg; the file appears whole or not at all.</summary>
    /// <param name="path">Where to.</param>
    /// <param name="states">The states in their order; <see cref="LikeliestPath"/> by default.</param>
    /// <param name="width">The width in pixels, at least 100; 800 by default.</param>
    /// <param name="height">The height in pixels, at least 100; 500 by default.</param>
    /// <exception cref="ArgumentException">The extension is another one, a side is too short, or a state is no good.</exception>
    public void SavePlot(string path, IReadOnlyList<int>? states = null, int width = 800, int height = 500) =>
        ReturnPictures.Save(path, width, height, () => ToPlot(states));

    private DoubleDataFrameColumn Column(string name, Func<ReturnDistribution, double> value) =>
        new(name, laws.Select(law => value(law.Value)));

    private IReadOnlyList<int> Initial() =>
        Model.InitialStates is { Count: > 0 } initial
            ? initial
            : throw new InvalidOperationException("the model has no initial state: name a state with Of");
}

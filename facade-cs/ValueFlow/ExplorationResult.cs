using Microsoft.Data.Analysis;
using ScottPlot;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>What an exploration cost, step by step. Nothing in it changes.</summary>
public sealed class ExplorationResult
{
    private readonly double[] gaps;
    private readonly double[] regret;
    private readonly Policy policy;

    internal ExplorationResult(
        DecisionModel model,
        string explorer,
        double[] gaps,
        double[] regret,
        int[] visits,
        double optimum,
        Policy policy,
        int epochs,
        bool cancelled
    )
    {
        (this.gaps, this.regret, this.policy) = (gaps, regret, policy);
        Model = model;
        Explorer = explorer;
        Gaps = Array.AsReadOnly(gaps);
        Regret = Array.AsReadOnly(regret);
        Visits = Array.AsReadOnly(visits);
        Policy = Array.AsReadOnly(policy.MostLikely(model.Core));
        Optimum = optimum;
        Epochs = epochs;
        IsCancelled = cancelled;
    }

    /// <summary>The model that was explored.</summary>
    public DecisionModel Model { get; }

    /// <summary>The name of the learner.</summary>
    public string Explorer { get; }

    /// <summary>For each step the best value at the start less that of the policy it was played with.</summary>
    public IReadOnlyList<double> Gaps { get; }

    /// <summary>For each step the sum of the gaps up to it.</summary>
    public IReadOnlyList<double> Regret { get; }

    /// <summary>The mean of the gaps; not a number for a run that was cancelled before its first step.</summary>
    public double MeanGap => gaps.Length == 0 ? double.NaN : gaps.Average();

    /// <summary>The best value at the start, the mean over the initial states.</summary>
    public double Optimum { get; }

    /// <summary>For each state how often it was acted from.</summary>
    public IReadOnlyList<int> Visits { get; }

    /// <summary>For each state the most likely action of the policy at the end, -1 in a terminal state.</summary>
    public IReadOnlyList<int> Policy { get; }

    /// <summary>How often the learner began anew with its policy, the first time included; 1 for a learner that does not.</summary>
    public int Epochs { get; }

    /// <summary>True if the run was cancelled: then steps are fewer than were asked for.</summary>
    public bool IsCancelled { get; }

    /// <summary>The probability with which the policy at the end takes an action in a state; zero for an action that the state does not allow.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such state or action.</exception>
    public double Probability(int state, int action)
    {
        _ = Model.ActionName(action);
        var core = Model.Core;
        int first = core.RowOffsets[Model.State(state)];
        int place = core.RowActions[first..core.RowOffsets[state + 1]].IndexOf(action);
        return place < 0 ? 0 : policy.Weights[first + place];
    }

    /// <summary>A table with a row for each step: step (from 1), gap, regret.</summary>
    public DataFrame ToDataFrame() =>
        new(
            new Int32DataFrameColumn("step", Enumerable.Range(1, gaps.Length)),
            new DoubleDataFrameColumn("gap", gaps),
            new DoubleDataFrameColumn("regret", regret)
        );

    /// <summary>A picture of the regret over the steps.</summary>
    public Plot ToPlot()
    {
        var plot = ReturnPictures.Prepared();
        // A curve of more points than pixels looks the same.
        int every = Math.Max(1, regret.Length / 2000);
        int[] places = [.. Enumerable.Range(0, regret.Length).Where(t => (t + 1) % every == 0 || t == regret.Length - 1)];
        var line = plot.Add.Scatter(places.Select(t => t + 1.0).ToArray(), places.Select(t => regret[t]).ToArray());
        line.Color = ReturnPictures.Blue;
        line.LineWidth = 2;
        line.MarkerSize = 0;
        line.LegendText = Explorer;
        plot.XLabel("steps");
        plot.YLabel("regret: sum of gaps to the best value at the start");
        ReturnPictures.Explain(plot);
        return plot;
    }

    /// <summary>Saves the picture as .png, .jpg, .webp or .svg; the file appears whole or not at all.</summary>
    /// <param name="path">Where to.</param>
    /// <param name="width">The width in pixels, at least 100; 800 by default.</param>
    /// <param name="height">The height in pixels, at least 100; 500 by default.</param>
    /// <exception cref="ArgumentException">The extension is another one, or a side is too short.</exception>
    public void SavePlot(string path, int width = 800, int height = 500) => ReturnPictures.Save(path, width, height, ToPlot);
}

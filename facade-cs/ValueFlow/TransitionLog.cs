using Microsoft.Data.Analysis;
using Microsoft.FSharp.Core;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>Logged transitions, from which a model is estimated.</summary>
public sealed class TransitionLog
{
    private readonly Core.Values.TransitionLog core;

    internal TransitionLog(Core.Values.TransitionLog core) => this.core = core;

    internal Core.Values.TransitionLog Core => core;

    /// <summary>Loads a log in .csv or .parquet with the columns state, action, reward, next_state, terminated[, truncated][, weight][, episode].</summary>
    /// <exception cref="ModelFileException">The file is wrong: every problem with its line or row.</exception>
    public static TransitionLog Load(string path, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(path);
        return new(Results.File(ModelFile.readLog(new LoadOptions { Cancellation = cancellation }.Core, path)));
    }

    /// <summary>Writes the log as .csv or .parquet; the file appears whole or not at all.</summary>
    public void Save(string path) => ModelFile.writeLog(path, core);

    /// <summary>The number of steps.</summary>
    public int StepCount => core.StepCount;

    /// <summary>What was worth saying about the file, though no error.</summary>
    public IReadOnlyList<string> Warnings => [.. core.Warnings];

    /// <summary>The steps as a table.</summary>
    public DataFrame ToDataFrame() => core.ToDataFrame();

    /// <summary>What was counted: for each state, action and successor the count, mean reward, share, and bounds that hold all at once with the confidence.</summary>
    public DataFrame Counts(double confidence = 0.95) => core.CountsToDataFrame(confidence);

    /// <summary>The model with the shares that were seen as probabilities.</summary>
    /// <exception cref="InvalidModelException">A state was come to but never acted from or ended in.</exception>
    public DecisionModel Estimate() => new(Results.Model(core.Estimate(FSharpValueOption<double>.ValueNone)));

    /// <summary>The model with the rewards as they were seen: each reward of a state, action and successor is an outcome of its own, with its share as probability. Mean values are
    /// those of <see cref="Estimate"/>; laws of returns, and risk, see the spread of rewards, which a mean hides.</summary>
    /// <exception cref="InvalidModelException">A state was come to but never acted from or ended in.</exception>
    public DecisionModel EstimateOutcomes() => new(Results.Model(core.EstimateOutcomes()));

    /// <summary>The model whose probabilities lie in intervals that hold all at once with the confidence.</summary>
    public DecisionModel EstimateIntervals(double confidence = 0.95) =>
        new(Results.Model(core.Estimate(FSharpValueOption<double>.NewValueSome(confidence))));
}

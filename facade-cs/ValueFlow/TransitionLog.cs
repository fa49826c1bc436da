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

    /// <summary>Loads a log in .csv or .parquet with the columns state, action, reward, next_state, terminated[, truncated][, weight][, episode][, duration].</summary>
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
    /// <exception cref="InvalidModelException">A state was come to but never acted from or ended in, or a step lasted longer than 1.</exception>
    public DecisionModel Estimate() => new(Results.Model(core.Estimate(FSharpValueOption<double>.ValueNone)));

    /// <summary>The model with the rewards as they were seen: each reward of a state, action and successor is an outcome of its own, with its share as probability. Mean values are
    /// those of <see cref="Estimate"/>; laws of returns, and risk, see the spread of rewards, which a mean hides.</summary>
    /// <exception cref="InvalidModelException">A state was come to but never acted from or ended in.</exception>
    public DecisionModel EstimateOutcomes() => new(Results.Model(core.EstimateOutcomes()));

    /// <summary>The model whose probabilities lie in intervals that hold all at once with the confidence.</summary>
    public DecisionModel EstimateIntervals(double confidence = 0.95) =>
        new(Results.Model(core.Estimate(FSharpValueOption<double>.NewValueSome(confidence))));

    /// <summary>True if some step lasted longer than 1: then <see cref="Estimate"/> and its like refuse, and <see cref="EstimateLasting"/> is to be used.</summary>
    public bool HasDurations => core.HasDurations;

    /// <summary>The decision problem of a log whose steps last (column duration, at least 1): after a step of duration t what follows counts with discount^t, not with the discount. The problem's
    /// model is for this discount alone.</summary>
    /// <param name="discount">What a reward one unit of time later is worth, in [0, 1).</param>
    /// <param name="rewards">What the rewards of the log stand for; <see cref="RewardTiming.AtStart"/> by default.</param>
    /// <param name="threshold">Actions whose share is at most this times that of their state's most frequent action are left out, in [0, 1): what was hardly tried is not trusted. By default 0:
    /// only what was never tried is left out.</param>
    /// <exception cref="ArgumentOutOfRangeException">The discount or the threshold is no good.</exception>
    /// <exception cref="InvalidModelException">A state was come to but never acted from or ended in.</exception>
    public DecisionProblem EstimateLasting(double discount, RewardTiming rewards = RewardTiming.AtStart, double threshold = 0)
    {
        if (!(discount is >= 0 and < 1))
        {
            throw new ArgumentOutOfRangeException(nameof(discount), discount, "discount must lie in [0, 1)");
        }

        if (!(threshold is >= 0 and < 1))
        {
            throw new ArgumentOutOfRangeException(nameof(threshold), threshold, "threshold must lie in [0, 1)");
        }

        var timing = rewards switch
        {
            RewardTiming.AtStart => ValueFlow.Core.Values.RewardTiming.AtStart,
            RewardTiming.Evenly => ValueFlow.Core.Values.RewardTiming.Evenly,
            _ => throw new ArgumentOutOfRangeException(nameof(rewards), rewards, "rewards must be AtStart or Evenly"),
        };
        return new DecisionModel(Results.Model(LastingLog.estimate(timing, threshold, discount, core))).Discounted(discount);
    }
}

/// <summary>What the reward of a logged step that lasted stands for.</summary>
public enum RewardTiming
{
    /// <summary>Its worth at the step's start: discounted already.</summary>
    AtStart,

    /// <summary>A total that was earned evenly over the duration: total / t * (1 - discount^t) / (1 - discount).</summary>
    Evenly,
}

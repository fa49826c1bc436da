using System.Diagnostics;
using Microsoft.FSharp.Core;
using ValueFlow.Core.Learning;

namespace ValueFlow;

/// <summary>How far a training is.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Steps">Steps until the end.</param>
/// <param name="Loss">The loss of the last step.</param>
public readonly record struct TrainProgress(int Step, int Steps, double Loss);

/// <summary>A loss on the way.</summary>
/// <param name="Step">The last of the steps that it is the mean over.</param>
/// <param name="Loss">The mean squared error of the velocity, in standardised columns.</param>
public readonly record struct LossPoint(int Step, double Loss);

/// <summary>Why a training ended.</summary>
public enum TrainOutcome
{
    /// <summary>All steps were done.</summary>
    Completed,

    /// <summary>The caller cancelled: the flow is what was reached.</summary>
    Cancelled,

    /// <summary>The loss, a gradient or the parameters were no finite numbers: the flow is that of the last good parameters.</summary>
    NotFinite,
}

/// <summary>How a flow is trained.</summary>
public sealed record TrainOptions
{
    /// <summary>Steps until the end, those of a run that is resumed included; 5,000 by default.</summary>
    public int Steps { get; init; } = 5_000;

    /// <summary>Pairs in a step; 256 by default.</summary>
    public int BatchSize { get; init; } = 256;

    /// <summary>The learning rate of Adam; 0.005 by default, for a rate that falls.</summary>
    public double LearningRate { get; init; } = 5e-3;

    /// <summary>Whether the learning rate falls along half a cosine to zero at the last step; it does by default.</summary>
    public bool IsRateFalling { get; init; } = true;

    /// <summary>The decay of a moving average of the parameters that becomes the result, in [0, 1); none by default.</summary>
    public double? Average { get; init; }

    /// <summary>The seed, which decides all; 1 by default.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Told of the first step, of the last, and of one in every <see cref="ProgressInterval"/> between; nobody by default.</summary>
    public IProgress<TrainProgress>? Progress { get; init; }

    /// <summary>The time between two reports of progress; 100 ms by default, zero for a report of every step.</summary>
    public TimeSpan ProgressInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Ends the run early: the flow is then what was reached, and says so.</summary>
    public CancellationToken Cancellation { get; init; }

    /// <summary>A file in which the run is kept as it goes; none by default. If it exists, the run goes on from it, to the bit as if it had not been stopped.</summary>
    public string? Checkpoint { get; init; }

    /// <summary>Steps between two writings of the checkpoint; 1,000 by default.</summary>
    public int CheckpointEvery { get; init; } = 1_000;

    internal void Require()
    {
        static void Check(bool good, string name, object? found, string expected)
        {
            if (!good)
            {
                throw new ArgumentOutOfRangeException("options", found, $"{name} must {expected}");
            }
        }

        Check(Steps >= 1, nameof(Steps), Steps, "be at least 1");
        Check(BatchSize >= 1, nameof(BatchSize), BatchSize, "be at least 1");
        Check(LearningRate > 0 && double.IsFinite(LearningRate), nameof(LearningRate), LearningRate, "be positive and finite");
        Check(Average is null or (>= 0 and < 1), nameof(Average), Average, "lie in [0, 1)");
        Check(CheckpointEvery >= 1, nameof(CheckpointEvery), CheckpointEvery, "be at least 1");
        if (Checkpoint is string path)
        {
            Check(!string.IsNullOrWhiteSpace(path) && !Directory.Exists(path), nameof(Checkpoint), path, "be the path of a file");
            string folder = Path.GetDirectoryName(Path.GetFullPath(path)) ?? path;
            Check(Directory.Exists(folder), nameof(Checkpoint), path, "lie in a folder that exists");
        }
    }

    // The last step is always reported.
    internal T Run<T>(Func<TrainingOptions, T> run)
    {
        TrainProgress? untold = null;
        long told = 0;
        void Step(TrainingProgress progress)
        {
            TrainProgress now = new(progress.Step, Steps, progress.Loss);
            if (told != 0 && Stopwatch.GetElapsedTime(told) < ProgressInterval)
            {
                untold = now;
                return;
            }

            untold = null;
            told = Stopwatch.GetTimestamp();
            Progress!.Report(now);
        }

        Action<TrainingProgress> report = Progress is null ? _ => { } : Step;
        var rate = IsRateFalling ? Core.Learning.LearningRate.NewCosine(LearningRate, 0, Steps) : Core.Learning.LearningRate.NewConstant(LearningRate);
        var result = run(
            new(
                Steps,
                OptimiserModule.adam,
                rate,
                FSharpValueOption<double>.ValueNone,
                Average is double decay ? FSharpValueOption<double>.NewValueSome(decay) : FSharpValueOption<double>.ValueNone,
                Seed,
                1024,
                FuncConvert.FromAction(report),
                Cancellation,
                Checkpoint is string path
                    ? FSharpValueOption<CheckpointOptions>.NewValueSome(new(path, CheckpointEvery))
                    : FSharpValueOption<CheckpointOptions>.ValueNone
            )
        );
        if (untold is TrainProgress last)
        {
            Progress!.Report(last);
        }

        return result;
    }
}

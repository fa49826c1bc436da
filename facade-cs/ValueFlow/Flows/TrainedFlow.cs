using Microsoft.FSharp.Core;
using TorchSharp;
using ValueFlow.Core.Dynamics;
using ValueFlow.Core.Flows;
using ValueFlow.Core.Foundations;
using ValueFlow.Core.Learning;

namespace ValueFlow;

/// <summary>A flow that was learnt. Nothing in it changes. Points are rows in the units and the order of <see cref="Columns"/>. Running it needs libtorch (InvalidOperationException without).</summary>
public sealed class TrainedFlow
{
    private readonly TrainedTransport core;

    internal TrainedFlow(TrainedTransport core, TimeSpan elapsed)
    {
        this.core = core;
        Elapsed = elapsed;
        Columns = Array.AsReadOnly(core.Columns);
        Losses = Array.AsReadOnly([.. core.Losses.Select((loss, k) => new LossPoint((k + 1) * core.LossStride, loss))]);
        (Outcome, OutcomeText) = core.Outcome switch
        {
            { IsCompleted: true } => (TrainOutcome.Completed, $"all {core.Steps} steps were done"),
            TrainingOutcome.NotFinite broken => (TrainOutcome.NotFinite, broken.found),
            _ => (TrainOutcome.Cancelled, $"cancelled after {core.Steps} steps"),
        };
    }

    /// <summary>The names of the columns.</summary>
    public IReadOnlyList<string> Columns { get; }

    /// <summary>The interpolant that it was learnt on.</summary>
    public Interpolant Interpolant => Interpolant.Of(core.Path);

    /// <summary>The pairing that it was learnt with.</summary>
    public Pairing Pairing => Pairing.Of(core.Pairing);

    /// <summary>Whether the source is a normal law, so that <see cref="Sample"/> and <see cref="LogDensity"/> are to be had.</summary>
    public bool HasNormalSource => core.Base == TransportBase.Normal;

    /// <summary>The mean of each column, which is subtracted before the network sees it.</summary>
    public IReadOnlyList<double> Means => Array.AsReadOnly(core.Scale.Mean);

    /// <summary>The standard deviation of each column, by which it is divided.</summary>
    public IReadOnlyList<double> Deviations => Array.AsReadOnly(core.Scale.Deviation);

    /// <summary>The losses of the training: means over equally many steps, at most 1,024 of them.</summary>
    public IReadOnlyList<LossPoint> Losses { get; }

    /// <summary>Why the training ended.</summary>
    public TrainOutcome Outcome { get; }

    /// <summary>Why the training ended, in words.</summary>
    public string OutcomeText { get; }

    /// <summary>Steps of the training.</summary>
    public int Steps => core.Steps;

    /// <summary>The seed of the training.</summary>
    public int Seed => core.Seed;

    /// <summary>How long the last call of Train took; zero for a flow that was loaded.</summary>
    public TimeSpan Elapsed { get; }

    /// <summary>New points of the law at time 1.</summary>
    /// <param name="count">How many; at least 1.</param>
    /// <param name="seed">The seed, which decides all.</param>
    /// <param name="options">The sampler, progress and cancellation.</param>
    /// <exception cref="InvalidOperationException">The source is a sample (carry points of it by <see cref="Transport"/>), the sampler does not go with the flow, or the solver stopped on the way.</exception>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public FlowSamples Sample(int count, int seed = 1, SampleOptions? options = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        return InScope(() => Carry(TrainedTransportModule.drawBase(core, new Generator(seed), count), TimeIntervalModule.whole, seed, options));
    }

    /// <summary>Carries points of the source to the target.</summary>
    /// <param name="points">The points, one a row.</param>
    /// <param name="options">The sampler, progress and cancellation.</param>
    /// <param name="seed">The seed of a stochastic sampler.</param>
    /// <exception cref="ArgumentException">A point has the wrong number of numbers, or one that is not finite.</exception>
    /// <exception cref="InvalidOperationException">The sampler does not go with the flow, or the solver stopped on the way.</exception>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public FlowSamples Transport(IReadOnlyList<double[]> points, SampleOptions? options = null, int seed = 1) =>
        InScope(() => Carry(Tensor(points), TimeIntervalModule.whole, seed, options));

    /// <summary>Carries points of the target back to the source: the inverse of <see cref="Transport"/>. Ordinary equations only.</summary>
    /// <param name="points">The points, one a row.</param>
    /// <param name="options">The sampler, progress and cancellation.</param>
    /// <exception cref="ArgumentException">A point is no good, or the sampler is stochastic.</exception>
    /// <exception cref="InvalidOperationException">The solver stopped on the way.</exception>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public FlowSamples TransportBack(IReadOnlyList<double[]> points, SampleOptions? options = null) =>
        InScope(() => Carry(Tensor(points), TimeIntervalModule.back, 0, options));

    /// <summary>Where points of the source are at each of the times: [time][point][column].</summary>
    /// <param name="points">The points at time 0, one a row.</param>
    /// <param name="times">Times in [0, 1], ascending.</param>
    /// <param name="options">The sampler, progress and cancellation.</param>
    /// <exception cref="ArgumentException">A point or a time is no good, or the sampler is stochastic.</exception>
    /// <exception cref="InvalidOperationException">The solver stopped on the way.</exception>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public double[][][] Trajectories(IReadOnlyList<double[]> points, IReadOnlyList<double> times, SampleOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(times);
        if (times.Count == 0)
        {
            throw new ArgumentException("must have at least one time but has none", nameof(times));
        }

        options ??= new();
        return InScope(() =>
        {
            var samples = options.Sampler.Run(core, Tensor(points), TimeIntervalModule.whole, times, 0, options);
            SolveEnds.Require(samples.Reason, samples.Time, options.Cancellation);
            return Array.ConvertAll(samples.Saved, Rows.FromTensor);
        });
    }

    /// <summary>The trajectories of so many points that are drawn from a normal source.</summary>
    /// <param name="count">How many; at least 1.</param>
    /// <param name="times">Times in [0, 1], ascending.</param>
    /// <param name="seed">The seed of the points.</param>
    /// <param name="options">The sampler, progress and cancellation.</param>
    /// <exception cref="InvalidOperationException">The source is a sample, or the solver stopped on the way.</exception>
    public double[][][] Trajectories(int count, IReadOnlyList<double> times, int seed = 1, SampleOptions? options = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        return Trajectories(InScope(() => Rows.FromTensor(TrainedTransportModule.drawBase(core, new Generator(seed), count))), times, options);
    }

    /// <summary>The velocity at points and a time, in units of the columns for each unit of time.</summary>
    /// <param name="time">The time, in [0, 1].</param>
    /// <param name="points">The points, one a row.</param>
    /// <exception cref="ArgumentException">The time or a point is no good.</exception>
    public double[][] Velocity(double time, IReadOnlyList<double[]> points)
    {
        if (!(time >= 0 && time <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(time), time, "must lie in [0, 1]");
        }

        return InScope(() => Rows.FromTensor(TrainedTransportModule.velocity(core).Apply.Invoke(torch.tensor(time)).Invoke(Tensor(points))));
    }

    /// <summary>The natural logarithm of the density at points, in units of the columns.</summary>
    /// <param name="points">The points, one a row.</param>
    /// <param name="options">Exact or estimated, tolerance, progress and cancellation.</param>
    /// <exception cref="ArgumentException">A point or an option is no good.</exception>
    /// <exception cref="InvalidOperationException">The source is a sample, whose density is not known, or the solver stopped on the way.</exception>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public double[] LogDensity(IReadOnlyList<double[]> points, DensityOptions? options = null)
    {
        options ??= new();
        ArgumentOutOfRangeException.ThrowIfNegative(options.Directions, nameof(options));
        return InScope(() =>
        {
            var divergence =
                options.Directions == 0
                    ? DivergenceMethod.Exact
                    : DivergenceMethod.NewHutchinson(new Generator(options.Seed), Probe.Rademacher, options.Directions);
            OdeOptions ode = new()
            {
                Tolerance = options.Tolerance,
                Times = [],
                MaximumSteps = options.MaximumSteps,
                Progress = options.Progress,
                Cancellation = options.Cancellation,
            };
            var found = TrainedTransportModule.logDensity(
                new(ode.Core(1, 0), TimeIntervalModule.whole, divergence, false),
                core,
                Tensor(points)
            );
            SolveEnds.Require(found.Reason, null, options.Cancellation);
            return found.LogDensity.data<double>().ToArray();
        });
    }

    /// <summary>Saves the flow as one safetensors file with all that is known of it; the file is there whole or not at all.</summary>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        TrainedTransportModule.save(path, core);
    }

    /// <summary>Loads a flow that was saved: it gives the same numbers, bit for bit.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is none of a trained flow, or damaged: the message names the file, what was expected and what was found.</exception>
    public static TrainedFlow Load(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return new(TrainedTransportModule.load(path), TimeSpan.Zero);
    }

    private torch.Tensor Tensor(IReadOnlyList<double[]> points) => Rows.ToTensor(nameof(points), points, Columns.Count);

    private FlowSamples Carry(torch.Tensor points, TimeInterval interval, int seed, SampleOptions? options)
    {
        options ??= new();
        var samples = options.Sampler.Run(core, points, interval, [], seed, options);
        SolveEnds.Require(samples.Reason, samples.Time, options.Cancellation);
        return new(Columns, Rows.FromTensor(samples.Final), samples.Steps, samples.Rejections, samples.VelocityEvaluations + samples.ScoreEvaluations);
    }

    private static T InScope<T>(Func<T> work)
    {
        Lifetime.requireTorch();
        using var quiet = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        return work();
    }
}

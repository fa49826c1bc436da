using Microsoft.Data.Analysis;
using Microsoft.FSharp.Collections;
using ValueFlow.Core.Foundations;
using ValueFlow.Core.Learning;

namespace ValueFlow;

/// <summary>
/// A flow to be learnt, said as a sentence: from a source, to a target, paired, along an interpolant, with a network. It never changes: each word returns a new one.
/// Columns are standardised within, with the mean and deviation of the target's (of both samples together, if the source is one, too).
/// </summary>
public sealed class Flow
{
    private readonly Source source;
    private readonly Table target;
    private readonly Pairing pairing;
    private readonly Interpolant interpolant;
    private readonly NetworkShape network;

    private Flow(Source source, Table target, Pairing pairing, Interpolant interpolant, NetworkShape network)
    {
        this.source = source;
        this.target = target;
        this.pairing = pairing;
        this.interpolant = interpolant;
        this.network = network;
    }

    /// <summary>A flow from a source.</summary>
    public static FlowStart From(Source source)
    {
        ArgumentNullException.ThrowIfNull(source);
        return new(source);
    }

    internal static Flow Between(Source source, Table target)
    {
        target.Varied();
        if (source.Dimension is int dimension && dimension != target.Columns.Count)
        {
            throw new ArgumentException(
                $"the target must have {dimension} columns, as the source has, but has {target.Columns.Count}: {string.Join(", ", target.Columns)}",
                nameof(target)
            );
        }

        if (source.Table is Table sample && !sample.Columns.SequenceEqual(target.Columns))
        {
            throw new ArgumentException(
                $"the target must have the source's columns {string.Join(", ", sample.Columns)} but has {string.Join(", ", target.Columns)}",
                nameof(target)
            );
        }

        return new(source, target, Pairing.Independent, Interpolant.Linear, NetworkShape.Mlp(64, 64, 64));
    }

    /// <summary>Pairs source and target in another way than at random.</summary>
    public Flow PairedBy(Pairing pairing)
    {
        ArgumentNullException.ThrowIfNull(pairing);
        return new(source, target, pairing, interpolant, network);
    }

    /// <summary>Goes along another interpolant than the straight line.</summary>
    public Flow Along(Interpolant interpolant)
    {
        ArgumentNullException.ThrowIfNull(interpolant);
        return new(source, target, pairing, interpolant, network);
    }

    /// <summary>Learns with another network than three layers of 64.</summary>
    public Flow With(NetworkShape network)
    {
        ArgumentNullException.ThrowIfNull(network);
        return new(source, target, pairing, interpolant, network);
    }

    /// <summary>Trains the flow, or goes on with the run whose checkpoint the options name. The outcome says how the run ended.</summary>
    /// <exception cref="ArgumentException">An option is no good.</exception>
    /// <exception cref="InvalidDataException">The checkpoint is none, or that of other data, another flow or other options.</exception>
    /// <exception cref="InvalidOperationException">libtorch cannot be loaded.</exception>
    public TrainedFlow Train(TrainOptions? options = null)
    {
        options ??= new();
        options.Require();
        Lifetime.requireTorch();
        TransportDesign design = new(
            interpolant.Core,
            pairing.Core,
            ListModule.OfSeq(network.Hidden),
            network.CoreActivation,
            network.CoreTime,
            options.BatchSize
        );
        var start = source.Table is Table sample ? TransportSource.NewRows(sample.Data) : TransportSource.Normal;
        string[] columns = [.. target.Columns];
        var fit = options.Run(run =>
            options.Checkpoint is string path && File.Exists(path)
                ? TransportTraining.resume(path, run, design, columns, start, target.Data)
                : TransportTraining.run(run, design, columns, start, target.Data)
        );
        return new(fit.Transport, TimeSpan.FromSeconds(fit.Run.Seconds));
    }
}

/// <summary>A source that waits for its target.</summary>
public sealed class FlowStart
{
    private readonly Source source;

    internal FlowStart(Source source) => this.source = source;

    /// <summary>The law that the flow shall reach at time 1, as a sample.</summary>
    /// <exception cref="TableException">There are fewer than two rows, or a column is constant.</exception>
    /// <exception cref="ArgumentException">Source and target have different columns.</exception>
    public Flow To(Table target)
    {
        ArgumentNullException.ThrowIfNull(target);
        return Flow.Between(source, target);
    }

    /// <summary>The same, for rows.</summary>
    /// <exception cref="TableException">A number is not finite, rows differ in length, there are fewer than two, or a column is constant.</exception>
    public Flow To(double[][] target) => To(Table.From(target));

    /// <summary>The same, for an array (rows, columns).</summary>
    /// <exception cref="TableException">A number is not finite, there are fewer than two rows, or a column is constant.</exception>
    public Flow To(double[,] target) => To(Table.From(target));

    /// <summary>The same, for a data frame of numbers.</summary>
    /// <exception cref="TableException">A column holds text, a number is not finite, there are fewer than two rows, or a column is constant.</exception>
    public Flow To(DataFrame target) => To(Table.From(target));
}

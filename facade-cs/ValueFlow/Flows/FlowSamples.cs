using Microsoft.Data.Analysis;

namespace ValueFlow;

/// <summary>Points that a flow carried, under the columns of its table. Nothing in it changes; it can stand where rows are asked for.</summary>
public sealed class FlowSamples
{
    internal FlowSamples(IReadOnlyList<string> columns, double[][] points, int steps, int rejections, int evaluations)
    {
        Table = Table.Of(columns, points);
        Steps = steps;
        Rejections = rejections;
        Evaluations = evaluations;
    }

    /// <summary>The points as a table.</summary>
    public Table Table { get; }

    /// <summary>The points, one a row.</summary>
    public double[][] Points => Table.Data;

    /// <summary>Steps of the solver.</summary>
    public int Steps { get; }

    /// <summary>Steps rejected.</summary>
    public int Rejections { get; }

    /// <summary>Evaluations of the network on all points.</summary>
    public int Evaluations { get; }

    /// <summary>The points as a data frame.</summary>
    public DataFrame ToDataFrame() => Table.ToDataFrame();

    /// <summary>Writes the points as .csv or .parquet; the file appears whole or not at all.</summary>
    public void Save(string path) => Table.Save(path);

    /// <summary>The points.</summary>
    public static implicit operator double[][](FlowSamples samples)
    {
        ArgumentNullException.ThrowIfNull(samples);
        return samples.Points;
    }
}

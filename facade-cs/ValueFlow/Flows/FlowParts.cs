using ValueFlow.Core.Learning;

namespace ValueFlow;

/// <summary>What a flow starts from, at time 0.</summary>
public sealed class Source
{
    private Source(int? dimension, Table? table) => (Dimension, Table) = (dimension, table);

    /// <summary>The number of columns; null for a normal law that takes the target's.</summary>
    public int? Dimension { get; }

    /// <summary>The sample, if it is one.</summary>
    public Table? Table { get; }

    /// <summary>The normal law with the mean and the deviation of each of the target's columns, the columns independent. Its density is known, and so is the flow's.</summary>
    public static Source Normal() => new(null, null);

    /// <summary>The same, for a target of so many columns.</summary>
    public static Source Normal(int dimension)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(dimension, 1);
        return new(dimension, null);
    }

    /// <summary>A sample: rows are drawn from it with replacement.</summary>
    /// <exception cref="TableException">There are fewer than two rows, or a column is constant.</exception>
    public static Source Sample(Table table)
    {
        ArgumentNullException.ThrowIfNull(table);
        return new(table.Columns.Count, table.Varied());
    }
}

/// <summary>Who of the source is paired with whom of the target, in each step of the training.</summary>
public sealed class Pairing
{
    private Pairing(TransportPairing core) => Core = core;

    internal TransportPairing Core { get; }

    /// <summary>The name, as files have it.</summary>
    public string Name => TransportDesignModule.pairingName(Core);

    /// <summary>At random: with a normal source, flow matching of Lipman and others 2023; samplers with noise are to be had.</summary>
    public static Pairing Independent { get; } = new(TransportPairing.Independent);

    /// <summary>By the pairing of least total squared distance in each step: straighter paths (Tong and others 2024).</summary>
    public static Pairing OptimalTransport { get; } = new(TransportPairing.OptimalTransport);

    /// <summary>Drawn from an entropically regularised plan.</summary>
    /// <param name="regularisation">Positive, in units of squared standard deviations.</param>
    public static Pairing Sinkhorn(double regularisation) =>
        regularisation > 0 && double.IsFinite(regularisation)
            ? new(TransportPairing.NewSinkhorn(regularisation))
            : throw new ArgumentOutOfRangeException(nameof(regularisation), regularisation, "must be positive and finite");

    /// <summary>The pairing of a name: independent, optimal-transport or sinkhorn:REGULARISATION; null for another.</summary>
    public static Pairing? TryParse(string name) => TransportDesignModule.tryParsePairing(name)?.Value is { } core ? new(core) : null;

    internal static Pairing Of(TransportPairing core) => new(core);

    /// <summary>The name.</summary>
    public override string ToString() => Name;
}

/// <summary>The way between a pair, from time 0 to time 1.</summary>
public sealed class Interpolant
{
    private Interpolant(TransportPath core) => Core = core;

    internal TransportPath Core { get; }

    /// <summary>The name, as files have it.</summary>
    public string Name => TransportDesignModule.pathName(Core);

    /// <summary>The straight line.</summary>
    public static Interpolant Linear { get; } = new(TransportPath.Linear);

    /// <summary>cos(pi t/2) and sin(pi t/2): keeps the variance of independent pairs.</summary>
    public static Interpolant Trigonometric { get; } = new(TransportPath.Trigonometric);

    /// <summary>The source dissolves into noise, from which the target forms.</summary>
    public static Interpolant EncodingDecoding { get; } = new(TransportPath.EncodingDecoding);

    /// <summary>The straight line with noise of variance a t (1 - t) around it, in standardised columns.</summary>
    /// <param name="variance">a, positive.</param>
    public static Interpolant BrownianBridge(double variance) =>
        variance > 0 && double.IsFinite(variance)
            ? new(TransportPath.NewBrownianBridge(variance))
            : throw new ArgumentOutOfRangeException(nameof(variance), variance, "must be positive and finite");

    internal static Interpolant Of(TransportPath core) => new(core);

    /// <summary>The name.</summary>
    public override string ToString() => Name;
}

/// <summary>What the function between two layers is.</summary>
public enum Activation
{
    /// <summary>x / (1 + e^-x): smooth, and the default.</summary>
    Silu,

    /// <summary>Self-normalising.</summary>
    Selu,

    /// <summary>Exponential linear.</summary>
    Elu,

    /// <summary>x P(Z at most x): smooth.</summary>
    Gelu,

    /// <summary>The hyperbolic tangent: smooth.</summary>
    Tanh,

    /// <summary>max(x, 0): not smooth, so that log-densities are rougher.</summary>
    Relu,
}

/// <summary>What the network of a velocity looks like.</summary>
public sealed record NetworkShape
{
    private NetworkShape(IReadOnlyList<int> hidden) => Hidden = hidden;

    /// <summary>The widths of the hidden layers, first to last.</summary>
    public IReadOnlyList<int> Hidden { get; }

    /// <summary>The activation after each hidden layer.</summary>
    public Activation Activation { get; init; } = Activation.Silu;

    /// <summary>How many sines and cosines of the time enter beside it; none by default.</summary>
    public int TimeFrequencies { get; init; }

    /// <summary>A multilayer perceptron of the point and the time.</summary>
    /// <param name="hidden">The widths of the hidden layers, each at least 1.</param>
    public static NetworkShape Mlp(params int[] hidden)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        foreach (int width in hidden)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(width, 1, nameof(hidden));
        }

        return new(Array.AsReadOnly([.. hidden]));
    }

    internal Core.Learning.Activation CoreActivation =>
        ActivationModule.tryParse(Activation.ToString().ToLowerInvariant())?.Value
        ?? throw new ArgumentException($"the activation must be one of {string.Join(", ", Enum.GetNames<Activation>())} but is {Activation}");

    internal TimeInput CoreTime =>
        TimeFrequencies == 0 ? TimeInput.Plain
        : TimeFrequencies > 0 ? TimeInput.NewFourier(TimeFrequencies)
        : throw new ArgumentException($"TimeFrequencies must not be negative but is {TimeFrequencies}");
}

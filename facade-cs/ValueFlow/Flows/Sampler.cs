using ValueFlow.Core.Dynamics;
using ValueFlow.Core.Flows;

namespace ValueFlow;

/// <summary>How points are carried from one end of a flow to the other.</summary>
public sealed class Sampler
{
    private readonly double tolerance;
    private readonly int steps;
    private readonly OdeScheme scheme;
    private readonly Schedule? noise;

    private Sampler(string name, double tolerance, int steps, OdeScheme scheme, Schedule? noise)
    {
        Name = name;
        this.tolerance = tolerance;
        this.steps = steps;
        this.scheme = scheme;
        this.noise = noise;
    }

    /// <summary>The name.</summary>
    public string Name { get; }

    /// <summary>The ordinary equation, by Dormand-Prince 5 with error control: the default.</summary>
    /// <param name="tolerance">The error that a step may make, in standard deviations; at least 1e-7, since networks compute in float32.</param>
    public static Sampler Ode(double tolerance = 1e-5) =>
        tolerance >= 1e-7 && double.IsFinite(tolerance)
            ? new($"ODE, tolerance {tolerance:R}", tolerance, 0, OdeScheme.DormandPrince5, null)
            : throw new ArgumentOutOfRangeException(nameof(tolerance), tolerance, "must be finite and at least 1e-7");

    /// <summary>The ordinary equation in so many equal steps.</summary>
    /// <param name="steps">At least 1.</param>
    /// <param name="scheme">The scheme; Heun's by default.</param>
    public static Sampler FewSteps(int steps, OdeScheme scheme = OdeScheme.Heun)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(steps, 1);
        _ = OdeOptions.CoreScheme(scheme);
        return new($"{steps} steps of {scheme}", 0, steps, scheme, null);
    }

    /// <summary>The stochastic equation with the noise level 4 e t (1 - t), by Euler-Maruyama. Every level has the same law at every time; noise forgives errors of the velocity.
    /// Only for flows from a normal source with independent pairs and no noise in the interpolant, where the velocity tells the score; forwards only.</summary>
    /// <param name="noise">e, the level in the middle; not negative, in standardised columns.</param>
    /// <param name="steps">At least 1; 500 by default.</param>
    public static Sampler Sde(double noise, int steps = 500)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(steps, 1);
        return noise >= 0 && double.IsFinite(noise)
            ? new($"SDE, noise {noise:R}, {steps} steps", 0, steps, OdeScheme.Euler, NoiseLevel.parabola(noise))
            : throw new ArgumentOutOfRangeException(nameof(noise), noise, "must be finite and not negative");
    }

    internal Samples Run(
        Core.Learning.TrainedTransport transport,
        TorchSharp.torch.Tensor points,
        TimeInterval interval,
        IReadOnlyList<double> times,
        int seed,
        SampleOptions options
    )
    {
        if (noise is Schedule level)
        {
            if (times.Count > 0 || !interval.IsForward || interval.From != 0 || interval.Until != 1)
            {
                throw new ArgumentException("a stochastic sampler runs from 0 to 1 and keeps no times on the way: choose an ODE", nameof(options));
            }

            Core.Dynamics.SdeOptions sde = new(
                SdeSchemeModule.eulerMaruyama,
                steps,
                0,
                Microsoft.FSharp.Core.FuncConvert.FromAction<SdeProgress>(now => options.Progress?.Report(new(now.Time, now.Steps, 0))),
                options.Cancellation
            );
            return Core.Learning.TrainedTransportModule.sde(sde, level, seed, transport, points);
        }

        OdeOptions ode = new()
        {
            Scheme = scheme,
            Tolerance = tolerance,
            Step = steps > 0 ? Math.Abs(interval.Until - interval.From) / steps : null,
            Times = times,
            MaximumSteps = options.MaximumSteps,
            Progress = options.Progress,
            Cancellation = options.Cancellation,
        };
        return Core.Learning.TrainedTransportModule.ode(ode.Core(interval.From, interval.Until), interval, transport, points);
    }
}

/// <summary>How points are carried by a flow.</summary>
public sealed record SampleOptions
{
    /// <summary>The sampler; the ordinary equation with tolerance 1e-5 by default.</summary>
    public Sampler Sampler { get; init; } = Sampler.Ode();

    /// <summary>The most steps of an ordinary equation; 10,000 by default.</summary>
    public int MaximumSteps { get; init; } = 10_000;

    /// <summary>Told of every step; nobody by default.</summary>
    public IProgress<TimeProgress>? Progress { get; init; }

    /// <summary>Ends the run with an OperationCanceledException.</summary>
    public CancellationToken Cancellation { get; init; }
}

/// <summary>How a log-density is computed.</summary>
public sealed record DensityOptions
{
    /// <summary>The error that a step may make; positive, 1e-6 by default.</summary>
    public double Tolerance { get; init; } = 1e-6;

    /// <summary>Random directions of Hutchinson's estimate of the divergence, for many columns; 0, the default, for the exact one.</summary>
    public int Directions { get; init; }

    /// <summary>The seed of the directions; 1 by default.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>The most steps; 10,000 by default.</summary>
    public int MaximumSteps { get; init; } = 10_000;

    /// <summary>Told of every step; nobody by default.</summary>
    public IProgress<TimeProgress>? Progress { get; init; }

    /// <summary>Ends the run with an OperationCanceledException.</summary>
    public CancellationToken Cancellation { get; init; }
}

using Microsoft.FSharp.Collections;
using ValueFlow.Core.Foundations;

namespace ValueFlow;

/// <summary>A kernel by which a maximum mean discrepancy compares clouds of particles. Bad parameters are refused where the kernel is used (ArgumentException).</summary>
public sealed class ParticleKernel
{
    private ParticleKernel(MmdKernel core) => Core = core;

    internal MmdKernel Core { get; }

    /// <summary>Gaussian, with the median distance of each row's points as bandwidth.</summary>
    public static ParticleKernel GaussianByMedian { get; } = new(MmdKernel.GaussianByMedian);

    /// <summary>The mean of Gaussian kernels exp(-|x - y|^2 / (2 h^2)).</summary>
    /// <param name="bandwidths">The bandwidths h, positive.</param>
    public static ParticleKernel Gaussian(params IReadOnlyList<double> bandwidths)
    {
        ArgumentNullException.ThrowIfNull(bandwidths);
        return new(MmdKernel.NewGaussian(ListModule.OfSeq(bandwidths)));
    }

    /// <summary>(c^2 + |x - y|^2)^(-1/2).</summary>
    /// <param name="scale">The scale c, positive.</param>
    public static ParticleKernel InverseMultiquadric(double scale) => new(MmdKernel.NewInverseMultiquadric(scale));

    /// <summary>-|x - y|^b: the energy distance.</summary>
    /// <param name="exponent">The exponent b in (0, 2).</param>
    public static ParticleKernel Energy(double exponent = 1) => new(MmdKernel.NewEnergyKernel(exponent));
}

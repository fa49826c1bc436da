using TorchSharp;
using ValueFlow.Core.Returns;
using Losses = ValueFlow.Core.Returns.ReturnLoss;

namespace ValueFlow;

/// <summary>
/// Losses for learning laws of returns: on tensors, for networks that are trained with TorchSharp, and on plain memory. A loss of tensors (float32 or float64) is one number, the mean over the
/// rows of the batch; its gradient flows to the first tensor only. On float32 in the processor's memory value and gradient come from fused kernels; second derivatives are not offered. What does not fit,
/// and numbers that are not finite, are refused with an ArgumentException before anything native runs. The caller, or the scope in force, frees the tensor returned.
/// </summary>
public static class ReturnLoss
{
    /// <summary>Cross-entropy of a law given by logits to target masses: -mean over rows of sum t log softmax(x). Bellemare, Dabney and Munos 2017.</summary>
    /// <param name="logits">Logits (batch, count).</param>
    /// <param name="targetMasses">Masses (batch, count), not negative.</param>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or a number is not finite.</exception>
    public static torch.Tensor Categorical(torch.Tensor logits, torch.Tensor targetMasses)
    {
        ArgumentNullException.ThrowIfNull(logits);
        ArgumentNullException.ThrowIfNull(targetMasses);
        return Losses.categorical(logits, targetMasses);
    }

    /// <summary>The quantile Huber loss; its conventions are those of the options. Dabney, Rowland, Bellemare and Munos 2018.</summary>
    /// <param name="predictions">Predicted quantiles (batch, n).</param>
    /// <param name="targets">Targets (batch, m); m and n may differ.</param>
    /// <param name="options">The conventions; kappa 1, divided by kappa, levels in the middle of equal shares by default.</param>
    /// <exception cref="ArgumentException">Shapes, types or options do not fit, or a number is not finite.</exception>
    public static torch.Tensor QuantileHuber(torch.Tensor predictions, torch.Tensor targets, QuantileLossOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(predictions);
        ArgumentNullException.ThrowIfNull(targets);
        if (predictions.dim() != 2)
        {
            throw new ArgumentException($"shape must be [any, any] but is [{string.Join(", ", predictions.shape)}]", nameof(predictions));
        }

        return Losses.quantileHuber((options ?? new()).Rule(nameof(predictions), (int)predictions.shape[1]), predictions, targets);
    }

    /// <summary>Cross-entropy to the HL-Gauss laws of numbers: a regression as a classification. Imani and White 2018; Farebrother et al. 2024.</summary>
    /// <param name="support">The atoms, in the middle of the bins.</param>
    /// <param name="logits">Logits (batch, atoms).</param>
    /// <param name="values">Numbers (batch).</param>
    /// <param name="deviation">The deviation of the normal law around a number, positive; 0.75 gaps by default.</param>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or a number is not finite.</exception>
    public static torch.Tensor HlGauss(ReturnSupport support, torch.Tensor logits, torch.Tensor values, double? deviation = null)
    {
        ArgumentNullException.ThrowIfNull(support);
        ArgumentNullException.ThrowIfNull(logits);
        ArgumentNullException.ThrowIfNull(values);
        return Losses.hlGauss(support.Core, deviation ?? 0.75 * support.Gap, logits, values);
    }

    /// <summary>Cross-entropy to the two-hot laws of numbers: mass on the two atoms around a number, whose mean is the number.</summary>
    /// <param name="support">The atoms.</param>
    /// <param name="logits">Logits (batch, atoms).</param>
    /// <param name="values">Numbers (batch).</param>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or a number is not finite.</exception>
    public static torch.Tensor TwoHot(ReturnSupport support, torch.Tensor logits, torch.Tensor values)
    {
        ArgumentNullException.ThrowIfNull(support);
        ArgumentNullException.ThrowIfNull(logits);
        ArgumentNullException.ThrowIfNull(values);
        return Losses.twoHot(support.Core, logits, values);
    }

    /// <summary>The mean over rows of the squared maximum mean discrepancy of two clouds of particles. Gretton et al. 2012.</summary>
    /// <param name="particles">Particles (batch, n, width).</param>
    /// <param name="targets">Targets (batch, m, width).</param>
    /// <param name="kernel">The kernel; Gaussian with the median distance as bandwidth by default.</param>
    /// <exception cref="ArgumentException">Shapes, types or the kernel do not fit, or a number is not finite.</exception>
    public static torch.Tensor SquaredMmd(torch.Tensor particles, torch.Tensor targets, ParticleKernel? kernel = null)
    {
        ArgumentNullException.ThrowIfNull(particles);
        ArgumentNullException.ThrowIfNull(targets);
        return Losses.mmd((kernel ?? ParticleKernel.GaussianByMedian).Core, particles, targets);
    }

    /// <summary>
    /// Writes for each row the law of r + c Z, Z with the row's masses, projected onto the support: the target of a categorical agent. Mass is kept, and means where nothing is clipped.
    /// The discount c is 0 where the step terminated; a step that was only cut off (truncated) keeps its discount.
    /// </summary>
    /// <param name="support">The atoms.</param>
    /// <param name="rewards">One reward a row.</param>
    /// <param name="discounts">One discount a row, not negative.</param>
    /// <param name="masses">The masses of the next laws, row by row.</param>
    /// <param name="projected">Where the projected masses go.</param>
    /// <param name="threads">Threads to work on; two pay for thousands of rows.</param>
    /// <returns>The mass that was clipped to the ends of the support, summed over the rows.</returns>
    /// <exception cref="ArgumentException">Lengths do not fit, or a number is not finite.</exception>
    public static double Project(
        ReturnSupport support,
        ReadOnlySpan<float> rewards,
        ReadOnlySpan<float> discounts,
        ReadOnlySpan<float> masses,
        Span<float> projected,
        int threads = 1)
    {
        ArgumentNullException.ThrowIfNull(support);
        return CategoricalKernel.project(support.Core, threads, rewards, discounts, masses, projected);
    }

    /// <summary>As the other form, into a fresh array.</summary>
    /// <exception cref="ArgumentException">Lengths do not fit, or a number is not finite.</exception>
    public static float[] Project(ReturnSupport support, float[] rewards, float[] discounts, float[] masses)
    {
        ArgumentNullException.ThrowIfNull(masses);
        float[] projected = new float[masses.Length];
        Project(support, rewards, discounts, masses, projected);
        return projected;
    }

    /// <summary>The quantile Huber loss, and its gradient by the predictions.</summary>
    /// <param name="count">Predictions a row.</param>
    /// <param name="predictions">Predicted quantiles, row by row.</param>
    /// <param name="targets">Targets, row by row, as many rows; more or fewer a row.</param>
    /// <param name="gradient">Where the gradient goes; empty for the loss alone.</param>
    /// <param name="options">The conventions, as above.</param>
    /// <param name="threads">Threads to work on.</param>
    /// <returns>The loss.</returns>
    /// <exception cref="ArgumentException">Lengths or options do not fit, or a number is not finite.</exception>
    public static double QuantileHuber(
        int count,
        ReadOnlySpan<float> predictions,
        ReadOnlySpan<float> targets,
        Span<float> gradient,
        QuantileLossOptions? options = null,
        int threads = 1) =>
        QuantileKernel.lossAndGradient((options ?? new()).Rule(nameof(count), count), threads, predictions, targets, gradient);
}

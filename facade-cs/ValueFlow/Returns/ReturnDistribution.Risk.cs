using ValueFlow.Core.Returns;

namespace ValueFlow;

/// <content>What a law is worth to someone who is averse to risk. Shares, levels and aversions that are no good are an ArgumentException.</content>
public sealed partial class ReturnDistribution
{
    /// <summary>Value at risk: the outcome at the edge of a tail, the quantile at the share (lower) or at 1 - share (upper).</summary>
    /// <param name="share">The tail's share of outcomes, in (0, 1].</param>
    /// <param name="tail">Which tail; the lower one by default.</param>
    public double ValueAtRisk(double share, Tail tail = Tail.Lower) =>
        Of(tail, Core.Returns.Tail.quantileLower(share), () => core.Quantile(1 - share));

    /// <summary>Conditional value at risk: the mean of the worst (lower) or best (upper) share of outcomes. The mean for a share of 1.</summary>
    /// <param name="share">The tail's share of outcomes, in (0, 1].</param>
    /// <param name="tail">Which tail; the lower one by default.</param>
    public double Cvar(double share, Tail tail = Tail.Lower)
    {
        var lower = Core.Returns.Tail.cvar(share);
        return Of(tail, lower, () => Value(Core.Returns.Tail.upperCvar(share)));
    }

    /// <summary>The entropic certainty equivalent -(1/b) log E exp(-b X): averse for b &gt; 0, seeking for b &lt; 0, the mean for b = 0.</summary>
    /// <param name="aversion">The aversion b, per unit of return; finite.</param>
    public double Entropic(double aversion) => Value(Entropy.certaintyEquivalent(aversion));

    /// <summary>The entropic value at risk: the worst mean over all laws whose relative entropy to this one is at most -log share. At most CVaR of the share.</summary>
    /// <param name="share">In (0, 1]; the mean for 1.</param>
    public double EntropicValueAtRisk(double share) => Value(Entropy.evar(share));

    /// <summary>The expectile e: t E max(X - e, 0) = (1 - t) E max(e - X, 0). The mean for a level of 1/2, averse below.</summary>
    /// <param name="level">The level t, in (0, 1).</param>
    public double Expectile(double level) => Value(Core.Returns.Tail.expectile(level));

    /// <summary>Wang's transform: the mean after the normal scores of levels were moved by the aversion. A normal law with mean m and deviation s is worth m - aversion s.</summary>
    /// <param name="aversion">Averse if positive, seeking if negative; finite.</param>
    public double Wang(double aversion) => Value(DistortionModule.functional(DistortionModule.wang(aversion)));

    /// <summary>Mean less weight times the deviation below the mean, of order 1 (mean) or 2 (root of the mean square).</summary>
    /// <param name="weight">In [0, 1].</param>
    /// <param name="order">1 or 2.</param>
    public double MeanSemideviation(double weight, int order = 1) => Value(FunctionalModule.meanSemideviation(order, weight));

    private double Value(Functional functional) => functional.Value.Invoke(core);

    private double Of(Tail tail, Functional lower, Func<double> upper) =>
        tail switch
        {
            Tail.Lower => Value(lower),
            Tail.Upper => upper(),
            _ => throw new ArgumentOutOfRangeException(nameof(tail), tail, "the tail must be the lower or the upper one"),
        };
}

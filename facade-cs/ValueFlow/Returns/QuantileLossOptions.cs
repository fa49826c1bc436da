using ValueFlow.Core.Returns;

namespace ValueFlow;

/// <summary>
/// The conventions of the quantile Huber loss. For predictions q(i) of levels t(i), targets y(j) and d = y(j) - q(i) it is the mean over rows of the sum over i of the mean over j of
/// |t(i) - 1{d &lt; 0}| h(d), with h(d) = d^2 / (2 k) for |d| &lt;= k and |d| - k/2 beyond; k times that where it is not divided by k; |d| for k = 0.
/// </summary>
public sealed record QuantileLossOptions
{
    /// <summary>The threshold k, not negative; 0 for the plain quantile loss.</summary>
    public double Kappa { get; init; } = 1;

    /// <summary>Whether the Huber loss is divided by kappa, so that its slope far away is 1 (Dabney et al. 2018). Many programs do not divide.</summary>
    public bool DividesByKappa { get; init; } = true;

    /// <summary>For each prediction its level in (0, 1); null for the middles of equal shares, (2 i + 1) / (2 n).</summary>
    public IReadOnlyList<double>? Levels { get; init; }

    internal QuantileRule Rule(string name, int predictions)
    {
        if (predictions < 1)
        {
            throw new ArgumentException($"there must be at least one prediction a row but there are {predictions}", name);
        }

        if (Levels is not null && Levels.Count != predictions)
        {
            throw new ArgumentException($"there must be {Levels.Count} predictions a row, one for each level, but there are {predictions}", name);
        }

        QuantileRule rule = new(Levels is null ? QuantileRuleModule.midpoints(predictions) : [.. Levels], Kappa, DividesByKappa);
        QuantileRuleModule.require(rule);
        return rule;
    }
}

using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>What a decision is judged by.</summary>
public enum Objective
{
    /// <summary>The expected discounted sum of rewards.</summary>
    Discounted,

    /// <summary>The expected sum of rewards, without a discount.</summary>
    TotalReward,

    /// <summary>The probability of ever reaching a label's states.</summary>
    Reaching,
}

/// <summary>How a state and action's random outcomes become one number. Averse: small rewards count more, or large costs when minimising.</summary>
public sealed class Risk
{
    private readonly Func<Attitude, StateSummary> create;

    private Risk(string name, Func<Attitude, StateSummary> create) => (Name, this.create) = (name, create);

    /// <summary>The name, with its parameters.</summary>
    public string Name { get; }

    /// <summary>The expectation: no preference about risk.</summary>
    public static Risk Neutral { get; } = new("neutral", _ => new Expectation());

    /// <summary>The mean of the worst share of outcomes, at every step.</summary>
    /// <param name="share">In (0, 1] (ArgumentException if not); 1 is the expectation.</param>
    public static Risk ConditionalValueAtRisk(double share) => Checked(FormattableString.Invariant($"cvar:{share}"), averse => new Cvar(share, averse));

    /// <summary>-(1/b) log E exp(-b x), at every step.</summary>
    /// <param name="aversion">The aversion b, per unit of reward; positive and finite (ArgumentException if not).</param>
    public static Risk Entropic(double aversion) => Checked(FormattableString.Invariant($"entropic:{aversion}"), averse => new Entropic(aversion, averse));

    /// <summary>The largest -l log E exp(-x / l) + l log(share) over l &gt; 0, at every step: the entropic value at risk, at most the mean of the worst share.</summary>
    /// <param name="share">In (0, 1] (ArgumentException if not); 1 is the expectation.</param>
    public static Risk EntropicValueAtRisk(double share) => Checked(FormattableString.Invariant($"evar:{share}"), averse => new Evar(share, averse));

    /// <summary>The number e with level E (x - e)+ = (1 - level) E (e - x)+, at every step: what an asymmetric squared loss fits.</summary>
    /// <param name="level">In (0, 1) (ArgumentException if not); below 1/2 averse to risk, at 1/2 the expectation, above it not averse. For costs the mirror image.</param>
    public static Risk Expectile(double level) => Checked(FormattableString.Invariant($"expectile:{level}"), averse => new Expectile(level, averse));

    /// <summary>E x - weight E (E x - x)+, at every step: the mean less a part of what lies below it.</summary>
    /// <param name="weight">In [0, 1] (ArgumentException if not), where more is never worth less; 0 is the expectation.</param>
    public static Risk Semideviation(double weight) => Checked(FormattableString.Invariant($"semideviation:{weight}"), averse => new Semideviation(weight, averse));

    /// <summary>The other way round: good outcomes count more.</summary>
    public Risk Seeking() =>
        new($"seeking {Name}", attitude => create(attitude.IsAdverse ? Attitude.Favourable : Attitude.Adverse));

    /// <summary>A measure of one's own, from the probabilities and the outcomes r + discount V(next) of a state and action to a number.</summary>
    /// <param name="name">Its name in reports.</param>
    /// <param name="measure">The measure. It is monotone, translates (a constant added to all outcomes is added to the result), and does not expand; check that with the laws.</param>
    /// <param name="roundingUnits">How far a result may be off, in units of roundoff (2^-53) times the largest outcome; without it nothing is certified.</param>
    public static Risk Custom(string name, Func<ReadOnlySpan<double>, ReadOnlySpan<double>, double> measure, double? roundingUnits = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(measure);
        var units = ActionChoice.Units(roundingUnits, nameof(roundingUnits));
        var claim = SummaryClaimModule.all("stated by the user");
        return new(
            name,
            _ => new CustomSummary(
                name,
                claim,
                units,
                (probabilities, outcomes) => measure(probabilities, outcomes)
            )
        );
    }

    /// <summary>A measure of one's own as a struct that folds over outcomes: at the speed of the library's own measures.</summary>
    /// <param name="name">Its name in reports.</param>
    /// <param name="fold">The fold. What it measures is monotone, translates, and does not expand; check that with the laws.</param>
    /// <param name="roundingUnits">How far a result may be off, in units of roundoff (2^-53) times the largest outcome; without it nothing is certified.</param>
    public static Risk Fold<TFold>(string name, TFold fold, double? roundingUnits = null)
        where TFold : struct, IRiskFold
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        var units = ActionChoice.Units(roundingUnits, nameof(roundingUnits));
        var claim = SummaryClaimModule.all("stated by the user");
        return new(name, _ => new FoldSummary<CoreFold<TFold>>(name, claim, units, new(fold)));
    }

    internal StateSummary Core(Attitude attitude) => create(attitude);

    // Parameters are checked when they are given, not when they are used.
    private static Risk Checked(string name, Func<Attitude, StateSummary> create)
    {
        create(Attitude.Adverse);
        return new(name, create);
    }
}

/// <summary>Which laws nature may choose from, to the decision maker's harm.</summary>
public sealed class Robustness
{
    private readonly Func<Model, Attitude, StateSummary> create;

    private Robustness(string name, Func<Model, Attitude, StateSummary> create) => (Name, this.create) = (name, create);

    /// <summary>The name, with its parameters.</summary>
    public string Name { get; }

    /// <summary>Laws within the intervals of a model that has intervals.</summary>
    public static Robustness Intervals { get; } = new("interval", (_, averse) => new Interval(averse));

    /// <summary>Laws within total variation (half the L1 distance) of the nominal one.</summary>
    /// <param name="radius">In [0, 1] (ArgumentException if not).</param>
    /// <param name="nominalSupport">True for laws over the nominal successors alone; false, the default, for laws over all states, where a state outside the
    /// nominal successors earns the row's mean reward.</param>
    public static Robustness TotalVariation(double radius, bool nominalSupport = false) =>
        Ball("tv", radius, nominalSupport, averse => new TotalVariation(radius, Over(nominalSupport), averse));

    /// <summary>Laws within a divergence of Kullback and Leibler, sum q log(q / P), of the nominal one; they have its successors.</summary>
    /// <param name="radius">In nats; finite and not negative (ArgumentException if not).</param>
    public static Robustness KullbackLeibler(double radius) => Ball("kl", radius, false, averse => new KullbackLeibler(radius, averse));

    /// <summary>Laws within a chi-square distance, sum (q - P)^2 / P, of the nominal one; they have its successors.</summary>
    /// <param name="radius">Finite and not negative (ArgumentException if not).</param>
    public static Robustness ChiSquare(double radius) => Ball("chi2", radius, false, averse => new ChiSquare(radius, averse));

    /// <summary>The nominal law, mixed with a share of any other.</summary>
    /// <param name="share">In [0, 1] (ArgumentException if not).</param>
    /// <param name="nominalSupport">True for laws over the nominal successors alone; false, the default, for laws over all states, where a state outside the
    /// nominal successors earns the row's mean reward.</param>
    public static Robustness Contamination(double share, bool nominalSupport = false) =>
        Ball("contamination", share, nominalSupport, averse => new Contamination(share, Over(nominalSupport), averse));

    /// <summary>Laws within a transport distance of the nominal one: probability times the distance that it is moved.</summary>
    /// <param name="radius">In units of the distances; finite and not negative (ArgumentException if not).</param>
    /// <param name="distances">How far states lie apart; <see cref="StateDistances.Steps"/> by default.</param>
    /// <param name="nominalSupport">True for laws over the nominal successors alone; false, the default, for laws over all states, where a state outside the
    /// nominal successors earns the row's mean reward.</param>
    public static Robustness Wasserstein(double radius, StateDistances? distances = null, bool nominalSupport = false)
    {
        // The radius is checked now, the distances when there is a model.
        _ = new Wasserstein(radius, StateMetric.Line);
        var between = distances ?? StateDistances.Steps;
        return new(
            Named("wasserstein", radius, nominalSupport),
            (model, averse) => new Wasserstein(radius, between.Core(model), Over(nominalSupport), averse)
        );
    }

    /// <summary>The optimist's twin: nature chooses the best law.</summary>
    public Robustness Optimistic() =>
        new($"optimistic {Name}", (model, attitude) => create(model, attitude.IsAdverse ? Attitude.Favourable : Attitude.Adverse));

    internal StateSummary Core(Model model, Attitude attitude) => create(model, attitude);

    private static Support Over(bool nominalSupport) => nominalSupport ? Support.Nominal : Support.AllStates;

    private static string Named(string name, double radius, bool nominalSupport) =>
        FormattableString.Invariant($"{name}:{radius}{(nominalSupport ? ":support" : "")}");

    // Parameters are checked when they are given, not when they are used.
    private static Robustness Ball(string name, double radius, bool nominalSupport, Func<Attitude, StateSummary> create)
    {
        create(Attitude.Adverse);
        return new(Named(name, radius, nominalSupport), (_, averse) => create(averse));
    }
}

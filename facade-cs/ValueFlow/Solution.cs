using Microsoft.Data.Analysis;

namespace ValueFlow;

/// <summary>What stands behind an error bound.</summary>
public enum Certificate
{
    /// <summary>The contraction bound of Banach.</summary>
    Contraction,

    /// <summary>The bounds of MacQueen and Porteus, from the extremes of one residual.</summary>
    SpanBounds,

    /// <summary>Lower and upper values that enclose the answer.</summary>
    Enclosure,

    /// <summary>A linear solve, checked by the residual of its equation.</summary>
    LinearSolve,

    /// <summary>Nothing: no bound is certified.</summary>
    Estimate,
}

/// <summary>Why a run ended.</summary>
public enum Outcome
{
    /// <summary>The tolerance was reached.</summary>
    Converged,

    /// <summary>Rounding keeps the bound above the tolerance.</summary>
    PrecisionFloor,

    /// <summary>The sweeps were used up.</summary>
    BudgetExhausted,

    /// <summary>The caller cancelled.</summary>
    Cancelled,

    /// <summary>A value was no finite number.</summary>
    NotFinite,

    /// <summary>A claimed modulus proved false on the way.</summary>
    ClaimRefuted,
}

/// <summary>Values, what is certified of them, and decisions. Nothing in it changes.</summary>
public sealed class Solution
{
    private readonly Core.Values.Solution core;
    private readonly Lazy<IReadOnlyList<SolveProgress>> history;

    internal Solution(DecisionModel model, Core.Values.Solution core, TimeSpan elapsed)
    {
        this.core = core;
        Model = model;
        Elapsed = elapsed;
        Values = Array.AsReadOnly(core.Values);
        Lower = Array.AsReadOnly(core.Lower);
        Upper = Array.AsReadOnly(core.Upper);
        Policy = Array.AsReadOnly(core.Policy);
        Certificate = Outcomes.Of(core.Certificate);
        (Outcome, OutcomeText) = Outcomes.Of(core.Outcome);
        history = new(() => [.. core.History.Select(p => new SolveProgress(p.Applications, p.Residual, p.Bound))]);
    }

    /// <summary>The model that was solved.</summary>
    public DecisionModel Model { get; }

    /// <summary>For each state its value.</summary>
    public IReadOnlyList<double> Values { get; }

    /// <summary>For each state a number that the exact value is not below.</summary>
    public IReadOnlyList<double> Lower { get; }

    /// <summary>For each state a number that the exact value is not above.</summary>
    public IReadOnlyList<double> Upper { get; }

    /// <summary>For each state the action to take, or -1 in a terminal state; empty if the run was cancelled (<see cref="DecisionProblem.Greedy"/> finds it).</summary>
    public IReadOnlyList<int> Policy { get; }

    /// <summary>No value is further than this from the exact one, rounding included; infinite for an estimate.</summary>
    public double ErrorBound => core.Bound;

    /// <summary>The smallest bound that rounding allows here.</summary>
    public double PrecisionFloor => core.Floor;

    /// <summary>The policy loses at most this against the best one, in any state; infinite if nothing is certified.</summary>
    public double PolicyLoss => core.PolicyLoss;

    /// <summary>What stands behind the bound.</summary>
    public Certificate Certificate { get; }

    /// <summary>Why the run ended.</summary>
    public Outcome Outcome { get; }

    /// <summary>Why the run ended, in words.</summary>
    public string OutcomeText { get; }

    /// <summary>The method's name.</summary>
    public string Method => core.Method;

    /// <summary>Sweeps over the states, or improvements of the policy.</summary>
    public int Sweeps => core.Sweeps;

    /// <summary>How long it took.</summary>
    public TimeSpan Elapsed { get; }

    /// <summary>Residual and bound, sweep by sweep; thinned after the first thousand.</summary>
    public IReadOnlyList<SolveProgress> History => history.Value;

    /// <summary>A table with a row for each state: state, value, lower, upper, action (empty in terminal states).</summary>
    public DataFrame ToDataFrame() =>
        new(
            new StringDataFrameColumn("state", Enumerable.Range(0, Model.StateCount).Select(Model.StateName)),
            new DoubleDataFrameColumn("value", core.Values),
            new DoubleDataFrameColumn("lower", core.Lower),
            new DoubleDataFrameColumn("upper", core.Upper),
            new StringDataFrameColumn("action", Enumerable.Range(0, Model.StateCount).Select(ActionOf))
        );

    /// <summary>The name of the action to take in a state; empty in a terminal state, or if the run was cancelled.</summary>
    public string ActionOf(int state) =>
        core.Policy.Length == 0 || core.Policy[Model.State(state)] < 0 ? "" : Model.ActionName(core.Policy[state]);

    /// <summary>The same for a state's name.</summary>
    /// <exception cref="ArgumentException">No state has the name.</exception>
    public string ActionOf(string state) => ActionOf(Model.StateOf(state));

    /// <summary>The value of the state with a name.</summary>
    /// <exception cref="ArgumentException">No state has the name.</exception>
    public double ValueOf(string state) => Values[Model.StateOf(state)];
}

/// <summary>The core's words for outcomes and certificates as the facade's.</summary>
internal static class Outcomes
{
    public static Certificate Of(Core.Foundations.Certificate certificate) => Enum.Parse<Certificate>(certificate.ToString());

    public static (Outcome, string) Of(Core.Foundations.Outcome outcome) =>
        outcome switch
        {
            Core.Foundations.Outcome.NotFinite found => (Outcome.NotFinite, $"stopped: {found.found}"),
            Core.Foundations.Outcome.ClaimRefuted refuted => (
                Outcome.ClaimRefuted,
                FormattableString.Invariant($"stopped: a modulus of {refuted.claimed} was claimed, but {refuted.measured:G6} was measured")
            ),
            _ when outcome.IsConverged => (Outcome.Converged, "converged: the tolerance was reached"),
            _ when outcome.IsPrecisionFloor => (Outcome.PrecisionFloor, "stopped at the precision floor: rounding keeps the bound above the tolerance"),
            _ when outcome.IsBudgetExhausted => (Outcome.BudgetExhausted, "stopped: the sweeps were used up"),
            _ => (Outcome.Cancelled, "cancelled: the bounds are those reached so far"),
        };
}

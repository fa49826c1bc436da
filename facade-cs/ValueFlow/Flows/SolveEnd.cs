using ValueFlow.Core.Dynamics;

namespace ValueFlow;

/// <summary>Why a solve in time ended.</summary>
public enum SolveEnd
{
    /// <summary>The end of the interval was reached.</summary>
    ReachedEnd,

    /// <summary>The budget of steps was used up.</summary>
    StepLimit,

    /// <summary>The tolerance needs steps that are too short: the solution blows up, the field has a jump, or the tolerance is below rounding.</summary>
    StepUnderflow,

    /// <summary>The field, or the state, was no finite number; the last finite state is kept.</summary>
    NotFinite,

    /// <summary>The caller cancelled.</summary>
    Cancelled,
}

/// <summary>How far a solve in time is.</summary>
/// <param name="Time">The time reached.</param>
/// <param name="Steps">Steps made.</param>
/// <param name="Rejections">Steps rejected.</param>
public readonly record struct TimeProgress(double Time, int Steps, int Rejections);

internal static class SolveEnds
{
    public static SolveEnd Of(Reason reason) =>
        reason.IsReachedEnd ? SolveEnd.ReachedEnd
        : reason.IsStepLimit ? SolveEnd.StepLimit
        : reason.IsStepUnderflow ? SolveEnd.StepUnderflow
        : reason.IsNotFinite ? SolveEnd.NotFinite
        : SolveEnd.Cancelled;

    public static string Words(SolveEnd end) =>
        end switch
        {
            SolveEnd.ReachedEnd => "the end was reached",
            SolveEnd.StepLimit => "the steps were used up",
            SolveEnd.StepUnderflow => "the tolerance needs steps that are too short",
            SolveEnd.NotFinite => "the state was no finite number",
            _ => "cancelled",
        };

    /// <summary>Throws unless the end was reached: for results that are of no use before it.</summary>
    public static void Require(Reason reason, double? time, CancellationToken cancellation)
    {
        var end = Of(reason);
        if (end == SolveEnd.Cancelled)
        {
            throw new OperationCanceledException(cancellation);
        }

        if (end != SolveEnd.ReachedEnd)
        {
            throw new InvalidOperationException($"the flow stopped {(time is double reached ? $"at t = {reached:G6}" : "on the way")}: {Words(end)}");
        }
    }
}

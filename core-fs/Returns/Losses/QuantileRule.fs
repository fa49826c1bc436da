namespace ValueFlow.Core.Returns

open System
open ValueFlow.Core.Foundations

/// What the quantile Huber loss is, every convention stated. For predictions q(i) of levels t(i), targets y(j) and d = y(j) - q(i) it is
///
/// mean over rows of the sum over i of the mean over j of |t(i) - 1{d &lt; 0}| h(d),
///
/// with h(d) = d^2 / (2 k) for |d| &lt;= k and |d| - k/2 beyond (divided by kappa: its slope is 1 far away whatever k is), or k times that (not divided: d^2 / 2 near zero, and the
/// loss vanishes with k). For k = 0 both are the plain quantile loss, h(d) = |d|. There may be more or fewer targets than predictions.
/// Dabney, Rowland, Bellemare and Munos 2018, "Distributional reinforcement learning with quantile regression", which divides; many programs do not.
type QuantileRule =
    {
        /// The levels t(i) in (0, 1), one a prediction.
        Levels: float[]
        /// The threshold k, not negative.
        Kappa: float
        /// Whether the Huber loss is divided by kappa.
        DividesByKappa: bool
    }

/// Makes and checks rules.
[<RequireQualifiedAccess>]
module QuantileRule =

    /// The levels (2 i + 1) / (2 n), i = 0 .. n - 1: the middle of n equal shares, whose quantiles are the best n equally weighted points in W_1.
    let midpoints (count: int) : float[] =
        if count < 1 then
            invalidArg (nameof count) $"count must be at least 1 but is {count}"

        Array.init count (fun i -> (float i + 0.5) / float count)

    /// The loss of Dabney et al. 2018: levels in the middle of equal shares, divided by kappa.
    let standard (kappa: float) (count: int) : QuantileRule = { Levels = midpoints count; Kappa = kappa; DividesByKappa = true }

    /// Throws an ArgumentException that names what makes no sense.
    let require (rule: QuantileRule) : unit =
        if rule.Levels.Length = 0 then
            invalidArg (nameof rule) "there must be at least one level but there is none"

        match rule.Levels |> Array.tryFindIndex (fun level -> not (level > 0.0 && level < 1.0)) with
        | Some i -> invalidArg (nameof rule) $"level {i} must lie in (0, 1) but is {rule.Levels[i]}"
        | None -> ()

        if not (rule.Kappa >= 0.0 && Double.IsFinite rule.Kappa) then
            invalidArg (nameof rule) $"kappa must not be negative, and finite, but is {rule.Kappa}"

    /// What the divided loss is multiplied by: 1, or kappa where the loss is not divided.
    let internal factor (rule: QuantileRule) : float = if rule.DividesByKappa || rule.Kappa = 0.0 then 1.0 else rule.Kappa

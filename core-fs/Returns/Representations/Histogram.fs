namespace ValueFlow.Core.Returns

open System
open MathNet.Numerics
open ValueFlow.Core.Foundations

/// Numbers as histograms on a support: targets of a classification instead of a regression.
[<RequireQualifiedAccess>]
module Histogram =

    // P(a < Z <= b) for a standard normal Z, exact to rounding in both tails.
    let private normalBetween (a: float) (b: float) =
        let root = sqrt 0.5

        if a > 0.0 then
            0.5 * (SpecialFunctions.Erfc(a * root) - SpecialFunctions.Erfc(b * root))
        else
            0.5 * (SpecialFunctions.Erfc(-b * root) - SpecialFunctions.Erfc(-a * root))

    /// HL-Gauss: the mass of N(x, deviation^2), given that it lies in [least - gap/2, largest + gap/2], in the bins of width gap around the
    /// atoms. Each bin moves its mass by gap / 2 at most, so for x within the support W_1 to x is at most gap / 2 + deviation sqrt(2 / pi).
    /// Where the normal law puts no mass on the bins that can be told from zero, all mass lies on the end that is nearest to x. Imani and
    /// White 2018, "Improving regression performance with distributional losses"; Farebrother et al. 2024, "Stop regressing".
    let ofNumber (support: Support) (deviation: float) (x: float) : float[] =
        if not (deviation > 0.0 && Double.IsFinite deviation) then
            invalidArg (nameof deviation) $"deviation must be positive and finite but is {deviation}"

        if not (Double.IsFinite x) then
            invalidArg (nameof x) $"x must be finite but is {x}"

        let edge i = (support.Least + (float i - 0.5) * support.Gap - x) / deviation
        let masses = Array.init support.Count (fun i -> normalBetween (edge i) (edge (i + 1)))
        let total = Array.sum masses

        if total > 1e-290 then
            masses |> Array.map (fun mass -> mass / total)
        else
            Categorical.twoHot support x

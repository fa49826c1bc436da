namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// Policies that are greedy but for a Tsallis divergence, of an index q that is 1 (Kullback and Leibler) or lies in [1.0001, 1000]. With ln_q(x) = (x^(1-q) - 1) / (1 - q),
///
/// D_q(p || m) = - sum p ln_q(m / p) = (sum m^(1-q) p^q - 1) / (q - 1).
///
/// Tsallis 1988, "Possible generalization of Boltzmann-Gibbs statistics"; Zhu, Chen, Wang and White 2023, "Generalized Munchausen reinforcement learning using Tsallis KL divergence".
[<RequireQualifiedAccess>]
module TsallisPolicy =

    let internal requireIndex (index: float) =
        if not (index = 1.0 || (index >= TsallisThreshold.LeastIndex && index <= TsallisThreshold.LargestIndex)) then
            invalidArg (nameof index) $"index must be 1 or lie in [1.0001, 1000] but is {index}"

    let internal requireTemperature (temperature: float) =
        if not (temperature >= 1e-290 && temperature <= 1e290) then
            invalidArg (nameof temperature) $"temperature must be positive and finite (in [1e-290, 1e290]) but is {temperature}"

    // exp(x) - 1 without cancellation near zero.
    let private exponentialLess1 (x: float) = if abs x < 1.0 then 2.0 * Math.Sinh(0.5 * x) * Math.Exp(0.5 * x) else Math.Exp x - 1.0

    /// ln_q(x) = (x^(1-q) - 1) / (1 - q) for x &gt;= 0, the logarithm for q = 1.
    let logarithm (index: float) (x: float) : float =
        requireIndex index

        if not (x >= 0.0) then
            invalidArg (nameof x) $"x must not be negative but is {x}"

        if index = 1.0 then Math.Log x
        elif x = 0.0 then Double.NegativeInfinity
        else exponentialLess1 ((1.0 - index) * Math.Log x) / (1.0 - index)

    /// l_q(x) = (x^(q-1) - 1) / (q - 1) = -ln_q(1 / x) for a probability x: the logarithm for q = 1, else between -1 / (q - 1) and 0, so that nothing need be clipped.
    let boundedLogarithm (index: float) (x: float) : float =
        requireIndex index

        if not (x >= 0.0) then
            invalidArg (nameof x) $"x must not be negative but is {x}"

        if index = 1.0 then Math.Log x
        elif x = 0.0 then -1.0 / (index - 1.0)
        else exponentialLess1 ((index - 1.0) * Math.Log x) / (index - 1.0)

    let private requireLaw (name: string) (law: float[]) =
        Shape.requireFinite name law

        if law |> Array.exists (fun p -> p < 0.0) || not (abs (Array.sum law - 1.0) <= 1e-9) then
            invalidArg name $"{name} must be a law but its least entry is {Array.min law} and its sum {Array.sum law}"

    /// D_q(p || m): zero exactly if p = m, infinite where p has mass and m has none. For q = 2 it is chi-square, sum p^2 / m - 1; for q = 1 relative entropy.
    let divergence (index: float) (law: float[]) (prior: float[]) : float =
        requireLaw (nameof law) law
        requireLaw (nameof prior) prior
        Shape.requireLength (nameof prior) law.Length prior.Length
        let mutable sum = 0.0

        for a in 0 .. law.Length - 1 do
            if law[a] > 0.0 then
                sum <- sum - law[a] * logarithm index (prior[a] / law[a])

        Math.Max(0.0, sum)

    // Writes the law over the values: argmax over p of <p, sign q> - t D(p), with weights (none: all one) from a place on.
    let internal write (index: float) (temperature: float) (sign: float) (prior: float[]) (first: int) (values: Span<float>) : unit =
        let weight place = if prior.Length = 0 then 1.0 else prior[first + place]
        let mutable total = 0.0

        if index = 1.0 then
            let mutable best = Double.NegativeInfinity

            for place in 0 .. values.Length - 1 do
                if weight place > 0.0 then
                    best <- Math.Max(best, sign * values[place])

            for place in 0 .. values.Length - 1 do
                values[place] <-
                    if weight place > 0.0 then
                        weight place * Math.Exp((sign * values[place] - best) / temperature)
                    else
                        0.0

                total <- total + values[place]
        else
            let struct (_, level) = TsallisThreshold.find index temperature sign prior first values

            for place in 0 .. values.Length - 1 do
                let over = values[place] + level
                values[place] <- if weight place > 0.0 && over > 0.0 then weight place * Math.Pow(over, 1.0 / (index - 1.0)) else 0.0
                total <- total + values[place]

        for place in 0 .. values.Length - 1 do
            values[place] <- values[place] / total

    let private requireValues (values: float[]) =
        if values.Length = 0 then
            invalidArg (nameof values) "there must be at least one action value but there is none"

        Shape.requireFinite (nameof values) values

    /// argmax over laws p of sum p Q - t D_q(p || m): p = m [(q - 1) / (t q) (Q - h)]+^(1/(q-1)), with h such that it sums to one, and p = m exp(Q / t) / Z for q = 1.
    /// It is unique, takes no action that m does not, and for q &gt; 1 none with Q &lt;= h.
    let greedy (index: float) (temperature: float) (prior: float[]) (values: float[]) : float[] =
        requireIndex index
        requireTemperature temperature
        requireValues values
        requireLaw (nameof prior) prior
        Shape.requireLength (nameof prior) values.Length prior.Length
        TsallisThreshold.requirePrior (nameof prior) index prior
        let law = Array.copy values
        write index temperature 1.0 prior 0 (law.AsSpan())
        law

    /// argmax over laws p of sum p Q + t (1 - sum p^q) / (q - 1): the same with m = 1, a bonus for entropy. q = 1 is the softmax, q = 2 sparsemax of Q / (2 t).
    let entropyGreedy (index: float) (temperature: float) (values: float[]) : float[] =
        requireIndex index
        requireTemperature temperature
        requireValues values
        let law = Array.copy values
        write index temperature 1.0 [||] 0 (law.AsSpan())
        law

namespace ValueFlow.Core.Returns

open System
open ValueFlow.Core.Foundations

/// Functionals that look at one end of a law: the worst or the best share of outcomes. All are exact on atoms.
[<RequireQualifiedAccess>]
module Tail =

    /// CVaR_A(X) = (1/A) integral over q from 0 to A of F^-1(q) = sup over x of x - E max(x - X, 0) / A: the mean of the worst share A in (0, 1]; the mean for A = 1, the minimum
    /// for A &lt;= P(X = min). Coherent. Rockafellar and Uryasev 2000, "Optimization of conditional value-at-risk"; Acerbi and Tasche 2002, "On the coherence of expected shortfall".
    let cvar (share: float) : Functional = Distortion.functional (Distortion.worst share)

    /// The mean of the best share A in (0, 1]: -CVaR_A(-X). Optimistic: it prefers concentration, not diversification.
    let upperCvar (share: float) : Functional = Distortion.functional (Distortion.best share)

    let private quantile (name: string) (value: Distribution -> float) : Functional =
        {
            Name = name
            Axioms = Axioms.scaling
            Source =
                "Artzner, Delbaen, Eber and Heath 1999, Coherent measures of risk: monotone, translating, homogeneous, but not superadditive"
            Value = value
        }

    /// VaR: the least x with P(X &lt;= x) &gt;= A, A in (0, 1]. Not superadditive: two bets that each lose seldom may together lose often.
    let quantileLower (share: float) : Functional =
        Argument.share (nameof share) share
        quantile $"quantile({share})" _.Quantile(share)

    /// VaR: the least x with P(X &lt;= x) &gt; A, A in [0, 1): the upper end where the quantile is an interval.
    let quantileUpper (share: float) : Functional =
        if not (share >= 0.0 && share < 1.0) then
            invalidArg (nameof share) $"share must lie in [0, 1) but is {share}"

        quantile $"upper-quantile({share})" (fun law -> law.Places[law.Cumulative |> Array.findIndex (fun level -> level > share)])

    /// The expectile e at a level t in (0, 1): t E max(X - e, 0) = (1 - t) E max(e - X, 0). Gains count t, losses 1 - t; the mean for t = 1/2. Coherent for t &lt;= 1/2.
    /// Newey and Powell 1987, "Asymmetric least squares estimation and testing"; Bellini, Klar, Muller and Rosazza Gianin 2014, "Generalized quantiles as risk measures".
    let expectile (level: float) : Functional =
        if not (level > 0.0 && level < 1.0) then
            invalidArg (nameof level) $"level must lie in (0, 1) but is {level}"

        let value (law: Distribution) =
            let atoms, masses = law.Places, law.Weights
            // Below the root atoms weigh (1 - t) p, above it t p: on each gap between atoms the root of the linear equation is a weighted mean.
            let mutable weight = level
            let mutable moment = level * law.Mean
            let mutable root = nan
            let mutable k = 0

            while Double.IsNaN root do
                let shift = (1.0 - 2.0 * level) * masses[k]
                weight <- weight + shift
                moment <- moment + shift * atoms[k]
                let candidate = moment / weight

                if k = atoms.Length - 1 || candidate <= atoms[k + 1] then
                    root <- Math.Clamp(candidate, atoms[0], atoms[atoms.Length - 1])

                k <- k + 1

            root

        {
            Name = $"expectile({level})"
            Axioms =
                { Axioms.scaling with
                    Superadditive = level <= 0.5
                    ConcaveInMixtures = (level = 0.5)
                    ConvexInMixtures = (level = 0.5)
                    Lipschitz = Math.Max(level / (1.0 - level), (1.0 - level) / level)
                }
            Source =
                "Newey and Powell 1987, Asymmetric least squares estimation and testing; Bellini, Klar, Muller and Rosazza Gianin 2014, Generalized quantiles as risk measures"
            Value = value
        }

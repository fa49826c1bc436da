namespace ValueFlow.Core.Returns

open System
open MathNet.Numerics.RootFinding
open ValueFlow.Core.Foundations

/// Functionals by the exponential moment of a law: the entropic certainty equivalent and the entropic value at risk.
[<RequireQualifiedAccess>]
module Entropy =

    // e^x - 1 and log(1 + x), without cancellation near zero.
    let private expLessOne (x: float) = 2.0 * Math.Sinh(0.5 * x) * Math.Exp(0.5 * x)

    let private logOnePlus (x: float) =
        let shifted = 1.0 + x
        if shifted = 1.0 then x else Math.Log shifted * x / (shifted - 1.0)

    /// -(1/b) log E exp(-b X), for b &gt; 0.
    let private averse (b: float) (law: Distribution) : float =
        let least = law.Minimum

        if b * (law.Maximum - least) <= 1.0 then
            let mean = law.Mean
            mean - logOnePlus (law.Expect(fun x -> expLessOne (-b * (x - mean)) + b * (x - mean))) / b
        else
            least - Math.Log(law.Expect(fun x -> Math.Exp(-b * (x - least)))) / b

    /// CE_b(X) = -(1/b) log E exp(-b X) for an aversion b; averse for b &gt; 0, seeking for b &lt; 0, the mean for b = 0. It falls from the maximum (b = -infinity) to the minimum.
    /// Of a normal law m - b s^2 / 2. It does not scale: CE_b(a X) = a CE_(a b)(X). Pratt 1964, "Risk aversion in the small and in the large";
    /// Follmer and Schied 2002, "Convex measures of risk and trading constraints".
    let certaintyEquivalent (aversion: float) : Functional =
        Argument.finite (nameof aversion) aversion

        if aversion = 0.0 then
            { Functional.mean with Name = "entropic(0)" }
        else
            {
                Name = $"entropic({aversion})"
                Axioms =
                    { Axioms.monetary with
                        // E exp(-b X) is linear in mixtures.
                        ConvexInMixtures = aversion > 0.0
                        ConcaveInMixtures = aversion < 0.0
                    }
                Source =
                    "Pratt 1964, Risk aversion in the small and in the large; Follmer and Schied 2002, Convex measures of risk and trading constraints"
                Value =
                    fun law ->
                        if aversion > 0.0 then
                            averse aversion law
                        else
                            -(averse -aversion (Distribution.affine 0.0 -1.0 law))
            }

    /// The masses of the law tilted by exp(-b X).
    let internal tilted (b: float) (law: Distribution) : float[] =
        let raw = Array.map2 (fun x p -> p * Math.Exp(-b * (x - law.Minimum))) law.Places law.Weights
        let total = Array.sum raw
        raw |> Array.map (fun mass -> mass / total)

    /// sum of q log(q / p): the relative entropy of masses q on the atoms of a law; infinite where q is no law.
    let internal divergence (law: Distribution) (masses: float[]) : float =
        let mutable sum = 0.0

        for i in 0 .. masses.Length - 1 do
            if masses[i] > 0.0 then
                sum <- sum + masses[i] * Math.Log(masses[i] / law.Weights[i])

        Math.Max(0.0, sum)

    /// The aversion b at which the tilted law has the relative entropy -log A: 0 for A = 1, infinite where even all mass on the minimum has less.
    let internal aversionOf (share: float) (law: Distribution) : float =
        let budget = -Math.Log share

        if budget = 0.0 || law.Count = 1 then
            (if budget = 0.0 then 0.0 else infinity)
        elif share <= law.Weights[0] then
            infinity
        else
            let range, gap = law.Maximum - law.Minimum, law.Places[1] - law.Minimum
            let excess b = divergence law (tilted b law) - budget
            // The relative entropy is at most (b range)^2 / 8 (Hoeffding 1963): the root lies above.
            let least = Math.Sqrt(8.0 * budget) / range
            let mutable most = 2.0 * least

            // Beyond exp(-745) nothing is left on the second atom.
            while excess most < 0.0 && most * gap < 800.0 do
                most <- 2.0 * most

            if excess most < 0.0 then
                infinity
            elif excess least >= 0.0 then
                least
            else
                let found, root = Brent.TryFindRoot((fun u -> excess (Math.Exp u)), Math.Log least, Math.Log most, 1e-12, 200)

                if found then Math.Exp root else most

    /// EVaR_A(X) = sup over b &gt; 0 of CE_b(X) + log(A) / b = min { E_Q X : KL(Q | P) &lt;= -log A }, A in (0, 1]: the tightest bound on CVaR_A from exponential moments,
    /// so that EVaR_A &lt;= CVaR_A &lt;= the mean. The mean for A = 1; the minimum where P(X = min) &gt;= A. Coherent.
    /// Ahmadi-Javid 2012, "Entropic value-at-risk: a new coherent risk measure".
    let evar (share: float) : Functional =
        Argument.share (nameof share) share

        {
            Name = $"evar({share})"
            Axioms =
                { Axioms.coherent with
                    // A supremum of functionals that are convex in mixtures.
                    ConvexInMixtures = true
                    ConcaveInMixtures = (share = 1.0)
                    Lipschitz = if share = 1.0 then 1.0 else infinity
                }
            Source = "Ahmadi-Javid 2012, Entropic value-at-risk: a new coherent risk measure"
            Value =
                fun law ->
                    match aversionOf share law with
                    | 0.0 -> law.Mean
                    | b when Double.IsPositiveInfinity b -> law.Minimum
                    | b -> Math.Clamp(averse b law + Math.Log share / b, law.Minimum, law.Mean)
        }

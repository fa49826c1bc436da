namespace ValueFlow.Core.Returns

open System
open MathNet.Numerics.Distributions
open ValueFlow.Core.Foundations

/// How a distortion bends.
[<RequireQualifiedAccess>]
type Bend =
    /// Straight: the mean.
    | Straight
    /// Concave: bad outcomes weigh more than their probability.
    | Concave
    /// Convex: good outcomes weigh more than their probability.
    | Convex
    /// Neither concave nor convex.
    | Mixed

/// How much the worst share q of outcomes weighs: an increasing function w of [0, 1] with w(0) = 0 and w(1) = 1. Its functional is
/// K(X) = integral of F^-1(q) dw(q) = sum over atoms, in increasing order, of x_i (w(F_i) - w(F_(i-1))). Yaari 1987, "The dual theory of choice under risk".
type Distortion =
    {
        /// The name, with its parameters.
        Name: string
        /// w(q): the weight of the worst share q.
        Weight: float -> float
        /// Whether w is concave (then K is superadditive), convex or neither.
        Bend: Bend
        /// The largest slope of w, infinite if there is none.
        Slope: float
        /// Who proved it: author, year, title.
        Source: string
    }

/// Makes distortions and their functionals.
[<RequireQualifiedAccess>]
module Distortion =

    /// The masses w(F_i) - w(F_(i-1)) that the functional gives to the atoms of a law.
    let masses (distortion: Distortion) (law: Distribution) : float[] =
        let mutable below = 0.0

        law.Cumulative
        |> Array.map (fun level ->
            // The whole weighs one, whatever rounding says.
            let upTo = if level >= 1.0 then 1.0 else distortion.Weight level
            let mass = upTo - below
            below <- upTo
            mass)

    /// K(X) = integral of F^-1(q) dw(q): monotone, translating, homogeneous; superadditive if w is concave; as Lipschitz in W_1 as w is in q.
    /// Yaari 1987; Wang, Young and Panjer 1997, "Axiomatic characterization of insurance prices".
    let functional (distortion: Distortion) : Functional =
        let straight = distortion.Bend = Bend.Straight
        let concave, convex = distortion.Bend = Bend.Concave, distortion.Bend = Bend.Convex

        {
            Name = distortion.Name
            Axioms =
                { Axioms.scaling with
                    Superadditive = concave || straight
                    // K(X) = c - integral of w(F(x)) dx below c: what is concave in F is convex in K.
                    ConvexInMixtures = concave || straight
                    ConcaveInMixtures = convex || straight
                    Lipschitz = distortion.Slope
                }
            Source = distortion.Source
            Value =
                fun law ->
                    let masses = masses distortion law
                    let mutable sum = 0.0

                    for i in 0 .. masses.Length - 1 do
                        sum <- sum + masses[i] * law.Places[i]

                    sum
        }

    /// A distortion of one's own: the claims are the caller's word, checked at 257 levels. An ArgumentException says where it does not start at 0, end at 1, or increase.
    let ofFunction (name: string) (bend: Bend) (slope: float) (source: string) (weight: float -> float) : Distortion =
        let at q = weight q

        if not (abs (at 0.0) <= 1e-12) then
            invalidArg (nameof weight) $"weight of share 0 must be 0 but is {at 0.0}"

        if not (abs (at 1.0 - 1.0) <= 1e-12) then
            invalidArg (nameof weight) $"weight of share 1 must be 1 but is {at 1.0}"

        for i in 1..256 do
            let q = float i / 256.0

            if not (at q >= at (q - 1.0 / 256.0) - 1e-12) then
                invalidArg (nameof weight) $"weight must not decrease but is {at q} at share {q}, after {at (q - 1.0 / 256.0)}"

        { Name = name; Weight = weight; Bend = bend; Slope = slope; Source = source }

    /// w(q) = Phi(Phi^-1(q) + l): a normal law with mean m and deviation s has K = m - l s. Averse for l &gt; 0. Wang 2000, "A class of distortion operators for pricing
    /// financial and insurance risks".
    let wang (aversion: float) : Distortion =
        Argument.finite (nameof aversion) aversion

        let weight q =
            if q <= 0.0 then 0.0
            elif q >= 1.0 then 1.0
            else Normal.CDF(0.0, 1.0, Normal.InvCDF(0.0, 1.0, q) + aversion)

        {
            Name = $"wang({aversion})"
            Weight = weight
            Bend =
                if aversion > 0.0 then Bend.Concave
                elif aversion < 0.0 then Bend.Convex
                else Bend.Straight
            Slope = if aversion = 0.0 then 1.0 else infinity
            Source = "Wang 2000, A class of distortion operators for pricing financial and insurance risks"
        }

    // Averse where the exponent of q is below one, or that of 1 - q above one.
    let private bent (averse: bool) (exponent: float) =
        if exponent = 1.0 then Bend.Straight
        elif averse then Bend.Concave
        else Bend.Convex

    /// w(q) = q^r, r &gt; 0: proportional hazards. Averse for r &lt; 1; for a whole r the expected best of r draws. Wang 1995, "Insurance pricing and increased limits ratemaking by
    /// proportional hazards transforms".
    let power (exponent: float) : Distortion =
        Argument.positive (nameof exponent) exponent

        {
            Name = $"power({exponent})"
            Weight = fun q -> Math.Pow(q, exponent)
            Bend = bent (exponent < 1.0) exponent
            Slope = if exponent >= 1.0 then exponent else infinity
            Source = "Wang 1995, Insurance pricing and increased limits ratemaking by proportional hazards transforms"
        }

    /// w(q) = 1 - (1 - q)^r, r &gt; 0: averse for r &gt; 1; for a whole r the expected worst of r draws. Wang 1996, "Premium calculation by transforming the layer
    /// premium density".
    let dualPower (exponent: float) : Distortion =
        Argument.positive (nameof exponent) exponent

        {
            Name = $"dual-power({exponent})"
            Weight = fun q -> 1.0 - Math.Pow(1.0 - q, exponent)
            Bend = bent (exponent > 1.0) exponent
            Slope = if exponent >= 1.0 then exponent else infinity
            Source = "Wang 1996, Premium calculation by transforming the layer premium density"
        }

    /// w(q) = q^h / (q^h + (1 - q)^h)^(1/h), h in [0.28, 1] (below it is not monotone): rare outcomes at both ends weigh more than their probability, so that
    /// K is not coherent. 0.61 for gains and 0.69 for losses in Tversky and Kahneman 1992, "Advances in prospect theory: cumulative representation of uncertainty".
    let probabilityWeighting (curvature: float) : Distortion =
        if not (curvature >= 0.28 && curvature <= 1.0) then
            invalidArg (nameof curvature) $"curvature must lie in [0.28, 1] but is {curvature}"

        {
            Name = $"probability-weighting({curvature})"
            Weight =
                fun q ->
                    let rise, rest = Math.Pow(q, curvature), Math.Pow(1.0 - q, curvature)
                    rise / Math.Pow(rise + rest, 1.0 / curvature)
            Bend = if curvature = 1.0 then Bend.Straight else Bend.Mixed
            Slope = if curvature = 1.0 then 1.0 else infinity
            Source = "Tversky and Kahneman 1992, Advances in prospect theory: cumulative representation of uncertainty"
        }

    /// The distortion with a spectrum that is constant between the levels 0 &lt; l_1 &lt; ... &lt; l_n = 1: w' = h_i on (l_(i-1), l_i), heights h_i &gt;= 0. The spectrum integrates to
    /// one within 1e-9. Coherent where the heights fall. Acerbi 2002, "Spectral measures of risk: a coherent representation of subjective risk aversion".
    let spectral (levels: float[]) (heights: float[]) : Distortion =
        if levels.Length = 0 then
            invalidArg (nameof levels) "there must be at least one level but there is none"

        Shape.requireLength (nameof heights) levels.Length heights.Length
        let levels, heights = Array.copy levels, Array.copy heights
        let starts = Array.append [| 0.0 |] levels
        let last = levels.Length - 1

        for i in 0..last do
            if not (levels[i] > starts[i]) then
                invalidArg (nameof levels) $"levels must increase from 0 but level {i} is {levels[i]} after {starts[i]}"

            if not (heights[i] >= 0.0 && Double.IsFinite heights[i]) then
                invalidArg (nameof heights) $"height {i} must be finite and not negative but is {heights[i]}"

        if levels[last] <> 1.0 then
            invalidArg (nameof levels) $"the last level must be 1 but is {levels[last]}"

        let total = Seq.sum (seq { for i in 0..last -> heights[i] * (levels[i] - starts[i]) })

        if not (abs (total - 1.0) <= 1e-9) then
            invalidArg (nameof heights) $"the spectrum must integrate to 1 within 1e-9 but integrates to {total}"

        let steps = Array.pairwise heights |> Array.map (fun (a, b) -> b - a)

        {
            Name = $"spectral({levels.Length} levels)"
            Weight =
                fun q ->
                    let mutable sum = 0.0

                    for i in 0..last do
                        sum <- sum + heights[i] * Math.Max(0.0, Math.Min(q, levels[i]) - starts[i])

                    sum / total
            Bend =
                if steps |> Array.forall (fun step -> step = 0.0) then Bend.Straight
                elif steps |> Array.forall (fun step -> step <= 0.0) then Bend.Concave
                elif steps |> Array.forall (fun step -> step >= 0.0) then Bend.Convex
                else Bend.Mixed
            Slope = Array.max heights / total
            Source = "Acerbi 2002, Spectral measures of risk: a coherent representation of subjective risk aversion"
        }

    /// w(q) = min(q / A, 1): all weight on the worst share A in (0, 1], the distortion of CVaR.
    let worst (share: float) : Distortion =
        Argument.share (nameof share) share

        {
            Name = $"cvar({share})"
            Weight = fun q -> Math.Min(q / share, 1.0)
            Bend = if share = 1.0 then Bend.Straight else Bend.Concave
            Slope = 1.0 / share
            Source =
                "Rockafellar and Uryasev 2000, Optimization of conditional value-at-risk; Acerbi and Tasche 2002, On the coherence of expected shortfall"
        }

    /// w(q) = max(0, 1 - (1 - q) / A): all weight on the best share A in (0, 1].
    let best (share: float) : Distortion =
        Argument.share (nameof share) share

        { worst share with
            Name = $"upper-cvar({share})"
            Weight = fun q -> Math.Max(0.0, 1.0 - (1.0 - q) / share)
            Bend = if share = 1.0 then Bend.Straight else Bend.Convex
        }

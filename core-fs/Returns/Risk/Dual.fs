namespace ValueFlow.Core.Returns

open System
open ValueFlow.Core.Foundations

/// A functional as the worst of many opinions: K(X) = min over laws Q on the atoms of X of E_Q X + Penalty(Q). Whoever takes K at its word acts against an adversary who
/// moves probability at that price. Follmer and Schied 2002, "Convex measures of risk and trading constraints".
type Dual =
    {
        /// K.
        Functional: Functional
        /// What the masses of Q, in the order of the atoms of X, cost: 0 for an opinion that is allowed and infinite for one that is not, where K is coherent. Rounding of 1e-9 is
        /// forgiven.
        Penalty: Distribution -> float[] -> float
        /// The masses of the worst Q, in the order of the atoms: E_Q X + Penalty(Q) = K(X).
        Worst: Distribution -> float[]
    }

/// Dual forms.
[<RequireQualifiedAccess>]
module Dual =

    let private slack = 1e-9

    // The densities dQ/dP of masses that are a law; nothing if they are none.
    let private densities (law: Distribution) (masses: float[]) : float[] voption =
        Shape.requireLength (nameof masses) law.Count masses.Length

        if Array.forall (fun mass -> mass >= -slack) masses && abs (Array.sum masses - 1.0) <= slack then
            ValueSome(Array.map2 (/) masses law.Weights)
        else
            ValueNone

    let private allowed (within: Distribution -> float[] -> float[] -> bool) (law: Distribution) (masses: float[]) : float =
        match densities law masses with
        | ValueSome densities when within law masses densities -> 0.0
        | _ -> infinity

    /// A concave distortion w: Q(A) &lt;= w(P(A)) for every event A, tested on the events of largest density. The worst Q gives the atoms w(F_i) - w(F_(i-1)). Throws an
    /// ArgumentException for a distortion that is not concave. Schmeidler 1986, "Integral representation without additivity".
    let ofDistortion (distortion: Distortion) : Dual =
        if distortion.Bend <> Bend.Concave && distortion.Bend <> Bend.Straight then
            invalidArg (nameof distortion) $"a distortion must be concave to have a dual form but '{distortion.Name}' is {distortion.Bend}"

        let within (law: Distribution) (masses: float[]) (densities: float[]) =
            let mutable nominal = 0.0
            let mutable moved = 0.0

            densities
            |> Array.mapi (fun i density -> struct (-density, i))
            |> Array.sort
            |> Array.forall (fun struct (_, i) ->
                nominal <- nominal + law.Weights[i]
                moved <- moved + masses[i]
                moved <= distortion.Weight(Math.Min(1.0, nominal)) + slack)

        {
            Functional = Distortion.functional distortion
            Penalty = allowed within
            Worst = Distortion.masses distortion
        }

    /// CVaR_A: densities dQ/dP &lt;= 1 / A. Rockafellar and Uryasev 2000, "Optimization of conditional value-at-risk".
    let cvar (share: float) : Dual =
        { ofDistortion (Distortion.worst share) with
            Penalty = allowed (fun _ _ densities -> densities |> Array.forall (fun density -> density <= (1.0 + slack) / share))
        }

    /// CE_b, b &gt; 0: Penalty(Q) = KL(Q | P) / b, the worst Q is P tilted by exp(-b X). Donsker and Varadhan 1975, "Asymptotic evaluation of certain Markov process expectations
    /// for large time".
    let certaintyEquivalent (aversion: float) : Dual =
        Argument.positive (nameof aversion) aversion

        {
            Functional = Entropy.certaintyEquivalent aversion
            Penalty =
                fun law masses ->
                    match densities law masses with
                    | ValueSome _ -> Entropy.divergence law masses / aversion
                    | ValueNone -> infinity
            Worst = Entropy.tilted aversion
        }

    /// EVaR_A: KL(Q | P) &lt;= -log A; the worst Q is P tilted to that divergence, or all mass on the minimum. Ahmadi-Javid 2012, "Entropic value-at-risk: a new coherent
    /// risk measure".
    let evar (share: float) : Dual =
        {
            Functional = Entropy.evar share
            Penalty = allowed (fun law masses _ -> Entropy.divergence law masses <= -Math.Log share * (1.0 + slack) + 1e-15)
            Worst =
                fun law ->
                    match Entropy.aversionOf share law with
                    | 0.0 -> Array.copy law.Weights
                    | b when Double.IsPositiveInfinity b -> Array.init law.Count (fun i -> if i = 0 then 1.0 else 0.0)
                    | b -> Entropy.tilted b law
        }

    /// Mean-semideviation of order p and weight c: densities Z with |Z - min Z|_q &lt;= c, 1/p + 1/q = 1; the worst is Z = 1 + h - E h with h = c for p = 1 and h = c max(E X - X, 0) / |max(E X - X, 0)|_2
    /// for p = 2, where X falls below its mean. Ruszczynski and Shapiro 2006, "Optimization of convex risk functions".
    let meanSemideviation (order: int) (weight: float) : Dual =
        let within (law: Distribution) (_: float[]) (densities: float[]) =
            let least = Array.min densities

            let norm =
                if order = 1 then
                    Array.max densities - least
                else
                    Array.map2 (fun p z -> p * (z - least) * (z - least)) law.Weights densities |> Array.sum |> sqrt

            norm <= weight + slack

        let worst (law: Distribution) =
            let mean, fall = law.Mean, Functional.fall order law

            let extra =
                law.Places
                |> Array.map (fun x ->
                    if not (x < mean && fall > 0.0) then 0.0
                    elif order = 1 then weight
                    else weight * (mean - x) / fall)

            let average = Array.map2 (*) law.Weights extra |> Array.sum
            Array.map2 (fun p h -> p * (1.0 + h - average)) law.Weights extra

        { Functional = Functional.meanSemideviation order weight; Penalty = allowed within; Worst = worst }

    /// The expectile of a level t &lt;= 1/2: densities with max Z &lt;= (1 - t) / t min Z; the worst weighs outcomes up to the expectile (1 - t), others t, normalised.
    /// Bellini, Klar, Muller and Rosazza Gianin 2014, "Generalized quantiles as risk measures".
    let expectile (level: float) : Dual =
        if not (level > 0.0 && level <= 0.5) then
            invalidArg (nameof level) $"level must lie in (0, 1/2] but is {level}"

        let functional = Tail.expectile level

        {
            Functional = functional
            Penalty = allowed (fun _ _ densities -> level * Array.max densities <= (1.0 - level) * Array.min densities + slack)
            Worst =
                fun law ->
                    let root = functional.Value law
                    let raw = Array.map2 (fun x p -> p * (if x <= root then 1.0 - level else level)) law.Places law.Weights
                    let total = Array.sum raw
                    raw |> Array.map (fun mass -> mass / total)
        }

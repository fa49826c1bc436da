namespace ValueFlow.Core.Returns

open System
open ValueFlow.Core.Foundations

/// What is claimed of a functional of laws. Outcomes are rewards: more is better. Laws test every claim.
type Axioms =
    {
        /// X &lt;= Y everywhere implies K(X) &lt;= K(Y).
        Monotone: bool
        /// K(X + c) = K(X) + c.
        Translates: bool
        /// K(a X) = a K(X) for a &gt;= 0.
        Homogeneous: bool
        /// K of a mixture is at least the mixture of the K.
        ConcaveInMixtures: bool
        /// K of a mixture is at most the mixture of the K.
        ConvexInMixtures: bool
        /// K(X + Y) &gt;= K(X) + K(Y), whatever the dependence of X and Y.
        Superadditive: bool
        /// |K(X) - K(Y)| &lt;= L W_1(X, Y) for this L; infinite where none is claimed.
        Lipschitz: float
    }

    /// Monotone, translating, homogeneous and superadditive: coherent. Artzner, Delbaen, Eber and Heath 1999, "Coherent measures of risk".
    member this.Coherent = this.Monotone && this.Translates && this.Homogeneous && this.Superadditive

/// Axioms to start from.
[<RequireQualifiedAccess>]
module Axioms =

    /// Nothing is claimed.
    let none: Axioms =
        {
            Monotone = false
            Translates = false
            Homogeneous = false
            ConcaveInMixtures = false
            ConvexInMixtures = false
            Superadditive = false
            Lipschitz = infinity
        }

    /// What every certainty equivalent keeps: order and constants.
    let monetary: Axioms = { none with Monotone = true; Translates = true }

    /// Order, constants and scale.
    let scaling: Axioms = { monetary with Homogeneous = true }

    /// Order, constants, scale, and a preference for diversification.
    let coherent: Axioms = { scaling with Superadditive = true }

/// From a law of rewards to one number: a certainty equivalent, a tail mean, a spread.
type Functional =
    {
        /// The name, with its parameters.
        Name: string
        /// What is claimed of it.
        Axioms: Axioms
        /// Who proved it: author, year, title.
        Source: string
        /// K of a law.
        Value: Distribution -> float
    }

/// Arguments of functionals, checked.
[<RequireQualifiedAccess>]
module internal Argument =

    /// A share in (0, 1].
    let share (name: string) (value: float) : unit =
        if not (value > 0.0 && value <= 1.0) then
            invalidArg name $"{name} must lie in (0, 1] but is {value}"

    /// A number that is not negative.
    let notNegative (name: string) (value: float) : unit =
        if not (value >= 0.0 && Double.IsFinite value) then
            invalidArg name $"{name} must be finite and not negative but is {value}"

    /// A positive number.
    let positive (name: string) (value: float) : unit =
        if not (value > 0.0 && Double.IsFinite value) then
            invalidArg name $"{name} must be finite and positive but is {value}"

    /// A finite number.
    let finite (name: string) (value: float) : unit =
        if not (Double.IsFinite value) then
            invalidArg name $"{name} must be finite but is {value}"

/// The mean, spreads, and what is made of them.
[<RequireQualifiedAccess>]
module Functional =

    /// K(X) = E X.
    let mean: Functional =
        {
            Name = "mean"
            Axioms = { Axioms.coherent with ConcaveInMixtures = true; ConvexInMixtures = true; Lipschitz = 1.0 }
            Source = "Kantorovich and Rubinstein 1958, On a space of totally additive functions"
            Value = _.Mean
        }

    /// K(X) = E (X - E X)^2: a spread, no certainty equivalent; a smaller X may have a larger one.
    let variance: Functional =
        {
            Name = "variance"
            Axioms = { Axioms.none with ConcaveInMixtures = true }
            Source = "Markowitz 1952, Portfolio selection"
            Value = _.Variance
        }

    /// K(X) = sqrt(E (X - E X)^2): a spread that scales.
    let standardDeviation: Functional =
        {
            Name = "standard deviation"
            Axioms = { Axioms.none with Homogeneous = true; ConcaveInMixtures = true }
            Source = "Markowitz 1952, Portfolio selection"
            Value = fun law -> sqrt law.Variance
        }

    /// K(X) = E X - c Var X, c &gt;= 0. Not monotone: a chance of more may cost more spread than it is worth.
    /// Markowitz 1952, "Portfolio selection".
    let meanVariance (weight: float) : Functional =
        Argument.notNegative (nameof weight) weight

        {
            Name = $"mean-variance({weight})"
            Axioms = { Axioms.none with Translates = true; ConvexInMixtures = true }
            Source = "Markowitz 1952, Portfolio selection"
            Value = fun law -> law.Mean - weight * law.Variance
        }

    /// K(X) = E X - c sqrt(Var X), c &gt;= 0. It scales and rewards diversification, but is not monotone.
    /// Rockafellar, Uryasev and Zabarankin 2006, "Generalized deviations in risk analysis".
    let meanDeviation (weight: float) : Functional =
        Argument.notNegative (nameof weight) weight

        {
            Name = $"mean-deviation({weight})"
            Axioms =
                { Axioms.none with
                    Translates = true
                    Homogeneous = true
                    Superadditive = true
                    ConvexInMixtures = true
                }
            Source = "Rockafellar, Uryasev and Zabarankin 2006, Generalized deviations in risk analysis"
            Value = fun law -> law.Mean - weight * sqrt law.Variance
        }

    /// (E max(E X - X, 0)^p)^(1/p): how far below the mean outcomes fall.
    let internal fall (order: int) (law: Distribution) : float =
        let mean = law.Mean

        match order with
        | 1 -> law.Expect(fun x -> Math.Max(mean - x, 0.0))
        | _ -> sqrt (law.Expect(fun x -> Math.Max(mean - x, 0.0) * Math.Max(mean - x, 0.0)))

    /// K(X) = E X - c (E max(E X - X, 0)^p)^(1/p), c in [0, 1], p 1 or 2: only what falls below the mean is a risk. Coherent.
    /// Ogryczak and Ruszczynski 1999, "From stochastic dominance to mean-risk models: semideviations as risk measures".
    let meanSemideviation (order: int) (weight: float) : Functional =
        if order <> 1 && order <> 2 then
            invalidArg (nameof order) $"order must be 1 or 2 but is {order}"

        if not (weight >= 0.0 && weight <= 1.0) then
            invalidArg (nameof weight) $"weight must lie in [0, 1] but is {weight}"

        {
            Name = $"mean-semideviation({order}, {weight})"
            // A density of the dual set is at most 1 + c for p = 1, and unbounded for p = 2.
            Axioms = { Axioms.coherent with Lipschitz = if order = 1 || weight = 0.0 then 1.0 + weight else infinity }
            Source =
                "Ogryczak and Ruszczynski 1999, From stochastic dominance to mean-risk models; Ruszczynski and Shapiro 2006, Optimization of convex risk functions"
            Value = fun law -> law.Mean - weight * fall order law
        }

    /// K = (1 - t) K_1 + t K_2, t in [0, 1]; it has the axioms that both have.
    let mix (weight: float) (first: Functional) (second: Functional) : Functional =
        if not (weight >= 0.0 && weight <= 1.0) then
            invalidArg (nameof weight) $"weight must lie in [0, 1] but is {weight}"

        let a, b = first.Axioms, second.Axioms
        let part share lipschitz = if share = 0.0 then 0.0 else share * lipschitz

        {
            Name = $"{1.0 - weight} {first.Name} + {weight} {second.Name}"
            Axioms =
                {
                    Monotone = a.Monotone && b.Monotone
                    Translates = a.Translates && b.Translates
                    Homogeneous = a.Homogeneous && b.Homogeneous
                    ConcaveInMixtures = a.ConcaveInMixtures && b.ConcaveInMixtures
                    ConvexInMixtures = a.ConvexInMixtures && b.ConvexInMixtures
                    Superadditive = a.Superadditive && b.Superadditive
                    Lipschitz = part (1.0 - weight) a.Lipschitz + part weight b.Lipschitz
                }
            Source = [ first.Source; second.Source ] |> List.distinct |> String.concat "; "
            Value = fun law -> (1.0 - weight) * first.Value law + weight * second.Value law
        }

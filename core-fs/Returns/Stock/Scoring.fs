namespace ValueFlow.Core.Returns

open System
open ValueFlow.Core.Foundations

/// A risk that is the least value of a score: rho(Y) = inf over v of h(E f(Y, v), v), h increasing in its first argument. Outcomes are costs: less is better.
/// Han, Liu and Yu 2025, "Risk-sensitive reinforcement learning based on convex scoring functions".
type Scoring =
    {
        /// The name, with its parameters.
        Name: string
        /// f(y, v): what an outcome scores against a forecast v.
        Score: float -> float -> float
        /// h(x, v): the risk, from the mean score x; increasing in x.
        Risk: float -> float -> float
        /// Where forecasts are looked for, given the least and the largest outcome: h(E f(Y, v), v) falls and then rises there.
        Range: float -> float -> struct (float * float)
        /// Whether h(x, v) = x: then a mean may be added to the score.
        Plain: bool
    }

/// Risks by their scores.
[<RequireQualifiedAccess>]
module Scoring =

    let private requireLevel (level: float) =
        if not (level >= 0.0 && level < 1.0) then
            invalidArg (nameof level) $"level must lie in [0, 1) but is {level}"

    let private between least most = struct (least, most)

    /// f = (y - v)^2: the variance; the forecast is the mean. Neither monotone nor homogeneous of degree 1.
    let variance: Scoring =
        {
            Name = "variance"
            Score = fun y v -> (y - v) * (y - v)
            Risk = fun x _ -> x
            Range = between
            Plain = true
        }

    /// f = v + (y - v)_+ / (1 - alpha), alpha in [0, 1): the expected shortfall, the mean of the share 1 - alpha of largest costs; the forecast is the alpha-quantile.
    /// ES_0 is the mean. Rockafellar and Uryasev 2000, "Optimization of conditional value-at-risk".
    let expectedShortfall (level: float) : Scoring =
        requireLevel level

        {
            Name = $"es:{level}"
            Score = fun y v -> v + Math.Max(y - v, 0.0) / (1.0 - level)
            Risk = fun x _ -> x
            Range = between
            Plain = true
        }

    /// f = exp(v y), h = log(x / (1 - alpha)) / v for v in (0, vMost]: the entropic value-at-risk, an upper bound of ES_alpha. With forecasts of any size the infimum is reached only where
    /// P(Y = max Y) &lt; 1 - alpha; otherwise it is max Y, for v to infinity, and this score gives at most log(1 / (1 - alpha)) / vMost more. Forecasts go down to
    /// vMost / 1e6; vMost times the largest |y| must not exceed 700, where exp overflows. Ahmadi-Javid 2012, "Entropic value-at-risk: a new coherent risk measure".
    let entropicValueAtRisk (level: float) (vMost: float) : Scoring =
        requireLevel level

        if not (vMost > 0.0 && Double.IsFinite vMost) then
            invalidArg (nameof vMost) $"vMost must be positive and finite but is {vMost}"

        {
            Name = $"evar:{level}"
            Score = fun y v -> exp (v * y)
            Risk = fun x v -> log (x / (1.0 - level)) / v
            Range =
                fun least most ->
                    let largest = Math.Max(abs least, abs most)

                    if vMost * largest > 700.0 then
                        invalidArg (nameof vMost) $"vMost times the largest outcome must not exceed 700 but is {vMost * largest}"

                    struct (1e-6 * vMost, vMost)
            Plain = false
        }

    /// E Y + lambda rho(Y), lambda &gt;= 0: f = y + lambda f_rho. Only for a risk with h(x, v) = x (ArgumentException for another).
    let meanRisk (weight: float) (scoring: Scoring) : Scoring =
        if not (weight >= 0.0 && Double.IsFinite weight) then
            invalidArg (nameof weight) $"weight must be finite and not negative but is {weight}"

        if not scoring.Plain then
            invalidArg (nameof scoring) $"the risk must be a mean score, h(x, v) = x, but '{scoring.Name}' is not"

        { scoring with
            Name = $"mean+{weight}*{scoring.Name}"
            Score = fun y v -> y + weight * scoring.Score y v
        }

    // The golden section: a function that falls and then rises, over v or over log v where the range is positive and wide.
    let private section (f: float -> float) (struct (least, most)) : struct (float * float) =
        let logarithmic = least > 0.0 && most > 1000.0 * least
        let out x = if logarithmic then exp x else x
        let into x = if logarithmic then log x else x
        let ratio = (sqrt 5.0 - 1.0) / 2.0
        let mutable a = into least
        let mutable b = into most
        let mutable c = b - ratio * (b - a)
        let mutable d = a + ratio * (b - a)
        let mutable fc = f (out c)
        let mutable fd = f (out d)

        for _ in 1..90 do
            if fc <= fd then
                b <- d
                d <- c
                fd <- fc
                c <- b - ratio * (b - a)
                fc <- f (out c)
            else
                a <- c
                c <- d
                fc <- fd
                d <- a + ratio * (b - a)
                fd <- f (out d)

        // The minimum may lie at an end, which the section only nears.
        [| least; most; out (0.5 * (a + b)); out c; out d |]
        |> Array.map (fun v -> struct (v, f v))
        |> Array.minBy (fun (struct (_, value)) -> value)

    /// The forecast v that makes h(E f(Y, v), v) least within the range, and that value: struct (v, rho(Y)). By golden section.
    let forecast (scoring: Scoring) (law: Distribution) : struct (float * float) =
        section (fun v -> scoring.Risk (law.Expect(fun y -> scoring.Score y v)) v) (scoring.Range law.Minimum law.Maximum)

    /// rho(Y) = inf over v of h(E f(Y, v), v).
    let risk (scoring: Scoring) (law: Distribution) : float =
        let struct (_, value) = forecast scoring law
        value

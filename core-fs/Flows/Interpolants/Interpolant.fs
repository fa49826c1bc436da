namespace ValueFlow.Core.Flows

open System

/// Whether one end of an interpolant is pure noise: standard normal, and independent of the other end.
[<RequireQualifiedAccess>]
type GaussianEnd =
    /// Nothing is known of either end.
    | Neither
    /// x0 ~ N(0, I), independent of x1: the one-sided interpolants, diffusion models among them.
    | Start
    /// x1 ~ N(0, I), independent of x0.
    | Finish

/// What is wrong with the functions that an interpolant was to be made of.
[<RequireQualifiedAccess>]
type InterpolantError =
    /// The named schedule has the wrong value at time 0 or 1.
    | EndpointMissed of schedule: string * time: float * expected: float * found: float
    /// The named schedule's derivative is not the numerical one.
    | DerivativeDisagrees of schedule: string * time: float * claimed: float * measured: float
    /// The square of gamma is not gamma times gamma.
    | SquareDisagrees of time: float * expected: float * found: float

/// Words for errors.
[<RequireQualifiedAccess>]
module InterpolantError =

    /// The sentence for an error.
    let describe (error: InterpolantError) : string =
        match error with
        | InterpolantError.EndpointMissed(schedule, time, expected, found) -> $"{schedule}({time}) must be {expected} but is {found}"
        | InterpolantError.DerivativeDisagrees(schedule, time, claimed, measured) ->
            $"the derivative of {schedule} at {time} must be {measured} (numerically) but is {claimed}"
        | InterpolantError.SquareDisagrees(time, expected, found) -> $"gamma^2 at {time} must be {expected} but is {found}"

/// The numbers of an interpolant at one time.
[<Struct>]
type Coefficients =
    {
        /// alpha(t).
        Alpha: float
        /// beta(t).
        Beta: float
        /// gamma(t).
        Gamma: float
        /// alpha'(t).
        AlphaRate: float
        /// beta'(t).
        BetaRate: float
        /// gamma'(t), infinite where gamma has a root's end.
        GammaRate: float
        /// gamma(t) gamma'(t), finite everywhere.
        GammaProduct: float
    }

/// What lies between two samples: x_t = alpha(t) x0 + beta(t) x1 + gamma(t) z, z ~ N(0, I) independent of the pair (x0, x1).
///
/// x_0 = x0 and x_1 = x1 exactly (a mirror: x_0 = x_1 = x1). Albergo, Boffi and Vanden-Eijnden 2023, "Stochastic Interpolants".
[<NoComparison; NoEquality>]
type Interpolant =
    private
        {
            name: string
            alpha: Schedule
            beta: Schedule
            latent: Latent
            gaussian: GaussianEnd
            isMirror: bool
        }

    /// The name in reports.
    member this.Name = this.name
    /// The share of x0.
    member this.Alpha = this.alpha
    /// The share of x1.
    member this.Beta = this.beta
    /// The share of z.
    member this.Latent = this.latent
    /// Which end is known to be standard normal noise.
    member this.Gaussian = this.gaussian
    /// Whether both ends are x1.
    member this.IsMirror = this.isMirror

/// Makes interpolants, and evaluates them at one time.
[<RequireQualifiedAccess>]
module Interpolant =

    let private ends (isMirror: bool) =
        [
            "alpha", (if isMirror then 0.0 else 1.0), 0.0
            "beta", (if isMirror then 1.0 else 0.0), 1.0
            "gamma", 0.0, 0.0
        ]

    let private errors (i: Interpolant) : InterpolantError list =
        let schedules = [ i.alpha; i.beta; i.latent.Gamma ]

        [
            for schedule, (name, first, last) in List.zip schedules (ends i.isMirror) do
                for time, expected in [ 0.0, first; 1.0, last ] do
                    let found = schedule.Value time

                    if not (abs (found - expected) <= 1e-12) then
                        InterpolantError.EndpointMissed(name, time, expected, found)

            for schedule, name in List.zip (schedules @ [ i.latent.Square ]) [ "alpha"; "beta"; "gamma"; "gamma^2" ] do
                match Schedule.disagreement schedule with
                | ValueSome(time, claimed, measured) -> InterpolantError.DerivativeDisagrees(name, time, claimed, measured)
                | ValueNone -> ()

            for time in [ 0.0; 0.1; 0.3; 0.5; 0.7; 0.9; 1.0 ] do
                let expected, found = i.latent.Gamma.Value time ** 2.0, i.latent.Square.Value time

                if not (abs (expected - found) <= 1e-12 * (1.0 + expected)) then
                    InterpolantError.SquareDisagrees(time, expected, found)
        ]

    let private validate (i: Interpolant) : Result<Interpolant, InterpolantError list> =
        match errors i with
        | [] -> Ok i
        | found -> Error found

    let private build name alpha beta latent gaussian isMirror =
        {
            name = name
            alpha = alpha
            beta = beta
            latent = latent
            gaussian = gaussian
            isMirror = isMirror
        }

    /// An interpolant of your own functions: all that is wrong with them, or the interpolant. Boundary values may be off by 1e-12; derivatives are compared
    /// with numerical ones at 64 times.
    let tryCreate (name: string) (alpha: Schedule) (beta: Schedule) (latent: Latent) : Result<Interpolant, InterpolantError list> =
        validate (build name alpha beta latent GaussianEnd.Neither false)

    let private orThrow (result: Result<Interpolant, InterpolantError list>) : Interpolant =
        match result with
        | Ok interpolant -> interpolant
        | Error found -> invalidArg "schedules" (found |> List.map InterpolantError.describe |> String.concat "; ")

    /// An interpolant of your own functions; throws an ArgumentException that lists all that is wrong with them.
    let create (name: string) (alpha: Schedule) (beta: Schedule) (latent: Latent) : Interpolant = orThrow (tryCreate name alpha beta latent)

    /// alpha = 1 - t, beta = t. Without latent noise the velocity of a pair is x1 - x0 (Lipman, Chen, Ben-Hamu, Nickel and Le 2023, "Flow Matching for
    /// Generative Modeling"; Liu, Gong and Liu 2023, "Flow Straight and Fast").
    let linear (latent: Latent) : Interpolant = create $"linear, latent {latent.Name}" Schedule.remaining Schedule.time latent

    /// alpha = 1 - t, beta = t, gamma = sqrt(a t (1 - t)): a Brownian bridge of variance a between x0 and x1.
    let brownianBridge (a: float) : Interpolant = linear (Latent.brownian a)

    /// alpha = cos(pi t/2), beta = sin(pi t/2): the variance is kept where both ends have it.
    let trigonometric (latent: Latent) : Interpolant =
        create $"trigonometric, latent {latent.Name}" Schedule.quarterCosine Schedule.quarterSine latent

    /// alpha = cos^2(pi t) until t = 1/2 and 0 after it, beta = 0 until t = 1/2 and cos^2(pi t) after it, gamma = sin^2(pi t): x0 dissolves into noise, from
    /// which x1 forms.
    let encodingDecoding: Interpolant =
        let square t = Double.CosPi t ** 2.0
        let rate t = -Math.PI * Double.SinPi(2.0 * t)
        let first = Schedule.create (fun t -> if t < 0.5 then square t else 0.0) (fun t -> if t < 0.5 then rate t else 0.0)
        let second = Schedule.create (fun t -> if t > 0.5 then square t else 0.0) (fun t -> if t > 0.5 then rate t else 0.0)
        create "encoding-decoding" first second (Latent.sineSquared 1.0)

    /// x_t = x1 + gamma z: leaves the data and comes back to it. The latent noise must not be none.
    let mirror (latent: Latent) : Interpolant =
        if latent.Gamma.Value 0.5 = 0.0 then
            invalidArg (nameof latent) "a mirror must have latent noise but has none"

        orThrow (
            validate (build $"mirror, latent {latent.Name}" (Schedule.constant 0.0) (Schedule.constant 1.0) latent GaussianEnd.Neither true)
        )

    /// The same path, but it is known that x0 ~ N(0, I) independently of x1: scores and noise can be told from velocities.
    let withGaussianStart (interpolant: Interpolant) : Interpolant =
        if interpolant.isMirror then
            invalidArg (nameof interpolant) "x0 must be part of the path but a mirror has none of it"

        { interpolant with name = $"one-sided {interpolant.name}"; gaussian = GaussianEnd.Start }

    /// x_t = alpha(t) z + beta(t) x1 with z = x0 ~ N(0, I), independent of x1.
    let oneSided (name: string) (alpha: Schedule) (beta: Schedule) : Interpolant = withGaussianStart (create name alpha beta Latent.none)

    /// alpha = cos a(t), beta = sin a(t) for an angle from 0 to pi/2, x0 ~ N(0, I): alpha^2 + beta^2 = 1 with finite derivatives and exact ends.
    let variancePreserving (angle: Schedule) : Interpolant =
        oneSided
            "variance-preserving"
            (Schedule.compose (Schedule.create cos (sin >> (~-))) angle)
            (Schedule.compose (Schedule.create sin cos) angle)

    /// The variance-preserving diffusion with the linear noise rate r(s) = least + s (most - least), s = 1 - t, x0 ~ N(0, I) (Song et al. 2021, "Score-Based
    /// Generative Modeling through Stochastic Differential Equations"): b(t) = exp(-(1/2) int_0^(1-t) r), beta = (b(t) - b(0)) / (1 - b(0)) so that x_0 is
    /// x0 exactly, alpha = sqrt(1 - beta^2). alpha'(1) = -infinity if least > 0.
    let diffusion (least: float) (most: float) : Interpolant =
        if not (least >= 0.0 && Double.IsFinite least) then
            invalidArg (nameof least) $"must be finite and not negative but is {least}"

        if not (most > least && Double.IsFinite most) then
            invalidArg (nameof most) $"must be finite and above {least} but is {most}"

        // log b at the time left s; 1 - beta = (1 - b) / (1 - b(0)) without cancellation.
        let logarithm s = -0.25 * s * s * (most - least) - 0.5 * s * least
        // e^y - 1 without cancellation; Double.ExpM1 is the plain difference.
        let lessOne y = 2.0 * exp (y / 2.0) * sinh (y / 2.0)
        let whole = -(lessOne (logarithm 1.0))
        let lack t = if t = 0.0 then 1.0 else -(lessOne (logarithm (1.0 - t))) / whole

        let betaRate t =
            let s = 1.0 - t
            exp (logarithm s) * 0.5 * (least + s * (most - least)) / whole

        let beta = Schedule.create (fun t -> 1.0 - lack t) betaRate
        let alpha t = sqrt (lack t * (2.0 - lack t))

        let alphaRate t =
            if t < 1.0 then -(1.0 - lack t) * betaRate t / alpha t
            elif least > 0.0 then Double.NegativeInfinity
            else -sqrt(0.5 * most / whole)

        oneSided $"diffusion {least} to {most}" (Schedule.create alpha alphaRate) beta

    /// The path from the other side: x0 and x1 change places, t becomes 1 - t.
    let reverse (interpolant: Interpolant) : Interpolant =
        if interpolant.isMirror then
            { interpolant with
                name = $"reverse {interpolant.name}"
                latent = Latent.reverse interpolant.latent
            }
        else
            {
                name = $"reverse {interpolant.name}"
                alpha = Schedule.reverse interpolant.beta
                beta = Schedule.reverse interpolant.alpha
                latent = Latent.reverse interpolant.latent
                isMirror = false
                gaussian =
                    match interpolant.gaussian with
                    | GaussianEnd.Neither -> GaussianEnd.Neither
                    | GaussianEnd.Start -> GaussianEnd.Finish
                    | GaussianEnd.Finish -> GaussianEnd.Start
            }

    /// The numbers at a time in [0, 1]; throws an ArgumentException elsewhere. The ends are exact.
    let at (interpolant: Interpolant) (t: float) : Coefficients =
        if not (t >= 0.0 && t <= 1.0) then
            invalidArg (nameof t) $"must lie in [0, 1] but is {t}"

        let exact ofZero ofOne (schedule: Schedule) =
            if t = 0.0 then ofZero
            elif t = 1.0 then ofOne
            else schedule.Value t

        let first = if interpolant.isMirror then 0.0 else 1.0

        {
            Alpha = exact first 0.0 interpolant.alpha
            Beta = exact (1.0 - first) 1.0 interpolant.beta
            Gamma = exact 0.0 0.0 interpolant.latent.Gamma
            AlphaRate = interpolant.alpha.Derivative t
            BetaRate = interpolant.beta.Derivative t
            GammaRate = interpolant.latent.Gamma.Derivative t
            GammaProduct = interpolant.latent.Product t
        }

namespace ValueFlow.Core.Flows

open TorchSharp

/// A batch of pairs to interpolate between: rows of x0, x1 and, where the interpolant has latent noise, z; all of one shape (B, ...) and one type.
[<NoComparison; NoEquality>]
type Pairs =
    {
        /// x0.
        Start: torch.Tensor
        /// x1.
        Finish: torch.Tensor
        /// z; nothing where gamma = 0.
        Noise: torch.Tensor voption
    }

/// Operations on pairs.
[<RequireQualifiedAccess>]
module Pairs =

    /// Every pair with z, and then every pair with -z: twice the rows, and the mean over a row and its twin has no term that is odd in z.
    let antithetic (pairs: Pairs) : Pairs =
        let join (first: torch.Tensor) (second: torch.Tensor) : torch.Tensor = torch.cat ([| first; second |], 0L)

        {
            Start = join pairs.Start pairs.Start
            Finish = join pairs.Finish pairs.Finish
            Noise = pairs.Noise |> ValueOption.map (fun z -> join z (z.neg ()))
        }

/// Interpolants on batches. t is one number (0-dimensional) or has the shape (B), in [0, 1], of the type of x0. Values are fresh; no argument is changed.
[<RequireQualifiedAccess>]
module Path =

    let private isZero (numbers: float[]) = numbers |> Array.forall (fun c -> c = 0.0)

    /// a x0 + b x1 + c z for rows of numbers; throws an ArgumentException where z is needed and missing.
    let internal combine (pairs: Pairs) (a: float[]) (b: float[]) (c: float[]) : torch.Tensor =
        match pairs.Noise with
        | ValueSome noise -> TimeRows.combine pairs.Start [ a, pairs.Start; b, pairs.Finish; c, noise ]
        | ValueNone when isZero c -> TimeRows.combine pairs.Start [ a, pairs.Start; b, pairs.Finish ]
        | ValueNone -> invalidArg "pairs" "noise must be given because the interpolant has latent noise, but is missing"

    /// Checks the batch and evaluates the interpolant at its times.
    let internal evaluate (interpolant: Interpolant) (t: torch.Tensor) (pairs: Pairs) : struct (float[] * Coefficients[]) =
        TimeRows.requireBatch "x0" pairs.Start
        TimeRows.requireLike "x1" pairs.Start pairs.Finish
        pairs.Noise |> ValueOption.iter (TimeRows.requireLike "z" pairs.Start)
        let times = TimeRows.read pairs.Start t
        struct (times, times |> Array.map (Interpolant.at interpolant))

    let private pointOf (pairs: Pairs) (numbers: Coefficients[]) =
        combine pairs (numbers |> Array.map _.Alpha) (numbers |> Array.map _.Beta) (numbers |> Array.map _.Gamma)

    let private velocityOf (pairs: Pairs) (times: float[]) (numbers: Coefficients[]) =
        let rate name (pick: Coefficients -> float) =
            let rates = numbers |> Array.map pick
            TimeRows.requireFinite name times rates
            rates

        combine pairs (rate "alpha'" _.AlphaRate) (rate "beta'" _.BetaRate) (rate "gamma'" _.GammaRate)

    /// x_t = alpha x0 + beta x1 + gamma z, (B, ...).
    let point (interpolant: Interpolant) (t: torch.Tensor) (pairs: Pairs) : torch.Tensor =
        let struct (_, numbers) = evaluate interpolant t pairs
        pointOf pairs numbers

    /// dx_t/dt = alpha' x0 + beta' x1 + gamma' z, (B, ...); throws an ArgumentException that names the row where a derivative is infinite.
    let velocity (interpolant: Interpolant) (t: torch.Tensor) (pairs: Pairs) : torch.Tensor =
        let struct (times, numbers) = evaluate interpolant t pairs
        velocityOf pairs times numbers

    /// x_t and dx_t/dt at once.
    let pointAndVelocity (interpolant: Interpolant) (t: torch.Tensor) (pairs: Pairs) : struct (torch.Tensor * torch.Tensor) =
        let struct (times, numbers) = evaluate interpolant t pairs
        let velocity = velocityOf pairs times numbers
        struct (pointOf pairs numbers, velocity)

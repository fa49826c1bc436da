namespace ValueFlow.Core.Flows

open System

/// The share gamma(t) of a latent standard normal z in x_t = alpha x0 + beta x1 + gamma z; zero at both ends, positive in between or zero everywhere.
///
/// gamma^2 is kept beside gamma: gamma gamma' = (gamma^2)'/2 is finite where gamma' is not, without a 0/0.
/// Albergo, Boffi and Vanden-Eijnden 2023, "Stochastic Interpolants: A Unifying Framework for Flows and Diffusions".
type Latent =
    {
        /// The name in reports.
        Name: string
        /// gamma; its derivative may be infinite at the ends.
        Gamma: Schedule
        /// gamma^2; its derivative is finite at the ends.
        Square: Schedule
    }

    /// gamma gamma', in closed form.
    member this.Product(t: float) : float = this.Square.Derivative t / 2.0

/// Latent noises.
[<RequireQualifiedAccess>]
module Latent =

    let private positive (name: string) (value: float) =
        if not (value > 0.0 && Double.IsFinite value) then
            invalidArg name $"must be positive and finite but is {value}"

    /// A latent noise from gamma^2: gamma is its root, gamma' = (gamma^2)' / (2 gamma). Right for every gamma^2 that vanishes to first order at its ends;
    /// where gamma' is finite there, give gamma itself to <c>ofGamma</c>.
    let ofSquare (name: string) (square: Schedule) : Latent =
        let gamma = Schedule.create (square.Value >> sqrt) (fun t -> square.Derivative t / (2.0 * sqrt (square.Value t)))
        { Name = name; Gamma = gamma; Square = square }

    /// A latent noise from a gamma whose derivative is finite.
    let ofGamma (name: string) (gamma: Schedule) : Latent = { Name = name; Gamma = gamma; Square = Schedule.multiply gamma gamma }

    /// gamma = 0: no latent noise.
    let none: Latent = ofGamma "none" (Schedule.constant 0.0)

    /// gamma = sqrt(a t (1 - t)), the standard deviation of a Brownian bridge of variance a.
    let brownian (a: float) : Latent =
        positive (nameof a) a
        ofSquare $"brownian {a}" (Schedule.create (fun t -> a * t * (1.0 - t)) (fun t -> a * (1.0 - 2.0 * t)))

    /// gamma = a t (1 - t).
    let quadratic (a: float) : Latent =
        positive (nameof a) a
        ofGamma $"quadratic {a}" (Schedule.create (fun t -> a * t * (1.0 - t)) (fun t -> a * (1.0 - 2.0 * t)))

    /// gamma = a sin^2(pi t).
    let sineSquared (a: float) : Latent =
        positive (nameof a) a

        Schedule.create (fun t -> a * Double.SinPi t ** 2.0) (fun t -> a * Math.PI * Double.SinPi(2.0 * t))
        |> ofGamma $"sine squared {a}"

    /// gamma = g(|t - 1/2|) - g(1/2), g(u) = S(f u + 1) - S(f u - 1), S the logistic function: a plateau with steep flanks for large f.
    let sigmoid (steepness: float) : Latent =
        positive (nameof steepness) steepness
        let logistic u = 1.0 / (1.0 + exp -u)

        let slope u =
            let s = logistic u
            s * (1.0 - s)

        let hump u = logistic (steepness * u + 1.0) - logistic (steepness * u - 1.0)
        let rate u = steepness * (slope (steepness * u + 1.0) - slope (steepness * u - 1.0))

        Schedule.create (fun t -> hump (abs (t - 0.5)) - hump 0.5) (fun t -> rate (t - 0.5))
        |> ofGamma $"sigmoid {steepness}"

    /// gamma(1 - t).
    let reverse (latent: Latent) : Latent = { latent with Gamma = Schedule.reverse latent.Gamma; Square = Schedule.reverse latent.Square }

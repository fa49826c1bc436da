namespace ValueFlow.Core.Dynamics

open TorchSharp
open ValueFlow.Core.Foundations

/// Which sums a stochastic integral is the limit of.
[<RequireQualifiedAccess>]
type Calculus =
    /// The diffusion is taken at the start of a step. Ito 1944, "Stochastic integral".
    | Ito
    /// The diffusion is taken in the middle: the chain rule of calculus holds. Stratonovich 1966, "A new representation for stochastic integrals and equations".
    | Stratonovich

/// How the noise enters.
[<RequireQualifiedAccess>]
type Noise =
    /// g(t) dW entry by entry: the diffusion does not look at x.
    | Additive
    /// g_i(t, x_i) dW_i: every coordinate has its own Brownian motion, and its diffusion looks at that coordinate alone.
    | Diagonal
    /// G(t, x) dW with a matrix of shape (batch, d, channels).
    | General of channels: int

/// A stochastic equation dX = f(t, X) dt + g(t, X) dW.
type StochasticEquation =
    {
        /// The name in reports.
        Name: string
        /// f(t, x), of the shape of x.
        Drift: Field
        /// g(t, x): of the shape of x, or one that is stretched to it; of shape (batch, d, channels) for general noise.
        Diffusion: Field
        /// How the noise enters.
        Noise: Noise
        /// What the equation means.
        Calculus: Calculus
    }

/// Makes stochastic equations.
[<RequireQualifiedAccess>]
module StochasticEquation =

    let private create (noise: Noise) (drift: Field) (diffusion: Field) : StochasticEquation =
        { Name = drift.Name; Drift = drift; Diffusion = diffusion; Noise = noise; Calculus = Calculus.Ito }

    /// dX = f(t, X) dt + g_i(t, X_i) dW_i in the sense of Ito.
    let diagonal (drift: Field) (diffusion: Field) : StochasticEquation = create Noise.Diagonal drift diffusion

    /// dX = f(t, X) dt + sigma(t) dW.
    let additive (drift: Field) (sigma: float -> float) : StochasticEquation =
        create Noise.Additive drift (Field.atTime "sigma(t)" (fun t x -> torch.tensor ([| sigma t |], dtype = x.dtype)))

    /// dX = f(t, X) dt + G(t, X) dW in the sense of Ito, with a matrix G of shape (batch, d, channels).
    let general (channels: int) (drift: Field) (diffusion: Field) : StochasticEquation =
        if channels < 1 then
            invalidArg (nameof channels) $"there must be at least 1 channel but there are {channels}"

        create (Noise.General channels) drift diffusion

    /// The same coefficients in the sense of Stratonovich: another equation, unless the noise is additive.
    let stratonovich (sde: StochasticEquation) : StochasticEquation = { sde with Calculus = Calculus.Stratonovich }

    /// The equation of tau -> X(total - tau): drift -f(total - tau, y), the same diffusion at total - tau. For Ito's sense the integral is the backward one.
    let reversed (total: float) (sde: StochasticEquation) : StochasticEquation =
        let turn (t: torch.Tensor) : torch.Tensor = t.neg () |> Elementwise.plus total

        let within (field: Field) (work: torch.Tensor -> torch.Tensor) =
            { field with Apply = fun t x -> Lifetime.keep (fun () -> work (field.Apply (turn t) x)) }

        { sde with
            Name = $"{sde.Name}, reversed"
            Drift = within sde.Drift _.neg()
            Diffusion = within sde.Diffusion (fun g -> g.alias ())
        }

    /// The shape of the Brownian motion that drives a state of a shape (batch, d).
    let noiseShape (shape: int64[]) (sde: StochasticEquation) : int64 list =
        match sde.Noise with
        | Noise.Additive
        | Noise.Diagonal -> List.ofArray shape
        | Noise.General channels -> [ shape[0]; int64 channels ]

    /// g dW: what an increment makes of a value of the diffusion.
    let product (sde: StochasticEquation) (value: torch.Tensor) (increment: torch.Tensor) : torch.Tensor =
        match sde.Noise with
        | Noise.Additive
        | Noise.Diagonal -> value.mul increment
        | Noise.General channels ->
            Shape.require "diffusion" [ increment.shape[0]; -1L; int64 channels ] value
            Lifetime.keep (fun () -> value.bmm(increment.unsqueeze -1L).squeeze -1L)

namespace ValueFlow.Core.Returns

open System
open TorchSharp
open ValueFlow.Core.Foundations

/// Losses by which a value V learns the certainty equivalent CE_a[y] = -(1/a) log E exp(-a y) of targets y, a &gt; 0. All act elementwise on tensors of equal shape, are
/// differentiable in both arguments, tend to (V - y)^2 / 2 as a tends to 0, and leave the mean over targets to the caller.
[<RequireQualifiedAccess>]
module ItakuraSaito =

    let private require (aversion: float) (values: torch.Tensor) (targets: torch.Tensor) =
        Argument.positive (nameof aversion) aversion
        Shape.require (nameof targets) (List.ofArray values.shape) targets

    // a (V - y).
    let private exponent (aversion: float) (values: torch.Tensor) (targets: torch.Tensor) : torch.Tensor =
        Elementwise.times aversion (values.sub targets)

    /// l(V, y) = (exp(a (V - y)) - a (V - y) - 1) / a^2: the Itakura-Saito divergence between exp(-a y) and exp(-a V). Convex, not negative, zero only for V = y, and the same for (V + c, y + c);
    /// its mean over y is least at V = CE_a[y]; gradient (exp(a (V - y)) - 1) / a.
    /// Udovichenko, Croissant, Toleutaeva, Burnaev and Korotin 2025, "Risk-averse reinforcement learning with Itakura-Saito loss".
    let loss (aversion: float) (values: torch.Tensor) (targets: torch.Tensor) : torch.Tensor =
        require aversion values targets

        Lifetime.keep (fun () ->
            let u = exponent aversion values targets
            Elementwise.over (aversion * aversion) ((u.expm1 ()).sub u))

    /// The same loss, continued by its tangent where a (V - y) exceeds a bound c &gt; 0: gradient (exp(min(a (V - y), c)) - 1) / a, so that no single target throws V far. Still convex; its
    /// minimiser lies above CE_a[y] by what targets below V - c / a would have weighed.
    let clipped (bound: float) (aversion: float) (values: torch.Tensor) (targets: torch.Tensor) : torch.Tensor =
        Argument.positive (nameof bound) bound
        require aversion values targets

        Lifetime.keep (fun () ->
            let u = exponent aversion values targets
            use most = Scalar.op_Implicit bound
            let m = u.clamp_max most
            // exp(m) (1 + u - m) - 1 - u.
            let tangent = Elementwise.sum (m.expm1 ()) ((m.exp ()).mul(u.sub m))
            Elementwise.over (aversion * aversion) (tangent.sub u))

    /// (exp(-a V) - exp(-a y))^2 / (2 a^2): the exponential mean squared error. Its minimiser is CE_a[y] too, but (V + c, y + c) scales it by exp(-2 a c): it overflows below zero and
    /// its gradient vanishes above.
    let exponentialSquares (aversion: float) (values: torch.Tensor) (targets: torch.Tensor) : torch.Tensor =
        require aversion values targets

        Lifetime.keep (fun () ->
            let image (x: torch.Tensor) : torch.Tensor = (Elementwise.times -aversion x).exp()
            let gap = (image values).sub(image targets)
            Elementwise.over (2.0 * aversion * aversion) (gap.mul gap))

    /// s (V - y)^2 with the weight s = 1 / (1 + exp(-a (V - y))), through which no gradient passes: gradient 2 s (V - y). A heuristic whose stationary point is CE_a[y] for normal y, and
    /// another number for other laws. Deletang, Grau-Moya, Kunesch, Genewein, Brekelmans, Legg and Ortega 2021, "Model-free risk-sensitive reinforcement learning".
    let softplus (aversion: float) (values: torch.Tensor) (targets: torch.Tensor) : torch.Tensor =
        require aversion values targets

        Lifetime.keep (fun () ->
            let gap = values.sub targets
            let weight = ((Elementwise.times aversion gap).detach()).sigmoid()
            (gap.mul gap).mul weight)

    /// One step on plain numbers: V - rate (exp(min(a (V - y), c)) - 1) / a, the gradient step of the clipped loss (of the loss itself for an infinite bound c).
    let step (bound: float) (aversion: float) (rate: float) (value: float) (target: float) : float =
        value - rate * (Math.Exp(Math.Min(aversion * (value - target), bound)) - 1.0) / aversion

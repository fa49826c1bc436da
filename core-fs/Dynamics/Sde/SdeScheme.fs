namespace ValueFlow.Core.Dynamics

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic

/// One step of a scheme, from t to t + h: from the state that the scheme carries (x first, and what else it needs) and what the Brownian path does.
type SdeStep = delegate of sde: StochasticEquation * t: float * h: float * state: torch.Tensor[] * noise: BrownianStep -> torch.Tensor[]

/// A scheme for stochastic equations.
type SdeScheme =
    {
        /// The name in reports.
        Name: string
        /// Where it comes from.
        Source: string
        /// The sense of the equations that it solves.
        Calculus: Calculus
        /// E|X_h(T) - X(T)| = O(h^order) for smooth coefficients; nothing for a noise that the scheme does not take.
        StrongOrder: Noise -> float voption
        /// Evaluations of the drift and of the diffusion in a step.
        Evaluations: struct (int * int)
        /// What the scheme carries, at the start.
        Start: torch.Tensor -> torch.Tensor[]
        /// One step.
        Step: SdeStep
    }

/// The schemes. Every step allocates what it returns, and frees the rest.
[<RequireQualifiedAccess>]
module SdeScheme =

    let private at (t: float) (x: torch.Tensor) : torch.Tensor = torch.tensor (t, dtype = x.dtype)

    // x + h f + ...: one call, and h as a number.
    let private plus (h: float) (slope: torch.Tensor) (x: torch.Tensor) : torch.Tensor = Elementwise.addTimes h slope x

    let private step (work: StochasticEquation -> float -> float -> torch.Tensor -> BrownianStep -> torch.Tensor) : SdeStep =
        SdeStep(fun sde t h state noise -> [| Lifetime.keep (fun () -> work sde t h state[0] noise) |])

    let private additiveOr (additive: float) (diagonal: float) (general: float voption) (noise: Noise) =
        match noise with
        | Noise.Additive -> ValueSome additive
        | Noise.Diagonal -> ValueSome diagonal
        | Noise.General _ -> general

    /// x + f h + g dW, for equations of Ito. Strong order 1/2; 1 if the noise is additive. Maruyama 1955, "Continuous Markov processes and stochastic equations".
    let eulerMaruyama: SdeScheme =
        {
            Name = "Euler-Maruyama"
            Source = "Maruyama 1955"
            Calculus = Calculus.Ito
            StrongOrder = additiveOr 1.0 0.5 (ValueSome 0.5)
            Evaluations = struct (1, 1)
            Start = Array.singleton
            Step =
                step (fun sde t h x noise ->
                    let t = at t x
                    (plus h (sde.Drift.Apply t x) x).Plus(StochasticEquation.product sde (sde.Diffusion.Apply t x) noise.Increment))
        }

    /// x + (f + f~) h / 2 + (g + g~) dW / 2, with f~ and g~ at the Euler step: for equations of Stratonovich. Strong order 1 for noise that commutes (additive, diagonal, one
    /// channel), 1/2 in general. Ruemelin 1982, "Numerical treatment of stochastic differential equations".
    let heun: SdeScheme =
        {
            Name = "Heun"
            Source = "Ruemelin 1982"
            Calculus = Calculus.Stratonovich
            StrongOrder =
                function
                | Noise.Additive
                | Noise.Diagonal
                | Noise.General 1 -> ValueSome 1.0
                | Noise.General _ -> ValueSome 0.5
            Evaluations = struct (2, 2)
            Start = Array.singleton
            Step =
                step (fun sde t h x noise ->
                    let now, next = at t x, at (t + h) x
                    let f, g = sde.Drift.Apply now x, sde.Diffusion.Apply now x
                    let predicted = (plus h f x).Plus(StochasticEquation.product sde g noise.Increment)
                    let f', g' = sde.Drift.Apply next predicted, sde.Diffusion.Apply next predicted
                    (plus (0.5 * h) (f.Plus f') x).Plus(StochasticEquation.product sde (Elementwise.times 0.5 (g.Plus g')) noise.Increment))
        }

    /// x + f h + g dW + g g_x (dW^2 - h) / 2 for diagonal noise in the sense of Ito, with g g_x from the difference of g at x + f h + g sqrt(h). Strong order 1.
    /// Milstein 1974, "Approximate integration of stochastic differential equations"; without derivatives: Kloeden and Platen 1992, "Numerical solution of stochastic
    /// differential equations", 11.1.
    let milstein: SdeScheme =
        {
            Name = "Milstein"
            Source = "Milstein 1974; Kloeden and Platen 1992"
            Calculus = Calculus.Ito
            StrongOrder = additiveOr 1.0 1.0 ValueNone
            Evaluations = struct (1, 2)
            Start = Array.singleton
            Step =
                step (fun sde t h x noise ->
                    let now = at t x
                    let root = sqrt (abs h)
                    let g = sde.Diffusion.Apply now x
                    let drifted = plus h (sde.Drift.Apply now x) x
                    let slope = (sde.Diffusion.Apply now (plus root g drifted)).sub g
                    let excess = (noise.Increment.mul noise.Increment) |> Elementwise.plus -h
                    (drifted.Plus(g.mul noise.Increment)).Plus(Elementwise.times (0.5 / root) (slope.mul excess)))
        }

    /// Strong order 3/2 for diagonal noise in the sense of Ito, from four stages each of drift and diffusion and the area of the path: SRI1W1 of
    /// Roessler 2010, "Runge-Kutta methods for the strong approximation of solutions of stochastic differential equations".
    let roessler: SdeScheme =
        let betas =
            [|
                [| -1.0; -1.0; 2.0; -2.0 |]
                [| 4.0 / 3.0; 4.0 / 3.0; -4.0 / 3.0; 5.0 / 3.0 |]
                [| 2.0 / 3.0; -1.0 / 3.0; -2.0 / 3.0; -2.0 / 3.0 |]
                [| 0.0; 0.0; 0.0; 1.0 |]
            |]

        {
            Name = "Roessler SRI1W1"
            Source = "Roessler 2010"
            Calculus = Calculus.Ito
            StrongOrder = additiveOr 1.5 1.5 ValueNone
            Evaluations = struct (2, 4)
            Start = Array.singleton
            Step =
                step (fun sde t h x noise ->
                    let root = sqrt (abs h)
                    let w = noise.Increment
                    // I(1,1) / sqrt h, I(1,0) / h, I(1,1,1) / h.
                    let square = Elementwise.times (0.5 / root) ((w.mul w) |> Elementwise.plus -h)
                    let mixed = noise.Area.Plus(Elementwise.times 0.5 w)
                    let cube = Elementwise.times (1.0 / (6.0 * h)) (w.mul ((w.mul w) |> Elementwise.plus (-3.0 * h)))
                    let g (share: float) (point: torch.Tensor) = sde.Diffusion.Apply (at (t + share * h) x) point
                    let f1 = sde.Drift.Apply (at t x) x
                    let g1 = g 0.0 x
                    let drifted = plus (0.75 * h) f1 x
                    let f2 = sde.Drift.Apply (at (t + 0.75 * h) x) (drifted.Plus((Elementwise.times 1.5 mixed).mul g1))
                    let g2 = g 0.25 (plus (0.5 * root) g1 (plus (0.25 * h) f1 x))
                    let g3 = g 1.0 (plus -root g1 (plus h f1 x))
                    // The third stage of the drift is x itself, at the start.
                    let fourth = (plus (-5.0 * root) g1 (plus (0.25 * h) f1 x)) |> plus (3.0 * root) g2 |> plus (0.5 * root) g3
                    let diffusions = [| g1; g2; g3; g 0.25 fourth |]
                    let integrals = [| w; square; mixed; cube |]
                    let mutable sum = plus (2.0 / 3.0 * h) f2 (plus (1.0 / 3.0 * h) f1 x)

                    for i in 0..3 do
                        let mutable weight = Elementwise.times betas[i].[0] integrals[0]

                        for k in 1..3 do
                            if betas[i].[k] <> 0.0 then
                                weight <- plus betas[i].[k] integrals[k] weight

                        sum <- sum.Plus(weight.mul diffusions[i])

                    sum)
        }

    /// y^ = 2 y - y^ + f h + g dW, y + (f + f^) h / 2 + (g + g^) dW / 2, with f^ and g^ at the new y^: one evaluation a step, and a step back undoes a step. For equations of
    /// Stratonovich; orders as Heun's. Kidger, Foster, Li and Lyons 2021, "Efficient and accurate gradients for neural SDEs".
    let reversibleHeun: SdeScheme =
        { heun with
            Name = "reversible Heun"
            Source = "Kidger, Foster, Li and Lyons 2021"
            Evaluations = struct (2, 2)
            Start = fun x -> [| x; x |]
            Step =
                SdeStep(fun sde t h state noise ->
                    use scope = torch.NewDisposeScope()
                    let y, mirror = state[0], state[1]
                    let now, next = at t y, at (t + h) y
                    let f, g = sde.Drift.Apply now mirror, sde.Diffusion.Apply now mirror
                    let moved = (plus 2.0 y (mirror.neg ())) |> plus h f
                    let mirror' = moved.Plus(StochasticEquation.product sde g noise.Increment)
                    let f', g' = sde.Drift.Apply next mirror', sde.Diffusion.Apply next mirror'
                    let half = Elementwise.times 0.5 (g.Plus g')
                    let y' = (plus (0.5 * h) (f.Plus f') y).Plus(StochasticEquation.product sde half noise.Increment)
                    [| scope.MoveToOuter y'; scope.MoveToOuter mirror' |])
        }

    /// All of them.
    let all: SdeScheme list = [ eulerMaruyama; heun; milstein; roessler; reversibleHeun ]

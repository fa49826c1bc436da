/// Strong orders as claimed, on equations whose solution is known along the path; wrong schemes are refuted by the same measurement.
module ValueFlow.Dynamics.Tests.Sde.SdeTests

open System
open TorchSharp
open Xunit
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics

let private number (work: unit -> torch.Tensor) : float = Lifetime.within (fun () -> (work ()).item<float>())

let private batch = 4096L

let private path (seed: int) (channels: int64) = BrownianPath.Create(seed, 0.0, 1.0, 1, [ batch / channels; channels ], torch.float64)

/// The root mean square distance at time 1 for steps of 2^-level, as the slope of its logarithm.
let private slopeOver
    (levels: int list)
    (scheme: SdeScheme)
    (equation: StochasticEquation)
    (path: BrownianPath)
    (x0: torch.Tensor)
    (exact: torch.Tensor)
    : float =
    let errors =
        levels
        |> List.map (fun level ->
            use solution = Sde.solve (SdeOptions.create scheme (1 <<< level)) equation path x0 0.0 1.0
            Assert.Equal(Reason.ReachedEnd, solution.Reason)
            number (fun () -> ((solution.Final.sub exact).square().mean()).sqrt()) |> Math.Log2)

    let x = levels |> List.map float
    let mx, my = List.average x, List.average errors

    -(List.sum (List.map2 (fun a b -> (a - mx) * (b - my)) x errors))
    / (x |> List.sumBy (fun a -> (a - mx) * (a - mx)))

let private slope = slopeOver [ 3..8 ]

let private within (scheme: SdeScheme) (noise: Noise) (measured: float) =
    let claimed = (scheme.StrongOrder noise).Value
    // One-sided is not enough: a claim that is too modest is wrong as well.
    Assert.True(abs (measured - claimed) <= 0.2, $"{scheme.Name}: order {measured:F3}, claimed {claimed}")

let private times (factor: float) : Field = Field.autonomous $"{factor} x" (Elementwise.times factor)

// Geometric Brownian motion: dX = a X dt + b X dW.
let private a, b = 1.5, 0.8

let private geometric (calculus: Calculus) (path: BrownianPath) =
    let equation = { StochasticEquation.diagonal (times a) (times b) with Calculus = calculus }
    let drift = if calculus = Calculus.Ito then a - 0.5 * b * b else a
    equation, Lifetime.keep (fun () -> (path.Increment(0.0, 1.0) |> Elementwise.times b |> Elementwise.plus drift).exp())

let private one = lazy (torch.ones ([| batch; 1L |], dtype = torch.float64))

[<Fact>]
let ``strong orders on geometric Brownian motion`` () =
    let path = path 1 1L

    for scheme in SdeScheme.all do
        let equation, exact = geometric scheme.Calculus path
        within scheme Noise.Diagonal (slope scheme equation path one.Value exact)

// A reference on a grid that is much finer.
let private fine (scheme: SdeScheme) (equation: StochasticEquation) (path: BrownianPath) (x0: torch.Tensor) : torch.Tensor =
    (Sde.solve (SdeOptions.create scheme 4096) equation path x0 0.0 1.0).Final

let private ornsteinUhlenbeck = StochasticEquation.additive (times -2.0) (fun t -> 0.5 + 0.5 * t)

[<Fact>]
let ``strong orders with additive noise: the Ornstein-Uhlenbeck process, and a drift that is bent`` () =
    let path = path 2 1L
    let exact = fine SdeScheme.roessler ornsteinUhlenbeck path one.Value

    for scheme in SdeScheme.all do
        if scheme.Name = SdeScheme.roessler.Name then
            // A linear drift is kinder than the claim: the terms of order 3/2 are met exactly.
            let order = slope scheme ornsteinUhlenbeck path one.Value exact
            Assert.True(order > 1.8 && order < 2.2, $"{scheme.Name}: {order}")
        else
            within scheme Noise.Additive (slope scheme ornsteinUhlenbeck path one.Value exact)

    let sine = Field.autonomous "sin 3x" (fun x -> Lifetime.keep (fun () -> (Elementwise.times 3.0 x).sin()))
    let bent = StochasticEquation.additive sine (fun _ -> 2.0)
    let exact = fine SdeScheme.roessler bent path one.Value
    let order = slope SdeScheme.roessler bent path one.Value exact
    within SdeScheme.roessler Noise.Additive order

[<Fact>]
let ``without commuting noise Heun and Euler-Maruyama have order one half`` () =
    // dX = dW1, dY = X dW2: Y is the iterated integral of two independent motions, which is the same in both senses.
    let path = path 3 2L

    let matrix =
        Field.autonomous "[1 0; 0 x]" (fun x ->
            Lifetime.keep (fun () ->
                let first = x.narrow (1L, 0L, 1L)
                let zero, one = torch.zeros_like first, torch.ones_like first
                torch.stack ([| torch.cat ([| one; zero |], 1L); torch.cat ([| zero; first |], 1L) |], 1L)))

    let equation = StochasticEquation.general 2 (Field.autonomous "0" torch.zeros_like) matrix
    let x0 = torch.zeros ([| batch / 2L; 2L |], dtype = torch.float64)
    let exact = fine SdeScheme.eulerMaruyama equation path x0
    let coarse = slopeOver [ 2..6 ]
    within SdeScheme.eulerMaruyama equation.Noise (coarse SdeScheme.eulerMaruyama equation path x0 exact)

    for scheme in [ SdeScheme.heun; SdeScheme.reversibleHeun ] do
        within scheme equation.Noise (coarse scheme (StochasticEquation.stratonovich equation) path x0 exact)

[<Fact>]
let ``wrong schemes are refuted: no correction, no area, Heun in the sense of Ito, half the noise`` () =
    let path = path 4 1L
    let equation, exact = geometric Calculus.Ito path
    let measured scheme = slope scheme equation path one.Value exact

    let withoutArea =
        { SdeScheme.roessler with
            Step =
                SdeStep(fun sde t h state noise ->
                    use zero = torch.zeros_like noise.Area
                    SdeScheme.roessler.Step.Invoke(sde, t, h, state, { noise with Area = zero }))
        }

    let wrong =
        [
            { SdeScheme.milstein with Step = SdeScheme.eulerMaruyama.Step }
            { SdeScheme.heun with Calculus = Calculus.Ito }
            { SdeScheme.eulerMaruyama with
                Step =
                    SdeStep(fun sde t h state noise ->
                        use half = Elementwise.times 0.5 noise.Increment
                        SdeScheme.eulerMaruyama.Step.Invoke(sde, t, h, state, { noise with Increment = half }))
            }
        ]

    for scheme in wrong do
        let order = measured scheme
        Assert.True(abs (order - (scheme.StrongOrder Noise.Diagonal).Value) > 0.2, $"{scheme.Name}: {order:F3}")

    // With geometric Brownian motion the areas cancel: only the Ornstein-Uhlenbeck process shows that they are missing.
    let order = slope withoutArea ornsteinUhlenbeck path one.Value (fine SdeScheme.roessler ornsteinUhlenbeck path one.Value)
    Assert.True(order < 1.2, $"without areas: {order:F3}")

[<Fact>]
let ``a step back of reversible Heun undoes a step, and Heun's own does not`` () =
    let path = BrownianPath.Create(5, 0.0, 1.0, 64, [ 8L; 2L ], torch.float64)

    let pendulum =
        Field.autonomous "damped pendulum" (fun x ->
            Lifetime.keep (fun () ->
                let angle, speed = x.narrow (1L, 0L, 1L), x.narrow (1L, 1L, 1L)
                torch.cat ([| speed; (angle.sin().neg()).sub(Elementwise.times 0.2 speed) |], 1L)))

    let equation = StochasticEquation.stratonovich (StochasticEquation.diagonal pendulum (times 0.1))
    let h = 1.0 / 64.0

    let thereAndBack (scheme: SdeScheme) =
        Lifetime.within (fun () ->
            let x0 = torch.ones ([| 8L; 2L |], dtype = torch.float64)
            let mutable state = scheme.Start x0

            for n in 0..63 do
                state <- scheme.Step.Invoke(equation, float n * h, h, state, path.Step(float n * h, float (n + 1) * h))

            for n in 63..-1..0 do
                state <- scheme.Step.Invoke(equation, float (n + 1) * h, -h, state, path.Step(float (n + 1) * h, float n * h))

            ((state[0].sub x0).abs().max()).item<float>())

    Assert.True(thereAndBack SdeScheme.reversibleHeun < 1e-10)
    Assert.True(thereAndBack SdeScheme.heun > 1e-8)

[<Fact>]
let ``the reversed equation runs the law backwards`` () =
    // With no noise it undoes the flow but for the step.
    let equation = StochasticEquation.additive (times -1.0) (fun _ -> 0.0)
    let path = path 6 1L
    use there = Sde.solve (SdeOptions.create SdeScheme.heun 256) equation path one.Value 0.0 1.0

    use back =
        Sde.solve (SdeOptions.create SdeScheme.heun 256) (StochasticEquation.reversed 1.0 equation) path there.Final 0.0 1.0

    Assert.True(number (fun () -> (back.Final.sub one.Value).abs().max()) < 1e-5)

[<Fact>]
let ``gradients go through the steps, and equal the numerical ones`` () =
    let path = BrownianPath.Create(7, 0.0, 1.0, 16, [ 3L; 2L ], torch.float64)
    let field = Field.autonomous "sin" (fun x -> x.sin ())

    let equation =
        StochasticEquation.diagonal field (Field.autonomous "cos" (fun x -> Lifetime.keep (fun () -> Elementwise.times 0.3 (x.cos ()))))

    let final (x0: torch.Tensor) (scheme: SdeScheme) =
        let solution = Sde.solve (SdeOptions.create scheme 16) { equation with Calculus = scheme.Calculus } path x0 0.0 1.0

        solution.Final.sum ()

    for scheme in SdeScheme.all do
        Lifetime.within (fun () ->
            let x0 =
                torch.tensor(Array.init 6 (fun i -> 0.3 * float i - 0.7), dtype = torch.float64).reshape(3L, 2L).requires_grad_ true

            (final x0 scheme).backward()
            let gradient = (nonNull x0.grad).data<float>().ToArray()
            let start = x0.detach().data<float>().ToArray()

            gradient
            |> Array.iteri (fun i found ->
                let moved (e: float) =
                    (final (torch.tensor(Array.updateAt i (start[i] + e) start, dtype = torch.float64).reshape(3L, 2L)) scheme)
                        .item<float>()

                let numerical = (moved 1e-5 - moved -1e-5) / 2e-5
                Assert.True(abs (numerical - found) < 1e-7 * (1.0 + abs found), $"{scheme.Name}, entry {i}: {found} against {numerical}")))

[<Fact>]
let ``what does not fit is refused before the first step, and what goes wrong on the way has a reason`` () =
    let path = path 8 1L
    let equation = StochasticEquation.diagonal (times 1.0) (times 1.0)
    let options = SdeOptions.create SdeScheme.eulerMaruyama 8

    let refuses (part: string) (work: unit -> SdeSolution) =
        let error = Assert.Throws<ArgumentException>(fun () -> work () |> ignore)
        Assert.Contains(part, error.Message)

    refuses "Stratonovich" (fun () -> Sde.solve (SdeOptions.create SdeScheme.heun 8) equation path one.Value 0.0 1.0)
    refuses "runs forwards" (fun () -> Sde.solve options equation path one.Value 1.0 0.0)
    refuses "at least 1 step" (fun () -> Sde.solve { options with Steps = 0 } equation path one.Value 0.0 1.0)
    refuses "path must cover" (fun () -> Sde.solve options equation path one.Value 0.0 2.0)
    refuses "shape must be" (fun () -> Sde.solve options equation path (torch.ones ([| 3L; 1L |], dtype = torch.float64)) 0.0 1.0)

    refuses "does not take noise" (fun () ->
        Sde.solve
            { options with Scheme = SdeScheme.milstein }
            (StochasticEquation.general 1 (times 1.0) (times 1.0))
            path
            one.Value
            0.0
            1.0)

    let exploding =
        StochasticEquation.diagonal
            (Field.autonomous "x^3" (fun x -> Lifetime.keep (fun () -> Elementwise.times 100.0 (x.pow (Scalar.op_Implicit 3.0)))))
            (times 0.0)

    use blown = Sde.solve { options with Steps = 64 } exploding path one.Value 0.0 1.0
    Assert.Equal(Reason.NotFinite, blown.Reason)
    Assert.True(blown.Final.isfinite().all().item<bool>())
    use source = new Threading.CancellationTokenSource()

    let cancelling =
        { options with
            Progress =
                (fun progress ->
                    if progress.Steps = 3 then
                        source.Cancel())
            Cancellation = source.Token
        }

    use cancelled = Sde.solve cancelling equation path one.Value 0.0 1.0
    Assert.Equal(Reason.Cancelled, cancelled.Reason)
    Assert.Equal(3, cancelled.Steps)

[<Fact>]
let ``no stage lies past the end, whatever the number of steps`` () =
    let within =
        Field.atTime "on [0, 1] only" (fun t x -> if t > 1.0 then invalidArg "t" $"{t} lies past the end" else torch.zeros_like x)

    let equation = StochasticEquation.diagonal within within

    for steps in 1..200 do
        let path = BrownianPath.Create(10, 0.0, 1.0, steps, [ 1L; 1L ], torch.float64)

        for scheme in SdeScheme.all do
            use start = torch.zeros ([| 1L; 1L |], dtype = torch.float64)
            use solution = Sde.solve (SdeOptions.create scheme steps) { equation with Calculus = scheme.Calculus } path start 0.0 1.0
            Assert.Equal(Reason.ReachedEnd, solution.Reason)

[<Fact>]
let ``a solve leaves its solution behind and nothing else, and its start as it was`` () =
    let path = path 9 1L

    for scheme in SdeScheme.all do
        let equation, exact = geometric scheme.Calculus path
        exact.Dispose()
        let before = one.Value.clone ()

        let born =
            Lifetime.born (fun () ->
                use solution = Sde.solve { SdeOptions.create scheme 32 with SaveEvery = 8 } equation path one.Value 0.0 1.0
                Assert.Equal(5, solution.Saved.Length))

        Assert.Equal(0L, born)
        Assert.True(one.Value.equal(before).all().item<bool>())

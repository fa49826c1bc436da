namespace ValueFlow.Studies

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Learning
open ValueFlow.Studies.Ensembles

/// The orders of the solvers, the two gradients of a solve, and a vector field learnt from noisy series through the solver.
[<Sealed>]
type NeuralOdeStudy() =
    inherit
        Study(
            "neural-ode",
            "dynamics",
            "A vector field from noisy spirals",
            "The schemes keep their orders; through the gradients of a solve a network learns a spiral from 30 noisy series and forecasts beyond them."
        )

    // Turns by J; with the radius pulled to 1 and the angle swinging as sin t, the solution is known.
    static let turned (x: torch.Tensor) : torch.Tensor = torch.cat ([| x.narrow(1L, 1L, 1L).neg(); x.narrow (1L, 0L, 1L) |], 1L)

    static let swinging =
        Field.create "swinging circle" (fun t x ->
            Lifetime.keep (fun () ->
                let pull = Elementwise.plus 1.0 ((x.mul x).sum(1L, keepdim = true).neg())
                Elementwise.sum (x.mul pull) ((turned x).mul(t.cos ()))))

    static let swingingAt (t: float) (x: float[]) : float[] =
        let square = x[0] * x[0] + x[1] * x[1]
        let radius = sqrt (1.0 / (1.0 + (1.0 / square - 1.0) * exp (-2.0 * t)))
        let angle = atan2 x[1] x[0] + sin t
        [| radius * cos angle; radius * sin angle |]

    // The truth: the radius decays at the rate 0.1, the turn rate is 1 + r^2/2 and falls with it.
    static let spiral =
        Field.autonomous "spiral" (fun x ->
            Lifetime.keep (fun () ->
                let rate = Elementwise.plus 1.0 (Elementwise.times 0.5 ((x.mul x).sum(1L, keepdim = true)))
                Elementwise.addTimes -0.1 x ((turned x).mul rate)))

    static let reference = OdeOptions.adaptive Scheme.dormandPrince8 1e-8

    static let order (scheme: Scheme) =
        let start = [| 0.4; 0.3 |]
        let exact = swingingAt 2.0 start
        let counts = [| 5; 10; 20; 40; 80; 160; 320 |]

        let errors =
            counts
            |> Array.map (fun n ->
                Lifetime.within (fun () ->
                    let x0 = torch.tensor([| start[0]; start[1] |], dtype = torch.float64).reshape [| 1L; 2L |]
                    use solution = Ode.solve (OdeOptions.fixedStep scheme (2.0 / float n)) swinging x0 0.0 2.0
                    Array.map2 (fun a b -> abs (a - b)) exact (numbers solution.Final) |> Array.max))

        // From the finest two that rounding does not touch.
        let finest = errors |> Array.findIndexBack (fun error -> error > 3e-13)

        {|
            Steps = counts |> Array.map (fun n -> 2.0 / float n)
            Errors = errors
            Order = Math.Log2(errors[finest - 1] / errors[finest])
        |}

    static let configuration = NetworkConfiguration.mlp 2 [ 32; 32 ] 2 Activation.Tanh

    // dL/d(parameters) for L = |x(2)|^2 / 2, through the steps and by the adjoint equation.
    static let adjointGap (parameters: float32[]) (tolerance: float) : float =
        Lifetime.within (fun () ->
            use _quiet = torch.no_grad ()
            let leaf = (torch.tensor (Array.map float parameters, dtype = torch.float64)).requires_grad_ true
            let field = Field.autonomous "network" (TensorForm.ofPoints configuration leaf)
            let x0 = (torch.tensor ([| 1.0; 0.5; -0.7; 0.8 |], dtype = torch.float64)).reshape [| 2L; 2L |]

            let gradient tolerance method =
                let options = { OdeOptions.adaptive Scheme.dormandPrince5 tolerance with Gradient = method }

                use found =
                    Ode.gradient options field [| leaf |] x0 0.0 2.0 (fun solution -> { Final = solution.Final.clone (); Saved = [||] })

                numbers found.Parameters[0]

            let steps, adjoint = gradient 1e-10 GradientMethod.Steps, gradient tolerance GradientMethod.Adjoint
            let size = steps |> Array.sumBy (fun g -> g * g) |> sqrt
            (Array.map2 (fun a b -> (a - b) * (a - b)) steps adjoint |> Array.sum |> sqrt) / size)

    override _.Run(seed, _, progress, cancellation) =
        Tensors.prepare ()
        use _scope = torch.NewDisposeScope()
        use _quiet = torch.no_grad ()
        progress.Invoke "orders"
        let orders = Scheme.all |> List.map (fun scheme -> scheme, order scheme) |> Array.ofList
        let generator = Generator seed
        let first = Network.init Initialisation.Linear generator configuration
        let tolerances = [| 1e-3; 1e-5; 1e-7; 1e-9 |]

        // 30 series, observed at 21 times with noise 0.05 in each coordinate; the truth goes on to t = 8.
        let observed, whole = Array.init 21 (fun i -> 0.2 * float i), Array.init 41 (fun i -> 0.2 * float i)

        let ring () =
            let radius, angle = 0.5 + generator.Uniform(), 2.0 * Math.PI * generator.Uniform()
            [| radius * cos angle; radius * sin angle |]

        let starts, others = Array.init 30 (fun _ -> ring ()), Array.init 30 (fun _ -> ring ())
        let truth, otherTruth = carry reference spiral whole starts, carry reference spiral whole others

        let series = truth[..20] |> Array.map (Array.map (Array.map (fun x -> x + 0.05 * Sampling.normal generator)))

        let wanted = series |> Array.map tensor
        let steps = 350
        let count = first.Parameters.Length
        let options = { OdeOptions.fixedStep Scheme.rungeKutta4 0.2 with Save = observed }
        let rate = LearningRate.Cosine(2e-2, 2e-4, steps)

        // Parameters of the network, then the 30 starts: nobody has seen them without noise.
        let mutable state =
            let all = Array.append first.Parameters (series[0] |> Array.concat |> Array.map float32)
            struct (all, Optimiser.init Optimiser.adam all.Length)

        let losses = Array.zeroCreate steps

        for step in 0 .. steps - 1 do
            cancellation.ThrowIfCancellationRequested()
            told progress "series" steps step
            let struct (all, _) = state

            let gradient =
                Lifetime.within (fun () ->
                    let leaf = (torch.tensor all[.. count - 1]).requires_grad_ true
                    let x0 = (torch.tensor all[count..]).reshape [| 30L; 2L |]
                    let field = Field.autonomous "network" (TensorForm.ofPoints configuration leaf)

                    use found =
                        Ode.gradient options field [| leaf |] x0 0.0 4.0 (fun solution ->
                            let misses = Array.map2 (fun (x: torch.Tensor) (y: torch.Tensor) -> x.sub y) solution.Saved wanted

                            losses[step] <-
                                misses |> Array.averageBy (fun (miss: torch.Tensor) -> float ((miss.mul miss).mean().item<float32>()))

                            let weight = 2.0 / float (60 * wanted.Length)

                            { Final = torch.zeros_like solution.Final; Saved = misses |> Array.map (Elementwise.times weight) })

                    Array.append (numbers found.Parameters[0]) (numbers found.Start) |> Array.map float32)

            state <- Optimiser.step Optimiser.adam (LearningRate.at step rate) gradient state

        let struct (all, _) = state
        let network = NetworkField.field (Network.create configuration all[.. count - 1])
        let gaps = tolerances |> Array.map (adjointGap all[.. count - 1])
        let fitted = all[count..] |> Array.map float |> Array.chunkBySize 2
        let free = OdeOptions.adaptive Scheme.dormandPrince5 1e-5
        let forecast = carry free network whole fitted
        let unseen = carry free network whole others

        let error (a: float[][][]) (b: float[][][]) (at: int) =
            Array.map2 (fun p q -> Array.map2 (fun x y -> (x - y) * (x - y)) p q |> Array.average) a[at] b[at]
            |> Array.average

        let mean a b indices = indices |> Array.averageBy (error a b)
        let later, within = [| 21..40 |], [| 0..20 |]
        let still = truth |> Array.map (fun _ -> truth[20])
        let forecastError = mean forecast truth later

        let plane =
            let paths (clouds: float[][][]) first last =
                let pick k = [| for i in 0..2 -> [| for n in first..last -> clouds[n].[i].[k] |] |]
                pick 0, pick 1

            // Dense enough for round turns.
            let dense = Array.init 201 (fun i -> 0.04 * float i)
            let three (points: float[][]) = points[..2]
            let truth, forecast = carry reference spiral dense (three starts), carry free network dense (three fitted)

            let trueX, trueY = paths truth 0 200
            let seenX, seenY = paths forecast 0 100
            let aheadX, aheadY = paths forecast 100 200

            let dots k =
                [|
                    for n in 0..20 do
                        for i in 0..2 -> series[n].[i].[k]
                |]

            PlaneFigure(
                "Three of thirty series: what was seen, and the forecast",
                "x",
                "y",
                [|
                    PathLayer("truth, t = 0 to 8", trueX, trueY, LayerColour.Grey)
                    PointLayer("observed, noise 0.05", dots 0, dots 1, LayerColour.Black, size = 3.0, opacity = 0.6)
                    PathLayer("fitted, t = 0 to 4", seenX, seenY, LayerColour.Blue)
                    PathLayer("forecast, t = 4 to 8", aheadX, aheadY, LayerColour.Vermilion)
                |]
            )

        let rooted = Array.map sqrt

        {
            Findings =
                [|
                    for scheme, found in orders do
                        finding
                            Relation.AtLeast
                            $"empirical order of {scheme.Name}"
                            (float scheme.Order)
                            0.25
                            $"closed form: {scheme.Source}"
                            found.Order

                    atMost
                        "relative distance of the adjoint gradient at tolerance 1e-9 to the gradient through the steps"
                        1e-6
                        "closed form: both tend to the gradient of the flow (Chen et al. 2018)"
                        gaps[3]
                    atMost
                        "forecast on t = 4 to 8: mean squared error against the truth"
                        0.01
                        "bench of the system: Kidger 2021, On Neural Differential Equations"
                        forecastError
                    atMost
                        "30 starts never seen, t = 0 to 4: mean squared error against the truth"
                        0.03
                        calibrated
                        (mean unseen otherTruth within)
                |]
            Tables =
                [|
                    table
                        "Empirical orders on the swinging circle, to t = 2"
                        [ "scheme", orders |> Array.map (fun (scheme, _) -> scheme.Name) ]
                        [
                            "order", orders |> Array.map (fun (scheme, _) -> float scheme.Order)
                            "measured", orders |> Array.map (fun (_, found) -> found.Order)
                            "error in 20 steps", orders |> Array.map (fun (_, found) -> found.Errors[2])
                            "error in 80 steps", orders |> Array.map (fun (_, found) -> found.Errors[4])
                        ]
                    table
                        "The adjoint gradient against the gradient through the steps"
                        []
                        [ "tolerance", tolerances; "relative distance", gaps ]
                    table
                        "Mean squared errors against the truth"
                        [
                            "what",
                            [|
                                "fit, t = 0 to 4"
                                "forecast, t = 4 to 8"
                                "forecast by the last state"
                                "unseen starts, t = 0 to 4"
                                "unseen starts, t = 4 to 8"
                            |]
                        ]
                        [
                            "error",
                            [|
                                mean forecast truth within
                                forecastError
                                mean still truth later
                                mean unseen otherTruth within
                                mean unseen otherTruth later
                            |]
                        ]
                |]
            Figures =
                [|
                    LineFigure(
                        "All schemes keep their orders",
                        "step (time units)",
                        "error at t = 2",
                        orders
                        |> Array.map (fun (scheme, found) ->
                            Worlds.curve
                                scheme.Name
                                found.Steps
                                (found.Errors |> Array.map (fun error -> if error > 3e-14 then error else nan))),
                        true,
                        logarithmicX = true,
                        slopes = [| 1.0; 2.0; 4.0; 5.0; 8.0 |]
                    )
                    plane
                    LineFigure(
                        "The forecast leaves the truth slowly",
                        "t",
                        "root mean squared error",
                        [|
                            Worlds.curve "the 30 series" whole (rooted (Array.init 41 (error forecast truth)))
                            Worlds.curve "30 unseen starts" whole (rooted (Array.init 41 (error unseen otherTruth)))
                            Worlds.curve "noise of an observation" [| 0.0; 8.0 |] [| 0.05; 0.05 |]
                        |],
                        false
                    )
                    LineFigure(
                        "Learning through the solver",
                        "step of Adam",
                        "mean squared distance to the observations",
                        [|
                            Worlds.curve "loss" (Array.init steps float) losses
                            Worlds.curve "variance of the noise" [| 0.0; float steps |] [| 0.0025; 0.0025 |]
                        |],
                        true
                    )
                |]
            Notes =
                [|
                    "Truth: the radius decays at the rate 0.1 while the angle turns at 1 + r^2/2. Steps of Runge-Kutta 4, 0.2 long, in training; an adaptive scheme in the forecast."
                    "The starts of the series are fitted with the network: their gradient is the solver's, too."
                |]
        }

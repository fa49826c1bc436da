namespace ValueFlow.Studies

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.Core.Learning
open ValueFlow.Studies.Ensembles

/// Three laws, one network, all six transports; and what a detour through the inside of the simplex saves.
[<Sealed>]
type ThreeMarginalsStudy() =
    inherit
        Study(
            "three-marginals",
            "flows",
            "Three laws, one network, six transports",
            "A network of the weights alpha learns E[x_k | x(alpha)] and carries each of three mixtures to each other; a curve inside the simplex is cheaper than the edge, sometimes."
        )

    static let pairs =
        [|
            for i in 0..2 do
                for j in 0..2 do
                    if i <> j then
                        struct (i, j)
        |]

    static let circle (count: int) (radius: float) (turn: float) =
        Array.init count (fun k ->
            let angle = turn + 2.0 * Math.PI * float k / float count
            [| radius * cos angle; radius * sin angle |])

    /// Two long clouds, a triangle, and a ring of six.
    static let mixtures =
        let long y = GaussianLaw.create [| 0.0; y |] (array2D [ [ 0.8; 0.0 ]; [ 0.0; 0.04 ] ])

        [|
            MixtureLaw.create [| 1.0; 1.0 |] [| long -1.0; long 1.0 |]
            MixtureLaw.around (circle 3 1.0 (Math.PI / 2.0)) 0.3
            MixtureLaw.around (circle 6 1.8 0.0) 0.25
        |]

    static let normals =
        [|
            GaussianLaw.create [| 0.0; 0.0 |] (array2D [ [ 1.0; 0.0 ]; [ 0.0; 1.0 ] ])
            GaussianLaw.create [| 1.0; -0.5 |] (array2D [ [ 0.6; 0.3 ]; [ 0.3; 0.4 ] ])
            GaussianLaw.create [| -0.5; 1.0 |] (array2D [ [ 0.3; -0.2 ]; [ -0.2; 0.8 ] ])
        |]

    // As many rows of each component as its weight asks for: no chance in the shares of modes.
    static let stratified (generator: Generator) (law: MixtureLaw) (count: int) : float[][] =
        Array.zip law.Weights law.Components
        |> Array.collect (fun (weight, part) ->
            rows (MixtureLaw.sample generator (MixtureLaw.single part) (int (round (weight * float count)))))

    static let configuration hidden = { NetworkConfiguration.mlp 2 hidden 6 Activation.Silu with Condition = 3 }

    // Half of the weights lie inside the simplex, half on its edges, along which the laws are carried. On an edge the law without weight is independent of
    // x(alpha): its mean stands for it in the targets, which does not change the minimiser.
    static let objective (name: string) (hidden: int list) (laws: MixtureLaw[]) (seed: int) (batch: int) =
        let generator = Generator(1000 + seed)
        let pool = 20000
        let drawn = laws |> Array.map (fun law -> numbers (MixtureLaw.sample generator law pool) |> Array.map float32)
        let means = laws |> Array.map (fun law -> MixtureLaw.mean law |> Array.map float32)

        Objective.regression name (configuration hidden) RegressionLoss.Squared (fun moment ->
            let generator = moment.Generator()
            let points, targets = Array.zeroCreate (2 * batch), Array.zeroCreate (6 * batch)

            let alphas =
                Array.init batch (fun row ->
                    let alpha = Sampling.simplex generator 3

                    if row % 2 = 1 then
                        alpha[row / 2 % 3] <- 0.0
                        let t = generator.Uniform()
                        alpha[(row / 2 + 1) % 3] <- t
                        alpha[(row / 2 + 2) % 3] <- 1.0 - t

                    for k in 0..2 do
                        let from = generator.Below pool

                        for d in 0..1 do
                            let x = drawn[k].[2 * from + d]
                            targets[6 * row + 2 * k + d] <- if alpha[k] > 0.0 then x else means[k].[d]
                            points[2 * row + d] <- points[2 * row + d] + float32 alpha[k] * x

                    alpha |> Array.map float32)

            { RegressionBatch.create batch points targets with Conditions = Array.concat alphas })

    static let train progress cancellation name hidden laws seed batch steps =
        let start = Network.init Initialisation.Linear (Generator(2000 + seed)) (configuration hidden)

        let options =
            { TrainingOptions.standard steps with
                LearningRate = LearningRate.Cosine(2e-3, 2e-5, steps)
                EmaDecay = ValueSome 0.998
                Seed = seed
                Cancellation = cancellation
                Progress = fun now -> told progress name steps now.Step
            }

        let result = Training.run options (objective name hidden laws seed batch) start
        cancellation.ThrowIfCancellationRequested()
        let value = NetworkField.apply result.Network

        let model (alpha: torch.Tensor) (x: torch.Tensor) : torch.Tensor[] =
            use scope = torch.NewDisposeScope()
            let answer = value { Points = x; Time = ValueNone; Condition = ValueSome alpha }
            Array.init 3 (fun k -> scope.MoveToOuter(answer.narrow(1L, int64 (2 * k), 2L).clone()))

        model, result

    static let edge i j model = Multimarginal.transportAlong (SimplexCurve.edge 3 i j) model

    // A linear field's flow is affine: three points tell it, and the covariance at its end, without sampling.
    static let endpointError (model: torch.Tensor -> torch.Tensor -> torch.Tensor[]) (struct (i, j)) : float =
        Lifetime.within (fun () ->
            let start = torch.tensor([| 0.0; 0.0; 1.0; 0.0; 0.0; 1.0 |], dtype = torch.float64).reshape [| 3L; 2L |]
            use solution = Ode.solve (OdeOptions.adaptive Scheme.dormandPrince5 1e-8) (edge i j model) start 0.0 1.0
            let at = rows solution.Final
            let map = Array2D.init 2 2 (fun r c -> at[c + 1].[r] - at[0].[r])
            let source, target = normals[i].Covariance, normals[j].Covariance

            Seq.max (
                seq {
                    for r in 0..1 do
                        for c in 0..1 do
                            let mutable sum = 0.0

                            for a in 0..1 do
                                for b in 0..1 do
                                    sum <- sum + map[r, a] * source[a, b] * map[c, b]

                            abs (sum - target[r, c])
                }
            ))

    // sqrt(E |v - v*|^2 / E |v*|^2) along the edge, over the law of the interpolant.
    static let fieldError generator (laws: MixtureLaw[]) model (struct (i, j)) : float =
        use _quiet = torch.no_grad ()
        let exact = MultimarginalLaw.model laws
        let times = Array.init 16 (fun n -> (float n + 0.5) / 16.0)

        let parts =
            times
            |> Array.map (fun t ->
                Lifetime.within (fun () ->
                    let alpha = (SimplexCurve.edge 3 i j).Value t
                    let x = tensor (rows (MixtureLaw.sample generator (MultimarginalLaw.marginal laws alpha) 200))
                    let time = torch.tensor (float32 t)
                    let found, truth = numbers ((edge i j model).Apply time x), numbers ((edge i j exact).Apply time x)
                    let miss = Array.map2 (fun a b -> (a - b) * (a - b)) found truth |> Array.sum
                    struct (miss, truth |> Array.sumBy (fun v -> v * v))))

        sqrt (Array.sumBy (fun (struct (miss, _)) -> miss) parts / Array.sumBy (fun (struct (_, size)) -> size) parts)

    // int E |sum_k alpha_k' g_k|^2 dt by the closed form, the same points for every curve.
    static let cost (seed: int) (count: int) (laws: MixtureLaw[]) (curve: SimplexCurve) : float =
        use _quiet = torch.no_grad ()
        let model = MultimarginalLaw.model laws
        let generator = Generator(3000 + seed)

        Array.init 32 (fun n -> (float n + 0.5) / 32.0)
        |> Array.averageBy (fun t ->
            Lifetime.within (fun () ->
                let samples = laws |> Array.map (fun law -> MixtureLaw.sample generator law count)
                let weights = torch.tensor(curve.Value t, dtype = torch.float64).expand([| int64 count; 3L |]).clone()
                let x = Multimarginal.point weights samples
                let speed = numbers ((Multimarginal.transportAlong curve model).Apply (torch.tensor (t, dtype = torch.float64)) x)
                (speed |> Array.sumBy (fun v -> v * v)) / float count))

    // Along the edge with the pace t - b sin(2 pi t), and a sin(pi t) of the third law.
    static let inside (a: float) (b: float) =
        SimplexCurve.create
            3
            (fun t ->
                let third, p = a * Double.SinPi t, t - b * Double.SinPi(2.0 * t)
                [| (1.0 - p) * (1.0 - third); p * (1.0 - third); third |])
            (fun t ->
                let third, p = a * Double.SinPi t, t - b * Double.SinPi(2.0 * t)
                let third', p' = a * Math.PI * Double.CosPi t, 1.0 - 2.0 * Math.PI * b * Double.CosPi(2.0 * t)
                [| -p' * (1.0 - third) - (1.0 - p) * third'; p' * (1.0 - third) - p * third'; third' |])

    static let copies (modes: int) =
        let turn = Math.PI / float modes
        [| 0.0; turn; 0.5 * turn |] |> Array.map (fun angle -> MixtureLaw.around (circle modes 2.0 angle) (sqrt 0.02))

    override _.Run(seed, quick, progress, cancellation) =
        Tensors.prepare ()
        use _scope = torch.NewDisposeScope()
        use _quiet = torch.no_grad ()
        let generator = Generator seed
        let laws = normals |> Array.map MixtureLaw.single
        progress.Invoke "closed form"
        let exact = MultimarginalLaw.model laws
        let endpoint = pairs |> Array.map (endpointError exact) |> Array.max
        let small, _ = train progress cancellation "normal laws" [ 64; 64 ] laws seed 1024 6000
        let normalErrors = pairs |> Array.map (fieldError generator laws small)
        let steps = 6000
        let model, result = train progress cancellation "mixtures" [ 80; 80; 80 ] mixtures seed 512 steps
        let mixtureErrors = pairs |> Array.map (fieldError generator mixtures model)
        let clouds = mixtures |> Array.map (fun law -> stratified generator law 3000)
        let fresh = mixtures |> Array.map (fun law -> stratified generator law 3000)
        let times = Array.init 11 (fun n -> 0.1 * float n)

        let carried =
            pairs
            |> Array.map (fun (struct (i, j)) ->
                progress.Invoke $"from law {i + 1} to law {j + 1}"
                carry (OdeOptions.fixedStep Scheme.rungeKutta4 0.025) (edge i j model) times clouds[i])

        let distance = Array.map2 (fun (struct (_, j)) (way: float[][][]) -> slicedW2 way[10] fresh[j]) pairs carried
        let apart = pairs |> Array.map (fun (struct (i, j)) -> slicedW2 clouds[i] fresh[j])
        let floor = Array.map2 slicedW2 clouds fresh
        progress.Invoke "curves"
        let straight = SimplexCurve.edge 3 0 1
        let ofEight = cost seed (if quick then 300 else 1000) (copies 8)
        let edgeCost, insideCost = ofEight straight, ofEight (inside 0.1 0.05)

        let family =
            [|
                for a in [ 0.05; 0.1; 0.2 ] do
                    for b in [ 0.0; 0.05 ] do
                        inside a b
            |]

        let others =
            [| 2; 3; 4 |]
            |> Array.map (fun modes ->
                cancellation.ThrowIfCancellationRequested()
                let cost = cost seed 600 (copies modes)
                struct (cost straight, family |> Array.map cost |> Array.min))

        let gains = others |> Array.map (fun (struct (edge, best)) -> 1.0 - best / edge)
        let named (struct (i, j)) = $"{i + 1} to {j + 1}"

        let source =
            "Albergo, Boffi, Lindsey and Vanden-Eijnden 2024, Multimarginal generative modeling with stochastic interpolants"

        let triangle =
            let vertices = [| [| 0.0; 0.0 |]; [| 11.0; 0.0 |]; [| 5.5; 8.5 |] |]
            let place (alpha: float[]) (k: int) = Array.fold2 (fun sum a (v: float[]) -> sum + a * v[k]) 0.0 alpha vertices
            let colours = [| LayerColour.Blue; LayerColour.Vermilion; LayerColour.Green |]

            let cloud name colour (alpha: float[]) (points: float[][]) : PlaneLayer =
                let at k = points |> Array.map (fun x -> x[k] + place alpha k)
                PointLayer(name, at 0, at 1, colour, size = 1.6, opacity = 0.5)

            let vertex k = Array.init 3 (fun i -> if i = k then 1.0 else 0.0)

            let between =
                [| [| 0.5; 0.5; 0.0 |]; [| 0.0; 0.5; 0.5 |]; [| 0.5; 0.0; 0.5 |]; Array.create 3 (1.0 / 3.0) |]
                |> Array.map (fun alpha ->
                    cloud
                        "laws of x(alpha) in between"
                        LayerColour.Grey
                        alpha
                        (stratified generator (MultimarginalLaw.marginal mixtures alpha) 700))

            let ways =
                [| 0, 1; 1, 2; 2, 0 |]
                |> Array.map (fun (i, j) ->
                    let way = carried[pairs |> Array.findIndex (fun (struct (a, b)) -> a = i && b = j)]
                    let chosen = Array.init 36 (fun n -> n * (way[0].Length / 36))
                    let curve = SimplexCurve.edge 3 i j

                    let at k = chosen |> Array.map (fun row -> times |> Array.mapi (fun n t -> way[n].[row].[k] + place (curve.Value t) k))

                    PathLayer("transports of the network", at 0, at 1, times = (chosen |> Array.map (fun _ -> times)), timeLabel = "t")
                    :> PlaneLayer)

            PlaneFigure(
                "Three laws at the corners of the simplex, carried along its edges",
                "x (each law placed at its alpha)",
                "y (each law placed at its alpha)",
                Array.concat
                    [
                        between
                        ways
                        [| for k in 0..2 -> cloud $"law {k + 1}" colours[k] (vertex k) (Array.truncate 3000 clouds[k]) |]
                    ]
            )

        let panels =
            PanelFigure(
                "One network, six transports",
                Array.map2
                    (fun pair (way: float[][][]) ->
                        let (struct (_, j)) = pair
                        let thin (points: float[][]) = points |> Array.indexed |> Array.filter (fun (n, _) -> n % 3 = 0) |> Array.map snd
                        let target, found = thin fresh[j], thin way[10]

                        PlaneFigure(
                            $"law {named pair}",
                            "x",
                            "y",
                            [|
                                PointLayer("the law itself", column 0 target, column 1 target, LayerColour.Grey, size = 2.0, opacity = 0.6)
                                PointLayer("carried there", column 0 found, column 1 found, LayerColour.Blue, size = 1.4, opacity = 0.6)
                            |]
                        ))
                    pairs
                    carried,
                3
            )

        {
            Findings =
                [|
                    atMost
                        "normal laws, closed form: largest error of a covariance at the end of six transports"
                        1e-2
                        $"closed form: {source}"
                        endpoint
                    atMost
                        "normal laws, a small network: largest relative error of the velocity on six edges"
                        0.05
                        "bench of the system"
                        (Array.max normalErrors)
                    atMost
                        "mixtures, one network: largest sliced W2 to the target over six transports"
                        0.1
                        "bench of the system"
                        (Array.max distance)
                    atMost
                        "rotated copies with 8 modes: cost of the curve inside, over the cost of the edge"
                        0.95
                        "bench of the system: at least 5 % less"
                        (insideCost / edgeCost)
                    {
                        Claim =
                            {
                                Text = "with 2, 3 and 4 modes one of six curves saves at least 5 %, too (largest saving)"
                                Expected = 0.05
                                Relation = Relation.AtLeast
                                Tolerance = 0.0
                                Source = "bench of the system; known not to hold"
                                ExpectReproduced = false
                            }
                        Measured = Array.max gains
                    }
                |]
            Tables =
                [|
                    table
                        "Six transports"
                        [ "from, to", pairs |> Array.map named ]
                        [
                            "sliced W2", distance
                            "before the transport", apart
                            "two samples of the target", pairs |> Array.map (fun (struct (_, j)) -> floor[j])
                            "error of the velocity", mixtureErrors
                            "the same, normal laws", normalErrors
                        ]
                    table
                        "Rotated copies: int E|v|^2 dt"
                        [ "modes", [| "8"; "2"; "3"; "4" |] ]
                        [
                            "edge", Array.append [| edgeCost |] (others |> Array.map (fun (struct (edge, _)) -> edge))
                            "inside (best of those tried)",
                            Array.append [| insideCost |] (others |> Array.map (fun (struct (_, best)) -> best))
                            "saving", Array.append [| 1.0 - insideCost / edgeCost |] gains
                        ]
                |]
            Figures =
                [|
                    triangle
                    panels
                    LineFigure(
                        "The mean squared error falls to the conditional variance",
                        "step of Adam",
                        "loss",
                        [|
                            let means = Array.ofList result.History.Means
                            Worlds.curve "mixtures" (means |> Array.mapi (fun n _ -> float ((n + 1) * result.History.Stride))) means
                        |],
                        false
                    )
                |]
            Notes =
                [|
                    "The network sees x(alpha) and alpha and answers with three points; a transport is a choice of curve, made after training."
                    "Rotated copies: a detour over a law that stands between the two pays where modes are many; with 2, 3 or 4 modes nothing worth having was found."
                    "An earlier prototype put the costs with 8 modes at 5.49 and 5.00; a second program of our own agrees with the 5.35 of the edge here."
                |]
        }

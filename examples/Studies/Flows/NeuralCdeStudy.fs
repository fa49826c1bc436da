namespace ValueFlow.Studies

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Learning
open ValueFlow.Studies.Ensembles

/// A controlled equation reads irregular series and says which way they turn.
[<Sealed>]
type NeuralCdeStudy() =
    inherit
        Study(
            "neural-cde",
            "dynamics",
            "Which way does it turn? Irregular series drive an equation",
            "A neural controlled equation classifies clockwise and anticlockwise spirals from 13 noisy observations at random times, whatever the clock."
        )

    static let hidden = 8
    static let count = 13
    static let entry = NetworkConfiguration.mlp 3 [] hidden Activation.Tanh
    static let inner = NetworkConfiguration.mlp hidden [ 24 ] (3 * hidden) Activation.Silu
    static let exit = NetworkConfiguration.mlp hidden [] 1 Activation.Tanh
    static let parts = [| entry; inner; exit |]
    static let sizes = parts |> Array.map NetworkConfiguration.parameterCount

    // Channels (t, x, y) of a spiral that turns once, from any angle, with noise 0.1; +1 for anticlockwise.
    static let series (generator: Generator) (row: int) : struct (float[][] * float) =
        let sign = if row % 2 = 0 then 1.0 else -1.0
        let phase, size = 2.0 * Math.PI * generator.Uniform(), 0.7 + 0.6 * generator.Uniform()
        let times = Array.init count (fun i -> if i = 0 then 0.0 else generator.Uniform()) |> Array.sort

        struct (times
                |> Array.map (fun t ->
                    let radius, angle = size * (0.4 + 0.6 * t), phase + sign * 2.0 * Math.PI * t
                    let noise () = 0.1 * Sampling.normal generator
                    [| t; radius * cos angle + noise (); radius * sin angle + noise () |]),
                sign)

    // Logits at every knot: z0 = A X(0), dz = f(z) dX, readout linear. One step of Heun for each observation.
    static let logits (knots: float[]) (flat: torch.Tensor) (all: float[][][]) : torch.Tensor[] =
        let offsets = Array.scan (+) 0 sizes
        let part k = flat.narrow (0L, int64 offsets[k], int64 sizes[k])
        let rows = int64 all.Length
        let data = (torch.tensor (all |> Array.collect Array.concat |> Array.map float32)).reshape [| rows; int64 count; 3L |]
        let path = ControlPath.linear knots data
        let f (z: torch.Tensor) = ((TensorForm.ofPoints inner (part 1) z).tanh()).reshape [| rows; int64 hidden; 3L |]
        let z0 = TensorForm.ofPoints entry (part 0) (ControlPath.at path knots[0])
        let solution = Cde.solve (OdeOptions.fixedStep Scheme.heun 1e6) path f z0

        if solution.Reason <> Reason.ReachedEnd then
            invalidOp $"the controlled solve ended: {solution.Reason}"

        solution.States |> Array.map (fun z -> (TensorForm.ofPoints exit (part 2) z).squeeze 1L)

    static let numbered = Array.init count float

    override _.Run(seed, quick, progress, cancellation) =
        Tensors.prepare ()
        use _scope = torch.NewDisposeScope()
        let generator = Generator seed
        let steps = if quick then 150 else 300

        let start = parts |> Array.collect (fun part -> (Network.init Initialisation.Linear generator part).Parameters)

        let training = Array.init 256 (series generator)
        let mutable state = struct (start, Optimiser.init Optimiser.adam start.Length)
        let losses = Array.zeroCreate steps

        for step in 0 .. steps - 1 do
            cancellation.ThrowIfCancellationRequested()
            told progress "series" steps step
            let struct (parameters, _) = state
            let batch = Array.init 64 (fun _ -> training[generator.Below training.Length])

            let gradient =
                Lifetime.within (fun () ->
                    use _recording = torch.enable_grad ()
                    let leaf = (torch.tensor parameters).requires_grad_ true
                    let final = Array.last (logits numbered leaf (batch |> Array.map (fun (struct (points, _)) -> points)))
                    let signs = torch.tensor (batch |> Array.map (fun (struct (_, sign)) -> float32 sign))
                    // log(1 + exp(-sign logit)).
                    let loss = (torch.nn.functional.softplus ((final.mul signs).neg())).mean()
                    losses[step] <- float (loss.item<float32>())
                    loss.backward ()
                    numbers (nonNull leaf.grad) |> Array.map float32)

            state <- Optimiser.step Optimiser.adam (LearningRate.at step (LearningRate.Cosine(1e-2, 1e-4, steps))) gradient state

        use _quiet = torch.no_grad ()
        let struct (parameters, _) = state
        let flat = torch.tensor parameters
        let test = Array.init 1000 (series generator)
        let points, signs = test |> Array.map (fun (struct (p, _)) -> p), test |> Array.map (fun (struct (_, s)) -> s)
        let answers = logits numbered flat points |> Array.map numbers
        let otherClock = logits (numbered |> Array.map (fun i -> 0.2 * i + 0.05 * i * i)) flat points |> Array.map numbers

        let accuracy (values: float[]) =
            Array.map2 (fun value sign -> if value * sign > 0.0 then 1.0 else 0.0) values signs |> Array.average

        let right = answers |> Array.map accuracy
        let gap = Array.map2 (fun a b -> abs (a - b)) (Array.last answers) (Array.last otherClock) |> Array.max

        let evidence name sign =
            let of' (values: float[]) = Array.zip values signs |> Array.filter (fun (_, s) -> s = sign) |> Array.map fst |> Array.sort
            let level q = answers |> Array.map (fun values -> let sorted = of' values in sorted[int (q * float (sorted.Length - 1))])
            { Name = name; X = numbered; Y = level 0.5; Low = level 0.1; High = level 0.9 }

        let shown =
            let layer name colour sign =
                let chosen = test |> Array.filter (fun (struct (_, s)) -> s = sign) |> Array.take 1
                let at k = chosen |> Array.map (fun (struct (p, _)) -> column k p)
                PathLayer(name, at 1, at 2, colour) :> PlaneLayer

            let seen = test[..1] |> Array.collect (fun (struct (p, _)) -> p)

            PlaneFigure(
                "Two of the series: 13 observations at random times, noise 0.1",
                "x",
                "y",
                [|
                    layer "anticlockwise" LayerColour.Blue 1.0
                    layer "clockwise" LayerColour.Vermilion -1.0
                    PointLayer("observed", column 1 seen, column 2 seen, LayerColour.Black, size = 2.5, opacity = 0.7)
                |]
            )

        {
            Findings =
                [|
                    atLeast
                        "share of 1000 new series whose direction is told from 13 observations"
                        0.95
                        "bench of the system: Kidger, Morrill, Foster and Lyons 2020, Neural controlled differential equations for irregular time series"
                        (Array.last right)
                    atMost
                        "by another clock the logits are the same (largest difference, single precision)"
                        1e-3
                        "closed form: a controlled equation does not depend on the clock of its path"
                        gap
                |]
            Tables =
                [|
                    table
                        "Share of series told right after so many observations"
                        []
                        [ "observations", numbered |> Array.map ((+) 1.0); "share", right ]
                |]
            Figures =
                [|
                    shown
                    LineFigure(
                        "Evidence grows as the series is read (median, 10 % to 90 %)",
                        "observations after the first",
                        "logit of anticlockwise",
                        [| evidence "anticlockwise" 1.0; evidence "clockwise" -1.0 |],
                        false
                    )
                    LineFigure(
                        "Learning through the controlled solve",
                        "step of Adam",
                        "cross-entropy (nats)",
                        [| Worlds.curve "loss" (Array.init steps float) losses |],
                        true
                    )
                |]
            Notes =
                [|
                    "Channels are (t, x, y); every series is run through by the number of its observation. No comparison with a recurrent network was made."
                |]
        }

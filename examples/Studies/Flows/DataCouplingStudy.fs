namespace ValueFlow.Studies

open Microsoft.Data.Analysis
open TorchSharp
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Learning

/// A flow that starts from a noisy copy of the data instead of noise: points of the plane, a normal law in closed form, and halves of images.
[<Sealed>]
type DataCouplingStudy() =
    inherit
        Study(
            "coupled-in-painting",
            "flows",
            "Data-dependent couplings: start near the data",
            "Flows whose start is made from the data: in four steps closer to it and cheaper than flows from noise; in-painting keeps what is known to the last bit."
        )

    static let source =
        "Albergo, Goldstein, Boffi, Ranganath and Vanden-Eijnden 2024, Stochastic Interpolants with Data-Dependent Couplings"

    /// Endpoint moments of the flow of a jointly normal pair, by RK4 in 100 steps on points with exact moments.
    static member private NormalEnd(cancellation) : float =
        let struct (first, last) = PlaneLaws.normalPair
        let law = PairLaw.joint first last (array2D [ [ 0.4; -0.1 ]; [ 0.3; 0.2 ] ])
        let velocity = PairLaw.field (Interpolant.linear Latent.none) law Target.Velocity
        Clouds.momentError last (Clouds.steps cancellation Scheme.rungeKutta4 100 velocity (PlaneLaws.sigmaPoints first)).Final

    override _.Run(seed, quick, progress, cancellation) =
        Tensors.prepare ()
        use _plain = torch.no_grad ()
        use _scope = torch.NewDisposeScope()
        let straight = Interpolant.linear Latent.none
        let data, images = PlaneLaws.eightGaussians, BlobImages.law
        let perturb = DataCoupling.perturbed 0.3
        let pixels = BlobImages.side * BlobImages.side
        let batch = 128
        let inPaint (generator: Generator) (x1: torch.Tensor) = DataCoupling.inPainting (BlobImages.mask (int x1.shape[0])) generator x1

        // Noise everywhere, and the same known pixels to see.
        let fromNoise (generator: Generator) (x1: torch.Tensor) : CoupledBatch =
            { DataCoupling.independent generator x1 with
                Condition = ValueSome(x1.mul (BlobImages.mask (int x1.shape[0])))
            }

        let imageNetwork = { NetworkConfiguration.timeMlp pixels [ 128; 128 ] Activation.Selu with Condition = pixels }

        let fit name configuration pairs steps =
            {
                Name = name
                Configuration = configuration
                Options = { FlowMatching.options straight with Batch = batch }
                Pairs = pairs
                Steps = steps
            }

        let planeSteps, imageSteps = (if quick then 1500 else 3000), (if quick then 500 else 4000)

        let networks =
            Fits.run
                seed
                progress
                cancellation
                [|
                    fit "images from their known half" imageNetwork (FlowMatching.coupled "in-painting" inPaint images) imageSteps
                    fit "images from noise" imageNetwork (FlowMatching.coupled "noise" fromNoise images) imageSteps
                    fit "points from a noisy copy" Fits.plane (FlowMatching.coupled "deviation 0.3" perturb data) planeSteps
                    fit "points from noise" Fits.plane (FlowMatching.coupled "noise" DataCoupling.independent data) planeSteps
                |]
            |> Array.map _.Network

        // Points of the plane.
        progress.Invoke "points of the plane"
        let generator = Generator(8000 + seed)
        let count = if quick then 2000 else 8000
        let fresh = Sample.OfTensor(data.Draw generator count)
        let sliced (reference: Sample) (points: torch.Tensor) = Line.sliced (Generator 17) 128 2.0 (Sample.OfTensor points) reference
        let copies = (perturb generator (data.Draw generator count)).Start
        let noise = (DataCoupling.independent generator (data.Draw generator count)).Start

        let starts =
            [|
                "a noisy copy, x1 + 0.3 noise", copies, NetworkField.field networks[2]
                "noise, N(0, I)", noise, NetworkField.field networks[3]
            |]

        let floor = sliced fresh (data.Draw generator count)
        let stepCounts = [| 1; 2; 4; 8; 16 |]

        let curves =
            starts
            |> Array.map (fun (_, start, field) ->
                stepCounts |> Array.map (fun n -> sliced fresh (Clouds.steps cancellation Scheme.euler n field start).Final))

        let before = starts |> Array.map (fun (_, start, _) -> sliced fresh start)
        let ways = starts |> Array.map (fun (_, start, field) -> Clouds.way cancellation field (start.narrow (0L, 0L, 1000L)))

        // Images.
        progress.Invoke "images"
        let imageCount = if quick then 500 else 2000
        let truth = images.Draw generator imageCount
        let others = Sample.OfTensor(BlobImages.unknown (images.Draw generator imageCount))
        let mask = BlobImages.mask imageCount
        let painted, noisy = inPaint generator truth, fromNoise generator truth

        let condition (batch: CoupledBatch) =
            ValueOption.defaultWith (fun () -> invalidOp "the coupling gives no condition") batch.Condition

        let keeping = DataCoupling.keepKnown mask (NetworkField.conditional (condition painted) networks[0])
        let free = NetworkField.conditional (condition noisy) networks[1]

        // The unknown pixels together with what they hang on: the whole image with its known half put in.
        let joint (images: torch.Tensor) : torch.Tensor =
            Lifetime.keep (fun () -> (truth.mul mask).Plus(images.mul (Elementwise.plus 1.0 (mask.neg ()))))

        let whole = Sample.OfTensor(images.Draw generator imageCount)

        let finals =
            stepCounts
            |> Array.map (fun n ->
                struct ((Clouds.steps cancellation Scheme.euler n keeping painted.Start).Final,
                        (Clouds.steps cancellation Scheme.euler n free noisy.Start).Final))

        let unknownOf images = sliced others (BlobImages.unknown images)
        let paintedUnknown = finals |> Array.map (fun struct (a, _) -> unknownOf a)
        let noiseUnknown = finals |> Array.map (fun struct (_, b) -> unknownOf b)
        let paintedJoint = finals |> Array.map (fun struct (a, _) -> sliced whole (joint a))
        let noiseJoint = finals |> Array.map (fun struct (_, b) -> sliced whole (joint b))
        let imageFloor = unknownOf (images.Draw generator imageCount)

        let knownError (found: torch.Tensor) = Clouds.numbers ((found.sub truth).mul mask) |> Array.map abs |> Array.max

        let struct (paintedFinal, noiseFinal) = finals[finals.Length - 1]
        let kept = finals |> Array.map (fun struct (a, _) -> knownError a) |> Array.max

        // Samples for a few images: several noises for one known half.
        let shown, tries = 8, 4
        let few: torch.Tensor = truth.narrow (0L, 0L, int64 shown)

        let row (caption: string) (batch: torch.Tensor) : ImageRow =
            let all = Clouds.numbers batch
            { Caption = caption; Images = Array.init shown (fun k -> Array.sub all (k * pixels) pixels) }

        let samples =
            [|
                for k in 1..tries do
                    let start = inPaint generator few
                    let field = DataCoupling.keepKnown (BlobImages.mask shown) (NetworkField.conditional (condition start) networks[0])
                    row $"sample {k}" (Clouds.steps cancellation Scheme.heun 50 field start.Start).Final
            |]

        let known =
            let all = (row "known" few).Images |> Array.map (Array.mapi (fun p v -> if BlobImages.isKnown p then v else nan))
            { Caption = "known"; Images = all }

        let fromNothing =
            let start = fromNoise generator few

            row
                "from noise"
                (Clouds.steps cancellation Scheme.heun 50 (NetworkField.conditional (condition start) networks[1]) start.Start).Final

        let pathPanel (k: int) : PlaneFigure =
            let name, start, field = starts[k]
            let run = Clouds.flow cancellation 1e-4 (Array.init 21 (fun i -> float i / 20.0)) field (start.narrow (0L, 0L, 120L))

            PlaneFigure(
                $"from {name}",
                "x",
                "y",
                [|
                    Clouds.layer "start" LayerColour.Black 2.0 120 start
                    Clouds.paths "paths" 120 run.SavedTimes run.Saved
                    Clouds.layer "end" LayerColour.Vermilion 2.5 120 run.Final
                |]
            )
                .Within(-4.2, 4.2, -4.2, 4.2)

        let four = 2

        {
            Findings =
                [|
                    Findings.target
                        "four Euler steps from a noisy copy: sliced W2, ratio to the flow from noise"
                        0.7
                        Relation.AtMost
                        "entry P043"
                        (curves[0].[four] / curves[1].[four])
                    Findings.exact
                        "and its paths cost less: path energy, ratio to the flow from noise"
                        1.0
                        Relation.AtMost
                        0.0
                        $"entry P043; the energy is at most E|x1 - x0|^2 (Jensen), {source}"
                        (ways[0].Energy / ways[1].Energy)
                    Findings.exact
                        "its path energy is at most that of the coupling, E|x1 - x0|^2 = 0.18"
                        0.18
                        Relation.AtMost
                        0.01
                        "Jensen's inequality; tolerance for the trained velocity"
                        ways[0].Energy
                    Findings.target
                        "it beats doing nothing: sliced W2 after four steps over that of the start"
                        1.0
                        Relation.AtMost
                        "entry P043, corrected"
                        (curves[0].[four] / before[0])
                    Findings.exact
                        "jointly normal pair, RK4, 100 steps: error of the moments at t = 1"
                        0.0
                        Relation.Equals
                        1e-3
                        $"closed form, {source}"
                        (DataCouplingStudy.NormalEnd cancellation)
                    Findings.exact
                        "in-painting keeps the known pixels: largest error"
                        0.0
                        Relation.Equals
                        0.0
                        "the velocity is (1 - M) b: exact by construction"
                        kept
                    Findings.target
                        "unknown pixels after four Euler steps: sliced W2, ratio to the conditional flow from noise"
                        1.0
                        Relation.AtMost
                        "entry P043"
                        (paintedUnknown[four] / noiseUnknown[four])
                    Findings.target
                        "whole images after four Euler steps, known half put in for both: sliced W2, ratio"
                        1.0
                        Relation.AtMost
                        "entry P043"
                        (paintedJoint[four] / noiseJoint[four])
                |]
            Tables =
                [|
                    struct ($"Eight gaussians: sliced W2 to {count} fresh points (another sample: {floor:F4})",
                            DataFrame(
                                [|
                                    StringDataFrameColumn("start", starts |> Array.map (fun (name, _, _) -> name)) :> DataFrameColumn
                                    DoubleDataFrameColumn("before", before)

                                    for i in 0 .. stepCounts.Length - 1 do
                                        DoubleDataFrameColumn($"Euler {stepCounts[i]}", curves |> Array.map (fun curve -> curve[i]))

                                    DoubleDataFrameColumn("path energy", ways |> Array.map _.Energy)
                                    DoubleDataFrameColumn("W2^2 of the ends", ways |> Array.map _.LeastEnergy)
                                |]
                            ))
                    struct ($"Images: sliced W2 of {imageCount} (another sample, unknown half: {imageFloor:F4})",
                            DataFrame(
                                StringDataFrameColumn("Euler steps", stepCounts |> Array.map string),
                                DoubleDataFrameColumn("unknown half, in-painting", paintedUnknown),
                                DoubleDataFrameColumn("unknown half, from noise", noiseUnknown),
                                DoubleDataFrameColumn("whole, in-painting", paintedJoint),
                                DoubleDataFrameColumn("whole, from noise", noiseJoint)
                            ))
                    struct ("Largest error of a known pixel, 16 Euler steps (white less black is 2)",
                            DataFrame(
                                StringDataFrameColumn("flow", [| "in-painting"; "from noise" |]),
                                DoubleDataFrameColumn("error", [| knownError paintedFinal; knownError noiseFinal |])
                            ))
                |]
            Figures =
                [|
                    ImageFigure(
                        "Halves of images, completed: every sample keeps the known half",
                        BlobImages.side,
                        BlobImages.side,
                        [| known; yield! samples; fromNothing; row "truth" few |],
                        -1.0,
                        1.0
                    )
                    PanelFigure("Paths from a noisy copy are short", [| pathPanel 0; pathPanel 1 |])
                    LineFigure(
                        "Few steps are enough from a noisy copy",
                        "Euler steps",
                        "sliced W2 to the data",
                        [|
                            for k in 0..1 do
                                let name, _, _ = starts[k]
                                Worlds.curve $"from {name}" (stepCounts |> Array.map float) curves[k]

                            Worlds.curve "doing nothing: the noisy copy" [| 1.0; 16.0 |] [| before[0]; before[0] |]
                            Worlds.curve "another sample of the data" [| 1.0; 16.0 |] [| floor; floor |]
                        |],
                        true
                    )
                    LineFigure(
                        "In-painting: the unknown half",
                        "Euler steps",
                        "sliced W2 of the unknown pixels",
                        [|
                            Worlds.curve "start: known half and noise" (stepCounts |> Array.map float) paintedUnknown
                            Worlds.curve "start: noise, known half as condition" (stepCounts |> Array.map float) noiseUnknown
                            Worlds.curve "another sample of the images" [| 1.0; 16.0 |] [| imageFloor; imageFloor |]
                        |],
                        true
                    )
                |]
            Notes =
                [|
                    $"x_t = (1 - t) x0 + t x1. Points: networks of 64, 64, 64 units, {planeSteps} steps; images: 128, 128 units that see x_t, t and the known half, {imageSteps} steps; {batch} pairs a step, the same for both starts."
                    "A blob that lies wholly in the unknown half leaves the known one black: the samples then differ, as they should."
                    "Where the start is the known half and noise, the known coordinates of x1 - x0 are zero; the velocity is set to zero there, which makes the known pixels exact."
                |]
        }

/// Cross-entropies, numbers as laws, and the losses on tensors.
module ValueFlow.Tests.Returns.Losses.ReturnLossTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Returns
open ValueFlow.Tests.Returns.Judge
open ValueFlow.Tests.Returns.Losses.Sketches

/// Logits and laws on a common support.
type LogitSketch = { Seed: int; Rows: byte; Count: byte }

type LogitCase = { Rows: int; Count: int; Logits: float32[]; Targets: float32[] }

let private logitCase (sketch: LogitSketch) : LogitCase =
    let generator = Generator sketch.Seed
    let rows, count = 1 + int sketch.Rows % 5, 1 + int sketch.Count % 40

    let law () =
        let weights = Array.init count (fun _ -> if generator.Uniform() < 0.3 then 0.0 else generator.Uniform())
        let total = Array.sum weights
        weights |> Array.map (fun w -> float32 (if total > 0.0 then w / total else 1.0 / float count))

    {
        Rows = rows
        Count = count
        Logits = Array.init (rows * count) (fun _ -> float32 (8.0 * generator.Uniform() - 4.0))
        Targets = Array.init rows (fun _ -> law ()) |> Array.concat
    }

let private crossEntropy (case: LogitCase) : float * float[] =
    let gradient = Array.create case.Logits.Length nanf
    let loss = CrossEntropy.lossAndGradient case.Count (ReadOnlySpan case.Logits) (ReadOnlySpan case.Targets) (Span gradient)
    loss, Array.map float gradient

let private softmax (case: LogitCase) (b: int) : float[] =
    let weights = Array.sub case.Logits (b * case.Count) case.Count |> Array.map (float >> exp)
    weights |> Array.map (fun w -> w / Array.sum weights)

let private exactCrossEntropy (reduce: int -> int -> float) (case: LogitCase) : float * float[] =
    let scale = reduce case.Rows case.Count
    let laws = Array.init case.Rows (softmax case)
    let target b i = float case.Targets[b * case.Count + i]

    let loss =
        Seq.sum (
            seq {
                for b in 0 .. case.Rows - 1 do
                    for i in 0 .. case.Count - 1 -> -scale * target b i * log laws[b].[i]
            }
        )

    loss, Array.init case.Logits.Length (fun k -> scale * (laws[k / case.Count].[k % case.Count] - float case.Targets[k]))

let private crossEntropyLaw (loss: LogitCase -> float * float[]) (sketch: LogitSketch) =
    let case = logitCase sketch
    let expected, expectedGradient = exactCrossEntropy (fun rows _ -> 1.0 / float rows) case
    let value, gradient = loss case
    within 4e-6 value expected .&. allWithin 2e-6 expectedGradient gradient

let private shiftLaw (loss: LogitCase -> float * float[]) (sketch: LogitSketch) =
    let case = logitCase sketch
    let value, gradient = loss case
    let shifted, shiftedGradient = loss { case with Logits = case.Logits |> Array.map (fun x -> x + 64.0f) }
    within 2e-5 shifted value .&. allWithin 1e-5 gradient shiftedGradient

[<Fact>]
let ``the cross-entropy is its definition, whatever is added to all logits of a row`` () =
    holds (crossEntropyLaw crossEntropy)
    holds (shiftLaw crossEntropy)
    refuted (shiftLaw (fun case -> Array.sumBy float case.Logits, [||]))
    refuted (crossEntropyLaw (exactCrossEntropy (fun rows count -> 1.0 / float (rows * count))))
    refuted (crossEntropyLaw (exactCrossEntropy (fun _ _ -> 1.0)))
    refuted (crossEntropyLaw (fun case -> fst (crossEntropy case), Array.map (fun g -> -g) (snd (crossEntropy case))))

let private minimumLaw (target: float32[] -> float32[]) (sketch: LogitSketch) =
    let case = logitCase { sketch with Rows = 0uy }
    let positive = case.Targets |> Array.map (fun t -> 0.9f * t + 0.1f / float32 case.Count)
    let at = { case with Targets = positive; Logits = target positive |> Array.map log }
    let least, gradient = crossEntropy at
    let entropy = -Array.sumBy (fun (t: float32) -> float t * log (float t)) positive

    same (Math.Round(least - entropy, 5)) 0.0
    .&. allWithin 2e-6 (Array.zeroCreate case.Count) gradient
    .&. atMost (least - 1e-5) (fst (crossEntropy { at with Logits = case.Logits }))

[<Fact>]
let ``the cross-entropy is least where the softmax is the target, and is the target's entropy there`` () =
    holds (minimumLaw id)
    refuted (minimumLaw Array.rev)

let private support = Support(-2.0, 3.0, 11)

let private rowsOf (fill: float32[] -> float32[] -> unit) (values: float32[]) : float[][] =
    let masses = Array.create (values.Length * support.Count) nanf
    fill values masses
    Array.init values.Length (fun b -> Array.sub masses (b * support.Count) support.Count |> Array.map float)

let private twoHot = rowsOf (fun values masses -> ScalarTargets.twoHot support (ReadOnlySpan values) (Span masses))
let private hlGauss deviation = rowsOf (fun values masses -> ScalarTargets.hlGauss support deviation (ReadOnlySpan values) (Span masses))
let private meanOf (row: float[]) = Array.fold2 (fun sum z p -> sum + z * p) 0.0 support.Atoms row

let private twoHotLaw (fill: float32[] -> float[][]) (value: int) =
    let y = float32 value / 7.0f
    let row = (fill [| y |])[0]
    let clipped = Math.Clamp(float y, support.Least, support.Largest)

    within 1e-6 (Array.sum row) 1.0
    .&. within 1e-6 (meanOf row) clipped
    .&. (row |> Array.filter (fun p -> p > 0.0) |> Array.length <= 2 |> Prop.label "at most two atoms")

[<Fact>]
let ``two-hot masses have mass one, the number as mean, and two atoms`` () =
    holds (twoHotLaw twoHot)
    refuted (twoHotLaw (twoHot >> Array.map Array.rev))
    refuted (twoHotLaw (hlGauss 0.4))

let private hlGaussLaw (fill: float -> float32[] -> float[][]) (value: int, width: byte) =
    let y = float32 value / 7.0f
    let deviation = 0.02 + float width / 100.0
    let row = (fill deviation [| y |])[0]
    let inside = float y >= support.Least && float y <= support.Largest

    within 1e-6 (Array.sum row) 1.0
    .&. (Array.forall (fun p -> p >= 0.0) row |> Prop.label "not negative")
    // Each bin moves its mass by half a gap at most; of a normal law cut to an interval around its mean no more is left than E |X - y| = deviation sqrt(2 / pi).
    .&. ((not inside || abs (meanOf row - float y) <= 0.5 * support.Gap + deviation * sqrt (2.0 / Math.PI) + 1e-6)
         |> Prop.label "the mean is near")

[<Fact>]
let ``HL-Gauss masses have mass one, and a mean near the number`` () =
    holds (hlGaussLaw hlGauss)
    refuted (hlGaussLaw (fun deviation values -> hlGauss deviation values |> Array.map (Array.map (fun p -> 0.99 * p))))
    refuted (hlGaussLaw (fun deviation values -> hlGauss deviation (Array.map (fun y -> y + 2.0f) values)))

let private sharpLaw (fill: float -> float32[] -> float[][]) (value: int) =
    let y = Math.Clamp(float value / 7.0, support.Least, support.Largest)
    let place = (y - support.Least) / support.Gap
    // Not on the border of two bins.
    let row = (fill 1e-6 [| float32 y |])[0]
    let nearest = int (Math.Round place)

    (abs (abs (place - floor place) - 0.5) < 1e-3 || abs (row[nearest] - 1.0) < 1e-6)
    |> Prop.label $"all mass in the bin of {y}"

[<Fact>]
let ``HL-Gauss becomes the bin that holds the number as the deviation tends to zero, an atom of its two-hot pair`` () =
    holds (sharpLaw hlGauss)
    refuted (sharpLaw (fun _ -> hlGauss 0.3))
    // On the border of two bins both get half.
    let row = (hlGauss 1e-6 [| -1.75f |])[0]
    Assert.Equal(0.5, row[0], 3)
    Assert.Equal(0.5, row[1], 3)
    // The middle of a wide law: a fixed point of symmetry.
    let even = (hlGauss 0.375 [| 0.5f |])[0]
    Assert.Equal<float[]>(even, Array.rev even)

// Tensors.

let private tensor (dtype: torch.ScalarType) (shape: int list) (numbers: float32[]) : torch.Tensor =
    (torch.tensor numbers).``to``(dtype).reshape(shape |> List.map int64 |> Array.ofList)

let private types = [ torch.float32; torch.float64 ]

/// A loss at a leaf, and its gradient there.
let private differentiated
    (dtype: torch.ScalarType)
    (shape: int list)
    (numbers: float32[])
    (loss: torch.Tensor -> torch.Tensor)
    : float * float[] =
    Lifetime.within (fun () ->
        let leaf: torch.Tensor = (tensor dtype shape numbers).requires_grad_()
        let value = loss leaf
        value.backward ()

        match leaf.grad with
        | null -> value.ToDouble(), [||]
        | gradient -> value.ToDouble(), (gradient.``to`` (torch.float64: torch.ScalarType)).data<float>().ToArray())

let private onTensors (dtype: torch.ScalarType) : QuantileLoss =
    fun case ->
        let n, m = case.Rule.Levels.Length, case.Targets.Length / case.Rows
        let targets = tensor dtype [ case.Rows; m ] case.Targets
        differentiated dtype [ case.Rows; n ] case.Predictions (fun q -> ReturnLoss.quantileHuber case.Rule q targets)

let private quantileTensorLaw (loss: QuantileLoss) (sketch: QuantileSketch) =
    let case = quantileCase sketch
    let expected, expectedGradient = definition asymmetric byRule sumThenMean case
    let value, gradient = loss case
    // On kinks autograd may pick another slope.
    within 4e-6 value expected
    .&. ((sketch.Ties || isNear 4e-6 expectedGradient gradient) |> Prop.label "gradient")

[<Fact>]
let ``quantile Huber losses and gradients of tensors are the definition, in both types`` () =
    for dtype in types do
        holds (quantileTensorLaw (onTensors dtype))

    refuted (
        quantileTensorLaw (fun case -> let value, gradient = onTensors torch.float32 case in value, Array.map (fun g -> 2.0 * g) gradient)
    )

let private categoricalTensorLaw (factor: float) (dtype: torch.ScalarType) (sketch: LogitSketch) =
    let case = logitCase sketch
    let expected, expectedGradient = exactCrossEntropy (fun rows _ -> 1.0 / float rows) case
    let targets = tensor dtype [ case.Rows; case.Count ] case.Targets

    let value, gradient =
        differentiated dtype [ case.Rows; case.Count ] case.Logits (fun logits ->
            Elementwise.times factor (ReturnLoss.categorical logits targets))

    within 4e-6 value expected .&. allWithin 2e-6 expectedGradient gradient

[<Fact>]
let ``categorical losses and gradients of tensors are the definition, in both types`` () =
    for dtype in types do
        holds (categoricalTensorLaw 1.0 dtype)
        refuted (categoricalTensorLaw 1.01 dtype)

[<Fact>]
let ``losses of numbers are categorical losses to their laws`` () =
    let logits = Array.init (3 * support.Count) (fun i -> float32 (i % 7) / 3.0f)
    let values = [| -0.3f; 2.9f; 7.0f |]

    for dtype in types do
        let given = tensor dtype [ 3 ] values

        for loss, rows in [ ReturnLoss.twoHot support, twoHot values; ReturnLoss.hlGauss support 0.375, hlGauss 0.375 values ] do
            let masses = rows |> Array.concat |> Array.map float32
            let case = { Rows = 3; Count = support.Count; Logits = logits; Targets = masses }
            let expected, expectedGradient = exactCrossEntropy (fun rows _ -> 1.0 / float rows) case
            let value, gradient = differentiated dtype [ 3; support.Count ] logits (fun x -> loss x given)
            Assert.Equal(expected, value, 1e-5)
            Assert.True(isNear 2e-6 expectedGradient gradient)

/// Two clouds of a few points in the plane, and a kernel.
type CloudSketch = { Seed: int; First: byte; Second: byte; Kernel: byte; Coincide: bool }

let private kernels =
    [ Gaussian [ 0.5; 2.0 ]; GaussianByMedian; InverseMultiquadric 1.0; EnergyKernel 1.0; EnergyKernel 1.5 ]

let private mmdLaw (loss: MmdKernel -> torch.Tensor -> torch.Tensor -> torch.Tensor) (dtype: torch.ScalarType) (sketch: CloudSketch) =
    let generator = Generator sketch.Seed
    let n, m, rows = 1 + int sketch.First % 5, 1 + int sketch.Second % 6, 2
    let number () = float32 (if sketch.Coincide then float (generator.Below 3) else Sampling.normal generator)
    let x, y = Array.init (rows * n * 2) (fun _ -> number ()), Array.init (rows * m * 2) (fun _ -> number ())
    let kernel = kernels[int sketch.Kernel % kernels.Length]

    let sample (numbers: float[]) count b = Sample.OfPoints(Array.init count (fun i -> Array.sub numbers ((b * count + i) * 2) 2))

    let exact (points: float[]) =
        let each b =
            // The bandwidth by median is a constant of the gradient.
            let kernel =
                match kernel with
                | GaussianByMedian ->
                    Gaussian [ Discrepancy.medianDistance (sample (Array.map float x) n b) (sample (Array.map float y) m b) ]
                | other -> other

            Discrepancy.squaredMmd kernel (sample points n b) (sample (Array.map float y) m b)

        Seq.average (seq { for b in 0 .. rows - 1 -> each b })

    let points = Array.map float x
    let value, gradient = differentiated dtype [ rows; n; 2 ] x (fun leaf -> loss kernel leaf (tensor dtype [ rows; m; 2 ] y))
    let step = 1e-4

    let numerical =
        Array.init x.Length (fun i ->
            let at shift = exact (Array.mapi (fun k value -> if k = i then value + shift else value) points)
            (at step - at -step) / (2.0 * step))

    within 2e-5 value (exact points)
    // Where points coincide a distance has a kink; and a square that is cut off at zero is flat there.
    .&. ((sketch.Coincide || value < 1e-3 || isNear 2e-4 numerical gradient) |> Prop.label "gradient")
    .&. (Array.forall Double.IsFinite gradient |> Prop.label "finite")

[<Fact>]
let ``MMD of tensors is that of samples, with the numerical gradient, also where points coincide`` () =
    for dtype in types do
        holds (mmdLaw ReturnLoss.mmd dtype)

    refuted (mmdLaw (fun kernel x y -> Elementwise.times 2.0 (ReturnLoss.mmd kernel x y)) torch.float64)
    refuted (mmdLaw (fun kernel x y -> ReturnLoss.mmd kernel (x.detach ()) y |> Elementwise.addTimes 0.0 (x.sum ())) torch.float64)

[<Fact>]
let ``targets get no gradient, and without a graph a loss is a number`` () =
    for dtype in types do
        Lifetime.within (fun () ->
            let leaf numbers shape : torch.Tensor = (tensor dtype shape numbers).requires_grad_()
            let targets = leaf [| 0.25f; 0.75f |] [ 1; 2 ]
            let cloud = leaf [| 0.25f; 0.75f |] [ 1; 2; 1 ]
            let x = tensor dtype [ 1; 2 ] [| 0.0f; 1.0f |]
            Assert.False((ReturnLoss.categorical x targets).requires_grad)
            Assert.False((ReturnLoss.quantileHuber (QuantileRule.standard 1.0 2) x targets).requires_grad)
            Assert.False((ReturnLoss.mmd (EnergyKernel 1.0) (x.unsqueeze 2L) cloud).requires_grad)
            use _plain = torch.no_grad ()
            Assert.False((ReturnLoss.categorical targets x).requires_grad))

[<Fact>]
let ``a loss leaves one tensor behind, also for views and with a graph`` () =
    for dtype in types do
        Lifetime.within (fun () ->
            let numbers = Array.init 12 (fun i -> float32 (i % 5) / 12.0f)
            let matrix: torch.Tensor = (tensor dtype [ 4; 3 ] numbers).requires_grad_()
            let view: torch.Tensor = matrix.t ()
            let laws: torch.Tensor = (tensor dtype [ 3; 4 ] numbers)
            let cloud: torch.Tensor = laws.unsqueeze 2L
            let numbers: torch.Tensor = tensor dtype [ 3 ] [| 0.0f; 1.0f; 2.0f |]
            let few = Support(0.0, 1.0, 4)

            for loss in
                [
                    fun () -> ReturnLoss.categorical view laws
                    fun () -> ReturnLoss.quantileHuber (QuantileRule.standard 1.0 4) view laws
                    fun () -> ReturnLoss.hlGauss few 0.3 view numbers
                    fun () -> ReturnLoss.twoHot few view numbers
                    fun () -> ReturnLoss.mmd GaussianByMedian cloud cloud
                ] do
                Assert.Equal(1L, Lifetime.born (fun () -> loss () |> ignore)))

[<Fact>]
let ``bad tensors are named before anything native runs`` () =
    for dtype in types do
        Lifetime.within (fun () ->
            let x = tensor dtype [ 2; 2 ] [| 0.0f; 1.0f; 2.0f; 3.0f |]
            let bad = tensor dtype [ 2; 2 ] [| 0.0f; 1.0f; nanf; 3.0f |]
            let rule = QuantileRule.standard 1.0 2
            refuses "logits" "[4]" (fun () -> ReturnLoss.categorical (x.reshape 4L) x)
            refuses "targetMasses" "[1, 4]" (fun () -> ReturnLoss.categorical x (x.reshape (1L, 4L)))
            refuses "targetMasses" "negative" (fun () -> ReturnLoss.categorical x (x.neg ()))
            refuses "logits" "NaN" (fun () -> ReturnLoss.categorical bad x)
            refuses "targetMasses" "NaN" (fun () -> ReturnLoss.categorical x bad)
            refuses "predictions" "[4, 1]" (fun () -> ReturnLoss.quantileHuber rule (x.reshape (4L, 1L)) x)
            refuses "predictions" "1" (fun () -> ReturnLoss.quantileHuber rule bad x)
            refuses "targets" "[1, 4]" (fun () -> ReturnLoss.quantileHuber rule x (x.reshape (1L, 4L)))
            refuses "targets" "1" (fun () -> ReturnLoss.quantileHuber rule x bad)
            refuses "values" "[3]" (fun () -> ReturnLoss.twoHot (Support(0.0, 1.0, 2)) x (tensor dtype [ 3 ] [| 0.0f; 1.0f; 2.0f |]))
            refuses "deviation" "0" (fun () -> ReturnLoss.hlGauss (Support(0.0, 1.0, 2)) 0.0 x (tensor dtype [ 2 ] [| 0.0f; 1.0f |]))
            refuses "particles" "[2, 2]" (fun () -> ReturnLoss.mmd GaussianByMedian x x)
            refuses "targets" "entry [1, 0, 0]" (fun () -> ReturnLoss.mmd GaussianByMedian (x.unsqueeze 2L) (bad.unsqueeze 2L))
            refuses "kernel" "2.5" (fun () -> ReturnLoss.mmd (EnergyKernel 2.5) (x.unsqueeze 2L) (x.unsqueeze 2L))
            refuses "logits" "Int64" (fun () -> ReturnLoss.categorical (x.``to`` (torch.int64: torch.ScalarType)) x)

            refuses "targets" "type" (fun () ->
                let other = if dtype = torch.float32 then torch.float64 else torch.float32
                ReturnLoss.quantileHuber rule x (x.``to`` (other: torch.ScalarType))))

namespace ValueFlow.Core.Returns

open System
open System.Runtime.InteropServices
open TorchSharp
open ValueFlow.Core.Foundations

/// Losses for learning return laws by gradients, on tensors of float32 or float64: each gives a 0-dimensional tensor, the mean over the rows of the batch, whose gradient
/// flows to the first tensor only; targets are constants. On float32 in the processor's memory value and gradient come from fused kernels and join the graph as L + &lt;x, g&gt; - the same as a
/// constant, so that a second derivative is not offered: it would be zero. Every function throws an ArgumentException that names what does not fit, before
/// anything native runs, and the place of a number that is not finite.
[<RequireQualifiedAccess>]
module ReturnLoss =

    let private requireFloat (name: string) (tensor: torch.Tensor) =
        let dtype: torch.ScalarType = tensor.dtype

        if dtype <> torch.float32 && dtype <> torch.float64 then
            invalidArg name $"type must be Float32 or Float64 but is {dtype}"

    let private requireSome (name: string) (tensor: torch.Tensor) =
        if tensor.numel () = 0L then
            let sizes = tensor.shape |> Array.map string |> String.concat ", "
            invalidArg name $"there must be at least one number but the shape is [{sizes}]"

    // A finite number less itself is zero.
    let private requireFinite (name: string) (tensor: torch.Tensor) =
        Lifetime.within (fun () ->
            let wrong: torch.Tensor = (tensor.detach().isfinite()).logical_not()
            let any: torch.Tensor = wrong.any ()

            if any.item<bool>() then
                let place: torch.Tensor = (wrong.nonzero ()).[0L]
                let indices: int64[] = place.cpu().data<int64>().ToArray()
                let value: torch.Tensor = indices |> Array.fold (fun (rest: torch.Tensor) (i: int64) -> rest.[i]) (tensor.detach ())
                let text = indices |> Array.map string |> String.concat ", "
                invalidArg name $"entry [{text}] must be finite but is {value.ToDouble()}")

    let private requireMasses (name: string) (tensor: torch.Tensor) =
        requireFinite name tensor

        Lifetime.within (fun () ->
            let least: float = (tensor.detach().min()).ToDouble()

            if least < 0.0 then
                invalidArg name $"masses must not be negative but the least is {least}")

    let private isFused (tensor: torch.Tensor) = tensor.dtype = torch.float32 && tensor.device_type = DeviceType.CPU

    let private numbers (tensor: torch.Tensor) : Span<float32> = MemoryMarshal.Cast<byte, float32>(tensor.bytes)

    // A kernel's value and gradient at x as a tensor that autograd differentiates once.
    let private attached (x: torch.Tensor) (kernel: torch.Tensor -> torch.Tensor -> float) : torch.Tensor =
        Lifetime.keep (fun () ->
            let point: torch.Tensor = x.detach().contiguous()
            let gradient: torch.Tensor = torch.empty_like point
            let value: torch.Tensor = torch.tensor (float32 (kernel point gradient))

            if x.requires_grad && torch.is_grad_enabled () then
                let product: torch.Tensor = (x.mul gradient).sum()
                Elementwise.sum value (product.sub (product.detach ()))
            else
                value)

    let private requireLogits (logits: torch.Tensor) (width: int64) =
        Shape.require (nameof logits) [ -1L; width ] logits
        requireFloat (nameof logits) logits
        requireSome (nameof logits) logits

    /// -mean over rows of sum over i of t(i) log softmax(x)(i), for logits and target masses of shape (batch, count). Least, over logits, where the softmax is the target.
    /// Bellemare, Dabney and Munos 2017, "A distributional perspective on reinforcement learning".
    let categorical (logits: torch.Tensor) (targetMasses: torch.Tensor) : torch.Tensor =
        requireLogits logits -1L
        Shape.requireLike (nameof targetMasses) logits targetMasses

        if isFused logits && isFused targetMasses then
            let count = int logits.shape[1]

            attached logits (fun point gradient ->
                use targets: torch.Tensor = targetMasses.detach().contiguous()
                let x: ReadOnlySpan<float32> = Span.op_Implicit (numbers point)
                let t: ReadOnlySpan<float32> = Span.op_Implicit (numbers targets)
                RowCheck.finite (nameof logits) count x
                RowCheck.notNegative (nameof targetMasses) count t
                CrossEntropy.unchecked count (int logits.shape[0]) x t (numbers gradient))
        else
            requireFinite (nameof logits) logits
            requireMasses (nameof targetMasses) targetMasses
            Lifetime.keep (fun () -> PlainReturnLoss.crossEntropy logits targetMasses)

    /// The quantile Huber loss of a rule, for predictions (batch, levels) and targets (batch, any number). Least where each prediction is a quantile of its row's targets (kappa = 0).
    /// Dabney, Rowland, Bellemare and Munos 2018, "Distributional reinforcement learning with quantile regression".
    let quantileHuber (rule: QuantileRule) (predictions: torch.Tensor) (targets: torch.Tensor) : torch.Tensor =
        QuantileRule.require rule
        Shape.require (nameof predictions) [ -1L; int64 rule.Levels.Length ] predictions
        requireFloat (nameof predictions) predictions
        requireSome (nameof predictions) predictions
        Shape.require (nameof targets) [ predictions.shape[0]; -1L ] targets
        Shape.requireType (nameof targets) predictions.dtype targets
        requireSome (nameof targets) targets

        if isFused predictions && isFused targets then
            attached predictions (fun point gradient ->
                use constants: torch.Tensor = targets.detach().contiguous()
                let q: ReadOnlySpan<float32> = Span.op_Implicit (numbers point)
                let y: ReadOnlySpan<float32> = Span.op_Implicit (numbers constants)
                QuantileKernel.lossAndGradient rule 1 q y (numbers gradient))
        else
            requireFinite (nameof predictions) predictions
            requireFinite (nameof targets) targets
            Lifetime.keep (fun () -> PlainReturnLoss.quantileHuber rule predictions targets)

    // Writes the masses that stand for numbers.
    type private Fill = delegate of ReadOnlySpan<float32> * Span<float32> -> unit

    // Cross-entropy to the laws that stand for numbers (batch).
    let private ofScalars (fill: Fill) (support: Support) (logits: torch.Tensor) (values: torch.Tensor) : torch.Tensor =
        requireLogits logits (int64 support.Count)
        Shape.require (nameof values) [ logits.shape[0] ] values
        requireFloat (nameof values) values
        requireFinite (nameof values) values

        Lifetime.keep (fun () ->
            let plain: torch.Tensor = values.detach().cpu().``to``(torch.float32: torch.ScalarType).contiguous()
            let masses: torch.Tensor = torch.empty (logits.shape, dtype = Nullable torch.float32)
            fill.Invoke(Span.op_Implicit (numbers plain), numbers masses)
            categorical logits (masses.``to``(logits.device: torch.Device).``to``(logits.dtype: torch.ScalarType)))

    /// Cross-entropy of logits (batch, count) to the HL-Gauss masses of numbers (batch): a regression as a classification. See <c>ScalarTargets.hlGauss</c>.
    /// Farebrother et al. 2024, "Stop regressing: training value functions via classification for scalable deep RL".
    let hlGauss (support: Support) (deviation: float) (logits: torch.Tensor) (values: torch.Tensor) : torch.Tensor =
        ofScalars (Fill(fun y masses -> ScalarTargets.hlGauss support deviation y masses)) support logits values

    /// Cross-entropy of logits (batch, count) to the two-hot masses of numbers (batch). See <c>ScalarTargets.twoHot</c>.
    let twoHot (support: Support) (logits: torch.Tensor) (values: torch.Tensor) : torch.Tensor =
        ofScalars (Fill(fun y masses -> ScalarTargets.twoHot support y masses)) support logits values

    // |x(b, i) - y(b, j)|^2, (batch x points of x x points of y).
    let private squares (x: torch.Tensor) (y: torch.Tensor) : torch.Tensor =
        let difference: torch.Tensor = (x.unsqueeze 2L).sub(y.unsqueeze 1L)
        (difference.mul difference).sum 3L

    // The median distance of each row's points, (batch x 1 x 1), as Discrepancy has it.
    let private medians (particles: torch.Tensor) (targets: torch.Tensor) : torch.Tensor =
        let rows (points: torch.Tensor) : Sample[] =
            let shape = points.shape
            let flat: torch.Tensor = points.detach().cpu().``to``(torch.float64: torch.ScalarType).contiguous()
            let values: float[] = flat.data<float>().ToArray()
            let count, width = int shape[1], int shape[2]

            Array.init (int shape[0]) (fun b ->
                Sample.OfPoints(Array.init count (fun i -> Array.sub values ((b * count + i) * width) width)))

        let found = Array.map2 Discrepancy.medianDistance (rows particles) (rows targets)
        torch.tensor(found).``to``(particles.dtype: torch.ScalarType).``to``(particles.device: torch.Device).reshape(-1L, 1L, 1L)

    let private profile (kernel: MmdKernel) (particles: torch.Tensor) (targets: torch.Tensor) : torch.Tensor -> torch.Tensor =
        let positive (name: string) (value: float) =
            if not (value > 0.0 && Double.IsFinite value) then
                invalidArg (nameof kernel) $"{name} must be positive and finite but is {value}"

        match kernel with
        | Gaussian bandwidths ->
            if bandwidths.IsEmpty then
                invalidArg (nameof kernel) "there must be at least one bandwidth but there is none"

            bandwidths |> List.iter (positive "a bandwidth")

            fun square ->
                let bells = bandwidths |> List.map (fun h -> (Elementwise.times (-0.5 / (h * h)) square).exp())
                Elementwise.over (float bandwidths.Length) (List.reduce Elementwise.sum bells)
        | GaussianByMedian ->
            let scale: torch.Tensor = medians particles targets
            let rate: torch.Tensor = Elementwise.over -2.0 ((scale.mul scale).reciprocal())
            fun square -> (square.mul rate).exp()
        | InverseMultiquadric scale ->
            positive "the scale" scale
            fun square -> (Elementwise.plus (scale * scale) square).rsqrt()
        | EnergyKernel exponent ->
            if not (exponent > 0.0 && exponent < 2.0) then
                invalidArg (nameof kernel) $"the exponent must lie in (0, 2) but is {exponent}"

            fun square ->
                // Points that coincide push one another nowhere; the power of what stands in for their distance is not used.
                let isZero: torch.Tensor = Elementwise.isAtMost 0.0 square
                let safe = Elementwise.fill isZero 1.0 square
                let power: torch.Tensor = (Elementwise.times (0.5 * exponent) (safe.log ())).exp()
                (Elementwise.fill isZero 0.0 power).neg()

    /// The mean over rows of MMD^2 between particles (batch, n, width) and targets (batch, m, width) as equally weighted laws: E k(X, X') + E k(Y, Y') - 2 E k(X, Y), all pairs
    /// counted (a V-statistic, as <c>Discrepancy.squaredMmd</c>). Plain tensor operations; a bandwidth by median is a constant of each row. Memory grows with batch (n + m)^2 width.
    /// Gretton et al. 2012, "A kernel two-sample test"; as a loss of return laws: Nguyen-Tang, Gupta and Venkatesh 2021, "Distributional reinforcement learning via moment matching".
    let mmd (kernel: MmdKernel) (particles: torch.Tensor) (targets: torch.Tensor) : torch.Tensor =
        Shape.require (nameof particles) [ -1L; -1L; -1L ] particles
        requireFloat (nameof particles) particles
        requireSome (nameof particles) particles
        Shape.require (nameof targets) [ particles.shape[0]; -1L; particles.shape[2] ] targets
        Shape.requireType (nameof targets) particles.dtype targets
        requireSome (nameof targets) targets
        requireFinite (nameof particles) particles
        requireFinite (nameof targets) targets

        Lifetime.keep (fun () ->
            let constants: torch.Tensor = targets.detach ()
            let k = profile kernel particles constants
            let mean (x: torch.Tensor) (y: torch.Tensor) : torch.Tensor = (k (squares x y)).mean()
            let own = Elementwise.sum (mean particles particles) (mean constants constants)
            Elementwise.addTimes -2.0 (mean particles constants) own)

namespace ValueFlow.Core.Returns

open System
open System.Numerics.Tensors

/// The cross-entropy of laws on a common support, from logits, in float32: value and gradient in one pass.
[<RequireQualifiedAccess>]
module CrossEntropy =

    // The loss of a row, and scale times its derivative by the logits.
    let private row (scale: float32) (logits: ReadOnlySpan<float32>) (targets: ReadOnlySpan<float32>) (gradient: Span<float32>) : float =
        let largest = TensorPrimitives.Max logits
        TensorPrimitives.Subtract(logits, largest, gradient)
        TensorPrimitives.Exp(Span.op_Implicit gradient, gradient)
        let total = TensorPrimitives.Sum(Span.op_Implicit gradient: ReadOnlySpan<float32>)
        let mass = TensorPrimitives.Sum targets
        let value = float mass * (float largest + log (float total)) - float (TensorPrimitives.Dot(logits, targets))
        TensorPrimitives.Multiply(Span.op_Implicit gradient, scale * mass / total, gradient)
        // gradient - scale targets.
        TensorPrimitives.MultiplyAdd(targets, -scale, Span.op_Implicit gradient, gradient)
        value

    let internal unchecked
        (count: int)
        (rows: int)
        (logits: ReadOnlySpan<float32>)
        (targets: ReadOnlySpan<float32>)
        (gradient: Span<float32>)
        : float =
        let scale = 1.0f / float32 rows
        let mutable total = 0.0

        for b in 0 .. rows - 1 do
            let at = b * count
            total <- total + row scale (logits.Slice(at, count)) (targets.Slice(at, count)) (gradient.Slice(at, count))

        total / float rows

    /// The mean over the rows of -sum over i of t(i) log softmax(x)(i), for logits x and target masses t with <c>count</c> numbers a row, and its gradient by the logits,
    /// (softmax(x) sum t - t) / rows. Least where the softmax is the target. Throws an ArgumentException for lengths that do not fit, and for numbers that are not
    /// finite, or negative masses.
    let lossAndGradient (count: int) (logits: ReadOnlySpan<float32>) (targets: ReadOnlySpan<float32>) (gradient: Span<float32>) : float =
        if count < 1 then
            invalidArg (nameof count) $"count must be at least 1 but is {count}"

        let rows = RowCheck.rows (nameof logits) count logits
        RowCheck.length (nameof targets) logits.Length targets.Length
        RowCheck.length (nameof gradient) logits.Length gradient.Length
        RowCheck.finite (nameof logits) count logits
        RowCheck.notNegative (nameof targets) count targets
        unchecked count rows logits targets gradient

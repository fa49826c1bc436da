namespace ValueFlow.Core.Returns

#nowarn "9" // native pointers into pinned memory

open System
open System.Numerics.Tensors
open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop

/// The cross-entropy of laws on a common support, from logits, in float32: value and gradient in one pass.
[<RequireQualifiedAccess>]
module CrossEntropy =

    // Sums over a row: of e, of t, and of t x.
    let private sums (count: int) (e: nativeptr<float32>) (t: nativeptr<float32>) (x: nativeptr<float32>) : struct (float * float * float) =
        let mutable total = Vector256<float32>.Zero
        let mutable mass = Vector256<float32>.Zero
        let mutable product = Vector256<float32>.Zero
        let mutable i = 0

        while i <= count - 8 do
            let target = Vector256.Load(NativePtr.add t i)
            total <- total + Vector256.Load(NativePtr.add e i)
            mass <- mass + target
            product <- Vector256.FusedMultiplyAdd(target, Vector256.Load(NativePtr.add x i), product)
            i <- i + 8

        let mutable a, b, c = Vector256.Sum total, Vector256.Sum mass, Vector256.Sum product

        while i < count do
            a <- a + NativePtr.get e i
            b <- b + NativePtr.get t i
            c <- c + NativePtr.get t i * NativePtr.get x i
            i <- i + 1

        struct (float a, float b, float c)

    // e := up e - down t.
    let private slopes (count: int) (up: float32) (down: float32) (e: nativeptr<float32>) (t: nativeptr<float32>) : unit =
        let ups, downs = Vector256.Create(up: float32), Vector256.Create((-down): float32)
        let mutable i = 0

        while i <= count - 8 do
            let softmax = ups * Vector256.Load(NativePtr.add e i)
            (Vector256.FusedMultiplyAdd(downs, Vector256.Load(NativePtr.add t i), softmax)).Store(NativePtr.add e i)
            i <- i + 8

        while i < count do
            NativePtr.set e i (up * NativePtr.get e i - down * NativePtr.get t i)
            i <- i + 1

    let internal unchecked
        (count: int)
        (rows: int)
        (logits: ReadOnlySpan<float32>)
        (targets: ReadOnlySpan<float32>)
        (gradient: Span<float32>)
        : float =
        let scale = 1.0 / float rows
        let mutable loss = 0.0

        // The largest logit of a row first, so that no exponential overflows.
        for b in 0 .. rows - 1 do
            let row = logits.Slice(b * count, count)
            TensorPrimitives.Subtract(row, TensorPrimitives.Max row, gradient.Slice(b * count, count))

        TensorPrimitives.Exp(Span.op_Implicit gradient, gradient)
        use x = fixed logits
        use t = fixed targets
        use e = fixed gradient

        for b in 0 .. rows - 1 do
            let e, t = NativePtr.add e (b * count), NativePtr.add t (b * count)
            let largest = float (TensorPrimitives.Max(logits.Slice(b * count, count)))
            let struct (total, mass, product) = sums count e t (NativePtr.add x (b * count))
            loss <- loss + mass * (largest + log total) - product
            slopes count (float32 (scale * mass / total)) (float32 scale) e t

        scale * loss

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

namespace ValueFlow.Core.Learning

#nowarn "9" // native pointers into pinned arrays

open System
open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop

/// Kernels on float32 vectors, eight numbers at a time. The same machine instructions wherever fused multiply-add exists, so the same bits.
module internal Simd =

    let inline load (p: nativeptr<float32>) (i: int) : Vector256<float32> = Vector256.Load(NativePtr.add p i)
    let inline store (p: nativeptr<float32>) (i: int) (x: Vector256<float32>) : unit = x.Store(NativePtr.add p i)
    let inline all (x: float32) : Vector256<float32> = Vector256.Create(x: float32)

    let inline fma (a: Vector256<float32>) (b: Vector256<float32>) (c: Vector256<float32>) : Vector256<float32> =
        Vector256.FusedMultiplyAdd(a, b, c)

    let inline where (mask: Vector256<float32>) (yes: Vector256<float32>) (no: Vector256<float32>) : Vector256<float32> =
        Vector256.ConditionalSelect(mask, yes, no)

    /// e^x - 1 and 2^n with x = n ln 2 + r: e^x = q 2^n + 2^n where q = e^r - 1. Polynomial and split of ln 2: Moshier 1989, "Methods and programs for
    /// mathematical functions" (Cephes). x is kept in [-87, 88]; what is no number stays none.
    let inline private expParts (x: Vector256<float32>) : struct (Vector256<float32> * Vector256<float32>) =
        let x = Vector256.MaxNative(all -87.0f, Vector256.MinNative(all 88.0f, x))
        let n: Vector256<float32> = Vector256.Round(x * all 1.44269504f)
        let r = fma n (all 2.12194440e-4f) (fma n (all -0.693359375f) x)
        let p = fma (all 1.9875691500e-4f) r (all 1.3981999507e-3f)
        let p = fma p r (all 8.3334519073e-3f)
        let p = fma p r (all 4.1665795894e-2f)
        let p = fma p r (all 1.6666665459e-1f)
        let p = fma p r (all 5.0000001201e-1f)
        let q = fma p (r * r) r
        let bits = Vector256.ShiftLeft(Vector256.ConvertToInt32Native n + Vector256.Create 127, 23)
        struct (q, bits.AsSingle())

    let inline exp (x: Vector256<float32>) : Vector256<float32> =
        let struct (q, power) = expParts x
        fma q power power

    let inline expm1 (x: Vector256<float32>) : Vector256<float32> =
        let struct (q, power) = expParts x
        fma q power (power - all 1.0f)

    // Value and slope of each activation at once: they share their exponential.

    let inline private exponentialUnit (scale: float32) (alpha: float32) (x: Vector256<float32>) =
        let positive = Vector256.GreaterThan(x, Vector256<float32>.Zero)
        let below = all (scale * alpha) * expm1 x
        struct (where positive (all scale * x) below, where positive (all scale) (below + all (scale * alpha)))

    let inline private silu (x: Vector256<float32>) =
        let sigma = all 1.0f / (all 1.0f + exp (-x))
        let value = x * sigma
        struct (value, fma value (all 1.0f - sigma) sigma)

    // Error function: Abramowitz and Stegun 1964, 7.1.26, absolute error below 1.5e-7.
    let inline private gelu (x: Vector256<float32>) =
        let u = Vector256.Abs x * all 0.70710678f
        let bell = exp (-(u * u))
        let t = all 1.0f / fma u (all 0.3275911f) (all 1.0f)
        let p = fma (all 1.061405429f) t (all -1.453152027f)
        let p = fma p t (all 1.421413741f)
        let p = fma p t (all -0.284496736f)
        let p = fma p t (all 0.254829592f)
        let tail = all 0.5f * (p * t) * bell
        let normal = where (Vector256.GreaterThan(x, Vector256<float32>.Zero)) (all 1.0f - tail) tail
        struct (x * normal, fma (x * all 0.39894228f) bell normal)

    // Near zero by Moshier's polynomial, else 1 - 2 / (e^(2|x|) + 1).
    let inline private tanh (x: Vector256<float32>) =
        let z = x * x
        let p = fma (all -5.70498872745e-3f) z (all 2.06390887954e-2f)
        let p = fma p z (all -5.37397155531e-2f)
        let p = fma p z (all 1.33314422036e-1f)
        let p = fma p z (all -3.33332819422e-1f)
        let near = fma (p * z) x x
        let size = Vector256.Abs x
        let far = all 1.0f - all 2.0f / (exp (size + size) + all 1.0f)
        let far = where (Vector256.LessThan(x, Vector256<float32>.Zero)) (-far) far
        let value = where (Vector256.LessThan(size, all 0.625f)) near far
        struct (value, all 1.0f - value * value)

    // A comparison with what is no number is false: the value keeps it, so that the guard of a run sees it.
    let inline private relu (x: Vector256<float32>) =
        let negative = Vector256.LessThanOrEqual(x, Vector256<float32>.Zero)
        struct (where negative Vector256<float32>.Zero x, where negative Vector256<float32>.Zero (all 1.0f))

    /// values = f(values) for a multiple of 8 numbers.
    let inline private map (count: int) (values: nativeptr<float32>) ([<InlineIfLambda>] f) =
        let mutable i = 0

        while i < count do
            let struct (value: Vector256<float32>, _: Vector256<float32>) = f (load values i)
            store values i value
            i <- i + 8

    /// slopes = f'(values), values = f(values) for a multiple of 8 numbers.
    let inline private mapBoth (count: int) (values: nativeptr<float32>) (slopes: nativeptr<float32>) ([<InlineIfLambda>] f) =
        let mutable i = 0

        while i < count do
            let struct (value: Vector256<float32>, slope: Vector256<float32>) = f (load values i)
            store values i value
            store slopes i slope
            i <- i + 8

    // Klambauer et al. 2017, equation 14.
    [<Literal>]
    let private Scale = 1.05070098735548f

    [<Literal>]
    let private Alpha = 1.67326324235437f

    /// Replaces a multiple of 8 numbers by their activation.
    let activate (activation: Activation) (count: int) (values: nativeptr<float32>) : unit =
        match activation with
        | Activation.Selu -> map count values (fun x -> exponentialUnit Scale Alpha x)
        | Activation.Elu -> map count values (fun x -> exponentialUnit 1.0f 1.0f x)
        | Activation.Silu -> map count values (fun x -> silu x)
        | Activation.Gelu -> map count values (fun x -> gelu x)
        | Activation.Tanh -> map count values (fun x -> tanh x)
        | Activation.Relu -> map count values (fun x -> relu x)

    /// Replaces a multiple of 8 numbers by their activation, and writes its slope there.
    let activateBoth (activation: Activation) (count: int) (values: nativeptr<float32>) (slopes: nativeptr<float32>) : unit =
        match activation with
        | Activation.Selu -> mapBoth count values slopes (fun x -> exponentialUnit Scale Alpha x)
        | Activation.Elu -> mapBoth count values slopes (fun x -> exponentialUnit 1.0f 1.0f x)
        | Activation.Silu -> mapBoth count values slopes (fun x -> silu x)
        | Activation.Gelu -> mapBoth count values slopes (fun x -> gelu x)
        | Activation.Tanh -> mapBoth count values slopes (fun x -> tanh x)
        | Activation.Relu -> mapBoth count values slopes (fun x -> relu x)

    /// x = x y for a multiple of 8 numbers.
    let multiplyInto (count: int) (x: nativeptr<float32>) (y: nativeptr<float32>) : unit =
        let mutable i = 0

        while i < count do
            store x i (load x i * load y i)
            i <- i + 8

    /// sum(j) += x(i, j) over the rows of a matrix whose width is a multiple of 8.
    let addRows (rows: int) (width: int) (x: nativeptr<float32>) (sum: nativeptr<float32>) : unit =
        let mutable j = 0

        while j < width do
            let mutable total = load sum j
            let mutable row = NativePtr.add x j

            for _ in 1..rows do
                total <- total + load row 0
                row <- NativePtr.add row width

            store sum j total
            j <- j + 8

    /// Four rows and sixteen columns of C = start + A B, in registers: C(i, j) = start(i, j) + sum over s of A(i, s) B(s, j). A may lie in either order.
    let private block
        (steps: int)
        (a: nativeptr<float32>)
        (aRow: int)
        (aStep: int)
        (b: nativeptr<float32>)
        (bRow: int)
        (start: nativeptr<float32>)
        (startRow: int)
        (c: nativeptr<float32>)
        (cRow: int)
        : unit =
        let mutable c00 = load start 0
        let mutable c01 = load start 8
        let mutable c10 = load start startRow
        let mutable c11 = load start (startRow + 8)
        let mutable c20 = load start (2 * startRow)
        let mutable c21 = load start (2 * startRow + 8)
        let mutable c30 = load start (3 * startRow)
        let mutable c31 = load start (3 * startRow + 8)
        let mutable a0 = a
        let mutable a1 = NativePtr.add a aRow
        let mutable a2 = NativePtr.add a (2 * aRow)
        let mutable a3 = NativePtr.add a (3 * aRow)
        let mutable bs = b

        for _ in 1..steps do
            let b0 = load bs 0
            let b1 = load bs 8
            let x = all (NativePtr.read a0)
            c00 <- fma x b0 c00
            c01 <- fma x b1 c01
            let x = all (NativePtr.read a1)
            c10 <- fma x b0 c10
            c11 <- fma x b1 c11
            let x = all (NativePtr.read a2)
            c20 <- fma x b0 c20
            c21 <- fma x b1 c21
            let x = all (NativePtr.read a3)
            c30 <- fma x b0 c30
            c31 <- fma x b1 c31
            a0 <- NativePtr.add a0 aStep
            a1 <- NativePtr.add a1 aStep
            a2 <- NativePtr.add a2 aStep
            a3 <- NativePtr.add a3 aStep
            bs <- NativePtr.add bs bRow

        store c 0 c00
        store c 8 c01
        store c cRow c10
        store c (cRow + 8) c11
        store c (2 * cRow) c20
        store c (2 * cRow + 8) c21
        store c (3 * cRow) c30
        store c (3 * cRow + 8) c31

    /// C = start + A B for a multiple of 4 rows and of 16 columns. A(i, s) lies at i aRow + s aStep; a start row of 0 is one row for all.
    let multiply
        (rows: int)
        (columns: int)
        (steps: int)
        (a: nativeptr<float32>)
        (aRow: int)
        (aStep: int)
        (b: nativeptr<float32>)
        (bRow: int)
        (start: nativeptr<float32>)
        (startRow: int)
        (c: nativeptr<float32>)
        (cRow: int)
        : unit =
        let mutable j = 0

        while j < columns do
            let mutable i = 0

            while i < rows do
                let rowOfA = NativePtr.add a (i * aRow)
                let from = NativePtr.add start (i * startRow + j)
                block steps rowOfA aRow aStep (NativePtr.add b j) bRow from startRow (NativePtr.add c (i * cRow + j)) cRow
                i <- i + 4

            j <- j + 16

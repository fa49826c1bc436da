namespace ValueFlow.Core.Dynamics

#nowarn "9" // Spans over libtorch's memory.

open System
open System.Numerics
open System.Numerics.Tensors
open System.Runtime.CompilerServices
open System.Runtime.InteropServices
open FSharp.NativeInterop
open TorchSharp

/// The arithmetic between evaluations of the field, on the tensors' own memory: contiguous, on the CPU, of one type. A lane is a run of rows that share a step;
/// all lanes have the same size. Everything goes block by block, so that a block stays in the first cache while the stages are added to it.
type internal IStageArithmetic =
    /// destination = x + h sum_j row_j k_j, with h of each lane. A lane whose h is zero is copied.
    abstract Combine:
        destination: torch.Tensor * x: torch.Tensor * stages: ResizeArray<torch.Tensor> * row: float[] * steps: float[] -> unit

    /// For every group of entries (all groups of one size) the sum of ((sum_j row_j k_j) / (atol + rtol max(|x|, |y|)))^2.
    abstract SquaredErrors:
        x: torch.Tensor *
        y: torch.Tensor *
        stages: ResizeArray<torch.Tensor> *
        row: float[] *
        relative: float *
        absolute: float *
        sums: float[] ->
            unit

    /// For every lane, whether all its entries are finite.
    abstract FiniteLanes: x: torch.Tensor * finite: bool[] -> unit
    /// Copies the lanes that are chosen.
    abstract CopyLanes: source: torch.Tensor * destination: torch.Tensor * chosen: bool[] -> unit
    /// Writes numbers.
    abstract Write: destination: torch.Tensor * values: float[] -> unit
    /// Reads numbers.
    abstract Read: source: torch.Tensor -> float[]

[<Sealed>]
type internal StageArithmetic<'T
    when 'T: unmanaged and 'T: struct and 'T: (new: unit -> 'T) and 'T :> ValueType and 'T :> IBinaryFloatingPointIeee754<'T>>() =

    let block = 2048
    let errors: 'T[] = Array.zeroCreate block
    let scales: 'T[] = Array.zeroCreate block

    static let address (tensor: torch.Tensor) : nativeint =
        let bytes = tensor.bytes
        NativePtr.toNativeInt (NativePtr.ofVoidPtr<byte>(Unsafe.AsPointer(&MemoryMarshal.GetReference bytes)))

    static let size = Unsafe.SizeOf<'T>()

    static let at (start: nativeint) (offset: int) : voidptr =
        NativePtr.toVoidPtr (NativePtr.ofNativeInt<byte>(start + nativeint offset * nativeint size))

    static let lengthOf (tensor: torch.Tensor) : int = int tensor.NumberOfElements

    // The stages that a row uses: addresses and coefficients.
    static let used (stages: ResizeArray<torch.Tensor>) (row: float[]) : struct (nativeint * float)[] =
        let count = row |> Array.sumBy (fun a -> if a <> 0.0 then 1 else 0)
        let parts = Array.zeroCreate count
        let mutable n = 0

        for j in 0 .. row.Length - 1 do
            if row[j] <> 0.0 then
                parts[n] <- struct (address stages[j], row[j])
                n <- n + 1

        parts

    static let add
        (from: nativeint)
        (target: nativeint)
        (parts: struct (nativeint * float)[])
        (offset: int)
        (length: int)
        (h: float)
        : unit =
        let result = Span<'T>(at target offset, length)
        let mutable n = 0

        while n < parts.Length do
            let struct (stage, a) = parts[n]
            let addend = if n = 0 then at from offset else at target offset

            TensorPrimitives.MultiplyAdd<'T>(
                ReadOnlySpan<'T>(at stage offset, length),
                'T.CreateTruncating(h * a),
                ReadOnlySpan<'T>(addend, length),
                result
            )

            n <- n + 1

    member private _.Block
        (x: nativeint, y: nativeint, parts: struct (nativeint * float)[], relative: 'T, absolute: 'T, offset: int, length: int)
        : unit =
        let error = Span<'T>(errors, 0, length)
        let scale = Span<'T>(scales, 0, length)
        error.Clear()

        for struct (stage, e) in parts do
            TensorPrimitives.MultiplyAdd<'T>(
                ReadOnlySpan<'T>(at stage offset, length),
                'T.CreateTruncating e,
                ReadOnlySpan<'T>(errors, 0, length),
                error
            )

        TensorPrimitives.MaxMagnitude<'T>(ReadOnlySpan<'T>(at x offset, length), ReadOnlySpan<'T>(at y offset, length), scale)
        TensorPrimitives.Abs<'T>(ReadOnlySpan<'T>(scales, 0, length), scale)
        TensorPrimitives.Multiply<'T>(ReadOnlySpan<'T>(scales, 0, length), relative, scale)
        TensorPrimitives.Add<'T>(ReadOnlySpan<'T>(scales, 0, length), absolute, scale)
        TensorPrimitives.Divide<'T>(ReadOnlySpan<'T>(errors, 0, length), ReadOnlySpan<'T>(scales, 0, length), error)

    member private _.SumOfSquares(start: int, length: int) : float =
        if length >= 8 then
            Double.CreateTruncating<'T>(TensorPrimitives.SumOfSquares<'T>(ReadOnlySpan<'T>(errors, start, length)))
        else
            let mutable sum = 'T.Zero

            for i in start .. start + length - 1 do
                sum <- sum + errors[i] * errors[i]

            Double.CreateTruncating<'T> sum

    interface IStageArithmetic with

        member _.Combine(destination, x, stages, row, steps) =
            let from, target, parts = address x, address destination, used stages row
            let total = lengthOf x
            let lane = total / steps.Length

            if lane < 16 then
                // Lanes of a few entries: stage by stage through all of them.
                let result = Span<'T>(at target 0, total)
                ReadOnlySpan<'T>(at from 0, total).CopyTo result

                for struct (stage, a) in parts do
                    let values = ReadOnlySpan<'T>(at stage 0, total)

                    for l in 0 .. steps.Length - 1 do
                        if steps[l] <> 0.0 then
                            let factor = 'T.CreateTruncating(steps[l] * a)

                            for i in l * lane .. (l + 1) * lane - 1 do
                                result[i] <- result[i] + factor * values[i]
            else
                for l in 0 .. steps.Length - 1 do
                    let start, h = l * lane, steps[l]

                    if h = 0.0 || parts.Length = 0 then
                        ReadOnlySpan<'T>(at from start, lane).CopyTo(Span<'T>(at target start, lane))
                    else
                        let mutable offset = 0

                        while offset < lane do
                            add from target parts (start + offset) (Math.Min(block, lane - offset)) h
                            offset <- offset + block

            GC.KeepAlive stages
            GC.KeepAlive x
            GC.KeepAlive destination

        member this.SquaredErrors(x, y, stages, row, relative, absolute, sums) =
            let before, after, parts = address x, address y, used stages row
            let relative, absolute = 'T.CreateTruncating relative, 'T.CreateTruncating absolute
            let total = lengthOf x
            let group = total / sums.Length

            if group >= block then
                for g in 0 .. sums.Length - 1 do
                    let mutable offset, sum = 0, 0.0

                    while offset < group do
                        let length = Math.Min(block, group - offset)
                        this.Block(before, after, parts, relative, absolute, g * group + offset, length)
                        sum <- sum + this.SumOfSquares(0, length)
                        offset <- offset + length

                    sums[g] <- sum
            else
                let whole = block / group * group
                let mutable offset = 0

                while offset < total do
                    let length = Math.Min(whole, total - offset)
                    this.Block(before, after, parts, relative, absolute, offset, length)

                    for g in 0 .. length / group - 1 do
                        sums[offset / group + g] <- this.SumOfSquares(g * group, group)

                    offset <- offset + length

            GC.KeepAlive stages
            GC.KeepAlive x
            GC.KeepAlive y

        member _.FiniteLanes(x, finite) =
            let start = address x
            let length = lengthOf x / finite.Length

            for lane in 0 .. finite.Length - 1 do
                let largest = TensorPrimitives.MaxMagnitude<'T>(ReadOnlySpan<'T>(at start (lane * length), length))
                finite[lane] <- 'T.IsFinite largest

            GC.KeepAlive x

        member _.CopyLanes(source, destination, chosen) =
            let from, target = address source, address destination
            let length = lengthOf source / chosen.Length

            for lane in 0 .. chosen.Length - 1 do
                if chosen[lane] then
                    ReadOnlySpan<'T>(at from (lane * length), length).CopyTo(Span<'T>(at target (lane * length), length))

            GC.KeepAlive source
            GC.KeepAlive destination

        member _.Write(destination, values) =
            let target = Span<'T>(at (address destination) 0, values.Length)

            for i in 0 .. values.Length - 1 do
                target[i] <- 'T.CreateTruncating values[i]

            GC.KeepAlive destination

        member _.Read(source) =
            let values = ReadOnlySpan<'T>(at (address source) 0, lengthOf source)
            let numbers = Array.zeroCreate<float> values.Length

            for i in 0 .. values.Length - 1 do
                numbers[i] <- Double.CreateTruncating<'T> values[i]

            GC.KeepAlive source
            numbers

[<RequireQualifiedAccess>]
module internal StageArithmetic =

    /// The arithmetic of a type; one for each solve, because it holds scratch memory.
    let create (dtype: torch.ScalarType) : IStageArithmetic =
        match dtype with
        | torch.ScalarType.Float32 -> StageArithmetic<float32>()
        | torch.ScalarType.Float64 -> StageArithmetic<float>()
        | other -> invalidArg "x0" $"type must be Float32 or Float64 but is {other}"

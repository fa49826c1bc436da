namespace ValueFlow.Core.Learning

#nowarn "9" // native pointers into pinned arrays

open System
open Microsoft.FSharp.NativeInterop
open ValueFlow.Core.Foundations

/// How far a value f is from its target y; the loss is the mean over all rows and entries.
[<RequireQualifiedAccess>]
type RegressionLoss =
    /// (f - y)^2.
    | Squared
    /// (f - y)^2 / 2 up to the distance, and distance (|f - y| - distance / 2) beyond. Huber 1964, "Robust estimation of a location parameter".
    | Huber of distance: float

/// The loss of a row, by its number, from the network's value there; its derivative by that value is written into the span, which is as long.
type RowLoss = delegate of row: int * value: ReadOnlySpan<float32> * derivative: Span<float32> -> float

/// Pinned memory, cut into pieces that start on cache lines.
[<Sealed>]
type internal Arena(sizes: int[]) =
    static let round (size: int) = (size + 15) &&& ~~~15
    let memory: float32[] = GC.AllocateArray(Array.sumBy round sizes + 16, true)

    let first =
        let address = Runtime.InteropServices.Marshal.UnsafeAddrOfPinnedArrayElement(memory, 0)
        NativePtr.ofNativeInt<float32>(address + ((64n - address % 64n) % 64n))

    let offsets = Array.scan (fun offset size -> offset + round size) 0 sizes

    member _.Item(index: int) : nativeptr<float32> = NativePtr.add first offsets[index]

    /// The memory must outlive every pointer into it.
    member _.KeepAlive() = GC.KeepAlive memory

/// The networks of one configuration in hand-written float32 kernels, a block of rows at a time, so that all layers of a block stay in the cache.
/// Equal to the tensor form up to rounding; the same bits at every call. It holds working memory: one thread at a time.
[<Sealed>]
type FusedNetwork(configuration: NetworkConfiguration) =
    static let blockRows = 64
    static let wide (size: int) = (size + 15) &&& ~~~15
    static let four (size: int) = (size + 3) &&& ~~~3
    do NetworkConfiguration.require configuration
    let layers = NetworkConfiguration.layers configuration
    let count = layers.Length
    let last = count - 1
    let timeWidth = NetworkConfiguration.timeWidth configuration
    // Padded widths of the inputs of layer i, and last of the output.
    let width = Array.init (count + 1) (fun i -> wide (if i < count then layers[i].Inputs else configuration.Output))
    let widest = Array.max width
    let states = Arena(Array.init (count + 1) (fun i -> blockRows * width[i]))
    let transposed = Arena(Array.init count (fun i -> layers[i].Inputs * width[i + 1]))
    let biases = Arena(Array.init count (fun i -> width[i + 1]))
    // What only training needs.
    let weights = lazy Arena(Array.init count (fun i -> layers[i].Outputs * width[i]))
    let slopes = lazy Arena(Array.init count (fun i -> blockRows * width[i]))
    let flows = lazy Arena [| blockRows * widest; blockRows * widest; widest |]
    let weightGradients = lazy Arena(Array.init count (fun i -> four layers[i].Outputs * width[i]))
    let biasGradients = lazy Arena(Array.init count (fun i -> width[i + 1]))
    let parameters: float32[] = Array.zeroCreate layers[last].End
    let timeFeatures: float32[] = Array.zeroCreate timeWidth

    let encode (t: float32) =
        if timeWidth > 0 then
            timeFeatures[0] <- t
            let frequencies = timeWidth / 2

            for j in 1..frequencies do
                let struct (sine, cosine) = MathF.SinCos(float32 (2.0 * Math.PI * float j) * t)
                timeFeatures[j] <- sine
                timeFeatures[frequencies + j] <- cosine

    let transpose (layer: Layer) (padded: int) (into: nativeptr<float32>) =
        for o in 0 .. layer.Outputs - 1 do
            let row = layer.Offset + o * layer.Inputs

            for i in 0 .. layer.Inputs - 1 do
                NativePtr.set into (i * padded + o) parameters[row + i]

    let copyRows (layer: Layer) (padded: int) (into: nativeptr<float32>) =
        for o in 0 .. layer.Outputs - 1 do
            ReadOnlySpan(parameters, layer.Offset + o * layer.Inputs, layer.Inputs)
                .CopyTo(Span(NativePtr.toVoidPtr (NativePtr.add into (o * padded)), layer.Inputs))

    let span (p: nativeptr<float32>) (length: int) = Span<float32>(NativePtr.toVoidPtr p, length)

    // The inputs of a block of rows: x, time, condition.
    let gather (first: int) (rows: int) (x: nativeptr<float32>) (t: nativeptr<float32>) (ownTimes: bool) (condition: nativeptr<float32>) =
        let input = configuration.Input
        let given = configuration.Condition

        for r in 0 .. rows - 1 do
            let into = NativePtr.add states[0] (r * width[0])
            let from = NativePtr.add x ((first + r) * input)

            for i in 0 .. input - 1 do
                NativePtr.set into i (NativePtr.get from i)

            if ownTimes then
                encode (NativePtr.get t (first + r))

            for i in 0 .. timeFeatures.Length - 1 do
                NativePtr.set into (input + i) timeFeatures[i]

            for i in 0 .. given - 1 do
                NativePtr.set into (input + timeWidth + i) (NativePtr.get condition ((first + r) * given + i))

    let affine (i: int) (rows: int) =
        Simd.multiply
            rows
            width[i + 1]
            layers[i].Inputs
            states[i]
            width[i]
            1
            transposed[i]
            width[i + 1]
            biases[i]
            0
            states[i + 1]
            width[i + 1]

    // The loss of a block, and its derivative by the values in the first flow.
    let lossOf
        (loss: RegressionLoss)
        (scale: float)
        (first: int)
        (rows: int)
        (targets: nativeptr<float32>)
        (rowWeights: nativeptr<float32>)
        weighted
        =
        let outputs = configuration.Output
        let mutable total = 0.0

        for r in 0 .. rows - 1 do
            let value = NativePtr.add states[count] (r * width[count])
            let target = NativePtr.add targets ((first + r) * outputs)
            let into = NativePtr.add flows.Value[0] (r * width[count])
            let weight = if weighted then scale * float (NativePtr.get rowWeights (first + r)) else scale
            let mutable sum = 0.0

            for o in 0 .. outputs - 1 do
                let error = float (NativePtr.get value o - NativePtr.get target o)

                match loss with
                | RegressionLoss.Squared ->
                    sum <- sum + error * error
                    NativePtr.set into o (float32 (2.0 * weight * error))
                | RegressionLoss.Huber distance ->
                    let size = abs error
                    sum <- sum + if size <= distance then 0.5 * error * error else distance * (size - 0.5 * distance)
                    NativePtr.set into o (float32 (weight * Math.Clamp(error, -distance, distance)))

            for o in outputs .. width[count] - 1 do
                NativePtr.set into o 0.0f

            total <- total + weight * sum

        total

    // The same for a loss of the caller's.
    let lossBy (loss: RowLoss) (first: int) (rows: int) =
        let outputs = configuration.Output
        let mutable total = 0.0

        for r in 0 .. rows - 1 do
            let value = Span<float32>(NativePtr.toVoidPtr (NativePtr.add states[count] (r * width[count])), outputs)
            let derivative = Span<float32>(NativePtr.toVoidPtr (NativePtr.add flows.Value[0] (r * width[count])), width[count])
            derivative.Slice(outputs).Clear()
            total <- total + loss.Invoke(first + r, Span.op_Implicit value, derivative.Slice(0, outputs))

        total

    let backward (rows: int) =
        let mutable flow = flows.Value[0]
        let mutable next = flows.Value[1]

        for i in last .. -1 .. 0 do
            let layer = layers[i]
            let gradient = weightGradients.Value[i]
            Simd.addRows rows width[i + 1] flow biasGradients.Value[i]
            Simd.multiply (four layer.Outputs) width[i] rows flow 1 width[i + 1] states[i] width[i] gradient width[i] gradient width[i]

            if i > 0 then
                Simd.multiply
                    (four rows)
                    width[i]
                    layer.Outputs
                    flow
                    width[i + 1]
                    1
                    weights.Value[i]
                    width[i]
                    flows.Value[2]
                    0
                    next
                    width[i]

                Simd.multiplyInto (rows * width[i]) next slopes.Value[i]
                let swapped = flow
                flow <- next
                next <- swapped

    // What backward adds to, and reads.
    let prepareGradient () =
        for i in 0..last do
            copyRows layers[i] width[i] weights.Value[i]
            (span weightGradients.Value[i] (four layers[i].Outputs * width[i])).Clear()
            (span biasGradients.Value[i] width[i + 1]).Clear()

    let handGradient (gradient: Span<float32>) =
        for i in 0..last do
            let layer = layers[i]

            for o in 0 .. layer.Outputs - 1 do
                (span (NativePtr.add weightGradients.Value[i] (o * width[i])) layer.Inputs)
                    .CopyTo(gradient.Slice(layer.Offset + o * layer.Inputs, layer.Inputs))

            (span biasGradients.Value[i] layer.Outputs).CopyTo(gradient.Slice(layer.Bias, layer.Outputs))

    // Forward and backward, a block of rows at a time, once the parameters were laid out: the sum of the blocks' losses. A block's loss is asked for by its first row and its number of rows.
    let sweep
        rows
        (x: nativeptr<float32>)
        (t: nativeptr<float32>)
        ownTimes
        (condition: nativeptr<float32>)
        (lossOfBlock: int -> int -> float)
        =
        let mutable total = 0.0
        let mutable first = 0

        while first < rows do
            let here = min blockRows (rows - first)
            gather first here x t ownTimes condition

            for i in 0..last do
                affine i (four here)

                if i < last then
                    Simd.activateBoth configuration.Activation (here * width[i + 1]) states[i + 1] slopes.Value[i + 1]

            total <- total + lossOfBlock first here
            backward here
            first <- first + here

        total

    let requireLength (name: string) (expected: int) (found: int) =
        if found <> expected then
            invalidArg name $"{name} must hold {expected} numbers but hold {found}"

    let requireInputs (rows: int) (x: int) (t: int) (condition: int) =
        if rows < 0 then
            invalidArg "rows" $"rows must not be negative but are {rows}"

        requireLength "x" (rows * configuration.Input) x
        requireLength "condition" (rows * configuration.Condition) condition

        if timeWidth = 0 then
            requireLength "t" 0 t
        elif t <> 1 then
            requireLength "t" rows t

    /// The configuration.
    member _.Configuration = configuration

    /// Numbers in the flat parameter vector.
    member _.ParameterCount = parameters.Length

    /// Takes in a flat parameter vector (a copy): the next calls use it.
    member _.Load(flat: ReadOnlySpan<float32>) : unit =
        requireLength "parameters" parameters.Length flat.Length
        flat.CopyTo(Span parameters)

        for i in 0..last do
            transpose layers[i] width[i + 1] transposed[i]

            ReadOnlySpan(parameters, layers[i].Bias, layers[i].Outputs).CopyTo(span biases[i] layers[i].Outputs)

    /// Writes the network's value at each of the rows: x is (rows x input), t empty, one number for all rows, or one a row, condition (rows x condition),
    /// values (rows x output), all row by row. Throws an ArgumentException where a length does not fit.
    member _.Forward
        (rows: int, x: ReadOnlySpan<float32>, t: ReadOnlySpan<float32>, condition: ReadOnlySpan<float32>, values: Span<float32>)
        : unit =
        requireInputs rows x.Length t.Length condition.Length
        requireLength "values" (rows * configuration.Output) values.Length
        use px = fixed x
        use pt = fixed t
        use pc = fixed condition
        let ownTimes = t.Length > 1

        if t.Length = 1 then
            encode t[0]

        let mutable first = 0

        while first < rows do
            let here = min blockRows (rows - first)
            gather first here px pt ownTimes pc

            for i in 0..last do
                affine i (four here)

                if i < last then
                    Simd.activate configuration.Activation (here * width[i + 1]) states[i + 1]

            for r in 0 .. here - 1 do
                (span (NativePtr.add states[count] (r * width[count])) configuration.Output)
                    .CopyTo(values.Slice((first + r) * configuration.Output, configuration.Output))

            first <- first + here

        states.KeepAlive()

    /// The mean over rows and entries of the loss, each row times its weight (weights empty: all one), and its gradient by the flat parameter vector.
    /// Lengths as in <c>Forward</c>, targets (rows x output). Throws an ArgumentException where a length does not fit.
    member _.Regression
        (
            loss: RegressionLoss,
            rows: int,
            x: ReadOnlySpan<float32>,
            t: ReadOnlySpan<float32>,
            condition: ReadOnlySpan<float32>,
            targets: ReadOnlySpan<float32>,
            rowWeights: ReadOnlySpan<float32>,
            gradient: Span<float32>
        ) : float =
        requireInputs rows x.Length t.Length condition.Length
        requireLength "targets" (rows * configuration.Output) targets.Length
        requireLength "gradient" parameters.Length gradient.Length

        if rows = 0 then
            invalidArg (nameof rows) "rows must be positive but are 0"

        if rowWeights.Length > 0 then
            requireLength "weights" rows rowWeights.Length

        match loss with
        | RegressionLoss.Huber distance when not (distance > 0.0 && Double.IsFinite distance) ->
            invalidArg (nameof loss) $"the Huber distance must be positive and finite but is {distance}"
        | _ -> ()

        prepareGradient ()
        use px = fixed x
        use pt = fixed t
        use pc = fixed condition
        use py = fixed targets
        use pw = fixed rowWeights
        let ownTimes = t.Length > 1
        let scale = 1.0 / (float rows * float configuration.Output)

        if t.Length = 1 then
            encode t[0]

        // Pinned pointers are no part of a function's memory: addresses are.
        let targetsAt, weightsAt = NativePtr.toNativeInt py, NativePtr.toNativeInt pw
        let weighted = rowWeights.Length > 0

        let total =
            sweep rows px pt ownTimes pc (fun first here ->
                lossOf loss scale first here (NativePtr.ofNativeInt targetsAt) (NativePtr.ofNativeInt weightsAt) weighted)

        handGradient gradient
        states.KeepAlive()
        total

    /// The sum over the rows of a loss of one's own, and its gradient by the flat parameter vector. Lengths as in <c>Forward</c>; rows are asked for in order.
    /// Throws an ArgumentException where a length does not fit.
    member _.LossGradient
        (
            loss: RowLoss,
            rows: int,
            x: ReadOnlySpan<float32>,
            t: ReadOnlySpan<float32>,
            condition: ReadOnlySpan<float32>,
            gradient: Span<float32>
        ) : float =
        requireInputs rows x.Length t.Length condition.Length
        requireLength "gradient" parameters.Length gradient.Length
        prepareGradient ()
        use px = fixed x
        use pt = fixed t
        use pc = fixed condition
        let ownTimes = t.Length > 1

        if t.Length = 1 then
            encode t[0]

        let total = sweep rows px pt ownTimes pc (lossBy loss)
        handGradient gradient
        states.KeepAlive()
        total

namespace ValueFlow.Core.Flows

#nowarn "9" // Rows are walked by address.

open System
open System.Numerics
open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop

/// A square cost matrix, row by row. Rows are padded with +infinity to whole vectors.
[<AbstractClass>]
type internal Costs(size: int) =

    /// Numbers in a vector.
    static member Width = 8

    /// The length of a padded row.
    static member Padded(size: int) : int = (size + Costs.Width - 1) / Costs.Width * Costs.Width

    /// An array that stays where it is.
    static member Fixed(length: int, value: float) : float[] =
        let values = GC.AllocateUninitializedArray<float>(length, true)
        Array.Fill(values, value)
        values

    /// The address of an array that stays where it is.
    static member At(values: float[]) : nativeptr<float> =
        NativePtr.ofNativeInt (Runtime.InteropServices.Marshal.UnsafeAddrOfPinnedArrayElement(values, 0))

    /// Rows, and columns.
    member _.Size = size

    /// The padded row; it may be overwritten by the next call.
    abstract Row: index: int -> nativeptr<float>

    /// One cost, to the bit that of its row.
    abstract Entry: row: int * column: int -> float

    /// The least number of a vector.
    static member Least(values: Vector512<float>) : float =
        let four = Vector256.Min(values.GetLower(), values.GetUpper())
        let two = Vector128.Min(four.GetLower(), four.GetUpper())
        Math.Min(two.GetElement 0, two.GetElement 1)

    /// The costs of some rows and as many columns.
    abstract Part: rows: int[] * columns: int[] -> Costs

/// Costs that are stored.
[<Sealed>]
type internal StoredCosts(size: int) =
    inherit Costs(size)
    let stride = Costs.Padded size
    let values = GC.AllocateUninitializedArray<float>(size * stride, true)

    do
        for i in 0 .. size - 1 do
            Array.Fill(values, infinity, i * stride + size, stride - size)

    /// The entries of a row, without the padding, to be filled.
    member _.Entries(row: int) : Span<float> = Span<float>(values, row * stride, size)

    override _.Row(index: int) = NativePtr.add (Costs.At values) (index * stride)

    override _.Entry(row: int, column: int) = values[row * stride + column]

    override _.Part(rows: int[], columns: int[]) =
        let part = StoredCosts rows.Length

        for i in 0 .. rows.Length - 1 do
            let source = values.AsSpan(rows[i] * stride, size)
            let target: Span<float> = part.Entries i

            for j in 0 .. columns.Length - 1 do
                target[j] <- source[columns[j]]

        part

/// Costs of pairs of points, computed where they are asked for. Points are given by axis: <c>source[k][i]</c> is coordinate k of point i.
[<Sealed>]
type internal PointCosts(source: float[][], target: float[][], rooted: bool) =
    inherit Costs(source[0].Length)
    let size = source[0].Length
    let stride = Costs.Padded size

    let axes =
        target
        |> Array.map (fun axis ->
            let padded = Costs.Fixed(stride, infinity)
            axis.CopyTo(padded, 0)
            padded)

    let buffer = Costs.Fixed(stride, infinity)

    // The first two axes in one pass: points of the plane are what minibatches mostly are.
    let start (index: int) (into: nativeptr<float>) =
        let first = Costs.At axes[0]
        let x = Vector512.Create(source[0].[index])

        if axes.Length = 1 then
            for step in 0 .. stride / 8 - 1 do
                let gap = Vector512.Load(NativePtr.add first (step * 8)) - x
                Vector512.Store(gap * gap, NativePtr.add into (step * 8))
        else
            let second = Costs.At axes[1]
            let y = Vector512.Create(source[1].[index])

            for step in 0 .. stride / 8 - 1 do
                let j = step * 8
                let gap = Vector512.Load(NativePtr.add first j) - x
                let other = Vector512.Load(NativePtr.add second j) - y
                Vector512.Store(other * other + gap * gap, NativePtr.add into j)

    /// Writes the row's costs.
    member _.Fill(index: int, into: nativeptr<float>) : unit =
        start index into

        for k in 2 .. axes.Length - 1 do
            let axis = Costs.At axes[k]
            let x = Vector512.Create(source[k].[index])

            for step in 0 .. stride / 8 - 1 do
                let j = step * 8
                let gap = Vector512.Load(NativePtr.add axis j) - x
                Vector512.Store(gap * gap + Vector512.Load(NativePtr.add into j), NativePtr.add into j)

        if rooted then
            for step in 0 .. stride / 8 - 1 do
                let at = NativePtr.add into (step * 8)
                Vector512.Store(Vector512.Sqrt(Vector512.Load at), at)

    override this.Row(index: int) =
        let address = Costs.At buffer
        this.Fill(index, address)
        address

    override _.Entry(row: int, column: int) =
        let mutable sum = 0.0

        for k in 0 .. axes.Length - 1 do
            let gap = axes[k].[column] - source[k].[row]
            sum <- gap * gap + sum

        if rooted then sqrt sum else sum

    override _.Part(rows: int[], columns: int[]) =
        let pick (indices: int[]) (axes: float[][]) = axes |> Array.map (fun axis -> indices |> Array.map (fun i -> axis[i]))
        PointCosts(pick rows source, pick columns target, rooted)

namespace ValueFlow.Core.Foundations

open System
open TorchSharp

/// A finite sample: points of R^d, each with a weight; the weights sum to one. Coordinates are finite numbers.
[<Sealed>]
type Sample private (axes: float[][], weights: float[], uniform: bool) =

    static let check (name: string) (count: int) (dimension: int) (at: int -> int -> float) =
        if count = 0 then
            invalidArg name "a sample must have at least one point but has none"

        if dimension = 0 then
            invalidArg name "points must have at least one coordinate but have none"

        for i in 0 .. count - 1 do
            for k in 0 .. dimension - 1 do
                if not (Double.IsFinite(at i k)) then
                    invalidArg name $"coordinate {k} of point {i} must be finite but is {at i k}"

    static let equal (count: int) = Array.create count (1.0 / float count)

    /// Coordinate k of every point: <c>Axes[k][i]</c>. Not to be changed.
    member internal _.Axes = axes

    /// The weights. Not to be changed.
    member internal _.Masses = weights

    /// The number of points.
    member _.Count = weights.Length

    /// The number of coordinates of a point.
    member _.Dimension = axes.Length

    /// Whether all points weigh the same.
    member _.IsUniform = uniform

    /// A copy of the weights; they sum to one.
    member _.Weights: float[] = Array.copy weights

    /// A copy of a point.
    member _.Point(index: int) : float[] = axes |> Array.map (fun axis -> axis[index])

    /// A sample of points of equal weight, one a row. Throws an ArgumentException for no point, no coordinate, and a coordinate that is not finite.
    static member OfArray(points: float[,]) : Sample =
        let count, dimension = points.GetLength 0, points.GetLength 1
        check (nameof points) count dimension (fun i k -> points[i, k])
        Sample(Array.init dimension (fun k -> Array.init count (fun i -> points[i, k])), equal count, true)

    /// A sample of points of equal weight. Throws an ArgumentException for no point, for points of unequal or no length, and a coordinate that is not finite.
    static member OfPoints(points: float[][]) : Sample =
        let dimension = if points.Length = 0 then 1 else points[0].Length

        for i in 0 .. points.Length - 1 do
            if points[i].Length <> dimension then
                invalidArg
                    (nameof points)
                    $"every point must have {dimension} coordinates, as point 0 has, but point {i} has {points[i].Length}"

        check (nameof points) points.Length dimension (fun i k -> points[i].[k])
        Sample(Array.init dimension (fun k -> points |> Array.map (fun point -> point[k])), equal points.Length, true)

    /// A sample of numbers of equal weight.
    static member OfNumbers(numbers: float[]) : Sample =
        check (nameof numbers) numbers.Length 1 (fun i _ -> numbers[i])
        Sample([| Array.copy numbers |], equal numbers.Length, true)

    /// A sample of the rows of a float32 or float64 tensor (count, ...), flattened. No gradient passes.
    static member OfTensor(points: torch.Tensor) : Sample =
        if points.dim () = 0L then
            invalidArg (nameof points) "points must have a batch dimension but are 0-dimensional"

        if points.dtype <> torch.float32 && points.dtype <> torch.float64 then
            invalidArg (nameof points) $"type must be Float32 or Float64 but is {points.dtype}"

        let count = int points.shape[0]
        let dimension = if count = 0 then 1 else int (points.numel () / int64 count)

        let flat =
            if count = 0 then
                [||]
            else
                Lifetime.within (fun () ->
                    let plain: torch.Tensor = points.detach().cpu().``to``(torch.float64).contiguous()
                    plain.data<float>().ToArray())

        check (nameof points) count dimension (fun i k -> flat[i * dimension + k])
        Sample(Array.init dimension (fun k -> Array.init count (fun i -> flat[i * dimension + k])), equal count, true)

    /// The same points with weights, which are divided by their sum. Throws an ArgumentException unless there is a finite weight, not negative, for each point,
    /// with a positive sum.
    member _.Weighted(weights: float[]) : Sample =
        Shape.requireLength (nameof weights) axes[0].Length weights.Length

        weights
        |> Array.iteri (fun i weight ->
            if not (Double.IsFinite weight && weight >= 0.0) then
                invalidArg (nameof weights) $"weight {i} must be finite and not negative but is {weight}")

        let total = Array.sum weights

        if not (total > 0.0 && Double.IsFinite total) then
            invalidArg (nameof weights) $"weights must have a positive finite sum but have {total}"

        Sample(axes, weights |> Array.map (fun weight -> weight / total), weights |> Array.forall (fun weight -> weight = weights[0]))

    /// Throws an ArgumentException unless both samples are in the same space.
    static member internal RequireSame(name: string, first: Sample, second: Sample) : unit =
        if first.Dimension <> second.Dimension then
            invalidArg name $"points must have {first.Dimension} coordinates, as the first sample's have, but have {second.Dimension}"

/// What it costs to carry a unit of mass from one point to another.
type GroundCost =
    /// |x - y|^2.
    | SquaredEuclidean
    /// |x - y|.
    | Euclidean

/// Costs of single pairs.
[<RequireQualifiedAccess>]
module internal Ground =

    /// The cost between point i of some axes and point j of others.
    let between (cost: GroundCost) (source: float[][]) (i: int) (target: float[][]) (j: int) : float =
        let mutable sum = 0.0

        for k in 0 .. source.Length - 1 do
            let gap = source[k].[i] - target[k].[j]
            sum <- sum + gap * gap

        match cost with
        | SquaredEuclidean -> sum
        | Euclidean -> sqrt sum

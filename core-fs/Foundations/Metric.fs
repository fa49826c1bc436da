namespace ValueFlow.Core.Foundations

open System
open System.Numerics.Tensors
open TorchSharp

/// What makes two metrics the same: claims are joined only where the keys are equal, weights included.
[<RequireQualifiedAccess>]
type MetricKey =
    /// The largest difference.
    | Sup
    /// The largest difference after division by positive weights.
    | WeightedSup of weights: float list
    /// The largest difference less the smallest: blind to constants.
    | Span
    /// The root of the sum of squares.
    | Euclidean
    /// The root of the sum of squares, each with its weight.
    | WeightedEuclidean of weights: float list
    /// The larger of two distances, one for each part of a pair.
    | Product of MetricKey * MetricKey
    /// The largest over places (states, or states and actions) of a distance between laws, by that distance's name.
    | Statewise of distance: string
    /// A metric seen through a map.
    | Conjugated of map: string * MetricKey

    /// The metric's name, as it stands in reports.
    override this.ToString() =
        match this with
        | Sup -> "sup"
        | WeightedSup weights -> $"weighted sup ({weights.Length} weights)"
        | Span -> "span"
        | Euclidean -> "Euclidean"
        | WeightedEuclidean weights -> $"weighted Euclidean ({weights.Length} weights)"
        | Product(left, right) -> $"max({left}, {right})"
        | Statewise distance -> $"sup {distance}"
        | Conjugated(map, inner) -> $"{inner} through {map}"

/// A distance and what may be concluded from it.
type Metric<'x> =
    {
        /// Which metric this is.
        Key: MetricKey
        /// d(a x + (1-a) y, a x' + (1-a) y') <= a d(x, x') + (1-a) d(y, y'): what mix and damp need.
        Convex: bool
        /// d(x, y) = 0 only for x = y. A seminorm does not separate, and certifies no value.
        Separates: bool
        /// d(x, y); not a number if an argument holds one.
        Distance: 'x -> 'x -> float
    }

/// Metrics on vectors of float64; they need no libtorch.
[<RequireQualifiedAccess>]
module Metric =

    let private difference (fold: float -> float -> float) start (x: float[]) (y: float[]) =
        Shape.requireLength "y" x.Length y.Length
        let mutable result = start

        for i in 0 .. x.Length - 1 do
            result <- fold result (x[i] - y[i])

        result

    /// d(x, y) = max over i of |x(i) - y(i)|.
    let sup: Metric<float[]> =
        {
            Key = MetricKey.Sup
            Convex = true
            Separates = true
            Distance = difference (fun largest gap -> Math.Max(largest, abs gap)) 0.0
        }

    /// d(x, y) = max over i of |x(i) - y(i)| / w(i), for positive finite weights.
    let weightedSup (weights: float[]) : Metric<float[]> =
        match weights |> Array.tryFindIndex (fun w -> not (w > 0.0 && Double.IsFinite w)) with
        | Some i -> invalidArg (nameof weights) $"weight {i} must be positive and finite but is {weights[i]}"
        | None -> ()

        let weights = Array.copy weights

        {
            Key = MetricKey.WeightedSup(List.ofArray weights)
            Convex = true
            Separates = true
            Distance =
                fun x y ->
                    Shape.requireLength "x" weights.Length x.Length
                    Shape.requireLength "y" weights.Length y.Length
                    let mutable largest = 0.0

                    for i in 0 .. x.Length - 1 do
                        largest <- Math.Max(largest, abs (x[i] - y[i]) / weights[i])

                    largest
        }

    /// sp(x - y) = max over i of (x(i) - y(i)) - min over i of (x(i) - y(i)). A seminorm: constants have length zero.
    let span: Metric<float[]> =
        {
            Key = MetricKey.Span
            Convex = true
            Separates = false
            Distance =
                fun x y ->
                    if x.Length = 0 then
                        0.0
                    else
                        difference (fun top gap -> Math.Max(top, gap)) Double.NegativeInfinity x y
                        - difference (fun bottom gap -> Math.Min(bottom, gap)) Double.PositiveInfinity x y
        }

    /// d(x, y) = sqrt(sum over i of (x(i) - y(i))^2).
    let euclidean: Metric<float[]> =
        {
            Key = MetricKey.Euclidean
            Convex = true
            Separates = true
            Distance =
                fun x y ->
                    Shape.requireLength "y" x.Length y.Length
                    if x.Length = 0 then 0.0 else TensorPrimitives.Distance(ReadOnlySpan x, ReadOnlySpan y)
        }

    /// d(x, y) = sqrt(sum over i of w(i) (x(i) - y(i))^2), for finite weights that are not negative and not all zero. Where a weight is zero it is a seminorm: it does not separate.
    let weightedEuclidean (weights: float[]) : Metric<float[]> =
        match weights |> Array.tryFindIndex (fun w -> not (w >= 0.0 && Double.IsFinite w)) with
        | Some i -> invalidArg (nameof weights) $"weight {i} must be finite and not negative but is {weights[i]}"
        | None -> ()

        if weights |> Array.forall (fun w -> w = 0.0) then
            invalidArg (nameof weights) $"one of the {weights.Length} weights must be positive but none is"

        let weights = Array.copy weights

        {
            Key = MetricKey.WeightedEuclidean(List.ofArray weights)
            Convex = true
            Separates = weights |> Array.forall (fun w -> w > 0.0)
            Distance =
                fun x y ->
                    Shape.requireLength "x" weights.Length x.Length
                    Shape.requireLength "y" weights.Length y.Length
                    let mutable sum = 0.0

                    for i in 0 .. x.Length - 1 do
                        // What has no weight is not looked at, infinite or not.
                        if weights[i] > 0.0 then
                            sum <- sum + weights[i] * (x[i] - y[i]) * (x[i] - y[i])

                    sqrt sum
        }

    /// d((x, y), (x', y')) = max(d(x, x'), d(y, y')).
    let product (left: Metric<'a>) (right: Metric<'b>) : Metric<struct ('a * 'b)> =
        {
            Key = MetricKey.Product(left.Key, right.Key)
            Convex = left.Convex && right.Convex
            Separates = left.Separates && right.Separates
            Distance = fun (struct (x1, y1)) (struct (x2, y2)) -> Math.Max(left.Distance x1 x2, right.Distance y1 y2)
        }

    /// d'(x, y) = d(map x, map y), for an injective map. Not convex in general.
    let through (name: string) (map: 'y -> 'x) (metric: Metric<'x>) : Metric<'y> =
        {
            Key = MetricKey.Conjugated(name, metric.Key)
            Convex = false
            Separates = metric.Separates
            Distance = fun x y -> metric.Distance (map x) (map y)
        }

/// The same metrics on tensors of float64.
[<RequireQualifiedAccess>]
module TensorMetric =

    let private of' key separates (length: torch.Tensor -> torch.Tensor) : Metric<torch.Tensor> =
        {
            Key = key
            Convex = true
            Separates = separates
            Distance =
                fun x y ->
                    Shape.require "y" (List.ofArray x.shape) y

                    if x.numel () = 0L then 0.0 else Lifetime.within (fun () -> (length (x.sub y)).item<float>())
        }

    /// d(x, y) = max |x - y|.
    let sup () = of' MetricKey.Sup true (fun gap -> gap.abs().max())

    /// sp(x - y) = max(x - y) - min(x - y). A seminorm.
    let span () = of' MetricKey.Span false (fun gap -> (gap.max ()).sub(gap.min ()))

    /// d(x, y) = sqrt(sum (x - y)^2).
    let euclidean () = of' MetricKey.Euclidean true (fun gap -> (gap.mul gap).sum().sqrt())

namespace ValueFlow.Core.Flows

open System
open ValueFlow.Core.Foundations

/// A smooth curve in the simplex of weights (alpha_1, ..., alpha_K), and its exact derivative; t in [0, 1].
[<NoComparison; NoEquality>]
type SimplexCurve =
    {
        /// K.
        Size: int
        /// alpha(t): not negative, sum 1.
        Value: float -> float[]
        /// alpha'(t): sum 0.
        Derivative: float -> float[]
    }

/// Curves between vertices of the simplex.
[<RequireQualifiedAccess>]
module SimplexCurve =

    let private requireVertices (size: int) (first: int) (last: int) : unit =
        if size < 2 then
            invalidArg (nameof size) $"must be at least 2 but is {size}"

        for name, vertex in [ nameof first, first; nameof last, last ] do
            if vertex < 0 || vertex >= size then
                invalidArg name $"must lie in [0, {size - 1}] but is {vertex}"

        if first = last then
            invalidArg (nameof last) $"must differ from the first vertex but is {last} too"

    /// A curve of your own functions; throws an ArgumentException unless they stay in the simplex (to 1e-12) at 65 times and the derivative is the numerical one.
    let create (size: int) (value: float -> float[]) (derivative: float -> float[]) : SimplexCurve =
        for i in 0..64 do
            let t = float i / 64.0
            let alpha = value t
            Shape.requireLength (nameof value) size alpha.Length

            if not (Array.forall (fun a -> a >= -1e-12) alpha && abs (Array.sum alpha - 1.0) <= 1e-12) then
                invalidArg (nameof value) $"must lie in the simplex at t = {t} but is %A{alpha}"

        for k in 0 .. size - 1 do
            match Schedule.disagreement (Schedule.create (fun t -> (value t)[k]) (fun t -> (derivative t)[k])) with
            | ValueSome(t, claimed, measured) ->
                invalidArg (nameof derivative) $"entry {k} at t = {t} must be {measured} (numerically) but is {claimed}"
            | ValueNone -> ()

        { Size = size; Value = value; Derivative = derivative }

    /// The straight edge from one vertex to another: alpha_first = 1 - t, alpha_last = t.
    let edge (size: int) (first: int) (last: int) : SimplexCurve =
        requireVertices size first last

        let fill a b =
            Array.init size (fun k ->
                if k = first then a
                elif k = last then b
                else 0.0)

        { Size = size; Value = (fun t -> fill (1.0 - t) t); Derivative = fun _ -> fill -1.0 1.0 }

    /// Curves from one vertex to another, all in the simplex, that start from the straight edge: with the sine series f_k(t) = sum_m c_km sin(m pi t),
    /// alpha_k is proportional to (1 - t) e^f_k at the first vertex, t e^f_k at the last one and f_k^2 at the others. c = 0 is the edge itself.
    let fourier (first: int) (last: int) (coefficients: float[][]) : SimplexCurve =
        let size = coefficients.Length
        requireVertices size first last
        coefficients |> Array.iteri (fun k row -> Shape.requireFinite $"coefficients[{k}]" row)
        let series k t = coefficients[k] |> Seq.mapi (fun m c -> c * Double.SinPi(float (m + 1) * t)) |> Seq.sum

        let slope k t =
            coefficients[k]
            |> Seq.mapi (fun m c -> c * Math.PI * float (m + 1) * Double.CosPi(float (m + 1) * t))
            |> Seq.sum

        let weight t k =
            let f, df = series k t, slope k t

            if k = first then struct ((1.0 - t) * exp f, ((1.0 - t) * df - 1.0) * exp f)
            elif k = last then struct (t * exp f, (t * df + 1.0) * exp f)
            else struct (f * f, 2.0 * f * df)

        let parts t =
            let weights = Array.init size (weight t)
            let total = weights |> Array.sumBy (fun (struct (w, _)) -> w)
            struct (weights, total, weights |> Array.sumBy (fun (struct (_, dw)) -> dw))

        {
            Size = size
            Value =
                fun t ->
                    let struct (weights, total, _) = parts t
                    weights |> Array.map (fun (struct (w, _)) -> w / total)
            Derivative =
                fun t ->
                    let struct (weights, total, rate) = parts t
                    weights |> Array.map (fun (struct (w, dw)) -> (dw - w * rate / total) / total)
        }

    /// The curve from its end to its start.
    let reverse (curve: SimplexCurve) : SimplexCurve =
        { curve with
            Value = (fun t -> curve.Value(1.0 - t))
            Derivative = fun t -> curve.Derivative(1.0 - t) |> Array.map (~-)
        }

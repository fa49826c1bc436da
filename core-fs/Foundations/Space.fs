namespace ValueFlow.Core.Foundations

open System
open System.Numerics.Tensors
open TorchSharp

/// The pointwise order of a space of functions.
type Order<'x> =
    {
        /// max over all places i of x(i) - y(i): not positive exactly if x is below y everywhere.
        Excess: 'x -> 'x -> float
        /// x + c, the same constant at every place.
        Shift: float -> 'x -> 'x
    }

/// What a runner must be able to do with the points of a space. No function changes or keeps an argument.
type Space<'x> =
    {
        /// A fresh point equal to x.
        Copy: 'x -> 'x
        /// Combine a x b y is the fresh point a x + b y.
        Combine: float -> 'x -> float -> 'x -> 'x
        /// The inner product that least squares use.
        Inner: 'x -> 'x -> float
        /// Where a point is no finite number: nothing, or the place and what stands there.
        NotFinite: 'x -> string voption
        /// The pointwise order, where the space has one.
        Order: Order<'x> voption
        /// Frees what a point holds. Runners call it on the iterates that they own.
        Release: 'x -> unit
    }

/// The spaces that come with the library.
[<RequireQualifiedAccess>]
module Space =

    let private sameLength (x: float[]) (y: float[]) = Shape.requireLength "y" x.Length y.Length

    /// Vectors of float64, for tabular values. Needs no libtorch.
    let vectors: Space<float[]> =
        {
            Copy = Array.copy
            Combine =
                fun a x b y ->
                    sameLength x y
                    Array.map2 (fun xi yi -> a * xi + b * yi) x y
            Inner =
                fun x y ->
                    sameLength x y
                    TensorPrimitives.Dot(ReadOnlySpan x, ReadOnlySpan y)
            NotFinite =
                fun x ->
                    match Array.tryFindIndex (Double.IsFinite >> not) x with
                    | Some i -> ValueSome $"entry {i} is {x[i]}"
                    | None -> ValueNone
            Order =
                ValueSome
                    {
                        Excess =
                            fun x y ->
                                sameLength x y
                                let mutable excess = Double.NegativeInfinity

                                for i in 0 .. x.Length - 1 do
                                    excess <- Math.Max(excess, x[i] - y[i])

                                excess
                        Shift = fun c x -> Array.map (fun xi -> xi + c) x
                    }
            Release = ignore
        }

    /// Tensors of float64 of one shape. Runners free the iterates that they own. Throws an InvalidOperationException where libtorch cannot be loaded.
    let tensors () : Space<torch.Tensor> =
        Lifetime.requireTorch ()
        let number (work: unit -> torch.Tensor) = Lifetime.within (fun () -> (work ()).item<float>())

        {
            Copy = fun x -> x.clone ()
            Combine = fun a x b y -> Lifetime.keep (fun () -> Elementwise.sum (Elementwise.times a x) (Elementwise.times b y))
            Inner = fun x y -> number (fun () -> (x.mul y).sum())
            NotFinite =
                fun x ->
                    if Lifetime.within (fun () -> (x.isfinite().all()).item<bool>()) then
                        ValueNone
                    else
                        ValueSome "an entry is not a finite number"
            Order =
                ValueSome
                    {
                        Excess = fun x y -> number (fun () -> (x.sub y).max())
                        Shift = Elementwise.plus
                    }
            Release = fun x -> x.Dispose()
        }

    /// Points that are vectors of numbers with something besides, which stays: all that a space does is done to the numbers. <c>like</c> makes a point of other numbers with the same besides;
    /// <c>alike x y</c> throws an ArgumentException where y has something else besides than x.
    let ofNumbers (numbers: 'x -> float[]) (like: 'x -> float[] -> 'x) (alike: 'x -> 'x -> unit) : Space<'x> =
        let order = vectors.Order.Value

        {
            Copy = fun x -> like x (Array.copy (numbers x))
            Combine =
                fun a x b y ->
                    alike x y
                    like x (vectors.Combine a (numbers x) b (numbers y))
            Inner =
                fun x y ->
                    alike x y
                    vectors.Inner (numbers x) (numbers y)
            NotFinite = numbers >> vectors.NotFinite
            Order =
                ValueSome
                    {
                        Excess =
                            fun x y ->
                                alike x y
                                order.Excess (numbers x) (numbers y)
                        Shift = fun c x -> like x (order.Shift c (numbers x))
                    }
            Release = ignore
        }

    /// Pairs of points, each part in its own space.
    let product (left: Space<'a>) (right: Space<'b>) : Space<struct ('a * 'b)> =
        {
            Copy = fun (struct (x, y)) -> struct (left.Copy x, right.Copy y)
            Combine = fun a (struct (x1, y1)) b (struct (x2, y2)) -> struct (left.Combine a x1 b x2, right.Combine a y1 b y2)
            Inner = fun (struct (x1, y1)) (struct (x2, y2)) -> left.Inner x1 x2 + right.Inner y1 y2
            NotFinite =
                fun (struct (x, y)) ->
                    match left.NotFinite x with
                    | ValueSome found -> ValueSome $"left part: {found}"
                    | ValueNone ->
                        match right.NotFinite y with
                        | ValueSome found -> ValueSome $"right part: {found}"
                        | ValueNone -> ValueNone
            Order =
                match left.Order, right.Order with
                | ValueSome l, ValueSome r ->
                    ValueSome
                        {
                            Excess = fun (struct (x1, y1)) (struct (x2, y2)) -> Math.Max(l.Excess x1 x2, r.Excess y1 y2)
                            Shift = fun c (struct (x, y)) -> struct (l.Shift c x, r.Shift c y)
                        }
                | _ -> ValueNone
            Release =
                fun (struct (x, y)) ->
                    left.Release x
                    right.Release y
        }

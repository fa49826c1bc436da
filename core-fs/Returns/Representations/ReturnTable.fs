namespace ValueFlow.Core.Returns

open ValueFlow.Core.Foundations

/// One law of a return for each place; a place is a state, or a row (a state with an action). A table is not changed once it has been
/// handed out.
[<AbstractClass>]
type ReturnTable(places: int) =

    do
        if places < 0 then
            invalidArg (nameof places) $"places must not be negative but are {places}"

    /// The number of places.
    member _.Places = places

    /// The law at a place.
    abstract Law: place: int -> Distribution

    /// The mean of the law at a place.
    abstract Mean: place: int -> float
    default this.Mean(place: int) = this.Law(place).Mean

    /// For each place the mean of its law: the ordinary values.
    member this.Means: float[] = Array.init places this.Mean

    /// Throws an ArgumentException unless the place is one of the table's.
    member internal _.RequirePlace(place: int) : unit =
        if place < 0 || place >= places then
            invalidArg (nameof place) $"place must lie in [0, {places}) but is {place}"

/// Distances between tables: the largest over places of a distance between laws. It is what laws of distributional operators speak of.
[<RequireQualifiedAccess>]
module Statewise =

    /// max over places of d(law of x, law of y), under the distance's name; <c>convex</c> says whether d is jointly convex in mixtures.
    let metric (name: string) (convex: bool) (distance: Distribution -> Distribution -> float) : Metric<'table :> ReturnTable> =
        {
            Key = MetricKey.Statewise name
            Convex = convex
            Separates = true
            Distance =
                fun x y ->
                    Shape.requireLength "y" x.Places y.Places
                    let mutable largest = 0.0

                    for place in 0 .. x.Places - 1 do
                        largest <- System.Math.Max(largest, distance (x.Law place) (y.Law place))

                    largest
        }

    let private order (p: float) =
        if System.Double.IsPositiveInfinity p then
            "inf"
        else
            p.ToString("R", System.Globalization.CultureInfo.InvariantCulture)

    /// The largest W_p over places. Convex in mixtures for p = 1 alone: for larger p it is W_p^p that is.
    let wasserstein (p: float) : Metric<'table :> ReturnTable> = metric $"W_{order p}" (p = 1.0) (Line.wasserstein p)

    /// The largest l_2 over places: the distance of Cramer, a norm of differences, so convex in mixtures.
    let cramer<'table when 'table :> ReturnTable> : Metric<'table> = metric "Cramer" true Line.cramer

    /// The largest MMD over places, of the kernel -|x - y|^b, b in (0, 2): a norm of differences.
    let energyMmd (exponent: float) : Metric<'table :> ReturnTable> =
        let sample (law: Distribution) = (Sample.OfNumbers(law.Atoms.ToArray())).Weighted(law.Masses.ToArray())
        metric $"MMD_{order exponent}" true (fun x y -> sqrt (Discrepancy.squaredMmd (EnergyKernel exponent) (sample x) (sample y)))

namespace ValueFlow.Core.Returns

open System
open ValueFlow.Core.Foundations

/// For each place N values of mass 1/N, in increasing order: its quantiles at the midpoints (2 i + 1) / (2 N).
[<Sealed>]
type QuantileTable internal (count: int, places: int, values: float[]) =
    inherit ReturnTable(places)

    /// The number N of values of a place.
    member _.Count = count
    /// Place by place its values. Not to be changed.
    member internal _.Numbers: float[] = values

    /// The values of a place.
    member this.Values(place: int) : ReadOnlySpan<float> =
        this.RequirePlace place
        ReadOnlySpan(values, place * count, count)

    override this.Law(place: int) =
        this.RequirePlace place
        Distribution.ofNumbers (Array.sub values (place * count) count)

    override this.Mean(place: int) =
        this.RequirePlace place
        let mutable sum = 0.0

        for i in place * count .. place * count + count - 1 do
            sum <- sum + values[i]

        sum / float count

/// Projects laws on a number of quantiles, and makes tables of them.
[<RequireQualifiedAccess>]
module Quantile =

    // Sums of masses that reach a level but for rounding have reached it.
    let internal slack = 1e-12

    let private requireCount (count: int) =
        if count < 1 then
            invalidArg (nameof count) $"count must be at least 1 but is {count}"

    /// (2 i + 1) / (2 N).
    let levels (count: int) : float[] =
        requireCount count
        Array.init count (fun i -> (2.0 * float i + 1.0) / (2.0 * float count))

    /// F^-1 at the midpoint levels: of all laws with N values of mass 1/N one that is nearest in W_1, and no further than (largest - least)
    /// / (2 N). It does not expand W_infinity, but may expand W_1. Dabney, Rowland, Bellemare and Munos 2018, "Distributional reinforcement
    /// learning with quantile regression".
    let project (count: int) (law: Distribution) : float[] =
        levels count |> Array.map (fun level -> law.Quantile(Math.Max(0.0, level - slack)))

    /// The table with a law at each place, projected.
    let ofLaws (count: int) (laws: Distribution[]) : QuantileTable =
        requireCount count
        QuantileTable(count, laws.Length, laws |> Array.collect (project count))

    /// The table with the same laws, projected.
    let ofTable (count: int) (table: ReturnTable) : QuantileTable = ofLaws count (Array.init table.Places table.Law)

    /// The table with the finite values, place by place, <c>count</c> for each; they are sorted within each place.
    let ofValues (count: int) (values: float[]) : QuantileTable =
        requireCount count

        if values.Length % count <> 0 then
            invalidArg (nameof values) $"there must be {count} values for each place but there are {values.Length}"

        Shape.requireFinite (nameof values) values
        let sorted = Array.copy values

        for place in 0 .. values.Length / count - 1 do
            Array.Sort(sorted, place * count, count)

        QuantileTable(count, values.Length / count, sorted)

    let private sameCount (x: QuantileTable) (y: QuantileTable) = Shape.requireLength "y" x.Count y.Count

    /// The largest W_infinity over places: the largest difference of values at one level.
    let wasserstein: Metric<QuantileTable> =
        {
            Key = MetricKey.Statewise "W_inf"
            Convex = true
            Separates = true
            Distance =
                fun x y ->
                    sameCount x y
                    Metric.sup.Distance x.Numbers y.Numbers
        }

    /// Tables of N quantiles: combinations, order and shift are those of the values level by level.
    let space: Space<QuantileTable> =
        Space.ofNumbers (fun (x: QuantileTable) -> x.Numbers) (fun x numbers -> QuantileTable(x.Count, x.Places, numbers)) sameCount

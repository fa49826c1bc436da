namespace ValueFlow.Core.Returns

open System
open ValueFlow.Core.Foundations

/// A law on a support, and what bringing it there did to it.
type CategoricalProjection =
    {
        /// For each atom its mass; they sum to one.
        Masses: float[]
        /// The mass that lay below the least atom, and was moved there.
        Below: float
        /// The mass that lay above the largest atom, and was moved there.
        Above: float
        /// The mean on the support less the mean before: zero, but for rounding, if nothing was moved to an end.
        MeanShift: float
    }

/// A categorical law for each place: masses on the atoms of one support.
[<Sealed>]
type CategoricalTable internal (support: Support, places: int, masses: float[]) =
    inherit ReturnTable(places)

    /// The atoms.
    member _.Support = support
    /// Place by place the masses of its atoms. Not to be changed.
    member internal _.Numbers: float[] = masses

    /// For each atom of the support its mass at a place.
    member this.Masses(place: int) : ReadOnlySpan<float> =
        this.RequirePlace place
        ReadOnlySpan(masses, place * support.Count, support.Count)

    // What an extrapolation leaves below zero is not counted, and the rest sums to one.
    override this.Law(place: int) =
        this.RequirePlace place
        let own = Array.init support.Count (fun i -> Math.Max(0.0, masses[place * support.Count + i]))
        let total = Array.sum own
        Distribution.ofAtoms support.Atoms (own |> Array.map (fun mass -> mass / total))

    override this.Mean(place: int) =
        this.RequirePlace place
        let mutable sum = 0.0

        for i in 0 .. support.Count - 1 do
            sum <- sum + masses[place * support.Count + i] * float i

        support.Least + support.Gap * sum

/// Projects laws on a support, and makes tables of them.
[<RequireQualifiedAccess>]
module Categorical =

    // Positions are measured in gaps from the least atom; what lies outside by rounding alone is not outside.
    let internal outside = 1e-9

    /// Splits the mass of each outcome y between the two atoms beside it: p(i) = E max(0, 1 - |min(max(Y, least), largest) - z(i)| / gap).
    /// Mass is kept; the mean is kept if no outcome lies outside. For a law within the support W_1 to it is at most gap / 2 and l_2 at most
    /// sqrt(gap) / 2 (both are reached by a point half way between atoms), because the distribution function on the support is the mean of
    /// the law's over each gap: so the projection does not expand any l_p, and is the nearest law in l_2. Bellemare, Dabney and Munos 2017,
    /// "A distributional perspective on reinforcement learning"; Rowland et al. 2018, "An analysis of categorical distributional
    /// reinforcement learning".
    let project (support: Support) (law: Distribution) : CategoricalProjection =
        let masses = Array.zeroCreate support.Count
        let last = float (support.Count - 1)
        let mutable below, above, shift = 0.0, 0.0, 0.0

        for k in 0 .. law.Count - 1 do
            let y, mass = law.Atoms[k], law.Masses[k]
            let position = (y - support.Least) / support.Gap

            if position < -outside then
                below <- below + mass
                shift <- shift + mass * (support.Least - y)
            elif position > last + outside then
                above <- above + mass
                shift <- shift + mass * (support.Largest - y)

            let inside = Math.Min(Math.Max(position, 0.0), last)
            let lower = Math.Min(int inside, support.Count - 2)
            let upper = mass * (inside - float lower)
            masses[lower] <- masses[lower] + (mass - upper)
            masses[lower + 1] <- masses[lower + 1] + upper

        { Masses = masses; Below = below; Above = above; MeanShift = shift }

    /// Two-hot: the projection of a number, at most two atoms whose mean is the number (the nearest end of the support, if it lies
    /// outside).
    let twoHot (support: Support) (x: float) : float[] = (project support (Distribution.point x)).Masses

    /// The table with a law at each place, projected on the support.
    let ofLaws (support: Support) (laws: Distribution[]) : CategoricalTable =
        CategoricalTable(support, laws.Length, laws |> Array.collect (fun law -> (project support law).Masses))

    /// The table with the same laws, projected on the support.
    let ofTable (support: Support) (table: ReturnTable) : CategoricalTable = ofLaws support (Array.init table.Places table.Law)

    /// The table with the masses, place by place, each place with one mass for every atom: not negative, and summing to one within 1e-9;
    /// they are divided by their sum.
    let ofMasses (support: Support) (masses: float[]) : CategoricalTable =
        if masses.Length % support.Count <> 0 then
            invalidArg (nameof masses) $"there must be {support.Count} masses for each place but there are {masses.Length}"

        let places = masses.Length / support.Count
        let normalised = Array.copy masses

        for place in 0 .. places - 1 do
            let own = Span(normalised, place * support.Count, support.Count)
            let mutable total = 0.0

            for i in 0 .. own.Length - 1 do
                if not (own[i] >= 0.0 && Double.IsFinite own[i]) then
                    invalidArg (nameof masses) $"mass {i} of place {place} must be finite and not negative but is {own[i]}"

                total <- total + own[i]

            if not (abs (total - 1.0) <= 1e-9) then
                invalidArg (nameof masses) $"masses of place {place} must sum to 1 within 1e-9 but sum to {total}"

            for i in 0 .. own.Length - 1 do
                own[i] <- own[i] / total

        CategoricalTable(support, places, normalised)

    // max over places of a sum over gaps of f(F - G).
    let private alongGaps (fold: float -> float -> float) (finish: float -> float -> float) (x: CategoricalTable) (y: CategoricalTable) =
        Shape.requireLength "y" x.Places y.Places

        if not (x.Support.Equals y.Support) then
            invalidArg "y" $"the support must be {x.Support} but is {y.Support}"

        let count = x.Support.Count
        let mutable largest = 0.0

        for place in 0 .. x.Places - 1 do
            let mutable difference, sum = 0.0, 0.0

            for i in place * count .. place * count + count - 2 do
                difference <- difference + (x.Numbers[i] - y.Numbers[i])
                sum <- fold sum difference

            largest <- Math.Max(largest, finish x.Support.Gap sum)

        largest

    /// The largest W_1 over places: gap times the sum over gaps of |F - G|.
    let wasserstein: Metric<CategoricalTable> =
        {
            Key = MetricKey.Statewise "W_1"
            Convex = true
            Separates = true
            Distance = alongGaps (fun sum d -> sum + abs d) (fun gap sum -> gap * sum)
        }

    /// The largest l_2 over places: the root of gap times the sum over gaps of (F - G)^2.
    let cramer: Metric<CategoricalTable> =
        {
            Key = MetricKey.Statewise "Cramer"
            Convex = true
            Separates = true
            Distance = alongGaps (fun sum d -> sum + d * d) (fun gap sum -> sqrt (gap * sum))
        }

    /// Tables on one support: combinations are mixtures of masses (for weights that are not negative and sum to one), the inner product is
    /// that of masses.
    let space: Space<CategoricalTable> =
        let alike (x: CategoricalTable) (y: CategoricalTable) =
            if not (x.Support.Equals y.Support) then
                invalidArg "y" $"the support must be {x.Support} but is {y.Support}"

        { Space.ofNumbers (fun (x: CategoricalTable) -> x.Numbers) (fun x numbers -> CategoricalTable(x.Support, x.Places, numbers)) alike with
            Order = ValueNone
        }

namespace ValueFlow.Core.Foundations

open System

/// Distances between laws on the line, exact: both laws are walked from atom to atom.
[<RequireQualifiedAccess>]
module Line =

    // The quantile functions, level by level: visit (mass of the step) (F^-1) (G^-1).
    let private alongLevels (visit: float -> float -> float -> unit) (first: Distribution) (second: Distribution) =
        let a, b = first.Places, second.Places
        let below, above = first.Cumulative, second.Cumulative
        let mutable i = 0
        let mutable j = 0
        let mutable level = 0.0

        while i < a.Length && j < b.Length do
            let next = Math.Min(below[i], above[j])

            if next > level then
                visit (next - level) a[i] b[j]
                level <- next

            // Both end at level one.
            if below[i] <= next then
                i <- i + 1

            if above[j] <= next then
                j <- j + 1

    // The distribution functions, gap by gap: visit (length of the gap) (F - G).
    let private alongLine (visit: float -> float -> unit) (first: Distribution) (second: Distribution) =
        let a, b = first.Places, second.Places
        let mutable i = 0
        let mutable j = 0
        let mutable x = Math.Min(a[0], b[0])

        while i < a.Length || j < b.Length do
            while i < a.Length && a[i] = x do
                i <- i + 1

            while j < b.Length && b[j] = x do
                j <- j + 1

            if i < a.Length || j < b.Length then
                let next =
                    if i >= a.Length then b[j]
                    elif j >= b.Length then a[i]
                    else Math.Min(a[i], b[j])

                let f = if i = 0 then 0.0 else first.Cumulative[i - 1]
                let g = if j = 0 then 0.0 else second.Cumulative[j - 1]
                visit (next - x) (f - g)
                x <- next

    let private requireOrder (p: float) =
        if not (p >= 1.0) then
            invalidArg (nameof p) $"the order must be at least 1 but is {p}"

    // integral over levels of |F^-1 - G^-1|^p.
    let private power (p: float) (first: Distribution) (second: Distribution) : float =
        let mutable sum = 0.0
        alongLevels (fun mass x y -> sum <- sum + mass * Math.Pow(abs (x - y), p)) first second
        sum

    /// W_p = (integral of |F^-1(q) - G^-1(q)|^p dq)^(1/p); for p = infinity sup over q of |F^-1(q) - G^-1(q)|, levels of mass up to 1e-12 left out. Villani 2003, "Topics in optimal transportation",
    /// 2.2. Throws an ArgumentException unless p is at least 1.
    let wasserstein (p: float) (first: Distribution) (second: Distribution) : float =
        requireOrder p

        if Double.IsPositiveInfinity p then
            let mutable largest = 0.0

            // Levels that equal but for rounding leave slivers between them.
            alongLevels
                (fun mass x y ->
                    if mass > 1e-12 then
                        largest <- Math.Max(largest, abs (x - y)))
                first
                second

            largest
        else
            Math.Pow(power p first second, 1.0 / p)

    /// l_p = (integral of |F(x) - G(x)|^p dx)^(1/p), p &gt;= 1: l_1 is W_1, l_2 the distance of Cramer. Bellemare et al. 2017, "The Cramer distance as a solution to
    /// biased Wasserstein gradients".
    let cramerOf (p: float) (first: Distribution) (second: Distribution) : float =
        requireOrder p
        let mutable sum = 0.0
        alongLine (fun length gap -> sum <- sum + length * Math.Pow(abs gap, p)) first second
        Math.Pow(sum, 1.0 / p)

    /// l_2 = sqrt(integral of (F(x) - G(x))^2 dx). Cramer 1928.
    let cramer (first: Distribution) (second: Distribution) : float =
        let mutable sum = 0.0
        alongLine (fun length gap -> sum <- sum + length * gap * gap) first second
        sqrt sum

    /// sup over x of |F(x) - G(x)|. Kolmogorov 1933.
    let kolmogorov (first: Distribution) (second: Distribution) : float =
        let mutable largest = 0.0
        alongLine (fun _ gap -> largest <- Math.Max(largest, abs gap)) first second
        Math.Min(1.0, largest)

    /// 2 E|X - Y| - E|X - X'| - E|Y - Y'| = 2 l_2^2. Szekely and Rizzo 2013, "Energy statistics: a class of statistics based on distances".
    let energy (first: Distribution) (second: Distribution) : float =
        let distance = cramer first second
        2.0 * distance * distance

    /// Half the sum over atoms of |P(x) - Q(x)|: total variation. No operator that moves atoms contracts in it.
    let totalVariation (first: Distribution) (second: Distribution) : float =
        let atoms = Array.append first.Places second.Places |> Array.distinct

        let mass (law: Distribution) x =
            let place = Array.BinarySearch(law.Places, x)
            if place >= 0 then law.Weights[place] else 0.0

        0.5 * (atoms |> Array.sumBy (fun x -> abs (mass first x - mass second x)))

    /// The p-th root of the mean of W_p^p over random directions, uniform on the sphere. At most W_p.
    /// Bonneel, Rabin, Peyre and Pfister 2015, "Sliced and Radon Wasserstein barycenters of measures".
    let sliced (generator: Generator) (directions: int) (p: float) (first: Sample) (second: Sample) : float =
        Sample.RequireSame(nameof second, first, second)

        if directions < 1 then
            invalidArg (nameof directions) $"there must be at least one direction but there are {directions}"

        if not (p >= 1.0 && Double.IsFinite p) then
            invalidArg (nameof p) $"the order must be finite and at least 1 but is {p}"

        let mutable sum = 0.0

        for _ in 1..directions do
            let raw = Array.init first.Dimension (fun _ -> Sampling.normal generator)
            let length = sqrt (Array.sumBy (fun x -> x * x) raw)

            let direction =
                if length > 0.0 then
                    raw |> Array.map (fun x -> x / length)
                else
                    Array.init raw.Length (fun k -> if k = 0 then 1.0 else 0.0)

            sum <- sum + power p (Distribution.along direction first) (Distribution.along direction second)

        Math.Pow(sum / float directions, 1.0 / p)

namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// The row form: sorted outcomes enter one by one, until the level of the dual lies below the next.
[<Struct; IsReadOnly>]
type internal ChiSquareRow(kernel: Kernel, radius: float, sign: float) =
    interface IRowSummary with
        member _.Scratch = 2 * kernel.LongestRow
        member _.Prepare _ = [||]
        member _.Done _ = ()

        member _.Value(values, _, row, scratch) =
            let model = kernel.Model
            let first = model.offsets[row]
            let count = model.offsets[row + 1] - first
            let outcomes = scratch.Slice(0, count)
            let masses = scratch.Slice(count, count)
            kernel.WriteOutcomes(values, row, sign, outcomes)
            model.probabilities.AsSpan(first, count).CopyTo masses
            MemoryExtensions.Sort(outcomes, masses)
            let least = outcomes[0]
            let mutable mass = 0.0
            let mutable mean = 0.0
            let mutable square = 0.0
            let mutable entered = 0
            let mutable level = Double.PositiveInfinity

            while entered < count && not (entered > 0 && level <= outcomes[entered] - least) do
                let outcome = outcomes[entered] - least
                let gap = outcome - mean
                mass <- mass + masses[entered]
                mean <- mean + gap * masses[entered] / mass
                square <- square + masses[entered] * gap * (outcome - mean)
                let excess = (1.0 + radius) * mass - 1.0

                level <-
                    if excess > 0.0 then
                        mean + Math.Sqrt(Math.Max(0.0, square) / (mass * excess))
                    else
                        Double.PositiveInfinity

                entered <- entered + 1

            let mutable sum = 0.0

            if entered = count then
                // No outcome loses all its mass: the mean less sqrt(E) deviations.
                mean <- 0.0

                for k in 0 .. count - 1 do
                    mean <- mean + masses[k] * (outcomes[k] - least)

                for k in 0 .. count - 1 do
                    let gap = outcomes[k] - least - mean
                    sum <- sum + masses[k] * gap * gap

                sign * (least + Math.Max(0.0, mean - Math.Sqrt(radius * sum)))
            else
                for k in 0 .. entered - 1 do
                    let gap = level - (outcomes[k] - least)
                    sum <- sum + masses[k] * gap * gap

                sign * (least + Math.Max(0.0, level - Math.Sqrt((1.0 + radius) * sum)))

/// rho(x) = min over laws q with sum (q - P)^2 / P &lt;= E of sum q x: the worst law within a chi-square distance E &gt;= 0, which has the successors of P. By duality
/// rho(x) = max over h of h - sqrt((1 + E) E (h - x)+^2), which sorted outcomes give exactly; as long as no outcome loses all its mass it is E x - sqrt(E Var x), the mean less
/// so many deviations. E = 0 is the expectation. The favourable twin is the best law.
/// Iyengar 2005, "Robust dynamic programming"; Duchi and Namkoong 2021, "Learning models with uniform performance via distributionally robust optimization".
[<Sealed>]
type ChiSquare(radius: float, attitude: Attitude) =
    inherit
        StateSummary(
            (if attitude = Attitude.Adverse then $"chi2({radius})" else $"chi2-favourable({radius})"),
            SummaryClaim.all "Iyengar 2005; Duchi and Namkoong 2021"
        )

    do
        if not (radius >= 0.0 && Double.IsFinite radius) then
            invalidArg (nameof radius) $"radius must be finite and not negative but is {radius}"

    /// The worst law.
    new(radius) = ChiSquare(radius, Attitude.Adverse)
    /// The radius E.
    member _.Radius = radius

    // The level is known up to the rounding of its sums, and the dual falls by at most sqrt(1 + E) beside its maximum.
    override _.Rounding(kernel, magnitude) = float (8 * kernel.LongestRow + 40) * Bound.unitRoundoff * magnitude * Math.Sqrt(1.0 + radius)

    override _.Misses model = Expectation().Misses model
    override _.Bind(kernel, user) = user.Use(ChiSquareRow(kernel, radius, attitude.Sign))

    override _.OnTensor(rows, values) =
        Lifetime.keep (fun () ->
            let outcomes = Elementwise.times attitude.Sign (rows.Outcomes values)
            let p = rows.Probabilities

            let struct (law, value) =
                use _noGrad = torch.no_grad ()
                let least = outcomes.amin ([| 1L |], keepdim = true)
                let shares = outcomes.sub least
                let total (x: torch.Tensor) = (p.mul x).sum(1L, keepdim = true)
                let mean = total shares
                let gaps = mean.sub shares
                let deviation = (total (gaps.mul gaps)).sqrt()
                // q = P (1 + sqrt(E) (E x - x) / deviation), if it is no negative number anywhere.
                let flat = Elementwise.isAtMost 0.0 deviation
                let tilt = Elementwise.times (sqrt radius) (gaps.div (Elementwise.fill flat 1.0 deviation)) |> Elementwise.plus 1.0
                let inside = (tilt.ge ((torch.zeros_like tilt))).all(1L, keepdim = true)
                let linear = Elementwise.addTimes -(sqrt radius) deviation mean |> Elementwise.atLeast 0.0
                let above (level: torch.Tensor) = (level.sub shares).relu()

                // The derivative 1 - sqrt(1 + E) E (h - x)+ / sqrt(E (h - x)+^2) is positive up to the level.
                let struct (level, _) =
                    Envelope.halve 80 (torch.zeros_like least) (shares.amax ([| 1L |], keepdim = true)) (fun level ->
                        let gap = above level
                        (Elementwise.times (sqrt (1.0 + radius)) (total gap)).lt((total (gap.mul gap)).sqrt()))

                let gap = above level
                let mass = total gap
                let kept = Elementwise.isAtMost 0.0 mass
                let atWorst = (Elementwise.isAtMost 0.0 shares).``to`` torch.float64
                let worst = (p.mul atWorst).div(total atWorst)
                let dual = Elementwise.addTimes -(sqrt (1.0 + radius)) ((total (gap.mul gap)).sqrt()) level |> Elementwise.atLeast 0.0
                let bent = torch.where (kept, worst, (p.mul gap).div(Elementwise.fill kept 1.0 mass))
                let value = Elementwise.sum least (torch.where (inside, linear, dual))
                struct (torch.where (inside, p.mul tilt, bent), value)

            Elementwise.times attitude.Sign (Envelope.attach law outcomes (value.squeeze 1L)))

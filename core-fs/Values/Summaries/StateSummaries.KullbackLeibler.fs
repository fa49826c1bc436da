namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// The row form: the dual's one parameter is found by a bracketed search, in units of the spread of the outcomes.
[<Struct; IsReadOnly>]
type internal KullbackLeiblerRow(kernel: Kernel, radius: float, sign: float) =
    interface IRowSummary with
        member _.Scratch = kernel.LongestRow
        member _.Prepare _ = [||]
        member _.Done _ = ()

        member _.Value(values, _, row, scratch) =
            let model = kernel.Model
            let first = model.offsets[row]
            let shares = scratch.Slice(0, model.offsets[row + 1] - first)
            kernel.WriteOutcomes(values, row, sign, shares)
            let mutable least = Double.PositiveInfinity
            let mutable largest = Double.NegativeInfinity

            for outcome in shares do
                least <- Math.Min(least, outcome)
                largest <- Math.Max(largest, outcome)

            let spread = largest - least
            let mutable mean = 0.0
            let mutable worstMass = 0.0

            if spread > 0.0 then
                for k in 0 .. shares.Length - 1 do
                    shares[k] <- (shares[k] - least) / spread
                    mean <- mean + model.probabilities[first + k] * shares[k]
                    worstMass <- worstMass + (if shares[k] = 0.0 then model.probabilities[first + k] else 0.0)

            if spread = 0.0 || worstMass >= Math.Exp -radius then
                // The law of the worst outcomes lies in the ball.
                sign * least
            elif radius = 0.0 then
                sign * (least + spread * mean)
            else
                // The divergence of the law that is tilted by t is at most t^2 / 8, and grows with t: the root lies right of sqrt(8 E).
                let gentlest = 0.5 * Math.Log(8.0 * radius)
                let mutable search = RootSearch(gentlest, KullbackLeiblerRow.Steepest, gentlest, KullbackLeiblerRow.Tolerance)

                while search.Open do
                    let tilt = Math.Exp search.Point
                    let mutable mass = 0.0
                    let mutable moment = 0.0
                    let mutable square = 0.0

                    for k in 0 .. shares.Length - 1 do
                        let weight = model.probabilities[first + k] * Math.Exp(-tilt * shares[k])
                        mass <- mass + weight
                        moment <- moment + weight * shares[k]
                        square <- square + weight * shares[k] * shares[k]

                    let mean = moment / mass
                    let divergence = -tilt * mean - Math.Log mass
                    let growth = tilt * tilt * (square / mass - mean * mean)

                    if divergence > 0.0 then
                        search.Observe(Math.Log(radius / divergence), -growth / divergence)
                    else
                        search.Observe(Double.PositiveInfinity, -1.0)

                // The dual is flat at its maximum: what is left of the search enters squared.
                let tilt = Math.Exp search.Point
                let mutable mass = 0.0

                for k in 0 .. shares.Length - 1 do
                    mass <- mass + model.probabilities[first + k] * Math.Exp(-tilt * shares[k])

                let dual = -(Math.Log mass + radius) / tilt
                // Between the mean and what Pinsker's inequality leaves of it, rounding or not.
                sign * (least + spread * Math.Clamp(dual, Math.Max(0.0, mean - Math.Sqrt(0.5 * radius)), Math.Max(0.0, mean)))

    /// log t at which nothing but the worst outcomes is left.
    static member Steepest = 49.0
    /// How well log t is known.
    static member Tolerance = Math.ScaleB(1.0, -30)

/// What the ball of Kullback and Leibler and the entropic value at risk have in common.
[<RequireQualifiedAccess>]
module internal KullbackLeiblerBall =

    let rounding (radius: float) (kernel: Kernel) (magnitude: float) =
        // Sums of n terms, times the dual's parameter, which is at most spread / sqrt(8 E); and never more than Pinsker's inequality allows.
        let sums = float (kernel.LongestRow + 8)
        let search = Math.Min(4.0 * sums * Bound.unitRoundoff / Math.Sqrt radius, 2.0 * Math.Sqrt(2.0 * radius))
        (8.0 * sums * Bound.unitRoundoff + (if radius > 0.0 then search else 0.0)) * magnitude

    let onTensor (radius: float) (sign: float) (rows: TensorRows) (values: torch.Tensor) : torch.Tensor =
        let outcomes = Elementwise.times sign (rows.Outcomes values)
        let p = rows.Probabilities

        let struct (law, value) =
            use _noGrad = torch.no_grad ()
            let least = outcomes.amin ([| 1L |], keepdim = true)
            let spread = (outcomes.amax ([| 1L |], keepdim = true)).sub least
            let flat = Elementwise.isAtMost 0.0 spread
            let shares = (outcomes.sub least).div(Elementwise.fill flat 1.0 spread)
            let mean = (p.mul shares).sum(1L, keepdim = true)

            if radius = 0.0 then
                struct (p, Elementwise.sum least (spread.mul mean))
            else
                let atWorst = p.mul ((Elementwise.isAtMost 0.0 shares).``to`` torch.float64)
                let worstMass = atWorst.sum (1L, keepdim = true)

                let tilted (logTilt: torch.Tensor) =
                    let tilt = logTilt.exp ()
                    let weights = p.mul (((tilt.mul shares).neg()).exp())
                    struct (tilt, weights, weights.sum (1L, keepdim = true))

                let ends (x: float) = Elementwise.plus x (torch.zeros_like least)

                let below, above = ends (0.5 * log (8.0 * radius)), ends KullbackLeiblerRow.Steepest

                let struct (lower, upper) =
                    Envelope.halve 40 below above (fun logTilt ->
                        let struct (tilt, weights, mass) = tilted logTilt
                        let mean = ((weights.mul shares).sum(1L, keepdim = true)).div mass
                        let divergence = (tilt.mul mean).neg().sub(mass.log ())
                        Elementwise.isAtMost radius divergence)

                let struct (tilt, weights, mass) = tilted (Elementwise.times 0.5 (Elementwise.sum lower upper))
                let dual = (Elementwise.plus radius (mass.log ())).neg().div tilt
                let floor = mean |> Elementwise.plus -(sqrt (0.5 * radius)) |> Elementwise.atLeast 0.0
                let dual = torch.minimum (torch.maximum (dual, floor), mean)
                let concentrated = Elementwise.isAtMost 0.0 (Elementwise.plus (exp -radius) (worstMass.neg ()))
                let value = torch.where (concentrated, least, Elementwise.sum least (spread.mul dual))
                struct (torch.where (concentrated, atWorst.div worstMass, weights.div mass), value)

        Elementwise.times sign (Envelope.attach law outcomes (value.squeeze 1L))

/// rho(x) = min over laws q with sum q log(q / P) &lt;= E of sum q x: the worst law within a divergence E &gt;= 0 of Kullback and Leibler, which has the successors of P. By duality
/// rho(x) = max over l &gt;= 0 of -l log sum P exp(-x / l) - l E, a concave function of one parameter, whose maximum is bracketed; at l = 0 it is the worst outcome, in
/// the ball as soon as E &gt;= -log P(worst). E = 0 is the expectation. The favourable twin is the best law.
/// Nilim and El Ghaoui 2005, "Robust control of Markov decision processes with uncertain transition matrices"; Hu and Hong 2013, "Kullback-Leibler divergence
/// constrained distributionally robust optimization".
[<Sealed>]
type KullbackLeibler(radius: float, attitude: Attitude) =
    inherit
        StateSummary(
            (if attitude = Attitude.Adverse then $"kl({radius})" else $"kl-favourable({radius})"),
            SummaryClaim.all "Nilim and El Ghaoui 2005; Hu and Hong 2013"
        )

    do
        if not (radius >= 0.0 && Double.IsFinite radius) then
            invalidArg (nameof radius) $"radius must be finite and not negative but is {radius}"

    /// The worst law.
    new(radius) = KullbackLeibler(radius, Attitude.Adverse)
    /// The radius E, in nats.
    member _.Radius = radius

    override _.Rounding(kernel, magnitude) = KullbackLeiblerBall.rounding radius kernel magnitude
    override _.Misses model = Expectation().Misses model
    override _.Bind(kernel, user) = user.Use(KullbackLeiblerRow(kernel, radius, attitude.Sign))
    override _.OnTensor(rows, values) = Lifetime.keep (fun () -> KullbackLeiblerBall.onTensor radius attitude.Sign rows values)

/// rho(x) = max over l &gt; 0 of -l log E exp(-x / l) + l log A: the entropic value at risk of a share A in (0, 1], for rewards. Its dual is the ball of Kullback and Leibler
/// of radius -log A, so that it is at most the mean of the worst share A, and at least the worst outcome, which it is where that has a probability of A or more (there
/// the maximum is the limit l to 0). A = 1 is the expectation. The favourable twin sees large outcomes so.
/// Ahmadi-Javid 2012, "Entropic value-at-risk: a new coherent risk measure".
[<Sealed>]
type Evar(share: float, attitude: Attitude) =
    inherit
        StateSummary(
            (if attitude = Attitude.Adverse then $"evar({share})" else $"evar-favourable({share})"),
            SummaryClaim.all "Ahmadi-Javid 2012"
        )

    do
        if not (share > 0.0 && share <= 1.0) then
            invalidArg (nameof share) $"share must lie in (0, 1] but is {share}"

    let radius = if share = 1.0 then 0.0 else -(Math.Log share)

    /// The entropic value at risk of rewards.
    new(share) = Evar(share, Attitude.Adverse)
    /// The share A.
    member _.Share = share

    override _.Rounding(kernel, magnitude) = KullbackLeiblerBall.rounding radius kernel magnitude
    override _.Misses model = Expectation().Misses model
    override _.Bind(kernel, user) = user.Use(KullbackLeiblerRow(kernel, radius, attitude.Sign))
    override _.OnTensor(rows, values) = Lifetime.keep (fun () -> KullbackLeiblerBall.onTensor radius attitude.Sign rows values)

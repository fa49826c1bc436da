namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// The threshold below which the policy of a Tsallis summary takes no action, found by a bracketed search.
[<RequireQualifiedAccess>]
module internal TsallisThreshold =

    /// The least index: nearer to 1 the powers lose their digits, and 1 itself is the log-sum-exp.
    [<Literal>]
    let LeastIndex = 1.0001

    /// The largest index.
    [<Literal>]
    let LargestIndex = 1000.0

    /// What is wrong with prior probabilities: one so small that its power leaves the floating point numbers.
    let missing (index: float) (prior: float[]) : string voption =
        let mutable least = 1.0

        for weight in prior do
            if weight > 0.0 then
                least <- Math.Min(least, weight)

        if Math.Pow(least, 1.0 - index) <= 1e300 then
            ValueNone
        else
            ValueSome $"probabilities w whose power w^(1 - {index}) is finite, but one is {least}"

    /// Refuses such a prior (ArgumentException).
    let requirePrior (name: string) (index: float) (prior: float[]) : unit =
        match missing index prior with
        | ValueSome words -> invalidArg name $"the prior must have {words}"
        | ValueNone -> ()

    /// Writes slope (sign q - best) over the values, for the slope (index - 1) / (temperature index), and finds the level at which
    /// sum m (slope (sign q - best) + level)+^(1/(index - 1)) is one, for prior weights m from a place on, all one if there are none. Returns the best value and the level.
    let find (index: float) (temperature: float) (sign: float) (prior: float[]) (firstRow: int) (q: Span<float>) : struct (float * float) =
        let mutable best = Double.NegativeInfinity
        let mutable bestWeight = 1.0

        for place in 0 .. q.Length - 1 do
            let weight = if prior.Length = 0 then 1.0 else prior[firstRow + place]

            if weight > 0.0 && sign * q[place] > best then
                best <- sign * q[place]
                bestWeight <- weight

        let slope = (index - 1.0) / (temperature * index)
        let power = 1.0 / (index - 1.0)

        // From here on q holds slope (q - best), at most zero.
        for place in 0 .. q.Length - 1 do
            let gap = sign * q[place] - best
            q[place] <- if gap = 0.0 then 0.0 else slope * gap

        // The threshold lies slope * (best - psi) below the best: there the probabilities sum to one.
        let struct (low, high) =
            if prior.Length = 0 then
                struct (Math.Pow(float q.Length, 1.0 - index), 1.0)
            else
                struct (1.0, Math.Pow(bestWeight, 1.0 - index))

        // From the side on which the sum of the powers bends towards the root.
        let low, high = low * (1.0 - 1e-12), high * (1.0 + 1e-12)
        let mutable search = RootSearch(low, high, (if index <= 2.0 then high else low), 1e-13 * high)

        while search.Open do
            let mutable mass = 0.0
            let mutable growth = 0.0

            for place in 0 .. q.Length - 1 do
                let weight = if prior.Length = 0 then 1.0 else prior[firstRow + place]
                let over = q[place] + search.Point

                if weight > 0.0 && over > 0.0 then
                    let density = weight * Math.Pow(over, power)
                    mass <- mass + density
                    growth <- growth + power * density / over

            search.Observe(1.0 - mass, -growth)

        struct (best, search.Point)

/// The row form: what the policy above the threshold gains.
[<Struct; IsReadOnly>]
type internal TsallisRow(index: float, temperature: float, sign: float, prior: float[]) =
    interface IActionRowSummary with
        member _.Value(q, firstRow) =
            let struct (best, level) = TsallisThreshold.find index temperature sign prior firstRow q
            let power = 1.0 / (index - 1.0)

            // The dual is flat at its minimum: what is left of the search enters squared.
            let mutable sum = 0.0

            for place in 0 .. q.Length - 1 do
                let weight = if prior.Length = 0 then 1.0 else prior[firstRow + place]
                let over = q[place] + level

                if weight > 0.0 && over > 0.0 then
                    sum <- sum + weight * Math.Pow(over, power * index)

            sign * (best + temperature * (sum + (1.0 - index * level) * power))

/// max over laws p of the actions of sum p q - t D(p), with the Tsallis divergence D(p) = (sum m^(1-k) p^k - 1) / (k - 1) of index k &gt; 1 from a prior m; without a prior m = 1, so that
/// -D is the Tsallis entropy. For costs the least of sum p q + t D(p). Its policy p = m [(k - 1) (q - h) / (t k)]+^(1/(k-1)), with h such that it sums to one, leaves out actions
/// below h; k = 2 without a prior is sparsemax, k to 1 the log-sum-exp. By duality it is min over h of h + t sum m y^k + t / (k - 1) with y = p / m at h, whose minimum is bracketed.
/// Martins and Astudillo 2016, "From softmax to sparsemax"; Lee, Choi and Oh 2018, "Sparse Markov decision processes with causal sparse Tsallis entropy
/// regularization"; Zhu, Chen, Wang and White 2023, "Generalized Munchausen reinforcement learning using Tsallis KL divergence".
[<Sealed>]
type Tsallis(index: float, temperature: float, prior: Policy voption, direction: Direction) =
    inherit
        ActionSummary(
            "tsallis"
            + (if prior.IsSome then "-prior" else "")
            + (if direction = Direction.Maximise then "" else "-min")
            + $"({index}, {temperature})",
            SummaryClaim.all "Lee, Choi and Oh 2018; Zhu, Chen, Wang and White 2023"
        )

    do
        if not (index >= TsallisThreshold.LeastIndex && index <= TsallisThreshold.LargestIndex) then
            invalidArg (nameof index) $"index must lie in [1.0001, 1000] but is {index}; at 1 it is the log-sum-exp"

        if not (temperature >= 1e-290 && temperature <= 1e290) then
            invalidArg (nameof temperature) $"temperature must be positive and finite (in [1e-290, 1e290]) but is {temperature}"

    let weights = prior |> ValueOption.map _.Rows |> ValueOption.defaultValue [||]
    let sign = if direction = Direction.Maximise then 1.0 else -1.0

    /// max over p of sum p q + t (1 - sum p^2): sparsemax, whose policy is the projection of q / (2 t) on the simplex.
    static member Sparsemax(temperature: float, direction: Direction) : Tsallis = Tsallis(2.0, temperature, ValueNone, direction)

    /// The index k.
    member _.Index = index
    /// The temperature t.
    member _.Temperature = temperature
    override _.Direction = ValueSome direction

    override _.Misses model =
        if prior.IsSome && weights.Length <> model.RowCount then
            ValueSome $"{weights.Length} rows like the prior, but it has {model.RowCount}"
        else
            TsallisThreshold.missing index weights |> ValueOption.map (fun words -> $"a prior that has {words}")

    // The threshold lies at most 2 M + t k / (k - 1) below the best; a sum of A powers, each off by a few units times its exponent; t times the sum is at most t + 2 M (k - 1).
    override _.Rounding(actions, magnitude) =
        let reach = 2.0 * magnitude * index + temperature * index / (index - 1.0)
        float (4 * actions + 64) * Bound.unitRoundoff * reach

    override _.Bind(_, user) = user.Use(TsallisRow(index, temperature, sign, weights))

    override _.OnTensor(rows, q) =
        Lifetime.keep (fun () ->
            let slope, power = (index - 1.0) / (temperature * index), 1.0 / (index - 1.0)

            let weights =
                match prior with
                | ValueSome policy -> rows.ByState(torch.tensor (policy.Rows, dtype = torch.float64))
                | ValueNone -> rows.ActionMask.``to`` torch.float64

            let struct (law, value) =
                use _noGrad = torch.no_grad ()
                let none = Elementwise.isAtMost 0.0 weights
                let signed = Elementwise.times sign q |> Elementwise.fill none Double.NegativeInfinity
                // A terminal state has a place without prior probability, whose value does not matter.
                let best = signed.amax ([| 1L |], keepdim = true)
                let best = Elementwise.fill (best.isneginf ()) 0.0 best
                let gaps = Elementwise.times slope (signed.sub best)
                let over (level: torch.Tensor) = (Elementwise.sum gaps level).relu()
                let raised (exponent: float) (x: torch.Tensor) = x.pow (torch.tensor (exponent, dtype = torch.float64))
                let ones = torch.ones_like best

                let low, high =
                    if prior.IsSome then
                        let atBest = (weights.mul ((gaps.eq (torch.zeros_like gaps)).``to`` torch.float64)).amax([| 1L |], keepdim = true)
                        ones, raised (1.0 - index) (Elementwise.fill (Elementwise.isAtMost 0.0 atBest) 1.0 atBest)
                    else
                        raised (1.0 - index) (weights.sum (1L, keepdim = true)), ones

                let struct (lower, upper) =
                    Envelope.halve 60 low high (fun level ->
                        let mass = (weights.mul (raised power (over level))).sum(1L, keepdim = true)
                        mass.lt ones)

                let level = Elementwise.times 0.5 (Elementwise.sum lower upper)
                let density = weights.mul (raised power (over level))
                let sum = (weights.mul (raised (power * index) (over level))).sum(1L, keepdim = true)
                let bonus = Elementwise.sum sum (Elementwise.plus power (Elementwise.times (-index * power) level))
                let law = density.div (Elementwise.atLeast 1e-300 (density.sum (1L, keepdim = true)))
                struct (law, Elementwise.times sign (Elementwise.addTimes temperature bonus best))

            Envelope.attach law q (value.squeeze 1L))

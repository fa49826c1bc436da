namespace ValueFlow.Core.Values

open System
open System.Runtime.CompilerServices
open TorchSharp
open ValueFlow.Core.Foundations

/// The row form of the log-sum-exp with a prior; without a prior it is uniform over the actions of the state.
[<Struct; IsReadOnly>]
type internal LogSumExpRow(temperature: float, prior: float[]) =
    interface IActionRowSummary with
        member _.Value(q, firstRow) =
            // The best value; differences from it are divided by the temperature, so that none overflows.
            let sign = Math.Sign temperature |> float
            let mutable best = Double.NegativeInfinity

            // Actions without prior probability take no part.
            for place in 0 .. q.Length - 1 do
                if prior.Length = 0 || prior[firstRow + place] > 0.0 then
                    best <- Math.Max(best, sign * q[place])

            let best = sign * best

            let mutable sum = 0.0

            for place in 0 .. q.Length - 1 do
                let weight = if prior.Length = 0 then 1.0 / float q.Length else prior[firstRow + place]

                if weight > 0.0 then
                    sum <- sum + weight * Math.Exp((q[place] - best) / temperature)

            best + temperature * Math.Log sum

/// t log sum over a of pi0(a | s) exp(q(a) / t): the best value less t times the divergence from the prior pi0, for t &gt; 0; the smallest, softened,
/// for t &lt; 0. With a uniform prior it is the mellowmax of 1/t (Asadi and Littman 2017, "An alternative softmax operator for reinforcement learning").
/// Todorov 2006, "Linearly-solvable Markov decision problems"; Fox, Pakman and Tishby 2016, "Taming the noise in reinforcement learning via soft updates".
[<Sealed>]
type LogSumExp private (name: string, temperature: float, prior: Policy voption) =
    inherit ActionSummary(name, SummaryClaim.all "Todorov 2006; Fox, Pakman and Tishby 2016; Asadi and Littman 2017")

    do
        if temperature = 0.0 || not (Double.IsFinite temperature) then
            invalidArg (nameof temperature) $"temperature must be finite and not zero but is {temperature}"

    let rows = prior |> ValueOption.map _.Rows |> ValueOption.defaultValue [||]

    /// The log-sum-exp at a temperature under a prior policy.
    new(temperature: float, prior: Policy) = LogSumExp($"logsumexp({temperature})", temperature, ValueSome prior)

    /// The mellowmax (1/w) log mean over a of exp(w q(a)); a soft minimum for w &lt; 0.
    static member Mellowmax(sharpness: float) : LogSumExp = LogSumExp($"mellowmax({sharpness})", 1.0 / sharpness, ValueNone)

    /// The temperature t.
    member _.Temperature = temperature
    override _.Direction = ValueSome(if temperature > 0.0 then Direction.Maximise else Direction.Minimise)

    override _.Misses model =
        if prior.IsNone || rows.Length = model.RowCount then
            ValueNone
        else
            ValueSome $"{rows.Length} rows like the prior, but it has {model.RowCount}"

    override _.Rounding(actions, magnitude) = Bound.unitRoundoff * (32.0 * magnitude + 2.0 * float (actions + 8) * abs temperature)

    override _.Bind(_, user) = user.Use(LogSumExpRow(temperature, rows))

    override _.OnTensor(tensors, q) =
        Lifetime.keep (fun () ->
            let weights =
                match prior with
                | ValueSome policy -> tensors.ByState(torch.tensor (policy.Rows, dtype = torch.float64))
                | ValueNone ->
                    let mask = tensors.ActionMask.``to`` torch.float64
                    mask.div (Elementwise.atLeast 1.0 (mask.sum (1L, keepdim = true)))

            let none = Elementwise.isAtMost 0.0 weights
            let sign = float (sign temperature)
            let signed = Elementwise.times sign q |> Elementwise.fill none Double.NegativeInfinity
            let best = signed.amax ([| 1L |], keepdim = true)
            let sum = (weights.mul ((Elementwise.over (abs temperature) (signed.sub best)).exp())).sum 1L
            Elementwise.sum (Elementwise.times sign (best.squeeze 1L)) (Elementwise.times temperature (sum.log ())))

/// The row form of the Boltzmann mean.
[<Struct; IsReadOnly>]
type internal BoltzmannRow(sharpness: float) =
    interface IActionRowSummary with
        member _.Value(q, _) =
            let mutable best = Double.NegativeInfinity

            for value in q do
                best <- Math.Max(best, sharpness * value)

            let mutable mass = 0.0
            let mutable sum = 0.0

            for value in q do
                let weight = Math.Exp(sharpness * value - best)
                mass <- mass + weight
                sum <- sum + weight * value

            sum / mass

/// sum over a of q(a) exp(b q(a)) / sum over a of exp(b q(a)): the mean under a softmax policy. It translates, but it is neither monotone nor a
/// non-expansion, so that nothing is certified with it; the counterexample of Asadi and Littman 2017 is pinned in the tests.
[<Sealed>]
type Boltzmann(sharpness: float) =
    inherit
        ActionSummary($"boltzmann({sharpness})", { SummaryClaim.none "Asadi and Littman 2017: no non-expansion" with Translates = true })

    do
        if not (Double.IsFinite sharpness) then
            invalidArg (nameof sharpness) $"sharpness must be finite but is {sharpness}"

    override _.Direction = ValueSome(if sharpness >= 0.0 then Direction.Maximise else Direction.Minimise)
    override _.Rounding(_, _) = Double.PositiveInfinity
    override _.Bind(_, user) = user.Use(BoltzmannRow sharpness)

    override _.OnTensor(rows, q) =
        Lifetime.keep (fun () ->
            let other = rows.ActionMask.logical_not ()
            let scaled = Elementwise.times sharpness q |> Elementwise.fill other Double.NegativeInfinity
            ((scaled.softmax 1L).mul q).sum 1L)

namespace ValueFlow.Studies

open System
open System.Threading
open Microsoft.Data.Analysis
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Returns

/// How a certainty equivalent is learned from samples: three gradient rules, from the same samples and with the same steps.
[<Sealed>]
type EntropicStudy() =
    inherit
        Study(
            "entropic",
            "B",
            "Learning a certainty equivalent",
            "Three losses for -(1/a) log E exp(-a y) from normal samples far below, at and far above zero; a portfolio learned by gradients; where every loss fails."
        )

    // The gradient of (exp(-a V) - exp(-a y))^2 / (2 a^2).
    static let squares (a: float) (rate: float) (v: float) (y: float) =
        let image = exp (-a * v)
        v + rate / a * image * (image - exp (-a * y))

    // The gradient of s (V - y)^2, s = 1 / (1 + exp(-a (V - y))).
    static let softplus (a: float) (rate: float) (v: float) (y: float) = v - rate * 2.0 * (v - y) / (1.0 + exp (-a * (v - y)))

    // V from the mean of 200 samples on, by steps 1 / (10 + n / 2): where it started, and where it ends.
    static let learn
        (generator: Generator)
        (steps: int)
        (draw: Generator -> float)
        (rule: float -> float -> float -> float)
        : struct (float * float) =
        let start = Array.average (Array.init 200 (fun _ -> draw generator))
        let mutable v = start

        for n in 0 .. steps - 1 do
            v <- rule (1.0 / (10.0 + 0.5 * float n)) v (draw generator)

        struct (start, v)

    static let normal mean deviation (generator: Generator) = mean + deviation * Sampling.normal generator

    // What diverged counts as a million.
    static let size (error: float) = if Double.IsFinite error then Math.Min(abs error, 1e6) else 1e6

    static let worst (errors: float[]) = errors |> Array.map size |> Array.max

    // T periods, gain u x with x normal: V_t by the step of the loss from u_t x + V_(t+1), u_t by the gradient of E exp(-a (u x - V_t + V_(t+1))).
    static let portfolio (generator: Generator) (periods: int) (a: float) (mean: float) (deviation: float) (steps: int) =
        let values, stakes = Array.zeroCreate<float>(periods + 1), Array.zeroCreate<float> periods

        for n in 0 .. steps - 1 do
            let rate = 1.0 / (100.0 + 0.05 * float n)

            for t in periods - 1 .. -1 .. 0 do
                let x = normal mean deviation generator
                let target = stakes[t] * x + values[t + 1]
                let weight = exp (min (a * (values[t] - target)) 10.0)
                stakes[t] <- stakes[t] + rate / (a * deviation * deviation) * x * weight
                values[t] <- ItakuraSaito.step 10.0 a rate values[t] target

        struct (values[0], stakes)

    override _.Run(seed, quick, progress, cancellation: CancellationToken) =
        let repeats = if quick then 8 else 40
        let steps, deviation = 60_000, 0.25
        let aversions, offsets = [| 0.5; 2.0; 5.0 |], [| -10.0; 0.0; 10.0 |]
        let generator = Generator seed

        let investor = generator.Split()

        // Every rule sees the same samples.
        let seeds = Array.init repeats (fun _ -> generator.Below Int32.MaxValue)

        let run a draw rule =
            cancellation.ThrowIfCancellationRequested()
            seeds |> Array.map (fun seed -> learn (Generator seed) steps draw (rule a))

        let itakuraSaito clip a rate v y = ItakuraSaito.step clip a rate v y

        let grid rule = offsets |> Array.map (fun offset -> aversions |> Array.map (fun a -> run a (normal offset deviation) rule))

        let errors (runs: struct (float * float)[][][]) =
            runs
            |> Array.mapi (fun o byAversion ->
                byAversion
                |> Array.mapi (fun k ends ->
                    let value = offsets[o] - aversions[k] * deviation * deviation / 2.0
                    ends |> Array.map (fun (struct (_, v)) -> v - value)))

        progress.Invoke "Itakura-Saito"
        let itakuraSaitoErrors = errors (grid (itakuraSaito 10.0))
        progress.Invoke "exponential squares"
        let squaresRuns = grid squares
        let squaresErrors = errors squaresRuns
        progress.Invoke "softplus"
        let softplusErrors = errors (grid softplus)

        progress.Invoke "failures"
        let heavy rule = run 5.0 (normal 0.0 0.5) rule |> Array.map (fun (struct (_, v)) -> v + 0.625)
        let heavyTen, heavyTwenty, heavySquares = heavy (itakuraSaito 10.0), heavy (itakuraSaito 20.0), heavy squares

        let clipped = run 4.0 (normal 0.0 0.5) (itakuraSaito 3.0) |> Array.averageBy (fun (struct (_, v)) -> v)

        let coin (generator: Generator) = if generator.Uniform() < 0.2 then 0.0 else 2.0
        let coinValue = (Entropy.certaintyEquivalent 2.0).Value(Distribution.ofAtoms [| 0.0; 2.0 |] [| 0.2; 0.8 |])
        let onCoin rule = run 2.0 coin rule |> Array.map (fun (struct (_, v)) -> v - coinValue)
        let coinItakuraSaito, coinSoftplus = onCoin (itakuraSaito 10.0), onCoin softplus

        progress.Invoke "portfolio"
        let periods, gain, risk = 5, 0.2, 0.4

        let portfolios =
            aversions
            |> Array.map (fun a ->
                cancellation.ThrowIfCancellationRequested()
                let struct (value, stakes) = portfolio (investor.Split()) periods a gain risk 400_000
                let bestStake, bestValue = gain / (a * risk * risk), float periods * gain * gain / (2.0 * a * risk * risk)
                struct (bestStake, stakes, bestValue, value))

        let largest (part: float[][]) = part |> Array.map worst |> Array.max
        let above = squaresErrors[2]

        let moved = squaresRuns[2] |> Array.collect (Array.map (fun (struct (start, v)) -> abs (v - start))) |> Array.max

        let below = squaresErrors[0] |> Array.concat |> Array.map size

        // The mean of the starts is within 3 standard errors of the offset.
        let stalls =
            Array.map2 (fun a cell -> abs (Array.average cell - a * deviation * deviation / 2.0)) aversions above
            |> Array.max

        let error = 3.0 * deviation / sqrt (200.0 * float repeats)

        let losses =
            let gaps = Array.init 161 (fun i -> -2.0 + float i / 40.0)

            let curve name (loss: float -> torch.Tensor -> torch.Tensor -> torch.Tensor) (offset: float) =
                let values =
                    Lifetime.within (fun () ->
                        let y = torch.tensor (Array.create gaps.Length offset, dtype = torch.float64)
                        let v = torch.tensor (gaps |> Array.map (fun gap -> gap + offset), dtype = torch.float64)
                        (loss 1.0 v y).data<float>().ToArray())

                Worlds.curve name gaps (values |> Array.map (fun loss -> if loss > 4.0 then nan else loss))

            LineFigure(
                "Losses of a value V at a target y (aversion 1)",
                "V - y",
                "loss",
                [|
                    curve "Itakura-Saito" ItakuraSaito.loss 0.0
                    curve "clipped at 0.5" (ItakuraSaito.clipped 0.5) 0.0
                    curve "exponential squares, y = 0" ItakuraSaito.exponentialSquares 0.0
                    curve "exponential squares, y = 1" ItakuraSaito.exponentialSquares 1.0
                    curve "exponential squares, y = -0.5" ItakuraSaito.exponentialSquares -0.5
                    curve "softplus weight" ItakuraSaito.softplus 0.0
                |],
                false
            )

        let errorFigure =
            let curves name (found: float[][][]) =
                aversions
                |> Array.mapi (fun k a ->
                    Worlds.curve $"{name}, a = {a}" offsets (found |> Array.map (fun cells -> min 100.0 (worst cells[k]))))

            LineFigure(
                $"Worst error of {repeats} repeats (what diverged is drawn at 100)",
                "offset of the samples",
                "|V - CE|",
                Array.append (curves "Itakura-Saito" itakuraSaitoErrors) (curves "exponential squares" squaresErrors),
                true
            )

        let row name (found: float[][][]) =
            [|
                for o in 0..2 do
                    for k in 0..2 -> struct (name, offsets[o], aversions[k], worst found[o].[k])
            |]

        let cells =
            [
                row "Itakura-Saito" itakuraSaitoErrors
                row "exponential squares" squaresErrors
                row "softplus" softplusErrors
            ]
            |> Array.concat

        let relative pick = portfolios |> Array.map pick |> Array.max

        {
            Findings =
                [|
                    Findings.target
                        "Itakura-Saito: worst |V - CE| over every aversion, offset and repeat"
                        0.02
                        Relation.AtMost
                        "stated before the study; prototypes measured at most .006"
                        (itakuraSaitoErrors |> Array.map largest |> Array.max)
                    Findings.calibrated
                        "exponential squares 10 below zero: share of repeats with an error above 50"
                        0.9
                        Relation.AtLeast
                        (below |> Array.averageBy (fun e -> if e > 50.0 then 1.0 else 0.0))
                    Findings.calibrated
                        "exponential squares 10 below zero: least error of any repeat"
                        1.0
                        Relation.AtLeast
                        (Array.min below)
                    Findings.exact
                        "exponential squares 10 above zero: V moves by at most"
                        1e-3
                        Relation.AtMost
                        0.0
                        "gradients are smaller by exp(-2 a 10)"
                        moved
                    Findings.exact
                        "and so the mean error stays a s^2 / 2 (largest deviation from it)"
                        0.0
                        Relation.Equals
                        error
                        "closed form, three standard errors of the starts"
                        stalls
                    Findings.calibrated
                        "exponential squares at zero, a at most 2: worst error"
                        0.02
                        Relation.AtMost
                        (Array.max [| worst squaresErrors[1].[0]; worst squaresErrors[1].[1] |])
                    Findings.calibrated
                        "softplus on normal samples: worst error (the heuristic is right for them)"
                        0.02
                        Relation.AtMost
                        (softplusErrors |> Array.map largest |> Array.max)
                    Findings.calibrated
                        "softplus on two outcomes, a = 2: least error of any repeat"
                        0.1
                        Relation.AtLeast
                        (coinSoftplus |> Array.map abs |> Array.min)
                    Findings.calibrated "Itakura-Saito on the same: worst error" 0.02 Relation.AtMost (worst coinItakuraSaito)
                    Findings.calibrated "failure, a s = 2.5: worst error of Itakura-Saito, clip 10" 0.1 Relation.AtLeast (worst heavyTen)
                    Findings.calibrated "failure, a s = 2.5: worst error of exponential squares" 0.1 Relation.AtLeast (worst heavySquares)
                    Findings.exact
                        "a clip at 3 biases V for a = 4, s = 0.5: mean V instead of -0.50"
                        -0.44
                        Relation.Equals
                        0.015
                        "calibrated 2026-11-25, then frozen; prototype -.44"
                        clipped
                    Findings.calibrated
                        "portfolio: largest relative error of a stake u against m / (a s^2)"
                        0.05
                        Relation.AtMost
                        (relative (fun (struct (best, stakes, _, _)) -> stakes |> Array.map (fun u -> abs (u / best - 1.0)) |> Array.max))
                    Findings.calibrated
                        "portfolio: largest relative error of V_T against T m^2 / (2 a s^2)"
                        0.05
                        Relation.AtMost
                        (relative (fun (struct (_, _, best, value)) -> abs (value / best - 1.0)))
                |]
            Tables =
                [|
                    struct ($"Worst error of {repeats} repeats (a million: diverged)",
                            DataFrame(
                                StringDataFrameColumn("loss", cells |> Array.map (fun (struct (name, _, _, _)) -> name)),
                                DoubleDataFrameColumn("offset", cells |> Array.map (fun (struct (_, offset, _, _)) -> offset)),
                                DoubleDataFrameColumn("aversion", cells |> Array.map (fun (struct (_, _, a, _)) -> a)),
                                DoubleDataFrameColumn("worst error", cells |> Array.map (fun (struct (_, _, _, e)) -> e))
                            ))
                    struct ("a s = 2.5 and other failures: worst errors (a million: diverged)",
                            DataFrame(
                                StringDataFrameColumn(
                                    "case",
                                    [|
                                        "Itakura-Saito, clip 10, a s = 2.5"
                                        "Itakura-Saito, clip 20, a s = 2.5"
                                        "exponential squares, a s = 2.5"
                                        "softplus, two outcomes"
                                        "Itakura-Saito, two outcomes"
                                    |]
                                ),
                                DoubleDataFrameColumn(
                                    "worst error",
                                    [| heavyTen; heavyTwenty; heavySquares; coinSoftplus; coinItakuraSaito |] |> Array.map worst
                                )
                            ))
                    struct ($"A portfolio over {periods} periods, learned",
                            DataFrame(
                                DoubleDataFrameColumn("aversion", aversions),
                                DoubleDataFrameColumn("best stake", portfolios |> Array.map (fun (struct (best, _, _, _)) -> best)),
                                DoubleDataFrameColumn(
                                    "mean stake",
                                    portfolios |> Array.map (fun (struct (_, stakes, _, _)) -> Array.average stakes)
                                ),
                                DoubleDataFrameColumn("best value", portfolios |> Array.map (fun (struct (_, _, best, _)) -> best)),
                                DoubleDataFrameColumn("learned value", portfolios |> Array.map (fun (struct (_, _, _, value)) -> value))
                            ))
                |]
            Figures = [| errorFigure; losses |]
            Notes =
                [|
                    "Samples are N(offset, 0.25^2); V starts at the mean of 200 of them and takes 60000 steps of size 1 / (10 + n / 2). The exponent of the Itakura-Saito step is clipped at 10."
                    "Where a s reaches 2.5 one sample in a great many decides E exp(-a y): no loss of single samples learns it in this time, whatever the clip."
                |]
        }

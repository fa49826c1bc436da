namespace ValueFlow.Studies

open System
open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// P072: low discounts and coarse features, in values and in logarithms of values.
[<Sealed>]
type LogMappingStudy() =
    inherit
        Study(
            "log-mapping",
            "A",
            "Logarithms let coarse features live with a low discount",
            "A chain of 50 states with +1 at the left end and -1 at the right, every fourth move reversed, discount 0.9, tiles of 1 to 5 states: Q-learning in values and in logarithms of values."
        )

    // 52 states, of which 1 .. 50 are walked. Slip reverses a move. The left end is a goal; the right end loses 1, or in the control nobody gets there: who goes right from 50 stays.
    static let chain (slip: float) (twoEnds: bool) : Model =
        let n = 52
        let builder = ModelBuilder n
        builder.ActionNames [| "left"; "right" |]
        builder.Terminal 0
        builder.Terminal(n - 1)

        for s in 1 .. n - 2 do
            for action in 0..1 do
                let reward next =
                    if next = 0 then 1.0
                    elif next = n - 1 then -1.0
                    else 0.0

                let right = if s = n - 2 && not twoEnds then s else s + 1
                let along, against = (if action = 0 then s - 1, right else right, s - 1)
                builder.Add(s, action, along, 1.0 - slip, reward along)

                if slip > 0.0 then
                    builder.Add(s, action, against, slip, reward against)

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    override _.Run(seed, _, progress, cancellation) =
        let discount = 0.9
        // Three seconds: what is quick needs no less.
        let sweeps = 11_000
        let widths = [| 1; 2; 3; 5 |]
        let identity = ValueMap.piecewiseLinear [| 0.0; 1.0 |] [| 0.0; 1.0 |]
        let logarithm = ValueMap.logarithmic 0.5 discount 200

        // The share of the last tenth of sweeps in which every state prefers left, and how many states are wrong at the end.
        let run (model: Model) width (map: ValueMap) (first: MappedSteps) (last: MappedSteps) =
            let features = RowFeatures.tilings width model
            let learner = MappedLearner(map, features, model, discount, 1.0)
            let generator = Generator seed
            let decay = float sweeps / 10.0
            let mutable right = 0
            let wrong () = Seq.sum [ for s in 1..50 -> if model.RowActions[learner.Best s] = 0 then 0 else 1 ]

            for sweep in 1..sweeps do
                if sweep % 500 = 0 then
                    cancellation.ThrowIfCancellationRequested()

                let share = Math.Min(1.0, float sweep / decay)
                let between a b = a * Math.Pow(b / a, share)
                let steps = { Regular = between first.Regular last.Regular; Mapped = between first.Mapped last.Mapped }

                for _ in 1 .. model.RowCount do
                    let row = generator.Below model.RowCount
                    let offset = model.Offsets[row]
                    let k = offset + Sampling.index generator (model.Probabilities.Slice(offset, model.Offsets[row + 1] - offset))
                    learner.Learn(steps, row, k)

                if sweep > sweeps - sweeps / 10 && wrong () = 0 then
                    right <- right + 1

            struct (float right / float (sweeps / 10), wrong ())

        let plain model width =
            progress.Invoke $"values, tiles of {width}"
            run model width identity { Regular = 1.0; Mapped = 1.0 } { Regular = 0.001; Mapped = 1.0 }

        let mapped model width =
            progress.Invoke $"logarithms, tiles of {width}"
            run model width logarithm { Regular = 1.0; Mapped = 1.0 } { Regular = 0.1; Mapped = 0.01 }

        let slippery = chain 0.25 true
        let values, logs = widths |> Array.map (plain slippery), widths |> Array.map (mapped slippery)
        let still = chain 0.0 false
        let struct (control, _) = plain still 3
        let success = Array.map (fun (struct (share: float, _: int)) -> share)
        let wrong = Array.map (fun (struct (_: float, count: int)) -> float count)
        let source = "van Seijen, Fatemi and Tavakoli 2019, on a smaller chain"

        {
            Findings =
                [|
                    Findings.exact "a table (tiles of 1): success in values" 1.0 Relation.Equals 0.0 source (Array.head (success values))
                    Findings.exact "a table: success in logarithms" 1.0 Relation.Equals 0.0 source (Array.head (success logs))
                    Findings.exact
                        "tiles of 2, 3 and 5: worst success in logarithms"
                        1.0
                        Relation.Equals
                        0.0
                        source
                        (Array.min (Array.tail (success logs)))
                    Findings.exact
                        "tiles of 2, 3 and 5: best success in values"
                        0.0
                        Relation.Equals
                        0.0
                        source
                        (Array.max (Array.tail (success values)))
                    Findings.exact
                        "control, one goal and moves that never slip: success in values with tiles of 3"
                        1.0
                        Relation.Equals
                        0.0
                        source
                        control
                |]
            Tables =
                [|
                    struct ("Success (share of the last tenth of sweeps), and states that prefer the wrong way at the end",
                            DataFrame(
                                DoubleDataFrameColumn("tile width", widths |> Array.map float),
                                DoubleDataFrameColumn("success in values", success values),
                                DoubleDataFrameColumn("wrong in values", wrong values),
                                DoubleDataFrameColumn("success in logarithms", success logs),
                                DoubleDataFrameColumn("wrong in logarithms", wrong logs)
                            ))
                |]
            Figures =
                [|
                    LineFigure(
                        "Gaps between neighbouring states",
                        "steps n to the goal",
                        "gap (the first is 1)",
                        [|
                            let steps = Array.init 60 float

                            let gaps (f: float -> float) =
                                let gap n = f (Math.Pow(discount, n)) - f (Math.Pow(discount, n + 1.0))
                                steps |> Array.map (fun n -> gap n / gap 0.0)

                            Worlds.curve "in values" steps (gaps id)
                            Worlds.curve "in logarithms" steps (gaps logarithm.Forward)
                        |],
                        true
                    )
                    LineFigure(
                        "Success by the width of tiles",
                        "tile width (states)",
                        "share of sweeps with every decision right",
                        [|
                            Worlds.curve "in values" (widths |> Array.map float) (success values)
                            Worlds.curve "in logarithms" (widths |> Array.map float) (success logs)
                        |],
                        false
                    )
                |]
            Notes =
                [|
                    "Gaps between values fall by the discount with every step from the goal, and coarse features blur them; in logarithms they are alike everywhere."
                    "With one goal and moves that never slip both succeed: the control."
                |]
        }

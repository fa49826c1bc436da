namespace ValueFlow.Studies

open System
open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// P078: planning with a blurred model that is corrected by what the true process says of the last value functions.
[<Sealed>]
type ModelCorrectionStudy() =
    inherit
        Study(
            "model-correction",
            "A",
            "A wrong model, put right where it matters",
            "Garnets of 50 states and 4 actions, discount 0.95, a model blurred by a share of the flat law: true backups until values are within 0.001, corrected by the last three value functions against value iteration."
        )

    static let blurred (share: float) (model: Model) : Model =
        let n = model.StateCount
        let builder = ModelBuilder n

        for s in 0 .. n - 1 do
            for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 do
                let law = Array.create n (share / float n)

                for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                    law[model.Successors[k]] <- law[model.Successors[k]] + (1.0 - share) * model.Probabilities[k]

                law |> Array.iteri (fun next p -> builder.Add(s, model.RowActions[row], next, p, 0.0))

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    override _.Run(seed, quick, progress, cancellation) =
        let discount, goal, most = 0.95, 1e-3, 40
        let instances = if quick then 2 else 5
        let shares = [| 0.1; 0.5; 1.0 |]
        let options = { RunOptions.standard with Cancellation = cancellation }
        let generator = Generator seed
        let models = Array.init instances (fun _ -> Garnet.create (generator.Split()) 50 4 5)
        let distance (a: float[]) b = Array.fold2 (fun most x y -> max most (abs (x - y))) 0.0 a b

        let best =
            models
            |> Array.map (fun model -> (PolicyIteration.solve options (Bellman.Optimality(model, discount))).Values)

        // Errors by the number of true backups; backups until the goal.
        let sweeps i =
            let operator = (Bellman.Optimality(models[i], discount)).Operator

            Seq.unfold (fun values -> Some(distance values best[i], operator.Apply values)) (Array.zeroCreate 50)
            |> Seq.take 400
            |> Array.ofSeq

        let needed (errors: float[]) =
            match errors |> Array.tryFindIndex (fun error -> error < goal) with
            | Some k -> float k
            | None -> infinity

        let plain = Array.init instances sweeps

        let corrected =
            shares
            |> Array.map (fun share ->
                Array.init instances (fun i ->
                    progress.Invoke $"blur {share}, instance {i + 1} of {instances}"

                    ModelCorrection.valueIteration options 3 discount models[i] (blurred share models[i])
                    |> Seq.map (fun values -> distance values best[i])
                    |> Seq.take (most + 1)
                    |> Array.ofSeq))

        let alone = corrected |> Array.map (Array.map Array.head)
        let backups = corrected |> Array.map (Array.map needed)
        let ordinary = plain |> Array.map needed

        let curve name (errors: float[]) =
            let count = min 60 errors.Length
            // Below 1e-8 only the tolerance of planning is left.
            Worlds.curve name (Array.init count float) (Array.init count (fun k -> if errors[k] > 1e-8 then errors[k] else nan))

        {
            Findings =
                [|
                    Findings.target
                        "blur 0.1: backups over those of value iteration, worst of the instances"
                        (1.0 / 3.0)
                        Relation.AtMost
                        "a third of value iteration's"
                        (Array.map2 (/) backups[0] ordinary |> Array.max)
                    Findings.exact
                        "blur 0.5: backups until within 0.001, worst of the instances (it still converges)"
                        (float most)
                        Relation.AtMost
                        0.0
                        "Rakhsha et al. 2024"
                        (Array.max backups[1])
                    Findings.calibrated "blur 1 (a model that knows nothing): the same" 30.0 Relation.AtMost (Array.max backups[2])
                    Findings.calibrated
                        "the blurred model alone stays off: least error at blur 0.1"
                        0.01
                        Relation.AtLeast
                        (Array.min alone[0])
                |]
            Tables =
                [|
                    struct ("True backups until values are within 0.001 (worst instance), and the error of the blurred model alone (mean)",
                            DataFrame(
                                StringDataFrameColumn(
                                    "method",
                                    [|
                                        "value iteration"
                                        for share in shares do
                                            $"corrected, blur {share}"
                                    |]
                                ),
                                DoubleDataFrameColumn(
                                    "backups",
                                    [|
                                        Array.max ordinary
                                        for counts in backups do
                                            Array.max counts
                                    |]
                                ),
                                DoubleDataFrameColumn(
                                    "error alone",
                                    [|
                                        nan
                                        for errors in alone do
                                            Array.average errors
                                    |]
                                )
                            ))
                |]
            Figures =
                [|
                    LineFigure(
                        "Errors by true backups, first instance",
                        "backups of the true process",
                        "sup |V - V*|",
                        [|
                            curve "value iteration" plain[0]
                            for share, errors in Array.zip shares corrected do
                                curve $"corrected, blur {share}" errors[0]
                        |],
                        true
                    )
                |]
            Notes =
                [|
                    "A backup asks the true process for E V(s') at every state and action. The corrected model is planned with exactly, which costs no backup."
                |]
        }

namespace ValueFlow.Studies

open System
open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// P054: three corridors to the goal, the shorter ones the windier, and a wind that nobody knows.
[<Sealed>]
type WindyCorridorsStudy() =
    inherit
        Study(
            "windy-corridors",
            "A",
            "Robust decisions as a sequence of ordinary ones",
            "Corridors of 4, 5 and 6 steps with knock-back probability a, a^3, a^6 for an unknown a up to 0.5: the search for the worst model against robust value iteration."
        )

    // The start, then the cells of each corridor but the goal, then the goal.
    static let lengths = [| 4; 5; 6 |]
    static let powers = [| 1.0; 3.0; 6.0 |]

    static let model (chances: float[]) : Model =
        let goal = 1 + Array.sumBy (fun length -> length - 1) lengths
        let builder = ModelBuilder(goal + 1)
        builder.ActionNames [| "corridor of 4"; "corridor of 5"; "corridor of 6" |]
        builder.Terminal goal
        builder.Initial 0
        let mutable first = 1

        for c in 0..2 do
            let cell k =
                if k = 0 then 0
                elif k = lengths[c] then goal
                else first + k - 1

            for k in 0 .. lengths[c] - 1 do
                let back, forth = cell (max 0 (k - 1)), cell (k + 1)

                // In a corridor there is one way; at the start the action chooses it.
                if chances[c] > 0.0 then
                    builder.Add(cell k, c, back, chances[c], -1.0)

                builder.Add(cell k, c, forth, 1.0 - chances[c], -1.0)

            first <- first + lengths[c] - 1

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    override _.Run(_, _, progress, cancellation) =
        let discount, count = 0.99, 25
        let winds = Array.init count (fun i -> 0.5 * float i / float (count - 1))
        let chances wind = powers |> Array.map (fun power -> Math.Pow(wind, power))
        let family = ModelFamily.Create(winds |> Array.map (chances >> model), discount)
        let options = { RunOptions.standard with Cancellation = cancellation }
        progress.Invoke "searching for the worst model"
        let found = WorstCaseSearch.solve options 1e-9 0 0 family
        progress.Invoke "robust value iteration"

        let robust =
            FixedPoint.picard { options with Tolerance = 1e-9 } (ModelFamily.robust family) (Array.zeroCreate family.StateCount)

        let worst (policy: int[]) =
            let policy = Policy.Deterministic(family[0], ReadOnlySpan(policy |> Array.map (max 0)))
            winds |> Array.mapi (fun i _ -> (PolicyEvaluation.linear options policy (family.Backup i)).Values[0])

        let mean = model (Array.init 3 (fun c -> winds |> Array.averageBy (fun wind -> (chances wind)[c])))
        let ordinary = (ValueIteration.solve options (Bellman.Optimality(family[0], discount))).Policy
        let randomised = (ValueIteration.solve options (Bellman.Optimality(mean, discount))).Policy

        let values =
            [|
                "search for the worst model", worst found.Policy
                "nominal (a = 0)", worst ordinary
                "mean of the models", worst randomised
            |]

        let least name = values |> Array.find (fst >> (=) name) |> snd |> Array.min
        let closed = "closed form of the chain, to the digits given"

        let equals text expected tolerance source measured = Findings.exact text expected Relation.Equals tolerance source measured

        {
            Findings =
                [|
                    equals "worst value of the policy that the search finds" -6.01756 1e-5 closed found.Lower
                    equals "the same by robust value iteration" found.Lower 1e-6 "Iyengar 2005" robust.Value[0]
                    equals "the bounds of the search meet: gap" 0.0 1e-6 "Zouitine, Geist and Rachelson 2024" (found.Upper - found.Lower)
                    Findings.exact "models taken in" 3.0 Relation.AtMost 0.0 "Zouitine, Geist and Rachelson 2024" (float found.Found.Length)
                    equals "worst value of the nominal policy" -17.232 1e-3 closed (least "nominal (a = 0)")
                    equals "worst value of the best policy for the mean of the models" -6.253 1e-3 closed (least "mean of the models")
                |]
            Tables =
                [|
                    struct ("Worst value at the start",
                            DataFrame(
                                StringDataFrameColumn("policy", values |> Array.map fst),
                                DoubleDataFrameColumn("worst value", values |> Array.map (snd >> Array.min))
                            ))
                    struct ("Work",
                            DataFrame(
                                StringDataFrameColumn("method", [| "search for the worst model"; "robust value iteration" |]),
                                DoubleDataFrameColumn("optimal solves", [| float found.Solves; 0.0 |]),
                                DoubleDataFrameColumn("policies evaluated", [| float found.Evaluations; 0.0 |]),
                                DoubleDataFrameColumn("sweeps over all models", [| 0.0; float robust.Applications |])
                            ))
                |]
            Figures =
                [|
                    LineFigure(
                        "The shortest way is the windiest",
                        "wind a",
                        "value at the start (discounted steps, negative)",
                        values |> Array.map (fun (name, at) -> Worlds.curve name winds at),
                        false
                    )
                |]
            Notes =
                [|
                    "The search needs an ordinary solve for each model it takes in, and evaluates one policy under every model; nothing promises that it reaches the robust value: here its bounds meet."
                    "Whether planning for the mean of the models is worse depends on the lengths: with 3, 4 and 6 steps it takes the robust corridor."
                |]
        }

namespace ValueFlow.Core.Stages

open System
open Google.OrTools.LinearSolver

/// The whole scenario tree as one linear program: what small problems can be checked against.
[<RequireQualifiedAccess>]
module ExtensiveForm =

    // The most nodes of a tree.
    [<Literal>]
    let private MostNodes = 20_000

    /// The least expected cost. Throws an ArgumentException for a tree of more than 20000 nodes, an InvalidOperationException where there is no optimum.
    let solve (problem: MultistageProblem) : float =
        let nodes =
            Seq.init problem.Count (fun t -> int64 (problem.Stage(t).Noises.Length))
            |> Seq.scan (fun (count, _) noises -> count * noises, 0) (1L, 0)
            |> Seq.tail
            |> Seq.sumBy fst

        if nodes > int64 MostNodes then
            invalidArg (nameof problem) $"the tree must have at most {MostNodes} nodes but has {nodes}"

        use program = LinearProgram.create ()
        let objective = program.Objective()

        // Adds a node and what follows it; the parent's variables are those that the stage before left behind.
        let rec grow t (parent: Variable[]) probability =
            if t < problem.Count then
                let stage = problem.Stage t

                for noise in stage.Noises do
                    let chance = probability * noise.Probability
                    let x = stage.Cost |> Array.map (fun _ -> program.MakeNumVar(0.0, Double.PositiveInfinity, ""))
                    x |> Array.iteri (fun j v -> objective.SetCoefficient(v, chance * stage.Cost[j]))

                    for i in 0 .. stage.Matrix.GetLength 0 - 1 do
                        let mutable right = noise.Right[i]

                        if parent.Length = 0 then
                            for k in 0 .. problem.Start.Length - 1 do
                                right <- right - stage.Recall[i, k] * problem.Start[k]

                        let row = program.MakeConstraint(right, right)

                        for j in 0 .. x.Length - 1 do
                            if stage.Matrix[i, j] <> 0.0 then
                                row.SetCoefficient(x[j], stage.Matrix[i, j])

                        parent
                        |> Array.iteri (fun k v ->
                            if stage.Recall[i, k] <> 0.0 then
                                row.SetCoefficient(v, stage.Recall[i, k]))

                    grow (t + 1) (stage.State |> Array.map (fun j -> x[j])) chance

        grow 0 [||] 1.0
        objective.SetMinimization()
        LinearProgram.solve "the tree" program
        objective.Value()

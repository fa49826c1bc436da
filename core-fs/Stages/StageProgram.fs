namespace ValueFlow.Core.Stages

open System
open Google.OrTools.LinearSolver
open ValueFlow.Core.Foundations

/// The decision of a stage.
[<Struct>]
type StageDecision =
    {
        /// V(y, noise), the cost to come as the cuts see it included.
        Value: float
        /// c . x alone.
        Cost: float
        /// What the next stage recalls.
        State: float[]
        /// A subgradient of V(., noise) at y: -B' prices of the equations.
        Slopes: float[]
    }

/// Linear programs by OR-Tools' simplex method, for which a program may be changed and solved again.
[<RequireQualifiedAccess>]
module internal LinearProgram =

    /// An empty program.
    let create () : Solver =
        let found =
            try
                Solver.CreateSolver "GLOP"
            with
            | :? TypeInitializationException
            | :? DllNotFoundException as error ->
                let advice = "reference the package Google.OrTools.runtime.linux-x64 (or -win-x64, -osx-arm64) in the program that runs"
                raise (InvalidOperationException($"linear programs need OR-Tools, which could not be loaded: {advice}", error))

        // Small programs gain nothing by preprocessing; without it the answer is a vertex.
        found.SetSolverSpecificParametersAsString
            "use_preprocessing: false primal_feasibility_tolerance: 1e-9 dual_feasibility_tolerance: 1e-9"
        |> ignore

        found

    /// Solves it, or throws an InvalidOperationException that says what is wrong.
    let solve (what: string) (program: Solver) : unit =
        match program.Solve() with
        | Solver.ResultStatus.OPTIMAL -> ()
        | Solver.ResultStatus.INFEASIBLE -> invalidOp $"{what} has no feasible decision: relatively complete recourse is needed"
        | Solver.ResultStatus.UNBOUNDED -> invalidOp $"{what} has no least cost: its cost is unbounded below"
        | status -> invalidOp $"{what} could not be solved: {status}"

/// The linear program of a stage, made once: a state and a noise change right-hand sides only, a cut adds a row. Not for several threads at once.
[<Sealed>]
type internal StageProgram(problem: MultistageProblem, t: int, cuts: seq<Cut>) =

    let stage = problem.Stage t
    let last = t = problem.Count - 1
    let program = LinearProgram.create ()
    let variables = stage.Cost |> Array.mapi (fun j _ -> program.MakeNumVar(0.0, Double.PositiveInfinity, $"x{j}"))
    let toCome = if last then None else Some(program.MakeNumVar(problem.Floor, Double.PositiveInfinity, "to come"))
    let equations = Array.init (stage.Matrix.GetLength 0) (fun _ -> program.MakeConstraint(0.0, 0.0))
    let objective = program.Objective()

    do
        equations
        |> Array.iteri (fun i equation ->
            variables
            |> Array.iteri (fun j x ->
                if stage.Matrix[i, j] <> 0.0 then
                    equation.SetCoefficient(x, stage.Matrix[i, j])))

        variables |> Array.iteri (fun j x -> objective.SetCoefficient(x, stage.Cost[j]))
        toCome |> Option.iter (fun x -> objective.SetCoefficient(x, 1.0))
        objective.SetMinimization()

    let add (cut: Cut) =
        match toCome with
        | None -> ()
        | Some x ->
            let row = program.MakeConstraint(cut.Intercept, Double.PositiveInfinity)
            row.SetCoefficient(x, 1.0)
            stage.State |> Array.iteri (fun k j -> row.SetCoefficient(variables[j], -cut.Slopes[k]))

    do Seq.iter add cuts

    /// Adds a cut to what is known of the cost to come.
    member _.Add(cut: Cut) : unit = add cut

    /// The best decision from a state, once the noise is seen.
    member _.Solve(state: float[], noise: int) : StageDecision =
        let right = stage.Noises[noise].Right

        for i in 0 .. equations.Length - 1 do
            let mutable b = right[i]

            for k in 0 .. state.Length - 1 do
                b <- b - stage.Recall[i, k] * state[k]

            equations[i].SetBounds(b, b)

        LinearProgram.solve $"stage {t}" program
        let x = variables |> Array.map _.SolutionValue()
        let prices = equations |> Array.map _.DualValue()

        {
            Value = objective.Value()
            Cost = Array.fold2 (fun sum c v -> sum + c * v) 0.0 stage.Cost x
            State = stage.State |> Array.map (fun j -> x[j])
            Slopes =
                Array.init state.Length (fun k ->
                    let mutable slope = 0.0

                    for i in 0 .. equations.Length - 1 do
                        slope <- slope - stage.Recall[i, k] * prices[i]

                    slope)
        }

    /// The mean over the noises of the value, and the cut that it makes at the state: averaged prices.
    member this.Cut(state: float[]) : struct (float * Cut) =
        let slopes = Array.zeroCreate<float> state.Length
        let mutable value = 0.0

        for noise in 0 .. stage.Noises.Length - 1 do
            let share = stage.Noises[noise].Probability
            let decision = this.Solve(state, noise)
            value <- value + share * decision.Value

            for k in 0 .. slopes.Length - 1 do
                slopes[k] <- slopes[k] + share * decision.Slopes[k]

        struct (value, Cut.through state value slopes)

    interface IDisposable with
        member _.Dispose() = program.Dispose()

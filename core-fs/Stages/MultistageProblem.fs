namespace ValueFlow.Core.Stages

open System
open ValueFlow.Core.Foundations

/// One of the right-hand sides that chance may give to a stage.
type StageNoise =
    {
        /// Its probability.
        Probability: float
        /// b(noise): one number for each equation.
        Right: float[]
    }

/// One stage of a multistage linear program. After the noise is seen,
///
/// V(y, noise) = min over x >= 0 of c . x + E V_next(x restricted to State, noise') subject to A x = b(noise) - B y,
///
/// where y is the state that the stage before left behind.
type Stage =
    {
        /// c: the cost of each variable.
        Cost: float[]
        /// A, (equations x variables).
        Matrix: float[,]
        /// B, (equations x entries of the state before).
        Recall: float[,]
        /// The noises; their probabilities sum to one.
        Noises: StageNoise[]
        /// The variables that the next stage recalls.
        State: int[]
    }

/// Stages one after another, with noises that are independent from stage to stage.
type MultistageProblem =
    private
        {
            initial: float[]
            stages: Stage[]
            floor: float
        }

    /// The state that the first stage recalls.
    member this.Initial: ReadOnlySpan<float> = ReadOnlySpan this.initial
    /// The stages, first to last.
    member this.Stages: Stage[] = Array.copy this.stages
    /// How many stages.
    member this.Count = this.stages.Length
    /// A number that no expected cost of the stages to come lies below, whatever the state.
    member this.Floor = this.floor
    member internal this.Start = this.initial
    member internal this.Stage(t: int) : Stage = this.stages[t]

/// Makes multistage problems.
[<RequireQualifiedAccess>]
module MultistageProblem =

    let private finite (name: string) (what: string) (values: seq<float>) =
        match Seq.tryFind (Double.IsFinite >> not) values with
        | Some x -> invalidArg name $"{what} must be finite but holds {x}"
        | None -> ()

    /// The problem. It has relatively complete recourse if every stage can be solved from every state that may be left to it: where that fails, a solver says so.
    /// Throws an ArgumentException for no stages, sizes that do not fit, numbers that are not finite, and probabilities that are no law.
    let create (floor: float) (initial: float[]) (stages: Stage[]) : MultistageProblem =
        if stages.Length = 0 then
            invalidArg (nameof stages) "there must be at least one stage but there is none"

        finite (nameof initial) "the initial state" initial
        finite (nameof floor) "the floor" [ floor ]
        let mutable recalled = initial.Length

        for t in 0 .. stages.Length - 1 do
            let stage = stages[t]
            let equations, variables = stage.Matrix.GetLength 0, stage.Matrix.GetLength 1
            let at words = $"stage {t}: {words}"

            let require what expected found =
                if found <> expected then
                    invalidArg (nameof stages) (at $"{what} must be {expected} but are {found}")

            require "costs" variables stage.Cost.Length
            require "equations of Recall" equations (stage.Recall.GetLength 0)
            require "columns of Recall" recalled (stage.Recall.GetLength 1)
            finite (nameof stages) (at "Cost") stage.Cost
            finite (nameof stages) (at "Matrix") (Seq.cast<float> stage.Matrix)
            finite (nameof stages) (at "Recall") (Seq.cast<float> stage.Recall)

            if stage.Noises.Length = 0 then
                invalidArg (nameof stages) (at "there must be at least one noise but there is none")

            for noise in stage.Noises do
                require "right-hand sides" equations noise.Right.Length
                finite (nameof stages) (at "Right") noise.Right

                if not (noise.Probability >= 0.0) then
                    invalidArg (nameof stages) (at $"probabilities must not be negative but one is {noise.Probability}")

            let total = stage.Noises |> Array.sumBy _.Probability

            if not (abs (total - 1.0) <= 1e-9) then
                invalidArg (nameof stages) (at $"probabilities must sum to 1 but sum to {total}")

            match stage.State |> Array.tryFind (fun i -> i < 0 || i >= variables) with
            | Some i -> invalidArg (nameof stages) (at $"State must hold variables in [0, {variables}) but holds {i}")
            | None -> ()

            recalled <- stage.State.Length

        { initial = Array.copy initial; stages = Array.copy stages; floor = floor }

    /// The stages from stage t on, with the state that they recall: its least expected cost is E V_t(state, noise).
    let from (t: int) (state: float[]) (problem: MultistageProblem) : MultistageProblem =
        if t < 0 || t >= problem.Count then
            invalidArg (nameof t) $"t must lie in [0, {problem.Count}) but is {t}"

        Shape.requireLength (nameof state) (problem.Stage(t).Recall.GetLength 1) state.Length
        create problem.floor state problem.stages[t..]

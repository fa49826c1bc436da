namespace ValueFlow.Core.Values

open System.Threading
open ValueFlow.Core.Foundations

/// A stage of a problem that ends: what may happen in it, and how it is judged.
type Stage =
    {
        /// The process of the stage.
        Model: Model
        /// From the outcomes of a state and an action to a number.
        State: StateSummary
        /// From the action values of a state to a number.
        Action: ActionSummary
    }

/// Values and decisions, stage by stage.
type StagePlan =
    {
        /// V_h(s) for h = 0 .. H: what is worth having in state s with H - h stages to go.
        Values: float[][]
        /// For h = 0 .. H - 1 and each state the action to take, or -1 in a terminal state. Under a policy's mean the policy's most likely action.
        Decisions: int[][]
    }

    /// The number of stages H.
    member this.Horizon = this.Decisions.Length

/// Problems that end after a number of stages, solved backwards: V_H is given, V_h(s) = (x)_a rho( r(s,a,s') + gamma V_(h+1)(s') ). Any summaries will do, and nothing need contract: the
/// discount may be 1. Bellman 1957, "Dynamic programming".
[<RequireQualifiedAccess>]
module FiniteHorizon =

    let private sweepOf (stage: Stage) (discount: float) : Sweep =
        let need name (missing: string voption) =
            match missing with
            | ValueSome expectation -> invalidArg "stages" $"the summary '{name}' needs a model with {expectation}"
            | ValueNone -> ()

        need stage.State.Name (stage.State.Misses stage.Model)
        need stage.Action.Name (stage.Action.Misses stage.Model)
        Sweep.create (Kernel.OfStage(stage.Model, discount)) stage.State stage.Action

    let private decide (stage: Stage) (sweep: Sweep) (values: float[]) (cancellation: CancellationToken) : int[] =
        match stage.Action with
        | :? PolicyMean as mean -> mean.Policy.MostLikely stage.Model
        | action ->
            let chosen = Array.create stage.Model.StateCount -1
            let direction = action.Direction |> ValueOption.defaultValue Direction.Maximise
            sweep.Improve(values, direction, 0.0, chosen, cancellation) |> ignore
            chosen |> Array.map (fun row -> if row < 0 then -1 else stage.Model.rowActions[row])

    /// Solves stages that may differ, from the values at the end backwards; a state that is terminal in a stage is worth nothing there. Throws an ArgumentException for no stage, models with
    /// different numbers of states, a summary that misses something in its model, a discount outside [0, 1], and values that are not finite; an
    /// OperationCanceledException ends it early.
    let solveStages (cancellation: CancellationToken) (discount: float) (final: float[]) (stages: Stage[]) : StagePlan =
        if stages.Length = 0 then
            invalidArg (nameof stages) "there must be at least one stage but there is none"

        let states = stages[0].Model.StateCount

        for h in 0 .. stages.Length - 1 do
            if stages[h].Model.StateCount <> states then
                invalidArg
                    (nameof stages)
                    $"every stage must have {states} states, as stage 0 has, but stage {h} has {stages[h].Model.StateCount}"

        Shape.requireLength (nameof final) states final.Length
        Shape.requireFinite (nameof final) final
        let values: float[][] = Array.zeroCreate (stages.Length + 1)
        let actions: int[][] = Array.zeroCreate stages.Length
        values[stages.Length] <- Array.copy final
        let mutable previous: struct (Stage * Sweep) voption = ValueNone

        for h in stages.Length - 1 .. -1 .. 0 do
            let sweep =
                match previous with
                | ValueSome(struct (stage, sweep)) when obj.ReferenceEquals(stage, stages[h]) -> sweep
                | _ -> sweepOf stages[h] discount

            previous <- ValueSome(struct (stages[h], sweep))
            values[h] <- Array.zeroCreate states
            sweep.Apply(values[h + 1], values[h], cancellation) |> ignore
            actions[h] <- decide stages[h] sweep values[h + 1] cancellation
            cancellation.ThrowIfCancellationRequested()

        { Values = values; Decisions = actions }

    /// Solves a horizon of equal stages, with nothing at the end.
    let solve
        (cancellation: CancellationToken)
        (horizon: int)
        (discount: float)
        (state: StateSummary)
        (action: ActionSummary)
        (model: Model)
        : StagePlan =
        if horizon < 1 then
            invalidArg (nameof horizon) $"horizon must be at least 1 but is {horizon}"

        solveStages
            cancellation
            discount
            (Array.zeroCreate model.StateCount)
            (Array.create horizon { Model = model; State = state; Action = action })

    /// V_h of a plan's decisions under another state summary: what the plan is worth to someone who sees risk differently.
    let evaluate (cancellation: CancellationToken) (discount: float) (state: StateSummary) (plan: StagePlan) (model: Model) : StagePlan =
        plan.Decisions
        |> Array.map (fun actions ->
            {
                Model = model
                State = state
                Action = PolicyMean(Policy.Deterministic(model, System.ReadOnlySpan actions))
            })
        |> solveStages cancellation discount (Array.zeroCreate model.StateCount)

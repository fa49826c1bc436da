namespace ValueFlow.Core.Returns

open System.Threading
open ValueFlow.Core.Foundations

/// Decisions of least risk, with the forecast that they were made for.
type ScoredPlan =
    {
        /// The decisions; values are mean scores f(Y, v), negated.
        Plan: StockPlan<float>
        /// The forecast v.
        Forecast: float
        /// h(E f(Y, v), v): no less than the risk of the outcome.
        Value: float
    }

/// Decisions whose cost has the least risk: min over v of h(min over decisions of E f(Y, v), v). The rewards of the graph's model are costs, and Y is what a run costs in the whole,
/// the start's stock included. Han, Liu and Yu 2025, "Risk-sensitive reinforcement learning based on convex scoring functions".
[<RequireQualifiedAccess>]
module TwoStage =

    /// The inner stage, for a forecast: the decisions of least E f(Y, v). An OperationCanceledException ends it early.
    let against (scoring: Scoring) (forecast: float) (cancellation: CancellationToken) (graph: StockGraph) : ScoredPlan =
        let plan = StockProgram.solveMean (fun y -> -(scoring.Score y forecast)) cancellation graph
        { Plan = plan; Forecast = forecast; Value = scoring.Risk -plan.Value forecast }

    /// Both stages, over a grid of forecasts: the best of them, the first among equals. The value is the least risk of all decisions that may depend on the history if the grid holds the
    /// forecast that is optimal for the best of them, and never less. Throws an ArgumentException for no forecast.
    let solve (scoring: Scoring) (forecasts: float[]) (cancellation: CancellationToken) (graph: StockGraph) : ScoredPlan =
        if forecasts.Length = 0 then
            invalidArg (nameof forecasts) "there must be at least one forecast but there is none"

        Shape.requireFinite (nameof forecasts) forecasts
        forecasts |> Array.map (fun v -> against scoring v cancellation graph) |> Array.minBy _.Value

    /// One step of alternation: the forecast that suits the plan's outcome, then the decisions that suit the forecast. The value never grows; it may stop where
    /// another plan is better.
    let improve (scoring: Scoring) (cancellation: CancellationToken) (plan: ScoredPlan) : ScoredPlan =
        let struct (forecast, value) = Scoring.forecast scoring (StockProgram.lawOf plan.Plan cancellation)

        if value < plan.Value then against scoring forecast cancellation plan.Plan.Graph else plan

    /// Alternation until the value falls by no more than the tolerance; all values on the way, the last plan's last.
    let alternate
        (scoring: Scoring)
        (tolerance: float)
        (start: float)
        (cancellation: CancellationToken)
        (graph: StockGraph)
        : struct (ScoredPlan * float[]) =
        if not (tolerance >= 0.0) then
            invalidArg (nameof tolerance) $"tolerance must not be negative but is {tolerance}"

        let values = ResizeArray<float>()
        let mutable plan = against scoring start cancellation graph
        values.Add plan.Value
        let mutable going = true

        while going do
            let next = improve scoring cancellation plan
            going <- next.Value < plan.Value - tolerance

            if next.Value < plan.Value then
                values.Add next.Value
                plan <- next

        struct (plan, values.ToArray())

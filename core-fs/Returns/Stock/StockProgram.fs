namespace ValueFlow.Core.Returns

open System
open System.Threading
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// What a functional of laws is shown at a later stage.
[<RequireQualifiedAccess>]
type Sight =
    /// The outcome of the whole, seen from the start: the law of gamma^t (c + G). Its decisions are optimal for every mean E f of the outcome.
    | FromTheStart
    /// The law of c + G, as if the stage were the start. The same for a functional that is positively homogeneous, and for discount 1; for others decisions may be worse.
    | FromEachStage

/// Decisions for each state, stock and stage, and what each node is worth with them.
type StockPlan<'value> =
    {
        /// Where decisions are made.
        Graph: StockGraph
        /// For each stage and node the row of the model that is taken; -1 where there is none to take.
        Rows: int[][]
        /// For each stage and node its value: a law of the outcome of the whole, say.
        Values: 'value[][]
    }

    /// The value of the start.
    member this.Value: 'value = this.Values[0].[0]

    /// The action in a state at a stage, by what was earned until then (the start's stock, and rewards discounted to the start). Throws an ArgumentException for what is never reached.
    member this.ActionOf(stage: int, state: int, earned: float) : int =
        if stage < 0 || stage >= this.Rows.Length then
            invalidArg (nameof stage) $"stage must lie in [0, {this.Rows.Length}) but is {stage}"

        let node = this.Graph.Find(stage, state, earned)

        if node < 0 then
            invalidArg (nameof earned) $"state {state} must be reached with what was earned, but {earned} is not at stage {stage}"

        let row = this.Rows[stage].[node]
        if row < 0 then -1 else this.Graph.Model.rowActions[row]

/// Backward induction over states with their stocks: exact, for small models and few steps.
[<RequireQualifiedAccess>]
module StockProgram =

    let private induce
        (ending: float -> 'value)
        (mix: struct (float * 'value)[] -> 'value)
        (decide: int -> int -> struct (int * int) -> (int -> 'value) -> struct (int * 'value))
        (cancellation: CancellationToken)
        (graph: StockGraph)
        : StockPlan<'value> =
        let model = graph.Model
        let horizon = graph.Horizon
        let values: 'value[][] = Array.zeroCreate (horizon + 1)
        let rows: int[][] = Array.zeroCreate horizon

        let ended = graph.Nodes(horizon).ToArray() |> Array.map (fun node -> ending node.Earned)
        values[horizon] <- ended

        for stage in horizon - 1 .. -1 .. 0 do
            let count = graph.Nodes(stage).Length
            let next = values[stage + 1]
            let here = Array.zeroCreate count
            let chosen = Array.create count -1

            for node in 0 .. count - 1 do
                cancellation.ThrowIfCancellationRequested()
                let struct (first, last) = graph.Rows(stage, node)

                if first = last then
                    here[node] <- next[graph.Heir(stage, node)]
                else
                    let worth row =
                        mix
                            [|
                                for k in model.offsets[row] .. model.offsets[row + 1] - 1 ->
                                    struct (model.probabilities[k], next[graph.Child(stage, node, k)])
                            |]

                    let struct (row, value) = decide stage node (struct (first, last)) worth
                    chosen[node] <- row
                    here[node] <- value

            values[stage] <- here
            rows[stage] <- chosen

        { Graph = graph; Rows = rows; Values = values }

    let private best (judge: int -> 'value -> float) (stage: int) (_: int) (struct (first, last)) (worth: int -> 'value) =
        let mutable row = first
        let mutable value = worth first
        let mutable bar = judge stage value

        for other in first + 1 .. last - 1 do
            let found = worth other
            let judged = judge stage found

            if judged > bar then
                row <- other
                value <- found
                bar <- judged

        struct (row, value)

    let private laws decide cancellation graph = induce Distribution.point Distribution.mixture decide cancellation graph

    let private mean (parts: struct (float * float)[]) =
        let mutable sum = 0.0

        for struct (p, x) in parts do
            sum <- sum + p * x

        sum

    /// Distributional dynamic programming with a stock: keeps the law of the outcome X = c_0 + G for each node, mixes laws over successors, and takes in each node
    /// the action whose law the functional likes best, the first among equals. With <c>Sight.FromTheStart</c> optimal among all decisions that may depend on the whole history if the functional is
    /// a mean E f(X), for any f: later stages see f_t(x) = f(gamma^t x). Pires et al. 2025, "Optimizing return distributions with distributional dynamic programming".
    /// An OperationCanceledException ends it early.
    let solve
        (sight: Sight)
        (functional: Distribution -> float)
        (cancellation: CancellationToken)
        (graph: StockGraph)
        : StockPlan<Distribution> =
        let judge stage law =
            match sight with
            | Sight.FromTheStart -> functional law
            | Sight.FromEachStage -> functional (Distribution.affine 0.0 (1.0 / graph.Weight stage) law)

        laws (best judge) cancellation graph

    /// max over all decisions of E f(X), X = c_0 + G the outcome of the whole: the same without laws.
    let solveMean (f: float -> float) (cancellation: CancellationToken) (graph: StockGraph) : StockPlan<float> =
        induce f mean (best (fun _ value -> value)) cancellation graph

    /// The law of the outcome, from every node on, under decisions that are given by an action for each stage, state and stock c.
    let evaluate (action: int -> int -> float -> int) (cancellation: CancellationToken) (graph: StockGraph) : StockPlan<Distribution> =
        let model = graph.Model

        let decide stage node (struct (first, last)) worth =
            let state = graph.Nodes(stage).[node].State
            let wanted = action stage state (graph.Stock(stage, node))
            let place = model.RowActions.Slice(first, last - first).IndexOf wanted

            if place < 0 then
                invalidArg (nameof action) $"state {state} must take one of its {last - first} actions but takes action {wanted}"

            struct (first + place, worth (first + place))

        laws decide cancellation graph

    /// The law of the outcome under the decisions of a plan.
    let lawOf (plan: StockPlan<'value>) (cancellation: CancellationToken) : Distribution =
        (laws (fun stage node _ worth -> struct (plan.Rows[stage].[node], worth plan.Rows[stage].[node])) cancellation plan.Graph).Value

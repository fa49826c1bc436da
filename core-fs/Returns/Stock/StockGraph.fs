namespace ValueFlow.Core.Returns

open System
open System.Collections.Generic
open System.Threading
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// A state at a stage, with the stock c of what was earned on the way to it: c' = (c + r) / gamma, so that the outcome of the whole is
/// gamma^t (c + G), whatever return G follows. Bauerle and Ott 2011, "Markov decision processes with average-value-at-risk criteria".
[<Struct>]
type StockNode =
    {
        /// The state; -1 once a transition has ended the episode.
        State: int
        /// gamma^t c: the start's stock and all rewards since, each discounted to the start.
        Earned: float
    }

/// What a decision maker may come to know in a finite number of steps: every state and stock that some actions reach from a start, stage by stage. Equal stocks are one
/// node: with whole rewards and discount 1 the stocks are a lattice, and the graph stays small.
[<Sealed>]
type StockGraph
    private (model: Model, discount: float, nodes: StockNode[][], places: Dictionary<struct (int * float), int>[], children: int[][][]) =

    /// The model.
    member _.Model = model
    /// The discount.
    member _.Discount = discount
    /// The number of steps.
    member _.Horizon = nodes.Length - 1
    /// gamma^t: what a reward at a stage is worth at the start.
    member _.Weight(stage: int) : float = Math.Pow(discount, float stage)
    /// The nodes of a stage; that of stage 0 is the start.
    member _.Nodes(stage: int) : ReadOnlySpan<StockNode> = ReadOnlySpan nodes[stage]

    /// The stock of a node, gamma^-t times what was earned.
    member this.Stock(stage: int, node: int) : float = nodes[stage].[node].Earned / this.Weight stage

    /// The node of a state and what was earned on the way to it; -1 if nothing leads there.
    member _.Find(stage: int, state: int, earned: float) : int =
        match places[stage].TryGetValue(struct (state, earned + 0.0)) with
        | true, node -> node
        | _ -> -1

    /// The first and the last row of a node, last exclusive; none where it ends.
    member internal _.Rows(stage: int, node: int) : struct (int * int) =
        let state = nodes[stage].[node].State

        if state < 0 || stage = nodes.Length - 1 then
            struct (0, 0)
        else
            struct (model.rowOffsets[state], model.rowOffsets[state + 1])

    /// The node of the next stage to which a transition leads from a node.
    member internal _.Child(stage: int, node: int, transition: int) : int =
        children[stage].[node].[transition - model.offsets[model.rowOffsets[nodes[stage].[node].State]]]

    /// All states and stocks that are reached from a state with a stock in <c>horizon</c> steps. Throws an ArgumentException for a discount outside (0, 1], a horizon below
    /// zero, a start that is no state, a stock that is no finite number, transitions that take more than a step (a continuation other than 0 and 1), and more than
    /// <c>mostNodes</c> nodes; an OperationCanceledException once cancelled.
    static member Reach
        (mostNodes: int, horizon: int, stock: float, start: int, discount: float, model: Model, cancellation: CancellationToken)
        : StockGraph =
        if not (discount > 0.0 && discount <= 1.0) then
            invalidArg (nameof discount) $"discount must lie in (0, 1] but is {discount}"

        if horizon < 0 then
            invalidArg (nameof horizon) $"horizon must not be negative but is {horizon}"

        if start < 0 || start >= model.StateCount then
            invalidArg (nameof start) $"start must be a state in [0, {model.StateCount}) but is {start}"

        if not (Double.IsFinite stock) then
            invalidArg (nameof stock) $"stock must be finite but is {stock}"

        match model.continuations |> Array.tryFind (fun share -> share <> 0.0 && share <> 1.0) with
        | Some share -> invalidArg (nameof model) $"every continuation must be 0 or 1 but one is {share}"
        | None -> ()

        let places = Array.init (horizon + 1) (fun _ -> Dictionary<struct (int * float), int>())
        let nodes = Array.init (horizon + 1) (fun _ -> ResizeArray<StockNode>())
        let mutable count = 0

        let place stage state earned =
            // -0.0 is 0.0.
            let key = struct (state, earned + 0.0)

            match places[stage].TryGetValue key with
            | true, node -> node
            | _ ->
                count <- count + 1

                if count > mostNodes then
                    invalidArg (nameof mostNodes) $"at most {mostNodes} states with their stocks may be reached but there are more"

                places[stage].Add(key, nodes[stage].Count)
                nodes[stage].Add { State = state; Earned = earned + 0.0 }
                nodes[stage].Count - 1

        place 0 start stock |> ignore

        let children =
            Array.init horizon (fun stage ->
                let weight = Math.Pow(discount, float stage)

                Array.init nodes[stage].Count (fun i ->
                    cancellation.ThrowIfCancellationRequested()
                    let node = nodes[stage].[i]

                    if node.State < 0 || model.IsTerminal node.State then
                        // What is over stays as it is until the horizon.
                        [| place (stage + 1) node.State node.Earned |]
                    else
                        let first, last = model.offsets[model.rowOffsets[node.State]], model.offsets[model.rowOffsets[node.State + 1]]

                        Array.init (last - first) (fun k ->
                            let transition = first + k
                            let state = if model.Continuation transition = 0.0 then -1 else model.successors[transition]
                            place (stage + 1) state (node.Earned + weight * model.rewards[transition]))))

        StockGraph(model, discount, nodes |> Array.map _.ToArray(), places, children)

    /// What a node that cannot act any more passes its outcome on to.
    member internal _.Heir(stage: int, node: int) : int = children[stage].[node].[0]

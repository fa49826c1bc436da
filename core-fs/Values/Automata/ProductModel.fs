namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open ValueFlow.Core.Foundations

/// A decision process and an automaton that reads along: states (s, b), all pairs of them.
///
/// An action of s leads to (s', delta(b, L(s'))) with the probability of s'; it earns 1 if delta(b, L(s')) is accepting, else 0. A jump of b is one more
/// action: s stays, and nothing is earned, whatever it leads to. A terminal state of the process is terminal here: a run that ends accepts nothing
/// (give the last state a self-loop where it should go on for ever).
[<Sealed>]
type ProductModel internal (basis: Model, automaton: Automaton, reads: int[], model: Model) =

    /// The process without the automaton.
    member _.Basis: Model = basis
    /// The automaton.
    member _.Automaton: Automaton = automaton
    /// The product as a model of its own: reward 1 on transitions into accepting states.
    member _.Model: Model = model
    /// delta(b, L(s)): the state of the automaton in b once it has read the labels of s.
    member _.Read(automatonState: int, state: int) : int = reads[state * automaton.StateCount + automatonState]
    member internal _.Reads = reads
    /// The number of the pair (s, b).
    member _.State(state: int, automatonState: int) : int = state * automaton.StateCount + automatonState
    /// The state s of a pair.
    member _.BasisState(productState: int) : int = productState / automaton.StateCount
    /// The automaton's state b of a pair.
    member _.AutomatonState(productState: int) : int = productState % automaton.StateCount
    /// The pairs to start from: the automaton has read the labels of the first state.
    member _.Initial: ReadOnlySpan<int> = model.Initial

/// Makes products, and finds how probable it is that the automaton accepts.
[<RequireQualifiedAccess>]
module ProductModel =

    let private built (name: string) (builder: ModelBuilder) =
        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidArg name (errors |> List.map ModelError.describe |> String.concat "; ")

    // Outcomes that cannot be told apart are one.
    let private joined (outcomes: seq<struct ('key * float)>) : struct ('key * float)[] =
        let sums = Dictionary<'key, float>()
        let order = ResizeArray<'key>()

        for struct (key, chance) in outcomes do
            match sums.TryGetValue key with
            | true, sum -> sums[key] <- sum + chance
            | _ ->
                sums[key] <- chance
                order.Add key

        [| for key in order -> struct (key, sums[key]) |]

    let private require (model: Model) =
        if model.IsInterval then
            invalidArg (nameof model) "the model must have probabilities but has intervals"

        match model.continuations |> Array.tryFindIndex (fun c -> c <> 0.0 && c <> 1.0) with
        | Some k -> invalidArg (nameof model) $"continuations must be 0 or 1 but that of transition {k} is {model.continuations[k]}"
        | None -> ()

    /// The product. Throws an ArgumentException for an interval model, and for continuations other than 0 and 1.
    let create (automaton: Automaton) (model: Model) : ProductModel =
        require model
        let labels = Automaton.labelsOf model
        let count = automaton.StateCount
        let builder = ModelBuilder(model.stateCount * count)
        let pair state b = state * count + b
        let reads = Array.init (model.stateCount * count) (fun i -> automaton.Read(i % count, labels[i / count]))

        for s in 0 .. model.stateCount - 1 do
            let rows =
                [|
                    for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                        joined (
                            seq {
                                for k in model.offsets[row] .. model.offsets[row + 1] - 1 ->
                                    struct (struct (model.successors[k], model.Continuation k), model.probabilities[k])
                            }
                        )
                |]

            for b in 0 .. count - 1 do
                if model.IsTerminal s then
                    builder.Terminal(pair s b)
                else
                    rows
                    |> Array.iteri (fun i outcomes ->
                        for struct (struct (next, continuation), chance) in outcomes do
                            let read = reads[pair next b]
                            let reward = if automaton.IsAccepting read then 1.0 else 0.0
                            let action = model.rowActions[model.rowOffsets[s] + i]
                            builder.AddContinuing(pair s b, action, pair next read, chance, reward, continuation, -1))

                    for target in automaton.Jumps b do
                        builder.Add(pair s b, model.actionCount + target, pair s target, 1.0, 0.0)

        builder.ParallelOutcomes <- true

        builder.StateNames
            [|
                for s in 0 .. model.stateCount - 1 do
                    for b in 0 .. count - 1 -> $"({model.StateName s}, {automaton.Name b})"
            |]

        builder.ActionNames
            [|
                for a in 0 .. model.actionCount - 1 -> model.ActionName a
                for b in 0 .. count - 1 -> $"jump to {automaton.Name b}"
            |]

        for entry in model.labels do
            builder.DeclareLabel entry.Key

            for s in entry.Value do
                for b in 0 .. count - 1 do
                    builder.Label(entry.Key, pair s b, -1)

        for s in model.initial do
            builder.Initial(pair s reads[pair s automaton.Initial])

        ProductModel(model, automaton, reads, built (nameof model) builder)

    /// The product in which only a policy acts: one action in every state.
    let under (policy: Policy) (product: ProductModel) : ProductModel =
        let model = product.Model
        Shape.requireLength (nameof policy) model.RowCount policy.Rows.Length
        let builder = ModelBuilder model.stateCount
        builder.ParallelOutcomes <- true

        for s in 0 .. model.stateCount - 1 do
            if model.IsTerminal s then
                builder.Terminal s
            else
                seq {
                    for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                        if policy.Rows[row] > 0.0 then
                            for k in model.offsets[row] .. model.offsets[row + 1] - 1 ->
                                struct (struct (model.successors[k], model.rewards[k], model.Continuation k),
                                        policy.Rows[row] * model.probabilities[k])
                }
                |> joined
                |> Array.iter (fun (struct (struct (next, reward, continuation), chance)) ->
                    builder.AddContinuing(s, 0, next, chance, reward, continuation, -1))

        model.initial |> Array.iter builder.Initial
        ProductModel(product.Basis, product.Automaton, product.Reads, built (nameof policy) builder)

    // States that can stay for ever in a component in which an accepting transition is taken again and again.
    let private winning (model: Model) =
        let each row test = Seq.forall test (seq { model.offsets[row] .. model.offsets[row + 1] - 1 })
        let lasting = Array.init model.RowCount (fun row -> each row (fun k -> model.Continuation k = 1.0))
        let struct (components, staying) = EndComponents.find model lasting
        let accepts = HashSet<int>()

        for s in 0 .. model.stateCount - 1 do
            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                if staying[row] && not (each row (fun k -> model.rewards[k] = 0.0)) then
                    accepts.Add components[s] |> ignore

        [|
            for s in 0 .. model.stateCount - 1 do
                if components[s] >= 0 && accepts.Contains components[s] then
                    s
        |]

    /// For each pair the largest probability with which the automaton accepts: that of reaching an end component with an accepting transition, certified
    /// by enclosure. Under a policy (see <c>under</c>) it is the policy's own. Courcoubetis and Yannakakis 1995, "The complexity of probabilistic verification".
    let satisfaction (options: RunOptions) (product: ProductModel) : Solution =
        let model = product.Model

        match winning model with
        | [||] ->
            let zeros () = Array.zeroCreate<float> model.stateCount
            let first s = if model.IsTerminal s then -1 else model.rowActions[model.rowOffsets[s]]

            {
                Values = zeros ()
                Lower = zeros ()
                Upper = zeros ()
                Policy = Array.init model.stateCount first
                Bound = 0.0
                Floor = 0.0
                PolicyLoss = 0.0
                Certificate = Certificate.Enclosure
                Outcome = Outcome.Converged
                Method = "no component accepts"
                Sweeps = 0
                History = [||]
            }
        | states ->
            let label = "accepted for ever"

            match Reachability.solve options Direction.Maximise label { model with labels = Map [ label, states ] } with
            | Ok solution -> solution
            | Error error -> invalidOp (UndiscountedError.describe error)

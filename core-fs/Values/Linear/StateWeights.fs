namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open System.Threading
open ValueFlow.Core.Foundations

/// Laws of states that say where a linear approximation is to be near.
[<RequireQualifiedAccess>]
module StateWeights =

    // Where a policy goes, without the discount; what ends starts anew: in the initial states, or in any that is not terminal if there are none.
    let private restarted (policy: Policy) (model: Model) =
        Shape.requireLength (nameof policy) model.RowCount policy.Rows.Length
        let all = [| 0 .. model.StateCount - 1 |] |> Array.filter (model.IsTerminal >> not)

        if all.Length = 0 then
            invalidArg (nameof model) "the model must have a state with actions but has none"

        let start = model.initial |> Array.filter (model.IsTerminal >> not)
        let start = if start.Length > 0 then start else all

        let rows =
            Array.init model.StateCount (fun s ->
                let sums = Dictionary<int, float>()
                let add next weight = sums[next] <- (sums.TryGetValue next |> snd) + weight

                for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                    for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                        let weight = policy.Rows[row] * model.probabilities[k]

                        if weight > 0.0 then
                            if model.IsTerminal model.successors[k] || model.Continuation k = 0.0 then
                                for next in start do
                                    add next (weight / float start.Length)
                            else
                                add model.successors[k] weight

                sums |> Seq.map (fun entry -> struct (entry.Key, entry.Value)) |> Array.ofSeq)

        struct (rows, start)

    let private reached (rows: struct (int * float)[][]) (start: int[]) =
        let seen = Array.create rows.Length false
        let open' = Stack<int>()

        let visit s =
            if not seen[s] then
                seen[s] <- true
                open'.Push s

        Array.iter visit start

        while open'.Count > 0 do
            for struct (next, _) in rows[open'.Pop()] do
                visit next

        seen

    // The law that an irreducible chain keeps, without a subtraction: every entry to full relative accuracy. Grassmann, Taksar and Heyman 1985, "Regenerative analysis and steady state
    // distributions for Markov chains".
    let private kept (rows: struct (int * float)[][]) (members: int[]) (cancellation: CancellationToken) =
        let n = members.Length
        let number = Dictionary<int, int>()
        members |> Array.iteri (fun i s -> number[s] <- i)
        let p = Array.init n (fun _ -> Array.zeroCreate<float> n)

        members
        |> Array.iteri (fun i s ->
            for struct (next, weight) in rows[s] do
                p[i].[number[next]] <- p[i].[number[next]] + weight)

        for k in n - 1 .. -1 .. 1 do
            cancellation.ThrowIfCancellationRequested()
            let out = Array.sum p[k].[0 .. k - 1]

            for i in 0 .. k - 1 do
                p[i].[k] <- p[i].[k] / out

                if p[i].[k] > 0.0 then
                    for j in 0 .. k - 1 do
                        p[i].[j] <- p[i].[j] + p[i].[k] * p[k].[j]

        let law = Array.zeroCreate<float> n
        law[0] <- 1.0

        for k in 1 .. n - 1 do
            for i in 0 .. k - 1 do
                law[k] <- law[k] + law[i] * p[i].[k]

        let total = Array.sum law
        law |> Array.map (fun x -> x / total)

    /// The share of time that a policy spends in each state in the long run: mu = mu P, where an episode that ends starts anew, in the initial states (all as likely; in every state with actions
    /// if the model names none). Terminal states have no share. Where there are several classes of states that are never left, each has the share of the starts that end up in it.
    /// The work grows with the third power of the largest class: for some thousand states.
    let stationary (cancellation: CancellationToken) (policy: Policy) (model: Model) : float[] =
        let struct (rows, start) = restarted policy model
        let law = Array.zeroCreate<float> model.StateCount
        let from = reached rows start
        // Down the chain until a class is never left.
        let rec settle s =
            let within = reached rows [| s |]

            match Seq.tryFind (fun t -> within[t] && not (reached rows [| t |]).[s]) (seq { 0 .. model.StateCount - 1 }) with
            | Some further -> settle further
            | None -> within

        let classOf = Array.create model.StateCount -1
        let classes = ResizeArray<int[]>()
        // A state leads to a known class, or to one that is still to be found.
        for s in 0 .. model.StateCount - 1 do
            if from[s] then
                cancellation.ThrowIfCancellationRequested()
                let within = reached rows [| s |]
                let known = seq { 0 .. model.StateCount - 1 } |> Seq.exists (fun t -> within[t] && classOf[t] >= 0)

                if not known then
                    let found = settle s
                    let members = [| 0 .. model.StateCount - 1 |] |> Array.filter (fun t -> found[t])
                    members |> Array.iter (fun t -> classOf[t] <- classes.Count)
                    classes.Add members

        let shares =
            if classes.Count = 1 then
                [| 1.0 |]
            else
                // The visits to states that are passed through, and where they lead.
                let incoming = Array.init model.StateCount (fun _ -> ResizeArray<struct (int * float)>())
                let first = Array.zeroCreate<float> model.StateCount
                start |> Array.iter (fun s -> first[s] <- first[s] + 1.0 / float start.Length)

                rows
                |> Array.iteri (fun s row ->
                    if from[s] && classOf[s] < 0 then
                        for struct (next, weight) in row do
                            incoming[next].Add(struct (s, weight)))

                let write s (add: int -> float -> unit) =
                    if classOf[s] < 0 then
                        for struct (before, weight) in incoming[s] do
                            add before weight

                let passing = first |> Array.mapi (fun s x -> if classOf[s] < 0 then x else 0.0)
                let visits = LinearEvaluation.solveRows model.StateCount write passing passing cancellation
                cancellation.ThrowIfCancellationRequested()
                let shares = Array.zeroCreate<float> classes.Count

                for s in 0 .. model.StateCount - 1 do
                    if classOf[s] >= 0 then
                        let entering = incoming[s] |> Seq.sumBy (fun (struct (before, weight)) -> visits[before] * weight)
                        shares[classOf[s]] <- shares[classOf[s]] + first[s] + entering

                shares

        classes
        |> Seq.iteri (fun i members ->
            let within = kept rows members cancellation
            members |> Array.iteri (fun j s -> law[s] <- shares[i] * within[j]))

        let total = Array.sum law
        law |> Array.map (fun x -> Math.Max(0.0, x) / total)

    /// The same share for each state that is not terminal.
    let uniform (model: Model) : float[] =
        let acting = Array.init model.StateCount (fun s -> if model.IsTerminal s then 0.0 else 1.0)
        let total = Array.sum acting

        if total = 0.0 then
            invalidArg (nameof model) "the model must have a state with actions but has none"

        acting |> Array.map (fun x -> x / total)

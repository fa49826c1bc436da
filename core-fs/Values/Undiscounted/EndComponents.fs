namespace ValueFlow.Core.Values

open System.Collections.Generic
open System.Threading

/// Where a process can stay for ever: sets of states, each with rows that lead nowhere else, in which every state reaches every other.
/// de Alfaro 1997, "Formal verification of probabilistic systems".
[<RequireQualifiedAccess>]
module EndComponents =

    /// For each state the number of its strongly connected component, along the transitions of the rows that are allowed. Tarjan 1972,
    /// "Depth-first search and linear graph algorithms", without recursion.
    let internal strong (watch: unit -> unit) (model: Model) (allowed: bool[]) : int[] =
        let count = model.stateCount
        let index, low, result = Array.create count -1, Array.zeroCreate count, Array.create count -1
        let stack, work = Stack<int>(), Stack<struct (int * int * int)>()
        let onStack = Array.zeroCreate<bool> count
        let mutable next = 0
        let mutable components = 0

        let visit s =
            index[s] <- next
            low[s] <- next
            next <- next + 1
            stack.Push s
            onStack[s] <- true
            work.Push(struct (s, model.rowOffsets[s], -1))

        for root in 0 .. count - 1 do
            if index[root] < 0 then
                visit root

                while work.Count > 0 do
                    watch ()
                    let struct (s, row, transition) = work.Pop()

                    if row >= model.rowOffsets[s + 1] then
                        if low[s] = index[s] then
                            let mutable top = stack.Pop()
                            onStack[top] <- false
                            result[top] <- components

                            while top <> s do
                                top <- stack.Pop()
                                onStack[top] <- false
                                result[top] <- components

                            components <- components + 1

                        if work.Count > 0 then
                            let struct (parent, _, _) = work.Peek()
                            low[parent] <- min low[parent] low[s]
                    else
                        let k = if transition < 0 then model.offsets[row] else transition

                        if not allowed[row] || k >= model.offsets[row + 1] then
                            work.Push(struct (s, row + 1, -1))
                        else
                            work.Push(struct (s, row, k + 1))
                            let successor = model.successors[k]

                            if index[successor] < 0 then
                                visit successor
                            elif onStack[successor] then
                                low[s] <- min low[s] index[successor]

        result

    let internal findUntil (cancellation: CancellationToken) (model: Model) (allowed: bool[]) : struct (int[] * bool[]) =
        let watch = Interruptible.watch cancellation
        let staying = Array.copy allowed
        let mutable strongly = strong watch model staying
        let mutable changed = true

        while changed do
            changed <- false

            for s in 0 .. model.stateCount - 1 do
                watch ()

                for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                    if staying[row] then
                        for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                            if staying[row] && strongly[model.successors[k]] <> strongly[s] then
                                staying[row] <- false
                                changed <- true

            if changed then
                strongly <- strong watch model staying

        let numbers = Dictionary<int, int>()

        let components =
            Array.init model.stateCount (fun s ->
                watch ()
                let rows = seq { model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 }

                if rows |> Seq.exists (fun row -> staying[row]) then
                    if not (numbers.ContainsKey strongly[s]) then
                        numbers[strongly[s]] <- numbers.Count

                    numbers[strongly[s]]
                else
                    -1)

        struct (components, staying)

    /// The maximal end components of the rows that are allowed: for each state its component, or -1; and for each row whether it stays in one.
    let find (model: Model) (allowed: bool[]) : struct (int[] * bool[]) = findUntil CancellationToken.None model allowed

    /// For each component its states.
    let internal members (components: int[]) : int[][] =
        let lists = Array.init (1 + Array.fold max -1 components) (fun _ -> ResizeArray<int>())

        components
        |> Array.iteri (fun s number ->
            if number >= 0 then
                lists[number].Add s)

        lists |> Array.map _.ToArray()

    /// Up to ten names of the states, for messages.
    let internal names (model: Model) (states: seq<int>) : string =
        let shown = states |> Seq.truncate 10 |> Seq.map model.StateName |> String.concat ", "
        let count = Seq.length states
        if count > 10 then $"{shown} and {count - 10} more" else shown

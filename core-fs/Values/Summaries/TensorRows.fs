namespace ValueFlow.Core.Values

open System
open TorchSharp
open ValueFlow.Core.Foundations

/// A kernel as tensors: rows padded to the longest, states padded to the most actions. R rows, K transitions at most in a row, S states,
/// A actions at most in a state. Padding repeats a row's first transition with probability zero. Frees its tensors when disposed.
/// Throws an InvalidOperationException where libtorch cannot be loaded.
[<Sealed>]
type TensorRows(kernel: Kernel) =

    do Lifetime.requireTorch ()

    let model = kernel.Model
    let rows = int64 model.RowCount
    let width = Math.Max(1, kernel.LongestRow)
    let places = Math.Max(1, kernel.MostActions)

    let transition (row: int) (k: int) =
        let first, last = model.offsets[row], model.offsets[row + 1] - 1
        struct (Math.Min(first + k, last), first + k <= last)

    let pad (pick: int -> bool -> float) : torch.Tensor =
        let data =
            Array.init (int rows * width) (fun i ->
                let struct (k, real) = transition (i / width) (i % width)
                // A padded place repeats the first transition.
                if real then pick k true else pick model.offsets[i / width] false)

        torch.tensor(data, dtype = torch.float64).reshape [| rows; int64 width |]

    let gamma k = if model.continuations.Length = 0 then kernel.Discount else kernel.Discounts[k]
    let orZero (values: float[]) k real = if real && values.Length > 0 then values[k] else 0.0

    let successors =
        let data =
            Array.init (int rows * width) (fun i ->
                let struct (k, real) = transition (i / width) (i % width)
                int64 model.successors[if real then k else model.offsets[i / width]])

        torch.tensor(data, dtype = torch.int64).reshape [| rows; int64 width |]

    let ofPlaces (pick: int -> int64) (real: int -> int -> bool) : torch.Tensor * torch.Tensor =
        let count = model.StateCount * places
        let row i = model.rowOffsets[i / places] + i % places
        let isReal i = real (i / places) (row i)
        let shape = [| int64 model.StateCount; int64 places |]

        let index =
            torch.tensor(Array.init count (fun i -> if isReal i then pick (row i) else 0L), dtype = torch.int64).reshape shape

        let mask = torch.tensor(Array.init count isReal, dtype = torch.bool).reshape shape
        index, mask

    // A terminal state has one place, of no consequence, so that no summary meets an empty set.
    let rowIndex, actionMask =
        ofPlaces (fun row -> int64 (Math.Min(row, model.RowCount - 1))) (fun state row ->
            row < model.rowOffsets[state + 1] || (model.IsTerminal state && row = model.rowOffsets[state]))

    let acting =
        torch.tensor (Array.init model.StateCount (fun s -> if model.IsTerminal s then 0.0 else 1.0), dtype = torch.float64)

    let probabilities = pad (orZero model.probabilities)
    let rewards = pad (fun k _ -> model.rewards[k])
    let discounts = pad (fun k _ -> gamma k)
    let lower = pad (orZero (if model.IsInterval then model.lower else model.probabilities))
    let upper = pad (orZero (if model.IsInterval then model.upper else model.probabilities))
    let owned = [ successors; rowIndex; actionMask; acting; probabilities; rewards; discounts; lower; upper ]
    do owned |> List.iter (fun tensor -> tensor.DetachFromDisposeScope() |> ignore)

    /// The kernel that the tensors were made from.
    member _.Kernel = kernel
    /// Successor states, (R, K) int64.
    member _.Successors = successors
    /// P, (R, K).
    member _.Probabilities = probabilities
    /// r, (R, K).
    member _.Rewards = rewards
    /// gamma, (R, K).
    member _.Discounts = discounts
    /// Least probabilities, (R, K); P itself if the model is no interval model.
    member _.Lower = lower
    /// Largest probabilities, (R, K); P itself if the model is no interval model.
    member _.Upper = upper
    /// For each state and place its row, (S, A) int64.
    member _.RowIndex = rowIndex
    /// For each state and place whether it is an action, (S, A) bool; a terminal state has one place of no consequence.
    member _.ActionMask = actionMask
    /// 1 for states with actions, 0 for terminal ones, (S).
    member _.Acting = acting

    /// r + gamma V(s'), (R, K), for values (S).
    member _.Outcomes(values: torch.Tensor) : torch.Tensor =
        Shape.require (nameof values) [ int64 model.StateCount ] values
        Shape.requireType (nameof values) torch.float64 values
        Elementwise.sum rewards (discounts.mul (values.index_select(0L, successors.flatten ()).reshape successors.shape))

    /// Row summaries (R) as action values (S, A); places that are no action hold zero.
    member _.ByState(summaries: torch.Tensor) : torch.Tensor =
        if rows = 0L then
            torch.zeros ([| int64 model.StateCount; int64 places |], dtype = torch.float64)
        else
            (summaries.index_select (0L, rowIndex.flatten ())).reshape(rowIndex.shape).mul(actionMask.``to`` torch.float64)

    interface IDisposable with
        member _.Dispose() = owned |> List.iter _.Dispose()

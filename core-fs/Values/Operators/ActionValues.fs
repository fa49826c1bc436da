namespace ValueFlow.Core.Values

open System
open ValueFlow.Core.Foundations

/// Action values: one number for each row of a model, that is, for each state and action that it allows.
[<RequireQualifiedAccess>]
module ActionValues =

    /// The kernel of an expectation over a model that knows its probabilities; an ArgumentException says who asks otherwise.
    let internal kernel (who: string) (model: Model) (discount: float) : Kernel =
        match Expectation().Misses model with
        | ValueSome words -> invalidArg (nameof model) $"{who} needs a model with {words}"
        | ValueNone -> Kernel(model, discount)

    /// sum over s' of P r + gamma P V(s') for a row, with the mean reward that is given in place of the model's.
    let internal backup (kernel: Kernel) (rewards: float[]) (values: float[]) (row: int) : float =
        let model = kernel.Model
        let mutable sum = rewards[row]

        for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
            sum <- sum + kernel.Weights[k] * values[model.successors[k]]

        sum

    /// For each state max over a of Q(s, a); zero in a terminal state.
    let internal largest (model: Model) (actionValues: float[]) : float[] =
        Array.init model.StateCount (fun s ->
            if model.IsTerminal s then
                0.0
            else
                let mutable best = Double.NegativeInfinity

                for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                    best <- Math.Max(best, actionValues[row])

                best)

    /// For each state the row of its largest (for costs its smallest) entry, the first among equals; -1 in a terminal state.
    let greedyRows (direction: Direction) (model: Model) (actionValues: float[]) : int[] =
        Shape.requireLength (nameof actionValues) model.RowCount actionValues.Length
        Shape.requireFinite (nameof actionValues) actionValues
        let sign = if direction = Direction.Maximise then 1.0 else -1.0

        Array.init model.StateCount (fun s ->
            let mutable best = -1

            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                if best < 0 || sign * actionValues[row] > sign * actionValues[best] then
                    best <- row

            best)

    /// For each state the action of its row; -1 where there is no row.
    let actionsOf (model: Model) (rows: int[]) : int[] = rows |> Array.map (fun row -> if row < 0 then -1 else model.rowActions[row])

    /// For each state Q(s, a) at its row; zero where there is no row.
    let at (rows: int[]) (actionValues: float[]) : float[] = rows |> Array.map (fun row -> if row < 0 then 0.0 else actionValues[row])

    /// Q(s, a) = sum over s' of P (r + gamma V(s')): one step ahead of values of states. The model has probabilities, not intervals (ArgumentException).
    let ofValues (model: Model) (discount: float) (values: float[]) : float[] =
        Shape.requireLength (nameof values) model.StateCount values.Length
        Shape.requireFinite (nameof values) values
        let kernel = kernel "an expectation" model discount
        Array.init model.RowCount (backup kernel kernel.RowRewards values)

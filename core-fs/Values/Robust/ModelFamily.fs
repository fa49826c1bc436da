namespace ValueFlow.Core.Values

open System
open System.Threading
open ValueFlow.Core.Foundations

/// Models over the same states and actions that differ in what follows from them: what a decision maker holds possible. Rewards are to be large.
[<Sealed>]
type ModelFamily private (models: Model[], discount: float) =

    let backups = models |> Array.map (fun model -> Bellman.Optimality(model, discount))

    /// The models, each with the same rows as the first, and a discount in [0, 1). An ArgumentException names the first model that differs, and where.
    static member Create(models: Model[], discount: float) : ModelFamily =
        if models.Length = 0 then
            invalidArg (nameof models) "a family must have at least one model but has none"

        let first = models[0]

        for i in 1 .. models.Length - 1 do
            if models[i].StateCount <> first.StateCount then
                invalidArg (nameof models) $"model {i} must have {first.StateCount} states, as model 0 has, but has {models[i].StateCount}"

            for s in 0 .. first.StateCount - 1 do
                let rows (model: Model) =
                    model.RowActions.Slice(model.RowOffsets[s], model.RowOffsets[s + 1] - model.RowOffsets[s]).ToArray()

                if rows models[i] <> rows first then
                    let words (model: Model) = rows model |> Array.map string |> String.concat ", "

                    invalidArg
                        (nameof models)
                        $"model {i} must allow the actions [{words first}] in state {s}, as model 0 does, but allows [{words models[i]}]"

        ModelFamily(Array.copy models, discount)

    /// The number of models.
    member _.Count = models.Length
    /// A model.
    member _.Item(index: int) : Model = models[index]
    /// The discount.
    member _.Discount = discount
    /// The number of states of each model.
    member _.StateCount = models[0].StateCount
    /// The number of pairs of a state and an action that it allows.
    member _.RowCount = models[0].RowCount
    /// The optimality operator of a model.
    member _.Backup(index: int) : Bellman = backups[index]

    /// The largest discount of a transition of any model, rounding included.
    member internal _.Modulus =
        backups |> Array.map (fun backup -> let struct (_, largest) = backup.Factors in largest) |> Array.max

    /// Writes sum over s' of P(r + gamma V(s')) under a model for every row.
    member internal _.ActionValues(index: int, values: float[], rows: float[]) : unit =
        backups[index].Sweep.ActionValues(values, rows, CancellationToken.None) |> ignore

    /// max over the actions of each state, of values of rows; zero in terminal states.
    member internal _.Best(rows: float[]) : float[] = ActionValues.largest models[0] rows

    /// For each state the first action whose row is within the tolerance of the largest; -1 in terminal states.
    member internal this.Greedy(rows: float[], tolerance: float) : int[] =
        let model = models[0]

        let best = this.Best rows

        Array.init model.StateCount (fun s ->
            let mutable row = model.RowOffsets[s]

            if model.IsTerminal s then
                -1
            else
                while rows[row] < best[s] - tolerance do
                    row <- row + 1

                model.RowActions[row])

/// Operators of families.
[<RequireQualifiedAccess>]
module ModelFamily =

    /// (T V)(s) = max over a of min over models i of sum over s' of P_i (r_i + gamma V(s')): nature chooses a model anew for every state and action. A contraction by the
    /// largest discount in the sup norm. Iyengar 2005, "Robust dynamic programming"; Nilim and El Ghaoui 2005, "Robust control of Markov decision processes with
    /// uncertain transition matrices".
    let robust (family: ModelFamily) : Operator<float[]> =
        let apply (values: float[]) =
            let least = Array.create family.RowCount Double.PositiveInfinity
            let rows = Array.zeroCreate family.RowCount

            for i in 0 .. family.Count - 1 do
                family.ActionValues(i, values, rows)

                for row in 0 .. rows.Length - 1 do
                    least[row] <- Math.Min(least[row], rows[row])

            family.Best least

        let rounding (values: float[]) = Seq.max [ for i in 0 .. family.Count - 1 -> family.Backup(i).Rounding values ]

        Operator.create $"robust over {family.Count} models" Space.vectors apply
        |> Operator.claim
            {
                Metric = Metric.sup
                Modulus = family.Modulus
                Rounding = ValueSome rounding
                Source = "Iyengar 2005; Nilim and El Ghaoui 2005"
            }
        |> Operator.monotone

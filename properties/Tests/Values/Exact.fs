namespace ValueFlow.Tests.Values

open ValueFlow.Core.Values
open ValueFlow.Tests

/// Decision processes solved in exact rational arithmetic: the judge of every certificate.
module Exact =

    /// A summary of one row in fractions: from probabilities, bounds and outcomes to the law that it takes the mean under.
    type Law = Rational[] -> Rational[] -> Rational[]

    let private sum (values: Rational seq) = Seq.fold (+) Rational.Zero values
    let min' a b : Rational = if a < b then a else b

    // Fills the outcomes in order with mass, each up to its room.
    let private fill (order: int[]) (room: int -> Rational) (mass: Rational) count =
        let filled = Array.create count Rational.Zero
        let mutable left = mass

        for k in order do
            filled[k] <- min' left (room k)
            left <- left - filled[k]

        filled

    /// The nominal law.
    let expectation: Law = fun p _ -> p

    /// q <= p / share, on the worst outcomes.
    let cvar (share: float) : Law =
        fun p x ->
            let share = Rational.OfFloat share
            let order = [| 0 .. p.Length - 1 |] |> Array.sortBy (fun k -> x[k])
            let masses = fill order (fun k -> p[k]) share p.Length
            // A row that sums to less than the share by rounding: the last outcome takes the rest, as the definition's limit.
            masses[Array.last order] <- masses[Array.last order] + (share - sum masses)
            masses |> Array.map (fun mass -> mass / share)

    /// Mass up to the radius moves from the best outcomes to the worst, within the nominal successors.
    let totalVariation (radius: float) : Law =
        fun p x ->
            let order = [| 0 .. p.Length - 1 |] |> Array.sortBy (fun k -> -x[k])
            let moved = fill order (fun k -> p[k]) (Rational.OfFloat radius) p.Length
            let law = Array.map2 (-) p moved
            let worst = Array.last order
            law[worst] <- law[worst] + sum moved
            law

    /// The solution of a regular system, by elimination.
    let solveLinear (matrix: Rational[][]) (right: Rational[]) =
        let n = right.Length
        let a = matrix |> Array.map Array.copy
        let b = Array.copy right

        for column in 0 .. n - 1 do
            let pivot = [ column .. n - 1 ] |> List.find (fun row -> a[row].[column].Sign <> 0)
            let swapA, swapB = a[column], b[column]
            a[column] <- a[pivot]
            b[column] <- b[pivot]
            a[pivot] <- swapA
            b[pivot] <- swapB

            for row in 0 .. n - 1 do
                if row <> column && a[row].[column].Sign <> 0 then
                    let factor = a[row].[column] / a[column].[column]

                    for k in column .. n - 1 do
                        if a[column].[k].Sign <> 0 then
                            a[row].[k] <- a[row].[k] - factor * a[column].[k]

                    b[row] <- b[row] - factor * b[column]

        Array.init n (fun i -> b[i] / a[i][i])

    /// A model in fractions: exactly the stored numbers.
    type Process(model: Model, discount: float, law: Law) =
        let p = model.Probabilities.ToArray() |> Array.map Rational.OfFloat
        let r = model.Rewards.ToArray() |> Array.map Rational.OfFloat
        let offsets, successors = model.Offsets.ToArray(), model.Successors.ToArray()
        let rowOffsets = model.RowOffsets.ToArray()

        let gamma =
            let d = Rational.OfFloat discount

            if model.Continuations.Length = 0 then
                Array.create p.Length d
            else
                model.Continuations.ToArray() |> Array.map (fun c -> d * Rational.OfFloat c)

        let transitions row = [| offsets[row] .. offsets[row + 1] - 1 |]
        let outcomes (values: Rational[]) row = transitions row |> Array.map (fun k -> r[k] + gamma[k] * values[successors[k]])
        let lawOf values row = law (transitions row |> Array.map (fun k -> p[k])) (outcomes values row)

        /// rho of a row.
        member _.RowValue(values, row) = Array.map2 (*) (lawOf values row) (outcomes values row) |> sum

        member _.Rows state = [| rowOffsets[state] .. rowOffsets[state + 1] - 1 |]

        /// The value of a deterministic policy, given by a row for each state (-1 if terminal), under the worst laws: exact.
        member this.Value(chosen: int[]) : Rational[] =
            let solve (laws: Rational[][]) =
                let n = model.StateCount
                let matrix = Array.init n (fun i -> Array.init n (fun j -> if i = j then Rational.One else Rational.Zero))
                let right = Array.create n Rational.Zero

                for s in 0 .. n - 1 do
                    if chosen[s] >= 0 then
                        transitions chosen[s]
                        |> Array.iteri (fun i k ->
                            matrix[s][successors[k]] <- matrix[s][successors[k]] - laws[s][i] * gamma[k]
                            right[s] <- right[s] + laws[s][i] * r[k])

                solveLinear matrix right

            let lawsAt values = chosen |> Array.map (fun row -> if row < 0 then [||] else lawOf values row)
            // Howard's iteration for the adversary: each law is the worst for the values of the last; ends when none gains.
            let rec descend values =
                let next = solve (lawsAt values)
                if next = values then values else descend next

            descend (solve (lawsAt (Array.create model.StateCount Rational.Zero)))

        /// The optimal values, by policy iteration.
        member this.Optimum(direction: Direction) : Rational[] =
            let better (a: Rational) (b: Rational) = if direction = Direction.Maximise then a > b else a < b

            let rec improve (chosen: int[]) =
                let values = this.Value chosen

                let next =
                    chosen
                    |> Array.mapi (fun s row ->
                        if row < 0 then
                            -1
                        else
                            this.Rows s
                            |> Array.fold
                                (fun best candidate ->
                                    if better (this.RowValue(values, candidate)) (this.RowValue(values, best)) then candidate else best)
                                row)

                if next = chosen then values else improve next

            improve (Array.init model.StateCount (fun s -> if model.IsTerminal s then -1 else (this.Rows s)[0]))

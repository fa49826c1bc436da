namespace ValueFlow.Tests.Values

open ValueFlow.Core.Values
open ValueFlow.Tests

/// Decision processes solved in exact rational arithmetic: the judge of every certificate.
module Exact =

    /// What is known of the probabilities of a row.
    type Row = { P: Rational[]; Lower: Rational[]; Upper: Rational[] }

    /// A summary of one row in fractions: from probabilities, bounds and outcomes to the law that it takes the mean under.
    type Law = Row -> Rational[] -> Rational[]

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
    let expectation: Law = fun row _ -> row.P

    /// The best law instead of the worst: -rho(-x).
    let favourable (law: Law) : Law = fun row x -> law row (Array.map (~-) x)

    /// q <= p / share, on the worst outcomes.
    let cvar (share: float) : Law =
        fun row x ->
            let p = row.P
            let share = Rational.OfFloat share
            let order = [| 0 .. p.Length - 1 |] |> Array.sortBy (fun k -> x[k])
            let masses = fill order (fun k -> p[k]) share p.Length
            // A row that sums to less than the share by rounding: the last outcome takes the rest, as the definition's limit.
            masses[Array.last order] <- masses[Array.last order] + (share - sum masses)
            masses |> Array.map (fun mass -> mass / share)

    /// Mass up to the radius moves from the best outcomes to the worst, within the outcomes that are given.
    let totalVariation (radius: float) : Law =
        fun row x ->
            let p = row.P
            let order = [| 0 .. p.Length - 1 |] |> Array.sortBy (fun k -> -x[k])
            let moved = fill order (fun k -> p[k]) (Rational.OfFloat radius) p.Length
            let law = Array.map2 (-) p moved
            let worst = Array.last order
            law[worst] <- law[worst] + sum moved
            law

    /// Every outcome has its least probability, and the worst ones get what is left. Rounding of the bounds is left to the last outcome.
    let interval: Law =
        fun row x ->
            let order = [| 0 .. row.P.Length - 1 |] |> Array.sortBy (fun k -> x[k])
            let left = Rational.One - sum row.Lower
            let masses = Array.map2 (+) row.Lower (fill order (fun k -> row.Upper[k] - row.Lower[k]) left row.P.Length)
            let last = Array.last order
            masses[last] <- masses[last] + (Rational.One - sum masses)
            masses

    /// (1 - e) of the nominal law, and e on the worst outcome that is given.
    let contamination (share: float) : Law =
        fun row x ->
            let share = Rational.OfFloat share
            let law = row.P |> Array.map (fun p -> (Rational.One - share) * p)
            let worst = [ 0 .. x.Length - 1 ] |> List.minBy (fun k -> x[k])
            law[worst] <- law[worst] + share
            law

    /// Weights 1 - t up to the expectile and t above it: the threshold at which t E (x - e)+ = (1 - t) E (e - x)+.
    let expectile (level: float) : Law =
        fun row x ->
            let t = Rational.OfFloat level

            let weighted threshold =
                let w = Array.map2 (fun p x -> p * (if x <= threshold then Rational.One - t else t)) row.P x
                w |> Array.map (fun v -> v / sum w)

            let balanced law =
                let e = Array.map2 (*) law x |> sum

                let part sign =
                    Array.map2 (fun p x -> let gap = sign * (x - e) in if gap.Sign > 0 then p * gap else Rational.Zero) row.P x
                    |> sum

                t * part Rational.One = (Rational.One - t) * part (-Rational.One)

            x |> Array.map weighted |> Array.find balanced

    /// Density 1 + c (z - E z), with z = 1 below the mean.
    let semideviation (weight: float) : Law =
        fun row x ->
            let mean = Array.map2 (*) row.P x |> sum
            let z = x |> Array.map (fun x -> if x < mean then Rational.One else Rational.Zero)
            let below = Array.map2 (*) row.P z |> sum
            Array.map2 (fun p z -> p * (Rational.One + Rational.OfFloat weight * (z - below))) row.P z

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

    /// A model in fractions: exactly the stored numbers. In the wide form every state is a successor of every row; one that the row does not name has
    /// probability zero, and earns the row's mean reward.
    type Process(model: Model, discount: float, law: Law, wide: bool) =
        let fractions (numbers: float[]) = numbers |> Array.map Rational.OfFloat
        let p, r = fractions (model.Probabilities.ToArray()), fractions (model.Rewards.ToArray())
        let lower = if model.IsInterval then fractions (model.Lower.ToArray()) else p
        let upper = if model.IsInterval then fractions (model.Upper.ToArray()) else p
        let offsets, successors = model.Offsets.ToArray(), model.Successors.ToArray()
        let rowOffsets = model.RowOffsets.ToArray()

        let gamma =
            let d = Rational.OfFloat discount

            if model.Continuations.Length = 0 then
                Array.create p.Length d
            else
                model.Continuations.ToArray() |> Array.map (fun c -> d * Rational.OfFloat c)

        // For each row its law, and for each outcome the reward, the discount and the successor.
        let rows =
            Array.init model.RowCount (fun row ->
                let named = [| offsets[row] .. offsets[row + 1] - 1 |]
                let mean = named |> Array.map (fun k -> p[k] * r[k]) |> sum

                let others =
                    [|
                        if wide then
                            for s in 0 .. model.StateCount - 1 do
                                if not (Array.exists (fun k -> successors[k] = s) named) then
                                    struct (mean, Rational.OfFloat discount, s)
                    |]

                let pad (numbers: Rational[]) =
                    Array.append (named |> Array.map (fun k -> numbers[k])) (Array.create others.Length Rational.Zero)

                { P = pad p; Lower = pad lower; Upper = pad upper },
                Array.append (named |> Array.map (fun k -> struct (r[k], gamma[k], successors[k]))) others)

        let outcomes (values: Rational[]) row = snd rows[row] |> Array.map (fun (struct (r, gamma, next)) -> r + gamma * values[next])
        let lawOf values row = law (fst rows[row]) (outcomes values row)

        /// rho of a row.
        member _.RowValue(values, row) = Array.map2 (*) (lawOf values row) (outcomes values row) |> sum

        /// The worst mean within a transport distance on the line of states: the dual at all its kinks.
        member _.Transported(values, row, radius: float) : Rational =
            let x = outcomes values row
            let p = (fst rows[row]).P
            let place k = (let struct (_, _, next) = (snd rows[row])[k] in next)
            let distance i j = Rational.OfInt(abs (place i - place j))
            let all = [ 0 .. x.Length - 1 ]
            let radius = Rational.OfFloat radius

            let dual price =
                (all |> List.sumBy (fun i -> p[i] * (all |> List.map (fun j -> x[j] + price * distance i j) |> List.min)))
                - price * radius

            let kinks =
                [
                    Rational.Zero
                    for i in all do
                        if p[i].Sign > 0 then
                            for j in all do
                                for k in all do
                                    let gap = distance i k - distance i j

                                    if gap.Sign > 0 && x[j] > x[k] then
                                        (x[j] - x[k]) / gap
                ]

            kinks |> List.distinct |> List.map dual |> List.max

        member _.Rows state = [| rowOffsets[state] .. rowOffsets[state + 1] - 1 |]

        /// The value of a deterministic policy, given by a row for each state (-1 if terminal), under the worst laws: exact.
        member this.Value(chosen: int[]) : Rational[] =
            let solve (laws: Rational[][]) =
                let n = model.StateCount
                let matrix = Array.init n (fun i -> Array.init n (fun j -> if i = j then Rational.One else Rational.Zero))
                let right = Array.create n Rational.Zero

                for s in 0 .. n - 1 do
                    if chosen[s] >= 0 then
                        snd rows[chosen[s]]
                        |> Array.iteri (fun i (struct (r, gamma, next)) ->
                            matrix[s][next] <- matrix[s][next] - laws[s][i] * gamma
                            right[s] <- right[s] + laws[s][i] * r)

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

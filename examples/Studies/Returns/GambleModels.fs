namespace ValueFlow.Studies

open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// Small models for decisions with a stock.
module internal GambleModels =

    let private built (builder: ModelBuilder) : Model =
        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    /// Five states, two actions with two outcomes each, whole rewards from -3 to 3: drawn with a seed.
    let gamble (seed: int) : Model =
        let generator = Generator seed
        let builder = ModelBuilder 5
        builder.ParallelOutcomes <- true

        for s in 0..4 do
            for a in 0..1 do
                let next = Sampling.distinct generator 2 5
                let chance = float (1 + generator.Below 3) / 4.0
                builder.Add(s, a, next[0], chance, float (generator.Below 7 - 3))
                builder.Add(s, a, next[1], 1.0 - chance, float (generator.Below 7 - 3))

        builder.Initial 0
        built builder

    /// What the cells of the pantry hold: eaten food adds one, work takes one away.
    let pantry: string[] = [| "S..+"; ".-.."; "..+."; "+..-" |]

    /// A 4 by 4 grid with pick-ups: who moves into a cell marked + or - earns 1 or -1, every time. A move slips to either side with probability 0.05.
    let pickUps () : Model =
        let builder = ModelBuilder 16
        let moves = [| 0, -1; 1, 0; 0, 1; -1, 0 |]

        let target cell (down, right) =
            let row, column = cell / 4 + down, cell % 4 + right
            if row < 0 || row > 3 || column < 0 || column > 3 then cell else 4 * row + column

        for cell in 0..15 do
            for a in 0..3 do
                let down, right = moves[a]

                [ target cell (down, right), 0.9; target cell (right, down), 0.05; target cell (-right, -down), 0.05 ]
                |> List.groupBy fst
                |> List.iter (fun (next, chances) ->
                    let earned =
                        match pantry[next / 4].[next % 4] with
                        | '+' -> 1.0
                        | '-' -> -1.0
                        | _ -> 0.0

                    builder.Add(cell, a, next, List.sumBy snd chances, earned))

        builder.Initial 0
        built builder

    /// A spread that returns to its mean, X' = X + k (m - X) dt + s sqrt(dt) xi, on a lattice of 15 places dx = s sqrt(3 dt) apart (Hull and White 1994, "Numerical procedures for implementing term structure models I"): k = s = 1,
    /// dt = 0.1. The actions hold -1, 0 or 1 of it, and what is paid is -position dX, in units of dx. State 7 is the mean. At the edges the outward probability stays.
    let spread () : Model =
        let builder = ModelBuilder 15

        for j in -7 .. 7 do
            let drift = -0.1 * float j
            let up = 1.0 / 6.0 + 0.5 * (drift * drift + drift)
            let down = 1.0 / 6.0 + 0.5 * (drift * drift - drift)
            let up' = if j = 7 then 0.0 else up
            let down' = if j = -7 then 0.0 else down

            for a in 0..2 do
                let position = float (a - 1)

                for step, chance in [ -1, down'; 0, 1.0 - up' - down'; 1, up' ] do
                    if chance > 0.0 then
                        builder.Add(j + 7, a, j + 7 + step, chance, 0.0 - position * float step)

        builder.Initial 7
        built builder

    /// The masses on the whole numbers from -span to span of all laws of the total that decisions depending on the whole history can reach, each once and more: the product of what successors reach, action by action.
    let reachable (span: int) (horizon: int) (start: int) (model: Model) : seq<float[]> =
        let moved (reward: float) (law: float[]) =
            let shift = int reward
            Array.init law.Length (fun i -> if i - shift >= 0 && i - shift < law.Length then law[i - shift] else 0.0)

        let rec laws steps state : seq<float[]> =
            if steps = 0 then
                Seq.singleton (Array.init (2 * span + 1) (fun i -> if i = span then 1.0 else 0.0))
            else
                seq {
                    for row in model.RowOffsets[state] .. model.RowOffsets[state + 1] - 1 do
                        let parts =
                            [
                                for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 ->
                                    known (steps - 1) model.Successors[k]
                                    |> Array.map (fun law ->
                                        moved model.Rewards[k] law |> Array.map (fun mass -> model.Probabilities[k] * mass))
                            ]

                        yield!
                            parts
                            |> List.fold
                                (fun sums part ->
                                    Seq.collect (fun (sum: float[]) -> part |> Seq.map (fun law -> Array.map2 (+) sum law)) sums)
                                (Seq.singleton (Array.zeroCreate (2 * span + 1)))
                }

        and store = System.Collections.Generic.Dictionary<struct (int * int), float[][]>()

        and known steps state =
            match store.TryGetValue(struct (steps, state)) with
            | true, laws -> laws
            | _ ->
                let found = laws steps state |> Array.ofSeq
                store[struct (steps, state)] <- found
                found

        laws horizon start

    /// A law's steps, to be drawn: the mass at or below.
    let steps (name: string) (law: Distribution) : Series =
        let atoms, masses = law.Atoms.ToArray(), law.Masses.ToArray()
        let sums = Array.scan (+) 0.0 masses

        let x =
            [|
                for i in 0 .. atoms.Length - 1 do
                    yield atoms[i]
                    yield atoms[i]
            |]

        let y =
            [|
                for i in 0 .. atoms.Length - 1 do
                    yield sums[i]
                    yield sums[i + 1]
            |]

        { Name = name; X = x; Y = y; Low = [||]; High = [||] }

namespace ValueFlow.TabularRuns

open System
open System.Threading
open ValueFlow.Core.Values

/// The families of decision processes that are timed. Garnet and dense are those of the recorded benchmarks, from another generator of random numbers; chain and grid mix slowly.
[<RequireQualifiedAccess>]
module Instances =

    let private built (arrays: ModelArrays) : Model =
        match ModelArrays.toModel 20 CancellationToken.None arrays with
        | Ok model -> model
        | Error errors -> invalidOp (ModelError.describe errors.Head)

    let private even (states: int) (actions: int) (branching: int) successors probabilities rewards : Model =
        built
            {
                RowOffsets = Array.init (states + 1) (fun s -> s * actions)
                RowActions = Array.init (states * actions) (fun row -> row % actions)
                Offsets = Array.init (states * actions + 1) (fun row -> row * branching)
                Successors = successors
                Probabilities = probabilities
                Rewards = RewardArray.OfRows rewards
                Continuations = [||]
                Lower = [||]
                Upper = [||]
                StateNames = [||]
                ActionNames = [||]
                Initial = [| 0 |]
                Labels = Map.empty
                Grid = ValueNone
            }

    // SplitMix64 (Steele, Lea and Flood 2014): fast, and the same everywhere.
    let private generator (seed: uint64) : unit -> uint64 =
        let mutable state = seed

        fun () ->
            state <- state + 0x9E3779B97F4A7C15UL
            let z = (state ^^^ (state >>> 30)) * 0xBF58476D1CE4E5B9UL
            let z = (z ^^^ (z >>> 27)) * 0x94D049BB133111EBUL
            z ^^^ (z >>> 31)

    /// 4 actions, 8 different successors each in increasing order, probabilities uniform and normalised, rewards uniform on [0, 1) by state and action.
    let garnet (states: int) (single: bool) : Model =
        let next = generator (20260101UL + uint64 states)
        let uniform () = float (next () >>> 11) * (1.0 / 9007199254740992.0)
        let rows, branching = states * 4, 8
        let successors = Array.zeroCreate<int>(rows * branching)
        let doubles = Array.zeroCreate<float>(if single then 0 else rows * branching)
        let singles = Array.zeroCreate<float32>(if single then rows * branching else 0)
        let shares = Array.zeroCreate<float> branching

        for row in 0 .. rows - 1 do
            let first = row * branching
            let mutable drawn = 0

            while drawn < branching do
                let state = int (next () % uint64 states)

                if Array.IndexOf(successors, state, first, drawn) < 0 then
                    successors[first + drawn] <- state
                    drawn <- drawn + 1

            Array.Sort(successors, first, branching)
            let mutable sum = 0.0

            for i in 0 .. branching - 1 do
                shares[i] <- 1.0 - uniform ()
                sum <- sum + shares[i]

            for i in 0 .. branching - 1 do
                if single then
                    singles[first + i] <- float32 (shares[i] / sum)
                else
                    doubles[first + i] <- shares[i] / sum

        let probabilities = if single then ProbabilityArray.Single singles else ProbabilityArray.Double doubles
        even states 4 branching successors probabilities (Array.init rows (fun _ -> uniform ()))

    /// 8 actions that lead everywhere, with probabilities uniform and normalised.
    let dense (states: int) : Model =
        let next = generator (777UL + uint64 states)
        let uniform () = float (next () >>> 11) * (1.0 / 9007199254740992.0)
        let rows = states * 8
        let probabilities = Array.init (rows * states) (fun _ -> 1.0 - uniform ())

        for row in 0 .. rows - 1 do
            let share = Span(probabilities, row * states, states)
            let mutable sum = 0.0

            for p in share do
                sum <- sum + p

            for i in 0 .. states - 1 do
                share[i] <- share[i] / sum

        let successors = Array.init (rows * states) (fun k -> k % states)
        even states 8 states successors (ProbabilityArray.Double probabilities) (Array.init rows (fun _ -> uniform ()))

    /// A walk on a line of states: two actions, towards either end, that succeed with probability .7 and go the other way otherwise; the reward is 1 in the last state alone. News travels one state a sweep.
    let chain (states: int) : Model =
        let forth s = min (states - 1) (s + 1)
        let back s = max 0 (s - 1)

        let successors =
            [|
                for s in 0 .. states - 1 do
                    yield! [| back s; forth s; back s; forth s |]
            |]

        let probabilities =
            [|
                for _ in 0 .. states - 1 do
                    yield! [| 0.7; 0.3; 0.3; 0.7 |]
            |]

        let rewards =
            [|
                for s in 0 .. states - 1 do
                    yield! (if s = states - 1 then [| 1.0; 1.0 |] else [| 0.0; 0.0 |])
            |]

        even states 2 2 successors (ProbabilityArray.Double probabilities) rewards

    /// A square of states: four moves that slip to either side with probability .1 each, a wall around; the reward is 1 in the last corner alone.
    let grid (side: int) : Model =
        let states = side * side
        let directions = [| struct (0, -1); struct (1, 0); struct (0, 1); struct (-1, 0) |]

        let move s (struct (dx, dy)) =
            let x, y = s % side + dx, s / side + dy
            if x < 0 || y < 0 || x >= side || y >= side then s else y * side + x

        let builder = ModelBuilder states

        for s in 0 .. states - 1 do
            for a in 0..3 do
                [ move s directions[(a + 3) % 4], 0.1; move s directions[a], 0.8; move s directions[(a + 1) % 4], 0.1 ]
                |> List.groupBy fst
                |> List.iter (fun (next, ways) -> builder.Add(s, a, next, List.sumBy snd ways, (if s = states - 1 then 1.0 else 0.0)))

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (ModelError.describe errors.Head)

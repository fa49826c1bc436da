/// Undiscounted objectives: closed forms, exact arithmetic, refusals.
module ValueFlow.Tests.Undiscounted.EnclosureTests

open System
open Xunit
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Tests

let private solved (result: Result<Solution, UndiscountedError>) =
    match result with
    | Ok solution -> solution
    | Error error -> invalidOp (UndiscountedError.describe error)

let private reach direction label model = Reachability.solve RunOptions.standard direction label model |> solved
let private total direction model = TotalReward.solve RunOptions.standard direction model |> solved

[<Fact>]
let ``the slippery lake of 4 x 4 is crossed with probability 14/17`` () =
    let solution = reach Direction.Maximise "goal" (FrozenLake.standard ())
    Assert.Equal(Certificate.Enclosure, solution.Certificate)
    Assert.True(solution.Bound <= 1e-8)
    Assert.True(solution.Lower[0] <= 14.0 / 17.0 && 14.0 / 17.0 <= solution.Upper[0])

[<Fact>]
let ``the cliff is passed for -13`` () =
    let solution = total Direction.Maximise (CliffWalking.create 0.0)
    Assert.Equal(Certificate.Enclosure, solution.Certificate)
    Assert.True(solution.Bound <= 1e-8, $"{solution.Bound}")
    Assert.True(solution.Lower[36] <= -13.0 && -13.0 <= solution.Upper[36])
    // Up, eleven times right, down.
    Assert.Equal(0, solution.Policy[36])
    Assert.Equal(1, solution.Policy[24])

[<Fact>]
let ``a gambler is ruined as often as the closed form says`` () =
    for states, right in [ 11, 0.5; 101, 0.5; 50, 0.6; 1001, 0.5; 5001, 0.55 ] do
        let solution = reach Direction.Maximise "right" (Chain.randomWalk states right)
        Assert.Equal(Certificate.Enclosure, solution.Certificate)
        Assert.Equal(Outcome.Converged, solution.Outcome)

        for s in 0 .. states - 1 do
            let n = float (states - 1)
            let q = (1.0 - right) / right
            let closed = if right = 0.5 then float s / n else (1.0 - q ** float s) / (1.0 - q ** n)

            Assert.True(
                abs (solution.Values[s] - closed) <= solution.Bound + 1e-12,
                $"state {s} of {states}: {solution.Values[s]} and {closed}"
            )

let private build states (rows: (int * int * (int * float * float) list) list) terminals label =
    let builder = ModelBuilder states

    for state, action, outcomes in rows do
        for successor, p, r in outcomes do
            builder.Add(state, action, successor, p, r)

    for s in terminals do
        builder.Terminal s

    for s in label do
        builder.Label("target", s, -1)

    match builder.Build() with
    | Ok model -> model
    | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

[<Fact>]
let ``an end component does not hold the upper bound up, and the policy leaves it`` () =
    // 0 and 1 may go to and fro for ever; 1 may also gamble: target or sink.
    let model = build 4 [ 0, 0, [ 1, 1.0, 0.0 ]; 1, 0, [ 0, 1.0, 0.0 ]; 1, 1, [ 2, 0.25, 0.0; 3, 0.75, 0.0 ] ] [ 2; 3 ] [ 2 ]

    let solution = reach Direction.Maximise "target" model
    Assert.True(abs (solution.Values[0] - 0.25) <= solution.Bound)
    Assert.True(solution.Bound <= 1e-8)
    Assert.Equal(1, solution.Policy[1])
    Assert.Equal(0.0, (reach Direction.Minimise "target" model).Upper[1])

let private refusal result =
    match result with
    | Ok(solution: Solution) -> invalidOp $"was not refused: %A{solution.Values}"
    | Error error -> UndiscountedError.describe error

[<Fact>]
let ``what is not well defined is refused, and the states are named`` () =
    let refuse direction model = TotalReward.solve RunOptions.standard direction model |> refusal
    let earning = build 3 [ 0, 0, [ 1, 1.0, 1.0 ]; 1, 0, [ 0, 1.0, 0.0 ]; 1, 1, [ 2, 1.0, 0.0 ] ] [ 2 ] []
    Assert.Contains("infinite", refuse Direction.Maximise earning)
    Assert.Contains("0, 1", refuse Direction.Maximise earning)
    // As costs the same model is fine: leave at once.
    Assert.True(abs (total Direction.Minimise earning).Values[1] <= 1e-8)
    let hopeless = build 2 [ 0, 0, [ 0, 1.0, -1.0 ] ] [ 1 ] []
    Assert.Contains("no policy ends", refuse Direction.Maximise hopeless)
    let balanced = build 3 [ 0, 0, [ 1, 1.0, 1.0 ]; 1, 0, [ 0, 1.0, -1.0 ]; 1, 1, [ 2, 1.0, 0.0 ] ] [ 2 ] []
    Assert.Contains("not well defined", refuse Direction.Maximise balanced)
    let losing = build 3 [ 0, 0, [ 1, 1.0, 1.0 ]; 1, 0, [ 0, 1.0, -2.0 ]; 1, 1, [ 2, 1.0, 5.0 ] ] [ 2 ] []
    Assert.True(abs ((total Direction.Maximise losing).Values[0] - 6.0) <= 1e-8)
    let gaining = build 3 [ 0, 0, [ 1, 1.0, 2.0 ]; 1, 0, [ 0, 1.0, -1.0 ]; 1, 1, [ 2, 1.0, 5.0 ] ] [ 2 ] []
    Assert.Contains("infinite", refuse Direction.Maximise gaining)
    Assert.Contains("labels are", Reachability.solve RunOptions.standard Direction.Maximise "gaol" (FrozenLake.standard ()) |> refusal)

/// All deterministic policies of a small model.
let rec private policies (rows: int[] list) : int list list =
    match rows with
    | [] -> [ [] ]
    | first :: rest ->
        [
            for choice in first do
                for others in policies rest -> choice :: others
        ]

// The exact value of every policy that is evaluated in fractions, by elimination on the states that still have something to come.
let private exactChain (model: Model) (chosen: int[]) (reward: int -> Rational) (settled: Rational option[]) =
    let open' =
        [|
            for s in 0 .. model.StateCount - 1 do
                if settled[s].IsNone then
                    s
        |]

    let place = open' |> Array.mapi (fun i s -> s, i) |> Map.ofArray
    let n = open'.Length
    let a = Array.init n (fun i -> Array.init n (fun j -> if i = j then Rational.One else Rational.Zero))
    let b = Array.create n Rational.Zero

    for i in 0 .. n - 1 do
        let row = chosen[open'[i]]

        for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
            let p = Rational.OfFloat model.Probabilities[k]
            b[i] <- b[i] + p * reward k

            match settled[model.Successors[k]] with
            | Some value -> b[i] <- b[i] + p * value
            | None ->
                let j = place[model.Successors[k]]
                a[i].[j] <- a[i].[j] - p

    let solution = ValueFlow.Tests.Values.Exact.solveLinear a b

    Array.init model.StateCount (fun s ->
        match settled[s] with
        | Some value -> value
        | None -> solution[place[s]])

let private randomModel (seed: int) =
    let generator = Generator seed
    let states = 3 + generator.Below 3
    let rows = ResizeArray()

    for s in 0 .. states - 3 do
        for a in 0 .. generator.Below 2 do
            let branching = 1 + generator.Below 2
            let successors = Sampling.distinct generator branching states
            let p = [ 0.25; 0.5; 0.75 ][generator.Below 3]
            let reward () = if generator.Uniform() < 0.4 then 0.0 else -float(generator.Below 4)

            rows.Add(
                s,
                a,
                (if branching = 1 then
                     [ successors[0], 1.0, reward () ]
                 else
                     [ successors[0], p, reward (); successors[1], 1.0 - p, reward () ])
            )

    build states (List.ofSeq rows) [ states - 2; states - 1 ] [ states - 1 ]

// From which states the chain of a policy reaches the goal states at all.
let private chainReaches (model: Model) (chosen: int[]) (goal: bool[]) =
    let reached = Array.copy goal
    let mutable growing = true

    while growing do
        growing <- false

        for s in 0 .. model.StateCount - 1 do
            if not reached[s] && chosen[s] >= 0 then
                for k in model.Offsets[chosen[s]] .. model.Offsets[chosen[s] + 1] - 1 do
                    if not reached[s] && reached[model.Successors[k]] then
                        reached[s] <- true
                        growing <- true

    reached

let private allPolicies (model: Model) =
    [ 0 .. model.StateCount - 1 ]
    |> List.map (fun s -> if model.IsTerminal s then [| -1 |] else [| model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 |])
    |> policies
    |> List.map Array.ofList

let private rowsOf (model: Model) (solution: Solution) =
    solution.Policy
    |> Array.mapi (fun s action ->
        if action < 0 then
            -1
        else
            seq { model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 }
            |> Seq.find (fun row -> model.RowActions[row] = action))

let private reachOf (model: Model) chosen =
    let goal = Array.init model.StateCount (fun s -> s = model.StateCount - 1)
    let reaches = chainReaches model chosen goal

    let settled =
        Array.init model.StateCount (fun s ->
            if goal[s] then Some Rational.One
            elif not reaches[s] then Some Rational.Zero
            else None)

    exactChain model chosen (fun _ -> Rational.Zero) settled

[<Fact>]
let ``probabilities of reaching are enclosed on 400 random models, both ways, and the policy attains them`` () =
    for seed in 1..400 do
        let model = randomModel seed
        let values = allPolicies model |> List.map (reachOf model)

        for direction in [ Direction.Maximise; Direction.Minimise ] do
            let solution = reach direction "target" model
            let attained = reachOf model (rowsOf model solution)
            Assert.True(solution.Bound <= 1e-8, $"seed {seed}: bound {solution.Bound}")

            for s in 0 .. model.StateCount - 1 do
                let best = values |> List.map (fun v -> v[s]) |> (if direction = Direction.Maximise then List.max else List.min)

                Assert.True(
                    Rational.OfFloat solution.Lower[s] <= best && best <= Rational.OfFloat solution.Upper[s],
                    $"seed {seed}, state {s}, {direction}: {best.ToFloat()} not in [{solution.Lower[s]}, {solution.Upper[s]}]"
                )

                Assert.True(
                    Rational.Abs(best - attained[s]) <= Rational.OfFloat solution.PolicyLoss,
                    $"seed {seed}, state {s}, {direction}: the policy attains {attained[s].ToFloat()} of {best.ToFloat()}"
                )

[<Fact>]
let ``total rewards are enclosed on random models, and refused exactly where no policy ends or rests`` () =
    let mutable solvedCount = 0

    for seed in 1..400 do
        let model = randomModel seed
        // Rewards are not positive: the value of a policy is finite where its chain comes to rest without cost.
        let valueOf (chosen: int[]) =
            let free =
                Array.init model.StateCount (fun s ->
                    chosen[s] < 0
                    || Seq.forall (fun k -> model.Rewards[k] = 0.0) (seq { model.Offsets[chosen[s]] .. model.Offsets[chosen[s] + 1] - 1 }))
            // Resting: states whose chain stays among free states for ever.
            let rests = Array.copy free
            let mutable shrinking = true

            while shrinking do
                shrinking <- false

                for s in 0 .. model.StateCount - 1 do
                    if
                        rests[s]
                        && chosen[s] >= 0
                        && Seq.exists
                            (fun k -> not rests[model.Successors[k]])
                            (seq { model.Offsets[chosen[s]] .. model.Offsets[chosen[s] + 1] - 1 })
                    then
                        rests[s] <- false
                        shrinking <- true

            let comes = chainReaches model chosen rests
            // A state that may come to one that never rests costs without end.
            let lost = chainReaches model chosen (Array.map not comes)

            let settled =
                Array.init model.StateCount (fun s ->
                    if rests[s] then Some Rational.Zero
                    elif lost[s] then Some(Rational.OfInt -1_000_000)
                    else None)

            let values = exactChain model chosen (fun k -> Rational.OfFloat model.Rewards[k]) settled
            Array.mapi (fun s v -> if lost[s] then None else Some v) values

        let values = allPolicies model |> List.map valueOf

        let best =
            Array.init model.StateCount (fun s ->
                values
                |> List.choose (fun v -> v[s])
                |> function
                    | [] -> None
                    | some -> Some(List.max some))

        match TotalReward.solve RunOptions.standard Direction.Maximise model with
        | Error(UndiscountedError.NeverEnds _) -> Assert.True(Array.exists Option.isNone best, $"seed {seed} was refused")
        | Error error -> Assert.Fail $"seed {seed}: {UndiscountedError.describe error}"
        | Ok solution ->
            solvedCount <- solvedCount + 1
            Assert.True(solution.Bound <= 1e-8, $"seed {seed}: {solution.Bound}")
            let attained = valueOf (rowsOf model solution)

            for s in 0 .. model.StateCount - 1 do
                Assert.True(best[s].IsSome, $"seed {seed} was not refused")
                let exact = best[s].Value

                Assert.True(
                    Rational.OfFloat solution.Lower[s] <= exact && exact <= Rational.OfFloat solution.Upper[s],
                    $"seed {seed}, state {s}: {exact.ToFloat()} not in [{solution.Lower[s]}, {solution.Upper[s]}]"
                )

                Assert.True(
                    attained[s].IsSome && Rational.Abs(exact - attained[s].Value) <= Rational.OfFloat solution.PolicyLoss,
                    $"seed {seed}, state {s}: policy"
                )

    Assert.True(solvedCount >= 100, $"{solvedCount} solved")

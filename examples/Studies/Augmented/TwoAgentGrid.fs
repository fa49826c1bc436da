namespace ValueFlow.Studies

open System
open System.Threading
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// A grid that two share: the principal proposes a direction, a follower lets it pass or overrides it at a cost. Each follower believes in a grid of its own, and
/// answers the principal's policy with a softmax of its best-response values; the principal meets the mean of the followers.
/// After Mandal, Triantafyllou and Radanovic 2023, "Performative reinforcement learning".
[<Sealed>]
type internal TwoAgentGrid(generator: Generator, followers: int, doubt: float) =

    let size = 4
    let states = size * size
    let discount = 0.9
    let overriding = -0.05
    let goal = states - 1
    // Reward for entering a cell: floor, mud, hole.
    let kinds = [| -0.01; -0.02; -0.5 |]

    let cells = [| 0; 0; 0; 1; 0; 2; 1; 0; 1; 0; 0; 2; 0; 1; 0; 0 |]

    let moves = [| struct (-1, 0); struct (0, 1); struct (1, 0); struct (0, -1) |]

    let target s a =
        let struct (dx, dy) = moves[a]
        let x, y = s % size + dx, s / size + dy
        if x < 0 || x >= size || y < 0 || y >= size then s else y * size + x

    let enter (kinds: float[]) s = if s = goal then 1.0 else kinds[s]
    let own = cells |> Array.map (fun kind -> kinds[kind])

    let beliefs =
        Array.init followers (fun _ ->
            cells |> Array.map (fun kind -> if generator.Uniform() < doubt then kinds[generator.Below 3] else kinds[kind]))

    // Values of each follower's last answer, from which the next one starts.
    let values = Array.init followers (fun _ -> Array.zeroCreate<float> states)

    /// The polytope's model for given chances, and the mean reward of each of its rows. Row 4 s + a; the goal leads back to the start.
    member _.Model(law: int -> int -> float[]) : Model =
        let builder = ModelBuilder states

        for s in 0 .. states - 1 do
            for a in 0..3 do
                law s a |> Array.iteri (fun next chance -> builder.Add(s, a, next, min 1.0 chance, 0.0))

        builder.Initial 0

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    /// The discount.
    member _.Discount = discount

    /// The measures of the grid without followers.
    member this.Alone: OccupancyPolytope =
        OccupancyPolytope.Create(
            this.Model(fun s a -> Array.init states (fun next -> if next = (if s = goal then 0 else target s a) then 1.0 else 0.0)),
            discount
        )

    /// For each state the mean probability with which followers take each of five actions: let it pass, or override by direction 1 to 4.
    member private _.Answer(policy: float[], sharpness: float) : float[][] =
        let mean = Array.init states (fun _ -> Array.zeroCreate<float> 5)

        for f in 0 .. followers - 1 do
            let v = values[f]
            let belief = beliefs[f]

            let gain s a =
                let next = target s a
                enter belief next + discount * v[next]


            let q s =
                if s = goal then
                    Array.create 5 (discount * v[0])
                else
                    let direct = Array.init 4 (gain s)
                    let passing = Array.init 4 (fun a -> policy[4 * s + a] * direct[a]) |> Array.sum
                    Array.append [| passing |] (direct |> Array.map (fun x -> x + overriding))

            let mutable change = 1.0

            while change > 1e-10 do
                change <- 0.0

                for s in 0 .. states - 1 do
                    let best = Array.max (q s)
                    change <- max change (abs (best - v[s]))
                    v[s] <- best

            for s in 0 .. states - 1 do
                let found = q s
                let top = Array.max found
                let weights = found |> Array.map (fun x -> exp (sharpness * (x - top)))
                let total = Array.sum weights
                weights |> Array.iteri (fun i w -> mean[s][i] <- mean[s][i] + w / total / float followers)

        mean

    /// What the followers make of the grid when the principal has this occupancy measure.
    member this.Respond (sharpness: float) (cancellation: CancellationToken) (occupancy: float[]) : PerformativeAnswer =
        let policy = (Occupancy.policy this.Alone occupancy).Weights.ToArray()
        let answer = this.Answer(policy, sharpness)
        let rewards = Array.zeroCreate<float>(4 * states)

        let law s a =
            let chances = Array.zeroCreate<float> states

            if s = goal then
                chances[0] <- 1.0
            else
                let add move chance cost =
                    let next = target s move
                    chances[next] <- chances[next] + chance
                    rewards[4 * s + a] <- rewards[4 * s + a] + chance * (enter own next + cost)

                let passes = answer[s]
                let passing = passes[0]
                add a passing 0.0

                for move in 0..3 do
                    let chance = passes[move + 1]
                    add move chance overriding

            chances

        let polytope = OccupancyPolytope.Create(this.Model law, discount)
        { Projection = Projection.Onto(polytope, cancellation); Rewards = rewards }

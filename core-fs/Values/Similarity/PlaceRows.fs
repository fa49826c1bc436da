namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open ValueFlow.Core.Foundations

/// Which action of another state an action is compared with.
[<RequireQualifiedAccess>]
type ActionMatching =
    /// The one of the same number. States that allow different sets of actions are never alike: they lie as far apart as values can, whatever follows. Actions that they share are not compared instead:
    /// what a state gains by an action of its own alone would go unseen.
    | SameAction
    /// The nearest one, in both directions (a Hausdorff distance): actions may have other numbers, and other sets. Taylor, Precup and Panangaden 2008, "Bounding performance loss in approximate MDP homomorphisms".
    | Nearest

/// The rows of a model as they are compared: for each place (a state, or the end) its actions with their mean rewards and the laws of the places that follow. A terminal place allows every action,
/// each of which stays there for nothing.
[<Sealed>]
type internal PlaceRows
    private (placeRows: int[], actionsOf: int[], rewards: float[], starts: int[], places: int[], masses: float[], longest: int) =

    let count = placeRows.Length - 1

    /// The number of places.
    member _.Count = count
    /// For each place its first row; one entry more than places.
    member _.PlaceRows: int[] = placeRows
    /// For each place the number of its set of actions: equal for equal sets.
    member _.ActionSets: int[] = actionsOf
    /// For each row its mean reward.
    member _.Rewards: float[] = rewards
    /// The most terms that the mean reward or a mass of a row sums.
    member _.Longest = longest

    /// The places that follow a row, with their masses.
    member _.Follows(row: int) : struct (int * float)[] = [| for k in starts[row] .. starts[row + 1] - 1 -> struct (places[k], masses[k]) |]

    member private _.Places = places
    member private _.Masses = masses
    member private _.Starts = starts

    /// W_d between what follows a row and what follows a row of rows over the same places.
    member _.Transport(solver: TransportSolver, d: float[], row: int, others: PlaceRows, other: int) : float =
        let first, next = starts[row], others.Starts[other]
        let n, m = starts[row + 1] - first, others.Starts[other + 1] - next
        let nextPlaces, nextMasses = others.Places, others.Masses

        if n = 1 || m = 1 then
            let mutable sum = 0.0

            for i in 0 .. n - 1 do
                for j in 0 .. m - 1 do
                    sum <- sum + masses[first + i] * nextMasses[next + j] * d[places[first + i] * count + nextPlaces[next + j]]

            sum
        else
            solver.Prepare(n, m)
            Array.blit masses first solver.Supply 0 n
            Array.blit nextMasses next solver.Demand 0 m

            for i in 0 .. n - 1 do
                for j in 0 .. m - 1 do
                    solver.Costs[i * m + j] <- d[places[first + i] * count + nextPlaces[next + j]]

            let struct (cost, _) = solver.Solve()
            cost

    /// The rows of a model without intervals. Where the numbers of actions do not matter, a terminal place has one row for all.
    static member Of(model: Model, numbered: bool) : PlaceRows =
        let ends = model.continuations |> Array.exists (fun share -> share < 1.0)
        let count = model.stateCount + (if ends then 1 else 0)
        let acts s = s < model.stateCount && not (model.IsTerminal s)
        let everything = model.rowActions |> Array.distinct |> Array.sort
        let placeRows, actionsOf = Array.zeroCreate (count + 1), Array.zeroCreate count

        let rewards, starts, places, masses =
            ResizeArray<float>(), ResizeArray<int>([ 0 ]), ResizeArray<int>(), ResizeArray<float>()

        let sets = Dictionary<string, int>()
        let sums = SortedDictionary<int, float>()
        let mutable longest = 1

        let put place mass =
            if mass > 0.0 then
                let known, sum = sums.TryGetValue place
                sums[place] <- (if known then sum else 0.0) + mass

        let close (reward: float) =
            let total = Seq.sum sums.Values

            for entry in sums do
                places.Add entry.Key
                masses.Add(entry.Value / total)

            sums.Clear()
            rewards.Add reward
            starts.Add places.Count

        for s in 0 .. count - 1 do
            let actions =
                if acts s then
                    Array.sub model.rowActions model.rowOffsets[s] (model.rowOffsets[s + 1] - model.rowOffsets[s])
                else
                    everything

            let key = String.Join(',', actions)
            let known, number = sets.TryGetValue key
            actionsOf[s] <- if known then number else sets.Count

            if not known then
                sets[key] <- sets.Count

            if acts s then
                for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                    let mutable reward = 0.0
                    longest <- Math.Max(longest, model.offsets[row + 1] - model.offsets[row])

                    for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                        let share = model.Continuation k
                        reward <- reward + model.probabilities[k] * model.rewards[k]
                        put model.successors[k] (model.probabilities[k] * share)
                        put (count - 1) (if ends then model.probabilities[k] * (1.0 - share) else 0.0)

                    close reward
            else
                for _ in 1 .. (if numbered then actions.Length else Math.Min(1, actions.Length)) do
                    put s 1.0
                    close 0.0

            placeRows[s + 1] <- rewards.Count

        PlaceRows(
            placeRows,
            actionsOf,
            rewards.ToArray(),
            starts.ToArray(),
            places.ToArray(),
            masses.ToArray(),
            longest + (if ends then longest else 0)
        )

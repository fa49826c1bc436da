namespace ValueFlow.Core.Returns

open System
open System.Collections.Generic
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// What follows each place: with probability w the reward r, and then the discounted return of another place. It makes of laws eta the laws
///
///   (T eta)(place) = sum over branches of w * law of r + gamma X, X ~ eta(source).
///
/// Branches with the same reward, discount and source are one; a branch on which nothing follows (gamma = 0, or a terminal state) has no
/// source. Made by the module of the same name.
[<Sealed>]
type Branches
    internal (sources: int, groupOffsets: int[], rewards: float[], discounts: float[], offsets: int[], weights: float[], targets: int[]) =
    let places = groupOffsets.Length - 1

    let most (size: int -> int) =
        let mutable largest = 0

        for place in 0 .. places - 1 do
            largest <- Math.Max(largest, size place)

        largest

    let mostGroups = most (fun place -> groupOffsets[place + 1] - groupOffsets[place])
    let mostBranches = most (fun place -> offsets[groupOffsets[place + 1]] - offsets[groupOffsets[place]])

    let largest (values: float[]) =
        let mutable result = 0.0

        for value in values do
            result <- Math.Max(result, abs value)

        result

    // max over places of the mean of f(discount).
    let moment (f: float -> float) =
        let mutable result = 0.0

        for place in 0 .. places - 1 do
            let mutable sum = 0.0

            for group in groupOffsets[place] .. groupOffsets[place + 1] - 1 do
                for k in offsets[group] .. offsets[group + 1] - 1 do
                    sum <- sum + weights[k] * f discounts[group]

            result <- Math.Max(result, sum)

        result * (1.0 + float (mostBranches + 8) * Bound.unitRoundoff)

    let largestReward = largest rewards

    let leastDiscount =
        lazy
            (let mutable result = if discounts.Length = 0 then 0.0 else Array.min discounts

             for place in 0 .. places - 1 do
                 if groupOffsets[place + 1] = groupOffsets[place] then
                     result <- 0.0

             result)

    let meanDiscount = lazy (moment id)

    // Place p owns the groups GroupOffsets[p] .. GroupOffsets[p+1]-1, each of one reward and discount, in increasing order; group g the
    // branches Offsets[g] .. Offsets[g+1]-1.
    member internal _.GroupOffsets = groupOffsets
    member internal _.Rewards = rewards
    member internal _.Discounts = discounts
    member internal _.Offsets = offsets
    member internal _.Weights = weights
    /// For each branch its source, -1 for none.
    member internal _.Targets = targets
    member internal _.MostGroups = mostGroups
    member internal _.MostBranches = mostBranches

    /// The number of places that the branches start from.
    member _.Places = places
    /// The number of places whose laws they lead to.
    member _.Sources = sources
    /// The number of branches.
    member _.Count = weights.Length
    /// The largest |r|.
    member _.LargestReward = largestReward
    /// The largest discount of a branch.
    member _.LargestDiscount = largest discounts
    /// The least discount of a branch; zero if a place has none.
    member _.LeastDiscount: float = leastDiscount.Value
    /// max over places of E gamma, rounding included: the modulus in W_1, and the square of that in l_2.
    member _.MeanDiscount: float = meanDiscount.Value
    /// max over places of E gamma^p, rounding included.
    member _.DiscountMoment(p: float) : float = moment (fun gamma -> if gamma = 0.0 then 0.0 else Math.Pow(gamma, p))

    /// The branches of a place, as (w, r, gamma, source); source -1 where nothing follows.
    member _.At(place: int) : struct (float * float * float * int)[] =
        if place < 0 || place >= places then
            invalidArg (nameof place) $"place must lie in [0, {places}) but is {place}"

        [|
            for group in groupOffsets[place] .. groupOffsets[place + 1] - 1 do
                for k in offsets[group] .. offsets[group + 1] - 1 do
                    struct (weights[k], rewards[group], discounts[group], targets[k])
        |]

    /// Throws an ArgumentException unless the table has the places that the branches lead to.
    member internal _.Require(table: ReturnTable) : unit =
        if table.Places <> sources then
            invalidArg (nameof table) $"the table must have {sources} places but has {table.Places}"

    /// The exact law (T eta)(place), without a projection: the law of 0 at a place without branches (a terminal state).
    member this.Law(table: ReturnTable, place: int) : Distribution =
        this.Require table
        let branches = this.At place

        if branches.Length = 0 then
            Distribution.point 0.0
        else
            Distribution.mixture (
                branches
                |> Seq.map (fun struct (weight, reward, discount, source) ->
                    let law =
                        if source < 0 then
                            Distribution.point reward
                        else
                            Distribution.affine reward discount (table.Law source)

                    struct (weight, law))
            )

    /// The branches of the chosen places, one after another; none for -1.
    member _.Choosing(chosen: int[]) : Branches =
        let spans =
            chosen
            |> Array.map (fun place ->
                if place < -1 || place >= places then
                    invalidArg (nameof chosen) $"a place must lie in [-1, {places}) but is {place}"

                if place < 0 then
                    struct (0, 0)
                else
                    struct (groupOffsets[place], groupOffsets[place + 1] - groupOffsets[place]))

        let groups = spans |> Array.collect (fun struct (first, count) -> Array.init count (fun i -> first + i))
        let sizes = groups |> Array.map (fun group -> offsets[group + 1] - offsets[group])

        let copy (values: 'a[]) =
            let result = Array.zeroCreate (Array.sum sizes)
            let mutable next = 0

            groups
            |> Array.iteri (fun i group ->
                Array.blit values offsets[group] result next sizes[i]
                next <- next + sizes[i])

            result

        Branches(
            sources,
            spans |> Array.scan (fun sum struct (_, count) -> sum + count) 0,
            groups |> Array.map (fun group -> rewards[group]),
            groups |> Array.map (fun group -> discounts[group]),
            sizes |> Array.scan (+) 0,
            copy weights,
            copy targets
        )

    /// The same branches leading to other places, one for each source: the rows that are taken in the states that a lookahead leads to,
    /// say. A source that no branch leads to may be sent anywhere.
    member _.LeadingTo(count: int, redirected: int[]) : Branches =
        Shape.requireLength (nameof redirected) sources redirected.Length

        let redirect target =
            if target < 0 then
                -1
            else
                let place = redirected[target]

                if place < 0 || place >= count then
                    invalidArg (nameof redirected) $"source {target} must be sent to a place in [0, {count}) but is sent to {place}"

                place

        Branches(count, groupOffsets, rewards, discounts, offsets, weights, targets |> Array.map redirect)

    /// For each place sum of w (r + gamma m(source)): what the operator makes of means m.
    member _.Means(means: float[]) : float[] =
        Shape.requireLength (nameof means) sources means.Length

        Array.init places (fun place ->
            let mutable sum = 0.0

            for group in groupOffsets[place] .. groupOffsets[place + 1] - 1 do
                for k in offsets[group] .. offsets[group + 1] - 1 do
                    let follows = if targets[k] < 0 then 0.0 else discounts[group] * means[targets[k]]
                    sum <- sum + weights[k] * (rewards[group] + follows)

            sum)

/// One branch while branches are gathered.
[<Struct>]
type private Branch = { Reward: float; Discount: float; Source: int; Weight: float }

/// Makes branches of decision processes.
[<RequireQualifiedAccess>]
module Branches =

    let private order =
        Comparer<Branch>.Create(fun x y ->
            if x.Reward <> y.Reward then x.Reward.CompareTo y.Reward
            elif x.Discount <> y.Discount then x.Discount.CompareTo y.Discount
            else x.Source.CompareTo y.Source)

    // Gathers the branches of one place after another.
    let private gatherWithin
        (mostBranches: int)
        (places: int)
        (sources: int)
        (visit: int -> (float -> float -> float -> int -> unit) -> unit)
        : Branches =
        let groupOffsets = Array.zeroCreate (places + 1)
        let rewards, discounts, offsets = ResizeArray<float>(), ResizeArray<float>(), ResizeArray<int>()
        let weights, targets = ResizeArray<float>(), ResizeArray<int>()
        let own = ResizeArray<Branch>()

        let add weight reward discount source =
            if weight > 0.0 then
                let follows = source >= 0 && discount > 0.0

                own.Add
                    {
                        Reward = reward
                        Discount = (if follows then discount else 0.0)
                        Source = (if follows then source else -1)
                        Weight = weight
                    }

        for place in 0 .. places - 1 do
            own.Clear()
            visit place add
            own.Sort order
            let mutable previous = { Reward = nan; Discount = nan; Source = -2; Weight = 0.0 }

            for branch in own do
                if branch.Reward <> previous.Reward || branch.Discount <> previous.Discount then
                    rewards.Add branch.Reward
                    discounts.Add branch.Discount
                    offsets.Add weights.Count
                    weights.Add branch.Weight
                    targets.Add branch.Source
                elif branch.Source <> previous.Source then
                    weights.Add branch.Weight
                    targets.Add branch.Source
                else
                    weights[weights.Count - 1] <- weights[weights.Count - 1] + branch.Weight

                previous <- branch

            groupOffsets[place + 1] <- rewards.Count

            if weights.Count > mostBranches then
                invalidArg
                    (nameof mostBranches)
                    $"there must be at most {mostBranches} branches but the first {place + 1} of {places} places have {weights.Count}"

        offsets.Add weights.Count

        Branches(sources, groupOffsets, rewards.ToArray(), discounts.ToArray(), offsets.ToArray(), weights.ToArray(), targets.ToArray())

    let private gather places sources visit = gatherWithin Int32.MaxValue places sources visit

    let private require (discount: float) (model: Model) =
        if not (discount >= 0.0 && discount <= 1.0) then
            invalidArg (nameof discount) $"discount must lie in [0, 1] but is {discount}"

        if model.IsInterval then
            invalidArg (nameof model) "the model must have known probabilities but knows them only to lie in intervals"

    // The transitions of a row; what follows a transition counts with its continuation, and nothing follows a terminal state.
    let private alongRow (discount: float) (model: Model) (row: int) (visit: float -> float -> float -> int -> unit) =
        for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
            let successor = model.successors[k]
            let gamma = if model.IsTerminal successor then 0.0 else discount * model.Continuation k
            visit model.probabilities[k] model.rewards[k] gamma successor

    /// From each state by an action of the policy: (T eta)(s) = sum over a of pi(a|s) sum over s' of P * law of r + gamma X(s'). gamma(s,
    /// a, s') = discount * continuation(s, a, s'), for a discount in [0, 1].
    let evaluation (discount: float) (policy: Policy) (model: Model) : Branches =
        require discount model
        Shape.requireLength (nameof policy) model.RowCount policy.Rows.Length

        gather model.stateCount model.stateCount (fun state add ->
            for row in model.rowOffsets[state] .. model.rowOffsets[state + 1] - 1 do
                let chance = policy.Rows[row]

                if chance > 0.0 then
                    alongRow discount model row (fun p reward gamma successor -> add (chance * p) reward gamma successor))

    /// From each row to the states that it leads to: (T eta)(s, a) = sum over s' of P * law of r + gamma X(s').
    let lookahead (discount: float) (model: Model) : Branches =
        require discount model
        gather model.RowCount model.stateCount (fun row add -> alongRow discount model row add)

    /// From each row to the rows that the policy takes next: (T eta)(s, a) = sum over s', a' of P pi(a'|s') * law of r + gamma X(s', a').
    let rowEvaluation (discount: float) (policy: Policy) (model: Model) : Branches =
        require discount model
        Shape.requireLength (nameof policy) model.RowCount policy.Rows.Length

        gather model.RowCount model.RowCount (fun row add ->
            alongRow discount model row (fun p reward gamma successor ->
                if gamma = 0.0 then
                    add p reward 0.0 -1
                else
                    for next in model.rowOffsets[successor] .. model.rowOffsets[successor + 1] - 1 do
                        add (p * policy.Rows[next]) reward gamma next))

    let private continued (mostBranches: int) (following: Branches) (first: Branches) =
        gatherWithin mostBranches first.Places following.Sources (fun place add ->
            for struct (weight, reward, discount, source) in first.At place do
                if source < 0 then
                    add weight reward 0.0 -1
                else
                    for struct (w, r, gamma, next) in following.At source do
                        add (weight * w) (reward + discount * r) (discount * gamma) next)

    /// Branches of the one, continued by those of the other: rewards r + gamma r', discounts gamma gamma', probabilities w w'. So that n
    /// steps need one projection, at the end.
    let andThen (following: Branches) (first: Branches) : Branches =
        if following.Places <> first.Sources then
            invalidArg (nameof following) $"branches must start from {first.Sources} places but start from {following.Places}"

        continued Int32.MaxValue following first

    /// n steps of branches that lead back to where they start. The number of branches may grow exponentially: an ArgumentException names
    /// both numbers where they become more than <c>mostBranches</c>.
    let steps (count: int) (mostBranches: int) (branches: Branches) : Branches =
        if count < 1 then
            invalidArg (nameof count) $"count must be at least 1 step but is {count}"

        if branches.Places <> branches.Sources then
            invalidArg (nameof branches) $"branches must lead back to their {branches.Places} places but lead to {branches.Sources}"

        Seq.fold (fun whole _ -> continued mostBranches branches whole) branches (seq { 2..count })

namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open ValueFlow.Core.Foundations

/// A smaller model whose states are classes of alike ones, and what it costs to plan with it.
type AggregatedModel =
    {
        /// For each state of the model its class.
        ClassOf: int[]
        /// For each class its states, in increasing order; empty for the class of ends alone, if there is one.
        Classes: int[][]
        /// One state for each class, with the means of its members' rewards and transitions, all members counting alike. Its initial states are the classes of the model's.
        Model: Model
        /// For each state a bound on |V*(s) - V(class of s)|, V the optimal values of the aggregated model at the same discount.
        Bounds: float[]
    }

    /// The largest bound.
    member this.Bound: float = Array.fold (fun (most: float) x -> Math.Max(most, x)) 0.0 this.Bounds

    /// For each state the value of its class.
    member this.Lift(values: float[]) : float[] =
        Shape.requireLength (nameof values) this.Model.StateCount values.Length
        this.ClassOf |> Array.map (fun c -> values[c])

    /// For each state the action of its class; -1 stays in terminal states of the model.
    member this.LiftPolicy(original: Model, actions: int[]) : int[] =
        Shape.requireLength (nameof actions) this.Model.StateCount actions.Length
        this.ClassOf |> Array.mapi (fun s c -> if original.IsTerminal s then -1 else actions[c])

/// States that lie near one another become one.
[<RequireQualifiedAccess>]
module Aggregation =

    /// Classes of places in which no two are farther apart than the diameter, nor allow other actions: each place joins the first class that it fits, in the order of their numbers. For each place its
    /// class. Distances that are bounds from above (a point of the bisimulation's operator plus its bound) keep the promise for d*.
    let clusters (bisimulation: Bisimulation) (distances: float[]) (diameter: float) : int[] =
        let count = bisimulation.Places
        Shape.requireLength (nameof distances) (count * count) distances.Length
        Shape.requireFinite (nameof distances) distances

        if not (diameter >= 0.0) then
            invalidArg (nameof diameter) $"the diameter must not be negative but is {diameter}"

        let classes = ResizeArray<ResizeArray<int>>()

        Array.init count (fun place ->
            let fits (members: ResizeArray<int>) =
                members
                |> Seq.forall (fun other -> bisimulation.Comparable(place, other) && distances[place * count + other] <= diameter)

            match classes |> Seq.tryFindIndex fits with
            | Some found ->
                classes[found].Add place
                found
            | None ->
                classes.Add(ResizeArray [ place ])
                classes.Count - 1)

    let private requireClasses (bisimulation: Bisimulation) (classOf: int[]) =
        Shape.requireLength (nameof classOf) bisimulation.Places classOf.Length
        let count = if classOf.Length = 0 then 0 else 1 + Array.max classOf
        let members = Array.init count (fun _ -> ResizeArray<int>())

        classOf
        |> Array.iteri (fun place c ->
            if c < 0 then
                invalidArg (nameof classOf) $"the class of state {place} must not be negative but is {c}"

            members[c].Add place)

        members
        |> Array.iteri (fun c places ->
            if places.Count = 0 then
                invalidArg (nameof classOf) $"classes must be numbered from 0 without a gap but class {c} has no state"

            match places |> Seq.tryFind (fun place -> not (bisimulation.Comparable(places[0], place))) with
            | Some place ->
                invalidArg
                    (nameof classOf)
                    $"states of a class must allow the same actions but {places[0]} and {place}, both of class {c}, do not"
            | None -> ())

        members |> Array.map (fun places -> places.ToArray())

    let private build (bisimulation: Bisimulation) (classOf: int[]) (members: int[][]) =
        let model = bisimulation.Model
        let builder = ModelBuilder members.Length
        let everything = model.rowActions |> Array.distinct |> Array.sort
        let terminal place = place >= model.stateCount || model.IsTerminal place

        members
        |> Array.iteri (fun c places ->
            if places |> Array.forall terminal then
                builder.Terminal c
            else
                let acting = places |> Array.find (terminal >> not)

                let actions = Array.sub model.rowActions model.rowOffsets[acting] (model.rowOffsets[acting + 1] - model.rowOffsets[acting])

                let rows = bisimulation.Rows
                let share = 1.0 / float places.Length

                actions
                |> Array.iteri (fun k action ->
                    let law = SortedDictionary<int, float>()
                    let mutable reward = 0.0

                    for place in places do
                        let row = rows.PlaceRows[place] + k
                        reward <- reward + share * rows.Rewards[row]

                        for struct (next, mass) in rows.Follows row do
                            let known, sum = law.TryGetValue classOf[next]
                            law[classOf[next]] <- (if known then sum else 0.0) + share * mass

                    for entry in law do
                        builder.Add(c, action, entry.Key, Math.Min(1.0, entry.Value), reward)))

        let names = members |> Array.map (fun places -> places |> Array.filter (fun place -> place < model.stateCount))

        builder.StateNames(
            names
            |> Array.map (fun places ->
                if places.Length = 0 then "end"
                elif places.Length <= 3 then places |> Array.map model.StateName |> String.concat " + "
                else $"{model.StateName places[0]} + {places.Length - 1} more")
        )

        if everything.Length > 0 then
            builder.ActionNames(Array.init (1 + Array.max everything) model.ActionName)

        for state in model.initial do
            builder.Initial classOf[state]

        match builder.Build() with
        | Ok aggregated -> struct (aggregated, names)
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    /// The model of the classes (for each place its class, numbered from 0) and the bounds
    ///
    /// |V*(s) - V(class of s)| &lt;= g(s) / c_R + gamma / (1 - gamma) max g / c_R, at most max g / (c_R (1 - gamma)),
    ///
    /// g(s) the mean of d*(s, z) over the class of s: Ferns, Panangaden and Precup 2004. <c>distances</c> are d*, or a bound on it from above. Throws an ArgumentException for a discount above c_T or not
    /// in [0, 1), actions matched otherwise than by number, classes that are numbered with gaps, and a class whose states allow different actions.
    let aggregate (bisimulation: Bisimulation) (distances: float[]) (discount: float) (classOf: int[]) : AggregatedModel =
        let count = bisimulation.Places
        Shape.requireLength (nameof distances) (count * count) distances.Length
        Shape.requireFinite (nameof distances) distances

        if not (discount >= 0.0 && discount <= bisimulation.TransitionWeight) then
            invalidArg
                (nameof discount)
                $"the discount must lie in [0, {bisimulation.TransitionWeight}], the weight of transitions, but is {discount}"

        if bisimulation.Matching <> ActionMatching.SameAction then
            invalidArg
                (nameof bisimulation)
                "actions must be matched by number but are matched with the nearest one: a class then has no common action to average"

        let members = requireClasses bisimulation classOf
        let struct (model, names) = build bisimulation classOf members

        let means =
            Array.init count (fun place ->
                let others = members[classOf[place]]
                let mutable sum = 0.0

                for other in others do
                    sum <- sum + (if other = place then 0.0 else distances[place * count + other])

                sum / float others.Length)

        let most = Array.fold (fun (most: float) x -> Math.Max(most, x)) 0.0 means
        let states = bisimulation.Model.stateCount
        // Means of as many numbers as a class has states.
        let rounded = 1.0 + float (count + 4) * Bound.unitRoundoff

        {
            ClassOf = Array.sub classOf 0 states
            Classes = names
            Model = model
            Bounds =
                Array.init states (fun s ->
                    Bound.above (rounded * (means[s] + discount / (1.0 - discount) * most) / bisimulation.RewardWeight))
        }

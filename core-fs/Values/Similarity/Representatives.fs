namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open System.Threading
open ValueFlow.Core.Foundations

/// A few points that stand for a space of states: what follows from a point is sampled, and each sample counts at the points that stand for it.
[<Sealed>]
type Representatives private (points: float[][], spread: float[] -> struct (int * float)[]) =

    /// The points.
    member _.Points: IReadOnlyList<float[]> = Array.AsReadOnly points

    /// The points that stand for a state, with shares that sum to one.
    member _.Stand(state: float[]) : struct (int * float)[] =
        Shape.requireLength (nameof state) points[0].Length state.Length
        Shape.requireFinite (nameof state) state
        spread state

    static member private Require(points: float[][]) =
        if points.Length = 0 then
            invalidArg (nameof points) "there must be at least one point but there is none"

        points
        |> Array.iteri (fun i point ->
            if point.Length <> points[0].Length then
                invalidArg
                    (nameof points)
                    $"points must have {points[0].Length} coordinates, as point 0 has, but point {i} has {point.Length}"

            Shape.requireFinite $"points[{i}]" point)

    /// Points of any dimension: a state counts at the nearest one, in the Euclidean distance; the lowest number among equals.
    static member Nearest(points: float[][]) : Representatives =
        Representatives.Require points
        let points = Array.map Array.copy points

        let apart (x: float[]) (y: float[]) = Array.fold2 (fun sum a b -> sum + (a - b) * (a - b)) 0.0 x y

        Representatives(
            points,
            (fun state -> [| struct (points |> Array.map (apart state) |> Array.indexed |> Array.minBy snd |> fst, 1.0) |])
        )

    /// Points of a line, increasing: a state between two counts at both, so that the mean stays where it was; beyond the ends it counts at the end.
    static member OnLine(places: float[]) : Representatives =
        Representatives.Require(places |> Array.map Array.singleton)

        for i in 1 .. places.Length - 1 do
            if not (places[i] > places[i - 1]) then
                invalidArg (nameof places) $"places must increase but place {i} is {places[i]} after {places[i - 1]}"

        let places = Array.copy places
        let last = places.Length - 1

        let spread (state: float[]) =
            let x = state[0]

            if x <= places[0] then
                [| struct (0, 1.0) |]
            elif x >= places[last] then
                [| struct (last, 1.0) |]
            else
                let found = Array.BinarySearch(places, x)

                if found >= 0 then
                    [| struct (found, 1.0) |]
                else
                    let above = ~~~found
                    let share = (x - places[above - 1]) / (places[above] - places[above - 1])
                    [| struct (above - 1, 1.0 - share); struct (above, share) |]

        Representatives(places |> Array.map Array.singleton, spread)

    /// The model over the points whose rows are the empirical laws of <c>samples</c> draws each: <c>step generator state action</c> is a next state and a reward. Every row draws from a generator of its own, so that
    /// the same seed gives the same model. Distances d* of it are off by O(samples^(-1/2)) and by what the points leave out: see <c>Bisimulation.Perturbation</c>. Ferns, Panangaden and
    /// Precup 2011, "Bisimulation metrics for continuous Markov decision processes", section 5.
    member _.Sample
        (
            actions: int,
            samples: int,
            generator: Generator,
            step: Generator -> float[] -> int -> struct (float[] * float),
            cancellation: CancellationToken
        ) : Model =
        if actions < 1 then
            invalidArg (nameof actions) $"actions must be at least 1 but are {actions}"

        if samples < 1 then
            invalidArg (nameof samples) $"samples must be at least 1 but are {samples}"

        let builder = ModelBuilder points.Length
        let dimension = points[0].Length

        for s in 0 .. points.Length - 1 do
            for action in 0 .. actions - 1 do
                cancellation.ThrowIfCancellationRequested()
                let own = generator.Split()
                let law = SortedDictionary<int, float>()
                let mutable reward = 0.0

                for _ in 1..samples do
                    let struct (next, earned) = step own (Array.copy points[s]) action

                    if next.Length <> dimension || not (Array.forall Double.IsFinite next) || not (Double.IsFinite earned) then
                        invalidArg
                            (nameof step)
                            $"what follows point {s} and action {action} must be {dimension} finite numbers and a finite reward but is %A{next} and {earned}"

                    reward <- reward + earned / float samples

                    for struct (place, share) in spread next do
                        let known, sum = law.TryGetValue place
                        law[place] <- (if known then sum else 0.0) + share / float samples

                for entry in law do
                    builder.Add(s, action, entry.Key, Math.Min(1.0, entry.Value), reward)

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

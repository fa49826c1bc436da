namespace ValueFlow.Core.Values

open System
open System.Collections.Generic

/// How far states lie apart: what it costs to move a unit of probability from one to another. Not negative, zero from a state to itself; infinite where nothing may move.
/// Neither symmetry nor the triangle inequality is asked for.
[<Sealed>]
type StateMetric private (count: int, distance: Func<int, int, float>) =

    /// States that it knows.
    member _.Count = count
    /// The distance from a state to another.
    member _.Between(from: int, towards: int) : float = distance.Invoke(from, towards)

    /// Distances by a table, from the state of the row to that of the column. An ArgumentException names an entry that is no distance.
    static member OfTable(table: float[,]) : StateMetric =
        let count = Array2D.length1 table

        if Array2D.length2 table <> count then
            invalidArg (nameof table) $"the table must be square but is {count} x {Array2D.length2 table}"

        table
        |> Array2D.iteri (fun i j d ->
            if not (d >= 0.0) || (i = j && d <> 0.0) then
                invalidArg
                    (nameof table)
                    $"distances must not be negative, and zero from a state to itself, but that from {i} to {j} is {d}")

        let table = Array2D.copy table
        StateMetric(count, (fun i j -> table[i, j]))

    /// Euclidean distances between points, one for each state, of the same dimension.
    static member OfPoints(points: float[][]) : StateMetric =
        points
        |> Array.iteri (fun i point ->
            if point.Length <> points[0].Length || not (Array.forall Double.IsFinite point) then
                invalidArg (nameof points) $"points must be finite and of one dimension but that of state {i} is not")

        let points = Array.map Array.copy points

        StateMetric(
            points.Length,
            fun i j ->
                let mutable sum = 0.0

                for k in 0 .. points[i].Length - 1 do
                    sum <- sum + (points[i][k] - points[j][k]) * (points[i][k] - points[j][k])

                Math.Sqrt sum
        )

    /// |i - j| for states in a line, by their numbers.
    static member Line: StateMetric = StateMetric(Int32.MaxValue, (fun i j -> float (abs (i - j))))

    /// 1 between any two states: then the ball is that of total variation.
    static member Discrete: StateMetric = StateMetric(Int32.MaxValue, (fun i j -> if i = j then 0.0 else 1.0))

    /// The fewest transitions of a model between two states, in either direction, whatever their probabilities; infinite where no path leads. It takes memory for all pairs, so that
    /// a model of more than 4,000 states is refused.
    static member Steps(model: Model) : StateMetric =
        let count = model.StateCount

        if count > 4000 then
            invalidArg (nameof model) $"distances of all pairs are for at most 4000 states but the model has {count}"

        let neighbours = Array.init count (fun _ -> HashSet<int>())

        for s in 0 .. count - 1 do
            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                    neighbours[s].Add model.successors[k] |> ignore
                    neighbours[model.successors[k]].Add s |> ignore

        let steps = Array.init count (fun _ -> Array.create count Single.PositiveInfinity)
        let queue = Queue<int>()

        for start in 0 .. count - 1 do
            steps[start][start] <- 0.0f
            queue.Enqueue start

            while queue.Count > 0 do
                let state = queue.Dequeue()

                for next in neighbours[state] do
                    if Single.IsInfinity(steps[start].[next]) then
                        steps[start][next] <- steps[start][state] + 1.0f
                        queue.Enqueue next

        StateMetric(count, (fun i j -> float (steps[i][j])))

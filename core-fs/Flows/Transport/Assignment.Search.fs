namespace ValueFlow.Core.Flows

open System

/// Shortest augmenting paths for the rows that are still free, by Dijkstra's algorithm on the short lists of the rows. Where the search comes as far as a list's bound,
/// the list is extended: the paths are shortest among all columns.
[<Sealed>]
type internal AssignmentSearch(costs: Costs, state: AssignmentState) =
    let size = costs.Size
    let prices = state.Prices
    let lists = AssignmentShortlists(costs, prices)
    // -infinity for a column that was reached for good.
    let distances = Array.create size infinity
    let previous: int[] = Array.zeroCreate size
    let offsets: float[] = Array.zeroCreate size
    let touched = ResizeArray<int>()
    let reached = ResizeArray<struct (int * float)>()
    // A heap of columns at their distances, and of rows (as their complements) at the bounds of their lists.
    let mutable keys: float[] = Array.zeroCreate 1024
    let mutable codes: int[] = Array.zeroCreate 1024
    let mutable count = 0
    let mutable nearest = infinity
    let mutable free = -1

    let push (key: float) (code: int) : unit =
        if count = keys.Length then
            Array.Resize(&keys, 2 * count)
            Array.Resize(&codes, 2 * count)

        let mutable hole = count
        count <- count + 1
        let mutable parent = (hole - 1) / 2

        while hole > 0 && key < keys[parent] do
            keys[hole] <- keys[parent]
            codes[hole] <- codes[parent]
            hole <- parent
            parent <- (hole - 1) / 2

        keys[hole] <- key
        codes[hole] <- code

    let pop () : struct (float * int) =
        let key, code = keys[0], codes[0]
        count <- count - 1
        let last, lastCode = keys[count], codes[count]
        let mutable hole = 0
        let mutable child = 1

        while child < count do
            if child + 1 < count && keys[child + 1] < keys[child] then
                child <- child + 1

            if keys[child] < last then
                keys[hole] <- keys[child]
                codes[hole] <- codes[child]
                hole <- child
                child <- 2 * hole + 1
            else
                child <- count

        keys[hole] <- last
        codes[hole] <- lastCode
        struct (key, code)

    // Lowers distances through a row's list; the way to column j is c(row, j) - v(j) - offset.
    let scan (row: int) : unit =
        let offset = offsets[row]

        if Double.IsNegativeInfinity(lists.Bound row) then
            lists.Extend row

        let columns, values = lists.Columns row, lists.Values row

        for k in 0 .. columns.Length - 1 do
            let j = columns[k]
            let way = values[k] - prices[j] - offset

            if way < nearest && way < distances[j] then
                if Double.IsPositiveInfinity distances[j] then
                    touched.Add j

                distances[j] <- way
                previous[j] <- row

                if state.RowOf[j] < 0 then
                    nearest <- way
                    free <- j
                else
                    push way j

        let bound = lists.Bound row - offset

        if bound < nearest then
            push bound ~~~row

    /// Finds a column for a free row.
    member _.Augment(start: int) : unit =
        for j in touched do
            distances[j] <- infinity

        touched.Clear()
        reached.Clear()
        count <- 0
        nearest <- infinity
        free <- -1
        offsets[start] <- 0.0
        scan start
        let mutable least = -infinity

        while count > 0 && keys[0] < nearest do
            let struct (key, code) = pop ()

            if code < 0 then
                lists.Extend ~~~code
                scan ~~~code
            elif key = distances[code] then
                // Rounding may find a way that is shorter than one that was final already.
                least <- Math.Max(least, key)
                reached.Add(struct (code, least))
                distances[code] <- -infinity
                let row = state.RowOf[code]
                offsets[row] <- costs.Entry(row, code) - prices[code] - least
                scan row

        let least = Math.Max(least, nearest)

        for struct (j, distance) in reached do
            prices[j] <- prices[j] + (distance - least)

        state.Turn(start, free, previous)

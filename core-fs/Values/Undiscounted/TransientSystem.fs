namespace ValueFlow.Core.Values

open System
open System.Collections.Generic
open System.Threading
open ValueFlow.Core.Foundations

/// The equations x(i) = max over rows of (c + sum over j of w x(j)) in which some policy leaves for certain, and whoever stays for ever loses without end:
/// what is left of an undiscounted objective once its end components are collapsed. The maximum is the one solution.
/// Bertsekas and Tsitsiklis 1991, "An analysis of stochastic shortest path problems".
type internal TransientSystem =
    {
        /// Unknowns.
        Count: int
        /// For each unknown its first row.
        RowOffsets: int[]
        /// For each row its first entry.
        Offsets: int[]
        /// For each entry its unknown.
        Successors: int[]
        /// For each entry its weight.
        Weights: float[]
        /// For each row its constant.
        Constants: float[]
        /// For each row a bound on the absolute terms of its constant, and so on how far it may be off.
        Magnitudes: float[]
        /// For each row the row of the model that it stands for, or -1 for staying.
        Origins: int[]
        /// For each row whether it may leave.
        Leaves: bool[]
    }

/// Solves such equations, enclosed from below and from above.
[<RequireQualifiedAccess>]
module internal TransientSystem =

    /// Collects rows by unknown, in order.
    type Builder(count: int, longest: int) =
        let rowOffsets = Array.zeroCreate<int>(count + 1)
        let offsets, successors, weights = ResizeArray [ 0 ], ResizeArray<int>(), ResizeArray<float>()
        let constants, magnitudes, origins = ResizeArray<float>(), ResizeArray<float>(), ResizeArray<int>()
        let ways = ResizeArray<bool>()
        let sums = SortedDictionary<int, float>()

        /// Adds a row of the unknown; unknowns come in order, entries with the same unknown are added up.
        member _.Row(unknown: int, origin: int, leaves: bool, constant: float, magnitude: float, entries: seq<struct (int * float)>) =
            sums.Clear()

            for struct (j, weight) in entries do
                let known, sum = sums.TryGetValue j
                sums[j] <- (if known then sum else 0.0) + weight

            for entry in sums do
                successors.Add entry.Key
                weights.Add entry.Value

            rowOffsets[unknown + 1] <- constants.Count + 1
            offsets.Add successors.Count
            constants.Add constant
            // Constants and weights are sums of at most so many rounded terms.
            magnitudes.Add(magnitude * float (longest + 4))
            origins.Add origin
            ways.Add leaves

        /// The system.
        member _.Build() =
            for i in 1..count do
                rowOffsets[i] <- Math.Max(rowOffsets[i], rowOffsets[i - 1])

            {
                Count = count
                RowOffsets = rowOffsets
                Offsets = offsets.ToArray()
                Successors = successors.ToArray()
                Weights = weights.ToArray()
                Constants = constants.ToArray()
                Magnitudes = magnitudes.ToArray()
                Origins = origins.ToArray()
                Leaves = ways.ToArray()
            }

    // c + sum w x of a row; and a bound on its rounding, weights that are sums included.
    let private evaluate (system: TransientSystem) (withConstant: bool) (x: float[]) row =
        let first, next = system.Offsets[row], system.Offsets[row + 1]
        let mutable sum = if withConstant then system.Constants[row] else 0.0
        let mutable size = if withConstant then abs sum else 0.0

        for k in first .. next - 1 do
            let term = system.Weights[k] * x[system.Successors[k]]
            sum <- sum + term
            size <- size + abs term

        let terms = float (next - first + 12)
        let slack = terms * size + (if withConstant then system.Magnitudes[row] else 0.0)
        struct (sum, 2.0 * Bound.unitRoundoff * slack + 1e-300)

    let private value system x row =
        let struct (sum, _) = evaluate system true x row
        sum

    let private solvePolicy (system: TransientSystem) (chosen: int[]) (right: int -> float) (guess: float[]) cancellation =
        // Copied: a solve that was cancelled may still be reading.
        let chosen = Array.copy chosen

        let write i (add: int -> float -> unit) =
            for k in system.Offsets[chosen[i]] .. system.Offsets[chosen[i] + 1] - 1 do
                add system.Successors[k] system.Weights[k]

        LinearEvaluation.solveRows system.Count write (Array.init system.Count (fun i -> right chosen[i])) guess cancellation

    /// A policy that leaves for certain: for each unknown a row, or the unknowns from which there is none. Rows are chosen by their distance from the way out.
    let proper (cancellation: CancellationToken) (system: TransientSystem) : Result<int[], int list> =
        let watch = Interruptible.watch cancellation
        // The largest set in which every unknown reaches the way out by rows that stay in the set.
        let inside = Array.create system.Count true
        let chosen = Array.create system.Count -1
        let mutable shrinking = true
        let rowsInto = Array.init system.Count (fun _ -> ResizeArray<int>(0))
        let ownerOf = Array.zeroCreate<int> system.Constants.Length

        for i in 0 .. system.Count - 1 do
            watch ()

            for row in system.RowOffsets[i] .. system.RowOffsets[i + 1] - 1 do
                ownerOf[row] <- i

                for k in system.Offsets[row] .. system.Offsets[row + 1] - 1 do
                    rowsInto[system.Successors[k]].Add row

        while shrinking do
            Array.fill chosen 0 chosen.Length -1
            let queue = Queue<int>()
            let usable row = Seq.forall (fun k -> inside[system.Successors[k]]) (seq { system.Offsets[row] .. system.Offsets[row + 1] - 1 })

            let take row =
                watch ()

                if chosen[ownerOf[row]] < 0 && inside[ownerOf[row]] && usable row then
                    chosen[ownerOf[row]] <- row
                    queue.Enqueue ownerOf[row]

            for row in 0 .. system.Leaves.Length - 1 do
                if system.Leaves[row] then
                    take row

            while queue.Count > 0 do
                for row in rowsInto[queue.Dequeue()] do
                    take row

            shrinking <- false

            for i in 0 .. system.Count - 1 do
                if inside[i] && chosen[i] < 0 then
                    inside[i] <- false
                    shrinking <- true

        match [ 0 .. system.Count - 1 ] |> List.filter (fun i -> not inside[i]) with
        | [] -> Ok chosen
        | outside -> Error outside

    let private improve (system: TransientSystem) (x: float[]) (gain: int -> float) (usable: int -> bool) (chosen: int[]) =
        let mutable changed = false

        for i in 0 .. system.Count - 1 do
            let held = gain chosen[i]
            let mutable bar = held + 1e-11 * (abs held + abs x[i]) + 1e-300

            for row in system.RowOffsets[i] .. system.RowOffsets[i + 1] - 1 do
                if usable row then
                    let value = gain row

                    if value > bar then
                        bar <- value
                        chosen[i] <- row
                        changed <- true

        changed

    // Howard's policy iteration from a proper policy; a step is taken back where it would lead to one that is not.
    let private iterate (options: RunOptions) (system: TransientSystem) (start: int[]) constant usable report =
        let chosen = Array.copy start
        let mutable x = solvePolicy system chosen constant (Array.zeroCreate system.Count) options.Cancellation
        let mutable going = true

        let gain row =
            let struct (sum, _) = evaluate system false x row
            constant row + sum

        while going && not options.Cancellation.IsCancellationRequested do
            let before = Array.copy chosen
            going <- improve system x gain usable chosen

            if going then
                let next = solvePolicy system chosen constant x options.Cancellation
                // Values never fall under an improvement: if they do, the numbers have reached their floor.
                let fell = Seq.exists (fun i -> next[i] < x[i] - 1e-7 * (1.0 + abs x[i])) (seq { 0 .. system.Count - 1 })

                if fell || not (Array.forall Double.IsFinite next) then
                    Array.blit before 0 chosen 0 chosen.Length
                    going <- false
                else
                    x <- next

                report ()

        struct (x, chosen)

    /// What is known of the solution.
    type Enclosure =
        {
            /// Not above the solution, and not above the value of the policy.
            Lower: float[]
            /// Not below the solution.
            Upper: float[]
            /// What policy iteration found, of which nothing is certified.
            Point: float[]
            /// For each unknown the row to take.
            Chosen: int[]
            /// Policy improvements and sweeps.
            Steps: int
            /// Why the work ended.
            Outcome: Outcome
            /// Widths on the way.
            History: Progress[]
        }

    /// Encloses the solution. Policy iteration finds x and a policy; then x - e w is pushed up by the policy's rows, and x + e w down by every row, for
    /// steps w that fall by a positive amount along each row that matters: both are checked in floating point, rounding included, and then
    /// bound the solution. Sweeps that round outwards tighten what is left. They start from the bounds that are given, which may be infinite.
    let enclose (options: RunOptions) (system: TransientSystem) (start: int[]) (lowerStart: float) (upperStart: float) : Enclosure =
        let history = History()
        let mutable steps = 0
        let mutable last = { Applications = 0; Residual = Double.PositiveInfinity; Bound = Double.PositiveInfinity }

        let report width =
            steps <- steps + 1

            last <- { Applications = steps; Residual = width; Bound = 0.5 * width }

            history.Add last
            options.Progress last

        let step () = report Double.PositiveInfinity
        let struct (x, chosen) = iterate options system start (fun row -> system.Constants[row]) (fun _ -> true) step
        let scale = x |> Array.fold (fun largest v -> Math.Max(largest, abs v)) 0.0

        // The longest expected way out along rows that are as good as the best, as far as one can tell.
        let ties row owner = value system x row >= x[owner] - 1e-7 * (1.0 + scale)
        let owner = Array.zeroCreate<int> system.Constants.Length

        for i in 0 .. system.Count - 1 do
            for row in system.RowOffsets[i] .. system.RowOffsets[i + 1] - 1 do
                owner[row] <- i

        let tied = Array.init owner.Length (fun row -> ties row owner[row])
        let struct (longest, _) = iterate options system chosen (fun _ -> 1.0) (fun row -> tied[row]) step
        // The expected way out along the policy's own rows.
        let own = solvePolicy system chosen (fun _ -> 1.0) longest options.Cancellation

        // Does the candidate move down under every row, or up under the policy's?
        let isUpper (candidate: float[]) =
            Seq.forall
                (fun row ->
                    let struct (sum, slack) = evaluate system true candidate row
                    sum + slack <= candidate[owner[row]])
                (seq { 0 .. owner.Length - 1 })

        let isLower (candidate: float[]) =
            Seq.forall
                (fun i ->
                    let struct (sum, slack) = evaluate system true candidate chosen[i]
                    sum - slack >= candidate[i])
                (seq { 0 .. system.Count - 1 })

        // own - P own >= 1/2 along the policy proves that it leaves: without it nothing is bounded from below.
        let leaves =
            Seq.forall
                (fun i ->
                    let struct (sum, slack) = evaluate system false own chosen[i]
                    own[i] > 0.0 && own[i] - sum - slack >= 0.5)
                (seq { 0 .. system.Count - 1 })

        let shifts = Seq.init 60 (fun k -> Bound.unitRoundoff * (1.0 + scale) * Math.Pow(2.0, float k))

        let search accept sign steps =
            shifts |> Seq.map (fun e -> Array.map2 (fun xi wi -> xi + sign * e * wi) x steps) |> Seq.tryFind accept

        let lower =
            (if leaves then search isLower -1.0 own else None)
            |> Option.map (Array.map (fun l -> Math.Max(l, lowerStart)))
            |> Option.defaultWith (fun () -> Array.create system.Count lowerStart)

        let upper =
            search isUpper 1.0 longest
            |> Option.map (Array.map (fun u -> Math.Min(u, upperStart)))
            |> Option.defaultWith (fun () -> Array.create system.Count upperStart)

        let width () =
            let mutable widest = 0.0

            for i in 0 .. system.Count - 1 do
                widest <- Math.Max(widest, upper[i] - lower[i])

            widest

        // One sweep, in place, rounding outwards; false if it was cancelled on the way.
        let sweep () =
            let mutable i = 0

            while i < system.Count && not (i % 1024 = 0 && options.Cancellation.IsCancellationRequested) do
                let mutable best = Double.NegativeInfinity

                for row in system.RowOffsets[i] .. system.RowOffsets[i + 1] - 1 do
                    let struct (sum, slack) = evaluate system true upper row
                    best <- Math.Max(best, sum + slack)

                upper[i] <- Math.Min(upper[i], best)
                let struct (sum, slack) = evaluate system true lower chosen[i]
                lower[i] <- Math.Max(lower[i], sum - slack)
                i <- i + 1

            i = system.Count

        let mutable outcome = ValueNone
        let mutable best = Double.PositiveInfinity
        let mutable halved = steps
        report (width ())

        while outcome.IsNone do
            let now = width ()

            if now <= 0.98 * best then
                best <- now
                halved <- steps

            if 0.5 * now * (1.0 + 1e-9) <= options.Tolerance then outcome <- ValueSome Outcome.Converged
            elif options.Cancellation.IsCancellationRequested then outcome <- ValueSome Outcome.Cancelled
            elif steps - halved > 1000 then outcome <- ValueSome Outcome.PrecisionFloor
            elif steps >= options.Budget then outcome <- ValueSome Outcome.BudgetExhausted
            elif not (sweep ()) then outcome <- ValueSome Outcome.Cancelled
            else report (width ())

        {
            Lower = lower
            Upper = upper
            Point = x
            Chosen = chosen
            Steps = steps
            Outcome = outcome.Value
            History = history.Close last
        }

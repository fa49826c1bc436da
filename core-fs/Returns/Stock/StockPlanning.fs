namespace ValueFlow.Core.Returns

open System
open System.Threading
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// What the solver with a stock is told.
type StockOptions =
    {
        /// The width of the bracket at which to stop, in the units of what is asked for. Positive.
        Tolerance: float
        /// The most states with stocks: a finer lattice that would need more is not tried, and the result says that the budget was used up. A node takes 50 bytes.
        MostNodes: int
        /// Called after every sweep: sweeps so far, the largest change, and the width of the bracket.
        Progress: Progress -> unit
        /// Checked in every sweep; once cancelled, the bounds are those reached so far.
        Cancellation: CancellationToken
    }

/// Stock-augmented planning at scale: bounds on a lattice of stocks that is refined where they are still apart.
[<RequireQualifiedAccess>]
module StockPlanning =

    /// Tolerance 0.01, at most eight million nodes, no progress, no cancellation.
    let standard: StockOptions =
        {
            Tolerance = 0.01
            MostNodes = 8_000_000
            Progress = ignore
            Cancellation = CancellationToken.None
        }

    let private requireOptions (options: StockOptions) =
        if not (options.Tolerance > 0.0) then
            invalidArg (nameof options) $"tolerance must be positive but is {options.Tolerance}"

        if options.MostNodes < 1 then
            invalidArg (nameof options) $"mostNodes must be at least 1 but is {options.MostNodes}"

    // E f(c + G) <= f(c + E G): Jensen 1906. For losses the best mean decides, for gains the mean that suits the slope's sign.
    let private problemOf (options: StockOptions) (utility: GainLoss) (best: float[]) (kernel: Kernel) : StockProblem =
        let struct (least, _) = StockMoments.returns kernel

        let atSlope slope =
            if slope >= 0.0 then
                best |> Array.map (fun value -> slope * value)
            else
                (StockMoments.means Direction.Minimise options.Cancellation kernel).Lower
                |> Array.map (fun value -> slope * Math.Max(value, least))

        {
            Model = kernel.Model
            Discount = kernel.Discount
            Utility = utility
            Left = atSlope utility.Loss
            Right = atSlope utility.Gain
        }

    // What the decisions of the best mean are known to reach, from any state with any stock.
    let private reached (options: StockOptions) (utility: GainLoss) (means: Solution) (kernel: Kernel) : int -> float -> float =
        let struct (least, most) = StockMoments.returns kernel
        let crude stock = Math.Min(utility.Of(stock + least), utility.Of(stock + most))

        if means.Policy.Length = 0 || not (Double.IsFinite means.Bound) then
            // Cancelled: f is concave, and no less than at one of the ends of what the return may be.
            fun _ stock -> crude stock
        else
            let struct (_, gamma) = kernel.DiscountFactors
            // So much lower, the bound is no more than what one more step under the same decisions makes of it.
            let slope = Math.Max(abs utility.Gain, abs utility.Loss)
            let shift = 4.0 * slope * (means.Bound + means.PolicyLoss) / (1.0 - gamma)
            let variances = StockMoments.variances means.Policy means.Values options.Cancellation kernel

            fun state stock -> Math.Max(crude stock, StockMoments.below utility (stock + means.Values[state]) variances[state] - shift)

    let private windowsOf (lattice: StockLattice) (first: int[]) (counts: int[]) : StockWindows =
        { Lattice = lattice; First = first; Offsets = Array.scan (+) 0 counts }

    let private asymptote (problem: StockProblem) state stock =
        Math.Min(problem.Utility.Loss * stock + problem.Left[state], problem.Utility.Gain * stock + problem.Right[state])

    // Half the gap, in windows that leave out what is squeezed between the lower bound and the asymptotes: nothing of it is lost by more than the leeway.
    let private refine (leeway: float) (values: StockValues) : StockWindows =
        let problem, windows = values.Problem, values.Windows
        let old = windows.Lattice
        let lattice = StockLattice.create old.Least (0.5 * old.Gap) (2 * old.Count - 1)
        let states = problem.Model.StateCount
        let first, counts = Array.zeroCreate states, Array.zeroCreate states

        for s in 0 .. states - 1 do
            let count = windows.Count s

            if count > 0 then
                let open' i = asymptote problem s (windows.Stock(s, i)) - values.LowerNodes[windows.Offsets[s] + i] > leeway
                let mutable low = 0
                let mutable high = count - 1

                while low < count - 2 && not (open' (low + 1)) do
                    low <- low + 1

                while high > low + 1 && not (open' (high - 1)) do
                    high <- high - 1

                first[s] <- 2 * (windows.First[s] + low)
                counts[s] <- 2 * (high - low) + 1

        windowsOf lattice first counts

    /// The bounds, refined until the width of what is asked for is at most the tolerance.
    let internal run
        (options: StockOptions)
        (leeway: float)
        (utility: GainLoss)
        (discount: float)
        (model: Model)
        (width: StockValues -> float)
        : StockValues =
        requireOptions options

        if model.IsInterval then
            invalidArg (nameof model) "the model must have probabilities, but has intervals"

        let kernel = Kernel(model, discount)
        let struct (least, most) = StockMoments.returns kernel
        let means = StockMoments.means Direction.Maximise options.Cancellation kernel
        let problem = problemOf options utility (means.Upper |> Array.map (fun value -> Math.Min(value, most))) kernel
        let reached = reached options utility means kernel
        let struct (_, gamma) = kernel.DiscountFactors
        let slope = Math.Max(abs utility.Gain, abs utility.Loss)
        let size = slope * 4.0 * (Math.Max(abs least, abs most) + kernel.LargestReward + 1e-9)
        let slack = Bound.above (float (kernel.LongestRow + 24) * Bound.unitRoundoff * size / (1.0 - gamma))
        let alive = Array.create model.RowCount true
        let cells = 32
        let spread = Math.Max(most - least, 1e-6 * (1.0 + abs most))
        let lattice = StockLattice.create -(most + 0.0) (spread / float cells) (cells + 1)

        let mutable windows =
            windowsOf
                lattice
                (Array.zeroCreate model.StateCount)
                (Array.init model.StateCount (fun s -> if model.IsTerminal s then 0 else cells + 1))

        let mutable lower = Array.zeroCreate windows.Nodes
        let mutable upper = Array.zeroCreate windows.Nodes

        for s in 0 .. model.StateCount - 1 do
            for i in 0 .. windows.Count s - 1 do
                let stock = windows.Stock(s, i)
                lower[windows.Offsets[s] + i] <- reached s stock
                upper[windows.Offsets[s] + i] <- asymptote problem s stock

        let mutable sweeps = 0
        let mutable outcome = ValueNone

        let answer windows lower upper estimate unsupported outcome sweeps =
            StockValues(problem, windows, lower, upper, estimate, slack, unsupported, outcome, sweeps)

        // Before the first sweep no decisions are known to attain anything.
        let mutable result = answer windows lower upper lower Double.PositiveInfinity Outcome.Cancelled 0

        while outcome.IsNone do
            let sweep = StockSweep(problem, windows)
            let gap = windows.Lattice.Gap
            let below: LowerEnvelope = { Gain = utility.Gain * gap; Loss = utility.Loss * gap }
            let above: UpperEnvelope = { Gain = utility.Gain * gap; Loss = utility.Loss * gap }
            let mutable spareLower = Array.zeroCreate windows.Nodes
            let mutable spareUpper = Array.zeroCreate windows.Nodes
            // What is still to come of a contraction is at most gamma / (1 - gamma) times its last step: little against what the lattice itself costs.
            let enough = Math.Max(gap * (utility.Loss - utility.Gain), leeway) * (1.0 - gamma) / Math.Max(gamma, 1e-300)
            let mutable going = true

            while going do
                let down = sweep.Apply(below, lower, spareLower, lower, upper, alive, false, options.Cancellation)
                let fall = sweep.Fall

                let up =
                    if Double.IsNaN down then
                        nan
                    else
                        sweep.Apply(above, upper, spareUpper, lower, upper, alive, true, options.Cancellation)

                if Double.IsNaN up then
                    outcome <- ValueSome Outcome.Cancelled
                    going <- false
                else
                    let oldLower, oldUpper = lower, upper
                    lower <- spareLower
                    upper <- spareUpper
                    // Results that were handed out keep their arrays only until the next sweep but one.
                    spareLower <- oldLower
                    spareUpper <- oldUpper
                    sweeps <- sweeps + 1
                    result <- answer windows lower upper lower (Bound.above (gamma * fall / (1.0 - gamma))) Outcome.Cancelled sweeps
                    let found = width result
                    options.Progress { Applications = sweeps; Residual = Math.Max(down, up); Bound = found }
                    going <- Math.Max(down, up) > enough && found > options.Tolerance

            if outcome.IsNone then
                if width result <= options.Tolerance then
                    outcome <- ValueSome Outcome.Converged
                else
                    let finer = refine leeway result

                    if finer.Nodes > options.MostNodes then
                        outcome <- ValueSome Outcome.BudgetExhausted
                    elif finer.Lattice.Gap < 1e-12 * (1.0 + abs least + abs most) then
                        outcome <- ValueSome Outcome.PrecisionFloor
                    else
                        let coarse = result

                        // Envelopes of envelopes: what was certified stays so.
                        let prolong (finer: StockWindows) (reader: int -> float -> float) =
                            let values = Array.zeroCreate finer.Nodes

                            for s in 0 .. model.StateCount - 1 do
                                for i in 0 .. finer.Count s - 1 do
                                    values[finer.Offsets[s] + i] <- reader s (finer.Stock(s, i))

                            values

                        let dip = slack + coarse.Unsupported
                        lower <- prolong finer (fun s c -> coarse.Lower(s, c) + dip)
                        upper <- prolong finer (fun s c -> coarse.Upper(s, c) - slack)
                        windows <- finer

        // The estimate starts in the middle.
        let windows, lower, upper = result.Windows, result.LowerNodes, result.UpperNodes
        let mutable estimate = Array.map2 (fun l u -> 0.5 * (l + u)) lower upper

        if outcome <> ValueSome Outcome.Cancelled then
            let sweep = StockSweep(problem, windows)
            let mutable spare = Array.zeroCreate windows.Nodes
            let enough = 3.0 * leeway * (1.0 - gamma) / Math.Max(gamma, 1e-300)
            let mutable change = infinity

            while change > enough do
                change <- sweep.Apply(Interpolation(), estimate, spare, lower, upper, alive, false, options.Cancellation)

                if not (Double.IsNaN change) then
                    let old = estimate
                    estimate <- spare
                    spare <- old

        answer windows lower upper estimate result.Unsupported outcome.Value sweeps

    /// V(s, c) = max over all decisions of E f(c + G), G the discounted return from s: bounds for every state and stock, refined until they are no further apart than the
    /// tolerance at the start and its stock. A backup rounds stocks to the lattice; V rises with c by at least Gain and at most Loss, so that values at two neighbours bound it between them.
    /// Throws an ArgumentException for an option that is no good, a discount outside [0, 1), a start that is no state, a stock that is not finite, and interval models.
    /// Bauerle and Ott 2011, "Markov decision processes with average-value-at-risk criteria"; Pires et al. 2025.
    let solve (options: StockOptions) (utility: GainLoss) (start: int) (stock: float) (discount: float) (model: Model) : StockValues =
        if start < 0 || start >= model.StateCount then
            invalidArg (nameof start) $"start must be a state in [0, {model.StateCount}) but is {start}"

        if not (Double.IsFinite stock) then
            invalidArg (nameof stock) $"stock must be finite but is {stock}"

        run options (0.03 * options.Tolerance) utility discount model (fun values ->
            values.Upper(start, stock) - values.Lower(start, stock))

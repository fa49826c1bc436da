namespace ValueFlow.Core.Values

open System
open System.Threading
open ValueFlow.Core.Foundations

/// What a run of mirror-descent value iteration is told.
type MirrorDescentOptions =
    {
        /// K: sweeps; at least 1.
        Sweeps: int
        /// M: next states drawn for each place of the core set in each sweep; 0 for exact expectations.
        Samples: int
        /// How near the design of the core set is to the optimum.
        DesignTolerance: float
        /// Ends the run with an OperationCanceledException.
        Cancellation: CancellationToken
    }

    /// 100 sweeps, 100 samples, a design within 5 %.
    static member standard = { Sweeps = 100; Samples = 100; DesignTolerance = 0.05; Cancellation = CancellationToken.None }

/// What a run came to.
type MirrorDescentResult =
    {
        /// thbar_K: the weights of the accumulated action values s_K, which are about K regularised ones, (1 - gamma) s_K -> q*.
        Accumulated: float[]
        /// theta_K: the weights of the last backup.
        Weights: float[]
        /// s_K: for each row its accumulated action value.
        ActionValues: float[]
        /// v_K(s) = max s_K - gamma max s_K-1: the values, for each state.
        Values: float[]
        /// For each state the action that is best by s_K, the lowest among equals; -1 in a terminal state.
        Policy: int[]
        /// s_k for each sweep, from s_0 = 0.
        History: float[][]
        /// The core set and its shares.
        Design: OptimalDesign
    }

/// Value iteration with entropy taken to its limit (mirror descent), in a model whose action values are linear in features of rows (states and actions), with regression whose weights are 1 / f^2:
///
/// w_k(s) = max over a of s_k, v_k = w_k - gamma w_k-1, theta_k+1 = G^-1 sum over C of rho phi (r + gamma v_k(s')) / f^2, G = sum over C of rho phi phi' / f^2, s_k+1 = Phi theta_k+1 + gamma s_k,
///
/// w_-1 = s_0 = 0, for the G-optimal design rho of phi / f and its core set C; v_k(s') is a mean of M samples. Without noise, and with features that tell all rows apart, it telescopes:
/// s_k+1 = (1 + gamma + .. + gamma^k) r + gamma P max s_k. Kitamura, Kozuno, Tang, Vieillard, Valko, Yang, Mei, Menard, Azar, Munos, Pietquin, Geist, Szepesvari, Kumagai and Matsuo
/// 2023, "Regularization and variance-weighted regression achieves minimax optimality in linear MDPs: theory and practice".
[<RequireQualifiedAccess>]
module MirrorDescentIteration =

    let private requireRows (model: Model) (features: Features) (f: float[]) =
        if model.IsInterval then
            invalidArg (nameof model) "the model must have probabilities but has intervals"

        if features.Places <> model.RowCount then
            invalidArg (nameof features) $"features must be those of {model.RowCount} rows but are of {features.Places}"

        Shape.requireLength (nameof f) model.RowCount f.Length

        match f |> Array.tryFindIndex (fun x -> not (x > 0.0 && Double.IsFinite x)) with
        | Some i -> invalidArg (nameof f) $"f of row {i} must be positive and finite but is {f[i]}"
        | None -> ()

    let private requireOptions (options: MirrorDescentOptions) =
        if options.Sweeps < 1 then
            invalidArg (nameof options) $"Sweeps must be at least 1 but are {options.Sweeps}"

        if options.Samples < 0 then
            invalidArg (nameof options) $"Samples must not be negative but are {options.Samples}"

    // A transition of a row, drawn.
    let private draw (generator: Generator) (model: Model) row =
        let first = model.offsets[row]
        first + Sampling.index generator (ReadOnlySpan(model.probabilities, first, model.offsets[row + 1] - first))

    let private best (model: Model) (rows: float[]) =
        Array.init model.StateCount (fun s ->
            let mutable largest = Double.NegativeInfinity

            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                largest <- Math.Max(largest, rows[row])

            if model.IsTerminal s then 0.0 else largest)

    /// The design of a regression with f: G-optimal for phi / f.
    let designFor (tolerance: float) (f: float[]) (cancellation: CancellationToken) (features: Features) : OptimalDesign =
        Shape.requireLength (nameof f) features.Places f.Length
        let scaled = Features.Create(features.Rows |> Array.mapi (fun i row -> row |> Array.map (fun x -> x / f[i])))
        GOptimalDesign.design tolerance 100_000 cancellation scaled

    /// A run with the numbers f > 0 of the rows: 1 for ordinary regression; standard deviations of next values for weighted regression. The rewards of rows are known, as is the discount in
    /// [0, 1). The generator is read only where there are samples. Throws an ArgumentException that names what is wrong.
    let solve
        (options: MirrorDescentOptions)
        (generator: Generator)
        (discount: float)
        (features: Features)
        (f: float[])
        (model: Model)
        : MirrorDescentResult =
        requireRows model features f
        requireOptions options
        let kernel = Kernel(model, discount)
        let design = designFor options.DesignTolerance f options.Cancellation features
        let least = LeastSquares.Create(features, Array.map2 (fun share x -> share / (x * x)) design.Shares f)
        let core = design.Core

        // r + gamma E v(s'), or its mean over samples; only rows of the core set are asked.
        let backup (values: float[]) =
            let target = Array.zeroCreate<float> model.RowCount

            for row in core do
                if options.Samples = 0 then
                    for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                        target[row] <- target[row] + kernel.Weights[k] * values[model.successors[k]]
                else
                    for _ in 1 .. options.Samples do
                        let k = draw generator model row
                        let gamma = discount * model.Continuation k
                        target[row] <- target[row] + gamma * values[model.successors[k]] / float options.Samples

                target[row] <- target[row] + kernel.RowRewards[row]

            target

        let mutable s: float[] = Array.zeroCreate model.RowCount
        let mutable accumulated: float[] = Array.zeroCreate features.Count
        let mutable theta: float[] = Array.zeroCreate features.Count
        let mutable before: float[] = Array.zeroCreate model.StateCount
        let history = ResizeArray [ Array.copy s ]
        let regularised w = Array.map2 (fun now earlier -> now - discount * earlier) w before

        for _ in 1 .. options.Sweeps do
            options.Cancellation.ThrowIfCancellationRequested()
            let w = best model s
            let v = regularised w
            theta <- least.Fit(backup v)
            accumulated <- Array.map2 (fun t bar -> t + discount * bar) theta accumulated
            before <- w
            s <- features.Values accumulated
            history.Add(Array.copy s)

        let policy =
            Array.init model.StateCount (fun state ->
                let mutable chosen = -1

                for row in model.rowOffsets[state] .. model.rowOffsets[state + 1] - 1 do
                    if chosen < 0 || s[row] > s[chosen] then
                        chosen <- row

                if chosen < 0 then -1 else model.rowActions[chosen])

        {
            Accumulated = accumulated
            Weights = theta
            ActionValues = s
            Values = regularised (best model s)
            Policy = policy
            History = history.ToArray()
            Design = design
        }

    /// The variance of the next value of each row, exactly: Var v(s').
    let variances (values: float[]) (model: Model) : float[] =
        Shape.requireLength (nameof values) model.StateCount values.Length

        Array.init model.RowCount (fun row ->
            let span = seq { model.offsets[row] .. model.offsets[row + 1] - 1 }
            let v k = model.Continuation k * values[model.successors[k]]
            let mean = span |> Seq.sumBy (fun k -> model.probabilities[k] * v k)
            span |> Seq.sumBy (fun k -> model.probabilities[k] * (v k - mean) * (v k - mean)))

    /// The mean over pairs of next states of (v(s') - v(s''))^2 / 2, whose expectation is Var v(s'), for each of the rows.
    let pairedVariances (generator: Generator) (pairs: int) (values: float[]) (rows: int[]) (model: Model) : float[] =
        if pairs < 1 then
            invalidArg (nameof pairs) $"pairs must be at least 1 but are {pairs}"

        Shape.requireLength (nameof values) model.StateCount values.Length

        rows
        |> Array.map (fun row ->
            let next () = let k = draw generator model row in model.Continuation k * values[model.successors[k]]
            let mutable sum = 0.0

            for _ in 1..pairs do
                let gap = next () - next ()
                sum <- sum + 0.5 * gap * gap

            sum / float pairs)

    /// f = min( sqrt(max(sigma2, 0)) + sqrt(H), H ) with H = 1 / (1 - gamma) and sigma2 the least-squares fit, in the features, of variances that pairs of next states estimate at the core set of
    /// a design.
    let estimatedDeviations
        (generator: Generator)
        (pairs: int)
        (discount: float)
        (design: OptimalDesign)
        (values: float[])
        (features: Features)
        (model: Model)
        : float[] =
        Shape.requireLength (nameof features) model.RowCount features.Places
        Shape.requireLength (nameof design) model.RowCount design.Shares.Length
        let core = design.Core
        let target = Array.zeroCreate<float> model.RowCount
        pairedVariances generator pairs values core model |> Array.iteri (fun i v -> target[core[i]] <- v)
        let fitted = (LeastSquares.Create(features, design.Shares)).Project target
        let horizon = 1.0 / (1.0 - discount)
        fitted |> Array.map (fun v -> Math.Min(sqrt (Math.Max(v, 0.0)) + sqrt horizon, horizon))

    /// VWLS: a run with f = 1, deviations of next values estimated from its values and so many pairs of next states, and a run with those. Gives the second run and its f.
    let varianceWeighted
        (options: MirrorDescentOptions)
        (generator: Generator)
        (pairs: int)
        (discount: float)
        (features: Features)
        (model: Model)
        : struct (MirrorDescentResult * float[]) =
        let first = solve options generator discount features (Array.create model.RowCount 1.0) model
        let f = estimatedDeviations generator pairs discount first.Design first.Values features model
        struct (solve options generator discount features f model, f)

namespace ValueFlow.Core.Flows

open System
open System.Numerics.Tensors
open System.Threading
open ValueFlow.Core.Foundations

/// Why Sinkhorn's iteration ended.
type SinkhornReason =
    /// The duality gap is at most the tolerance.
    | GapReached
    /// The iterations are used up.
    | StepLimit
    /// The caller cancelled.
    | Cancelled

/// What Sinkhorn's iteration may use.
type SinkhornOptions =
    {
        /// The duality gap to reach, as a share of the largest cost.
        Tolerance: float
        /// The most iterations, all levels of the regularisation together.
        MaxSteps: int
        /// Asks to stop early.
        Cancellation: CancellationToken
    }

    /// Gap 1E-6 of the largest cost, at most 10,000 iterations, no cancellation.
    static member Default: SinkhornOptions = { Tolerance = 1e-6; MaxSteps = 10_000; Cancellation = CancellationToken.None }

/// An entropically regularised plan, with its certificate.
type SinkhornPlan =
    {
        /// Mass from point i to point j. Its marginals are the weights, up to rounding.
        Plan: float[,]
        /// The dual potential of the first sample.
        SourcePotential: float[]
        /// The dual potential of the second sample.
        TargetPotential: float[]
        /// sum of mass times cost, of the plan.
        Cost: float
        /// Cost plus regularisation times KL(plan | a b'), of the plan.
        Objective: float
        /// The dual objective: no plan has a smaller regularised objective.
        DualValue: float
        /// Objective less dual value: the plan is no further than this from the regularised optimum.
        Gap: float
        /// A lower bound on the cost of unregularised transport: the value of the potentials made feasible by a c-transform.
        LowerBound: float
        /// The L1 distance of the iterate's marginals from the weights, before the plan was rounded to them.
        MarginalViolation: float
        /// Iterations, each of which updates both potentials.
        Steps: int
        /// Why the iteration ended.
        Reason: SinkhornReason
    }

/// min over plans P of &lt;C, P&gt; + r KL(P | a b') by alternating maximisation of the dual in the log domain, in float64, the regularisation r falling by halves from
/// the largest cost to the one asked for. Cuturi 2013, "Sinkhorn distances: lightspeed computation of optimal transport"; Schmitzer 2019, "Stabilized sparse
/// scaling algorithms for entropy regularized transport problems". The plan is rounded to the marginals (Altschuler, Weed and Rigollet 2017, "Near-linear time
/// approximation algorithms for optimal transport via Sinkhorn iteration"), so that the gap is one between feasible points.
[<RequireQualifiedAccess>]
module Sinkhorn =

    // potential_i = -r log sum_j w_j exp((other_j - C_ij) / r), for each row of the costs.
    let private update
        (regularisation: float)
        (costs: float[])
        (logWeights: float[])
        (other: float[])
        (potential: float[])
        (line: float[])
        =
        let width = other.Length

        for i in 0 .. potential.Length - 1 do
            let row = ReadOnlySpan<float>(costs, i * width, width)
            let span = Span<float>(line)
            TensorPrimitives.Subtract(ReadOnlySpan<float>(other), row, span)
            TensorPrimitives.Multiply(ReadOnlySpan<float>(line), 1.0 / regularisation, span)
            TensorPrimitives.Add(ReadOnlySpan<float>(line), ReadOnlySpan<float>(logWeights), span)
            let largest = TensorPrimitives.Max(ReadOnlySpan<float>(line))
            TensorPrimitives.Subtract(ReadOnlySpan<float>(line), largest, span)
            TensorPrimitives.Exp(ReadOnlySpan<float>(line), span)
            potential[i] <- -regularisation * (largest + log (TensorPrimitives.Sum(ReadOnlySpan<float>(line))))

    let private xlogx (mass: float) (reference: float) = if mass > 0.0 then mass * log (mass / reference) else 0.0

    let private judge regularisation (costs: float[]) (a: float[]) (b: float[]) (f: float[]) (g: float[]) steps reason : SinkhornPlan =
        let n, m = a.Length, b.Length
        let raw = Array2D.init n m (fun i j -> a[i] * b[j] * exp ((f[i] + g[j] - costs[i * m + j]) / regularisation))
        let rows = Array.init n (fun i -> Array.sum raw[i, *])
        let columns = Array.init m (fun j -> Array.sum raw[*, j])
        let total = Array.sum rows

        let violation =
            (Array.map2 (fun x y -> abs (x - y)) rows a |> Array.sum)
            + (Array.map2 (fun x y -> abs (x - y)) columns b |> Array.sum)

        let dot (x: float[]) (y: float[]) = Array.fold2 (fun sum u v -> sum + u * v) 0.0 x y
        let dual = dot a f + dot b g - regularisation * (total - 1.0)
        // Rounding: rows and columns that have too much are scaled down, and what is missing is added as a product.
        let down (have: float[]) (want: float[]) = Array.map2 (fun have want -> if have > want then want / have else 1.0) have want
        let byRow = down rows a
        let plan = raw |> Array2D.mapi (fun i _ mass -> mass * byRow[i])
        let byColumn = down (Array.init m (fun j -> Array.sum plan[*, j])) b
        let plan = plan |> Array2D.mapi (fun _ j mass -> mass * byColumn[j])
        let missingA = Array.init n (fun i -> Math.Max(0.0, a[i] - Array.sum plan[i, *]))
        let missingB = Array.init m (fun j -> Math.Max(0.0, b[j] - Array.sum plan[*, j]))
        let missing = Array.sum missingA

        let plan =
            if missing > 0.0 then
                plan |> Array2D.mapi (fun i j mass -> mass + missingA[i] / missing * missingB[j])
            else
                plan

        let mutable cost = 0.0
        let mutable divergence = 0.0
        let mutable lower = dot b g

        for i in 0 .. n - 1 do
            let mutable least = infinity

            for j in 0 .. m - 1 do
                cost <- cost + plan[i, j] * costs[i * m + j]
                divergence <- divergence + xlogx plan[i, j] (a[i] * b[j])
                least <- Math.Min(least, costs[i * m + j] - g[j])

            lower <- lower + a[i] * least

        let objective = cost + regularisation * divergence

        {
            Plan = plan
            SourcePotential = Array.copy f
            TargetPotential = Array.copy g
            Cost = cost
            Objective = objective
            DualValue = dual
            Gap = objective - dual
            LowerBound = lower
            MarginalViolation = violation
            Steps = steps
            Reason = reason
        }

    /// The regularised plan for a cost matrix and weights, which must be positive sums; they are divided by them. Throws an ArgumentException for a
    /// regularisation that is not positive, costs that are not finite, and weights that do not fit.
    let solve
        (options: SinkhornOptions)
        (regularisation: float)
        (costs: float[,])
        (sourceWeights: float[])
        (targetWeights: float[])
        : SinkhornPlan =
        let n, m = costs.GetLength 0, costs.GetLength 1

        if not (regularisation > 0.0 && Double.IsFinite regularisation) then
            invalidArg (nameof regularisation) $"regularisation must be positive and finite but is {regularisation}"

        if not (options.Tolerance > 0.0) then
            invalidArg (nameof options) $"the tolerance must be positive but is {options.Tolerance}"

        if options.MaxSteps < 1 then
            invalidArg (nameof options) $"there must be at least one step but there are {options.MaxSteps}"

        if n = 0 || m = 0 then
            invalidArg (nameof costs) $"costs must have a row and a column but are {n} x {m}"

        Shape.requireLength (nameof sourceWeights) n sourceWeights.Length
        Shape.requireLength (nameof targetWeights) m targetWeights.Length
        let flat = Array.init (n * m) (fun at -> costs[at / m, at % m])
        Shape.requireFinite (nameof costs) flat

        let share (name: string) (weights: float[]) =
            let total = Array.sum weights

            if not (weights |> Array.forall (fun weight -> weight >= 0.0) && total > 0.0 && Double.IsFinite total) then
                invalidArg
                    name
                    $"weights must not be negative and have a positive finite sum but have the sum {total} and the least {Array.min weights}"

            weights |> Array.map (fun weight -> weight / total)

        let a, b = share (nameof sourceWeights) sourceWeights, share (nameof targetWeights) targetWeights
        let turned = Array.init (n * m) (fun at -> costs[at % n, at / n])
        let logA, logB = Array.map log a, Array.map log b
        let largest = flat |> Array.fold (fun most c -> Math.Max(most, abs c)) 0.0
        let f, g = Array.zeroCreate<float> n, Array.zeroCreate<float> m
        let lineN, lineM = Array.zeroCreate<float> n, Array.zeroCreate<float> m
        let mutable level = Math.Max(regularisation, largest)
        let mutable steps = 0
        let mutable answer = ValueNone

        let step () =
            update level flat logB g f lineM
            update level turned logA f g lineN
            steps <- steps + 1

        let stopped () = options.Cancellation.IsCancellationRequested

        while level > regularisation && steps < options.MaxSteps && not (stopped ()) do
            for _ in 1..5 do
                if steps < options.MaxSteps && not (stopped ()) then
                    step ()

            level <- Math.Max(regularisation, level / 2.0)

        level <- regularisation
        let mutable wait = 10

        while answer.IsNone do
            let mutable left = wait

            while left > 0 && steps < options.MaxSteps && not (stopped ()) do
                step ()
                left <- left - 1

            let reason = if stopped () then Cancelled else StepLimit
            // Potentials that were stopped at a larger regularisation would overflow at this one: half a step makes every row sum to its weight.
            update level flat logB g f lineM
            let found = judge regularisation flat a b f g steps reason

            if found.Gap <= options.Tolerance * largest then
                answer <- ValueSome { found with Reason = GapReached }
            elif stopped () || steps >= options.MaxSteps then
                answer <- ValueSome found

            // A judgement costs about as much as three steps: they grow rarer.
            wait <- Math.Max(10, steps / 5)

        answer.Value

    /// The regularised plan between two weighted samples.
    let ofSamples (options: SinkhornOptions) (regularisation: float) (cost: GroundCost) (source: Sample) (target: Sample) : SinkhornPlan =
        Sample.RequireSame(nameof target, source, target)
        let costs = Array2D.init source.Count target.Count (fun i j -> Ground.between cost source.Axes i target.Axes j)
        solve options regularisation costs source.Masses target.Masses

namespace ValueFlow.Core.Values

open System
open System.Threading
open MathNet.Numerics.LinearAlgebra.Double
open ValueFlow.Core.Foundations

/// All occupancy measures of a model: discounted numbers of visits to each state and action,
///
/// { d >= 0 : sum over a of d(s, a) = rho(s) + gamma sum over s', a' of P(s | s', a') d(s', a') for every s },
///
/// which is A d = b, d >= 0 with one equation a state and one entry a row of the model. Their vertices are the deterministic policies, and &lt;d, r&gt; is the
/// value of the start: a decision problem is a linear program. Puterman 1994, "Markov decision processes", section 6.9.
[<Sealed>]
type OccupancyPolytope private (model: Model, discount: float, start: float[]) =

    let kernel = Kernel(model, discount)

    let matrix =
        lazy
            (let matrix = DenseMatrix.Create(model.stateCount, model.RowCount, 0.0)

             for s in 0 .. model.stateCount - 1 do
                 for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                     matrix[s, row] <- matrix[s, row] + 1.0

                     for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                         let next = model.successors[k]

                         if not (model.IsTerminal next) then
                             matrix[next, row] <- matrix[next, row] - kernel.Weights[k]

             // The row of a terminal state stays empty: nobody acts there.
             matrix)

    /// The model.
    member _.Model = model
    /// The discount.
    member _.Discount = discount
    /// rho: for each state the probability of starting there.
    member _.Start: ReadOnlySpan<float> = ReadOnlySpan start
    member internal _.Starts = start
    member internal _.Kernel = kernel
    member internal _.Matrix: DenseMatrix = matrix.Value

    /// The states that are not terminal: one equation for each.
    member val internal Equations: int[] =
        [|
            for s in 0 .. model.stateCount - 1 do
                if not (model.IsTerminal s) then
                    s
        |]

    /// r(s, a) for each row of the model.
    member _.Rewards: float[] = Array.copy kernel.RowRewards

    /// For each state |sum over a of d(s, a) - rho(s) - gamma sum P d|, and for each row the part of d below zero: the largest of them.
    member this.Violation(occupancy: float[]) : float =
        Shape.requireLength (nameof occupancy) model.RowCount occupancy.Length
        let left = this.Matrix * DenseVector.OfArray occupancy
        let mutable largest = 0.0

        for s in this.Equations do
            largest <- Math.Max(largest, abs (left[s] - start[s]))

        for x in occupancy do
            largest <- Math.Max(largest, -x)

        largest

    /// The occupancy measures of a model, a discount in [0, 1) and a law of the start: for each state its probability. Throws an ArgumentException for an
    /// interval model, and for a start that is no law.
    static member Create(model: Model, discount: float, start: float[]) : OccupancyPolytope =
        Shape.requireLength (nameof start) model.StateCount start.Length

        if model.IsInterval then
            invalidArg (nameof model) "the model must have probabilities but has intervals"

        for s in 0 .. start.Length - 1 do
            if not (start[s] >= 0.0) then
                invalidArg (nameof start) $"the probability of state {s} must not be negative but is {start[s]}"

        let total = Array.sum start

        if not (abs (total - 1.0) <= 1e-9) then
            invalidArg (nameof start) $"probabilities must sum to 1 but sum to {total}"

        OccupancyPolytope(model, discount, start |> Array.map (fun p -> p / total))

    /// The same, starting from the model's initial states, all as likely; from every state if it names none.
    static member Create(model: Model, discount: float) : OccupancyPolytope =
        let states = if model.initial.Length > 0 then model.initial else [| 0 .. model.stateCount - 1 |]
        let start = Array.zeroCreate model.stateCount
        states |> Array.iter (fun s -> start[s] <- 1.0 / float states.Length)
        OccupancyPolytope.Create(model, discount, start)

/// From policies to occupancy measures and back.
[<RequireQualifiedAccess>]
module Occupancy =

    /// d(s, a) = pi(a | s) d(s), with d(s) = rho(s) + gamma sum over s' of P_pi(s | s') d(s'): one linear solve. A policy's discounted number of visits.
    let ofPolicy (cancellation: CancellationToken) (policy: Policy) (polytope: OccupancyPolytope) : float[] =
        let model, kernel = polytope.Model, polytope.Kernel
        Shape.requireLength (nameof policy) model.RowCount policy.Rows.Length
        let incoming = Array.init model.stateCount (fun _ -> ResizeArray<struct (int * float)>())

        for s in 0 .. model.stateCount - 1 do
            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                if policy.Rows[row] > 0.0 then
                    for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                        incoming[model.successors[k]].Add(struct (s, policy.Rows[row] * kernel.Weights[k]))

        let write s (add: int -> float -> unit) =
            for struct (from, weight) in incoming[s] do
                add from weight

        let visits = LinearEvaluation.solveRows model.stateCount write polytope.Starts polytope.Starts cancellation
        cancellation.ThrowIfCancellationRequested()
        let occupancy = Array.zeroCreate<float> model.RowCount

        for s in 0 .. model.stateCount - 1 do
            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                occupancy[row] <- Math.Max(0.0, visits[s]) * policy.Rows[row]

        occupancy

    /// pi(a | s) = d(s, a) / sum over a' of d(s, a'), the uniform law where nothing is visited. Entries below zero count as zero.
    let policy (polytope: OccupancyPolytope) (occupancy: float[]) : Policy =
        let model = polytope.Model
        Shape.requireLength (nameof occupancy) model.RowCount occupancy.Length
        Shape.requireFinite (nameof occupancy) occupancy
        let weights = Array.zeroCreate<float> model.RowCount

        for s in 0 .. model.stateCount - 1 do
            let first, last = model.rowOffsets[s], model.rowOffsets[s + 1] - 1
            let mutable sum = 0.0

            for row in first..last do
                sum <- sum + Math.Max(0.0, occupancy[row])

            for row in first..last do
                weights[row] <- if sum > 0.0 then Math.Max(0.0, occupancy[row]) / sum else 1.0 / float (last - first + 1)

        Policy.Stochastic(model, weights)

    /// &lt;d, r&gt;: the value of the start, for one reward a row.
    let value (rewards: float[]) (occupancy: float[]) : float =
        Shape.requireLength (nameof occupancy) rewards.Length occupancy.Length
        Array.fold2 (fun sum r d -> sum + r * d) 0.0 rewards occupancy

    /// A measure that maximises &lt;d, r&gt;, that of a deterministic policy: policy iteration. The lowest action stands among equals.
    let best (options: RunOptions) (rewards: float[]) (polytope: OccupancyPolytope) : float[] =
        let model = polytope.Model
        Shape.requireLength (nameof rewards) model.RowCount rewards.Length
        Shape.requireFinite (nameof rewards) rewards
        let rewarded = { model with rewardTable = RewardTable.OfRows(Array.copy rewards, model.offsets) }
        let solution = PolicyIteration.solve options (Bellman.Optimality(rewarded, polytope.Discount))
        options.Cancellation.ThrowIfCancellationRequested()
        ofPolicy options.Cancellation (Policy.Deterministic(model, ReadOnlySpan solution.Policy)) polytope

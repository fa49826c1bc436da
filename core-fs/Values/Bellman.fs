namespace ValueFlow.Core.Values

open System
open System.Threading
open TorchSharp
open ValueFlow.Core.Foundations

/// A generalised Bellman operator (T V)(s) = (x)_a rho( r(s,a,s') + gamma(s,a,s') V(s') ), with what its slots guarantee:
/// if both summaries are monotone, translate and do not expand, T contracts by the largest discount in the sup norm.
/// Littman and Szepesvari 1996, "A generalized reinforcement-learning model: convergence and applications".
[<Sealed>]
type Bellman private (kernel: Kernel, state: StateSummary, action: ActionSummary) =

    let sweep = Sweep.create kernel state action

    let struct (leastFactor, largestFactor) =
        let struct (least, largest) = state.Factors kernel
        // The action summary's own rounding may let a little more of a constant through.
        let slack = float (kernel.MostActions + 4) * Bound.unitRoundoff
        struct (Math.Max(0.0, least * (1.0 - slack)), largest * (1.0 + slack))

    let contracts = state.Claim.NonExpansive && action.Claim.NonExpansive
    let source = [ state.Claim.Source; action.Claim.Source ] |> List.distinct |> String.concat "; "

    let rounding (values: float[]) =
        let magnitude = kernel.Magnitude values
        Bound.above (state.Rounding(kernel, magnitude) + action.Rounding(kernel.MostActions, magnitude))

    // A summary without a rounding bound certifies nothing.
    let rounds = Double.IsFinite(rounding [||])

    let name = $"Bellman[{state.Name}, {action.Name}, {kernel.Discount}]"

    let operator =
        {
            Name = name
            Space = Space.vectors
            Claims =
                [
                    if contracts then
                        {
                            Metric = Metric.sup
                            Modulus = largestFactor
                            Rounding = (if rounds then ValueSome rounding else ValueNone)
                            Source = source
                        }
                ]
            Monotone = state.Claim.Monotone && action.Claim.Monotone
            Translation =
                // Where rows pass on different shares of a constant, only an operator that keeps the order stays between them.
                let even = largestFactor - leastFactor <= 1e-12 * largestFactor
                let monotone = state.Claim.Monotone && action.Claim.Monotone

                if state.Claim.Translates && action.Claim.Translates && (monotone || even) then
                    // A terminal state passes nothing on.
                    ValueSome(struct ((if kernel.HasTerminals then 0.0 else leastFactor), largestFactor))
                else
                    ValueNone
            Apply =
                fun values ->
                    let result = Array.zeroCreate values.Length
                    sweep.Apply(values, result, CancellationToken.None) |> ignore
                    result
            ApplyInto = ValueSome(Into(fun values result -> sweep.Apply(values, result, CancellationToken.None) |> ignore))
        }

    /// The operator of a model, a discount in [0, 1) and two summaries. An ArgumentException says what a summary misses in the model.
    static member Create(model: Model, discount: float, state: StateSummary, action: ActionSummary) : Bellman =
        Bellman.On(Kernel(model, discount), state, action)

    static member private On(kernel: Kernel, state: StateSummary, action: ActionSummary) : Bellman =
        let model = kernel.Model

        let require name (missing: string voption) =
            match missing with
            | ValueSome expectation -> invalidArg name $"the summary '{name}' needs a model with {expectation}"
            | ValueNone -> ()

        require (nameof state) (state.Misses model)
        require (nameof action) (action.Misses model)
        Bellman(kernel, state, action)

    /// The optimality operator (T V)(s) = max over a of sum over s' P (r + gamma V(s')): Bellman 1957.
    static member Optimality(model: Model, discount: float) : Bellman =
        Bellman.Create(model, discount, Expectation(), Extreme Direction.Maximise)

    /// The evaluation operator (T V)(s) = sum over a of pi(a|s) sum over s' P (r + gamma V(s')): Bellman 1957.
    static member Evaluation(model: Model, discount: float, policy: Policy) : Bellman =
        Bellman.Create(model, discount, Expectation(), PolicyMean policy)

    /// The same operator with another action summary.
    member _.With(other: ActionSummary) : Bellman = Bellman.On(kernel, state, other)
    /// The model with the discount.
    member _.Kernel = kernel
    /// The state summary.
    member _.State = state
    /// The action summary.
    member _.Action = action
    /// The row form.
    member _.Sweep = sweep
    /// The operator on values, with its claims.
    member _.Operator = operator
    /// The least and the largest share of a constant that a state with actions passes on.
    member internal _.Factors = struct (leastFactor, largestFactor)
    /// A bound on |computed (T V)(s) - exact (T V)(s)|.
    member internal _.Rounding(values: float[]) = rounding values

    /// The tensor form of the same operator, on values (S) of float64: batched, differentiable, and claimed in the same metric. The rows are the
    /// caller's to free, after the operator.
    member _.TensorOperator(rows: TensorRows) : Operator<torch.Tensor> =
        let apply (values: torch.Tensor) =
            Lifetime.keep (fun () ->
                let actionValues = rows.ByState(state.OnTensor(rows, values))
                (action.OnTensor(rows, actionValues)).mul rows.Acting)

        { Operator.create $"{name} on tensors" (Space.tensors ()) apply with
            Claims =
                [
                    if contracts then
                        { Metric = TensorMetric.sup (); Modulus = largestFactor; Rounding = ValueNone; Source = source }
                ]
            Monotone = operator.Monotone
            Translation = operator.Translation
        }

    /// For each state the action whose value is best in the direction; the lowest number among equals, and -1 in a terminal state.
    member _.Greedy(values: float[], direction: Direction, cancellation: CancellationToken) : int[] =
        let chosen = Array.create kernel.Model.StateCount -1
        sweep.Improve(values, direction, 0.0, chosen, cancellation) |> ignore
        chosen |> Array.map (fun row -> if row < 0 then -1 else kernel.Model.rowActions[row])

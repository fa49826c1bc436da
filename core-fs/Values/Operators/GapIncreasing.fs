namespace ValueFlow.Core.Values

open ValueFlow.Core.Foundations

/// Operators on action values, one for each row, that push the best action away from the others. They preserve optimality: max over a of Q converges to V*, no action that
/// is not optimal ends as the greedy one. And they widen gaps: V*(s) - lim inf Q(s, a) is at least V*(s) - Q*(s, a).
/// Bellemare, Ostrovski, Guez, Thomas and Munos 2016, "Increasing the action gap: new operators for reinforcement learning".
[<RequireQualifiedAccess>]
module GapIncreasing =

    let private kernelOf (model: Model) discount = ActionValues.kernel "a gap-increasing operator" model discount

    let private stateOf (model: Model) =
        let states = Array.zeroCreate model.RowCount

        for s in 0 .. model.StateCount - 1 do
            for row in model.rowOffsets[s] .. model.rowOffsets[s + 1] - 1 do
                states[row] <- s

        states

    let private plain (kernel: Kernel) (values: float[]) row = ActionValues.backup kernel kernel.RowRewards values row

    // One row is summed as an expectation is.
    let private rounded (kernel: Kernel) operator =
        Operator.roundedBy (fun q -> Expectation().Rounding(kernel, kernel.Magnitude q)) operator

    /// The optimality operator on action values: (T Q)(s, a) = sum P (r + gamma max over a' of Q(s', a')). Monotone, contracts by the discount, rounds like an expectation.
    let optimality (model: Model) (discount: float) : Operator<float[]> =
        let kernel = kernelOf model discount
        let struct (_, largest) = kernel.MassFactors

        { Operator.onVectors $"Q[{discount}]" largest (fun q ->
              Shape.requireLength (nameof q) model.RowCount q.Length
              let values = ActionValues.largest model q
              Array.init model.RowCount (plain kernel values)) with
            Monotone = true
        }
        |> rounded kernel

    /// Advantage learning: (T Q)(s, a) - b (max over a' of Q(s, a') - Q(s, a)), b in [0, 1). It is no contraction, nor monotone, and claims nothing: a counterexample is pinned in the tests.
    /// Its values still converge to V*. Baird 1999, "Reinforcement learning through gradient descent"; Bellemare and others 2016.
    let advantageLearning (model: Model) (discount: float) (strength: float) : Operator<float[]> =
        if not (strength >= 0.0 && strength < 1.0) then
            invalidArg (nameof strength) $"strength must lie in [0, 1) but is {strength}"

        let kernel = kernelOf model discount
        let states = stateOf model

        Operator.create $"advantage learning({strength}, {discount})" Space.vectors (fun q ->
            Shape.requireLength (nameof q) model.RowCount q.Length
            let values = ActionValues.largest model q
            Array.init model.RowCount (fun row -> plain kernel values row - strength * (values[states[row]] - q[row])))

    /// The consistent operator: sum P (r + gamma v), where v is Q(s, a) itself if the transition stays in its state, as a policy that stays would choose the same again, and
    /// max over a' of Q(s', a') if not. It is monotone and contracts by the discount in the sup norm: each v is a non-expansion of Q. It rounds like an expectation. Bellemare and others 2016.
    let consistent (model: Model) (discount: float) : Operator<float[]> =
        let kernel = kernelOf model discount
        let states = stateOf model
        let struct (_, largest) = kernel.MassFactors

        { Operator.onVectors $"consistent({discount})" largest (fun q ->
              Shape.requireLength (nameof q) model.RowCount q.Length
              let values = ActionValues.largest model q

              Array.init model.RowCount (fun row ->
                  let mutable sum = kernel.RowRewards[row]

                  for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                      let next = model.successors[k]
                      sum <- sum + kernel.Weights[k] * (if next = states[row] then q[row] else values[next])

                  sum)) with
            Monotone = true
        }
        |> rounded kernel

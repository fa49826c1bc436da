namespace ValueFlow.Core.Flows

open ValueFlow.Core.Foundations
open System
open System.Threading

/// A distance of optimal transport between two samples, bracketed.
type TransportDistance =
    {
        /// The distance of the plan that was found: not below the true one, up to rounding.
        Value: float
        /// The distance is not less than this, up to rounding.
        LowerBound: float
    }

    /// Value less lower bound.
    member this.Gap: float = this.Value - this.LowerBound

/// Wasserstein distances between samples in R^d, exact, each with its certificate. Samples of equal size and weights are assigned to one another; others are
/// solved as a minimum-cost flow (<see cref="T:ValueFlow.Core.Flows.TransportModule" />).
[<RequireQualifiedAccess>]
module Wasserstein =

    let private bracket (cost: GroundCost) (cancellation: CancellationToken) (first: Sample) (second: Sample) =
        if first.Count = second.Count && first.IsUniform && second.IsUniform then
            let found = Assignment.ofSamples cost cancellation first second
            let count = float first.Count
            struct (found.Cost / count, found.DualValue / count)
        else
            let plan = Transport.exact cost first second
            struct (plan.Cost, plan.LowerBound)

    /// W1: the least mean distance over all plans. Kantorovich 1942.
    let w1 (cancellation: CancellationToken) (first: Sample) (second: Sample) : TransportDistance =
        let struct (cost, dual) = bracket Euclidean cancellation first second
        { Value = cost; LowerBound = Math.Max(0.0, dual) }

    /// W2: the root of the least mean squared distance over all plans. Ten thousand points a side are solved in O(n) memory.
    let w2 (cancellation: CancellationToken) (first: Sample) (second: Sample) : TransportDistance =
        let struct (cost, dual) = bracket SquaredEuclidean cancellation first second
        { Value = sqrt cost; LowerBound = sqrt (Math.Max(0.0, dual)) }

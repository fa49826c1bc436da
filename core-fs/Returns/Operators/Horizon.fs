namespace ValueFlow.Core.Returns

open System
open System.Threading
open ValueFlow.Core.Foundations

/// Laws of what is earned within a number of steps.
[<RequireQualifiedAccess>]
module Horizon =

    /// For each place E of the product of the discounts of the first steps: what a unit of return is worth that comes after them. Zero where every way has ended by then.
    let passed (steps: int) (branches: Branches) : float[] =
        if steps < 0 then
            invalidArg (nameof steps) $"steps must not be negative but are {steps}"

        let mutable worth = Array.init branches.Places (fun place -> if (branches.At place).Length = 0 then 0.0 else 1.0)

        for _ in 1..steps do
            worth <-
                Array.init branches.Places (fun place ->
                    let mutable sum = 0.0

                    for struct (weight, _, discount, source) in branches.At place do
                        if source >= 0 then
                            sum <- sum + weight * discount * worth[source]

                    sum)

        worth

    /// The exact laws of the returns of the first steps from each place, atoms within <c>joining</c> joined, and a bound on W_1 between them and the laws of the whole returns:
    /// passed R / (1 - g) + joining (1 - g^n) / (1 - g), for the largest discount g and the largest reward R. Zero, for joining zero, where every episode has ended within the steps, whatever
    /// the discount. Throws an ArgumentException where a law has more than <c>mostAtoms</c> atoms, and an OperationCanceledException.
    let exact
        (steps: int)
        (joining: float)
        (mostAtoms: int)
        (cancellation: CancellationToken)
        (branches: Branches)
        : struct (LawTable * float) =
        let representation = ExactRepresentation(joining, mostAtoms)
        let passed = Array.fold max 0.0 (passed steps branches)
        let mutable table = representation.Zero branches.Places

        for _ in 1..steps do
            cancellation.ThrowIfCancellationRequested()
            table <- representation.Apply(branches, table)

        let g = branches.LargestDiscount

        let tail = if passed * branches.LargestReward = 0.0 then 0.0 else passed * branches.LargestReward / (1.0 - g)

        let joined =
            if joining = 0.0 then 0.0
            elif g < 1.0 then joining * (1.0 - Math.Pow(g, float steps)) / (1.0 - g)
            else joining * float steps

        struct (table, tail + joined)

namespace ValueFlow.Benchmarks

open System
open ValueFlow.Core.Foundations
open ValueFlow.Core.Returns

/// A batch of the shapes that published agents use: 51 atoms in [-10, 10] and 200 quantiles. The laws of the recorded figures: rewards uniform on [-1, 1], a tenth of the steps terminated,
/// predictions N(0, 9), targets N(0.5, 9).
type DistributionalData =
    {
        /// Rows.
        Batch: int
        /// Rewards, one a row.
        Rewards: float32[]
        /// Discounts, one a row.
        Discounts: float32[]
        /// Masses of the next laws, 51 a row.
        Masses: float32[]
        /// Logits, 51 a row.
        Logits: float32[]
        /// Predicted quantiles, 200 a row.
        Predictions: float32[]
        /// Targets, 200 a row.
        Targets: float32[]
    }

/// Makes such batches.
[<RequireQualifiedAccess>]
module DistributionalData =

    /// The common support.
    let support: Support = Support(-10.0, 10.0, 51)
    /// The loss: 200 levels in the middle of equal shares, kappa 1.
    let rule: QuantileRule = QuantileRule.standard 1.0 200

    /// A batch from a seed.
    let make (seed: int) (batch: int) : DistributionalData =
        let generator = Generator seed
        let normals scale shift count = Array.init count (fun _ -> float32 (shift + scale * Sampling.normal generator))
        let count, levels = support.Count, rule.Levels.Length

        {
            Batch = batch
            Rewards = Array.init batch (fun _ -> float32 (2.0 * generator.Uniform() - 1.0))
            Discounts = Array.init batch (fun _ -> if generator.Uniform() > 0.1 then 0.99f else 0.0f)
            Masses = Array.create (batch * count) (1.0f / float32 count)
            Logits = normals 1.0 0.0 (batch * count)
            Predictions = normals 3.0 0.0 (batch * levels)
            Targets = normals 3.0 0.5 (batch * levels)
        }

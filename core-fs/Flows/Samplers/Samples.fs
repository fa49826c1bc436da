namespace ValueFlow.Core.Flows

open System
open TorchSharp
open ValueFlow.Core.Dynamics

/// The outcome of sampling. It owns its tensors; disposing it frees them, and so does the scope in which the sampler was called. They carry no graph.
[<NoComparison; NoEquality>]
type Samples =
    {
        /// The batch at the time reached, of the shape of the start batch.
        Final: torch.Tensor
        /// The time reached, as the interpolant counts it: also for a run from 1 to 0.
        Time: float
        /// The batches that were kept on the way, in the order of the run.
        Saved: torch.Tensor[]
        /// Their times.
        SavedTimes: float[]
        /// Steps made.
        Steps: int
        /// Steps rejected.
        Rejections: int
        /// Evaluations of the velocity on the whole batch.
        VelocityEvaluations: int
        /// Evaluations of the score on the whole batch; none where the noise level is zero.
        ScoreEvaluations: int
        /// Why the run ended.
        Reason: Reason
    }

    interface IDisposable with
        /// Frees the tensors.
        member samples.Dispose() =
            samples.Final.Dispose()
            samples.Saved |> Array.iter _.Dispose()

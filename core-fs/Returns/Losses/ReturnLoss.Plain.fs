namespace ValueFlow.Core.Returns

open TorchSharp
open ValueFlow.Core.Foundations

/// The losses as plain tensor operations that autograd differentiates: for any type and device, and what the fused kernels are held against. Arguments were checked.
[<RequireQualifiedAccess>]
module internal PlainReturnLoss =

    /// max(-bound, min(bound, x)).
    let private clamp (bound: float) (x: torch.Tensor) : torch.Tensor =
        let upper = Elementwise.atLeast -bound (x.neg ())
        Elementwise.atLeast -bound (upper.neg ())

    /// -mean over rows of sum t log softmax(x).
    let crossEntropy (logits: torch.Tensor) (targets: torch.Tensor) : torch.Tensor =
        let logs: torch.Tensor = logits.log_softmax 1L
        let each: torch.Tensor = (logs.mul (targets.detach ())).sum 1L
        (each.mean ()).neg()

    /// The loss of a rule over all pairs, (rows x predictions x targets) numbers in memory.
    let quantileHuber (rule: QuantileRule) (predictions: torch.Tensor) (targets: torch.Tensor) : torch.Tensor =
        let d: torch.Tensor = ((targets.detach ()).unsqueeze 1L).sub(predictions.unsqueeze 2L)

        let huber: torch.Tensor =
            if rule.Kappa = 0.0 then
                d.abs ()
            else
                let c = Elementwise.over rule.Kappa (clamp rule.Kappa d)
                c.mul (Elementwise.addTimes (-0.5 * rule.Kappa) c d)

        let levels: torch.Tensor =
            torch.tensor(rule.Levels).``to``(d.dtype: torch.ScalarType).``to``(d.device: torch.Device).reshape(1L, -1L, 1L)

        let others: torch.Tensor = Elementwise.plus 1.0 (levels.neg ())
        let weights: torch.Tensor = torch.where (Elementwise.isAtMost 0.0 d, others, levels)
        let perPrediction: torch.Tensor = (weights.mul huber).mean [| 2L |]
        Elementwise.times (QuantileRule.factor rule) ((perPrediction.sum 1L).mean())

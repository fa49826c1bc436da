namespace ValueFlow.Core.Learning

open TorchSharp
open ValueFlow.Core.Flows

/// Learning the action of a transport from snapshots of its marginals.
[<RequireQualifiedAccess>]
module ActionObjective =

    /// The action-matching loss of a network s(t, x) with one output, on <c>batch</c> rows of each marginal at every step. Times ascend from 0 to 1; snapshots are
    /// (any, d) in float32, and named by the caller. Neklyudov, Brekelmans, Severo and Makhzani 2023, "Action Matching".
    let create
        (name: string)
        (kind: ActionKind)
        (configuration: NetworkConfiguration)
        (times: float[])
        (snapshots: torch.Tensor[])
        (batch: int)
        : Objective =
        if configuration.Output <> 1 then
            invalidArg (nameof configuration) $"an action has one output but the network has {configuration.Output}"

        Objective.differentiable $"action matching ({kind}, batch {batch}): {name}" (fun moment parameters ->
            let drawn = ActionMatching.draw (moment.Generator()) times snapshots batch
            ActionMatching.loss kind (TensorForm.action configuration parameters) drawn)

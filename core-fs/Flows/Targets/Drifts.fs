namespace ValueFlow.Core.Flows

open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics

/// Drifts of the stochastic equations that share the marginal laws of a velocity, for any noise level e(t) >= 0.
/// Albergo, Boffi and Vanden-Eijnden 2023, "Stochastic Interpolants", section 2.
[<RequireQualifiedAccess>]
module Drifts =

    let private combine (name: string) (sign: float) (level: Schedule) (velocity: Field) (score: Field) : Field =
        Field.create name (fun t x ->
            let times = TimeRows.read x t

            let levels =
                times
                |> Array.map (fun time ->
                    let e = level.Value time

                    if not (e >= 0.0 && System.Double.IsFinite e) then
                        invalidArg (nameof level) $"must be finite and not negative but is {e} at t = {time}"

                    sign * e)

            Lifetime.keep (fun () ->
                let b = velocity.Apply t x

                if Array.forall (fun e -> e = 0.0) levels then
                    b
                else
                    TimeRows.combine x [ Array.map (fun _ -> 1.0) levels, b; levels, score.Apply t x ]))

    /// b + e s: the drift of dX = (b + e s) dt + sqrt(2 e) dW, from time 0 to 1.
    let forward (level: Schedule) (velocity: Field) (score: Field) : Field = combine "forward drift" 1.0 level velocity score

    /// b - e s: the drift of the equation that runs from time 1 to 0 with noise sqrt(2 e).
    let backward (level: Schedule) (velocity: Field) (score: Field) : Field = combine "backward drift" -1.0 level velocity score

namespace ValueFlow.Core.Returns

open System
open System.Threading
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// Means and covariances of the joint returns of a policy, each by a linear solve: no law is needed.
type JointMoments =
    {
        /// For each state E Z(s), one number for each source of reward.
        Means: float[][]
        /// For each state the covariance of Z(s).
        Covariances: float[,][]
    }

/// Moments of joint returns.
[<RequireQualifiedAccess>]
module JointMoments =

    /// m(s) = E [R + gamma m(S')], the vector Bellman equation, and with it C(s) = Cov(R + gamma m(S')) + E gamma^2 C(S'), one linear system each for every source and every pair of sources.
    /// Sobel 1982, "The variance of discounted Markov decision processes", in several dimensions. Needs a discount below one, or a policy that ends every episode.
    let ofPolicy (cancellation: CancellationToken) (discount: float) (policy: Policy) (rewards: VectorRewards) : JointMoments =
        JointBellman.requireDiscount discount
        JointBellman.requirePolicy policy rewards
        let model = rewards.Model
        let states, count = model.StateCount, rewards.Count

        // visit (probability) (transition) (factor on what follows) over the outcomes of a state.
        let along state (visit: float -> int -> float -> unit) =
            for row in model.rowOffsets[state] .. model.rowOffsets[state + 1] - 1 do
                if policy.Rows[row] > 0.0 then
                    for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                        visit (policy.Rows[row] * model.probabilities[k]) k (JointBellman.follows discount model k)

        let expected state (value: int -> float -> float) =
            let mutable sum = 0.0
            along state (fun p k gamma -> sum <- sum + p * value k gamma)
            sum

        // x(s) = right(s) + E gamma^power x(S').
        let solve (power: int) (right: float[]) =
            let write state (add: int -> float -> unit) = along state (fun p k gamma -> add model.successors[k] (p * pown gamma power))
            LinearEvaluation.solveRows states write right (Array.zeroCreate states) cancellation

        let means =
            rewards.Channels
            |> Array.map (fun channel -> solve 1 (Array.init states (fun s -> expected s (fun k _ -> channel[k]))))

        let next i k gamma = rewards.Channels[i].[k] + gamma * means[i].[model.successors[k]]

        let covariances = Array.init states (fun _ -> Array2D.zeroCreate count count)

        for i in 0 .. count - 1 do
            for j in i .. count - 1 do
                let right =
                    Array.init states (fun s ->
                        expected s (fun k gamma -> (next i k gamma - means[i].[s]) * (next j k gamma - means[j].[s])))

                solve 2 right
                |> Array.iteri (fun s value ->
                    covariances[s].[i, j] <- value
                    covariances[s].[j, i] <- value)

        cancellation.ThrowIfCancellationRequested()

        {
            Means = Array.init states (fun s -> means |> Array.map (fun channel -> channel[s]))
            Covariances = covariances
        }

namespace ValueFlow.Core.Values

open System.Threading
open ValueFlow.Core.Foundations

/// What an environment answers to the policy of an occupancy measure: another process, other rewards, or both.
type PerformativeAnswer =
    {
        /// The occupancy measures of the process that is there now.
        Projection: Projection
        /// r(s, a) for each of its rows.
        Rewards: float[]
    }

/// Decision makers whose environment answers to their policy. Deploy d, see the rewards r_d and the process P_d, and optimise as if they would stay:
///
/// F(d) = argmax over d' in C(P_d) of &lt;d', r_d&gt; - (lambda / 2) ||d'||^2 = the projection of r_d / lambda onto C(P_d).
///
/// A fixed point is performatively stable: what is optimal for the environment that it brings about. Where P does not answer and
/// ||r_d - r_d'|| &lt;= epsilon ||d - d'||, F has the modulus epsilon / lambda in the Euclidean norm. Mandal, Triantafyllou and Radanovic 2023, "Performative
/// reinforcement learning".
[<RequireQualifiedAccess>]
module Performative =

    let private source = "Mandal, Triantafyllou and Radanovic 2023, Performative reinforcement learning"

    let private requirePositive (name: string) (x: float) =
        if not (x > 0.0 && System.Double.IsFinite x) then
            invalidArg name $"{name} must be positive and finite but is {x}"

    let private requireNotNegative (name: string) (x: float) =
        if not (x >= 0.0 && System.Double.IsFinite x) then
            invalidArg name $"{name} must not be negative but is {x}"

    /// F(d) = the projection of r_d / lambda onto C(P_d): the environment's answer, optimised.
    let step (respond: float[] -> PerformativeAnswer) (regularisation: float) (occupancy: float[]) : float[] =
        requirePositive (nameof regularisation) regularisation
        let answer = respond occupancy
        answer.Projection.Project(answer.Rewards |> Array.map (fun r -> r / regularisation))

    /// The projection of (1 - eta lambda) d + eta r_d onto C(P_d): one step of gradient ascent on the answer. Without a regularisation and an answer that
    /// changes it is the dual iteration of a plain decision process.
    let gradientStep (respond: float[] -> PerformativeAnswer) (rate: float) (regularisation: float) (occupancy: float[]) : float[] =
        requirePositive (nameof rate) rate
        requireNotNegative (nameof regularisation) regularisation
        let answer = respond occupancy
        let keep = 1.0 - rate * regularisation
        answer.Projection.Project(Array.map2 (fun d r -> keep * d + rate * r) occupancy answer.Rewards)

    let private operator name modulus apply : Operator<float[]> =
        Operator.create name Space.vectors apply
        |> Operator.claim { Metric = Metric.euclidean; Modulus = modulus; Rounding = ValueNone; Source = source }

    let private fixed' (cancellation: CancellationToken) (polytope: OccupancyPolytope) (rewards: float[] -> float[]) =
        let projection = Projection.Onto(polytope, cancellation)
        fun occupancy -> { Projection = projection; Rewards = rewards occupancy }

    /// Repeated optimisation where only the rewards answer, and by at most <c>sensitivity</c> in the Euclidean norm: the modulus is
    /// sensitivity / regularisation, a contraction if the regularisation exceeds the sensitivity.
    let repeated
        (cancellation: CancellationToken)
        (regularisation: float)
        (sensitivity: float)
        (rewards: float[] -> float[])
        (polytope: OccupancyPolytope)
        : Operator<float[]> =
        requirePositive (nameof regularisation) regularisation
        requireNotNegative (nameof sensitivity) sensitivity
        let respond = fixed' cancellation polytope rewards
        operator $"repeated optimisation (lambda {regularisation})" (sensitivity / regularisation) (step respond regularisation)

    /// Repeated gradient ascent where only the rewards answer: the modulus is |1 - eta lambda| + eta epsilon.
    let repeatedGradient
        (cancellation: CancellationToken)
        (rate: float)
        (regularisation: float)
        (sensitivity: float)
        (rewards: float[] -> float[])
        (polytope: OccupancyPolytope)
        : Operator<float[]> =
        requirePositive (nameof rate) rate
        requireNotNegative (nameof regularisation) regularisation
        requireNotNegative (nameof sensitivity) sensitivity
        let respond = fixed' cancellation polytope rewards
        let modulus = abs (1.0 - rate * regularisation) + rate * sensitivity
        operator $"repeated gradient (eta {rate}, lambda {regularisation})" modulus (gradientStep respond rate regularisation)

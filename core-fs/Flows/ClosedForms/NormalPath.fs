namespace ValueFlow.Core.Flows

open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Foundations.Arithmetic

/// A path of normal laws q_t = N(m(t), diag sd(t)^2), coordinate by coordinate: what action matching has a closed form for.
[<NoComparison; NoEquality>]
type NormalPath =
    {
        /// m_i.
        Mean: Schedule[]
        /// sd_i, positive.
        Deviation: Schedule[]
    }

/// Paths of normal laws and the gradients of their actions.
[<RequireQualifiedAccess>]
module NormalPath =

    // For each coordinate (m', rate of (x - m)): sd'/sd - noise^2 / (2 sd^2).
    let private numbers (path: NormalPath) (noise: float) (t: float) : struct (float * float * float * float)[] =
        Shape.requireLength "deviation" path.Mean.Length path.Deviation.Length

        Array.map2
            (fun (mean: Schedule) (deviation: Schedule) ->
                let sd = deviation.Value t

                if not (sd > 0.0) then
                    invalidArg "deviation" $"must be positive but is {sd} at t = {t}"

                struct (mean.Value t, mean.Derivative t, sd, deviation.Derivative t / sd - 0.5 * noise * noise / (sd * sd)))
            path.Mean
            path.Deviation

    /// grad s*(t, x)_i = m_i' + (sd_i'/sd_i)(x_i - m_i) + (noise^2/2) d_i log q_t(x): the gradient field that carries q_t, with the diffusion
    /// dX = grad s* dt + noise dW if the noise is positive. Neklyudov et al. 2023, "Action Matching".
    let velocity (path: NormalPath) (noise: float) : Field =
        Field.create "velocity of a normal path" (fun t x ->
            Posterior.requirePoints path.Mean.Length x
            let rows = TimeRows.read x t |> Array.map (numbers path noise)

            Lifetime.keep (fun () ->
                let table (pick: struct (float * float * float * float) -> float) =
                    let values = rows |> Array.collect (Array.map pick)
                    torch.tensor(values, dtype = x.dtype, device = x.device).reshape [| int64 rows.Length; x.shape[1] |]

                let gap = x.sub (table (fun (struct (mean, _, _, _)) -> mean))
                (gap.mul (table (fun (struct (_, _, _, pull)) -> pull))).Plus(table (fun (struct (_, rate, _, _)) -> rate))))

    /// E |grad s*|^2 at a time; half its integral is the kinetic energy, minus which is the least value of the balanced and the entropic loss.
    let speedSquared (path: NormalPath) (noise: float) (t: float) : float =
        numbers path noise t |> Array.sumBy (fun (struct (_, rate, sd, pull)) -> rate * rate + pull * pull * sd * sd)

namespace ValueFlow.Studies

open System
open TorchSharp
open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning

/// Laws in the plane that the studies of flows transport into one another.
[<RequireQualifiedAccess>]
module PlaneLaws =

    /// Eight normal laws of one deviation, evenly on a circle around zero, of equal weight: a mixture in closed form.
    let circle (radius: float) (deviation: float) : MixtureLaw =
        let centres = Array.init 8 (fun k -> [| radius * Double.CosPi(float k / 4.0); radius * Double.SinPi(float k / 4.0) |])

        MixtureLaw.around centres deviation

    /// Eight normal laws on a circle of radius 3, deviation 0.25.
    let eightGaussians: RowSource = RowSource.mixture "8 gaussians, radius 3, deviation 0.25" (circle 3.0 0.25)

    /// Two normal laws with different means and correlations, neither of them round.
    let normalPair: struct (GaussianLaw * GaussianLaw) =
        struct (GaussianLaw.create [| -1.0; 0.5 |] (array2D [ [ 0.5; 0.2 ]; [ 0.2; 0.8 ] ]),
                GaussianLaw.create [| 2.0; 1.0 |] (array2D [ [ 1.5; -0.6 ]; [ -0.6; 0.7 ] ]))

    let private moonDeviation = 0.15

    /// Two interleaved half circles of radius 2, centred around zero, uniform along the arcs, with normal noise of deviation 0.15.
    let twoMoons: RowSource =
        {
            Name = "two moons, radius 2, deviation 0.15"
            Dimension = 2
            Draw =
                fun generator count ->
                    let rows: float32[] = Array.zeroCreate (2 * count)

                    for i in 0 .. count - 1 do
                        let isUpper = generator.Below 2 = 0
                        let angle = generator.Uniform()
                        let c, s = Double.CosPi angle, Double.SinPi angle
                        let x, y = if isUpper then c, s else 1.0 - c, 0.5 - s
                        rows[2 * i] <- float32 (2.0 * (x - 0.5) + moonDeviation * Sampling.normal generator)
                        rows[2 * i + 1] <- float32 (2.0 * (y - 0.25) + moonDeviation * Sampling.normal generator)

                    Lifetime.keep (fun () -> (torch.tensor rows).reshape(int64 count, 2L))
        }

    /// Points of a normal law whose sample mean and covariance are exactly those of the law: m plus and minus sqrt(d) times the columns of a root of C, (2 d, d) in float64.
    /// An affine map carries them to points that have exactly the mapped moments, without sampling error. Julier and Uhlmann 1997, "A new extension of the Kalman filter to nonlinear systems".
    let sigmaPoints (law: GaussianLaw) : torch.Tensor =
        let d = law.Dimension
        let mean, covariance = law.Mean, law.Covariance
        // The Cholesky factor, row by row.
        let root = Array2D.zeroCreate<float> d d

        for i in 0 .. d - 1 do
            for j in 0..i do
                let mutable rest = covariance[i, j]

                for k in 0 .. j - 1 do
                    rest <- rest - root[i, k] * root[j, k]

                root[i, j] <- if i = j then sqrt rest else rest / root[j, j]

        let rows =
            [|
                for sign in [ 1.0; -1.0 ] do
                    for k in 0 .. d - 1 do
                        for i in 0 .. d - 1 -> mean[i] + sign * sqrt (float d) * root[i, k]
            |]

        Lifetime.keep (fun () -> torch.tensor(rows, dtype = torch.float64).reshape [| 2L * int64 d; int64 d |])

namespace ValueFlow.Studies

open System.Threading
open TorchSharp
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic

/// What a flow costs.
type internal Way =
    {
        /// int E |b|^2 dt: the path energy.
        Energy: float
        /// W2^2 between the points at its start and at its end: what any flow costs at least that has these ends.
        LeastEnergy: float
        /// int E |x_1 - x_0 - b|^2 dt: zero for straight paths at constant speed. Liu, Gong and Liu 2023, "Flow Straight and Fast".
        Bend: float
    }

/// Batches of points of the plane: run along flows, measured, drawn.
module internal Clouds =

    /// The numbers of a tensor, row by row.
    let numbers (tensor: torch.Tensor) : float[] =
        Lifetime.within (fun () -> tensor.detach().``to``(torch.float64).contiguous().data<float>().ToArray())

    /// The points of a batch (B, 2) as columns.
    let columns (points: torch.Tensor) : struct (float[] * float[]) =
        let all = numbers points
        struct (Array.init (all.Length / 2) (fun i -> all[2 * i]), Array.init (all.Length / 2) (fun i -> all[2 * i + 1]))

    /// The first points of a batch as a layer; the radius is in pixels.
    let layer (name: string) (colour: LayerColour) (radius: float) (count: int) (points: torch.Tensor) : PlaneLayer =
        let struct (x, y) = columns points
        PointLayer(name, Array.truncate count x, Array.truncate count y, colour, radius)

    /// The ways of the first points through batches at growing times, coloured by time.
    let paths (name: string) (count: int) (times: float[]) (states: torch.Tensor[]) : PlaneLayer =
        let all = states |> Array.map columns

        let along (pick: struct (float[] * float[]) -> float[]) =
            Array.init count (fun k -> all |> Array.map (fun state -> (pick state)[k]))

        PathLayer(name, along (fun struct (x, _) -> x), along (fun struct (_, y) -> y), times = Array.create count times)

    /// The density of a sample on a grid, by normal kernels of a width, divided by its largest value.
    let density (name: string) (limits: PlaneLimits) (width: float) (points: torch.Tensor) : PlaneLayer =
        let side = 64
        let struct (x, y) = columns points
        let at low high i = low + (high - low) * float i / float (side - 1)
        // A product of two kernels: each is taken once for every grid line and point.
        let kernels (low: float) (high: float) (values: float[]) =
            Array.init side (fun i -> values |> Array.map (fun v -> exp (-0.5 * ((v - at low high i) / width) ** 2.0)))

        let across, up = kernels limits.XLow limits.XHigh x, kernels limits.YLow limits.YHigh y

        let values =
            Array2D.init side side (fun i j ->
                let mutable sum = 0.0
                let a, b = up[i], across[j]

                for k in 0 .. a.Length - 1 do
                    sum <- sum + a[k] * b[k]

                sum)

        let peak = values |> Seq.cast<float> |> Seq.max
        DensityLayer(name, limits, values |> Array2D.map (fun value -> value / peak), 10)

    let private ended (samples: Samples) : Samples =
        match samples.Reason with
        | Reason.ReachedEnd -> samples
        | Reason.Cancelled -> raise (System.OperationCanceledException())
        | reason -> invalidOp $"sampling ended at t = {samples.Time}: {reason}"

    /// The flow of a velocity from 0 to 1 by Dormand-Prince at a tolerance, kept at some times.
    let flow (cancellation: CancellationToken) (tolerance: float) (save: float[]) (velocity: Field) (start: torch.Tensor) : Samples =
        let options =
            { OdeOptions.adaptive Scheme.dormandPrince5 tolerance with
                Save = save
                Cancellation = cancellation
            }

        ended (Sampler.ode options TimeInterval.whole velocity start)

    /// The flow of a velocity from 0 to 1 in equal steps of a scheme.
    let steps (cancellation: CancellationToken) (scheme: Scheme) (count: int) (velocity: Field) (start: torch.Tensor) : Samples =
        let options = { Sampler.equalSteps scheme count TimeInterval.whole with Cancellation = cancellation }

        ended (Sampler.ode options TimeInterval.whole velocity start)

    /// The stochastic equation of a noise level from 0 to 1, by Euler-Maruyama in equal steps, kept after every so many.
    let noisy
        (cancellation: CancellationToken)
        (count: int)
        (every: int)
        (level: Schedule)
        (seed: int)
        (velocity: Field)
        (score: ScoreModel)
        (start: torch.Tensor)
        : Samples =
        let options =
            { SdeOptions.create SdeScheme.eulerMaruyama count with
                SaveEvery = every
                Cancellation = cancellation
            }

        ended (Sampler.sde options TimeInterval.whole level seed velocity score start)

    /// E |x|^2 over the rows of a batch.
    let meanSquare (x: torch.Tensor) : float = Lifetime.within (fun () -> (x.``to``(torch.float64).Squared().sum(1L)).mean().item<float>())

    /// What the flow of a velocity costs on the points of a batch, by the trapezoidal rule at 33 times.
    let way (cancellation: CancellationToken) (velocity: Field) (start: torch.Tensor) : Way =
        Lifetime.within (fun () ->
            let times = Array.init 33 (fun i -> float i / 32.0)
            let run = flow cancellation 1e-4 times velocity start
            let chord = run.Final.sub start
            let weight i = if i = 0 || i = times.Length - 1 then 0.5 / 32.0 else 1.0 / 32.0

            let integral (integrand: torch.Tensor -> torch.Tensor) =
                run.Saved
                |> Array.mapi (fun i x -> weight i * meanSquare (integrand (velocity.Apply (torch.tensor (times[i], dtype = x.dtype)) x)))
                |> Array.sum

            {
                Energy = integral id
                LeastEnergy = (Wasserstein.w2 cancellation (Sample.OfTensor start) (Sample.OfTensor run.Final)).LowerBound ** 2.0
                Bend = integral chord.sub
            })

    /// The largest difference between the moments of a batch and those of a normal law: of the means, and of the covariances.
    let momentError (law: GaussianLaw) (points: torch.Tensor) : float =
        let struct (mean, covariance) = Bures.moments (Sample.OfTensor points)
        let m, c = law.Mean, law.Covariance
        let means = Array.map2 (fun a b -> abs (a - b)) mean m |> Array.max
        let covariances = Seq.map2 (fun a b -> abs (a - b)) (Seq.cast<float> covariance) (Seq.cast<float> c) |> Seq.max
        max means covariances

/// Flows whose laws are known at every time, and how far a batch is from a law.
module ValueFlow.FlowsTests.Samplers.Systems

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.FlowsTests.Interpolants.Draw

let private remainder (value: int) (count: int) = (value % count + count) % count

/// Interpolants whose velocity is finite at both ends.
let private smooth: Interpolant[] =
    [|
        Interpolant.linear Latent.none
        Interpolant.brownianBridge 0.5
        Interpolant.trigonometric (Latent.quadratic 1.0)
        Interpolant.linear (Latent.sineSquared 0.7)
        Interpolant.oneSided "one-sided linear" Schedule.remaining Schedule.time
        Interpolant.trigonometric Latent.none |> Interpolant.withGaussianStart
    |]

/// One of them.
let smoothInterpolant (draw: Draw) : Interpolant = smooth[remainder draw.Choice smooth.Length]

/// A one-sided one of them.
let oneSided (draw: Draw) : Interpolant = smooth[4 + remainder draw.Choice 2]

/// A transport with components of moderate width at both ends.
type Transport =
    {
        Interpolant: Interpolant
        Law: PairLaw
        First: MixtureLaw
        Last: MixtureLaw
        Velocity: Field
        Score: Field
    }

let between (interpolant: Interpolant) (first: MixtureLaw) (last: MixtureLaw) : Transport =
    let law = PairLaw.independent first last

    {
        Interpolant = interpolant
        Law = law
        First = first
        Last = last
        Velocity = PairLaw.field interpolant law Target.Velocity
        Score = PairLaw.field interpolant law Target.Score
    }

/// A transport of a draw: d dimensions, mixtures of so many components.
let transport (draw: Draw) (d: int) (count: int) : Transport =
    let i = smoothInterpolant draw
    let first, last = ends i draw d count
    between i first last

/// Noise levels, none, constant and varying.
let levels: Schedule[] =
    [|
        NoiseLevel.none
        NoiseLevel.constant 0.3
        NoiseLevel.constant 1.0
        NoiseLevel.parabola 1.0
        Schedule.create (fun t -> 1.5 * t * t) (fun t -> 3.0 * t)
        NoiseLevel.inside (InteriorTime.At 0.2) (InteriorTime.At 0.7) (NoiseLevel.constant 1.0)
    |]

/// One of them with noise.
let noisyLevel (draw: Draw) : Schedule = levels[1 + remainder draw.Moment (levels.Length - 1)]

/// A seed.
let seed (draw: Draw) : int = 1 + remainder (17 * draw.Moment + 3 * draw.Choice) 1000000

/// E cos(k . x + phase) of a mixture, and of a batch: w e^(-k' C k / 2) cos(k . m + phase).
let expectedWave (law: MixtureLaw) (k: float[]) (phase: float) : float =
    Array.zip law.Weights law.Components
    |> Array.sumBy (fun (w, part) ->
        let covariance, mean = part.Covariance, part.Mean
        let mutable spread, place = 0.0, phase

        for i in 0 .. k.Length - 1 do
            place <- place + k[i] * mean[i]

            for j in 0 .. k.Length - 1 do
                spread <- spread + k[i] * covariance[i, j] * k[j]

        w * exp (-0.5 * spread) * cos place)

let private meanWave (x: torch.Tensor) (k: float[]) (phase: float) : float =
    Lifetime.within (fun () -> ((x.mv (vector k)) |> Elementwise.plus phase).cos().mean().item<float>())

/// The largest gap between a batch and a law over test functions cos(k . x + phase), of which both are bounded by one.
let waveGap (draw: Draw) (law: MixtureLaw) (x: torch.Tensor) : float =
    seq {
        for n in 0..5 do
            let k = Array.init law.Dimension (fun i -> 0.7 * number draw (200 + 7 * n + i))
            abs (meanWave x k (float n) - expectedWave law k (float n))
    }
    |> Seq.max

/// 2 E|X - Y| - E|X - X'| - E|Y - Y'| of two batches, without the zero distances of points to themselves.
let energyDistance (x: torch.Tensor) (y: torch.Tensor) : float =
    Lifetime.within (fun () ->
        let total (a: torch.Tensor) (b: torch.Tensor) : float = torch.cdist(a, b).sum().item<float>()
        let n, m = float x.shape[0], float y.shape[0]
        2.0 * total x y / (n * m) - total x x / (n * (n - 1.0)) - total y y / (m * (m - 1.0)))

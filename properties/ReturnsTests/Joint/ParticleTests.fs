/// Particles follow the gradient of MMD^2, alone and along episodes.
module ValueFlow.Tests.Returns.ParticleTests

open System
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns
open ValueFlow.Tests.Returns.Judge

let private none = CancellationToken.None

let private cloud (generator: Generator) count =
    Sample.OfPoints(Array.init count (fun _ -> Array.init 3 (fun _ -> Sampling.normal generator)))

let private kernels =
    [ EnergyKernel 1.0; EnergyKernel 0.5; EnergyKernel 1.5; Gaussian [ 0.5; 2.0 ]; InverseMultiquadric 0.7 ]

[<Fact>]
let ``the gradient is that of MMD^2`` () =
    let law (factor: float) (seed: int) =
        let generator = Generator seed
        let particles, target = cloud generator 5, (cloud generator 4).Weighted [| 1.0; 2.0; 3.0; 4.0 |]

        kernels
        |> List.map (fun kernel ->
            let gradient = Particles.gradient kernel particles target
            let h = 1e-5

            let moved i k by =
                Sample.OfPoints(Array.init 5 (fun j -> particles.Point j |> Array.mapi (fun l x -> if i = j && k = l then x + by else x)))

            let worst =
                Seq.max
                    [
                        for i in 0..4 do
                            for k in 0..2 do
                                let slope =
                                    (Discrepancy.squaredMmd kernel (moved i k h) target
                                     - Discrepancy.squaredMmd kernel (moved i k -h) target)
                                    / (2.0 * h)

                                abs (5.0 * slope - factor * gradient[i].[k])
                    ]

            (worst <= 1e-5) |> Prop.label $"{kernel}: {worst}")
        |> List.reduce (.&.)

    holds (law 1.0)
    refuted (law 0.5)

[<Fact>]
let ``steps bring particles nearer, steps with the gradient do not`` () =
    let law (back: float) (seed: int) =
        let generator = Generator seed
        let particles, target = cloud generator 16, cloud generator 12
        let kernel = EnergyKernel 1.0
        let gradient = Particles.gradient kernel particles target

        let moved =
            if back > 0.0 then
                Particles.step kernel (0.01 * back) particles target
            else
                Sample.OfPoints(Array.init 16 (fun i -> Array.map2 (fun x g -> x - 0.01 * back * g) (particles.Point i) gradient[i]))

        atMost (Discrepancy.squaredMmd kernel moved target) (Discrepancy.squaredMmd kernel particles target)

    holds (law 1.0)
    refuted (law -1.0)

[<Fact>]
let ``projected particles stand for the law better than draws do`` () =
    let law =
        (Sample.OfPoints [| [| 0.0; 0.0 |]; [| 1.0; 0.0 |]; [| 0.0; 2.0 |]; [| 1.0; 1.0 |] |]).Weighted [| 0.1; 0.2; 0.3; 0.4 |]

    let energy = Discrepancy.energy law
    let drawn = Particles.project (Generator 1) (EnergyKernel 1.0) 32 0 0.1 none law
    let moved = Particles.project (Generator 1) (EnergyKernel 1.0) 32 500 0.1 none law
    Assert.Equal(32, moved.Count)
    Assert.True(energy moved < 0.25 * energy drawn, $"{energy moved} after {energy drawn}")

// A coin decides which of two treasures there is: the correlation is -1 for any discount.
let private coin =
    let builder = ModelBuilder 3
    builder.Terminal 2
    builder.Initial 0
    builder.ParallelOutcomes <- true
    builder.Add(0, 0, 1, 1.0, 0.0)
    builder.Add(1, 0, 2, 0.5, 1.0)
    builder.Add(1, 0, 2, 0.5, 2.0)

    match builder.Build() with
    | Ok model ->
        VectorRewards.Create(
            model,
            [| "a"; "b" |],
            fun k -> [| (if model.Rewards[k] = 1.0 then 1.0 else 0.0); (if model.Rewards[k] = 2.0 then 1.0 else 0.0) |]
        )
    | Error _ -> invalidOp "no model"

[<Fact>]
let ``play teaches the joint law, and its parts alone do not`` () =
    let policy = Policy.Uniform coin.Model
    let exact = (JointBellman.withinHorizon 100 none 2 0.9 policy coin).Laws.Law 0

    let options = { JointLearningOptions.standard with Particles = 16; Episodes = 3000 }

    let learned = (JointLearning.ofPolicy (Generator 5) options 0.9 policy coin).Law 0
    let correlation law = JointLaw.correlation (JointLaw.covariance law) 0 1
    Assert.Equal(-1.0, correlation exact, 12)
    Assert.True(abs (correlation learned + 1.0) < 0.05, $"{correlation learned}")
    Assert.True(Discrepancy.energy learned exact < 0.05, $"{Discrepancy.energy learned exact}")
    // Source by source, the joint law is lost.
    let apart = JointLaw.independent exact
    Assert.Equal(0.0, correlation apart, 12)
    Assert.True(Discrepancy.energy apart exact > 0.1, $"{Discrepancy.energy apart exact}")
    // The seed decides all.
    let again = (JointLearning.ofPolicy (Generator 5) options 0.9 policy coin).Law 0
    Assert.Equal(0.0, Discrepancy.energy learned again, 15)
    Assert.Equal<float[]>(learned.Point 3, again.Point 3)

[<Fact>]
let ``what is wrong is said`` () =
    let x = Sample.OfPoints [| [| 0.0; 1.0 |]; [| 1.0; 0.0 |] |]
    refuses "particles" "equal weights" (fun () -> Particles.gradient (EnergyKernel 1.0) (x.Weighted [| 1.0; 2.0 |]) x)
    refuses "kernel" "follows the points" (fun () -> Particles.gradient GaussianByMedian x x)
    refuses "kernel" "at least one bandwidth" (fun () -> Particles.gradient (Gaussian []) x x)
    refuses "kernel" "but is 2" (fun () -> Particles.gradient (EnergyKernel 2.0) x x)
    refuses "rate" "but is 0" (fun () -> Particles.step (EnergyKernel 1.0) 0.0 x x)
    refuses "count" "there are 0" (fun () -> Particles.project (Generator 1) (EnergyKernel 1.0) 0 1 0.1 none x)
    refuses "steps" "but are -1" (fun () -> Particles.project (Generator 1) (EnergyKernel 1.0) 2 -1 0.1 none x)
    let policy = Policy.Uniform coin.Model
    let learn options () = JointLearning.ofPolicy (Generator 1) options 0.9 policy coin
    refuses "options" "Particles must be at least 1 but are 0" (learn { JointLearningOptions.standard with Particles = 0 })
    refuses "options" "FirstRate must be positive and finite but is NaN" (learn { JointLearningOptions.standard with FirstRate = nan })
    let stopped = { JointLearningOptions.standard with Cancellation = CancellationToken true }
    Assert.Throws<OperationCanceledException>(fun () -> learn stopped () |> ignore) |> ignore

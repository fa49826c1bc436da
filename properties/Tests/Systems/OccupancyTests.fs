/// Occupancy measures, and the nearest one to a point.
module ValueFlow.Tests.Systems.OccupancyTests

open System
open System.Threading
open Xunit
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws
open ValueFlow.Tests.Systems.Judge

let private none = CancellationToken.None

// Discounts near one belong to the tests of planning.
let private polytopeOf (case: Case) =
    let model = ModelSketch.toModel case.Sketch
    let generator = Generator(case.Draw + 7)
    OccupancyPolytope.Create(model, min 0.95 case.Sketch.Discount, Sampling.simplex generator model.StateCount)

let private dot (x: float[]) (y: float[]) = Array.fold2 (fun sum a b -> sum + a * b) 0.0 x y

[<Fact>]
let ``the measure of a policy lies in the polytope, and pays what the policy is worth`` () =
    let law (share: float) (case: Case) =
        let polytope = polytopeOf case
        let model = polytope.Model
        let policy = policyOf case.Generator model
        let d = Occupancy.ofPolicy none policy polytope |> Array.map (fun x -> share * x)
        let bellman = Bellman.Optimality(model, polytope.Discount)
        let values = (PolicyEvaluation.linear RunOptions.standard policy bellman).Values
        let worth = Array.fold2 (fun sum p v -> sum + p * v) 0.0 (polytope.Start.ToArray()) values
        let reached = Occupancy.policy polytope d |> fun back -> Occupancy.ofPolicy none back polytope
        // Rewards of 1e8 leave eight digits less.
        let size = bellman.Kernel.LargestReward / (1.0 - polytope.Discount)

        (polytope.Violation d <= 1e-10 |> Prop.label $"violation {polytope.Violation d}")
        .&. (abs (Occupancy.value polytope.Rewards d - worth) <= 1e-8 + 1e-11 * size |> Prop.label "value")
        .&. (allWithin 1e-10 reached d |> Prop.label "policy of the measure")

    holds (law 1.0)
    refuted (law 1.01)

[<Fact>]
let ``without ends and masks the mass is 1 / (1 - gamma)`` () =
    for seed in 1..20 do
        let model = Garnet.create (Generator seed) 6 3 3
        let polytope = OccupancyPolytope.Create(model, 0.9)
        let d = Occupancy.ofPolicy none (policyOf (Generator seed) model) polytope
        Assert.Equal(10.0, Array.sum d, 9)

[<Fact>]
let ``the projection is in the set, and no point of the set lies on the far side`` () =
    // <x - P x, d - P x> <= 0 for every d of the set: what makes P x the nearest point.
    let law (project: Projection -> OccupancyPolytope -> float[] -> float[]) (case: Case) =
        let polytope = polytopeOf case
        let generator = case.Generator
        let rows = polytope.Model.RowCount

        if rows = 0 then
            true |> Prop.label "nobody acts"
        else
            let x = Array.init rows (fun _ -> 8.0 * generator.Uniform() - 4.0)
            let nearest = project (Projection.Onto(polytope, none)) polytope x
            let size = 1.0 + Array.sumBy abs nearest

            let others = [ for _ in 1..4 -> Occupancy.ofPolicy none (policyOf generator polytope.Model) polytope ]
            let corner = Occupancy.best RunOptions.standard (Array.map2 (-) x nearest) polytope

            (polytope.Violation nearest <= 1e-8 * size |> Prop.label $"violation {polytope.Violation nearest}")
            .&. (corner :: others
                 |> List.map (fun d ->
                     let angle = dot (Array.map2 (-) x nearest) (Array.map2 (-) d nearest)
                     angle <= 1e-7 * size * size |> Prop.label $"angle {angle}")
                 |> List.reduce (.&.))

    holds (law (fun projection _ x -> projection.Project x))
    // A measure, but not the nearest one.
    refuted (law (fun _ polytope _ -> Occupancy.ofPolicy none (Policy.Uniform polytope.Model) polytope))
    // Clamped, and so no measure.
    refuted (law (fun _ _ x -> x |> Array.map (max 0.0)))

[<Fact>]
let ``projections do not expand, and stand still on the set`` () =
    let law (factor: float) (case: Case) =
        let polytope = polytopeOf case
        let generator = case.Generator
        let rows = polytope.Model.RowCount

        if rows = 0 then
            true |> Prop.label "nobody acts"
        else
            let projection = Projection.Onto(polytope, none)
            let draw () = Array.init rows (fun _ -> 8.0 * generator.Uniform() - 4.0)
            let x, y = draw (), draw ()
            let px, py = projection.Project x, projection.Project y
            let distance = Metric.euclidean.Distance
            let inside = Occupancy.ofPolicy none (policyOf generator polytope.Model) polytope

            (distance px py <= factor * distance x y + 1e-8 |> Prop.label $"{distance px py} <= {distance x y}")
            .&. allWithin 1e-9 (projection.Project px) px
            .&. allWithin 1e-9 (projection.Project inside) inside

    holds (law 1.0)
    refuted (law 0.5)

[<Fact>]
let ``the best measure pays what policy iteration finds`` () =
    let law (factor: float) (case: Case) =
        let polytope = polytopeOf case
        let model = polytope.Model
        let d = Occupancy.best RunOptions.standard (polytope.Rewards |> Array.map (fun r -> factor * r)) polytope
        let solution = PolicyIteration.solve RunOptions.standard (Bellman.Optimality(model, polytope.Discount))
        let worth = dot (polytope.Start.ToArray()) solution.Values
        let size = (Bellman.Optimality(model, polytope.Discount)).Kernel.LargestReward

        abs (Occupancy.value polytope.Rewards d - worth) <= 1e-8 + 1e-9 * size
        |> Prop.label $"{Occupancy.value polytope.Rewards d} = {worth}"

    holds (law 1.0)
    refuted (law -1.0)

[<Fact>]
let ``the projection onto a simplex is the known one`` () =
    // Sorted and shifted: Held, Wolfe and Crowder 1974, "Validation of subgradient optimization".
    let plain (x: float[]) =
        let sorted = Array.sortDescending x
        let sums = Array.scan (+) 0.0 sorted |> Array.tail
        let count = Array.init x.Length (fun i -> sorted[i] > (sums[i] - 1.0) / float (i + 1)) |> Array.findIndexBack id
        let shift = (sums[count] - 1.0) / float (count + 1)
        x |> Array.map (fun v -> max 0.0 (v - shift))

    for seed in 1..50 do
        let generator = Generator seed
        let count = 1 + generator.Below 12
        let x = Array.init count (fun _ -> 4.0 * generator.Uniform() - 2.0)
        let projection = Projection.Create(Array2D.create 1 count 1.0, [| 1.0 |], 1e-11, none)
        Assert.True(Metric.sup.Distance (projection.Project x) (plain x) < 1e-10)

[<Fact>]
let ``bad input is named`` () =
    let model = Garnet.create (Generator 1) 3 2 2
    let polytope = OccupancyPolytope.Create(model, 0.9)
    refuses "start" "length must be 3" (fun () -> OccupancyPolytope.Create(model, 0.9, [| 1.0 |]))
    refuses "start" "0.5" (fun () -> OccupancyPolytope.Create(model, 0.9, [| 0.5; 0.0; 0.0 |]))
    refuses "start" "-0.5" (fun () -> OccupancyPolytope.Create(model, 0.9, [| -0.5; 1.5; 0.0 |]))
    refuses "discount" "is 1" (fun () -> OccupancyPolytope.Create(model, 1.0))
    refuses "occupancy" "length must be 6" (fun () -> Occupancy.policy polytope [| 1.0 |])
    refuses "rewards" "NaN" (fun () -> Occupancy.best RunOptions.standard (Array.create 6 nan) polytope)
    refuses "matrix" "independent" (fun () -> Projection.Create(Array2D.create 2 3 1.0, [| 1.0; 1.0 |], 1e-9, none))
    refuses "tolerance" "is 0" (fun () -> Projection.Create(Array2D.create 1 3 1.0, [| 1.0 |], 0.0, none))
    refuses "point" "length must be 6" (fun () -> (Projection.Onto(polytope, none)).Project [| 0.0 |])

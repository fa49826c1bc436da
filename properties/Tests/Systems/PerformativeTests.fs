/// Environments that answer to the policy.
module ValueFlow.Tests.Systems.PerformativeTests

open System
open System.Threading
open Xunit
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Laws
open ValueFlow.Tests.Systems.Judge

let private none = CancellationToken.None

let private polytopeOf (case: Case) = OccupancyPolytope.Create(Garnet.create (Generator case.Draw) 5 3 2, 0.9)

let private rewardsOf (polytope: OccupancyPolytope) (seed: int) =
    let generator = Generator seed
    Array.init polytope.Model.RowCount (fun _ -> generator.Uniform())

// r_d = r_0 - epsilon d: the answer that shows the whole modulus.
let private against (r0: float[]) (epsilon: float) (d: float[]) = Array.map2 (fun r x -> r - epsilon * x) r0 d

// r_d = r_0 + epsilon Q d for a random orthogonal reflection Q.
let private reflected (r0: float[]) (epsilon: float) (seed: int) (d: float[]) =
    let generator = Generator seed
    let v = Array.init d.Length (fun _ -> Sampling.normal generator)
    let norm = Array.sumBy (fun x -> x * x) v
    let along = 2.0 * (Array.fold2 (fun sum a b -> sum + a * b) 0.0 v d) / norm
    Array.init d.Length (fun i -> r0[i] + epsilon * (d[i] - along * v[i]))

let private measures (case: Case) (polytope: OccupancyPolytope) =
    let generator = case.Generator
    let draw () = Occupancy.ofPolicy none (policyOf generator polytope.Model) polytope
    struct (draw (), draw ())

let private shortens (case: Case) (polytope: OccupancyPolytope) (operator: Operator<float[]>) (modulus: float) =
    let struct (x, y) = measures case polytope
    let before, after = Metric.euclidean.Distance x y, Metric.euclidean.Distance (operator.Apply x) (operator.Apply y)
    after <= modulus * before + 1e-8 |> Prop.label $"{after} <= {modulus} * {before}"

[<Fact>]
let ``(1) repeated optimisation shortens distances by epsilon / lambda`` () =
    let law (share: float) (case: Case) =
        let polytope = polytopeOf case
        let epsilon, lambda = 0.1 + 0.01 * float (case.Draw % 100), 1.0
        let answer = reflected (rewardsOf polytope case.Draw) epsilon (case.Draw + 1)
        let operator = Performative.repeated none lambda epsilon answer polytope
        Assert.Equal(epsilon / lambda, (Operator.tryClaim MetricKey.Euclidean operator).Value.Modulus)
        shortens case polytope operator (share * epsilon / lambda)

    holds (law 1.0)
    refuted (law 0.5)

[<Fact>]
let ``(1) the gradient version shortens them by |1 - eta lambda| + eta epsilon`` () =
    let law (share: float) (case: Case) =
        let polytope = polytopeOf case
        let lambda, eta = 1.0, 0.2 + 0.02 * float (case.Draw % 50)
        let epsilon = 0.3
        let answer = reflected (rewardsOf polytope case.Draw) epsilon (case.Draw + 1)
        let operator = Performative.repeatedGradient none eta lambda epsilon answer polytope
        let modulus = abs (1.0 - eta * lambda) + eta * epsilon
        Assert.Equal(modulus, (Operator.tryClaim MetricKey.Euclidean operator).Value.Modulus)
        shortens case polytope operator (share * modulus)

    holds (law 1.0)
    refuted (law 0.4)

[<Fact>]
let ``(1) where the answer opposes the measure the slope is epsilon / lambda to the digit`` () =
    let polytope = OccupancyPolytope.Create(Garnet.create (Generator 3) 5 3 2, 0.9)
    let r0 = rewardsOf polytope 3

    for ratio in [ 0.5; 0.8; 0.9 ] do
        let operator = Performative.repeated none 1.0 ratio (against r0 ratio) polytope
        let mutable d = Occupancy.ofPolicy none (Policy.Uniform polytope.Model) polytope
        let mutable steps = []

        for _ in 1..12 do
            let next = operator.Apply d
            steps <- Metric.euclidean.Distance d next :: steps
            d <- next

        Assert.Equal(ratio, steps[0] / steps[1], 6)

[<Fact>]
let ``(2) the fixed point is stable: the answer's own optimum, from every start`` () =
    let law (lambda: float) (case: Case) =
        let polytope = polytopeOf case
        let answer = reflected (rewardsOf polytope case.Draw) 0.5 (case.Draw + 1)
        let operator = Performative.repeated none 1.0 0.5 answer polytope
        let struct (x, y) = measures case polytope

        let settle start =
            let mutable d = start

            for _ in 1..60 do
                d <- operator.Apply d

            d

        let one, other = settle x, settle y
        let projection = Projection.Onto(polytope, none)
        let respond d = { Projection = projection; Rewards = answer d }

        allWithin 1e-6 one other
        .&. allWithin 1e-6 (Performative.step respond lambda one) one
        .&. allWithin 1e-6 (Performative.gradientStep respond 0.4 lambda one) one

    holds (law 1.0)
    refuted (law 1.5)

[<Fact>]
let ``(3) a large regularisation leads to the smallest measure, and without an answer one step is enough`` () =
    let law (lambda: float) (case: Case) =
        let polytope = polytopeOf case
        let projection = Projection.Onto(polytope, none)
        let smallest = projection.Project(Array.zeroCreate polytope.Model.RowCount)
        let r0 = rewardsOf polytope case.Draw
        let respond _ = { Projection = projection; Rewards = r0 }
        let struct (x, y) = measures case polytope
        let once = Performative.step respond 1.0 x

        allWithin 1e-6 (Performative.step respond lambda x) smallest
        .&. allWithin 1e-9 (Performative.step respond 1.0 y) once
        .&. allWithin 1e-9 (Performative.step respond 1.0 once) once

    holds (law 1e8)
    refuted (law 1.0)

[<Fact>]
let ``without a regularisation the gradient version is the dual iteration of a plain process`` () =
    let law (steps: int) (case: Case) =
        let polytope = polytopeOf case
        let projection = Projection.Onto(polytope, none)
        let rewards = polytope.Rewards
        let respond _ = { Projection = projection; Rewards = rewards }
        let struct (x, _) = measures case polytope
        let mutable d = x

        for _ in 1..steps do
            d <- Performative.gradientStep respond 1000.0 0.0 d

        within 1e-7 (Occupancy.value rewards d) (Occupancy.value rewards (Occupancy.best RunOptions.standard rewards polytope))

    holds (law 60)
    refuted (law 0)

[<Fact>]
let ``bad input is named`` () =
    let polytope = OccupancyPolytope.Create(Garnet.create (Generator 1) 3 2 2, 0.9)
    let r0 = rewardsOf polytope 1
    refuses "regularisation" "is 0" (fun () -> Performative.repeated none 0.0 0.1 (against r0 0.1) polytope)
    refuses "sensitivity" "is -1" (fun () -> Performative.repeated none 1.0 -1.0 (against r0 0.1) polytope)
    refuses "rate" "is 0" (fun () -> Performative.repeatedGradient none 0.0 1.0 0.1 (against r0 0.1) polytope)

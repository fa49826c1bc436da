/// Laws of the first steps, and models that keep the rewards of a log apart.
module ValueFlow.Tests.Returns.HorizonTests

open System
open System.IO
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns
open ValueFlow.Tests.Returns.Judge
open ValueFlow.Tests.Returns.JointSketches

let private none = CancellationToken.None

let private branchesOf onwards (sketch: ProcessSketch) =
    let case = processOf onwards false sketch
    Branches.evaluation (Math.Min(case.Discount, 0.9)) case.Policy (case.Rewards.Along [| 1.0; 0.0 |])

let private farthest (x: LawTable) (y: LawTable) = (Statewise.wasserstein 1.0).Distance x y

[<Fact>]
let ``laws of few steps are as near to those of many as the bound says`` () =
    let law (share: float) (sketch: ProcessSketch) =
        let branches = branchesOf false sketch
        // Joined to within a hair, so that the long law stays small.
        let struct (few, bound) = Horizon.exact 3 0.0 100_000 none branches
        let struct (many, rest) = Horizon.exact 9 0.02 100_000 none branches
        atMost (farthest few many) (share * bound + rest)

    holds (law 1.0)
    refuted (law 0.1)

[<Fact>]
let ``the bound is zero where every episode has ended, and the law is whole`` () =
    let law (steps: int) (sketch: ProcessSketch) =
        let branches = branchesOf true sketch
        let struct (found, bound) = Horizon.exact steps 0.0 100_000 none branches
        let struct (whole, _) = Horizon.exact 10 0.0 100_000 none branches
        same bound 0.0 .&. same (farthest found whole) 0.0

    holds (law States)
    refuted (law 1)

[<Fact>]
let ``what is wrong with a horizon is said`` () =
    let branches = branchesOf true { Discount = 0; Outcomes = [] }
    refuses "steps" "but are -1" (fun () -> Horizon.exact -1 0.0 10 none branches)
    refuses "joining" "but is -1" (fun () -> Horizon.exact 1 -1.0 10 none branches)

    Assert.Throws<OperationCanceledException>(fun () -> Horizon.exact 1 0.0 10 (CancellationToken true) branches |> ignore)
    |> ignore

// A log of steps a -> b -> end with the rewards of a sketch, every third one cut off.
let private withLog (rewards: struct (int * int)[]) (work: TransitionLog -> 'a) : 'a =
    let path = Path.Combine(Path.GetTempPath(), $"valueflow-{Guid.NewGuid():N}.csv")

    try
        File.WriteAllLines(
            path,
            [|
                "state,action,reward,next_state,terminated,truncated"

                for i in 0 .. rewards.Length - 1 do
                    let struct (first, second) = rewards[i]
                    let cut = i % 3 = 2
                    $"a,x,{first},b,false,{cut}"

                    if not cut then
                        $"b,x,{second},end,true,false"

                "b,x,0,end,true,false"
            |]
        )

        match ModelFile.readLog ModelFile.standard path with
        | Ok log -> work log
        | Error errors -> invalidOp $"{errors}"
    finally
        File.Delete path

[<Fact>]
let ``a log's rewards kept apart have the same means and wider laws`` () =
    let law (mean: float) (wider: float) (rewards: NonEmptyArray<struct (int * int)>) =
        withLog (Array.truncate 9 rewards.Get) (fun log ->
            let returns (model: Result<Model, ModelError list>) =
                match model with
                | Error errors -> invalidOp $"{errors}"
                | Ok model ->
                    let struct (laws, _) = Horizon.exact 2 0.0 100_000 none (Branches.evaluation 0.9 (Policy.Uniform model) model)

                    laws

            let together, apart = returns (log.Estimate ValueNone), returns (log.EstimateOutcomes())

            [
                for state in 0..1 do
                    let one, other = together.Law state, apart.Law state
                    same (mean * one.Mean) other.Mean
                    atMost (wider * one.Variance) (wider * other.Variance)
            ]
            |> List.reduce (.&.))

    holds (law 1.0 1.0)
    refuted (law 1.1 1.0)
    refuted (law 1.0 -1.0)

[<Fact>]
let ``rewards that are equal are one outcome`` () =
    withLog [| struct (1, 2); struct (1, 2); struct (3, 2) |] (fun log ->
        match log.EstimateOutcomes() with
        | Error errors -> invalidOp $"{errors}"
        | Ok model ->
            // From a: 1 (twice) and 3; from b: 2 (twice) and 0.
            Assert.Equal<float[]>([| 1.0; 3.0; 0.0; 2.0 |], model.Rewards.ToArray())
            Assert.Equal(2.0 / 3.0, model.Probabilities[0], 12))

module ValueFlow.Tests.Problems.ProblemTests

open System
open Xunit
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// The outcomes of a state and an action, as (successor, probability, reward), sorted.
let outcomes (model: Model) (state: int) (action: int) =
    [
        for row in model.RowOffsets[state] .. model.RowOffsets[state + 1] - 1 do
            if model.RowActions[row] = action then
                for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                    model.Successors[k], Math.Round(model.Probabilities[k], 12), model.Rewards[k]
    ]
    |> List.sort

let private third = Math.Round(1.0 / 3.0, 12)

[<Fact>]
let ``FrozenLake has the transitions of its published source`` () =
    let model = FrozenLake.standard ()
    Assert.Equal(16, model.StateCount)
    // From the start: left slips down and up (stays).
    Assert.Equal<(int * float * float) list>([ 0, Math.Round(2.0 / 3.0, 12), 0.0; 4, third, 0.0 ], outcomes model 0 0)
    // From 14 the move to the right reaches the goal, slipping up or staying below.
    Assert.Equal<(int * float * float) list>([ 10, third, 0.0; 14, third, 0.0; 15, third, 1.0 ], outcomes model 14 2)
    Assert.True(model.IsTerminal 15 && model.IsTerminal 5)
    Assert.Equal<int[]>([| 5; 7; 11; 12 |], model.Labels["hole"])
    Assert.Equal<int[]>([| 0 |], model.Initial.ToArray())

[<Fact>]
let ``CliffWalking falls with -100 back to the start`` () =
    let model = CliffWalking.create 0.0
    Assert.Equal(38, model.StateCount)
    Assert.Equal<(int * float * float) list>([ 36, 1.0, -100.0 ], outcomes model 36 1)
    Assert.Equal<(int * float * float) list>([ 24, 1.0, -1.0 ], outcomes model 36 0)
    // Slipping on the start: falling and bumping both end there, with different rewards.
    let slippery = CliffWalking.create 0.2
    Assert.Equal<(int * float * float) list>([ 24, 0.8, -1.0; 36, 0.1, -100.0; 36, 0.1, -1.0 ], outcomes slippery 36 0)

[<Fact>]
let ``Taxi has 500 states, and delivers for 20`` () =
    let model = Taxi.create ()
    Assert.Equal(500, model.StateCount)
    Assert.Equal(300, model.Initial.Length)
    let inTaxi = Taxi.state 0 4 4 1
    Assert.Equal<(int * float * float) list>([ Taxi.state 0 4 1 1, 1.0, 20.0 ], outcomes model inTaxi 5)
    // The wall between (0,1) and (0,2).
    Assert.Equal<(int * float * float) list>([ Taxi.state 0 1 0 1, 1.0, -1.0 ], outcomes model (Taxi.state 0 1 0 1) 2)
    Assert.Equal<(int * float * float) list>([ Taxi.state 0 0 0 1, 1.0, -10.0 ], outcomes model (Taxi.state 0 0 0 1) 5)

[<Fact>]
let ``a garnet is its seed's`` () =
    let make seed = Garnet.create (Generator seed) 20 3 4
    Assert.Equal<float[]>((make 1).Probabilities.ToArray(), (make 1).Probabilities.ToArray())
    Assert.NotEqual<float[]>((make 1).Probabilities.ToArray(), (make 2).Probabilities.ToArray())
    Assert.Equal(20 * 3 * 4, (make 1).TransitionCount)

[<Fact>]
let ``a bad map lists all that is wrong with it`` () =
    let error = Assert.Throws<ArgumentException>(fun () -> FrozenLake.create [| "SFX"; "FF" |] 0.0 |> ignore)
    Assert.Contains("row 0, column 2: expected one of S F H G, found 'X'", error.Message)
    Assert.Contains("row 1: expected 3 columns like row 0, found 2", error.Message)
    Assert.Contains("expected a goal G", error.Message)
    Assert.Throws<ArgumentException>(fun () -> Grid.create 2 2 0.0 |> Grid.set 2 0 Grid.wall |> ignore) |> ignore

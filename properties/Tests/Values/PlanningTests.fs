module ValueFlow.Tests.Values.PlanningTests

open Xunit
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

let private twoStates =
    let builder = ModelBuilder 2
    builder.Add(0, 0, 0, 1.0, 1.0)
    builder.Add(0, 1, 1, 1.0, 0.0)
    builder.Add(1, 0, 0, 0.5, 3.0)
    builder.Add(1, 0, 1, 0.5, 3.0)

    match builder.Build() with
    | Ok model -> model
    | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

let private methods = [ ValueIteration.solve; GaussSeidel.solve; PolicyIteration.solve; PolicyIteration.solveModified 5 ]

[<Fact>]
let ``all methods agree`` () =
    let bellman = Bellman.Optimality(twoStates, 0.9)
    // V1 = 3 + .45 V0 + .45 V1, V0 = .9 V1 => V1 (1 - .45 - .405) = 3
    let v1 = 3.0 / (1.0 - 0.45 - 0.405)

    for solve in methods do
        let solution = solve RunOptions.standard bellman

        printfn
            "%s %A %A bound %g floor %g loss %g sweeps %d %A"
            solution.Method
            solution.Certificate
            solution.Outcome
            solution.Bound
            solution.Floor
            solution.PolicyLoss
            solution.Sweeps
            solution.Values

        Assert.Equal(Outcome.Converged, solution.Outcome)
        Assert.True(abs (solution.Values[1] - v1) <= solution.Bound)
        Assert.True(abs (solution.Values[0] - 0.9 * v1) <= solution.Bound)
        Assert.True(solution.Bound <= 1e-8)
        Assert.Equal<int[]>([| 1; 0 |], solution.Policy)

/// Reversible Heun is undone exactly, and is not stable where Heun's scheme is.
module ValueFlow.Tests.Dynamics.Ode.ReversibleHeunTests

open System
open Xunit
open FsCheck
open FsCheck.Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Dynamics
open ValueFlow.Tests.Dynamics.Ode.Fields

let private grid (n: int) (span: float) : float[] = Array.init (n + 1) (fun i -> span * float i / float n)
let private terms (field: Field) = [ Term.time field ]

/// The start, found again by a backward formula.
let private returns (reverse: Term list -> float[] -> ReversibleState -> ReversibleState) (n: int) (draw: Draw) : bool =
    use x0 = points draw.Points
    use final = ReversibleHeun.solve (terms pendulum) (grid n 5.0) x0
    use back = reverse (terms pendulum) (grid n 5.0) final
    let largest = numbers final.X |> Array.map abs |> Array.max
    largest > 1e3 || apart (numbers back.X) draw.Points <= 1e-10

[<Property(MaxTest = 20, Arbitrary = [| typeof<Draws> |])>]
let ``undone step by step, the start comes back to 1e-10`` (draw: Draw) (steps: PositiveInt) =
    returns ReversibleHeun.reverse (50 + steps.Get % 151) draw

[<Fact>]
let ``solving backwards by the forward formula does not find the start`` () =
    let again (terms: Term list) (times: float[]) (state: ReversibleState) = ReversibleHeun.solve terms (Array.rev times) state.X
    Assert.True(refuted (returns again 100))

[<Fact>]
let ``order 2`` () =
    let x = [| 1.0; 0.2; -0.7; 1.1 |]
    let exact = ends (OdeOptions.fixedStep Scheme.dormandPrince8 0.005) pendulum x 0.0 3.0

    let error (n: int) =
        use x0 = points x
        use state = ReversibleHeun.solve (terms pendulum) (grid n 3.0) x0
        apart exact (numbers state.X)

    Assert.InRange(Math.Log2(error 200 / error 400), 1.8, 2.2)

[<Fact>]
let ``pinned: y' = -5 y with h = 0.1 diverges, although Heun's own scheme is stable`` () =
    let decay = Field.autonomous "decay" (fun x -> Elementwise.times -5.0 x)
    use x0 = points [| 1.0; 1.0 |]
    use state = ReversibleHeun.solve (terms decay) (grid 50 5.0) x0
    let own = ends (OdeOptions.fixedStep Scheme.heun 0.1) decay [| 1.0; 1.0 |] 0.0 5.0
    Assert.InRange((numbers state.X)[0], -8.9e7, -8.7e7)
    Assert.True(abs own[0] < 1e-9)

[<Fact>]
let ``the gradient that stores nothing is the gradient of autograd`` () =
    use _scope = torch.NewDisposeScope()
    let rate = (torch.tensor ([| 0.8; -0.3 |], dtype = torch.float64)).requires_grad_ true

    let field =
        Field.autonomous "scaled pendulum" (fun x -> (pendulum.Apply (torch.tensor 0.0) x).mul(rate).Plus(x.mul (rate.sin ())))

    let times = grid 60 3.0
    let x0 = points [| 1.0; 0.2; -0.7; 1.1 |]
    let final, gradients = ReversibleHeun.gradient (terms field) [| rate |] times x0 (fun x -> x.mul x)
    let leaf = x0.clone().requires_grad_ true
    let direct = ReversibleHeun.solve (terms field) times leaf
    (Elementwise.times (1.0 / 3.0) (direct.X.Squared().mul direct.X)).sum().backward()
    Assert.True(apart (numbers final.X) (numbers direct.X) <= 1e-12)
    Assert.True(apart (numbers gradients[0]) (numbers (nonNull leaf.grad)) <= 1e-8)
    Assert.True(apart (numbers gradients[1]) (numbers (nonNull rate.grad)) <= 1e-8)

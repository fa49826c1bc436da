/// Adjoint = back-propagation = numerical gradient.
module ValueFlow.Tests.Dynamics.Ode.GradientTests

open System
open Xunit
open FsCheck
open FsCheck.Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Dynamics
open ValueFlow.Tests.Dynamics.Ode.Fields

/// tanh(x W + b cos t) - x / 5, with W and b as parameters.
let private network (w: torch.Tensor) (b: torch.Tensor) : Field =
    Field.create "network" (fun t x ->
        Lifetime.keep (fun () ->
            let clock = if t.dim () = 0L then t.cos () else t.cos().unsqueeze 1L
            x.mm(w).Plus(b.mul clock).tanh().sub(Elementwise.times 0.2 x)))

let private parameters (draw: Draw) : torch.Tensor[] =
    [|
        ((torch.tensor (draw.Matrix, dtype = torch.float64)).reshape(2L, 2L)).requires_grad_ true
        (torch.tensor (draw.Shares, dtype = torch.float64)).requires_grad_ true
    |]

let private saves = [| 0.0; 0.4; 1.1 |]

// L = sum of the final cubes / 3 + sum of the saved squares / 2.
let private loss (final: torch.Tensor) (saved: torch.Tensor[]) : torch.Tensor =
    let cubes = Elementwise.times (1.0 / 3.0) (final.mul(final).mul(final).sum())

    saved
    |> Array.fold (fun (sum: torch.Tensor) state -> sum.Plus(Elementwise.times 0.5 (state.mul(state).sum()))) cubes

let private cotangent (solution: OdeSolution) : OdeCotangent =
    {
        Final = solution.Final.mul solution.Final
        Saved = solution.Saved |> Array.map (fun state -> state.clone ())
    }

let private lossAt (options: OdeOptions) (x: float[]) (w: float[]) (b: float[]) : float =
    use _scope = torch.NewDisposeScope()
    let field = network ((torch.tensor (w, dtype = torch.float64)).reshape(2L, 2L)) (torch.tensor (b, dtype = torch.float64))
    let solution = Ode.solve options field (points x) 0.0 1.5
    (loss solution.Final solution.Saved).item<float>()

// By central differences, one number at a time.
let private numerical (options: OdeOptions) (draw: Draw) : float[] =
    let all = Array.concat [ draw.Points; draw.Matrix; draw.Shares ]
    let split (v: float[]) = lossAt options v[0..11] v[12..15] v[16..17]

    Array.init all.Length (fun i ->
        let moved (h: float) = split (Array.mapi (fun j x -> if i = j then x + h else x) all)
        (moved 1e-5 - moved -1e-5) / 2e-5)

let private explicitly (options: OdeOptions) (cotangent: OdeSolution -> OdeCotangent) (draw: Draw) : float[] =
    use _scope = torch.NewDisposeScope()
    let leaves = parameters draw
    let gradient = Ode.gradient options (network leaves[0] leaves[1]) leaves (points draw.Points) 0.0 1.5 cotangent
    Array.concat [ numbers gradient.Start; numbers gradient.Parameters[0]; numbers gradient.Parameters[1] ]

let private byAutograd (options: OdeOptions) (draw: Draw) : float[] =
    use _scope = torch.NewDisposeScope()
    let leaves = parameters draw
    let x0 = (points draw.Points).requires_grad_ true
    let solution = Ode.solve options (network leaves[0] leaves[1]) x0 0.0 1.5
    (loss solution.Final solution.Saved).backward()
    Array.concat [ numbers (nonNull x0.grad); numbers (nonNull leaves[0].grad); numbers (nonNull leaves[1].grad) ]

let private close (tolerance: float) (a: float[]) (b: float[]) : bool = apart a b <= tolerance * (1.0 + (b |> Array.map abs |> Array.max))

let private fine = { OdeOptions.adaptive Scheme.dormandPrince8 1e-10 with Save = saves }

let private adjointIsNumerical (cotangent: OdeSolution -> OdeCotangent) (draw: Draw) : bool =
    let adjoint = explicitly { fine with Gradient = GradientMethod.Adjoint } cotangent draw
    let steps = explicitly fine cotangent draw
    let numerical = numerical fine draw
    close 1e-6 adjoint numerical && close 1e-6 steps numerical

[<Property(MaxTest = 5, Arbitrary = [| typeof<Draws> |])>]
let ``adjoint = back-propagation through the steps = numerical gradient`` (draw: Draw) = adjointIsNumerical cotangent draw

[<Fact>]
let ``gradients: a cotangent that forgets a saved state is refuted`` () =
    let forgetful (solution: OdeSolution) =
        let right = cotangent solution

        { right with
            Saved = right.Saved |> Array.mapi (fun i state -> if i = 1 then torch.zeros_like state else state)
        }

    Assert.True(refuted (adjointIsNumerical forgetful))

[<Property(MaxTest = 15, Arbitrary = [| typeof<Draws> |])>]
let ``the sweep from checkpoints is autograd through the steps, for every scheme and norm`` (draw: Draw) (which: PositiveInt) (own: bool) =
    let scheme = Scheme.all[which.Get % Scheme.all.Length]

    let control =
        if scheme.Error = ErrorEstimate.Absent then
            StepControl.Constant 0.03
        else
            StepControl.integral 1e-5 1e-5
            |> StepControl.withNorm (if own then ErrorNorm.EachSample else ErrorNorm.RootMeanSquare)

    let options = { OdeOptions.standard with Scheme = scheme; Control = control; Save = saves }
    close 1e-10 (explicitly options cotangent draw) (byAutograd options draw)

[<Fact>]
let ``gradients cost a number of states that grows as the square root of the steps`` () =
    let peak (steps: int) =
        use _scope = torch.NewDisposeScope()
        let w = (torch.tensor ([| 0.3; -0.2; 0.5; 0.1 |], dtype = torch.float64)).reshape(2L, 2L).requires_grad_ true
        let b = (torch.tensor ([| 0.3; -0.2 |], dtype = torch.float64)).requires_grad_ true
        let inner = network w b
        let mutable most = 0L

        let field =
            Field.create "counted" (fun t x ->
                most <- max most (Lifetime.live ())
                inner.Apply t x)

        let before = Lifetime.live ()
        use x0 = points [| 1.0; 2.0 |]

        let gradient =
            Ode.gradient (OdeOptions.fixedStep Scheme.heun (1.0 / float steps)) field [| w; b |] x0 0.0 1.0 (fun s ->
                { Final = s.Final.clone (); Saved = [||] })

        (gradient :> IDisposable).Dispose()
        most - before

    let few, many = peak 100, peak 1600
    // Sixteen times the steps, four times the states; through autograd it would be sixteen.
    Assert.True(many <= 6L * few, $"{few} then {many}")

[<Fact>]
let ``gradients leave what their result owns, and parameters as they were`` () =
    use x0 = points [| 1.0; 2.0; 0.3; 0.4 |]
    let leaves = parameters { Matrix = [| 0.3; -0.2; 0.5; 0.1 |]; Points = [||]; Shares = [| 0.3; 0.1 |] }
    let field = network leaves[0] leaves[1]

    for options in
        [
            OdeOptions.standard
            { OdeOptions.standard with Gradient = GradientMethod.Adjoint; Dense = true; Save = [| 0.5 |] }
        ] do
        let born =
            Lifetime.born (fun () ->
                let gradient =
                    Ode.gradient options field leaves x0 0.0 1.5 (fun s ->
                        { Final = Lifetime.keep (fun () -> s.Final.mul s.Final); Saved = [||] })

                (gradient :> IDisposable).Dispose())

        Assert.Equal(0L, born)

    let recorded = Lifetime.born (fun () -> (Ode.solve OdeOptions.standard field x0 0.0 1.5 :> IDisposable).Dispose())
    Assert.Equal(0L, recorded)
    Assert.True(leaves |> Array.forall (fun leaf -> isNull leaf.grad))
    leaves |> Array.iter _.Dispose()

[<Fact>]
let ``a solve records only where autograd does, and the values agree`` () =
    use _scope = torch.NewDisposeScope()
    let leaves = parameters { Matrix = [| 0.3; -0.2; 0.5; 0.1 |]; Points = [||]; Shares = [| 0.3; 0.1 |] }
    let field = network leaves[0] leaves[1]
    let x0 = points [| 1.0; 2.0; 0.3; 0.4 |]
    let recorded = Ode.solve OdeOptions.standard field x0 0.0 1.5
    Assert.True recorded.Final.requires_grad
    use _quiet = torch.no_grad ()
    let plain = Ode.solve OdeOptions.standard field x0 0.0 1.5
    Assert.False plain.Final.requires_grad
    Assert.True(apart (numbers plain.Final) (numbers recorded.Final) <= 1e-13)

[<Fact>]
let ``gradients: invalid parameters and cotangents throw before libtorch sees them`` () =
    use _scope = torch.NewDisposeScope()
    let leaves = parameters { Matrix = [| 0.3; -0.2; 0.5; 0.1 |]; Points = [||]; Shares = [| 0.3; 0.1 |] }
    let field = network leaves[0] leaves[1]
    let x0 = points [| 1.0; 2.0 |]
    let gradient (parameters: torch.Tensor[]) make = Ode.gradient OdeOptions.standard field parameters x0 0.0 1.0 make |> ignore
    let right (s: OdeSolution) = { Final = s.Final.clone (); Saved = [||] }
    let throws (work: unit -> unit) = Assert.ThrowsAny<ArgumentException> work |> ignore
    throws (fun () -> gradient [| torch.zeros 2L |] right)
    throws (fun () -> gradient [| leaves[0].mul leaves[0] |] right)
    throws (fun () -> gradient leaves (fun s -> { right s with Final = s.Final.narrow (1L, 0L, 1L) }))
    throws (fun () -> gradient leaves (fun s -> { right s with Final = s.Final.``to`` torch.float32 }))
    throws (fun () -> gradient leaves (fun s -> { right s with Saved = [| s.Final |] }))
    // A parameter that the field does not use has gradient zero.
    let unused = (torch.ones (3L, dtype = torch.float64)).requires_grad_ true
    let found = Ode.gradient OdeOptions.standard field [| unused |] x0 0.0 1.0 right
    Assert.Equal<float[]>([| 0.0; 0.0; 0.0 |], numbers found.Parameters[0])

[<Fact>]
let ``gradients: a field that writes over what its derivative needs throws, and the process goes on`` () =
    use _scope = torch.NewDisposeScope()
    let unused = (torch.ones (3L, dtype = torch.float64)).requires_grad_ true
    let spoilt = Field.autonomous "exp, written over" (fun x -> (x.exp ()).neg_())
    let right (s: OdeSolution) = { Final = s.Final.clone (); Saved = [||] }

    for method in [ GradientMethod.Steps; GradientMethod.Adjoint ] do
        let options = { OdeOptions.standard with Gradient = method }

        Assert.Throws<InvalidOperationException>(fun () ->
            Ode.gradient options spoilt [| unused |] (points [| 1.0; 2.0 |]) 0.0 1.0 right |> ignore)
        |> ignore

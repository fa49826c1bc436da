/// Controlled equations: what a path does, not how fast; and an ordinary equation where the path is the time.
module ValueFlow.Tests.Dynamics.Cde.CdeTests

open System
open Xunit
open FsCheck.Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics
open ValueFlow.Tests.Dynamics.Ode.Fields

let private knots = [| 0.0; 0.4; 1.0; 1.3; 2.0; 2.2 |]

// Two rows of two channels at six knots: the draw's points, and its negative in other places.
let private values (draw: Draw) : torch.Tensor =
    let points = (torch.tensor (draw.Points, dtype = torch.float64)).reshape [| 1L; 6L; 2L |]
    torch.cat ([| points; (points.flip 1L).neg() |], 0L)

let private start = [| 0.3; -0.5; 0.8; 0.1 |]

// f(z) of shape (batch, 2, 2), bounded: columns (sin z2, cos z1) and (z1, -z2) / 3.
let private f (z: torch.Tensor) : torch.Tensor =
    Lifetime.keep (fun () ->
        let a, b = z.narrow (1L, 0L, 1L), z.narrow (1L, 1L, 1L)
        let first, second = torch.cat ([| b.sin (); a.cos () |], 1L), Elementwise.over 3.0 (torch.cat ([| a; b.neg () |], 1L))
        torch.stack ([| first; second |], 2L))

let private along (options: OdeOptions) (path: ControlPath) : float[] =
    use z0 = points start
    use solution = Cde.solve options path f z0
    Assert.Equal(Reason.ReachedEnd, solution.Reason)
    numbers solution.Final

let private paths (values: torch.Tensor) = [ ControlPath.linear knots values; ControlPath.hermite knots values ]

let private same (tolerance: float) (a: torch.Tensor) (b: torch.Tensor) = apart (numbers a) (numbers b) <= tolerance

// The path passes through the data, from both sides.
let private interpolates (value: ControlPath -> int -> float -> torch.Tensor) (draw: Draw) : bool =
    use _scope = torch.NewDisposeScope()
    let values = values draw

    paths values
    |> List.forall (fun path ->
        seq { 0 .. knots.Length - 2 }
        |> Seq.forall (fun i ->
            same 1e-12 (value path i knots[i]) (values.select (1L, int64 i))
            && same 1e-12 (value path i knots[i + 1]) (values.select (1L, int64 (i + 1)))))

[<Property(MaxTest = 20, Arbitrary = [| typeof<Draws> |])>]
let ``paths pass through their data`` (draw: Draw) = interpolates (fun path -> path.Value) draw

[<Fact>]
let ``a path that is late does not pass through its data`` () =
    Assert.True(refuted (interpolates (fun path i t -> path.Value i (t - 1e-3))))

// Central differences within a piece.
let private differentiates (derivative: ControlPath -> int -> float -> torch.Tensor) (draw: Draw) : bool =
    use _scope = torch.NewDisposeScope()

    paths (values draw)
    |> List.forall (fun path ->
        seq { 0 .. knots.Length - 2 }
        |> Seq.forall (fun i ->
            let share = 0.1 + 0.8 * draw.Shares[0]
            let t, h = knots[i] + share * (knots[i + 1] - knots[i]), 1e-5
            let measured = Elementwise.over (2.0 * h) ((path.Value i (t + h)).sub(path.Value i (t - h)))
            same 1e-6 measured (derivative path i t)))

[<Property(MaxTest = 20, Arbitrary = [| typeof<Draws> |])>]
let ``the derivative of a path is its derivative`` (draw: Draw) = differentiates (fun path -> path.Derivative) draw

[<Fact>]
let ``the increment over the piece is not the derivative`` () =
    let increment (path: ControlPath) i _ = (path.Value i path.Knots[i + 1]).sub(path.Value i path.Knots[i])
    Assert.True(refuted (differentiates increment))

// Slopes agree at the knots, and are the backward differences.
let private smooth (make: float[] -> torch.Tensor -> ControlPath) (draw: Draw) : bool =
    use _scope = torch.NewDisposeScope()
    let values = values draw
    let path = make knots values

    seq { 1 .. knots.Length - 2 }
    |> Seq.forall (fun i ->
        let backward =
            Elementwise.over (knots[i] - knots[i - 1]) ((values.select (1L, int64 i)).sub(values.select (1L, int64 (i - 1))))

        same 1e-10 backward (path.Derivative (i - 1) knots[i]) && same 1e-10 backward (path.Derivative i knots[i]))

[<Property(MaxTest = 20, Arbitrary = [| typeof<Draws> |])>]
let ``Hermite's path has the backward differences as slopes, on both sides of a knot`` (draw: Draw) = smooth ControlPath.hermite draw

[<Fact>]
let ``the path of straight lines has jumps in its slope`` () = Assert.True(refuted (smooth ControlPath.linear))

[<Fact>]
let ``no piece knows what comes after it`` () =
    use _scope = torch.NewDisposeScope()
    let earlier = torch.linspace(-1.0, 1.0, 24L, dtype = torch.float64).reshape [| 2L; 6L; 2L |]
    let later = earlier.clone ()
    later.narrow(1L, 4L, 2L).mul_(Scalar.op_Implicit -3.0) |> ignore

    for a, b in List.zip (paths earlier) (paths later) do
        for i in 0..2 do
            Assert.True(same 0.0 (a.Value i (knots[i] + 0.1)) (b.Value i (knots[i] + 0.1)))

        Assert.False(same 1e-3 (a.Value 4 2.1) (b.Value 4 2.1))

// The clock s -> s (1 + s) / 2, which takes its knots to those of the path.
let private clock (s: float) = 0.5 * s * (1.0 + s)
let private clockRate (s: float) = 0.5 + s
let private ticks = knots |> Array.map (fun t -> -0.5 + sqrt (0.25 + 2.0 * t))
let private other = ControlPath.reparametrised ticks clock clockRate

// What comes out does not depend on the clock.
let private invariant (reparametrise: ControlPath -> ControlPath) (draw: Draw) : bool =
    use _scope = torch.NewDisposeScope()

    paths (values draw)
    |> List.forall (fun path -> apart (along tight path) (along tight (reparametrise path)) <= 1e-7)

[<Property(MaxTest = 10, Arbitrary = [| typeof<Draws> |])>]
let ``the end does not depend on the clock`` (draw: Draw) = invariant other draw

[<Fact>]
let ``without the rate of the clock it does`` () =
    let forgetful (path: ControlPath) = { other path with Derivative = fun piece s -> path.Derivative piece (clock s) }
    Assert.True(refuted (invariant forgetful))

[<Property(MaxTest = 10, Arbitrary = [| typeof<Draws> |])>]
let ``straight lines with one step a piece: the same numbers for any knots`` (draw: Draw) =
    use _scope = torch.NewDisposeScope()
    let values = values draw
    let options = OdeOptions.fixedStep Scheme.rungeKutta4 10.0
    let numbered = ControlPath.linear (Array.init knots.Length float) values
    apart (along options (ControlPath.linear knots values)) (along options numbered) <= 1e-12

// X(t) = t: the ordinary equation z' = f(z).
let private isOrdinary (control: float[] -> float[]) (draw: Draw) : bool =
    use _scope = torch.NewDisposeScope()
    let x0 = draw.Points[..3]
    let time = (torch.tensor (Array.append (control knots) (control knots), dtype = torch.float64)).reshape [| 2L; 6L; 1L |]

    [ ControlPath.linear knots time; ControlPath.hermite knots time ]
    |> List.forall (fun path ->
        use z0 = points x0
        use solution = Cde.solve tight path (fun z -> (swinging.Apply (torch.tensor 0.0) z).sin().unsqueeze -1L) z0
        let ordinary = Field.autonomous "sine" (fun z -> (swinging.Apply (torch.tensor 0.0) z).sin())
        apart (numbers solution.Final) (ends tight ordinary x0 knots[0] knots[5]) <= 1e-8)

[<Property(MaxTest = 10, Arbitrary = [| typeof<Draws> |])>]
let ``driven by the time it is the ordinary equation`` (draw: Draw) = isOrdinary id draw

[<Fact>]
let ``driven by twice the time it is not`` () = Assert.True(refuted (isOrdinary (Array.map ((*) 2.0))))

[<Property(MaxTest = 10, Arbitrary = [| typeof<Draws> |])>]
let ``as a term for reversible Heun it tends to the same end`` (draw: Draw) =
    use _scope = torch.NewDisposeScope()

    paths (values draw)
    |> List.forall (fun path ->
        // 400 steps in each piece.
        let grid =
            Array.append
                [|
                    for i in 0..4 do
                        for n in 0..399 do
                            knots[i] + (knots[i + 1] - knots[i]) * float n / 400.0
                |]
                [| knots[5] |]

        use z0 = points start
        use state = ReversibleHeun.solve [ Cde.term path f ] grid z0
        apart (along tight path) (numbers state.X) <= 1e-3)

[<Fact>]
let ``gradients pass through the solve, to the start and to the data`` () =
    use _scope = torch.NewDisposeScope()
    let data = torch.linspace(-1.0, 1.0, 24L, dtype = torch.float64).sin().reshape [| 2L; 6L; 2L |]
    let options = OdeOptions.fixedStep Scheme.rungeKutta4 0.2

    let loss (z: torch.Tensor) (x: torch.Tensor) =
        let solution = Cde.solve options (ControlPath.hermite knots x) f z
        (solution.Final.mul solution.Final).sum()

    let z, x = (points start).requires_grad_ true, data.clone().requires_grad_ true
    (loss z x).backward()

    let numeric (which: int) (index: int) =
        let at (h: float) =
            use _quiet = torch.no_grad ()
            let z', x' = points start, data.clone ()
            let target = (if which = 0 then z' else x').view(-1L)
            target.narrow(0L, int64 index, 1L).add_(Scalar.op_Implicit h) |> ignore
            (loss z' x').item<float>()

        (at 1e-5 - at -1e-5) / 2e-5

    for index in 0..3 do
        Assert.Equal(numeric 0 index, (numbers (nonNull z.grad))[index], 7)

    for index in [ 0; 5; 13; 23 ] do
        Assert.Equal(numeric 1 index, (numbers (nonNull x.grad))[index], 7)

[<Fact>]
let ``nothing is left behind`` () =
    use values = torch.ones ([| 2L; 6L; 2L |], dtype = torch.float64)
    let path = ControlPath.hermite knots values
    use z0 = points start
    let left = Lifetime.born (fun () -> (Cde.solve tight path f z0 :> IDisposable).Dispose())
    Assert.Equal(0L, left)

[<Fact>]
let ``what does not fit is refused by name`` () =
    use _scope = torch.NewDisposeScope()
    let values = torch.ones ([| 2L; 6L; 2L |], dtype = torch.float64)
    let refuses (name: string) (work: unit -> unit) = Assert.Equal(name, Assert.Throws<ArgumentException>(work).ParamName)
    refuses "knots" (fun () -> ControlPath.linear [| 0.0; 1.0; 1.0; 2.0; 3.0; 4.0 |] values |> ignore)
    refuses "values" (fun () -> ControlPath.linear knots[..4] values |> ignore)
    refuses "values" (fun () -> ControlPath.hermite knots (values.log().log()) |> ignore)
    let path = ControlPath.linear knots values
    refuses "t" (fun () -> ControlPath.at path 3.0 |> ignore)
    refuses "clock" (fun () -> ControlPath.reparametrised ticks (fun s -> s) (fun _ -> 1.0) path |> ignore)
    refuses "rate" (fun () -> ControlPath.reparametrised ticks clock (fun _ -> 1.0) path |> ignore)
    refuses "z" (fun () -> (Cde.solve tight path f (torch.ones ([| 3L; 2L |], dtype = torch.float64)) :> IDisposable).Dispose())
    refuses "f(z)" (fun () -> (Cde.solve tight path (fun z -> z) (points start) :> IDisposable).Dispose())
    refuses "options" (fun () -> (Cde.solve { tight with Dense = true } path f (points start) :> IDisposable).Dispose())

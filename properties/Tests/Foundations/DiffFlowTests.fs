/// What flows need: batches, estimates of traces, fixed points, and outer gradients.
module ValueFlow.Tests.Foundations.DiffFlowTests

open System
open Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Tests.Foundations.DiffSketch

let private gradientOf (leaf: torch.Tensor) : float[] =
    match leaf.grad with
    | null -> [||]
    | gradient -> numbers gradient

let private second (struct (_: torch.Tensor, b: torch.Tensor)) = b

// A batch of three rows from a sketch, and the sketch's functions on it, row by row.
let private rows (x: torch.Tensor) (v: torch.Tensor) : torch.Tensor = torch.stack ([| x; v; x.sub v |], 0L)

let private byRows (f: torch.Tensor -> torch.Tensor) (batch: torch.Tensor) : torch.Tensor =
    torch.stack (Array.init (int batch.shape[0]) (fun i -> f (batch.select (0L, int64 i))), 0L)

[<Fact>]
let ``batch forms are loops over rows`` () =
    let law gradient divergence laplacian : Law =
        fun sketch x v ->
            let batch, along = rows x v, rows v x
            let f, g = scalar sketch, square sketch
            let loop (each: torch.Tensor -> torch.Tensor) = numbers (byRows each batch)
            let products = Array.init 3 (fun i -> Diff.jacobianv g (batch.select (0L, int64 i)) (along.select (0L, int64 i)))

            [
                exactly (loop (Diff.grad f)) (numbers (gradient (byRows f) batch))
                exactly (loop (Diff.divergence g)) (numbers (divergence (byRows g) batch))
                exactly (numbers (torch.stack (products, 0L))) (numbers (Diff.Batch.jvp (byRows g) batch along))
                exactly (loop (Diff.divergence g)) (numbers (second (Diff.Batch.fdivergence (byRows g) batch)))
                exactly (loop (Diff.grad f)) (numbers (second (Diff.Batch.fgradient (byRows f) batch)))
                exactly (loop (Diff.laplacian f)) (numbers (laplacian (byRows f) batch))
                exactly (loop (Diff.laplacian f)) (numbers (second (Diff.Batch.flaplacian (byRows f) batch)))
            ]
            |> List.tryPick id

    holds (law Diff.Batch.gradient Diff.Batch.divergence Diff.Batch.laplacian)
    // The first row's gradient for every row; the sum of all entries of J, and of H, instead of the trace.
    let all (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) = (Diff.Batch.jvp f x (torch.ones_like x)).sum(1L)
    refutes (law (fun f x -> ((Diff.Batch.gradient f x).narrow(0L, 0L, 1L)).expand_as x) Diff.Batch.divergence Diff.Batch.laplacian)
    refutes (law Diff.Batch.gradient all Diff.Batch.laplacian)
    refutes (law Diff.Batch.gradient Diff.Batch.divergence (fun f -> all (Diff.Batch.gradient f)))

// All 2^d sign vectors, (2^d, d).
let private signs (d: int) : torch.Tensor =
    let entry k j = if (k >>> j) &&& 1 = 1 then 1.0 else -1.0
    torch.stack (Array.init (1 <<< d) (fun k -> vector (List.init d (entry k))), 0L)

[<Fact>]
let ``over all signs Hutchinson's estimates are exact`` () =
    let law all : Law =
        fun sketch x v ->
            let probes: torch.Tensor = all (int x.shape[0])
            let f, g = scalar sketch, square sketch
            let batch = rows x v
            let same = (probes.unsqueeze 1L).expand(probes.shape[0], 3L, x.shape[0])

            [
                exactly (numbers (Diff.divergence g x)) (numbers (Hutchinson.divergenceAlong probes g x))
                exactly (numbers (Diff.laplacian f x)) (numbers (Hutchinson.laplacianAlong probes f x))
                exactly (numbers (Diff.Batch.divergence (byRows g) batch)) (numbers (Diff.Batch.hutchinson same (byRows g) batch))
            ]
            |> List.tryPick id

    holds (law signs)
    // The all-ones probe by itself is biased by the entries off the diagonal.
    refutes (law (fun d -> (signs d).narrow(0L, (1L <<< d) - 1L, 1L)))
    refutes (law (fun d -> Elementwise.plus 0.5 (signs d)))

[<Fact>]
let ``probes have the moments of their law, and repeat with their seed`` () =
    Lifetime.within (fun () ->
        let x = vector [ 0.3; -0.2; 0.5 ]

        for law, fourth in [ Probe.Rademacher, 1.0; Probe.Normal, 3.0 ] do
            let drawn = Probe.draw (Generator 7) law 20_000 x
            Assert.Equal<int64[]>([| 20_000L; 3L |], drawn.shape)
            Assert.Equal<float[]>(numbers drawn, numbers (Probe.draw (Generator 7) law 20_000 x))
            let moments = numbers (torch.mm (drawn.t (), drawn)) |> Array.map (fun m -> m / 20_000.0)
            // Four standard deviations of a mean of 20,000.
            let within = 4.0 * sqrt (3.0 / 20_000.0)
            Assert.Equal(None, agree within [| 1.0; 0.0; 0.0; 0.0; 1.0; 0.0; 0.0; 0.0; 1.0 |] moments)
            let kurtosis = numbers drawn |> Array.averageBy (fun v -> v ** 4.0)
            Assert.True(abs (kurtosis - fourth) <= 4.0 * sqrt (96.0 / 60_000.0), $"{kurtosis}")

        let f (y: torch.Tensor) = torch.stack ([| y.sum (); y.prod (); y.Squared().sum() |], 0L)
        let exact = (Diff.divergence f x).item<float>()

        for law in [ Probe.Rademacher; Probe.Normal ] do
            let estimate = (Hutchinson.divergence (Generator 3) law 500 f x).item<float>()
            Assert.True(abs (estimate - exact) < 0.5, $"{law} {estimate} {exact}"))

[<Fact>]
let ``derivatives in an outer graph keep the gradients of parameters and of x`` () =
    // f holds theta; div of (theta x_i^2)_i = 2 theta sum x, whose derivative is 2 sum x in theta, and 2 theta in x.
    Lifetime.within (fun () ->
        let x = (torch.tensor (array2D [ [ 1.0; 2.0 ]; [ 3.0; 5.0 ] ])).requires_grad_ false
        let theta = (torch.tensor (0.5, dtype = torch.float64)).requires_grad_ true
        let f (y: torch.Tensor) = (y.Squared()).mul theta
        let loss = (Diff.Batch.divergence f x).sum()
        Assert.True loss.requires_grad
        loss.backward ()
        Assert.Equal<float[]>([| 22.0 |], gradientOf theta)
        // No gradient of anything else was touched.
        let probes = torch.ones ([| 1L; 2L; 2L |], dtype = torch.float64)
        let estimate = (Diff.Batch.hutchinson probes f x).sum()
        estimate.backward ()
        Assert.Equal<float[]>([| 44.0 |], gradientOf theta)
        let y = (x.clone ()).requires_grad_ true
        (Diff.Batch.divergence f y).sum().backward()
        Assert.Equal<float[]>([| 1.0; 1.0; 1.0; 1.0 |], gradientOf y)
        // Without anything that needs a gradient, and inside no_grad, results carry no graph.
        Assert.False((Diff.Batch.divergence (fun z -> z.sin ()) x).requires_grad)
        use _still = torch.no_grad ()
        Assert.False((Diff.Batch.divergence f y).requires_grad)
        Assert.Equal<float[]>([| 3.0; 8.0 |], numbers (Diff.Batch.divergence f y)))

[<Fact>]
let ``products can be differentiated in their direction`` () =
    // J v, J^T v and H v are linear in v: their derivatives along v are J, J^T and H.
    let law (detached: torch.Tensor -> torch.Tensor) : Law =
        fun sketch x v ->
            let f, g = scalar sketch, square sketch
            let matrix = Diff.jacobian g x
            let struct (_, pullback) = Diff.evalReverseDiff g x
            let probe (w: torch.Tensor) = Hutchinson.divergenceAlong (w.unsqueeze 0L) g x

            [
                exactly (numbers matrix) (numbers (Diff.jacobian (fun w -> Diff.jacobianv g x (detached w)) v))
                exactly (numbers (matrix.t ())) (numbers (Diff.jacobian (detached >> Diff.jacobianTv g x) v))
                exactly (numbers (matrix.t ())) (numbers (Diff.jacobian pullback v))
                exactly (numbers (Diff.hessian f x)) (numbers (Diff.jacobian (Diff.hessianv f x) v))
                exactly (numbers (Diff.grad f x)) (numbers (Diff.grad (Diff.gradv f x) v))
                exactly (numbers (torch.mv (matrix.Plus(matrix.t ()), v))) (numbers (Diff.grad probe v))
            ]
            |> List.tryPick id

    holds (law id)
    refutes (law _.detach())

// z = a-dependent part + a contraction in z: the slope of 0.25 tanh is at most 0.25, so that 30 steps are exact to 1e-18.
let private contraction (sketch: Sketch) (a: torch.Tensor) (z: torch.Tensor) : torch.Tensor =
    (square sketch a).Plus(Elementwise.times 0.25 (((z.roll 1L).Plus(a)).tanh()))

let private unrolled (sketch: Sketch) (steps: int) (a: torch.Tensor) : torch.Tensor =
    Seq.fold (fun z _ -> contraction sketch a z) (torch.zeros_like a) (seq { 1..steps })

[<Fact>]
let ``the gradient of a fixed point is that of the unrolled iteration, first and second`` () =
    let law (solve: Sketch -> torch.Tensor -> torch.Tensor) : Law =
        fun sketch a v ->
            let value (z: torch.Tensor) = (z.mul v).sum().sin()

            [
                exactly (numbers (unrolled sketch 30 a)) (numbers (solve sketch a))
                exactly (numbers (Diff.grad (unrolled sketch 30 >> value) a)) (numbers (Diff.grad (solve sketch >> value) a))
                exactly (numbers (Diff.hessianv (unrolled sketch 30 >> value) a v)) (numbers (Diff.hessianv (solve sketch >> value) a v))
            ]
            |> List.tryPick id

    holdsInFew (law (fun sketch a -> Diff.fixedPoint 1e-12 200 (contraction sketch) (torch.zeros_like a) a))
    // The first derivative alone is exact after one step, and the second is not: the reason for two.
    refutes (law (fun sketch a -> Diff.fixedPointTo 1 1e-12 200 (contraction sketch) (torch.zeros_like a) a))
    // One application at the fixed point forgets (I - df/dz)^-1.
    refutes (law (fun sketch a -> contraction sketch a ((Diff.fixedPoint 1e-12 200 (contraction sketch) (torch.zeros_like a) a).detach())))

[<Fact>]
let ``one step gives the first derivative, and parameters that f holds get theirs`` () =
    holdsInFew (fun sketch a v ->
        let value (z: torch.Tensor) = (z.mul v).sum()
        let solve a = Diff.fixedPointTo 1 1e-12 200 (contraction sketch) (torch.zeros_like a) a
        exactly (numbers (Diff.grad (unrolled sketch 30 >> value) a)) (numbers (Diff.grad (solve >> value) a)))

    // z = theta z / 2 + a: z = a / (1 - theta / 2), dz/dtheta = a / 2 / (1 - theta / 2)^2.
    Lifetime.within (fun () ->
        let theta = (torch.ones ([||], dtype = torch.float64)).requires_grad_ true
        let f a (z: torch.Tensor) = (Elementwise.times 0.5 (z.mul theta)).Plus(a: torch.Tensor)
        let z = Diff.fixedPoint 1e-12 200 f (torch.zeros ([||], dtype = torch.float64)) (torch.ones ([||], dtype = torch.float64))
        z.backward ()
        Assert.Equal(2.0, (z.detach ()).item<float>(), 10)
        Assert.Equal(2.0, (gradientOf theta)[0], 10))

[<Fact>]
let ``a fixed point that is not reached is refused`` () =
    Lifetime.within (fun () ->
        let zero = torch.zeros ([| 2L |], dtype = torch.float64)
        let solve budget (f: torch.Tensor -> torch.Tensor) = Diff.fixedPoint 1e-9 budget (fun _ z -> f z) zero zero |> ignore
        let refused budget f = Assert.Throws<InvalidOperationException>(fun () -> solve budget f).Message
        Assert.Contains("after 50 applications", refused 50 (Elementwise.plus 1.0))
        Assert.Contains("not a finite number", refused 50 (fun z -> (Elementwise.plus -1.0 z).log()))
        Assert.Throws<ArgumentException>(fun () -> solve 50 (fun z -> z.sum ())) |> ignore
        Assert.Throws<ArgumentException>(fun () -> solve 0 id) |> ignore
        Assert.Throws<ArgumentException>(fun () -> Diff.fixedPoint 0.0 5 (fun _ z -> z) zero zero |> ignore) |> ignore
        // The identity: every z is a fixed point, and none has a derivative.
        let a = (torch.zeros ([| 2L |], dtype = torch.float64)).requires_grad_ true

        let error =
            Assert.Throws<InvalidOperationException>(fun () ->
                Diff.fixedPoint 1e-9 5 (fun a z -> z.Plus(a: torch.Tensor)) zero a |> ignore)

        Assert.Contains("singular", error.Message))

/// Action matching: the identities of its loss, exact by quadrature in space and time.
module ValueFlow.FlowsTests.Interpolants.ActionMatchingTests

open MathNet.Numerics.Integration
open Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Flows
open ValueFlow.FlowsTests.Interpolants.Draw
open ValueFlow.FlowsTests.Interpolants.LossTests

// Two coordinates: m_i = a_i + b_i t, sd_i = c_i + d_i t.
type private Path = { A: float[]; B: float[]; C: float[]; D: float[] }

let private path (draw: Draw) : Path =
    {
        A = [| number draw 0; number draw 1 |]
        B = [| number draw 2; number draw 3 |]
        C = [| positive draw 4; positive draw 5 |]
        D = [| 0.1 * number draw 6; 0.1 * number draw 7 |]
    }

let private closedForm (p: Path) : NormalPath =
    let line a b = Schedule.create (fun t -> a + b * t) (fun _ -> b)
    { Mean = Array.map2 line p.A p.B; Deviation = Array.map2 line p.C p.D }

let private legendre = GaussLegendreRule(0.0, 1.0, 16)

// Rows and weights of q_t at a time.
let private nodesAt (p: Path) (t: float) (mass: float) =
    [|
        for a, wa in nodes do
            for b, wb in nodes ->
                [| p.A[0] + p.B[0] * t + (p.C[0] + p.D[0] * t) * a; p.A[1] + p.B[1] * t + (p.C[1] + p.D[1] * t) * b |], mass * wa * wb
    |]

let private weighted rows = { Points = table (Array.map fst rows); Weights = ValueSome(vector (Array.map snd rows)) }

let private batch (p: Path) (mass: float -> float) : ActionBatch =
    let times = Array.zip legendre.Abscissas legendre.Weights
    let inside = times |> Array.collect (fun (t, w) -> nodesAt p t (w * mass t))

    {
        First = weighted (nodesAt p 0.0 (mass 0.0))
        Last = weighted (nodesAt p 1.0 (mass 1.0))
        Times = vector (times |> Array.collect (fun (t, _) -> Array.create 16 t))
        Between = weighted inside
    }

type private Action = torch.Tensor -> torch.Tensor -> torch.Tensor

// s* as torch sees it, with the derivative in t recorded.
let private exact (p: Path) (noise: float) : Action =
    fun t x ->
        let line (a: float) (b: float) = Elementwise.plus a (Elementwise.times b t)

        Seq.init 2 (fun i ->
            let gap, sd = (x.select (1L, int64 i)).sub(line p.A[i] p.B[i]), line p.C[i] p.D[i]

            let stiffness =
                (Elementwise.times (0.5 * p.D[i]) (sd.reciprocal ()))
                    .sub(Elementwise.times (0.25 * noise * noise) (sd.Squared().reciprocal()))

            (Elementwise.times p.B[i] gap).Plus(gap.Squared().mul stiffness))
        |> Seq.reduce (fun sum next -> sum.Plus next)

// A polynomial perturbation, and its gradient by hand.
let private bump (draw: Draw) : Action * (torch.Tensor -> torch.Tensor -> torch.Tensor) =
    let u, v, w = number draw 50, number draw 51, number draw 52
    let column (x: torch.Tensor) k = x.select (1L, k)

    (fun t x ->
        let a, b = column x 0L, column x 1L

        [ Elementwise.times u (a.mul b); Elementwise.times v (a.mul t); Elementwise.times w (b.Squared().mul t) ]
        |> List.reduce (fun sum next -> sum.Plus next)),
    (fun t x ->
        let a, b = column x 0L, column x 1L

        torch.stack (
            [|
                (Elementwise.times u b).Plus(Elementwise.times v t)
                (Elementwise.times u a).Plus(Elementwise.times (2.0 * w) (b.mul t))
            |],
            1L
        ))

let private plus (f: Action) (g: Action) : Action = fun t x -> (f t x).Plus(g t x)
let private value kind action batch = (ActionMatching.loss kind action batch: torch.Tensor).item<float>()
let private sum (weights: torch.Tensor voption) (rows: torch.Tensor) = (rows.mul weights.Value).sum().item<float>()
let private one (_: float) = 1.0

type private Loss = ActionKind -> Action -> ActionBatch -> float

// L(s* + h) = 1/2 int E|grad h|^2 - 1/2 int E|grad s*|^2.
let private energyIdentity (loss: Loss) (noise: float) (draw: Draw) : float =
    let p = path draw
    let batch = batch p one
    let h, slope = bump draw
    let kind = if noise > 0.0 then ActionKind.Entropic noise else ActionKind.Balanced
    let between = batch.Between

    let kinetic =
        0.5
        * Array.fold2 (fun total t w -> total + w * NormalPath.speedSquared (closedForm p) noise t) 0.0 legendre.Abscissas legendre.Weights

    let distance = 0.5 * sum between.Weights ((slope batch.Times between.Points).Squared().sum 1L)
    max (gap (loss kind (plus (exact p noise) h) batch) (distance - kinetic)) (gap (loss kind (exact p noise) batch) -kinetic)

[<Fact>]
let ``the loss is half the squared distance of gradients, less the kinetic energy`` () = holds 60 1e-9 (energyIdentity value 0.0)

[<Fact>]
let ``the entropic loss finds the velocity plus half noise squared times the score`` () = holds 60 1e-9 (energyIdentity value 0.8)

[<Fact>]
let ``wrong losses are refuted`` () =
    // Forgetting the Laplacian; counting the last marginal with the wrong sign.
    refutes 60 1e-9 (energyIdentity (fun _ -> value ActionKind.Balanced) 0.8)

    refutes
        60
        1e-9
        (energyIdentity
            (fun kind action batch ->
                value kind action { batch with Last = { batch.Last with Weights = ValueSome(batch.Last.Weights.Value.neg ()) } })
            0.0)

[<Fact>]
let ``the gradient of the exact action is the closed form's velocity`` () =
    let gradients (factor: float) (draw: Draw) =
        let p = path draw
        let x, t = points draw 20 3 2, vector (innerTimes draw 3)

        [ 0.0; 0.6 ]
        |> List.map (fun noise ->
            let field = ActionMatching.velocity "exact" (exact p noise)

            max
                (distance (field.Apply t x) ((NormalPath.velocity (closedForm p) (factor * noise)).Apply t x))
                (distance (field.Apply (scalar 0.4) x) ((NormalPath.velocity (closedForm p) (factor * noise)).Apply (scalar 0.4) x)))
        |> List.max

    holds 60 1e-10 (gradients 1.0)
    refutes 60 1e-10 (gradients 1.1)

[<Fact>]
let ``a function of time alone changes the balanced loss by nothing, and the unbalanced one`` () =
    let gauge kind (draw: Draw) =
        let batch = batch (path draw) one
        let h, _ = bump draw
        let shift: Action = fun t _ -> Elementwise.times (1.0 + abs (number draw 60)) (t.Squared().Plus(torch.cos t))
        gap (value kind (plus h shift) batch) (value kind h batch)

    holds 60 1e-10 (gauge ActionKind.Balanced)
    holds 60 1e-10 (gauge (ActionKind.Entropic 0.5))
    refutes 60 1e-10 (gauge ActionKind.Unbalanced)

[<Fact>]
let ``a law that stands still has least loss zero, at a constant action`` () =
    let still kind (draw: Draw) =
        let law = { path draw with B = [| 0.0; 0.0 |]; D = [| 0.0; 0.0 |] }
        let batch = batch law one
        let h, slope = bump draw
        let excess = 0.5 * sum batch.Between.Weights ((slope batch.Times batch.Between.Points).Squared().sum 1L)
        max (abs (value kind (fun t _ -> torch.ones_like t) batch)) (gap (value kind h batch) excess)

    holds 40 1e-10 (still ActionKind.Balanced)
    refutes 40 1e-10 (still ActionKind.Unbalanced)

[<Fact>]
let ``growing mass: the unbalanced loss is a squared distance in action and gradient`` () =
    // q_t = e^(k t) q_0: s* = k, grad s* = 0.
    let identity (loss: Loss) (draw: Draw) =
        let still = { path draw with B = [| 0.0; 0.0 |]; D = [| 0.0; 0.0 |] }
        let k = number draw 70
        let batch = batch still (fun t -> exp (k * t))
        let h, slope = bump draw
        let total = sum batch.Between.Weights (torch.ones_like batch.Times)
        let constant: Action = fun t _ -> Elementwise.plus k (torch.zeros_like t)

        let squares =
            (slope batch.Times batch.Between.Points).Squared().sum(1L).Plus((h batch.Times batch.Between.Points).Squared())

        gap (loss ActionKind.Unbalanced (plus constant h) batch) (0.5 * sum batch.Between.Weights squares - 0.5 * k * k * total)

    holds 60 1e-9 (identity value)
    refutes 60 1e-9 (identity (fun _ -> value ActionKind.Balanced))

[<Fact>]
let ``the loss's gradient in a parameter is the numerical one, also inside no-grad`` () =
    use scope = torch.NewDisposeScope()
    let draw = { Choice = 0; Moment = 9; Numbers = [ 12; 70; 33 ] }
    let batch = batch (path draw) one

    let action (w: torch.Tensor) : Action =
        fun t x ->
            let wave = torch.sin ((x.select (1L, 0L)).mul w)
            let growth = torch.exp ((t.mul (x.select (1L, 1L))).mul w)
            wave.mul growth

    for kind in [ ActionKind.Balanced; ActionKind.Entropic 0.7; ActionKind.Unbalanced ] do
        let weight = (scalar 0.4).requires_grad_ true
        (ActionMatching.loss kind (action weight) batch).backward()

        let numerical =
            Schedule.numericalDerivative
                (fun w ->
                    use _noGrad = torch.no_grad ()
                    value kind (action (scalar w)) batch)
                0.4

        Assert.True(
            gap
                (match weight.grad with
                 | null -> nan
                 | g -> g.item<float>())
                numerical
                <
                1e-7
        )

[<Fact>]
let ``actions that ignore an input or a gradient do not end the process`` () =
    use scope = torch.NewDisposeScope()
    let batch = batch (path { Choice = 0; Moment = 9; Numbers = [ 12; 70 ] }) one

    for kind in [ ActionKind.Balanced; ActionKind.Entropic 0.7 ] do
        Assert.Equal(0.0, value kind (fun t _ -> torch.ones_like (t.detach ())) batch, 12)
        Assert.Equal(0.0, value kind (fun t _ -> t.Squared()) batch, 12)
        value kind (fun _ x -> x.sum 1L) batch |> ignore

[<Fact>]
let ``slips are named, the loss is pure and leaves one tensor`` () =
    use scope = torch.NewDisposeScope()
    let p = path { Choice = 0; Moment = 9; Numbers = [ 12; 70 ] }
    let batch = batch p one
    Assert.Contains("action", refusal (fun () -> value ActionKind.Balanced (fun _ x -> x) batch |> ignore))
    Assert.Contains("noise", refusal (fun () -> value (ActionKind.Entropic -1.0) (exact p 0.0) batch |> ignore))
    Assert.Contains("times", refusal (fun () -> value ActionKind.Balanced (exact p 0.0) { batch with Times = scalar 0.5 } |> ignore))

    Assert.Contains(
        "first",
        refusal (fun () ->
            value ActionKind.Balanced (exact p 0.0) { batch with First = { Points = table [| [| 1.0 |] |]; Weights = ValueNone } }
            |> ignore)
    )

    let inputs = [ batch.Times; batch.Between.Points; batch.First.Points; batch.Last.Points ]
    isPure 1L inputs (fun () -> [ ActionMatching.loss (ActionKind.Entropic 0.5) (exact p 0.5) batch ])
    let x = points { Choice = 0; Moment = 1; Numbers = [ 4 ] } 0 3 2
    let t = scalar 0.5
    isPure 1L [ t; x ] (fun () -> [ (ActionMatching.velocity "s" (exact p 0.0)).Apply t x ])

[<Fact>]
let ``snapshots are drawn as mixtures of their neighbours in time`` () =
    use scope = torch.NewDisposeScope()
    // Snapshot k holds the number k only: at time t the mean row is the position of t among the snapshots.
    let snapshots = [| for k in 0.0 .. 2.0 -> table (Array.create 5 [| k |]) |]
    let drawn = ActionMatching.draw (Generator 4) [| 0.0; 0.25; 1.0 |] snapshots 20000
    let t, x = values drawn.Times, values drawn.Between.Points
    Assert.All(values drawn.First.Points, fun v -> Assert.Equal(0.0, v))
    Assert.All(values drawn.Last.Points, fun v -> Assert.Equal(2.0, v))
    let position t = if t < 0.25 then t / 0.25 else 1.0 + (t - 0.25) / 0.75
    // Five standard errors of at most 1/2 / sqrt n.
    Assert.True(abs (Array.averageBy id (Array.map2 (fun t x -> x - position t) t x)) < 5.0 * 0.5 / sqrt 20000.0)
    Assert.All(Array.zip t x, fun (t, x) -> Assert.True(abs (x - position t) < 1.0))
    Assert.Contains("ascend", refusal (fun () -> ActionMatching.draw (Generator 4) [| 0.0; 0.9 |] snapshots[0..1] 3 |> ignore))
    let again = ActionMatching.draw (Generator 4) [| 0.0; 0.25; 1.0 |] snapshots 20000
    Assert.Equal<float[]>(x, values again.Between.Points)

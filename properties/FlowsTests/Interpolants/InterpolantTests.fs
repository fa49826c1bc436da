/// Interpolants: ends, derivatives, the product gamma gamma', batches.
module ValueFlow.FlowsTests.Interpolants.InterpolantTests

open System
open Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Flows
open ValueFlow.FlowsTests.Interpolants.Draw

let private pairs (draw: Draw) : Pairs = { Start = points draw 0 4 2; Finish = points draw 8 4 2; Noise = ValueSome(points draw 16 4 2) }

// max |x_0 - x0|, |x_1 - x1|, for one time and for a time for each row.
let private ends (point: Interpolant -> torch.Tensor -> Pairs -> torch.Tensor) (draw: Draw) : float =
    let i, pairs = interpolant draw, pairs draw
    let first = if i.IsMirror then pairs.Finish else pairs.Start

    List.max
        [
            distance (point i (scalar 0.0) pairs) first
            distance (point i (scalar 1.0) pairs) pairs.Finish
            distance (point i (torch.zeros (4L, dtype = torch.float64)) pairs) first
            distance (point i (torch.ones (4L, dtype = torch.float64)) pairs) pairs.Finish
        ]

[<Fact>]
let ``a path starts in x0 and ends in x1, exactly`` () = holds 200 0.0 (ends Path.point)

[<Fact>]
let ``a diffusion that does not reach its noise is refuted`` () =
    // The usual variance-preserving path: alpha(0) = 0.99998, beta(0) = 0.0066.
    let usual (_: Interpolant) (t: torch.Tensor) (pairs: Pairs) =
        let beta t = exp (-0.25 * (1.0 - t) ** 2.0 * 19.9 - 0.05 * (1.0 - t))
        let b = (values t)[0] |> beta
        (Elementwise.times (sqrt (1.0 - b * b)) pairs.Start).Plus(Elementwise.times b pairs.Finish)

    refutes 200 1e-6 (ends usual)

    Assert.NotEmpty(
        match
            Interpolant.tryCreate "usual" (Schedule.create (fun t -> 0.99998 * (1.0 - t)) (fun _ -> -0.99998)) Schedule.time Latent.none
        with
        | Error errors -> errors
        | Ok _ -> []
    )

let private derivatives (rates: Interpolant -> float -> Coefficients) (draw: Draw) : float =
    let i, t = interpolant draw, time draw
    let found = rates i t

    [
        (fun t -> (Interpolant.at i t).Alpha), found.AlphaRate
        (fun t -> (Interpolant.at i t).Beta), found.BetaRate
        (fun t -> (Interpolant.at i t).Gamma), found.GammaRate
        (fun t -> (Interpolant.at i t).Gamma ** 2.0 / 2.0), found.GammaProduct
    ]
    |> List.map (fun (f, claimed) -> gap claimed (Schedule.numericalDerivative f t))
    |> List.max

[<Fact>]
let ``derivatives are the numerical ones, gamma gamma' among them`` () = holds 500 1e-7 (derivatives Interpolant.at)

[<Fact>]
let ``a derivative with a patched root is refuted`` () =
    // gamma' = (gamma^2)' / (2 gamma + 1e-2).
    refutes
        500
        1e-7
        (derivatives (fun i t ->
            { Interpolant.at i t with
                GammaRate = 2.0 * i.Latent.Product t / (2.0 * i.Latent.Gamma.Value t + 1e-2)
            }))

[<Fact>]
let ``gamma gamma' at the ends is the limit from inside, finite where gamma' is not`` () =
    for i in interpolants do
        for edge, near in [ 0.0, 1e-9; 1.0, 1.0 - 1e-9 ] do
            let at, beside = Interpolant.at i edge, Interpolant.at i near
            Assert.True(gap at.GammaProduct beside.GammaProduct < 1e-6, $"{i.Name} at {edge}: {at.GammaProduct}, {beside.GammaProduct}")
            Assert.True(Double.IsFinite at.GammaProduct)
            Assert.Equal(0.0, at.Gamma)

    // The naive product is 0 times infinity.
    let bridge = Interpolant.at (Interpolant.brownianBridge 1.0) 0.0
    Assert.True(Double.IsNaN(bridge.Gamma * bridge.GammaRate))

    Assert.Equal(0.5, (Interpolant.at (Interpolant.brownianBridge 1.0) 0.0).GammaProduct)
    Assert.Equal(Double.PositiveInfinity, (Interpolant.at (Interpolant.brownianBridge 1.0) 0.0).GammaRate)

[<Fact>]
let ``a velocity at a singular end is refused by its row; in between and where it is finite it is there`` () =
    let draw = { Choice = 0; Moment = 1; Numbers = [ 3; 8; 1 ] }
    let pairs = pairs draw
    let bridge = Interpolant.brownianBridge 1.0
    let times = vector [| 0.5; 0.2; 0.0; 0.9 |]
    Assert.Contains("row 2", refusal (fun () -> Path.velocity bridge times pairs |> ignore))
    Assert.Contains("alpha'", refusal (fun () -> Path.velocity (Interpolant.diffusion 0.1 20.0) (scalar 1.0) pairs |> ignore))
    Assert.True(distance (Path.velocity (Interpolant.linear Latent.none) (scalar 0.0) pairs) (pairs.Finish.sub pairs.Start) = 0.0)
    let smooth = Interpolant.diffusion 0.0 12.0
    Assert.True(gap (Interpolant.at smooth 1.0).AlphaRate (Interpolant.at smooth (1.0 - 1e-7)).AlphaRate < 1e-5)

let private rowByRow (point: Interpolant -> torch.Tensor -> Pairs -> torch.Tensor) (draw: Draw) : float =
    let i, pairs, times = interpolant draw, pairs draw, innerTimes draw 4
    let whole = point i (vector times) pairs

    times
    |> Array.mapi (fun row t ->
        let part (x: torch.Tensor) = x.narrow (0L, int64 row, 1L)

        let single =
            point i (scalar t) { Start = part pairs.Start; Finish = part pairs.Finish; Noise = ValueOption.map part pairs.Noise }

        distance (part whole) single)
    |> Array.max

[<Fact>]
let ``a time for each row is the same as row by row`` () =
    holds 200 1e-14 (rowByRow Path.point)
    holds 200 1e-14 (rowByRow Path.velocity)

[<Fact>]
let ``taking the first row's time for all is refuted`` () =
    refutes 200 1e-14 (rowByRow (fun i t -> Path.point i (if t.dim () = 0L then t else t[0L])))

let private alongPath (velocity: Interpolant -> torch.Tensor -> Pairs -> torch.Tensor) (draw: Draw) : float =
    let i, pairs, t = interpolant draw, pairs draw, innerTime draw
    let h = 1e-4
    let at t = Path.point i (scalar t) pairs

    let difference =
        Elementwise.times
            (1.0 / (12.0 * h))
            ((Elementwise.times 8.0 ((at (t + h)).sub(at (t - h)))).sub((at (t + 2.0 * h)).sub(at (t - 2.0 * h))))

    distance (velocity i (scalar t) pairs) difference

[<Fact>]
let ``the velocity of a pair is the derivative of its path`` () = holds 200 1e-7 (alongPath Path.velocity)

[<Fact>]
let ``a velocity without the latent part is refuted`` () =
    refutes 200 1e-7 (alongPath (fun i t pairs -> Path.velocity i t { pairs with Noise = pairs.Noise |> ValueOption.map torch.zeros_like }))

[<Fact>]
let ``a variance-preserving path keeps the sum of squares, reversal mirrors a path`` () =
    holds 200 1e-12 (fun draw ->
        let i, t = interpolant draw, time draw
        let n = Interpolant.at i t
        let back = Interpolant.at (Interpolant.reverse (Interpolant.reverse i)) t

        let kept =
            if i.Name.Contains "variance" || i.Name.Contains "diffusion" then
                gap (n.Alpha ** 2.0 + n.Beta ** 2.0) 1.0
            else
                0.0

        List.max [ kept; gap back.Alpha n.Alpha; gap back.Beta n.Beta; gap back.GammaProduct n.GammaProduct ])

[<Fact>]
let ``wrong functions are refused, all errors at once`` () =
    let message =
        refusal (fun () ->
            Interpolant.create "wrong" (Schedule.create (fun t -> 1.0 - t) (fun _ -> 1.0)) (Schedule.constant 0.5) Latent.none
            |> ignore)

    for words in [ "derivative of alpha"; "beta(0) must be 0"; "beta(1) must be 1" ] do
        Assert.Contains(words, message)

    let broken =
        { Latent.quadratic 1.0 with
            Square = Schedule.create (fun t -> t * (1.0 - t)) (fun t -> 1.0 - 2.0 * t)
        }

    Assert.Contains("gamma^2", refusal (fun () -> Interpolant.linear broken |> ignore))

    Assert.Contains("must lie in [0, 1] but is NaN", refusal (fun () -> Interpolant.at interpolants[0] nan |> ignore))

[<Fact>]
let ``slips are named before any native call`` () =
    let draw = { Choice = 0; Moment = 1; Numbers = [ 5 ] }
    let i, pairs = Interpolant.brownianBridge 1.0, pairs draw
    Assert.Contains("[4]", refusal (fun () -> Path.point i (vector [| 0.1; 0.2 |]) pairs |> ignore))
    Assert.Contains("x1", refusal (fun () -> Path.point i (scalar 0.5) { pairs with Finish = points draw 0 3 2 } |> ignore))
    Assert.Contains("Float32", refusal (fun () -> Path.point i (torch.tensor 0.5f) pairs |> ignore))
    Assert.Contains("noise", refusal (fun () -> Path.point i (scalar 0.5) { pairs with Noise = ValueNone } |> ignore))
    Assert.Contains("1.5", refusal (fun () -> Path.point i (scalar 1.5) pairs |> ignore))

[<Fact>]
let ``paths are pure and leave no tensor behind`` () =
    for i in interpolants do
        use scope = torch.NewDisposeScope()
        let pairs = pairs { Choice = 0; Moment = 7; Numbers = [ 4; 9 ] }
        let t = vector [| 0.1; 0.4; 0.6; 0.9 |]
        let inputs = [ t; pairs.Start; pairs.Finish; pairs.Noise.Value ]
        isPure 1L inputs (fun () -> [ Path.point i t pairs ])
        isPure 1L inputs (fun () -> [ Path.velocity i t pairs ])

        isPure 2L inputs (fun () ->
            let struct (x, v) = Path.pointAndVelocity i t pairs
            [ x; v ])

[<Fact>]
let ``images and float32 are batches too`` () =
    use scope = torch.NewDisposeScope()
    let image (value: float32) = Elementwise.plus (float value) (torch.zeros ([| 3L; 2L; 4L; 4L |], dtype = torch.float32))
    let pairs = { Start = image 1f; Finish = image 3f; Noise = ValueNone }
    let x = Path.point (Interpolant.linear Latent.none) (torch.tensor [| 0f; 0.5f; 1f |]) pairs
    Assert.Equal<int64[]>([| 3L; 2L; 4L; 4L |], x.shape)
    Assert.Equal<float32[]>([| 1f; 2f; 3f |], [| for row in 0L .. 2L -> x[row, 1L, 2L, 3L].item<float32>() |])

/// Interpolants between several laws, and transports along curves of weights.
module ValueFlow.FlowsTests.Interpolants.MultimarginalTests

open System
open Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Flows
open ValueFlow.FlowsTests.Interpolants.Draw

let private laws (draw: Draw) (count: int) : MixtureLaw[] = Array.init 3 (fun k -> mixture draw (3 + 60 * k) 2 count)

let private weights (draw: Draw) (rows: int) : float[][] =
    Array.init rows (fun row ->
        let raw = Array.init 3 (fun k -> positive draw (150 + 3 * row + k))
        raw |> Array.map (fun a -> a / Array.sum raw))

type private Model = MixtureLaw[] -> torch.Tensor -> torch.Tensor -> torch.Tensor[]

let private barycentre (model: Model) (draw: Draw) : float =
    let x, alpha = points draw 0 4 2, table (weights draw 4)
    let g = model (laws draw 2) alpha x

    let mean =
        g
        |> Array.mapi (fun k answer -> answer.mul (alpha.narrow (1L, int64 k, 1L)))
        |> Array.reduce (fun a b -> a.Plus b)

    distance mean x

[<Fact>]
let ``the weighted conditional means are the point itself`` () =
    holds 100 1e-9 (barycentre MultimarginalLaw.model)
    // Swapped answers.
    refutes 100 1e-9 (barycentre (fun laws alpha x -> MultimarginalLaw.model laws alpha x |> Array.rev))

[<Fact>]
let ``at a vertex: the point itself, and the plain means of the others`` () =
    let vertexMeans (model: Model) (draw: Draw) =
        let laws, x = laws draw 2, points draw 0 4 2
        let vertex = abs draw.Choice % 3
        let alpha = table (Array.create 4 (Array.init 3 (fun k -> if k = vertex then 1.0 else 0.0)))
        let g = model laws alpha x

        Array.init 3 (fun k -> distance g[k] (if k = vertex then x else table (Array.create 4 (MixtureLaw.mean laws[k]))))
        |> Array.max

    holds 100 1e-9 (vertexMeans MultimarginalLaw.model)
    refutes 100 1e-9 (vertexMeans (fun laws alpha x -> MultimarginalLaw.model laws alpha x |> Array.rev))

[<Fact>]
let ``two laws and the edge: the linear interpolant's velocity`` () =
    let velocity (sign: float) (draw: Draw) =
        let two, x, t = (laws draw 2)[0..1], points draw 0 4 2, vector (innerTimes draw 4)
        let transport = Multimarginal.transportAlong (SimplexCurve.edge 2 0 1) (MultimarginalLaw.model two)
        let exact = PairLaw.field (Interpolant.linear Latent.none) (PairLaw.independent two[0] two[1]) Target.Velocity
        distance (transport.Apply t x) (Elementwise.times sign (exact.Apply t x))

    holds 60 1e-9 (velocity 1.0)
    refutes 60 1e-9 (velocity -1.0)

[<Fact>]
let ``independent normal laws: the formula by hand in one dimension`` () =
    let byHand (power: float) (draw: Draw) =
        let mean, variance = Array.init 3 (number draw), Array.init 3 (fun k -> positive draw (9 + k))
        let laws = Array.map2 (fun m v -> MixtureLaw.single (GaussianLaw.isotropic [| m |] (sqrt v))) mean variance
        let alpha, x = (weights draw 1)[0], number draw 30
        let total = Array.fold2 (fun sum a v -> sum + a ** power * v) 0.0 alpha variance
        let centre = Array.fold2 (fun sum a m -> sum + a * m) 0.0 alpha mean
        let g = MultimarginalLaw.model laws (table [| alpha |]) (table [| [| x |] |])

        Array.init 3 (fun k -> gap (Array.head (values g[k])) (mean[k] + alpha[k] * variance[k] / total * (x - centre)))
        |> Array.max

    holds 100 1e-10 (byHand 2.0)
    refutes 100 1e-10 (byHand 1.0)

let private curve (draw: Draw) : SimplexCurve =
    SimplexCurve.fourier 0 2 (Array.init 3 (fun k -> Array.init 3 (fun m -> 0.2 * number draw (160 + 3 * k + m))))

[<Fact>]
let ``curves stay in the simplex, end in vertices, and have their derivative`` () =
    let stays (bend: SimplexCurve -> SimplexCurve) (draw: Draw) =
        let curve, t = bend (curve draw), innerTime draw
        let alpha = curve.Value t
        let rates = curve.Derivative t
        let numerical = Array.init 3 (fun k -> Schedule.numericalDerivative (fun t -> (curve.Value t)[k]) t)

        List.max
            [
                Array.map2 gap rates numerical |> Array.max
                -(Array.min alpha)
                abs (Array.sum alpha - 1.0)
                abs (Array.sum rates)
                Array.map2 gap (curve.Value 0.0) [| 1.0; 0.0; 0.0 |] |> Array.max
                Array.map2 gap (curve.Value 1.0) [| 0.0; 0.0; 1.0 |] |> Array.max
            ]

    holds 200 1e-7 (stays id)
    holds 200 1e-7 (stays (SimplexCurve.reverse >> SimplexCurve.reverse))
    refutes 200 1e-7 (stays (fun curve -> { curve with Derivative = fun t -> (SimplexCurve.edge 3 0 2).Derivative t }))
    let edge, straight = SimplexCurve.edge 3 0 2, SimplexCurve.fourier 0 2 [| [| 0.0 |]; [| 0.0 |]; [| 0.0 |] |]
    Assert.Equal<float[]>(edge.Value 0.3, straight.Value 0.3)

// E exp(i w . x(alpha)) by characteristic functions; its change along the curve is carried by the field.
[<Fact>]
let ``any curve carries law to law: continuity in weak form`` () =
    let continuity (factor: float) (draw: Draw) =
        let line = [| for k in -300 .. 300 -> [| 0.05 * float k |] |]
        let laws = Array.init 3 (fun k -> mixture draw (3 + 60 * k) 1 2)
        let curve, t, w = curve draw, 0.05 + 0.9 * time draw, 0.3 + abs (number draw 99)

        let wave t =
            let alpha = curve.Value t

            (Numerics.Complex.One, [ 0; 1; 2 ])
            ||> List.fold (fun product k ->
                let u = alpha[k] * w
                let parts = Array.zip laws[k].Weights laws[k].Components

                product
                * (parts
                   |> Array.fold
                       (fun sum (share, part) ->
                           sum
                           + Numerics.Complex.FromPolarCoordinates(share * exp (-0.5 * u * u * part.Covariance[0, 0]), u * part.Mean[0]))
                       Numerics.Complex.Zero))
            |> _.Real

        let x = table line
        let density = values (MixtureLaw.logDensity (MultimarginalLaw.marginal laws (curve.Value t)) x) |> Array.map exp
        let b = values ((Multimarginal.transportAlong curve (MultimarginalLaw.model laws)).Apply (scalar t) x)
        let claimed = 0.05 * Seq.sum (Seq.init line.Length (fun r -> -w * sin (w * line[r][0]) * density[r] * factor * b[r]))
        gap claimed (Schedule.numericalDerivative wave t)

    holds 60 1e-7 (continuity 1.0)
    refutes 60 1e-7 (continuity 0.9)

// int E|dX/dt|^2 along a curve between one-dimensional normal laws, exact: the field is linear.
let private cost (laws: MixtureLaw[]) (curve: SimplexCurve) : float =
    let rule = MathNet.Numerics.Integration.GaussLegendreRule(0.0, 1.0, 30)

    Array.fold2
        (fun total t w ->
            let law = MultimarginalLaw.marginal laws (curve.Value t)
            let mean, sd = Array.head (MixtureLaw.mean law), sqrt (MixtureLaw.covariance law).[0, 0]
            let x = table (LossTests.nodes |> Array.map (fun (a, _) -> [| mean + sd * a |]))
            let b = values ((Multimarginal.transportAlong curve (MultimarginalLaw.model laws)).Apply (scalar t) x)
            total + w * Array.fold2 (fun sum (_, share) v -> sum + share * v * v) 0.0 LossTests.nodes b)
        0.0
        rule.Abscissas
        rule.Weights

[<Fact>]
let ``no curve is cheaper than the squared Wasserstein distance, and the best of a family no dearer than its edge`` () =
    let bounds (factor: float) (draw: Draw) =
        let mean, sd = Array.init 3 (number draw), Array.init 3 (fun k -> positive draw (9 + k))
        let laws = Array.map2 (fun m s -> MixtureLaw.single (GaussianLaw.isotropic [| m |] s)) mean sd
        let wasserstein = (mean[2] - mean[0]) ** 2.0 + (sd[2] - sd[0]) ** 2.0

        let family =
            [
                for a in [ 0.0; 0.2; 0.5 ] do
                    for b in [ -0.3; 0.0; 0.3 ] -> SimplexCurve.fourier 0 2 [| [| 0.0; 0.0 |]; [| a; 0.0 |]; [| 0.0; b |] |]
            ]

        let costs = family |> List.map (cost laws)
        let edge = cost laws (SimplexCurve.edge 3 0 2)
        List.max [ factor * wasserstein - List.min costs; factor * wasserstein - edge; List.min costs - edge ]

    holds 6 1e-9 (bounds 1.0)
    refutes 6 1e-9 (bounds 2.0)

[<Fact>]
let ``eight modes and a rotated copy: a curve through the third law is cheaper than the edge`` () =
    Lifetime.within (fun () ->
        let modes turn =
            MixtureLaw.around
                (Array.init 8 (fun k -> let a = Math.PI * float k / 4.0 + turn in [| 2.0 * cos a; 2.0 * sin a |]))
                (sqrt 0.02)

        let laws = [| modes 0.0; modes (Math.PI / 8.0); modes (Math.PI / 16.0) |]

        let bent =
            let p t = t - 0.05 * sin (2.0 * Math.PI * t)
            let dp t = 1.0 - 0.1 * Math.PI * cos (2.0 * Math.PI * t)
            let a t = 0.1 * Double.SinPi t
            let da t = 0.1 * Math.PI * Double.CosPi t

            SimplexCurve.create 3 (fun t -> [| (1.0 - p t) * (1.0 - a t); p t * (1.0 - a t); a t |]) (fun t ->
                [| -(dp t) * (1.0 - a t) - (1.0 - p t) * da t; dp t * (1.0 - a t) - p t * da t; da t |])

        let cost (curve: SimplexCurve) =
            let count = 24

            Seq.init count (fun n -> (float n + 0.5) / float count)
            |> Seq.averageBy (fun t ->
                Lifetime.within (fun () ->
                    let x = MixtureLaw.sample (Generator 17) (MultimarginalLaw.marginal laws (curve.Value t)) 400

                    ((Multimarginal.transportAlong curve (MultimarginalLaw.model laws)).Apply (scalar t) x)
                        .Squared()
                        .sum(1L)
                        .mean()
                        .item<float>()))

        let edge, curved = cost (SimplexCurve.edge 3 0 1), cost bent
        Assert.True(curved < 0.95 * edge, $"edge {edge}, curve {curved}"))

[<Fact>]
let ``the loss's minimiser are the conditional means, and its gap is the squared distance`` () =
    let gapIdentity (factor: float) (draw: Draw) =
        let mean, sd = Array.init 3 (number draw), Array.init 3 (fun k -> positive draw (9 + k))
        let laws = Array.map2 (fun m s -> MixtureLaw.single (GaussianLaw.isotropic [| m |] s)) mean sd

        let rows =
            [|
                for a, wa in LossTests.nodes do
                    for b, wb in LossTests.nodes do
                        for c, wc in LossTests.nodes -> [| a; b; c |], wa * wb * wc
            |]

        let samples = Array.init 3 (fun k -> table (rows |> Array.map (fun (row, _) -> [| mean[k] + sd[k] * row[k] |])))
        let shares = vector (Array.map snd rows)
        let weights = (weights draw 1)[0]
        let alpha = table (Array.create rows.Length weights)
        let exact = MultimarginalLaw.model laws
        let u, v = number draw 80, number draw 81
        let other alpha (x: torch.Tensor) = exact alpha x |> Array.map (fun g -> g.Plus(Elementwise.plus v (Elementwise.times u x)))
        let value model = (Multimarginal.loss model (ValueSome shares) alpha samples).item<float>()
        let law = MultimarginalLaw.marginal laws weights
        let m, c = (MixtureLaw.mean law)[0], (MixtureLaw.covariance law)[0, 0]
        gap (value other - value exact) (factor * 3.0 * (u * u * (c + m * m) + 2.0 * u * v * m + v * v))

    holds 60 1e-9 (gapIdentity 1.0)
    refutes 60 1e-9 (gapIdentity 0.5)

[<Fact>]
let ``with a Gaussian law among them the score follows from its conditional mean`` () =
    let scores (number: int) (draw: Draw) =
        let laws = laws draw 2
        laws[1] <- MixtureLaw.single (GaussianLaw.standard 2)
        let weights, x = (weights draw 1)[0], points draw 0 4 2
        let found = Multimarginal.score number (MultimarginalLaw.model laws) (table (Array.create 4 weights)) x
        distance found (MixtureLaw.score (MultimarginalLaw.marginal laws weights) x)

    holds 60 1e-9 (scores 1)
    refutes 60 1e-9 (scores 0)

[<Fact>]
let ``slips are named, all is pure and leaves no tensor behind`` () =
    use scope = torch.NewDisposeScope()
    let draw = { Choice = 0; Moment = 3; Numbers = [ 14; 3; 66 ] }
    let laws, x, alpha = laws draw 2, points draw 0 4 2, table (weights draw 4)
    let model = MultimarginalLaw.model laws
    isPure 3L [ x; alpha ] (fun () -> model alpha x |> List.ofArray)
    let t = scalar 0.4
    isPure 1L [ t; x ] (fun () -> [ (Multimarginal.transportAlong (curve draw) model).Apply t x ])
    isPure 1L [ x; alpha ] (fun () -> [ Multimarginal.point alpha [| x; x; x |] ])
    isPure 1L [ x; alpha ] (fun () -> [ Multimarginal.loss model ValueNone alpha [| x; x; x |] ])
    Assert.True(distance (Multimarginal.point alpha [| x; x; x |]) x < 1e-14)
    Assert.True(values ((Multimarginal.draw (Generator 1) 3 50).sum 1L) |> Array.forall (fun s -> abs (s - 1.0) < 1e-12))
    Assert.Contains("alpha", refusal (fun () -> Multimarginal.point (x.narrow (0L, 0L, 2L)) [| x; x |] |> ignore))
    Assert.Contains("samples[1]", refusal (fun () -> Multimarginal.point alpha [| x; alpha; x |] |> ignore))
    Assert.Contains("model", refusal (fun () -> Multimarginal.loss (fun _ x -> [| x |]) ValueNone alpha [| x; x; x |] |> ignore))
    Assert.Contains("simplex", refusal (fun () -> SimplexCurve.create 2 (fun t -> [| t; t |]) (fun _ -> [| 1.0; 1.0 |]) |> ignore))

    Assert.Contains(
        "[0, 1]",
        refusal (fun () -> (Multimarginal.transportAlong (SimplexCurve.edge 3 0 1) model).Apply (scalar 1.5) x |> ignore)
    )

    let zero = table (Array.create 4 [| 0.5; 0.0; 0.5 |])
    Assert.Contains("row 0", refusal (fun () -> Multimarginal.score 1 model zero x |> ignore))

/// Derivatives agree with their numerical twins and with one another; for each law, a derivative that it refutes.
module ValueFlow.Tests.Foundations.DiffTests

open Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Tests.Foundations.DiffSketch

let private epsilon = 1e-4
// Truncation of order 1e-8 times third derivatives, rounding of order 1e-12 (1e-8 in second derivatives).
let private nearly = agree 2e-5

let private both (a: Finding) (b: Finding) = Option.orElse b a
let private first (struct (a: torch.Tensor, _: torch.Tensor)) = a
let private second (struct (_: torch.Tensor, b: torch.Tensor)) = b

let private oneNumber (sketch: Sketch) = torch.tensor (sketch.Point.Head, dtype = torch.float64)

// f along a line, as a function of one number.
let private line (sketch: Sketch) (t: torch.Tensor) : torch.Tensor = parts 2 sketch (t.reshape 1L)

let private twin (numerical: (torch.Tensor -> torch.Tensor) -> torch.Tensor -> torch.Tensor) exact f x : Finding =
    nearly (numbers (numerical f x)) (numbers (exact f x))

[<Fact>]
let ``diff, diff2 and diffn agree with differences`` () =
    let law diff diff2 : Law =
        fun sketch _ _ ->
            let t = oneNumber sketch

            both (twin (Diff.Numerical.numdiff epsilon) diff (line sketch) t) (twin (Diff.Numerical.numdiff2 epsilon) diff2 (line sketch) t)

    holds (law Diff.diff Diff.diff2)
    holds (law (Diff.diffn 1) (Diff.diffn 2))
    refutes (law Diff.diff2 Diff.diff2)
    refutes (law Diff.diff Diff.diff)

[<Fact>]
let ``the gradient agrees with differences`` () =
    let law grad : Law = fun sketch x _ -> twin (Diff.Numerical.numgrad epsilon) grad (scalar sketch) x
    holds (law Diff.grad)
    refutes (law (fun f x -> Elementwise.times 0.999 (Diff.grad f x)))
    // The value seen twice: the gradient of f^2 is no gradient of f.
    refutes (law (fun f x -> Diff.grad (fun y -> (f y).Squared()) x))

[<Fact>]
let ``jacobians agree with differences, wide and tall`` () =
    let law jacobian : Law =
        fun sketch x _ ->
            [ 1; 3; 9 ]
            |> List.tryPick (fun rows -> twin (Diff.Numerical.numjacobian epsilon) jacobian (parts rows sketch) x)

    holds (law Diff.jacobian)
    refutes (law (fun f x -> (Diff.jacobian f x).flip 0L))

[<Fact>]
let ``the Hessian and the Laplacian agree with differences`` () =
    let law hessian laplacian : Law =
        fun sketch x _ ->
            both
                (twin (Diff.Numerical.numhessian epsilon) hessian (scalar sketch) x)
                (twin (Diff.Numerical.numlaplacian epsilon) laplacian (scalar sketch) x)

    holds (law Diff.hessian Diff.laplacian)
    refutes (law Diff.hessian (fun f x -> (Diff.hessian f x).sum()))
    refutes (law (fun f x -> (Diff.hessian f x).triu()) Diff.laplacian)

[<Fact>]
let ``products with a direction agree with differences`` () =
    let law gradv jacobianv hessianv jacobianTv : Law =
        fun sketch x v ->
            let along exact numerical f = nearly (numbers (numerical f x v)) (numbers (exact f x v))

            [
                along gradv (Diff.Numerical.numgradv epsilon) (scalar sketch)
                along jacobianv (Diff.Numerical.numjacobianv epsilon) (parts 3 sketch)
                along hessianv (Diff.Numerical.numhessianv epsilon) (scalar sketch)
                along jacobianTv (Diff.Numerical.numjacobianTv epsilon) (square sketch)
            ]
            |> List.tryPick id

    holds (law Diff.gradv Diff.jacobianv Diff.hessianv Diff.jacobianTv)
    refutes (law (fun f x v -> (Diff.gradv f x v).abs()) Diff.jacobianv Diff.hessianv Diff.jacobianTv)
    refutes (law Diff.gradv Diff.jacobianv Diff.hessianv Diff.jacobianv)

[<Fact>]
let ``J v is the Jacobian times v, and J^T v its transpose times v`` () =
    let law jacobianv jacobianTv : Law =
        fun sketch x v ->
            let f = square sketch
            let matrix = Diff.jacobian f x

            both
                (exactly (numbers (torch.mv (matrix, v))) (numbers (jacobianv f x v)))
                (exactly (numbers (torch.mv (matrix.t (), v))) (numbers (jacobianTv f x v)))

    holds (law Diff.jacobianv Diff.jacobianTv)
    refutes (law Diff.jacobianTv Diff.jacobianTv)
    refutes (law Diff.jacobianv Diff.jacobianv)

[<Fact>]
let ``the Hessian is symmetric, and its products and trace are its own`` () =
    let law hessian : Law =
        fun sketch x v ->
            let f = scalar sketch
            let matrix: torch.Tensor = hessian f x

            [
                exactly (numbers (matrix.t ())) (numbers matrix)
                exactly (numbers (torch.mv (matrix, v))) (numbers (Diff.hessianv f x v))
                exactly (numbers (matrix.trace ())) (numbers (Diff.laplacian f x))
                exactly (numbers (Diff.jacobian (Diff.grad f) x)) (numbers matrix)
            ]
            |> List.tryPick id

    holds (law Diff.hessian)
    refutes (law (fun f x -> (Diff.hessian f x).tril()))
    refutes (law (fun f x -> Elementwise.times 1.001 (Diff.hessian f x)))

[<Fact>]
let ``divergence and curl are those of the Jacobian`` () =
    let law divergence curl : Law =
        fun sketch x _ ->
            let f = square sketch
            let m = numbers (Diff.jacobian f x)
            let d i j = m[3 * i + j]

            both
                (exactly [| d 0 0 + d 1 1 + d 2 2 |] (numbers (divergence f x)))
                (exactly [| d 2 1 - d 1 2; d 0 2 - d 2 0; d 1 0 - d 0 1 |] (numbers (curl f x)))

    holdsInSpace (law Diff.divergence Diff.curl)
    refutesInSpace (law (fun f x -> (Diff.jacobian f x).sum()) Diff.curl)
    refutesInSpace (law Diff.divergence (fun f x -> (Diff.curl f x).neg()))

    holdsInSpace (fun sketch x _ ->
        let f = square sketch
        let struct (curl, divergence) = Diff.curldivergence f x
        let struct (nearCurl, nearDivergence) = Diff.Numerical.numcurldivergence epsilon f x

        [
            nearly (numbers nearCurl) (numbers curl)
            nearly (numbers nearDivergence) (numbers divergence)
            nearly (numbers nearCurl) (numbers (Diff.Numerical.numcurl epsilon f x))
            nearly (numbers nearDivergence) (numbers (Diff.Numerical.numdivergence epsilon f x))
        ]
        |> List.tryPick id)

[<Fact>]
let ``the divergence of a curl and the curl of a gradient are zero`` () =
    let law outer : Law =
        fun sketch x _ ->
            both
                (exactly [| 0.0 |] (numbers (outer (Diff.curl (square sketch)) x)))
                (exactly (Array.zeroCreate 3) (numbers (Diff.curl (Diff.grad (scalar sketch)) x)))

    holdsInSpace (law Diff.divergence)
    refutesInSpace (law (fun f x -> (Diff.jacobian f x).select(0L, 0L).sum()))

[<Fact>]
let ``the chain rule and linearity hold`` () =
    let chain jacobian : Law =
        fun sketch x _ ->
            let inner, outer = square sketch, (fun (y: torch.Tensor) -> parts 3 sketch (y.sin ()))
            let expected = torch.mm (jacobian outer (inner x), jacobian inner x)
            exactly (numbers expected) (numbers (Diff.jacobian (inner >> outer) x))

    holds (chain Diff.jacobian)
    refutes (chain (fun f x -> Elementwise.times 0.5 (Diff.jacobian f x)))

    let linear grad : Law =
        fun sketch x _ ->
            let f, g = scalar sketch, (fun y -> evaluate y (List.last sketch.Parts))
            let mixed (y: torch.Tensor) = (Elementwise.times 2.0 (f y)).sub(Elementwise.times 3.0 (g y))
            let expected = (Elementwise.times 2.0 (grad f x)).sub(Elementwise.times 3.0 (grad g x))
            exactly (numbers expected) (numbers (grad mixed x))

    holds (linear Diff.grad)
    refutes (linear (fun f x -> (Diff.grad f x).abs()))

[<Fact>]
let ``nested derivatives are those of higher order`` () =
    let law nested : Law =
        fun sketch _ _ ->
            let t = oneNumber sketch
            let f = line sketch
            let all = Diff.ffdiffn 4 f t

            [
                exactly (numbers (Diff.diffn 4 f t)) (numbers (Diff.diff (Diff.diff (Diff.diff (Diff.diff f))) t))
                exactly (numbers all[3]) (numbers (nested f t))
                exactly (numbers all[2]) (numbers (Diff.diff2 f t))
                exactly (numbers all[0]) (numbers (f t))
            ]
            |> List.tryPick id

    holds (law (Diff.diff >> Diff.diff >> Diff.diff))
    // A leaf of its own cuts the outer derivative.
    refutes (law (fun f t -> Diff.diff (Diff.diff2 (fun s -> f (s.detach ()))) t))

    // An inner derivative at a point that has nothing to do with the outer one: d/dx (x d/dy (x + y)) = 1, where a confusion of the two gives 2.
    let confusion (x: torch.Tensor) : torch.Tensor =
        let y = torch.ones ([||], dtype = torch.float64)
        x.mul (Diff.diff (fun y -> x.add y) y)

    Lifetime.within (fun () ->
        let x = torch.ones ([||], dtype = torch.float64)
        Assert.Equal(1.0, (Diff.diff confusion x).item<float>())
        // The inner derivative depends on x through the closure alone: d/dx d/dy (x^2 y^2) at (3, 1) = 4 x y.
        let through (x: torch.Tensor) = Diff.diff (fun y -> x.Squared().mul(y.Squared())) (torch.ones ([||], dtype = torch.float64))
        Assert.Equal(12.0, (Diff.diff through (Elementwise.times 3.0 x)).item<float>(), 12))

[<Fact>]
let ``inside no_grad everything is the same`` () =
    let law grad : Law =
        fun sketch x v ->
            let f, g = scalar sketch, square sketch

            let answers () =
                [
                    grad f x
                    Diff.jacobian g x
                    Diff.jacobianv g x v
                    Diff.hessian f x
                    Diff.divergence g x
                    Diff.grad (fun y -> Diff.laplacian f y) x
                ]
                |> List.map numbers
                |> Array.concat

            let outside = answers ()
            use _still = torch.no_grad ()
            exactly outside (answers ())

    holds (law Diff.grad)

    // A gradient that forgets to record: outside right, inside zero.
    let naive (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        let y = (x.detach ()).requires_grad_ true
        let value = f y
        if value.requires_grad then Diff.grad f y else torch.zeros_like y

    refutes (law naive)

[<Fact>]
let ``f-forms return f x and the same answer`` () =
    let law fgrad : Law =
        fun sketch x v ->
            let f, g, t = scalar sketch, square sketch, oneNumber sketch

            let pair value answer forms =
                both (exactly (numbers value) (numbers (first forms))) (exactly (numbers answer) (numbers (second forms)))

            let struct (value, gradient, matrix) = Diff.fgradhessian f x
            let struct (_, _, product) = Diff.fgradhessianv f x v
            let forward = Diff.evalForwardDiffs f x [ v; v ]
            let struct (primal, pullback) = Diff.evalReverseDiff g x

            [
                pair (f x) (Diff.grad f x) (fgrad f x)
                pair (f x) (Diff.gradv f x v) (Diff.fgradv f x v)
                pair (f x) (Diff.hessian f x) (Diff.fhessian f x)
                pair (f x) (Diff.hessianv f x v) (Diff.fhessianv f x v)
                pair (f x) (Diff.laplacian f x) (Diff.flaplacian f x)
                pair (g x) (Diff.jacobian g x) (Diff.fjacobian g x)
                pair (g x) (Diff.jacobianv g x v) (Diff.fjacobianv g x v)
                pair (g x) (Diff.jacobianTv g x v) (Diff.fjacobianTv g x v)
                pair (g x) (Diff.jacobianv g x v) (Diff.evalForwardDiff g x v)
                pair (g x) (Diff.divergence g x) (Diff.fdivergence g x)
                pair (line sketch t) (Diff.diff (line sketch) t) (Diff.fdiff (line sketch) t)
                pair (line sketch t) (Diff.diff2 (line sketch) t) (Diff.fdiff2 (line sketch) t)
                pair (line sketch t) (Diff.diffn 3 (line sketch) t) (Diff.fdiffn 3 (line sketch) t)
                pair (Diff.grad f x) (Diff.hessian f x) (Diff.gradhessian f x)
                pair (Diff.grad f x) (Diff.hessianv f x v) (Diff.gradhessianv f x v)
                exactly (numbers (f x)) (numbers value)
                exactly (numbers (Diff.grad f x)) (numbers gradient)
                exactly (numbers (Diff.hessian f x)) (numbers matrix)
                exactly (numbers (Diff.hessianv f x v)) (numbers product)
                exactly (numbers (Diff.gradv f x v)) (numbers forward[1])
                exactly (numbers ((Diff.hessianv f x v).mul(v).sum())) (numbers forward[2])
                exactly (numbers (g x)) (numbers primal)
                exactly (numbers (Diff.jacobianTv g x v)) (numbers (pullback v))
                exactly (numbers (Diff.jacobianTv g x x)) (numbers (pullback x))
            ]
            |> List.tryPick id

    holds (law Diff.fgrad)
    refutes (law (fun f x -> let struct (value, gradient) = Diff.fgrad f x in struct (value.Squared(), gradient)))

[<Fact>]
let ``short names and numerical f-forms say the same`` () =
    holds (fun sketch x v ->
        let f, g = scalar sketch, square sketch
        let struct (value, gradient, matrix) = Diff.Numerical.fnumgradhessian epsilon f x
        let struct (short, shortMatrix) = Shorten.gh f x
        let struct (_, shortProduct) = Shorten.ghvp f x v
        let struct (_, nearProduct) = Diff.Numerical.numgradhessianv epsilon f x v

        [
            exactly (numbers (f x)) (numbers value)
            nearly (numbers gradient) (numbers short)
            nearly (numbers matrix) (numbers shortMatrix)
            nearly (numbers nearProduct) (numbers shortProduct)
            exactly (numbers (Diff.grad f x)) (numbers (Shorten.g f x))
            exactly (numbers (Diff.gradv f x v)) (numbers (Shorten.gvp f x v))
            exactly (numbers (Diff.hessian f x)) (numbers (second (Shorten.fh f x)))
            exactly (numbers (Diff.hessianv f x v)) (numbers (Shorten.hvp f x v))
            exactly (numbers (Diff.jacobian g x)) (numbers (Shorten.j g x))
            exactly (numbers (Diff.jacobianv g x v)) (numbers (second (Shorten.fjvp g x v)))
            exactly (numbers (Diff.jacobianTv g x v)) (numbers (Shorten.vjp g x v))
            exactly (numbers (g x)) (numbers (first (Diff.Numerical.fnumjacobian epsilon g x)))
        ]
        |> List.tryPick id)

[<Fact>]
let ``a pullback of several values is the sum of the pullbacks of each, for points and parameters`` () =
    let law
        (pullback:
            (torch.Tensor[] -> torch.Tensor[])
                -> torch.Tensor[]
                -> torch.Tensor[]
                -> torch.Tensor[]
                -> struct (torch.Tensor[] * torch.Tensor[] * torch.Tensor[]))
        : Law =
        fun sketch x v ->
            let f, g = scalar sketch, square sketch
            let theta = (oneNumber sketch).requires_grad_ true
            let weight = torch.tensor (0.7, dtype = torch.float64)
            let y = x.flip 0L
            // g x + y, and theta f x: two points, two values, one parameter.
            let values (xs: torch.Tensor[]) : torch.Tensor[] = [| (g xs[0]).Plus xs[1]; (f xs[0]).mul theta |]
            let struct (found, onPoints, onParameters) = pullback values [| theta |] [| x; y |] [| v; weight |]
            let direct = values [| x; y |]
            let onX = (Diff.vjp g x v).Plus(Diff.vjp (fun x -> (f x).mul theta) x weight)

            [
                agree 1e-12 (numbers direct[0]) (numbers found[0])
                agree 1e-12 (numbers direct[1]) (numbers found[1])
                agree 1e-12 (numbers onX) (numbers onPoints[0])
                agree 1e-12 (numbers v) (numbers onPoints[1])
                agree 1e-12 (numbers (weight.mul (f x))) (numbers onParameters[0])
            ]
            |> List.tryPick id

    holds (law Diff.pullback)
    // The second value forgotten; the points in the wrong order.
    refutes (law (fun f parameters xs vs -> Diff.pullback f parameters xs [| vs[0]; torch.zeros_like vs[1] |]))

    refutes (
        law (fun f parameters xs vs ->
            let struct (values, onPoints, onParameters) = Diff.pullback f parameters xs vs
            struct (values, Array.rev onPoints, onParameters))
    )

/// Mistakes that would end the process inside libtorch end in an exception, or in zero; and nothing leaks.
module ValueFlow.Tests.Foundations.DiffGuardTests

open System
open Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Tests.Foundations.DiffSketch

let private zeros (expected: int) (found: torch.Tensor) = Assert.Equal<float[]>(Array.zeroCreate expected, numbers found)

let private slip (name: string) (work: unit -> torch.Tensor) =
    let error = Assert.ThrowsAny<ArgumentException>(fun () -> work () |> ignore)
    Assert.Equal(name, error.ParamName)

[<Fact>]
let ``a constant function and an unused argument have derivative zero`` () =
    Lifetime.within (fun () ->
        let x, v = vector [ 1.0; 2.0; 3.0 ], vector [ 1.0; 1.0; 1.0 ]
        let number, triple = torch.tensor (4.0, dtype = torch.float64), vector [ 4.0; 5.0; 6.0 ]
        let needy = (number.clone ()).requires_grad_ true
        let needyTriple = (triple.clone ()).requires_grad_ true

        for constant, constants in [ number, triple; needy.sin (), needyTriple.sin () ] do
            let f, g = (fun (_: torch.Tensor) -> constant), (fun (_: torch.Tensor) -> constants)
            zeros 3 (Diff.grad f x)
            zeros 1 (Diff.gradv f x v)
            zeros 9 (Diff.hessian f x)
            zeros 3 (Diff.hessianv f x v)
            zeros 1 (Diff.laplacian f x)
            zeros 9 (Diff.jacobian g x)
            zeros 3 (Diff.jacobianv g x v)
            zeros 3 (Diff.jacobianTv g x v)
            zeros 1 (Diff.divergence g x)
            zeros 3 (Diff.curl g x)
            zeros 1 (Diff.diff f number)
            zeros 3 (Diff.diffn 3 g number)
            zeros 3 (Diff.grad (fun y -> Diff.laplacian f y) x)
            zeros 2 (Diff.Batch.divergence (fun y -> torch.ones_like y) (torch.ones ([| 2L; 3L |], dtype = torch.float64)))

        // Linear: the second derivative does not depend on x.
        zeros 9 (Diff.hessian (fun y -> y.sum ()) x)
        Assert.Equal<float[]>([| 1.0; 1.0; 1.0 |], numbers (Diff.grad (fun y -> y.sum ()) x))
        // The identity, whose value is the point itself.
        Assert.Equal<float[]>([| 3.0 |], numbers (Diff.divergence id x)))

[<Fact>]
let ``wrong shapes and types are named`` () =
    Lifetime.within (fun () ->
        let x, short = vector [ 1.0; 2.0; 3.0 ], vector [ 1.0; 2.0 ]
        let single = x.``to`` torch.float32
        let batch = torch.ones ([| 2L; 3L |], dtype = torch.float64)
        let f, g = (fun (y: torch.Tensor) -> y.Squared().sum()), (fun (y: torch.Tensor) -> y.sin ())
        slip "f" (fun () -> Diff.grad g x)
        slip "f" (fun () -> Diff.hessian g x)
        slip "f" (fun () -> Diff.laplacian g x)
        slip "f" (fun () -> Diff.jacobian f x)
        slip "f" (fun () -> Diff.divergence (fun _ -> short) x)
        slip "f" (fun () -> Diff.curl (fun _ -> short) x)
        slip "f" (fun () -> Diff.grad (fun _ -> torch.ones ([||], dtype = torch.int64)) x)
        slip "f" (fun () -> Diff.Numerical.numgrad 1e-4 g x)
        slip "f" (fun () -> Diff.Batch.divergence (fun y -> y.sum 1L) batch)
        slip "f" (fun () -> Diff.Batch.gradient g batch)
        slip "f" (fun () -> Diff.Batch.jvp f batch batch)
        slip "x" (fun () -> Diff.diff g x)
        slip "x" (fun () -> Diff.curl g short)
        slip "x" (fun () -> Diff.hessian f batch)
        slip "x" (fun () -> Diff.Batch.divergence g x)
        slip "x" (fun () -> Diff.grad f (torch.ones ([| 3L |], dtype = torch.int64)))
        slip "v" (fun () -> Diff.gradv f x short)
        slip "v" (fun () -> Diff.jacobianv g x short)
        slip "v" (fun () -> Diff.jacobianTv g x short)
        slip "v" (fun () -> Diff.hessianv f x short)
        slip "v" (fun () -> Diff.jacobianTv g x single)
        slip "v" (fun () -> Diff.Numerical.numgradv 1e-4 f x short)
        slip "vs" (fun () -> Diff.evalForwardDiffs g x [ x; short ] |> List.head)
        slip "n" (fun () -> Diff.diffn -1 g x)
        slip "epsilon" (fun () -> Diff.Numerical.numgrad 0.0 f x)
        slip "epsilon" (fun () -> Diff.Numerical.numgrad nan f x)
        slip "probes" (fun () -> Hutchinson.divergenceAlong x g x)
        slip "count" (fun () -> Hutchinson.divergence (Generator 1) Probe.Normal 0 g x)
        let struct (_, pullback) = Diff.evalReverseDiff g x
        slip "v" (fun () -> pullback short))

[<Fact>]
let ``what libtorch cannot differentiate is an exception that says why`` () =
    Lifetime.within (fun () ->
        let x = vector [ 1.0; 2.0; 3.0; 4.0 ]
        let refused (work: unit -> torch.Tensor) = Assert.Throws<InvalidOperationException>(fun () -> work () |> ignore).Message

        // A number that the reverse pass needs was overwritten.
        let overwriting (y: torch.Tensor) =
            let e = y.exp ()
            let value = e.mul(e).sum()
            e.Accumulate(torch.ones_like e)
            value

        Assert.Contains("inplace", refused (fun () -> Diff.grad overwriting x))
        // A function without second derivatives.
        let distances (y: torch.Tensor) = let p = y.reshape (2L, 2L) in torch.cdist(p, p, 3.0).sum()
        Assert.Contains("not implemented", refused (fun () -> Diff.hessian distances x))
        // Inference mode records nothing.
        use _frozen = torch.inference_mode ()
        Assert.Contains("inference", refused (fun () -> Diff.grad (fun y -> y.sum ()) x)))

[<Fact>]
let ``an exception in f goes to the caller, and frees everything`` () =
    use x = vector [ 1.0; 2.0 ]

    let born =
        Lifetime.born (fun () ->
            Assert.Throws<TimeoutException>(fun () ->
                Diff.grad
                    (fun y ->
                        y.sin () |> ignore
                        raise (TimeoutException()))
                    x
                |> ignore)
            |> ignore)

    Assert.Equal(0L, born)
    Assert.True(torch.is_grad_enabled ())

// Live tensors after every derivative: its answers and nothing else.
let private leaks (f: (torch.Tensor -> torch.Tensor) -> torch.Tensor -> torch.Tensor) : Law =
    fun sketch x _ ->
        // The functions themselves leave their parts to the scope around them.
        let born = Lifetime.born (fun () -> f (scalar sketch) x |> ignore)
        if born = 1L then None else Some $"{born} tensors are left"

[<Fact>]
let ``every form leaves its answers and nothing else`` () =
    let vectorLaw (form: (torch.Tensor -> torch.Tensor) -> torch.Tensor -> torch.Tensor) : Law =
        fun sketch x _ ->
            let born = Lifetime.born (fun () -> form (square sketch) x |> ignore)
            if born = 1L then None else Some $"{born} tensors are left"

    for form in
        [
            Diff.grad
            Diff.hessian
            Diff.laplacian
            (fun f x -> Diff.gradv f x x)
            (fun f x -> Diff.hessianv f x x)
            Hutchinson.laplacian (Generator 1) Probe.Rademacher 3
            Diff.Numerical.numgrad 1e-4
            Diff.Numerical.numhessian 1e-4
            (fun f -> Diff.grad (Diff.laplacian f))
        ] do
        holds (leaks form)

    for form in
        [
            Diff.jacobian
            Diff.divergence
            (fun f x -> Diff.jacobianv f x x)
            (fun f x -> Diff.jacobianTv f x x)
            Hutchinson.divergence (Generator 1) Probe.Normal 3
            (fun f a ->
                Lifetime.keep (fun () ->
                    let needy = ((a.detach ()).clone()).requires_grad_ true
                    Diff.fixedPoint 1e-3 100 (fun a z -> Elementwise.times 0.1 ((f a).Plus(z: torch.Tensor))) a needy))
        ] do
        holds (vectorLaw form)

    refutes (leaks (fun f x -> let struct (_, gradient) = Diff.fgrad f x in gradient))
    refutes (leaks (fun f x -> let y = x.clone () in Diff.grad f y))

[<Fact>]
let ``what a pull-back remembers lives as long as the scope around it`` () =
    use x = vector [ 1.0; 2.0 ]

    let born =
        Lifetime.born (fun () ->
            use _scope = torch.NewDisposeScope()
            let inside = Lifetime.live ()
            let struct (_, pullback) = Diff.evalReverseDiff (fun y -> y.Squared()) x
            // f x, and the two ends of the tape.
            Assert.Equal(inside + 3L, Lifetime.live ())
            use _still = torch.no_grad ()
            Assert.Equal<float[]>([| 2.0; 4.0 |], numbers (pullback (torch.ones_like x)))
            Assert.Equal<float[]>([| 2.0; 8.0 |], numbers (pullback x)))

    Assert.Equal(0L, born)

[<Fact>]
let ``networks' float32 stays float32`` () =
    Lifetime.within (fun () ->
        let x = (vector [ 1.0; 2.0; 3.0 ]).``to`` torch.float32
        let f (y: torch.Tensor) = y.Squared().sum()

        for answer in
            [
                Diff.grad f x
                Diff.hessian f x
                Diff.laplacian f x
                Diff.jacobianv (fun y -> y.sin ()) x x
                Diff.Numerical.numgrad 1e-2 f x
            ] do
            Assert.Equal(torch.float32, answer.dtype))

[<Fact>]
let ``results are fresh: they share no memory with x, v or what f holds`` () =
    Lifetime.within (fun () ->
        let x, v = vector [ 1.0; 2.0 ], vector [ 3.0; 4.0 ]
        let struct (value, product) = Diff.fjacobianv id x v
        let transposed = Diff.jacobianTv id x v
        let struct (constant, _) = Diff.fjacobian (fun _ -> v) x

        for answer in [ value; product; transposed; constant ] do
            answer.zero_ () |> ignore

        Assert.Equal<float[]>([| 1.0; 2.0 |], numbers x)
        Assert.Equal<float[]>([| 3.0; 4.0 |], numbers v))

[<Fact>]
let ``a loop of gradient steps grows no graph`` () =
    let born =
        Lifetime.born (fun () ->
            let mutable x = vector [ 3.0; -2.0 ]

            for _ in 1..200 do
                let next = Lifetime.keep (fun () -> x.sub (Elementwise.times 0.1 (Diff.grad (fun y -> y.Squared().sum()) x)))
                Assert.False next.requires_grad
                x.Dispose()
                x <- next

            Assert.True(numbers x |> Array.forall (fun entry -> abs entry < 1e-9))
            x.Dispose())

    Assert.Equal(0L, born)

[<Fact>]
let ``composed operations read as a pipe, and check shapes first`` () =
    Lifetime.within (fun () ->
        let x, short = vector [ 0.1; 0.2; 0.3 ], vector [ 1.0 ]
        let f = Compose.sin >> Compose.times 2.0 >> Compose.sum
        Assert.Equal(None, exactly (Array.map (fun t -> 2.0 * cos t) [| 0.1; 0.2; 0.3 |]) (numbers (x |> Diff.grad f)))
        let g = Compose.side [ Compose.at 0 >> Compose.square; Compose.at 1 >> Compose.exp; Compose.mean ]
        Assert.Equal(None, exactly [| 0.2 + exp 0.2 + 1.0 / 3.0 |] (numbers (x |> Diff.divergence g)))
        slip "x" (fun () -> x |> Compose.dot short)
        slip "x" (fun () -> x |> Compose.add short)
        slip "x" (fun () -> short |> Compose.apply (torch.ones ([| 2L; 3L |], dtype = torch.float64)))
        slip "place" (fun () -> x |> Compose.at 3)
        slip "axis" (fun () -> x |> Compose.sumAlong 1)
        slip "shape" (fun () -> x |> Compose.reshape [ 2L; 2L ])
        slip "parts" (fun () -> x |> Compose.side []))

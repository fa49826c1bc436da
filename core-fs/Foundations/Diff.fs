namespace ValueFlow.Core.Foundations

open TorchSharp

/// Derivatives of functions of tensors, exact, in the words of DiffSharp (Baydin, Pearlmutter and Siskind 2016, "DiffSharp: an AD library for .NET languages").
///
/// f comes first, then x, then v. The prefix f returns f x as well, so that f is not evaluated twice; the suffix v multiplies by v without building the matrix; T is transposed.
/// Every function nests: f may take derivatives itself, to any depth. Results are fresh; they carry a graph only where an outer derivative can need it: while gradients are being
/// recorded, and if x or v requires a gradient or f holds something that does. Where neither x nor v does, f is evaluated once more to find that out; inside no_grad results are the same, and this is saved.
/// f must be pure, and floating-point. An f that does not depend on its argument has derivative zero. Wrong shapes are ArgumentExceptions before any native call; what libtorch
/// itself cannot differentiate is an InvalidOperationException.
[<RequireQualifiedAccess>]
module Diff =

    let private requireOrder (n: int) =
        if n < 0 then
            invalidArg (nameof n) $"the order must not be negative but is {n}"

    // ---- Primitives ------------------------------------------------------------------------------------------

    /// J v, by two reverse passes; v has the shape of x. f and x of any shape.
    let jvp (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) : torch.Tensor =
        Answer.only [ v ] 1 (Derivatives.push v) f x

    /// f x, J v.
    let fjvp (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        Answer.valueAnd [ v ] 1 (Derivatives.push v) f x

    /// J^T v, by one reverse pass; v has the shape of f x. f and x of any shape.
    let vjp (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) : torch.Tensor =
        Answer.only [ v ] 1 (Derivatives.pull v) f x

    /// f x, J^T v.
    let fvjp (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        Answer.valueAnd [ v ] 1 (Derivatives.pull v) f x

    /// f x, J v: <c>fjvp</c> under the name that DiffSharp gives it.
    let evalForwardDiff (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        fjvp f x v

    /// f x, then the derivatives along v1, along v1 and v2, ...: v1 . grad f, v2 . grad (v1 . grad f), and so on.
    let evalForwardDiffs (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (vs: torch.Tensor list) : torch.Tensor list =
        Answer.all vs (Derivatives.pushes vs) f x

    /// f x and the map v -> J^T v, which evaluates f no more. What the map remembers lives as long as the scope around this call.
    let evalReverseDiff (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * (torch.Tensor -> torch.Tensor)) =
        let tape = Tape.keep f x

        let pullback (v: torch.Tensor) : torch.Tensor =
            let attached = tape.Attached || (torch.is_grad_enabled () && v.requires_grad)
            use scope = torch.NewDisposeScope()
            use _recording = torch.enable_grad ()
            scope.MoveToOuter(Tape.fresh attached (List.last (Derivatives.pull v { tape with Attached = attached })))

        struct (Lifetime.keep (fun () -> Tape.fresh tape.Attached tape.Value), pullback)

    /// Throws an ArgumentException unless every parameter is a leaf that requires gradients.
    let requireParameters (parameters: torch.Tensor[]) : unit = Pullback.requireLeaves parameters

    /// ys = f xs; sum_i (dy_i/dx)^T v_i for each x; and the same for each parameter, a leaf that f holds. One reverse pass; f of several tensors to several, v_i of the shape of y_i.
    /// For who runs backwards through many steps: the answers carry no graph, whatever records around.
    let pullback f parameters xs vs : struct (torch.Tensor[] * torch.Tensor[] * torch.Tensor[]) = Pullback.along f parameters xs vs

    // ---- Along one number: x is 0-dimensional, f of any shape ------------------------------------------------

    /// f'(x), of the shape of f x.
    let diff (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : torch.Tensor = Answer.only [] 1 (Derivatives.orders 1) f x

    /// f x, f'(x).
    let fdiff (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        Answer.valueAnd [] 1 (Derivatives.orders 1) f x

    /// f''(x).
    let diff2 (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : torch.Tensor = Answer.only [] 2 (Derivatives.orders 2) f x

    /// f x, f''(x).
    let fdiff2 (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        Answer.valueAnd [] 2 (Derivatives.orders 2) f x

    /// The n-th derivative; f x itself for n = 0. Throws an ArgumentException if n is negative.
    let diffn (n: int) (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        requireOrder n
        Answer.only [] n (Derivatives.orders n) f x

    /// f x, the n-th derivative.
    let fdiffn (n: int) (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        requireOrder n
        Answer.valueAnd [] n (Derivatives.orders n) f x

    /// All derivatives of the orders 0 to n.
    let ffdiffn (n: int) (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : torch.Tensor list =
        requireOrder n
        Answer.all [] (Derivatives.orders n) f x

    // ---- Of scalar functions: f x is 0-dimensional -----------------------------------------------------------

    /// The gradient, of the shape of x.
    let grad (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : torch.Tensor = Answer.only [] 1 (Derivatives.gradient false) f x

    /// f x, grad f.
    let fgrad (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        Answer.valueAnd [] 1 (Derivatives.gradient false) f x

    /// The derivative along v, grad f . v; v has the shape of x.
    let gradv (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) : torch.Tensor =
        Answer.only [ v ] 1 (Derivatives.slopeAlong v) f x

    /// f x, grad f . v.
    let fgradv (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        Answer.valueAnd [ v ] 1 (Derivatives.slopeAlong v) f x

    /// The matrix of second derivatives (n, n) at a vector x.
    let hessian (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : torch.Tensor = Answer.only [] 2 Derivatives.hessian f x

    /// f x, H.
    let fhessian (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        Answer.valueAnd [] 2 Derivatives.hessian f x

    /// H v, without H; v has the shape of x.
    let hessianv (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) : torch.Tensor =
        Answer.only [ v ] 2 (Derivatives.hessianAlong v) f x

    /// f x, H v.
    let fhessianv (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        Answer.valueAnd [ v ] 2 (Derivatives.hessianAlong v) f x

    /// grad f, H, from one evaluation.
    let gradhessian (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        match Answer.all [] (Derivatives.hessian >> List.tail) f x with
        | [ gradient; matrix ] -> struct (gradient, matrix)
        | _ -> invalidOp "two answers are expected"

    /// f x, grad f, H.
    let fgradhessian (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor * torch.Tensor) =
        Answer.three (Answer.all [] Derivatives.hessian f x)

    /// grad f, H v, from one evaluation.
    let gradhessianv (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        match Answer.all [ v ] (Derivatives.hessianAlong v >> List.tail) f x with
        | [ gradient; product ] -> struct (gradient, product)
        | _ -> invalidOp "two answers are expected"

    /// f x, grad f, H v.
    let fgradhessianv
        (f: torch.Tensor -> torch.Tensor)
        (x: torch.Tensor)
        (v: torch.Tensor)
        : struct (torch.Tensor * torch.Tensor * torch.Tensor) =
        Answer.three (Answer.all [ v ] (Derivatives.hessianAlong v) f x)

    /// The trace of H, without H: n reverse passes over the gradient.
    let laplacian (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : torch.Tensor = Answer.only [] 1 Derivatives.laplacian f x

    /// f x, trace H.
    let flaplacian (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        Answer.valueAnd [] 1 Derivatives.laplacian f x

    // ---- Of vector functions: x and f x are vectors ----------------------------------------------------------

    /// The matrix (m, n) of df_i/dx_j, by rows, or by columns where that is cheaper.
    let jacobian (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : torch.Tensor = Answer.only [] 1 Derivatives.jacobian f x

    /// f x, J.
    let fjacobian (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        Answer.valueAnd [] 1 Derivatives.jacobian f x

    /// J v; v has the shape of x. <c>jvp</c>.
    let jacobianv (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) : torch.Tensor = jvp f x v

    /// f x, J v.
    let fjacobianv (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) : struct (torch.Tensor * torch.Tensor) = fjvp f x v

    /// J^T v; v has the shape of f x. <c>vjp</c>.
    let jacobianTv (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) : torch.Tensor = vjp f x v

    /// f x, J^T v.
    let fjacobianTv (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        fvjp f x v

    /// The trace of J; f x has the shape of x. n reverse passes.
    let divergence (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : torch.Tensor = Answer.only [] 1 Derivatives.divergence f x

    /// f x, trace J.
    let fdivergence (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        Answer.valueAnd [] 1 Derivatives.divergence f x

    /// (df3/dx2 - df2/dx3, df1/dx3 - df3/dx1, df2/dx1 - df1/dx2) in three dimensions.
    let curl (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : torch.Tensor = Answer.only [] 1 Derivatives.curlDivergence f x

    /// f x, curl f.
    let fcurl (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        Answer.valueAnd [] 1 Derivatives.curlDivergence f x

    /// curl f, div f, from one Jacobian.
    let curldivergence (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
        match Answer.all [] (Derivatives.curlDivergence >> List.tail) f x with
        | [ curl; divergence ] -> struct (curl, divergence)
        | _ -> invalidOp "two answers are expected"

    /// f x, curl f, div f.
    let fcurldivergence (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor * torch.Tensor) =
        Answer.three (Answer.all [] Derivatives.curlDivergence f x)

    // ---- Fixed points ----------------------------------------------------------------------------------------

    /// The z with z = f(a, z), as a function of a: z is iterated from z0, without a graph, until two iterates differ by at most the tolerance in every entry; then recorded Newton
    /// steps z + (I - df/dz)^-1 (f(a, z) - z) give it the derivatives of the implicit function, dz/da = (I - df/dz)^-1 df/da, also with respect to what f holds. Derivatives up to
    /// the order are exact: one step for the first, two up to the third, k up to 2^k - 1. The cost is one reverse pass for each entry of z and one solve, a step.
    /// Newton steps are taken only where a gradient can be needed. Throws an InvalidOperationException if <c>budget</c> applications of f do not reach the tolerance, if an iterate is no
    /// finite number, or if I - df/dz is singular. Christianson 1994, "Reverse accumulation and attractive fixed points"; Bai, Kolter and Koltun 2019, "Deep equilibrium models".
    let fixedPointTo (order: int) (tolerance: float) (budget: int) f (z0: torch.Tensor) (a: torch.Tensor) : torch.Tensor =
        Implicit.fixedPoint order tolerance budget f z0 a

    /// <c>fixedPointTo</c> with derivatives up to the third.
    let fixedPoint (tolerance: float) (budget: int) f (z0: torch.Tensor) (a: torch.Tensor) : torch.Tensor =
        Implicit.fixedPoint 3 tolerance budget f z0 a

    /// Derivatives row by row: x has the shape (B, d), and row i of f x depends on row i of x alone. The passes run on all rows at once.
    [<RequireQualifiedAccess>]
    module Batch =

        /// The gradients (B, d) of f: (B, d) -> (B).
        let gradient (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : torch.Tensor = Answer.only [] 1 Derivatives.batchGradient f x

        /// f x, the gradients.
        let fgradient (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            Answer.valueAnd [] 1 Derivatives.batchGradient f x

        /// The divergences (B) of f: (B, d) -> (B, d), exact: d reverse passes.
        let divergence (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : torch.Tensor = Answer.only [] 1 Derivatives.batchDivergence f x

        /// f x, the divergences.
        let fdivergence (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            Answer.valueAnd [] 1 Derivatives.batchDivergence f x

        /// The Laplacians (B) of f: (B, d) -> (B), exact: d reverse passes over the gradients.
        let laplacian (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : torch.Tensor = Answer.only [] 1 Derivatives.batchLaplacian f x

        /// f x, the Laplacians.
        let flaplacian (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            Answer.valueAnd [] 1 Derivatives.batchLaplacian f x

        /// Estimates (B) of the divergences: the mean of v . J v over probes of the shape (count, B, d), one reverse pass a probe.
        let hutchinson (probes: torch.Tensor) (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : torch.Tensor =
            Answer.only [ probes ] 1 (Derivatives.batchProbed probes) f x

        /// f x, estimates of the divergences.
        let fhutchinson (probes: torch.Tensor) (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            Answer.valueAnd [ probes ] 1 (Derivatives.batchProbed probes) f x

        /// J v row by row; v has the shape of x, and f x has B rows of any shape.
        let jvp (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) : torch.Tensor =
            Answer.only [ v ] 1 (Derivatives.batchPush v) f x

        /// f x, J v row by row.
        let fjvp (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            Answer.valueAnd [ v ] 1 (Derivatives.batchPush v) f x

    /// The numerical twins: central differences with the step epsilon, which comes first. They need values of f alone, are exact only up to O(epsilon^2), and carry no graph.
    [<RequireQualifiedAccess>]
    module Numerical =

        let private only (epsilon: float) (x: torch.Tensor) (work: unit -> torch.Tensor) : torch.Tensor =
            List.head (Stencil.run epsilon x (fun () -> [ work () ]))

        let private two (epsilon: float) (x: torch.Tensor) (work: unit -> torch.Tensor list) : struct (torch.Tensor * torch.Tensor) =
            let found = Stencil.run epsilon x work
            struct (found[0], found[1])

        let private and1 epsilon (f: torch.Tensor -> torch.Tensor) x (work: unit -> torch.Tensor) =
            two epsilon x (fun () -> [ f x; work () ])

        let private one (x: torch.Tensor) : torch.Tensor =
            Shape.require "x" [] x
            torch.ones_like x

        let private direction (v: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
            Tape.requireLike "v" x v
            v


        /// (f(x + e) - f(x - e)) / 2e.
        let numdiff (epsilon: float) f (x: torch.Tensor) : torch.Tensor = only epsilon x (fun () -> Stencil.along epsilon f (one x) x)

        /// f x, and the same.
        let fnumdiff (epsilon: float) f (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            and1 epsilon f x (fun () -> Stencil.along epsilon f (one x) x)

        /// (f(x + e) - 2 f(x) + f(x - e)) / e^2.
        let numdiff2 (epsilon: float) f (x: torch.Tensor) : torch.Tensor = only epsilon x (fun () -> Stencil.second epsilon f (one x) x)

        /// f x, and the same.
        let fnumdiff2 (epsilon: float) f (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            and1 epsilon f x (fun () -> Stencil.second epsilon f (one x) x)

        /// The gradient, coordinate by coordinate.
        let numgrad (epsilon: float) f (x: torch.Tensor) : torch.Tensor = only epsilon x (fun () -> Stencil.gradient epsilon f x)

        /// f x, and the same.
        let fnumgrad (epsilon: float) f (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            and1 epsilon f x (fun () -> Stencil.gradient epsilon f x)

        /// grad f . v, from two values of f.
        let numgradv (epsilon: float) f (x: torch.Tensor) (v: torch.Tensor) : torch.Tensor =
            only epsilon x (fun () -> Stencil.along epsilon (Stencil.scalar f) (direction v x) x)

        /// f x, and the same.
        let fnumgradv (epsilon: float) f (x: torch.Tensor) (v: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            and1 epsilon f x (fun () -> Stencil.along epsilon (Stencil.scalar f) (direction v x) x)

        /// H, from gradients around x, made symmetric.
        let numhessian (epsilon: float) f (x: torch.Tensor) : torch.Tensor = only epsilon x (fun () -> Stencil.hessian epsilon f x)

        /// f x, and the same.
        let fnumhessian (epsilon: float) f (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            and1 epsilon f x (fun () -> Stencil.hessian epsilon f x)

        /// H v, from two gradients.
        let numhessianv (epsilon: float) f (x: torch.Tensor) (v: torch.Tensor) : torch.Tensor =
            only epsilon x (fun () -> Stencil.hessianAlong epsilon f (direction v x) x)

        /// f x, and the same.
        let fnumhessianv (epsilon: float) f (x: torch.Tensor) (v: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            and1 epsilon f x (fun () -> Stencil.hessianAlong epsilon f (direction v x) x)

        /// The sum of second differences along the coordinates.
        let numlaplacian (epsilon: float) f (x: torch.Tensor) : torch.Tensor = only epsilon x (fun () -> Stencil.laplacian epsilon f x)

        /// f x, and the same.
        let fnumlaplacian (epsilon: float) f (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            and1 epsilon f x (fun () -> Stencil.laplacian epsilon f x)

        /// J, column by column.
        let numjacobian (epsilon: float) f (x: torch.Tensor) : torch.Tensor = only epsilon x (fun () -> Stencil.jacobian epsilon f x)

        /// f x, and the same.
        let fnumjacobian (epsilon: float) f (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            and1 epsilon f x (fun () -> Stencil.jacobian epsilon f x)

        /// J v, from two values of f.
        let numjacobianv (epsilon: float) f (x: torch.Tensor) (v: torch.Tensor) : torch.Tensor =
            only epsilon x (fun () -> Stencil.along epsilon f (direction v x) x)

        /// f x, and the same.
        let fnumjacobianv (epsilon: float) f (x: torch.Tensor) (v: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            and1 epsilon f x (fun () -> Stencil.along epsilon f (direction v x) x)

        /// J^T v, from the numerical J; v has the shape of f x.
        let numjacobianTv (epsilon: float) f (x: torch.Tensor) (v: torch.Tensor) : torch.Tensor =
            only epsilon x (fun () -> Stencil.transposed epsilon f v x)

        /// f x, and the same.
        let fnumjacobianTv (epsilon: float) f (x: torch.Tensor) (v: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            and1 epsilon f x (fun () -> Stencil.transposed epsilon f v x)

        /// The trace of the numerical J.
        let numdivergence (epsilon: float) f (x: torch.Tensor) : torch.Tensor =
            only epsilon x (fun () -> (Stencil.square epsilon f x).trace())

        /// f x, and the same.
        let fnumdivergence (epsilon: float) f (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            and1 epsilon f x (fun () -> (Stencil.square epsilon f x).trace())

        /// The curl, from the numerical J.
        let numcurl (epsilon: float) f (x: torch.Tensor) : torch.Tensor = only epsilon x (fun () -> (Stencil.curl epsilon f x)[0])

        /// f x, and the same.
        let fnumcurl (epsilon: float) f (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            and1 epsilon f x (fun () -> (Stencil.curl epsilon f x)[0])

        /// The numerical grad f, H.
        let numgradhessian (epsilon: float) f (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            two epsilon x (fun () -> [ Stencil.gradient epsilon f x; Stencil.hessian epsilon f x ])

        /// f x, the numerical grad f, H.
        let fnumgradhessian (epsilon: float) f (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor * torch.Tensor) =
            Answer.three (Stencil.run epsilon x (fun () -> [ f x; Stencil.gradient epsilon f x; Stencil.hessian epsilon f x ]))

        /// The numerical grad f, H v.
        let numgradhessianv (epsilon: float) f (x: torch.Tensor) (v: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            two epsilon x (fun () -> [ Stencil.gradient epsilon f x; Stencil.hessianAlong epsilon f (direction v x) x ])

        /// f x, the numerical grad f, H v.
        let fnumgradhessianv (epsilon: float) f (x: torch.Tensor) (v: torch.Tensor) : struct (torch.Tensor * torch.Tensor * torch.Tensor) =
            Answer.three (
                Stencil.run epsilon x (fun () -> [ f x; Stencil.gradient epsilon f x; Stencil.hessianAlong epsilon f (direction v x) x ])
            )

        /// The numerical curl f, div f.
        let numcurldivergence (epsilon: float) f (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor) =
            two epsilon x (fun () -> Stencil.curl epsilon f x)

        /// f x, the numerical curl f, div f.
        let fnumcurldivergence (epsilon: float) f (x: torch.Tensor) : struct (torch.Tensor * torch.Tensor * torch.Tensor) =
            Answer.three (Stencil.run epsilon x (fun () -> f x :: Stencil.curl epsilon f x))

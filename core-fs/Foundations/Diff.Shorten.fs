namespace ValueFlow.Core.Foundations

open TorchSharp

/// Short names for formulas that are full of derivatives. Opt-in: <c>open ValueFlow.Core.Foundations.Shorten</c>.
module Shorten =

    /// The gradient: <c>Diff.grad</c>.
    let g (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) = Diff.grad f x

    /// f x as well: <c>Diff.fgrad</c>.
    let fg (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) = Diff.fgrad f x

    /// grad f . v: <c>Diff.gradv</c>.
    let gvp (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) = Diff.gradv f x v

    /// f x as well: <c>Diff.fgradv</c>.
    let fgvp (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) = Diff.fgradv f x v

    /// The Hessian: <c>Diff.hessian</c>.
    let h (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) = Diff.hessian f x

    /// f x as well: <c>Diff.fhessian</c>.
    let fh (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) = Diff.fhessian f x

    /// H v: <c>Diff.hessianv</c>.
    let hvp (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) = Diff.hessianv f x v

    /// f x as well: <c>Diff.fhessianv</c>.
    let fhvp (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) = Diff.fhessianv f x v

    /// grad f, H: <c>Diff.gradhessian</c>.
    let gh (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) = Diff.gradhessian f x

    /// f x as well: <c>Diff.fgradhessian</c>.
    let fgh (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) = Diff.fgradhessian f x

    /// grad f, H v: <c>Diff.gradhessianv</c>.
    let ghvp (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) = Diff.gradhessianv f x v

    /// f x as well: <c>Diff.fgradhessianv</c>.
    let fghvp (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) = Diff.fgradhessianv f x v

    /// The Jacobian: <c>Diff.jacobian</c>.
    let j (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) = Diff.jacobian f x

    /// f x as well: <c>Diff.fjacobian</c>.
    let fj (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) = Diff.fjacobian f x

    /// J v: <c>Diff.jacobianv</c>.
    let jvp (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) = Diff.jacobianv f x v

    /// f x as well: <c>Diff.fjacobianv</c>.
    let fjvp (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) = Diff.fjacobianv f x v

    /// J^T v: <c>Diff.jacobianTv</c>.
    let vjp (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) = Diff.jacobianTv f x v

    /// f x as well: <c>Diff.fjacobianTv</c>.
    let fvjp (f: torch.Tensor -> torch.Tensor) (x: torch.Tensor) (v: torch.Tensor) = Diff.fjacobianTv f x v

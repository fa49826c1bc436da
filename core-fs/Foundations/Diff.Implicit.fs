namespace ValueFlow.Core.Foundations

open System
open System.Runtime.InteropServices
open TorchSharp
open ValueFlow.Core.Foundations.Arithmetic

/// Fixed points z = f(a, z) that can be differentiated: a plain forward solve, then Newton steps that are recorded.
[<RequireQualifiedAccess>]
module internal Implicit =

    let private number (work: unit -> torch.Tensor) : float = Lifetime.within (fun () -> ((work ()).``to``(torch.float64)).item<float>())

    let private refuse (words: string) = raise (InvalidOperationException $"the fixed point was not found: {words}")

    // z <- f z without a graph, until two iterates differ by at most the tolerance in every entry.
    let private solve (tolerance: float) (budget: int) (f: torch.Tensor -> torch.Tensor) (start: torch.Tensor) : torch.Tensor =
        use _still = torch.no_grad ()
        use scope = torch.NewDisposeScope()
        let mutable z = (start.detach ()).clone()
        let mutable gap = Double.PositiveInfinity
        let mutable steps = 0

        while gap > tolerance do
            if steps = budget then
                refuse $"after {budget} applications of f iterates still differ by {gap}, more than the tolerance {tolerance}"

            let next = Lifetime.keep (fun () -> (f z).clone())
            steps <- steps + 1

            if next.shape <> z.shape || next.dtype <> z.dtype then
                invalidArg
                    "f"
                    $"f(a, z) must have the shape and type of z, %A{z.shape} of {z.dtype}, but has %A{next.shape} of {next.dtype}"

            gap <- number (fun () -> (next.sub z).abs().max())

            if not (Double.IsFinite gap) then
                refuse $"application {steps} of f gave an entry that is not a finite number"

            z.Dispose()
            z <- next

        scope.MoveToOuter z

    // z + (I - df/dz)^-1 (f(a, z) - z), recorded.
    let private newton (f: torch.Tensor -> torch.Tensor) (z: torch.Tensor) : torch.Tensor =
        let flat (point: torch.Tensor) : torch.Tensor = (f (point.reshape z.shape)).reshape(-1L)
        let found = Tape.run [] flat (z.reshape -1L) Derivatives.jacobian
        let identity = torch.eye (z.numel (), dtype = z.dtype, device = z.device)

        try
            let step = torch.linalg.solve (identity.sub found[1], found[0].sub(z.reshape -1L))
            z.Plus(step.reshape z.shape)
        with :? ExternalException as error ->
            raise (InvalidOperationException("the fixed point has no derivative: I - df/dz is singular there", error))

    /// The fixed point; its derivatives up to the order are exact.
    let fixedPoint (order: int) (tolerance: float) (budget: int) (f: torch.Tensor -> torch.Tensor -> torch.Tensor) z0 a : torch.Tensor =
        if order < 1 then
            invalidArg (nameof order) $"the order must be at least 1 but is {order}"

        if not (tolerance > 0.0 && Double.IsFinite tolerance) then
            invalidArg (nameof tolerance) $"the tolerance must be positive and finite but is {tolerance}"

        if budget < 1 then
            invalidArg (nameof budget) $"the budget must be at least 1 application but is {budget}"

        let requireFinite name (tensor: torch.Tensor) =
            Tape.requireReal name tensor

            if not (Lifetime.within (fun () -> ((tensor.isfinite ()).all()).item<bool>())) then
                invalidArg name "every entry must be a finite number"

        requireFinite (nameof z0) z0
        requireFinite (nameof a) a

        if z0.numel () = 0L then
            invalidArg (nameof z0) "at least one entry is expected but there is none"

        Lifetime.keep (fun () ->
            let z = solve tolerance budget (f a) z0

            if torch.is_grad_enabled () && Lifetime.within (fun () -> (f a z).requires_grad) then
                // The first step makes the first derivative exact, and each further one doubles: after k steps orders up to 2^k - 1 are.
                let mutable polished = z
                let mutable exact = 0

                while exact < order do
                    polished <- newton (f a) polished
                    exact <- 2 * exact + 1

                polished
            else
                z)

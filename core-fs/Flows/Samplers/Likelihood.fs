namespace ValueFlow.Core.Flows

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics

/// How the divergence of a velocity is found.
[<RequireQualifiedAccess; NoComparison; NoEquality>]
type DivergenceMethod =
    /// The trace of the Jacobian: d reverse passes an evaluation.
    | Exact
    /// The mean of v . J v over random directions, drawn once for a solve, so that the solver sees a smooth field: unbiased, <c>count</c> reverse passes an evaluation.
    | Hutchinson of generator: Generator * law: Probe * count: int
    /// The same over given directions, of the shape (count, B, d).
    | Along of probes: torch.Tensor

/// What a likelihood is told.
[<NoComparison; NoEquality>]
type LikelihoodOptions =
    {
        /// The solve of points and divergence; saved times keep the densities on the way. Events and dense output are not for it.
        Ode: OdeOptions
        /// From the time of the base law to the time of the law whose density is asked for.
        Interval: TimeInterval
        /// The divergence.
        Divergence: DivergenceMethod
        /// Whether results carry the graph of autograd, where it records and something requires gradients; memory grows with the steps.
        Gradients: bool
    }

/// Options of likelihoods.
[<RequireQualifiedAccess>]
module LikelihoodOptions =

    /// Exact, from time 0 to 1, Dormand-Prince 5 at the tolerance 1e-6, without gradients.
    let standard: LikelihoodOptions =
        {
            Ode = OdeOptions.adaptive Scheme.dormandPrince5 1e-6
            Interval = TimeInterval.whole
            Divergence = DivergenceMethod.Exact
            Gradients = false
        }

/// Points that the flow carried to a time, and their log-density under the law of that time.
[<NoComparison; NoEquality>]
type DensityAt =
    {
        /// The time.
        Time: float
        /// The points (B, d).
        Points: torch.Tensor
        /// Their log-density (B), in nats.
        LogDensity: torch.Tensor
    }

/// The outcome of a likelihood. It owns its tensors; disposing it frees them, and so does the scope in which it was made.
[<NoComparison; NoEquality>]
type FlowDensity =
    {
        /// log p(x) of each point (B), in nats; NaN for a point whose solve did not reach its end.
        LogDensity: torch.Tensor
        /// The points x (B, d) whose density it is.
        Points: torch.Tensor
        /// Where the flow has them from: the points under the base law (B, d).
        Base: torch.Tensor
        /// The densities at the saved times that were reached, in the order of the solve.
        Saved: DensityAt[]
        /// Steps accepted.
        Steps: int
        /// Steps rejected.
        Rejections: int
        /// Evaluations of the velocity with its divergence on the whole batch.
        Evaluations: int
        /// Why the solve ended.
        Reason: Reason
    }

    interface IDisposable with
        /// Frees the tensors.
        member density.Dispose() =
            density.LogDensity.Dispose()
            density.Points.Dispose()
            density.Base.Dispose()

            for saved in density.Saved do
                saved.Points.Dispose()
                saved.LogDensity.Dispose()

/// The density of the law to which a velocity b carries a base law: d/dt log p_t(x_t) = -div b(t, x_t) along dx/dt = b(t, x).
/// Chen, Rubanova, Bettencourt and Duvenaud 2018, "Neural ordinary differential equations"; Grathwohl and others 2019, "FFJORD".
[<RequireQualifiedAccess>]
module Likelihood =

    let private require (options: LikelihoodOptions) (x: torch.Tensor) : unit =
        if not options.Ode.Events.IsEmpty || options.Ode.Dense then
            invalidArg (nameof options) "events and dense output must be off: the solve is of points and divergence together"

        Shape.require (nameof x) [ -1L; -1L ] x
        TimeRows.requireBatch (nameof x) x

        match options.Divergence with
        | DivergenceMethod.Along probes ->
            Shape.require "probes" (-1L :: List.ofArray x.shape) probes
            Shape.requireType "probes" x.dtype probes

            if probes.shape[0] = 0L then
                invalidArg "probes" "there must be at least one direction but there is none"
        | _ -> ()

    // (x, l) with dl/dt = div b.
    let private augmented (divergence: (torch.Tensor -> torch.Tensor) -> torch.Tensor -> struct (torch.Tensor * torch.Tensor)) (b: Field) =
        Field.create $"{b.Name} with its divergence" (fun t state ->
            Lifetime.keep (fun () ->
                let struct (value, rate) = divergence (b.Apply t) (state.narrow (1L, 0L, state.shape[1] - 1L))
                torch.cat ([| value; rate.unsqueeze 1L |], 1L)))

    let private requireDensity (x: torch.Tensor) (density: torch.Tensor) : unit =
        Shape.require "the base law's log-density" [ x.shape[0] ] density
        Shape.requireType "the base law's log-density" x.dtype density

        match TimeRows.values density |> Array.tryFindIndex (fun value -> Double.IsNaN value || value = infinity) with
        | Some row -> invalidArg "baseLogDensity" $"must be a number or -infinity but is not in row {row}"
        | None -> ()

    let private solve
        (options: LikelihoodOptions)
        (baseLogDensity: torch.Tensor -> torch.Tensor)
        (velocity: Field)
        (start: torch.Tensor)
        (isBaseFirst: bool)
        : FlowDensity =
        require options start
        use _mode = torch.enable_grad (options.Gradients && torch.is_grad_enabled ())
        use scope = torch.NewDisposeScope()
        let interval = if isBaseFirst then options.Interval else options.Interval.Reversed

        let divergence =
            match options.Divergence with
            | DivergenceMethod.Exact -> Diff.Batch.fdivergence
            | DivergenceMethod.Along probes -> Diff.Batch.fhutchinson probes
            | DivergenceMethod.Hutchinson(generator, law, count) -> Diff.Batch.fhutchinson (Probe.draw generator law count start)

        let first = torch.cat ([| start; torch.zeros ([| start.shape[0]; 1L |], dtype = start.dtype) |], 1L)
        let solution = Ode.solve options.Ode (augmented divergence velocity) first interval.From interval.Until
        let points (state: torch.Tensor) : torch.Tensor = state.narrow (1L, 0L, start.shape[1])
        let ledger (state: torch.Tensor) : torch.Tensor = state.select (1L, start.shape[1])
        let source, image = if isBaseFirst then first, solution.Final else solution.Final, first
        let density = baseLogDensity (points source)

        let isReached = solution.Lanes |> Array.map (fun lane -> lane.Reason = Reason.ReachedEnd)

        if Array.forall id isReached then
            requireDensity start density

        // log p_s(x_s) = log p_base - (l_s - l_base).
        let at (state: torch.Tensor) : torch.Tensor =
            let found = (density.sub (ledger state)) |> Elementwise.addTimes 1.0 (ledger source)

            if Array.forall id isReached then
                found
            else
                Elementwise.fill ((torch.tensor (Array.map not isReached)).expand_as found) nan found

        let keep (tensor: torch.Tensor) : torch.Tensor = scope.MoveToOuter tensor
        let own (state: torch.Tensor) : torch.Tensor = keep ((points state).clone())

        {
            LogDensity = keep (at image)
            Points = own image
            Base = own source
            Saved =
                Array.map2
                    (fun time state -> { Time = time; Points = own state; LogDensity = keep (at state) })
                    solution.SavedTimes
                    solution.Saved
            Steps = solution.Steps
            Rejections = solution.Rejections
            Evaluations = solution.Evaluations
            Reason = solution.Reason
        }

    /// log p(x) (B) of points x (B, d) under the law to which the velocity carries the base law over the interval: x is solved back to the base law together with the divergence.
    /// <c>baseLogDensity</c> takes (B, d) to (B). Throws an ArgumentException on bad shapes and types, and if the base log-density is NaN or +infinity.
    let logDensity
        (options: LikelihoodOptions)
        (baseLogDensity: torch.Tensor -> torch.Tensor)
        (velocity: Field)
        (x: torch.Tensor)
        : FlowDensity =
        solve options baseLogDensity velocity x false

    /// The points to which the velocity carries points of the base law (B, d), and their log-density there; saved times are times on the way.
    /// Throws as <c>logDensity</c> does.
    let pushForward
        (options: LikelihoodOptions)
        (baseLogDensity: torch.Tensor -> torch.Tensor)
        (velocity: Field)
        (points: torch.Tensor)
        : FlowDensity =
        solve options baseLogDensity velocity points true

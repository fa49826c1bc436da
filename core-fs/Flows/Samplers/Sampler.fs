namespace ValueFlow.Core.Flows

open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics

/// Samplers: from a batch of the law at one time to a batch of the law at another. They record no gradients (to differentiate through a run, call <c>Ode.solve</c> or <c>Sde.solve</c>).
/// Steps, progress and cancellation are those of the solver's options; a run that ends early says why, and returns the last finite batch.
[<RequireQualifiedAccess>]
module Sampler =

    // The scope frees what a run leaves behind if a field throws.
    let private run (work: unit -> Samples) : Samples =
        use _quiet = torch.no_grad ()
        use scope = torch.NewDisposeScope()
        let samples = work ()
        scope.MoveToOuter samples.Final |> ignore
        samples.Saved |> Array.iter (fun state -> scope.MoveToOuter state |> ignore)
        samples

    let private counted (count: int ref) (field: Field) : Field =
        { field with
            Apply =
                fun t x ->
                    count.Value <- count.Value + 1
                    field.Apply t x
        }

    /// dX = b dt over the interval, in its direction. Options may save the trajectory, watch for events, and choose the scheme and its tolerance.
    /// Throws as <c>Ode.solve</c> does.
    let ode (options: OdeOptions) (interval: TimeInterval) (velocity: Field) (start: torch.Tensor) : Samples =
        run (fun () ->
            let solution = Ode.solve options velocity start interval.From interval.Until

            {
                Final = solution.Final
                Time = solution.Time
                Saved = solution.Saved
                SavedTimes = solution.SavedTimes
                Steps = solution.Steps
                Rejections = solution.Rejections
                VelocityEvaluations = solution.Evaluations
                ScoreEvaluations = 0
                Reason = solution.Reason
            })

    /// Options of a solve in n equal steps over the interval, without adaptivity.
    let equalSteps (scheme: Scheme) (steps: int) (interval: TimeInterval) : OdeOptions =
        if steps < 1 then
            invalidArg (nameof steps) $"there must be at least 1 step but there are {steps}"

        { OdeOptions.fixedStep scheme ((interval.Last - interval.First) / float steps) with
            MaxSteps = steps
        }

    /// dX = b dt in n equal steps of a scheme, such as Euler's or Heun's.
    let fewStep (scheme: Scheme) (steps: int) (interval: TimeInterval) (velocity: Field) (start: torch.Tensor) : Samples =
        ode (equalSteps scheme steps interval) interval velocity start

    // Backwards the time is 1 - t, which rounding may carry beyond the interval, where fields and schedules need not exist.
    let private clamped (interval: TimeInterval) (field: Field) : Field =
        let inside (t: torch.Tensor) : torch.Tensor =
            (((t |> Elementwise.atLeast interval.First).neg()) |> Elementwise.atLeast -interval.Last).neg()

        { field with Apply = fun t x -> Lifetime.keep (fun () -> field.Apply (inside t) x) }

    let private equation (interval: TimeInterval) (level: Schedule) (velocity: Field) (score: Field) : StochasticEquation =
        let combine = if interval.IsForward then Drifts.forward else Drifts.backward

        let forwards =
            StochasticEquation.additive (clamped interval (combine level velocity score)) (fun t ->
                NoiseLevel.deviation level (System.Math.Clamp(t, interval.First, interval.Last)))

        if interval.IsForward then forwards else StochasticEquation.reversed 1.0 forwards

    // A run from 1 to 0 is solved in the time that is left, 1 - t.
    let private clock (interval: TimeInterval) (time: float) : float = if interval.IsForward then time else 1.0 - time

    /// The stochastic equation of a noise level along a given Brownian path, in equal steps: dX = (b + e s) dt + sqrt(2 e) dW forwards in time, and backwards, in the time u = 1 - t that is left,
    /// dX = -(b - e s) du + sqrt(2 e) dW. The path covers the interval, in t forwards and in u backwards, and has the shape of the start batch (B, ...). Every level e(t) >= 0 leads to the same
    /// marginal laws. The score is evaluated only where the level is not zero. Throws as <c>Sde.solve</c> does, and where the level is negative or not finite.
    /// Albergo, Boffi and Vanden-Eijnden 2023, "Stochastic Interpolants", section 2; for diffusions Anderson 1982, "Reverse-time diffusion equation models".
    let alongPath
        (options: SdeOptions)
        (interval: TimeInterval)
        (level: Schedule)
        (path: BrownianPath)
        (velocity: Field)
        (score: ScoreModel)
        (start: torch.Tensor)
        : Samples =
        run (fun () ->
            let velocities, scores = ref 0, ref 0
            let velocity = counted velocities velocity
            let equation = equation interval level velocity (counted scores (ScoreModel.field velocity score))
            let clock = clock interval

            let options =
                { options with
                    Progress = fun progress -> options.Progress { progress with Time = clock progress.Time }
                }

            let solution = Sde.solve options equation path start (clock interval.From) (clock interval.Until)

            {
                Final = solution.Final
                Time = if solution.Reason = Reason.ReachedEnd then interval.Until else clock solution.Time
                Saved = solution.Saved
                SavedTimes = solution.SavedTimes |> Array.map clock
                Steps = solution.Steps
                Rejections = 0
                VelocityEvaluations = velocities.Value
                ScoreEvaluations = scores.Value
                Reason = solution.Reason
            })

    /// The stochastic equation of a noise level along the Brownian path of a seed, whose cells are the steps: the noise of step n is a function of the seed and of n. See <c>alongPath</c>.
    let sde
        (options: SdeOptions)
        (interval: TimeInterval)
        (level: Schedule)
        (seed: int)
        (velocity: Field)
        (score: ScoreModel)
        (start: torch.Tensor)
        : Samples =
        if options.Steps < 1 then
            invalidArg (nameof options) $"there must be at least 1 step but there are {options.Steps}"

        TimeRows.requireBatch (nameof start) start

        if start.NumberOfElements = 0L then
            invalidArg (nameof start) "there must be at least one entry but there is none"

        let path =
            BrownianPath.Create(
                seed,
                clock interval interval.From,
                clock interval interval.Until,
                options.Steps,
                List.ofArray start.shape,
                start.dtype
            )

        alongPath options interval level path velocity score start

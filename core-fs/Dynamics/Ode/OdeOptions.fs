namespace ValueFlow.Core.Dynamics

open System
open System.Threading
open TorchSharp
open ValueFlow.Core.Foundations

/// In which direction a function of the state passes zero, along the direction of the solve.
[<RequireQualifiedAccess>]
type Crossing =
    /// From below.
    | Rising
    /// From above.
    | Falling
    /// Either way.
    | Either

/// Something that happens when a function of time and state passes zero.
type OdeEvent =
    {
        /// The name in reports.
        Name: string
        /// g(t, x): one number for each sample, in the type of x. t is one number or one for each sample.
        Function: torch.Tensor -> torch.Tensor -> torch.Tensor
        /// The direction that counts.
        Crossing: Crossing
        /// Ends the solve: for all samples if they share their steps, else for the sample that it happens to.
        Terminal: bool
    }

/// How gradients are taken.
[<RequireQualifiedAccess>]
type GradientMethod =
    /// Through the steps that were made (discretise, then optimise): the exact derivative of what is computed, the step lengths held fixed.
    | Steps
    /// The adjoint equation, solved backwards (optimise, then discretise): no more accurate than the tolerance, and many times dearer at a small one.
    /// Pontryagin 1962; Chen, Rubanova, Bettencourt and Duvenaud 2018, "Neural ordinary differential equations".
    | Adjoint

/// How far a solve is.
[<Struct>]
type OdeProgress =
    {
        /// The time reached: of the sample that is behind, if each has its own.
        Time: float
        /// The length of the last step.
        Step: float
        /// Steps accepted.
        Steps: int
        /// Steps rejected.
        Rejections: int
        /// Evaluations of the field.
        Evaluations: int
    }

/// What a solve is told.
type OdeOptions =
    {
        /// The scheme.
        Scheme: Scheme
        /// The length of the steps.
        Control: StepControl
        /// Times at which the state is kept, in the order of the solve. Steps land on them: no value is interpolated.
        Save: float[]
        /// What to look out for.
        Events: OdeEvent list
        /// Keep what is needed to know the state between the steps.
        Dense: bool
        /// The most steps, rejected ones included.
        MaxSteps: int
        /// How <c>Ode.gradient</c> takes gradients.
        Gradient: GradientMethod
        /// Called after every step, accepted or not.
        Progress: OdeProgress -> unit
        /// Checked before every step.
        Cancellation: CancellationToken
    }

/// Options of solves.
[<RequireQualifiedAccess>]
module OdeOptions =

    /// Dormand-Prince 5(4), rtol = atol = 1e-5 in the root mean square, at most 100,000 steps, gradients through the steps.
    let standard: OdeOptions =
        {
            Scheme = Scheme.dormandPrince5
            Control = StepControl.integral 1e-5 1e-5
            Save = [||]
            Events = []
            Dense = false
            MaxSteps = 100_000
            Gradient = GradientMethod.Steps
            Progress = ignore
            Cancellation = CancellationToken.None
        }

    /// The scheme and the tolerance, rtol = atol.
    let adaptive (scheme: Scheme) (tolerance: float) : OdeOptions =
        { standard with Scheme = scheme; Control = StepControl.integral tolerance tolerance }

    /// The scheme with steps of one length.
    let fixedStep (scheme: Scheme) (step: float) : OdeOptions = { standard with Scheme = scheme; Control = StepControl.Constant step }

    /// Throws an ArgumentException that names what is wrong.
    let internal require (options: OdeOptions) (x0: torch.Tensor) (t0: float) (t1: float) : unit =
        for name, value in [ nameof t0, t0; nameof t1, t1 ] do
            if not (Double.IsFinite value) then
                invalidArg name $"must be finite but is {value}"

        if x0.device_type <> DeviceType.CPU then
            invalidArg (nameof x0) $"must be on the CPU but is on {x0.device_type}"

        if x0.dtype <> torch.ScalarType.Float32 && x0.dtype <> torch.ScalarType.Float64 then
            invalidArg (nameof x0) $"type must be Float32 or Float64 but is {x0.dtype}"

        let shape = String.Join(", ", x0.shape)

        if x0.dim () < 1L || x0.NumberOfElements = 0L then
            invalidArg (nameof x0) $"shape must be (batch, ...) with at least one entry but is [{shape}]"

        if x0.NumberOfElements * x0.ElementSize > int64 Int32.MaxValue then
            invalidArg (nameof x0) $"must be smaller than 2 GiB but has the shape [{shape}]"

        if not (Lifetime.within (fun () -> x0.detach().isfinite().all().item<bool>())) then
            invalidArg (nameof x0) "all entries must be finite but some are not"

        if options.MaxSteps < 1 then
            invalidArg (nameof options) $"there must be at least 1 step but there are {options.MaxSteps}"

        StepControl.require options.Scheme options.Control
        let forward = t1 >= t0

        options.Save
        |> Array.iteri (fun i time ->
            if not (if forward then time >= t0 && time <= t1 else time <= t0 && time >= t1) then
                invalidArg (nameof options) $"saved time {i} must lie between {t0} and {t1} but is {time}"

            if i > 0 && not (if forward then time > options.Save[i - 1] else time < options.Save[i - 1]) then
                invalidArg
                    (nameof options)
                    $"saved times must run from {t0} to {t1} without repeats but {options.Save[i - 1]} is followed by {time}")

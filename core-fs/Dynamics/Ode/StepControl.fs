namespace ValueFlow.Core.Dynamics

open System

/// What of a step's error decides. An entry's error is measured in units of atol + rtol max(|x before|, |x after|).
[<RequireQualifiedAccess>]
type ErrorNorm =
    /// The root mean square over all entries of the batch: one step for all, and samples may be worse than the tolerance.
    | RootMeanSquare
    /// The largest root mean square of a sample: one step for all, accepted by its worst sample.
    | WorstSample
    /// Each sample has its own error, its own step and its own time.
    | EachSample

/// Steps by error. With e = 1 / error and k one more than the embedded order, an accepted step is followed by one that is
/// safety e_n^((P + I + D) / k) e_(n-1)^(-(P + 2D) / k) e_(n-2)^(D / k) times as long: Soederlind 2003, "Digital filters in adaptive time-stepping".
type AdaptiveControl =
    {
        /// rtol; not negative.
        Relative: float
        /// atol; not negative, and positive if rtol is zero.
        Absolute: float
        /// What of the error decides.
        Norm: ErrorNorm
        /// P.
        Proportional: float
        /// I.
        Integral: float
        /// D.
        Derivative: float
        /// The factor that makes a rejection less likely; in (0, 1].
        Safety: float
        /// A step is at least this share of the one before; in (0, 1).
        Shrink: float
        /// A step is at most this many times the one before; above 1.
        Grow: float
        /// The first step, or none: it is chosen by the algorithm of Hairer, Norsett and Wanner 1993, II.4.
        First: float voption
        /// A shorter step ends the solve; zero: as short as the clock can tell.
        Smallest: float
        /// The longest step.
        Largest: float
    }

/// How long the steps are.
[<RequireQualifiedAccess>]
type StepControl =
    /// Always the same, but the one that lands on a time that was asked for. Positive; the direction follows from the times.
    | Constant of step: float
    /// By the error of the embedded solution.
    | Adaptive of AdaptiveControl

/// Makes and reads step controls.
[<RequireQualifiedAccess>]
module StepControl =

    /// P, I and D, with the tolerances rtol and atol.
    let pid (p: float, i: float, d: float) (relative: float) (absolute: float) : StepControl =
        StepControl.Adaptive
            {
                Relative = relative
                Absolute = absolute
                Norm = ErrorNorm.RootMeanSquare
                Proportional = p
                Integral = i
                Derivative = d
                Safety = 0.9
                Shrink = 0.2
                Grow = 10.0
                First = ValueNone
                Smallest = 0.0
                Largest = Double.PositiveInfinity
            }

    /// The classical control: P = D = 0, I = 1.
    let integral (relative: float) (absolute: float) : StepControl = pid (0.0, 1.0, 0.0) relative absolute

    /// Less rejections where the step is limited by stability: P = 0.2, I = 0.65, which is beta = 0.04 of DOPRI5 (Hairer, Norsett and Wanner 1993, II.4; Gustafsson 1991).
    let proportionalIntegral (relative: float) (absolute: float) : StepControl = pid (0.2, 0.65, 0.0) relative absolute

    /// The same control with another norm of the error; a constant step has none.
    let withNorm (norm: ErrorNorm) (control: StepControl) : StepControl =
        match control with
        | StepControl.Constant _ -> control
        | StepControl.Adaptive adaptive -> StepControl.Adaptive { adaptive with Norm = norm }

    /// The share of the next step in this one, from the errors of this step and of the two before.
    let internal factor (control: AdaptiveControl) (order: int) (error: float) (before: float) (twoBefore: float) : float =
        let k = float order
        let power (e: float) (exponent: float) = if exponent = 0.0 then 1.0 else Math.Pow(Math.Max(e, 1e-10), -exponent)

        let wanted =
            control.Safety
            * power error ((control.Proportional + control.Integral + control.Derivative) / k)
            * power before (-(control.Proportional + 2.0 * control.Derivative) / k)
            * power twoBefore (control.Derivative / k)

        Math.Clamp(wanted, control.Shrink, control.Grow)

    /// The share after a rejection: no memory, and an error that is no number shrinks the most.
    let internal retreat (control: AdaptiveControl) (order: int) (error: float) : float =
        if Double.IsFinite error then
            Math.Clamp(control.Safety * Math.Pow(error, -1.0 / float order), control.Shrink, 0.95)
        else
            control.Shrink

    let private positive (name: string) (value: float) : unit =
        if not (value > 0.0) then
            invalidArg "options" $"{name} must be positive but is {value}"

    /// Throws an ArgumentException unless the numbers make sense and the scheme has the error estimate that is asked for.
    let internal require (scheme: Scheme) (control: StepControl) : unit =
        match control with
        | StepControl.Constant step ->
            positive "the step" step

            if not (Double.IsFinite step) then
                invalidArg "options" $"the step must be finite but is {step}"
        | StepControl.Adaptive c ->
            if scheme.Error = ErrorEstimate.Absent then
                invalidArg "options" $"the scheme {scheme.Name} has no error estimate: it needs a constant step"

            let tolerance (name: string) (value: float) =
                if not (value >= 0.0 && Double.IsFinite value) then
                    invalidArg "options" $"{name} must be finite and not negative but is {value}"

            tolerance "rtol" c.Relative
            tolerance "atol" c.Absolute

            if c.Relative = 0.0 && c.Absolute = 0.0 then
                invalidArg "options" "rtol or atol must be positive but both are 0"

            for name, value in [ "P", c.Proportional; "I", c.Integral; "D", c.Derivative ] do
                if not (Double.IsFinite value) then
                    invalidArg "options" $"{name} must be finite but is {value}"

            if not (c.Safety > 0.0 && c.Safety <= 1.0) then
                invalidArg "options" $"the safety factor must lie in (0, 1] but is {c.Safety}"

            if not (c.Shrink > 0.0 && c.Shrink < 1.0) then
                invalidArg "options" $"the least factor must lie in (0, 1) but is {c.Shrink}"

            if not (c.Grow > 1.0 && Double.IsFinite c.Grow) then
                invalidArg "options" $"the largest factor must be finite and above 1 but is {c.Grow}"

            c.First |> ValueOption.iter (positive "the first step")
            positive "the longest step" c.Largest

            if not (c.Smallest >= 0.0 && c.Smallest <= c.Largest) then
                invalidArg "options" $"the shortest step must lie in [0, {c.Largest}] but is {c.Smallest}"

namespace ValueFlow.Core.Foundations

open System

/// Runners that look for a fixed point. They own and free every iterate but the one they return; the start is left as it was.
[<RequireQualifiedAccess>]
module FixedPoint =

    // What the best claim says of one application x -> y.
    let internal certify (operator: Operator<'x>) =
        match Operator.certifyingClaim operator with
        | ValueSome claim when claim.Rounding.IsSome ->
            let bound x residual = Bound.banach claim.Modulus (claim.Rounding.Value x) residual
            let floor x = Bound.floor claim.Modulus (claim.Rounding.Value x)
            struct (claim.Metric, Certificate.Contraction, bound, floor)
        | ValueSome claim -> struct (claim.Metric, Certificate.Estimate, (fun _ _ -> Double.PositiveInfinity), (fun _ -> 0.0))
        | ValueNone ->
            match operator.Claims with
            | claim :: _ -> struct (claim.Metric, Certificate.Estimate, (fun _ _ -> Double.PositiveInfinity), (fun _ -> 0.0))
            | [] ->
                let distance x y =
                    let gap = operator.Space.Combine 1.0 x -1.0 y
                    let length = sqrt (operator.Space.Inner gap gap)
                    operator.Space.Release gap
                    length

                let metric = { Key = MetricKey.Euclidean; Convex = true; Separates = true; Distance = distance }

                struct (metric, Certificate.Estimate, (fun _ _ -> Double.PositiveInfinity), (fun _ -> 0.0))

    /// One step of a runner: from the current point to the next one to be evaluated, given its image.
    /// It returns a fresh point, and keeps and frees neither argument.
    type internal Step<'x> = delegate of iteration: int * point: 'x * image: 'x -> 'x

    // The one loop. Every runner is a choice of the next point; the bound is that of the last image. The pace says how many applications of a
    // contraction the runner may need to shorten the residual by the modulus: one if it is plain iteration, infinitely many if nothing is known.
    let internal run (options: RunOptions) (operator: Operator<'x>) (start: 'x) (pace: float) (step: Step<'x>) =
        RunOptions.require options
        let struct (metric, certificate, bound, floor) = certify operator
        let modulus = operator |> Operator.tryClaim metric.Key |> ValueOption.map _.Modulus |> ValueOption.defaultValue 1.0
        let history = History()
        let mutable point = operator.Space.Copy start
        let mutable result = ValueNone
        let mutable applications = 0
        let mutable previous = Double.PositiveInfinity
        let contracting = pace = 1.0
        // One and a half times the steps within which the runner halves its residual: if it has not, only rounding is left.
        let patience =
            if modulus < 1.0 && Double.IsFinite pace then
                int (Math.Min(1e8, ceil (1.5 * pace * log 0.5 / log modulus))) + 2
            else
                Int32.MaxValue

        let mutable best = Double.PositiveInfinity
        let mutable halved = 0

        let finish image outcome (last: Progress) =
            result <-
                ValueSome
                    {
                        Value = image
                        Certificate = if Double.IsFinite last.Bound then certificate else Certificate.Estimate
                        Bound = last.Bound
                        Floor = floor point
                        Residual = last.Residual
                        Applications = applications
                        Outcome = outcome
                        History = history.Close last
                    }

        let mutable last = { Applications = 0; Residual = Double.PositiveInfinity; Bound = Double.PositiveInfinity }

        match operator.Space.NotFinite point with
        | ValueSome found -> invalidArg (nameof start) $"the start must be finite but {found}"
        | ValueNone -> ()

        while result.IsNone do
            if options.Cancellation.IsCancellationRequested then
                finish (operator.Space.Copy point) Outcome.Cancelled last
            elif applications >= options.Budget then
                finish (operator.Space.Copy point) Outcome.BudgetExhausted last
            else
                let image = operator.Apply point
                applications <- applications + 1

                match operator.Space.NotFinite image with
                | ValueSome found -> finish image (Outcome.NotFinite found) { last with Bound = Double.PositiveInfinity }
                | ValueNone ->
                    let residual = metric.Distance point image

                    last <- { Applications = applications; Residual = residual; Bound = bound point residual }

                    history.Add last
                    options.Progress last
                    let certified = certificate <> Certificate.Estimate
                    let allowance = 2.0 * floor point + 1e-9 * residual

                    if (if certified then last.Bound else residual) <= options.Tolerance then
                        finish image Outcome.Converged last
                    elif contracting && certified && residual > modulus * previous + allowance then
                        finish image (Outcome.ClaimRefuted(residual / previous, modulus)) { last with Bound = Double.PositiveInfinity }
                    else
                        if residual < 0.5 * best then
                            best <- residual
                            halved <- applications

                        if certified && (last.Bound <= floor point || applications - halved > patience) then
                            finish image Outcome.PrecisionFloor last
                        else
                            previous <- residual
                            let next = step.Invoke(applications, point, image)
                            operator.Space.Release image
                            operator.Space.Release point
                            point <- next

        operator.Space.Release point
        result.Value

    /// x(k+1) = T x(k). Picard 1890; the bound is that of Banach 1922, in the best metric that the operator claims.
    let picard (options: RunOptions) (operator: Operator<'x>) (start: 'x) : FixedPointResult<'x> =
        run options operator start 1.0 (Step(fun _ _ image -> operator.Space.Copy image))

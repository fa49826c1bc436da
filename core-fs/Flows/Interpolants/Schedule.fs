namespace ValueFlow.Core.Flows

open System

/// A smooth function of time on [0, 1] and its exact derivative: what interpolants are made of.
type Schedule =
    {
        /// The value at t.
        Value: float -> float
        /// The derivative at t; in a singular end point it may be infinite.
        Derivative: float -> float
    }

/// Makes schedules. Sums, products and compositions differentiate themselves by the rules of calculus, so that no derivative is written twice.
[<RequireQualifiedAccess>]
module Schedule =

    /// A schedule from a function and its derivative.
    let create (value: float -> float) (derivative: float -> float) : Schedule = { Value = value; Derivative = derivative }

    /// The same number at all times.
    let constant (value: float) : Schedule = create (fun _ -> value) (fun _ -> 0.0)

    /// t.
    let time: Schedule = create id (fun _ -> 1.0)

    /// 1 - t.
    let remaining: Schedule = create (fun t -> 1.0 - t) (fun _ -> -1.0)

    /// sin(pi t / 2), exact at 0 and 1.
    let quarterSine: Schedule = create (fun t -> Double.SinPi(t / 2.0)) (fun t -> Math.PI / 2.0 * Double.CosPi(t / 2.0))

    /// cos(pi t / 2), exact at 0 and 1.
    let quarterCosine: Schedule = create (fun t -> Double.CosPi(t / 2.0)) (fun t -> -Math.PI / 2.0 * Double.SinPi(t / 2.0))

    /// f + g.
    let add (f: Schedule) (g: Schedule) : Schedule = create (fun t -> f.Value t + g.Value t) (fun t -> f.Derivative t + g.Derivative t)

    /// c f.
    let scale (factor: float) (f: Schedule) : Schedule = create (fun t -> factor * f.Value t) (fun t -> factor * f.Derivative t)

    /// f g.
    let multiply (f: Schedule) (g: Schedule) : Schedule =
        create (fun t -> f.Value t * g.Value t) (fun t -> f.Derivative t * g.Value t + f.Value t * g.Derivative t)

    /// outer(inner(t)).
    let compose (outer: Schedule) (inner: Schedule) : Schedule =
        create (fun t -> outer.Value(inner.Value t)) (fun t -> outer.Derivative(inner.Value t) * inner.Derivative t)

    /// f(1 - t).
    let reverse (f: Schedule) : Schedule = compose f remaining

    /// The derivative by a central difference of fourth order whose window shrinks towards the ends of [0, 1].
    let numericalDerivative (f: float -> float) (t: float) : float =
        let h = 1e-3 * Math.Min(t, 1.0 - t)
        (8.0 * (f (t + h) - f (t - h)) - (f (t + 2.0 * h) - f (t - 2.0 * h))) / (12.0 * h)

    /// The first of 64 times in (0, 1) where the derivative is not the numerical one (relative tolerance 1e-6), with both numbers.
    let disagreement (f: Schedule) : struct (float * float * float) voption =
        Seq.init 64 (fun i -> (float i + 0.5) / 64.0)
        |> Seq.map (fun t -> struct (t, f.Derivative t, numericalDerivative f.Value t))
        |> Seq.tryFind (fun struct (_, claimed, measured) -> not (abs (claimed - measured) <= 1e-6 * (1.0 + abs measured)))
        |> function
            | Some found -> ValueSome found
            | None -> ValueNone

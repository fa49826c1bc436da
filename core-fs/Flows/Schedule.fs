namespace ValueFlow.Core.Flows

/// A smooth function of time on [0, 1] and its exact derivative: what interpolants are made of.
type Schedule =
    {
        /// The value at t.
        Value: float -> float
        /// The derivative at t; in a singular end point it may be infinite.
        Derivative: float -> float
    }

/// Makes schedules.
[<RequireQualifiedAccess>]
module Schedule =

    /// The same number at all times.
    let constant (value: float) : Schedule = { Value = (fun _ -> value); Derivative = fun _ -> 0.0 }

    /// A schedule from a function and its derivative.
    let create (value: float -> float) (derivative: float -> float) : Schedule = { Value = value; Derivative = derivative }

namespace ValueFlow.Core.Dynamics

open System

/// Finds where functions of a step pass zero.
[<RequireQualifiedAccess>]
module internal EventSearch =

    /// Whether a value before and a value after count as a crossing. A value of zero at the start does not: the event is behind.
    let crosses (crossing: Crossing) (before: float) (after: float) : bool =
        let rises, falls = before < 0.0 && after >= 0.0, before > 0.0 && after <= 0.0

        match crossing with
        | Crossing.Rising -> rises
        | Crossing.Falling -> falls
        | Crossing.Either -> rises || falls

    // A bracket of one row: newest, opposite and previous points with their values.
    [<Struct>]
    type private Bracket = { A: float; Fa: float; B: float; Fb: float; C: float; Fc: float; Next: float; Open: bool }

    // Chandrupatla 1997, "A new hybrid quadratic/bisection algorithm for finding the zero of a nonlinear function without using derivatives".
    let private narrow (tolerance: float) (bracket: Bracket) (value: float) : Bracket =
        let x = bracket.A + bracket.Next * (bracket.B - bracket.A)

        let moved =
            if (value > 0.0) = (bracket.Fa > 0.0) then
                { bracket with C = bracket.A; Fc = bracket.Fa; A = x; Fa = value }
            else
                { bracket with C = bracket.B; Fc = bracket.Fb; B = bracket.A; Fb = bracket.Fa; A = x; Fa = value }

        let width = abs (moved.B - moved.A)
        let least = 0.5 * tolerance / width

        if value = 0.0 || width <= tolerance || not (Double.IsFinite value) then
            { moved with Open = false }
        else
            let xi = (moved.A - moved.B) / (moved.C - moved.B)
            let phi = (moved.Fa - moved.Fb) / (moved.Fc - moved.Fb)

            let wanted =
                if phi * phi < xi && (1.0 - phi) * (1.0 - phi) < 1.0 - xi then
                    moved.Fa / (moved.Fb - moved.Fa) * moved.Fc / (moved.Fb - moved.Fc)
                    + (moved.C - moved.A) / (moved.B - moved.A) * moved.Fa / (moved.Fc - moved.Fa) * moved.Fb
                      / (moved.Fc - moved.Fb)
                else
                    0.5

            { moved with Next = Math.Clamp(wanted, Math.Min(least, 0.5), Math.Max(1.0 - least, 0.5)) }

    /// For the rows that cross, the first share of the step found at which the value is no longer on the side it came from, to within the tolerance; for the others 1.
    /// <c>values</c> gives the function for one share for each row.
    let locate (tolerance: float) (values: float[] -> float[]) (before: float[]) (after: float[]) (rows: bool[]) : float[] =
        let brackets =
            Array.init rows.Length (fun i ->
                {
                    A = 1.0
                    Fa = after[i]
                    B = 0.0
                    Fb = before[i]
                    C = 1.0
                    Fc = after[i]
                    Next = 0.5
                    Open = rows[i] && after[i] <> 0.0
                })

        let mutable rounds = 0

        while rounds < 100 && brackets |> Array.exists _.Open do
            let shares = brackets |> Array.map (fun b -> if b.Open then b.A + b.Next * (b.B - b.A) else b.A)
            let found = values shares

            for i in 0 .. rows.Length - 1 do
                if brackets[i].Open then
                    brackets[i] <- narrow tolerance brackets[i] found[i]

            rounds <- rounds + 1

        // The end of the bracket that lies behind the crossing.
        Array.init rows.Length (fun i ->
            let b = brackets[i]

            if not rows[i] then 1.0
            elif b.Fa = 0.0 then b.A
            elif (b.Fa > 0.0) = (before[i] > 0.0) then b.B
            else b.A)

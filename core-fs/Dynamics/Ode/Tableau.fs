namespace ValueFlow.Core.Dynamics

/// One stage of an explicit Runge-Kutta scheme.
type Stage =
    {
        /// c: the share of the step at which the field is taken.
        At: float
        /// a: how much of every earlier stage goes in. As many numbers as there are earlier stages.
        From: float[]
    }

/// What a scheme says about the error of one step, as weights on the stages.
[<RequireQualifiedAccess>]
type ErrorEstimate =
    /// Nothing: the scheme needs a constant step.
    | Absent
    /// h sum_j e_j k_j: the difference to the embedded solution.
    | Embedded of weights: float[]
    /// Two differences, blended as |e5|^2 / sqrt(|e5|^2 + 0.01 |e3|^2) (Hairer, Norsett and Wanner 1993, II.10).
    | Blended of fifth: float[] * third: float[]

/// Dense output: x(t + theta h) = x + h sum_j w_j(theta) k_j for theta in [0, 1].
type StepInterpolant =
    {
        /// The order of the values between the steps, as the step goes to zero.
        Order: int
        /// Stages that are needed only here; they follow the scheme's own.
        Stages: Stage[]
        /// The first of these stages is the slope at the end of the step, and so the first stage of the next.
        EndSlope: bool
        /// w_j as coefficients of theta, theta^2, ...: one row for each stage, the extra ones included.
        Weights: float[][]
    }

/// An explicit Runge-Kutta scheme as data.
type Scheme =
    {
        /// The name in reports.
        Name: string
        /// Where the coefficients come from.
        Source: string
        /// a and c.
        Stages: Stage[]
        /// b: x + h sum_j b_j k_j is the end of the step.
        Weights: float[]
        /// The global error is O(h^Order) on smooth fields.
        Order: int
        /// The error estimate is O(h^(EmbeddedOrder + 1)) for one step; zero where there is none.
        EmbeddedOrder: int
        /// The error estimate.
        Error: ErrorEstimate
        /// The last stage is the slope at the end of the step, and so the first stage of the next.
        FirstSameAsLast: bool
        /// Dense output.
        StepInterpolant: StepInterpolant
    }

    /// Evaluations of the field in a step, once the first is made.
    member scheme.EvaluationsPerStep = if scheme.FirstSameAsLast then scheme.Stages.Length - 1 else scheme.Stages.Length

/// Polynomials in the share theta of a step, as weights on the stages.
[<RequireQualifiedAccess>]
module internal StepInterpolant =

    let private multiply (p: float[]) (q: float[]) : float[] =
        let product = Array.zeroCreate (p.Length + q.Length - 1)
        p |> Array.iteri (fun i a -> q |> Array.iteri (fun j b -> product[i + j] <- product[i + j] + a * b))
        product

    /// The product of polynomials; coefficients from the constant on.
    let product (factors: float[] list) : float[] = factors |> List.fold multiply [| 1.0 |]

    /// theta^i (1 - theta)^j.
    let private bump (i: int) (j: int) : float[] = product (List.replicate i [| 0.0; 1.0 |] @ List.replicate j [| 1.0; -1.0 |])

    /// The cubic of Hermite through both ends, with both slopes, and corrections that leave these as they are:
    /// theta dx + theta (1 - theta) (h k_first - dx) + theta^2 (1 - theta) (2 dx - h k_first - h k_end) + theta^2 (1 - theta)^2 c_1 + theta^3 (1 - theta)^2 c_2 + ...
    /// Hairer, Norsett and Wanner 1993, II.6.
    let hermite (weights: float[]) (last: int) (corrections: float[] list) : float[][] =
        let first = Array.init weights.Length (fun j -> if j = 0 then 1.0 else 0.0)
        let final = Array.init weights.Length (fun j -> if j = last then 1.0 else 0.0)

        let cubic =
            [
                bump 1 0, weights
                bump 1 1, Array.map2 (-) first weights
                bump 2 1, Array.map3 (fun b f e -> 2.0 * b - f - e) weights first final
            ]

        let more = corrections |> List.mapi (fun n correction -> bump (2 + (n + 1) / 2) (2 + n / 2), correction)
        let parts = cubic @ more
        let degree = parts |> List.map (fun (p, _) -> p.Length - 1) |> List.max

        Array.init weights.Length (fun j ->
            Array.init degree (fun power ->
                parts |> List.sumBy (fun (p, weight) -> if power + 1 < p.Length then p[power + 1] * weight[j] else 0.0)))

    /// The values w_j(theta).
    let at (interpolant: StepInterpolant) (theta: float) : float[] =
        interpolant.Weights
        |> Array.map (fun row -> theta * Array.foldBack (fun coefficient rest -> coefficient + theta * rest) row 0.0)

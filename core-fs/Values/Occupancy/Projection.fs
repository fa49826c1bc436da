namespace ValueFlow.Core.Values

open System
open System.Threading
open MathNet.Numerics.LinearAlgebra
open MathNet.Numerics.LinearAlgebra.Double
open ValueFlow.Core.Foundations

/// The nearest point of { d : A d = b, d >= 0 } to a point x in the Euclidean distance.
///
/// It is d = max(0, x + A' p) for prices p that make A d = b, one for each equation: those that minimise the convex function
/// phi(p) = |max(0, x + A' p)|^2 / 2 - b' p. Newton's method on its gradient, which has kinks but no jumps, with a damping that vanishes with the residual and
/// steps that are halved until phi falls, ends after a few solves of the size of the equations, to the last digits.
/// Li, Sun and Toh 2020, "On the efficient computation of a generalized Jacobian of the projector over the Birkhoff polytope".
[<Sealed>]
type Projection private (matrix: DenseMatrix, right: float[], tolerance: float, cancellation: CancellationToken) =

    let rows, columns = matrix.RowCount, matrix.ColumnCount
    let target = DenseVector.OfArray right

    // A d = b by the smallest possible change: what projections start from.
    let factor = (matrix.TransposeAndMultiply matrix).Cholesky()

    let clamped (x: Vector<float>) (prices: Vector<float>) = (x + matrix.TransposeThisAndMultiply prices).PointwiseMaximum 0.0

    // phi, and the point that belongs to the prices.
    let height (x: Vector<float>) (prices: Vector<float>) =
        let point = clamped x prices
        struct (0.5 * point.DotProduct point - target.DotProduct prices, point)

    // A D A' + damping, D the entries that are not clamped.
    let curvature (point: Vector<float>) (damping: float) =
        let result = DenseMatrix.CreateDiagonal(rows, rows, damping)

        for k in 0 .. columns - 1 do
            if point[k] > 0.0 then
                for i in 0 .. rows - 1 do
                    let a = matrix[i, k]

                    if a <> 0.0 then
                        for j in 0 .. rows - 1 do
                            result[i, j] <- result[i, j] + a * matrix[j, k]

        result

    /// The largest |A d - b| at which to stop, relative to the size of x and b.
    member _.Tolerance = tolerance

    /// The nearest point to x. Throws an InvalidOperationException where there seems to be no point with A d = b and d >= 0, an OperationCanceledException if it
    /// was cancelled.
    member _.Project(point: float[]) : float[] =
        Shape.requireLength (nameof point) columns point.Length
        Shape.requireFinite (nameof point) point
        let x: Vector<float> = DenseVector.OfArray point
        let size = 1.0 + x.AbsoluteMaximum() + target.AbsoluteMaximum()
        let mutable prices = factor.Solve(target - matrix * x)
        let mutable struct (phi, nearest) = height x prices
        let mutable residual = target - matrix * nearest
        let mutable best = struct (residual.AbsoluteMaximum(), nearest)
        let mutable round = 0
        let mutable going = residual.AbsoluteMaximum() > tolerance * size

        while going do
            cancellation.ThrowIfCancellationRequested()
            round <- round + 1
            let damping = 1e-3 * Math.Min(1.0, residual.L2Norm()) * Math.Min(1.0, residual.L2Norm()) + 1e-13
            let direction = (curvature nearest damping).Cholesky().Solve residual
            let slope = residual.DotProduct direction
            let before, from = residual.L2Norm(), prices
            let mutable share = 1.0
            let mutable found = false

            // Near the end phi rounds; there it is the residual that must fall.
            while not found && share > 1e-10 do
                let candidate = from + share * direction
                let struct (value, image) = height x candidate
                let left = target - matrix * image

                if value <= phi - 1e-4 * share * slope || left.L2Norm() <= 0.5 * before then
                    prices <- candidate
                    phi <- value
                    nearest <- image
                    residual <- left
                    found <- true
                else
                    share <- 0.5 * share

            let struct (least, _) = best

            if residual.AbsoluteMaximum() < least then
                best <- struct (residual.AbsoluteMaximum(), nearest)

            going <- found && round < 500 && residual.AbsoluteMaximum() > tolerance * size

        let struct (least, answer) = best

        // Rounding may end the descent a little above the tolerance.
        if not (least <= Math.Max(1e3 * tolerance, 1e-9) * size) then
            invalidOp $"the projection left a residual of {least} after {round} rounds: is there a point with A d = b and d >= 0?"

        answer.ToArray()

    /// The projection onto { A d = b, d >= 0 }; A is (equations x entries). Throws an ArgumentException for sizes that do not fit, numbers that are not finite, a
    /// tolerance that is not positive, and equations that depend on one another.
    static member Create(matrix: float[,], right: float[], tolerance: float, cancellation: CancellationToken) : Projection =
        Shape.requireLength (nameof right) (matrix.GetLength 0) right.Length
        Shape.requireFinite (nameof right) right
        matrix |> Seq.cast<float> |> Array.ofSeq |> Shape.requireFinite (nameof matrix)

        if not (tolerance > 0.0) then
            invalidArg (nameof tolerance) $"tolerance must be positive but is {tolerance}"

        try
            Projection(DenseMatrix.OfArray matrix, Array.copy right, tolerance, cancellation)
        with :? ArgumentException ->
            invalidArg (nameof matrix) $"the {matrix.GetLength 0} equations must be independent but are not"

    /// The projection onto the occupancy measures, to 1e-13.
    static member Onto(polytope: OccupancyPolytope, cancellation: CancellationToken) : Projection =
        let states = polytope.Equations
        let matrix = DenseMatrix.Create(states.Length, polytope.Model.RowCount, fun i j -> polytope.Matrix[states[i], j])
        Projection(matrix, states |> Array.map (fun s -> polytope.Starts[s]), 1e-13, cancellation)

namespace ValueFlow.Core.Values

open System
open MathNet.Numerics.LinearAlgebra
open MathNet.Numerics.LinearAlgebra.Double
open ValueFlow.Core.Foundations

/// Features of places (states, or states and actions): a matrix with a row for each place and a column for each feature, whose columns are independent. What it spans
/// are the functions that a linear approximation can take: (Phi theta)(i) = &lt;phi(i), theta&gt;. It never changes.
[<Sealed>]
type Features private (rows: float[][], matrix: Matrix<float>) =

    // The least share of a column that must stand outside the span of the columns before it.
    static let independent = 1e-9

    /// The number of places.
    member _.Places = rows.Length
    /// d: the number of features.
    member _.Count = matrix.ColumnCount

    /// phi(i): the features of a place.
    member _.Item
        with get (place: int): ReadOnlySpan<float> = ReadOnlySpan rows[place]

    member internal _.Rows = rows
    member internal _.Matrix = matrix

    /// The first column that the columns before it span, each row times a factor; -1 if there is none. Gram and Schmidt, twice, for the sake of rounding.
    static member internal Dependent(rows: float[][], factors: float[]) : int =
        let count = rows[0].Length
        let basis = ResizeArray<Vector<float>>()
        let mutable found = -1
        let mutable j = 0

        while found < 0 && j < count do
            let column: Vector<float> = DenseVector.Create(rows.Length, fun i -> factors[i] * rows[i].[j])
            let size = column.L2Norm()
            let mutable left = column

            for _ in 1..2 do
                for direction in basis do
                    left <- left - direction * left.DotProduct direction

            let beside = left.L2Norm()

            if not (beside > independent * size) then found <- j else basis.Add(left / beside)

            j <- j + 1

        found

    /// The features of the rows, one for each place. Throws an ArgumentException that names the place: there is no place or no feature, a row differs in length from the first, a
    /// number is not finite, or a column is a combination of those before it.
    static member Create(rows: float[][]) : Features =
        if rows.Length = 0 then
            invalidArg (nameof rows) "there must be at least one place but there is none"

        let count = rows[0].Length

        if count = 0 then
            invalidArg (nameof rows) "there must be at least one feature but place 0 has none"

        for i in 0 .. rows.Length - 1 do
            if rows[i].Length <> count then
                invalidArg (nameof rows) $"place {i} must have {count} features like place 0 but has {rows[i].Length}"

            for j in 0 .. count - 1 do
                if not (Double.IsFinite rows[i].[j]) then
                    invalidArg (nameof rows) $"feature {j} of place {i} must be finite but is {rows[i].[j]}"

        match Features.Dependent(rows, Array.create rows.Length 1.0) with
        | -1 -> ()
        | j -> invalidArg (nameof rows) $"features must be independent but feature {j} is a combination of those before it"

        let rows = rows |> Array.map Array.copy
        Features(rows, DenseMatrix.Create(rows.Length, count, fun i j -> rows[i].[j]))

    /// The features that a function gives each of so many places.
    static member OfFunction(places: int, featureOf: int -> float[]) : Features = Features.Create(Array.init (max 0 places) featureOf)

    /// The features of a model's states; those of a terminal state count as zero, as its value is, and are not asked for.
    static member OfStates(model: Model, featureOf: int -> float[]) : Features =
        let some = Array.init model.StateCount (fun s -> if model.IsTerminal s then [||] else featureOf s)

        match some |> Array.tryFind (fun row -> row.Length > 0) with
        | None -> invalidArg (nameof featureOf) "there must be a state with actions and features but there is none"
        | Some first -> Features.Create(some |> Array.mapi (fun s row -> if model.IsTerminal s then Array.zeroCreate first.Length else row))

    /// Phi theta: for each place the sum of its features times the weights.
    member this.Values(weights: float[]) : float[] =
        Shape.requireLength (nameof weights) this.Count weights.Length

        rows
        |> Array.map (fun row ->
            let mutable sum = 0.0

            for j in 0 .. row.Length - 1 do
                sum <- sum + row[j] * weights[j]

            sum)

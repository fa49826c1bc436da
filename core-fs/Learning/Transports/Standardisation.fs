namespace ValueFlow.Core.Learning

open System
open TorchSharp
open ValueFlow.Core.Foundations

/// x = mean + deviation z, column by column: data in their own units as numbers z of mean zero and variance one.
type Standardisation =
    private
        {
            mean: float[]
            deviation: float[]
        }

    /// Where z = 0 lies, in the units of each column.
    member this.Mean: float[] = Array.copy this.mean
    /// What z = 1 is worth, in the units of each column; positive.
    member this.Deviation: float[] = Array.copy this.deviation
    /// Numbers in a row.
    member this.Dimension: int = this.mean.Length
    /// log |dx/dz|, the sum of the deviations' logarithms: log p(x) = log p(z) - LogVolume.
    member this.LogVolume: float = this.deviation |> Array.sumBy log

/// Makes standardisations, and applies them.
[<RequireQualifiedAccess>]
module Standardisation =

    /// From means and deviations; throws an ArgumentException unless they are as many, finite, and the deviations positive.
    let create (mean: float[]) (deviation: float[]) : Standardisation =
        Shape.requireLength (nameof deviation) mean.Length deviation.Length
        Shape.requireFinite (nameof mean) mean
        Shape.requireFinite (nameof deviation) deviation

        if mean.Length = 0 then
            invalidArg (nameof mean) "there must be at least one column but there is none"

        match deviation |> Array.tryFindIndex (fun value -> not (value > 0.0)) with
        | Some column -> invalidArg (nameof deviation) $"column {column} must be positive but is {deviation[column]}"
        | None -> { mean = Array.copy mean; deviation = Array.copy deviation }

    /// The mean of each column and its deviation (root mean square about the mean). Throws an ArgumentException unless there are at least two rows of one length, all numbers are
    /// finite, and every column varies by more than rounding.
    let ofRows (rows: float[][]) : Standardisation =
        if rows.Length < 2 then
            invalidArg (nameof rows) $"there must be at least 2 rows but there are {rows.Length}"

        let width = rows[0].Length

        rows
        |> Array.iteri (fun i row ->
            if row.Length <> width then
                invalidArg (nameof rows) $"row {i} must have {width} numbers, as row 0 has, but has {row.Length}"

            match row |> Array.tryFindIndex (Double.IsFinite >> not) with
            | Some column -> invalidArg (nameof rows) $"row {i}, column {column} must be finite but is {row[column]}"
            | None -> ())

        let count = float rows.Length
        // Shares of the sum, so that no sum of large numbers overflows.
        let mean = Array.init width (fun column -> rows |> Array.sumBy (fun row -> row[column] / count))

        let deviation =
            Array.init width (fun column ->
                let gaps = rows |> Array.map (fun row -> row[column] - mean[column])
                let largest = gaps |> Array.fold (fun most gap -> Math.Max(most, abs gap)) 0.0
                let size = rows |> Array.fold (fun most row -> Math.Max(most, abs row[column])) 0.0

                if not (largest > 1e-13 * size) then
                    invalidArg (nameof rows) $"column {column} must vary but is {rows[0].[column]} in every row"

                largest * sqrt (gaps |> Array.sumBy (fun gap -> gap / largest * (gap / largest) / count)))

        create mean deviation

    let private spread (numbers: float[]) : torch.Tensor = (torch.tensor numbers).unsqueeze 0L

    let private require (scale: Standardisation) (rows: torch.Tensor) : unit =
        Shape.require "x" [ -1L; int64 scale.Dimension ] rows
        Shape.requireType "x" torch.float64 rows

    /// z (B, d) of rows x (B, d) in float64.
    let apply (scale: Standardisation) (x: torch.Tensor) : torch.Tensor =
        require scale x
        Lifetime.keep (fun () -> (x.sub (spread scale.mean)).div(spread scale.deviation))

    /// x (B, d) of rows z (B, d) in float64.
    let invert (scale: Standardisation) (z: torch.Tensor) : torch.Tensor =
        require scale z
        Lifetime.keep (fun () -> Elementwise.sum (z.mul (spread scale.deviation)) (spread scale.mean))

    /// dx (B, d) of directions dz (B, d) in float64: no mean is added.
    let stretch (scale: Standardisation) (dz: torch.Tensor) : torch.Tensor =
        require scale dz
        Lifetime.keep (fun () -> dz.mul (spread scale.deviation))

    /// z of plain rows, in float32, row by row: what a network learns from.
    let toFloat32 (scale: Standardisation) (rows: float[][]) : float32[] =
        rows
        |> Array.collect (fun row ->
            Shape.requireLength (nameof rows) scale.Dimension row.Length
            Array.init row.Length (fun column -> float32 ((row[column] - scale.mean[column]) / scale.deviation[column])))

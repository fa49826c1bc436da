namespace ValueFlow.Studies

open System

/// Images in a row.
type ImageRow =
    {
        /// What they are, at the left of the row.
        Caption: string
        /// The images; each has its pixels row by row from the top left. Not a number for a pixel that is unknown.
        Images: float[][]
    }

/// Small grey images in rows: black for low, white for high, what is beyond cut off. Refused with an ArgumentException: no rows, a row
/// without images, images that are not width x height (1 to 256 each), infinite pixels, low that is not below high.
[<Sealed>]
type ImageFigure(title: string, width: int, height: int, rows: ImageRow[], low: float, high: float) =
    inherit Figure(title)

    do
        FigureInput.within "width" $"width of '{title}'" 1.0 256.0 (float width)
        FigureInput.within "height" $"height of '{title}'" 1.0 256.0 (float height)
        FigureInput.finite "low" "(low, high)" [| low; high |]

        if not (low < high) then
            invalidArg "low" $"low must lie below high but they are {low} and {high}"

        FigureInput.some "rows" $"rows of '{title}'" rows

        for row in rows do
            FigureInput.some "rows" $"images of row '{row.Caption}'" row.Images

            row.Images
            |> Array.iteri (fun k image ->
                FigureInput.sameLength "rows" $"image {k} of row '{row.Caption}'" (width * height) image

                match image |> Array.tryFindIndex Double.IsInfinity with
                | Some i -> invalidArg "rows" $"pixel {i} of image {k} of row '{row.Caption}' must not be infinite but is {image[i]}"
                | None -> ())

    /// Pixels across.
    member _.Width = width
    /// Pixels down.
    member _.Height = height
    /// The rows, the first at the top.
    member _.Rows = rows
    /// The value of black.
    member _.Low = low
    /// The value of white.
    member _.High = high

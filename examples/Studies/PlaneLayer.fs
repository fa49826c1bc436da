namespace ValueFlow.Studies

open System
open System.Runtime.InteropServices

/// The colours of layers, told apart by the colour-blind. Okabe and Ito 2008, Color universal design.
type LayerColour =
    /// The next colour that no other name has.
    | Automatic = -1
    /// Blue.
    | Blue = 0
    /// Vermilion.
    | Vermilion = 1
    /// Bluish green.
    | Green = 2
    /// Reddish purple.
    | Purple = 3
    /// Orange.
    | Orange = 4
    /// Sky blue.
    | Sky = 5
    /// Grey, for what stands in the background.
    | Grey = 6
    /// Black.
    | Black = 7

/// A rectangle in the plane, [XLow, XHigh] x [YLow, YHigh].
[<Struct>]
type PlaneLimits =
    {
        /// Left.
        XLow: float
        /// Right.
        XHigh: float
        /// Bottom.
        YLow: float
        /// Top.
        YHigh: float
    }

    /// The smallest rectangle around both.
    static member Around(a: PlaneLimits, b: PlaneLimits) =
        {
            XLow = min a.XLow b.XLow
            XHigh = max a.XHigh b.XHigh
            YLow = min a.YLow b.YLow
            YHigh = max a.YHigh b.YHigh
        }

    /// The smallest rectangle around points; at least one is needed.
    static member Around(x: float[], y: float[]) = { XLow = Array.min x; XHigh = Array.max x; YLow = Array.min y; YHigh = Array.max y }

    /// The rectangle [xLow, xHigh] x [yLow, yHigh]; refused with an ArgumentException unless finite, low below high.
    static member Of(xLow: float, xHigh: float, yLow: float, yHigh: float) =
        FigureInput.finite "limits" "limits (xLow, xHigh, yLow, yHigh)" [| xLow; xHigh; yLow; yHigh |]

        if not (xLow < xHigh && yLow < yHigh) then
            invalidArg "limits" $"limits must have low below high but are [{xLow}, {xHigh}] x [{yLow}, {yHigh}]"

        { XLow = xLow; XHigh = xHigh; YLow = yLow; YHigh = yHigh }

/// What lies on a plane. Layers of one name are one entry of the legend in one colour, in all panels; no name, no entry.
[<AbstractClass>]
type PlaneLayer(name: string, colour: LayerColour) =
    do
        if not (Enum.IsDefined colour) then
            invalidArg "colour" $"colour of '{name}' must be a known colour but is {int colour}"

    /// The name in the legend, with its unit if there is one.
    member _.Name = name
    /// The colour.
    member _.Colour = colour
    /// The smallest rectangle around it.
    abstract Extent: PlaneLimits

/// A cloud of points (x, y). Size (radius in pixels, 0 to 50) and opacity (0 to 1) of zero are chosen by the number of points. Refused with
/// an ArgumentException: no points, lengths that differ, numbers that are not finite.
[<Sealed>]
type PointLayer
    (
        name: string,
        x: float[],
        y: float[],
        [<Optional; DefaultParameterValue(LayerColour.Automatic)>] colour: LayerColour,
        [<Optional; DefaultParameterValue(0.0)>] size: float,
        [<Optional; DefaultParameterValue(0.0)>] opacity: float
    ) =
    inherit PlaneLayer(name, colour)

    do
        FigureInput.some "x" $"x of points '{name}'" x
        FigureInput.sameLength "y" $"y of points '{name}'" x.Length y
        FigureInput.finite "x" $"x of points '{name}'" x
        FigureInput.finite "y" $"y of points '{name}'" y
        FigureInput.within "size" $"size of points '{name}'" 0.0 50.0 size
        FigureInput.within "opacity" $"opacity of points '{name}'" 0.0 1.0 opacity

    let extent = PlaneLimits.Around(x, y)
    /// Across.
    member _.X = x
    /// Up.
    member _.Y = y
    /// The radius in pixels of an 800-pixel picture; zero chooses by the number of points.
    member _.Size = size
    /// From 0 to 1; zero chooses by the number of points.
    member _.Opacity = opacity
    override _.Extent = extent

/// Paths: path k visits (x[k][i], y[k][i]) in order. With times its colour follows times[k][i], and a colour bar tells the time. Refused
/// with an ArgumentException: no paths, a path without points, lengths that differ, numbers that are not finite.
[<Sealed>]
type PathLayer
    (
        name: string,
        x: float[][],
        y: float[][],
        [<Optional; DefaultParameterValue(LayerColour.Automatic)>] colour: LayerColour,
        [<Optional; DefaultParameterValue(null: float[][] | null)>] times: float[][] | null,
        [<Optional; DefaultParameterValue("time")>] timeLabel: string
    ) =
    inherit PlaneLayer(name, colour)

    let times =
        match times with
        | null -> [||]
        | some -> some

    do
        FigureInput.some "x" $"x of paths '{name}'" x
        FigureInput.sameLength "y" $"y of paths '{name}'" x.Length y

        for k in 0 .. x.Length - 1 do
            FigureInput.some "x" $"x[{k}] of paths '{name}'" x[k]
            FigureInput.sameLength "y" $"y[{k}] of paths '{name}'" x[k].Length y[k]
            FigureInput.finite "x" $"x[{k}] of paths '{name}'" x[k]
            FigureInput.finite "y" $"y[{k}] of paths '{name}'" y[k]

        if times.Length > 0 then
            FigureInput.sameLength "times" $"times of paths '{name}'" x.Length times

            for k in 0 .. x.Length - 1 do
                FigureInput.sameLength "times" $"times[{k}] of paths '{name}'" x[k].Length times[k]
                FigureInput.finite "times" $"times[{k}] of paths '{name}'" times[k]

    let extent =
        Array.map2 (fun (a: float[]) b -> PlaneLimits.Around(a, b)) x y
        |> Array.reduce (fun a b -> PlaneLimits.Around(a, b))

    /// Across, path by path.
    member _.X = x
    /// Up, path by path.
    member _.Y = y
    /// The time at each point; empty for paths of one colour.
    member _.Times = times
    /// What the colour of a timed path measures, with its unit.
    member _.TimeLabel = timeLabel
    override _.Extent = extent

/// Arrows (u, v) centred at (x, y), their length proportional to |(u, v)|; the longest is as long as the arrows' distance, and the legend
/// gives its size. Refused with an ArgumentException: no arrows, lengths that differ, numbers that are not finite.
[<Sealed>]
type ArrowLayer
    (
        name: string,
        x: float[],
        y: float[],
        u: float[],
        v: float[],
        [<Optional; DefaultParameterValue(LayerColour.Automatic)>] colour: LayerColour
    ) =
    inherit PlaneLayer(name, colour)

    do
        FigureInput.some "x" $"x of arrows '{name}'" x

        for part, values in [ "x", x; "y", y; "u", u; "v", v ] do
            FigureInput.sameLength part $"{part} of arrows '{name}'" x.Length values
            FigureInput.finite part $"{part} of arrows '{name}'" values

    let extent = PlaneLimits.Around(x, y)
    /// Across.
    member _.X = x
    /// Up.
    member _.Y = y
    /// The arrow's part to the right.
    member _.U = u
    /// The arrow's part upwards.
    member _.V = v
    override _.Extent = extent

/// A function on a grid: values[i, j] belongs to the j-th of the columns from left to right and the i-th of the rows from bottom to top;
/// the outermost lie on the extent. Filled contours with about that many levels (2 to 64; they lie at round numbers), or a smooth heat map for 0. The name is the colour
/// bar's label, with its unit. Values of both signs are coloured around zero. Refused with an ArgumentException: fewer than 2 x 2 values,
/// numbers that are not finite.
[<Sealed>]
type DensityLayer(name: string, extent: PlaneLimits, values: float[,], [<Optional; DefaultParameterValue(10)>] levels: int) =
    inherit PlaneLayer(name, LayerColour.Automatic)

    do
        PlaneLimits.Of(extent.XLow, extent.XHigh, extent.YLow, extent.YHigh) |> ignore

        if isNull (box values) || Array2D.length1 values < 2 || Array2D.length2 values < 2 then
            let found = if isNull (box values) then "nothing" else $"{Array2D.length1 values} x {Array2D.length2 values}"
            invalidArg "values" $"values of density '{name}' must be at least 2 x 2 but are {found}"

        values
        |> Array2D.iteri (fun i j value ->
            if not (Double.IsFinite value) then
                invalidArg "values" $"values[{i}, {j}] of density '{name}' must be a finite number but is {value}")

        if levels <> 0 then
            FigureInput.within "levels" $"levels of density '{name}'" 2.0 64.0 (float levels)

    /// The values, rows from bottom to top.
    member _.Values = values
    /// About how many colours; 0 for a smooth heat map.
    member _.Levels = levels
    override _.Extent = extent

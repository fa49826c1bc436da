namespace ValueFlow.Studies

open System.Runtime.InteropServices

/// A named curve, with an optional band.
type Series =
    {
        /// The name in the legend.
        Name: string
        /// Where it is measured.
        X: float[]
        /// What is measured; not a number for a gap.
        Y: float[]
        /// The band's lower edge; empty for none.
        Low: float[]
        /// The band's upper edge; empty for none.
        High: float[]
    }

/// Curves over an axis. On a logarithmic axis what is not positive is a gap. Refused with an ArgumentException: no series, series whose
/// arrays differ in length, a place that is no finite number, reference slopes without two logarithmic axes.
[<Sealed>]
type LineFigure
    (
        title: string,
        xLabel: string,
        yLabel: string,
        series: Series[],
        logarithmic: bool,
        [<Optional; DefaultParameterValue(false)>] logarithmicX: bool,
        [<Optional; DefaultParameterValue(false)>] errorBars: bool,
        [<Optional; DefaultParameterValue(null: float[] | null)>] slopes: float[] | null
    ) =
    inherit Figure(title)

    let slopes =
        match slopes with
        | null -> [||]
        | some -> some

    do
        FigureInput.some "series" "series" series

        for s in series do
            let place = $"of series '{s.Name}'"
            FigureInput.finite "series" $"X {place}" s.X
            FigureInput.sameLength "series" $"Y {place}" s.X.Length s.Y
            FigureInput.given "series" $"Low {place}" s.Low
            FigureInput.sameLength "series" $"High {place}" s.Low.Length s.High

            if s.Low.Length > 0 then
                FigureInput.sameLength "series" $"Low {place}" s.X.Length s.Low

        FigureInput.finite "slopes" "slopes" slopes

        if slopes.Length > 0 && not (logarithmic && logarithmicX) then
            invalidArg
                "slopes"
                $"slopes must be drawn on two logarithmic axes but logarithmic is {logarithmic} and logarithmicX is {logarithmicX}"

    /// The horizontal axis, with its unit.
    member _.XLabel = xLabel
    /// The vertical axis, with its unit.
    member _.YLabel = yLabel
    /// The curves.
    member _.Series = series
    /// True for a logarithmic vertical axis.
    member _.Logarithmic = logarithmic
    /// True for a logarithmic horizontal axis.
    member _.LogarithmicX = logarithmicX
    /// True if Low and High are bars at each point, false if they are a band.
    member _.ErrorBars = errorBars
    /// Straight lines y = c x^p to read orders by, one for each p: each beside the curve that is closest to it in slope.
    member _.Slopes = slopes

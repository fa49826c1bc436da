namespace ValueFlow.Studies

open System.Runtime.InteropServices

module internal Limits =
    let private margin (limits: PlaneLimits) =
        let side = max (limits.XHigh - limits.XLow) (limits.YHigh - limits.YLow)
        // One point has no side: a unit square around it, or what is wide enough to be told apart at its distance from zero.
        let size = max (abs limits.XLow) (abs limits.YLow)
        let m = if side > 1e-9 * size then 0.04 * side else 0.5 * max 1.0 (1e-3 * size)

        {
            XLow = limits.XLow - m
            XHigh = limits.XHigh + m
            YLow = limits.YLow - m
            YHigh = limits.YHigh + m
        }

    /// Around all layers, with a margin; only a density reaches up to the frame.
    let ofLayers (layers: PlaneLayer[]) =
        let hull = Array.reduce (fun (a: PlaneLimits) b -> PlaneLimits.Around(a, b))
        let densities, others = layers |> Array.partition (fun layer -> layer :? DensityLayer)
        let all = layers |> Array.map _.Extent |> hull

        if densities.Length = 0 then
            margin all
        else
            let density = densities |> Array.map _.Extent |> hull

            if all = density then
                density
            else
                PlaneLimits.Around(density, others |> Array.map _.Extent |> hull |> margin)

/// Layers in a plane, the later upon the earlier, with one scale for both axes. Refused with an ArgumentException: no layers.
[<Sealed>]
type PlaneFigure private (title: string, xLabel: string, yLabel: string, layers: PlaneLayer[], limits: PlaneLimits voption) =
    inherit Figure(title)
    do FigureInput.some "layers" $"layers of '{title}'" layers

    let limits =
        match limits with
        | ValueSome given -> given
        | ValueNone -> Limits.ofLayers layers

    /// The rectangle that shows all layers.
    new(title, xLabel, yLabel, layers) = PlaneFigure(title, xLabel, yLabel, layers, ValueNone)
    /// The horizontal axis, with its unit.
    member _.XLabel = xLabel
    /// The vertical axis, with its unit.
    member _.YLabel = yLabel
    /// What is drawn, from the bottom up.
    member _.Layers = layers
    /// What is shown; where one side is more than three times the other, more is shown.
    member _.Limits = limits

    /// The same layers within the given rectangle; what lies outside is cut off.
    member _.Within(xLow: float, xHigh: float, yLow: float, yHigh: float) =
        PlaneFigure(title, xLabel, yLabel, layers, ValueSome(PlaneLimits.Of(xLow, xHigh, yLow, yHigh)))

/// Planes side by side, row by row, with the same limits, legend and colour bars; each is headed by its own title. Columns of 0 are chosen
/// by the number of panels. Refused with an ArgumentException: no panels, more than 24, panels whose axes have different labels.
[<Sealed>]
type PanelFigure(title: string, panels: PlaneFigure[], [<Optional; DefaultParameterValue(0)>] columns: int) =
    inherit Figure(title)

    do
        FigureInput.some "panels" $"panels of '{title}'" panels
        FigureInput.within "panels" $"the number of panels of '{title}'" 1.0 24.0 (float panels.Length)
        FigureInput.within "columns" $"columns of '{title}'" 0.0 8.0 (float columns)

        for k in 1 .. panels.Length - 1 do
            if panels[k].XLabel <> panels[0].XLabel || panels[k].YLabel <> panels[0].YLabel then
                invalidArg
                    "panels"
                    $"panels[{k}] of '{title}' must have the axes '{panels[0].XLabel}' and '{panels[0].YLabel}' but has '{panels[k].XLabel}' and '{panels[k].YLabel}'"

    let columns =
        if columns > 0 then
            min columns panels.Length
        elif panels.Length <= 5 then
            panels.Length
        else
            // As even as rows of at most four can be.
            let rows = (panels.Length + 3) / 4
            (panels.Length + rows - 1) / rows

    let limits = panels |> Array.map _.Limits |> Array.reduce (fun a b -> PlaneLimits.Around(a, b))
    /// The panels, row by row.
    member _.Panels = panels
    /// Panels in a row.
    member _.Columns = columns
    /// What every panel shows: the smallest rectangle around the limits of all.
    member _.Limits = limits

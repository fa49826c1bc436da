namespace ValueFlow.Studies

/// Values on a grid, with arrows and marks. Refused with an ArgumentException: no cells, and values, arrows or marks that are not one for
/// each cell.
[<Sealed>]
type MapFigure(title: string, unit': string, rows: int, columns: int, values: float[], arrows: struct (int * int)[], marks: char[]) =
    inherit Figure(title)

    do
        if rows < 1 || columns < 1 then
            invalidArg "rows" $"rows and columns must be positive but are {rows} and {columns}"

        FigureInput.sameLength "values" "values" (rows * columns) values
        FigureInput.sameLength "arrows" "arrows" (rows * columns) arrows
        FigureInput.sameLength "marks" "marks" (rows * columns) marks

    /// What the colours measure, with its unit.
    member _.Unit = unit'
    /// Rows, the first at the top.
    member _.Rows = rows
    /// Columns.
    member _.Columns = columns
    /// For each cell its value; not a number for a cell without one.
    member _.Values = values
    /// For each cell an arrow (right, down), or (0, 0) for none.
    member _.Arrows = arrows
    /// For each cell its mark.
    member _.Marks = marks

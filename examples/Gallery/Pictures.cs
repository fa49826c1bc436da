using ScottPlot;
using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>Draws figures that come as data: all alike, legible at 800 pixels, in colours that the colour-blind tell apart.</summary>
internal static class Pictures
{
    private const int Width = 800;
    private static readonly IPalette Palette = new ScottPlot.Palettes.ColorblindFriendly();

    public static byte[] Draw(Figure figure) =>
        figure switch
        {
            LineFigure lines => Lines(lines),
            MapFigure map => Map(map),
            _ => throw new ArgumentException($"a figure must be lines or a map but is {figure.GetType().Name}", nameof(figure)),
        };

    private static Plot Prepared(string title)
    {
        Plot plot = new() { ScaleFactor = 1.1 };
        plot.Title(title, 18);
        plot.Axes.Bottom.Label.FontSize = 15;
        plot.Axes.Left.Label.FontSize = 15;
        plot.Axes.Bottom.TickLabelStyle.FontSize = 13;
        plot.Axes.Left.TickLabelStyle.FontSize = 13;
        plot.FigureBackground.Color = Colors.White;
        return plot;
    }

    private static byte[] Lines(LineFigure figure)
    {
        var plot = Prepared(figure.Title);
        double Scaled(double y) => figure.Logarithmic ? Math.Log10(Math.Max(y, 1e-300)) : y;
        // Markers that tell curves apart where they lie upon each other.
        MarkerShape[] shapes = [MarkerShape.FilledCircle, MarkerShape.FilledSquare, MarkerShape.FilledTriangleUp, MarkerShape.FilledDiamond, MarkerShape.Cross];
        LinePattern[] patterns = [LinePattern.Solid, LinePattern.Dashed, LinePattern.DenselyDashed, LinePattern.Dotted, LinePattern.Solid];

        for (int i = 0; i < figure.Series.Length; i++)
        {
            var series = figure.Series[i];
            var color = Palette.GetColor(i);
            var finite = Enumerable.Range(0, series.X.Length).Where(k => double.IsFinite(series.Y[k])).ToArray();
            double[] x = [.. finite.Select(k => series.X[k])];
            if (series.Low.Length > 0)
            {
                var band = plot.Add.FillY(x, [.. finite.Select(k => Scaled(series.Low[k]))], [.. finite.Select(k => Scaled(series.High[k]))]);
                band.FillColor = color.WithAlpha(0.2);
                band.LineWidth = 0;
            }

            var line = plot.Add.Scatter(x, finite.Select(k => Scaled(series.Y[k])).ToArray());
            line.Color = color;
            line.LineWidth = 2.5f;
            line.LinePattern = patterns[i % patterns.Length];
            line.MarkerShape = x.Length <= 40 ? shapes[i % shapes.Length] : MarkerShape.None;
            line.MarkerSize = 8;
            line.LegendText = series.Name;
        }

        plot.XLabel(figure.XLabel);
        plot.YLabel(figure.YLabel);
        if (figure.Logarithmic)
        {
            plot.Axes.Left.TickGenerator = new ScottPlot.TickGenerators.NumericAutomatic
            {
                LabelFormatter = exponent => $"1e{exponent:0}",
                IntegerTicksOnly = true,
            };
        }

        plot.Legend.FontSize = 14;
        plot.ShowLegend(Edge.Bottom);
        plot.Axes.Margins(0.04, 0.1);
        return plot.GetImageBytes(Width, 500, ImageFormat.Png);
    }

    private static byte[] Map(MapFigure figure)
    {
        var plot = Prepared(figure.Title);
        double[,] cells = new double[figure.Rows, figure.Columns];
        for (int i = 0; i < figure.Values.Length; i++)
        {
            cells[i / figure.Columns, i % figure.Columns] = figure.Values[i];
        }

        var heat = plot.Add.Heatmap(cells);
        heat.Colormap = new ScottPlot.Colormaps.Viridis();
        heat.NaNCellColor = Colors.LightGray;
        var bar = plot.Add.ColorBar(heat);
        bar.Label = figure.Unit;
        bar.LabelStyle.FontSize = 14;

        var finite = figure.Values.Where(double.IsFinite).DefaultIfEmpty(0).ToArray();
        double middle = 0.5 * (finite.Min() + finite.Max());
        // One size of text that fits a cell.
        float size = Math.Clamp(560f / figure.Columns / 4f, 9f, 17f);
        for (int i = 0; i < figure.Values.Length; i++)
        {
            double x = i % figure.Columns;
            double y = figure.Rows - 1 - (i / figure.Columns);
            var ink = double.IsFinite(figure.Values[i]) && figure.Values[i] < middle ? Colors.White : Colors.Black;
            var (right, down) = figure.Arrows[i];
            if (right != 0 || down != 0)
            {
                var arrow = plot.Add.Arrow(x - (0.2 * right), y - 0.1 + (0.17 * down), x + (0.2 * right), y - 0.1 - (0.17 * down));
                arrow.ArrowFillColor = ink;
                arrow.ArrowLineColor = ink;
                arrow.ArrowLineWidth = 0;
                arrow.ArrowWidth = size / 4.5f;
                arrow.ArrowheadWidth = size * 0.8f;
                arrow.ArrowheadLength = size * 0.7f;
                arrow.ArrowheadAxisLength = size * 0.7f;
            }

            if (figure.Marks[i] != ' ')
            {
                var mark = plot.Add.Text(figure.Marks[i].ToString(), x - 0.42, y + 0.44);
                mark.LabelFontColor = ink;
                mark.LabelBold = true;
                mark.LabelFontSize = size;
                mark.LabelAlignment = Alignment.UpperLeft;
            }

            if (double.IsFinite(figure.Values[i]))
            {
                var value = plot.Add.Text(Short(figure.Values[i]), x + 0.46, y + 0.44);
                value.LabelFontColor = ink;
                value.LabelFontSize = size * 0.82f;
                value.LabelAlignment = Alignment.UpperRight;
            }
        }

        plot.Axes.Left.TickGenerator = new ScottPlot.TickGenerators.NumericManual(
            [.. Enumerable.Range(0, figure.Rows).Select(row => (double)(figure.Rows - 1 - row))],
            [.. Enumerable.Range(0, figure.Rows).Select(row => row.ToString())]
        );
        plot.Axes.Bottom.TickGenerator = new ScottPlot.TickGenerators.NumericManual(
            [.. Enumerable.Range(0, figure.Columns).Select(column => (double)column)],
            [.. Enumerable.Range(0, figure.Columns).Select(column => column.ToString())]
        );
        string[] legend =
        [
            .. figure.Marks.Distinct().Where(mark => Meaning(mark) is not null).Select(mark => $"{mark} {Meaning(mark)}"),
            .. figure.Arrows.Any(arrow => arrow != (0, 0)) ? ["arrow: decision"] : Array.Empty<string>(),
        ];
        plot.XLabel(legend.Length == 0 ? "column" : $"column\n{string.Join("   ", legend)}");
        plot.YLabel("row");
        plot.HideGrid();
        plot.Axes.SetLimits(-0.5, figure.Columns - 0.5, -0.5, figure.Rows - 0.5);
        int height = (int)Math.Clamp(170 + (560.0 * figure.Rows / figure.Columns), 330, 700);
        return plot.GetImageBytes(Width, height, ImageFormat.Png);
    }

    private static string Short(double value) =>
        Math.Abs(value) >= 1000 ? value.ToString("0.#e0") : Math.Abs(value) >= 10 ? value.ToString("0.0") : value.ToString("0.00");

    private static string? Meaning(char mark) =>
        mark switch
        {
            'S' => "start",
            'G' => "goal",
            'H' => "hole",
            'C' => "cliff",
            '#' => "wall",
            _ => null,
        };
}

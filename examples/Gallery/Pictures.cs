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

    // A range that can be told apart on an axis: values that differ by rounding alone are one value.
    private static (double Low, double High) Distinct(IEnumerable<double> values)
    {
        double[] finite = [.. values.Where(double.IsFinite)];
        if (finite.Length == 0)
        {
            return (-1, 1);
        }

        double low = finite.Min();
        double high = finite.Max();
        double least = 1e-6 * Math.Max(1e-3, Math.Max(Math.Abs(low), Math.Abs(high)));
        return high - low >= least ? (low, high) : (low - (1e4 * least), high + (1e4 * least));
    }

    // Whole numbers at round distances, at most twenty of them.
    private static ScottPlot.TickGenerators.NumericManual Whole(int count, Func<int, double> place)
    {
        int distance = new[] { 1, 2, 5, 10, 20, 50, 100, 200, 500 }.First(step => count <= 20 * step || step == 500);
        int[] shown = [.. Enumerable.Range(0, count).Where(i => i % distance == 0)];
        return new([.. shown.Select(place)], [.. shown.Select(i => i.ToString())]);
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

        if (figure.XLabel.EndsWith("(number)", StringComparison.Ordinal) || figure.XLabel.EndsWith("(count)", StringComparison.Ordinal))
        {
            plot.Axes.Bottom.TickGenerator = new ScottPlot.TickGenerators.NumericAutomatic { IntegerTicksOnly = true };
        }

        plot.Legend.FontSize = 14;
        plot.ShowLegend(Edge.Bottom);
        plot.Axes.Margins(0.04, 0.1);
        // Room for half of the last number.
        plot.Axes.Right.MinimumSize = 32;
        if (!figure.Logarithmic)
        {
            var (low, high) = Distinct(figure.Series.SelectMany(series => series.Y.Concat(series.Low).Concat(series.High)));
            plot.Axes.SetLimitsY(low - (0.1 * (high - low)), high + (0.1 * (high - low)));
        }

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
        var (low, high) = Distinct(figure.Values);
        heat.ManualRange = new ScottPlot.Range(low, high);
        var bar = plot.Add.ColorBar(heat);
        bar.Label = figure.Unit;
        bar.LabelStyle.FontSize = 14;
        // Wide enough for the longest number beside its label.
        bar.MinimumSize = 112;
        bar.MaximumSize = 112;

        double middle = low + (0.499 * (high - low));
        float cell = 560f / Math.Max(figure.Columns, figure.Rows);
        bool hasText = cell >= 34;
        bool hasArrows = cell >= 13;
        // One size of text that fits a cell.
        float size = Math.Clamp(560f / figure.Columns / 4f, 9f, 17f);
        for (int i = 0; i < figure.Values.Length; i++)
        {
            double x = i % figure.Columns;
            double y = figure.Rows - 1 - (i / figure.Columns);
            var ink = double.IsFinite(figure.Values[i]) && figure.Values[i] < middle ? Colors.White : Colors.Black;
            var (right, down) = figure.Arrows[i];
            if (hasArrows && (right != 0 || down != 0))
            {
                double centre = hasText ? y - 0.1 : y;
                var arrow = plot.Add.Arrow(x - (0.2 * right), centre + (0.17 * down), x + (0.2 * right), centre - (0.17 * down));
                arrow.ArrowFillColor = ink;
                arrow.ArrowLineColor = ink;
                arrow.ArrowLineWidth = 0;
                arrow.ArrowWidth = size / 4.5f;
                arrow.ArrowheadWidth = size * 0.8f;
                arrow.ArrowheadLength = size * 0.7f;
                arrow.ArrowheadAxisLength = size * 0.7f;
            }

            if (hasArrows && figure.Marks[i] != ' ')
            {
                var mark = plot.Add.Text(figure.Marks[i].ToString(), x - 0.42, y + 0.44);
                mark.LabelFontColor = ink;
                mark.LabelBold = true;
                mark.LabelFontSize = size;
                mark.LabelAlignment = Alignment.UpperLeft;
            }

            if (hasText && double.IsFinite(figure.Values[i]))
            {
                var value = plot.Add.Text(Short(figure.Values[i]), x + 0.46, y + 0.44);
                value.LabelFontColor = ink;
                value.LabelFontSize = size * 0.82f;
                value.LabelAlignment = Alignment.UpperRight;
            }
        }

        plot.Axes.Left.TickGenerator = Whole(figure.Rows, row => figure.Rows - 1 - row);
        plot.Axes.Bottom.TickGenerator = Whole(figure.Columns, column => column);
        string[] legend =
        [
            .. figure.Marks.Distinct().Where(mark => Meaning(mark) is not null).Select(mark => $"{mark} {Meaning(mark)}"),
            .. hasArrows && figure.Arrows.Any(arrow => arrow != (0, 0)) ? ["arrow: decision"] : Array.Empty<string>(),
            "colour: value",
        ];
        plot.XLabel($"column\n{string.Join("   ", legend)}");
        plot.YLabel("row");
        plot.HideGrid();
        plot.Axes.SetLimits(-0.5, figure.Columns - 0.5, -0.5, figure.Rows - 0.5);
        int height = (int)Math.Clamp(170 + (560.0 * figure.Rows / figure.Columns), 330, 700);
        return plot.GetImageBytes(Width, height, ImageFormat.Png);
    }

    // Three digits at most; what is not nothing does not look like it.
    private static string Short(double value) =>
        Math.Abs(value) switch
        {
            < 1e-9 => "0",
            < 0.01 => value.ToString("0.#e0"),
            < 10 => value.ToString("0.00"),
            < 1000 => value.ToString("0.0"),
            _ => value.ToString("0.#e0"),
        };

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

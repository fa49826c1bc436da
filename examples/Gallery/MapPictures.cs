using ScottPlot;
using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>Draws values on a grid, with arrows and marks.</summary>
internal static class MapPictures
{
    public static byte[] Draw(MapFigure figure)
    {
        var plot = Pictures.Prepared(figure.Title);
        double[,] cells = new double[figure.Rows, figure.Columns];
        for (int i = 0; i < figure.Values.Length; i++)
        {
            cells[i / figure.Columns, i % figure.Columns] = figure.Values[i];
        }

        var heat = plot.Add.Heatmap(cells);
        heat.Colormap = new ScottPlot.Colormaps.Viridis();
        heat.NaNCellColor = Colors.LightGray;
        var (low, high) = Pictures.Distinct(figure.Values);
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
        return plot.GetImageBytes(Pictures.Width, height, ImageFormat.Png);
    }

    // Whole numbers at round distances, at most twenty of them.
    private static ScottPlot.TickGenerators.NumericManual Whole(int count, Func<int, double> place)
    {
        int distance = new[] { 1, 2, 5, 10, 20, 50, 100, 200, 500 }.First(step => count <= 20 * step || step == 500);
        int[] shown = [.. Enumerable.Range(0, count).Where(i => i % distance == 0)];
        return new([.. shown.Select(place)], [.. shown.Select(i => i.ToString())]);
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
            'L' => "lava",
            '#' => "wall",
            _ => null,
        };
}

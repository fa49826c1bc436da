using ScottPlot;
using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>Draws curves, with bands or error bars, and slopes to read orders by.</summary>
internal static class LinePictures
{
    private const int Height = 500;
    private static readonly IPalette Palette = new ScottPlot.Palettes.ColorblindFriendly();

    // Markers and patterns that tell curves apart where they lie upon each other.
    private static readonly MarkerShape[] Shapes =
        [MarkerShape.FilledCircle, MarkerShape.FilledSquare, MarkerShape.FilledTriangleUp, MarkerShape.FilledDiamond, MarkerShape.Cross];

    private static readonly LinePattern[] Patterns =
        [LinePattern.Solid, LinePattern.Dashed, LinePattern.DenselyDashed, LinePattern.Dotted, LinePattern.Solid];

    // A curve as it is drawn: gaps left out, logarithms taken.
    private sealed record Curve(string Name, double[] X, double[] Y, double[] Low, double[] High);

    public static byte[] Draw(LineFigure figure)
    {
        var plot = Pictures.Prepared(figure.Title);
        Curve[] curves = [.. figure.Series.Select(series => Scaled(series, figure))];
        for (int i = 0; i < curves.Length; i++)
        {
            Add(plot, curves[i], i, figure.ErrorBars);
        }

        plot.XLabel(figure.XLabel);
        plot.YLabel(figure.YLabel);
        bool counts = figure.XLabel.EndsWith("(number)", StringComparison.Ordinal) || figure.XLabel.EndsWith("(count)", StringComparison.Ordinal);
        if (counts && !figure.LogarithmicX)
        {
            plot.Axes.Bottom.TickGenerator = new ScottPlot.TickGenerators.NumericAutomatic { IntegerTicksOnly = true };
        }

        plot.Legend.FontSize = 14;
        plot.ShowLegend(Edge.Bottom);
        plot.Axes.Margins(0.04, 0.1);
        // Room for half of the last number.
        plot.Axes.Right.MinimumSize = 32;
        Slopes(plot, figure, curves);
        var (low, high) = Pictures.Distinct(curves.SelectMany(curve => curve.Y.Concat(curve.Low).Concat(curve.High)));
        (low, high) = (low - (0.1 * (high - low)), high + (0.1 * (high - low)));
        plot.Axes.SetLimitsY(low, high);
        if (figure.Logarithmic)
        {
            plot.Axes.Left.TickGenerator = Decades(low, high);
        }

        if (figure.LogarithmicX)
        {
            var (left, right) = Pictures.Distinct(curves.SelectMany(curve => curve.X));
            double margin = 0.04 * (right - left);
            plot.Axes.SetLimitsX(left - margin, right + margin);
            plot.Axes.Bottom.TickGenerator = Decades(left - margin, right + margin);
        }

        return plot.GetImageBytes(Pictures.Width, Height, ImageFormat.Png);
    }

    private static Curve Scaled(Series series, LineFigure figure)
    {
        double X(double x) => figure.LogarithmicX ? Math.Log10(x) : x;
        double Y(double y) => figure.Logarithmic ? Math.Log10(y) : y;
        int[] drawn = [.. Enumerable.Range(0, series.X.Length).Where(k => double.IsFinite(X(series.X[k])) && double.IsFinite(Y(series.Y[k])))];
        // A band that reaches to zero reaches to the bottom of a logarithmic axis, which is a decade below the curve.
        double floor = figure.Logarithmic && drawn.Length > 0 ? drawn.Min(k => Y(series.Y[k])) - 1 : double.NegativeInfinity;
        double Edge(double y) => figure.Logarithmic && !(y > 0) ? floor : Math.Max(floor, Y(y));
        bool banded = series.Low.Length > 0;
        return new(
            series.Name,
            [.. drawn.Select(k => X(series.X[k]))],
            [.. drawn.Select(k => Y(series.Y[k]))],
            banded ? [.. drawn.Select(k => Edge(series.Low[k]))] : [],
            banded ? [.. drawn.Select(k => Edge(series.High[k]))] : []
        );
    }

    private static void Add(Plot plot, Curve curve, int index, bool errorBars)
    {
        var color = Palette.GetColor(index);
        if (curve.Low.Length > 0 && errorBars)
        {
            double[] below = [.. curve.Y.Zip(curve.Low, (y, low) => Math.Max(0, y - low))];
            double[] above = [.. curve.Y.Zip(curve.High, (y, high) => Math.Max(0, high - y))];
            plot.Add.Plottable(new ScottPlot.Plottables.ErrorBar(curve.X, curve.Y, null, null, below, above) { Color = color, LineWidth = 1.5f, CapSize = 5 });
        }
        else if (curve.Low.Length > 0)
        {
            var band = plot.Add.FillY(curve.X, curve.Low, curve.High);
            band.FillColor = color.WithAlpha(0.2);
            band.LineWidth = 0;
        }

        var line = plot.Add.Scatter(curve.X, curve.Y);
        line.Color = color;
        line.LineWidth = 2.5f;
        line.LinePattern = Patterns[index % Patterns.Length];
        line.MarkerShape = curve.X.Length <= 40 ? Shapes[index % Shapes.Length] : MarkerShape.None;
        line.MarkerSize = 8;
        line.LegendText = curve.Name;
    }

    // Each slope beside the curve whose own slope is closest to it, shifted a little below.
    private static void Slopes(Plot plot, LineFigure figure, Curve[] curves)
    {
        Curve[] usable = [.. curves.Where(curve => curve.X.Distinct().Count() > 1)];
        if (usable.Length == 0)
        {
            return;
        }

        double span = usable.Max(curve => curve.Y.Max()) - usable.Min(curve => curve.Y.Min());
        foreach (double slope in figure.Slopes)
        {
            var curve = usable.MinBy(candidate => Math.Abs(Slope(candidate) - slope))!;
            double left = curve.X.Min();
            double right = curve.X.Max();
            // Below the curve at both ends.
            double offset = curve.X.Zip(curve.Y, (x, y) => y - (slope * x)).Min() - (0.05 * Math.Max(span, 1e-6));
            var guide = plot.Add.Line(left, offset + (slope * left), right, offset + (slope * right));
            guide.LineColor = Colors.Gray;
            guide.LineWidth = 1.5f;
            guide.LinePattern = LinePattern.DenselyDashed;
            double middle = left + (0.5 * (right - left));
            var text = plot.Add.Text(FormattableString.Invariant($"slope {slope:0.##}"), middle, offset + (slope * middle));
            text.LabelFontSize = 13;
            text.LabelFontColor = Colors.DimGray;
            text.LabelAlignment = slope >= 0 ? Alignment.UpperLeft : Alignment.UpperRight;
            text.OffsetX = slope >= 0 ? 4 : -4;
        }
    }

    private static double Slope(Curve curve)
    {
        double x = curve.X.Average();
        double y = curve.Y.Average();
        return curve.X.Zip(curve.Y, (a, b) => (a - x) * (b - y)).Sum() / curve.X.Sum(a => (a - x) * (a - x));
    }

    // Powers of ten, at most about ten of them; with 2 and 5 where there are few.
    private static ScottPlot.TickGenerators.NumericManual Decades(double low, double high)
    {
        ScottPlot.TickGenerators.NumericManual ticks = new();
        int step = Math.Max(1, (int)Math.Ceiling((high - low) / 10));
        double[] digits = high - low < 2.2 ? [1, 2, 5] : [1];
        for (int exponent = (int)Math.Floor(low); exponent <= high; exponent++)
        {
            for (int digit = 1; digit <= 9; digit++)
            {
                double at = exponent + Math.Log10(digit);
                if (at < low || at > high)
                {
                    continue;
                }

                if (digits.Contains(digit) && exponent % step == 0)
                {
                    ticks.AddMajor(at, $"{digit}e{exponent}");
                }
                else if (step == 1)
                {
                    ticks.AddMinor(at);
                }
            }
        }

        return ticks;
    }
}

using System.Globalization;
using Microsoft.FSharp.Core;
using ScottPlot;
using ValueFlow.Core.Foundations;

namespace ValueFlow;

/// <summary>Draws laws of returns, in colours that the colour-blind tell apart (Okabe and Ito 2008, Color universal design).</summary>
internal static class ReturnPictures
{
    private const int MostBars = 250;
    private const int Bins = 50;
    internal static readonly Color Blue = Color.FromHex("#0072B2");
    private static readonly Color Vermilion = Color.FromHex("#D55E00");
    private static readonly Color Sky = Color.FromHex("#56B4E9");

    // The first that is installed: what a machine takes by itself has serifs on some.
    private static readonly string[] Typefaces = ["Segoe UI", "Helvetica Neue", "Arial", "Liberation Sans", "Noto Sans", "DejaVu Sans"];

    public static Plot OfLaw(ReturnDistribution law, double share, Tail tail)
    {
        double tailMean = law.Cvar(share, tail);
        var plot = Prepared();
        var (places, binOf, width) = Bars(law);
        double[] heights = new double[places.Length], inTail = new double[places.Length];
        double left = share;
        foreach (int i in tail == Tail.Lower ? Enumerable.Range(0, law.Atoms.Count) : Enumerable.Range(0, law.Atoms.Count).Reverse())
        {
            // The tail takes a part of the outcome at its edge.
            double taken = Math.Min(left, law.Probabilities[i]);
            left -= taken;
            heights[binOf(i)] += law.Probabilities[i];
            inTail[binOf(i)] += taken;
        }

        foreach (var (values, colour) in new[] { (heights, Blue), (inTail, Vermilion) })
        {
            int[] own = [.. Enumerable.Range(0, places.Length).Where(i => values[i] > 0)];
            foreach (var bar in plot.Add.Bars(own.Select(i => places[i]).ToArray(), own.Select(i => values[i]).ToArray()).Bars)
            {
                bar.Size = width;
                bar.LineWidth = 0;
                bar.FillColor = colour;
            }
        }

        double height = heights.Max();
        Mark(plot, law.Mean, Colors.Black, LinePattern.Solid, $"mean {Number(law.Mean)}");
        string words = tail == Tail.Lower ? "lowest" : "highest";
        Mark(plot, tailMean, Vermilion, LinePattern.Dashed, $"mean of the {words} {Number(100 * share)}%: {Number(tailMean)}");
        var (low, high) = Range(places, width);
        var steps = plot.Add.Scatter(
            law.Atoms.Prepend(low).Append(high).ToArray(),
            law.Atoms.Select(law.Cdf).Prepend(0).Append(1).ToArray()
        );
        steps.ConnectStyle = ConnectStyle.StepHorizontal;
        steps.MarkerSize = 0;
        steps.LineWidth = 1.5f;
        steps.Color = Colors.Gray;
        steps.LegendText = "probability of it or less (right)";
        steps.Axes.YAxis = plot.Axes.Right;
        plot.XLabel("return");
        plot.YLabel(law.Atoms.Count == places.Length ? "probability" : $"probability, in bins of width {Number(width)}");
        plot.Axes.Right.Label.Text = "probability of it or less";
        plot.Axes.SetLimits(low, high, 0, 1.05 * height);
        plot.Axes.SetLimitsY(0, 1.05, plot.Axes.Right);
        Explain(plot);
        return plot;
    }

    /// <summary>Quantile bands along places that are named.</summary>
    public static Plot OfBands(IReadOnlyList<ReturnDistribution> laws, IReadOnlyList<string> names)
    {
        var plot = Prepared();
        double[] x = [.. Enumerable.Range(0, laws.Count).Select(i => (double)i)];
        double[] At(double level) => [.. laws.Select(law => law.Quantile(level))];
        foreach (var (low, high, opacity, text) in new[] { (0.05, 0.95, 0.25, "5% to 95%"), (0.25, 0.75, 0.5, "25% to 75%") })
        {
            var band = plot.Add.FillY(x, At(low), At(high));
            band.FillColor = Sky.WithOpacity(opacity);
            band.LineWidth = 0;
            band.MarkerSize = 0;
            band.LegendText = text;
        }

        foreach (var (values, colour, pattern, text) in new[]
        {
            (At(0.5), Blue, LinePattern.Solid, "median"),
            (laws.Select(law => law.Mean).ToArray(), Colors.Black, LinePattern.Dashed, "mean"),
            (laws.Select(law => law.Cvar(0.1)).ToArray(), Vermilion, LinePattern.Dotted, "mean of the lowest 10%"),
        })
        {
            var line = plot.Add.Scatter(x, values);
            line.Color = colour;
            line.LineWidth = 2;
            line.LinePattern = pattern;
            line.MarkerSize = laws.Count <= 30 ? 5 : 0;
            line.LegendText = text;
        }

        int every = Math.Max(1, (laws.Count + 11) / 12);
        double[] ticks = [.. x.Where(i => (int)i % every == 0)];
        plot.Axes.Bottom.SetTicks(ticks, [.. ticks.Select(i => names[(int)i])]);
        plot.XLabel("state, along the path");
        plot.YLabel("return from the state on");
        plot.Axes.Margins(0.03, 0.08);
        Explain(plot);
        return plot;
    }

    public static void Save(string path, int width, int height, Func<Plot> draw)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 100);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 100);
        string extension = Path.GetExtension(path).ToLowerInvariant();
        Func<Plot, byte[]> render = extension switch
        {
            ".png" => plot => plot.GetImageBytes(width, height, ImageFormat.Png),
            ".jpg" or ".jpeg" => plot => plot.GetImageBytes(width, height, ImageFormat.Jpeg),
            ".webp" => plot => plot.GetImageBytes(width, height, ImageFormat.Webp),
            ".svg" => plot => System.Text.Encoding.UTF8.GetBytes(plot.GetSvgXml(width, height)),
            _ => throw new ArgumentException($"the extension must be .png, .jpg, .webp or .svg but is '{extension}'", nameof(path)),
        };
        byte[] picture = render(draw());
        AtomicFile.write(path, FuncConvert.FromAction<Stream>(stream => stream.Write(picture)));
    }

    /// <summary>An empty plot in the house's type and colours.</summary>
    public static Plot Prepared()
    {
        Plot plot = new();
        plot.Font.Set(Array.Find(Typefaces, SkiaSharp.SKFontManager.Default.FontFamilies.Contains) ?? Fonts.Default);
        plot.FigureBackground.Color = Colors.White;
        foreach (var axis in new IAxis[] { plot.Axes.Bottom, plot.Axes.Left, plot.Axes.Right })
        {
            axis.Label.FontSize = 15;
            axis.Label.Bold = false;
            axis.TickLabelStyle.FontSize = 13;
        }

        return plot;
    }

    // Bars at the outcomes where they can be told apart, else bins of equal width: their middles, the one of each outcome, and how wide they are.
    private static (double[] Places, Func<int, int> Of, double Width) Bars(ReturnDistribution law)
    {
        double[] atoms = [.. law.Atoms];
        double range = law.Maximum - law.Minimum;
        if (!(range > 1e-9 * Math.Max(Math.Abs(law.Minimum), Math.Abs(law.Maximum))))
        {
            return ([law.Mean], _ => 0, 0.2 * Math.Max(1, 0.1 * Math.Abs(law.Mean)));
        }

        double gap = atoms.Zip(atoms.Skip(1), (a, b) => b - a).Min();
        if (gap >= range / MostBars)
        {
            return (atoms, i => i, Math.Min(gap >= range / Bins ? 0.8 * gap : gap, range / 20));
        }

        double width = range / Bins;
        return (
            [.. Enumerable.Range(0, Bins).Select(i => law.Minimum + ((i + 0.5) * width))],
            i => Math.Min(Bins - 1, (int)((atoms[i] - law.Minimum) / width)),
            width
        );
    }

    private static (double Low, double High) Range(double[] places, double width)
    {
        double margin = Math.Max(0.04 * (places[^1] - places[0]), width);
        return (places[0] - margin, places[^1] + margin);
    }

    private static void Mark(Plot plot, double x, Color colour, LinePattern pattern, string text)
    {
        var line = plot.Add.VerticalLine(x, 2, colour, pattern);
        line.LegendText = text;
    }

    internal static void Explain(Plot plot)
    {
        var legend = plot.ShowLegend(Edge.Bottom).Legend;
        legend.FontSize = 13;
        legend.ShadowColor = Colors.Transparent;
        legend.OutlineColor = Colors.Transparent;
    }

    private static string Number(double x) => x.ToString("G4", CultureInfo.InvariantCulture);
}

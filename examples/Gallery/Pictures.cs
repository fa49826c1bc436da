using ScottPlot;
using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>Draws figures that come as data: all alike, legible at 800 pixels, in colours that the colour-blind tell apart.</summary>
internal static class Pictures
{
    /// <summary>The width at which everything is legible, in pixels.</summary>
    public const int Width = 800;

    // The first that is installed: what a machine takes by itself has serifs on some.
    private static readonly string[] Typefaces = ["Segoe UI", "Helvetica Neue", "Arial", "Liberation Sans", "Noto Sans", "DejaVu Sans"];

    static Pictures() => Fonts.Default = Typeface;

    /// <summary>The typeface of all pictures.</summary>
    public static string Typeface { get; } = Array.Find(Typefaces, SkiaSharp.SKFontManager.Default.FontFamilies.Contains) ?? Fonts.Default;

    public static byte[] Draw(Figure figure) =>
        figure switch
        {
            LineFigure lines => LinePictures.Draw(lines),
            MapFigure map => MapPictures.Draw(map),
            PlaneFigure plane => PlanePictures.Draw(plane),
            PanelFigure panels => PlanePictures.Draw(panels),
            ImageFigure images => ImagePictures.Draw(images),
            _ => throw new ArgumentException($"a figure must be lines, a map, a plane, panels or images but is {figure.GetType().Name}", nameof(figure)),
        };

    /// <summary>An empty plot in the common style.</summary>
    public static Plot Prepared(string title)
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

    /// <summary>A range that can be told apart on an axis: values that differ by rounding alone are one value.</summary>
    public static (double Low, double High) Distinct(IEnumerable<double> values)
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
}

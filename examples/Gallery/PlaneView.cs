using SkiaSharp;
using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>A rectangle of the plane upon a rectangle of the picture, with one scale for both axes.</summary>
internal sealed record PlaneView(PlaneLimits Limits, SKRect Frame)
{
    /// <summary>Pixels for a unit of the plane.</summary>
    public double Scale => Frame.Width / (Limits.XHigh - Limits.XLow);

    public float X(double x) => (float)(Frame.Left + ((x - Limits.XLow) * Scale));

    public float Y(double y) => (float)(Frame.Bottom - ((y - Limits.YLow) * Scale));

    /// <summary>At least a third as wide as high, and as high as wide: the shorter side is widened around its middle.</summary>
    public static PlaneLimits Legible(PlaneLimits limits)
    {
        double width = limits.XHigh - limits.XLow;
        double height = limits.YHigh - limits.YLow;
        double x = 0.5 * Math.Max(0, (height / 3) - width);
        double y = 0.5 * Math.Max(0, (width / 3) - height);
        return new(limits.XLow - x, limits.XHigh + x, limits.YLow - y, limits.YHigh + y);
    }

    /// <summary>Frame, grid and ticks; numbers only where they are asked for.</summary>
    public void DrawAxes(SKCanvas canvas, bool numbersBelow, bool numbersLeft)
    {
        using SKPaint line = new() { Color = new SKColor(0x44, 0x44, 0x44), IsStroke = true, StrokeWidth = 1, IsAntialias = true };
        foreach (double tick in Ticks(Limits.XLow, Limits.XHigh, Frame.Width, 46))
        {
            canvas.DrawLine(X(tick), Frame.Bottom, X(tick), Frame.Bottom + 4, line);
            if (numbersBelow)
            {
                Lettering.Write(canvas, Number(tick), X(tick), Frame.Bottom + 15, Lettering.Tick);
            }
        }

        foreach (double tick in Ticks(Limits.YLow, Limits.YHigh, Frame.Height, 34))
        {
            canvas.DrawLine(Frame.Left - 4, Y(tick), Frame.Left, Y(tick), line);
            if (numbersLeft)
            {
                Lettering.Write(canvas, Number(tick), Frame.Left - 8, Y(tick), Lettering.Tick, SKTextAlign.Right);
            }
        }

        canvas.DrawRect(Frame, line);
    }

    /// <summary>Fine lines at the ticks.</summary>
    public void DrawGrid(SKCanvas canvas)
    {
        using SKPaint line = new() { Color = new SKColor(0xEC, 0xEC, 0xEC), IsStroke = true, StrokeWidth = 1, IsAntialias = true };
        foreach (double tick in Ticks(Limits.XLow, Limits.XHigh, Frame.Width, 46))
        {
            canvas.DrawLine(X(tick), Frame.Top, X(tick), Frame.Bottom, line);
        }

        foreach (double tick in Ticks(Limits.YLow, Limits.YHigh, Frame.Height, 34))
        {
            canvas.DrawLine(Frame.Left, Y(tick), Frame.Right, Y(tick), line);
        }
    }

    /// <summary>Round numbers (1, 2 or 5 times a power of ten apart), as many as fit at a distance of pixels.</summary>
    public static double[] Ticks(double low, double high, float length, float distance)
    {
        double least = (high - low) * distance / length;
        double power = Math.Pow(10, Math.Floor(Math.Log10(least)));
        double step = power * new[] { 1.0, 2, 5, 10 }.First(digit => digit * power >= least * (1 - 1e-9));
        double first = Math.Ceiling((low - (1e-9 * step)) / step);
        double last = Math.Floor((high + (1e-9 * step)) / step);
        return [.. Enumerable.Range(0, (int)(last - first) + 1).Select(i => (first + i) * step)];
    }

    /// <summary>A number at a tick, without the digits that rounding left.</summary>
    public static string Number(double value) => value == 0 ? "0" : Math.Round(value, 12).ToString("G5").Replace('-', '−');
}

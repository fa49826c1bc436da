using System.Globalization;
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

    /// <summary>The distance of ticks: one for both axes, at most about nine on the longer, and the numbers do not touch.</summary>
    public double Step
    {
        get
        {
            float distance = Math.Max(24, Math.Max(Frame.Width, Frame.Height) / 9.5f);
            for (double step = Round(distance / Scale); ; step = Round(1.01 * step))
            {
                if (Within(Limits.XLow, Limits.XHigh, step).All(tick => Lettering.Width(Number(tick, step), Lettering.Tick) + 9 <= step * Scale) || step > 10 * (Limits.XHigh - Limits.XLow))
                {
                    return step;
                }
            }
        }
    }

    /// <summary>The width of the widest number at the left, in pixels.</summary>
    public float NumbersWidth
    {
        get
        {
            double step = Step;
            return Within(Limits.YLow, Limits.YHigh, step).Select(tick => Lettering.Width(Number(tick, step), Lettering.Tick)).DefaultIfEmpty(0).Max();
        }
    }

    /// <summary>Frame and ticks; numbers only where they are asked for.</summary>
    public void DrawAxes(SKCanvas canvas, bool numbersBelow, bool numbersLeft)
    {
        using SKPaint line = new() { Color = new SKColor(0x44, 0x44, 0x44), IsStroke = true, StrokeWidth = 1, IsAntialias = true };
        double step = Step;
        foreach (double tick in Within(Limits.XLow, Limits.XHigh, step))
        {
            canvas.DrawLine(X(tick), Frame.Bottom, X(tick), Frame.Bottom + 4, line);
            if (numbersBelow)
            {
                Lettering.Write(canvas, Number(tick, step), X(tick), Frame.Bottom + 15, Lettering.Tick);
            }
        }

        foreach (double tick in Within(Limits.YLow, Limits.YHigh, step))
        {
            canvas.DrawLine(Frame.Left - 4, Y(tick), Frame.Left, Y(tick), line);
            if (numbersLeft)
            {
                Lettering.Write(canvas, Number(tick, step), Frame.Left - 8, Y(tick), Lettering.Tick, SKTextAlign.Right);
            }
        }

        canvas.DrawRect(Frame, line);
    }

    /// <summary>Fine lines at the ticks.</summary>
    public void DrawGrid(SKCanvas canvas)
    {
        using SKPaint line = new() { Color = new SKColor(0xEC, 0xEC, 0xEC), IsStroke = true, StrokeWidth = 1, IsAntialias = true };
        double step = Step;
        foreach (double tick in Within(Limits.XLow, Limits.XHigh, step))
        {
            canvas.DrawLine(X(tick), Frame.Top, X(tick), Frame.Bottom, line);
        }

        foreach (double tick in Within(Limits.YLow, Limits.YHigh, step))
        {
            canvas.DrawLine(Frame.Left, Y(tick), Frame.Right, Y(tick), line);
        }
    }

    /// <summary>The least of 1, 2 and 5 times a power of ten that is no less.</summary>
    public static double Round(double least)
    {
        double power = Math.Pow(10, Math.Floor(Math.Log10(least)));
        return power * new[] { 1.0, 2, 5, 10 }.First(digit => digit * power >= least * (1 - 1e-9));
    }

    /// <summary>The multiples of a step from low to high.</summary>
    public static double[] Within(double low, double high, double step)
    {
        double first = Math.Ceiling((low - (1e-9 * step)) / step);
        double last = Math.Floor((high + (1e-9 * step)) / step);
        return [.. Enumerable.Range(0, Math.Max(0, (int)(last - first) + 1)).Select(i => (first + i) * step)];
    }

    /// <summary>A multiple of a step, with as many decimals as the step has.</summary>
    public static string Number(double value, double step)
    {
        int decimals = Math.Max(0, -(int)Math.Floor(Math.Log10(step) + 1e-9));
        string text =
            decimals > 5 || Math.Abs(value) >= 1e7
                ? (Math.Abs(value) < 0.5 * step ? 0 : value).ToString("0.#####e0", CultureInfo.InvariantCulture)
                : Math.Round(value, decimals).ToString($"F{decimals}", CultureInfo.InvariantCulture);
        return text == "-0" ? "0" : text.Replace('-', '\u2212');
    }
}

using SkiaSharp;

namespace ValueFlow.Gallery;

/// <summary>Text on a canvas, in the typeface of all pictures.</summary>
internal static class Lettering
{
    /// <summary>The size of a title, in pixels.</summary>
    public const float Title = 20;

    /// <summary>The size of labels of axes and of the legend, in pixels.</summary>
    public const float Label = 16;

    /// <summary>The size of numbers at ticks, in pixels.</summary>
    public const float Tick = 14;

    /// <summary>Draws text whose middle line lies at y; turned is upwards.</summary>
    public static void Write(SKCanvas canvas, string text, float x, float y, float size, SKTextAlign align = SKTextAlign.Center, bool bold = false, bool turned = false)
    {
        using SKFont font = Font(size, bold);
        using SKPaint ink = new() { Color = new SKColor(0x22, 0x22, 0x22), IsAntialias = true };
        canvas.Save();
        canvas.Translate(x, y);
        if (turned)
        {
            canvas.RotateDegrees(-90);
        }

        // Capitals reach about 0.72 of the size above the base line.
        canvas.DrawText(text, 0, 0.36f * size, align, font, ink);
        canvas.Restore();
    }

    /// <summary>Draws text that is made smaller, by a third at most, and then cut, to fit a width.</summary>
    public static void WriteFitting(SKCanvas canvas, string text, float x, float y, float size, float width, bool bold = false, bool turned = false)
    {
        float needed = Width(text, size, bold);
        float fitting = needed <= width ? size : Math.Max(size * 0.67f, size * width / needed);
        string shown = text;
        while (shown.Length > 1 && Width(shown, fitting, bold) > width)
        {
            shown = shown[..^2] + "…";
        }

        Write(canvas, shown, x, y, fitting, SKTextAlign.Center, bold, turned);
    }

    /// <summary>The width of text, in pixels.</summary>
    public static float Width(string text, float size, bool bold = false)
    {
        using SKFont font = Font(size, bold);
        return font.MeasureText(text);
    }

    private static SKFont Font(float size, bool bold) =>
        new(ScottPlot.Fonts.GetTypeface(Pictures.Typeface, bold, false), size) { Subpixel = true, Edging = SKFontEdging.Antialias, Hinting = SKFontHinting.None };
}

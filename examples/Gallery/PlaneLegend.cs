using SkiaSharp;
using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>The legend below planes, and colour bars beside them.</summary>
internal static class PlaneLegend
{
    /// <summary>The height of a line of the legend, in pixels.</summary>
    public const float Line = 26;

    private const float Symbol = 26;
    private const float Gap = 8;
    private const float Between = 26;
    private const float BarWidth = 18;

    /// <summary>An entry: the layer that stands for its name, its text and its colours.</summary>
    public sealed record Entry(PlaneLayer Layer, string Text, SKColor Colour, Colouring? Times)
    {
        public float Width => Symbol + Gap + Lettering.Width(Text, Lettering.Label);
    }

    /// <summary>Entries in lines that fit a width.</summary>
    public static List<List<Entry>> Lines(IEnumerable<Entry> entries, float width)
    {
        List<List<Entry>> lines = [];
        float used = float.PositiveInfinity;
        foreach (var entry in entries)
        {
            if (used + Between + entry.Width > width)
            {
                lines.Add([]);
                used = -Between;
            }

            lines[^1].Add(entry);
            used += Between + entry.Width;
        }

        return lines;
    }

    /// <summary>Draws a line of the legend around a middle.</summary>
    public static void Draw(SKCanvas canvas, List<Entry> line, float middle, float y)
    {
        float x = middle - (0.5f * (line.Sum(entry => entry.Width) + (Between * (line.Count - 1))));
        foreach (var entry in line)
        {
            DrawSymbol(canvas, entry, x, y);
            Lettering.Write(canvas, entry.Text, x + Symbol + Gap, y, Lettering.Label, SKTextAlign.Left);
            x += entry.Width + Between;
        }
    }

    private static void DrawSymbol(SKCanvas canvas, Entry entry, float x, float y)
    {
        using SKPaint paint = new() { Color = entry.Colour, IsAntialias = true, StrokeWidth = 2.5f };
        switch (entry.Layer)
        {
            case PointLayer:
                canvas.DrawCircle(x + Symbol - 7, y, 5.5f, paint);
                break;
            case ArrowLayer:
                PlaneLayers.Arrow(canvas, x + (0.5f * Symbol), y, Symbol, 0, entry.Colour);
                break;
            default:
                int steps = entry.Times is null ? 1 : 26;
                for (int i = 0; i < steps; i++)
                {
                    paint.Color = entry.Times is { } times ? times.Smooth(times.High - ((i + 0.5) / steps * (times.High - times.Low))) : entry.Colour;
                    // From the right to the left, each over the last one's edge.
                    canvas.DrawRect(x, y - 1.5f, Symbol - (i * Symbol / steps), 3, paint);
                }

                break;
        }
    }

    /// <summary>The width of a colour bar of a height with its numbers, label and distance to the next, in pixels.</summary>
    public static float Room(Colouring colouring, float height)
    {
        double step = Step(colouring, height);
        return BarWidth + 50 + PlaneView.Within(colouring.Low, colouring.High, step).Max(tick => Lettering.Width(PlaneView.Number(tick, step), Lettering.Tick));
    }

    // Bands have their numbers at edges.
    private static double Step(Colouring colouring, float height)
    {
        double span = colouring.High - colouring.Low;
        double least = span * Math.Max(22, height / 11) / height;
        if (colouring.Levels == 0)
        {
            return PlaneView.Round(least);
        }

        double band = span / colouring.Levels;
        double[] steps = [1, 2, 5, 10, 20, 50, 100];
        return band * steps.First(count => count * band >= least || count == 100);
    }

    /// <summary>Draws a colour bar whose left edge is at x.</summary>
    public static void DrawBar(SKCanvas canvas, Colouring colouring, float x, float top, float bottom)
    {
        float height = bottom - top;
        using SKPaint paint = new();
        int steps = colouring.Levels > 0 ? colouring.Levels : 256;
        for (int i = 0; i < steps; i++)
        {
            paint.Color = colouring.Levels > 0 ? colouring.Band(i) : colouring.Smooth(colouring.Low + ((i + 0.5) / steps * (colouring.High - colouring.Low)));
            // From the bottom up, each over the last one's edge.
            canvas.DrawRect(SKRect.Create(x, top, BarWidth, height * (steps - i) / steps), paint);
        }

        using SKPaint line = new() { Color = new SKColor(0x44, 0x44, 0x44), IsStroke = true, StrokeWidth = 1, IsAntialias = true };
        canvas.DrawRect(x, top, BarWidth, height, line);
        double step = Step(colouring, height);
        foreach (double tick in PlaneView.Within(colouring.Low, colouring.High, step))
        {
            float y = (float)(bottom - (height * (tick - colouring.Low) / (colouring.High - colouring.Low)));
            canvas.DrawLine(x + BarWidth, y, x + BarWidth + 4, y, line);
            Lettering.Write(canvas, PlaneView.Number(tick, step), x + BarWidth + 7, y, Lettering.Tick, SKTextAlign.Left);
        }

        Lettering.WriteFitting(canvas, colouring.Label, x + Room(colouring, height) - 22, 0.5f * (top + bottom), Lettering.Label, Math.Max(height, 120), turned: true);
    }
}

using SkiaSharp;
using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>Draws layers in the plane: one plane, or panels with one legend, the same limits and colours.</summary>
internal static class PlanePictures
{
    private const float Width = Pictures.Width;
    private const float Right = 18;
    private const float Top = 42;
    private const float Heading = 28;
    private const float Space = 14;
    // Ticks, their numbers and the label below.
    private const float Below = 54;

    /// <summary>One plane, 1200 pixels wide.</summary>
    public static byte[] Draw(PlaneFigure figure) => Draw(figure.Title, [figure], 1, figure.Limits, 1.5f);

    /// <summary>Panels, 1600 pixels wide.</summary>
    public static byte[] Draw(PanelFigure figure) => Draw(figure.Title, figure.Panels, figure.Columns, figure.Limits, 2);

    private static byte[] Draw(string title, PlaneFigure[] panels, int columns, PlaneLimits limits, float resolution)
    {
        PlaneLayer[] layers = [.. panels.SelectMany(panel => panel.Layers)];
        var style = PlaneStyle.Of(layers);
        limits = PlaneView.Legible(limits);
        float ratio = (float)((limits.YHigh - limits.YLow) / (limits.XHigh - limits.XLow));
        bool alone = panels.Length == 1;
        int rows = (panels.Length + columns - 1) / columns;
        float heading = alone ? 0 : Heading;

        // The planes as wide as there is room, and not too high.
        // Numbers need room, and how much depends on the planes' size: guessed first, then measured.
        float margin = 72;
        float bars = style.Bars.Count * 100;
        float room = 0;
        float width = 0;
        for (int pass = 0; pass < 3; pass++)
        {
            room = Width - margin - Right - bars - (Space * (columns - 1));
            width = Math.Max(40, Math.Min(room / columns, Math.Max(640f / rows, 300) / ratio));
            margin = 44 + new PlaneView(limits, SKRect.Create(width, width * ratio)).NumbersWidth;
            float high = (rows * (heading + (width * ratio))) + (Space * (rows - 1)) - heading;
            bars = style.Bars.Count == 0 ? 0 : Space + style.Bars.Sum(colouring => PlaneLegend.Room(colouring, high)) - 8;
        }

        float height = width * ratio;
        float block = (width * columns) + (Space * (columns - 1));
        float left = margin + (0.5f * Math.Max(0, Width - margin - Right - bars - block));
        float bottom = Top + (rows * (heading + height)) + (Space * (rows - 1));
        var lines = PlaneLegend.Lines(style.Legend, Width - (2 * Right));
        float total = MathF.Ceiling(bottom + Below + (lines.Count * PlaneLegend.Line) + 10);

        using SKSurface surface = SKSurface.Create(new SKImageInfo((int)(Width * resolution), (int)(total * resolution), SKColorType.Rgba8888, SKAlphaType.Premul));
        SKCanvas canvas = surface.Canvas;
        canvas.Clear(SKColors.White);
        canvas.Scale(resolution);
        Lettering.WriteFitting(canvas, title, 0.5f * Width, 24, Lettering.Title, Width - 30, bold: true);
        for (int k = 0; k < panels.Length; k++)
        {
            int row = k / columns;
            int column = k % columns;
            float top = Top + heading + (row * (heading + height + Space));
            PlaneView view = new(limits, SKRect.Create(left + (column * (width + Space)), top, width, height));
            if (!alone)
            {
                Lettering.WriteFitting(canvas, panels[k].Title, view.Frame.MidX, top - 14, Lettering.Label, width, bold: true);
            }

            canvas.Save();
            canvas.ClipRect(view.Frame);
            view.DrawGrid(canvas);
            foreach (var layer in panels[k].Layers)
            {
                style.Draw(canvas, view, layer, resolution);
            }

            canvas.Restore();
            view.DrawAxes(canvas, k + columns >= panels.Length, column == 0);
        }

        Lettering.WriteFitting(canvas, panels[0].XLabel, left + (0.5f * block), bottom + 40, Lettering.Label, Width - (2 * Right));
        Lettering.WriteFitting(canvas, panels[0].YLabel, left - margin + 20, 0.5f * (Top + heading + bottom), Lettering.Label, Math.Max(bottom - Top, 120), turned: true);
        float bar = left + block + Space;
        for (int i = 0; i < style.Bars.Count; i++)
        {
            PlaneLegend.DrawBar(canvas, style.Bars[i], bar, Top + heading, bottom);
            bar += PlaneLegend.Room(style.Bars[i], bottom - Top - heading);
        }

        for (int i = 0; i < lines.Count; i++)
        {
            PlaneLegend.Draw(canvas, lines[i], 0.5f * Width, bottom + Below + ((i + 0.5f) * PlaneLegend.Line));
        }

        return Png(surface);
    }

    /// <summary>The picture as a file.</summary>
    public static byte[] Png(SKSurface surface)
    {
        using SKImage image = surface.Snapshot();
        using SKData data = image.Encode(SKEncodedImageFormat.Png, 100);
        return data.ToArray();
    }
}

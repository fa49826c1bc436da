using System.Globalization;
using SkiaSharp;
using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>Draws small grey images in captioned rows.</summary>
internal static class ImagePictures
{
    private const float Width = Pictures.Width;
    private const float Resolution = 1.5f;
    private const float Top = 46;
    private const float Space = 8;
    private static readonly SKColor Unknown = new(0xE8, 0xEF, 0xF8);
    private static readonly SKColor Hatch = new(0x8F, 0xB4, 0xD9);

    /// <summary>The images, 1200 pixels wide.</summary>
    public static byte[] Draw(ImageFigure figure)
    {
        float caption = Math.Min(220, figure.Rows.Max(row => Lettering.Width(row.Caption, Lettering.Label))) + 30;
        int most = figure.Rows.Max(row => row.Images.Length);
        float room = Width - caption - 20;
        // Pixels of whole dots, so that all are alike.
        float pixel = Math.Min((room - (Space * (most - 1))) / most / figure.Width, 120f / figure.Height);
        pixel = Math.Max(1, MathF.Floor(pixel * Resolution)) / Resolution;
        float width = pixel * figure.Width;
        float height = pixel * figure.Height;
        float left = caption + (0.5f * (room - (width * most) - (Space * (most - 1))));
        float bottom = Top + (figure.Rows.Length * (height + Space));
        bool gaps = figure.Rows.Any(row => row.Images.Any(image => image.Any(double.IsNaN)));

        using SKSurface surface = SKSurface.Create(
            new SKImageInfo((int)(Width * Resolution), (int)((bottom + 36) * Resolution), SKColorType.Rgba8888, SKAlphaType.Premul)
        );
        SKCanvas canvas = surface.Canvas;
        canvas.Clear(SKColors.White);
        canvas.Scale(Resolution);
        Lettering.WriteFitting(canvas, figure.Title, 0.5f * Width, 24, Lettering.Title, Width - 30, bold: true);
        for (int i = 0; i < figure.Rows.Length; i++)
        {
            var row = figure.Rows[i];
            float top = Snapped(Top + (i * (height + Space)));
            Lettering.WriteFitting(canvas, row.Caption, left - 14 - (0.5f * Math.Min(caption - 30, Lettering.Width(row.Caption, Lettering.Label))), top + (0.5f * height), Lettering.Label, caption - 30);
            for (int k = 0; k < row.Images.Length; k++)
            {
                Image(canvas, figure, row.Images[k], SKRect.Create(Snapped(left + (k * (width + Space))), top, width, height), pixel);
            }
        }

        string key = $"black {Number(figure.Low)}   white {Number(figure.High)}{(gaps ? "   hatched: unknown" : "")}";
        Lettering.Write(canvas, key, left + (0.5f * ((width * most) + (Space * (most - 1)))), bottom + 12, Lettering.Tick);
        return PlanePictures.Png(surface);
    }

    private static string Number(double value) => value.ToString("G5", CultureInfo.InvariantCulture).Replace('-', '\u2212');

    private static float Snapped(float place) => MathF.Round(place * Resolution) / Resolution;

    private static void Image(SKCanvas canvas, ImageFigure figure, double[] values, SKRect frame, float pixel)
    {
        using SKPaint fill = new();
        using SKPaint hatch = new() { Color = Hatch, IsStroke = true, StrokeWidth = 1, IsAntialias = true };
        for (int i = 0; i < values.Length; i++)
        {
            SKRect cell = SKRect.Create(frame.Left + (i % figure.Width * pixel), frame.Top + (i / figure.Width * pixel), pixel, pixel);
            byte grey = double.IsNaN(values[i]) ? (byte)0 : (byte)Math.Round(255 * Math.Clamp((values[i] - figure.Low) / (figure.High - figure.Low), 0, 1));
            fill.Color = double.IsNaN(values[i]) ? Unknown : new SKColor(grey, grey, grey);
            canvas.DrawRect(cell, fill);
            if (double.IsNaN(values[i]))
            {
                canvas.DrawLine(cell.Left, cell.Bottom, cell.Right, cell.Top, hatch);
            }
        }

        using SKPaint rim = new() { Color = new SKColor(0x88, 0x88, 0x88), IsStroke = true, StrokeWidth = 0.7f };
        canvas.DrawRect(frame, rim);
    }
}

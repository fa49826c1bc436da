using SkiaSharp;
using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>Draws a function on a grid, interpolated bilinearly: pixel by pixel as a heat map, or in bands with smooth edges.</summary>
internal static class DensityPicture
{
    /// <summary>Draws it; resolution is the number of the picture's dots for a pixel.</summary>
    public static void Draw(SKCanvas canvas, PlaneView view, DensityLayer layer, Colouring colouring, float resolution)
    {
        var extent = layer.Extent;
        SKRect area = new(view.X(extent.XLow), view.Y(extent.YHigh), view.X(extent.XHigh), view.Y(extent.YLow));
        // No more dots than are seen: what is far larger than the view is cut off first.
        SKRect seen = SKRect.Intersect(area, view.Frame);
        if (seen.IsEmpty || seen.Width <= 0 || seen.Height <= 0)
        {
            return;
        }

        int width = Math.Max(1, (int)Math.Ceiling(seen.Width * resolution));
        int height = Math.Max(1, (int)Math.Ceiling(seen.Height * resolution));
        double[,] values = Sampled(layer.Values, width, height, area, seen);
        var pixels = new SKColor[width * height];
        for (int i = 0; i < height; i++)
        {
            for (int j = 0; j < width; j++)
            {
                pixels[(i * width) + j] = colouring.Levels == 0 ? colouring.Smooth(values[i, j]) : Banded(values, i, j, colouring);
            }
        }

        using SKBitmap bitmap = new(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque)) { Pixels = pixels };
        using SKImage image = SKImage.FromBitmap(bitmap);
        canvas.DrawImage(image, seen, new SKSamplingOptions(SKFilterMode.Linear));
    }

    private static double[,] Sampled(double[,] grid, int width, int height, SKRect area, SKRect seen)
    {
        int rows = grid.GetLength(0);
        int columns = grid.GetLength(1);
        double[,] values = new double[height, width];
        for (int i = 0; i < height; i++)
        {
            double up = (area.Bottom - (seen.Top + ((i + 0.5) * seen.Height / height))) / area.Height;
            double row = Math.Clamp(up, 0, 1) * (rows - 1);
            int r = Math.Min((int)row, rows - 2);
            double s = row - r;
            for (int j = 0; j < width; j++)
            {
                double across = (seen.Left + ((j + 0.5) * seen.Width / width) - area.Left) / area.Width;
                double column = Math.Clamp(across, 0, 1) * (columns - 1);
                int c = Math.Min((int)column, columns - 2);
                double t = column - c;
                values[i, j] =
                    ((1 - s) * (((1 - t) * grid[r, c]) + (t * grid[r, c + 1]))) + (s * (((1 - t) * grid[r + 1, c]) + (t * grid[r + 1, c + 1])));
            }
        }

        return values;
    }

    // At the edge of two bands their colours are mixed over about one dot, by the distance to the edge: value over slope.
    private static SKColor Banded(double[,] values, int i, int j, Colouring colouring)
    {
        double Level(int row, int column) =>
            (values[Math.Clamp(row, 0, values.GetLength(0) - 1), Math.Clamp(column, 0, values.GetLength(1) - 1)] - colouring.Low)
            / (colouring.High - colouring.Low)
            * colouring.Levels;
        double level = Level(i, j);
        double slope = 0.5 * double.Hypot(Level(i, j + 1) - Level(i, j - 1), Level(i + 1, j) - Level(i - 1, j));
        double edge = Math.Clamp(Math.Round(level), 1, colouring.Levels - 1);
        double above = slope > 0 ? Math.Clamp(((level - edge) / slope) + 0.5, 0, 1) : level >= edge ? 1 : 0;
        SKColor mixed = Colouring.Mix(colouring.Band((int)edge - 1), colouring.Band((int)edge), above);
        // A fine darker line between the bands.
        double line = slope > 0 ? Math.Clamp(1.2 - Math.Abs((level - edge) / slope), 0, 1) : 0;
        return Colouring.Mix(mixed, new SKColor(0x30, 0x38, 0x48), 0.22 * line);
    }
}

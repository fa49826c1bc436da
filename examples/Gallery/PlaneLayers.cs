using SkiaSharp;
using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>Draws points, paths and arrows into a view of the plane.</summary>
internal static class PlaneLayers
{
    /// <summary>Points: the more of them there are in the fullest panel, the smaller and the more transparent.</summary>
    public static void Draw(SKCanvas canvas, PlaneView view, PointLayer layer, SKColor colour, int count)
    {
        var (radius, opacity) = count switch
        {
            <= 60 => (4.5f, 1.0),
            <= 300 => (3.2f, 0.85),
            <= 1500 => (2.3f, 0.65),
            <= 6000 => (1.8f, 0.5),
            _ => (1.3f, 0.35),
        };
        radius = layer.Size > 0 ? (float)layer.Size : view.Frame.Width < 250 ? radius * 0.65f : radius;
        opacity = layer.Opacity > 0 ? layer.Opacity : opacity;
        using SKPaint paint = new() { Color = colour.WithAlpha((byte)Math.Round(255 * opacity)), IsAntialias = true };
        // Few, large points stand out from each other by a white rim.
        using SKPaint rim = new() { Color = SKColors.White, IsStroke = true, StrokeWidth = 1, IsAntialias = true };
        for (int i = 0; i < layer.X.Length; i++)
        {
            canvas.DrawCircle(view.X(layer.X[i]), view.Y(layer.Y[i]), radius, paint);
            if (radius >= 4)
            {
                canvas.DrawCircle(view.X(layer.X[i]), view.Y(layer.Y[i]), radius + 0.5f, rim);
            }
        }
    }

    /// <summary>Paths of one colour, or coloured by time; the more of them there are in the fullest panel, the finer.</summary>
    public static void Draw(SKCanvas canvas, PlaneView view, PathLayer layer, SKColor colour, Colouring? times, int count)
    {
        var (width, opacity) = count switch
        {
            <= 6 => (2.2f, 1.0),
            <= 40 => (1.5f, 0.85),
            <= 200 => (1.1f, 0.65),
            _ => (0.8f, 0.35),
        };
        width *= (times is null ? 1 : 1.3f) * (view.Frame.Width < 250 ? 0.75f : 1);
        using SKPaint paint = new()
        {
            IsStroke = true,
            StrokeWidth = width,
            IsAntialias = true,
            StrokeCap = times is null ? SKStrokeCap.Round : SKStrokeCap.Butt,
            StrokeJoin = SKStrokeJoin.Round,
            Color = colour.WithAlpha((byte)Math.Round(255 * opacity)),
        };
        for (int k = 0; k < layer.X.Length; k++)
        {
            if (times is null)
            {
                using SKPath line = new();
                line.MoveTo(view.X(layer.X[k][0]), view.Y(layer.Y[k][0]));
                for (int i = 1; i < layer.X[k].Length; i++)
                {
                    line.LineTo(view.X(layer.X[k][i]), view.Y(layer.Y[k][i]));
                }

                canvas.DrawPath(line, paint);
                continue;
            }

            for (int i = 1; i < layer.X[k].Length; i++)
            {
                double time = 0.5 * (layer.Times[k][i - 1] + layer.Times[k][i]);
                paint.Color = times.Smooth(time).WithAlpha((byte)Math.Round(255 * Math.Max(0.85, opacity)));
                canvas.DrawLine(view.X(layer.X[k][i - 1]), view.Y(layer.Y[k][i - 1]), view.X(layer.X[k][i]), view.Y(layer.Y[k][i]), paint);
            }
        }
    }

    /// <summary>The largest length of arrows.</summary>
    public static double Longest(IEnumerable<ArrowLayer> layers) => layers.Max(layer => layer.U.Zip(layer.V, double.Hypot).Max());

    /// <summary>Arrows, the longest of all as long as their distance on the picture.</summary>
    public static void Draw(SKCanvas canvas, PlaneView view, ArrowLayer layer, SKColor colour, double longest)
    {
        if (longest == 0)
        {
            return;
        }

        var extent = layer.Extent;
        double across = (extent.XHigh - extent.XLow) * view.Scale;
        double up = (extent.YHigh - extent.YLow) * view.Scale;
        double distance = across * up > 0 ? Math.Sqrt(across * up / layer.X.Length) : Math.Max(across, up) / layer.X.Length;
        double scale = Math.Clamp(distance, 6, 60) / longest;
        using SKPaint paint = new() { Color = colour };
        for (int i = 0; i < layer.X.Length; i++)
        {
            Arrow(canvas, view.X(layer.X[i]), view.Y(layer.Y[i]), (float)(scale * layer.U[i]), (float)(-scale * layer.V[i]), paint.Color);
        }
    }

    /// <summary>An arrow around its middle, in pixels.</summary>
    public static void Arrow(SKCanvas canvas, float x, float y, float right, float down, SKColor colour)
    {
        float length = float.Hypot(right, down);
        if (length < 1.5f)
        {
            using SKPaint dot = new() { Color = colour, IsAntialias = true };
            canvas.DrawCircle(x, y, 0.8f, dot);
            return;
        }

        float head = Math.Min(7, 0.5f * length);
        float half = 0.42f * head;
        using SKPaint shaft = new() { Color = colour, IsStroke = true, StrokeWidth = Math.Clamp(length / 14, 0.8f, 1.6f), IsAntialias = true };
        using SKPaint fill = new() { Color = colour, IsAntialias = true };
        canvas.Save();
        canvas.Translate(x, y);
        canvas.RotateRadians(MathF.Atan2(down, right));
        using SKPath tip = new();
        tip.MoveTo(0.5f * length, 0);
        tip.LineTo((0.5f * length) - head, half);
        tip.LineTo((0.5f * length) - head, -half);
        tip.Close();
        // A light rim lifts it off a dark ground.
        using SKPaint rim = new() { Color = SKColors.White.WithAlpha(150), IsStroke = true, StrokeWidth = shaft.StrokeWidth + 2, IsAntialias = true };
        canvas.DrawLine(-0.5f * length, 0, (0.5f * length) - (0.8f * head), 0, rim);
        rim.StrokeWidth = 2;
        canvas.DrawPath(tip, rim);
        canvas.DrawLine(-0.5f * length, 0, (0.5f * length) - (0.8f * head), 0, shaft);
        canvas.DrawPath(tip, fill);
        canvas.Restore();
    }
}

using System.Buffers.Binary;
using ValueFlow.Gallery;
using ValueFlow.Studies;
using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>Figures as data, and the pictures that are drawn from them.</summary>
public sealed class PictureTests
{
    private static readonly double[] Some = [0, 1, 2, 3];
    private static readonly double[] Other = [1, -1, 0.5, 2];
    private static readonly double[] Broken = [1, 2, double.NaN, 3];

    private static PointLayer Points(double[] x, double[] y, LayerColour colour = LayerColour.Automatic, double opacity = 0) => new("data", x, y, colour, 0, opacity);

    private static PathLayer Paths(double[][]? times = null) => new("paths", [Some, Other], [Other, Some], LayerColour.Automatic, times, "time (s)");

    private static ArrowLayer Arrows(double size = 1) => new("velocity (m/s)", Some, Other, [size, 0, 0, size], [0, size, 0, -size], LayerColour.Automatic);

    private static DensityLayer Density(int levels, double shift = 0) =>
        new("density (1/m²)", PlaneLimits.Of(-1, 4, -2, 3), new double[,] { { shift, 1, 2 }, { 0, 3, 1 }, { 0, 0.5, 1 } }, levels);

    private static PlaneFigure Plane(params PlaneLayer[] layers) => new("A plane", "x (m)", "y (m)", layers);

    private static ImageFigure Images(params double[][] images) => new("Images", 2, 2, [new("row", images)], 0, 16);

    private static LineFigure Lines(double[] x, double[] y, double[] low, double[] high, params double[] slopes) =>
        new("Lines", "h (s)", "error (m)", [new("curve", x, y, low, high)], true, true, true, slopes);

    private static double[] Magnified(double by) => [.. Some.Select(x => x * by)];

    public static TheoryData<string, int> Kinds =>
        new()
        {
            { "points", 1200 },
            { "all layers", 1200 },
            { "heat", 1200 },
            { "both signs", 1200 },
            { "one point", 1200 },
            { "flat density", 1200 },
            { "no motion", 1200 },
            { "huge", 1200 },
            { "tiny", 1200 },
            { "thin", 1200 },
            { "panels", 1600 },
            { "many panels", 1600 },
            { "images", 1200 },
            { "wide images", 1200 },
            { "orders", 800 },
            { "map", 800 },
        };

    private static Figure Of(string kind) =>
        kind switch
        {
            "points" => Plane(Points(Some, Other)),
            "all layers" => Plane(Density(8), Arrows(), Paths([Some, Other]), Paths(), Points(Some, Other)),
            "heat" => Plane(Density(0)),
            "both signs" => Plane(Density(9, -3)),
            "one point" => Plane(Points([1e6], [3])),
            "flat density" => Plane(new DensityLayer("flat", PlaneLimits.Of(0, 1, 0, 1), new double[2, 2], 5)),
            "no motion" => Plane(Arrows(0)),
            "huge" => Plane(Points(Magnified(1e200), Magnified(-1e200))),
            "tiny" => Plane(Points(Magnified(1e-200), Magnified(1e-200))),
            "thin" => Plane(Points(Magnified(1e5), Other)),
            "panels" => new PanelFigure("Panels", [Plane(Points(Some, Other), Density(8)), Plane(Arrows())], 0),
            "many panels" => new PanelFigure("Panels", [.. Enumerable.Range(1, 23).Select(size => Plane(Arrows(size), Paths()))], 0),
            "images" => Images([0, 16, double.NaN, 8], [1, 2, 3, 4]),
            "wide images" => new ImageFigure("Images", 256, 1, [new("a caption that is far too long for a margin of its row", [new double[256], new double[256]])], -1, 1),
            "orders" => Lines([0.1, 0.2, 0.4], [0.01, 0.04, 0.16], [0, 0.03, 0.1], [0.02, 0.05, 0.2], 2, -1),
            _ => new MapFigure("Map", "value (m)", 1, 2, [1, double.NaN], [(1, 0), (0, 0)], ['S', ' ']),
        };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void EveryKindIsAPictureOfItsWidth(string kind, int width)
    {
        byte[] png = Pictures.Draw(Of(kind));
        Assert.Equal<byte>([0x89, 0x50, 0x4E, 0x47], png[..4]);
        Assert.Equal(width, BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(16)));
        Assert.InRange(BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(20)), 100, 2 * width);
        Assert.Equal(png, Pictures.Draw(Of(kind)));
    }

    // Where the given colour is, in pixels: left, top, right, bottom.
    private static (int Left, int Top, int Right, int Bottom) Box(Figure figure, SkiaSharp.SKColor colour)
    {
        using var bitmap = SkiaSharp.SKBitmap.Decode(Pictures.Draw(figure));
        var found = Enumerable.Range(0, bitmap.Width * bitmap.Height).Where(i => bitmap.GetPixel(i % bitmap.Width, i / bitmap.Width) == colour).ToArray();
        Assert.NotEmpty(found);
        return (found.Min(i => i % bitmap.Width), found.Min(i => i / bitmap.Width), found.Max(i => i % bitmap.Width), found.Max(i => i / bitmap.Width));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2.5)]
    [InlineData(0.4)]
    public void ASquareIsASquareWhateverIsShown(double stretch)
    {
        PathLayer square = new("", [[0, 1, 1, 0, 0]], [[0, 0, 1, 1, 0]], LayerColour.Vermilion, null, "");
        var figure = Plane(square).Within(-0.2, -0.2 + (1.4 * Math.Max(1, stretch)), -0.2, -0.2 + (1.4 * Math.Max(1, 1 / stretch)));
        var (left, top, right, bottom) = Box(figure, new SkiaSharp.SKColor(0xD5, 0x5E, 0x00));
        Assert.InRange(right - left, bottom - top - 2, bottom - top + 2);
        Assert.InRange(right - left, 250, 1000);
    }

    [Fact]
    public void UpIsUpAndARowOfADensityIsWhereItBelongs()
    {
        // The greatest value at the top right: rows from bottom to top, columns from left to right.
        var (left, top, _, _) = Box(
            Plane(new DensityLayer("d", PlaneLimits.Of(0, 1, 0, 1), new double[,] { { 0, 0 }, { 0, 1 } }, 4)).Within(0, 1, 0, 1),
            new SkiaSharp.SKColor(0x08, 0x30, 0x6B)
        );
        Assert.InRange(left, 600, 1150);
        Assert.InRange(top, 40, 100);
        var point = Box(Plane(Points([0.25], [0.9], LayerColour.Vermilion)).Within(0, 1, 0, 1), new SkiaSharp.SKColor(0xD5, 0x5E, 0x00));
        Assert.InRange(point.Top, 60, 250);
        Assert.InRange(point.Left, 200, 450);
    }

    [Fact]
    public void PanelsShareTheirLimits()
    {
        PanelFigure panels = new("Panels", [Plane(Points(Some, Other)).Within(0, 1, 0, 1), Plane(Points(Some, Other)).Within(-1, 0, 2, 3)], 0);
        Assert.Equal(PlaneLimits.Of(-1, 1, 0, 3), panels.Limits);
        Assert.Equal(2, panels.Columns);
        Assert.Equal(4, new PanelFigure("Panels", [.. Enumerable.Repeat(Plane(Arrows()), 8)], 0).Columns);
    }

    public static TheoryData<string, string> Refusals =>
        new()
        {
            { "NaN point", "y of points 'data'[2] must be a finite number but is NaN" },
            { "short point", "y of points 'data' must have 4 entries but has 1" },
            { "no point", "x of points 'data' must have at least one entry but is empty" },
            { "opacity", "opacity of points 'data' must lie in [0, 1] but is 2" },
            { "colour", "colour of 'data' must be a known colour but is 99" },
            { "times", "times of paths 'paths' must have 2 entries but has 1" },
            { "long times", "times[1] of paths 'paths' must have 4 entries but has 1" },
            { "empty path", "y[1] of paths 'p' must have 2 entries but has 0" },
            { "arrows", "v of arrows 'a'[2] must be a finite number but is NaN" },
            { "density", "values[1, 0] of density 'd' must be a finite number but is Infinity" },
            { "small density", "values of density 'd' must be at least 2 x 2 but are 1 x 3" },
            { "levels", "levels of density 'density (1/m²)' must lie in [2, 64] but is 1" },
            { "limits", "limits must have low below high but are [1, 0] x [0, 1]" },
            { "NaN limits", "limits (xLow, xHigh, yLow, yHigh)[3] must be a finite number but is NaN" },
            { "no layers", "layers of 'A plane' must have at least one entry but is empty" },
            { "no panels", "panels of 'Panels' must have at least one entry but is empty" },
            { "labels", "panels[1] of 'Panels' must have the axes 'x (m)' and 'y (m)' but has 'u' and 'y (m)'" },
            { "image", "image 1 of row 'row' must have 4 entries but has 3" },
            { "pixel", "pixel 1 of image 0 of row 'row' must not be infinite but is Infinity" },
            { "no images", "images of row 'row' must have at least one entry but is empty" },
            { "lines", "Y of series 'curve' must have 4 entries but has 1" },
            { "NaN lines", "X of series 'curve'[2] must be a finite number but is NaN" },
            { "band", "High of series 'curve' must have 4 entries but has 0" },
            { "no series", "series must have at least one entry but is empty" },
            { "slopes", "slopes must be drawn on two logarithmic axes but logarithmic is False and logarithmicX is True" },
            { "map", "marks must have 2 entries but has 1" },
        };

    private static object Bad(string kind) =>
        kind switch
        {
            "NaN point" => Points(Some, Broken),
            "short point" => Points(Some, [1]),
            "no point" => Points([], []),
            "opacity" => Points(Some, Other, opacity: 2),
            "colour" => Points(Some, Other, (LayerColour)99),
            "times" => Paths([Some]),
            "long times" => Paths([Some, [1]]),
            "empty path" => new PathLayer("p", [[1], [1, 2]], [[1], []], LayerColour.Automatic, null, ""),
            "arrows" => new ArrowLayer("a", Some, Other, Some, Broken, LayerColour.Automatic),
            "density" => new DensityLayer("d", PlaneLimits.Of(0, 1, 0, 1), new[,] { { 1, 2 }, { double.PositiveInfinity, 3 } }, 0),
            "small density" => new DensityLayer("d", PlaneLimits.Of(0, 1, 0, 1), new double[1, 3], 0),
            "levels" => Density(1),
            "limits" => Plane(Arrows()).Within(1, 0, 0, 1),
            "NaN limits" => Plane(Arrows()).Within(0, 1, 0, double.NaN),
            "no layers" => Plane(),
            "no panels" => new PanelFigure("Panels", [], 0),
            "labels" => new PanelFigure("Panels", [Plane(Arrows()), new PlaneFigure("other", "u", "y (m)", [Arrows()])], 0),
            "image" => Images([1, 2, 3, 4], [1, 2, 3]),
            "pixel" => Images([1, double.PositiveInfinity, 3, 4]),
            "no images" => Images(),
            "lines" => Lines(Some, [1], [], []),
            "NaN lines" => Lines(Broken, Some, [], []),
            "band" => Lines(Some, Some, Some, []),
            "no series" => new LineFigure("Lines", "x", "y", [], false, false, false, null),
            "slopes" => new LineFigure("Lines", "x", "y", [new("s", Some, Some, [], [])], false, true, false, [1]),
            _ => new MapFigure("Map", "value", 1, 2, [1, 2], [(1, 0), (0, 0)], ['S']),
        };

    [Theory]
    [MemberData(nameof(Refusals))]
    public void BadInputIsRefusedWhereItIsMade(string kind, string message) => Assert.Contains(message, Assert.Throws<ArgumentException>(() => Bad(kind)).Message);
}

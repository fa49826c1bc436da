using SkiaSharp;
using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>A range of values and the colours that show it.</summary>
internal sealed class Colouring
{
    // From light to dark, each by lightness alone readable.
    private static readonly uint[] Blues = [0xFFFFFF, 0xDCE9F5, 0xABCFE6, 0x6BAED6, 0x3282BD, 0x0B559F, 0x08306B];
    private static readonly uint[] Greys = [0xFFFFFF, 0xEDEDED, 0xD6D6D6, 0xBDBDBD, 0xA0A0A0, 0x858585, 0x6E6E6E];
    private static readonly uint[] BlueToRed = [0x1B4F91, 0x4C8DC3, 0xA9CFE4, 0xF7F7F7, 0xF6B799, 0xD6604D, 0x9C1127];
    private static readonly uint[] Times = [0x440154, 0x443983, 0x31688E, 0x21918C, 0x35B779, 0x90D743, 0xE3CF1C];

    // Okabe and Ito 2008, in the order of LayerColour.
    private static readonly uint[] Inks = [0x0072B2, 0xD55E00, 0x009E73, 0xB8568F, 0xE69F00, 0x56B4E9, 0x8A8A8A, 0x111111];

    private readonly SKColor[] colours;

    private Colouring(string label, double low, double high, int levels, uint[] stops)
    {
        Label = label;
        Low = low;
        High = high;
        if (levels > 0)
        {
            // Bands whose edges are round numbers.
            double asked = (high - low) / levels;
            double above = PlaneView.Round(asked);
            // The next of 1, 2, 5 and 10 below.
            double below = PlaneView.Round(0.39 * above);
            double step = above / asked < asked / below ? above : below;
            Low = Math.Floor((low / step) + 1e-9) * step;
            High = Math.Ceiling((high / step) - 1e-9) * step;
            Levels = Math.Max(2, (int)Math.Round((High - Low) / step));
            High = Low + (Levels * step);
        }

        colours = [.. Enumerable.Range(0, 1024).Select(i => Between(stops, i / 1023.0))];
    }

    /// <summary>What is measured.</summary>
    public string Label { get; }

    /// <summary>The value of the first colour.</summary>
    public double Low { get; }

    /// <summary>The value of the last colour.</summary>
    public double High { get; }

    /// <summary>Into how many bands, with round edges, the range falls; 0 for none.</summary>
    public int Levels { get; }

    /// <summary>The colour of a layer.</summary>
    public static SKColor Ink(LayerColour colour) => Opaque(Inks[(int)colour]);

    /// <summary>For densities: from zero or the least value, or around zero for values of both signs. Grey under coloured paths.</summary>
    public static Colouring OfDensities(string label, IReadOnlyList<DensityLayer> densities, bool muted)
    {
        var values = densities.SelectMany(density => density.Values.Cast<double>());
        var (low, high) = Pictures.Distinct(values);
        int levels = densities.Max(density => density.Levels);
        if (low < 0 && high > 0 && Math.Min(-low, high) > 0.02 * Math.Max(-low, high))
        {
            double most = Math.Max(-low, high);
            // Symmetric, so that zero is an edge of bands.
            return new(label, -most, most, levels, BlueToRed);
        }

        return new(label, low > 0 && low < 0.2 * high ? 0 : low, high, levels, muted ? Greys : Blues);
    }

    /// <summary>For the time along paths.</summary>
    public static Colouring OfTimes(string label, IReadOnlyList<PathLayer> paths)
    {
        var (low, high) = Pictures.Distinct(paths.SelectMany(path => path.Times).SelectMany(times => times));
        return new(label, low, high, 0, Times);
    }

    /// <summary>The colour of a value, without regard to bands.</summary>
    public SKColor Smooth(double value) => colours[(int)Math.Round(1023 * Math.Clamp((value - Low) / (High - Low), 0, 1))];

    /// <summary>The colour of a band.</summary>
    public SKColor Band(int band) => colours[(int)Math.Round(1023 * Math.Clamp(band / (Levels - 1.0), 0, 1))];

    private static SKColor Opaque(uint rgb) => new(0xFF000000 | rgb);

    private static SKColor Between(uint[] stops, double t)
    {
        double place = t * (stops.Length - 1);
        int first = Math.Min((int)place, stops.Length - 2);
        return Mix(Opaque(stops[first]), Opaque(stops[first + 1]), place - first);
    }

    /// <summary>A colour between two.</summary>
    public static SKColor Mix(SKColor a, SKColor b, double t) =>
        new((byte)Math.Round(a.Red + (t * (b.Red - a.Red))), (byte)Math.Round(a.Green + (t * (b.Green - a.Green))), (byte)Math.Round(a.Blue + (t * (b.Blue - a.Blue))));
}

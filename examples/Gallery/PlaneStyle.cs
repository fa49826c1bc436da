using System.Globalization;
using SkiaSharp;
using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>The colours, lengths and legend that the layers of one picture share, name by name.</summary>
internal sealed class PlaneStyle
{
    private readonly Dictionary<string, SKColor> inks = [];
    private readonly Dictionary<string, int> counts = [];
    private readonly Dictionary<string, double> longest = [];
    private readonly Dictionary<string, Colouring> densities = [];
    private readonly Dictionary<string, Colouring> times = [];

    private PlaneStyle()
    {
    }

    /// <summary>The colour bars, densities first.</summary>
    public List<Colouring> Bars { get; } = [];

    /// <summary>The legend, in the order of the layers.</summary>
    public List<PlaneLegend.Entry> Legend { get; } = [];

    /// <summary>The style of all layers of a picture.</summary>
    public static PlaneStyle Of(PlaneLayer[] layers)
    {
        PlaneStyle style = new();
        PathLayer[] timed = [.. layers.OfType<PathLayer>().Where(path => path.Times.Length > 0)];
        foreach (var group in layers.OfType<DensityLayer>().GroupBy(density => density.Name))
        {
            style.densities[group.Key] = Colouring.OfDensities(group.Key, [.. group], timed.Length > 0);
        }

        foreach (var group in timed.GroupBy(path => path.TimeLabel))
        {
            style.times[group.Key] = Colouring.OfTimes(group.Key, [.. group]);
        }

        style.Bars.AddRange([.. style.densities.Values, .. style.times.Values]);
        foreach (var group in layers.OfType<ArrowLayer>().GroupBy(arrows => arrows.Name))
        {
            style.longest[group.Key] = PlaneLayers.Longest(group);
        }

        foreach (var group in layers.GroupBy(layer => layer.Name))
        {
            style.counts[group.Key] = group.Max(layer => layer is PointLayer points ? points.X.Length : layer is PathLayer path ? path.X.Length : 0);
        }

        style.Choose([.. layers.Where(layer => layer is not DensityLayer)]);
        return style;
    }

    // A name has the colour that was asked for, or else the next that nobody has; a path that is coloured by time needs none.
    private void Choose(PlaneLayer[] layers)
    {
        HashSet<LayerColour> taken = [.. layers.Select(layer => layer.Colour)];
        Queue<LayerColour> free = new(Enum.GetValues<LayerColour>().Where(colour => (int)colour is >= 0 and < 6 && !taken.Contains(colour)).Order());
        foreach (var group in layers.GroupBy(layer => layer.Name))
        {
            var first = group.First();
            var asked = group.Select(layer => layer.Colour).FirstOrDefault(colour => colour != LayerColour.Automatic, LayerColour.Automatic);
            var timing = first is PathLayer { Times.Length: > 0 } path ? times[path.TimeLabel] : null;
            if (asked == LayerColour.Automatic)
            {
                asked = timing is not null ? LayerColour.Grey
                    : first is ArrowLayer || free.Count == 0 ? LayerColour.Black
                    : free.Dequeue();
            }

            inks[group.Key] = Colouring.Ink(asked);
            if (group.Key.Length > 0)
            {
                string text = longest.TryGetValue(group.Key, out double length) ? $"{group.Key} (longest {length.ToString("G3", CultureInfo.InvariantCulture)})" : group.Key;
                Legend.Add(new(first, text, inks[group.Key], timing));
            }
        }
    }

    /// <summary>Draws a layer.</summary>
    public void Draw(SKCanvas canvas, PlaneView view, PlaneLayer layer, float resolution)
    {
        switch (layer)
        {
            case DensityLayer density:
                DensityPicture.Draw(canvas, view, density, densities[density.Name], resolution);
                break;
            case PathLayer path:
                PlaneLayers.Draw(canvas, view, path, inks[path.Name], path.Times.Length > 0 ? times[path.TimeLabel] : null, counts[path.Name]);
                break;
            case ArrowLayer arrows:
                PlaneLayers.Draw(canvas, view, arrows, inks[arrows.Name], longest[arrows.Name]);
                break;
            case PointLayer points:
                PlaneLayers.Draw(canvas, view, points, inks[points.Name], counts[points.Name]);
                break;
            default:
                throw new ArgumentException($"a layer must be points, paths, arrows or a density but is {layer.GetType().Name}", nameof(layer));
        }
    }
}

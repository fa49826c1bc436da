using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>The pictures of a learnt flow: data and samples, the way from noise to data, density, losses.</summary>
internal sealed class FlowFigures(Table data, TrainedFlow flow, FlowSamples samples, CancellationToken cancellation)
{
    private const int Shown = 2_000;
    private const int Paths = 60;
    private const int Grid = 64;

    private string[] Columns => [.. flow.Columns];

    /// <summary>All of them, first to last.</summary>
    public IEnumerable<Figure> All()
    {
        foreach (var figure in Columns.Length == 1 ? Line() : Planes())
        {
            yield return figure;
        }

        yield return Losses();
    }

    // Means over as many losses as leave two hundred points: single losses are noise.
    private Figure Losses()
    {
        var points = flow.Losses.Chunk(Math.Max(1, flow.Losses.Count / 200)).ToArray();
        return new LineFigure(
            "Loss of the training",
            "step",
            "mean squared error",
            [Curve("loss, in standardised columns", points.Select(part => (double)part[^1].Step), points.Select(part => part.Average(point => point.Loss)))],
            false
        );
    }

    private IEnumerable<Figure> Line()
    {
        double[] x = data[Columns[0]];
        double[] drawn = samples.Table[Columns[0]];
        double margin = 0.1 * (x.Max() - x.Min());
        double[] places = OdeOptions.EvenTimes(x.Min() - margin, x.Max() + margin, 256);
        var density = flow.LogDensity([.. places.Select(place => new[] { place })], new() { Tolerance = 1e-4, Cancellation = cancellation });
        yield return new LineFigure(
            "Density",
            Columns[0],
            $"density per unit of {Columns[0]}",
            [
                Histogram("data", x, places[0], places[^1]),
                Histogram("samples", drawn, places[0], places[^1]),
                Curve("density of the flow", places, density.Select(Math.Exp)),
            ],
            false
        );
        double[] times = OdeOptions.EvenTimes(0, 1, 41);
        double[][][] paths = flow.Trajectories(Paths, times, 1, new() { Cancellation = cancellation });
        yield return new LineFigure(
            "Trajectories: from noise (t = 0) to data (t = 1)",
            "time t",
            Columns[0],
            [.. Enumerable.Range(0, 6).Select(k => Curve($"path {k + 1}", times, paths.Select(rows => rows[k][0])))],
            false
        );
    }

    private IEnumerable<Figure> Planes()
    {
        int count = Math.Min(3, Columns.Length);
        for (int a = 0; a < count; a++)
        {
            for (int b = a + 1; b < count; b++)
            {
                Plane plane = new(flow, a, b);
                var (x, y) = plane.Of(Thinned(data.Rows));
                var (u, v) = plane.Of(Thinned(samples.Points));
                string title = Columns.Length == 2 ? "Data and samples" : $"Data and samples: {Columns[a]} and {Columns[b]}";
                PlaneFigure left = new("data", plane.XLabel, plane.YLabel, [new PointLayer("data", x, y, LayerColour.Blue)]);
                PlaneFigure right = new("samples of the flow", plane.XLabel, plane.YLabel, [new PointLayer("samples", u, v, LayerColour.Vermilion)]);
                yield return new PanelFigure(title, [left, right]);
            }
        }

        Plane first = new(flow, 0, 1);
        yield return Ways(first);
        yield return Density(first);
    }

    private PlaneFigure Ways(Plane plane)
    {
        double[] times = OdeOptions.EvenTimes(0, 1, 41);
        double[][][] paths = flow.Trajectories(Paths, times, 1, new() { Cancellation = cancellation });
        double[][] x = new double[Paths][];
        double[][] y = new double[Paths][];
        for (int k = 0; k < Paths; k++)
        {
            (x[k], y[k]) = plane.Of([.. paths.Select(rows => rows[k])]);
        }

        var (u, v) = plane.Of(Thinned(data.Rows));
        return new(
            "Trajectories: from noise (t = 0) to data (t = 1)",
            plane.XLabel,
            plane.YLabel,
            [
                new PointLayer("data", u, v, LayerColour.Grey),
                new PathLayer("trajectories", x, y, LayerColour.Automatic, [.. Enumerable.Repeat(times, Paths)], "time t"),
            ]
        );
    }

    private PlaneFigure Density(Plane plane)
    {
        var (u, v) = plane.Of(data.Rows);
        double left = u.Min() - (0.08 * (u.Max() - u.Min()));
        double right = u.Max() + (0.08 * (u.Max() - u.Min()));
        double low = v.Min() - (0.08 * (v.Max() - v.Min()));
        double high = v.Max() + (0.08 * (v.Max() - v.Min()));
        double[] across = OdeOptions.EvenTimes(left, right, Grid);
        double[] up = OdeOptions.EvenTimes(low, high, Grid);
        bool exact = Columns.Length == 2;
        double[] values = exact ? Exact(plane, across, up) : Smoothed(plane, across, up);
        double[,] grid = new double[Grid, Grid];
        Buffer.BlockCopy(values, 0, grid, 0, sizeof(double) * values.Length);
        return new(
            exact ? "Density of the flow" : $"Density of {Columns[0]} and {Columns[1]}, smoothed",
            plane.XLabel,
            plane.YLabel,
            [new DensityLayer("density", new PlaneLimits(left, right, low, high), grid, 12)]
        );
    }

    private double[] Exact(Plane plane, double[] across, double[] up)
    {
        double[][] points = [.. up.SelectMany(y => across.Select(x => plane.Back(x, y)))];
        return [.. flow.LogDensity(points, new() { Tolerance = 1e-4, Cancellation = cancellation }).Select(value => plane.Volume * Math.Exp(value))];
    }

    // A normal kernel around each sample, as wide as Scott's rule says (Scott 1992, Multivariate density estimation).
    private double[] Smoothed(Plane plane, double[] across, double[] up)
    {
        var (u, v) = plane.Of(Thinned(samples.Points));
        double share = Math.Pow(u.Length, -1.0 / 6.0);
        double h = share * Spread(u);
        double k = share * Spread(v);
        double scale = 1 / (2 * Math.PI * h * k * u.Length);
        return
        [
            .. up.SelectMany(y =>
                across.Select(x => scale * u.Select((a, i) => Math.Exp(-0.5 * ((((x - a) / h) * ((x - a) / h)) + (((y - v[i]) / k) * ((y - v[i]) / k))))).Sum())
            ),
        ];
    }

    private static double Spread(double[] x)
    {
        double mean = x.Average();
        return Math.Max(1e-12, Math.Sqrt(x.Average(value => (value - mean) * (value - mean))));
    }

    private static IReadOnlyList<double[]> Thinned(IReadOnlyList<double[]> rows) =>
        rows.Count <= Shown ? rows : [.. Enumerable.Range(0, Shown).Select(k => rows[(int)((long)k * rows.Count / Shown)])];

    private static Series Curve(string name, IEnumerable<double> x, IEnumerable<double> y) => new(name, [.. x], [.. y], [], []);

    private static Series Histogram(string name, double[] values, double low, double high)
    {
        int bins = Math.Clamp((int)Math.Sqrt(values.Length), 8, 60);
        double width = (high - low) / bins;
        double[] heights = new double[bins];
        foreach (double value in values.Where(value => value >= low && value <= high))
        {
            heights[Math.Min(bins - 1, (int)((value - low) / width))] += 1 / (width * values.Length);
        }

        return Curve(name, Enumerable.Range(0, 2 * bins).Select(k => low + (width * ((k + 1) / 2))), Enumerable.Range(0, 2 * bins).Select(k => heights[k / 2]));
    }

    /// <summary>Two columns in the plane: as they are, or in deviations from the mean where their spreads differ too much for one scale.</summary>
    private sealed class Plane(TrainedFlow flow, int a, int b)
    {
        private readonly bool isStandard =
            Math.Max(flow.Deviations[a], flow.Deviations[b]) > 3 * Math.Min(flow.Deviations[a], flow.Deviations[b]);

        public string XLabel => Label(a);

        public string YLabel => Label(b);

        /// <summary>What a density is multiplied by.</summary>
        public double Volume => isStandard ? flow.Deviations[a] * flow.Deviations[b] : 1;

        public (double[] X, double[] Y) Of(IReadOnlyList<double[]> rows) => ([.. rows.Select(row => To(a, row[a]))], [.. rows.Select(row => To(b, row[b]))]);

        public double[] Back(double x, double y) => [From(a, x), From(b, y)];

        private string Label(int column) => isStandard ? $"{flow.Columns[column]} (deviations from the mean)" : flow.Columns[column];

        private double To(int column, double value) => isStandard ? (value - flow.Means[column]) / flow.Deviations[column] : value;

        private double From(int column, double value) => isStandard ? flow.Means[column] + (flow.Deviations[column] * value) : value;
    }
}

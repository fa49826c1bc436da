using ScottPlot;

namespace ValueFlow;

/// <summary>Draws distances between states.</summary>
internal static class BisimulationPictures
{
    private const int MostNames = 40;

    public static Plot OfDistances(BisimulationMetric metric)
    {
        int[] order = Order(metric);
        double[,] cells = new double[order.Length, order.Length];
        for (int i = 0; i < order.Length; i++)
        {
            for (int j = 0; j < order.Length; j++)
            {
                cells[i, j] = metric.Between(order[i], order[j]);
            }
        }

        var plot = ReturnPictures.Prepared();
        var heat = plot.Add.Heatmap(cells);
        heat.Colormap = new ScottPlot.Colormaps.Viridis();
        double most = cells.Cast<double>().Max();
        heat.ManualRange = new ScottPlot.Range(0, most > 0 ? most : 1);
        var bar = plot.Add.ColorBar(heat);
        bar.Label = "distance";
        bar.LabelStyle.FontSize = 15;
        bar.LabelStyle.Bold = false;
        bar.MinimumSize = 100;
        bar.MaximumSize = 100;

        // All names where there is room, else some; the first state is at the top.
        int every = (order.Length + MostNames - 1) / MostNames;
        int[] named = [.. Enumerable.Range(0, order.Length).Where(i => i % every == 0)];
        string[] names = [.. named.Select(i => metric.Model.StateName(order[i]))];
        plot.Axes.Left.SetTicks([.. named.Select(i => order.Length - 1.0 - i)], names);
        plot.Axes.Bottom.SetTicks([.. named.Select(i => (double)i)], names);
        if (names.Sum(name => name.Length + 1) > 60)
        {
            plot.Axes.Bottom.TickLabelStyle.Rotation = -90;
            plot.Axes.Bottom.TickLabelStyle.Alignment = Alignment.MiddleRight;
            plot.Axes.Bottom.MinimumSize = 20 + (8 * names.Max(name => name.Length));
        }

        plot.Axes.SetLimits(-0.5, order.Length - 0.5, -0.5, order.Length - 0.5);
        plot.HideGrid();
        return plot;
    }

    // Each state is followed by the nearest that is left, the lowest number among equals.
    private static int[] Order(BisimulationMetric metric)
    {
        List<int> order = [0];
        SortedSet<int> left = [.. Enumerable.Range(1, metric.Model.StateCount - 1)];
        while (left.Count > 0)
        {
            int next = left.MinBy(other => metric.Between(order[^1], other));
            order.Add(next);
            left.Remove(next);
        }

        return [.. order];
    }
}

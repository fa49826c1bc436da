using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>The pictures of a solution: values, convergence, and the policy in play.</summary>
internal static class SolutionFigures
{
    // More points than this are not told apart on a picture, and cost minutes.
    private const int MostPoints = 1000;

    /// <summary>Values (a map with arrows for grids) and convergence.</summary>
    public static IEnumerable<Figure> Of(DecisionProblem problem, Solution solution)
    {
        string unit =
            problem.Objective == Objective.Reaching ? $"probability of reaching '{problem.Label}'"
            : problem.Objective == Objective.Discounted ? "value (discounted units of reward)"
            : "value (units of reward)";
        yield return solution.Model.Grid is { } grid && solution.Policy.Count > 0 ? Map(solution, grid, unit) : Profile(solution, unit);
        if (solution.History.Count > 1)
        {
            yield return Convergence(solution);
        }
    }

    private static Series Curve(string name, IEnumerable<double> x, IEnumerable<double> y) => new(name, [.. x], [.. y], [], []);

    private static MapFigure Map(Solution solution, GridMap grid, string unit)
    {
        double[] values = Enumerable.Repeat(double.NaN, grid.Rows * grid.Columns).ToArray();
        var arrows = new (int, int)[values.Length];
        for (int s = 0; s < solution.Model.StateCount; s++)
        {
            if (grid.Cells[s] >= 0)
            {
                values[grid.Cells[s]] = solution.Values[s];
                int action = solution.Policy[s];
                arrows[grid.Cells[s]] = action >= 0 && action < grid.Directions.Count ? grid.Directions[action] : Named(solution.ActionOf(s));
            }
        }

        return new MapFigure(arrows.Any(arrow => arrow != (0, 0)) ? "Values and decisions" : "Values", unit, grid.Rows, grid.Columns, values, arrows, [.. grid.Marks]);
    }

    // Files know no directions, but names of actions often say them.
    private static (int, int) Named(string action) =>
        action.ToLowerInvariant() switch
        {
            "left" or "west" => (-1, 0),
            "right" or "east" => (1, 0),
            "up" or "north" => (0, -1),
            "down" or "south" => (0, 1),
            _ => (0, 0),
        };

    private static LineFigure Profile(Solution solution, string unit)
    {
        int count = solution.Model.StateCount;
        if (count > MostPoints)
        {
            // Neighbours together: their mean, and the range from the least to the largest.
            int together = (count + MostPoints - 1) / MostPoints;
            double[][] groups = [.. solution.Values.Chunk(together)];
            double[] middles = [.. groups.Select((group, i) => (i * (double)together) + (0.5 * (group.Length - 1)))];
            Series thinned = new($"mean of {together} neighbouring states, and their range", middles, [.. groups.Select(g => g.Average())], [.. groups.Select(g => g.Min())], [.. groups.Select(g => g.Max())]);
            return new LineFigure("Values", "state (number)", unit, [thinned], false);
        }

        double[] states = [.. Enumerable.Range(0, solution.Model.StateCount).Select(s => (double)s)];
        Series series = double.IsFinite(solution.ErrorBound)
            ? new("value, in its certified bounds", states, [.. solution.Values], [.. solution.Lower], [.. solution.Upper])
            : Curve("value (estimate)", states, solution.Values);
        return new LineFigure("Values", "state (number)", unit, [series], false);
    }

    private static LineFigure Convergence(Solution solution)
    {
        var finite = solution.History.Where(p => double.IsFinite(p.Residual) || double.IsFinite(p.Bound)).ToArray();
        var residual = finite.Where(p => p.Residual > 0 && double.IsFinite(p.Residual)).ToArray();
        var bound = finite.Where(p => p.Bound > 0 && double.IsFinite(p.Bound)).ToArray();
        List<Series> series = [];
        if (solution.Certificate != Certificate.Enclosure)
        {
            series.Add(Curve("residual sup |T V - V|", residual.Select(p => (double)p.Sweeps), residual.Select(p => p.Residual)));
        }

        series.Add(Curve("certified error", bound.Select(p => (double)p.Sweeps), bound.Select(p => p.Bound)));
        return new LineFigure("Convergence", "sweep (count)", "error (units of value)", [.. series], true);
    }

    /// <summary>The running mean of the policy's return in play, against its prediction; null where there is nothing to play from.</summary>
    public static (LineFigure, string)? Played(DecisionProblem problem, Solution solution, CancellationToken cancellation)
    {
        var model = problem.Model;
        int start = model.InitialStates.Count > 0 ? model.InitialStates[0] : 0;
        if (model.IsTerminal(start))
        {
            return null;
        }

        const int episodes = 5000;
        // Long enough for what is cut off to weigh less than a millionth.
        int steps = problem.Objective == Objective.Discounted && problem.Discount > 0 ? (int)Math.Min(10_000, Math.Ceiling(Math.Log(1e-6) / Math.Log(problem.Discount)) + 1) : 2_000;
        var result = model.Simulate(
            solution.Policy,
            new() { Episodes = episodes, MaximumSteps = steps, Discount = problem.Discount, Start = start, Cancellation = cancellation }
        );
        bool reach = problem.Objective == Objective.Reaching;
        HashSet<int> target = reach ? [.. model.Labels[problem.Label!]] : [];
        double[] returns = reach ? [.. result.LastStates.Select(s => target.Contains(s) ? 1.0 : 0.0)] : [.. result.Returns];

        List<double> at = [], means = [], low = [], high = [];
        double sum = 0, squares = 0;
        for (int i = 0; i < returns.Length; i++)
        {
            sum += returns[i];
            squares += returns[i] * returns[i];
            if ((i + 1) % 50 == 0)
            {
                int n = i + 1;
                double mean = sum / n;
                double error = 1.96 * Math.Sqrt(Math.Max(0, (squares / n) - (mean * mean)) / n);
                at.Add(n);
                means.Add(mean);
                low.Add(mean - error);
                high.Add(mean + error);
            }
        }

        double predicted = solution.Values[start];
        string what = reach ? $"share of episodes that reach '{problem.Label}'" : problem.Objective == Objective.Discounted ? "discounted return (units of reward)" : "return (units of reward)";
        bool nominal = problem.Risk is null && problem.Robustness is null;
        LineFigure figure = new(
            "The policy in play",
            "episodes (count)",
            what,
            [
                new("running mean, 95% band", [.. at], [.. means], [.. low], [.. high]),
                Curve(nominal ? "certified value" : "certified value (not a prediction of the mean)", [at[0], at[^1]], [predicted, predicted]),
            ],
            false
        );
        string words =
            $"{episodes} episodes from state {model.StateName(start)}, at most {steps} steps each, seed 1: mean {means[^1]:G5}, standard error {(high[^1] - means[^1]) / 1.96:G3}; certified value {predicted:G6}. "
            + (result.Truncated > 0 ? $"{result.Truncated} episodes were cut off. " : "")
            + (nominal ? "" : "Under a risk measure or robustness the value is no mean: play under the nominal model is not expected to meet it.")
            + (model.HasIntervals ? " Play uses the nominal probabilities." : "");
        return (figure, words);
    }
}

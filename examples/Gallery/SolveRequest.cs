using System.Globalization;

namespace ValueFlow.Gallery;

/// <summary>The words of the solve command, understood: what is to be solved, and how.</summary>
internal sealed record SolveRequest(
    string File,
    string Objective,
    string Direction,
    double? Discount,
    string? Risk,
    string? Robust,
    double? Confidence,
    string? Reward,
    string? Method,
    double Tolerance,
    string? Checkpoint,
    double? CheckpointInterval
)
{
    private bool IsDiscounted => Objective == "discounted";

    /// <summary>Loads the model and poses the problem; what does not go together with the file is refused.</summary>
    public DecisionProblem Pose(CancellationToken cancellation)
    {
        bool isLog = Path.GetExtension(File).ToLowerInvariant() is ".csv" or ".parquet";
        bool intervals = Robust == "interval";
        if (Confidence is not null && !(isLog && intervals))
        {
            throw new UsageException("--confidence is for the intervals of a log: it needs a .csv or .parquet file and --robust interval.");
        }

        var risk = Risk is null ? null : ParseRisk(Risk);
        var robust = Robust is null ? null : ParseRobust(Robust);
        var model = DecisionModel.Load(
            File,
            new()
            {
                Reward = Reward,
                Intervals = isLog && intervals,
                Confidence = Confidence ?? 0.95,
                Cancellation = cancellation,
            }
        );
        if (intervals && !model.HasIntervals)
        {
            throw new UsageException($"--robust interval needs a model with intervals, but {Path.GetFileName(File)} has exact probabilities. Use --robust tv:0.1, say.");
        }

        if (model.HasIntervals && !intervals && IsDiscounted)
        {
            throw new UsageException($"{Path.GetFileName(File)} has intervals of probabilities: say --robust interval.");
        }

        if (Robust?.Split(':')[0] == "wasserstein" && model.StateCount > 4000)
        {
            throw new UsageException($"--robust wasserstein is for models of at most 4000 states, but {Path.GetFileName(File)} has {model.StateCount}. Use --robust tv:0.1, say.");
        }

        var problem = IsDiscounted ? model.Discounted(Discount!.Value)
            : Objective == "total-reward" ? model.TotalReward()
            : model.Reaching(Objective["reach:".Length..]);
        problem = Direction == "min" ? problem.Minimising() : problem;
        problem = risk is null ? problem : problem.WithRisk(risk);
        return robust is null ? problem : problem.WithRobustness(robust);
    }

    /// <summary>The method by its word.</summary>
    public ValueFlow.Method ParseMethod()
    {
        return Method?.Split(':') switch
        {
            null or ["automatic"] => ValueFlow.Method.Automatic,
            ["value-iteration"] => ValueFlow.Method.ValueIteration,
            ["gauss-seidel"] or ["gauss-seidel", "forward"] => ValueFlow.Method.GaussSeidel,
            ["gauss-seidel", "backward"] => ValueFlow.Method.GaussSeidelBackward,
            ["gauss-seidel", "alternating"] => ValueFlow.Method.GaussSeidelAlternating,
            ["prioritised-sweeping"] => ValueFlow.Method.PrioritisedSweeping,
            ["anchored"] => ValueFlow.Method.Anchored,
            ["anderson"] => ValueFlow.Method.Anderson(),
            ["anderson", var count] when int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out int memory) && memory is >= 1 and <= 100 =>
                ValueFlow.Method.Anderson(memory),
            ["policy-iteration"] => ValueFlow.Method.PolicyIteration,
            ["modified-policy-iteration"] => ValueFlow.Method.ModifiedPolicyIteration(),
            ["modified-policy-iteration", var count] when int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out int backups) && backups >= 1 =>
                ValueFlow.Method.ModifiedPolicyIteration(backups),
            _ => throw Unknown(
                "--method",
                "automatic, value-iteration, gauss-seidel[:backward or :alternating], policy-iteration, modified-policy-iteration[:M], prioritised-sweeping, anderson[:M] or anchored",
                Method!
            ),
        };
    }

    /// <summary>Refuses words that mean nothing, or do not go together, before any file is touched.</summary>
    public void Check()
    {
        if (string.IsNullOrWhiteSpace(File))
        {
            throw Unknown("FILE", "the path of a .tra, .drn, .json, .csv or .parquet file", File);
        }

        if (!IsDiscounted && Objective != "total-reward" && !(Objective.StartsWith("reach:", StringComparison.Ordinal) && Objective.Length > 6))
        {
            throw Unknown("--objective", "discounted, total-reward or reach:LABEL", Objective);
        }

        if (Direction is not ("max" or "min"))
        {
            throw Unknown("--direction", "max or min", Direction);
        }

        if (IsDiscounted && Discount is null)
        {
            throw new UsageException("the discounted objective needs --discount, a number in [0, 1): --discount 0.95, say. (Other objectives: --objective total-reward, --objective reach:LABEL.)");
        }

        if (!IsDiscounted && Discount is not null)
        {
            throw new UsageException($"--discount is for the discounted objective, but the objective is {Objective}.");
        }

        if (Discount is double discount && !(discount >= 0 && discount < 1))
        {
            throw Unknown("--discount", "a number in [0, 1)", discount.ToString(CultureInfo.InvariantCulture));
        }

        if (!(Tolerance > 0 && double.IsFinite(Tolerance)))
        {
            throw Unknown("--tolerance", "a positive number", Tolerance.ToString(CultureInfo.InvariantCulture));
        }

        if (Confidence is double confidence && !(confidence > 0 && confidence < 1))
        {
            throw Unknown("--confidence", "a number in (0, 1)", confidence.ToString(CultureInfo.InvariantCulture));
        }

        if (Risk is not null && Robust is not null)
        {
            throw new UsageException("--risk and --robust together are not supported: choose one.");
        }

        if (!IsDiscounted && (Risk is not null || Robust is not null))
        {
            throw new UsageException($"--risk and --robust need the discounted objective, but the objective is {Objective}.");
        }

        if (!IsDiscounted && Method is not null)
        {
            throw new UsageException($"--method is for the discounted objective, but the objective is {Objective}.");
        }

        if (!IsDiscounted && Checkpoint is not null)
        {
            throw new UsageException($"--checkpoint is for the discounted objective, but the objective is {Objective}.");
        }

        if (Checkpoint is not null && string.IsNullOrWhiteSpace(Checkpoint))
        {
            throw Unknown("--checkpoint", "the path of a file", Checkpoint);
        }

        if (CheckpointInterval is not null && Checkpoint is null)
        {
            throw new UsageException("--checkpoint-interval needs --checkpoint.");
        }

        if (CheckpointInterval is double seconds && !(seconds >= 0 && seconds <= 1e9))
        {
            throw Unknown("--checkpoint-interval", "a number of seconds in [0, 1e9]", seconds.ToString(CultureInfo.InvariantCulture));
        }

        ParseMethod();
        _ = Risk is null ? null : ParseRisk(Risk);
        _ = Robust is null ? null : ParseRobust(Robust);
    }

    private static Risk ParseRisk(string text) =>
        text.Split(':') switch
        {
            ["cvar", var share] when Number(share) is double a && a > 0 && a <= 1 => ValueFlow.Risk.ConditionalValueAtRisk(a),
            ["entropic", var aversion] when Number(aversion) is double b && b > 0 && double.IsFinite(b) => ValueFlow.Risk.Entropic(b),
            ["evar", var share] when Number(share) is double a && a > 0 && a <= 1 => ValueFlow.Risk.EntropicValueAtRisk(a),
            ["expectile", var level] when Number(level) is double t && t > 0 && t < 1 => ValueFlow.Risk.Expectile(t),
            ["semideviation", var weight] when Number(weight) is double c && c >= 0 && c <= 1 => ValueFlow.Risk.Semideviation(c),
            _ => throw Unknown(
                "--risk",
                "cvar:A or evar:A with A in (0, 1], entropic:B with B > 0, expectile:T with T in (0, 1), or semideviation:C with C in [0, 1]",
                text
            ),
        };

    private static Robustness ParseRobust(string text) =>
        text.Split(':') switch
        {
            ["interval"] => Robustness.Intervals,
            ["tv", var radius] when Number(radius) is double e && e >= 0 && e <= 1 => Robustness.TotalVariation(e),
            ["tv", var radius, "support"] when Number(radius) is double e && e >= 0 && e <= 1 => Robustness.TotalVariation(e, true),
            ["contamination", var share] when Number(share) is double e && e >= 0 && e <= 1 => Robustness.Contamination(e),
            ["contamination", var share, "support"] when Number(share) is double e && e >= 0 && e <= 1 => Robustness.Contamination(e, true),
            ["kl", var radius] when Radius(radius) is double e => Robustness.KullbackLeibler(e),
            ["chi2", var radius] when Radius(radius) is double e => Robustness.ChiSquare(e),
            ["wasserstein", var radius] when Radius(radius) is double e => Robustness.Wasserstein(e),
            ["wasserstein", var radius, "support"] when Radius(radius) is double e => Robustness.Wasserstein(e, nominalSupport: true),
            _ => throw Unknown(
                "--robust",
                "tv:E or contamination:E with E in [0, 1], kl:E, chi2:E or wasserstein:E with E >= 0 (tv, contamination and wasserstein also with :support), or interval",
                text
            ),
        };

    private static double? Radius(string text) => Number(text) is double e && e >= 0 && double.IsFinite(e) ? e : null;

    /// <summary>A number in invariant culture, without group separators; null if the word is none.</summary>
    public static double? Number(string text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double x) ? x : null;

    private static UsageException Unknown(string option, string expected, string found) => new($"{option}: expected {expected}, found '{found}'.");
}

using System.CommandLine;
using System.Text.Json;
using ValueFlow.Core.Foundations;
using ValueFlow.Core.Values;
using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>solve FILE: from a model file to a certified decision.</summary>
internal static class SolveCommand
{
    public static Command Command(Terminal terminal, CancellationToken cancellation)
    {
        Argument<string> file = new("FILE")
        {
            Description = "model.tra (PRISM; .sta, .lab, .srew and .trew of the same stem are read too), model.drn (Storm), model.json (numbers in model.bin beside it), or a log of transitions in .csv or .parquet "
                + "with the columns state,action,reward,next_state,terminated[,truncated][,weight][,episode][,duration].",
        };
        Option<string> objective = new("--objective")
        {
            Description = "What is optimised: discounted (expected discounted sum of rewards), total-reward (expected sum, without a discount), or reach:LABEL (probability of ever reaching a state with the label; rewards play no part).",
            DefaultValueFactory = _ => "discounted",
        };
        Option<string> direction = new("--direction") { Description = "max, or min: then values are costs.", DefaultValueFactory = _ => "max" };
        Option<double?> discount = new("--discount") { Description = "The discount, in [0, 1). Needed by the discounted objective, refused by the others.", CustomParser = Parsed };
        Option<string?> risk = new("--risk")
        {
            Description = "Attitude to risk at every step: cvar:A is the mean of the worst share A of outcomes; entropic:B is -(1/B) log E exp(-B x); evar:A the entropic value at risk, at most cvar:A; expectile:T the expectile of level T, averse below 1/2; semideviation:C the mean less C times the lower semideviation. When minimising, large outcomes are the bad ones. Without it: the expectation.",
        };
        Option<string?> robust = new("--robust")
        {
            Description = "Guard against the worst law at every step: tv:E over all states within total variation E (half the L1 distance; a state outside the nominal successors earns the row's mean reward); "
                + "tv:E:support within the nominal successors; contamination:E (and contamination:E:support) any law with probability E; kl:E within a divergence of Kullback and Leibler, chi2:E within a chi-square distance, both within the nominal successors; "
                + "wasserstein:E (and wasserstein:E:support) within a transport distance, states as far apart as the fewest transitions between them; interval within the model's intervals, or on a log within simultaneous bounds at --confidence.",
        };
        Option<double?> confidence = new("--confidence") { Description = "Confidence of the intervals of a log, all at once, in (0, 1); 0.95 by default.", CustomParser = Parsed };
        Option<string?> reward = new("--reward") { Description = "Name of the reward structure; needed if the file has several." };
        Option<string?> method = new("--method")
        {
            Description = "For the discounted objective: automatic (the default: value iteration, and policy iteration where that takes long), value-iteration, gauss-seidel[:backward or :alternating], policy-iteration, modified-policy-iteration[:M] (M backups, 20 by default), prioritised-sweeping, anderson[:M] (M differences, 5 by default) or anchored. Refused by the others, which enclose the answer.",
        };
        Option<double?> tolerance = new("--tolerance") { Description = "Certified error at which to stop.", DefaultValueFactory = _ => 1e-8, CustomParser = Parsed };
        Option<string?> checkpoint = new("--checkpoint")
        {
            Description = "A file for the state of the run (discounted objective): written now and then, and gone on from if it is there, to the same answer bit for bit, after a kill too.",
        };
        Option<double?> checkpointInterval = new("--checkpoint-interval") { Description = "Seconds between two writings of the checkpoint; 30 by default, 0 for every sweep.", CustomParser = Parsed };
        Option<string> folder = new("--out")
        {
            Description = "Folder for value.csv, policy.csv and report.html; made if need be.",
            DefaultValueFactory = _ => "valueflow-result",
        };
        Option<bool> quiet = new("--quiet") { Description = "Print nothing but errors." };
        Option<bool> json = new("--json") { Description = "Print one JSON object and nothing else." };

        Command command = new("solve", "Solve a model file, with a certified error.")
        {
            file, objective, direction, discount, risk, robust, confidence, reward, method, tolerance, checkpoint, checkpointInterval, folder, quiet, json,
        };
        command.SetAction(parsed =>
            Solve(
                terminal,
                new(
                    parsed.GetValue(file)!,
                    parsed.GetValue(objective)!,
                    parsed.GetValue(direction)!,
                    parsed.GetValue(discount),
                    parsed.GetValue(risk),
                    parsed.GetValue(robust),
                    parsed.GetValue(confidence),
                    parsed.GetValue(reward),
                    parsed.GetValue(method),
                    parsed.GetValue(tolerance)!.Value,
                    parsed.GetValue(checkpoint),
                    parsed.GetValue(checkpointInterval)
                ),
                parsed.GetValue(folder)!,
                parsed.GetValue(quiet),
                parsed.GetValue(json),
                cancellation
            )
        );
        return command;
    }

    // The default conversion would read 0,001 as one: no group separators here.
    private static double? Parsed(System.CommandLine.Parsing.ArgumentResult result)
    {
        string word = result.Tokens[0].Value;
        double? number = SolveRequest.Number(word);
        if (number is null)
        {
            result.AddError($"{((System.CommandLine.Parsing.OptionResult)result.Parent!).Option.Name}: expected a number like 0.95, found '{word}'.");
        }

        return number;
    }

    private static int Solve(Terminal terminal, SolveRequest request, string folder, bool quiet, bool json, CancellationToken cancellation)
    {
        terminal.IsQuiet = quiet || json;
        request.Check();
        HtmlReport.RequireFolder(folder);
        DecisionProblem problem;
        using (terminal.Waiting($"reading {Path.GetFileName(request.File)}"))
        {
            problem = request.Pose(cancellation);
        }

        var tick = terminal.Ticker();
        SolveOptions options = new()
        {
            Tolerance = request.Tolerance,
            Method = request.ParseMethod(),
            Cancellation = cancellation,
            Progress = new Immediate(progress => tick($"sweep {progress.Sweeps}, certified error {progress.Bound:G3}")),
            Checkpoint = request.Checkpoint,
        };
        options = request.CheckpointInterval is double seconds ? options with { CheckpointInterval = TimeSpan.FromSeconds(seconds) } : options;
        if (File.Exists(request.Checkpoint))
        {
            terminal.Say($"going on from sweep {PlanningCheckpointModule.read(request.Checkpoint).State.Sweeps}, as {Spectre.Console.Markup.Escape(Path.GetFileName(request.Checkpoint))} stands");
        }

        var solution = problem.Solve(options);
        bool cancelled = solution.Outcome == Outcome.Cancelled;

        if (json)
        {
            terminal.Plain(Json(request, solution));
        }
        else
        {
            Print(terminal, request, solution);
        }

        using (terminal.Waiting("writing the report"))
        {
            Write(folder, request, problem, solution, cancelled ? CancellationToken.None : cancellation);
        }

        terminal.Say($"Written: value.csv{(cancelled ? "" : ", policy.csv")} and report.html in [bold]{Spectre.Console.Markup.Escape(folder)}[/].");
        return cancelled ? 130 : 0;
    }

    private sealed class Immediate(Action<SolveProgress> report) : IProgress<SolveProgress>
    {
        public void Report(SolveProgress value) => report(value);
    }

    private static int[] FirstStates(Solution solution) =>
        solution.Model.InitialStates.Count > 0 ? [.. solution.Model.InitialStates.Take(10)] : [.. Enumerable.Range(0, Math.Min(5, solution.Model.StateCount))];

    private static string Number(double x) => x.ToString("R", System.Globalization.CultureInfo.InvariantCulture);

    private static string Count(int count, string noun) => count == 1 ? $"1 {noun}" : $"{count} {noun}s";

    private static string Describe(SolveRequest request) =>
        string.Join(
            ", ",
            new[]
            {
                request.Objective,
                request.Direction,
                request.Discount is double d ? $"discount {Number(d)}" : null,
                request.Risk is string r ? $"risk {r}" : null,
                request.Robust is string o ? $"robust {o}" : null,
            }.Where(word => word is not null)
        );

    private static void Print(Terminal terminal, SolveRequest request, Solution solution)
    {
        var model = solution.Model;
        terminal.Heading($"{Path.GetFileName(request.File)}: {Describe(request)}");
        terminal.Say($"{Count(model.StateCount, "state")}, {Count(model.ActionCount, "action")}, {Count(model.TransitionCount, "transition")}{(model.HasIntervals ? " with intervals" : "")}");
        foreach (string warning in model.Warnings)
        {
            terminal.Say($"[yellow]warning:[/] {Spectre.Console.Markup.Escape(warning)}");
        }

        if (model.Normalisation > 0)
        {
            terminal.Say($"rows were normalised, by at most {model.Normalisation:G3}");
        }

        var first = FirstStates(solution);
        terminal.Rows(
            [model.InitialStates.Count > 0 ? "initial state" : "state", "value", "at least", "at most", "first decision"],
            first.Select(s => new[] { model.StateName(s), $"{solution.Values[s]:G12}", $"{solution.Lower[s]:G12}", $"{solution.Upper[s]:G12}", solution.ActionOf(s) })
        );
        if (model.InitialStates.Count > first.Length)
        {
            terminal.Say($"... and {model.InitialStates.Count - first.Length} more initial states");
        }

        terminal.Rows(
            ["", ""],
            [
                ["method", solution.Method],
                ["sweeps", solution.Sweeps.ToString()],
                ["certified error", double.IsFinite(solution.ErrorBound) ? $"{solution.ErrorBound:G3} ({solution.Certificate})" : "none (Estimate)"],
                ["policy loses at most", double.IsFinite(solution.PolicyLoss) ? $"{solution.PolicyLoss:G3}" : "not certified"],
                ["ended", solution.OutcomeText],
                ["time", $"{solution.Elapsed.TotalSeconds:F3} s"],
            ]
        );
    }

    private static string Json(SolveRequest request, Solution solution)
    {
        double? Finite(double x) => double.IsFinite(x) ? x : null;
        return JsonSerializer.Serialize(
            new
            {
                file = Path.GetFileName(request.File),
                objective = request.Objective,
                direction = request.Direction,
                discount = request.Discount,
                risk = request.Risk,
                robust = request.Robust,
                states = solution.Model.StateCount,
                method = solution.Method,
                sweeps = solution.Sweeps,
                certificate = solution.Certificate.ToString(),
                outcome = solution.Outcome.ToString(),
                certifiedError = Finite(solution.ErrorBound),
                policyLoss = Finite(solution.PolicyLoss),
                seconds = solution.Elapsed.TotalSeconds,
                warnings = solution.Model.Warnings,
                initial = FirstStates(solution)
                    .Select(s => new { state = solution.Model.StateName(s), value = Finite(solution.Values[s]), lower = Finite(solution.Lower[s]), upper = Finite(solution.Upper[s]), action = solution.ActionOf(s) }),
            }
        );
    }

    private static void Csv(string path, string header, int rows, Func<int, string[]> row) =>
        AtomicFile.writeText(
            path,
            Microsoft.FSharp.Core.FuncConvert.FromAction<TextWriter>(writer =>
            {
                writer.WriteLine(header);
                for (int i = 0; i < rows; i++)
                {
                    writer.WriteLine(string.Join(',', row(i).Select(Quoted)));
                }
            })
        );

    private static string Quoted(string field) => field.AsSpan().IndexOfAny(",\"\r\n") < 0 ? field : $"\"{field.Replace("\"", "\"\"")}\"";

    private static void Write(string folder, SolveRequest request, DecisionProblem problem, Solution solution, CancellationToken cancellation)
    {
        var model = solution.Model;
        Csv(
            Path.Combine(folder, "value.csv"),
            "state,value,lower,upper",
            model.StateCount,
            s => [model.StateName(s), Number(solution.Values[s]), Number(solution.Lower[s]), Number(solution.Upper[s])]
        );
        string policy = Path.Combine(folder, "policy.csv");
        if (solution.Policy.Count > 0)
        {
            Csv(policy, "state,action", model.StateCount, s => [model.StateName(s), solution.ActionOf(s)]);
        }
        else
        {
            // An older run's decisions do not belong to these values.
            File.Delete(policy);
        }

        HtmlReport report = new($"{Path.GetFileName(request.File)}: {Describe(request)}");
        var first = FirstStates(solution);
        report
            .Paragraph(
                $"{Count(model.StateCount, "state")}, {Count(model.ActionCount, "action")}. {solution.Method}, {Count(solution.Sweeps, "sweep")}, {solution.OutcomeText}. "
                    + (double.IsFinite(solution.ErrorBound)
                        ? $"No value is further than {solution.ErrorBound:G3} from the exact one ({solution.Certificate}, rounding included); the policy loses at most {solution.PolicyLoss:G3}."
                        : "Nothing is certified: the values are estimates.")
            )
            .Table(
                ["state", "value", "at least", "at most", "decision"],
                first.Select(s => new[] { model.StateName(s), $"{solution.Values[s]:G12}", $"{solution.Lower[s]:G12}", $"{solution.Upper[s]:G12}", solution.ActionOf(s) })
            );
        foreach (var figure in SolutionFigures.Of(problem, solution))
        {
            report.Heading(figure.Title).Picture(figure.Title, Pictures.Draw(figure));
        }

        if (solution.Policy.Count > 0 && SolutionFigures.Played(problem, solution, cancellation) is var (played, words))
        {
            report.Heading(played.Title).Picture(played.Title, Pictures.Draw(played)).Paragraph(words);
        }

        report.Write(Path.Combine(folder, "report.html"));
    }
}

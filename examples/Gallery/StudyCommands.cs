using System.CommandLine;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;
using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>list, run NAME and verify: the studies.</summary>
internal static class StudyCommands
{
    public static Command List(Terminal terminal)
    {
        Command command = new("list", "List the studies.");
        command.SetAction(_ =>
        {
            terminal.Rows(["name", "family", "title", "about"], Catalogue.all.Select(study => new[] { study.Name, study.Family, study.Title, study.Summary }));
            return 0;
        });
        return command;
    }

    public static Command Run(Terminal terminal, CancellationToken cancellation)
    {
        Argument<string> name = new("NAME") { Description = "The study's name, as 'list' shows it." };
        Option<int> seed = new("--seed") { Description = "The seed of what is random.", DefaultValueFactory = _ => 1 };
        Option<string> folder = new("--out") { Description = "Folder for report.html.", DefaultValueFactory = _ => "valueflow-report" };
        Command command = new("run", "Run a study: claims, verdicts, tables, and a report with its pictures.") { name, seed, folder };
        command.SetAction(parsed =>
        {
            string wanted = parsed.GetValue(name)!;
            var study =
                Catalogue.all.FirstOrDefault(study => study.Name == wanted)
                ?? throw new UsageException($"NAME: expected one of {string.Join(", ", Catalogue.all.Select(study => study.Name))}, found '{wanted}'.");
            HtmlReport.RequireFolder(parsed.GetValue(folder)!);
            HtmlReport report = new(study.Title);
            bool good = Show(terminal, study.Title, study, study.Run(parsed.GetValue(seed), false, Progress(terminal), cancellation), report);
            string path = Path.Combine(parsed.GetValue(folder)!, "report.html");
            report.Write(path);
            terminal.Say($"Report: [bold]{Spectre.Console.Markup.Escape(path)}[/]");
            return good ? 0 : 1;
        });
        return command;
    }

    public static Command Verify(Terminal terminal, CancellationToken cancellation)
    {
        Option<string?> family = new("--family") { Description = "Only the studies of a family." };
        Option<bool> quick = new("--quick") { Description = "Fewer episodes and points, where a study allows it." };
        Option<bool> json = new("--json") { Description = "Print one JSON object and nothing else." };
        Option<int> seed = new("--seed") { Description = "The seed of what is random.", DefaultValueFactory = _ => 1 };
        Command command = new("verify", "Run every study; exit code 1 if a verdict differs from the expected one.") { family, quick, json, seed };
        command.SetAction(parsed =>
        {
            terminal.IsQuiet = parsed.GetValue(json);
            string? wanted = parsed.GetValue(family);
            var studies = Catalogue.all.Where(study => wanted is null || study.Family == wanted).ToArray();
            if (studies.Length == 0)
            {
                throw new UsageException($"--family: expected one of {string.Join(", ", Catalogue.all.Select(study => study.Family).Distinct())}, found '{wanted}'.");
            }

            string commit =
                typeof(StudyCommands).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
            terminal.Say($"seed {parsed.GetValue(seed)}, version {Spectre.Console.Markup.Escape(commit)}, {RuntimeInformation.OSDescription}, {Environment.ProcessorCount} threads");
            List<object> entries = [];
            int wrong = 0;
            int total = 0;
            foreach (var study in studies)
            {
                var watch = System.Diagnostics.Stopwatch.StartNew();
                var result = study.Run(parsed.GetValue(seed), parsed.GetValue(quick), Progress(terminal), cancellation);
                Show(terminal, study.Title, study, result, null);
                terminal.Say($"{watch.Elapsed.TotalSeconds:F1} s");
                wrong += result.Findings.Count(finding => !finding.AsExpected);
                total += result.Findings.Length;
                entries.AddRange(
                    result.Findings.Select(finding =>
                        (object)new
                        {
                            study = study.Name,
                            claim = finding.Claim.Text,
                            expected = finding.Claim.Expected,
                            tolerance = finding.Claim.Tolerance,
                            measured = finding.Measured,
                            reproduced = finding.Reproduced,
                            asExpected = finding.AsExpected,
                        }
                    )
                );
            }

            if (parsed.GetValue(json))
            {
                terminal.Plain(
                    JsonSerializer.Serialize(
                        new { seed = parsed.GetValue(seed), version = commit, machine = RuntimeInformation.OSDescription, threads = Environment.ProcessorCount, findings = entries }
                    )
                );
            }

            terminal.Say($"[bold]{total - wrong} of {total} verdicts as expected[/]");
            return wrong == 0 ? 0 : 1;
        });
        return command;
    }

    public static Action<string> Progress(Terminal terminal)
    {
        var tick = terminal.Ticker();
        return text => tick(text);
    }

    /// <summary>Prints a study's findings and adds them to a report; true if every verdict is the expected one.</summary>
    public static bool Show(Terminal terminal, string heading, Study study, StudyResult result, HtmlReport? report)
    {
        string[] columns = ["claim", "expected", "measured", "verdict", "source"];
        static string Sign(Relation relation) => relation == Relation.Equals ? "" : relation == Relation.AtLeast ? "at least " : "at most ";
        var rows = result
            .Findings.Select(finding =>
                new[]
                {
                    finding.Claim.Text,
                    $"{Sign(finding.Claim.Relation)}{finding.Claim.Expected:G8}{(finding.Claim.Tolerance > 0 ? $" ± {finding.Claim.Tolerance:G2}" : "")}",
                    $"{finding.Measured:G8}",
                    (finding.Reproduced ? "reproduced" : "not reproduced") + (finding.AsExpected ? "" : " (unexpected)"),
                    finding.Claim.Source,
                }
            )
            .ToArray();
        terminal.Heading(heading);
        terminal.Rows(columns, rows);
        report?.Heading(heading).Paragraph(study.Summary).Table(columns, rows);
        foreach (var (title, table) in result.Tables)
        {
            terminal.Say($"[italic]{Spectre.Console.Markup.Escape(title)}[/]");
            terminal.Rows([.. table.Columns.Select(column => column.Name)], HtmlReport.Rows(table));
            report?.Paragraph(title).Table(table);
        }

        foreach (var figure in result.Figures)
        {
            report?.Picture(figure.Title, Pictures.Draw(figure));
        }

        foreach (string note in result.Notes)
        {
            terminal.Say(Spectre.Console.Markup.Escape(note));
            report?.Code(note);
        }

        return result.Findings.All(finding => finding.AsExpected);
    }
}

using System.CommandLine;
using ValueFlow.Studies;

namespace ValueFlow.Gallery;

/// <summary>tour: what the library does, in a minute.</summary>
internal static class Tour
{
    public static Command Command(Terminal terminal, CancellationToken cancellation)
    {
        Option<string> folder = new("--out") { Description = "Folder for report.html.", DefaultValueFactory = _ => "valueflow-report" };
        Command command = new("tour", "A tour of the library, with a report of pictures: the default command.") { folder };
        command.SetAction(parsed => Run(terminal, parsed.GetValue(folder)!, cancellation));
        return command;
    }

    private static int Run(Terminal terminal, string folder, CancellationToken cancellation)
    {
        HtmlReport.RequireFolder(folder);
        HtmlReport report = new("A tour of ValueFlow");
        terminal.Heading("1. A decision, and how far it can be trusted");
        var lake = Problems.FrozenLake();
        var solution = lake.Discounted(0.99).Solve(new() { Cancellation = cancellation });
        terminal.Say("FrozenLake: cross slippery ice to the goal. Every value comes with [bold]bounds that hold[/], rounding included:");
        terminal.Rows(
            ["start", "value", "at least", "at most", "certificate", "sweeps"],
            [["(0,0)", $"{solution.Values[0]:G10}", $"{solution.Lower[0]:G10}", $"{solution.Upper[0]:G10}", solution.Certificate.ToString(), solution.Sweeps.ToString()]]
        );
        report
            .Heading("1. A decision, and how far it can be trusted")
            .Paragraph(
                $"FrozenLake, discount 0.99. The start is worth {solution.Values[0]:G8}, and no value is further than {solution.ErrorBound:G2} from the exact one: "
                    + "the operator's law (it contracts, keeps order, and passes constants on) turns one residual into bounds, rounding included."
            );
        foreach (var figure in SolutionFigures.Of(lake.Discounted(0.99), solution))
        {
            report.Picture(figure.Title, Pictures.Draw(figure));
        }

        if (SolutionFigures.Played(lake.Discounted(0.99), solution, cancellation) is var (played, words))
        {
            report.Picture(played.Title, Pictures.Draw(played)).Paragraph(words);
        }

        terminal.Heading("2. Without a discount: enclosed, or refused");
        var reach = lake.Reaching("goal").Solve();
        var cliff = Problems.CliffWalking().TotalReward().Solve();
        terminal.Rows(
            ["question", "exact", "found", "certified error", "certificate"],
            [
                ["probability of crossing the lake", "14/17", $"{reach.Values[0]:G12}", $"{reach.ErrorBound:G2}", reach.Certificate.ToString()],
                ["best total reward along the cliff", "-13", $"{cliff.Values[36]:G12}", $"{cliff.ErrorBound:G2}", cliff.Certificate.ToString()],
            ]
        );
        report
            .Heading("2. Without a discount: enclosed, or refused")
            .Paragraph(
                $"Crossing the lake: probability {reach.Values[0]:G10} (14/17), enclosed within {reach.ErrorBound:G2}. The cliff: {cliff.Values[36]:G10} (-13), within {cliff.ErrorBound:G2}. "
                    + "An objective that has no answer is refused, and the states to blame are named."
            );

        bool good = true;
        foreach (var (number, study) in Catalogue.tour.Index())
        {
            good &= StudyCommands.Show(terminal, $"{number + 3}. {study.Title}", study, study.Run(1, true, StudyCommands.Progress(terminal), cancellation), report);
        }

        string path = Path.Combine(folder, "report.html");
        report.Write(path);
        terminal.Heading("Where to go from here");
        terminal.Say($"The report with the pictures: [bold]{Spectre.Console.Markup.Escape(path)}[/]");
        terminal.Say("Your own model: [bold]dotnet run --project examples/Gallery -- solve FILE --discount 0.95 --out result[/]   (see solve --help)");
        return good ? 0 : 1;
    }
}

using System.CommandLine;
using System.Globalization;

namespace ValueFlow.Gallery;

/// <summary>fit FILE: from a table to a trained flow, its samples, and a report with its pictures.</summary>
internal static class FitCommand
{
    public static Command Command(Terminal terminal, CancellationToken cancellation)
    {
        Argument<string> file = new("FILE") { Description = "A table in .csv (comma-separated, with a header) or .parquet: every column must hold finite numbers; see --columns." };
        Option<int> steps = new("--steps") { Description = "Steps of the training; at least 1.", DefaultValueFactory = _ => 5_000 };
        Option<int> samples = new("--samples") { Description = "Rows of samples.csv; at least 1.", DefaultValueFactory = _ => 2_000 };
        Option<int> seed = new("--seed") { Description = "The seed, which decides all that is random.", DefaultValueFactory = _ => 1 };
        Option<string> folder = new("--out") { Description = "Folder for samples.csv, model.safetensors and report.html; made if need be.", DefaultValueFactory = _ => "valueflow-flow" };
        Option<string> pairing = new("--pairing")
        {
            Description = "Who is paired with whom in a step of the training: independent, optimal-transport, or sinkhorn:R with the regularisation R.",
            DefaultValueFactory = _ => "independent",
        };
        Option<string?> columns = new("--columns") { Description = "The columns to learn, with commas between them; all of them by default." };
        Option<string?> checkpoint = new("--checkpoint")
        {
            Description = "A file that keeps the training as it goes; if it is there, the training goes on from it, to the bit as if it had not been stopped.",
        };
        Option<bool> quiet = new("--quiet") { Description = "Print nothing but errors." };

        Command command = new("fit", "Train a flow on a table, sample it, and draw it.") { file, steps, samples, seed, folder, pairing, columns, checkpoint, quiet };
        command.SetAction(parsed =>
        {
            terminal.IsQuiet = parsed.GetValue(quiet);
            return Fit(
                terminal,
                parsed.GetValue(file)!,
                parsed.GetValue(columns),
                AtLeastOne("--samples", parsed.GetValue(samples)),
                ParsePairing(parsed.GetValue(pairing)!),
                new()
                {
                    Steps = AtLeastOne("--steps", parsed.GetValue(steps)),
                    Seed = parsed.GetValue(seed),
                    Checkpoint = parsed.GetValue(checkpoint),
                    Cancellation = cancellation,
                },
                parsed.GetValue(folder)!
            );
        });
        return command;
    }

    private static int AtLeastOne(string option, int found) =>
        found >= 1 ? found : throw new UsageException($"{option}: expected a whole number of at least 1, found '{found.ToString(CultureInfo.InvariantCulture)}'.");

    private static Pairing ParsePairing(string word) =>
        Pairing.TryParse(word)
        ?? throw new UsageException($"--pairing: expected independent, optimal-transport, or sinkhorn:R with a positive R, found '{word}'.");

    private static int Fit(Terminal terminal, string file, string? columns, int count, Pairing pairing, TrainOptions options, string folder)
    {
        if (string.IsNullOrWhiteSpace(file))
        {
            throw new UsageException("FILE: expected the path of a .csv or .parquet file, found nothing.");
        }

        HtmlReport.RequireFolder(folder);
        var cancellation = options.Cancellation;
        Table data;
        Flow flow;
        using (terminal.Waiting($"reading {Path.GetFileName(file)}"))
        {
            data = Table.Load(file, columns?.Split(',').Select(name => name.Trim()), cancellation);
            flow = Flow.From(Source.Normal()).To(data).PairedBy(pairing);
        }

        var tick = terminal.Ticker();
        // A second thread of libtorch gains nothing on tensors this small, and spins while it waits.
        Core.Foundations.Lifetime.requireTorch();
        TorchSharp.torch.set_num_threads(1);
        var trained = flow.Train(options with { Progress = new Immediate(now => tick($"step {now.Step} of {now.Steps}, loss {now.Loss:G3}")) });
        cancellation.ThrowIfCancellationRequested();
        if (trained.Outcome != TrainOutcome.Completed)
        {
            throw new InvalidOperationException($"the training ended early: {trained.OutcomeText}");
        }

        FlowSamples samples;
        byte[][] pictures;
        Studies.Figure[] figures;
        double[] density;
        double distance;
        // Everything is made before anything is written.
        using (terminal.Waiting("sampling and drawing"))
        {
            samples = trained.Sample(count, options.Seed, new() { Cancellation = cancellation });
            var some = data.Rows.Take(500).ToArray();
            density = trained.LogDensity(some, new() { Tolerance = 1e-4, Cancellation = cancellation });
            distance = Distance.SlicedWasserstein2([.. data.Rows], samples.Points, 64);
            figures = [.. new FlowFigures(data, trained, samples, cancellation).All()];
            pictures = [.. figures.Select(Pictures.Draw)];
        }

        cancellation.ThrowIfCancellationRequested();
        string[][] facts =
        [
            ["rows", data.Rows.Count.ToString(CultureInfo.InvariantCulture)],
            ["columns", string.Join(", ", data.Columns)],
            ["source, pairing, interpolant", $"normal, {trained.Pairing}, {trained.Interpolant}"],
            ["steps", trained.Steps.ToString(CultureInfo.InvariantCulture)],
            ["last loss (standardised columns)", $"{trained.Losses[^1].Loss:G4}"],
            ["samples", $"{count}, in {samples.Evaluations} evaluations of the network"],
            ["sliced W2 between samples and data", $"{distance:G4}"],
            [$"mean log-density of {(density.Length == 1 ? "1 row" : $"{density.Length} rows")} of the data", $"{density.Average():G6} nats"],
            ["seed", trained.Seed.ToString(CultureInfo.InvariantCulture)],
        ];
        Write(folder, Path.GetFileName(file), trained, samples, facts, figures, pictures);
        terminal.Heading($"{Path.GetFileName(file)}: a flow");
        terminal.Rows(["", ""], [.. facts, ["time of training", $"{trained.Elapsed.TotalSeconds:F1} s"]]);
        terminal.Say($"Written: samples.csv, model.safetensors and report.html in [bold]{Spectre.Console.Markup.Escape(folder)}[/].");
        return 0;
    }

    private static void Write(
        string folder,
        string name,
        TrainedFlow flow,
        FlowSamples samples,
        string[][] facts,
        Studies.Figure[] figures,
        byte[][] pictures
    )
    {
        Directory.CreateDirectory(folder);
        HtmlReport report = new($"{name}: a flow from noise to data");
        report.Table(["what", "found"], facts);
        for (int k = 0; k < figures.Length; k++)
        {
            report.Heading(figures[k].Title).Picture(figures[k].Title, pictures[k]);
        }

        flow.Save(Path.Combine(folder, "model.safetensors"));
        samples.Save(Path.Combine(folder, "samples.csv"));
        report.Write(Path.Combine(folder, "report.html"));
    }

    private sealed class Immediate(Action<TrainProgress> report) : IProgress<TrainProgress>
    {
        public void Report(TrainProgress value) => report(value);
    }
}

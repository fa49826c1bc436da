using Spectre.Console;

namespace ValueFlow.Gallery;

/// <summary>What the commands print, with colour where there is a terminal and plainly where there is none.</summary>
internal sealed class Terminal
{
    private readonly TextWriter output;
    private readonly TextWriter error;

    public Terminal(TextWriter output, TextWriter error)
    {
        this.output = output;
        this.error = error;
        Console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(output) });
        if (!Console.Profile.Out.IsTerminal)
        {
            Console.Profile.Width = 120;
        }
    }

    public IAnsiConsole Console { get; }

    public bool IsQuiet { get; set; }

    public int Refuse(string message)
    {
        error.WriteLine($"error: {message}");
        return 2;
    }

    public void Plain(string text) => output.WriteLine(text);

    public void Say(string markup)
    {
        if (!IsQuiet)
        {
            Console.MarkupLine(markup);
        }
    }

    public void Heading(string text)
    {
        if (!IsQuiet)
        {
            Console.WriteLine();
            Console.Write(new Rule($"[bold]{Markup.Escape(text)}[/]").LeftJustified());
        }
    }

    public void Rows(string[] columns, IEnumerable<string[]> rows)
    {
        if (IsQuiet)
        {
            return;
        }

        Spectre.Console.Table table = new() { Border = TableBorder.Rounded, ShowHeaders = columns.Any(column => column != "") };
        foreach (string column in columns)
        {
            table.AddColumn(Markup.Escape(column));
        }

        foreach (string[] row in rows)
        {
            table.AddRow([.. row.Select(Markup.Escape)]);
        }

        Console.Write(table);
    }

    /// <summary>Says every second that something still goes on, until it is disposed of.</summary>
    public IDisposable Waiting(string text)
    {
        int seconds = 0;
        return new Timer(
            _ =>
            {
                if (!IsQuiet)
                {
                    error.WriteLine($"  {++seconds} s: {text}");
                }
            },
            null,
            1000,
            1000
        );
    }

    /// <summary>Says how far something is, at most once a second, and not before the first second has passed.</summary>
    public Action<string> Ticker()
    {
        var watch = System.Diagnostics.Stopwatch.StartNew();
        long last = 0;
        return text =>
        {
            if (!IsQuiet && watch.ElapsedMilliseconds - last >= 1000)
            {
                last = watch.ElapsedMilliseconds;
                error.WriteLine($"  {last / 1000} s: {text}");
            }
        };
    }
}

using System.CommandLine;
using System.Globalization;

namespace ValueFlow.Gallery;

/// <summary>The gallery's command line. It never shows a stack trace: bad input ends with one message and exit code 2.</summary>
public static class Program
{
    /// <summary>Runs the program; Ctrl-C ends it cleanly with what was reached so far.</summary>
    public static int Main(string[] args)
    {
        using CancellationTokenSource source = new();
        Console.CancelKeyPress += (_, press) =>
        {
            press.Cancel = true;
            source.Cancel();
        };
        Console.OutputEncoding = System.Text.Encoding.UTF8;
        return Run(args, Console.Out, Console.Error, source.Token);
    }

    /// <summary>Runs a command with given writers: 0 if all went well, 1 if a claim was not borne out, 2 for bad options or files, 130 if cancelled.</summary>
    public static int Run(string[] args, TextWriter output, TextWriter error, CancellationToken cancellation = default)
    {
        // Numbers are read and written alike everywhere.
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        Terminal terminal = new(output, error);

        RootCommand root = new("ValueFlow: operators on values, with certified answers, and flows between samples. Without a command: the tour.");
        var tour = Tour.Command(terminal, cancellation);
        root.Subcommands.Add(tour);
        root.Subcommands.Add(StudyCommands.List(terminal));
        root.Subcommands.Add(StudyCommands.Run(terminal, cancellation));
        root.Subcommands.Add(StudyCommands.Verify(terminal, cancellation));
        root.Subcommands.Add(SolveCommand.Command(terminal, cancellation));
        root.Subcommands.Add(FitCommand.Command(terminal, cancellation));

        var parsed = root.Parse(args.Length == 0 ? ["tour"] : args);
        try
        {
            if (parsed.Errors.Count > 0)
            {
                string hint = $"Try '{parsed.CommandResult.Command.Name} --help'.";
                return terminal.Refuse($"{string.Join(" ", parsed.Errors.Select(problem => problem.Message).Distinct())} {hint}");
            }

            return parsed.Invoke(new InvocationConfiguration { Output = output, Error = error, EnableDefaultExceptionHandler = false });
        }
        catch (OperationCanceledException)
        {
            error.WriteLine("Cancelled.");
            return 130;
        }
        catch (Exception problem) when (problem is ModelFileException or TableException or InvalidModelException or UndefinedObjectiveException or UsageException)
        {
            return terminal.Refuse(problem.Message);
        }
        catch (Exception problem) when (problem is ArgumentException or InvalidOperationException or InvalidDataException or IOException or UnauthorizedAccessException)
        {
            // The name of the argument means something to programmers only.
            return terminal.Refuse(problem is ArgumentException { ParamName: string name } ? problem.Message.Replace($" (Parameter '{name}')", "") : problem.Message);
        }
    }
}

/// <summary>Options that do not go together, or mean nothing.</summary>
internal sealed class UsageException(string message) : Exception(message);

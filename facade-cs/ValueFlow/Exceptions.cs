namespace ValueFlow;

/// <summary>Data of a model is wrong: every problem is listed.</summary>
public sealed class InvalidModelException : Exception
{
    internal InvalidModelException(IReadOnlyList<string> problems)
        : base(problems.Count == 1 ? problems[0] : $"{problems.Count} problems:\n  " + string.Join("\n  ", problems)) =>
        Problems = problems;

    /// <summary>Each problem in a sentence: the place, what was expected and what was found.</summary>
    public IReadOnlyList<string> Problems { get; }
}

/// <summary>A file is wrong: every problem is listed with its line.</summary>
public sealed class ModelFileException : Exception
{
    internal ModelFileException(IReadOnlyList<FileProblem> problems)
        : base(problems.Count == 1 ? problems[0].ToString() : $"{problems.Count} problems:\n  " + string.Join("\n  ", problems)) =>
        Problems = problems;

    /// <summary>The problems, in the order of their lines.</summary>
    public IReadOnlyList<FileProblem> Problems { get; }
}

/// <summary>One thing that is wrong with a file.</summary>
/// <param name="File">The file's name.</param>
/// <param name="Place">The place in words: "line 17", "row group 0, row 12"; empty for the file as a whole.</param>
/// <param name="Line">The line or row, from 1; 0 for the file as a whole.</param>
/// <param name="Expected">What was expected there.</param>
/// <param name="Found">What was found there.</param>
public sealed record FileProblem(string File, string Place, int Line, string Expected, string Found)
{
    /// <summary>The problem in a sentence.</summary>
    public override string ToString() =>
        $"{File}{(Place.Length == 0 ? "" : ", " + Place)}: expected {Expected}, found {Found}";
}

/// <summary>An objective has no answer on the model; the message names the states that are to blame.</summary>
public sealed class UndefinedObjectiveException : Exception
{
    internal UndefinedObjectiveException(string message)
        : base(message) { }
}

using Microsoft.Data.Analysis;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>A table is no good for what was asked of it: every problem is listed with its file, row and column.</summary>
public sealed class TableException : Exception
{
    internal TableException(IReadOnlyList<FileProblem> problems)
        : base(problems.Count == 1 ? problems[0].ToString() : $"{problems.Count} problems:\n  " + string.Join("\n  ", problems)) =>
        Problems = problems;

    /// <summary>The problems.</summary>
    public IReadOnlyList<FileProblem> Problems { get; }
}

/// <summary>Rows of finite numbers under names. Nothing in it changes.</summary>
public sealed class Table
{
    private readonly double[][] rows;

    private Table(string origin, string[] columns, double[][] rows)
    {
        Origin = origin;
        Columns = Array.AsReadOnly(columns);
        this.rows = rows;
        Rows = Array.AsReadOnly(rows);
    }

    /// <summary>Where it is from: a file's name, or "table".</summary>
    public string Origin { get; }

    /// <summary>The columns' names, which differ.</summary>
    public IReadOnlyList<string> Columns { get; }

    /// <summary>The rows, a number for each column. They are not to be changed.</summary>
    public IReadOnlyList<double[]> Rows { get; }

    /// <summary>A column's numbers.</summary>
    /// <exception cref="ArgumentException">There is no such column.</exception>
    public double[] this[string column]
    {
        get
        {
            int place = Columns.ToList().IndexOf(column);
            return place >= 0
                ? [.. rows.Select(row => row[place])]
                : throw new ArgumentException($"the column must be one of {string.Join(", ", Columns)} but is '{column}'", nameof(column));
        }
    }

    /// <summary>Reads .csv or .parquet: the columns that are named, or all, each of finite numbers.</summary>
    /// <exception cref="TableException">The file is wrong: every problem with its row, column, expectation and finding.</exception>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public static Table Load(string path, IEnumerable<string>? columns = null, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        string[] wanted = columns?.ToArray() ?? [];
        if (wanted.Distinct().Count() < wanted.Length)
        {
            throw new ArgumentException($"columns must differ but are {string.Join(", ", wanted)}", nameof(columns));
        }

        var read = NumericTableModule.read(20, wanted, cancellation, path);
        return read.IsOk
            ? new(Path.GetFileName(path), read.ResultValue.Columns, read.ResultValue.Rows)
            : throw new TableException([.. read.ErrorValue.Select(e => new FileProblem(e.File, e.Place, e.Line, e.Expected, e.Found))]);
    }

    /// <summary>Reads a .csv file with a header: the columns that are named, or all.</summary>
    /// <exception cref="TableException">The file is wrong.</exception>
    public static Table FromCsv(string path, params string[] columns) => Load(path, columns);

    /// <summary>Reads a .parquet file: the columns that are named, or all.</summary>
    /// <exception cref="TableException">The file is wrong.</exception>
    public static Table FromParquet(string path, params string[] columns) => Load(path, columns);

    /// <summary>A table of rows, which are copied. Without names the columns are x1, x2, ...</summary>
    /// <exception cref="TableException">There is no row, a row has another length than the first, or a number is not finite.</exception>
    /// <exception cref="ArgumentException">The names are not as many as the columns, or do not differ.</exception>
    public static Table From(double[][] rows, params string[] columns)
    {
        ArgumentNullException.ThrowIfNull(rows);
        return Checked("table", rows.Length > 0 && rows[0] is not null && columns.Length == 0 ? Numbered(rows[0].Length) : columns, rows);
    }

    /// <summary>A table of an array (rows, columns). Without names the columns are x1, x2, ...</summary>
    /// <exception cref="TableException">There is no row, or a number is not finite.</exception>
    /// <exception cref="ArgumentException">The names are not as many as the columns, or do not differ.</exception>
    public static Table From(double[,] values, params string[] columns) => From(ValueFlow.Rows.FromArray(nameof(values), values), columns);

    /// <summary>The columns of a data frame that are named, or all, each of finite numbers.</summary>
    /// <exception cref="TableException">A column holds text, or nothing in a row, or a number that is not finite.</exception>
    /// <exception cref="ArgumentException">There is no such column.</exception>
    public static Table From(DataFrame frame, params string[] columns)
    {
        ArgumentNullException.ThrowIfNull(frame);
        string[] names = columns.Length > 0 ? columns : [.. frame.Columns.Select(column => column.Name)];
        List<FileProblem> problems = [];
        double[][] rows = [.. Enumerable.Range(0, (int)frame.Rows.Count).Select(_ => new double[names.Length])];
        for (int c = 0; c < names.Length; c++)
        {
            var column =
                frame.Columns.FirstOrDefault(column => column.Name == names[c])
                ?? throw new ArgumentException($"the column must be one of {string.Join(", ", frame.Columns.Select(k => k.Name))} but is '{names[c]}'", nameof(columns));
            if (!column.IsNumericColumn())
            {
                problems.Add(new("table", "", 0, $"numbers in column '{names[c]}'", $"a column of {column.DataType.Name}"));
                continue;
            }

            for (int i = 0; i < rows.Length; i++)
            {
                rows[i][c] = column[i] is { } value ? Convert.ToDouble(value, System.Globalization.CultureInfo.InvariantCulture) : double.NaN;
            }
        }

        return problems.Count > 0 ? throw new TableException(problems) : Checked("table", names, rows);
    }

    /// <summary>The table as a data frame of float64 columns.</summary>
    public DataFrame ToDataFrame() => new(Columns.Select(name => (DataFrameColumn)new DoubleDataFrameColumn(name, this[name])));

    /// <summary>Writes .csv (numbers round-trip) or .parquet; the file appears whole or not at all.</summary>
    /// <exception cref="ArgumentException">The extension is another one.</exception>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        NumericTableModule.write(path, new([.. Columns], rows));
    }

    internal static Table Of(IEnumerable<string> columns, double[][] rows) => new("table", [.. columns], rows);

    internal double[][] Data => rows;

    /// <summary>Throws unless a law can be learnt from the rows: at least two, and no column that is the same in all.</summary>
    internal Table Varied()
    {
        if (rows.Length < 2)
        {
            throw new TableException([new(Origin, "", 0, "at least 2 rows", $"{rows.Length}")]);
        }

        FileProblem[] problems =
        [
            .. Enumerable
                .Range(0, Columns.Count)
                .Where(c => rows.All(row => row[c] == rows[0][c]))
                .Select(c => new FileProblem(Origin, "", 0, $"a column '{Columns[c]}' that varies", $"{rows[0][c]:R} in all {rows.Length} rows")),
        ];
        return problems.Length == 0 ? this : throw new TableException(problems);
    }

    private static string[] Numbered(int width) => [.. Enumerable.Range(1, width).Select(k => $"x{k}")];

    private static Table Checked(string origin, string[] columns, double[][] rows)
    {
        if (rows.Length == 0)
        {
            throw new TableException([new(origin, "", 0, "at least one row", "none")]);
        }

        if (columns.Distinct().Count() < columns.Length || columns.Any(string.IsNullOrWhiteSpace))
        {
            throw new ArgumentException($"columns must have names that differ but are '{string.Join("', '", columns)}'", nameof(columns));
        }

        if (rows[0] is double[] first && first.Length != columns.Length)
        {
            throw new ArgumentException($"columns must be {first.Length} names, one for each number of a row, but are {columns.Length}", nameof(columns));
        }

        List<FileProblem> problems = [];
        for (int i = 0; i < rows.Length && problems.Count < 20; i++)
        {
            int width = rows[i]?.Length ?? 0;
            if (width != columns.Length || width == 0)
            {
                problems.Add(new(origin, $"row {i + 1}", i + 1, $"{Math.Max(1, columns.Length)} numbers", $"{width}"));
                continue;
            }

            int bad = Array.FindIndex(rows[i], value => !double.IsFinite(value));
            if (bad >= 0)
            {
                problems.Add(new(origin, $"row {i + 1}", i + 1, $"a finite number in column '{columns[bad]}'", $"{rows[i][bad]}"));
            }
        }

        return problems.Count > 0 ? throw new TableException(problems) : new(origin, [.. columns], [.. rows.Select(row => (double[])row.Clone())]);
    }
}

using Microsoft.Data.Analysis;
using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>Tables: what is read is what was written, and what is wrong is told with file, row and column.</summary>
public sealed class TableTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("valueflow").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    private string Csv(string text)
    {
        string path = Path.Combine(folder, "t.csv");
        File.WriteAllText(path, text);
        return path;
    }

    [Theory]
    [InlineData("a,b\n1,2\nNaN,4\n", "t.csv, line 3: expected a finite number in column 'a', found 'NaN'")]
    [InlineData("a,b\n1,2\n,4\n", "t.csv, line 3: expected a finite number in column 'a', found nothing")]
    [InlineData("a,b\n1,2\n3,inf\n", "t.csv, line 3: expected a finite number in column 'b', found 'inf'")]
    [InlineData("a,b\n1,red\n3,blue\n4,red\n", "t.csv, line 2: expected a finite number in column 'b', found 'red'")]
    [InlineData("a,b\n1,2\n3\n", "t.csv, line 3: expected 2 fields, one for each of the columns in the header, found 1")]
    [InlineData("a,a\n1,2\n", "t.csv, line 1: expected names of columns that differ, found 'a' twice")]
    [InlineData("a,\n1,2\n", "t.csv, line 1: expected a name for column 2, found nothing")]
    [InlineData("1,2\n3,4\n", "t.csv, line 1: expected a header with the names of the columns, found a line of numbers")]
    [InlineData("", "t.csv, line 1: expected a header with the names of the columns, found an empty file")]
    [InlineData("a,b\n", "t.csv: expected at least one row of numbers, found a header alone")]
    public void ABadFileIsToldExactly(string text, string message) =>
        Assert.Equal(message, Assert.Throws<TableException>(() => Table.FromCsv(Csv(text))).Message);

    [Fact]
    public void WhatIsNoTableIsTold()
    {
        Assert.Equal("none.csv: expected a file that exists, found none", Assert.Throws<TableException>(() => Table.Load(Path.Combine(folder, "none.csv"))).Message);
        Assert.Contains("expected a file, found a folder", Assert.Throws<TableException>(() => Table.Load(folder)).Message);
        File.WriteAllText(Path.Combine(folder, "t.txt"), "a\n1\n");
        Assert.Equal("t.txt: expected the extension .csv or .parquet, found '.txt'", Assert.Throws<TableException>(() => Table.Load(Path.Combine(folder, "t.txt"))).Message);
        File.WriteAllText(Path.Combine(folder, "t.parquet"), "a\n1\n");
        Assert.StartsWith("t.parquet: expected a Parquet file", Assert.Throws<TableException>(() => Table.FromParquet(Path.Combine(folder, "t.parquet"))).Message);
    }

    [Fact]
    public void AFlowNeedsRowsThatVary()
    {
        var start = Flow.From(Source.Normal());
        Assert.Equal("t.csv: expected at least 2 rows, found 1", Assert.Throws<TableException>(() => start.To(Table.FromCsv(Csv("a,b\n1,2\n")))).Message);
        Assert.Equal(
            "t.csv: expected a column 'b' that varies, found 7 in all 3 rows",
            Assert.Throws<TableException>(() => start.To(Table.FromCsv(Csv("a,b\n1,7\n2,7\n3,7\n")))).Message
        );
        Assert.Equal("table, row 2: expected a finite number in column 'x1', found NaN", Assert.Throws<TableException>(() => start.To([[1.0, 2], [double.NaN, 3]])).Message);
        Assert.Equal("table, row 2: expected 2 numbers, found 1", Assert.Throws<TableException>(() => start.To([[1.0, 2], [3.0]])).Message);
        DataFrame frame = new(new StringDataFrameColumn("city", ["Oslo", "Rome"]), new DoubleDataFrameColumn("x", [1.0, 2.0]));
        Assert.Equal("table: expected numbers in column 'city', found a column of String", Assert.Throws<TableException>(() => start.To(frame)).Message);
        Assert.Equal(["x"], Table.From(frame, "x").Columns);
    }

    [Fact]
    public void ChosenColumnsAreReadAndOthersAreNot()
    {
        var table = Table.FromCsv(Csv("city,x,y\nOslo,1,2\n\"Rome, old\",3,4.5\n"), "y", "x");
        Assert.Equal(["y", "x"], table.Columns);
        Assert.Equal([4.5, 3], table.Rows[1]);
        Assert.Contains("expected a column 'z', found the columns city, x, y", Assert.Throws<TableException>(() => Table.FromCsv(Path.Combine(folder, "t.csv"), "z")).Message);
    }

    [Fact]
    public void FilesKeepEveryBit()
    {
        double[,] values = { { 0.1, 1e-300 }, { -1.0 / 3, double.MaxValue }, { double.Epsilon, 12345678901234567 } };
        var table = Table.From(values, "a", "b, quoted");
        foreach (string name in new[] { "t.csv", "t.parquet" })
        {
            string path = Path.Combine(folder, name);
            table.Save(path);
            var again = Table.Load(path);
            Assert.Equal(table.Columns, again.Columns);
            Assert.Equal(table.Rows, again.Rows);
        }
    }
}

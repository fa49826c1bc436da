using System.Net;
using System.Text;
using Microsoft.Data.Analysis;
using ValueFlow.Core.Foundations;

namespace ValueFlow.Gallery;

/// <summary>A page that stands alone: text, tables, and pictures within.</summary>
internal sealed class HtmlReport(string title)
{
    private const string Style = """
        body{font:16px/1.5 system-ui,sans-serif;max-width:860px;margin:2em auto;padding:0 1em;color:#222}
        h1{font-size:1.7em}h2{margin-top:2em;border-bottom:1px solid #ccc}img{max-width:100%;border:1px solid #ddd;margin:.5em 0}
        table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #ccc;padding:.25em .6em;text-align:left}
        td.n{text-align:right;font-variant-numeric:tabular-nums}pre{background:#f6f6f6;padding:1em;overflow:auto}.good{color:#060}.bad{color:#a00}
        """;

    private readonly StringBuilder body = new();

    public HtmlReport Heading(string text) => Add($"<h2>{Text(text)}</h2>");

    public HtmlReport Paragraph(string text) => Add($"<p>{Text(text)}</p>");

    public HtmlReport Code(string text) => Add($"<pre>{Text(text)}</pre>");

    public HtmlReport Verdict(string text, bool good) => Add($"<p class=\"{(good ? "good" : "bad")}\">{Text(text)}</p>");

    public HtmlReport Picture(string alternative, byte[] png) =>
        Add($"<img alt=\"{Text(alternative)}\" src=\"data:image/png;base64,{Convert.ToBase64String(png)}\">");

    public HtmlReport Table(string[] columns, IEnumerable<string[]> rows)
    {
        Add($"<table><tr>{string.Concat(columns.Select(column => $"<th>{Text(column)}</th>"))}</tr>");
        foreach (string[] row in rows)
        {
            Add($"<tr>{string.Concat(row.Select(Cell))}</tr>");
        }

        return Add("</table>");

        static string Cell(string text) => double.TryParse(text, out _) ? $"<td class=\"n\">{Text(text)}</td>" : $"<td>{Text(text)}</td>";
    }

    public HtmlReport Table(DataFrame table) => Table([.. table.Columns.Select(column => column.Name)], Rows(table));

    /// <summary>The rows of a table as short text.</summary>
    public static IEnumerable<string[]> Rows(DataFrame table) =>
        Enumerable
            .Range(0, (int)table.Rows.Count)
            .Select(row => table.Columns.Select(column => column[row] is double x ? x.ToString("G6") : column[row]?.ToString() ?? "").ToArray());

    /// <summary>Refuses a folder for reports that is a file, before the work is done.</summary>
    public static void RequireFolder(string folder)
    {
        if (string.IsNullOrWhiteSpace(folder) || File.Exists(folder))
        {
            throw new UsageException($"--out: expected a folder, found {(string.IsNullOrWhiteSpace(folder) ? "nothing" : $"the file '{folder}'")}.");
        }
    }

    public void Write(string path) =>
        AtomicFile.writeText(
            path,
            Microsoft.FSharp.Core.FuncConvert.FromAction<TextWriter>(writer =>
                writer.Write(
                    $"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{Text(title)}</title><style>{Style}</style></head>"
                        + $"<body><h1>{Text(title)}</h1>\n{body}</body></html>\n"
                )
            )
        );

    private HtmlReport Add(string html)
    {
        body.Append(html).Append('\n');
        return this;
    }

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}

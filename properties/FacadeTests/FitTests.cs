using System.Diagnostics;
using ValueFlow.Gallery;
using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>fit as a user meets it: files, messages, exit codes, and a run that is killed.</summary>
public sealed class FitTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("valueflow").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    private string At(string name) => Path.Combine(folder, name);

    private static (int Code, string Output, string Error) Run(CancellationToken cancellation, params string[] args)
    {
        using StringWriter output = new();
        using StringWriter error = new();
        int code = Program.Run(args, output, error, cancellation);
        return (code, output.ToString(), error.ToString());
    }

    private string Write(string name, string header, int rows, Func<int, Random, string> row)
    {
        Random random = new(1);
        File.WriteAllLines(At(name), [header, .. Enumerable.Range(0, rows).Select(i => row(i, random))]);
        return At(name);
    }

    private string Moons() =>
        Write(
            "moons.csv",
            "x,y",
            300,
            (i, random) =>
            {
                double a = Math.PI * random.NextDouble();
                return i % 2 == 0 ? $"{Math.Cos(a):R},{Math.Sin(a):R}" : $"{1 - Math.Cos(a):R},{0.5 - Math.Sin(a):R}";
            }
        );

    [Fact]
    public void FitWritesSamplesModelAndReport()
    {
        var (code, output, error) = Run(default, "fit", Moons(), "--steps", "100", "--samples", "40", "--seed", "3", "--out", At("out"));
        Assert.DoesNotContain("error", error);
        Assert.Equal(0, code);
        Assert.Contains("mean log-density", output);
        Assert.Equal(["model.safetensors", "report.html", "samples.csv"], Directory.GetFiles(At("out")).Select(Path.GetFileName).Order());
        string[] samples = File.ReadAllLines(At("out/samples.csv"));
        Assert.Equal("x,y", samples[0]);
        Assert.Equal(41, samples.Length);
        string report = File.ReadAllText(At("out/report.html"));
        Assert.Equal(4, report.Split("data:image/png;base64,").Length - 1);
        // No address of anything outside: a colon is no sign of base64.
        Assert.DoesNotContain("://", report);
        // The samples are those of the model in the file.
        Assert.Equal(Table.FromCsv(At("out/samples.csv")).Rows, TrainedFlow.Load(At("out/model.safetensors")).Sample(40, 3).Points);
    }

    [Fact]
    public void OneColumnAndFourAreDrawnToo()
    {
        string one = Write("one.csv", "v", 100, (i, random) => $"{random.NextDouble() + (i % 2):R}");
        Assert.Equal(0, Run(default, "fit", one, "--steps", "20", "--quiet", "--out", At("o1")).Code);
        string four = Write("four.csv", "a,b,c,d", 100, (_, random) => $"{random.NextDouble():R},{1e6 * random.NextDouble():R},{random.Next(5)},{random.NextDouble():R}");
        var (code, output, _) = Run(default, "fit", four, "--steps", "20", "--samples", "50", "--pairing", "optimal-transport", "--quiet", "--out", At("o4"));
        Assert.Equal((0, ""), (code, output));
        Assert.Equal(6, File.ReadAllText(At("o4/report.html")).Split("data:image/png;base64,").Length - 1);
        Table.FromCsv(four).Save(At("four.parquet"));
        Assert.Equal(0, Run(default, "fit", At("four.parquet"), "--columns", "d,a", "--steps", "5", "--quiet", "--out", At("o2")).Code);
        Assert.StartsWith("d,a\n", File.ReadAllText(At("o2/samples.csv")));
    }

    [Theory]
    [InlineData("a,b\n1,2\nNaN,4\n", "bad.csv, line 3: expected a finite number in column 'a', found 'NaN'")]
    [InlineData("a,b\n1,2\n", "bad.csv: expected at least 2 rows, found 1")]
    [InlineData("a,b\n1,2\n2,2\n", "bad.csv: expected a column 'b' that varies, found 2 in all 2 rows")]
    [InlineData("a,b\n1,red\n2,blue\n", "bad.csv, line 2: expected a finite number in column 'b', found 'red'")]
    public void ABadTableLeavesNothing(string text, string message)
    {
        File.WriteAllText(At("bad.csv"), text);
        var (code, output, error) = Run(default, "fit", At("bad.csv"), "--out", At("out"));
        Assert.Equal((2, "", $"error: {message}"), (code, output, error.Trim()));
        Assert.False(Directory.Exists(At("out")));
    }

    [Theory]
    [InlineData("--steps", "0")]
    [InlineData("--steps", "many")]
    [InlineData("--samples", "-1")]
    [InlineData("--seed", "1.5")]
    [InlineData("--pairing", "magic")]
    [InlineData("--pairing", "sinkhorn:0")]
    [InlineData("--columns", "x,x")]
    [InlineData("--columns", "z")]
    [InlineData("--checkpoint", "/no/such/folder/file")]
    [InlineData("--colour", "red")]
    public void BadOptionsEndWithOneMessage(params string[] options)
    {
        var (code, output, error) = Run(default, ["fit", Moons(), .. options, "--out", At("out")]);
        Assert.Equal((2, ""), (code, output));
        Assert.StartsWith("error: ", error);
        Assert.DoesNotContain("   at ", error);
        Assert.False(Directory.Exists(At("out")));
    }

    [Fact]
    public void AnUnknownFileAndATakenFolderAreRefused()
    {
        Assert.Equal("error: none.csv: expected a file that exists, found none", Run(default, "fit", At("none.csv"), "--out", At("out")).Error.Trim());
        File.WriteAllText(At("taken"), "kept");
        Assert.StartsWith("error: --out: expected a folder, found the file", Run(default, "fit", Moons(), "--out", At("taken")).Error);
        Assert.Equal("kept", File.ReadAllText(At("taken")));
        Assert.False(Directory.Exists(At("out")));
    }

    [Fact]
    public async Task CancellingLeavesNothing()
    {
        string moons = Moons();
        using CancellationTokenSource source = new();
        var run = Task.Run(() => Run(source.Token, "fit", moons, "--steps", "100000000", "--out", At("out")));
        await Task.Delay(1_500);
        await source.CancelAsync();
        var (code, output, error) = await run;
        Assert.Equal((130, ""), (code, output));
        Assert.EndsWith("Cancelled.", error.Trim());
        Assert.False(Directory.Exists(At("out")));
    }

    // Two processes: one is killed in the middle of its training, the other goes on from what it kept.
    [Fact]
    public void AKilledRunGoesOnToTheBit()
    {
        string moons = Moons();
        string[] arguments = ["fit", moons, "--steps", "6000", "--samples", "20", "--quiet"];
        using (var killed = Start([.. arguments, "--checkpoint", At("run.checkpoint"), "--out", At("killed")]))
        {
            var watch = Stopwatch.StartNew();
            while (!File.Exists(At("run.checkpoint")) && !killed.HasExited && watch.Elapsed.TotalSeconds < 120)
            {
                Thread.Sleep(5);
            }

            Assert.True(File.Exists(At("run.checkpoint")));
            killed.Kill();
            killed.WaitForExit();
            Assert.NotEqual(0, killed.ExitCode);
        }

        Assert.False(Directory.Exists(At("killed")));
        Assert.Equal(0, Run(default, [.. arguments, "--checkpoint", At("run.checkpoint"), "--out", At("resumed")]).Code);
        Assert.Equal(0, Run(default, [.. arguments, "--out", At("whole")]).Code);
        foreach (string name in new[] { "model.safetensors", "samples.csv", "report.html" })
        {
            Assert.Equal(File.ReadAllBytes(At($"whole/{name}")), File.ReadAllBytes(At($"resumed/{name}")));
        }
    }

    private static Process Start(string[] arguments)
    {
        ProcessStartInfo info = new(Environment.ProcessPath is string host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet")
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
        };
        info.ArgumentList.Add(typeof(Program).Assembly.Location);
        Array.ForEach(arguments, info.ArgumentList.Add);
        return Process.Start(info)!;
    }
}

using System.Text.Json;
using ValueFlow.Gallery;
using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>The console program as a user meets it.</summary>
public sealed class GalleryTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("valueflow").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    private string At(string name) => Path.Combine(folder, name);

    private (int Code, string Output, string Error) Run(params string[] args)
    {
        using StringWriter output = new();
        using StringWriter error = new();
        int code = Program.Run(args, output, error);
        return (code, output.ToString(), error.ToString());
    }

    private string Lake()
    {
        string path = At("lake.tra");
        Problems.FrozenLake().Save(path);
        return path;
    }

    [Fact]
    public void SolveWritesValuesDecisionsAndAReport()
    {
        var (code, output, error) = Run("solve", Lake(), "--discount", "0.99", "--out", At("out"));
        Assert.DoesNotContain("error", error);
        Assert.Equal(0, code);
        Assert.Contains("certified error", output);
        string[] values = File.ReadAllLines(At("out/value.csv"));
        Assert.Equal("state,value,lower,upper", values[0]);
        Assert.Equal(17, values.Length);
        Assert.StartsWith("\"(0,0)\",0.54202593", values[1]);
        Assert.Equal("\"(0,0)\",left", File.ReadAllLines(At("out/policy.csv"))[1]);
        string report = File.ReadAllText(At("out/report.html"));
        Assert.Equal(3, report.Split("data:image/png;base64,").Length - 1);
        Assert.DoesNotContain("://", report);
    }

    [Fact]
    public void EveryFormatIsSolved()
    {
        var lake = Problems.FrozenLake8x8;
        Problems.Garnet(1, 10, 3, 3).Save(At("garnet.drn"));
        Assert.Equal(0, Run("solve", At("garnet.drn"), "--discount", "0.9", "--out", At("o1")).Code);
        File.WriteAllText(At("log.csv"), "state,action,reward,next_state,terminated\na,go,1,b,false\nb,go,0,a,false\nb,stop,5,end,true\na,go,1,a,false\n");
        TransitionLog.Load(At("log.csv")).Save(At("log.parquet"));
        var csv = Run("solve", At("log.csv"), "--discount", "0.9", "--json", "--out", At("o2"));
        var parquet = Run("solve", At("log.parquet"), "--discount", "0.9", "--json", "--out", At("o3"));
        Assert.Equal(0, csv.Code);
        static double Value(string json) => JsonDocument.Parse(json).RootElement.GetProperty("initial")[0].GetProperty("value").GetDouble();
        Assert.Equal(Value(csv.Output), Value(parquet.Output));
        double robust = Value(Run("solve", At("log.csv"), "--discount", "0.9", "--robust", "interval", "--json", "--out", At("o4")).Output);
        Assert.True(robust < Value(csv.Output));
        Assert.Equal(64, Problems.FrozenLake(lake).StateCount);
    }

    [Fact]
    public void EveryAttitudeIsSolvedAndLowersTheValue()
    {
        string lake = Lake();
        double Value(params string[] attitude)
        {
            var (code, output, error) = Run(["solve", lake, "--discount", "0.9", "--json", "--out", At("out"), .. attitude]);
            Assert.True(code == 0, error);
            var root = JsonDocument.Parse(output).RootElement;
            Assert.True(root.GetProperty("certifiedError").GetDouble() <= 1e-8);
            return root.GetProperty("initial")[0].GetProperty("value").GetDouble();
        }

        double neutral = Value();
        foreach (string risk in new[] { "evar:0.9", "expectile:0.4", "semideviation:0.5" })
        {
            Assert.InRange(Value("--risk", risk), 0, neutral - 1e-4);
        }

        foreach (string robust in new[] { "kl:0.01", "chi2:0.01", "contamination:0.05", "contamination:0.05:support", "wasserstein:0.05", "wasserstein:0.05:support" })
        {
            Assert.InRange(Value("--robust", robust), 0, neutral - 1e-4);
        }
    }

    [Theory]
    [InlineData("--discount", "1.5")]
    [InlineData("--discount", "abc")]
    [InlineData("--discount")]
    [InlineData("--risk", "cvar:0", "--discount", "0.9")]
    [InlineData("--risk", "cvar:0,5", "--discount", "0.9")]
    [InlineData("--robust", "tv", "--discount", "0.9")]
    [InlineData("--robust", "interval", "--discount", "0.9")]
    [InlineData("--risk", "entropic:1", "--robust", "tv:0.1", "--discount", "0.9")]
    [InlineData("--objective", "reach:goal", "--discount", "0.9")]
    [InlineData("--objective", "reach:nowhere")]
    [InlineData("--objective", "total-reward", "--risk", "cvar:0.5")]
    [InlineData("--objective", "best")]
    [InlineData("--direction", "up", "--discount", "0.9")]
    [InlineData("--method", "magic", "--discount", "0.9")]
    [InlineData("--tolerance", "0", "--discount", "0.9")]
    [InlineData("--confidence", "0.9", "--discount", "0.9")]
    [InlineData("--reward", "energy", "--discount", "0.9")]
    [InlineData("--colour", "red")]
    [InlineData("--discount", "0,9")]
    [InlineData("--tolerance", "0,001", "--discount", "0.9")]
    [InlineData("--tolerance", "NaN", "--discount", "0.9")]
    [InlineData("--robust", "tv:1.5", "--discount", "0.9")]
    [InlineData("--risk", "evar:0", "--discount", "0.9")]
    [InlineData("--risk", "expectile:1", "--discount", "0.9")]
    [InlineData("--risk", "semideviation:1.1", "--discount", "0.9")]
    [InlineData("--robust", "kl:-1", "--discount", "0.9")]
    [InlineData("--robust", "chi2:NaN", "--discount", "0.9")]
    [InlineData("--robust", "contamination:2", "--discount", "0.9")]
    [InlineData("--robust", "wasserstein", "--discount", "0.9")]
    [InlineData("--objective", "reach:goal", "--method", "gauss-seidel")]
    [InlineData("--objective", "total-reward", "--discount", "0.9")]
    [InlineData("--method", "modified-policy-iteration:0", "--discount", "0.9")]
    public void BadOptionsEndWithOneMessage(params string[] options)
    {
        var (code, output, error) = Run(["solve", Lake(), .. options, "--out", At("out")]);
        Assert.Equal(2, code);
        Assert.Equal("", output);
        Assert.StartsWith("error: ", error);
        Assert.DoesNotContain("   at ", error);
        Assert.False(Directory.Exists(At("out")));
    }

    [Fact]
    public void ABadFileEndsWithAllThatIsWrong()
    {
        File.WriteAllText(At("bad.tra"), "2 2 3\n0 0 1 x go\n0 0 9 0.5 go\n1 0 1 1 go\n");
        var (code, _, error) = Run("solve", At("bad.tra"), "--discount", "0.9");
        Assert.Equal(2, code);
        Assert.Contains("bad.tra, line 2: expected a probability", error);
        Assert.Contains("bad.tra, line 3: expected states in [0, 2), found 9", error);
        Assert.Equal(2, Run("solve", At("none.drn"), "--discount", "0.9").Code);
        Assert.Equal(2, Run("solve", folder, "--discount", "0.9").Code);
    }

    [Fact]
    public void AFolderThatIsAFileIsRefusedBeforeTheWork()
    {
        File.WriteAllText(At("taken"), "kept");
        foreach (string[] command in new[] { new[] { "solve", Lake(), "--discount", "0.9" }, ["tour"], ["run", "cliff"] })
        {
            var (code, output, error) = Run([.. command, "--out", At("taken")]);
            Assert.Equal(2, code);
            Assert.Equal("", output);
            Assert.StartsWith("error: --out: expected a folder, found the file", error);
        }

        Assert.Equal("kept", File.ReadAllText(At("taken")));
        Assert.StartsWith("error: FILE: expected the path", Run("solve", "", "--discount", "0.9").Error);
    }

    [Fact]
    public void NamesWithCommasAndQuotationMarksAreQuoted()
    {
        File.WriteAllText(
            At("log.csv"),
            """"
            state,action,reward,next_state,terminated
            "a,1","go ""on""",1,"b ""q""",false
            "b ""q""","go ""on""",0,end,true

            """"
        );
        Assert.Equal(0, Run("solve", At("log.csv"), "--discount", "0.5", "--out", At("out")).Code);
        string[] policy = File.ReadAllLines(At("out/policy.csv"));
        Assert.Equal(["state,action", "\"a,1\",\"go \"\"on\"\"\"", "\"b \"\"q\"\"\",\"go \"\"on\"\"\"", "end,"], policy);
        string[] values = File.ReadAllLines(At("out/value.csv"));
        Assert.StartsWith("\"b \"\"q\"\"\",0,", values[2]);
        Assert.DoesNotContain(Directory.GetFiles(At("out")), name => name.EndsWith(".tmp", StringComparison.Ordinal));
    }

    [Fact]
    public void ACultureOfDecimalCommasChangesNothing()
    {
        string lake = Lake();
        Run("solve", lake, "--discount", "0.99", "--risk", "cvar:0.9", "--out", At("one"));
        var before = System.Globalization.CultureInfo.CurrentCulture;
        var german = System.Globalization.CultureInfo.GetCultureInfo("de-DE");
        Assert.Equal("0,5", 0.5.ToString(german));
        try
        {
            System.Globalization.CultureInfo.CurrentCulture = german;
            System.Globalization.CultureInfo.DefaultThreadCurrentCulture = german;
            Assert.Equal(0, Run("solve", lake, "--discount", "0.99", "--risk", "cvar:0.9", "--out", At("two")).Code);
            Assert.Equal(2, Run("solve", lake, "--discount", "0,99", "--out", At("three")).Code);
        }
        finally
        {
            System.Globalization.CultureInfo.CurrentCulture = before;
            System.Globalization.CultureInfo.DefaultThreadCurrentCulture = null;
        }

        foreach (string name in new[] { "value.csv", "policy.csv" })
        {
            Assert.Equal(File.ReadAllText(At($"one/{name}")), File.ReadAllText(At($"two/{name}")));
        }
    }

    [Fact]
    public void ManyStatesMakeASmallPicture()
    {
        const int states = 200_000;
        File.WriteAllLines(At("ring.tra"), [$"{states} {states}", .. Enumerable.Range(0, states).Select(s => $"{s} {(s + 1) % states} 1")]);
        File.WriteAllLines(At("ring.srew"), [$"{states} 1", "7 1"]);
        var watch = System.Diagnostics.Stopwatch.StartNew();
        Assert.Equal(0, Run("solve", At("ring.tra"), "--discount", "0.5", "--quiet", "--out", At("out")).Code);
        Assert.True(watch.Elapsed.TotalSeconds < 20, $"{watch.Elapsed.TotalSeconds} s");
        Assert.True(new FileInfo(At("out/report.html")).Length < 500_000);
    }

    [Fact]
    public void CancellingEndsWithItsOwnCode()
    {
        using CancellationTokenSource source = new();
        source.Cancel();
        using StringWriter output = new();
        using StringWriter error = new();
        Assert.Equal(130, Program.Run(["solve", Lake(), "--discount", "0.9", "--out", At("out")], output, error, source.Token));
        Assert.Equal("Cancelled.", error.ToString().Trim());
        Assert.False(Directory.Exists(At("out")));
    }

    [Fact]
    public void TheTourShowsWhatIsEnclosed()
    {
        var (code, output, _) = Run("tour", "--out", At("out"));
        Assert.Equal(0, code);
        string[] enclosed = [.. output.Split('\n').Where(line => line.Contains("Enclosure", StringComparison.Ordinal))];
        Assert.Contains(enclosed, line => line.Contains("14/17", StringComparison.Ordinal) && line.Contains("0.82352941", StringComparison.Ordinal));
        Assert.Contains(enclosed, line => line.Contains("-13", StringComparison.Ordinal));
        Assert.DoesNotContain("not reproduced", output);
        Assert.True(File.ReadAllText(At("out/report.html")).Split("data:image/png;base64,").Length - 1 >= 11);
    }

    [Fact]
    public void TheTourIsASelectionOfTheStudies()
    {
        var all = ValueFlow.Studies.Catalogue.all;
        Assert.Equal(all.Length, all.Select(study => study.Name).Distinct().Count());
        Assert.All(ValueFlow.Studies.Catalogue.tour, study => Assert.Contains(study, all));
        Assert.Contains(ValueFlow.Studies.Catalogue.tour, study => study.Family == "flows");
        Assert.True(ValueFlow.Studies.Catalogue.tour.Length < all.Length);
    }

    [Fact]
    public void JsonIsOneObject()
    {
        var (code, output, _) = Run("solve", Lake(), "--objective", "reach:goal", "--json", "--out", At("out"));
        Assert.Equal(0, code);
        var root = JsonDocument.Parse(output).RootElement;
        Assert.Equal("Enclosure", root.GetProperty("certificate").GetString());
        Assert.Equal(14.0 / 17.0, root.GetProperty("initial")[0].GetProperty("value").GetDouble(), 9);
        Assert.Equal("", Run("solve", Lake(), "--objective", "reach:goal", "--quiet", "--out", At("out")).Output);
    }

    [Fact]
    public void StudiesAreListedRunAndVerified()
    {
        Assert.Contains("frozen-lake", Run("list").Output);
        var (code, output, _) = Run("run", "counterexample", "--out", At("report"));
        Assert.Equal(0, code);
        Assert.Contains("REFUTED", output);
        Assert.True(File.Exists(At("report/report.html")));
        Assert.Equal(2, Run("run", "nothing").Code);
        Assert.Equal(2, Run("verify", "--family", "Z").Code);
        var verified = Run("verify", "--family", "A", "--quick", "--json");
        Assert.Equal(0, verified.Code);
        Assert.True(JsonDocument.Parse(verified.Output).RootElement.GetProperty("findings").GetArrayLength() >= 10);
    }

    [Fact]
    public void EveryOptionHasHelp()
    {
        var (code, output, _) = Run("solve", "--help");
        Assert.Equal(0, code);
        foreach (string option in new[] { "--objective", "--direction", "--discount", "--risk", "--robust", "--confidence", "--reward", "--method", "--tolerance", "--out", "--quiet", "--json" })
        {
            string line = output.Split('\n').Single(line => line.TrimStart().StartsWith(option, StringComparison.Ordinal));
            Assert.True(line.Trim().Length > option.Length + 20, line);
        }
    }
}

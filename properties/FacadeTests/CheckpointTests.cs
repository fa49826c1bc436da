using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using ValueFlow.Core.Values;
using ValueFlow.Gallery;
using Xunit;
using Xunit.Abstractions;

namespace ValueFlow.FacadeTests;

/// <summary>A discounted run that is stopped, and goes on, as a user of C# and of the console meets it.</summary>
public sealed class CheckpointTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("valueflow").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    private string At(string name) => Path.Combine(folder, name);

    [Fact]
    public void ACancelledRunGoesOnToTheBit()
    {
        var problem = Problems.RiverSwim(12).Discounted(0.9);
        foreach (var method in new[] { Method.ValueIteration, Method.GaussSeidel, Method.PolicyIteration, Method.ModifiedPolicyIteration(3) })
        {
            SolveOptions options = new() { Method = method };
            var whole = problem.Solve(options);
            var kept = options with { Checkpoint = At(method.Name), CheckpointInterval = TimeSpan.Zero };
            var first = problem.Solve(kept with { MaximumSweeps = Math.Max(1, whole.Sweeps / 2) });
            Assert.Equal(whole.Sweeps == 1 ? Outcome.Converged : Outcome.BudgetExhausted, first.Outcome);
            List<int> sweeps = [];
            var again = problem.Solve(kept with { Progress = new Noting(sweeps), ProgressInterval = TimeSpan.Zero });
            Assert.Equal(whole.Values, again.Values);
            Assert.Equal((whole.Sweeps, whole.ErrorBound, whole.Outcome), (again.Sweeps, again.ErrorBound, again.Outcome));
            Assert.True(sweeps.Count < whole.Sweeps);
        }
    }

    private sealed class Noting(List<int> sweeps) : IProgress<SolveProgress>
    {
        public void Report(SolveProgress value) => sweeps.Add(value.Sweeps);
    }

    [Fact]
    public void WhatDoesNotFitIsRefused()
    {
        var problem = Problems.RiverSwim(12).Discounted(0.99);
        SolveOptions options = new() { Checkpoint = At("run"), CheckpointInterval = TimeSpan.Zero, MaximumSweeps = 5, Method = Method.GaussSeidel };
        problem.Solve(options);
        var error = Assert.Throws<InvalidDataException>(() => Problems.RiverSwim(12).Discounted(0.9).Solve(options));
        Assert.Equal("run: expected the operator Bellman[expectation, max, 0.9], found Bellman[expectation, max, 0.99]", error.Message);
        Assert.Contains("expected the method 'value iteration'", Assert.Throws<InvalidDataException>(() => problem.Solve(options with { Method = Method.ValueIteration })).Message);
        Assert.Throws<ArgumentException>(() => problem.Solve(options with { Checkpoint = " " }));
        Assert.Throws<ArgumentOutOfRangeException>(() => problem.Solve(options with { CheckpointInterval = TimeSpan.FromSeconds(-1) }));
        Assert.Contains("a discounted problem", Assert.Throws<ArgumentException>(() => problem.Evaluate((_, _) => 0.5, options)).Message);
        Assert.Contains("the objective TotalReward", Assert.Throws<ArgumentException>(() => Problems.FrozenLake().TotalReward().Solve(options)).Message);
    }

    // A slow walk to and fro on a ring with one way out, and uneven rewards.
    private string Ring(int states)
    {
        Random random = new(1);
        using (StreamWriter transitions = new(At("ring.tra")), labels = new(At("ring.lab")), rewards = new(At("ring.srew")))
        {
            transitions.WriteLine($"{states} {(2 * states) - 1} {(4 * states) - 3}");
            labels.WriteLine("0=\"init\" 1=\"deadlock\"");
            labels.WriteLine("0: 0");
            labels.WriteLine($"{states - 1}: 1");
            rewards.WriteLine($"{states} {states - 1}");
            for (int s = 0; s < states - 1; s++)
            {
                int left = (s + states - 1) % states, right = (s + 1) % states;
                transitions.WriteLine($"{s} 0 {s} 0.5");
                transitions.WriteLine($"{s} 0 {left} 0.5");
                transitions.WriteLine($"{s} 1 {s} 0.5");
                transitions.WriteLine($"{s} 1 {right} 0.5");
                rewards.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{s} {1 + random.NextDouble():R}"));
            }

            transitions.WriteLine($"{states - 1} 0 {states - 1} 1");
        }

        return At("ring.tra");
    }

    private static Process Start(params string[] arguments)
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

    /// <summary>Kills by SIGKILL: no handler runs.</summary>
    public class KillTests(ITestOutputHelper output)
    {
        [Fact]
        public void ARunThatIsKilledTwentyTimesEndsWithTheSameAnswerBitForBit()
        {
            using CheckpointTests files = new();
            string checkpoint = files.At("run.checkpoint");
            string[] arguments = ["solve", files.Ring(8_000), "--discount", "0.998", "--method", "value-iteration"];
            string[] kept = [.. arguments, "--checkpoint", checkpoint, "--checkpoint-interval", "0.02", "--out", files.At("kept")];
            Random random = new(7);
            List<int> begun = [];
            int kills = 0;
            while (kills < 20)
            {
                int stood = File.Exists(checkpoint) ? PlanningCheckpointModule.read(checkpoint).State.Sweeps : 0;
                var written = File.GetLastWriteTimeUtc(checkpoint);
                using var run = Start(kept);
                if (kills % 5 == 4)
                {
                    // At any moment of its life, the reading of the files included.
                    Thread.Sleep(random.Next(600));
                }
                else
                {
                    var watch = Stopwatch.StartNew();
                    if (stood == 0)
                    {
                        while (!File.Exists(checkpoint) && !run.HasExited && watch.Elapsed.TotalSeconds < 60)
                        {
                            Thread.Sleep(2);
                        }
                    }
                    else
                    {
                        string line = run.StandardOutput.ReadLine() ?? "";
                        var words = Regex.Match(line, "^going on from sweep ([0-9]+), as run.checkpoint stands");
                        Assert.True(words.Success, line);
                        // Where the last checkpoint stood, to the sweep.
                        Assert.Equal(stood, int.Parse(words.Groups[1].Value, CultureInfo.InvariantCulture));
                        begun.Add(stood);
                        // However slow machine and disk are today: until it has kept something further.
                        while (File.GetLastWriteTimeUtc(checkpoint) == written && !run.HasExited && watch.Elapsed.TotalSeconds < 60)
                        {
                            Thread.Sleep(2);
                        }
                    }

                    Thread.Sleep(random.Next(300));
                }

                run.Kill();
                run.WaitForExit();
                Assert.NotEqual(0, run.ExitCode);
                kills++;
            }

            output.WriteLine($"killed {kills} times; began at sweeps {string.Join(' ', begun)}");
            // Sweeps are never lost that were kept: each run has fewer left than the one before it, or as many if it was killed at once.
            Assert.Equal(begun.Order(), begun);
            Assert.True(begun.Distinct().Count() >= 10);
            int last = PlanningCheckpointModule.read(checkpoint).State.Sweeps;
            using (var run = Start(kept))
            {
                string said = run.StandardOutput.ReadToEnd();
                run.WaitForExit();
                Assert.Equal(0, run.ExitCode);
                Assert.StartsWith($"going on from sweep {last},", said);
            }

            using (var run = Start([.. arguments, "--out", files.At("whole")]))
            {
                run.StandardOutput.ReadToEnd();
                run.WaitForExit();
                Assert.Equal(0, run.ExitCode);
            }

            // Numbers in these files are read back to the same bits.
            foreach (string name in new[] { "value.csv", "policy.csv", "report.html" })
            {
                Assert.Equal(File.ReadAllBytes(files.At($"whole/{name}")), File.ReadAllBytes(files.At($"kept/{name}")));
            }
        }
    }
}
